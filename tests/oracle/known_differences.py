# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Where processors are known not to do what the SDM says, and the engines do.

The engines follow the SDM. An entry of `KNOWN_DIFFERENCES` leaves out the disagreements of one kind
on one vendor's processors, and only those. An entry of vendor `""` would be a defect of the engines
that is known and not mended: there is none.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from oracle.compare import NAMES, differences, shift_count
from oracle.forms import FAR, FS, LEGACY, RCX, RDI, RSI, RSP, STRINGS, Trial
from oracle.native import CODE, PAGE, VECTOR_WORDS, Result
from vmmkit.insn import RIP_BASE, Instruction, Outcome

UD, STACK_FAULT, GP, PAGE_FAULT, ALIGNMENT = 6, 12, 13, 14, 17
NEAR_BRANCHES: Final = frozenset({"JMP", "JCC", "CALL", "RET", "LOOP", "LOOPE", "LOOPNE", "JCXZ"})
CONDITIONAL_BRANCHES: Final = NEAR_BRANCHES - {"JMP", "CALL", "RET"}
PREFIX_BYTES: Final = b"".join(byte for group in LEGACY.values() for byte in group)
AREAS: Final = frozenset({"FXSAVE", "FXRSTOR", "XSAVEC", "XRSTOR"})
X87_AREAS: Final = frozenset({"FNSTENV", "FLDENV", "FNSAVE", "FRSTOR"})
OPERAND_SIZE: Final = 0x66
COMPARISONS: Final = frozenset(
    [f"F{kind}{how}" for kind in ("COM", "UCOM", "ICOM") for how in ("", "P", "PP", "I", "IP")]
    + ["FTST"]
)
X87_STATUS: Final = VECTOR_WORDS - 2
ES: Final = 0x80


class KnownDifference(NamedTuple):
    """One kind of disagreement."""

    vendor: str
    """As CPUID leaf 0 has it."""
    what: str
    """What the processor does, and what the SDM says."""
    applies: Callable[[Trial, Result, Result | Outcome], bool]
    """Whether a disagreement (trial, processor, engine) is of this kind."""


def _has_prefix(trial: Trial, *bytes_: int) -> bool:
    code = trial.case.code
    prefixes = code[: len(code) - len(code.lstrip(PREFIX_BYTES))]
    return any(byte in prefixes for byte in bytes_)


def _short_branch(trial: Trial, _processor: Result, _engine: Result | Outcome) -> bool:
    wide = trial.insn is not None and trial.insn.rex & 8
    near = trial.form.mnemonic in NEAR_BRANCHES
    return trial.case.mode == 64 and near and not wide and _has_prefix(trial, OPERAND_SIZE)


def _selector_push(trial: Trial, _processor: Result, _engine: Result | Outcome) -> bool:
    return (
        trial.form.mnemonic == "PUSH"
        and trial.form.text.endswith("Fw")
        and trial.insn is not None
        and trial.insn.operand_size == 4
    )


def _repeated_loop(trial: Trial, _processor: Result, _engine: Result | Outcome) -> bool:
    return trial.form.mnemonic in {"LOOPE", "LOOPNE"} and _has_prefix(trial, 0xF2, 0xF3)


def _offset_not_canonical(trial: Trial, processor: Result, _engine: Result | Outcome) -> bool:
    insn, gpr = trial.insn, trial.case.gpr
    if trial.case.mode != 64 or insn is None or insn.segment < FS or processor.vector != GP:
        return False
    if trial.form.mnemonic in STRINGS:
        return not _canonical(gpr[RSI])
    base = trial.case.rip + insn.length if insn.base == RIP_BASE else gpr[insn.base]
    index = gpr[insn.index] * insn.scale if insn.index >= 0 else 0
    offset = (base if insn.base >= 0 else 0) + index + insn.displacement
    return not _canonical(offset + _bit_displacement(trial, insn))


def _bit_displacement(trial: Trial, insn: Instruction) -> int:
    """How far a register's bit offset moves the operand of BT and the like."""
    if trial.form.mnemonic not in {"BT", "BTS", "BTR", "BTC"} or not trial.form.text.endswith("Gv"):
        return 0
    bits = 8 * insn.operand_size
    number = trial.case.gpr[insn.modrm >> 3 & 7 | (insn.rex & 4) << 1] & (1 << bits) - 1
    return (number - (number >> bits - 1 << bits)) // bits * insn.operand_size


def _movsxd_reads_4(trial: Trial, processor: Result, _engine: Result | Outcome) -> bool:
    return (
        trial.form.mnemonic == "MOVSXD"
        and trial.insn is not None
        and trial.insn.operand_size == 2
        and processor.vector is not None
    )


