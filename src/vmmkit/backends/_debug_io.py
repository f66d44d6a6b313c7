# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Stopping at accesses to devices: ranges of ports and of guest-physical addresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

__all__ = ["IoBreaks", "IoRange", "Ways"]

Read = Callable[[int, int], int]
Write = Callable[[int, int, int], object]
Ways = tuple[Read, Write, Read, Write]
"""Memory's `read` and `write` of a port, then those of I/O ports."""


class IoRange(NamedTuple):
    """What is watched."""

    is_port: bool
    first: int
    last: int

    def __str__(self) -> str:
        """Write it as the command that set it."""
        space = "" if self.is_port else "mmio "
        return f"{space}{self.first:#x}" + (f"-{self.last:#x}" if self.last > self.first else "")


class IoBreaks:
    """The ranges at which vCPUs stop, after the instruction that accesses them.

    Args:
        hit: called on the vCPU's thread, in the middle of the instruction, with the vCPU's number;
            has it stop at the next one.

    Attributes:
        ranges: what is watched.
    """

    def __init__(self, hit: Callable[[int], object]) -> None:
        """Watch nothing."""
        self.ranges: tuple[IoRange, ...] = ()
        self._hit = hit
        self._messages: dict[int, str] = {}

    def take(self, vcpu: int) -> str:
        """Return what a vCPU accessed, once; empty for nothing."""
        return self._messages.pop(vcpu, "") if self._messages else ""

    def _look(self, vcpu: int, is_port: bool, address: int, size: int, said: str) -> None:
        last = address + size - 1
        for watched in self.ranges:
            if watched.is_port == is_port and watched.first <= last and address <= watched.last:
                where = f"port {address:#x}" if is_port else f"{address:#x}"
                self._messages.setdefault(vcpu, f"{where}, {size} bytes: {said}")
                self._hit(vcpu)
                return

    def watched(self, vcpu: int, ways: Ways) -> Ways:
        """Return ways into the address maps that look at each access; as given with no ranges."""
        if not self.ranges:
            return ways
        read, write, port_in, port_out = ways
        return (
            self._reader(vcpu, read, is_port=False),
            self._writer(vcpu, write, is_port=False),
            self._reader(vcpu, port_in, is_port=True),
            self._writer(vcpu, port_out, is_port=True),
        )

    def _reader(self, vcpu: int, plain: Read, *, is_port: bool) -> Read:
        def read(address: int, size: int, /) -> int:
            value = plain(address, size)
            self._look(vcpu, is_port, address, size, f"read {value:#x}")
            return value

        return read

    def _writer(self, vcpu: int, plain: Write, *, is_port: bool) -> Write:
        def write(address: int, size: int, value: int, /) -> object:
            done = plain(address, size, value)
            self._look(vcpu, is_port, address, size, f"write {value:#x}")
            return done

        return write
