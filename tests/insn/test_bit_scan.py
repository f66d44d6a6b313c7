# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""BSF BSR TZCNT LZCNT POPCNT BSWAP: results, flags, and memory sources.

BSF and BSR define ZF alone, TZCNT and LZCNT CF and ZF; the other flags stay here. The destination
of BSF and BSR stays, all of it, when the source is zero.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insn.machine import DATA, GP, MMIO, STATUS, Machine, check_case, check_fault
from vmmkit.insn import Read

OPCODES = {"BSF": ("", "bc"), "BSR": ("", "bd"), "TZCNT": ("f3", "bc"), "LZCNT": ("f3", "bd")}
OPCODES["POPCNT"] = ("f3", "b8")
HIGH = 0xA5A5_A5A5_0000_0000


def encoded(name, size):
    prefix, opcode = OPCODES[name]
    rex = "48" if size == 8 else ""
    return prefix + ("66" if size == 2 else "") + rex + "0f" + opcode


@pytest.mark.parametrize(
    ("name", "size", "source", "result", "flags"),
    [
        ("BSF", 2, 0x8000, 15, ""),
        ("BSF", 4, 0x8000_0000, 31, ""),
        ("BSF", 8, 1, 0, ""),
        ("BSF", 8, 1 << 63, 63, ""),
        ("BSF", 4, 0, None, "Z"),
        ("BSF", 2, 0x1_0000, None, "Z"),
        ("BSR", 2, 0xFFFF_0001, 0, ""),
        ("BSR", 4, 0xFFFF_FFFF, 31, ""),
        ("BSR", 8, 0x1_0000_0000, 32, ""),
        ("BSR", 8, 0, None, "Z"),
        ("BSR", 4, 0xF_0000_0000, None, "Z"),
        ("TZCNT", 2, 0, 16, "C"),
        ("TZCNT", 2, 0x1_0000, 16, "C"),
        ("TZCNT", 4, 0, 32, "C"),
        ("TZCNT", 8, 0, 64, "C"),
        ("TZCNT", 4, 1, 0, "Z"),
        ("TZCNT", 8, 1 << 40, 40, ""),
        ("LZCNT", 2, 0, 16, "C"),
        ("LZCNT", 8, 0, 64, "C"),
        ("LZCNT", 2, 0x8000, 0, "Z"),
        ("LZCNT", 4, 1, 31, ""),
        ("LZCNT", 8, 1, 63, ""),
        ("POPCNT", 2, 0xF_FFFF, 16, ""),
        ("POPCNT", 4, 0xFFFF_FFFF, 32, ""),
        ("POPCNT", 8, (1 << 64) - 1, 64, ""),
        ("POPCNT", 8, 0, 0, "Z"),
    ],
)
@pytest.mark.parametrize("flags_before", [0, STATUS])
def test_result_and_flags(engine, name, size, source, result, flags, flags_before):
    defined = {"POPCNT": "CPAZSO", "BSF": "Z", "BSR": "Z"}.get(name, "CZ")
    kept = "".join(letter for letter in "CPAZSO" if flags_before and letter not in defined)
    before = {"rax": HIGH | 0x7777, "rbx": source, "rflags": 2 | flags_before}
    after = {}
    if result is not None:
        after = {"rax": HIGH | result if size == 2 else result}
    check_case(engine, "long", encoded(name, size) + "c3", before, after, flags + kept)


@pytest.mark.parametrize(
    ("mode", "code", "result"),
    [
        ("real", "0fbc07", 4),
        ("real", "660fbd07", 20),
        ("pm32", "0fbd03", 20),
        ("pm16", "0fbd07", 4),
    ],
)
def test_modes(engine, mode, code, result):
    check_case(engine, mode, code, {"rbx": DATA, (DATA, 4): 0x10_0010}, {"rax": result}, "")


def test_memory_is_read_though_the_destination_stays(engine):
    read = Read(MMIO, 4)
    check_case(engine, "long", "0fbc03", {"rbx": MMIO, "rax": 9}, {}, "Z", [0], [read])
    check_case(engine, "long", "f30fb803", {"rbx": MMIO}, {"rax": 3}, "", [0x8080_0001], [read])
    for name in OPCODES:
        check_fault(Machine(engine, "long", encoded(name, 4) + "03", {"rbx": 1 << 63}), GP)


@pytest.mark.parametrize(
    ("mode", "code", "before", "after"),
    [
        ("long", "0fcb", {"rbx": HIGH | 0x1234_5678}, {"rbx": 0x7856_3412}),
        ("long", "480fcb", {"rbx": 0x0102_0304_0506_0708}, {"rbx": 0x0807_0605_0403_0201}),
        ("long", "490fcf", {"r15": 0xFF}, {"r15": 0xFF << 56}),
        ("pm32", "0fc8", {"rax": 0xAABB_CCDD}, {"rax": 0xDDCC_BBAA}),
        ("real", "660fc8", {"rax": 0x1122_3344}, {"rax": 0x4433_2211}),
        # undefined in the SDM
        ("long", "660fcb", {"rbx": HIGH | 0x1234}, {"rbx": HIGH}),
        ("real", "0fc8", {"rax": 0x1122_3344}, {"rax": 0x1122_0000}),
    ],
)
def test_bswap(engine, mode, code, before, after):
    check_case(engine, mode, code, before, after)


@given(source=st.integers(0, (1 << 64) - 1), size=st.sampled_from([2, 4, 8]))
def test_like_strings_of_digits(engine, source, size):
    digits = f"{source & (1 << 8 * size) - 1:0{8 * size}b}"
    expected = {
        "TZCNT": len(digits) - len(digits.rstrip("0")),
        "LZCNT": len(digits) - len(digits.lstrip("0")),
        "POPCNT": digits.count("1"),
        "BSF": digits[::-1].find("1") % (1 << 64),
        "BSR": digits[::-1].rfind("1") % (1 << 64),
    }
    for name, result in expected.items():
        start = {"rax": (1 << 64) - 1, "rbx": source}
        machine = Machine(engine, "long", encoded(name, size) + "c3", start)
        machine.step()
        mask = (1 << 8 * size) - 1 if result < 1 << 32 else (1 << 64) - 1
        assert machine.state.rax & mask == result, name
