# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What of two results must agree, and how a disagreement is told."""

from collections.abc import Callable
from typing import Final

from oracle.forms import LDT, SS
from oracle.native import WINDOWS, Case, Result
from vmmkit.insn import Outcome, decode
from vmmkit.insn.optable import ROWS

CF, PF, AF, ZF, SF, OF = 1, 4, 0x10, 0x40, 0x80, 0x800
STATUS, DF = 0x8D5, 0x400
RCX: Final = 1
PAGE_FAULT: Final = 14
KERNEL_FROM: Final = (1 << 47) - 0x1000  # Linux: TASK_SIZE_MAX


def shift_count(case: Case) -> tuple[int, int]:
    """Masked count and operand width in bits of a shift or rotate."""
    insn = decode(case.code, case.mode)
    first, *_, last = ROWS[insn.row].operands.split()
    bits = 8 if first == "Eb" else 8 * insn.operand_size
    count = {"1": 1, "c": case.gpr[RCX]}.get(last, insn.immediate)
    return count & (63 if bits == 64 else 31), bits


def _rotate(case: Case) -> int:
    """OF is defined for a count of 1, and not affected by one of 0."""
    return OF if shift_count(case)[0] > 1 else 0


def _arithmetic_shift(case: Case) -> int:
    count, _ = shift_count(case)
    return (AF if count else 0) | (OF if count > 1 else 0)


def _logical_shift(case: Case) -> int:
    """CF too, from a count on that is the width."""
    count, bits = shift_count(case)
    return _arithmetic_shift(case) | (CF if count >= bits else 0)


def _double_shift(case: Case) -> int:
    count, bits = shift_count(case)
    return STATUS if count > bits else _arithmetic_shift(case)


# Status flags that the SDM leaves undefined: the pages of the instructions, and vol. 1, appendix
# "EFLAGS Cross-Reference". A function tells it of a case.
UNDEFINED_FLAGS: Final[dict[str, int | Callable[[Case], int]]] = {
    **dict.fromkeys(("AND", "OR", "XOR", "TEST"), AF),
    **dict.fromkeys(("ROL", "ROR", "RCL", "RCR"), _rotate),
    **dict.fromkeys(("SHL", "SHR"), _logical_shift),
    "SAR": _arithmetic_shift,
    **dict.fromkeys(("SHLD", "SHRD"), _double_shift),
    **dict.fromkeys(("MUL", "IMUL"), SF | ZF | AF | PF),
    **dict.fromkeys(("DIV", "IDIV"), STATUS),
    **dict.fromkeys(("BT", "BTS", "BTR", "BTC"), OF | SF | AF | PF),
    **dict.fromkeys(("BSF", "BSR"), STATUS & ~ZF),
    **dict.fromkeys(("TZCNT", "LZCNT"), OF | SF | AF | PF),
    **dict.fromkeys(("AAA", "AAS"), OF | SF | ZF | PF),
    **dict.fromkeys(("DAA", "DAS"), OF),
    **dict.fromkeys(("AAM", "AAD"), OF | AF | CF),
    **dict.fromkeys(("ANDN", "BZHI", "BLSR", "BLSMSK", "BLSI"), AF | PF),
    "BEXTR": AF | SF | PF,
}


def undefined_flags(case: Case, mnemonic: str) -> int:
    """The status flags that a case leaves undefined."""
    known = UNDEFINED_FLAGS.get(mnemonic, 0)
    return known if isinstance(known, int) else known(case)


NAMES: Final = (
    *("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"),
    *(f"r{number}" for number in range(8, 16)),
)
SEGMENT_NAMES: Final = ("es", "cs", "ss", "ds", "fs", "gs")


def register_masks(case: Case) -> tuple[int, ...]:
    """The bits of each general register that a case defines."""
    if case.mode == 64:
        return ((1 << 64) - 1,) * 16
    selector = case.selectors[SS]
    narrow = selector & 4 and not LDT[selector >> 3].wide
    return *(0xFFFF_FFFF,) * 4, 0xFFFF if narrow else 0xFFFF_FFFF, *(0xFFFF_FFFF,) * 3


