# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The bytecode of agent expressions: its operations, and instructions decoded and checked.

GDB manual, appendix "The GDB Agent Expression Mechanism", "Bytecode Descriptions": a stack machine
of 64-bit integers; operations wrap around. The table has names and codes as they stand there.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

from vmmkit.errors import ExpressionError
from vmmkit.gdb.printf import Conversion, Piece, parse_format

__all__ = ["MASK", "MAX_HEIGHT", "OPERATIONS", "Instruction", "Jump", "Printf", "checked"]

MAX_HEIGHT: Final = 100  #: values on the stack
MASK: Final = (1 << 64) - 1
SIGN: Final = 1 << 63


def _signed(value: int) -> int:
    return (value ^ SIGN) - SIGN


def _div_unsigned(a: int, b: int) -> int:
    if not b:
        raise ExpressionError("division by zero")
    return a // b


def _div_signed(a: int, b: int) -> int:
    """Cut towards zero, as C does; the one quotient that does not fit wraps around."""
    a, b = _signed(a), _signed(b)
    quotient = _div_unsigned(abs(a), abs(b))
    return (-quotient if (a < 0) != (b < 0) else quotient) & MASK


def _rem_unsigned(a: int, b: int) -> int:
    if not b:
        raise ExpressionError("division by zero")
    return a % b


def _rem_signed(a: int, b: int) -> int:
    a, b = _signed(a), _signed(b)
    remainder = _rem_unsigned(abs(a), abs(b))
    return (-remainder if a < 0 else remainder) & MASK


def _lsh(a: int, b: int) -> int:
    return (a << b) & MASK if b < 64 else 0


def _rsh_signed(a: int, b: int) -> int:
    return (_signed(a) >> min(b, 63)) & MASK


def _rsh_unsigned(a: int, b: int) -> int:
    return a >> b if b < 64 else 0


# What the evaluator tells apart. Plain integers: looking one up is all that it costs.
CONST, REG, REF, EXT, ZERO_EXT, BINARY, IF, GOTO, END = range(9)
LOG_NOT, BIT_NOT, POP, PICK, SWAP, ROT, PRINTF, REFUSED = range(9, 17)
JUMPS: Final = frozenset({IF, GOTO})
EXTENSIONS: Final = frozenset({EXT, ZERO_EXT})


class Operation(NamedTuple):
    """One row of the table."""

    name: str
    kind: int
    pops: int = 0
    pushes: int = 0
    operand: int = 0  # bytes that follow the code, the most significant first
    argument: Any = None  # of the evaluator; None: the operand


def _binary(name: str, function: Callable[[int, int], int]) -> Operation:
    return Operation(name, BINARY, 2, 1, argument=function)


def _refused(name: str) -> Operation:
    return Operation(name, REFUSED)


OPERATIONS: Final = {
    0x01: _refused("float"),
    0x02: _binary("add", lambda a, b: (a + b) & MASK),
    0x03: _binary("sub", lambda a, b: (a - b) & MASK),
    0x04: _binary("mul", lambda a, b: (a * b) & MASK),
    0x05: _binary("div_signed", _div_signed),
    0x06: _binary("div_unsigned", _div_unsigned),
    0x07: _binary("rem_signed", _rem_signed),
    0x08: _binary("rem_unsigned", _rem_unsigned),
    0x09: _binary("lsh", _lsh),
    0x0A: _binary("rsh_signed", _rsh_signed),
    0x0B: _binary("rsh_unsigned", _rsh_unsigned),
    0x0C: _refused("trace"),
    0x0D: _refused("trace_quick"),
    0x0E: Operation("log_not", LOG_NOT, 1, 1),
    0x0F: _binary("bit_and", operator.and_),
    0x10: _binary("bit_or", operator.or_),
    0x11: _binary("bit_xor", operator.xor),
    0x12: Operation("bit_not", BIT_NOT, 1, 1),
    0x13: _binary("equal", operator.eq),
    # Turning the sign bits over makes an unsigned comparison a signed one.
    0x14: _binary("less_signed", lambda a, b: a ^ SIGN < b ^ SIGN),
    0x15: _binary("less_unsigned", operator.lt),
    0x16: Operation("ext", EXT, 1, 1, operand=1),
    0x17: Operation("ref8", REF, 1, 1, argument=1),
    0x18: Operation("ref16", REF, 1, 1, argument=2),
    0x19: Operation("ref32", REF, 1, 1, argument=4),
    0x1A: Operation("ref64", REF, 1, 1, argument=8),
    0x1B: _refused("ref_float"),
    0x1C: _refused("ref_double"),
    0x1D: _refused("ref_long_double"),
    0x1E: _refused("l_to_d"),
    0x1F: _refused("d_to_l"),
    0x20: Operation("if_goto", IF, 1, 0, operand=2),
    0x21: Operation("goto", GOTO, operand=2),
    0x22: Operation("const8", CONST, 0, 1, operand=1),
    0x23: Operation("const16", CONST, 0, 1, operand=2),
    0x24: Operation("const32", CONST, 0, 1, operand=4),
    0x25: Operation("const64", CONST, 0, 1, operand=8),
    0x26: Operation("reg", REG, 0, 1, operand=2),
    0x27: Operation("end", END),
    0x28: Operation("dup", PICK, 1, 2, argument=-1),
    0x29: Operation("pop", POP, 1, 0),
    0x2A: Operation("zero_ext", ZERO_EXT, 1, 1, operand=1),
    0x2B: Operation("swap", SWAP, 2, 2),
    0x2C: _refused("getv"),
    0x2D: _refused("setv"),
    0x2E: _refused("tracev"),
    0x2F: _refused("tracenz"),
    0x30: _refused("trace16"),
    0x32: Operation("pick", PICK, operand=1),
    0x33: Operation("rot", ROT, 3, 3),
    0x34: Operation("printf", PRINTF),
}


