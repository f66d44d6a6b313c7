# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Where an instruction's memory operands are, given the registers; nothing is checked or touched.

A monitor that is told the address of a faulting access may hold it against the instruction it found
at RIP: if no operand covers the address, the bytes are not those that caused the exit (another
processor wrote them, or a translation is stale), and emulating them would be wrong.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from vmmkit.insn._flags import mask_of
from vmmkit.insn._instruction import Instruction, MemoryAccess
from vmmkit.insn._record import REX_BITS, RIP_BASE
from vmmkit.insn._segments import ATTR_DB, BASE, DS, ES, FS, GS, SEGMENT, SS
from vmmkit.insn._state import CpuState
from vmmkit.insn.optable import KINDS, ROWS, TYPE_SIZES

__all__ = ["OperandAccess", "operand_accesses", "verify_gla"]

RBX, RSP, RBP, RSI, RDI = 3, 4, 5, 6, 7
READ, WRITE = MemoryAccess.READ, MemoryAccess.WRITE
BOTH: Final = READ | WRITE

# What the string instructions do at DS:rSI and at ES:rDI.
STRINGS: Final = {
    "MOVS": (READ, WRITE),
    "CMPS": (READ, READ),
    "STOS": (None, WRITE),
    "LODS": (READ, None),
    "SCAS": (None, READ),
    "INS": (None, WRITE),
    "OUTS": (READ, None),
}
PUSHES: Final = {"PUSH": 1, "CALL": 1, "PUSHF": 1, "PUSHA": 8}
POPS: Final = {"POP": 1, "RET": 1, "POPF": 1, "POPA": 8}
AT_REGISTER: Final = frozenset({"MOVDIR64B", "ENQCMD", "ENQCMDS"})
SECOND_MEMORY: Final = frozenset({"MASKMOVQ", "MASKMOVDQU", "VMASKMOVDQU", *AT_REGISTER})
BIT_STRINGS: Final = frozenset({"BT", "BTS", "BTR", "BTC"})
FLUSHES: Final = frozenset({"CLFLUSH", "CLFLUSHOPT", "CLWB"})  # no operand, yet checked like a load


class OperandAccess(NamedTuple):
    """One operand in memory."""

    linear: int
    """Linear address of the first byte."""
    size: int
    """Bytes, at least 1."""
    access: MemoryAccess


def _linear(state: CpuState, mode: int, segment: int, offset: int) -> int:
    """SDM vol. 3A, "Logical Address to Linear Address Translation"."""
    base = 0
    if mode != 64 or segment in {FS, GS}:
        base = state.words[SEGMENT + 4 * segment + BASE]
    return offset + base & ((1 << 64) - 1 if mode == 64 else 0xFFFF_FFFF)


def _offset(insn: Instruction, state: CpuState) -> int:
    """Offset of the explicit operand, before the wrap at the address size."""
    gpr, offset = state.gpr, insn.displacement
    if insn.base == RIP_BASE:
        offset += state.rip + insn.length
    elif insn.base >= 0:
        offset += gpr[insn.base]
        if insn.mnemonic == "POP" and insn.base == RSP:
            offset += insn.operand_size  # POP computes its destination after the increment
    if insn.index >= 0:
        offset += gpr[insn.index] * insn.scale
    return offset + _bit_offset(insn, state)


def _bit_offset(insn: Instruction, state: CpuState) -> int:
    """How far BT and its kin with a register move their operand (SDM vol. 2A, BT)."""
    if insn.mnemonic not in BIT_STRINGS or "I" in ROWS[insn.row].operands:
        return 0
    bits = 8 * insn.operand_size
    number = state.gpr[insn.modrm >> 3 & 7 | (insn.rex & 4) << 1] & (1 << bits) - 1
    signed = number - (number >> bits - 1 << bits)
    return signed // bits * insn.operand_size


def _in_extended_registers(insn: Instruction) -> bool:
    """Whether the operand's place depends on R16-R31 (APX), which a `CpuState` does not have."""
    moves = insn.mnemonic in BIT_STRINGS and insn.rex & REX_BITS["R4"]
    return 16 <= insn.base < RIP_BASE or insn.index >= 16 or bool(moves)


def _explicit(insn: Instruction, state: CpuState) -> list[OperandAccess]:
    access = READ if insn.mnemonic in FLUSHES else MemoryAccess(insn.memory_access)
    if not access or KINDS.index("m") in ROWS[insn.row].kinds:
        return []
    if _in_extended_registers(insn):
        return []
    offset = _offset(insn, state) & mask_of(insn.address_size)
    linear = _linear(state, insn.mode, insn.segment, offset)
    return [OperandAccess(linear, max(1, insn.memory_size), access)]


