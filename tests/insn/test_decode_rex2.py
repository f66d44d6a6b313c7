# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""REX2 by hand: lengths, registers and refusals.

From the architecture specification of Intel Advanced Performance Extensions, "REX2 prefix": D5,
then M0 R4 X4 B4 W R3 X3 B3, then an opcode of legacy map 0 or 1.
"""

import pytest

from vmmkit.errors import DecodeError, DecodeReason
from vmmkit.insn import RIP_BASE, Prefixes, decode

# code, mnemonic, operand size, base, index, immediate
DECODED = [
    ("d50090", "NOP", 4, -1, -1, 0),
    ("d50190", "XCHG", 4, -1, -1, 0),
    ("d51090", "XCHG", 4, -1, -1, 0),  # with r16
    ("d51150", "PUSH", 8, -1, -1, 0),
    ("66d51150", "PUSH", 2, -1, -1, 0),
    ("d5088b03", "MOV", 8, 3, -1, 0),
    ("d5008b03", "MOV", 4, 3, -1, 0),
    ("d5108b03", "MOV", 4, 19, -1, 0),
    ("d5118b03", "MOV", 4, 27, -1, 0),
    ("67d5118b03", "MOV", 4, 27, -1, 0),
    ("d5108b0424", "MOV", 4, 20, -1, 0),
    ("d5208b0424", "MOV", 4, 4, 20, 0),
    ("d5228b0420", "MOV", 4, 0, 28, 0),
    ("d5308b4420ff", "MOV", 4, 16, 20, 0),
    ("d5108b0500000000", "MOV", 4, RIP_BASE, -1, 0),
    ("d5118b4500", "MOV", 4, 29, -1, 0),
    ("d508b8f0debc9a78563412", "MOV", 8, -1, -1, 0x1234_5678_9ABC_DEF0),
    ("d500b878563412", "MOV", 4, -1, -1, 0x1234_5678),
    ("66d500b83412", "MOV", 2, -1, -1, 0x1234),
    ("66d508b8f0debc9a78563412", "MOV", 8, -1, -1, 0x1234_5678_9ABC_DEF0),
    ("d500c70078563412", "MOV", 4, 0, -1, 0x1234_5678),
    ("d50083c0ff", "ADD", 4, -1, -1, -1),
    ("d500c3", "RET", 8, -1, -1, 0),
    ("d510ffd0", "CALL", 8, -1, -1, 0),
    ("d5008d4010", "LEA", 4, 0, -1, 0),
    ("d580afc3", "IMUL", 4, -1, -1, 0),
    ("d5c0afc3", "IMUL", 4, -1, -1, 0),
    ("d580a2", "CPUID", 4, -1, -1, 0),
    ("d5800b", "UD2", 4, -1, -1, 0),
    ("f3d588b8c3", "POPCNT", 8, -1, -1, 0),
    ("66d5906f00", "MOVDQA", 2, 16, -1, 0),
    ("d58020c0", "MOVFROMCR", 8, -1, -1, 0),
    ("f0d5100100", "ADD", 4, 16, -1, 0),
    ("6466d5000100", "ADD", 2, 0, -1, 0),
    ("4866d50090", "NOP", 2, -1, -1, 0),  # a REX before a legacy prefix is ignored
]


@pytest.mark.parametrize(("code", "mnemonic", "size", "base", "index", "immediate"), DECODED)
def test_rex2(engine, code, mnemonic, size, base, index, immediate):
    raw = bytes.fromhex(code)
    found = decode(raw + bytes(8), 64, engine=engine)
    assert (found.mnemonic, found.length, found.operand_size) == (mnemonic, len(raw), size)
    assert (found.base, found.index, found.immediate) == (base, index, immediate)
    assert found.prefixes & Prefixes.REX2
    assert not found.executable
    for short in range(len(raw)):
        with pytest.raises(DecodeError) as caught:
            decode(raw[:short], 64, engine=engine)
        assert caught.value.reason is DecodeReason.TRUNCATED


REFUSED = [
    "48d50090",  # a REX directly before
    *("d50040", "d5004f", "d50070", "d5007f", "d500a4", "d500a100", "d500e8", "d500eb"),
    *("d58031", "d58038", "d5803a", "d58084", "d5808f"),
    *("d5000f05", "d50062", "d500c4", "d500c5", "d500d500", "d50026", "d5002e", "d50036"),
    *("d5003e", "d50064", "d50065", "d50066", "d50067", "d500f0", "d500f2", "d500f3"),
    "d5c020c0",  # CR16
    *("d580ae20", "d580ae28", "d580c720", "d580c718"),  # state areas: XSAVE, XRSTOR and the like
    "f0d50090",
]


@pytest.mark.parametrize("code", REFUSED)
def test_refused(engine, code):
    with pytest.raises(DecodeError) as caught:
        decode(bytes.fromhex(code) + bytes(10), 64, engine=engine)
    assert caught.value.reason is DecodeReason.INVALID


@pytest.mark.parametrize("mode", [16, 32])
def test_d5_is_aad_outside_64_bit_mode(engine, mode):
    found = decode(bytes.fromhex("d510ffd0"), mode, engine=engine)
    assert (found.mnemonic, found.length, found.immediate) == ("AAD", 2, 16)


TEXTS = [
    ("d5c0afc3", "imul r16d, ebx"),
    ("d51150", "push r24"),
    ("d510ffd0", "call r16"),
    ("d5308b4420ff", "mov eax, dword ptr [r16+r20-0x1]"),
    ("d5008ac4", "mov al, spl"),
    ("66d5d06fc1", "movdqa xmm0, xmm1"),  # bit 4 is not for vector registers
]


@pytest.mark.parametrize(("code", "text"), TEXTS)
def test_text(engine, code, text):
    assert str(decode(bytes.fromhex(code), 64, engine=engine)) == text
