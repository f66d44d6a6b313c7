# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""printf: the same text as the C library, for everything that a debugger may send."""

import ctypes

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vmmkit.errors import ExpressionError
from vmmkit.gdb.printf import MAX_STRING, Conversion, parse_format, render

MEMORY = bytes(0x10) + b"hello\0ab\0\xc3\xa9\xff!\0" + b"x" * 2000
LENGTHS = {"": 4, "hh": 4, "h": 4, "l": 8, "ll": 8, "j": 8, "z": 8, "t": 8}


def read_memory(address, size):
    part = MEMORY[address : address + size]
    assert len(part) == size
    assert address % 8 + size <= 8
    return int.from_bytes(part, "little")


def printed(text, *arguments):
    return render(parse_format(text), arguments, read_memory)


def c_library_prints(text, *arguments):
    try:
        snprintf = ctypes.CDLL(None).snprintf
    except (OSError, AttributeError):
        pytest.skip("no C library to compare with")
    buffer = ctypes.create_string_buffer(4096)
    snprintf.restype = ctypes.c_int
    size = snprintf(buffer, ctypes.c_size_t(len(buffer)), text, *arguments)
    return buffer.raw[:size].decode("latin-1")


@settings(max_examples=300)
@given(
    flags=st.text("-+ #0", max_size=4),
    width=st.none() | st.integers(0, 30),
    precision=st.none() | st.just("") | st.integers(0, 30),
    length=st.sampled_from(sorted(LENGTHS)),
    letter=st.sampled_from("diuxXo"),
    value=st.integers(0, 2**64 - 1) | st.integers(0, 300) | st.integers(2**64 - 300, 2**64 - 1),
)
@example(flags="#", width=None, precision=0, length="", letter="o", value=0)
@example(flags="#0", width=9, precision=None, length="", letter="x", value=10)
@example(flags="0+", width=9, precision=4, length="", letter="d", value=10)
def test_integers_are_printed_as_in_c(flags, width, precision, length, letter, value):
    text = f"%{flags}{'' if width is None else width}"
    text += "" if precision is None else f".{precision}"
    text = f"<{text}{length}{letter}>".encode()
    argument = (
        ctypes.c_uint64(value) if LENGTHS[length] == 8 else ctypes.c_uint32(value & 2**32 - 1)
    )
    assert printed(text, value) == c_library_prints(text, argument)


@settings(max_examples=100)
@given(
    conversion=st.sampled_from(
        ["%s", "%7s", "%-7s", "%.2s", "%-6.3s", "%.s", "%c", "%4c", "%-4c", "%p", "%20p", "%-20p"]
    ),
    value=st.integers(1, 127),
)
def test_strings_characters_and_pointers_are_printed_as_in_c(conversion, value):
    text = f"<{conversion}>".encode()
    if conversion.endswith("s"):
        assert printed(text, 0x10) == c_library_prints(text, ctypes.c_char_p(b"hello"))
    else:
        assert printed(text, value) == c_library_prints(text, ctypes.c_uint64(value))


def test_a_null_pointer_is_printed_as_in_c():
    assert printed(b"%p|%8p", 0, 0) == c_library_prints(b"%p|%8p", None, None)


def test_escape_sequences_come_as_in_source():
    text = rb"\t%d%%\n\"\\\a\b\e\f\r\v"
    assert printed(text, 5) == '\t5%\n"\\\a\b\x1b\f\r\v'


def test_text_and_conversions_are_kept_apart():
    assert parse_format(b"a%-5lx%%") == (b"a", Conversion("x", "-", 5, None, 64), b"%")


def test_bytes_that_are_no_utf8_are_replaced():
    assert printed(b"%s %s", 0x16, 0x19) == "ab é\N{REPLACEMENT CHARACTER}!"


def test_a_string_that_does_not_end_is_cut():
    assert printed(b"%s", 0x20) == "x" * MAX_STRING
    assert printed(b"%.1000s", 0x23) == "x" * 1000


def test_no_more_of_a_string_is_read_than_printed():
    reads = []

    def read(address, size):
        reads.append((address, size))
        return 0x7878787878787878 & (1 << 8 * size) - 1

    assert render(parse_format(b"%.0s%.3s%.8s"), [0, 0x13, 0x1005], read) == "x" * 11
    assert reads == [(0x13, 5), (0x1005, 3), (0x1008, 8)]


@pytest.mark.parametrize(
    "text",
    [
        *(b"%", b"%n", b"%f", b"%ls", b"%lc", b"%lp", b"%5%", b"%*d", b"%.*d", b"%q", b"%1001d"),
        *(b"%.9999d", b"%99999d", b"%hhhd", b"a %", b"%'d", b"\\x41", b"\\0", b"\\"),
    ],
)
def test_malformed_formats_are_refused(text):
    with pytest.raises(ExpressionError, match="printf"):
        parse_format(text)


@settings(max_examples=200)
@given(st.binary(max_size=30) | st.text("%-+ #0.1lhdsxcp\\n", max_size=20).map(str.encode))
def test_any_format_prints_or_is_refused(text):
    try:
        pieces = parse_format(text)
    except ExpressionError:
        return
    assert isinstance(render(pieces, [0x10] * len(pieces), read_memory), str)
