# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
r"""What a device that describes itself is told, and what it can ask for.

Whoever has a method `acpi_nodes(context)` can be handed to a preset. It returns AML nodes, usually
one `Device`, and calls the context for what lies elsewhere: handlers of events, whole tables,
fields of the FADT, ranges and interrupts that it holds. The presets' own parts do the same.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from vmmkit.acpi.aml.named import (
    DataTableRegion,
    Device,
    Event,
    Method,
    Mutex,
    Name,
    OperationRegion,
    PowerResource,
    Processor,
    ThermalZone,
)
from vmmkit.acpi.aml.node import Node
from vmmkit.acpi.platform.claims import Interrupts, Ranges
from vmmkit.acpi.platform.values import Ecam, IoApicRange, Range
from vmmkit.acpi.relocation import Addressable
from vmmkit.acpi.tables.spec import Spec
from vmmkit.errors import PlatformError
from vmmkit.protocols import AcpiContributor

__all__ = ["FADT_FLAGS", "Context", "Handler", "contributors"]

# Nodes whose first argument is a name that they make.
_DECLARING: Final = (
    Device,
    Name,
    Method,
    OperationRegion,
    DataTableRegion,
    Event,
    Mutex,
    PowerResource,
    Processor,
    ThermalZone,
)

#: Fields of the FADT that several may set bits of.
FADT_FLAGS: Final = frozenset({"flags", "iapc_boot_arch"})


def contributors(values: Iterable[AcpiContributor]) -> tuple[AcpiContributor, ...]:
    """Return a tuple of what has a method `acpi_nodes`.

    Raises:
        PlatformError: something has none, or no list.
    """
    if not isinstance(values, Iterable):
        raise PlatformError(f"devices are a list, not {values!r}")
    listed = tuple(values)
    for each in listed:
        if isinstance(each, type):
            raise PlatformError(f"the class {each.__name__} is given; a device is an object of it")
        if not hasattr(each, "acpi_nodes"):
            raise PlatformError(f"{each!r} cannot describe itself: it has no method acpi_nodes")
    return listed


class Handler(NamedTuple):
    """Statements that an event runs.

    Attributes:
        statements: AML nodes.
        level: the interrupt is level triggered.
        select: bits of the event selector of which one must be set; 0: any event.
    """

    statements: tuple[Node, ...]
    level: bool
    select: int = 0


class Context:
    r"""Where nodes will stand, and what goes with them.

    Args:
        spec: the version of the ACPI specification.
        reduced: the platform is hardware-reduced: no GPEs and no fixed registers.
        header: what every table made for this platform has in its header, such as `oem_id`.
        io_apics: whose inputs there are.
        redirected: GSI by ISA interrupt, for those that are not the same number.
        gpes: how many general-purpose events there are.
        event_selector: whether the generic event device has a register with one bit an event.

    Attributes:
        path: of the scope that the nodes will stand in, such as `\_SB.PCI0`.
        tables: added so far.
        root_nodes: added so far to the root scope.
        reserved: ranges of memory, by who holds them.
        ecams: added so far.
        listed_ecams: those of them that the MCFG table lists.
        fadt_fields: set so far.
        gpe_handlers: by event.
        event_handlers: by GSI.
        interrupts: all of the platform.
        memory: all of the platform.
        ports: all of the platform that devices have.
        port_windows: all of the platform that host bridges let through.
    """

    def __init__(
        self,
        *,
        spec: Spec,
        reduced: bool,
        header: Mapping[str, Any],
        io_apics: Iterable[IoApicRange],
        redirected: Mapping[int, int],
        gpes: int = 0,
        event_selector: bool = False,
    ) -> None:
        """Start at the root, with nothing held."""
        self.path = "\\"
        self.spec, self.reduced, self.header = spec, reduced, dict(header)
        self.interrupts = Interrupts(io_apics, redirected)
        self.memory = Ranges("memory", 1 << 64)
        self.ports = Ranges("I/O ports", 1 << 16)
        self.port_windows = Ranges("the I/O ports that host bridges let through", 1 << 16)
        self.tables: list[Addressable] = []
        self.root_nodes: list[Node] = []
        self.reserved: list[tuple[str, Range]] = []
        self.ecams: list[Ecam] = []
        self.listed_ecams: list[Ecam] = []
        self.fadt_fields: dict[str, int] = {}
        self.gpe_handlers: dict[int, list[Handler]] = {}
        self.event_handlers: dict[int, list[Handler]] = {}
        self._gpes, self._event_selector = gpes, event_selector
        self._unique_ids: dict[str, int] = {}
        self._names: dict[str, dict[bytes, str]] = {}

    def header_with(self, revisions: Mapping[str, object]) -> dict[str, Any]:
        """Return header fields, those of `Spec` that are about one table among them."""
        return {**revisions, **self.header}

    # -- for contributors ----

    def below(self, name: str) -> Context:
        """Return a context of the same platform for the scope `name` below this one."""
        inner = copy.copy(self)
        inner.path = self.path_of(name)
        return inner

    def path_of(self, name: str) -> str:
        """Return the whole path of an object of this scope: what `Notify` and others take."""
        return f"{self.path}{name}" if self.path == "\\" else f"{self.path}.{name}"

    def unique_id(self, hardware_id: str) -> int:
        """Return a `_UID` that no other device with this `_HID` has: 0, 1, ..."""
        number = self._unique_ids.get(hardware_id, 0)
        self._unique_ids[hardware_id] = number + 1
        return number

    def add_table(self, table: Addressable) -> None:
        """Have a table in the set, such as the TPM2 beside the device of a TPM."""
        self.tables.append(table)

    def add_at_root(self, *nodes: Node) -> None:
        """Have nodes in the root scope; those that are there already are not added again.

        Raises:
            PlatformError: another object there has the name.
        """
        names = self._names.setdefault("\\", {})
        for node in nodes:
            if node not in self.root_nodes:
                self._enter(names, "a contributor", node)
                self.root_nodes.append(node)

    def on_gpe(self, number: int, *statements: Node, level: bool = False) -> None:
        r"""Run statements for a general-purpose event, in a method of `\_GPE`.

        Args:
            number: of the event.
            statements: such as `Notify(...)`; several devices may add theirs.
            level: the handler must quiet the device, before the status is cleared.

        Raises:
            PlatformError: no such event here, or it is an edge for one and a level for another.
        """
        if not isinstance(number, int) or not 0 <= number < self._gpes:
            what = "a hardware-reduced platform has none" if self.reduced else f"of {self._gpes}"
            raise PlatformError(f"general-purpose event {number!r} does not exist: {what}")
        self._handle("general-purpose event", self.gpe_handlers, number, Handler(statements, level))

    def on_event(self, gsi: int, *statements: Node, level: bool = False, select: int = 0) -> None:
        """Run statements for an interrupt, in the generic event device's `_EVT`.

        Args:
            gsi: the interrupt.
            statements: such as `Notify(...)`; several devices may add theirs.
            level: the interrupt is level triggered, active high; else edge.
            select: bits of the platform's event selector, of which one must be set; 0: the
                interrupt alone says it.

        Raises:
            PlatformError: no such interrupt, it is an edge for one and a level for another, or
                the platform has no event selector.
        """
        if select and not self._event_selector:
            raise PlatformError(
                f"an event of GSI {gsi} has bits {select:#x} of an event selector, and the "
                "platform has none"
            )
        self.interrupts.claim("the generic event device", gsi, level=level)
        handler = Handler(statements, level, select)
        self._handle("the event of GSI", self.event_handlers, gsi, handler)

    def claim_memory(self, holder: str, base: int, size: int) -> None:
        """Say that a device has a range of memory.

        Raises:
            PlatformError: another has some of it.
        """
        self.memory.claim(holder, base, size)

    def claim_ports(self, holder: str, base: int, size: int) -> None:
        """Say that a device has a range of ports.

        Raises:
            PlatformError: another has some of it.
        """
        self.ports.claim(holder, base, size)

    def claim_port_window(self, holder: str, base: int, size: int) -> None:
        """Say that a host bridge lets a range of ports through; devices behind it have some.

        Raises:
            PlatformError: another host bridge has some of it.
        """
        self.port_windows.claim(holder, base, size)

    def claim_interrupt(
        self, holder: str, gsi: int, *, level: bool = False, active_low: bool = False
    ) -> None:
        """Say that a device has an interrupt: an edge for itself, or a level with others.

        Args:
            holder: who.
            gsi: the interrupt.
            level: it is level triggered.
            active_low: it is, as that of a PCI pin, active low.

        Raises:
            PlatformError: no I/O APIC has it, or another uses it in another way.
        """
        self.interrupts.claim(holder, gsi, level=level, active_low=active_low)

    def claim_isa_interrupt(self, holder: str, interrupt: int, *, level: bool = False) -> None:
        """Say that a device has an ISA interrupt, which may be wired to a GSI of another number.

        Raises:
            PlatformError: as `claim_interrupt`.
        """
        self.interrupts.claim_isa(holder, interrupt, level=level)

    def gsi_of(self, interrupt: int) -> int:
        """Return the GSI that an ISA interrupt is wired to; another number is a GSI already."""
        return self.interrupts.gsi_of(interrupt)

    def reserve(self, holder: str, base: int, size: int) -> None:
        """Have memory that is no RAM reserved, in the E820 map and by a PNP0C02 device.

        Raises:
            PlatformError: another has some of it.
        """
        self.memory.claim(holder, base, size)
        self.reserved.append((holder, (base, size)))

    def add_ecam(self, ecam: Ecam, *, listed: bool = True) -> None:
        """Have a window of configuration space reserved, and in the MCFG table.

        Args:
            ecam: the window.
            listed: in the table; or else the host bridge has a `_CBA`.

        Raises:
            PlatformError: another has some of its memory, or its buses are in another window.
        """
        for other in self.ecams:
            if other.segment == ecam.segment and not (
                other.last_bus < ecam.first_bus or ecam.last_bus < other.first_bus
            ):
                raise PlatformError(
                    f"the ECAM windows at {other.base:#x} and {ecam.base:#x} have buses of "
                    f"segment {ecam.segment} in common"
                )
        self.reserve(f"the ECAM window of segment {ecam.segment}", ecam.base, ecam.size)
        self.ecams.append(ecam)
        if listed:
            self.listed_ecams.append(ecam)

    def fadt(self, **fields: int) -> None:
        """Set fields of the FADT; bits of `flags` and `iapc_boot_arch` are added to those there.

        Raises:
            PlatformError: another has set the field to something else.
        """
        for name, value in fields.items():
            present = self.fadt_fields.setdefault(name, value)
            if name in FADT_FLAGS:
                self.fadt_fields[name] = present | value
            elif present != value:
                raise PlatformError(f"FADT: {name} is {present:#x} for one and {value:#x} for one")

    # -- for presets, and contributors with others inside ----

    def collect(self, devices: Iterable[AcpiContributor]) -> list[Node]:
        """Return the nodes of contributors to this scope.

        Raises:
            PlatformError: something else than nodes, or two objects of one name.
        """
        found: list[Node] = []
        names = self._names.setdefault(self.path, {})
        for device in contributors(devices):
            who = type(device).__name__
            nodes = device.acpi_nodes(self)
            if not isinstance(nodes, Iterable):
                raise PlatformError(f"{who} contributes {nodes!r} to {self.path}, no list of nodes")
            for node in nodes:
                self._enter(names, who, node)
                found.append(node)
        return found

    def _enter(self, names: dict[bytes, str], who: str, node: Any) -> None:
        if not isinstance(node, Node):
            raise PlatformError(f"{who} contributes {node!r} to {self.path}, which is no AML node")
        if not isinstance(node, _DECLARING):
            return
        name = node.args[0]
        if name.encoded in names:
            raise PlatformError(
                f"two objects {self.path_of(name.text)}: of {names[name.encoded]} and of {who}"
            )
        names[name.encoded] = who

    @staticmethod
    def _handle(
        what: str, handlers: dict[int, list[Handler]], number: int, handler: Handler
    ) -> None:
        listed = handlers.setdefault(number, [])
        if listed and listed[0].level != handler.level:
            raise PlatformError(f"{what} {number} is an edge for one and a level for another")
        listed.append(handler)
