# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Ways into address maps whose handlers run under a lock."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from vmmkit.memregion import Port

__all__ = ["PlainPort", "locked_port", "locked_read", "locked_write"]

Lock = AbstractContextManager[object]


class PlainPort:
    """The two functions of an access port."""

    __slots__ = ("read", "write")

    def __init__(
        self, read: Callable[[int, int], int], write: Callable[[int, int, int], object]
    ) -> None:
        self.read, self.write = read, write


def locked_read(lock: Lock, read: Callable[[int, int], int]) -> Callable[[int, int], int]:
    """Return `read` under a lock."""

    def locked(address: int, size: int) -> int:
        with lock:
            return read(address, size)

    return locked


def locked_write(
    lock: Lock, write: Callable[[int, int, int], object]
) -> Callable[[int, int, int], object]:
    """Return `write` under a lock."""

    def locked(address: int, size: int, value: int) -> object:
        with lock:
            return write(address, size, value)

    return locked


def locked_port(lock: Lock, port: Port | PlainPort) -> PlainPort:
    """Return a port whose accesses are made under a lock."""
    return PlainPort(locked_read(lock, port.read), locked_write(lock, port.write))
