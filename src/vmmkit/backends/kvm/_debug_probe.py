# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What of guest debugging this kernel honours, found out by a guest of two instructions.

The capabilities do not tell. A kernel that interprets guest code may accept a data breakpoint and
never look at it; one that runs ring 3 without hardware virtualization may hand the single step's
trap to the guest. Each question is asked once for a process.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Final

from vmmkit.backends.kvm._ioctl import call
from vmmkit.backends.kvm._registers import push_general, push_system
from vmmkit.backends.kvm._run_page import RunPage
from vmmkit.backends.kvm._spec import (
    CPUID_ENTRY,
    CPUID_HEAD,
    GUEST_DEBUG,
    KVM_GET_SREGS,
    KVM_GET_SUPPORTED_CPUID,
    KVM_RUN,
    KVM_SET_CPUID2,
    KVM_SET_GUEST_DEBUG,
    KVM_SET_REGS,
    KVM_SET_SREGS,
    REGS,
    RUN_EXIT_REASON,
    SREGS_SIZE,
    Exit,
    GuestDebug,
)
from vmmkit.backends.kvm.vm import KvmVm, allocate_ram
from vmmkit.errors import StateError
from vmmkit.insn import CpuState, Segment
from vmmkit.memregion import RegionMap

__all__ = ["has_data_breakpoints", "require_data_breakpoints", "steps_user_code"]

CODE, TABLES, TARGET, SIZE = 0x800, 0x1000, 0xC00, 0x4000
CPUID_ROWS: Final = 256  # more than any kernel has
STORE_AND_HALT: Final = bytes.fromhex("8803 f4")  # mov [rbx], al; hlt
ENTRY: Final = 0x67  # present, writable, user, accessed, dirty
PAGE_OF_2_MIB: Final = ENTRY | 0x80
USER_CODE: Final = Segment(0x2B, 0, 0xFFFF_FFFF, 0xA0FB)
USER_DATA: Final = Segment(0x33, 0, 0xFFFF_FFFF, 0xC0F3)
DR7_STORE_OF_A_BYTE: Final = 0x1_0402  # R/W0 is 01 and LEN0 00: SDM vol. 3B, "Debug Registers"


def _state(*, user: bool) -> CpuState:
    """Registers for the two instructions, in 64-bit mode."""
    state = CpuState()
    state.enter_long_mode(CODE, TABLES)
    state.rbx = TARGET
    if user:
        state.cs = USER_CODE
        state.ss = state.ds = state.es = state.fs = state.gs = USER_DATA
    return state


def _load(vcpu: int, vm: KvmVm, state: CpuState) -> None:
    cpuid = bytearray(CPUID_HEAD.size + CPUID_ROWS * CPUID_ENTRY.size)
    CPUID_HEAD.pack_into(cpuid, 0, CPUID_ROWS)
    vm.kvm.call(KVM_GET_SUPPORTED_CPUID, cpuid)
    call(vcpu, KVM_SET_CPUID2, cpuid)
    sregs, regs = bytearray(SREGS_SIZE), bytearray(REGS.size)
    call(vcpu, KVM_GET_SREGS, sregs)
    push_system(state.record, state.words, memoryview(sregs))
    push_general(state.words, memoryview(regs).cast("Q"))
    call(vcpu, KVM_SET_SREGS, sregs)
    call(vcpu, KVM_SET_REGS, regs)


def _ends_in_debug_exit(control: int, dr7: int, *, user: bool) -> bool:
    """Run the two instructions; tell whether the kernel reports a debug event."""
    ram = allocate_ram(SIZE)
    ram[CODE : CODE + len(STORE_AND_HALT)] = STORE_AND_HALT
    for level in range(3):
        entry = PAGE_OF_2_MIB if level == 2 else TABLES + 0x1000 * (level + 1) | ENTRY
        place = TABLES + 0x1000 * level
        ram[place : place + 8] = entry.to_bytes(8, "little")
    space = RegionMap(name="probe")
    space.add_ram(0, ram)
    with KvmVm() as vm:
        vm.attach(space)
        vcpu = vm.create_vcpu_fd(0)
        page = RunPage(vcpu, vm.vcpu_mmap_size)
        try:
            _load(vcpu, vm, _state(user=user))
            debug = GUEST_DEBUG.pack(GuestDebug.ENABLE | control, TARGET, *[0] * 6, dr7)
            call(vcpu, KVM_SET_GUEST_DEBUG, debug)
            call(vcpu, KVM_RUN)
            return bool(page.longs[RUN_EXIT_REASON // 4] == Exit.DEBUG)
        finally:
            page.close()
            os.close(vcpu)


@cache
def has_data_breakpoints() -> bool:
    """Tell whether the kernel reports that a data breakpoint was hit."""
    return _ends_in_debug_exit(GuestDebug.USE_HW_BP, DR7_STORE_OF_A_BYTE, user=False)


@cache
def steps_user_code() -> bool:
    """Tell whether the kernel reports a single step in ring 3."""
    return _ends_in_debug_exit(GuestDebug.SINGLESTEP, 0, user=True)


def require_data_breakpoints() -> None:
    """Make sure that breakpoints on data are hit here.

    Raises:
        StateError: the kernel takes them and never reports a hit.
    """
    if not has_data_breakpoints():
        raise StateError(
            "this kernel's KVM accepts breakpoints on data and never reports a hit, as it does"
            " where it is itself a guest and interprets code: use those on instructions, or the"
            " software vCPU"
        )
