# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The pure-Python decoder; `csrc/decode.c` is the same steps in the same order.

An instruction is prefixes, opcode, ModRM, SIB, displacement, immediates (SDM vol. 2A,
"Instruction Format"). Bytes are taken one field at a time from a window that may be shorter
than the instruction: running past the window is TRUNCATED (fetch more), running past 15 bytes is
TOO_LONG (#GP(0)), a form the processor refuses is INVALID (#UD), and a form missing from the opcode
table is UNKNOWN. Nothing but the bytes and the mode goes in.
"""

from __future__ import annotations

from typing import Final

from vmmkit.insn._decode_checks import (
    ADDRESS_SIZE,
    EVEX,
    FAIL_INVALID,
    FAIL_UNKNOWN,
    FLAG_ANYMOD,
    FLAG_D64,
    FLAG_F64,
    FLAG_LIMITED,
    FLAG_LOCK,
    FLAG_MODRM,
    FLAG_SEG,
    FLAG_SIBMEM,
    FLAG_VSIB,
    LOCK,
    OPERAND_SIZE,
    REP,
    REPNE,
    REX,
    REX2,
    SEGMENT,
    TOO_LONG,
    TRUNCATED,
    VEX,
    DecodeStop,
    check_registers,
    check_vector,
    effective_length,
)
from vmmkit.insn._decode_prefix import REX2_REFUSED, VectorPrefix, evex, vex2, vex3
from vmmkit.insn._flags import mask_of
from vmmkit.insn._record import MASK_BITS, MAX_LENGTH, REX_BITS, RIP_BASE
from vmmkit.insn.optable import (
    INVALID,
    LEGACY_MAPS,
    SPLIT,
    TABLES,
    TYPE_SIZES,
    UNKNOWN,
    VECTOR_SIZES,
    Row,
)

__all__ = ["decode_fields"]

B4, X4 = REX_BITS["B4"], REX_BITS["X4"]

# First row: legacy prefix to (bits to set, bits to clear). Of F2 and F3 the last one counts.
SIZE_AND_LOCK: Final = {
    0x66: (OPERAND_SIZE, 0),
    0x67: (ADDRESS_SIZE, 0),
    0xF0: (LOCK, 0),
    0xF2: (REPNE, REP),
    0xF3: (REP, REPNE),
}
SEGMENT_PREFIX: Final = {0x26: 0, 0x2E: 1, 0x36: 2, 0x3E: 3, 0x64: 4, 0x65: 5}
NO_REX2: Final = frozenset({0x0F, 0x62, 0xC4, 0xC5, 0xD5, *SIZE_AND_LOCK, *SEGMENT_PREFIX})
ESCAPED: Final = {0x38: LEGACY_MAPS["0F38"], 0x3A: LEGACY_MAPS["0F3A"]}

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


class Decoder:
    """One decode in progress; the fields become the record."""

    __slots__ = (
        "address_size",
        "base",
        "code",
        "displacement",
        "immediate",
        "index",
        "length",
        "mask",
        "mode",
        "modrm",
        "opcode",
        "operand_size",
        "position",
        "prefix",
        "prefixes",
        "rex",
        "row",
        "row_number",
        "scale",
        "second_immediate",
        "segment",
        "vvvv",
    )

    def __init__(self, code: bytes, mode: int) -> None:
        """Begin before the first byte of `code`."""
        self.code = code[:MAX_LENGTH]
        self.mode = mode
        self.position = 0
        self.prefixes = 0
        self.prefix = -1
        self.rex = 0
        self.segment = -1
        self.modrm = -1
        self.base = -1
        self.index = -1
        self.scale = 0
        self.displacement = 0
        self.immediate = 0
        self.second_immediate = 0
        self.opcode = 0
        self.row_number = 0
        self.row: Row = TABLES.rows[0]
        self.operand_size = 0
        self.address_size = 0
        self.vvvv = 0
        self.length = 0
        self.mask = 0

    def take(self, size: int) -> int:
        """Take `size` bytes, little-endian and sign-extended."""
        position = self.position
        following = position + size
        if following > len(self.code):
            raise DecodeStop(TRUNCATED if len(self.code) < MAX_LENGTH else TOO_LONG)
        self.position = following
        return int.from_bytes(self.code[position:following], "little", signed=True)

    def take_byte(self) -> int:
        """Take a byte, unsigned."""
        return self.take(1) & 0xFF

    def take_prefixes(self) -> int:
        """Take legacy prefixes and REX; return the byte that follows them.

        REX counts only directly before the opcode (SDM vol. 2A, "REX Prefixes"). In 64-bit mode
        the CS, DS, ES and SS prefixes do nothing, and do not undo an FS or GS prefix before them.
        """
        while True:
            byte = self.take_byte()
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
        """Take the rest of the opcode and find its row, taking ModRM when the table asks for it."""
        if byte == 0x0F:
            self.take_escaped()
        elif byte in {0xC4, 0xC5, 0x62} and self.vector_follows():
            self.take_vector(byte)
        elif byte == 0xD5 and self.mode == 64:
            self.take_rex2()
        else:
            self.find_row(0, byte)

    def take_escaped(self) -> None:
        """Take the opcode after 0F."""
        byte = self.take_byte()
        if byte in ESCAPED:
            self.find_row(ESCAPED[byte], self.take_byte())
        else:
            self.find_row(1, byte)

    def vector_follows(self) -> bool:
        """Whether this is no LES, LDS or BOUND: with two register operands they do not exist."""
        if self.mode == 64:
            return True
        following = self.take_byte()
        self.position -= 1
        return following >= 0xC0

    def take_vector(self, byte: int) -> None:
        """Take a VEX or EVEX prefix, which no LOCK, 66, F2, F3 or REX may precede."""
        if self.prefixes & (LOCK | REP | REPNE | OPERAND_SIZE | REX):
            raise DecodeStop(FAIL_INVALID)
        first = self.take_byte()
        if byte == 0xC5:
            self.use_vector(VEX, vex2(first, self.mode))
        elif byte == 0xC4:
            self.use_vector(VEX, vex3(first, self.take_byte(), self.mode))
        else:
            second = self.take_byte()
            self.use_vector(EVEX, evex(first, second, self.take_byte(), self.mode))

    def use_vector(self, kind: int, found: VectorPrefix) -> None:
        """Note what the prefix said and take the opcode."""
        if found.map < 0:
            raise DecodeStop(FAIL_UNKNOWN)
        self.prefixes |= kind
        self.rex, self.prefix, self.vvvv = found.rex, found.prefix, found.vvvv
        self.length, self.mask = found.length, found.mask
        self.find_row(found.map, self.take_byte())

    def take_rex2(self) -> None:
        """Take a REX2 prefix: M0 R4 X4 B4 W R3 X3 B3, then the opcode."""
        if self.prefixes & REX:
            raise DecodeStop(FAIL_INVALID)
        payload = self.take_byte()
        self.prefixes |= REX2
        self.rex = 0x40 | payload & 15 | (payload & 0x70) << 4
        number, opcode = payload >> 7, self.take_byte()
        if REX2_REFUSED[number] >> (opcode >> 4) & 1 or (opcode in NO_REX2 and not number):
            raise DecodeStop(FAIL_INVALID)
        self.find_row(number, opcode)

    def find_row(self, number: int, opcode: int) -> None:
        """Walk the table from an opcode of a map to a row."""
        self.opcode = opcode
        cell = TABLES.cells[number * 256 + opcode]
        while cell & SPLIT:
            selector, base = TABLES.splits[cell & ~SPLIT]
            cell = TABLES.cells[base + self.selection(selector)]
        if cell == UNKNOWN:
            raise DecodeStop(FAIL_UNKNOWN)
        if cell == INVALID:
            raise DecodeStop(FAIL_INVALID)
        self.row_number = cell
        self.row = TABLES.rows[cell]

    def selection(self, selector: int) -> int:
        """Value of one of `optable.SELECTORS`."""
        if selector == 0:
            return int(self.mode == 64)
        if selector == 1:
            return int(self.rex & (1 | B4) != 0)
        if selector == 2:
            return self.mandatory_prefix()
        if selector == 3:
            return self.rex >> 3 & 1
        if selector == 7 and self.prefixes & VEX:
            return self.length  # VZEROUPPER has no ModRM
        self.take_modrm()
        if selector == 4:
            return self.modrm >> 3 & 7
        if selector == 5:
            return int(self.modrm >= 0xC0)
        return self.modrm & 7 if selector == 6 else effective_length(self)

    def mandatory_prefix(self) -> int:
        """As mandatory prefixes F2 and F3 outrank 66, wherever they stand."""
        if self.prefix >= 0:
            return self.prefix
        if self.prefixes & (REP | REPNE):
            return 2 if self.prefixes & REP else 3
        return int(self.prefixes & OPERAND_SIZE != 0)

    def take_modrm(self) -> None:
        """Take ModRM unless an earlier selection did."""
        if self.modrm < 0:
            self.modrm = self.take_byte()

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
        needs_sib = self.row.flags & (FLAG_VSIB | FLAG_SIBMEM)
        if needs_sib and (self.modrm & 7 != 4 or self.address_size == 2):
            raise DecodeStop(FAIL_INVALID)
        if self.address_size == 2:
            self.take_address_16()
        else:
            self.take_address_32()
        if self.prefixes & EVEX and self.modrm >> 6 == 1:
            # SDM vol. 2A, "Compressed Displacement (disp8*N) Support in EVEX": N, its size.
            self.displacement *= self.row.disp8 or self.memory_size()

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
        high = (self.rex & 1) << 3 | (16 if self.rex & B4 else 0)
        self.base = rm | high
        if rm == 4:
            sib = self.take_byte()
            self.take_index(sib)
            self.base = sib & 7 | high
        if mod == 0 and self.base & 7 == 5:
            self.base = RIP_BASE if rm == 5 and self.mode == 64 else -1
            size = 4
        self.displacement = self.take(size)
        if self.segment < 0:
            self.segment = SS if self.base in {4, 5} else DS

    def take_index(self, sib: int) -> None:
        """Index and scale; 4 is no index, but a vector register like any other."""
        index = sib >> 3 & 7 | (self.rex & 2) << 2 | (16 if self.rex & X4 else 0)
        vector = self.row.flags & FLAG_VSIB
        if vector:
            index |= self.vvvv & 16 if self.prefixes & EVEX else 0
        self.index = -1 if index == 4 and not vector else index
        self.scale = 0 if self.index < 0 else 1 << (sib >> 6)

    def take_operands(self) -> None:
        """Take what the row's operands still need: address, absolute offset, immediates."""
        row = self.row
        if row.flags & FLAG_MODRM:
            self.take_modrm()
            if row.flags & FLAG_ANYMOD:
                self.modrm |= 0xC0
            if self.modrm < 0xC0:
                self.take_address()
        elif row.memory < 4:
            self.take_moffs()
        sizes = TYPE_SIZES[self.operand_size]
        first, second = row.immediates
        if first:
            self.immediate = self.take(sizes[first])
        if second:
            self.second_immediate = self.take(sizes[second]) & 0xFFFF

    def take_moffs(self) -> None:
        """Take an absolute offset of the address size."""
        offset = self.take(self.address_size)
        narrow = self.address_size < 8
        self.displacement = offset & mask_of(self.address_size) if narrow else offset
        if self.segment < 0:
            self.segment = DS

    def memory_size(self) -> int:
        """Bytes of the memory operand, or of the element that EVEX.b broadcasts."""
        row = self.row
        if self.mask & MASK_BITS["B"]:
            return row.broadcast
        number = row.types[row.memory]
        return TYPE_SIZES[self.operand_size][number] or VECTOR_SIZES[self.length % 3][number]

    def in_memory(self) -> bool:
        """Whether ModRM or an absolute offset names an address."""
        if self.row.flags & FLAG_MODRM:
            return 0 <= self.modrm < 0xC0
        return self.row.memory < 4

    def finish(self) -> tuple[int, ...]:
        """Check what needs the whole instruction; return the record's fields in order."""
        row = self.row
        in_memory = self.in_memory()
        access = row.access if in_memory else 0
        size = self.memory_size() if access else 0
        if row.op == 0:
            raise DecodeStop(FAIL_INVALID)
        if self.prefixes & LOCK and not (row.flags & FLAG_LOCK and access & 2):
            raise DecodeStop(FAIL_INVALID)  # SDM vol. 2A, LOCK: only on a memory destination
        vector = self.prefixes & (VEX | EVEX)
        if vector:
            check_vector(self)
        if row.flags & FLAG_LIMITED:
            check_registers(self)
        if not (in_memory or row.flags & FLAG_SEG):
            self.segment = -1  # an override without anything to override
        return (
            self.displacement,
            self.immediate,
            self.second_immediate,
            self.row_number,
            self.modrm,
            self.prefixes,
            self.rex,
            size,
            self.position,
            self.mode,
            self.opcode,
            self.operand_size,
            self.address_size,
            self.segment,
            self.base,
            self.index,
            self.scale,
            access,
            self.vvvv,
            16 << effective_length(self) if vector else 0,
            self.mask,
        )


def decode_fields(code: bytes, mode: int) -> tuple[int, ...] | int:
    """Decode the instruction at the start of `code` in mode 16, 32 or 64.

    Returns the values of `INSN_FIELDS`, or the number of one of `DECODE_FAILURES`.
    """
    decoder = Decoder(code, mode)
    try:
        decoder.take_opcode(decoder.take_prefixes())
        decoder.set_sizes()
        decoder.take_operands()
        return decoder.finish()
    except DecodeStop as failure:
        return int(failure.args[0])
