# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Checksums, escapes, run lengths, hexadecimal numbers and pieces of objects."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmmkit.gdb import codec

# Data that looks like memory: runs, and the bytes that the framing gives a meaning.
RUNS = st.tuples(st.sampled_from([b"0", b"f", b"x", b"a", b"\0", b"\xff"]), st.integers(1, 250))
PIECES = st.one_of(
    RUNS.map(lambda run: run[0] * run[1]),
    st.sampled_from(list(b"#$*}+-]\x03")).map(lambda b: b"%c" % b),
)
MEMORY = st.lists(st.one_of(PIECES, st.binary(max_size=20)), max_size=20).map(b"".join)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 4095, 4096, 4097, 8192 + 300, 70_000])
@pytest.mark.parametrize("byte", [0, 1, 0x7F, 0xFF])
def test_checksum_of_one_byte_many_times(size, byte):
    assert codec.checksum(bytes([byte]) * size) == size * byte % 256


@given(st.binary(max_size=600), st.integers(1, 40))
def test_checksum_is_the_sum(data, times):
    assert codec.checksum(data * times) == sum(data * times) % 256


def unescape_slowly(data):
    out = bytearray()
    escaped = False
    for byte in data:
        if escaped or byte != 0x7D:
            out.append(byte ^ 0x20 if escaped else byte)
            escaped = False
        else:
            escaped = True
    return bytes(out)


def expand_slowly(data):
    """Manual, "Overview": a count of n is sent as n + 29, and repeats the byte before."""
    out = bytearray()
    bytes_left = iter(data)
    for byte in bytes_left:
        if byte == ord("*"):
            out += out[-1:] * (next(bytes_left) - 29)
        else:
            out.append(byte)
    return bytes(out)


@given(MEMORY)
def test_escape_and_back(data):
    escaped = codec.escape(data)
    assert not set(escaped) & set(b"#$*")
    assert unescape_slowly(escaped) == data
    assert codec.unescape(escaped) == data


@given(st.lists(st.tuples(st.integers(0, 255), st.booleans()), max_size=60))
def test_any_byte_may_be_escaped(bytes_to_send):
    data = bytes(byte for byte, _ in bytes_to_send)
    sent = b"".join(
        b"}%c" % (byte ^ 0x20) if wanted or byte == 0x7D else b"%c" % byte
        for byte, wanted in bytes_to_send
    )
    assert codec.unescape(sent) == data == unescape_slowly(sent)


@pytest.mark.parametrize("data", [b"}", b"abc}", b"}]}", b"}}}"])
def test_escape_cut_short(data):
    with pytest.raises(ValueError, match="within an escape"):
        codec.unescape(data)


@given(MEMORY, st.integers(1, 300))
def test_escaped_within_a_limit(data, limit):
    piece = codec.escape_within(data, limit)
    assert len(piece) <= limit
    sent = codec.unescape(piece)
    assert data.startswith(sent)
    if sent != data:  # nothing more would have fitted
        assert len(piece) + len(codec.escape(data[len(sent) :][:1])) > limit


@given(MEMORY)
def test_run_lengths_and_back(data):
    payload = codec.escape(data)
    encoded = codec.run_length_encode(payload)
    assert len(encoded) <= len(payload)
    assert expand_slowly(encoded) == payload
    assert codec.run_length_decode(encoded, len(payload)) == payload


@pytest.mark.parametrize("byte", [b"0", b"f", b"x", b"\0", b"\xff"])
def test_runs(byte):
    for size in range(1, 300):
        encoded = codec.run_length_encode(byte * size)
        assert expand_slowly(encoded) == byte * size
        assert not set(encoded) & set(b"#$+-")
        assert (len(encoded) < size) == (size > 3)


@pytest.mark.parametrize("byte", [b"f", b"x"])
@pytest.mark.parametrize("before", [b"0", b"f"])
def test_a_count_is_not_taken_for_a_run(before, byte):
    """A count may be any printable character, so also the byte that comes next."""
    for size in range(4, 99):
        payload = before * size + byte * 3 + b"." + byte * 4
        assert expand_slowly(codec.run_length_encode(payload)) == payload


