# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""FACS: memory that firmware and operating system share, for waking up and the global lock.

ACPI Specification, Firmware ACPI Control Structure (FACS).
"""

from __future__ import annotations

import struct
from enum import IntFlag
from typing import Self

from vmmkit.acpi.relocation import Checksum
from vmmkit.acpi.structure import Structure, raw, structure, u8, u32, u64
from vmmkit.errors import TableParseError

__all__ = ["FACS_SIGNATURE", "Facs", "FacsFlags", "FacsGlobalLock", "FacsOspmFlags"]

FACS_SIGNATURE = b"FACS"
_SIZE = 64
_START = struct.Struct("<4sI")  # signature, length


class FacsGlobalLock(IntFlag):
    """State of the lock between operating system and firmware."""

    PENDING = 1
    OWNED = 2


class FacsFlags(IntFlag):
    """What the firmware can do."""

    S4BIOS_F = 1
    WAKE_64BIT_SUPPORTED_F = 2  #: the firmware can start the 64-bit waking vector in long mode


class FacsOspmFlags(IntFlag):
    """What the operating system wants."""

    WAKE_64BIT_F = 1  #: the waking vector wants a 64-bit environment


@structure
class Facs(Structure):
    """The Firmware ACPI Control Structure: 64 bytes on a 64-byte boundary, without a checksum.

    Systems write into it while they run.

    Args:
        hardware_signature: changes when hardware that matters to a system in S4 does.
        firmware_waking_vector: where a system that wakes up goes on, 32 bits.
        global_lock: `FacsGlobalLock`.
        flags: `FacsFlags`.
        x_firmware_waking_vector: the same with 64 bits.
        version: 0 for ACPI 1.0, 1 for ACPI 2.0 and 3.0, 2 from ACPI 4.0 on.
        ospm_flags: `FacsOspmFlags`.
    """

    hardware_signature: int = u32(default=0)
    firmware_waking_vector: int = u32(default=0, kw_only=True)
    global_lock: int = u32(default=FacsGlobalLock(0), enum=FacsGlobalLock, kw_only=True)
    flags: int = u32(default=FacsFlags(0), enum=FacsFlags, kw_only=True)
    x_firmware_waking_vector: int = u64(default=0, kw_only=True)
    version: int = u8(default=2, kw_only=True)
    reserved_33: bytes = raw(3, default=bytes(3), kw_only=True)
    ospm_flags: int = u32(default=FacsOspmFlags(0), enum=FacsOspmFlags, kw_only=True)
    reserved_40: bytes = raw(24, default=bytes(24), kw_only=True)

    @classmethod
    def fields_base(cls) -> int:
        """Return the bytes of signature and length."""
        return _START.size

    @property
    def signature(self) -> str:
        """Four characters."""
        return FACS_SIGNATURE.decode()

    @property
    def name(self) -> str:
        """What errors and maps call it."""
        return self.signature

    @property
    def alignment(self) -> int:
        """64 bytes, as the specification asks."""
        return 64

    def _encode(self) -> bytes:
        return _START.pack(FACS_SIGNATURE, _SIZE) + self._layout.pack(self)

    def checksums(self) -> tuple[Checksum, ...]:
        """Return nothing: it changes while systems run."""
        return ()

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read one; the same as `from_bytes`."""
        return cls.from_bytes(data)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a FACS that `data` holds and nothing else.

        Raises:
            TableParseError: another signature, or a length other than 64 bytes.
        """
        data = bytes(data)
        if data[:4] != FACS_SIGNATURE:
            raise TableParseError(f"FACS wanted, {data[:4]!r} found", "FACS", 0)
        if len(data) != _SIZE or _START.unpack_from(data)[1] != _SIZE:
            raise TableParseError(
                f"FACS has {_SIZE} bytes, not {len(data)}, and says so in its length", "FACS", 4
            )
        return cls(**cls._layout.unpack(data[_START.size :]))
