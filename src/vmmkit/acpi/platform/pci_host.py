# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""PCI host bridges: windows, buses, interrupt routing, and what the system may control.

ACPI Specification, Address Space Resource Descriptors and _PRT (PCI Routing Table); PCI Firmware
Specification, for _CBA and for _OSC of PCI host bridges.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from vmmkit.acpi.aml.blocks import Else, If
from vmmkit.acpi.aml.create_field import CreateDWordField
from vmmkit.acpi.aml.data import EisaId, Package, ToUUID, Zero, integer
from vmmkit.acpi.aml.named import Device, Method, Name
from vmmkit.acpi.aml.node import Node, Path, term
from vmmkit.acpi.aml.operators import And, LEqual, LNotEqual, Or, Store
from vmmkit.acpi.aml.places import Arg, Local
from vmmkit.acpi.aml.resources import (
    BusNumber,
    Descriptor,
    DWordIo,
    DWordMemory,
    Io,
    Memory32Fixed,
    QWordMemory,
    Resources,
    WordIo,
)
from vmmkit.acpi.aml.statements import Return
from vmmkit.acpi.platform.claims import ISA_INTERRUPTS
from vmmkit.acpi.platform.context import Context, contributors
from vmmkit.acpi.platform.values import (
    FOUR_GIB,
    Ecam,
    Route,
    Windows,
    number,
    routes,
    windows_of,
)
from vmmkit.errors import PlatformError
from vmmkit.protocols import AcpiContributor

__all__ = ["OSC_CONTROL", "PciHost", "Reservations"]

#: What the system may control by `_OSC`: hot plug, PME, AER and the capability structure of PCI
#: Express, but not the hot plug of SHPC.
OSC_CONTROL: Final = 0x1D

_OSC_UUID: Final = ToUUID("33db4d5b-1ff7-401c-9657-7441c03dd766")
_CONFIG_PORTS: Final = (0xCF8, 8)
_ROUTE_KEYS: Final = tuple([integer(device << 16 | 0xFFFF) for device in range(32)])


def _ecam_or_none(value: Ecam | None) -> Ecam | None:
    if value is not None and not isinstance(value, Ecam):
        raise PlatformError(f"ecam is an Ecam or None, not {value!r}")
    return value


@attrs.frozen
class PciHost:
    r"""A host bridge and its root bus; a contributor to `\_SB`.

    Args:
        windows: what it lets through, `Windows` or `{"io": [(base, size)], "mem": [...]}`.
        routing: `(device, pin, gsi)` of the root bus.
        ecam: where its configuration space is mapped; `None`: nowhere.
        pic_routing: `(device, pin, interrupt)` for systems that use the 8259s: ISA interrupts.
            Where it is given, `_PRT` is a method that returns the one or the other.
        name: of its device, four characters at most. That of a preset has the default.
        segment: that of `ecam` where there is one.
        first_bus: number of the root bus; that of `ecam` where there is one.
        last_bus: greatest bus number behind it; that of `ecam` where there is one.
        config_ports: it has the ports CF8H to CFFH, which reach segment 0 only. One host bridge
            can have them; by default each of segment 0 has.
        osc_control: control bits that `_OSC` grants; `None`: there is no `_OSC`.
        hot_added: it was not there when the system booted, so its ECAM is in `_CBA` and not in
            the MCFG table.
        proximity_domain: for `_PXM`; `None`: not said.
        children: contributors to its scope.

    Raises:
        PlatformError: numbers out of range, or windows that overlap each other.
    """

    windows: Windows = attrs.field(converter=windows_of)
    routing: tuple[Route, ...] = attrs.field(default=(), converter=routes)
    ecam: Ecam | None = attrs.field(default=None, converter=_ecam_or_none)
    pic_routing: tuple[Route, ...] = attrs.field(default=(), converter=routes, kw_only=True)
    name: str = attrs.field(default="PCI0", kw_only=True)
    segment: int = attrs.field(kw_only=True)
    first_bus: int = attrs.field(kw_only=True)
    last_bus: int = attrs.field(kw_only=True)
    config_ports: bool = attrs.field(kw_only=True)
    osc_control: int | None = attrs.field(default=OSC_CONTROL, kw_only=True)
    hot_added: bool = attrs.field(default=False, kw_only=True)
    proximity_domain: int | None = attrs.field(default=None, kw_only=True)
    children: tuple[AcpiContributor, ...] = attrs.field(
        default=(), converter=contributors, kw_only=True
    )

    @segment.default
    def _segment(self) -> int:
        return self.ecam.segment if self.ecam else 0

    @config_ports.default
    def _config_ports(self) -> bool:
        return self.segment == 0

    @first_bus.default
    def _first_bus(self) -> int:
        return self.ecam.first_bus if self.ecam else 0

    @last_bus.default
    def _last_bus(self) -> int:
        return self.ecam.last_bus if self.ecam else 255

    def __attrs_post_init__(self) -> None:
        """Check the numbers."""
        number(f"the segment of {self.name}", self.segment, 1 << 16)
        number(f"the last bus of {self.name}", self.last_bus, 256)
        number(f"the first bus of {self.name}", self.first_bus, self.last_bus + 1)
        for _device, _pin, interrupt in self.pic_routing:
            number(f"an interrupt of the 8259s for {self.name}", interrupt, ISA_INTERRUPTS)
        number(f"the _OSC control of {self.name}", self.osc_control or 0, FOUR_GIB)
        if self.hot_added and self.ecam is None:
            raise PlatformError(f"{self.name} is hot-added and has no ECAM window")
        if self.ecam and (self.ecam.segment != self.segment or not self._ecam_covers_buses()):
            raise PlatformError(
                f"{self.name} has segment {self.segment}, buses {self.first_bus} to "
                f"{self.last_bus}, and {self.ecam}"
            )

    def _ecam_covers_buses(self) -> bool:
        ecam = self.ecam
        return ecam is None or (ecam.first_bus <= self.first_bus and self.last_bus <= ecam.last_bus)

    def acpi_nodes(self, context: Context) -> Iterator[Node]:
        """Yield its device; claim windows and interrupts, and have its ECAM reserved."""
        self._claim(context)
        inner = context.below(self.name)
        nodes: list[Node] = [
            Name("_HID", EisaId("PNP0A08")),
            Name("_CID", EisaId("PNP0A03")),
            Name("_SEG", self.segment),
            Name("_BBN", self.first_bus),
            Name("_UID", context.unique_id("PNP0A08")),
            Name("_CRS", Resources(*self.resources())),
        ]
        nodes += self._routing_nodes(context)
        if self.osc_control is not None:
            nodes.append(_osc(self.osc_control))
        if self.hot_added and self.ecam:
            nodes.append(Name("_CBA", self.ecam.bus_zero))
        if self.proximity_domain is not None:
            nodes.append(Name("_PXM", self.proximity_domain))
        yield Device(self.name, *nodes, *inner.collect(self.children))

    def _routing_nodes(self, context: Context) -> list[Node]:
        if not self.pic_routing:
            return [Name("_PRT", _table(self.routing))] if self.routing else []
        # What _PIC is told: 0 the 8259s, 1 the I/O APICs.
        mode = Path("\\PICM")
        context.add_at_root(Name("PICM", 0), Method("_PIC", 1, Store(Arg(0), mode)))
        return [
            Name("PRTA", _table(self.routing)),
            Name("PRTP", _table(self.pic_routing)),
            Method("_PRT", 0, If(mode, Return(Path("PRTA"))), Return(Path("PRTP"))),
        ]

    def resources(self) -> Iterator[Descriptor]:
        """Yield the descriptors of `_CRS`; the ECAM window is never among them."""
        yield BusNumber(self.first_bus, self.last_bus)
        if self.config_ports:
            yield Io(*_CONFIG_PORTS)
        yield from (_io_window(*window) for window in self.windows.io)
        yield from (_mem_window(*window) for window in self.windows.mem)

    def _claim(self, context: Context) -> None:
        for base, size in self.windows.mem:
            context.claim_memory(f"a memory window of {self.name}", base, size)
        for base, size in self.windows.io:
            context.claim_port_window(f"an I/O window of {self.name}", base, size)
        if self.config_ports:
            context.claim_port_window(f"the configuration ports of {self.name}", *_CONFIG_PORTS)
        if self.ecam:
            context.add_ecam(self.ecam, listed=not self.hot_added)
        for gsi in {gsi for _device, _pin, gsi in (*self.routing, *self.pic_routing)}:
            context.claim_interrupt(f"the routing of {self.name}", gsi, level=True, active_low=True)


