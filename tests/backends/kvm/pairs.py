# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The same guest on a vCPU in software and on one in KVM."""

import struct
import threading
from contextlib import contextmanager

from vmmkit.backends import SoftVcpu
from vmmkit.backends.kvm import KvmVcpu, KvmVm, allocate_ram
from vmmkit.insn import BudgetSpent, CpuState, Halt, PortIn, Read, ReadMsr, TripleFault, Unsupported
from vmmkit.memregion import RegionMap

RAM_BYTES = 0x10000
CODE, STACK, DEVICE = 0x1000, 0x7000, 0x40000
PML4, PDPT, PD = 0x8000, 0x9000, 0xA000
GDT = 0xB000
SECONDS = 20.0
READS = (Read, PortIn, ReadMsr)
ENDS = (Halt, TripleFault, Unsupported, BudgetSpent)
SHOWN = ("rip", "rflags", "cr0", "cr2", "cr3", "cr4", "efer")
SEGMENTS = ("cs", "ds", "es", "ss", "fs", "gs")
CR4_OSFXSR, CR4_OSXSAVE = 1 << 9, 1 << 18
RF = 1 << 16


def page_tables(ram):
    """Map the first 4 MiB to themselves, for user code too."""
    for place, entry in ((PML4, PDPT | 7), (PDPT, PD | 7), (PD, 0x87), (PD + 8, 0x200087)):
        ram[place : place + 8] = struct.pack("<Q", entry)


def image(code):
    """RAM with page tables, a flat GDT and code."""
    ram = bytearray(RAM_BYTES)
    page_tables(ram)
    ram[GDT : GDT + 24] = struct.pack("<3Q", 0, 0x00AF9B000000FFFF, 0x00CF93000000FFFF)
    ram[CODE : CODE + len(code)] = code
    return ram


def start(state, mode):
    """Put a state at the code, in a mode of 16, 32 or 64 bits."""
    if mode == 16:
        state.enter_real_mode(ip=CODE)
    elif mode == 32:
        state.enter_protected_mode(CODE)
    else:
        state.enter_long_mode(CODE, PML4)
    state.gdtr_base, state.gdtr_limit = GDT, 23
    state.gpr[:] = memoryview(bytes(128)).cast("Q")
    state.cr4 |= CR4_OSFXSR
    state.rsp = STACK


@contextmanager
def kvm_vcpu(ram=None, **options):
    """A vCPU in KVM with `ram` at 0; closed at the end, kicked when it takes too long."""
    pages, memory = allocate_ram(RAM_BYTES), RegionMap()
    pages[:] = bytes(RAM_BYTES if ram is None else ram)
    memory.add_ram(0, pages, name="ram")
    with KvmVm() as vm, KvmVcpu(vm, **options) as vcpu:
        vm.attach(memory)
        watchdog = threading.Timer(SECONDS, vcpu.kick)
        watchdog.start()
        try:
            yield vcpu, pages, memory
        finally:
            watchdog.cancel()
            watchdog.join()


def soft_vcpu(ram, cpuid, **options):
    """A vCPU in software that is the same processor."""
    state = CpuState()
    state.features, state.maxphyaddr = cpuid.features, cpuid.maxphyaddr
    return SoftVcpu([(0, ram)], state=state, cpuid=cpuid, deliver=True, **options)


def outcomes(vcpu, answers=0x8877665544332211, limit=400):
    """Run to the end; everything that came out, reads answered."""
    found = []
    while len(found) < limit:
        outcome = vcpu.run()
        found.append(outcome)
        if isinstance(outcome, ENDS):
            break
        if isinstance(outcome, READS):
            vcpu.complete(answers + len(found))
    return found


def registers(state):
    """What two runs are compared by."""
    shown = {name: getattr(state, name) for name in SHOWN}
    shown["rflags"] &= ~RF  # the kernel shows it set after a fault
    shown |= {name: getattr(state, name).selector for name in SEGMENTS}
    shown["gpr"] = state.gpr.tolist()
    shown["xmm"] = list(state.xmm)
    return shown
