# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The pure-Python decoder; `csrc/decode.c` is the same nine steps in the same order.

An instruction is prefixes, opcode, ModRM, SIB, displacement, immediate (SDM vol. 2A,
"Instruction Format"). Bytes are taken one field at a time from a window that may be shorter
than the instruction: running past the window is TRUNCATED (fetch more), running past 15 bytes is
TOO_LONG (#GP(0)), a form the processor refuses is INVALID (#UD), and a form missing from the opcode
table is UNKNOWN. Nothing but the bytes and the mode goes in.
"""

from __future__ import annotations

from typing import Final

from vmmkit.insn._flags import mask_of
from vmmkit.insn._record import DECODE_FAILURES, MAX_LENGTH, PREFIX_BITS
from vmmkit.insn.optable import ATTRIBUTES, INVALID, KINDS, SPLIT, TABLES, TYPE_SIZES, UNKNOWN, Row

__all__ = ["decode_fields"]

TRUNCATED: Final = DECODE_FAILURES.index("TRUNCATED")
FAIL_INVALID: Final = DECODE_FAILURES.index("INVALID")
TOO_LONG: Final = DECODE_FAILURES.index("TOO_LONG")
FAIL_UNKNOWN: Final = DECODE_FAILURES.index("UNKNOWN")

LOCK: Final = PREFIX_BITS["LOCK"]
REPNE: Final = PREFIX_BITS["REPNE"]
REP: Final = PREFIX_BITS["REP"]
OPERAND_SIZE: Final = PREFIX_BITS["OPERAND_SIZE"]
ADDRESS_SIZE: Final = PREFIX_BITS["ADDRESS_SIZE"]
SEGMENT: Final = PREFIX_BITS["SEGMENT"]
REX: Final = PREFIX_BITS["REX"]

FLAG_LOCK: Final = 1 << ATTRIBUTES.index("lock")
FLAG_D64: Final = 1 << ATTRIBUTES.index("d64")
FLAG_F64: Final = 1 << ATTRIBUTES.index("f64")

E, S, I, J, O, X = (KINDS.index(letter) for letter in "ESIJOX")  # noqa: E741 - SDM's letters

# First row: legacy prefix to (bits to set, bits to clear). Of F2 and F3 the last one counts.
SIZE_AND_LOCK: Final = {
    0x66: (OPERAND_SIZE, 0),
    0x67: (ADDRESS_SIZE, 0),
    0xF0: (LOCK, 0),
    0xF2: (REPNE, REP),
    0xF3: (REP, REPNE),
}
SEGMENT_PREFIX: Final = {0x26: 0, 0x2E: 1, 0x36: 2, 0x3E: 3, 0x64: 4, 0x65: 5}

# SDM vol. 2A, table "16-Bit Addressing Forms with the ModR/M Byte": base, index, default segment.
ADDRESS_16: Final = (
    (3, 6, 3),
    (3, 7, 3),
    (5, 6, 2),
    (5, 7, 2),
    (6, -1, 3),
    (7, -1, 3),
    (5, -1, 2),
    (3, -1, 3),
)
DS, SS = 3, 2
RIP: Final = 16


class _Failure(Exception):  # noqa: N818 - control flow inside this module, never seen outside
    """Carries one of the decode failure numbers."""


class _Decoder:
    """One decode in progress; the fields become the record."""

    __slots__ = (
        "address_size",
        "base",
        "code",
        "displacement",
        "immediate",
        "index",
        "mode",
        "modrm",
        "opcode",
        "operand_size",
        "position",
        "prefixes",
        "rex",
        "row",
        "row_number",
        "scale",
        "segment",
    )

    def __init__(self, code: bytes, mode: int) -> None:
        self.code = code[:MAX_LENGTH]
        self.mode = mode
        self.position = 0
        self.prefixes = 0
        self.rex = 0
        self.segment = -1
        self.modrm = -1
        self.base = -1
        self.index = -1
        self.scale = 0
        self.displacement = 0
        self.immediate = 0
        self.opcode = 0
        self.row_number = 0
        self.row: Row = TABLES.rows[0]
        self.operand_size = 0
        self.address_size = 0

    def take(self, size: int) -> int:
        """Take `size` bytes, little-endian and sign-extended."""
        position = self.position
        following = position + size
        if following > len(self.code):
            raise _Failure(TRUNCATED if len(self.code) < MAX_LENGTH else TOO_LONG)
        self.position = following
        return int.from_bytes(self.code[position:following], "little", signed=True)

    def take_prefixes(self) -> int:
        """Take legacy prefixes and REX; return the byte that follows them.

        REX counts only directly before the opcode (SDM vol. 2A, "REX Prefixes"). In 64-bit mode
        the CS, DS, ES and SS prefixes do nothing, and do not undo an FS or GS prefix before them.
        """
        while True:
            byte = self.take(1) & 0xFF
            if byte in SIZE_AND_LOCK:
                bits, cleared = SIZE_AND_LOCK[byte]
                self.prefixes = self.prefixes & ~cleared | bits
            elif byte in SEGMENT_PREFIX:
                if self.mode != 64 or byte >= 0x64:
                    self.segment = SEGMENT_PREFIX[byte]
                    self.prefixes |= SEGMENT
            elif self.mode == 64 and byte & 0xF0 == 0x40:
                self.rex = byte
                continue
            else:
                break
            self.rex = 0
        if self.rex:
            self.prefixes |= REX
        return byte

    def take_opcode(self, byte: int) -> None:
        """Walk the table from the opcode to a row, taking ModRM when the table asks for it."""
        root = byte
        if byte == 0x0F:
            byte = self.take(1) & 0xFF
            root = 256 + byte
        self.opcode = byte
        cell = TABLES.cells[root]
        while cell & SPLIT:
            selector, base = TABLES.splits[cell & ~SPLIT]
            cell = TABLES.cells[base + self.selection(selector)]
        if cell == UNKNOWN:
            raise _Failure(FAIL_UNKNOWN)
        if cell == INVALID:
            raise _Failure(FAIL_INVALID)
        self.row_number = cell
        self.row = TABLES.rows[cell]

    def selection(self, selector: int) -> int:
        """Value of one of `optable.SELECTORS`."""
        if selector == 0:
            return int(self.mode == 64)
        if selector == 1:
            return self.rex & 1
        if selector == 2:
            # As mandatory prefixes F2 and F3 outrank 66, wherever they stand.
            if self.prefixes & (REP | REPNE):
                return 2 if self.prefixes & REP else 3
            return int(self.prefixes & OPERAND_SIZE != 0)
        self.take_modrm()
        return self.modrm >> 3 & 7 if selector == 3 else int(self.modrm >= 0xC0)

    def take_modrm(self) -> None:
        """Take ModRM unless an earlier selection did."""
        if self.modrm < 0:
            self.modrm = self.take(1) & 0xFF

    def set_sizes(self) -> None:
        """SDM vol. 1, "Operand Size and Address Size in 64-Bit Mode" and its 16/32-bit table."""
        wide = self.prefixes & OPERAND_SIZE
        other = self.prefixes & ADDRESS_SIZE
        if self.mode == 64:
            self.address_size = 4 if other else 8
            if self.row.flags & FLAG_F64 or self.rex & 8:
                self.operand_size = 8
            else:
                self.operand_size = 2 if wide else 8 if self.row.flags & FLAG_D64 else 4
        else:
            normal, swapped = (4, 2) if self.mode == 32 else (2, 4)
            self.operand_size = swapped if wide else normal
            self.address_size = swapped if other else normal

    def take_address(self) -> None:
        """Take SIB and displacement of a memory operand in ModRM.rm."""
        if self.address_size == 2:
            self.take_address_16()
        else:
            self.take_address_32()

    def take_address_16(self) -> None:
        """Take a displacement of 16-bit addressing."""
        mod, rm = self.modrm >> 6, self.modrm & 7
        self.base, self.index, default = ADDRESS_16[rm]
        self.scale = int(self.index >= 0)
        if mod == 0 and rm == 6:
            self.base, default = -1, DS
        self.displacement = self.take((2 if rm == 6 else 0, 1, 2)[mod])
        if self.segment < 0:
            self.segment = default

    def take_address_32(self) -> None:
        """Take SIB and displacement of 32- or 64-bit addressing.

        SDM vol. 2A, "Addressing-Mode Encoding of ModR/M and SIB Bytes" and "RIP-Relative
        Addressing". REX.B does not change which encodings mean SIB (rm 4) or no base (5, mod 0).
        """
        mod, rm = self.modrm >> 6, self.modrm & 7
        size = (0, 1, 4)[mod]
        self.base = rm | (self.rex & 1) << 3
        if rm == 4:
            sib = self.take(1) & 0xFF
            index = sib >> 3 & 7 | (self.rex & 2) << 2
            self.index = -1 if index == 4 else index
            self.scale = 0 if index == 4 else 1 << (sib >> 6)
            self.base = sib & 7 | (self.rex & 1) << 3
        if mod == 0 and self.base & 7 == 5:
            self.base = RIP if rm == 5 and self.mode == 64 else -1
            size = 4
        self.displacement = self.take(size)
        if self.segment < 0:
            self.segment = SS if self.base in {4, 5} else DS

    def take_operands(self) -> None:
        """Take what the row's operands still need: address, absolute offset, immediates."""
        row = self.row
        if row.modrm:
            self.take_modrm()
            if self.modrm < 0xC0:
                self.take_address()
        sizes = TYPE_SIZES[self.operand_size]
        for kind, operand_type in zip(row.kinds, row.types, strict=True):
            if kind in {I, J}:
                self.immediate = self.take(sizes[operand_type])
            elif kind == O:
                offset = self.take(self.address_size)
                narrow = self.address_size < 8
                self.displacement = offset & mask_of(self.address_size) if narrow else offset
                if self.segment < 0:
                    self.segment = DS
            elif kind == S and (self.modrm >> 3 & 7 > 5):
                raise _Failure(FAIL_INVALID)

    def memory_operand(self) -> tuple[int, int]:
        """Return (access, size) of the ModRM or absolute memory operand, (0, 0) without one."""
        row = self.row
        if not (row.access and self.in_memory()):
            return 0, 0
        place = row.kinds.index(E if row.modrm else O)
        return row.access, TYPE_SIZES[self.operand_size][row.types[place]]

    def in_memory(self) -> bool:
        """Whether ModRM or an absolute offset names an address."""
        return 0 <= self.modrm < 0xC0 if self.row.modrm else O in self.row.kinds

    def finish(self) -> tuple[int, ...]:
        """Check what needs the whole instruction; return the record's fields in order."""
        access, size = self.memory_operand()
        if self.row.op == 0:
            raise _Failure(FAIL_INVALID)
        if self.prefixes & LOCK and not (self.row.flags & FLAG_LOCK and access & 2):
            raise _Failure(FAIL_INVALID)  # SDM vol. 2A, LOCK: only on a memory destination
        # MOV to CS: SDM vol. 2B, MOV, "#UD If attempt is made to load the CS register".
        if self.row.kinds[0] == S and self.modrm >> 3 & 7 == 1:
            raise _Failure(FAIL_INVALID)
        if not (self.in_memory() or X in self.row.kinds):
            self.segment = -1  # an override without anything to override
        return (
            self.displacement,
            self.immediate,
            self.row_number,
            self.modrm,
            self.prefixes,
            self.position,
            self.mode,
            self.opcode,
            self.rex,
            self.operand_size,
            self.address_size,
            self.segment,
            self.base,
            self.index,
            self.scale,
            access,
            size,
        )


def decode_fields(code: bytes, mode: int) -> tuple[int, ...] | int:
    """Decode the instruction at the start of `code` in mode 16, 32 or 64.

    Returns the values of `INSN_FIELDS`, or the number of one of `DECODE_FAILURES`.
    """
    decoder = _Decoder(code, mode)
    try:
        decoder.take_opcode(decoder.take_prefixes())
        decoder.set_sizes()
        decoder.take_operands()
        return decoder.finish()
    except _Failure as failure:
        return int(failure.args[0])
