# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Lengths against objdump and llvm-mc, where they are installed, over bytes that decode.

Neither is an oracle: a disassembler for people prints something for much that a processor refuses,
and an older one does not know newer instructions. So a rate is asked for, and of what differs,
nothing may be in the integer instructions.
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


OBJDUMP_LACKS = set()
LLVM_LACKS = set()


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


def llvm_lengths(codes):
    """Length that llvm-mc gives each: it consumes a line's bytes, or warns of the first."""
    command = ["llvm-mc", "--disassemble", "--triple=x86_64", "--mattr=+all", "--show-encoding"]
    lengths = []
    text = "".join("".join(f"0x{byte:02x} " for byte in code) + "\n" for code in codes)
    found = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    refused = {int(number) - 1 for number in re.findall(r"<stdin>:(\d+):", found.stderr)}
    for number, code in enumerate(codes):
        lengths.append(0 if number in refused else len(code))
    return dict(enumerate(lengths))


def is_plain(code):
    """Whether there is no prefix but one REX: disassemblers print odd prefixes as lines."""
    rest = code[1:] if code[0] & 0xF0 == 0x40 else code
    return rest[0] not in {0xD5, *LEGACY_PREFIXES} and rest[0] & 0xF0 != 0x40


def differing(lengths, codes, found):
    """Instructions of another length, and those of them that are plain integer instructions."""
    wrong = [code for number, code in enumerate(codes) if lengths[number] != len(code)]
    integer_ones = {
        str(found[code]).partition(" ")[0]
        for code in wrong
        if ROWS[found[code].row].text in INTEGER and is_plain(code)
    }
    return wrong, integer_ones


LEGACY_PREFIXES = {0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3}


@pytest.mark.skipif(not shutil.which("objdump"), reason="objdump is not installed")
def test_lengths_against_objdump(tmp_path):
    found = samples()
    codes = list(found)
    wrong, integer_ones = differing(objdump_lengths(codes, tmp_path), codes, found)
    print(len(wrong), "of", len(codes), integer_ones)
    assert len(wrong) < 0.1 * len(codes)
    assert integer_ones <= OBJDUMP_LACKS


@pytest.mark.skipif(not shutil.which("llvm-mc"), reason="llvm-mc is not installed")
def test_lengths_against_llvm():
    found = samples()
    codes = list(found)
    wrong, integer_ones = differing(llvm_lengths(codes), codes, found)
    print(len(wrong), "of", len(codes), integer_ones)
    assert len(wrong) < 0.2 * len(codes)
    assert integer_ones <= LLVM_LACKS
