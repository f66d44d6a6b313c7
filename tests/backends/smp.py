# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Machines for tests: the kernel `tests/guests/smp.S`, and small guests in 32-bit mode.

Small guests run flat, with a GDT at 800 and an IDT at 1000 whose handlers count their vector in a
dword at 3000 + 4 * vector, write EOI to the local APIC's page and return. Code is at 8000 and on.
"""

from hashlib import sha256

from vmmkit.backends import SoftMachine

GDT, IDT, COUNTS, HANDLERS, STACKS, CODE = 0x800, 0x1000, 0x3000, 0x4000, 0xF000, 0x8000
RAM_SIZE = 0x4_0000
APIC = 0xFEE0_0000
EVERYTHING = "CIBNS1PTVALRX"


def dword(value):
    """Four bytes in hex, as they stand in code."""
    return (value & 0xFFFF_FFFF).to_bytes(4, "little").hex()


def store(address, value):
    """MOV dword [address], value."""
    return "c705" + dword(address) + dword(value)


def apic(register, value):
    """Write a register of the local APIC."""
    return store(APIC + register, value)


def wrmsr(index, value):
    """Load ECX, EDX and EAX, then WRMSR."""
    return "b9" + dword(index) + "ba" + dword(value >> 32) + "b8" + dword(value) + "0f30"


ENABLE = apic(0xF0, 0x1FF)
WAIT = "fbf4ebfc"  # sti; hlt; jmp to sti


class Small:
    """A machine of small guests.

    Attributes:
        written: (vCPU, value, time) for each OUT to port 80h.
    """

    def __init__(self, *codes, machine=SoftMachine, vcpus=None, ram=None, **arguments):
        self.ram = bytearray(RAM_SIZE) if ram is None else ram
        self.machine = machine([(0, self.ram)], vcpus=vcpus or max(1, len(codes)), **arguments)
        self.written = []
        self.machine.pio.add(0x80, 4, write=self._note, name="port 80")
        self._tables()
        for number, code in enumerate(codes):
            if code is not None:
                self.start(number, code)

    def _note(self, vcpu, _offset, _size, value):
        self.written.append((vcpu.index, value, self.machine.time))

    def poke(self, address, data):
        self.ram[address : address + len(data)] = data

    def _tables(self):
        self.poke(GDT, bytes.fromhex("00" * 8 + "ffff0000009bcf00" + "ffff00000093cf00"))
        for vector in range(256):
            handler = HANDLERS + 32 * vector
            gate = handler & 0xFFFF | 8 << 16 | 0x8E00 << 32 | handler >> 16 << 48
            self.poke(IDT + 8 * vector, gate.to_bytes(8, "little"))
            code = "ff05" + dword(COUNTS + 4 * vector) + apic(0xB0, 0) + "cf"
            self.poke(handler, bytes.fromhex(code))

    def start(self, number, code):
        """Let a vCPU begin with `code`, whatever it waited for."""
        at = CODE + 0x1000 * number
        self.poke(at, bytes.fromhex(code))
        state = self.machine.vcpus[number].state
        state.enter_protected_mode(eip=at)
        state.rsp = STACKS - 0x100 * number
        state.gdtr_base, state.gdtr_limit = GDT, 0x17
        state.idtr_base, state.idtr_limit = IDT, 0x7FF
        return state

    def count(self, vector):
        """How often a vector was taken."""
        at = COUNTS + 4 * vector
        return int.from_bytes(self.ram[at : at + 4], "little")

    def state(self, number=0):
        return self.machine.vcpus[number].state


class Kernel:
    """The kernel in `smp.S`."""

    def __init__(self, image, vcpus, *, x2apic=False, machine=SoftMachine, ram=None, **arguments):
        self.ram = bytearray(RAM_SIZE) if ram is None else ram
        self.ram[0x8000 : 0x8000 + len(image)] = image
        slow = machine is not SoftMachine
        words = vcpus, int(x2apic), 2_000_000 if slow else 3000, 8 if slow else 0
        self.ram[0x7000:0x7010] = b"".join(word.to_bytes(4, "little") for word in words)
        self.machine = machine([(0, self.ram)], vcpus=vcpus, **arguments)
        self.said, self.turns = "", []
        self.machine.pio.add(0xE9, 1, write=self._say, name="console")
        line = self.machine.line(5)
        self.machine.pio.add(
            0xEA, 1, write=lambda _vcpu, _at, _size, value: line(bool(value)), name="line"
        )
        self.machine.vcpus[0].state.enter_real_mode(0, 0x800)
        if machine is SoftMachine:
            self.machine.on_turn = lambda *turn: self.turns.append(turn)

    def _say(self, _vcpu, _offset, _size, value):
        self.said += chr(value)

    def trace(self):
        """All that a run leaves, to be compared with another's."""
        machine = self.machine
        records = [bytes(vcpu.state.record) for vcpu in machine.vcpus]
        return (
            sha256(b"".join([*records, self.ram])).hexdigest(),
            self.said,
            machine.time,
            self.turns,
            machine.snapshot().lapics,
        )


def registers(machine):
    """What guests see of all vCPUs, without words that tell how a run was cut."""
    names = ("rip", "rflags", "rsp", "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "cr0", "cr3", "cs")
    return [[getattr(vcpu.state, name) for name in names] for vcpu in machine.vcpus]
