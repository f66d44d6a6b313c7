# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""DBG2: the ports for debuggers.

Microsoft, Microsoft Debug Port Table 2 (DBG2).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Any, Self

import attrs

from vmmkit.acpi.relocation import octets
from vmmkit.acpi.structure import Structure, structure, u8, u16
from vmmkit.acpi.tables.gas import Gas
from vmmkit.acpi.tables.sequences import tuple_of
from vmmkit.acpi.tables.table import HEADER_SIZE, Table, moved
from vmmkit.errors import AcpiError, TableParseError, TableValueError

__all__ = ["Dbg2", "DebugDevice", "PortType", "SerialSubtype", "UsbSubtype", "namespace_bytes"]

_GAS_SIZE = 12
_SIZE_SIZE = 4
_LIST = struct.Struct("<II")  # where the devices are, and how many


class PortType(IntEnum):
    """What kind of port it is."""

    SERIAL = 0x8000
    IEEE_1394 = 0x8001
    USB = 0x8002
    NET = 0x8003  #: the subtype is the PCI vendor id


class SerialSubtype(IntEnum):
    """What registers a serial port has; also the interface types of the SPCR."""

    FULL_16550 = 0x00
    SUBSET_16550 = 0x01  #: as the older DBGP table has it
    MAX311XE_SPI = 0x02
    ARM_PL011 = 0x03
    MSM8X60 = 0x04
    NVIDIA_16550 = 0x05
    TI_OMAP = 0x06
    APM88XXXX = 0x08
    MSM8974 = 0x09
    SAM5250 = 0x0A
    INTEL_USIF = 0x0B
    IMX6 = 0x0C
    ARM_SBSA_32BIT = 0x0D
    ARM_SBSA = 0x0E
    ARM_DCC = 0x0F
    BCM2835 = 0x10
    SDM845_1_8432_MHZ = 0x11
    GAS_16550 = 0x12  #: 16550 whose register width and distance the GAS says
    SDM845_7_372_MHZ = 0x13
    INTEL_LPSS = 0x14
    RISC_V_SBI = 0x15


class UsbSubtype(IntEnum):
    """Which USB host controller has the debug port."""

    XHCI = 0
    EHCI = 1


def namespace_bytes(name: str, table: str) -> bytes:
    """Return a name with the zero that ends it.

    Raises:
        TableValueError: it is not ASCII, or has a zero in it or more than 65535 bytes.
    """
    if not isinstance(name, str) or not name.isascii() or "\0" in name or len(name) >= 0xFFFF:
        raise TableValueError(f"{table}.namespace_string is no ASCII text: {name!r:.80}", table)
    return name.encode() + b"\0"


@structure
class _DeviceHead(Structure):
    """The fixed part of a device information structure."""

    revision: int = u8(default=0)
    length: int = u16(default=0)
    number_of_generic_address_registers: int = u8(default=0)
    namespace_string_length: int = u16(default=0)
    namespace_string_offset: int = u16(default=0)
    oem_data_length: int = u16(default=0)
    oem_data_offset: int = u16(default=0)
    port_type: int = u16(default=0, enum=PortType)
    port_subtype: int = u16(default=0)
    reserved: int = u16(default=0)
    base_address_register_offset: int = u16(default=0)
    address_size_offset: int = u16(default=0)

    def pieces(self) -> tuple[tuple[int, int], ...]:
        """Return offset and length of registers, sizes, name and OEM data."""
        count = self.number_of_generic_address_registers
        return (
            (self.base_address_register_offset, count * _GAS_SIZE),
            (self.address_size_offset, count * _SIZE_SIZE),
            (self.namespace_string_offset, self.namespace_string_length),
            (self.oem_data_offset, self.oem_data_length),
        )


def _pairs(registers: Iterable[tuple[Gas, int]]) -> tuple[tuple[Gas, int], ...]:
    if not isinstance(registers, Iterable):
        raise TableValueError(f"DebugDevice.registers is no sequence: {registers!r}", "DBG2")
    return tuple([_pair(register) for register in registers])


def _pair(register: Any) -> tuple[Gas, int]:
    try:
        gas, size = register
    except (TypeError, ValueError):
        gas = size = None
    if not isinstance(gas, Gas) or not isinstance(size, int):
        raise TableValueError(f"DebugDevice.registers: no GAS and size: {register!r}", "DBG2")
    return gas, size


