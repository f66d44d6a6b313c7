# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
r"""Devices of an ISA or LPC bus, each a contributor to the scope of the bridge or to `\_SB`.

The hardware ids are those of Microsoft's list of Plug and Play device ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from vmmkit.acpi.aml.data import EisaId
from vmmkit.acpi.aml.named import Device, Name
from vmmkit.acpi.aml.node import Node
from vmmkit.acpi.aml.resources import Descriptor, Io, IrqNoFlags, Resources
from vmmkit.acpi.arguments import elements
from vmmkit.acpi.platform.claims import ISA_INTERRUPTS
from vmmkit.acpi.platform.context import Context, contributors
from vmmkit.acpi.platform.events import gsi_descriptor
from vmmkit.acpi.platform.values import Range, checked_range, number
from vmmkit.acpi.tables.dbg2 import Dbg2, DebugDevice, PortType, SerialSubtype
from vmmkit.acpi.tables.fadt import BootArchFlags
from vmmkit.acpi.tables.gas import Gas
from vmmkit.acpi.tables.spcr import BaudRate, InterruptType, Spcr
from vmmkit.errors import PlatformError
from vmmkit.protocols import AcpiContributor

__all__ = [
    "LpcBridge",
    "MotherboardPorts",
    "Pic",
    "Pit",
    "Ps2Keyboard",
    "Ps2Mouse",
    "Rtc",
    "Speaker",
    "Uart",
]

_PORTS: Final = 1 << 16
_UART_PORTS: Final = 8
_BAUD_RATES: Final = {
    9600: BaudRate.B9600,
    19200: BaudRate.B19200,
    57600: BaudRate.B57600,
    115200: BaudRate.B115200,
}


def _ports(context: Context, holder: str, *ranges: Range) -> list[Descriptor]:
    """Claim ranges of ports, and return their descriptors."""
    for base, size in ranges:
        context.claim_ports(holder, base, size)
    return [Io(base, size) for base, size in ranges]


def _interrupt(context: Context, holder: str, line: int) -> Descriptor:
    """Claim an edge triggered interrupt, and return its descriptor."""
    if isinstance(line, int) and line < ISA_INTERRUPTS:
        context.claim_isa_interrupt(holder, line)
        return IrqNoFlags(line)
    context.claim_interrupt(holder, line)
    return gsi_descriptor(line, level=False)


def _device(name: str, hardware_id: str, resources: Iterable[Descriptor], *more: Node) -> Node:
    crs = Name("_CRS", Resources(*resources))
    return Device(name, Name("_HID", EisaId(hardware_id)), *more, crs)


@attrs.frozen
class LpcBridge:
    """The bridge to the devices of this module; a contributor to the scope of a host bridge.

    Args:
        devices: contributors to its scope.
        device: number on the root bus.
        function: number.
        name: of its device.
    """

    devices: tuple[AcpiContributor, ...] = attrs.field(converter=contributors)
    device: int = 31
    function: int = 0
    name: str = "ISA"

    def acpi_nodes(self, context: Context) -> Iterator[Node]:
        """Yield its device, with those behind it."""
        number(f"the device of {self.name}", self.device, 32)
        number(f"the function of {self.name}", self.function, 8)
        context.fadt(iapc_boot_arch=BootArchFlags.LEGACY_DEVICES)
        inner = context.below(self.name)
        address = Name("_ADR", self.device << 16 | self.function)
        yield Device(self.name, address, *inner.collect(self.devices))


@attrs.frozen
class Uart:
    """A 16550 serial port.

    Args:
        port: first of its eight ports.
        interrupt: ISA interrupt if it is below 16, else a GSI.
        console: the system's console is here, which an SPCR table says.
        debug: a kernel debugger may use it, which a DBG2 table says.
        baud_rate: of the console: 9600, 19200, 57600 or 115200.
        name: of its device; COM1 to COMn in the order of the UARTs by default.
    """

    port: int = 0x3F8
    interrupt: int = 4
    console: bool = attrs.field(default=False, kw_only=True)
    debug: bool = attrs.field(default=False, kw_only=True)
    baud_rate: int = attrs.field(default=115200, kw_only=True)
    name: str | None = attrs.field(default=None, kw_only=True)

    def acpi_nodes(self, context: Context) -> Iterator[Node]:
        """Yield its device; add an SPCR table for the console, a DBG2 table for debuggers."""
        unit = context.unique_id("PNP0501") + 1
        name = self.name or f"COM{unit:X}"
        resources = [
            *_ports(context, name, (self.port, _UART_PORTS)),
            _interrupt(context, name, self.interrupt),
        ]
        if self.console:
            self._add_console(context)
        if self.debug:
            port = (Gas.io(self.port, 8), _UART_PORTS)
            path = context.path_of(name)
            device = DebugDevice(
                PortType.SERIAL, SerialSubtype.FULL_16550, [port], namespace_string=path
            )
            context.add_table(Dbg2([device], **context.header))
        yield _device(name, "PNP0501", resources, Name("_UID", unit))

    def _add_console(self, context: Context) -> None:
        speed = _BAUD_RATES.get(self.baud_rate)
        if speed is None:
            rates = ", ".join(map(str, _BAUD_RATES))
            raise PlatformError(f"a console has {rates} baud, not {self.baud_rate!r}")
        isa = self.interrupt if self.interrupt < ISA_INTERRUPTS else 0
        wired = InterruptType.IO_APIC
        if isa and not context.reduced:
            wired |= InterruptType.PC_AT_8259
        table = Spcr(
            Gas.io(self.port, 8),
            interrupt_type=wired,
            irq=isa,
            global_system_interrupt=context.gsi_of(self.interrupt),
            configured_baud_rate=speed,
            **context.header,
        )
        context.add_table(table)


@attrs.frozen
class Rtc:
    """The CMOS clock.

    Args:
        port: of its index register; the data register follows.
        interrupt: ISA interrupt.
        century: index of the byte with the century; 0: none.
    """

    port: int = 0x70
    interrupt: int = 8
    century: int = 0x32

    def acpi_nodes(self, context: Context) -> Iterator[Node]:
        """Yield its device; say in the FADT where the century is."""
        context.fadt(century=self.century)
        resources = [
            *_ports(context, "RTC", (self.port, 2)),
            _interrupt(context, "RTC", self.interrupt),
        ]
        yield _device("RTC", "PNP0B00", resources)


@attrs.frozen
class Pic:
    """The two 8259 interrupt controllers."""

    def acpi_nodes(self, context: Context) -> Iterator[Node]:
        """Yield their device, with the interrupt that the second one cascades to."""
        resources = _ports(context, "PIC", (0x20, 2), (0xA0, 2))
        yield _device("PIC", "PNP0000", [*resources, IrqNoFlags(2)])


@attrs.frozen
class Pit:
    """The 8254 timer."""

    def acpi_nodes(self, context: Context) -> Iterator[Node]:
        """Yield its device."""
        resources = [*_ports(context, "TIMR", (0x40, 4)), _interrupt(context, "TIMR", 0)]
        yield _device("TIMR", "PNP0100", resources)


@attrs.frozen
class Speaker:
    """The PC speaker."""

    def acpi_nodes(self, context: Context) -> Iterator[Node]:
        """Yield its device."""
        yield _device("SPKR", "PNP0800", _ports(context, "SPKR", (0x61, 1)))


@attrs.frozen
class Ps2Keyboard:
    """The keyboard, with the ports of its controller."""

    def acpi_nodes(self, context: Context) -> Iterator[Node]:
        """Yield its device; say in the FADT that there is a controller."""
        context.fadt(iapc_boot_arch=BootArchFlags.PC_8042)
        resources = _ports(context, "KBD", (0x60, 1), (0x64, 1))
        yield _device("KBD", "PNP0303", [*resources, _interrupt(context, "KBD", 1)])


@attrs.frozen
class Ps2Mouse:
    """The mouse of the keyboard's controller."""

    def acpi_nodes(self, context: Context) -> Iterator[Node]:
        """Yield its device."""
        context.fadt(iapc_boot_arch=BootArchFlags.PC_8042)
        yield _device("MOU", "PNP0F13", [_interrupt(context, "MOU", 12)])


#: Ports that no other device of the list has: the POST code, the fast A20 gate, the edge and level
#: control registers of the 8259s.
_BOARD_PORTS = ((0x80, 1), (0x92, 1), (0x4D0, 2))


def _ranges(ranges: Iterable[Range]) -> tuple[Range, ...]:
    return tuple(
        [
            checked_range("a range of the motherboard", each, _PORTS)
            for each in elements("the ports", ranges, PlatformError)
        ]
    )


@attrs.frozen
class MotherboardPorts:
    """Ports of the board that belong to no other device.

    Args:
        ports: ranges.
        name: of their device.
    """

    ports: tuple[Range, ...] = attrs.field(default=_BOARD_PORTS, converter=_ranges)
    name: str = "MBIO"

    def acpi_nodes(self, context: Context) -> Iterator[Node]:
        """Yield their device."""
        resources = _ports(context, self.name, *self.ports)
        uid = Name("_UID", context.unique_id("PNP0C02"))
        yield _device(self.name, "PNP0C02", resources, uid)