def _branch_at_the_limit(trial: Trial, processor: Result, _engine: Result | Outcome) -> bool:
    """The limits of the code segments that have one are the end of the code page."""
    case = trial.case
    return (
        case.mode != 64
        and trial.form.mnemonic in CONDITIONAL_BRANCHES
        and case.linear == CODE + PAGE - len(case.code)
        and processor.vector == GP
    )


def _register_prefetch(trial: Trial, processor: Result, _engine: Result | Outcome) -> bool:
    return trial.form.text == "0F 0D NOP Rv Gv" and processor.vector == UD


def _bound_register(trial: Trial, processor: Result, _engine: Result | Outcome) -> bool:
    nop = trial.form.text in {"0F 1A NOP Ev Gv", "0F 1B NOP Ev Gv"}
    return nop and trial.insn is None and processor.vector != UD


def _beyond_16_bits(trial: Trial, _processor: Result, _engine: Result | Outcome) -> bool:
    if trial.insn is None or trial.form.mnemonic not in {"SHLD", "SHRD"}:
        return False
    count, bits = shift_count(trial.case)
    return count > bits


def _other_side_of_cmps(trial: Trial, processor: Result, engine: Result | Outcome) -> bool:
    """Both faulted at one element, differently: each side of it would fault."""
    return (
        trial.form.mnemonic == "CMPS"
        and isinstance(engine, Result)
        and None not in {processor.vector, engine.vector}
        and all(processor.gpr[number] == engine.gpr[number] for number in (RCX, RSI, RDI))
    )


def _far_pointer_of_64_bits(trial: Trial, _processor: Result, _engine: Result | Outcome) -> bool:
    far = trial.form.mnemonic in {"LSS", "LFS", "LGS", "CALLF", "JMPF"}
    return far and trial.insn is not None and trial.insn.operand_size == 8


def _half_done(trial: Trial, processor: Result, engine: Result | Outcome) -> bool:
    """Both fault alike; only what the processor had done until then tells them apart."""
    mnemonic = trial.form.mnemonic
    if processor.vector is None or mnemonic not in {"PUSHA", "POPA", "ENTER"}:
        return False
    kinds = NAMES if mnemonic == "POPA" else ("memory",)
    found = differences(trial.case, mnemonic, processor, engine)
    return all(line.startswith(kinds) for line in found)


def _far_return_faults(trial: Trial, processor: Result, engine: Result | Outcome) -> bool:
    """Both fault, or the engine does, which did not look at the slot that the processor did."""
    faults = processor.vector in {STACK_FAULT, PAGE_FAULT, ALIGNMENT}
    return trial.form.mnemonic == "RETF" and faults and isinstance(engine, Result)


def _far_call_pushes_first(trial: Trial, processor: Result, engine: Result | Outcome) -> bool:
    if trial.form.mnemonic != "CALLF" or processor.vector not in {GP, STACK_FAULT}:
        return False
    found = differences(trial.case, "CALLF", processor, engine)
    return all(line.startswith("memory") for line in found)


def _leaves_64_bit_mode(trial: Trial, _processor: Result, _engine: Result | Outcome) -> bool:
    """Only where the upper half of RSP has something to lose."""
    far = trial.form.mnemonic in FAR
    return far and trial.case.mode == 64 and trial.case.gpr[RSP] >> 32 != 0


def _arpl_reads_first(trial: Trial, processor: Result, engine: Result | Outcome) -> bool:
    return (
        trial.form.mnemonic == "ARPL"
        and trial.insn is not None
        and trial.insn.modrm < 0xC0
        and isinstance(engine, Result)
        and engine.vector is not None
        and processor[:3] != engine[:3]
    )


SYSTEM_OPERANDS: Final = frozenset({"LAR", "LSL", "VERR", "VERW"})


def _lock_refused_late(trial: Trial, processor: Result, _engine: Result | Outcome) -> bool:
    late = trial.form.mnemonic in SYSTEM_OPERANDS and _has_prefix(trial, 0xF0)
    return late and trial.insn is None and processor.vector != UD


def _lock_means_cr8(trial: Trial, processor: Result, _engine: Result | Outcome) -> bool:
    moves = trial.form.mnemonic in {"MOVFROMCR", "MOVTOCR"}
    return moves and _has_prefix(trial, 0xF0) and processor.vector == GP


def _sysret_outside_64_bit_mode(trial: Trial, processor: Result, _engine: Result | Outcome) -> bool:
    return trial.form.mnemonic == "SYSRET" and trial.case.mode != 64 and processor.vector == GP


