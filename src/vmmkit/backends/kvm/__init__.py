# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Linux KVM as a backend.

Can be imported on any system; what needs the device says so when it is used. Ask
`unusable_reason` first.
"""

from vmmkit.backends.kvm._probe import unusable_reason
from vmmkit.backends.kvm._slots import MemorySlot
from vmmkit.backends.kvm.vm import CpuidEntry, KvmVm, allocate_ram

__all__ = ["unusable_reason", "KvmVm", "MemorySlot", "CpuidEntry", "allocate_ram"]
