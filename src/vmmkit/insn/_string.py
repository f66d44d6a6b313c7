# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""MOVS and STOS with REP of the pure engine; `csrc/string.c` is the same.

Each element is an instruction of its own as far as committing goes: rSI, rDI and rCX move with it,
and the replay log starts empty for the next one. A batch ends after a bounded number of elements
with RIP still at the instruction, so that a long REP cannot keep its caller waiting.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from vmmkit.insn._execute import RFLAGS, Handler, operand_bytes, read_register, write_register
from vmmkit.insn._flags import DF, mask_of
from vmmkit.insn._memory import BUDGET, Context
from vmmkit.insn._record import PREFIX_BITS, WORD
from vmmkit.insn._segments import DS, ES, locate

__all__ = ["STRING"]

RAX, RCX, RSI, RDI = 0, 1, 6, 7
RETIRED: Final = WORD["retired"]
REPEATED: Final = PREFIX_BITS["REP"] | PREFIX_BITS["REPNE"]  # alike, but for CMPS and SCAS


def _advance(context: Context, register: int, size: int) -> None:
    width = context.address_size
    change = -size if context.words[RFLAGS] & DF else size
    moved = read_register(context, register, width) + change & mask_of(width)
    write_register(context, register, width, moved)


def _movs(context: Context) -> None:
    size, width = operand_bytes(context, 0), context.address_size
    segment = context.segment if context.segment >= 0 else DS
    source = locate(context, segment, read_register(context, RSI, width), size, write=False)
    destination = locate(context, ES, read_register(context, RDI, width), size, write=True)
    context.store(destination, context.load(source))
    _advance(context, RSI, size)
    _advance(context, RDI, size)


def _stos(context: Context) -> None:
    size, width = operand_bytes(context, 0), context.address_size
    destination = locate(context, ES, read_register(context, RDI, width), size, write=True)
    context.store(destination, read_register(context, RAX, size))
    _advance(context, RDI, size)


def _repeated(element: Callable[[Context], None]) -> Handler:
    def execute(context: Context) -> int | None:
        if not context.prefixes & REPEATED:
            element(context)
            return None
        width = context.address_size
        count = read_register(context, RCX, width)
        while count:
            element(context)
            count -= 1
            write_register(context, RCX, width, count)
            context.forget_accesses()
            if not count:
                break
            context.words[RETIRED] = context.words[RETIRED] + 1 & mask_of(8)
            context.elements += 1
            if context.elements > context.batch:
                return BUDGET
        return None

    return execute


STRING: Final[dict[str, Handler]] = {"MOVS": _repeated(_movs), "STOS": _repeated(_stos)}
