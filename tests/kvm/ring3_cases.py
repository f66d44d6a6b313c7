# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What ends ring 3, one case each, with the vector that the SDM says.

A register may be given as a bit to add (`"cr0|"`), since the others depend on the mode.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from insn.kernel import Kernel
from insn.machine import DATA, STACK

__all__ = ["CASES", "Case"]

TRIPLE: Final = -1  # no handler at all
P, RW, US, XD = 1, 2, 4, 1 << 63
TF, IOPL, AC, AM = 0x102, 0x3002, 0x40002, 1 << 18
NOT_CANONICAL, NEXT = 1 << 63, DATA + 0x1000
SCE_ONLY, NXE = 0x501, 0xD01
HANDLER = 0x4600


def _nothing(_machine: Kernel) -> None:
    """The guest is as `ring3` makes it."""


class Case(NamedTuple):
    """One guest: `prepare` changes its tables."""

    name: str
    mode: str
    code: str
    vector: int
    registers: Mapping[object, int] = MappingProxyType({})
    prepare: Callable[[Kernel], object] = _nothing
    difference: str = ""

    def apply(self, machine: Kernel) -> Kernel:
        """Make a guest of `ring3` this case's."""
        for name, value in self.registers.items():
            if isinstance(name, str) and name.endswith("|"):
                machine.set(name[:-1], machine.get(name[:-1]) | value)
            else:
                machine.set(name, value)
        self.prepare(machine)
        return machine


def _page(entry: int, linear: int = DATA) -> Callable[[Kernel], object]:
    """The page-table entry of a page, with these rights to the page itself."""
    return lambda machine: machine.pte(linear, linear | entry)


def _gates(**changes: dict[str, int]) -> Callable[[Kernel], object]:
    """Gates of vectors `v6` and so on, changed."""

    def change(machine: Kernel) -> None:
        for name, fields in changes.items():
            machine.gate(int(name[1:]), **fields)

    return change


AT_DATA: Final = {"rbx": DATA}
CROSSING: Final = {"rbx": NEXT - 2}
COPY: Final = {"rcx": 8, "rsi": DATA, "rdi": DATA + 0x100}
ABSENT: Final = {"p": 0}

