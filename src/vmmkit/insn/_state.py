# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Named access to the flat vCPU record."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple, Self, overload

from vmmkit.errors import StateError
from vmmkit.insn._page_modes import (
    CR0_PG,
    CR4_LA57,
    CR4_PAE,
    EFER_LMA,
    LEAST_PHYSICAL,
    MOST_PHYSICAL,
)
from vmmkit.insn._record import CPU_WORDS, SEGMENT_NAMES, VECTOR_BYTES, VECTOR_COUNT, WORD
from vmmkit.insn._segments import ATTR_DB, ATTR_L, CR0_PE, RFLAGS_VM

__all__ = ["CpuState", "RegisterFile", "Segment"]

ALL_ONES: Final = (1 << 64) - 1
RFLAGS_FIXED: Final = 0x2  # SDM vol. 1, "EFLAGS Register": bit 1 is always 1
CR0_RESET: Final = 0x6000_0010  # SDM vol. 3A, "Processor State After Reset": CD, NW, ET
DR6_ONES: Final = 0xFFFF_0FF0  # SDM vol. 3B, "Debug Registers": bits that are always 1
DR7_ONES: Final = 0x400
PAT_RESET: Final = 0x0007_0406_0007_0406  # SDM vol. 3A, "Page Attribute Table (PAT)"
EFER_LME_LMA: Final = 1 << 8 | EFER_LMA

REAL_CODE: Final = 0x9B  # present, code, readable, accessed
REAL_DATA: Final = 0x93  # present, data, writable, accessed
FLAT_CODE: Final = 0xC09B  # the same with D and G
FLAT_CODE_64: Final = 0xA09B  # the same with L and G
FLAT_DATA: Final = 0xC093
LDT: Final = 0x82
TSS_BUSY: Final = 0x8B
MXCSR_RESET: Final = 0x1F80  # every exception masked
X87_CONTROL_RESET: Final = 0x40  # every exception unmasked, until FNINIT
SEGMENT_WORDS: Final = struct.Struct("=4Q")
IN_FLIGHT: Final = (
    *("log_pending", "log_count", "page_count", "code_length", "code_given", "refused"),
)
DATA_SEGMENTS: Final = ("es", "ss", "ds", "fs", "gs")


class Segment(NamedTuple):
    """A segment register with its hidden part."""

    selector: int
    base: int
    limit: int
    """Highest offset in bytes, whatever the granularity bit says."""
    attributes: int
    """SDM vol. 3C, "Guest Register State": type 3:0, S 4, DPL 6:5, P 7, L 13, D/B 14, G 15,
    unusable 16."""


class _Word:
    """A 64-bit word of the record."""

    __slots__ = ("name", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, state: None, owner: type) -> _Word: ...
    @overload
    def __get__(self, state: CpuState, owner: type) -> int: ...
    def __get__(self, state: CpuState | None, owner: type) -> _Word | int:
        if state is None:
            return self
        return state.words[self.number]

    def __set__(self, state: CpuState, value: int) -> None:
        _store(state, self.number, value, self.name)


class _PhysicalWidth(_Word):
    """The width of physical addresses, which has a range of its own."""

    __slots__ = ()

    def __set__(self, state: CpuState, value: int) -> None:
        if not isinstance(value, int) or not LEAST_PHYSICAL <= value <= MOST_PHYSICAL:
            message = f"{self.name} is {LEAST_PHYSICAL} to {MOST_PHYSICAL} bits, not {value!r}"
            raise StateError(message)
        _store(state, self.number, value, self.name)


class _SegmentWords:
    """Four words that are one segment register."""

    __slots__ = ("name", "number")

    def __init__(self, number: int) -> None:
        self.number = WORD["segment"] + 4 * number
        self.name = SEGMENT_NAMES[number]

    @overload
    def __get__(self, state: None, owner: type) -> _SegmentWords: ...
    @overload
    def __get__(self, state: CpuState, owner: type) -> Segment: ...
    def __get__(self, state: CpuState | None, owner: type) -> _SegmentWords | Segment:
        if state is None:
            return self
        return Segment(*state.words[self.number : self.number + 4])

    def __set__(self, state: CpuState, value: tuple[int, int, int, int]) -> None:
        try:
            parts = Segment(*value)
            fits = 0 <= parts.selector <= 0xFFFF and 0 <= parts.limit <= 0xFFFF_FFFF
            packed = SEGMENT_WORDS.pack(*parts)
        except (TypeError, struct.error) as error:
            message = f"{self.name} takes four integers (Segment), not {value!r}"
            raise StateError(message) from error
        if not fits:
            message = f"{self.name} takes a 16-bit selector and a 32-bit limit, not {parts}"
            raise StateError(message)
        start = 8 * self.number
        state.record[start : start + len(packed)] = packed


