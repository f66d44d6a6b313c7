# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The two ways a guest gets at configuration registers, and the registers of one function."""

from __future__ import annotations

from typing import Final, Protocol

import attrs

from vmmkit.protocols import AccessPort

__all__ = ["ConfigAccess", "ConfigRegisters", "EcamAccess", "PortAccess"]

CONFIG_ADDRESS: Final = 0xCF8
CONFIG_DATA: Final = 0xCFC
_ENABLE: Final = 1 << 31


class ConfigAccess(Protocol):
    """A way to configuration registers. A `bdf` is bus << 8 | device << 3 | function."""

    def read(self, bdf: int, offset: int, size: int, /) -> int:
        """Read 1, 2 or 4 bytes."""
        ...

    def write(self, bdf: int, offset: int, size: int, value: int, /) -> None:
        """Write 1, 2 or 4 bytes."""
        ...


@attrs.frozen
class EcamAccess:
    """The memory-mapped way: 4096 bytes for each function.

    Args:
        port: into memory.
        base: where the window begins.
        first_bus: the bus the window begins with.

    PCI Express Base Specification, "PCI Express Enhanced Configuration Access Mechanism".
    """

    port: AccessPort
    base: int
    first_bus: int = 0

    def read(self, bdf: int, offset: int, size: int, /) -> int:
        """Read 1, 2 or 4 bytes."""
        return self.port.read(self._address(bdf, offset), size)

    def write(self, bdf: int, offset: int, size: int, value: int, /) -> None:
        """Write 1, 2 or 4 bytes."""
        self.port.write(self._address(bdf, offset), size, value)

    def _address(self, bdf: int, offset: int) -> int:
        return self.base + (bdf - (self.first_bus << 8) << 12) + offset


@attrs.frozen
class PortAccess:
    """The way through I/O ports CF8h and CFCh; it reaches the first 256 bytes only.

    Args:
        port: into I/O ports.

    PCI Local Bus Specification 3.0, "Software Generation of Configuration Transactions".
    """

    port: AccessPort

    def read(self, bdf: int, offset: int, size: int, /) -> int:
        """Read 1, 2 or 4 bytes; beyond the first 256 there are ones."""
        if offset > 0xFF:
            return (1 << 8 * size) - 1
        self._select(bdf, offset)
        return self.port.read(CONFIG_DATA + (offset & 3), size)

    def write(self, bdf: int, offset: int, size: int, value: int, /) -> None:
        """Write 1, 2 or 4 bytes; beyond the first 256 they are dropped."""
        if offset <= 0xFF:
            self._select(bdf, offset)
            self.port.write(CONFIG_DATA + (offset & 3), size, value)

    def _select(self, bdf: int, offset: int) -> None:
        self.port.write(CONFIG_ADDRESS, 4, _ENABLE | bdf << 8 | offset & 0xFC)


class ByWidth:
    """Accesses by the width in their name, for whatever has `read` and `write`."""

    __slots__ = ()

    def read(self, offset: int, size: int) -> int:
        """Read `size` bytes."""
        raise NotImplementedError

    def write(self, offset: int, size: int, value: int) -> None:
        """Write `size` bytes."""
        raise NotImplementedError

    def read8(self, offset: int) -> int:
        """Read a byte."""
        return self.read(offset, 1)

    def read16(self, offset: int) -> int:
        """Read two bytes."""
        return self.read(offset, 2)

    def read32(self, offset: int) -> int:
        """Read four bytes."""
        return self.read(offset, 4)

    def write8(self, offset: int, value: int) -> None:
        """Write a byte."""
        self.write(offset, 1, value)

    def write16(self, offset: int, value: int) -> None:
        """Write two bytes."""
        self.write(offset, 2, value)

    def write32(self, offset: int, value: int) -> None:
        """Write four bytes."""
        self.write(offset, 4, value)


class ConfigRegisters(ByWidth):
    """The configuration registers of one function, as its driver sees them.

    Args:
        access: the way there.
        bdf: whose they are.
    """

    __slots__ = ("_access", "bdf")

    def __init__(self, access: ConfigAccess, bdf: int) -> None:
        """Read nothing yet."""
        self._access = access
        self.bdf = bdf

    def read(self, offset: int, size: int) -> int:
        """Read `size` bytes: 1, 2 or 4."""
        return self._access.read(self.bdf, offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """Write `size` bytes: 1, 2 or 4."""
        self._access.write(self.bdf, offset, size, value)

    def update(self, offset: int, size: int, *, clear: int = 0, ones: int = 0) -> None:
        """Read a register, clear some bits and set others, and write it."""
        self.write(offset, size, self.read(offset, size) & ~clear | ones)

    def bytes(self, size: int) -> bytes:
        """Read the first `size` bytes, dword by dword."""
        return b"".join(self.read32(at).to_bytes(4, "little") for at in range(0, size, 4))
