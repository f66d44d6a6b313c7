# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Linux KVM as a backend.

Can be imported on any system; what needs the device says so when it is used. Ask
`unusable_reason` first. A name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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

#: Where each name is.
_HOMES = {
    "unusable_reason": "_probe",
    "KvmVm": "vm",
    "KvmVcpu": "vcpu",
    "KvmMachine": "machine",
    "allocate_ram": "vm",
    "MemorySlot": "_slots",
    "CpuidEntry": "vm",
    "Cap": "_spec",
    "Chip": "_spec",
    "ChipRoute": "_routing",
    "MsiRoute": "_routing",
    "PC_ROUTES": "_routing",
    "GsiLine": "_interrupts",
    "IrqFd": "_notifiers",
    "IoEventFd": "_notifiers",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return value


def __dir__() -> list[str]:
    """List the public names, too, that nobody has asked for yet."""
    return sorted({*globals(), *__all__})
