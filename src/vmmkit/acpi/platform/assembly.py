# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Putting a platform together: what both presets do, and the `Platform` that comes out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, TypedDict

import attrs

from vmmkit.acpi.aml.named import Scope
from vmmkit.acpi.aml.node import Node
from vmmkit.acpi.arguments import instance
from vmmkit.acpi.layout import E820Entry, E820Type, TableSet
from vmmkit.acpi.platform.context import Context
from vmmkit.acpi.platform.events import EventDevice, gpe_scope
from vmmkit.acpi.platform.pci_host import OSC_CONTROL, Reservations
from vmmkit.acpi.platform.power import Reset, soft_off
from vmmkit.acpi.platform.processors import Processors, X2ApicPolicy
from vmmkit.acpi.platform.values import (
    FOUR_GIB,
    Cpu,
    IoApicRange,
    Numa,
    Range,
    Windows,
    listed,
    number,
    optional,
    windows_of,
)
from vmmkit.acpi.relocation import Addressable
from vmmkit.acpi.tables.definition_block import Dsdt
from vmmkit.acpi.tables.fadt import BootArchFlags, Fadt, FadtFlags
from vmmkit.acpi.tables.madt import IoApic, Madt, MadtFlags
from vmmkit.acpi.tables.mcfg import Mcfg, McfgAllocation
from vmmkit.acpi.tables.spec import Spec
from vmmkit.acpi.validate.finding import Finding
from vmmkit.acpi.validate.validator import validate
from vmmkit.errors import PlatformError
from vmmkit.protocols import AcpiContributor

__all__ = ["LOCAL_APIC", "Assembly", "Options", "Platform"]

#: Where local APICs are after a reset.
LOCAL_APIC: Final = 0xFEE0_0000
_PAGE: Final = 0x1000
_VGA_MEMORY: Final = (0xA_0000, 0x2_0000)
_NO_RTC_FLAG: Final = 5  # revision of the FADT that can say that there is no CMOS clock
_ONLINE_CAPABLE_REVISION: Final = 5  # of the MADT, before which the flag is reserved
_LOGICAL_APICS: Final = 8  # that the flat model of logical destinations can tell apart


@attrs.frozen(eq=False)
class Platform:
    """Tables that agree with each other, and the memory that the guest must leave alone.

    Attributes:
        dsdt: the definition block.
        fadt: points at the DSDT, and at a FACS where there is one.
        tables: what root tables list, the FADT first.
        reserved: ranges of memory that are no RAM, with their holders.
        header: what all tables have in their headers.
        io_apics: with their inputs, which no table says.
        smbios: see `Options`.
    """

    dsdt: Dsdt
    fadt: Fadt
    tables: tuple[Addressable, ...]
    reserved: tuple[tuple[str, tuple[int, int]], ...]
    header: Mapping[str, Any]
    io_apics: tuple[IoApicRange, ...] = ()
    smbios: bool = False

    def table_set(self, **options: Any) -> TableSet:
        """Return the tables as a set that can be placed.

        Args:
            options: of `TableSet`; the headers of the root tables are those of the others.
        """
        return TableSet(self.tables, **{**self.header, **options})

    def e820(self) -> tuple[E820Entry, ...]:
        """Return the ranges that the memory map must say are reserved, by rising address.

        Those of the tables themselves are in `Placement.e820`.
        """
        ranges = sorted(place for _holder, place in self.reserved)
        return tuple([E820Entry(base, size, E820Type.RESERVED) for base, size in ranges])

    def validate(self) -> list[Finding]:
        """Judge the tables and the memory map; return what is wrong, nothing if all is well."""
        inputs = {one.io_apic_id: one.inputs for one in self.io_apics}
        return validate(self, smbios=self.smbios, io_apic_inputs=inputs)


class Options(TypedDict, total=False):
    """What both presets can be told besides.

    Attributes:
        cpus: how many processors, with ids from 0 on; or a `Cpu` each. 1 where not given.
        x2apic: which MADT entries processors get; see `X2ApicPolicy`.
        numa: proximity domains of memory, for SRAT and SLIT.
        local_apic: address of every processor's local APIC.
        io_apics: with their GSIs; one with 24 where not given.
        redirected: GSI by ISA interrupt, for those that are not the same number. Where not given,
            with fixed hardware interrupt 0 has GSI 2.
        osc_control: what a system may control of PCI Express; see `PciHost`.
        vga: there may be a VGA adapter; true where not given, but not on reduced hardware. The
            preset's host bridge then lets its memory, A0000H to BFFFFH, through.
        smbios: the guest has SMBIOS with a BIOS date from 2010 on, which Linux wants to see before
            it takes an ECAM window above 4 GiB.
        spec: version of the ACPI Specification that the tables follow.
        fadt: further fields of the FADT, by name; bits of flags are added to the others.
        tables: further tables, such as a DMAR.
        oem_id: of all tables, up to 6 characters.
        oem_table_id: of all tables, up to 8 characters.
        oem_revision: of all tables, 32 bits.
    """

    cpus: int | Iterable[Cpu]
    x2apic: X2ApicPolicy
    numa: Numa | None
    local_apic: int
    io_apics: Iterable[IoApicRange]
    redirected: Mapping[int, int]
    osc_control: int | None
    vga: bool
    smbios: bool
    spec: Spec
    fadt: Mapping[str, Any]
    tables: Iterable[Addressable]
    oem_id: str
    oem_table_id: str
    oem_revision: int