def _fault(result: Result) -> tuple[int | None, int, int]:
    """Vector, error code and CR2, without the bit that Linux sets for kernel addresses."""
    hidden = int(result.vector == PAGE_FAULT and result.cr2 >= KERNEL_FROM)
    return result.vector, result.error & ~hidden, result.cr2


def _fault_text(fault: tuple[int | None, int, int]) -> str:
    vector, error, cr2 = fault
    return "done" if vector is None else f"vector {vector} error {error:#x} cr2 {cr2:#x}"


def differences(case: Case, mnemonic: str, expected: Result, got: Result | Outcome) -> list[str]:
    """Every field in which `got` is not what the processor did."""
    if not isinstance(got, Result):
        return [f"engine stopped with {got}"]
    found = []
    if _fault(expected) != _fault(got):
        found.append(f"{_fault_text(_fault(expected))}, got {_fault_text(_fault(got))}")
    for name, mask, want, have in zip(
        NAMES, register_masks(case), expected.gpr, got.gpr, strict=False
    ):
        if (want ^ have) & mask:
            found.append(f"{name} {want & mask:#x}, got {have & mask:#x}")
    # An instruction that faults leaves every flag.
    undefined = undefined_flags(case, mnemonic) if expected.vector is None else 0
    flags = (STATUS | DF) & ~undefined
    if (expected.rflags ^ got.rflags) & flags:
        found.append(f"rflags {expected.rflags & flags:#x}, got {got.rflags & flags:#x}")
    if expected.rip != got.rip:
        found.append(f"rip {expected.rip:#x}, got {got.rip:#x}")
    for name, want, have in zip(SEGMENT_NAMES, expected.selectors, got.selectors, strict=True):
        # Linux's own IRET turns every null selector into 0.
        if want != have and not (want == 0 and have <= 3):
            found.append(f"{name} {want:#x}, got {have:#x}")
    found += _vector_differences(expected.vectors, got.vectors)
    return found + _memory_differences(expected.memory, got.memory)


def _vector_differences(expected: bytes, got: bytes) -> list[str]:
    """Registers of the XSAVE area, by name."""
    if expected == got:
        return []
    shapes = [(f"zmm{number}", 64) for number in range(32)]
    shapes += [(f"k{number}", 8) for number in range(8)] + [("mxcsr", 8)]
    shapes += [(f"r{number}", 16) for number in range(8)]
    shapes += [("control", 8), ("status", 8), ("tag", 8)]
    found, at = [], 0
    for name, size in shapes:
        want, have = (int.from_bytes(raw[at : at + size], "little") for raw in (expected, got))
        if want != have:
            found.append(f"{name} {want:#x}, got {have:#x}")
        at += size
    return found


def _memory_differences(expected: bytes, got: bytes) -> list[str]:
    if expected == got:
        return []
    first = next(
        at for at, pair in enumerate(zip(expected, got, strict=True)) if len(set(pair)) > 1
    )
    want, have = (memory[first : first + 16].hex(" ") for memory in (expected, got))
    return [f"memory at {_address_of(first):#x} {want}, got {have}"]


def _address_of(offset: int) -> int:
    """Address of a byte of the memory image."""
    for address, size, _ in WINDOWS:
        if offset < size:
            return address + offset
        offset -= size
    raise ValueError(offset)


def describe(case: Case) -> str:
    """A case, short enough to read and whole enough to do again."""
    registers = " ".join(
        f"{name}={word:#x}" for name, word in zip(NAMES, case.gpr, strict=True) if word
    )
    selectors = " ".join(
        f"{name}={selector:#x}"
        for name, selector in zip(SEGMENT_NAMES, case.selectors, strict=True)
    )
    return (
        f"{case.mode}-bit {case.code.hex(' ')} at {case.rip:#x}, rflags={case.rflags:#x} "
        f"{selectors} bases={case.bases[0]:#x},{case.bases[1]:#x} {registers}"
    )
