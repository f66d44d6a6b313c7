# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Processors: their entries in MADT and SRAT, and their devices, all from one list.

ACPI Specification, Multiple APIC Description Table (MADT), System Resource Affinity Table (SRAT)
and Declaring Processors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal, TypeAlias

import attrs

from vmmkit.acpi.aml.named import Device, Name
from vmmkit.acpi.aml.node import Node
from vmmkit.acpi.platform.context import Context
from vmmkit.acpi.platform.values import Cpu, MemoryRange, Numa
from vmmkit.acpi.tables.entry import Entry
from vmmkit.acpi.tables.madt import (
    LapicFlags,
    LocalApic,
    LocalApicNmi,
    LocalX2Apic,
    LocalX2ApicNmi,
)
from vmmkit.acpi.tables.slit import Slit
from vmmkit.acpi.tables.srat import (
    MemoryAffinity,
    MemoryAffinityFlags,
    ProcessorLocalApicAffinity,
    ProcessorLocalX2ApicAffinity,
    Srat,
)
from vmmkit.acpi.tables.table import Table
from vmmkit.errors import PlatformError

__all__ = ["MAX_CPUS", "Processors", "X2ApicPolicy"]

#: The names of their devices are C000 to CFFF.
MAX_CPUS: Final = 4096

#: Which MADT entries processors get: `"auto"` (local APIC entries where ids allow it), `"always"`
#: (x2APIC entries for all) or `"never"`.
X2ApicPolicy: TypeAlias = Literal["auto", "always", "never"]

_XAPIC_IDS: Final = 0xFF  # ids and UIDs below this fit into a local APIC entry
_ACPI0007: Final = Name("_HID", "ACPI0007")
_ABSENT: Final = Name("_STA", 0)
_ENABLED: Final = LapicFlags.ENABLED  # enumerations look their members up anew each time


def _listed(cpus: int | Iterable[Cpu]) -> tuple[Cpu, ...]:
    if isinstance(cpus, int) and not isinstance(cpus, bool):
        _check_count(cpus)
        return tuple([Cpu(number, number) for number in range(cpus)])
    if not isinstance(cpus, Iterable):
        raise PlatformError(f"processors are a number or Cpu objects, not {cpus!r}")
    listed = tuple(cpus)
    for each in listed:
        if not isinstance(each, Cpu):
            raise PlatformError(f"processors are a number or Cpu objects, not {each!r}")
    _check_count(len(listed))
    return listed


def _check_count(count: int) -> None:
    if not 1 <= count <= MAX_CPUS:
        raise PlatformError(f"{count} processors; a platform has 1 to {MAX_CPUS}")


