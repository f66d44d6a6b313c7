# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The board that the guests of our own boot on: RAM, a console, a timer, a latch and a device page.

Time is the count of instructions, so a run depends on nothing else: not on the budgets it is cut
into, nor on the engine. A board can be put away at any exit, also with a device access in flight,
and go on later on another engine.
"""

import pickle

from vmmkit.backends import SoftVcpu
from vmmkit.backends.msrs import MsrFile
from vmmkit.insn import WORD, BudgetSpent, CpuState, Halt, PortIn, PortOut, Read, Write
from vmmkit.insn.cpuid import DEFAULT_FEATURES

RAM, PAGE = 0x20_0000, 0x1000
RESET_VECTOR = 0x7C00
DEVICE = 0xFEC0_0000
CONSOLE_PORT, TIMER_PORT, NMI_PORT, LATCH_PORT = 0xE9, 0x40, 0x42, 0x60
TIMER_VECTOR = 0x20
SLICE = 100_000
REGISTERS = 8 * WORD["interrupt_request"]  # bytes of the record: registers, not what is in flight
VECTORS = slice(8 * WORD["vector"], 8 * WORD["wide_value"])


class LostError(Exception):
    """The guest has done what it never should."""


class Board:
    """A machine with one processor.

    `images` are `(address, bytes)`; the processor starts in real-address mode at `RESET_VECTOR`.
    """

    def __init__(self, images, engine, *, features=DEFAULT_FEATURES):
        self.ram = bytearray(RAM)
        for address, image in images:
            self.ram[address : address + len(image)] = image
        self.console, self.device, self.latch = bytearray(), bytearray(PAGE), 0
        self.accesses = []
        self.period = self.due = 0
        self.exit = None  # a device access that is in flight
        self.finished = False
        state = CpuState()
        state.features = features
        state.enter_real_mode(RESET_VECTOR)
        self._start(engine, state)

    def _start(self, engine, state):
        self.vcpu = SoftVcpu(
            [(0, self.ram)], engine=engine, state=state, msrs=MsrFile(), deliver=True
        )

    def __getstate__(self):
        kept = {name: value for name, value in vars(self).items() if name != "vcpu"}
        return kept | {"cpu": self.vcpu.state}

    def __setstate__(self, kept):
        vars(self).update(kept)
        self._start(None, vars(self).pop("cpu"))

    def moved_to(self, engine):
        """Return a copy of this board on an engine, by way of a pickle."""
        twin = pickle.loads(pickle.dumps(self))
        twin._start(engine, twin.vcpu.state)
        return twin

    @property
    def now(self):
        return self.vcpu.state.retired

    def advance(self, budget):
        """Do what the last exit asks for, and run to the next.

        The two are one, as an answer is kept by the vCPU, not in its state.
        """
        if self.exit is not None:
            self._serve()
        self._run(budget)

    def run(self, budget=SLICE, most=20_000_000):
        """Run to the end, in slices of a budget; return the console."""
        while not self.finished:
            self.advance(budget)
            if self.now > most:
                raise LostError(f"it does not end; {self!r}")
        return self.console.decode()

    def _run(self, budget):
        if self.period:
            if self.now >= self.due:
                self.due += self.period
                self.vcpu.request_interrupt(TIMER_VECTOR)
            budget = min(budget, self.due - self.now)
        outcome = self.vcpu.run(budget)
        match outcome:
            case Read() | Write() | PortIn() | PortOut():
                self.exit = outcome
            case Halt():
                self._halt()
            case BudgetSpent():
                pass
            case _:
                raise LostError(f"{outcome}; {self!r}")

    def _halt(self):
        """Time goes on to the next tick; a guest that waits for nothing has finished."""
        if not self.period or not self.vcpu.state.rflags & 0x200:
            self.finished = True
        else:
            self.due = self.now

    def _serve(self):
        access, self.exit = self.exit, None
        self.accesses.append(access)
        match access:
            case Read(gpa, size):
                offset = gpa - DEVICE
                if not 0 <= offset < PAGE:
                    raise LostError(f"{access}; {self!r}")
                self.vcpu.complete(int.from_bytes(self.device[offset : offset + size], "little"))
            case Write(gpa, size, value):
                offset = gpa - DEVICE
                if not 0 <= offset < PAGE:
                    raise LostError(f"{access}; {self!r}")
                self.device[offset : offset + size] = value.to_bytes(size, "little")
            case PortIn():
                self.vcpu.complete(self.latch)
            case PortOut(port, _, value):
                self._out(port, value)

    def _out(self, port, value):
        if port == CONSOLE_PORT:
            self.console.append(value)
        elif port == TIMER_PORT:
            self.period, self.due = value, self.now + value
        elif port == NMI_PORT:
            self.vcpu.nmi()
        elif port == LATCH_PORT:
            self.latch = value
        else:
            raise LostError(f"OUT to {port:#x}; {self!r}")

    def registers(self):
        """Registers of the guest, without what an engine notes while it works."""
        record = self.vcpu.state.record
        retired = self.now.to_bytes(8, "little")
        return bytes(record[:REGISTERS]) + retired + bytes(record[VECTORS])

    def __repr__(self):
        state = self.vcpu.state
        where = f"at {state.cs.selector:#x}:{state.rip:#x} CR2 {state.cr2:#x} after {self.now}"
        return f"<Board {where}: {self.console.decode()!r}>"