def _io_apics(values: Iterable[IoApicRange]) -> tuple[IoApicRange, ...]:
    return listed("io_apics", values, IoApicRange)


def _tables(values: Iterable[Addressable]) -> tuple[Addressable, ...]:
    found = tuple(values) if isinstance(values, Iterable) else None
    if found is None or not all(hasattr(each, "relocations") for each in found):
        raise PlatformError(
            f"tables is a list of tables, not {values!r:.60}; from_bytes makes them"
        )
    return found


#: Fields of the FADT that arguments of their own say.
_FADT_TAKEN: Final = frozenset(
    [
        "revision",
        "minor_version",
        "firmware_ctrl",
        "x_firmware_ctrl",
        "dsdt",
        "x_dsdt",
        "sci_int",
        "smi_cmd",
        "acpi_enable",
        "acpi_disable",
        "gpe1_base",
        "reset_reg",
        "reset_value",
        "sleep_control_reg",
        "sleep_status_reg",
        "oem_id",
        "oem_table_id",
        "oem_revision",
        "trailing",
    ]
)
#: And those that the register blocks say: addresses and lengths.
_FADT_BLOCKS: Final = ("pm1", "pm2", "pm_tmr", "gpe0_blk", "gpe1_blk")


def _check_spec(_board: object, _attribute: object, spec: object) -> None:
    if not isinstance(spec, Spec):
        raise PlatformError(f"spec is a Spec such as Spec.V6_5, not {spec!r}")


def _check_numa(_board: object, _attribute: object, numa: Numa | None) -> None:
    optional("numa", numa, Numa)


def _check_fadt(_board: object, _attribute: object, fields: Mapping[str, Any]) -> None:
    instance("fadt", fields, Mapping, PlatformError)  # type: ignore[type-abstract]
    if not fields:
        return
    known = {field.name for field in attrs.fields(Fadt) if not field.name.startswith("_")}
    for name in fields:
        if name not in known:
            raise PlatformError(f"the FADT has no field {name!r}")
        if name in _FADT_TAKEN or name.removeprefix("x_").startswith(_FADT_BLOCKS):
            raise PlatformError(f"the FADT's {name} follows from another argument")