def _io_window(base: int, size: int) -> Descriptor:
    kind = WordIo if size < 1 << 16 else DWordIo
    return kind(base, base + size - 1)


def _mem_window(base: int, size: int) -> Descriptor:
    kind = DWordMemory if base + size <= FOUR_GIB and size < FOUR_GIB else QWordMemory
    return kind(base, base + size - 1)


def _table(routing: Iterable[Route]) -> Node:
    """Return a routing table without interrupt links: the last element is the interrupt."""
    return term([Package(_ROUTE_KEYS[device], pin, Zero, gsi) for device, pin, gsi in routing])


def _osc(control: int) -> Node:
    """Return the method: grant what the system wants and the bridge has, and say what is missing.

    The first dword of the buffer takes the status: 4 an unknown UUID, 8 an unknown revision, 10H
    that not all was granted.
    """
    status, wanted, granted = Path("CDW1"), Path("CDW3"), Local(0)
    return Method(
        "_OSC",
        4,
        CreateDWordField(Arg(3), 0, "CDW1"),
        If(
            LEqual(Arg(0), _OSC_UUID),
            CreateDWordField(Arg(3), 8, "CDW3"),
            And(wanted, control, granted),
            If(LNotEqual(Arg(1), 1), Or(status, 8, status)),
            If(LNotEqual(wanted, granted), Or(status, 0x10, status)),
            Store(granted, wanted),
        ),
        Else(Or(status, 4, status)),
        Return(Arg(3)),
        serialized=True,
    )


@attrs.frozen
class Reservations:
    r"""Memory that is no RAM and no other device has; a contributor to `\_SB` that comes last.

    PCI Firmware Specification, MCFG Table Description, wants ECAM windows to be reserved by a
    motherboard resource, which a PNP0C02 device is.
    """

    def acpi_nodes(self, context: Context) -> Iterator[Node]:
        """Yield a device with all that was reserved, if anything was."""
        fixed = [_fixed(*place) for _holder, place in context.reserved]
        if fixed:
            yield Device(
                "MRES",
                Name("_HID", EisaId("PNP0C02")),
                Name("_UID", context.unique_id("PNP0C02")),
                Name("_CRS", Resources(*fixed)),
            )


def _fixed(base: int, size: int) -> Descriptor:
    if base + size <= FOUR_GIB:
        return Memory32Fixed(base, size)
    return QWordMemory(base, base + size - 1, consumer=True)
