# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Lengths against objdump, and validity against llvm-mc, where they are installed.

Neither is an oracle: a disassembler for people prints something for much that a processor refuses,
and an older one does not know newer instructions. So a rate is asked for; of plain integer
instructions objdump must give every length.
"""

import re
import shutil
import subprocess

import pytest

from insn.row_encodings import forms
from insn.sweep_encodings import random_codes
from vmmkit.errors import DecodeError
from vmmkit.insn import decode
from vmmkit.insn.optable import ROWS, integer

COUNT = 4_000
INTEGER = {f"{encoding} {name} {operands}".rstrip() for encoding, name, operands, _ in integer.ROWS}


LEGACY_PREFIXES = {0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3}
FENCES = {"LFENCE", "MFENCE", "SFENCE"}  # any ModRM.rm will do for a processor, not for objdump


def samples():
    """64-bit instructions: every form of every row, and random ones; each once."""
    codes = [form.code for form in forms() if form.mode == 64]
    codes += random_codes(64, COUNT)
    found = {}
    for code in codes:
        try:
            instruction = decode(code, 64)
        except DecodeError:
            continue
        found[code[: instruction.length]] = instruction
    return found


def objdump_lengths(codes, folder):
    """Length that objdump gives each; an instruction may start anywhere, so each gets a slot."""
    slot = 32
    image = b"".join(code + b"\x90" * (slot - len(code)) for code in codes)
    (folder / "image").write_bytes(image)
    command = ["objdump", "-D", "-b", "binary", "-m", "i386:x86-64", "-w", "-z", folder / "image"]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lengths = dict.fromkeys(range(len(codes)), 0)
    for line in listing.splitlines():
        match = re.match(r" *([0-9a-f]+):\t((?:[0-9a-f]{2} )+) *\t(.*)", line)
        if match and int(match[1], 16) % slot == 0 and "(bad)" not in match[3]:
            lengths[int(match[1], 16) // slot] = len(match[2].split())
    return lengths


def llvm_refused(codes):
    """Numbers of those that llvm-mc warns of; what follows such a line may be hit as well."""
    text = "".join(" ".join(f"0x{byte:02x}" for byte in code) + "\n" for code in codes)
    command = ["llvm-mc", "--disassemble", "--triple=x86_64"]
    found = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    warnings = re.findall(r"<stdin>:(\d+):\d+: warning: invalid", found.stderr)
    return {int(number) - 1 for number in warnings}


def is_plain(code):
    """Whether there is no prefix but one REX: disassemblers print odd prefixes as lines."""
    rest = code[1:] if code[0] & 0xF0 == 0x40 else code
    return rest[0] not in {0xD5, *LEGACY_PREFIXES} and rest[0] & 0xF0 != 0x40


@pytest.mark.skipif(not shutil.which("objdump"), reason="objdump is not installed")
def test_lengths_against_objdump(tmp_path):
    found = samples()
    codes = list(found)
    lengths = objdump_lengths(codes, tmp_path)
    wrong = [code for number, code in enumerate(codes) if lengths[number] != len(code)]
    assert len(wrong) < 0.1 * len(codes)
    of_integer_rows = {
        found[code].mnemonic
        for code in wrong
        if ROWS[found[code].row].text in INTEGER and is_plain(code)
    }
    assert of_integer_rows <= FENCES


@pytest.mark.skipif(not shutil.which("llvm-mc"), reason="llvm-mc is not installed")
def test_validity_against_llvm():
    codes = list(samples())
    assert len(llvm_refused(codes)) < 0.1 * len(codes)
