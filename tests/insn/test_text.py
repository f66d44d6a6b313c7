# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""`str` of an instruction: hand-written lines of every family, and every row of the table."""

import re

import pytest

from insn.row_encodings import forms
from vmmkit.insn import decode
from vmmkit.insn.optable import ROWS

LINES = [
    # integer
    (64, "90", "nop"),
    (64, "f390", "pause"),
    (64, "00c8", "add al, cl"),
    (64, "4000c4", "add spl, al"),
    (64, "00c4", "add ah, al"),
    (64, "4c8b4510", "mov r8, qword ptr [rbp+0x10]"),
    (64, "66418903", "mov word ptr [r11], ax"),
    (64, "8b0510000000", "mov eax, dword ptr [rip+0x10]"),
    (64, "678b0510000000", "mov eax, dword ptr [eip+0x10]"),
    (64, "428b04a5f0ffffff", "mov eax, dword ptr [r12*4-0x10]"),
    (64, "8b042510000000", "mov eax, dword ptr [0x10]"),
    (64, "648b042510000000", "mov eax, dword ptr fs:[0x10]"),
    (16, "8b40f0", "mov ax, word ptr [bx+si-0x10]"),
    (32, "2e8b00", "mov eax, dword ptr cs:[eax]"),
    (64, "48b8f0debc9a78563412", "mov rax, 0x123456789abcdef0"),
    (64, "a1f0debc9a78563412", "mov eax, dword ptr [0x123456789abcdef0]"),
    (64, "4883c0ff", "add rax, -1"),
    (64, "4883c080", "add rax, 0xffffffffffffff80"),
    (64, "04ff", "add al, 0xff"),
    (64, "c0e080", "shl al, 0x80"),
    (64, "d1e0", "shl eax, 1"),
    (64, "d3f8", "sar eax, cl"),
    (64, "6680c3ff", "add bl, 0xff"),
    (64, "6a80", "push 0xffffffffffffff80"),
    (64, "e480", "in al, 0x80"),
    (64, "ee", "out dx, al"),
    (64, "75fe", "jne $+0x0"),
    (64, "75f0", "jne $-0xe"),
    (64, "e900010000", "jmp $+0x105"),
    (32, "67e310", "jcxz $+0x13"),
    (64, "e310", "jrcxz $+0x12"),
    (64, "ff13", "call qword ptr [rbx]"),
    (32, "9a78563412cdab", "call far 0xabcd:0x12345678"),
    (64, "48ff2b", "jmp far tbyte ptr [rbx]"),
    (64, "c20800", "ret 8"),
    (64, "c8341205", "enter 0x1234, 5"),
    (64, "f348a5", "rep movsq qword ptr es:[rdi], qword ptr ds:[rsi]"),
    (64, "64f3a6", "repe cmpsb byte ptr fs:[rsi], byte ptr es:[rdi]"),
    (64, "f2ae", "repne scasb al, byte ptr es:[rdi]"),
    (64, "f00fb10b", "lock cmpxchg dword ptr [rbx], ecx"),
    (64, "480fc70b", "cmpxchg16b xmmword ptr [rbx]"),
    (64, "0f94c0", "sete al"),
    (64, "480f4fc3", "cmovg rax, rbx"),
    (64, "4863c3", "movsxd rax, ebx"),
    (64, "0fbec4", "movsx eax, ah"),
    (64, "6698", "cbw"),
    (64, "4899", "cqo"),
    (64, "48cf", "iretq"),
    (32, "60", "pushad"),
    (64, "c4e268f2c3", "andn eax, edx, ebx"),
    (64, "c4e279e00b", "cmpoxadd dword ptr [rbx], ecx, eax"),
    # system
    (64, "0f20d8", "mov rax, cr3"),
    (64, "440f22c0", "mov cr8, rax"),
    (64, "0f23f8", "mov dr7, rax"),
    (64, "8ed8", "mov ds, ax"),
    (64, "0f01d0", "xgetbv"),
    (64, "0f0110", "lgdt tbyte ptr [rax]"),
    (64, "480fae20", "xsave64 [rax]"),
    (64, "660f38f800", "movdir64b rax, zmmword ptr [rax]"),
    (64, "67660f38f800", "movdir64b eax, zmmword ptr [eax]"),
    (64, "f30faef0", "umonitor rax"),
    (64, "f3480f1ec8", "rdsspq rax"),
    # x87 and MMX
    (64, "d8c1", "fadd st, st(1)"),
    (64, "dd18", "fstp qword ptr [rax]"),
    (64, "db28", "fld tbyte ptr [rax]"),
    (64, "0f6fc8", "movq mm1, mm0"),
    # SSE
    (64, "660f6f00", "movdqa xmm0, xmmword ptr [rax]"),
    (64, "f2440f10c1", "movsd xmm8, xmm1"),
    (64, "66480f6ec0", "movq xmm0, rax"),
    (64, "660f3a20c0ff", "pinsrb xmm0, eax, 0xff"),
    # VEX
    (64, "c5f458c2", "vaddps ymm0, ymm1, ymm2"),
    (64, "c4e3694ac010", "vblendvps xmm0, xmm2, xmm0, xmm1"),
    (64, "c4e2ed900c05f0ffffff", "vpgatherdq ymm1, qword ptr [xmm0-0x10], ymm2"),
    (64, "c5ec41cb", "kandw k1, k2, k3"),
    (64, "c4e26b5ecb", "tdpbssd tmm1, tmm3, tmm2"),
    # EVEX
    (64, "62f17cc958c2", "vaddps zmm0{k1}{z}, zmm0, zmm2"),
    (64, "62f17c385800", "vaddps ymm0, ymm0, dword ptr [rax]{1to8}"),
    (64, "62f17c7858c2", "vaddps zmm0, zmm0, zmm2, {rz-sae}"),
    (64, "62f17c185fc2", "vmaxps zmm0, zmm0, zmm2, {sae}"),
    (64, "62017c4810ff", "vmovups zmm31, zmm31"),
    (64, "62f27d41900440", "vpgatherdd zmm0{k1}, dword ptr [rax+zmm16*2]"),
    (64, "62f1fd49c2c8ff", "vcmppd k1{k1}, zmm0, zmm0, 0xff"),
]


