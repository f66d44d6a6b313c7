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

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import attrs

from vmmkit.errors import ExpressionError
from vmmkit.gdb.bytecode import (
    BINARY,
    BIT_NOT,
    CONST,
    END,
    EXT,
    GOTO,
    IF,
    LOG_NOT,
    MASK,
    PICK,
    POP,
    REF,
    REG,
    ROT,
    SWAP,
    ZERO_EXT,
    Instruction,
    Printf,
    checked,
)
from vmmkit.gdb.printf import render

__all__ = [
    "MAX_SIZE",
    "MAX_STEPS",
    "MAX_OUTPUT",
    "Expression",
    "RegisterReader",
    "MemoryReader",
]

MAX_SIZE: Final = 4096  #: bytes of an expression
MAX_STEPS: Final = 10_000  #: instructions executed again because a jump went back
MAX_OUTPUT: Final = 0x10000  #: characters printed in one evaluation

RegisterReader: TypeAlias = Callable[[int], int]
"""Returns a register by its number in the target description."""
MemoryReader: TypeAlias = Callable[[int, int], int]
"""Returns 1 to 8 bytes at an address as a little-endian integer."""


def _executed(instruction: Instruction, all_: list[Instruction]) -> tuple[int, Any]:
    """Return what is executed; a jump to an end is one itself."""
    if instruction.kind == GOTO and all_[instruction.argument.target].kind == END:
        return END, 0
    return instruction.kind, instruction.argument


def _left(steps: int, cost: int) -> int:
    if cost > steps:
        raise ExpressionError(f"the expression does not end within {MAX_STEPS} steps")
    return steps - cost


def _printed(
    call: Printf,
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
        instructions, values = checked(self.bytecode)
        object.__setattr__(self, "gives_value", values > 0)
        executed = [_executed(instruction, instructions) for instruction in instructions]
        shared = {step: step for step in executed}  # a step has the size of many bytes of bytecode
        object.__setattr__(self, "_code", tuple(map(shared.__getitem__, executed)))

    def evaluate(self, read_register: RegisterReader, read_memory: MemoryReader) -> int:
        """Return the value, 0 to 2**64-1; what it prints is lost.

        Raises:
            ExpressionError: it divides by zero, does not end within `MAX_STEPS`, or gives no value.
        """
        stack = self._execute(read_register, read_memory, None)
        if not stack:
            raise ExpressionError("the expression gives no value")
        return int(stack[-1])  # comparisons leave truth values

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
        """Return the stack as it is at the end; that it is high enough was checked before.

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
            if kind == CONST:
                push(argument)
            elif kind == EXT:
                value = stack[-1] & argument
                stack[-1] = value | (MASK ^ argument) if value > argument >> 1 else value
            elif kind == BINARY:
                value = pop()
                stack[-1] = argument(stack[-1], value)
            elif kind == REF:
                stack[-1] = read_memory(stack[-1], argument)
            elif kind == REG:
                push(read_register(argument) & MASK)
            elif kind == IF:
                if pop():
                    index, cost = argument
                    if cost:
                        steps = _left(steps, cost)
            elif kind == GOTO:
                index, cost = argument
                if cost:
                    steps = _left(steps, cost)
            elif kind == ZERO_EXT:
                stack[-1] &= argument
            elif kind == LOG_NOT:
                stack[-1] = not stack[-1]
            elif kind == BIT_NOT:
                stack[-1] ^= MASK
            elif kind == END:
                return stack
            elif kind == PICK:
                push(stack[argument])
            elif kind == POP:
                pop()
            elif kind == SWAP:
                stack[-1], stack[-2] = stack[-2], stack[-1]
            elif kind == ROT:
                stack[-3:] = stack[-1], stack[-3], stack[-2]
            else:
                steps -= argument.arguments
                room -= _printed(argument, stack, read_memory, say, room)