class RegisterFile:
    """Equal registers of one state, by number: integers of as many bytes each.

    Writing a narrower view of a register (`xmm`, `ymm`, `mmx`) leaves the bytes above it.
    """

    __slots__ = ("_name", "_size", "_start", "_state", "_step", "_total")

    def __init__(self, state: CpuState, name: str, shape: tuple[str, int, int, int]) -> None:
        """Bind a field of the record: its name, registers, bytes from one to the next, bytes."""
        field, self._total, self._step, self._size = shape
        self._state, self._name, self._start = state, name, 8 * WORD[field]

    def __len__(self) -> int:
        """How many registers there are."""
        return self._total

    def _place(self, number: int) -> int:
        if not 0 <= number < self._total:
            message = f"{self._name} registers are 0 to {self._total - 1}, not {number}"
            raise IndexError(message)
        return self._start + self._step * number

    def __getitem__(self, number: int) -> int:
        """Read a register."""
        start = self._place(number)
        return int.from_bytes(self._state.record[start : start + self._size], "little")

    def __setitem__(self, number: int, value: int) -> None:
        """Write a register; `StateError` for a value that does not fit."""
        start = self._place(number)
        try:
            packed = value.to_bytes(self._size, "little")
        except (OverflowError, AttributeError) as error:
            message = f"{self._name}[{number}] takes {self._size} bytes, not {value!r}"
            raise StateError(message) from error
        self._state.record[start : start + self._size] = packed


class _File:
    """A register file as an attribute."""

    __slots__ = ("_name", "_shape")

    def __init__(self, field: str, total: int, step: int, size: int) -> None:
        self._shape, self._name = (field, total, step, size), ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, state: CpuState, owner: type) -> RegisterFile:
        return RegisterFile(state, self._name, self._shape)


def _store(state: CpuState, number: int, value: int, name: str) -> None:
    try:
        state.words[number] = value
    except (ValueError, TypeError) as error:
        message = f"{name} takes an integer from 0 to 2**64-1, not {value!r}"
        raise StateError(message) from error


