# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What CPUID answers: a model whose bits follow a vCPU's features.

The engines do not know what processor they are: CPUID comes out as a `Cpuid` outcome. A
`CpuidModel` answers it from the state: a feature bit is set exactly when `state.features` has the
feature, so what a guest is told is what the engine executes.

>>> from vmmkit.insn import CpuState, Feature
>>> from vmmkit.insn.cpuid import CpuidModel
>>> state, model = CpuState(), CpuidModel()
>>> model(state, 7, 0)[1] >> 8 & 1  # BMI2
1
>>> state.features &= ~Feature.BMI2
>>> model(state, 7, 0)[1] >> 8 & 1
0
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from vmmkit.insn._feature import Feature
from vmmkit.insn._state import CpuState

__all__ = ["DEFAULT_FEATURES", "Answer", "CpuidModel", "CpuidSource"]

Answer = tuple[int, int, int, int]
"""EAX, EBX, ECX, EDX."""

CpuidSource = Callable[[CpuState, int, int], Answer]
"""Answers CPUID for `(state, leaf, subleaf)`."""

EAX, EBX, ECX, EDX = range(4)
NOTHING: Final[Answer] = (0, 0, 0, 0)

BASIC, EXTENDED = 0, 0x8000_0000
HIGHEST: Final = {BASIC: 0xD, EXTENDED: 0x8000_0008}
BRAND: Final = range(0x8000_0002, 0x8000_0005)
MONITOR: Final = 5
TOPOLOGY: Final = 0xB
STATE: Final = 0xD

# SDM vol. 2A, CPUID: leaf, register and bit of each feature; subleaf 0 everywhere.
BITS: Final[dict[Feature, tuple[int, int, int]]] = {
    Feature.SSE3: (1, ECX, 0),
    Feature.MONITOR: (1, ECX, 3),
    Feature.SSSE3: (1, ECX, 9),
    Feature.CX16: (1, ECX, 13),
    Feature.PCID: (1, ECX, 17),
    Feature.SSE41: (1, ECX, 19),
    Feature.SSE42: (1, ECX, 20),
    Feature.MOVBE: (1, ECX, 22),
    Feature.POPCNT: (1, ECX, 23),
    Feature.XSAVE: (1, ECX, 26),
    Feature.AVX: (1, ECX, 28),
    Feature.RDRAND: (1, ECX, 30),
    Feature.FPU: (1, EDX, 0),
    Feature.CX8: (1, EDX, 8),
    Feature.SEP: (1, EDX, 11),
    Feature.CMOV: (1, EDX, 15),
    Feature.CLFSH: (1, EDX, 19),
    Feature.MMX: (1, EDX, 23),
    Feature.FXSR: (1, EDX, 24),
    Feature.SSE: (1, EDX, 25),
    Feature.SSE2: (1, EDX, 26),
    Feature.FSGSBASE: (7, EBX, 0),
    Feature.BMI1: (7, EBX, 3),
    Feature.AVX2: (7, EBX, 5),
    Feature.SMEP: (7, EBX, 7),
    Feature.BMI2: (7, EBX, 8),
    Feature.INVPCID: (7, EBX, 10),
    Feature.AVX512F: (7, EBX, 16),
    Feature.AVX512DQ: (7, EBX, 17),
    Feature.RDSEED: (7, EBX, 18),
    Feature.ADX: (7, EBX, 19),
    Feature.SMAP: (7, EBX, 20),
    Feature.CLFLUSHOPT: (7, EBX, 23),
    Feature.CLWB: (7, EBX, 24),
    Feature.AVX512BW: (7, EBX, 30),
    Feature.AVX512VL: (7, EBX, 31),
    Feature.AVX512VBMI: (7, ECX, 1),
    Feature.UMIP: (7, ECX, 2),
    Feature.PKU: (7, ECX, 3),
    Feature.LA57: (7, ECX, 16),
    Feature.RDPID: (7, ECX, 22),
    Feature.MOVDIRI: (7, ECX, 27),
    Feature.MOVDIR64B: (7, ECX, 28),
    Feature.ENQCMD: (7, ECX, 29),
    Feature.SERIALIZE: (7, EDX, 14),
    Feature.AVX512FP16: (7, EDX, 23),
    Feature.LAHF64: (0x8000_0001, ECX, 0),
    Feature.LZCNT: (0x8000_0001, ECX, 5),
    Feature.SYSCALL: (0x8000_0001, EDX, 11),
    Feature.NX: (0x8000_0001, EDX, 20),
    Feature.RDTSCP: (0x8000_0001, EDX, 27),
    Feature.LM: (0x8000_0001, EDX, 29),
    Feature.WBNOINVD: (0x8000_0008, EBX, 9),
}
# What every engine has: VME, DE, PSE, TSC, MSR, PAE, PGE, PAT, PSE-36; ERMS,
# IA32_ARCH_CAPABILITIES; 1 GiB pages.
ALWAYS: Final = {
    1: (0, 0, 0, 0x0003_207E),
    7: (0, 1 << 9, 0, 1 << 29),
    0x8000_0001: (0, 0, 0, 1 << 26),
}
AVX512_FEATURES: Final = (
    Feature.AVX512F
    | Feature.AVX512DQ
    | Feature.AVX512BW
    | Feature.AVX512VL
    | Feature.AVX512FP16
    | Feature.AVX512VBMI
)
ALL_FEATURES: Final = Feature((1 << len(Feature)) - 1)
DEFAULT_FEATURES: Final = ALL_FEATURES & ~(
    AVX512_FEATURES
    | Feature.MONITOR
    | Feature.RDRAND
    | Feature.RDSEED
    | Feature.LA57
    | Feature.ENQCMD
    | Feature.OTHER
)
"""What a guest gets that makes the best of a software vCPU.

All but what only an owner can answer (RDRAND, RDSEED, ENQCMD), waits that do not wait (MONITOR), a
paging level that costs time, features of which nothing is executed (OTHER), and AVX-512.
Floating-point arithmetic is executed of no extension. SSE2 is shown all the same, since 64-bit code
takes it for granted; and then so are SSSE3, SSE4, AVX and AVX2, all of whose other instructions are
executed: what guests choose them for without being asked to compute is copying, searching and
comparing. AVX-512 lacks more (scatters, conflicts, counts), and its state makes every XSAVE area of
a guest three times as large.
"""

