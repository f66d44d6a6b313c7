# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Agent expressions: the bytecode in which a debugger sends conditions and commands.

GDB manual, appendix "The GDB Agent Expression Mechanism": a stack machine of 64-bit integers;
operations wrap around. Here is what conditions and dprintf commands need, which is all of
"Bytecode Descriptions" but floating point ("not implemented yet" there as well), trace state
variables and the recording operations of tracepoints: `ExpressionError` names those.

All that can be checked beforehand is checked once, when an `Expression` is made: operation codes,
jump targets, the format of a printf, and the height of the stack, which must be one and the same
on every way to an instruction. GDB compiles nothing else. So at run time only a division by zero,
memory or registers that cannot be read, and loops that do not end are left to go wrong.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, TypeAlias

import attrs

from vmmkit.errors import ExpressionError
from vmmkit.gdb.printf import Conversion, Piece, parse_format, render

__all__ = [
    "MAX_SIZE",
    "MAX_STEPS",
    "MAX_HEIGHT",
    "MAX_OUTPUT",
    "Expression",
    "RegisterReader",
    "MemoryReader",
]

MAX_SIZE: Final = 4096  #: bytes of an expression
MAX_STEPS: Final = 10_000  #: instructions executed again because a jump went back
MAX_HEIGHT: Final = 100  #: values on the stack
MAX_OUTPUT: Final = 0x10000  #: characters printed in one evaluation

RegisterReader: TypeAlias = Callable[[int], int]
"""Returns a register by its number in the target description."""
MemoryReader: TypeAlias = Callable[[int, int], int]
"""Returns 1 to 8 bytes at an address as a little-endian integer."""

_MASK: Final = (1 << 64) - 1
_SIGN: Final = 1 << 63


def _signed(value: int) -> int:
    return (value ^ _SIGN) - _SIGN


def _div_unsigned(a: int, b: int) -> int:
    if not b:
        raise ExpressionError("division by zero")
    return a // b


def _div_signed(a: int, b: int) -> int:
    """Cut towards zero, as C does; the one quotient that does not fit wraps around."""
    a, b = _signed(a), _signed(b)
    quotient = _div_unsigned(abs(a), abs(b))
    return (-quotient if (a < 0) != (b < 0) else quotient) & _MASK


def _rem_unsigned(a: int, b: int) -> int:
    if not b:
        raise ExpressionError("division by zero")
    return a % b


def _rem_signed(a: int, b: int) -> int:
    a, b = _signed(a), _signed(b)
    remainder = _rem_unsigned(abs(a), abs(b))
    return (-remainder if a < 0 else remainder) & _MASK


def _lsh(a: int, b: int) -> int:
    return (a << b) & _MASK if b < 64 else 0


def _rsh_signed(a: int, b: int) -> int:
    return (_signed(a) >> min(b, 63)) & _MASK


def _rsh_unsigned(a: int, b: int) -> int:
    return a >> b if b < 64 else 0


# What the evaluator tells apart. Plain integers: looking one up is all that it costs.
_CONST, _REG, _REF, _EXT, _ZERO_EXT, _BINARY, _IF, _GOTO, _END = range(9)
_LOG_NOT, _BIT_NOT, _POP, _PICK, _SWAP, _ROT, _PRINTF, _REFUSED = range(9, 17)


class _Operation(NamedTuple):
    name: str
    kind: int
    pops: int = 0
    pushes: int = 0
    operand: int = 0  # bytes that follow the code, the most significant first
    argument: Any = None  # of the evaluator; None: the operand


def _binary(name: str, function: Callable[[int, int], int]) -> _Operation:
    return _Operation(name, _BINARY, 2, 1, argument=function)


def _refused(name: str) -> _Operation:
    return _Operation(name, _REFUSED)


