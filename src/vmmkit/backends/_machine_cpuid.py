# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""CPUID of a processor that has a local APIC: a `CpuidModel`, and what the machine adds to it."""

from __future__ import annotations

from math import gcd
from typing import Final

from vmmkit.devices import Lapic
from vmmkit.insn import CpuState
from vmmkit.insn.cpuid import Answer, CpuidModel

__all__ = ["MachineCpuid"]

IDENTITY: Final = 1
TOPOLOGY: Final = 0xB
TSC_RATE: Final = 0x15
FREQUENCIES: Final = 0x16
TOPOLOGY_2: Final = 0x1F
APIC: Final = 1 << 9  # of leaf 1, EDX
X2APIC: Final = 1 << 21  # of leaf 1, ECX
TSC_DEADLINE: Final = 1 << 24
NARROW: Final = 0xFFFF_FFFF
MEGAHERTZ: Final = 1_000_000
FASTEST: Final = 0xFFFF  # MHz that leaf 16H has room for


class MachineCpuid:
    """One vCPU's answers.

    SDM vol. 2A, CPUID: the APIC bit of leaf 1 is clear while the local APIC is disabled in
    IA32_APIC_BASE; leaf 1FH has the topology of 0BH; leaf 15H the rates of TSC and APIC timer;
    leaf 16H the rate of the TSC as the processor's own, so that no guest measures it by the PIT.

    Args:
        model: answers everything else.
        lapic: this vCPU's.
    """

    def __init__(self, model: CpuidModel, lapic: Lapic) -> None:
        """Put the processor behind its local APIC."""
        self._model, self._lapic = model, lapic
        common = gcd(lapic.timer_hz, lapic.tsc_hz)
        crystal = lapic.timer_hz if lapic.timer_hz <= NARROW else 0
        rates = lapic.timer_hz // common, lapic.tsc_hz // common, crystal, 0
        base, bus = (min(hz // MEGAHERTZ, FASTEST) for hz in (lapic.tsc_hz, lapic.timer_hz))
        self._rates: dict[int, Answer] = {TSC_RATE: rates, FREQUENCIES: (base, base, bus, 0)}

    def __call__(self, state: CpuState, leaf: int, subleaf: int) -> Answer:
        """Answer one CPUID."""
        if leaf in self._rates:
            return self._rates[leaf]
        eax, ebx, ecx, edx = self._model(state, TOPOLOGY if leaf == TOPOLOGY_2 else leaf, subleaf)
        if leaf == 0:
            eax = max(eax, TOPOLOGY_2)
        elif leaf == IDENTITY:
            edx = edx | APIC if self._lapic.enabled else edx & ~APIC
            ecx |= TSC_DEADLINE | (X2APIC if self._lapic.x2apic else 0)
        return eax, ebx, ecx, edx