CR4_OSXSAVE: Final = 1 << 18
CR4_PKE: Final = 1 << 22
OSXSAVE: Final = 1 << 27  # of leaf 1, ECX
OSPKE: Final = 1 << 4  # of leaf 7, ECX
HYPERVISOR: Final = 1 << 31  # of leaf 1, ECX
APIC: Final = 1 << 9  # of leaf 1, EDX
HTT: Final = 1 << 28  # of leaf 1, EDX
CLFLUSH_UNITS: Final = 64 // 8
LINEAR_BITS: Final = 48
LINEAR_BITS_LA57: Final = 57
XCR0_ALWAYS: Final = 3  # x87 and SSE
XSAVE_LEGACY: Final = 576  # bytes of the legacy region and the header
# SDM vol. 2A, CPUID, leaf 0DH: bit of XCR0, offset in the standard format and size of a component.
COMPONENTS: Final = (
    (Feature.AVX, 2, 576, 256),
    (Feature.AVX512F, 5, 1088, 64),
    (Feature.AVX512F, 6, 1152, 512),
    (Feature.AVX512F, 7, 1664, 1024),
    (Feature.PKU, 9, 2688, 8),
)
COMPACTING: Final = 1 << 3 | 1 << 1
XSAVE_FLAGS: Final = (  # of leaf 0DH.1, EAX; XGETBV with ECX 1 comes with XSAVEC
    (Feature.XSAVEOPT, 1 << 0),
    (Feature.XSAVEC, 3 << 1),
    (Feature.XSAVES, 1 << 3),
)
# Leaf 5: least and greatest line of MONITOR in bytes; extensions are told of, and one is that
# interrupts may end MWAIT though they are masked; no C-states.
MONITOR_LINES: Final[Answer] = (64, 64, 3, 0)
THREAD, CORE = 1, 2  # level types of leaf 0BH


