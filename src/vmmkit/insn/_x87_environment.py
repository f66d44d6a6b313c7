# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""FNSTENV, FLDENV, FNSAVE and FRSTOR; `csrc/x87_environment.c` is the same.

SDM vol. 1, "x87 FPU State Image Format". Seven words of 2 or 4 bytes: the control, status and tag
words, and pointers to instruction and operand, by segment and offset or, in real-address and
virtual-8086 mode, as linear addresses. What is reserved is stored as ones, as observed.
"""

from __future__ import annotations

from typing import Final

from vmmkit.insn._execute import Handler, operand_bytes
from vmmkit.insn._flags import mask_of
from vmmkit.insn._memory import Context
from vmmkit.insn._vector_operands import STATUS_WORD, TAG, X87
from vmmkit.insn._vector_state import (
    CONTROL,
    CS,
    DP,
    DS,
    IP,
    OPCODE,
    X87_CONTROL_BITS,
    X87_CONTROL_ONE,
    X87_EXCEPTIONS,
    initialize_x87,
    load_part,
    store_parts,
    summarized,
)
from vmmkit.insn._x87_formats import NORMAL, ZERO, Extended, kind_of
from vmmkit.insn._x87_stack import check_x87, locate_memory, top

__all__ = ["X87_ENVIRONMENT"]

EMPTY, SPECIAL = 3, 2
TAGS: Final = {NORMAL: 0, ZERO: 1}
OPCODE_BITS: Final = 0x7FF
REGISTER: Final = 10  # bytes
WORDS: Final = 7


def _full_tag(context: Context) -> int:
    """Two bits for each physical register."""
    words, found = context.words, 0
    for number in range(8):
        tag = EMPTY
        if words[TAG] >> number & 1:
            start = X87 + 2 * number
            value = Extended(words[start], words[start + 1] & 0xFFFF)
            tag = TAGS.get(kind_of(value), SPECIAL)
        found |= tag << 2 * number
    return found


def _pointers(context: Context, *, wide: bool) -> list[int]:
    """The last four words."""
    words, opcode = context.words, context.words[OPCODE] & OPCODE_BITS
    reserved = 0xFFFF_0000 if wide else 0
    code, data = words[CS] & 0xFFFF, words[DS] & 0xFFFF
    if not context.real:
        return [words[IP], code | (opcode << 16 if wide else 0), words[DP], data | reserved]
    ip, dp = (code << 4) + words[IP], (data << 4) + words[DP]
    return [
        ip & 0xFFFF | reserved,
        (ip >> 16 & 0xFFFF) << 12 | opcode,
        dp & 0xFFFF | reserved,
        (dp >> 16 & 0xFFFF) << 12,
    ]


def _environment(context: Context, size: int) -> bytes:
    words = context.words
    reserved = 0xFFFF_0000 if size == 4 else 0
    head = (words[CONTROL], words[STATUS_WORD], _full_tag(context))
    fields = [number & 0xFFFF | reserved for number in head]
    fields += _pointers(context, wide=size == 4)
    return b"".join((number & mask_of(size)).to_bytes(size, "little") for number in fields)


def _take_pointers(context: Context, fields: list[int], *, wide: bool) -> None:
    words, (ip, second, dp, fourth) = context.words, fields
    if not context.real:
        words[IP], words[CS] = ip, second & 0xFFFF
        words[DP], words[DS] = dp, fourth & 0xFFFF
        if wide:
            words[OPCODE] = second >> 16 & OPCODE_BITS
        return
    words[IP] = ip & 0xFFFF | (second >> 12 & 0xFFFF) << 16
    words[DP] = dp & 0xFFFF | (fourth >> 12 & 0xFFFF) << 16
    words[CS] = words[DS] = 0
    words[OPCODE] = second & OPCODE_BITS


def _take_environment(context: Context, raw: bytes, size: int) -> None:
    words = context.words
    fields = [int.from_bytes(raw[at : at + size], "little") for at in range(0, WORDS * size, size)]
    words[CONTROL] = fields[0] & X87_CONTROL_BITS | X87_CONTROL_ONE
    words[STATUS_WORD] = summarized(fields[1] & 0xFFFF, words[CONTROL])
    words[TAG] = sum((fields[2] >> 2 * number & 3 != EMPTY) << number for number in range(8))
    _take_pointers(context, fields[3:], wide=size == 4)


def _fnstenv(context: Context) -> None:
    check_x87(context, waits=False)
    words, size = context.words, operand_bytes(context, 0)
    span = locate_memory(context, size, write=True)
    store_parts(context, span, [(0, _environment(context, size // WORDS))])
    words[CONTROL] |= X87_EXCEPTIONS
    words[STATUS_WORD] = summarized(words[STATUS_WORD], words[CONTROL])


def _fldenv(context: Context) -> None:
    check_x87(context)
    size = operand_bytes(context, 0)
    span = locate_memory(context, size, write=False)
    _take_environment(context, load_part(context, span, 0, size), size // WORDS)


def _fnsave(context: Context) -> None:
    check_x87(context, waits=False)
    size, words = operand_bytes(context, 0), context.words
    span = locate_memory(context, size, write=True)
    raw = _environment(context, (size - 8 * REGISTER) // WORDS)
    for number in range(8):
        start = X87 + 2 * (top(context) + number & 7)
        raw += words[start : start + 2].tobytes()[:REGISTER]
    store_parts(context, span, [(0, raw)])
    initialize_x87(words)


def _frstor(context: Context) -> None:
    check_x87(context)
    size, words = operand_bytes(context, 0), context.words
    span = locate_memory(context, size, write=False)
    raw, place = load_part(context, span, 0, size), size - 8 * REGISTER
    _take_environment(context, raw, place // WORDS)
    for number in range(8):
        start = X87 + 2 * (top(context) + number & 7)
        words[start] = int.from_bytes(raw[place : place + 8], "little")
        words[start + 1] = int.from_bytes(raw[place + 8 : place + REGISTER], "little")
        place += REGISTER


X87_ENVIRONMENT: Final[dict[str, Handler]] = {
    "FNSTENV": _fnstenv,
    "FLDENV": _fldenv,
    "FNSAVE": _fnsave,
    "FRSTOR": _frstor,
}
