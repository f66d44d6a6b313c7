# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The machine that instruction tests run on, and the case runner over it.

One memory map serves every mode, small enough for 16-bit addresses to reach a device::

    00000-07FFF  RAM: code at 1000, data from 2000, GDT at 5000, TSS at 5800, stack top 7000
    08000-0FFFF  devices: no RAM here
    10000-4FFFF  RAM: page tables from 40000
    50000-50FFF  ROM, filled with 5A
    51000-       devices

In the modes with paging the first 2 MiB are identity-mapped by 4 KiB pages, so that a test can
change one entry (`pte`), and the rest of the first GiB by large pages. Every entry is marked as
accessed and dirty, so that an instruction does not change the tables.
"""

from vmmkit.insn import (
    Cpu,
    CpuState,
    Done,
    Fault,
    PortIn,
    PortOut,
    Read,
    Segment,
    Write,
)

CODE, DATA, GDT, TSS, STACK, MMIO = 0x1000, 0x2000, 0x5000, 0x5800, 0x7000, 0x9000
LOW, HIGH, HIGH_BASE, ROM = 0x8000, 0x40000, 0x10000, 0x50000
PML4, PDPT, PD, PT, PML5 = 0x40000, 0x41000, 0x42000, 0x43000, 0x44000
SPARE_TABLES = 0x45000, 0x46000, 0x47000
PD32, PT32, PDPT_PAE = 0x48000, 0x49000, 0x4A020

P, RW, US, A, D, PS, XD = 1, 2, 4, 0x20, 0x40, 0x80, 1 << 63
MARKED = A | D

CF, PF, AF, ZF, SF, IF, DF, OF = 1, 4, 0x10, 0x40, 0x80, 0x200, 0x400, 0x800
VM, AC = 1 << 17, 1 << 18
LETTERS = {"C": CF, "P": PF, "A": AF, "Z": ZF, "S": SF, "O": OF}
STATUS = sum(LETTERS.values())

UD, NP, SS_FAULT, GP, PAGE_FAULT, ALIGNMENT = 6, 11, 12, 13, 14, 17

CODE16, CODE32, CODE64 = 0x809B, 0xC09B, 0xA09B
DATA16, DATA32 = 0x8093, 0xC093
UNUSABLE = 1 << 16
CR0_PE, CR0_WP, CR0_AM, CR0_PG = 1, 1 << 16, 1 << 18, 1 << 31
CR4_PSE, CR4_PAE, CR4_LA57 = 1 << 4, 1 << 5, 1 << 12
CR4_SMEP, CR4_SMAP, CR4_PKE = 1 << 20, 1 << 21, 1 << 22
EFER_LME, EFER_LMA, EFER_NXE = 1 << 8, 1 << 10, 1 << 11

CR4_OSFXSR, CR4_OSXSAVE = 1 << 9, 1 << 18
# Names such as "xmm3" to attributes; R0 to R7 of the x87 unit are "st0" to "st7" here.
FILES = {"xmm": "xmm", "ymm": "ymm", "zmm": "zmm", "k": "opmask", "mm": "mmx", "st": "x87"}
VECTOR_WORDS = ("mxcsr", "x87_control", "x87_status", "x87_tag", "xcr0")

MODES = ("real", "pm16", "pm32", "compat", "long")
PAGED = ("pg32", "pae", "compat", "long")  # the modes with paging
WIDTH = {"real": 16, "pm16": 16, "pm32": 32, "compat": 32, "long": 64}
SYSTEM_REGISTERS = (
    *("cr0", "cr2", "cr3", "cr4", "cr8", "efer", "xcr0", "pkru"),
    *("dr0", "dr1", "dr2", "dr3", "dr6", "dr7"),
    *("gdtr_base", "gdtr_limit", "idtr_base", "idtr_limit"),
    *("star", "lstar", "cstar", "sfmask", "kernel_gs_base"),
    *("sysenter_cs", "sysenter_esp", "sysenter_eip", "tsc_aux", "pat", "tsc_offset"),
)
SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs")
GPR = (
    *("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"),
    *(f"r{number}" for number in range(8, 16)),
)


def flags_of(letters):
    """Bits of status flags written as letters, `"C"` to `"O"`."""
    return sum(LETTERS[letter] for letter in letters)


def build_page_tables(high):
    """Write the identity map into the RAM at `HIGH_BASE`."""

    def entry(table, index, value, size=8):
        offset = table - HIGH_BASE + size * index
        high[offset : offset + size] = value.to_bytes(size, "little")

    rights = P | RW | US | MARKED
    for table, inner in ((PML5, PML4), (PML4, PDPT), (PDPT, PD), (PD, PT)):
        entry(table, 0, inner | rights)
    for number in range(1, 512):
        entry(PD, number, number << 21 | PS | rights)
    for number in range(512):
        entry(PT, number, number << 12 | rights)
    entry(PDPT_PAE, 0, PD | P)
    entry(PD32, 0, PT32 | rights, 4)
    for number in range(1, 256):
        entry(PD32, number, number << 22 | PS | rights, 4)
    for number in range(1024):
        entry(PT32, number, number << 12 | rights, 4)


ROM_BYTES = b"\x5a" * 4096
_IDENTITY = bytearray(HIGH)
build_page_tables(_IDENTITY)


def enter(state, mode):
    """Put a `CpuState` into one of `MODES` or `PAGED` at `CODE`, CPL 0."""
    if mode == "real":
        state.enter_real_mode(CODE)
    elif mode in {"pm16", "pm32", "pg32", "pae"}:
        state.enter_protected_mode(CODE)
    else:
        state.enter_long_mode(CODE, PML4)
    if mode in {"pg32", "pae"}:
        state.cr0 |= CR0_PG
        state.cr3, state.cr4 = (PD32, CR4_PSE) if mode == "pg32" else (PDPT_PAE, CR4_PAE)
    if mode == "pm16":
        state.cs = Segment(8, 0, 0xFFFF, CODE16)
        for name in ("es", "ss", "ds", "fs", "gs"):
            setattr(state, name, Segment(16, 0, 0xFFFF, DATA16))
    if mode == "compat":
        state.cs = Segment(8, 0, 0xFFFF_FFFF, CODE32)
    state.rsp = STACK


class Machine:
    """A processor with the memory map above, code loaded, ready to step."""

    def __init__(self, engine, mode, code="", registers=None):
        self.engine, self.mode = engine, mode
        self.low, self.high = bytearray(LOW), bytearray(_IDENTITY)
        self.state = CpuState()
        enter(self.state, mode)
        self.cpu = self.cpu_on(engine)
        self.code = bytes.fromhex(code)
        self.poke(CODE, self.code)
        self.vectors()
        for name, value in (registers or {}).items():
            self.set(name, value)

    def cpu_on(self, engine, **switches):
        """Bind the state and RAM to an engine; several may be bound to one state."""
        pieces = [(0, self.low), (HIGH_BASE, self.high), (ROM, ROM_BYTES)]
        return Cpu(pieces, engine=engine, state=self.state, **switches)

    def _place(self, gpa):
        return (self.low, gpa) if gpa < LOW else (self.high, gpa - HIGH_BASE)

    def poke(self, gpa, data, size=0):
        """Write bytes, or an integer of `size` bytes, to RAM."""
        raw = data.to_bytes(size, "little") if isinstance(data, int) else data
        ram, offset = self._place(gpa)
        ram[offset : offset + len(raw)] = raw

    def peek(self, gpa, size):
        """Read an integer of `size` bytes from RAM."""
        ram, offset = self._place(gpa)
        return int.from_bytes(ram[offset : offset + size], "little")

    def set(self, name, value):
        """Set a register by name, or RAM by an `(address, size)` pair."""
        if isinstance(name, tuple):
            self.poke(name[0], value, name[1])
        elif name.rstrip("0123456789") in FILES:
            file, number = name.rstrip("0123456789"), name.lstrip("abcdefghijklmnopqrstuvwxyz")
            getattr(self.state, FILES[file])[int(number)] = value
        else:
            setattr(self.state, name, value)

    def get(self, name):
        """The counterpart of `set`."""
        return self.peek(*name) if isinstance(name, tuple) else getattr(self.state, name)

    def ring3(self):
        """Move to CPL 3 with flat ring-3 segments of the same kind."""
        state = self.state
        for name in SEGMENTS:
            selector, base, limit, attributes = getattr(state, name)
            setattr(state, name, Segment(selector | 3, base, limit, attributes | 0x60))
        return self

    def step(self, answer=None):
        """One engine call."""
        return self.cpu.step(answer)

    def finish(self, answers=()):
        """Step until the instruction is over; return the device accesses and the outcome."""
        answers, accesses = list(answers), []
        outcome = self.cpu.step()
        while isinstance(outcome, Read | Write | PortIn | PortOut):
            accesses.append(outcome)
            reads = isinstance(outcome, Read | PortIn)
            outcome = self.cpu.step(answers.pop(0) if reads else None)
        assert not answers, "the instruction asked for fewer device reads than scripted"
        return accesses, outcome

    def pte_place(self, linear):
        """Gpa and size of the page-table entry of a linear address below 2 MiB."""
        table, size = (PT32, 4) if self.mode == "pg32" else (PT, 8)
        return table + size * (linear >> 12), size

    def pte(self, linear, value, marks=MARKED):
        """Replace the page-table entry of a linear address below 2 MiB."""
        gpa, size = self.pte_place(linear)
        self.poke(gpa, value | marks, size)

    def descriptor(self, index, base, limit, attributes):
        """Write a code or data descriptor; `limit` is the raw 20-bit field."""
        raw = limit & 0xFFFF | (base & 0xFFFFFF) << 16 | (attributes & 0xF0FF) << 40
        raw |= (limit >> 16 & 15) << 48 | base >> 24 << 56
        self.poke(GDT + 8 * index, raw, 8)
        self.state.gdtr_base, self.state.gdtr_limit = GDT, 0x7F

    def registers(self):
        """Every register the state names, for comparing before and after."""
        state = self.state
        names = (*GPR, "rip", "rflags", *SEGMENTS, "ldtr", "tr", *SYSTEM_REGISTERS)
        found = {name: getattr(state, name) for name in (*names, *VECTOR_WORDS)}
        for name, file in (("zmm", state.zmm), ("k", state.opmask), ("st", state.x87)):
            found |= {f"{name}{number}": file[number] for number in range(len(file))}
        return found

    def vectors(self):
        """Let the guest use SSE, AVX and AVX-512."""
        self.state.cr4 |= CR4_OSFXSR | CR4_OSXSAVE
        self.state.xcr0 = 0xE7
        return self


def check_case(engine, mode, code, before, after, flags=None, answers=(), accesses=()):
    """Run one instruction and compare all of the state.

    `before` and `after` map register names, or `(gpa, size)` of RAM, to values; what `after` does
    not name must not have changed, except RIP, which has moved past the instruction. `flags` are
    the letters of the status flags that are set afterwards; `None` says that they keep their value.
    """
    machine = Machine(engine, mode, code, before)
    expected = machine.registers()
    expected["rip"] += len(machine.code)
    low, high = bytes(machine.low), bytes(machine.high)
    done, outcome = machine.finish(answers)
    assert done == list(accesses)
    if flags is not None:
        expected["rflags"] = expected["rflags"] & ~STATUS | flags_of(flags)
    memory = {key: value for key, value in after.items() if isinstance(key, tuple)}
    expected |= {key: value for key, value in after.items() if isinstance(key, str)}
    assert expected.keys() == machine.registers().keys(), "name whole registers: zmm, k, st"
    assert isinstance(outcome, Done), outcome
    assert outcome.rip == expected["rip"]
    assert machine.registers() == expected
    changed = Machine(engine, mode)
    changed.low[:], changed.high[:] = low, high
    for key, value in memory.items():
        changed.set(key, value)
    assert (machine.low, machine.high) == (changed.low, changed.high)
    return machine


def check_fault(machine, vector, error=0, address=0):
    """Step into a fault and see that nothing has changed: registers, RAM, nothing in flight."""
    before = machine.registers(), bytes(machine.low), bytes(machine.high)
    assert machine.step() == Fault(vector, error, address)
    assert (machine.registers(), bytes(machine.low), bytes(machine.high)) == before
    assert not machine.cpu.awaits_answer
