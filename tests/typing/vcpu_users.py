# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""vCPUs of every backend as their users type them; read by the type checker only."""

from vmmkit.backends import SoftVcpu
from vmmkit.backends.kvm import KvmVcpu, KvmVm
from vmmkit.backends.msrs import MsrFile
from vmmkit.insn import CpuState, Outcome
from vmmkit.protocols import Vcpu


def outcome_of(vcpu: Vcpu) -> Outcome:
    found: Outcome = vcpu.run()
    vcpu.kick()
    return found


with KvmVm() as vm, KvmVcpu(vm, 1, apic_id=2, processors=3, msrs=MsrFile()) as in_kvm:
    state: CpuState = in_kvm.state
    outcome_of(in_kvm)
    outcome_of(SoftVcpu(state=state, cpuid=in_kvm.cpuid))
    KvmVcpu(vm, unknown_msrs="ignore")  # type: ignore[arg-type]
