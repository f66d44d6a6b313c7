# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""BT BTS BTR BTC: CF, the changed bit, and how far a register's offset reaches in memory.

OF, SF, AF and PF are undefined in the SDM and ZF is not affected; here CF alone changes.
"""

import pytest

from insn.machine import (
    DATA,
    GP,
    MMIO,
    PAGE_FAULT,
    SS_FAULT,
    STATUS,
    UD,
    Machine,
    check_case,
    check_fault,
)
from vmmkit.insn import Read, Write

NAMES = ("BT", "BTS", "BTR", "BTC")
PREFIX = {2: "66", 4: "", 8: "48"}


def changed(name, value, bit):
    return {"BT": value, "BTS": value | bit, "BTR": value & ~bit, "BTC": value ^ bit}[name]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("size", "number"), [(2, 0), (2, 15), (4, 31), (8, 63), (8, 32)])
@pytest.mark.parametrize("value", [0, (1 << 64) - 1])
@pytest.mark.parametrize("other", [0, STATUS & ~1])
def test_registers(engine, name, size, number, value, other):
    """An offset counts modulo the operand size, whatever its bits beyond."""
    bit = 1 << number
    mask = (1 << 8 * size) - 1
    result = changed(name, value & mask, bit)
    result = value & ~mask | result if size == 2 or name == "BT" else result
    after = {"rbx": result}
    if name == "BT":
        after = {}
    digit = 4 + NAMES.index(name)
    expected = "C" if value & bit else ""
    letters = expected + ("PAZSO" if other else "")
    before = {"rbx": value, "rflags": 2 | other, "rcx": number + 0x700 * 8 * size}
    check_case(engine, "long", f"{PREFIX[size]}0f{0x83 + 8 * digit:02x}cb", before, after, letters)
    offset = number + 8 * size & 0xFF
    code = f"{PREFIX[size]}0fba{0xC3 | digit << 3:02x}{offset:02x}"
    check_case(engine, "long", code, before, after, letters)


@pytest.mark.parametrize(
    ("mode", "code", "offset", "address", "bit"),
    [
        # BTS [rbx], rcx: whole operands away, signed
        ("long", "0fab0b", 0x20, DATA + 4, 0),
        ("long", "0fab0b", 0x3F, DATA + 4, 31),
        ("long", "0fab0b", 0xFFFF_FFFF, DATA - 4, 31),
        ("long", "0fab0b", 0xFFFF_FFE0, DATA - 4, 0),
        ("long", "0fab0b", 0xFFFF_FFDF, DATA - 8, 31),
        ("long", "660fab0b", 0xABCD_0010, DATA + 2, 0),
        ("long", "660fab0b", 0xFFFF, DATA - 2, 15),
        ("long", "480fab0b", (1 << 64) - 1, DATA - 8, 63),
        ("long", "480fab0b", 0x41, DATA + 8, 1),
        ("pm32", "0fab0b", 0x8001, DATA + 0x1000, 1),
        ("real", "0fab0f", 0xFFFF, DATA - 2, 15),
        ("real", "660fab0f", 0x25, DATA + 4, 5),
        # BTS [rbx], 0x21: an immediate does not reach beyond the operand
        ("long", "0fba2b21", 0, DATA, 1),
        ("long", "480fba2b7f", 0, DATA, 63),
    ],
)
def test_memory(engine, mode, code, offset, address, bit):
    size = 8 if "480f" in code else 2 if ("66" in code) != (mode == "real") else 4
    before = {"rbx": DATA, "rcx": offset, (address, size): 0}
    check_case(engine, mode, code, before, {(address, size): 1 << bit}, "")


def test_the_moved_address_wraps_at_the_address_size(engine):
    before = {"rbx": DATA, "rcx": 0x7FFF, (DATA + 0xFFE, 2): 0x8000}
    check_case(engine, "real", "0fa30f", before, {}, "C")
    machine = Machine(engine, "real", "0fa30f", {"rbx": 4, "rcx": 0xFF80})
    assert machine.step() == Read(0xFFF4, 2)  # 4 - 16


def test_at_a_device(engine):
    before = {"rbx": MMIO - 4, "rcx": 0x21}
    accesses = [Read(MMIO, 4), Write(MMIO, 4, 7)]
    check_case(engine, "long", "0fab0b", before, {}, "", [5], accesses)
    check_case(engine, "long", "0fa30b", before, {}, "", [5], accesses[:1])
    check_case(engine, "long", "f00fbb0b", before, {}, "", [5], accesses)


def test_only_bt_reads_a_read_only_segment(engine):
    for opcode in ("a3", "ab", "b3", "bb"):
        machine = Machine(engine, "pm32", f"0f{opcode}0b", {"rbx": DATA, "rcx": 1})
        machine.state.ds = machine.state.ds._replace(attributes=0xC091)
        if opcode == "a3":
            machine.finish()
            assert machine.state.rip != 0x1000
        else:
            check_fault(machine, GP)


def test_faults_are_of_the_moved_address(engine):
    before = {"rbx": DATA, "rcx": 0x8000}
    machine = Machine(engine, "long", "0fab0b", before)
    machine.pte(DATA + 0x1000, 0)
    check_fault(machine, PAGE_FAULT, 2, DATA + 0x1000)
    check_fault(Machine(engine, "long", "480fab4d00", {"rbp": 0, "rcx": 1 << 63}), SS_FAULT)


def test_lock(engine):
    check_fault(Machine(engine, "long", "f00fa30b", {"rbx": DATA}), UD)
    check_fault(Machine(engine, "long", "f00fabcb"), UD)
    before = {"rbx": DATA, "rcx": 3, (DATA, 4): 8}
    check_case(engine, "long", "f00fb30b", before, {(DATA, 4): 0}, "C")
