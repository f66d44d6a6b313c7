# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The decoder: fields of hand-assembled encodings, refusals, and what holds for any bytes.

Encodings and their meaning are from SDM vol. 2A, "Instruction Format"; no case was made by running
the decoder.
"""

import pickle

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from insn.row_encodings import forms
from vmmkit.errors import DecodeError, DecodeReason
from vmmkit.insn import MAX_LENGTH, RIP_BASE, Instruction, MemoryAccess, Prefixes, decode
from vmmkit.insn._engine import engine_named
from vmmkit.insn._record import DECODE_FAILURES

INVALID, TRUNCATED = DecodeReason.INVALID, DecodeReason.TRUNCATED
TOO_LONG, UNKNOWN = DecodeReason.TOO_LONG, DecodeReason.UNKNOWN
ES, CS, SS, DS, FS, GS = range(6)
RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 = range(16)

# mode, code, segment, base, index, scale, displacement, address size
ADDRESSES = [
    # the 24 memory forms of 16-bit addressing, in both modes that reach them
    *(
        (16, f"8b{mod << 6 | rm:02x}{tail}", segment, base, index, scale, displacement, 2)
        for mod, tail, displacement in ((0, "", 0), (1, "f0", -16), (2, "3412", 0x1234))
        for rm, (segment, base, index, scale) in enumerate(
            (
                (DS, RBX, RSI, 1),
                (DS, RBX, RDI, 1),
                (SS, RBP, RSI, 1),
                (SS, RBP, RDI, 1),
                (DS, RSI, -1, 0),
                (DS, RDI, -1, 0),
                (SS, RBP, -1, 0),
                (DS, RBX, -1, 0),
            )
        )
        if (mod, rm) != (0, 6)
    ),
    (16, "8b063412", DS, -1, -1, 0, 0x1234, 2),
    (16, "8b06f0ff", DS, -1, -1, 0, -16, 2),
    (32, "678b063412", DS, -1, -1, 0, 0x1234, 2),
    (32, "678b42f0", SS, RBP, RSI, 1, -16, 2),
    (16, "678b00", DS, RAX, -1, 0, 0, 4),
    # 32-bit forms
    (32, "8b00", DS, RAX, -1, 0, 0, 4),
    (32, "8b4500", SS, RBP, -1, 0, 0, 4),
    (32, "8b4580", SS, RBP, -1, 0, -128, 4),
    (32, "8b8500000080", SS, RBP, -1, 0, -0x8000_0000, 4),
    (32, "8b0578563412", DS, -1, -1, 0, 0x1234_5678, 4),  # no RIP-relative outside 64-bit mode
    (32, "8b0424", SS, RSP, -1, 0, 0, 4),
    (32, "8b442408", SS, RSP, -1, 0, 8, 4),
    (32, "8b042500000080", DS, -1, -1, 0, -0x8000_0000, 4),
    (32, "8b04ad00000000", DS, -1, RBP, 4, 0, 4),
    (32, "8b44ed00", SS, RBP, RBP, 8, 0, 4),
    (32, "8b0409", DS, RCX, RCX, 1, 0, 4),
    (32, "8b04e3", DS, RBX, -1, 0, 0, 4),  # index 4 is none, whatever the scale
    (32, "8b042c", SS, RSP, RBP, 1, 0, 4),
    (32, "8b4c3510", SS, RBP, RSI, 1, 16, 4),
    # 64-bit forms
    (64, "8b00", DS, RAX, -1, 0, 0, 8),
    (64, "678b00", DS, RAX, -1, 0, 0, 4),
    (64, "418b00", DS, R8, -1, 0, 0, 8),
    (64, "8b0510000000", DS, RIP_BASE, -1, 0, 16, 8),
    (64, "8b05f0ffffff", DS, RIP_BASE, -1, 0, -16, 8),
    (64, "678b0510000000", DS, RIP_BASE, -1, 0, 16, 4),
    (64, "418b0510000000", DS, RIP_BASE, -1, 0, 16, 8),  # REX.B does not make it [R13]
    (64, "418b4500", DS, R13, -1, 0, 0, 8),
    (64, "8b0424", SS, RSP, -1, 0, 0, 8),
    (64, "418b0424", DS, R12, -1, 0, 0, 8),
    (64, "8b042510000000", DS, -1, -1, 0, 16, 8),
    (64, "418b042510000000", DS, -1, -1, 0, 16, 8),  # base 13 with mod 0 is none, too
    (64, "418b442500", DS, R13, -1, 0, 0, 8),
    (64, "428b0420", DS, RAX, R12, 1, 0, 8),  # R12 is an index
    (64, "428b04a510000000", DS, -1, R12, 4, 16, 8),
    (64, "438b04fc", DS, R12, R15, 8, 0, 8),
    (64, "8b04c5f0ffffff", DS, -1, RAX, 8, -16, 8),
    (64, "8b4445 00", SS, RBP, RAX, 2, 0, 8),
    # EVEX: a one-byte displacement counts operands, elements or broadcast elements
    (64, "62f17c485840ff", DS, RAX, -1, 0, -64, 8),
    (64, "62f17c58584001", DS, RAX, -1, 0, 4, 8),
    (64, "62f17e08104001", DS, RAX, -1, 0, 4, 8),
    (64, "62f27d4888407f", DS, RAX, -1, 0, 508, 8),  # VEXPANDPS
    (64, "62f17c48588001000000", DS, RAX, -1, 0, 1, 8),
    (64, "62f27d4190440520", SS, RBP, 16, 1, 128, 8),  # V' of a vector index
    (64, "c4a269900c2d10000000", DS, -1, R13, 1, 16, 8),  # without a base
    (64, "c4e269900ce5f0ffffff", DS, -1, RSP, 8, -16, 8),  # 4 is a vector index like any other
    # absolute offsets
    (16, "a03412", DS, -1, -1, 0, 0x1234, 2),
    (32, "a178563412", DS, -1, -1, 0, 0x1234_5678, 4),
    (32, "67a13412", DS, -1, -1, 0, 0x1234, 2),
    (64, "a1f0debc9a78563412", DS, -1, -1, 0, 0x1234_5678_9ABC_DEF0, 8),
    (64, "67a178563412", DS, -1, -1, 0, 0x1234_5678, 4),
    # overrides
    (32, "268b4500", ES, RBP, -1, 0, 0, 4),
    (32, "2e8b00", CS, RAX, -1, 0, 0, 4),
    (32, "368b00", SS, RAX, -1, 0, 0, 4),
    (32, "3e8b4500", DS, RBP, -1, 0, 0, 4),
    (32, "648b00", FS, RAX, -1, 0, 0, 4),
    (32, "65268b00", ES, RAX, -1, 0, 0, 4),  # the last one counts
    (16, "64a03412", FS, -1, -1, 0, 0x1234, 2),
    (64, "268b4500", SS, RBP, -1, 0, 0, 8),  # null prefixes in 64-bit mode
    (64, "3e8b4500", SS, RBP, -1, 0, 0, 8),
    (64, "64268b00", FS, RAX, -1, 0, 0, 8),
    (64, "6465 8b00", GS, RAX, -1, 0, 0, 8),
    (64, "65a1f0debc9a78563412", GS, -1, -1, 0, 0x1234_5678_9ABC_DEF0, 8),
]


@pytest.mark.parametrize(
    ("mode", "code", "segment", "base", "index", "scale", "displacement", "size"), ADDRESSES
)
def test_addresses(engine, mode, code, segment, base, index, scale, displacement, size):
    found = decode(bytes.fromhex(code), mode, engine=engine)
    assert found.length == len(bytes.fromhex(code))
    assert (found.segment, found.base, found.index, found.scale) == (segment, base, index, scale)
    assert (found.displacement, found.address_size) == (displacement, size)


# mode, code, mnemonic, operand size, immediate, memory access, memory size
FIELDS = [
    (64, "90", "NOP", 4, 0, 0, 0),
    (64, "f390", "PAUSE", 4, 0, 0, 0),
    (64, "f2f390", "PAUSE", 4, 0, 0, 0),  # of F2 and F3 the last counts
    (64, "f3f290", "NOP", 4, 0, 0, 0),
    (64, "f36690", "PAUSE", 2, 0, 0, 0),
    (64, "66f390", "PAUSE", 2, 0, 0, 0),
    (64, "4190", "XCHG", 4, 0, 0, 0),
    (64, "4890", "NOP", 8, 0, 0, 0),
    (64, "4990", "XCHG", 8, 0, 0, 0),
    (64, "418b00", "MOV", 4, 0, 1, 4),
    (64, "488b00", "MOV", 8, 0, 1, 8),
    (64, "66488b00", "MOV", 8, 0, 1, 8),
    (64, "48668b00", "MOV", 2, 0, 1, 2),  # a REX before a legacy prefix is ignored
    (64, "40488b00", "MOV", 8, 0, 1, 8),  # of two REX the last one counts
    (64, "48408b00", "MOV", 4, 0, 1, 4),
    (32, "488b00", "DEC", 4, 0, 0, 0),  # REX is INC/DEC there, and one byte long
    (16, "8b00", "MOV", 2, 0, 1, 2),
    (16, "668b00", "MOV", 4, 0, 1, 4),
    (32, "668b00", "MOV", 2, 0, 1, 2),
    (32, "66668b00", "MOV", 2, 0, 1, 2),
    (64, "8803", "MOV", 4, 0, 2, 1),
    (64, "0103", "ADD", 4, 0, 3, 4),
    (64, "3903", "CMP", 4, 0, 1, 4),
    (64, "8703", "XCHG", 4, 0, 3, 4),
    (64, "8503", "TEST", 4, 0, 1, 4),
    (64, "8d03", "LEA", 4, 0, 0, 0),
    (64, "0f1f03", "NOP", 4, 0, 0, 0),
    (64, "480fb703", "MOVZX", 8, 0, 1, 2),
    (64, "486303", "MOVSXD", 8, 0, 1, 4),
    (64, "8c03", "MOVFROMSEG", 4, 0, 2, 2),
    (64, "8e1b", "MOVTOSEG", 4, 0, 1, 2),
    (64, "ff33", "PUSH", 8, 0, 1, 8),
    (64, "66ff33", "PUSH", 2, 0, 1, 2),
    (64, "8f03", "POP", 8, 0, 2, 8),
    (64, "ff13", "CALL", 8, 0, 1, 8),
    (64, "66ff23", "JMP", 8, 0, 1, 8),
    (32, "66ff23", "JMP", 2, 0, 1, 2),
    (64, "50", "PUSH", 8, 0, 0, 0),
    (64, "6650", "PUSH", 2, 0, 0, 0),
    (32, "50", "PUSH", 4, 0, 0, 0),
    (64, "6880000080", "PUSH", 8, -0x7FFF_FF80, 0, 0),
    (64, "666880 80", "PUSH", 2, -0x7F80, 0, 0),
    (64, "6a80", "PUSH", 8, -128, 0, 0),
    (64, "b880000080", "MOV", 4, -0x7FFF_FF80, 0, 0),
    (64, "48b8f0debc9a78563412", "MOV", 8, 0x1234_5678_9ABC_DEF0, 0, 0),
    (64, "66b88080", "MOV", 2, -0x7F80, 0, 0),
    (64, "48c7c0ffffffff", "MOV", 8, -1, 0, 0),
    (64, "4883c0ff", "ADD", 8, -1, 0, 0),
    (64, "c2f0ff", "RET", 8, -16, 0, 0),
    (64, "75fe", "JCC", 8, -2, 0, 0),
    (64, "6675fe", "JCC", 8, -2, 0, 0),
    (64, "66e900000080", "JMP", 8, -0x8000_0000, 0, 0),
    (32, "66e90080", "JMP", 2, -0x8000, 0, 0),
    (16, "0f840080", "JCC", 2, -0x8000, 0, 0),
    (64, "e480", "IN", 4, -128, 0, 0),
    (64, "48ed", "IN", 8, 0, 0, 0),
    (32, "82c080", "ADD", 4, -128, 0, 0),
    (64, "f6c880", "TEST", 4, -128, 0, 0),
    (64, "f348a5", "MOVS", 8, 0, 0, 0),
    (64, "aa", "STOS", 4, 0, 0, 0),
    (32, "06", "PUSH", 4, 0, 0, 0),
    (64, "0fa0", "PUSH", 8, 0, 0, 0),
    (32, "40", "INC", 4, 0, 0, 0),
    (64, "f4", "HLT", 4, 0, 0, 0),
    (64, "0f0b", "UD2", 4, 0, 0, 0),
    (64, "0fb900", "UD1", 4, 0, 0, 0),
    (64, "0fff00", "UD0", 4, 0, 0, 0),
    (64, "f6e0", "MUL", 4, 0, 0, 0),
    (64, "f7f3", "DIV", 4, 0, 0, 0),
    (32, "ff18", "CALLF", 4, 0, 1, 6),
    (64, "48ff18", "CALLF", 8, 0, 1, 10),
    (32, "9a78563412cdab", "CALLF", 4, 0x1234_5678, 0, 0),
    (16, "ea3412cdab", "JMPF", 2, 0x1234, 0, 0),
    (64, "c8341205", "ENTER", 8, 0x1234, 0, 0),
    (64, "0f0100", "SGDT", 8, 0, 2, 10),
    (32, "0f0100", "SGDT", 4, 0, 2, 6),
    (64, "0fc708", "CMPXCHG8B", 4, 0, 3, 8),
    (64, "480fc708", "CMPXCHG8B", 8, 0, 3, 16),
    (64, "0fae00", "FXSAVE", 4, 0, 2, 512),
    (64, "0fae20", "XSAVE", 4, 0, 3, 0),  # as large as the state demands
    (64, "66d9f0", "F2XM1", 2, 0, 0, 0),
    (64, "dd30", "FNSAVE", 4, 0, 2, 108),
    (64, "66dd30", "FNSAVE", 2, 0, 2, 94),
    (64, "660f6f00", "MOVDQA", 2, 0, 1, 16),
    (64, "f30f1000", "MOVSS", 4, 0, 1, 4),
    (64, "66f20f1000", "MOVSD", 2, 0, 1, 8),  # F2 outranks 66
    (64, "660f3a6300ff", "PCMPISTRI", 2, -1, 1, 16),
    (64, "660f78c00804", "EXTRQ", 2, 8, 0, 0),
    (64, "c5f877", "VZEROUPPER", 4, 0, 0, 0),
    (64, "c5fc77", "VZEROALL", 4, 0, 0, 0),
    (64, "c5fc5800", "VADDPS", 4, 0, 1, 32),
    (64, "c4e2791300", "VCVTPH2PS", 4, 0, 1, 8),
    (64, "c4e3694a0040", "VBLENDVPS", 4, 0x40, 1, 16),
    (64, "c4e2e9900c05f0ffffff", "VPGATHERDQ", 8, 0, 1, 8),
    (64, "62f17c485800", "VADDPS", 4, 0, 1, 64),
    (64, "62f17c585800", "VADDPS", 4, 0, 1, 4),  # broadcast
    (64, "62f27d498a00", "VCOMPRESSPS", 4, 0, 2, 64),
    (64, "62f17c295801", "VADDPS", 4, 0, 1, 32),
]


@pytest.mark.parametrize(
    ("mode", "code", "mnemonic", "operand_size", "immediate", "access", "size"), FIELDS
)
def test_fields(engine, mode, code, mnemonic, operand_size, immediate, access, size):
    raw = bytes.fromhex(code)
    found = decode(raw, mode, engine=engine)
    assert (found.mnemonic, found.operand_size) == (mnemonic, operand_size)
    assert (found.immediate, found.memory_access, found.memory_size) == (immediate, access, size)
    assert found.mode == mode
    if (mode, code) != (32, "488b00"):
        assert found.length == len(raw)


PREFIX_CASES = [
    (64, "f00103", Prefixes.LOCK),
    (64, "f2f3a4", Prefixes.REP),
    (64, "f3f2a4", Prefixes.REPNE),
    (64, "66678b00", Prefixes.OPERAND_SIZE | Prefixes.ADDRESS_SIZE),
    (64, "648b00", Prefixes.SEGMENT),
    (64, "2e8b00", Prefixes(0)),  # a null prefix has no effect
    (32, "2e8b00", Prefixes.SEGMENT),
    (64, "408b00", Prefixes.REX),
    (64, "40668b00", Prefixes.OPERAND_SIZE),
    (64, "402e8b00", Prefixes(0)),  # ... but it does end a REX
]


@pytest.mark.parametrize(("mode", "code", "prefixes"), PREFIX_CASES)
def test_prefixes(engine, mode, code, prefixes):
    found = decode(bytes.fromhex(code), mode, engine=engine)
    assert Prefixes(found.prefixes) == prefixes
    assert bool(found.rex) == bool(prefixes & Prefixes.REX)


REFUSED = [
    # (modes, code, reason)
    ((16, 32, 64), "8dc0", INVALID),  # LEA of a register
    ((16, 32, 64), "8ec8", INVALID),  # MOV CS
    ((16, 32, 64), "8ef0", INVALID),
    ((16, 32, 64), "8cf8", INVALID),
    ((16, 32, 64), "0f04", INVALID),
    ((16, 32, 64), "0f0a", INVALID),
    ((16, 32, 64), "0f20c8", INVALID),  # there is no CR1
    ((64,), "450f20c8", INVALID),  # nor CR9
    ((16, 32, 64), "ffff", INVALID),
    ((16, 32, 64), "fed0", INVALID),
    ((16, 32, 64), "c6c800", INVALID),
    ((64,), "06", INVALID),
    ((64,), "17", INVALID),
    ((64,), "82c000", INVALID),
    ((64,), "d6", INVALID),
    ((64,), "60", INVALID),
    ((64,), "ea", INVALID),
    # LOCK: only a few, and only to memory
    ((16, 32, 64), "f0890 0".replace(" ", ""), INVALID),
    ((16, 32, 64), "f08b00", INVALID),
    ((16, 32, 64), "f001c0", INVALID),
    ((16, 32, 64), "f00300", INVALID),
    ((16, 32, 64), "f03900", INVALID),
    ((16, 32, 64), "f0833800", INVALID),
    ((16, 32, 64), "f08500", INVALID),
    ((16, 32, 64), "f0f60000", INVALID),
    ((16, 32, 64), "f087c0", INVALID),
    ((16, 32, 64), "f090", INVALID),
    ((16, 32, 64), "f0a4", INVALID),
    ((16, 32, 64), "f0ff30", INVALID),
    ((16, 32, 64), "f0eb00", INVALID),
    # VEX and EVEX: no LOCK, 66, F2, F3 or REX before them, vvvv 1111 where it names nothing
    ((16, 32, 64), "f0c5f858c0", INVALID),
    ((16, 32, 64), "66c5f858c0", INVALID),
    ((16, 32, 64), "f2c5f858c0", INVALID),
    ((16, 32, 64), "f362f17c4858c0", INVALID),
    ((64,), "48c5f858c0", INVALID),
    ((16, 32, 64), "c5f051c0", INVALID),
    ((16, 32, 64), "c4e259900c0d00000000", INVALID),  # gather into its index
    ((16, 32, 64), "62f17c8858c0", INVALID),  # z without a mask
    ((16, 32, 64), "62f17c6858c0", INVALID),  # L'L 3
    ((16, 32, 64), "62f17c5828c0", INVALID),  # VMOVAPS takes no rounding
    ((16, 32), "62f17c4058c0", INVALID),  # V' 0 outside 64-bit mode
    ((64,), "62e17e082dc0", INVALID),  # R' 0 of a general register
    # in no row of the table: maps and cells that are left for later
    ((16, 32, 64), "0f38ff", UNKNOWN),
    ((16, 32, 64), "0f3a00c000", UNKNOWN),
    ((16, 32, 64), "c4e478c0", UNKNOWN),
    ((16, 32, 64), "c5f800c0", UNKNOWN),
    ((16, 32, 64), "62f47c0858c0", UNKNOWN),
    ((16, 32, 64), "62f97c0858c0", UNKNOWN),
    # length
    ((16, 32, 64), "", TRUNCATED),
    ((16, 32, 64), "66", TRUNCATED),
    ((16, 32, 64), "0f", TRUNCATED),
    ((64,), "48", TRUNCATED),
    ((16, 32, 64), "66" * 15, TOO_LONG),
    ((16, 32, 64), "66" * 14 + "0f", TOO_LONG),
    ((16, 32, 64), "66" * 14 + "8b00", TOO_LONG),
    ((16, 32, 64), "66" * 14, TRUNCATED),
    ((64,), "66" * 10 + "8b0500000000", TOO_LONG),
]


@pytest.mark.parametrize(
    ("mode", "code", "reason"), [(mode, *rest) for modes, *rest in REFUSED for mode in modes]
)
def test_refused(engine, mode, code, reason):
    raw = bytes.fromhex(code)
    with pytest.raises(DecodeError) as caught:
        decode(raw, mode, engine=engine)
    assert caught.value.reason is reason
    assert caught.value.code == raw[:MAX_LENGTH]
    assert f"{mode}-bit" in str(caught.value)
    assert (raw[:MAX_LENGTH].hex(" ") or "nothing") in str(caught.value)


LOCKABLE = [
    "0000", "0100", "0800", "1100", "1900", "2100", "2900", "3100", "8000ff", "8100ffffffff",
    "8300ff", "8600", "8700", "f610", "f618", "f710", "f718", "fe00", "fe08", "ff00", "ff08",
]  # fmt: skip


@pytest.mark.parametrize("code", LOCKABLE)
def test_lock_is_legal(engine, code):
    found = decode(bytes.fromhex("f0" + code), 64, engine=engine)
    assert found.prefixes & Prefixes.LOCK
    assert found.memory_access == MemoryAccess.READ | MemoryAccess.WRITE


ALL_CODES = sorted({(mode, code.replace(" ", "")) for mode, code, *_ in ADDRESSES + FIELDS})


@pytest.mark.parametrize(("mode", "code"), ALL_CODES)
def test_truncated_at_every_length(engine, mode, code):
    raw = bytes.fromhex(code)
    length = decode(raw, mode, engine=engine).length
    for short in range(length):
        with pytest.raises(DecodeError) as caught:
            decode(raw[:short], mode, engine=engine)
        assert caught.value.reason is TRUNCATED


def test_every_row_is_truncated_at_every_length(engine):
    function = engine_named(engine).Decoder(Instruction).decode
    for form in forms():
        length = decode(form.code, form.mode, engine=engine).length
        for short in range(length):
            failure = function(form.code[:short], form.mode)
            assert failure == DECODE_FAILURES.index("TRUNCATED"), (form, short)


@pytest.mark.parametrize(("mode", "code"), ALL_CODES)
def test_any_instruction_may_be_15_bytes_long_but_not_16(engine, mode, code):
    raw = bytes.fromhex(code)
    raw = raw[: decode(raw, mode, engine=engine).length]
    padded = b"\x3e" * (MAX_LENGTH - len(raw)) + raw
    assert decode(padded, mode, engine=engine).length == MAX_LENGTH
    with pytest.raises(DecodeError) as caught:
        decode(b"\x3e" + padded, mode, engine=engine)
    assert caught.value.reason is TOO_LONG


@pytest.mark.parametrize(
    ("code", "opcode_map", "prefix", "opcode"),
    [
        ("90", 0, 0, 0x90),
        ("f390", 0, 0xF3, 0x90),
        ("0f66c0", 1, 0, 0x66),
        ("660f66c0", 1, 0x66, 0x66),
        ("f20ff000", 1, 0xF2, 0xF0),
        ("660f3800c0", 2, 0x66, 0x00),
        ("660f3a0fc000", 3, 0x66, 0x0F),
        ("c5f966c0", 1, 0x66, 0x66),
        ("c4e27bf5c0", 2, 0xF2, 0xF5),
        ("62f1fe08e6c0", 1, 0xF3, 0xE6),
        ("62f57e0858c0", 5, 0xF3, 0x58),
        ("62f67d0898c0", 6, 0x66, 0x98),
    ],
)
def test_where_an_opcode_stands(engine, code, opcode_map, prefix, opcode):
    found = decode(bytes.fromhex(code), 64, engine=engine)
    assert (found.opcode_map, found.mandatory_prefix, found.opcode) == (opcode_map, prefix, opcode)


def test_instructions_are_plain_data(engine):
    found = decode(bytes.fromhex("48014cc810"), 64, engine=engine)
    assert pickle.loads(pickle.dumps(found)) == found
    assert isinstance(found, Instruction)
    assert len({found, decode(bytes.fromhex("48014cc810ff"), 64, engine=engine)}) == 1


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_will_do(engine, kind):
    assert decode(kind(bytes.fromhex("8b00") * 20), 64, engine=engine).length == 2


@pytest.mark.parametrize("mode", [0, 8, 128, None, "64", -64])
def test_other_modes_are_refused(engine, mode):
    with pytest.raises(ValueError, match="16, 32 or 64"):
        decode(b"\x90", mode, engine=engine)


def outcome(code, mode, engine):
    """Fields, or reason and text."""
    try:
        return decode(code, mode, engine=engine)
    except DecodeError as error:
        return error.reason, str(error), error.code


MODES = st.sampled_from([16, 32, 64])
# Bytes of which a good part are prefixes, so that long instructions turn up too.
CODES = st.lists(
    st.one_of(
        st.integers(0, 255),
        st.sampled_from([0x66, 0x67, 0xF0, 0xF2, 0xF3, 0x2E, 0x64, 0x48, 0x41, 0x0F, 0x8B, 0xC7]),
        st.sampled_from([0x38, 0x3A, 0xC4, 0xC5, 0x62, 0xD5, 0xE2, 0xF1, 0x7D]),
    ),
    max_size=20,
).map(bytes)


SIZES = {0, 1, 2, 4, 6, 8, 10, 14, 16, 28, 32, 48, 64, 94, 108, 512}


@given(code=CODES, mode=MODES)
@example(code=b"", mode=64)
def test_any_bytes_decode_or_are_refused(engine, code, mode):
    found = outcome(code, mode, engine)
    if isinstance(found, Instruction):
        assert 1 <= found.length <= min(len(code), MAX_LENGTH)
        assert found.operand_size in {2, 4, 8}
        assert found.address_size in {2, 4, 8}
        assert found.memory_size in SIZES
        assert found.memory_access or not found.memory_size
        assert str(found)
    else:
        assert (found[0] is TRUNCATED) <= (len(code) < MAX_LENGTH)


@given(code=CODES, mode=MODES, more=st.binary(max_size=8))
def test_what_follows_does_not_matter(engine, code, mode, more):
    found = outcome(code, mode, engine)
    if isinstance(found, Instruction):
        assert outcome(code + more, mode, engine) == found
        assert outcome(code[: found.length] + more, mode, engine) == found
    elif found[0] in {INVALID, UNKNOWN}:
        again = outcome(code + more, mode, engine)
        assert again[0] is found[0]


@given(code=CODES, mode=MODES)
def test_engines_agree_to_the_letter(two_engines, code, mode):
    first, second = two_engines
    assert outcome(code, mode, first) == outcome(code, mode, second)
