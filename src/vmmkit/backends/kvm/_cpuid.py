# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What CPUID tells a vCPU in KVM, and the same answers for a vCPU in software.

The kernel answers CPUID by a table (KVM_SET_CPUID2). `vcpu_table` makes one vCPU's of it: its APIC
ID, and how many processors there are. `CpuidTable` looks up as the kernel does, so that a guest
sees no other processor when it moves to a `SoftVcpu`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from attrs import astuple, evolve

from vmmkit.backends.kvm.vm import CpuidEntry
from vmmkit.insn import CpuState
from vmmkit.insn.cpuid import BITS, XSAVE_FLAGS, Answer

__all__ = ["CpuidTable", "row_of", "vcpu_table"]

IDENTITY, CACHES, TOPOLOGY, STATE, TOPOLOGY_2 = 1, 4, 0xB, 0xD, 0x1F
SIZES: Final = 0x8000_0008
AMD_CACHES: Final = 0x8000_001D
EXTENDED_TOPOLOGY: Final = 0x8000_001E
TOPOLOGIES: Final = frozenset({TOPOLOGY, TOPOLOGY_2})
THREAD, CORE = 1, 2  # level types of leaves 0BH and 1FH
INDEXED: Final = 1
HTT: Final = 1 << 28  # of leaf 1, EDX
HYPERVISOR: Final = 1 << 31  # of leaf 1, ECX
NOTHING: Final[Answer] = (0, 0, 0, 0)
WIDTH_WITHOUT: Final = 36  # SDM vol. 2A, CPUID: with PAE and without leaf 80000008H
CR4_OSXSAVE, OSXSAVE = 1 << 18, 1 << 27
CR4_PKE, OSPKE = 1 << 22, 1 << 4
# SDM vol. 2A, CPUID, leaf 0DH: bytes of the legacy region and header of an XSAVE area.
LEGACY: Final = 576
COMPACT_ALIGNED: Final = 2  # of ECX of a component: starts at a multiple of 64 when compacted


def _identity(entry: CpuidEntry, apic_id: int, processors: int | None) -> CpuidEntry:
    """Leaf 1: the APIC ID, and how many there are."""
    ebx = entry.ebx & 0x00FF_FFFF | (apic_id & 0xFF) << 24
    if processors is None:
        return evolve(entry, ebx=ebx)
    ebx = ebx & 0xFF00_FFFF | min(processors, 0xFF) << 16
    edx = entry.edx | HTT if processors > 1 else entry.edx & ~HTT
    return evolve(entry, ebx=ebx, ecx=entry.ecx | HYPERVISOR, edx=edx)


def _caches(entry: CpuidEntry, processors: int) -> CpuidEntry:
    """Leaf 4: one core a processor; the last level of cache is everybody's."""
    if not entry.eax & 31:
        return entry  # behind the last cache
    level = entry.eax >> 5 & 7
    cores = min(processors - 1, 0x3F)
    sharing = min(processors - 1, 0xFFF) if level >= 3 else 0
    return evolve(entry, eax=entry.eax & 0x3FFF | sharing << 14 | cores << 26)


def _amd_caches(entry: CpuidEntry, processors: int) -> CpuidEntry:
    """Leaf 8000001DH: as leaf 4, without a number of cores."""
    found = _caches(entry, processors)
    return evolve(found, eax=found.eax & 0x03FF_FFFF)


def _sizes(entry: CpuidEntry, processors: int) -> CpuidEntry:
    """Leaf 80000008H, which tells the number of cores where ECX is not reserved."""
    bits = (processors - 1).bit_length()
    cores = bits << 12 | min(processors - 1, 0xFF)
    return evolve(entry, ecx=entry.ecx & ~0xF0FF | cores) if entry.ecx else entry


def _levels(leaf: int, apic_id: int, processors: int) -> Iterator[CpuidEntry]:
    """Leaves 0BH and 1FH: one thread a core, all cores in one package."""
    bits = (processors - 1).bit_length()
    yield CpuidEntry(leaf, 0, INDEXED, 0, 1, THREAD << 8, apic_id)
    yield CpuidEntry(leaf, 1, INDEXED, bits, processors, CORE << 8 | 1, apic_id)
    yield CpuidEntry(leaf, 2, INDEXED, 0, 0, 2, apic_id)


#: Leaves that tell how many processors there are, where they tell anything.
COUNTS: Final[dict[int, Callable[[CpuidEntry, int], CpuidEntry]]] = {
    CACHES: _caches,
    AMD_CACHES: _amd_caches,
    SIZES: _sizes,
}


