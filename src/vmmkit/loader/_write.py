# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Writing pieces into the RAM of a guest."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from vmmkit.errors import ImagePlacementError

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["write"]

type_of_ram = list[tuple[int, memoryview]]


def write(
    pieces: Iterable[tuple[int, bytes]],
    ram: Iterable[tuple[int, Buffer]],
    name_at: Callable[[int], str],
) -> None:
    """Write `(gpa, bytes)` into `(gpa, buffer)`; a piece may go on in the next buffer.

    Raises:
        ImagePlacementError: before anything is written.
    """
    buffers = sorted([(gpa, _writable(gpa, buffer)) for gpa, buffer in ram], key=lambda one: one[0])
    planned = [part for gpa, data in pieces for part in _parts(gpa, data, buffers, name_at)]
    for target, source in planned:
        target[:] = source


def _writable(gpa: int, buffer: Buffer) -> memoryview:
    view = memoryview(buffer).cast("B")
    if view.readonly:
        raise ImagePlacementError("this buffer cannot be written", gpa, len(view), "RAM")
    return view


def _parts(
    gpa: int, data: bytes, buffers: type_of_ram, name_at: Callable[[int], str]
) -> Iterator[tuple[memoryview, memoryview]]:
    """Give where each part of a piece goes, and the part."""
    source = memoryview(data)
    bases = [base for base, _ in buffers]
    while source:
        number = bisect_right(bases, gpa) - 1
        offset = gpa - bases[number] if number >= 0 else 0
        room = len(buffers[number][1]) - offset if number >= 0 else 0
        if room <= 0:
            raise ImagePlacementError("no buffer is there", gpa, len(source), name_at(gpa))
        taken = min(room, len(source))
        yield buffers[number][1][offset : offset + taken], source[:taken]
        gpa, source = gpa + taken, source[taken:]