class Instruction(NamedTuple):
    """One instruction: what it does, what it needs, and with what it is executed."""

    offset: int  # in the bytecode
    kind: int
    pops: int
    pushes: int
    argument: Any


class Jump(NamedTuple):
    """Where a jump leads."""

    target: int  # index of an instruction
    cost: int  # instructions that are executed again


class Printf(NamedTuple):
    """What a printf prints, and how many arguments it takes."""

    pieces: tuple[Piece, ...]
    arguments: int


def _instructions(bytecode: bytes) -> Iterator[Instruction]:
    """Decode one instruction after the other, from the first byte to the last."""
    offset = 0
    while offset < len(bytecode):
        operation = OPERATIONS.get(bytecode[offset])
        if operation is None:
            raise ExpressionError(f"unknown operation {bytecode[offset]:#04x} at {offset}")
        if operation.kind == REFUSED:
            raise ExpressionError(f"{operation.name} at {offset} is not supported")
        following = offset + 1 + operation.operand
        if operation.kind == PRINTF:
            instruction, following = _printf_at(bytecode, offset)
        else:
            operand = _operand(bytecode, offset + 1, operation.operand)
            instruction = _instruction(offset, operation, operand)
        yield instruction
        offset = following


def _operand(bytecode: bytes, offset: int, size: int) -> int:
    if offset + size > len(bytecode):
        raise ExpressionError(f"the operand at {offset} is cut off")
    return int.from_bytes(bytecode[offset : offset + size], "big")


def _instruction(offset: int, operation: Operation, operand: int) -> Instruction:
    _, kind, pops, pushes, _, argument = operation
    if argument is None:
        argument = operand
    if kind == PICK and operation.operand:
        argument, pops, pushes = -1 - operand, operand + 1, operand + 2
    elif kind in EXTENSIONS:
        argument = (1 << min(operand, 64)) - 1
    return Instruction(offset, kind, pops, pushes, argument)


def _printf_at(bytecode: bytes, offset: int) -> tuple[Instruction, int]:
    """Decode a printf: number of arguments, length of the format, the format and its zero byte."""
    arguments = _operand(bytecode, offset + 1, 1)
    size = _operand(bytecode, offset + 2, 2)
    following = offset + 4 + size
    text = bytecode[offset + 4 : following]
    if not size or len(text) != size or text.find(b"\0") != size - 1:
        raise ExpressionError(f"the format of the printf at {offset} does not end with a zero byte")
    pieces = parse_format(text[:-1])
    if sum(isinstance(piece, Conversion) for piece in pieces) > arguments:
        raise ExpressionError(f"the printf at {offset} has fewer arguments than conversions")
    # A function and a channel to print with lie on top of the arguments.
    call = Printf(pieces, arguments)
    return Instruction(offset, PRINTF, arguments + 2, 0, call), following


def _resolved(instructions: Iterable[Instruction]) -> list[Instruction]:
    """Turn the offsets that jumps have into indices, and leave out what has no effect."""
    kept: list[Instruction] = []
    indices = {}
    for instruction in instructions:
        indices[instruction.offset] = len(kept)
        if instruction.kind not in EXTENSIONS or instruction.argument != MASK:
            kept.append(instruction)
    targets = {offset: index for offset, index in indices.items() if index < len(kept)}
    return [
        _with_target(instruction, index, targets.get(instruction.argument))
        if instruction.kind in JUMPS
        else instruction
        for index, instruction in enumerate(kept)
    ]


def _with_target(jump: Instruction, index: int, target: int | None) -> Instruction:
    if target is None:
        raise ExpressionError(
            f"the jump at {jump.offset} leads to {jump.argument}, where no instruction begins"
        )
    return jump._replace(argument=Jump(target, max(0, index + 1 - target)))


def _successors(index: int, instruction: Instruction) -> tuple[int, ...]:
    if instruction.kind == END:
        return ()
    if instruction.kind == GOTO:
        return (instruction.argument.target,)
    if instruction.kind == IF:
        return (index + 1, instruction.argument.target)
    return (index + 1,)


def _lowest_result(instructions: list[Instruction]) -> int:
    """Follow every way through the code; return the least number of values left at an `end`."""
    heights = {0: 0}
    ways = [0]
    results = []
    while ways:
        index = ways.pop()
        if index == len(instructions):
            raise ExpressionError("the expression has no end")
        instruction = instructions[index]
        height = _height_after(instruction, heights[index])
        if instruction.kind == END:
            results.append(height)
        for successor in _successors(index, instruction):
            if successor not in heights:
                heights[successor] = height
                ways.append(successor)
            elif heights[successor] != height:
                raise ExpressionError(f"the stack differs between ways after {instruction.offset}")
    return min(results, default=0)


def _height_after(instruction: Instruction, height: int) -> int:
    if height < instruction.pops:
        raise ExpressionError(f"the stack is too low at {instruction.offset}")
    height += instruction.pushes - instruction.pops
    if height > MAX_HEIGHT:
        raise ExpressionError(f"the stack is higher than {MAX_HEIGHT} at {instruction.offset}")
    return height


def checked(bytecode: bytes) -> tuple[list[Instruction], int]:
    """Return the instructions of an expression, and how many values it leaves at the least.

    Raises:
        ExpressionError: it is malformed, or has operations that are not supported.
    """
    instructions = _resolved(_instructions(bytecode))
    return instructions, _lowest_result(instructions)
