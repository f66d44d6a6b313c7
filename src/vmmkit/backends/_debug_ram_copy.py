# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A copy of RAM that can go back to what it was, page by page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from zlib import crc32

__all__ = ["PAGE", "RamCopy"]

PAGE: Final = 4096
CHUNK: Final = 16 * PAGE  # compared in one go
PAGES: Final = CHUNK // PAGE


class RamCopy:
    """What RAM was at the newest checkpoint.

    Args:
        buffers: the pieces of RAM; those that cannot be written are left out.
    """

    def __init__(self, buffers: Iterable[Any]) -> None:
        """Make a copy."""
        self._chunks: list[tuple[memoryview, bytearray]] = []
        for buffer in buffers:
            view = memoryview(buffer).cast("B")
            for start in range(0, 0 if view.readonly else len(view), CHUNK):
                piece = view[start : start + CHUNK]
                self._chunks.append((piece, bytearray(piece)))

    def take(self) -> dict[int, bytes]:
        """Copy what has changed; return what those pages were, by number."""
        before: dict[int, bytes] = {}
        for number, (view, copy) in enumerate(self._chunks):
            if copy != view:
                for start in range(0, len(copy), PAGE):
                    old, new = copy[start : start + PAGE], view[start : start + PAGE]
                    if old != new:
                        before[number * PAGES + start // PAGE] = bytes(old)
                        copy[start : start + PAGE] = new
        return before

    def undo(self, pages: dict[int, bytes]) -> None:
        """Have the copy be as it was when `take` returned `pages`, just before."""
        for page, data in pages.items():
            number, start = divmod(page, PAGES)
            self._chunks[number][1][start * PAGE : (start + 1) * PAGE] = data

    def put_back(self) -> None:
        """Have RAM be as the copy."""
        for view, copy in self._chunks:
            if copy != view:
                view[:] = copy

    def digest(self, pages: Iterable[int]) -> int:
        """Return a digest of what some pages of RAM are."""
        found = 0
        for page in pages:
            number, start = divmod(page, PAGES)
            found = crc32(self._chunks[number][0][start * PAGE : (start + 1) * PAGE], found)
        return found