class CpuidModel:
    """The processor that CPUID describes.

    Leaves of its own are 0, 1, 5, 7, 0BH, 0DH and 80000000H to 80000008H; every other answers
    zeros. `leaves` overrides and adds: a dictionary from `(leaf, subleaf)` to EAX, EBX, ECX, EDX.

    Args:
        vendor: 12 characters.
        signature: family, model and stepping as leaf 1 has them in EAX.
        brand: up to 47 characters.
        apic_id: of this vCPU; leaf 1 shows its low eight bits.
        processors: logical processors in the machine, at least 1.
        apic: whether the machine has local APICs.
        package_bits: low bits of an APIC ID that tell the processors of a package apart; without
            it as many as `processors` need.
        hypervisor: whether to tell the guest that it runs on no real processor (leaf 1, ECX bit
            31), so that it leaves alone what only the model of a processor promises: microcode
            updates, uncore counters, C-states.
    """

    def __init__(
        self,
        *,
        vendor: str = "GenuineIntel",
        signature: int = 0x0006_06A0,
        brand: str = "vmmkit software vCPU",
        apic_id: int = 0,
        processors: int = 1,
        apic: bool = False,
        package_bits: int | None = None,
        hypervisor: bool = True,
    ) -> None:
        """Describe a processor."""
        self.leaves: dict[tuple[int, int], Answer] = {}
        self._vendor = struct.unpack("<3I", vendor.encode("ascii").ljust(12)[:12])
        self._signature = signature
        text = struct.unpack("<12I", brand.encode("ascii")[:47].ljust(48, b"\0"))
        self._brand = [list(text[start : start + 4]) for start in (0, 4, 8)]
        self._apic_id = apic_id
        self._processors = processors
        self._apic = APIC if apic else 0
        needed = (processors - 1).bit_length()
        self._package_bits = needed if package_bits is None else package_bits
        self._hypervisor = HYPERVISOR if hypervisor else 0

    def __call__(self, state: CpuState, leaf: int, subleaf: int) -> Answer:
        """Answer one CPUID."""
        known = self.leaves.get((leaf, subleaf))
        if known is not None:
            return known
        if leaf in HIGHEST:
            first, second, third = self._vendor
            return HIGHEST[leaf], first, third, second
        if leaf in BRAND:
            return _answer(self._brand[leaf - BRAND.start])
        if leaf == MONITOR:
            return MONITOR_LINES if state.features & Feature.MONITOR else NOTHING
        if leaf == TOPOLOGY:
            return self._topology(subleaf)
        if leaf == STATE:
            return _xsave(state, subleaf)
        return _answer(self._flags(state, leaf)) if not subleaf or leaf != 7 else NOTHING

    def _flags(self, state: CpuState, leaf: int) -> list[int]:
        """Leaves with feature bits."""
        words = list(ALWAYS.get(leaf, NOTHING))
        for feature, (number, register, bit) in BITS.items():
            if number == leaf and state.features & feature:
                words[register] |= 1 << bit
        if leaf == 1:
            self._add_identity(state, words)
        elif leaf == 7 and state.cr4 & CR4_PKE:
            words[ECX] |= OSPKE
        elif leaf == HIGHEST[EXTENDED]:
            la57 = state.features & Feature.LA57
            words[EAX] = state.maxphyaddr | (LINEAR_BITS_LA57 if la57 else LINEAR_BITS) << 8
        return words

    def _add_identity(self, state: CpuState, words: list[int]) -> None:
        """Leaf 1: who and how many, and what CR4 shows."""
        words[EAX] = self._signature
        shown = min(self._processors, 0xFF)
        words[EBX] = (self._apic_id & 0xFF) << 24 | shown << 16 | CLFLUSH_UNITS << 8
        words[ECX] |= self._hypervisor | (OSXSAVE if state.cr4 & CR4_OSXSAVE else 0)
        words[EDX] |= self._apic | (HTT if self._processors > 1 else 0)

    def _topology(self, subleaf: int) -> Answer:
        """One thread a core, all cores in one package."""
        if subleaf == 0:
            return 0, 1, THREAD << 8, self._apic_id
        if subleaf == 1:
            return self._package_bits, self._processors, CORE << 8 | 1, self._apic_id
        return 0, 0, subleaf, self._apic_id


def _answer(words: list[int]) -> Answer:
    eax, ebx, ecx, edx = words
    return eax, ebx, ecx, edx


def _xsave(state: CpuState, subleaf: int) -> Answer:
    """Components of XCR0, and bytes of an XSAVE area: of those that are on, and of all."""
    if not state.features & Feature.XSAVE:
        return NOTHING
    known = {bit: (offset, size) for has, bit, offset, size in COMPONENTS if state.features & has}
    if subleaf == 0:
        on = {bit: place for bit, place in known.items() if state.xcr0 >> bit & 1}
        return XCR0_ALWAYS | sum(1 << bit for bit in known), _whole(on), _whole(known), 0
    if subleaf == 1:
        flags = sum(bit for has, bit in XSAVE_FLAGS if state.features & has)
        on_or_supervisor = state.xcr0 | state.xss
        compacted = sum(size for bit, (_, size) in known.items() if on_or_supervisor >> bit & 1)
        return flags, XSAVE_LEGACY + compacted if flags & COMPACTING else 0, 0, 0
    offset, size = known.get(subleaf, (0, 0))
    return size, offset, 0, 0


def _whole(places: dict[int, tuple[int, int]]) -> int:
    return max((offset + size for offset, size in places.values()), default=XSAVE_LEGACY)
