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

from oracle.forms import FS, LEGACY, RSI, STRINGS, Trial
from oracle.native import CODE, PAGE, Result
from vmmkit.insn import RIP_BASE, Outcome

GP: Final = 13
NEAR_BRANCHES: Final = frozenset({"JMP", "JCC", "CALL", "RET", "LOOP", "LOOPE", "LOOPNE", "JCXZ"})
CONDITIONAL_BRANCHES: Final = NEAR_BRANCHES - {"JMP", "CALL", "RET"}
PREFIX_BYTES: Final = b"".join(byte for group in LEGACY.values() for byte in group)
OPERAND_SIZE: Final = 0x66


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
    return not _canonical((base if insn.base >= 0 else 0) + index + insn.displacement)


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


def _canonical(address: int) -> bool:
    return (address >> 47) & 0x1_FFFF in {0, 0x1_FFFF}


AMD: Final = "AuthenticAMD"

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
        "a taken conditional branch whose last byte is the last of the code segment may raise #GP, "
        "now and then, with the same registers; the SDM checks the target only",
        _branch_at_the_limit,
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
