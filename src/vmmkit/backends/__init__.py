# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Processors that run guest code and hand its device accesses to ports, and machines of them.

`vmmkit.backends.kvm` has all of Linux KVM; its virtual machine and its vCPU are here, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmmkit._exports import exports

if TYPE_CHECKING:
    from vmmkit.backends.kvm.machine import KvmMachine
    from vmmkit.backends.kvm.vcpu import KvmVcpu
    from vmmkit.backends.kvm.vm import KvmVm
    from vmmkit.backends.machine_target import MachineTarget
    from vmmkit.backends.recording_target import RecordingTarget
    from vmmkit.backends.soft import SoftVcpu
    from vmmkit.backends.soft_machine import (
        MachineHalted,
        MachineSnapshot,
        MachineVcpu,
        RunEnded,
        SoftMachine,
        TimedWindow,
        VcpuExit,
        VcpuSnapshot,
    )
    from vmmkit.backends.soft_threads import ThreadedMachine
    from vmmkit.backends.vcpu_target import VcpuTarget
else:
    __getattr__, __dir__ = exports(
        __name__,
        {
            "kvm.machine": "KvmMachine",
            "kvm.vcpu": "KvmVcpu",
            "kvm.vm": "KvmVm",
            "machine_target": "MachineTarget",
            "recording_target": "RecordingTarget",
            "soft": "SoftVcpu",
            "soft_machine": (
                "MachineHalted MachineSnapshot MachineVcpu RunEnded SoftMachine TimedWindow "
                "VcpuExit VcpuSnapshot"
            ),
            "soft_threads": "ThreadedMachine",
            "vcpu_target": "VcpuTarget",
        },
    )

__all__ = [
    "SoftVcpu",
    "SoftMachine",
    "ThreadedMachine",
    "KvmMachine",
    "KvmVm",
    "KvmVcpu",
    "RunEnded",
    "MachineHalted",
    "VcpuExit",
    "MachineVcpu",
    "MachineSnapshot",
    "VcpuSnapshot",
    "TimedWindow",
    "MachineTarget",
    "VcpuTarget",
    "RecordingTarget",
]