@attrs.frozen
class DebugDevice:
    """A debug port.

    Args:
        port_type: a `PortType`.
        port_subtype: for a serial port, a `SerialSubtype`, for one of USB, a `UsbSubtype`.
        registers: base address and size in bytes of each of its register blocks.
        namespace_string: its name in the namespace; ".": it has none.
        oem_data: bytes for its driver.
        revision: of this structure.

    Raises:
        TableValueError: a value that its field cannot hold, a name that is not ASCII, or more
            than 65535 bytes together.
    """

    port_type: int
    port_subtype: int
    registers: Sequence[tuple[Gas, int]] = attrs.field(default=(), converter=_pairs)
    namespace_string: str = attrs.field(default=".", kw_only=True)
    oem_data: bytes = attrs.field(
        default=b"",
        kw_only=True,
        converter=octets,
    )
    revision: int = attrs.field(default=0, kw_only=True)
    reserved: int = attrs.field(default=0, kw_only=True)
    _encoded: bytes = attrs.field(init=False, eq=False, repr=False, default=b"")

    def __attrs_post_init__(self) -> None:
        """Encode, so that a value that does not fit is an error at once."""
        object.__setattr__(self, "_encoded", self._encode())

    def to_bytes(self) -> bytes:
        """Return the structure: fixed part, registers, sizes, name, OEM data."""
        return self._encoded

    def _encode(self) -> bytes:
        bases = b"".join([gas.to_bytes() for gas, _ in self.registers])
        sizes = b"".join([_size_bytes(*entry) for entry in enumerate(self.registers)])
        name = namespace_bytes(self.namespace_string, "DBG2")
        first = _DeviceHead.layout().size
        named = first + len(bases) + len(sizes)
        head = _DeviceHead(
            revision=self.revision,
            length=named + len(name) + len(self.oem_data),
            number_of_generic_address_registers=len(self.registers),
            namespace_string_length=len(name),
            namespace_string_offset=named,
            oem_data_length=len(self.oem_data),
            oem_data_offset=named + len(name) if self.oem_data else 0,
            port_type=self.port_type,
            port_subtype=self.port_subtype,
            reserved=self.reserved,
            base_address_register_offset=first,
            address_size_offset=first + len(bases),
        )
        return head.to_bytes() + bases + sizes + name + self.oem_data

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Make a debug port of its bytes.

        Raises:
            TableParseError: too few of them for its fixed part or its registers.
        """
        size = _DeviceHead.layout().size
        if len(data) < size:
            raise TableParseError(f"DBG2: {len(data)} bytes are no debug device", "DBG2")
        head = _DeviceHead.parse(data[:size])
        bases, sizes, name, oem_data = [data[start : start + n] for start, n in head.pieces()]
        return cls(
            head.port_type,
            head.port_subtype,
            _registers(bases, sizes, head.number_of_generic_address_registers),
            namespace_string=name[:-1].decode("latin-1"),
            oem_data=oem_data,
            revision=head.revision,
            reserved=head.reserved,
        )


def _size_bytes(number: int, register: tuple[Gas, int]) -> bytes:
    size = register[1]
    try:
        return size.to_bytes(_SIZE_SIZE, "little")
    except OverflowError:
        raise TableValueError(
            f"DebugDevice.registers[{number}] has size {size!r}, which 32 bits cannot hold", "DBG2"
        ) from None


def _registers(bases: bytes, sizes: bytes, count: int) -> list[tuple[Gas, int]]:
    return [
        (
            Gas.parse(bases[number * _GAS_SIZE : (number + 1) * _GAS_SIZE]),
            int.from_bytes(sizes[number * _SIZE_SIZE : (number + 1) * _SIZE_SIZE], "little"),
        )
        for number in range(count)
    ]


@structure
class Dbg2(Table):
    """The Debug Port Table 2.

    Args:
        devices: debug ports.
    """

    SIGNATURE = "DBG2"
    REVISION = 0

    devices: Sequence[DebugDevice] = attrs.field(
        default=(), converter=tuple_of("DBG2", "Dbg2.devices", DebugDevice)
    )

    def _tail(self) -> bytes:
        head = _LIST.pack(HEADER_SIZE + _LIST.size, len(self.devices))
        return head + b"".join([device.to_bytes() for device in self.devices])

    @classmethod
    def _from_fields(cls, data: bytes) -> Self:
        fields, rest = cls._fixed(data)
        if len(data) < rest + _LIST.size:
            raise TableParseError("DBG2 ends before its list of devices", "DBG2", rest)
        offset, count = _LIST.unpack_from(data, rest)
        devices = []
        for _ in range(count):
            length = int.from_bytes(data[offset + 1 : offset + 3], "little")
            if length < _DeviceHead.layout().size or length > len(data) - offset:
                raise TableParseError(
                    f"DBG2: device at offset {offset} has length {length}", "DBG2", offset
                )
            try:
                devices.append(DebugDevice.parse(data[offset : offset + length]))
            except AcpiError as error:
                raise moved(error, "DBG2", offset) from None
            offset += length
        return cls(devices, **fields, trailing=data[offset:])
