# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Linux KVM as a backend.

Can be imported on any system; what needs the device says so when it is used. Ask
`unusable_reason` first. A name is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmmkit._exports import exports

if TYPE_CHECKING:
    from vmmkit.backends.kvm._interrupts import GsiLine
    from vmmkit.backends.kvm._notifiers import IoEventFd, IrqFd
    from vmmkit.backends.kvm._probe import unusable_reason
    from vmmkit.backends.kvm._routing import PC_ROUTES, ChipRoute, MsiRoute
    from vmmkit.backends.kvm._slots import MemorySlot
    from vmmkit.backends.kvm._spec import Cap, Chip
    from vmmkit.backends.kvm.machine import KvmMachine
    from vmmkit.backends.kvm.vcpu import KvmVcpu
    from vmmkit.backends.kvm.vm import CpuidEntry, KvmVm, allocate_ram
else:
    __getattr__, __dir__ = exports(
        __name__,
        {
            "_interrupts": "GsiLine",
            "_notifiers": "IoEventFd IrqFd",
            "_probe": "unusable_reason",
            "_routing": "PC_ROUTES ChipRoute MsiRoute",
            "_slots": "MemorySlot",
            "_spec": "Cap Chip",
            "machine": "KvmMachine",
            "vcpu": "KvmVcpu",
            "vm": "CpuidEntry KvmVm allocate_ram",
        },
    )

__all__ = [
    "unusable_reason",
    "KvmVm",
    "KvmVcpu",
    "KvmMachine",
    "allocate_ram",
    "MemorySlot",
    "CpuidEntry",
    "Cap",
    "Chip",
    "ChipRoute",
    "MsiRoute",
    "PC_ROUTES",
    "GsiLine",
    "IrqFd",
    "IoEventFd",
]