def _string(insn: Instruction, state: CpuState) -> list[OperandAccess]:
    row, found = ROWS[insn.row], []
    place = next(at for at, kind in enumerate(row.kinds) if KINDS[kind] in "XY")
    size = TYPE_SIZES[insn.operand_size][row.types[place]]
    wrap = mask_of(insn.address_size)
    source, destination = STRINGS[insn.mnemonic]
    if source is not None:
        segment = insn.segment if insn.segment >= 0 else DS
        linear = _linear(state, insn.mode, segment, state.gpr[RSI] & wrap)
        found.append(OperandAccess(linear, size, source))
    if destination is not None:
        linear = _linear(state, insn.mode, ES, state.gpr[RDI] & wrap)
        found.append(OperandAccess(linear, size, destination))
    return found


def _slots(
    insn: Instruction, state: CpuState, pointer: int, length: int, access: MemoryAccess
) -> list[OperandAccess]:
    """`length` bytes of the stack from `pointer` up; two parts where a stack pointer wraps."""
    width = 8 if insn.mode == 64 else 4 if state.ss.attributes & ATTR_DB else 2
    start = pointer & mask_of(width)
    below = min(length, mask_of(width) + 1 - start)
    parts = [(start, below), (0, length - below)]
    return [
        OperandAccess(_linear(state, insn.mode, SS, offset), size, access)
        for offset, size in parts
        if size
    ]


def _stack(insn: Instruction, state: CpuState) -> list[OperandAccess]:
    name, size = insn.mnemonic, insn.operand_size
    pointer = state.gpr[RBP if name == "LEAVE" else RSP]
    if name in PUSHES:
        length = PUSHES[name] * size
        return _slots(insn, state, pointer - length, length, WRITE)
    return _slots(insn, state, pointer, POPS.get(name, 1) * size, READ)


def _enter(insn: Instruction, state: CpuState) -> list[OperandAccess]:
    """The frame and the display it copies; then the new top of the stack, which is only checked."""
    size, level = insn.operand_size, insn.second_immediate & 31
    frame, display = size * (level + 1 if level else 1), size * max(level - 1, 0)
    found = _slots(insn, state, state.rsp - frame, frame, WRITE)
    found += _slots(insn, state, state.rbp - display, display, READ)
    top = state.rsp - frame - (insn.immediate & 0xFFFF)
    return found + _slots(insn, state, top, size, WRITE)


def _second_memory(insn: Instruction, state: CpuState) -> list[OperandAccess]:
    """Destinations that ModRM does not describe: MASKMOV at DS:rDI, direct stores at ES:G."""
    wrap = mask_of(insn.address_size)
    if insn.mnemonic in AT_REGISTER:
        offset = state.gpr[insn.modrm >> 3 & 7 | (insn.rex & 4) << 1] & wrap
        return [OperandAccess(_linear(state, insn.mode, ES, offset), 64, WRITE)]
    segment = insn.segment if insn.segment >= 0 else DS
    linear = _linear(state, insn.mode, segment, state.gpr[RDI] & wrap)
    return [OperandAccess(linear, 8 if insn.mnemonic == "MASKMOVQ" else 16, WRITE)]


def _table_lookup(insn: Instruction, state: CpuState) -> list[OperandAccess]:
    """XLAT: DS:[rBX + AL]."""
    segment = insn.segment if insn.segment >= 0 else DS
    offset = state.gpr[RBX] + (state.gpr[0] & 0xFF) & mask_of(insn.address_size)
    return [OperandAccess(_linear(state, insn.mode, segment, offset), 1, READ)]


def operand_accesses(insn: Instruction, state: CpuState) -> tuple[OperandAccess, ...]:
    """Return the memory operands of an instruction that is about to execute.

    The explicit operand comes first, then those of string and stack instructions; of a repeated
    instruction they are the next element's. Descriptor tables and page tables are no operands, nor
    is a vector of addresses (VSIB), or what R16-R31 (APX) point at: a `CpuState` has none of them.

    Args:
        insn: decoded in the mode of `state`.
        state: registers as they are before the instruction.
    """
    found = _explicit(insn, state)
    name = insn.mnemonic
    if name in STRINGS:
        found += _string(insn, state)
    elif name in PUSHES or name in POPS or name == "LEAVE":
        found += _stack(insn, state)
    elif name in SECOND_MEMORY:
        found += _second_memory(insn, state)
    elif name == "ENTER":
        found += _enter(insn, state)
    elif name == "XLAT":
        found += _table_lookup(insn, state)
    return tuple(found)


def verify_gla(insn: Instruction, state: CpuState, gla: int) -> bool:
    """Tell whether any operand of the instruction covers the linear address `gla`.

    Args:
        insn: what was found at RIP.
        state: registers as they are before the instruction.
        gla: the linear address that the exit reported.
    """
    wrap = (1 << 64 if insn.mode == 64 else 1 << 32) - 1
    return any(
        gla - operand.linear & wrap < operand.size for operand in operand_accesses(insn, state)
    )