class CpuState:
    """The registers of one vCPU, over a flat record that both engines work on.

    Every register is an attribute of its usual name (`rax` to `r15`, `rip`, `rflags`, `cr0`,
    `cr2`, `cr3`, `cr4`, `efer`, `pkru`, `gdtr_base`...), an integer from 0 to 2**64-1; segment
    registers are `Segment` tuples. `gpr` is a view of the sixteen general registers by number.
    `maxphyaddr` (32 to 52; 52 after reset) is the processor's, not a register: the width of
    physical addresses in bits, above which page-table entries have reserved bits.
    `xmm`, `ymm` and `zmm` are views of the 32 vector registers by number, `opmask` of the 8 mask
    registers, `x87` of the physical x87 registers R0 to R7 (80 bits), `mmx` of their low 64 bits;
    `x87_tag` has a bit for each that is not empty. `xcr0` decides which of them AVX may use.
    Values out of range raise `StateError` and change nothing. The state copies, deep-copies and
    pickles with the instruction in flight; `record` is a buffer of that.
    """

    __slots__ = ("gpr", "record", "words")

    rax = _Word(0)
    rcx = _Word(1)
    rdx = _Word(2)
    rbx = _Word(3)
    rsp = _Word(4)
    rbp = _Word(5)
    rsi = _Word(6)
    rdi = _Word(7)
    r8 = _Word(8)
    r9 = _Word(9)
    r10 = _Word(10)
    r11 = _Word(11)
    r12 = _Word(12)
    r13 = _Word(13)
    r14 = _Word(14)
    r15 = _Word(15)
    rip = _Word(WORD["rip"])
    rflags = _Word(WORD["rflags"])
    es = _SegmentWords(0)
    cs = _SegmentWords(1)
    ss = _SegmentWords(2)
    ds = _SegmentWords(3)
    fs = _SegmentWords(4)
    gs = _SegmentWords(5)
    ldtr = _SegmentWords(6)
    tr = _SegmentWords(7)
    gdtr_base = _Word(WORD["gdtr_base"])
    gdtr_limit = _Word(WORD["gdtr_limit"])
    idtr_base = _Word(WORD["idtr_base"])
    idtr_limit = _Word(WORD["idtr_limit"])
    cr0 = _Word(WORD["cr0"])
    cr2 = _Word(WORD["cr2"])
    cr3 = _Word(WORD["cr3"])
    cr4 = _Word(WORD["cr4"])
    efer = _Word(WORD["efer"])
    xcr0 = _Word(WORD["xcr0"])
    cr8 = _Word(WORD["cr8"])
    dr0 = _Word(WORD["dr"])
    dr1 = _Word(WORD["dr"] + 1)
    dr2 = _Word(WORD["dr"] + 2)
    dr3 = _Word(WORD["dr"] + 3)
    dr6 = _Word(WORD["dr"] + 6)
    dr7 = _Word(WORD["dr"] + 7)
    star = _Word(WORD["star"])
    lstar = _Word(WORD["lstar"])
    cstar = _Word(WORD["cstar"])
    sfmask = _Word(WORD["sfmask"])
    kernel_gs_base = _Word(WORD["kernel_gs_base"])
    sysenter_cs = _Word(WORD["sysenter_cs"])
    sysenter_esp = _Word(WORD["sysenter_esp"])
    sysenter_eip = _Word(WORD["sysenter_eip"])
    tsc_aux = _Word(WORD["tsc_aux"])
    pat = _Word(WORD["pat"])
    tsc_offset = _Word(WORD["tsc_offset"])
    pkru = _Word(WORD["pkru"])
    pasid = _Word(WORD["pasid"])
    maxphyaddr = _PhysicalWidth(WORD["maxphyaddr"])
    features = _Word(WORD["features"])
    interrupt_shadow = _Word(WORD["interrupt_shadow"])
    nmi_blocked = _Word(WORD["nmi_blocked"])
    retired = _Word(WORD["retired"])
    mxcsr = _Word(WORD["mxcsr"])
    x87_control = _Word(WORD["x87_control"])
    x87_status = _Word(WORD["x87_status"])
    x87_tag = _Word(WORD["x87_tag"])
    x87_opcode = _Word(WORD["x87_opcode"])
    x87_ip = _Word(WORD["x87_ip"])
    x87_cs = _Word(WORD["x87_cs"])
    x87_dp = _Word(WORD["x87_dp"])
    x87_ds = _Word(WORD["x87_ds"])
    xss = _Word(WORD["xss"])
    xmm = _File("vector", VECTOR_COUNT, VECTOR_BYTES, 16)
    ymm = _File("vector", VECTOR_COUNT, VECTOR_BYTES, 32)
    zmm = _File("vector", VECTOR_COUNT, VECTOR_BYTES, 64)
    opmask = _File("opmask", 8, 8, 8)
    mmx = _File("x87", 8, 16, 8)
    x87 = _File("x87", 8, 16, 10)

    def __init__(self) -> None:
        """Allocate a record in the state after reset."""
        self.record = bytearray(8 * CPU_WORDS)
        self.words = memoryview(self.record).cast("Q")
        self.gpr = self.words[:16]
        self.features, self.maxphyaddr = (1 << 64) - 1, MOST_PHYSICAL
        self.reset()

    def reset(self) -> None:
        """Set every register to its value after RESET.

        SDM vol. 3A, table "IA-32 and Intel 64 Processor States Following Power-up, Reset, or
        INIT". RDX, the processor's signature, is left 0. What kind of processor it is (`features`,
        `maxphyaddr`) stays.
        """
        features, width = self.features, self.maxphyaddr
        self.record[:] = bytes(len(self.record))
        self.features, self.maxphyaddr = features, width
        self.rip, self.rflags, self.cr0 = 0xFFF0, RFLAGS_FIXED, CR0_RESET
        self.cs = Segment(0xF000, 0xFFFF_0000, 0xFFFF, REAL_CODE)
        for name in DATA_SEGMENTS:
            setattr(self, name, Segment(0, 0, 0xFFFF, REAL_DATA))
        self.ldtr, self.tr = Segment(0, 0, 0xFFFF, LDT), Segment(0, 0, 0xFFFF, TSS_BUSY)
        self.gdtr_limit = self.idtr_limit = 0xFFFF
        self.dr6, self.dr7, self.xcr0, self.pat = DR6_ONES, DR7_ONES, 1, PAT_RESET
        self.mxcsr, self.x87_control, self.x87_tag = MXCSR_RESET, X87_CONTROL_RESET, 0xFF

    @property
    def tsc(self) -> int:
        """The time-stamp counter: instructions completed plus `tsc_offset`.

        Time is virtual: it stands while the guest does, and goes on by 1 per instruction (and per
        element of a repeated one), so that the same run reads the same times. An owner with a clock
        of its own sets `tsc` before it runs the vCPU.
        """
        return self.retired + self.tsc_offset & ALL_ONES

    @tsc.setter
    def tsc(self, value: int) -> None:
        """Set the counter, from 0 to 2**64-1, by way of `tsc_offset`."""
        self.tsc_offset = value - self.retired & ALL_ONES

    @property
    def mode(self) -> int:
        """16, 32 or 64: what `decode` wants for the code segment as it is now."""
        if not self.cr0 & CR0_PE or self.rflags & RFLAGS_VM:
            return 16 if self.rflags & RFLAGS_VM or not self.cs.attributes & ATTR_DB else 32
        if self.efer & EFER_LMA and self.cs.attributes & ATTR_L:
            return 64
        return 32 if self.cs.attributes & ATTR_DB else 16

    def copy(self) -> Self:
        """Return a copy, the instruction in flight included."""
        twin = type(self)()
        twin.record[:] = self.record
        return twin

    def __deepcopy__(self, _memo: object) -> Self:
        """Copy; there is nothing below the record."""
        return self.copy()

    def __reduce__(self) -> tuple[object, tuple[type[Self], bytes]]:
        """Pickle as the record's bytes."""
        return _restored, (type(self), bytes(self.record))

    def abandon(self) -> None:
        """Forget the instruction in flight; the next one starts at RIP afresh."""
        for name in IN_FLIGHT:
            self.words[WORD[name]] = 0

    def enter_real_mode(self, ip: int, selector: int = 0) -> None:
        """Prepare 16-bit real-address mode at `selector`:`ip`, every segment at `selector`.

        The other registers keep their values; an instruction in flight is abandoned.
        """
        self._leave()
        self.cr0, self.efer, self.rip = CR0_RESET, 0, ip
        self.cs = Segment(selector, selector << 4, 0xFFFF, REAL_CODE)
        for name in DATA_SEGMENTS:
            setattr(self, name, Segment(selector, selector << 4, 0xFFFF, REAL_DATA))

    def enter_protected_mode(self, eip: int) -> None:
        """Prepare 32-bit protected mode without paging: flat 4 GiB segments, CPL 0.

        The other registers keep their values; an instruction in flight is abandoned.
        """
        self._leave()
        self.cr0, self.efer, self.rip = CR0_RESET | CR0_PE, 0, eip
        self._flat(FLAT_CODE)

    def enter_long_mode(self, rip: int, cr3: int) -> None:
        """Prepare 64-bit mode with 4-level paging from the PML4 at gpa `cr3`, flat, CPL 0.

        The other registers keep their values; an instruction in flight is abandoned.
        """
        self._leave()
        self.cr0, self.cr3, self.rip = CR0_RESET | CR0_PG | CR0_PE, cr3, rip
        self.cr4 = self.cr4 & ~CR4_LA57 | CR4_PAE
        self.efer |= EFER_LME_LMA
        self._flat(FLAT_CODE_64)

    def _leave(self) -> None:
        """Leave virtual-8086 mode and whatever instruction or event was in flight."""
        self.abandon()
        self.words[WORD["event"]] = 0
        self.rflags &= ~RFLAGS_VM

    def _flat(self, code_attributes: int) -> None:
        self.cs = Segment(0x08, 0, 0xFFFF_FFFF, code_attributes)
        for name in DATA_SEGMENTS:
            setattr(self, name, Segment(0x10, 0, 0xFFFF_FFFF, FLAT_DATA))

    def __repr__(self) -> str:
        """Show the registers a person looks at first."""
        shown = " ".join(f"{name}={getattr(self, name):#x}" for name in ("rax", "rsp", "rip"))
        return f"<CpuState {shown} rflags={self.rflags:#x} cs={self.cs.selector:#x}>"


def _restored(kind: type[CpuState], record: bytes) -> CpuState:
    """Rebuild a pickled state."""
    state = kind()
    state.record[:] = record
    return state
