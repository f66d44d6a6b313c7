# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Which processor a vCPU is among the others, in its CPUID table.

SDM vol. 2A, CPUID, leaves 1, 4, 0BH and 1FH: one package of cores with one thread each. What KVM
offers describes the host's processors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import attrs

from vmmkit.backends.kvm.vm import CpuidEntry

__all__ = ["with_topology"]

HIGHEST, IDENTITY, CACHES, TOPOLOGY, TOPOLOGY_2, EXTENDED_ID = 0, 1, 4, 0xB, 0x1F, 0x8000_001E
TSC_DEADLINE: Final = 1 << 24  # ECX of leaf 1; with a local APIC in KVM
THREADS: Final = 1 << 28  # EDX of leaf 1: EBX tells the number of logical processors
CACHE_LEVEL: Final = 5  # first bit of it in EAX of leaf 4
SHARED_BY: Final = 14  # first bit of two fields there, of 12 and 6 bits
CORES: Final = 26
PRIVATE_LEVELS: Final = 2
SIGNIFICANT_INDEX: Final = 1
THREAD_LEVEL, CORE_LEVEL = 1, 2  # level types in ECX of leaf 0BH


def with_topology(
    entries: Iterable[CpuidEntry], apic_id: int, apic_ids: Sequence[int]
) -> tuple[CpuidEntry, ...]:
    """Return a CPUID table for one of several processors.

    Args:
        entries: the table for any.
        apic_id: of this one.
        apic_ids: of all.
    """
    count, bits = len(apic_ids), max(apic_ids).bit_length()
    changes: dict[int, Callable[[CpuidEntry], CpuidEntry]] = {
        HIGHEST: lambda entry: attrs.evolve(entry, eax=max(entry.eax, TOPOLOGY)),
        IDENTITY: lambda entry: _identity(entry, apic_id, count),
        CACHES: lambda entry: _cache(entry, bits),
        EXTENDED_ID: lambda entry: attrs.evolve(entry, eax=apic_id),
    }
    held = tuple(entries)
    leaves = {TOPOLOGY} | {entry.function for entry in held if entry.function == TOPOLOGY_2}
    kept = [entry for entry in held if entry.function not in (TOPOLOGY, TOPOLOGY_2)]
    changed = [changes.get(entry.function, lambda entry: entry)(entry) for entry in kept]
    return (*changed, *(row for leaf in leaves for row in _levels(leaf, apic_id, count, bits)))


def _identity(entry: CpuidEntry, apic_id: int, count: int) -> CpuidEntry:
    ebx = entry.ebx & 0xFFFF | min(count, 0xFF) << 16 | (apic_id & 0xFF) << 24
    edx = entry.edx | THREADS if count > 1 else entry.edx & ~THREADS
    return attrs.evolve(entry, ebx=ebx, ecx=entry.ecx | TSC_DEADLINE, edx=edx)


def _cache(entry: CpuidEntry, bits: int) -> CpuidEntry:
    """Caches up to the second level are a core's own, the others the package's."""
    if not entry.eax & 0x1F:
        return entry
    ids = (1 << bits) - 1
    shared = ids if entry.eax >> CACHE_LEVEL & 7 > PRIVATE_LEVELS else 0
    eax = entry.eax & 0x3FFF | min(shared, 0xFFF) << SHARED_BY | min(ids, 0x3F) << CORES
    return attrs.evolve(entry, eax=eax)


def _levels(leaf: int, apic_id: int, count: int, bits: int) -> list[CpuidEntry]:
    rows = ((0, 1, THREAD_LEVEL), (bits, count, CORE_LEVEL), (0, 0, 0))
    return [
        CpuidEntry(leaf, index, SIGNIFICANT_INDEX, shift, held, index | kind << 8, apic_id)
        for index, (shift, held, kind) in enumerate(rows)
    ]