def _processor_number(trial: Trial, processor: Result, engine: Result | Outcome) -> bool:
    """The limit of selector 7BH is the processor's number, 0 in the mirror."""
    if trial.form.mnemonic != "LSL" or trial.insn is None or not isinstance(engine, Result):
        return False
    number = trial.insn.modrm >> 3 & 7 | (trial.insn.rex & 4) << 1
    found = differences(trial.case, "LSL", processor, engine)
    only = len(found) == 1 and found[0].startswith(f"{NAMES[number]} ")
    return only and not engine.gpr[number] & 0xFFFF


def _canonical(address: int) -> bool:
    return (address >> 47) & 0x1_FFFF in {0, 0x1_FFFF}


AMD: Final = "AuthenticAMD"


def _wide_alignment(trial: Trial, processor: Result, _engine: Result | Outcome) -> bool:
    wide = trial.insn is not None and trial.insn.memory_size > 16
    return processor.vector == ALIGNMENT and wide


def _mmx_state_first(trial: Trial, processor: Result, engine: Result | Outcome) -> bool:
    if not isinstance(engine, Result) or processor.vector is None:
        return False
    same = processor._replace(vectors=engine.vectors)
    return trial.form.mnemonic == "MASKMOVQ" and not differences(
        trial.case, "MASKMOVQ", same, engine
    )


def _wide_general(trial: Trial, processor: Result, _engine: Result | Outcome) -> bool:
    wide = trial.insn is not None and trial.insn.rex & 8
    return (
        trial.case.mode != 64
        and trial.form.mnemonic in {"VPEXTRD", "VPINSRD"}
        and bool(wide)
        and processor.vector == UD
    )


def _first_lane(trial: Trial, processor: Result, engine: Result | Outcome) -> bool:
    by_vector = "MASKMOV" in trial.form.mnemonic
    masked = trial.insn is not None and (trial.insn.mask & 7 or by_vector)
    kinds = {STACK_FAULT, GP, PAGE_FAULT, ALIGNMENT}
    both = isinstance(engine, Result) and {processor.vector, engine.vector} <= kinds
    return bool(masked) and both


def _masked_store(trial: Trial, processor: Result, engine: Result | Outcome) -> bool:
    faults = isinstance(engine, Result) and engine.vector in {STACK_FAULT, GP, ALIGNMENT}
    return trial.form.mnemonic.endswith("MASKMOVDQU") and faults and processor.vector is None


def _mxcsr_mask(trial: Trial, processor: Result, engine: Result | Outcome) -> bool:
    return (
        trial.form.mnemonic == "FXSAVE"
        and isinstance(engine, Result)
        and sum(a != b for a, b in zip(processor.memory, engine.memory, strict=True)) <= 1
        and not differences(trial.case, "FXSAVE", processor._replace(memory=engine.memory), engine)
    )


def _area_from_its_end(trial: Trial, processor: Result, engine: Result | Outcome) -> bool:
    faults = isinstance(engine, Result) and processor.vector == engine.vector == PAGE_FAULT
    return trial.form.mnemonic in AREAS and faults


def _gather_faults(trial: Trial, processor: Result, engine: Result | Outcome) -> bool:
    if "GATHER" not in trial.form.mnemonic or not isinstance(engine, Result):
        return False
    trapped = processor.vector is None and processor.rip == trial.case.rip
    kinds = {STACK_FAULT, GP, PAGE_FAULT, ALIGNMENT}
    return engine.vector == ALIGNMENT or (engine.vector in kinds and trapped)


def _x87_area(trial: Trial, _processor: Result, engine: Result | Outcome) -> bool:
    faults = isinstance(engine, Result) and engine.vector in {STACK_FAULT, GP, PAGE_FAULT}
    return (trial.form.mnemonic in X87_AREAS or trial.form.text.endswith("Mt")) and faults


def _x87_comparison(trial: Trial, processor: Result, engine: Result | Outcome) -> bool:
    """C1 of FCOMI, and what comparisons find, where an exception that is not masked came up."""
    if trial.form.mnemonic not in COMPARISONS or not isinstance(engine, Result):
        return False
    condition = 0x4700 if _word(processor, X87_STATUS) & ES else 0
    condition |= 0x200 if "COMI" in trial.form.mnemonic else 0
    same = engine.vectors[:-16] + _word(processor, X87_STATUS).to_bytes(8, "little")
    close = not (_word(processor, X87_STATUS) ^ _word(engine, X87_STATUS)) & ~condition
    flags = processor.rflags if condition & 0x4000 else engine.rflags
    alike = engine._replace(vectors=same + engine.vectors[-8:], rflags=flags)
    return close and not differences(trial.case, trial.form.mnemonic, processor, alike)


