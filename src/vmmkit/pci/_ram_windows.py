# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Where RAM is: a short list that DMA looks at before it asks the address map.

All functions on one map share one list, so a change of the map costs the same however many
functions there are. The list is emptied by every change before the change returns. What a thread
found before a change cannot get into the list after it: both happen under one lock, and the
version tells.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any, Final, NamedTuple

from vmmkit.protocols import MemorySpace

__all__ = ["RamWindow", "RamWindows", "windows_of"]

#: Looked at one after the other; guests have RAM below and above the hole, seldom more.
LIMIT: Final = 8


class RamWindow(NamedTuple):
    """One region of RAM, as it lay when it was found."""

    base: int
    last: int
    buffer: memoryview


def ram_window(region: Any) -> RamWindow | None:
    """Return the window of a region that is RAM, may be read and may be written."""
    if region is None or region.buffer is None or region.kind != "ram" or region.flags & 3 != 3:
        return None
    base = region.base
    return RamWindow(base, base + len(region.buffer) - 1, region.buffer)


class RamWindows:
    """Windows of one map that were of use lately; a listener of the map.

    Attributes:
        windows: to be read without a lock, and not to be kept.
        listening: whether it hears of changes; before that it remembers nothing.
    """

    __slots__ = ("__weakref__", "_lock", "_memory", "_version", "listening", "windows")

    def __init__(self, memory: MemorySpace) -> None:
        """Start with none; the caller subscribes it."""
        self._memory = memory
        self.listening = False
        self._lock = threading.Lock()
        self._version = 0
        self.windows: tuple[RamWindow, ...] = ()

    def learn(self, address: int) -> RamWindow | None:
        """Find the window at `address` in the map, and remember it."""
        version = self._version
        window = ram_window(self._memory.find(address))
        if window is not None and self.listening:
            with self._lock:
                if version == self._version and window not in self.windows:
                    self.windows = (window, *self.windows)[:LIMIT]
        return window

    def region_added(self, _region: object, /) -> None:
        """Forget all windows."""
        with self._lock:
            self._version += 1
            self.windows = ()

    region_removed = region_added

    def region_moved(self, region: object, _old_base: int, /) -> None:
        """Forget all windows."""
        self.region_added(region)


# A map keeps its listener, and the listener its map; this here keeps neither.
_known: weakref.WeakKeyDictionary[Any, weakref.ref[RamWindows]] = weakref.WeakKeyDictionary()
_known_lock = threading.Lock()


def windows_of(memory: Any) -> RamWindows:
    """Return the list of a map; the same one for everybody."""
    if not hasattr(memory, "subscribe"):
        return RamWindows(memory)
    with _known_lock:
        reference = _known.get(memory)
        windows = None if reference is None else reference()
        if windows is not None:
            return windows
        windows = RamWindows(memory)
        _known[memory] = weakref.ref(windows)
    # Not under the lock: the map may let us wait for another thread's transaction.
    memory.subscribe(windows)
    windows.listening = True
    return windows
