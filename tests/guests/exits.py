# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A processor that exits with an address and nothing more, and the monitor that works it out.

`Hardware` runs a guest on page tables in which the device's pages are absent, as second-level
tables make them: an access there stops it with RIP, CR3, the linear address and the registers,
the instruction not having happened. `Monitor` fetches, decodes, checks and emulates it against a
region map. The hardware is played by the engine as well, but shares nothing with the monitor except
the guest's RAM.

Linear addresses below 64 KiB are mapped to themselves, but for the two pages from `WINDOW`: they
lead to RAM at the same address, to nothing, or to the device, by the set of tables in CR3.
"""

from typing import NamedTuple

from vmmkit.insn import (
    MAX_LENGTH,
    Cpu,
    Fault,
    PageAccess,
    PortIn,
    PortOut,
    Read,
    Segment,
    Translation,
    Write,
    decode,
    verify_gla,
)
from vmmkit.memregion import RegionMap

CODE, GDT, WINDOW, WINDOW_SIZE, LOW, RAM = 0x1000, 0x3000, 0x5000, 0x2000, 0x1_0000, 0x4_0000
DEVICE = 0xFEB0_0000
TO_RAM, TO_NOTHING, TO_DEVICE = 0x1_0000, 0x2_0000, 0x3_0000  # the roots of three sets of tables
PORT = 0x60

PRESENT = 0x63  # present, writable, accessed, dirty
CR0_PG, CR4_PAE = 1 << 31, 1 << 5
CR4_OSFXSR, CR4_OSXSAVE, XCR0 = 1 << 9, 1 << 18, 0xE7
CODE16, DATA16, CODE32, DATA32 = 0x009B, 0x0093, 0xC09B, 0xC093
PAGE, PAGE_FAULT = 0x1000, 14
CS_BASE = 0x800  # outside of 64-bit mode

# Paging by mode: bytes of an entry, rights of the entries above the last level, and how many
# levels: 32-bit, PAE (whose first level has no rights) and 4-level.
PAGING = {16: (4, (PRESENT,)), 32: (8, (1, PRESENT)), 64: (8, (PRESENT,) * 3)}


class Exit(NamedTuple):
    """What the hardware tells."""

    rip: int
    cr3: int
    gla: int
    registers: bytes
    code: bytes
    """The instruction's bytes and what follows, where the hardware brings them; else none."""


class MismatchError(Exception):
    """What stands at RIP does not touch the address that the exit tells."""