def _word(result: Result, place: int) -> int:
    return int.from_bytes(result.vectors[8 * place : 8 * place + 8], "little")


def _area_wraps(trial: Trial, processor: Result, engine: Result | Outcome) -> bool:
    narrow = trial.insn is not None and trial.insn.address_size == 2
    if trial.form.mnemonic not in AREAS or not narrow or not isinstance(engine, Result):
        return False
    limits = {STACK_FAULT, GP} & {engine.vector, processor.vector}
    return bool(limits) and processor.vector != engine.vector


def _standard_format(trial: Trial, _processor: Result, _engine: Result | Outcome) -> bool:
    return trial.form.mnemonic in {"XSAVE", "XSAVEC", "XSAVEOPT", "XRSTOR"}


KNOWN_DIFFERENCES: Final = (
    KnownDifference(
        AMD,
        "66 makes a near branch of 64-bit code use 16 bits (APM vol. 1, Near Branches in 64-Bit "
        "Mode); the SDM has it ignored",
        _short_branch,
    ),
    KnownDifference(
        AMD,
        "PUSH of a segment register with a 32-bit operand size writes 32 bits; SDM vol. 2B, PUSH: "
        "recent processors write 16 and leave the rest of the slot",
        _selector_push,
    ),
    KnownDifference(
        AMD,
        "F2 and F3 choose the condition of LOOPE and LOOPNE; the SDM gives them no meaning there",
        _repeated_loop,
    ),
    KnownDifference(
        AMD,
        "the offset into FS or GS must itself be canonical; SDM vol. 1, Canonical Addressing: the "
        "linear address must",
        _offset_not_canonical,
    ),
    KnownDifference(
        AMD,
        "MOVSXD with a 16-bit operand size reads 4 bytes, of which it uses 2; SDM vol. 2B, MOVSXD: "
        "r/m16",
        _movsxd_reads_4,
    ),
    KnownDifference(
        AMD,
        "SHLD and SHRD of 16 bits by more than 16, undefined in the SDM, bring in the second "
        "operand twice; Intel's processors bring in the second, then the first",
        _beyond_16_bits,
    ),
    KnownDifference(
        AMD,
        "0F 0D with a register is #UD; SDM vol. 2D, Opcode Map: a reserved NOP",
        _register_prefetch,
    ),
    KnownDifference(
        AMD,
        "without MPX 0F 1A and 0F 1B are NOPs, also where the operands of MPX would be refused",
        _bound_register,
    ),
    KnownDifference(
        AMD,
        "a taken conditional branch whose last byte is the last of the code segment may raise #GP, "
        "now and then, with the same registers; the SDM checks the target only",
        _branch_at_the_limit,
    ),
    KnownDifference(
        AMD,
        "CMPS whose two operands both fault reports DS:[rSI]; Intel's processors report ES:[rDI], "
        "and the SDM names no order",
        _other_side_of_cmps,
    ),
    KnownDifference(
        AMD,
        "LSS, LFS and LGS take REX.W for a wider register only: the pointer has 32 bits of offset "
        "(APM vol. 3, LDS); SDM vol. 2A, LDS/LES/LFS/LGS/LSS: m16:64",
        _far_pointer_of_64_bits,
    ),
    KnownDifference(
        AMD,
        "PUSHA and ENTER that fault have written the slots they came to before, POPA has loaded "
        "the registers; SDM vol. 3A, Program or Task Restart: the state is that of before the "
        "instruction",
        _half_done,
    ),
    KnownDifference(
        AMD,
        "RETF reads its frame from the top, the outer stack pointer too, before it looks at the "
        "selector; SDM vol. 2B, RET: IP, then CS, and the checks of CS before more is popped",
        _far_return_faults,
    ),
    KnownDifference(
        AMD,
        "a far CALL has pushed its frame, or half of it, before it judges the offset and the "
        "other half; SDM vol. 2A, CALL: the state "
        "is that of before the instruction",
        _far_call_pushes_first,
    ),
    KnownDifference(
        AMD,
        "a far transfer out of 64-bit mode cuts RSP to 32 bits, and CALL pushes there; SDM vol. 1, "
        "General-Purpose Registers in 64-Bit Mode: the upper halves are undefined then",
        _leaves_64_bit_mode,
    ),
    KnownDifference(
        AMD,
        "ARPL checks its destination for reading, and for writing only when it raises the RPL; SDM "
        "vol. 2A, ARPL: #GP(0) if the destination is in a non-writable segment",
        _arpl_reads_first,
    ),
    KnownDifference(
        AMD,
        "LOCK with LAR, LSL, VERR and VERW is refused after the operand has been read; the SDM has "
        "#UD for the prefix",
        _lock_refused_late,
    ),
    KnownDifference(
        AMD,
        "LOCK MOV CR0 is MOV CR8 outside of 64-bit mode (APM vol. 3, MOV CRn); SDM vol. 2B, MOV: "
        "#UD",
        _lock_means_cr8,
    ),
    KnownDifference(
        AMD,
        "SYSRET is an instruction of all protected modes (APM vol. 3, SYSRET); SDM vol. 2B, "
        "SYSRET: #UD outside of 64-bit mode",
        _sysret_outside_64_bit_mode,
    ),
    *(
        KnownDifference(
            vendor,
            "Linux keeps the processor's number in the limit of a segment, which LSL reads",
            _processor_number,
        )
        for vendor in (AMD, "GenuineIntel")
    ),
    KnownDifference(
        AMD,
        "#AC for misaligned vectors of 32 and 64 bytes; SDM vol. 3A, Interrupt 17 - Alignment "
        "Check Exception (#AC), has no type wider than 16",
        _wide_alignment,
    ),
    KnownDifference(
        AMD,
        "MASKMOVQ that faults has entered MMX state; the SDM has a fault leave everything",
        _mmx_state_first,
    ),
    KnownDifference(
        AMD,
        "VPEXTRD and VPINSRD with VEX.W out of 64-bit mode are #UD; SDM vol. 2B, PEXTRB/PEXTRD/"
        "PEXTRQ: W is ignored there",
        _wide_general,
    ),
    KnownDifference(
        AMD,
        "A masked vector whose lanes have several faults has that of the first lane; the engines "
        "check segment and alignment of the whole before any page",
        _first_lane,
    ),
    KnownDifference(
        AMD,
        "MASKMOVDQU wants alignment of 8 bytes, and looks at no byte masked off; SDM vol. 2B, "
        "MASKMOVDQU: what faults under a mask of zeros depends on the implementation",
        _masked_store,
    ),
    KnownDifference(
        AMD,
        "MXCSR_MASK has the bit of misaligned SSE mode, which Intel's processors do not have",
        _mxcsr_mask,
    ),
    KnownDifference(
        AMD,
        "FXSAVE, XSAVE and their kin fault elsewhere in their area than at its start",
        _area_from_its_end,
    ),
    KnownDifference(
        AMD,
        "Gathers raise no #AC for most of their lanes; SDM vol. 2C, VPGATHERDD: exceptions type "
        "12. One that faults behind lanes that are done takes the single-step trap first, as the "
        "engines do where they deliver events; the oracle runs them without",
        _gather_faults,
    ),
    KnownDifference(
        AMD,
        "FNSAVE, FNSTENV, their kin and what has 10 bytes access memory part by part: one may "
        "fault after others have been stored, or wrap at the end of 16-bit offsets; SDM vol. 3A, "
        "Limit Checking",
        _x87_area,
    ),
    KnownDifference(
        AMD,
        "Comparisons of the x87 unit set their codes and flags even where #IA or #D is not masked; "
        "SDM vol. 2A, FCOM: only where it is. FCOMI and its kin leave C1; the SDM has it cleared",
        _x87_comparison,
    ),
    KnownDifference(
        AMD,
        "An area across the end of 16-bit offsets wraps to 0, or faults whatever the limit is; SDM "
        "vol. 3A, Limit Checking: #GP or #SS beyond the limit only",
        _area_wraps,
    ),
    KnownDifference(
        AMD,
        "The standard format has AVX-512 state where Intel's processors have that of MPX; XSAVEC "
        "clears the x87 data pointer along with what it writes, and has another MXCSR_MASK",
        _standard_format,
    ),
)


@functools.cache
def _cpuinfo(name: str) -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith(name))


def vendor() -> str:
    """Vendor of this machine's processor."""
    return _cpuinfo("vendor_id")


def model() -> str:
    """Model name of this machine's processor."""
    return _cpuinfo("model name")


def known(trial: Trial, processor: Result, engine: Result | Outcome) -> KnownDifference | None:
    """The entry that a disagreement falls under, if there is one."""
    for entry in KNOWN_DIFFERENCES:
        if entry.vendor in {"", vendor()} and entry.applies(trial, processor, engine):
            return entry
    return None
