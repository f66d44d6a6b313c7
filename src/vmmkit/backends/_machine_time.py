# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What a machine has to do at which time: the deadlines of its timers.

Asking a device for its deadline costs a microsecond or more, so each is asked once and then only
after something may have moved it: an access to it, or its own `advance`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol

__all__ = ["NEVER", "Agenda", "Timed", "TimedWindow"]

NEVER: Final = 1 << 100
"""Later than every deadline, in nanoseconds."""


class Timed(Protocol):
    """A device with a time of its own. Caller: `SoftMachine` and `ThreadedMachine`."""

    def deadline(self) -> int | None:
        """Return the virtual time of its next output, in ns, or `None`."""
        ...

    def advance(self) -> object:
        """Do what happened until now."""
        ...


class Agenda:
    """The deadlines of several devices.

    Attributes:
        moved: called when a deadline may have moved.
    """

    def __init__(self, moved: Callable[[], object]) -> None:
        """Start without devices."""
        self.moved = moved
        self._devices: list[Timed] = []
        self._due: list[int] = []
        self._stale: set[int] = set()
        self._earliest = NEVER

    def add(self, device: Timed) -> Callable[[], None]:
        """Attend to a device; return what is to be called when its deadline may have moved."""
        number = len(self._devices)
        self._devices.append(device)
        self._due.append(NEVER)
        self._stale.add(number)
        return partial(self._touch, number)

    def _touch(self, number: int) -> None:
        self._stale.add(number)
        self.moved()

    def forget(self) -> None:
        """Ask every device anew."""
        self._stale.update(range(len(self._devices)))

    @property
    def earliest(self) -> int:
        """The next deadline in ns, or `NEVER`."""
        if self._stale:
            for number in self._stale:
                deadline = self._devices[number].deadline()
                self._due[number] = NEVER if deadline is None else deadline
            self._stale.clear()
            self._earliest = min(self._due)
        return self._earliest

    def advance(self, now: int) -> None:
        """Let every device advance whose deadline has come."""
        if self.earliest > now:
            return
        for number, due in enumerate(self._due):
            if due <= now:
                self._stale.add(number)
                self._devices[number].advance()


class TimedWindow:
    """A device's window whose accesses may move its deadline.

    Args:
        device: has `read`, `write` or both, as for `RegionMap.add`.
        moved: called after each write, and after each read too unless `reads` is false.
        reads: whether reads can move the deadline.
    """

    def __init__(self, device: Any, moved: Callable[[], object], *, reads: bool = True) -> None:
        """Bind the device's handlers."""
        self._moved = moved
        if hasattr(device, "read"):
            self._read = device.read
            self.read = self._read_and_tell if reads else device.read
        if hasattr(device, "write"):
            self._write = device.write
            self.write = self._write_and_tell

    def _read_and_tell(self, vcpu: Any, offset: int, size: int, /) -> Any:
        value = self._read(vcpu, offset, size)
        self._moved()
        return value

    def _write_and_tell(self, vcpu: Any, offset: int, size: int, value: int, /) -> None:
        self._write(vcpu, offset, size, value)
        self._moved()
