# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""INC, DEC, NEG, NOT (SDM vol. 2A and 2B)."""

import pytest

from insn.machine import CF, DATA, MMIO, STATUS, Machine, check_case
from vmmkit.insn import Read, Write

# INC and DEC keep CF: each is tried with CF clear and set.
COUNTING = [
    ("long", "fec0", {"rax": 0xFF}, {"rax": 0}, "PAZ"),
    ("long", "fec0", {"rax": 0x7F}, {"rax": 0x80}, "ASO"),
    ("long", "fec4", {"rax": 0xFF00}, {"rax": 0}, "PAZ"),  # ah
    ("long", "40fec4", {"rsp": 0x70FF}, {"rsp": 0x7000}, "PAZ"),  # spl
    ("long", "ffc0", {"rax": 0xFFFF_FFFF}, {"rax": 0}, "PAZ"),
    ("long", "ffc0", {"rax": 1 << 63 | 1}, {"rax": 2}, ""),
    ("long", "48ffc0", {"rax": 0x7FFF_FFFF_FFFF_FFFF}, {"rax": 1 << 63}, "PASO"),
    ("long", "66ffc0", {"rax": 0x1_FFFF}, {"rax": 0x1_0000}, "PAZ"),
    ("long", "fec8", {"rax": 0}, {"rax": 0xFF}, "PAS"),
    ("long", "fec8", {"rax": 0x80}, {"rax": 0x7F}, "AO"),
    ("long", "48ffc8", {"rax": 1}, {"rax": 0}, "PZ"),
    ("long", "48ffc8", {"rax": 0}, {"rax": (1 << 64) - 1}, "PAS"),
    ("long", "49ffcf", {"r15": 3}, {"r15": 2}, ""),
    ("pm32", "40", {"rax": 0xFFFF_FFFF}, {"rax": 0}, "PAZ"),
    ("pm32", "4f", {"rdi": 1}, {"rdi": 0}, "PZ"),
    ("pm32", "6647", {"rdi": 0x1_FFFF}, {"rdi": 0x1_0000}, "PAZ"),
    ("real", "43", {"rbx": 0x1_FFFF}, {"rbx": 0x1_0000}, "PAZ"),
    ("real", "6643", {"rbx": 0xFFFF}, {"rbx": 0x1_0000}, "PA"),
    ("long", "fe03", {"rbx": DATA, (DATA, 1): 0xFF}, {(DATA, 1): 0}, "PAZ"),
    ("long", "48ff0b", {"rbx": DATA, (DATA, 8): 0}, {(DATA, 8): (1 << 64) - 1}, "PAS"),
]


@pytest.mark.parametrize("carry", [0, CF], ids=["nc", "c"])
@pytest.mark.parametrize(("mode", "code", "before", "after", "flags"), COUNTING)
def test_inc_and_dec_keep_carry(engine, mode, code, before, after, flags, carry):
    before = {"rflags": 2 | carry, **before}
    check_case(engine, mode, code, before, after, flags + ("C" if carry else ""))


NEGATION = [
    ("long", "f6d8", {"rax": 0}, {"rax": 0}, "PZ"),
    ("long", "f6d8", {"rax": 1}, {"rax": 0xFF}, "CPAS"),
    ("long", "f6d8", {"rax": 0x80}, {"rax": 0x80}, "CSO"),
    ("long", "f7d8", {"rax": 1}, {"rax": 0xFFFF_FFFF}, "CPAS"),
    ("long", "48f7d8", {"rax": 1 << 63}, {"rax": 1 << 63}, "CPSO"),
    ("long", "66f7d8", {"rax": 0x1_0010}, {"rax": 0x1_FFF0}, "CPS"),
    ("long", "f71b", {"rbx": DATA, (DATA, 4): 0xFFFF_FFFF}, {(DATA, 4): 1}, "CA"),
]


@pytest.mark.parametrize(("mode", "code", "before", "after", "flags"), NEGATION)
def test_neg(engine, mode, code, before, after, flags):
    check_case(engine, mode, code, {"rflags": 0x8D7, **before}, after, flags)


COMPLEMENT = [
    ("long", "f6d0", {"rax": 0x10F}, {"rax": 0x1F0}),
    ("long", "f7d0", {"rax": 0}, {"rax": 0xFFFF_FFFF}),
    ("long", "48f7d0", {"rax": 0}, {"rax": (1 << 64) - 1}),
    ("real", "f7d0", {"rax": 0}, {"rax": 0xFFFF}),
    ("long", "66f713", {"rbx": DATA, (DATA, 4): 0x1234_5678}, {(DATA, 4): 0x1234_A987}),
]


@pytest.mark.parametrize("flags", [2, 2 | STATUS])
@pytest.mark.parametrize(("mode", "code", "before", "after"), COMPLEMENT)
def test_not_leaves_the_flags_alone(engine, mode, code, before, after, flags):
    check_case(engine, mode, code, {"rflags": flags, **before}, after)


@pytest.mark.parametrize(
    ("code", "value", "result", "flags"),
    [("fe03", 1, 2, ""), ("fe0b", 1, 0, "PZ"), ("f61b", 1, 0xFF, "CPAS"), ("f613", 1, 0xFE, "")],
)
def test_device_read_once_and_written_once(engine, code, value, result, flags):
    accesses = [Read(MMIO, 1), Write(MMIO, 1, result)]
    check_case(engine, "long", code, {"rbx": MMIO}, {}, flags, [value], accesses)


@pytest.mark.parametrize("code", ["f0fe03", "f0ff0b", "f0f61b", "f0f713"])
def test_lock_is_legal_on_memory(engine, code):
    machine_code = code[2:]
    results = []
    for form in (code, machine_code):
        machine = Machine(engine, "long", form, {"rbx": DATA, (DATA, 4): 0x55})
        machine.finish()
        results.append((machine.peek(DATA, 4), machine.state.rflags))
    assert results[0] == results[1]
