# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Putting a platform together: what both presets do, and the `Platform` that comes out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from vmmkit.acpi.aml.named import Scope
from vmmkit.acpi.aml.node import Node
from vmmkit.acpi.layout import E820Entry, E820Type, TableSet
from vmmkit.acpi.platform.context import Context
from vmmkit.acpi.platform.events import EventDevice, gpe_scope
from vmmkit.acpi.platform.pci_host import reservations
from vmmkit.acpi.platform.power import Reset, soft_off
from vmmkit.acpi.platform.processors import Processors
from vmmkit.acpi.platform.values import FOUR_GIB, IoApicRange, number
from vmmkit.acpi.relocation import Addressable
from vmmkit.acpi.tables.definition_block import Dsdt
from vmmkit.acpi.tables.fadt import Fadt
from vmmkit.acpi.tables.madt import IoApic, Madt, MadtFlags
from vmmkit.acpi.tables.mcfg import Mcfg, McfgAllocation
from vmmkit.errors import PlatformError
from vmmkit.protocols import AcpiContributor

__all__ = ["LOCAL_APIC", "Assembly", "Platform", "header_of"]

#: Where local APICs are after a reset.
LOCAL_APIC: Final = 0xFEE0_0000
_PAGE: Final = 0x1000
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
    """

    dsdt: Dsdt
    fadt: Fadt
    tables: tuple[Addressable, ...]
    reserved: tuple[tuple[str, tuple[int, int]], ...]
    header: Mapping[str, Any]

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


def header_of(oem_id: str, oem_table_id: str, oem_revision: int) -> dict[str, Any]:
    """Return header fields as keywords of all tables."""
    return {"oem_id": oem_id, "oem_table_id": oem_table_id, "oem_revision": oem_revision}


@attrs.frozen
class Assembly:
    """A platform in the making.

    Args:
        context: of the root scope.
        processors: of the platform.
        io_apics: of the platform.
        local_apic: address of every processor's local APIC.
        madt_flags: of the MADT.
    """

    context: Context
    processors: Processors
    io_apics: tuple[IoApicRange, ...]
    local_apic: int
    madt_flags: MadtFlags

    def __attrs_post_init__(self) -> None:
        """Claim the memory of the APICs."""
        number("the address of the local APICs", self.local_apic, FOUR_GIB)
        self.context.claim_memory("the local APICs", self.local_apic, _PAGE)
        for io_apic in self.io_apics:
            holder = f"the I/O APIC {io_apic.io_apic_id}"
            self.context.claim_memory(holder, io_apic.address, _PAGE)

    def dsdt(
        self,
        contributors: Iterable[AcpiContributor],
        *,
        events: EventDevice,
        s5: int | None,
    ) -> Dsdt:
        r"""Return the definition block.

        Args:
            contributors: to `\_SB`.
            events: the generic event device.
            s5: sleep type to turn the machine off; `None`: it cannot.
        """
        context = self.context
        inner = context.below("_SB")
        nodes = inner.collect([self.processors, *contributors])
        nodes += inner.collect([events])
        nodes += reservations(context, [place for _holder, place in context.reserved])
        terms: list[Node] = [] if s5 is None else [soft_off(s5)]
        terms += [Scope("\\_SB", *nodes), *gpe_scope(context)]
        return Dsdt(*terms, **context.spec.definition_block, **context.header)

    def fadt_fields(self, reset: Reset | None, more: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of the FADT that both kinds of platform have.

        Args:
            reset: how the machine is reset.
            more: fields that the caller wants; bits of flags are added.
        """
        context = self.context
        if reset is not None:
            context.fadt(reset_value=reset.value)
        fields = {name: value for name, value in more.items() if isinstance(value, int)}
        flags = {name: fields.pop(name) for name in ("flags", "iapc_boot_arch") if name in fields}
        context.fadt(**flags)
        found: dict[str, Any] = {**context.spec.fadt, **context.header, **context.fadt_fields}
        if reset is not None:
            found["reset_reg"] = reset.register
        return {**found, **more, **{name: found[name] for name in flags}}

    def platform(self, fadt: Fadt, dsdt: Dsdt, tables: Iterable[Addressable]) -> Platform:
        """Return the finished platform.

        Args:
            fadt: which points at the DSDT.
            dsdt: from `dsdt`.
            tables: further ones, from the caller.
        """
        context = self.context
        made: list[Addressable] = [fadt, self._madt(), *self._mcfg(), *context.tables]
        made += [*self.processors.affinity_tables(context.header), *tables]
        return Platform(dsdt, fadt, tuple(made), tuple(context.reserved), context.header)

    def _madt(self) -> Madt:
        io_apics = [IoApic(one.io_apic_id, one.address, one.first_gsi) for one in self.io_apics]
        entries = [*self.processors.madt_entries(), *io_apics, *self.context.interrupts.overrides()]
        return Madt(
            entries,
            local_apic_address=self.local_apic,
            flags=self.madt_flags,
            **self.context.spec.madt,
            **self.context.header,
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

    def check_ecams(self, *, smbios: bool) -> None:
        """Refuse ECAM windows that a guest would not use.

        Linux takes one above 4 GiB only if SMBIOS says that the firmware is of 2010 or later.

        Raises:
            PlatformError: there is one, and no SMBIOS.
        """
        for ecam in self.context.listed_ecams:
            if not smbios and ecam.base + ecam.size > FOUR_GIB:
                raise PlatformError(
                    f"the ECAM window of segment {ecam.segment} at {ecam.base:#x} leads beyond "
                    "4 GiB, which Linux ignores unless SMBIOS says that the firmware is of 2010 "
                    "or later; say smbios=True if it does"
                )

    @property
    def needs_physical_destinations(self) -> bool:
        """Whether there are more processors than logical destinations."""
        return len(self.processors.cpus) > _LOGICAL_APICS
