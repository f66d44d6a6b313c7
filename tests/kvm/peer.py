# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A guest of `insn.kernel` on the kernel's virtual machine: ring 3 until a handler halts."""

import struct

from insn.kernel import HANDLERS, Kernel
from insn.machine import CODE, GPR, HIGH, HIGH_BASE, LOW, ROM, ROM_BYTES
from kvm.kvm import (
    GET_DEBUGREGS,
    GET_REGS,
    GET_SREGS,
    SET_DEBUGREGS,
    SET_REGS,
    SET_SREGS,
    Kvm,
    physical_bits,
)
from vmmkit.insn import BudgetSpent, Halt, PortIn, PortOut, Read, TripleFault, Write

__all__ = ["Peer", "ours", "ring3"]

# Order of kvm_regs and of the segments in kvm_sregs.
REGISTERS = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp", *GPR[8:], "rip", "rflags")
SEGMENTS = ("cs", "ds", "es", "fs", "gs", "ss", "tr", "ldtr")
SEGMENT, TABLE, CONTROLS = struct.Struct("<QIH10B"), struct.Struct("<QH6x"), struct.Struct("<7Q")
CONTROL_PLACE = 8 * SEGMENT.size + 2 * TABLE.size
SHOWN = (*REGISTERS, "cr2", "dr6")
STAR, LSTAR, CSTAR, SFMASK = 0xC000_0081, 0xC000_0082, 0xC000_0083, 0xC000_0084
BUDGET = 4000
ENDS = {
    Halt: "hlt",
    TripleFault: "shutdown",
    BudgetSpent: "time",
    **dict.fromkeys((Read, Write), "mmio"),
    **dict.fromkeys((PortIn, PortOut), "io"),
}
END = bytes([0xF4])  # HLT; in ring 3 it is #GP, the end of all code


def segment_bytes(found):
    """A `kvm_segment`."""
    selector, base, limit, attributes = found
    unusable = attributes >> 16 & 1
    bits = (
        *(attributes & 15, attributes >> 7 & 1, attributes >> 5 & 3, attributes >> 14 & 1),
        *(attributes >> 4 & 1, attributes >> 13 & 1, attributes >> 15 & 1, attributes >> 12 & 1),
    )
    return SEGMENT.pack(base, limit, selector, *bits, unusable, 0)


def sregs_of(state, before):
    """`kvm_sregs`, with what we do not have as it was."""
    parts = [segment_bytes(getattr(state, name)) for name in SEGMENTS]
    parts.append(TABLE.pack(state.gdtr_base, state.gdtr_limit))
    parts.append(TABLE.pack(state.idtr_base, state.idtr_limit))
    apic = CONTROLS.unpack_from(before, CONTROL_PLACE)[6]
    parts.append(
        CONTROLS.pack(state.cr0, state.cr2, state.cr3, state.cr4, 0, state.efer, apic),
    )
    return b"".join(parts).ljust(len(before), b"\0")


def ring3(engine, mode, code, registers=None):
    """A guest in ring 3 whose handlers halt."""
    machine = Kernel(engine, mode, code).user()
    machine.state.cr4 &= ~(1 << 18)  # OSXSAVE: XCR0 is not carried over
    machine.state.efer |= 1
    machine.state.maxphyaddr = physical_bits()
    machine.poke(CODE - 0x100, END * 0x100 + machine.code.ljust(0x100, END))
    for vector in range(256):
        machine.poke(HANDLERS + 16 * vector, END)
    for vector in (3, 4, 0x80):
        machine.gate(vector, dpl=3)
    for name, value in (registers or {}).items():
        machine.set(name, value)
    return machine


def seen(state, low, high):
    """What two runs are compared by."""
    found = {name: getattr(state, name) for name in SHOWN}
    found |= {name: getattr(state, name).selector for name in ("cs", "ss", "ds", "es", "fs", "gs")}
    found["memory"] = bytes(low) + bytes(high)
    return found


def ours(machine):
    """Run to the end on one of our engines; how it ended, and what is seen then."""
    outcome = machine.cpu.run(BUDGET)
    return ENDS.get(type(outcome), type(outcome).__name__), seen(
        machine.state, machine.low, machine.high
    )


class Peer:
    """A virtual machine for one guest: another's page tables would be remembered."""

    def __init__(self, machine):
        self.kvm = Kvm([(0, LOW, True), (HIGH_BASE, HIGH, True), (ROM, len(ROM_BYTES), False)])
        self.load(machine)

    def load(self, machine):
        """Make the virtual machine what the guest is."""
        kvm, state = self.kvm, machine.state
        for (_, ram), held in zip(kvm.pieces, (machine.low, machine.high, ROM_BYTES), strict=True):
            ram[:] = bytes(held)
        kvm.forget_events()
        kvm.set(SET_SREGS, sregs_of(state, kvm.sregs))
        kvm.set_msrs(
            {STAR: state.star, LSTAR: state.lstar, CSTAR: state.cstar, SFMASK: state.sfmask}
        )
        breakpoints = (state.dr0, state.dr1, state.dr2, state.dr3, state.dr6, state.dr7)
        kvm.set(SET_DEBUGREGS, struct.pack("<6Q", *breakpoints).ljust(128, b"\0"))
        kvm.set(SET_REGS, struct.pack("<18Q", *(getattr(state, name) for name in REGISTERS)))

    def run(self):
        """Run it; how it ended, and what is seen then."""
        ended = self.kvm.run()
        found = dict(zip(REGISTERS, struct.unpack("<18Q", self.kvm.get(GET_REGS)), strict=True))
        sregs = self.kvm.get(GET_SREGS)
        for number, name in enumerate(SEGMENTS[:6]):
            found[name] = SEGMENT.unpack_from(sregs, number * SEGMENT.size)[2]
        found["cr2"] = CONTROLS.unpack_from(sregs, CONTROL_PLACE)[1]
        found["dr6"] = struct.unpack_from("<6Q", self.kvm.get(GET_DEBUGREGS))[4]
        found["memory"] = b"".join(bytes(ram) for _, ram in self.kvm.pieces[:2])
        self.kvm.close()
        return ended.kind, found
