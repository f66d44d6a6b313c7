# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The RAM pieces of a vCPU, checked and in order."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from vmmkit.errors import GuestMemoryError
from vmmkit.insn._memory import PAGE, RamPiece

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["ram_pieces"]

ADDRESS_SPACE: Final = 1 << 52  # SDM vol. 3A: physical addresses have at most 52 bits


def ram_pieces(ram: Iterable[tuple[int, Buffer]]) -> tuple[RamPiece, ...]:
    """Check and order the RAM pieces."""
    pieces = sorted((_ram_piece(gpa, buffer) for gpa, buffer in ram), key=lambda piece: piece.gpa)
    for below, above in pairwise(pieces):
        if above.gpa <= below.last:
            message = (
                f"RAM pieces overlap: {below.gpa:#x}-{below.last:#x} and "
                f"{above.gpa:#x}-{above.last:#x}"
            )
            raise GuestMemoryError(message)
    return tuple(pieces)


def _ram_piece(gpa: int, buffer: Buffer) -> RamPiece:
    try:
        raw = memoryview(buffer)
        view = raw.cast("B") if raw.nbytes else raw
    except (TypeError, ValueError) as error:
        message = f"RAM at {gpa!r} is no contiguous byte buffer: {buffer!r:.60}"
        raise GuestMemoryError(message) from error
    size = view.nbytes
    if not isinstance(gpa, int) or gpa < 0 or gpa % PAGE or gpa + size > ADDRESS_SPACE:
        message = f"RAM base {gpa!r} is no multiple of {PAGE} within 52 bits (size {size:#x})"
        raise GuestMemoryError(message)
    if not size or size % PAGE:
        message = f"RAM at {gpa:#x} has {size:#x} bytes; whole pages of {PAGE} are needed"
        raise GuestMemoryError(message)
    return RamPiece(gpa, gpa + size - 1, view, not view.readonly)