@pytest.mark.parametrize(("mode", "code", "text"), LINES)
def test_lines(engine, mode, code, text):
    raw = bytes.fromhex(code)
    found = decode(raw, mode, engine=engine)
    assert (str(found), found.length) == (text, len(raw))


@pytest.mark.parametrize("memory", [True, False])
def test_every_row_has_a_text(memory):
    for form in forms():
        if form.memory is memory:
            text = str(decode(form.code, form.mode))
            assert re.fullmatch(r"[a-z0-9]+( far)?( .+)?", text), (ROWS[form.row].text, text)
            assert ("[" in text) >= memory
            assert len(operands(text)) >= len([kind for kind in ROWS[form.row].kinds if kind])


def operands(text):
    """Operands of a line, without the name."""
    _, _, rest = text.replace("far ", "").partition(" ")
    return [part for part in rest.split(", ") if part]


# Rows whose register operands iced names although the encoding does not: x87 with memory and ST(0),
# implicit rAX, and what it leaves out of string instructions.
IMPLICIT = re.compile(
    r"f|vm(run|load|save)|skinit|invlpg|clzero|pvalidate|xlat|maskmov|vmaskmovdqu"
    r"|(stos|lods|scas|cmps|movs|ins|outs)[bwdq]\b"
)
# Names that stand for an immediate or for a form.
PSEUDO = re.compile(r"v?p?cmp\w+|v?pclmul\w+|prefetch\w*|nop|xchg|ret.*|call|jmp")


def test_every_row_against_iced():
    iced = pytest.importorskip("iced_x86", reason="iced-x86 is in the bench group")
    formatter = iced.Formatter(iced.FormatterSyntax.INTEL)
    compared = 0
    for form in forms():
        ours = str(decode(form.code, form.mode))
        theirs = formatter.format(iced.Decoder(form.mode, form.code).decode())
        name, their_name = ours.partition(" ")[0], theirs.partition(" ")[0]
        if IMPLICIT.match(their_name) or PSEUDO.match(their_name):
            continue
        their_operands = [part for part in theirs.partition(" ")[2].split(",") if part]
        masked = len(re.findall(r"\bk1\b(?!})", theirs)) if "{k1}" in ours else 0
        assert name == their_name, ROWS[form.row].text
        assert len(operands(ours)) == len(their_operands) - masked, (ours, theirs)
        compared += 1
    assert compared > 3_500
