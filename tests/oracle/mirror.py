# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The oracle's environment built for an engine of `vmmkit.insn`: same `Case` in, same `Result` out.

Linux runs user code at CPL 3 under 4-level paging, with CR0.WP and EFER.NXE set, a GDT of sixteen
entries, and no I/O bitmap. The mirror has the oracle's code page and windows as user pages, and one
supervisor page in the upper half with GDT, LDT and TSS. Other addresses are not mapped.
"""

import functools
from array import array
from pathlib import Path
from typing import Final

from oracle.native import (
    CODE,
    INT3,
    PAGE,
    VECTOR_SIZE,
    WINDOWS,
    Case,
    Descriptor,
    Result,
)
from vmmkit.insn import WORD, Cpu, Done, Fault, Feature, Outcome, Segment

# Guest-physical pages.
PML4, PDPT, PD, PT_CODE, PT_DATA, HIGH_PDPT, HIGH_PD, HIGH_PT, TABLES, CODE_PAGE, MEMORY = (
    number * PAGE for number in range(11)
)
SYSTEM: Final = 0xFFFF_8000_0000_0000 | TABLES  # linear address of the page of system tables
GDT_AT, LDT_AT, TSS_AT = 0, 0x400, 0x800

P, RW, US, ACCESSED, DIRTY, XD = 1, 2, 4, 0x20, 0x40, 1 << 63
TABLE: Final = P | RW | US | ACCESSED
LEAF: Final = P | US | ACCESSED | DIRTY

CR0: Final = 0x8005_0033  # PG, AM, WP, NE, ET, MP, PE
# PAE, OSFXSR, OSXMMEXCPT, FSGSBASE, OSXSAVE
CR4: Final = 1 << 5 | 1 << 9 | 1 << 10 | 1 << 16 | 1 << 18
XCR0: Final = 0xE7
VECTOR: Final = 8 * WORD["vector"]
EFER: Final = 1 << 11 | 1 << 10 | 1 << 8 | 1  # NXE, LMA, LME, SCE

# Linux's GDT, as far as user code can tell: selector to (descriptor, attributes).
FLAT: Final = 0xFFFF_FFFF
GDT: Final = {
    0x08: Segment(0x08, 0, FLAT, 0xC09B),
    0x10: Segment(0x10, 0, FLAT, 0xA09B),
    0x18: Segment(0x18, 0, FLAT, 0xC093),
    0x20: Segment(0x20, 0, FLAT, 0xC0FB),
    0x28: Segment(0x28, 0, FLAT, 0xC0F3),
    0x30: Segment(0x30, 0, FLAT, 0xA0FB),
    0x78: Segment(0x78, 0, 0, 0x40F5),  # the processor's number, read by LSL
}
GDT_LIMIT: Final = 0x7F
UNUSABLE: Final = 1 << 16
LDT_PRESENT, TSS_BUSY = 0x82, 0x8B
TSS_LIMIT, TSS_IO_BASE = 0x67, 102

# Features that not every x86-64 processor has, by Linux's name.
HOST_FEATURES: Final = {
    "avx": Feature.AVX,
    "avx2": Feature.AVX2,
    "avx512f": Feature.AVX512F,
    "avx512dq": Feature.AVX512DQ,
    "avx512bw": Feature.AVX512BW,
    "avx512vl": Feature.AVX512VL,
    "avx512_fp16": Feature.AVX512FP16,
    "avx512vbmi": Feature.AVX512VBMI,
}
SEGMENT: Final = WORD["segment"]
X87_POINTERS: Final = WORD["x87_opcode"]  # and the four words that follow
NO_POINTERS: Final = array("Q", bytes(40))
RIP: Final = WORD["rip"]
RFLAGS: Final = WORD["rflags"]
RFLAGS_IF: Final = 0x202


@functools.cache
def host_flags() -> frozenset[str]:
    """Features of this processor, as Linux names them."""
    words = Path("/proc/cpuinfo").read_text().partition("\nflags")[2].partition("\n")[0].split()
    return frozenset(words)


def descriptor_bytes(segment: Segment) -> bytes:
    """A code or data descriptor (SDM vol. 3A, "Segment Descriptors")."""
    limit = segment.limit >> 12 if segment.attributes >> 15 & 1 else segment.limit
    raw = limit & 0xFFFF | (segment.base & 0xFF_FFFF) << 16 | segment.attributes << 40
    raw |= (limit >> 16 & 15) << 48 | segment.base >> 24 << 56
    return raw.to_bytes(8, "little")


def _page_tables(ram: bytearray) -> None:
    def entry(table: int, index: int, value: int) -> None:
        ram[table + 8 * index : table + 8 * index + 8] = value.to_bytes(8, "little")

    def page(table: int, linear: int, gpa: int, rights: int) -> None:
        entry(table, linear >> 12 & 511, gpa | rights)

    entry(PML4, 0, PDPT | TABLE)
    entry(PDPT, 0, PD | TABLE)
    entry(PD, CODE >> 21 & 511, PT_CODE | TABLE)
    page(PT_CODE, CODE, CODE_PAGE, LEAF | RW)
    entry(PD, WINDOWS[0][0] >> 21 & 511, PT_DATA | TABLE)
    gpa = MEMORY
    for address, size, writable in WINDOWS:
        for offset in range(0, size, PAGE):
            page(PT_DATA, address + offset, gpa + offset, LEAF | XD | (RW if writable else 0))
        gpa += size
    for table, inner in ((PML4 + 8 * 256, HIGH_PDPT), (HIGH_PDPT, HIGH_PD), (HIGH_PD, HIGH_PT)):
        entry(table, 0, inner | TABLE & ~US)
    page(HIGH_PT, SYSTEM, TABLES, P | RW | ACCESSED | DIRTY | XD)


class Mirror:
    """One engine in the oracle's environment.

    Args:
        engine: `"native"` or `"pure"`.
        descriptors: the LDT the oracle was made with.
    """

    def __init__(
        self,
        engine: str,
        descriptors: tuple[Descriptor, ...],
        lacking: frozenset[str] | None = None,
    ) -> None:
        """`lacking` names what the processor to compare with is without: `None` asks this one."""
        self._lacking = HOST_FEATURES.keys() - host_flags() if lacking is None else lacking
        self.ram = bytearray(MEMORY + sum(size for _, size, _ in WINDOWS))
        self._segments = dict(GDT)
        for number, one in enumerate(descriptors):
            segment = Segment(8 * number | 4, one.base, one.limit, one.attributes())
            self._segments[segment.selector] = segment
        _page_tables(self.ram)
        self._system_tables()
        self._caches: dict[tuple[object, ...], array[int]] = {}
        self.cpu = Cpu([(0, self.ram)], engine=engine)
        self._system_registers(len(descriptors))

    def _system_tables(self) -> None:
        for selector, segment in self._segments.items():
            table = LDT_AT if selector & 4 else GDT_AT
            place = TABLES + table + (selector & ~7)
            self.ram[place : place + 8] = descriptor_bytes(segment)
        io_map = TABLES + TSS_AT + TSS_IO_BASE
        self.ram[io_map : io_map + 2] = b"\xff\xff"  # beyond the limit: every port is denied
        self._tables = bytes(self.ram[TABLES : TABLES + PAGE])

    def _system_registers(self, descriptors: int) -> None:
        state = self.cpu.state
        state.cr0, state.cr3, state.cr4, state.efer = CR0, PML4, CR4, EFER
        state.xcr0 = XCR0
        for flag in self._lacking:
            state.features &= ~HOST_FEATURES[flag]
        state.gdtr_base, state.gdtr_limit = SYSTEM + GDT_AT, GDT_LIMIT
        ldt_limit = 8 * descriptors - 1 if descriptors else 0
        ldt_attributes = LDT_PRESENT if descriptors else UNUSABLE
        state.ldtr = Segment(0x50, SYSTEM + LDT_AT, ldt_limit, ldt_attributes)
        state.tr = Segment(0x40, SYSTEM + TSS_AT, TSS_LIMIT, TSS_BUSY)

    def segment(self, selector: int) -> Segment:
        """The segment register after loading `selector`."""
        if not selector & 0xFFFC:
            return Segment(selector, 0, 0, UNUSABLE)
        return self._segments[selector & 0xFFFC]._replace(selector=selector)

    def _segment_words(self, case: Case) -> "array[int]":
        key = case.selectors, case.bases
        words = self._caches.get(key)
        if words is None:
            registers = [self.segment(selector) for selector in case.selectors]
            if case.mode == 64:
                for number, base in zip((4, 5), case.bases, strict=True):
                    registers[number] = registers[number]._replace(base=base)
            words = array("Q", [word for register in registers for word in register])
            self._caches[key] = words
        return words

    def _load(self, case: Case) -> None:
        words = self.cpu.state.words
        words[:16] = array("Q", case.gpr)
        words[RIP] = case.rip
        words[RFLAGS] = case.rflags | RFLAGS_IF
        self.cpu.state.record[VECTOR : VECTOR + VECTOR_SIZE] = case.vectors
        words[X87_POINTERS : X87_POINTERS + 5] = NO_POINTERS
        words[SEGMENT : SEGMENT + 24] = self._segment_words(case)
        linear = case.rip if case.linear is None else case.linear
        place = CODE_PAGE + linear - CODE
        room = CODE_PAGE + PAGE - place
        self.ram[CODE_PAGE:MEMORY] = INT3 * PAGE
        self.ram[place : min(place + len(case.code), MEMORY)] = case.code[:room]
        self.ram[MEMORY:] = case.memory

    def run(self, case: Case) -> Result | Outcome:
        """Execute a case; an outcome other than `Done` and `Fault` is returned as it is."""
        self._load(case)
        outcome = self.cpu.step()
        if isinstance(outcome, Fault):
            vector: int | None
            vector, error, cr2 = outcome
        elif isinstance(outcome, Done):
            vector, error, cr2 = None, 0, 0
        else:
            self.cpu.abandon()
            return outcome
        words = self.cpu.state.words
        selectors = tuple(words[SEGMENT : SEGMENT + 24 : 4])
        memory = bytes(self.ram[MEMORY:])
        gpr = tuple(words[:16])
        vectors = bytes(self.cpu.state.record[VECTOR : VECTOR + VECTOR_SIZE])
        registers = gpr, words[RIP], words[RFLAGS], selectors
        return Result(vector, error, cr2, *registers, memory, vectors)

    def system_tables_changed(self) -> bool:
        """Whether something wrote to GDT, LDT or TSS; every descriptor is accessed already."""
        return self.ram[TABLES : TABLES + PAGE] != self._tables