@pytest.mark.parametrize(
    ("payload", "encoded"),
    [
        (b"0000", b"0* "),  # the manual's example
        (b"00000000", b'0*"00'),  # and the one about counts that are not used
        (b"000", b"000"),
        (b"0" * 98, b"0*~"),
        (b"E01", b"E01"),
        (b"0000ffff", b"0* f* "),
    ],
)
def test_run_lengths_as_the_manual_has_them(payload, encoded):
    assert codec.run_length_encode(payload) == encoded
    assert codec.run_length_decode(encoded, 100) == payload


def test_a_count_may_be_an_asterisk():
    assert codec.run_length_decode(b"a**b", 100) == b"a" * 14 + b"b"
    assert codec.run_length_decode(b"a***** ", 100) == b"a" * (1 + 13 + 13 + 3)


@pytest.mark.parametrize("data", [b"*", b"* ", b"*0", b"a*", b"a*\x1f", b"a*\x7f", b"a* *", b"***"])
def test_no_run_length(data):
    with pytest.raises(ValueError, match="run length"):
        codec.run_length_decode(data, 1000)


def test_run_lengths_are_bounded():
    assert len(codec.run_length_decode(b"a*~", 98)) == 98
    with pytest.raises(OverflowError, match="97"):
        codec.run_length_decode(b"a*~", 97)
    with pytest.raises(OverflowError):
        codec.run_length_decode(b"a" + b"*~" * 60_000, 0x20000)


@given(st.binary(max_size=200).map(lambda data: data.replace(b"b", b"*")), st.integers(0, 400))
def test_run_lengths_of_any_bytes(data, limit):
    try:
        expanded = codec.run_length_decode(data, limit)
    except (ValueError, OverflowError):
        return
    assert expanded == expand_slowly(data)


@given(st.integers(0, 2**64 - 1))
def test_hex_numbers(number):
    assert codec.hex_number(b"%x" % number) == number
    assert codec.hex_number(b"%016X" % number) == number


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"-1",
        b"+1",
        b" 1",
        b"1 ",
        b"0x1",
        b"1_0",
        b"g",
        b"1g1",
        b"0" * 17,
        b"\xb2",
        b"1\0",
        b"1\n",
    ],
)
def test_no_hex_number(text):
    with pytest.raises(ValueError, match="no hexadecimal number"):
        codec.hex_number(text)


def test_hex_numbers_of_fewer_digits():
    assert codec.hex_number(b"ff", 2) == 0xFF
    with pytest.raises(ValueError, match="up to 2 digits"):
        codec.hex_number(b"fff", 2)


@given(st.binary(max_size=50))
def test_hex_bytes(data):
    assert codec.from_hex(data.hex().encode()) == data
    assert codec.from_hex(data.hex().upper().encode()) == data


@pytest.mark.parametrize("text", [b"1", b"0g", b"00 00", b"0x00", b"+1", b"\xb2\xb2"])
def test_no_hex_bytes(text):
    with pytest.raises(ValueError, match=r"."):
        codec.from_hex(text)


@given(MEMORY, st.integers(2, 64), st.integers(3, 64))
def test_an_object_in_pieces(data, length, limit):
    received, mark = b"", b"m"
    while mark == b"m":
        reply = codec.transfer(data, len(received), length, limit)
        assert len(reply) <= limit
        mark, piece = reply[:1], codec.unescape(reply[1:])
        assert 0 < len(piece) <= length or mark == b"l"
        received += piece
    assert (mark, received) == (b"l", data)


def test_pieces_at_the_end():
    assert codec.transfer(b"abc", 0, 3, 100) == b"labc"
    assert codec.transfer(b"abc", 0, 2, 100) == b"mab"
    assert codec.transfer(b"abc", 3, 100, 100) == b"l"
    assert codec.transfer(b"abc", 0, 0, 100) == b"m"
    assert codec.transfer(b"", 0, 5, 100) == b"l"
    with pytest.raises(ValueError, match="beyond"):
        codec.transfer(b"abc", 4, 1, 100)
