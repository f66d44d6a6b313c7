# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What is to be shown to a debugger's user and has to wait until it may be."""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import Final

__all__ = ["MOST_CHARACTERS", "SaidTexts"]

MOST_CHARACTERS: Final = 0x2_0000  #: of all texts that wait, each with `OVERHEAD`
OVERHEAD: Final = 64  # what a text costs beside its characters


class SaidTexts:
    """Texts in their order; later ones push out the first where they are too many. Thread safe."""

    def __init__(self) -> None:
        """Begin with none."""
        self._texts: deque[str] = deque()
        self._size = 0
        self._lock = Lock()

    def put(self, text: str) -> None:
        """Add a text; of one that is too long the start is kept."""
        text = text[: MOST_CHARACTERS - OVERHEAD]
        with self._lock:
            self._texts.append(text)
            self._size += len(text) + OVERHEAD
            while self._size > MOST_CHARACTERS:
                self._size -= len(self._texts.popleft()) + OVERHEAD

    def take(self) -> list[str]:
        """Take all of them."""
        if not self._texts:
            return []
        with self._lock:
            texts = list(self._texts)
            self._texts.clear()
            self._size = 0
        return texts
