# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""GAS: where a register is, in any address space.

ACPI Specification, Generic Address Structure.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Self

from vmmkit.acpi.structure import Structure, structure, u8, u64
from vmmkit.errors import TableValueError

__all__ = ["AccessSize", "AddressSpace", "Gas"]

_PORTS = 0x1_0000


class AddressSpace(IntEnum):
    """What the address of a `Gas` counts in."""

    SYSTEM_MEMORY = 0x00
    SYSTEM_IO = 0x01
    PCI_CONFIGURATION = 0x02
    EMBEDDED_CONTROLLER = 0x03
    SMBUS = 0x04
    SYSTEM_CMOS = 0x05
    PCI_BAR_TARGET = 0x06
    IPMI = 0x07
    GENERAL_PURPOSE_IO = 0x08
    GENERIC_SERIAL_BUS = 0x09
    PLATFORM_COMMUNICATIONS_CHANNEL = 0x0A
    PLATFORM_RUNTIME_MECHANISM = 0x0B
    FUNCTIONAL_FIXED_HARDWARE = 0x7F


class AccessSize(IntEnum):
    """How many bytes an access to a register has."""

    UNDEFINED = 0  #: left to the reader, as before ACPI 3.0
    BYTE = 1
    WORD = 2
    DWORD = 3
    QWORD = 4


_NATURAL = {
    8: AccessSize.BYTE,
    16: AccessSize.WORD,
    32: AccessSize.DWORD,
    64: AccessSize.QWORD,
}


@structure
class Gas(Structure):
    """A Generic Address Structure, 12 bytes; `Gas()`, all zero, says that there is no register.

    `Gas.io`, `Gas.mem` and `Gas.pci` are shorter ways to make one.

    Args:
        address_space_id: in what space the address is.
        register_bit_width: bits, up to 255.
        register_bit_offset: bits from the address to the register.
        access_size: bytes of an access, encoded.
        address: 64 bits.
    """

    address_space_id: int = u8(default=AddressSpace.SYSTEM_MEMORY, enum=AddressSpace)
    register_bit_width: int = u8(default=0)
    register_bit_offset: int = u8(default=0)
    access_size: int = u8(default=AccessSize.UNDEFINED, enum=AccessSize)
    address: int = u64(default=0)

    @classmethod
    def _of(cls, space: AddressSpace, address: int, bits: int, access: int | None) -> Self:
        natural = _NATURAL.get(bits, AccessSize.UNDEFINED)
        return cls(space, bits, 0, natural if access is None else access, address)

    @classmethod
    def io(cls, port: int, bits: int = 8, access: int | None = None) -> Self:
        """Return a register in port space.

        Args:
            port: 0 to 0xFFFF.
            bits: width of the register.
            access: an `AccessSize`; `None`: that of the width, if it is 8, 16, 32 or 64.

        Raises:
            TableValueError: no such port, or too many bits.
        """
        if not 0 <= port < _PORTS:
            raise TableValueError(f"Gas.address: port {port:#x} is beyond 0xffff", "Gas", 4)
        return cls._of(AddressSpace.SYSTEM_IO, port, bits, access)

    @classmethod
    def mem(cls, address: int, bits: int = 32, access: int | None = None) -> Self:
        """Return a register in memory; arguments and errors as in `io`."""
        return cls._of(AddressSpace.SYSTEM_MEMORY, address, bits, access)

    @classmethod
    def pci(
        cls, device: int, function: int, offset: int, bits: int = 32, access: int | None = None
    ) -> Self:
        """Return a register in the configuration space of a device on segment 0, bus 0.

        Args:
            device: 0 to 31.
            function: 0 to 7.
            offset: 0 to 255, or 0xFFF where extended configuration space can be reached.
            bits: as in `io`.
            access: as in `io`.

        Raises:
            TableValueError: no such device, function, offset or width.
        """
        if not (0 <= device < 32 and 0 <= function < 8 and 0 <= offset < 0x1000):
            raise TableValueError(
                f"Gas.address: no register {offset:#x} of PCI device {device}.{function}", "Gas", 4
            )
        address = device << 32 | function << 16 | offset
        return cls._of(AddressSpace.PCI_CONFIGURATION, address, bits, access)

    @property
    def present(self) -> bool:
        """Whether it says that there is a register: its address is not zero."""
        return self.address != 0