class Machine:
    """RAM, page tables and devices."""

    def __init__(self, mode, engine):
        self.mode, self.engine = mode, engine
        self.ram = bytearray(RAM)
        self.device, self.ports = bytearray(WINDOW_SIZE), []
        self.rip = CODE if mode == 64 else CODE - CS_BASE
        for root, target in ((TO_RAM, WINDOW), (TO_NOTHING, None), (TO_DEVICE, DEVICE)):
            self._build_tables(root, target)
        for index, attributes in ((1, CODE32), (2, DATA32)):
            self.poke(GDT + 8 * index, 0xFFFF | attributes << 40 | 0xF << 48, 8)
        self.mmio, self.pio = RegionMap(name="mmio"), RegionMap(address_bits=16, name="pio")
        self.mmio.add(DEVICE, WINDOW_SIZE, read=self.read, write=self.write, name="device")
        self.pio.add(PORT, 4, read=self.port_in, write=self.port_out, name="port")

    def _build_tables(self, root, target):
        size, above = PAGING[self.mode]
        for level, rights in enumerate(above):
            self.poke(root + PAGE * level, root + PAGE * (level + 1) | rights, size)
        for page in range(0, LOW, PAGE):
            place, inside = page, WINDOW <= page < WINDOW + WINDOW_SIZE
            if inside and target is not None:
                place = page - WINDOW + target
            self.map(root, page, 0 if inside and target is None else place | PRESENT)

    def map(self, root, linear, entry):
        """Replace the entry of a page in one set of tables."""
        size, above = PAGING[self.mode]
        self.poke(root + PAGE * len(above) + size * (linear // PAGE), entry, size)

    def poke(self, gpa, value, size):
        """Write an integer to RAM."""
        self.ram[gpa : gpa + size] = value.to_bytes(size, "little")

    def enter(self, state):
        """Put a state at `CODE` in this mode, supervisor, with the GDT above."""
        if self.mode == 64:
            state.enter_long_mode(CODE, TO_RAM)
        else:
            state.enter_protected_mode(self.rip)
            state.cs = state.cs._replace(base=CS_BASE)
            state.cr0 |= CR0_PG
            state.cr4 = CR4_PAE if self.mode == 32 else 0
        if self.mode == 16:
            state.cs = Segment(8, CS_BASE, 0xFFFF, CODE16)
            for name in ("es", "ss", "ds", "fs", "gs"):
                setattr(state, name, Segment(16, 0, 0xFFFF, DATA16))
        state.gdtr_base, state.gdtr_limit = GDT, 0x17
        state.cr4 |= CR4_OSFXSR | CR4_OSXSAVE
        state.xcr0 = XCR0

    def read(self, _vcpu, offset, size):
        return int.from_bytes(self.device[offset : offset + size], "little")

    def write(self, _vcpu, offset, size, value):
        self.device[offset : offset + size] = value.to_bytes(size, "little")

    def port_in(self, _vcpu, _offset, size):
        self.ports.append(("in", size))
        return 0x1234_5678 * len(self.ports) & (1 << 8 * size) - 1

    def port_out(self, _vcpu, _offset, size, value):
        self.ports.append(("out", size, value))

    def finish(self, cpu):
        """Step one instruction to its end, doing its accesses through the maps."""
        mmio, pio = self.mmio.port(cpu), self.pio.port(cpu)
        outcome = cpu.step()
        while cpu.awaits_answer:
            match outcome:
                case Read(gpa, size):
                    outcome = cpu.step(mmio.read(gpa, size))
                case PortIn(port, size):
                    outcome = cpu.step(pio.read(port, size))
                case Write():
                    mmio.write(*outcome)
                    outcome = cpu.step()
                case PortOut():
                    pio.write(*outcome)
                    outcome = cpu.step()
        return outcome


class Hardware:
    """One virtual processor: runs an instruction, or exits."""

    def __init__(self, machine):
        self.machine = machine
        self.cpu = Cpu([(0, machine.ram)], engine=machine.engine)
        machine.enter(self.cpu.state)

    def run(self, *, brings_code=False):
        """Execute one instruction; return its outcome, or an `Exit`."""
        state = self.cpu.state
        outcome = self.machine.finish(self.cpu)
        absent = isinstance(outcome, Fault) and outcome.vector == PAGE_FAULT
        if not absent or state.cr3 != TO_NOTHING:
            return outcome
        start = state.cs.base + state.rip
        code = bytes(self.machine.ram[start : start + MAX_LENGTH]) if brings_code else b""
        return Exit(state.rip, TO_DEVICE, outcome.address, bytes(state.record), code)

    def resume(self, registers):
        """Take registers over from the monitor; the tables stay."""
        self.cpu.state.record[:] = registers
        self.cpu.state.cr3 = TO_NOTHING


class Monitor:
    """Handles exits; knows the guest's RAM and devices, and what an exit tells."""

    def __init__(self, machine):
        self.machine = machine
        self.cpu = Cpu([(0, machine.ram)], engine=machine.engine)

    def fetch(self):
        """Up to 15 bytes from CS:RIP, as far as the guest's page tables lead."""
        state, code = self.cpu.state, b""
        linear = state.cs.base + state.rip
        while len(code) < MAX_LENGTH:
            found = self.cpu.translate(linear + len(code), PageAccess.FETCH)
            if not isinstance(found, Translation):
                break
            end = min(found.gpa + MAX_LENGTH - len(code), (found.gpa | PAGE - 1) + 1)
            code += self.machine.ram[found.gpa : end]
        return code

    def handle(self, exit_):
        """Emulate the instruction of an exit; return its outcome and the registers after it."""
        state = self.cpu.state
        state.record[:] = exit_.registers
        state.rip, state.cr3 = exit_.rip, exit_.cr3
        insn = decode(exit_.code or self.fetch(), state.mode, engine=self.machine.engine)
        if not verify_gla(insn, state, exit_.gla):
            message = f"{insn} at {exit_.rip:#x} does not touch {exit_.gla:#x}"
            raise MismatchError(message)
        if exit_.code:
            self.cpu.latch(exit_.code)
        return self.machine.finish(self.cpu), bytes(state.record)
