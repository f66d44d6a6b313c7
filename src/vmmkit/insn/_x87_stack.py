# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Registers of the x87 unit as a stack, its exceptions and pointers; `csrc/x87_stack.c` too.

SDM vol. 1, "x87 FPU Register Stack", "Stack Overflow or Underflow Exception (#IS)". An exception
that is not masked keeps the result back, but a mere loss of precision does not; the next waiting
instruction then raises #MF. The last instruction's pointers and opcode are kept as the classic
processors have it: by every instruction that is not a control instruction, whether it raises
something or not.
"""

from __future__ import annotations

from typing import Final

from vmmkit.insn._execute import effective_address
from vmmkit.insn._memory import Context, Span
from vmmkit.insn._record import WORD
from vmmkit.insn._segments import ALIGNMENT, SEGMENT, linear_address, locate_data
from vmmkit.insn._segments import CS as CODE_SEGMENT
from vmmkit.insn._vector_operands import (
    CR0,
    CR0_EM,
    CR0_NE,
    CR0_TS,
    MF,
    NM,
    STATUS_ES,
    STATUS_WORD,
    TAG,
    X87,
    bits_of_bytes,
    load_span,
    store_span,
)
from vmmkit.insn._vector_state import CONTROL, CS, DP, DS, IP, OPCODE, summarized
from vmmkit.insn._x87_formats import C1, DE, IE, OE, UE, Extended

__all__ = [
    "STACK_FAULT",
    "check_x87",
    "finish",
    "is_empty",
    "is_kept_back",
    "load_memory",
    "locate_memory",
    "move_top",
    "pop",
    "push",
    "read",
    "store_memory",
    "top",
    "write",
]

RIP: Final = WORD["rip"]
STACK_FAULT: Final = IE | 0x40
TOP: Final = 0x3800
# What #AC asks of an address, by size; 14 and 28 bytes are environments, 94 and 108 whole states.
ALIGNMENTS: Final = {2: 1, 4: 3, 8: 7, 10: 7, 14: 1, 28: 3, 94: 1, 108: 3}


def check_x87(context: Context, *, waits: bool = True) -> None:
    """#NM, and #MF for an exception that is pending.

    With CR0.NE clear nothing is raised: it is as if IGNNE# were asserted, and FERR# not connected.
    """
    words = context.words
    if words[CR0] & (CR0_EM | CR0_TS):
        raise context.fault(NM)
    if waits and words[STATUS_WORD] & STATUS_ES and words[CR0] & CR0_NE:
        raise context.fault(MF)


def locate_memory(context: Context, size: int, *, write: bool) -> Span:
    """Locate the memory operand, which #AC asks to be aligned as its type is."""
    checks, context.checks_alignment = context.checks_alignment, False
    offset, segment = effective_address(context), context.segment
    linear = linear_address(context, segment, offset, size, write=write)
    context.checks_alignment = checks
    if checks and linear & ALIGNMENTS[size]:
        raise context.fault(ALIGNMENT)
    return locate_data(context, linear, size, write=write)


def load_memory(context: Context, size: int) -> int:
    """Load the memory operand."""
    span = locate_memory(context, size, write=False)
    return load_span(context, span, bits_of_bytes(size), 0)


def store_memory(context: Context, span: Span, size: int, number: int) -> None:
    """Store to the located memory operand."""
    store_span(context, span, bits_of_bytes(size), 0, number)


def top(context: Context) -> int:
    """Number of the physical register that is ST(0)."""
    return context.words[STATUS_WORD] >> 11 & 7


def is_empty(context: Context, number: int) -> bool:
    """Whether ST(number) is empty."""
    return not context.words[TAG] >> (top(context) + number & 7) & 1


def read(context: Context, number: int) -> Extended:
    """Contents of ST(number)."""
    start = X87 + 2 * (top(context) + number & 7)
    return Extended(context.words[start], context.words[start + 1] & 0xFFFF)


def write(context: Context, number: int, value: Extended) -> None:
    """Fill ST(number)."""
    words, physical = context.words, top(context) + number & 7
    words[X87 + 2 * physical], words[X87 + 2 * physical + 1] = value
    words[TAG] |= 1 << physical


def move_top(context: Context, step: int) -> None:
    """Turn the stack; no register changes."""
    words = context.words
    words[STATUS_WORD] = words[STATUS_WORD] & ~TOP | (top(context) + step & 7) << 11


def push(context: Context, value: Extended) -> None:
    """Make a new ST(0)."""
    move_top(context, -1)
    write(context, 0, value)


def pop(context: Context) -> None:
    """Empty ST(0) and turn the stack."""
    context.words[TAG] &= ~(1 << top(context))
    move_top(context, 1)


def is_kept_back(context: Context, flags: int) -> bool:
    """Whether an exception that is not masked keeps operands and stack as they are."""
    return bool(flags & ~context.words[CONTROL] & (IE | DE | OE | UE))


def finish(context: Context, flags: int) -> None:
    """Commit exceptions, C1, and where the instruction and its operand are."""
    words = context.words
    words[STATUS_WORD] = summarized(words[STATUS_WORD] & ~C1 | flags, words[CONTROL])
    words[IP], words[CS] = words[RIP], words[SEGMENT + 4 * CODE_SEGMENT] & 0xFFFF
    words[OPCODE] = (context.opcode & 7) << 8 | context.modrm
    if context.modrm < 0xC0:
        words[DP] = effective_address(context)
        words[DS] = words[SEGMENT + 4 * context.segment] & 0xFFFF
