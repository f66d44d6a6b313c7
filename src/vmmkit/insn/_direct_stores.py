# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Direct stores; `csrc/direct_stores.c` is the same.

A device gets the 64 bytes of MOVDIR64B as one `Write` where it takes vectors at once, else in
pieces of 8, the lowest first. A command of ENQCMD is one `Write` always: taken whole, or not.
"""

from __future__ import annotations

from typing import Final

from vmmkit.insn._execute import MOVES, Handler, effective_address, read_register, set_status
from vmmkit.insn._flags import ZF
from vmmkit.insn._memory import ENQUEUE, Context, Span
from vmmkit.insn._privilege import LOW_32, check_cpl0
from vmmkit.insn._record import WORD
from vmmkit.insn._segments import ES, GP, linear_address, locate, locate_data
from vmmkit.insn._vector_operands import bits_of_bytes, check_aligned, load_span, store_span

__all__ = ["DIRECT_STORES"]

SIZE: Final = 64
PASID: Final = WORD["pasid"]
REFUSED: Final = WORD["refused"]
PASID_VALID: Final = 1 << 31
PASID_NUMBER: Final = 0xF_FFFF
RESERVED: Final = 0x7FF0_0000  # bits of a command


def _locate(context: Context) -> tuple[Span, Span]:
    """The memory operand, and 64 aligned bytes at ES:G (SDM vol. 2B, MOVDIR64B)."""
    source = locate(context, context.segment, effective_address(context), SIZE, write=False)
    number = context.modrm >> 3 & 7 | (context.rex & 4) << 1
    offset = read_register(context, number, context.address_size)
    check_aligned(context, ES, offset, SIZE)
    linear = linear_address(context, ES, offset, SIZE, write=True)
    return source, locate_data(context, linear, SIZE, write=True)


def _movdir64b(context: Context) -> None:
    source, destination = _locate(context)
    value = load_span(context, source, bits_of_bytes(SIZE), 0)
    store_span(context, destination, bits_of_bytes(SIZE), 0, value)


def _is_taken(context: Context, destination: Span, command: int) -> bool:
    """Whether a device takes a command; memory takes none, and is not written."""
    ((gpa, _, piece),) = destination
    if piece is not None:
        return False
    context.access_wide(ENQUEUE, gpa, SIZE, command)
    refused, context.words[REFUSED] = context.words[REFUSED], 0
    return not refused


def _enqcmd(*, supervisor: bool) -> Handler:
    """SDM vol. 2A, ENQCMD and ENQCMDS: whose command it is stands in its low 32 bits."""

    def execute(context: Context) -> None:
        if supervisor:
            check_cpl0(context)
        pasid = context.words[PASID]
        if not supervisor and not pasid & PASID_VALID:
            raise context.fault(GP)
        source, destination = _locate(context)
        command = load_span(context, source, bits_of_bytes(SIZE), 0)
        if supervisor and command & RESERVED:
            raise context.fault(GP)
        if not supervisor:
            command = command & ~LOW_32 | pasid & PASID_NUMBER
        set_status(context, 0 if _is_taken(context, destination, command) else ZF)

    return execute


DIRECT_STORES: Final[dict[str, Handler]] = {
    "MOVDIRI": MOVES["MOV"],
    "MOVDIR64B": _movdir64b,
    "ENQCMD": _enqcmd(supervisor=False),
    "ENQCMDS": _enqcmd(supervisor=True),
}
