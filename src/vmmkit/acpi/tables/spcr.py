# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""SPCR: the serial port that is the console.

Microsoft, Serial Port Console Redirection Table (SPCR), revisions 1 to 4.
"""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag
from typing import Self

import attrs

from vmmkit.acpi.structure import nested, raw, structure, u8, u16, u32
from vmmkit.acpi.tables.dbg2 import SerialSubtype, namespace_bytes
from vmmkit.acpi.tables.gas import Gas
from vmmkit.acpi.tables.table import Table
from vmmkit.errors import TableParseError, TableValueError

__all__ = [
    "BaudRate",
    "FlowControl",
    "InterruptType",
    "SerialSubtype",
    "Spcr",
    "SpcrPciFlags",
    "TerminalType",
]

_SIZE = 80  # before revision 4
_NAMED = 4  # the revision that brought what follows
_NAME = struct.Struct("<HH")  # length and offset of the name


class InterruptType(IntFlag):
    """Which interrupt controllers the port is wired to."""

    PC_AT_8259 = 1  #: as `irq`
    IO_APIC = 2  #: as `global_system_interrupt`
    IO_SAPIC = 4
    ARM_GIC = 8
    RISC_V_PLIC = 16


class BaudRate(IntEnum):
    """Codes of the port's speed."""

    AS_IS = 0  #: as the firmware left it
    B9600 = 3
    B19200 = 4
    B57600 = 6
    B115200 = 7


class FlowControl(IntFlag):
    """What stops the sender."""

    DCD = 1  #: data carrier detect must be there to transmit
    RTS_CTS = 2
    XON_XOFF = 4


class TerminalType(IntEnum):
    """What the other end understands."""

    VT100 = 0
    EXTENDED_VT100 = 1
    VT_UTF8 = 2
    ANSI = 3


class SpcrPciFlags(IntFlag):
    """Of a port that is a PCI device."""

    KEEP_ENUMERATION = 1  #: do not hide the device from Plug and Play and power management


@structure
class Spcr(Table):
    """The Serial Port Console Redirection Table.

    Args:
        base_address: of the port's registers.
        interface_type: a `SerialSubtype`; in revision 1 only the first two.
        interrupt_type: `InterruptType`.
        irq: of the 8259s.
        global_system_interrupt: of the I/O APIC.
        configured_baud_rate: a `BaudRate`.
        parity: 0, none.
        stop_bits: 1.
        flow_control: `FlowControl`.
        terminal_type: a `TerminalType`.
        language: 0.
        pci_device_id: 0xFFFF: it is no PCI device.
        pci_vendor_id: 0xFFFF: it is no PCI device.
        uart_clock_frequency: in Hz, from revision 3 on; 0: not said.
        precise_baud_rate: in baud, from revision 4 on; 0: `configured_baud_rate` counts.
        namespace_string: from revision 4 on, the port's name in the namespace; ".": it has none.

    Raises:
        TableValueError: a value that its field cannot hold or that the revision does not have, or
            a name that is not ASCII.
    """

    SIGNATURE = "SPCR"
    REVISION = 2

    interface_type: int = u8(default=SerialSubtype.FULL_16550, enum=SerialSubtype, kw_only=True)
    reserved_37: bytes = raw(3, default=bytes(3), kw_only=True)
    base_address: Gas = nested(Gas)
    interrupt_type: int = u8(default=InterruptType(0), enum=InterruptType, kw_only=True)
    irq: int = u8(default=0, kw_only=True)
    global_system_interrupt: int = u32(default=0, kw_only=True)
    configured_baud_rate: int = u8(default=BaudRate.AS_IS, enum=BaudRate, kw_only=True)
    parity: int = u8(default=0, kw_only=True)
    stop_bits: int = u8(default=1, kw_only=True)
    flow_control: int = u8(default=FlowControl(0), enum=FlowControl, kw_only=True)
    terminal_type: int = u8(default=TerminalType.VT_UTF8, enum=TerminalType, kw_only=True)
    language: int = u8(default=0, kw_only=True)
    pci_device_id: int = u16(default=0xFFFF, kw_only=True)
    pci_vendor_id: int = u16(default=0xFFFF, kw_only=True)
    pci_bus_number: int = u8(default=0, kw_only=True)
    pci_device_number: int = u8(default=0, kw_only=True)
    pci_function_number: int = u8(default=0, kw_only=True)
    pci_flags: int = u32(default=SpcrPciFlags(0), enum=SpcrPciFlags, kw_only=True)
    pci_segment: int = u8(default=0, kw_only=True)
    uart_clock_frequency: int = u32(default=0, kw_only=True)
    precise_baud_rate: int = u32(default=0, kw_only=True)
    namespace_string: str = attrs.field(default=".", kw_only=True)

    def _fixed_size(self) -> int:
        return super()._fixed_size() if self.revision >= _NAMED else _SIZE

    def _tail(self) -> bytes:
        if self.revision < _NAMED:
            if self.precise_baud_rate != 0 or self.namespace_string != ".":
                raise TableValueError(
                    f"SPCR of revision {self.revision} has no precise_baud_rate and "
                    "namespace_string",
                    "SPCR",
                    _SIZE,
                )
            return b""
        name = namespace_bytes(self.namespace_string, "SPCR")
        return _NAME.pack(len(name), self._fixed_size() + _NAME.size) + name

    @classmethod
    def _from_fields(cls, data: bytes) -> Self:
        named = data[8] >= _NAMED
        # Older tables end 4 bytes before the fixed fields do.
        fields, rest = cls._fixed(data if named else data[:_SIZE] + bytes(4 * (len(data) >= _SIZE)))
        if not named:
            return cls(**fields, trailing=data[_SIZE:])
        first = rest + _NAME.size
        if len(data) < first:
            raise TableParseError("SPCR ends before its name", "SPCR", rest)
        length, offset = _NAME.unpack_from(data, rest)
        name = data[offset : offset + length].rstrip(b"\0").decode("latin-1")
        return cls(**fields, namespace_string=name, trailing=data[first + length :])
