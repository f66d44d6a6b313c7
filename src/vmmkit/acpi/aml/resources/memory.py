# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Memory ranges of 24 and 32 bits, registers, and large vendor items.

ACPI Specification, "Large Resource Data Type".
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import attrs

from vmmkit.acpi.aml.resources.descriptor import Descriptor, Vendor, number

__all__ = ["Memory24", "Memory32", "Memory32Fixed", "Register", "VendorLong"]


def _access(*, writeable: bool) -> str:
    return "ReadWrite" if writeable else "ReadOnly"


@attrs.frozen
class _MemoryRange(Descriptor):
    """Memory that may be placed anywhere between two addresses.

    Args:
        minimum: lowest address it may begin at.
        maximum: highest address it may begin at.
        alignment: of where it begins.
        length: how much there is.
        writeable: or read only.
    """

    minimum: int
    maximum: int
    alignment: int
    length: int
    writeable: bool = True

    def _values(self) -> tuple[Any, ...]:
        return self.writeable, self.minimum, self.maximum, self.alignment, self.length

    @classmethod
    def _from_values(cls, *values: Any, tail: bytes) -> Self:
        del tail
        flags, minimum, maximum, alignment, length = values
        return cls(minimum, maximum, alignment, length, bool(flags))

    def asl(self) -> str:
        """Return it as an ASL resource macro."""
        sizes = (self.minimum, self.maximum, self.alignment, self.length)
        words = f"{_access(writeable=self.writeable)}, {', '.join(map(number, sizes))}"
        return f"{type(self).__name__} ({words}, )"


_RANGE = ("minimum", "maximum", "alignment", "length")


@attrs.frozen
class Memory24(_MemoryRange, tag=0x81, format="BHHHH"):
    """A `Memory32` of 24 bits: all but the alignment, in bytes, are in units of 256 bytes."""

    LIMITS: ClassVar[dict[str, int]] = {**dict.fromkeys(_RANGE, 0xFFFF), "writeable": 1}


@attrs.frozen
class Memory32(_MemoryRange, tag=0x85, format="BIIII"):
    """Memory below 4 GiB that may be placed anywhere between two addresses, in bytes."""

    LIMITS: ClassVar[dict[str, int]] = {**dict.fromkeys(_RANGE, 0xFFFF_FFFF), "writeable": 1}


@attrs.frozen
class Memory32Fixed(Descriptor, tag=0x86, format="BII"):
    """Memory below 4 GiB at a fixed place.

    Args:
        base: address.
        length: bytes.
        writeable: or read only.
    """

    base: int
    length: int
    writeable: bool = True

    LIMITS: ClassVar[dict[str, int]] = {
        **dict.fromkeys(("base", "length"), 0xFFFF_FFFF),
        "writeable": 1,
    }

    def _values(self) -> tuple[Any, ...]:
        return self.writeable, self.base, self.length

    @classmethod
    def _from_values(cls, *values: Any, tail: bytes) -> Self:
        del tail
        flags, base, length = values
        return cls(base, length, bool(flags))

    def asl(self) -> str:
        """Return it as an ASL resource macro."""
        access = _access(writeable=self.writeable)
        return f"Memory32Fixed ({access}, 0x{self.base:02X}, 0x{self.length:02X}, )"


_SPACES = {
    0: "SystemMemory",
    1: "SystemIO",
    2: "PCI_Config",
    3: "EmbeddedControl",
    4: "SMBus",
    5: "SystemCMOS",
    6: "PciBarTarget",
    7: "IPMI",
    8: "GeneralPurposeIo",
    9: "GenericSerialBus",
    10: "PCC",
    11: "PlatformRtMechanism",
    0x7F: "FFixedHW",
}


_VENDOR_SPACES = 0x80


@attrs.frozen
class Register(Descriptor, tag=0x82, format="BBBBQ"):
    """A register ("Generic Register Descriptor").

    Args:
        space: number of the address space: 0 memory, 1 I/O, 7FH fixed hardware.
        bit_width: of the register.
        bit_offset: within what is read.
        address: in that space.
        access_size: 1 for bytes to 4 for qwords, 0 for undefined.
    """

    space: int
    bit_width: int
    bit_offset: int
    address: int
    access_size: int = 0

    LIMITS: ClassVar[dict[str, int]] = {
        **dict.fromkeys(("space", "bit_width", "bit_offset", "access_size"), 0xFF),
        "address": 0xFFFF_FFFF_FFFF_FFFF,
    }

    def _values(self) -> tuple[Any, ...]:
        return self.space, self.bit_width, self.bit_offset, self.access_size, self.address

    @classmethod
    def _from_values(cls, *values: Any, tail: bytes) -> Self:
        del tail
        space, width, offset, access, address = values
        return cls(space, width, offset, address, access)

    @property
    def has_asl(self) -> bool:
        """Not with a space that is reserved."""
        return self.space in _SPACES or self.space >= _VENDOR_SPACES

    def asl(self) -> str:
        """Return it as an ASL resource macro."""
        space = _SPACES.get(self.space, f"0x{self.space:02X}")
        place = f"0x{self.bit_width:02X}, 0x{self.bit_offset:02X}, 0x{self.address:02X}"
        return f"Register ({space}, {place}, 0x{self.access_size:02X}, )"


@attrs.frozen
class VendorLong(Vendor, tag=0x84, format=""):
    """Up to 65 535 bytes of a vendor's own.

    Args:
        content: the bytes.
    """
