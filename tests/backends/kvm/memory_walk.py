# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Every memory form on a KVM vCPU: once on RAM, once on a device with the same contents.

Both runs are of one virtual machine. In 64-bit mode there are two sets of page tables; in the other
modes, whose paging not every KVM has, the device takes the place of the RAM. `insn.memory_forms`
makes the instructions, and `guests.exits` the page tables and the device.
"""

import itertools
import threading
from random import Random
from types import SimpleNamespace
from typing import NamedTuple

from guests.exits import (
    CODE,
    DEVICE,
    GDT,
    LOW,
    RAM,
    TO_DEVICE,
    TO_RAM,
    WINDOW,
    WINDOW_SIZE,
    Machine,
)
from insn.memory_forms import MemoryForm, forms, operand_value, registers
from oracle.compare import undefined_flags
from vmmkit.backends.kvm.vcpu import KvmVcpu
from vmmkit.backends.kvm.vm import KvmVm, allocate_ram
from vmmkit.insn import (
    WORD,
    Halt,
    PortIn,
    PortOut,
    Read,
    Segment,
    TripleFault,
    Write,
    operand_accesses,
)
from vmmkit.insn._operands import STRINGS
from vmmkit.memregion import RegionMap

__all__ = ["Bench", "Verdict", "sample"]

NAMES = (
    *("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{n}" for n in range(8, 16))),
    *("rip", "mxcsr", "x87_control", "x87_status", "x87_tag", "es", "cs", "ss", "ds", "fs", "gs"),
)
VECTORS = slice(8 * WORD["vector"], 8 * (WORD["opmask"] + 8))
X87 = slice(8 * WORD["x87"], 8 * WORD["x87"] + 128)
STATUS_FLAGS = 0xCD5
IOPL = 0x3000
WIDE = 16
USER = 4
CACHE_DISABLED, CR0_PG = 0x6000_0000, 1 << 31
WINDOW_END = WINDOW + WINDOW_SIZE
PRESENT_ONLY = 1  # a PDPTE of PAE paging has no rights
END_PORT = 0x6F
END = {0: bytes([0xF4]), 3: bytes([0xE6, END_PORT])}  # HLT; OUT, which leaves ring 3 alone
USER_CODE, USER_DATA = 0x2B, 0x33
ATTRIBUTES_DPL3 = 0x60
PATIENCE = 1.0
TURNS = 400  # exits of one instruction, at most


class Verdict(NamedTuple):
    """What became of one form."""

    form: MemoryForm
    cpl: int
    end: str
    """How the run on the device ended."""
    ram_end: str
    refused: bool
    """Whether the kernel refused it on the device, and it was completed all the same."""
    different: tuple[str, ...]
    """Names of what differs between the runs."""


def sample(mode, step=1):
    """One of each form's kinds of addressing and place, taking turns; of each `step`th kind.

    Three of four wide operands are aligned, as many instructions want them.
    """
    groups = itertools.groupby(forms(mode), lambda form: form.kind)
    for number, (_, group) in enumerate(groups):
        if number % step == 0:
            ways = list(group)
            if number % 4 and ways[0].insn.memory_size >= WIDE:
                ways = [way for way in ways if way.base % WIDE == 0]
            yield ways[number * 5 % len(ways)]


class Bench:
    """A virtual machine of one mode and privilege, set up anew for each form."""

    def __init__(self, mode, cpl):
        self.machine, self.cpl = Machine(mode, None), cpl
        if cpl:
            self._open_to_ring3()
        self.image = bytes(self.machine.ram)
        self.device = self.machine.device
        self.ram = allocate_ram(RAM)
        self.mmio, paged = RegionMap(name="mmio"), mode == 64
        ram = memoryview(self.ram)
        for first, end in ((0, WINDOW), (WINDOW_END, RAM)):
            self.mmio.add_ram(first, ram[first:end], name=f"ram at {first:#x}")
        self.window = self.mmio.add_ram(WINDOW, ram[WINDOW:WINDOW_END], name="window")
        self.where = DEVICE if paged else WINDOW
        ways = {"read": self.machine.read, "write": self.machine.write}
        self.other = self.mmio.add(self.where, WINDOW_SIZE, **ways, name="device", enabled=paged)
        self._start()

    def _start(self):
        """Make the virtual machine."""
        self.vm = KvmVm()
        self.vm.attach(self.mmio)
        self.vcpu = KvmVcpu(self.vm)
        state = self.vcpu.state
        self.machine.enter(state)
        state.cr0 &= ~(CACHE_DISABLED if self.machine.mode == 64 else CACHE_DISABLED | CR0_PG)
        if self.cpl:
            state.cs = Segment(USER_CODE, *state.cs[1:3], state.cs.attributes | ATTRIBUTES_DPL3)
            for name in ("es", "ss", "ds", "fs", "gs"):
                found = getattr(state, name)
                attributes = found.attributes | ATTRIBUTES_DPL3
                setattr(state, name, Segment(USER_DATA, *found[1:3], attributes))
        self.record = bytes(state.record)

    def _open_to_ring3(self):
        """Let every page-table entry that has rights give them to ring 3, too."""
        size = 4 if self.machine.mode == 16 else 8
        for at in range(TO_RAM, RAM, size):
            entry = int.from_bytes(self.machine.ram[at : at + size], "little")
            if entry & 0xFFF not in {0, PRESENT_ONLY}:
                self.machine.poke(at, entry | USER, size)

    def _swap(self, to_device):
        """Have the device, or the RAM, answer in the window."""
        before, after = (self.window, self.other) if to_device else (self.other, self.window)
        with self.mmio.transaction():
            before.disable()
            after.enable()

    def close(self):
        """Give the virtual machine back."""
        self.vcpu.close()
        self.vm.close()

    def load(self, form, seed, tables):
        """Put form, registers and data in place; the window's content goes to RAM or device."""
        rng, state = Random(seed), self.vcpu.state
        content = rng.randbytes(0x1000 + WINDOW_SIZE)
        self.machine.ports.clear()
        state.record[:], state.cr3 = self.record, tables
        if self.machine.mode != 64:
            self._swap(tables == TO_DEVICE)
        state.fs = state.fs._replace(base=0x20)
        values = registers(form, rng)
        for name, value in values.items():
            setattr(state, name, value)
        state.rflags |= IOPL if self.cpl else 0
        state.record[VECTORS] = bytes(
            byte | 0x80 for byte in rng.randbytes(VECTORS.stop - VECTORS.start)
        )
        before = self.image[: WINDOW - 0x1000] + content + self.image[WINDOW + WINDOW_SIZE :]
        memory = bytearray(before)
        memory[CODE:GDT] = END[self.cpl] * ((GDT - CODE) // len(END[self.cpl]))
        code = form.code + END[self.cpl]
        memory[CODE : CODE + len(code)] = code
        if form.insn.mnemonic not in STRINGS:
            place = operand_accesses(form.insn, state)[0].linear
            memory[place : place + 16] = operand_value(form, rng, values).to_bytes(16, "little")
        window = slice(WINDOW, WINDOW + WINDOW_SIZE)
        if tables == TO_DEVICE:
            self.device[:] = memory[window]
            memory[window] = bytes(WINDOW_SIZE)
        self.ram[:] = bytes(memory)

    def run(self):
        """Run to the end; return how it was, and whether the kernel refused the form."""
        before, machine = self.vcpu.emulated.total(), self.machine
        timer = threading.Timer(PATIENCE, self.vcpu.kick)
        timer.start()
        outcome = None
        for _ in range(TURNS):
            match self.vcpu.run():
                case Read(gpa, size):
                    self.vcpu.complete(machine.read(None, gpa - self.where, size))
                case Write(gpa, size, value):
                    machine.write(None, gpa - self.where, size, value)
                case PortIn(port, size):
                    self.vcpu.complete(machine.port_in(None, port, size))
                case PortOut(port, size, value) if port != END_PORT:
                    machine.port_out(None, port, size, value)
                case outcome:
                    break
        timer.cancel()
        if self.vcpu.awaits_answer and isinstance(outcome, PortOut):
            self.vcpu.step()
        refused = self.vcpu.emulated.total() > before
        if isinstance(outcome, Halt | PortOut):
            return "done", refused
        if isinstance(outcome, TripleFault):
            return "fault", refused
        self.close()
        self._start()
        return "no end", refused

    def left(self, end, window):
        """What a run has left behind; of a fault only that there was one."""
        state = self.vcpu.state
        if end != "done":
            return {"end": end}
        return {
            "end": end,
            **{name: getattr(state, name) for name in NAMES},
            "flags": state.rflags & STATUS_FLAGS,
            "vectors": bytes(state.record[VECTORS]),
            "x87": bytes(state.record[X87]),
            "window": bytes(window),
            "other RAM": self.ram[GDT:WINDOW] + self.ram[WINDOW + WINDOW_SIZE : LOW],
            "ports": list(self.machine.ports),
        }

    def verdict(self, form, seed):
        """Run a form on both, and compare."""
        self.load(form, seed, TO_RAM)
        gpr = tuple(self.vcpu.state.gpr)
        ram_end, _ = self.run()
        expected = self.left(ram_end, self.ram[WINDOW : WINDOW + WINDOW_SIZE])
        self.load(form, seed, TO_DEVICE)
        end, refused = self.run()
        found = self.left(end, self.device)
        case = SimpleNamespace(code=form.code, mode=self.machine.mode, gpr=gpr)
        hidden = undefined_flags(case, form.insn.mnemonic)
        for one in (expected, found):
            one["flags"] = one.get("flags", 0) & ~hidden
        different = {name for name in {*expected, *found} if found.get(name) != expected.get(name)}
        return Verdict(form, self.cpl, end, ram_end, refused, tuple(different))