CASES: Final = (
    Case("divide by zero", "long", "f7f1", 0, {"rcx": 0}),
    Case("quotient too wide", "long", "48f7f1", 0, {"rcx": 1, "rdx": 1}),
    Case("AAM by zero", "compat", "d400", 0),
    Case("single step", "long", "9090", 1, {"rflags": TF}),
    Case("single step in compatibility mode", "compat", "4090", 1, {"rflags": TF}),
    Case("POPF sets TF", "long", "9d9090", 1, {"rsp": STACK - 8, (STACK - 8, 8): TF}),
    Case("fault before the single step", "long", "0f0b", 6, {"rflags": TF}),
    Case("#GP before the single step", "long", "f4", 13, {"rflags": TF}),
    Case("single step of REP", "long", "f3a4", 1, COPY | {"rflags": TF}, difference="repeat-rf"),
    Case("single step after MOV SS", "long", "8ed090", 1, {"rax": 0x23, "rflags": TF},
         difference="stack-load"),
    Case("INT1", "long", "f1", 1, difference="int1"),
    Case("breakpoint at code", "long", "9090", 1, {"dr0": 0x1001, "dr7": 1}, _nothing,
         "breakpoint"),
    Case("breakpoint at a store", "long", "8903", 1, AT_DATA | {"dr0": DATA, "dr7": 0xD0001},
         _nothing, "breakpoint"),
    Case("breakpoint at a load", "long", "8b03", 1, AT_DATA | {"dr1": DATA, "dr7": 0xF00004},
         _nothing, "breakpoint"),
    Case("breakpoint passed by with RF", "long", "90", 13,
         {"dr0": 0x1000, "dr7": 1, "rflags": 0x10002}),
    Case("INT3", "long", "cc", 3),
    Case("INT3 in compatibility mode", "compat", "cc", 3, difference="software-interrupt"),
    Case("INTO", "compat", "ce", 4, {"rflags": 0x802}, _nothing, "software-interrupt"),
    Case("INTO without overflow", "compat", "ce", 13),
    Case("BOUND", "compat", "6203", 5, AT_DATA | {"rax": 5}, _nothing, "software-interrupt"),
    Case("INT n, DPL 3", "long", "cd80", 0x80, difference="software-interrupt"),
    Case("INT n, DPL 0", "long", "cd30", 13, difference="software-interrupt"),
    Case("UD2", "long", "0f0b", 6),
    Case("UD0", "long", "0fff00", 6),
    Case("UD2 in compatibility mode", "compat", "0f0b", 6),
    Case("LOCK where it may not be", "long", "f090", 6),
    Case("INTO in 64-bit mode", "long", "ce", 6),
    Case("RDFSBASE not enabled", "long", "f30faec0", 6, difference="base"),
    Case("ARPL", "compat", "63c8", 13, {"rcx": 3}, _nothing, "segment-load"),
    Case("a stack that is not canonical", "long", "50", 12, {"rsp": NOT_CANONICAL}),
    Case("RBP that is not canonical", "long", "8b4500", 12, {"rbp": NOT_CANONICAL}),
    Case("a load that is not canonical", "long", "8b03", 13, {"rbx": NOT_CANONICAL}),
    Case("a jump that is not canonical", "long", "ffe3", 13, {"rbx": NOT_CANONICAL}),
    Case("16 bytes", "long", "66" * 15 + "90", 13),
    Case("HLT", "long", "f4", 13),
    Case("CLI", "long", "fa", 13),
    Case("CLI at IOPL 3", "long", "fa90", 13, {"rflags": IOPL}, _nothing, "iopl"),
    Case("RDMSR", "long", "0f32", 13),
    Case("MOV from CR0", "long", "0f20c0", 13),
    Case("MOV to CR3", "long", "0f22d8", 13),
    Case("MOV from DR7", "long", "0f21f8", 13),
    Case("LGDT", "long", "0f0113", 13, AT_DATA),
    Case("SYSRET", "long", "480f07", 13),
    Case("SWAPGS", "long", "0f01f8", 13),
    Case("INVLPG", "long", "0f013b", 13, AT_DATA),
    Case("SGDT under UMIP", "long", "0f0103", 13, AT_DATA | {"cr4|": 1 << 11}),
    Case("IRET to nowhere", "long", "48cf", 13),
    Case("MOV SS, null", "long", "8ed0", 13, {"rax": 0}),
    Case("MOV DS, beyond the GDT", "long", "8ed8", 13, {"rax": 0x7B}, _nothing, "segment-load"),
    Case("CALL far, beyond the GDT", "long", "ff1b", 13, AT_DATA | {(DATA + 4, 2): 0x7B},
         _nothing, "segment-load"),
    Case("load, no page", "long", "8b03", 14, AT_DATA, _page(0)),
    Case("load of the system's", "long", "8b03", 14, AT_DATA, _page(P | RW)),
    Case("load in compatibility mode", "compat", "8b03", 14, AT_DATA, _page(P | RW)),
    Case("store, read-only", "long", "8903", 14, AT_DATA, _page(P | US)),
    Case("store, no page", "long", "8903", 14, AT_DATA, _page(0)),
    Case("store of the system's", "long", "8903", 14, AT_DATA, _page(P | RW)),
    Case("XCHG, read-only", "long", "8703", 14, AT_DATA, _page(P | US)),
    Case("CMPXCHG that would not store", "long", "0fb10b", 14, AT_DATA | {"rax": 5}, _page(P | US)),
    Case("reserved bit", "long", "8b03", 14, AT_DATA, _page(P | RW | US | 1 << 51)),
    Case("fetch, no page", "long", "ffe3", 14, AT_DATA, _page(0)),
    Case("fetch, no page, with NXE", "long", "ffe3", 14, AT_DATA | {"efer": NXE}, _page(0)),
    Case("fetch, execute-disable", "long", "ffe3", 14, AT_DATA | {"efer": NXE},
         _page(P | RW | US | XD)),
    Case("fetch of the system's", "long", "ffe3", 14, AT_DATA, _page(P | RW)),
    Case("load across pages", "long", "8b03", 14, CROSSING, _page(P | RW, NEXT)),
    Case("store across pages", "long", "8903", 14, CROSSING, _page(P | US, NEXT)),
    Case("code across pages", "long", "e9f80f0000", 14,
         {(0x1FFD, 3): 0x0000B8}, _page(0)),
    Case("REP MOVS to the page's end", "long", "f3a4", 14, COPY | {"rdi": NEXT - 3},
         _page(P | US, NEXT)),
    Case("PUSH to no page", "long", "50", 14, {"rsp": NEXT}, _page(0)),
    Case("misaligned load", "long", "8b03", 17, {"rbx": DATA + 1, "rflags": AC, "cr0|": AM},
         _nothing, "ac"),
    Case("misaligned load from no page", "long", "8b03", 17,
         {"rbx": DATA + 1, "rflags": AC, "cr0|": AM}, _page(0), "ac"),
    Case("misaligned load with AM clear", "long", "8b03", 13, {"rbx": DATA + 1, "rflags": AC},
         _nothing, "alignment-mask"),
    Case("a load across the canonical end", "long", "8b03", 13, {"rbx": (1 << 47) - 2}, _nothing,
         "canonical-end"),
    Case("misaligned push", "compat", "50", 17, {"rsp": STACK - 3, "rflags": AC, "cr0|": AM},
         _nothing, "compatibility-ac"),
    Case("SYSCALL", "long", "0f05", 0x60, {"star": 8 << 32, "lstar": HANDLER}, _nothing, "syscall"),
    Case("SYSCALL not enabled", "long", "0f05", 6, {"efer": SCE_ONLY & ~1}, _nothing, "syscall"),
    Case("SYSCALL in compatibility mode", "compat", "0f05", 6, {"cstar": HANDLER}, _nothing,
         "compatibility-syscall"),
    Case("SYSENTER in compatibility mode", "compat", "0f34", 13, {}, _nothing,
         "compatibility-syscall"),
    Case("on an IST", "long", "0f0b", 6, {}, _gates(v6={"ist": 1})),
    Case("a trap gate", "long", "cc", 3, {}, _gates(v3={"kind": 15, "dpl": 3})),
    Case("no gate for #UD", "long", "0f0b", 11, {}, _gates(v6=ABSENT), "second-fault"),
    Case("no gate for #GP", "long", "f4", 8, {}, _gates(v13=ABSENT), "double-fault-rf"),
    Case("no gate for #DF", "long", "f4", TRIPLE, {}, _gates(v13=ABSENT, v8=ABSENT)),
    Case("no page for the IDT", "long", "0f0b", TRIPLE, {}, _page(0, 0x3000)),
    Case("no page for the stack", "long", "0f0b", TRIPLE, {}, _page(0, 0x6000)),
)  # fmt: skip
