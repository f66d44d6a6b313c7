# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The decoded instruction as users see it: a plain tuple of integers."""

from __future__ import annotations

from enum import IntFlag
from typing import Final, NamedTuple

from vmmkit.insn._record import PREFIX_BITS
from vmmkit.insn.optable import OPS, ROWS

__all__ = ["RIP_BASE", "Instruction", "MemoryAccess", "Prefixes"]

RIP_BASE: Final = 16
"""Value of `Instruction.base` for RIP-relative operands."""


class Prefixes(IntFlag):
    """Prefixes found before the opcode."""

    LOCK = PREFIX_BITS["LOCK"]
    REPNE = PREFIX_BITS["REPNE"]
    REP = PREFIX_BITS["REP"]
    OPERAND_SIZE = PREFIX_BITS["OPERAND_SIZE"]
    ADDRESS_SIZE = PREFIX_BITS["ADDRESS_SIZE"]
    SEGMENT = PREFIX_BITS["SEGMENT"]
    REX = PREFIX_BITS["REX"]


class MemoryAccess(IntFlag):
    """How an instruction uses its explicit memory operand."""

    NONE = 0
    READ = 1
    WRITE = 2


class Instruction(NamedTuple):
    """One decoded instruction: plain, hashable, picklable, the same from both engines.

    The memory operand described is the explicit one, in ModRM or as an absolute offset; the
    implicit operands of string and stack instructions are not. Register numbers are 0-15 in
    encoding order (rAX, rCX, rDX, rBX, rSP, rBP, rSI, rDI, r8...).
    """

    displacement: int
    """Sign-extended displacement, or the absolute offset (8-byte ones as two's complement)."""
    immediate: int
    """Sign-extended immediate or relative branch offset, 0 without one."""
    row: int
    """Index into `optable.ROWS`."""
    modrm: int
    """The ModRM byte, -1 without one."""
    prefixes: int
    """`Prefixes` bits."""
    length: int
    """Bytes, 1 to 15."""
    mode: int
    """16, 32 or 64."""
    opcode: int
    """The last opcode byte."""
    rex: int
    """The REX byte, 0 without one."""
    operand_size: int
    """2, 4 or 8 bytes."""
    address_size: int
    """2, 4 or 8 bytes."""
    segment: int
    """0-5 for ES, CS, SS, DS, FS, GS: of the memory operand, or a string source's override; -1."""
    base: int
    """Base register, `RIP_BASE`, or -1."""
    # The SDM's word outweighs tuple.index, which nobody calls on an instruction.
    index: int  # type: ignore[assignment]
    """Index register or -1."""
    scale: int
    """1, 2, 4 or 8; 0 without an index."""
    memory_access: int
    """`MemoryAccess` bits."""
    memory_size: int
    """Bytes, 0 when the memory operand is not accessed."""

    @property
    def mnemonic(self) -> str:
        """Name of the operation, such as `"MOV"`."""
        return OPS[ROWS[self.row].op]