_OPERATIONS: Final = {
    0x01: _refused("float"),
    0x02: _binary("add", lambda a, b: (a + b) & _MASK),
    0x03: _binary("sub", lambda a, b: (a - b) & _MASK),
    0x04: _binary("mul", lambda a, b: (a * b) & _MASK),
    0x05: _binary("div_signed", _div_signed),
    0x06: _binary("div_unsigned", _div_unsigned),
    0x07: _binary("rem_signed", _rem_signed),
    0x08: _binary("rem_unsigned", _rem_unsigned),
    0x09: _binary("lsh", _lsh),
    0x0A: _binary("rsh_signed", _rsh_signed),
    0x0B: _binary("rsh_unsigned", _rsh_unsigned),
    0x0C: _refused("trace"),
    0x0D: _refused("trace_quick"),
    0x0E: _Operation("log_not", _LOG_NOT, 1, 1),
    0x0F: _binary("bit_and", operator.and_),
    0x10: _binary("bit_or", operator.or_),
    0x11: _binary("bit_xor", operator.xor),
    0x12: _Operation("bit_not", _BIT_NOT, 1, 1),
    0x13: _binary("equal", lambda a, b: int(a == b)),
    # Turning the sign bits over makes an unsigned comparison a signed one.
    0x14: _binary("less_signed", lambda a, b: int(a ^ _SIGN < b ^ _SIGN)),
    0x15: _binary("less_unsigned", lambda a, b: int(a < b)),
    0x16: _Operation("ext", _EXT, 1, 1, operand=1),
    0x17: _Operation("ref8", _REF, 1, 1, argument=1),
    0x18: _Operation("ref16", _REF, 1, 1, argument=2),
    0x19: _Operation("ref32", _REF, 1, 1, argument=4),
    0x1A: _Operation("ref64", _REF, 1, 1, argument=8),
    0x1B: _refused("ref_float"),
    0x1C: _refused("ref_double"),
    0x1D: _refused("ref_long_double"),
    0x1E: _refused("l_to_d"),
    0x1F: _refused("d_to_l"),
    0x20: _Operation("if_goto", _IF, 1, 0, operand=2),
    0x21: _Operation("goto", _GOTO, operand=2),
    0x22: _Operation("const8", _CONST, 0, 1, operand=1),
    0x23: _Operation("const16", _CONST, 0, 1, operand=2),
    0x24: _Operation("const32", _CONST, 0, 1, operand=4),
    0x25: _Operation("const64", _CONST, 0, 1, operand=8),
    0x26: _Operation("reg", _REG, 0, 1, operand=2),
    0x27: _Operation("end", _END),
    0x28: _Operation("dup", _PICK, 1, 2, argument=-1),
    0x29: _Operation("pop", _POP, 1, 0),
    0x2A: _Operation("zero_ext", _ZERO_EXT, 1, 1, operand=1),
    0x2B: _Operation("swap", _SWAP, 2, 2),
    0x2C: _refused("getv"),
    0x2D: _refused("setv"),
    0x2E: _refused("tracev"),
    0x2F: _refused("tracenz"),
    0x30: _refused("trace16"),
    0x32: _Operation("pick", _PICK, operand=1),
    0x33: _Operation("rot", _ROT, 3, 3),
    0x34: _Operation("printf", _PRINTF),
}


class _Instruction(NamedTuple):
    offset: int  # in the bytecode
    kind: int
    pops: int
    pushes: int
    argument: Any


class _Jump(NamedTuple):
    target: int  # index of an instruction
    cost: int  # instructions that are executed again


class _Printf(NamedTuple):
    pieces: tuple[Piece, ...]
    arguments: int


def _instructions(bytecode: bytes) -> Iterator[_Instruction]:
    """Decode one instruction after the other, from the first byte to the last."""
    offset = 0
    while offset < len(bytecode):
        operation = _OPERATIONS.get(bytecode[offset])
        if operation is None:
            raise ExpressionError(f"unknown operation {bytecode[offset]:#04x} at {offset}")
        if operation.kind == _REFUSED:
            raise ExpressionError(f"{operation.name} at {offset} is not supported")
        following = offset + 1 + operation.operand
        if operation.kind == _PRINTF:
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


def _instruction(offset: int, operation: _Operation, operand: int) -> _Instruction:
    _, kind, pops, pushes, _, argument = operation
    if argument is None:
        argument = operand
    if kind == _PICK and operation.operand:
        argument, pops, pushes = -1 - operand, operand + 1, operand + 2
    elif kind in (_EXT, _ZERO_EXT):
        argument = (1 << min(operand, 64)) - 1
    return _Instruction(offset, kind, pops, pushes, argument)


def _printf_at(bytecode: bytes, offset: int) -> tuple[_Instruction, int]:
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
    call = _Printf(pieces, arguments)
    return _Instruction(offset, _PRINTF, arguments + 2, 0, call), following


def _resolved(instructions: list[_Instruction]) -> list[_Instruction]:
    """Turn the offsets that jumps have into indices."""
    indices = {instruction.offset: index for index, instruction in enumerate(instructions)}
    return [
        _with_target(instruction, index, indices.get(instruction.argument))
        if instruction.kind in (_IF, _GOTO)
        else instruction
        for index, instruction in enumerate(instructions)
    ]


def _with_target(jump: _Instruction, index: int, target: int | None) -> _Instruction:
    if target is None:
        raise ExpressionError(
            f"the jump at {jump.offset} leads to {jump.argument}, where no instruction begins"
        )
    return jump._replace(argument=_Jump(target, max(0, index + 1 - target)))


def _successors(index: int, instruction: _Instruction) -> tuple[int, ...]:
    if instruction.kind == _END:
        return ()
    if instruction.kind == _GOTO:
        return (instruction.argument.target,)
    if instruction.kind == _IF:
        return (index + 1, instruction.argument.target)
    return (index + 1,)


def _lowest_result(instructions: list[_Instruction]) -> int:
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
        if instruction.kind == _END:
            results.append(height)
        for successor in _successors(index, instruction):
            if successor not in heights:
                heights[successor] = height
                ways.append(successor)
            elif heights[successor] != height:
                raise ExpressionError(f"the stack differs between ways after {instruction.offset}")
    return min(results, default=0)


