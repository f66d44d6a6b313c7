# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Processors that run guest code and hand its device accesses to ports, and machines of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmmkit._exports import exports

if TYPE_CHECKING:
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