@attrs.frozen(kw_only=True)
class Assembly:
    """A platform in the making: `Options`, and whether it is hardware-reduced.

    Attributes:
        context: of the root scope.
        processors: of the platform.
    """

    reduced: bool
    gpes: Collection[int] = ()
    event_selector: int | None = None
    cpus: int | Iterable[Cpu] = 1
    x2apic: X2ApicPolicy = "auto"
    numa: Numa | None = attrs.field(default=None, validator=_check_numa)
    local_apic: int = LOCAL_APIC
    io_apics: tuple[IoApicRange, ...] = attrs.field(default=(IoApicRange(),), converter=_io_apics)
    redirected: Mapping[int, int] = attrs.field()
    osc_control: int | None = OSC_CONTROL
    vga: bool = attrs.field()
    smbios: bool = False
    spec: Spec = attrs.field(default=Spec.V6_5, validator=_check_spec)
    fadt: Mapping[str, Any] = attrs.field(factory=dict, validator=_check_fadt)
    tables: tuple[Addressable, ...] = attrs.field(default=(), converter=_tables)
    oem_id: str = "VMMKIT"
    oem_table_id: str = "VMMKIT"
    oem_revision: int = 1
    processors: Processors = attrs.field(init=False)
    context: Context = attrs.field(init=False)

    @redirected.default
    def _redirected(self) -> Mapping[int, int]:
        return {} if self.reduced else {0: 2}

    @vga.default
    def _vga(self) -> bool:
        return not self.reduced

    @processors.default
    def _processors(self) -> Processors:
        return Processors(self.cpus, self.x2apic, self.numa)

    @context.default
    def _context(self) -> Context:
        return Context(
            spec=self.spec,
            reduced=self.reduced,
            header={
                "oem_id": self.oem_id,
                "oem_table_id": self.oem_table_id,
                "oem_revision": self.oem_revision,
            },
            io_apics=self.io_apics,
            redirected=self.redirected,
            gpes=self.gpes,
            event_selector=self.event_selector is not None,
        )

    def __attrs_post_init__(self) -> None:
        """Claim the memory of the APICs; say what is known of processors and screen."""
        number("the address of the local APICs", self.local_apic, FOUR_GIB)
        self._check_online_capable()
        self.context.claim_memory("the local APICs", self.local_apic, _PAGE)
        for io_apic in self.io_apics:
            holder = f"the I/O APIC {io_apic.io_apic_id}"
            self.context.claim_memory(holder, io_apic.address, _PAGE)
        flags = FadtFlags.WBINVD | FadtFlags.PROC_C1
        if len(self.processors.cpus) > _LOGICAL_APICS:
            flags |= FadtFlags.FORCE_APIC_PHYSICAL_DESTINATION_MODE
        boot = BootArchFlags(0) if self.vga else BootArchFlags.VGA_NOT_PRESENT
        self.context.fadt(flags=flags, iapc_boot_arch=boot)
        self.context.fadt(**self.fadt)

    def _check_online_capable(self) -> None:
        spare = next((cpu for cpu in self.processors.cpus if cpu.online_capable), None)
        if spare is not None and self.spec.value.madt_revision < _ONLINE_CAPABLE_REVISION:
            raise PlatformError(
                f"the processor with APIC id {spare.apic_id} is online capable, which tables can "
                f"say since ACPI 6.3, not those of {self.spec.name}"
            )

    @property
    def host_bridge_domain(self) -> int | None:
        """The proximity domain of the PCI host bridge, where there are any."""
        return self.processors.host_bridge_domain

    def host_windows(self, windows: Windows | Mapping[str, Iterable[Range]]) -> Windows:
        """Return windows with the memory of a VGA adapter, where there is one and no window has it.

        Systems give an adapter, or its driver, no range that no host bridge lets through.
        """
        windows = windows_of(windows)
        base, size = _VGA_MEMORY
        has = any(first < base + size and base < first + count for first, count in windows.mem)
        if has or not self.vga:
            return windows
        return attrs.evolve(windows, mem=(_VGA_MEMORY, *windows.mem))

    def dsdt(self, devices: Iterable[AcpiContributor], s5: int | None) -> Dsdt:
        r"""Return the definition block.

        Args:
            devices: contributors to `\_SB`.
            s5: sleep type to turn the machine off; `None`: it cannot.

        Raises:
            PlatformError: parts that contradict each other.
        """
        context = self.context
        inner = context.below("_SB")
        nodes = inner.collect([self.processors, *devices])
        nodes += inner.collect([EventDevice(self.event_selector)])
        nodes += inner.collect([Reservations()])
        self._check_ecams()
        terms: list[Node] = [] if s5 is None else [soft_off(s5)]
        terms += [*context.root_nodes, Scope("\\_SB", *nodes), *gpe_scope(context)]
        return Dsdt(*terms, **context.header_with(self.spec.definition_block))

    def _check_ecams(self) -> None:
        """Refuse ECAM windows that a guest would not use.

        Linux takes one above 4 GiB only if SMBIOS says that the firmware is of 2010 or later.
        """
        for ecam in self.context.listed_ecams:
            if not self.smbios and ecam.base + ecam.size > FOUR_GIB:
                raise PlatformError(
                    f"the ECAM window of segment {ecam.segment} at {ecam.base:#x} leads beyond "
                    "4 GiB, which Linux ignores unless SMBIOS says that the firmware is of 2010 "
                    "or later; say smbios=True if it does"
                )

    def fadt_fields(self, reset: Reset | None) -> dict[str, Any]:
        """Return the fields of the FADT that both kinds of platform have.

        Args:
            reset: how the machine is reset.
        """
        context = self.context
        if "century" not in context.fadt_fields and self.spec.value.fadt_revision >= _NO_RTC_FLAG:
            context.fadt(iapc_boot_arch=BootArchFlags.CMOS_RTC_NOT_PRESENT)
        found: dict[str, Any] = {**self.spec.fadt, **context.header}
        if reset is not None:
            found |= {"reset_reg": reset.register, "reset_value": reset.value}
        return found | context.fadt_fields

    def platform(self, fadt: Fadt, dsdt: Dsdt, tables: Iterable[Addressable] = ()) -> Platform:
        """Return the finished platform.

        Args:
            fadt: which points at the DSDT.
            dsdt: from `dsdt`.
            tables: further ones, of the preset.
        """
        context = self.context
        made: list[Addressable] = [fadt, self._madt(), *self._mcfg(), *context.tables]
        made += [*self.processors.affinity_tables(context.header), *tables, *self.tables]
        return Platform(
            dsdt,
            fadt,
            tuple(made),
            tuple(context.reserved),
            context.header,
            self.io_apics,
            self.smbios,
        )

    def _madt(self) -> Madt:
        io_apics = [IoApic(one.io_apic_id, one.address, one.first_gsi) for one in self.io_apics]
        overrides = self.context.interrupts.overrides()
        return Madt(
            [*self.processors.madt_entries(), *io_apics, *overrides],
            local_apic_address=self.local_apic,
            flags=MadtFlags(0) if self.reduced else MadtFlags.PCAT_COMPAT,
            **self.context.header_with(self.spec.madt),
        )

    def _mcfg(self) -> list[Mcfg]:
        ecams = self.context.listed_ecams
        if not ecams:
            return []
        allocations = [
            McfgAllocation(ecam.bus_zero, ecam.segment, ecam.first_bus, ecam.last_bus)
            for ecam in ecams
        ]
        return [Mcfg(allocations, **self.context.header)]
