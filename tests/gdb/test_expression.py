# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Agent expressions: every operation, every way to be malformed, and no way not to end."""

import ctypes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmmkit.errors import ExpressionError
from vmmkit.gdb.bytecode import MAX_HEIGHT
from vmmkit.gdb.expression import MAX_OUTPUT, MAX_SIZE, MAX_STEPS, Expression

# Codes as the GDB manual lists them.
ADD, SUB, MUL, DIV_SIGNED, DIV_UNSIGNED, REM_SIGNED, REM_UNSIGNED = range(0x02, 0x09)
LSH, RSH_SIGNED, RSH_UNSIGNED, LOG_NOT = 0x09, 0x0A, 0x0B, 0x0E
BIT_AND, BIT_OR, BIT_XOR, BIT_NOT, EQUAL, LESS_SIGNED, LESS_UNSIGNED = range(0x0F, 0x16)
EXT, REF8, REF16, REF32, REF64, IF_GOTO, GOTO = 0x16, 0x17, 0x18, 0x19, 0x1A, 0x20, 0x21
CONST8, CONST16, CONST32, CONST64, REG, END, DUP, POP = range(0x22, 0x2A)
ZERO_EXT, SWAP, PICK, ROT, PRINTF = 0x2A, 0x2B, 0x32, 0x33, 0x34
REFUSED = (
    (0x01, "float"),
    (0x0C, "trace"),
    (0x0D, "trace_quick"),
    (0x1B, "ref_float"),
    (0x1C, "ref_double"),
    (0x1D, "ref_long_double"),
    (0x1E, "l_to_d"),
    (0x1F, "d_to_l"),
    (0x2C, "getv"),
    (0x2D, "setv"),
    (0x2E, "tracev"),
    (0x2F, "tracenz"),
    (0x30, "trace16"),
)
MASK = 2**64 - 1
MEMORY = bytes(range(0x80, 0x100)) + b"text\0" + bytes(11)


def read_register(number):
    return 0x1000 + number


def read_memory(address, size):
    part = MEMORY[address : address + size]
    if len(part) < size:
        raise ExpressionError(f"cannot read memory at {address:#x}")
    return int.from_bytes(part, "little")


def push(value):
    return bytes([CONST64]) + (value & MASK).to_bytes(8, "big")


def jump(code, target):
    return bytes([code]) + target.to_bytes(2, "big")


def print_(text, *arguments):
    pushed = b"".join(push(argument) for argument in reversed(arguments))
    size = len(text) + 1
    return pushed + push(0) + push(0) + bytes([PRINTF, len(arguments), 0, size]) + text + b"\0"


def value_of(code):
    return Expression(code + bytes([END])).evaluate(read_register, read_memory)


def printed_by(code):
    said = []
    Expression(code + bytes([END])).run(read_register, read_memory, said.append)
    return said


def s64(value):
    return ctypes.c_int64(value).value


def quotient(a, b):
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


BINARY = {
    ADD: lambda a, b: a + b,
    SUB: lambda a, b: a - b,
    MUL: lambda a, b: a * b,
    DIV_SIGNED: lambda a, b: quotient(s64(a), s64(b)),
    DIV_UNSIGNED: lambda a, b: a // b,
    REM_SIGNED: lambda a, b: s64(a) - quotient(s64(a), s64(b)) * s64(b),
    REM_UNSIGNED: lambda a, b: a % b,
    LSH: lambda a, b: a << b if b < 200 else 0,
    RSH_SIGNED: lambda a, b: s64(a) >> b,
    RSH_UNSIGNED: lambda a, b: a >> b,
    BIT_AND: lambda a, b: a & b,
    BIT_OR: lambda a, b: a | b,
    BIT_XOR: lambda a, b: a ^ b,
    EQUAL: lambda a, b: a == b,
    LESS_SIGNED: lambda a, b: s64(a) < s64(b),
    LESS_UNSIGNED: lambda a, b: a < b,
}
numbers = st.integers(0, MASK) | st.integers(0, 70) | st.sampled_from([2**63, 2**63 - 1, MASK])


