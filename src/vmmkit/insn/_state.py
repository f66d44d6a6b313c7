# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Named access to the flat vCPU record."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final, Self

from vmmkit.errors import StateError
from vmmkit.insn._page_modes import (
    CR0_PG,
    CR4_LA57,
    CR4_PAE,
    EFER_LMA,
    MOST_PHYSICAL,
)
from vmmkit.insn._record import (
    CPU_FIELDS,
    CPU_WORDS,
    DEBUG_FIELDS,
    VECTOR_BYTES,
    VECTOR_COUNT,
    WORD,
)
from vmmkit.insn._segments import ATTR_DB, ATTR_L, CR0_PE, RFLAGS_VM
from vmmkit.insn._state_words import (
    RegisterFile,
    Segment,
    _FileOfRegisters,
    _PhysicalWidth,
    _PriorityClass,
    _SegmentWords,
    _Word,
)

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["CpuState", "RegisterFile", "Segment"]

ALL_ONES: Final = (1 << 64) - 1
RFLAGS_FIXED: Final = 0x2  # SDM vol. 1, "EFLAGS Register": bit 1 is always 1
CR0_RESET: Final = 0x6000_0010  # SDM vol. 3A, "Processor State After Reset": CD, NW, ET
DR6_ONES: Final = 0xFFFF_0FF0  # SDM vol. 3B, "Debug Registers": bits that are always 1
DR7_ONES: Final = 0x400
CR0_CD_NW: Final = 0x6000_0000
CR0_ET: Final = 0x10
DR: Final = WORD["dr"]
INIT_GPR: Final = memoryview(bytes(8 * 16)).cast("Q")
INIT_DR: Final = memoryview(array("Q", (0, 0, 0, 0, 0, 0, DR6_ONES, DR7_ONES)))
CLEARED_BY_INIT: Final = (
    *("cr2", "cr3", "cr4", "efer", "tpr", "interrupt_shadow", "nmi_blocked", "nmi_pending"),
    *("interrupt_request", "window_request", "debug_pending", "event", "event_error", "halted"),
)
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
IN_FLIGHT: Final = (
    *("log_pending", "log_count", "page_count", "code_length", "code_given", "refused"),
)
COUNTS: Final = dict(CPU_FIELDS)
OF_THE_RUN: Final = ("limit", "batch", "kick", *DEBUG_FIELDS)
"""Words of the record that tell how far the owner lets the guest run."""
DEBUGGER: Final = slice(WORD[DEBUG_FIELDS[0]], WORD[DEBUG_FIELDS[-1]] + COUNTS[DEBUG_FIELDS[-1]])
"""Where those of the owner's breakpoints stand."""
DATA_SEGMENTS: Final = ("es", "ss", "ds", "fs", "gs")


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
    tpr = _Word(WORD["tpr"])
    tpr_threshold = _Word(WORD["tpr_threshold"])
    cr8 = _PriorityClass(WORD["tpr"])
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
    tsc_write_exits = _Word(WORD["tsc_write_exits"])
    pkru = _Word(WORD["pkru"])
    pasid = _Word(WORD["pasid"])
    maxphyaddr = _PhysicalWidth(WORD["maxphyaddr"])
    features = _Word(WORD["features"])
    interrupt_shadow = _Word(WORD["interrupt_shadow"])
    nmi_blocked = _Word(WORD["nmi_blocked"])
    halted = _Word(WORD["halted"])
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
    xmm = _FileOfRegisters("vector", VECTOR_COUNT, VECTOR_BYTES, 16)
    ymm = _FileOfRegisters("vector", VECTOR_COUNT, VECTOR_BYTES, 32)
    zmm = _FileOfRegisters("vector", VECTOR_COUNT, VECTOR_BYTES, 64)
    opmask = _FileOfRegisters("opmask", 8, 8, 8)
    mmx = _FileOfRegisters("x87", 8, 16, 8)
    x87 = _FileOfRegisters("x87", 8, 16, 10)

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
        `maxphyaddr`) stays, and the owner's breakpoints.
        """
        features, width = self.features, self.maxphyaddr
        self.take_record(bytes(len(self.record)))
        self.features, self.maxphyaddr = features, width
        self.rip, self.rflags, self.cr0 = 0xFFF0, RFLAGS_FIXED, CR0_RESET
        self._reset_segments()
        self.dr6, self.dr7, self.xcr0, self.pat = DR6_ONES, DR7_ONES, 1, PAT_RESET
        self.mxcsr, self.x87_control, self.x87_tag = MXCSR_RESET, X87_CONTROL_RESET, 0xFF

    def take_record(self, record: Buffer) -> None:
        """Take all of a `record` but the owner's breakpoints, which stay as they are here.

        Raises:
            StateError: no record, or that of another version.
        """
        taken = bytes(record)
        if len(taken) != len(self.record):
            message = f"a record has {len(self.record)} bytes, not {len(taken)}"
            raise StateError(message)
        debugger = self.words[DEBUGGER].tobytes()
        self.record[:] = taken
        self.words[DEBUGGER] = memoryview(debugger).cast("Q")

    def init(self) -> None:
        """Set what an INIT sets, as at a start-up message before it.

        SDM vol. 3A, table "IA-32 and Intel 64 Processor States Following Power-up, Reset, or
        INIT": CD and NW in CR0, XCR0, PKRU, x87 and vector registers, the time-stamp counter and
        MSRs stay, but for EFER, which goes with paging. RDX, the processor's signature, is left 0.
        Instruction and event in flight are gone, and what waits for delivery.
        """
        self.abandon()
        for name in CLEARED_BY_INIT:
            self.words[WORD[name]] = 0
        self.gpr[:] = INIT_GPR
        self.rip, self.rflags = 0xFFF0, RFLAGS_FIXED
        self.cr0 = self.cr0 & CR0_CD_NW | CR0_ET
        self._reset_segments()
        self.words[DR : DR + 8] = INIT_DR

    def _reset_segments(self) -> None:
        """Set segment and descriptor-table registers as RESET and INIT do."""
        self.cs = Segment(0xF000, 0xFFFF_0000, 0xFFFF, REAL_CODE)
        for name in DATA_SEGMENTS:
            setattr(self, name, Segment(0, 0, 0xFFFF, REAL_DATA))
        self.ldtr, self.tr = Segment(0, 0, 0xFFFF, LDT), Segment(0, 0, 0xFFFF, TSS_BUSY)
        self.gdtr_base = self.idtr_base = 0
        self.gdtr_limit = self.idtr_limit = 0xFFFF

    def start_up(self, vector: int) -> None:
        """Go to where a start-up message (SIPI) with `vector` sends the processor.

        SDM vol. 3A, "Typical AP Initialization Sequence": real-address mode at 000VV000H.
        """
        self.cs = Segment(vector << 8, vector << 12, 0xFFFF, REAL_CODE)
        self.rip = 0

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

    def __eq__(self, other: object) -> bool:
        """Compare all that a run of the guest depends on, the instruction in flight included.

        Only what the budgets, steps and kicks leave in the record does not count, nor do the
        owner's breakpoints.
        """
        if not isinstance(other, CpuState):
            return NotImplemented
        return self._without_budget() == other._without_budget()

    __hash__ = None  # type: ignore[assignment]

    def _without_budget(self) -> bytes:
        record = bytearray(self.record)
        words = memoryview(record).cast("Q")
        for name in OF_THE_RUN:
            for number in range(COUNTS[name]):
                words[WORD[name] + number] = 0
        return bytes(record)

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
        """Leave virtual-8086 mode, a halt, and whatever instruction or event was in flight."""
        self.abandon()
        self.words[WORD["event"]] = self.words[WORD["halted"]] = 0
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
