# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What a decoder refuses when the bytes are all there; `csrc/decode_checks.c` is the same.

Registers that an operand kind does not have, and what VEX and EVEX forbid beside the opcode (SDM
vol. 2A, "AVX-512 Encoding", the #UD equations).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vmmkit.insn._record import DECODE_FAILURES, MASK_BITS, PREFIX_BITS, REX_BITS
from vmmkit.insn.optable import ATTRIBUTES, KINDS, REGISTER_LIMITS

if TYPE_CHECKING:
    from vmmkit.insn._decode import Decoder

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
REX2: Final = PREFIX_BITS["REX2"]
VEX: Final = PREFIX_BITS["VEX"]
EVEX: Final = PREFIX_BITS["EVEX"]
B4, R4 = REX_BITS["B4"], REX_BITS["R4"]

_FLAG: Final = {name: 1 << bit for bit, name in enumerate(ATTRIBUTES)}
FLAG_LOCK: Final = _FLAG["lock"]
FLAG_D64: Final = _FLAG["d64"]
FLAG_F64: Final = _FLAG["f64"]
FLAG_SEG: Final = _FLAG["seg"]
FLAG_MODRM: Final = _FLAG["modrm"]
FLAG_VVVV: Final = _FLAG["vvvv"]
FLAG_VSIB: Final = _FLAG["vsib"]
FLAG_LIMITED: Final = _FLAG["limited"]
FLAG_ANYMOD: Final = _FLAG["anymod"]
FLAG_NO66: Final = _FLAG["no66"]
FLAG_NOREX2: Final = _FLAG["norex2"]
FLAG_SIBMEM: Final = _FLAG["sibmem"]
FLAG_MASKING: Final = _FLAG["masking"]
FLAG_ZEROING: Final = _FLAG["zeroing"]
FLAG_MASKED: Final = _FLAG["masked"]
FLAG_SAE: Final = _FLAG["sae"]
FLAG_UNIQUE: Final = _FLAG["uniq"]

S, C, G = (KINDS.index(kind) for kind in "SCG")
REG_LIMITS, RM_LIMITS, VVVV_LIMITS = REGISTER_LIMITS
CONTROL_REGISTERS: Final = frozenset({0, 2, 3, 4, 8})  # SDM vol. 2B, MOV: others are #UD


class DecodeStop(Exception):  # noqa: N818 - control flow of the decoder, never seen outside
    """Carries one of the decode failure numbers."""


def effective_length(decoder: Decoder) -> int:
    """With EVEX.b and registers L'L is a rounding mode, and the length is 512 bits."""
    rounding = decoder.mask & MASK_BITS["B"] and decoder.modrm >= 0xC0
    return 2 if rounding else decoder.length


def register_numbers(decoder: Decoder) -> tuple[int, int]:
    """Numbers in ModRM.reg and ModRM.rm, as far as the prefixes extend them."""
    rex, modrm = decoder.rex, decoder.modrm
    reg = modrm >> 3 & 7 | (rex & 4) << 1 | (16 if rex & R4 else 0)
    rm = modrm & 7 | (rex & 1) << 3
    if decoder.prefixes & EVEX:
        return reg, rm | (rex & 2) << 3
    return reg, rm | (16 if rex & B4 else 0)


def check_registers(decoder: Decoder) -> None:
    """Refuse registers that a kind does not have."""
    reg, rm = register_numbers(decoder)
    for kind in decoder.row.kinds:
        # SDM vol. 2A, "REX Prefix Fields": REX.R does not extend a segment register.
        number = reg & 7 if kind == S else reg
        refused = (
            number >= REG_LIMITS[kind]
            or (decoder.modrm >= 0xC0 and rm >= RM_LIMITS[kind])
            or decoder.vvvv >= VVVV_LIMITS[kind]
            or (kind == C and reg not in CONTROL_REGISTERS)
        )
        if refused:
            raise DecodeStop(FAIL_INVALID)
    # MOV to CS: SDM vol. 2B, MOV, "#UD If attempt is made to load the CS register".
    if decoder.row.kinds[0] == S and reg & 7 == 1:
        raise DecodeStop(FAIL_INVALID)
    refused_prefixes = (OPERAND_SIZE if decoder.row.flags & FLAG_NO66 else 0) | (
        REX2 if decoder.row.flags & FLAG_NOREX2 else 0
    )
    if decoder.prefixes & refused_prefixes:
        raise DecodeStop(FAIL_INVALID)


def check_vector(decoder: Decoder) -> None:
    """What VEX and EVEX refuse beside the opcode."""
    flags = decoder.row.flags
    spare = decoder.vvvv & 15 if flags & FLAG_VSIB else decoder.vvvv
    if not flags & FLAG_VVVV and spare:
        raise DecodeStop(FAIL_INVALID)
    if decoder.mode != 64:
        if decoder.vvvv & 16:
            raise DecodeStop(FAIL_INVALID)
        decoder.vvvv &= 7
    if decoder.prefixes & EVEX:
        _check_evex(decoder, flags)
    if flags & FLAG_UNIQUE and not _unique(decoder):
        raise DecodeStop(FAIL_INVALID)


def _check_evex(decoder: Decoder, flags: int) -> None:
    """Length, broadcast and rounding, masking."""
    row, mask = decoder.row, decoder.mask
    memory = decoder.modrm < 0xC0
    zeroing, opmask = mask & MASK_BITS["Z"], mask & 7
    allowed = row.broadcast if memory else flags & FLAG_SAE
    refused = (
        (mask & MASK_BITS["B"] and not allowed)
        or effective_length(decoder) == 3
        or (opmask and not flags & FLAG_MASKING)
        or (not opmask and flags & FLAG_MASKED)
        or (zeroing and not (flags & FLAG_ZEROING and opmask))
        or (zeroing and memory and row.memory == 0)
        or (row.kinds[0] == G and decoder.rex & R4)
    )
    if refused:
        raise DecodeStop(FAIL_INVALID)
    if mask & MASK_BITS["B"] and not memory:
        decoder.mask |= decoder.length << 5


def _unique(decoder: Decoder) -> bool:
    """Whether the destination is none of the sources; VEX and tiles want all to differ."""
    reg, rm = register_numbers(decoder)
    source = rm if decoder.modrm >= 0xC0 else decoder.index
    if not decoder.row.flags & FLAG_VVVV:
        return reg != source
    if reg in {source, decoder.vvvv}:
        return False
    return bool(decoder.prefixes & EVEX) or decoder.vvvv != source