@settings(max_examples=300)
@given(code=st.sampled_from(sorted(BINARY)), a=numbers, b=numbers)
def test_operations_on_two_values_wrap_around(code, a, b):
    expected = None
    if b or code not in range(DIV_SIGNED, REM_UNSIGNED + 1):
        expected = BINARY[code](a, b) & MASK
    if expected is None:
        with pytest.raises(ExpressionError, match="division by zero"):
            value_of(push(a) + push(b) + bytes([code]))
    else:
        assert value_of(push(a) + push(b) + bytes([code])) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (push(0) + bytes([LOG_NOT]), 1),
        (push(7) + bytes([LOG_NOT]), 0),
        (push(0) + bytes([BIT_NOT]), MASK),
        (push(5) + bytes([BIT_NOT]), MASK - 5),
        (push(0x80) + bytes([EXT, 8]), MASK - 0x7F),
        (push(0x17F) + bytes([EXT, 8]), 0x7F),
        (push(MASK) + bytes([EXT, 1]), MASK),
        (push(2**63) + bytes([EXT, 64]), 2**63),
        (push(2**63) + bytes([EXT, 255]), 2**63),
        (push(MASK) + bytes([EXT, 0]), 0),
        (push(MASK) + bytes([ZERO_EXT, 0]), 0),
        (push(MASK) + bytes([ZERO_EXT, 12]), 0xFFF),
        (push(MASK) + bytes([ZERO_EXT, 64]), MASK),
        (push(MASK) + bytes([ZERO_EXT, 200]), MASK),
        (bytes([CONST8, 0xFE]), 0xFE),
        (bytes([CONST16, 0xFE, 1]), 0xFE01),
        (bytes([CONST32, 0xFE, 1, 2, 3]), 0xFE010203),
        (bytes([CONST64, 0xFE, 1, 2, 3, 4, 5, 6, 7]), 0xFE01020304050607),
        (bytes([REG, 1, 2]), 0x1102),
        (push(1) + bytes([REF8]), 0x81),
        (push(1) + bytes([REF16]), 0x8281),
        (push(1) + bytes([REF32]), 0x84838281),
        (push(1) + bytes([REF64]), 0x8887868584838281),
        (push(3) + bytes([DUP, ADD]), 6),
        (push(3) + push(4) + bytes([POP]), 3),
        (push(3) + push(4) + bytes([SWAP, SUB]), 1),
        (push(3) + push(4) + bytes([PICK, 0, ADD]), 8),
        (push(3) + push(4) + bytes([PICK, 1]), 3),
        # a b c becomes c a b.
        (push(1) + push(2) + push(3) + bytes([ROT]), 2),
        (push(1) + push(2) + push(3) + bytes([ROT, POP]), 1),
        (push(1) + push(2) + push(3) + bytes([ROT, POP, POP]), 3),
        (push(-(2**63)) + push(-1) + bytes([DIV_SIGNED]), 2**63),
    ],
)
def test_operations_do_what_the_manual_says(code, expected):
    assert value_of(code) == expected


@pytest.mark.parametrize(("condition", "expected"), [(0, 5), (1, 6), (2**63, 6)])
def test_if_goto_branches_on_anything_but_zero(condition, expected):
    code = push(condition) + jump(IF_GOTO, 17) + bytes([CONST8, 5]) + jump(GOTO, 19)
    assert value_of(code + bytes([CONST8, 6])) == expected


def test_jumps_to_what_has_no_effect_go_on_behind_it():
    code = push(7) + jump(GOTO, 14) + bytes([CONST8, 1]) + bytes([EXT, 64])
    assert value_of(code) == 7


def test_loops_run():
    # n = 10; do n = n - 1 while n != 4
    code = bytes([CONST8, 10]) + bytes([CONST8, 1, SUB, DUP, CONST8, 4, EQUAL, LOG_NOT])
    assert value_of(code + jump(IF_GOTO, 2)) == 4


def test_loops_that_do_not_end_are_ended():
    with pytest.raises(ExpressionError, match=f"within {MAX_STEPS} steps"):
        value_of(jump(GOTO, 0))
    said = []
    expression = Expression(print_(b".") + jump(GOTO, 0))
    with pytest.raises(ExpressionError, match="steps"):
        expression.run(read_register, read_memory, said.append)
    assert len(said) <= MAX_STEPS


def test_what_registers_have_beyond_64_bits_is_cut():
    assert Expression(bytes([REG, 0, 1, END])).evaluate(lambda _: 2**128 - 1, read_memory) == MASK


def test_errors_of_readers_come_through():
    with pytest.raises(ExpressionError, match="cannot read memory at 0x1000"):
        value_of(bytes([REG, 0, 0, REF8]))


def test_printf_prints_its_arguments_in_order():
    assert printed_by(print_(rb"%d %s\n", 5, 0x80) + print_(b"%lx", MASK)) == [
        "5 text\n",
        "ffffffffffffffff",
    ]


def test_arguments_that_no_conversion_asks_for_are_dropped():
    assert printed_by(push(1) + print_(b"%d", 2, 3) + print_(b"")) == ["2", ""]


def test_a_condition_prints_nothing_and_gives_its_value():
    assert value_of(push(7) + print_(b"%s", 1 << 40)) == 7


def test_what_is_printed_is_bounded():
    # Sixty times 1000 characters fit, seventy do not.
    assert len("".join(printed_by(print_(b"%1000d", 1) * 60))) == 60_000
    with pytest.raises(ExpressionError, match=f"more than {MAX_OUTPUT}"):
        printed_by(print_(b"%1000d", 1) * 70)