@attrs.frozen
class Processors:
    """The processors of a platform; a contributor of their devices.

    Args:
        cpus: how many, with ids from 0 on, or a `Cpu` each, the first one that starts in front.
        x2apic: see `X2ApicPolicy`.
        numa: whether their devices say their proximity domain.

    Raises:
        PlatformError: none, too many, two with one id, none that is enabled, or ids too great for
            the policy.
    """

    cpus: tuple[Cpu, ...] = attrs.field(converter=_listed)
    x2apic: X2ApicPolicy = "auto"
    numa: Numa | None = None
    _x2apic_from: int = attrs.field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        """Check ids, and find from which APIC id on entries are those of x2APICs."""
        _check_unique("APIC id", [cpu.apic_id for cpu in self.cpus])
        _check_unique("UID", [cpu.uid for cpu in self.cpus])
        if not any(cpu.enabled for cpu in self.cpus):
            raise PlatformError("none of the processors is enabled")
        if self.numa is not None and not isinstance(self.numa, Numa):
            raise PlatformError(f"numa is a Numa or None, not {self.numa!r}")
        object.__setattr__(self, "_x2apic_from", self._first_x2apic())

    def _first_x2apic(self) -> int:
        """Return the least APIC id that gets an x2APIC entry."""
        if self.x2apic not in ("auto", "always", "never"):
            raise PlatformError(
                f'the x2APIC policy is "auto", "always" or "never", not {self.x2apic!r}'
            )
        # Systems drop x2APIC entries with small APIC ids where there are local APIC entries too.
        # So a UID that does not fit into one of the latter makes all of them the former.
        small = [cpu for cpu in self.cpus if cpu.apic_id < _XAPIC_IDS]
        wide = next((cpu for cpu in small if cpu.uid >= _XAPIC_IDS), None)
        if self.x2apic == "never":
            beyond = wide or next((c for c in self.cpus if c.apic_id >= _XAPIC_IDS), None)
            if beyond is not None:
                raise PlatformError(
                    f"the processor with APIC id {beyond.apic_id} and UID {beyond.uid} needs an "
                    'x2APIC entry, and the policy is "never"; without, both are below 255'
                )
        return 0 if self.x2apic == "always" or wide is not None else _XAPIC_IDS

    @property
    def has_x2apic_entries(self) -> bool:
        """Whether there is any x2APIC entry."""
        return any(cpu.apic_id >= self._x2apic_from for cpu in self.cpus)

    @property
    def host_bridge_domain(self) -> int | None:
        """The proximity domain of the preset's host bridge: what `Numa` says of it.

        Raises:
            PlatformError: a domain that no processor and no memory has.
        """
        if self.numa is None:
            return None
        domain = self.numa.host_bridge
        if domain is None:
            return next(cpu.proximity_domain for cpu in self.cpus if cpu.enabled)
        if domain not in self._domains(self.numa):
            raise PlatformError(
                f"the host bridge is in proximity domain {domain!r}, where no processor and no "
                "memory is"
            )
        return domain

    def _domains(self, numa: Numa) -> set[int]:
        domains = {cpu.proximity_domain for cpu in self.cpus}
        return domains | {memory.proximity_domain for memory in numa.memory}

    def madt_entries(self) -> list[Entry]:
        """Return an entry for each, and the NMI pin of all: LINT1."""
        entries: list[Entry] = [_madt_entry(cpu, self._x2apic_from) for cpu in self.cpus]
        if any(cpu.apic_id < self._x2apic_from for cpu in self.cpus):
            entries.append(LocalApicNmi())
        if self.has_x2apic_entries:
            entries.append(LocalX2ApicNmi())
        return entries

    def acpi_nodes(self, _context: Context) -> Iterator[Node]:
        r"""Yield a device for each, for `\_SB`."""
        for number, cpu in enumerate(self.cpus):
            nodes = [_ACPI0007, Name("_UID", cpu.uid)]
            if not cpu.enabled:
                nodes.append(_ABSENT)
            if self.numa is not None:
                nodes.append(Name("_PXM", cpu.proximity_domain))
            yield Device(f"C{number:03X}", *nodes)

    def affinity_tables(self, header: dict[str, Any]) -> list[Table]:
        """Return SRAT and SLIT, where proximity domains matter.

        Raises:
            PlatformError: a domain that has no row of distances.
        """
        if self.numa is None:
            return []
        entries: list[Entry] = [_srat_entry(cpu, self._x2apic_from) for cpu in self.cpus]
        entries += [_memory_entry(memory) for memory in self.numa.memory]
        tables: list[Table] = [Srat(entries, **header)]
        if self.numa.distances:
            _check_distances(max(self._domains(self.numa)), len(self.numa.distances))
            tables.append(Slit(self.numa.distances, **header))
        return tables


def _check_distances(domain: int, rows: int) -> None:
    if domain >= rows:
        raise PlatformError(
            f"proximity domain {domain} has no row in the distances of {rows} domains"
        )


def _check_unique(what: str, numbers: list[int]) -> None:
    if len(set(numbers)) == len(numbers):
        return
    seen: set[int] = set()
    for number in numbers:
        if number in seen:
            raise PlatformError(f"two processors have {what} {number}")
        seen.add(number)


def _madt_entry(cpu: Cpu, x2apic_from: int) -> Entry:
    flags = _ENABLED if cpu.enabled else LapicFlags(2 * cpu.online_capable)
    if cpu.apic_id < x2apic_from:
        return LocalApic(cpu.uid, cpu.apic_id, flags)
    return LocalX2Apic(cpu.apic_id, cpu.uid, flags=flags)


def _srat_entry(cpu: Cpu, x2apic_from: int) -> Entry:
    if cpu.apic_id < x2apic_from:
        return ProcessorLocalApicAffinity(cpu.proximity_domain, cpu.apic_id)
    return ProcessorLocalX2ApicAffinity(cpu.proximity_domain, cpu.apic_id)


def _memory_entry(memory: MemoryRange) -> Entry:
    flags = MemoryAffinityFlags.ENABLED
    if memory.hot_pluggable:
        flags |= MemoryAffinityFlags.HOT_PLUGGABLE
    return MemoryAffinity(memory.proximity_domain, memory.base, memory.size, flags)