def _height_after(instruction: _Instruction, height: int) -> int:
    if height < instruction.pops:
        raise ExpressionError(f"the stack is too low at {instruction.offset}")
    height += instruction.pushes - instruction.pops
    if height > MAX_HEIGHT:
        raise ExpressionError(f"the stack is higher than {MAX_HEIGHT} at {instruction.offset}")
    return height


def _left(steps: int, cost: int) -> int:
    if cost > steps:
        raise ExpressionError(f"the expression does not end within {MAX_STEPS} steps")
    return steps - cost


def _printed(
    call: _Printf,
    stack: list[int],
    read_memory: MemoryReader,
    say: Callable[[str], object] | None,
    room: int,
) -> int:
    """Print, and return how much that was.

    The first argument is next to the function and the channel, which GDB names for its own printf
    only: the text goes to the debugger whatever they are.
    """
    del stack[-2:]
    arguments = [stack.pop() for _ in range(call.arguments)]
    if say is None:
        return 0
    text = render(call.pieces, arguments, read_memory)
    if len(text) > room:
        raise ExpressionError(f"the expression prints more than {MAX_OUTPUT} characters")
    say(text)
    return len(text)


@attrs.frozen
class Expression:
    """An agent expression, checked and ready to be evaluated any number of times, on any thread.

    Args:
        bytecode: of 1 to `MAX_SIZE` bytes.

    Attributes:
        gives_value: whether something is on the stack at its end: conditions must, commands need
            not.

    Raises:
        ExpressionError: it is malformed, or has operations that are not supported.
    """

    bytecode: bytes
    gives_value: bool = attrs.field(init=False, eq=False, repr=False, default=False)
    _code: tuple[tuple[int, Any], ...] = attrs.field(init=False, eq=False, repr=False, default=())

    def __attrs_post_init__(self) -> None:
        """Decode and check."""
        if not 0 < len(self.bytecode) <= MAX_SIZE:
            raise ExpressionError(f"an expression has 1 to {MAX_SIZE} bytes")
        instructions = _resolved(list(_instructions(self.bytecode)))
        object.__setattr__(self, "gives_value", _lowest_result(instructions) > 0)
        code = tuple((instruction.kind, instruction.argument) for instruction in instructions)
        object.__setattr__(self, "_code", code)

    def evaluate(self, read_register: RegisterReader, read_memory: MemoryReader) -> int:
        """Return the value, 0 to 2**64-1; what it prints is lost.

        Raises:
            ExpressionError: it divides by zero, does not end within `MAX_STEPS`, or gives no value.
        """
        stack = self._execute(read_register, read_memory, None)
        if not stack:
            raise ExpressionError("the expression gives no value")
        return stack[-1]

    def run(
        self, read_register: RegisterReader, read_memory: MemoryReader, say: Callable[[str], object]
    ) -> None:
        """Execute for the sake of what it prints.

        Args:
            read_register: may raise what it likes, for registers that there are not.
            read_memory: likewise, for memory that cannot be read.
            say: is given the text of each printf.

        Raises:
            ExpressionError: as for `evaluate`, or more than `MAX_OUTPUT` is printed.
        """
        self._execute(read_register, read_memory, say)

    def _execute(
        self,
        read_register: RegisterReader,
        read_memory: MemoryReader,
        say: Callable[[str], object] | None,
    ) -> list[int]:
        """Return the stack as it is at the end. Its height needs no checks: see `_lowest_result`.

        One function and a chain of comparisons, the commonest first, since calls would cost more
        than all else.
        """
        code, stack = self._code, list[int]()
        push, pop = stack.append, stack.pop
        steps, room = MAX_STEPS, MAX_OUTPUT
        index = 0
        while True:
            kind, argument = code[index]
            index += 1
            if kind == _CONST:
                push(argument)
            elif kind == _EXT:
                value = stack[-1] & argument
                stack[-1] = value | (_MASK ^ argument) if value > argument >> 1 else value
            elif kind == _BINARY:
                value = pop()
                stack[-1] = argument(stack[-1], value)
            elif kind == _REF:
                stack[-1] = read_memory(stack[-1], argument)
            elif kind == _REG:
                push(read_register(argument) & _MASK)
            elif kind == _IF:
                if pop():
                    index, cost = argument
                    steps = _left(steps, cost)
            elif kind == _GOTO:
                index, cost = argument
                steps = _left(steps, cost)
            elif kind == _ZERO_EXT:
                stack[-1] &= argument
            elif kind == _LOG_NOT:
                stack[-1] = int(not stack[-1])
            elif kind == _BIT_NOT:
                stack[-1] ^= _MASK
            elif kind == _END:
                return stack
            elif kind == _PICK:
                push(stack[argument])
            elif kind == _POP:
                pop()
            elif kind == _SWAP:
                stack[-1], stack[-2] = stack[-2], stack[-1]
            elif kind == _ROT:
                stack[-3:] = stack[-1], stack[-3], stack[-2]
            else:
                steps -= argument.arguments
                room -= _printed(argument, stack, read_memory, say, room)
