# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Direct stores; `csrc/direct_stores.c` is the same.

A device gets the 64 bytes as one `Write` where it takes vectors at once, else in pieces of 8, the
lowest first.
"""

from __future__ import annotations

from typing import Final

from vmmkit.insn._execute import MOVES, Handler, effective_address, read_register
from vmmkit.insn._memory import Context
from vmmkit.insn._segments import ES, linear_address, locate, locate_data
from vmmkit.insn._vector_operands import bits_of_bytes, check_aligned, load_span, store_span

__all__ = ["DIRECT_STORES"]

SIZE: Final = 64


def _movdir64b(context: Context) -> None:
    """64 bytes from the memory operand to ES:G, which is aligned (SDM vol. 2B, MOVDIR64B)."""
    source = locate(context, context.segment, effective_address(context), SIZE, write=False)
    number = context.modrm >> 3 & 7 | (context.rex & 4) << 1
    offset = read_register(context, number, context.address_size)
    check_aligned(context, ES, offset, SIZE)
    linear = linear_address(context, ES, offset, SIZE, write=True)
    destination = locate_data(context, linear, SIZE, write=True)
    value = load_span(context, source, bits_of_bytes(SIZE), 0)
    store_span(context, destination, bits_of_bytes(SIZE), 0, value)


DIRECT_STORES: Final[dict[str, Handler]] = {
    "MOVDIRI": MOVES["MOV"],
    "MOVDIR64B": _movdir64b,
}