def vcpu_table(
    entries: Iterable[CpuidEntry], apic_id: int, processors: int | None = None
) -> tuple[CpuidEntry, ...]:
    """Return a table with what is one vCPU's own.

    Args:
        entries: the table for all vCPUs.
        apic_id: of this one.
        processors: how many the machine has; with `None` the table says so already, and only the
            APIC ID is filled in.
    """
    found = []
    for entry in entries:
        leaf = entry.function
        if leaf == IDENTITY:
            found.append(_identity(entry, apic_id, processors))
        elif leaf in TOPOLOGIES and processors is not None:
            if entry.index == 0:
                found.extend(_levels(leaf, apic_id, processors))
        elif leaf in TOPOLOGIES:
            found.append(evolve(entry, edx=apic_id))
        elif leaf in COUNTS and processors is not None:
            found.append(COUNTS[leaf](entry, processors))
        elif leaf == EXTENDED_TOPOLOGY:
            found.append(evolve(entry, eax=apic_id))
        else:
            found.append(entry)
    return tuple(found)


class CpuidTable:
    """Answers CPUID from a table, as KVM does; for the `cpuid` of a `SoftVcpu`.

    What depends on registers follows those of the vCPU that asks: OSXSAVE, OSPKE, and the sizes of
    the XSAVE area.

    Args:
        entries: the table.
    """

    def __init__(self, entries: Iterable[CpuidEntry]) -> None:
        """Index it."""
        self._indexed: dict[tuple[int, int], CpuidEntry] = {}
        self._plain: dict[int, CpuidEntry] = {}
        for entry in entries:
            if entry.indexed:
                self._indexed[entry.function, entry.index] = entry
            else:
                self._plain[entry.function] = entry

    @property
    def entries(self) -> tuple[CpuidEntry, ...]:
        """The rows."""
        return (*self._plain.values(), *self._indexed.values())

    def row(self, leaf: int, subleaf: int = 0) -> Answer:
        """Return EAX, EBX, ECX and EDX of a row, zeros where there is none."""
        entry = self._plain.get(leaf) or self._indexed.get((leaf, subleaf))
        return (entry.eax, entry.ebx, entry.ecx, entry.edx) if entry else NOTHING

    @property
    def features(self) -> int:
        """The features that the table shows, as `CpuState.features` has them."""
        shown = 0
        for feature, (leaf, register, bit) in BITS.items():
            if self.row(leaf)[register] >> bit & 1:
                shown |= feature
        flags = self.row(STATE, 1)[0]
        return int(shown | sum(feature for feature, bits in XSAVE_FLAGS if flags & bits == bits))

    @property
    def maxphyaddr(self) -> int:
        """Width of physical addresses in bits."""
        return self.row(SIZES)[0] & 0xFF or WIDTH_WITHOUT

    @property
    def components(self) -> int:
        """The bits that XCR0 may have."""
        eax, _, _, edx = self.row(STATE)
        return edx << 32 | eax

    @property
    def places(self) -> list[tuple[int, int]]:
        """`(component, offset)` of the components of the XSAVE area."""
        found = self._indexed.items()
        return [(part, row.ebx) for (leaf, part), row in found if leaf == STATE and part > 1]

    def __call__(self, state: CpuState, leaf: int, subleaf: int) -> Answer:
        """Answer one CPUID."""
        eax, ebx, ecx, edx = self._lookup(leaf, subleaf)
        if leaf == IDENTITY:
            ecx = ecx | OSXSAVE if state.cr4 & CR4_OSXSAVE else ecx & ~OSXSAVE
        elif leaf == 7 and not subleaf:
            ecx = ecx | OSPKE if state.cr4 & CR4_PKE else ecx & ~OSPKE
        elif leaf == STATE and subleaf == 0 and eax:
            ebx = self._area(state.xcr0)
        elif leaf == STATE and subleaf == 1 and ebx:
            ebx = self._compacted(state.xcr0 | state.xss)
        return eax, ebx, ecx, edx

    def _lookup(self, leaf: int, subleaf: int) -> Answer:
        found = self.row(leaf, subleaf)
        if leaf in self._plain or (leaf, subleaf) in self._indexed:
            return found
        if leaf in TOPOLOGIES and (leaf, 1) in self._indexed:
            return 0, 0, subleaf & 0xFF, self.row(leaf, 1)[3]
        return self._past_the_last(leaf, subleaf)

    def _past_the_last(self, leaf: int, subleaf: int) -> Answer:
        """SDM vol. 2A, CPUID: above the highest leaf there is the data of the highest basic one."""
        highest = self.row(leaf & 0x8000_0000)[0]
        if leaf <= highest or self.row(0)[1] != GENUINE:
            return NOTHING
        return self.row(self.row(0)[0], subleaf)

    def _area(self, components: int) -> int:
        sizes = [row[1] + row[0] for row in self._parts(components)]
        return max(sizes, default=LEGACY)

    def _compacted(self, components: int) -> int:
        size = LEGACY
        for length, _, flags, _ in self._parts(components):
            size = (-(-size // 64) * 64 if flags & COMPACT_ALIGNED else size) + length
        return size

    def _parts(self, components: int) -> list[Answer]:
        return [self.row(STATE, part) for part in range(2, 63) if components >> part & 1]


GENUINE: Final = int.from_bytes(b"Genu", "little")


def row_of(entry: CpuidEntry) -> tuple[int, ...]:
    """Return a row as struct kvm_cpuid_entry2 has it."""
    return astuple(entry)
