# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A KVM vCPU with a few pages of RAM, flat page tables and a device that remembers."""

import threading
from contextlib import contextmanager

from vmmkit.backends.kvm.vcpu import KvmVcpu
from vmmkit.backends.kvm.vm import KvmVm, allocate_ram
from vmmkit.insn import Segment
from vmmkit.memregion import RegionMap

__all__ = ["CODE", "DATA", "DEVICE", "STACK", "SmallGuest"]

CODE, DATA, STACK, RAM = 0x1000, 0x5000, 0x8000, 0x1_0000
IDT, GDT, TSS, HANDLERS, TABLES = 0x2000, 0x3000, 0x3800, 0x4000, 0xA000
DEVICE, WINDOW = 0x20_0000, 0x1000
USER_CODE, USER_DATA = 0x2B, 0x33
PATIENCE = 10.0
VECTORS = 32
ENTRY, LARGE = 0x67, 0xE7  # present, writable, user, accessed, dirty; of 2 MiB
CR4_OSFXSR_OSXSAVE = 1 << 9 | 1 << 18
XCR0 = 7


class Log:
    """A device whose registers are bytes; `accesses` are `("read", offset, size)` and so on."""

    def __init__(self):
        self.octets, self.accesses = bytearray(WINDOW), []

    def read(self, _vcpu, offset, size, /):
        self.accesses.append(("read", offset, size))
        return int.from_bytes(self.octets[offset : offset + size], "little")

    def write(self, _vcpu, offset, size, value, /):
        self.accesses.append(("write", offset, size, value))
        self.octets[offset : offset + size] = value.to_bytes(size, "little")


class SmallGuest:
    """The guest at `CODE` in 64-bit mode; every exception leads to an HLT of its own.

    Args:
        code: its program, in hexadecimal digits.
        cpl: 0 or 3.
        options: of `KvmVcpu`.
    """

    def __init__(self, code, cpl=0, **options):
        self.ram, self.device, self.ports = allocate_ram(RAM), Log(), Log()
        self.mmio, self.pio = RegionMap(name="mmio"), RegionMap(address_bits=16, name="pio")
        self.mmio.add_ram(0, self.ram, name="ram")
        self.mmio.add(DEVICE, WINDOW, self.device, name="device")
        self.pio.add(0x80, 0x10, self.ports, name="ports")
        self.poke(CODE, bytes.fromhex(code))
        self._build_tables()
        self.vm = KvmVm()
        self.vm.attach(self.mmio)
        self.vcpu = KvmVcpu(self.vm, **options)
        self.ways = self.mmio.port(self.vcpu), self.pio.port(self.vcpu)
        self._enter(cpl)

    def _build_tables(self):
        for level in range(2):
            self.poke(TABLES + 0x1000 * level, TABLES + 0x1000 * (level + 1) | ENTRY, 8)
        self.poke(TABLES + 0x2000, TABLES + 0x3000 | ENTRY, 8)
        self.poke(TABLES + 0x2008, DEVICE | LARGE, 8)
        for page in range(RAM >> 12):
            self.pte(page << 12, page << 12 | ENTRY)
        for vector in range(VECTORS):
            handler = HANDLERS + 16 * vector
            self.poke(handler, b"\xf4")
            self.gate(vector, handler)
        for selector, attributes in ((8, 0xA09B), (16, 0xC093), (0x28, 0xA0FB), (0x30, 0xC0F3)):
            self.poke(GDT + selector, 0xFFFF | attributes << 40 | 0xF << 48, 8)
        self.poke(TSS + 4, STACK - 0x800, 8)

    def gate(self, vector, handler, dpl=3):
        """Have an exception lead to a handler."""
        low = handler & 0xFFFF | 8 << 16 | (0x8E | dpl << 5) << 40 | (handler >> 16 & 0xFFFF) << 48
        self.poke(IDT + 16 * vector, low, 8)

    def _enter(self, cpl):
        state = self.vcpu.state
        state.enter_long_mode(CODE, TABLES)
        state.cr0 &= ~0x6000_0000
        state.cr4 |= CR4_OSFXSR_OSXSAVE
        state.xcr0, state.rsp, state.rflags = XCR0, STACK, 2
        state.idtr_base, state.idtr_limit = IDT, 16 * VECTORS - 1
        state.gdtr_base, state.gdtr_limit = GDT, 0x37
        state.tr = Segment(0x38, TSS, 0x67, 0x8B)
        if cpl:
            state.cs = Segment(USER_CODE, 0, 0xFFFF_FFFF, 0xA0FB)
            for name in ("ss", "ds", "es", "fs", "gs"):
                setattr(state, name, Segment(USER_DATA, 0, 0xFFFF_FFFF, 0xC0F3))

    def poke(self, gpa, value, size=0):
        """Write bytes, or an integer of some size, to RAM."""
        data = value.to_bytes(size, "little") if size else value
        self.ram[gpa : gpa + len(data)] = data

    def pte(self, linear, entry):
        """Replace the page-table entry of a page."""
        self.poke(TABLES + 0x3000 + 8 * (linear >> 12), entry, 8)

    def frame(self):
        """Return error code (or what lies where it would), RIP, CS, RFLAGS, RSP of an exception."""
        rsp = self.vcpu.state.rsp
        return [int.from_bytes(self.ram[rsp + 8 * n : rsp + 8 * n + 8], "little") for n in range(5)]

    @contextmanager
    def watched(self):
        """End a run that would last for ever."""
        timer = threading.Timer(PATIENCE, self.vcpu.kick)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def run(self, budget=10_000):
        """Run through the maps until an outcome for the owner."""
        with self.watched():
            return self.vcpu.run_through(*self.ways, budget)

    def exits(self, answers=(), budget=10_000):
        """Run, answering reads in turn; return all outcomes up to the first other one."""
        answers, found = list(answers), []
        with self.watched():
            while True:
                found.append(self.vcpu.run(budget))
                name = type(found[-1]).__name__
                if name in {"Read", "PortIn"}:
                    self.vcpu.complete(answers.pop(0))
                elif name not in {"Write", "PortOut"}:
                    return found

    def close(self):
        """Give it all back."""
        self.vcpu.close()
        self.vm.close()
