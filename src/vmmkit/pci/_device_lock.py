# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A device's own lock, and why no interrupt leaves under it.

A monitor may hold a lock of its own around accesses, and takes the same one when an interrupt
arrives. A vCPU then has the monitor's lock first and the device's second. Would a thread of the
device's send an interrupt with the device's lock held, it had them the other way round, and both
would wait for ever. So what is raised under the lock waits until the thread has let go of it.
"""

from __future__ import annotations

from threading import RLock, get_ident
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmmkit.pci.interrupts import Interrupts

__all__ = ["DeviceLock"]

_NOBODY = 0


class DeviceLock:
    """A re-entrant lock. Interrupts raised by its holder leave when it is free again."""

    __slots__ = ("_depth", "_interrupts", "_lock", "_owner")

    def __init__(self) -> None:
        """Start free, with no interrupts to hold back."""
        self._lock = RLock()
        self._owner, self._depth = _NOBODY, 0
        self._interrupts: Interrupts | None = None

    def hold_back(self, interrupts: Interrupts) -> None:
        """Keep these interrupts waiting where the thread that raises them is the holder."""
        self._interrupts = interrupts
        interrupts.hold_back_while(self.is_mine)

    def is_mine(self) -> bool:
        """Tell whether the calling thread is the holder."""
        return self._owner == get_ident()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take it as one takes a `threading.RLock`."""
        taken = self._lock.acquire(blocking, timeout)
        if taken:
            self._owner = get_ident()
            self._depth += 1
        return taken

    def release(self) -> None:
        """Let go of it, and send what was raised meanwhile if that was the last time.

        Raises:
            RuntimeError: the calling thread is not the holder.
        """
        if not self.is_mine():
            raise RuntimeError("a thread lets go of a device's lock that it does not hold")
        self._depth -= 1
        if self._depth:
            self._lock.release()
            return
        self._owner = _NOBODY
        self._lock.release()
        if self._interrupts is not None:
            self._interrupts.deliver()

    def __enter__(self) -> bool:
        """Take it."""
        return self.acquire()

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Let go of it."""
        self.release()