def test_only_what_leaves_something_gives_a_value():
    command = Expression(print_(b"x") + bytes([END]))
    assert not command.gives_value
    with pytest.raises(ExpressionError, match="no value"):
        command.evaluate(read_register, read_memory)
    assert Expression(push(1) + bytes([END])).gives_value
    # One way leaves a value, the other does not.
    ways = push(1) + jump(IF_GOTO, 15) + bytes([CONST8, 1, END, END])
    assert not Expression(ways).gives_value


def test_expressions_of_the_same_bytecode_are_equal():
    assert Expression(b"\x22\x01\x27") == Expression(b"\x22\x01\x27") != Expression(b"\x22\x02\x27")
    assert len({Expression(b"\x22\x01\x27"), Expression(b"\x22\x01\x27")}) == 1


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (b"", "1 to"),
        (bytes([END]) * (MAX_SIZE + 1), "1 to"),
        (b"\x00", "unknown operation 0x00 at 0"),
        (bytes([CONST8, 1, 0x31, END]), "unknown operation 0x31 at 2"),
        (b"\xff", "unknown operation 0xff"),
        (bytes([CONST8]), "cut off"),
        (bytes([CONST64, 0, 0, 0, 0, 0, 0, 0]), "cut off"),
        (bytes([REG, 0]), "cut off"),
        (bytes([CONST8, 1]), "no end"),
        (bytes([CONST8, 1, END, POP]) + jump(GOTO, 1), "no instruction begins"),
        (jump(GOTO, 4) + bytes([END]), "no instruction begins"),
        (jump(GOTO, 0xFFFF), "no instruction begins"),
        (bytes([END]) + jump(GOTO, 4) + bytes([EXT, 64]), "no instruction begins"),
        (bytes([CONST8, 1, EXT, 64]), "no end"),
        (bytes([ADD, END]), "too low at 0"),
        (bytes([CONST8, 1, ADD, END]), "too low at 2"),
        (bytes([CONST8, 1, PICK, 1, END]), "too low at 2"),
        (bytes([CONST8, 1, CONST8, 1, ROT, END]), "too low"),
        (bytes([DUP, END]), "too low"),
        (jump(IF_GOTO, 3) + bytes([END]), "too low"),
        (bytes([CONST8, 1]) * (MAX_HEIGHT + 1) + bytes([END]), "higher than"),
        (bytes([CONST8, 1]) + jump(GOTO, 0), "stack differs"),
        (print_(b"%d"), "fewer arguments"),
        (print_(b"%d", 1)[9:], "too low"),
        (bytes([PRINTF]), "cut off"),
        (bytes([PRINTF, 0]), "cut off"),
        (push(0) * 2 + bytes([PRINTF, 0, 0, 0, END]), "zero byte"),
        (push(0) * 2 + bytes([PRINTF, 0, 0, 9]) + b"abc\0", "zero byte"),
        (push(0) * 2 + bytes([PRINTF, 0, 0, 3]) + b"abc\0", "zero byte"),
        (push(0) * 2 + bytes([PRINTF, 0, 0, 4]) + b"a\0c\0", "zero byte"),
        (print_(b"%f", 1), "unknown conversion"),
    ],
)
def test_malformed_expressions_are_refused(code, message):
    with pytest.raises(ExpressionError, match=message):
        Expression(code)


@pytest.mark.parametrize(("operation", "name"), REFUSED)
def test_what_only_tracepoints_and_floating_point_need_is_refused_by_name(operation, name):
    with pytest.raises(ExpressionError, match=f"{name} at 2 is not supported"):
        Expression(bytes([CONST8, 1, operation, 0, 0, END]))


def test_the_highest_stack_is_accepted():
    assert Expression(bytes([CONST8, 1]) * MAX_HEIGHT + bytes([END])).gives_value


operations = st.one_of(
    st.sampled_from([*BINARY, LOG_NOT, BIT_NOT, REF8, REF64, DUP, POP, SWAP, ROT, END]).map(
        lambda code: bytes([code])
    ),
    st.builds(
        lambda code, n: bytes([code, n]), st.sampled_from([EXT, ZERO_EXT, PICK]), st.integers(0, 70)
    ),
    st.builds(lambda n: bytes([CONST8, n]), st.integers(0, 255)),
    st.builds(jump, st.sampled_from([IF_GOTO, GOTO]), st.integers(0, 60)),
    st.just(bytes([PRINTF, 1, 0, 3]) + b"%s\0"),
    st.just(bytes([REG, 0, 0])),
)


@settings(max_examples=500)
@given(st.binary(max_size=100) | st.lists(operations, max_size=40).map(b"".join))
def test_any_bytecode_ends_and_raises_nothing_else(code):
    said = []
    try:
        expression = Expression(code + bytes([END]))
        expression.run(read_register, read_memory, said.append)
        assert 0 <= expression.evaluate(read_register, read_memory) <= MASK
    except ExpressionError:
        pass
    assert sum(map(len, said)) <= MAX_OUTPUT
