# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The decoded instruction as users see it: a plain tuple of integers."""

from __future__ import annotations

from enum import IntFlag
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from vmmkit.insn._record import PREFIX_BITS, RIP_BASE

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["RIP_BASE", "Instruction", "MemoryAccess", "Prefixes"]


class Prefixes(IntFlag):
    """Prefixes found before the opcode, whether they do something or not."""

    LOCK = PREFIX_BITS["LOCK"]  #: F0
    REPNE = PREFIX_BITS["REPNE"]  #: F2, where it is the last of F2 and F3
    REP = PREFIX_BITS["REP"]  #: F3, likewise
    OPERAND_SIZE = PREFIX_BITS["OPERAND_SIZE"]  #: 66
    ADDRESS_SIZE = PREFIX_BITS["ADDRESS_SIZE"]  #: 67
    SEGMENT = PREFIX_BITS["SEGMENT"]  #: 26, 2E, 36, 3E, 64 or 65; in 64-bit mode 64 or 65
    REX = PREFIX_BITS["REX"]  #: 40 to 4F, in 64-bit mode
    REX2 = PREFIX_BITS["REX2"]  #: D5, in 64-bit mode
    VEX = PREFIX_BITS["VEX"]  #: C4 or C5
    EVEX = PREFIX_BITS["EVEX"]  #: 62


REPEATS: Final = Prefixes.REP | Prefixes.REPNE
REPEATABLE: Final = frozenset({"MOVS", "STOS", "LODS", "CMPS", "SCAS", "INS", "OUTS"})
# The number of each map of the table, as the SDM and VEX.mmmmm count them.
MAPS: Final = (0, 1, 2, 3, 1, 2, 3, 1, 2, 3, 5, 6)


@cache
def _optable() -> ModuleType:
    """The opcode table, when an instruction is first asked what its numbers mean.

    Making it takes longer than all else that is imported, and the native engine has its own.
    """
    from vmmkit.insn import optable  # noqa: PLC0415

    return optable


class MemoryAccess(IntFlag):
    """How an instruction uses its explicit memory operand."""

    NONE = 0  #: its address alone matters, or there is none
    READ = 1  #: loaded
    WRITE = 2  #: stored; both where it is modified


class Instruction(NamedTuple):
    """One decoded instruction: plain, hashable, picklable, the same from both engines.

    The memory operand described is the explicit one, in ModRM or as an absolute offset; the
    implicit operands of string and stack instructions are not. Register numbers are in encoding
    order (rAX, rCX, rDX, rBX, rSP, rBP, rSI, rDI, r8...). `str` gives it in Intel syntax.
    """

    displacement: int
    """Sign-extended and, with EVEX, scaled; or the absolute offset (8-byte ones as two's
    complement)."""
    immediate: int
    """Sign-extended immediate, relative branch offset, or offset of a far pointer; 0 without."""
    second_immediate: int
    """Nesting level of ENTER, selector of a far pointer; 0 without one."""
    row: int
    """Index into `optable.ROWS`."""
    modrm: int
    """The ModRM byte, -1 without one."""
    prefixes: int
    """`Prefixes` bits."""
    rex: int
    """Bits 3:0 W, R, X, B of REX, REX2, VEX or EVEX, as if not inverted, and bit 4 of the registers
    in B (0x100), X (0x200) and R (0x400)."""
    memory_size: int
    """Bytes, 0 when the memory operand is not accessed or its size depends on the state."""
    length: int
    """Bytes, 1 to 15."""
    mode: int
    """16, 32 or 64."""
    opcode: int
    """The last opcode byte."""
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
    """Index register (a vector register where the row says so) or -1."""
    scale: int
    """1, 2, 4 or 8; 0 without an index."""
    memory_access: int
    """`MemoryAccess` bits."""
    vvvv: int
    """The register that VEX or EVEX adds, 0 without."""
    vector_length: int
    """Bytes, 16, 32 or 64; 0 without VEX or EVEX."""
    mask: int
    """Of EVEX: the opmask register in bits 2:0, z in bit 3, b in bit 4. Where b stands with
    registers, the rounding mode that L'L says is in bits 6:5: nearest, down, up, toward 0."""

    @property
    def mnemonic(self) -> str:
        """Name of the operation, such as `"MOV"`."""
        table = _optable()
        name: str = table.OPS[table.ROWS[self.row].op]
        return name

    @property
    def opcode_map(self) -> int:
        """0 for one-byte opcodes, 1 for 0F, 2 for 0F38, 3 for 0F3A, 5 and 6 as EVEX names them."""
        return MAPS[_optable().ROWS[self.row].map]

    @property
    def mandatory_prefix(self) -> int:
        """The byte 66, F2 or F3 that is part of the opcode, 0 without one."""
        table = _optable()
        first, _, rest = table.ROWS[self.row].encoding.partition(" ")
        named = [word for word in first.split(".") if word in table.PREFIXES[1:] and rest]
        return int(named[0], 16) if named else 0

    @property
    def repeats(self) -> bool:
        """Whether F2 or F3 repeats this instruction, rather than being ignored."""
        return bool(self.prefixes & REPEATS) and self.mnemonic in REPEATABLE

    @property
    def executable(self) -> bool:
        """Whether the engines execute it; the others are `Unsupported` when they are reached."""
        from vmmkit.insn._pure import EXECUTE  # noqa: PLC0415 - the native engine runs without

        return EXECUTE[self.row] is not None and not self.prefixes & Prefixes.REX2

    def __str__(self) -> str:
        """Intel syntax, one line; branch targets are relative to the instruction (`$`)."""
        from vmmkit.insn._text import text_of  # noqa: PLC0415 - brings the table

        return text_of(self)
