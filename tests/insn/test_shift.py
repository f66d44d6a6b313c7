# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""ROL ROR RCL RCR SHL SHR SAR SHLD SHRD: results, flags, forms, and what reaches memory.

Flags are from the SDM's pages of these instructions. Where those leave a flag undefined, what is
expected here is what `_shifts.py` says that the engines do.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insn.machine import (
    CR0_WP,
    DATA,
    GP,
    MMIO,
    PAGE_FAULT,
    STATUS,
    Machine,
    P,
    check_case,
    check_fault,
)
from vmmkit.insn import Read, Write

OPS = ("ROL", "ROR", "RCL", "RCR", "SHL", "SHR", None, "SAR")
PREFIX = {1: "", 2: "66", 4: "", 8: "48"}
KEEP = 0x46  # ZF, PF and the bit that is always one

# operation, size, value, count, carry in, result, flags
RESULTS = [
    ("ROL", 1, 0x81, 1, 0, 0x03, "CO"),
    ("ROL", 1, 0x40, 1, 0, 0x80, "O"),
    ("ROL", 1, 0x81, 8, 0, 0x81, "C"),
    ("ROL", 4, 0x8000_0001, 31, 0, 0xC000_0000, "O"),
    ("ROL", 8, 1 << 63, 33, 0, 1 << 32, ""),
    ("ROR", 1, 0x01, 1, 0, 0x80, "CO"),
    ("ROR", 2, 0x8000, 1, 1, 0x4000, "O"),
    ("ROR", 2, 0x1234, 16, 0, 0x1234, ""),
    ("ROR", 8, 1, 63, 1, 2, ""),
    ("RCL", 1, 0x80, 1, 0, 0x00, "CO"),
    ("RCL", 1, 0x80, 1, 1, 0x01, "CO"),
    ("RCL", 1, 0xA5, 9, 1, 0xA5, "C"),
    ("RCL", 2, 0x0001, 17, 0, 0x0001, ""),
    ("RCL", 8, 1 << 63, 2, 1, 3, ""),
    ("RCR", 1, 0x01, 1, 0, 0x00, "C"),
    ("RCR", 1, 0x00, 1, 1, 0x80, "O"),
    ("RCR", 4, 0x8000_0000, 31, 1, 0x0000_0003, ""),
    ("RCR", 8, 3, 2, 0, 1 << 63, "CO"),
    ("SHL", 1, 0x80, 1, 0, 0x00, "CPZO"),
    ("SHL", 1, 0x40, 1, 1, 0x80, "SO"),
    ("SHL", 1, 0x01, 8, 0, 0x00, "CPZO"),
    ("SHL", 1, 0xFF, 9, 1, 0x00, "PZ"),
    ("SHL", 4, 0x0000_0003, 30, 0, 0xC000_0000, "PSO"),
    ("SHL", 8, 3, 63, 0, 1 << 63, "CPS"),
    ("SHR", 1, 0x81, 1, 0, 0x40, "CO"),
    ("SHR", 2, 0x8000, 16, 0, 0x0000, "CPZO"),
    ("SHR", 2, 0xFFFF, 17, 1, 0x0000, "PZO"),
    ("SHR", 8, 1 << 63, 63, 0, 1, "O"),
    ("SAR", 1, 0x81, 1, 0, 0xC0, "CPS"),
    ("SAR", 1, 0x80, 31, 0, 0xFF, "CPS"),
    ("SAR", 4, 0x4000_0000, 30, 1, 0x0000_0001, ""),
    ("SAR", 8, 1 << 63, 63, 0, (1 << 64) - 1, "PS"),
]


def keeps(name):
    return name.startswith("R")


@pytest.mark.parametrize(("name", "size", "value", "count", "carry", "result", "flags"), RESULTS)
def test_result_and_flags(engine, name, size, value, count, carry, result, flags):
    """By an immediate and by CL; a rotate leaves SF, ZF, AF and PF."""
    letters = flags + "PZ" if keeps(name) else flags
    modrm = f"{0xC3 | OPS.index(name) << 3:02x}"
    before = {"rbx": value, "rcx": 0xFF00 | count, "rflags": KEEP | carry}
    for opcode, tail in ((0xC0, f"{count:02x}"), (0xD2, "")):
        code = PREFIX[size] + f"{opcode + (size > 1):02x}" + modrm + tail
        check_case(engine, "long", code, before, {"rbx": result}, letters)


@pytest.mark.parametrize("name", [name for name in OPS if name])
@pytest.mark.parametrize(("size", "count"), [(1, 32), (2, 0), (4, 0x40), (4, 32), (8, 64), (8, 0)])
def test_a_masked_count_of_zero_changes_no_flag(engine, name, size, count):
    """Bits 4:0 count, bits 5:0 with 8 bytes; of 4 bytes the upper half becomes zero even then."""
    value = 0x8000_0001_8765_4321
    code = PREFIX[size] + f"{0xD2 + (size > 1):02x}{0xC3 | OPS.index(name) << 3:02x}"
    before = {"rbx": value, "rcx": count, "rflags": 2 | STATUS}
    check_case(engine, "long", code, before, {"rbx": value & 0xFFFF_FFFF} if size == 4 else {})


@pytest.mark.parametrize(
    ("mode", "code", "before", "after", "flags"),
    [
        ("real", "d1e0", {"rax": 0x1_8001}, {"rax": 0x1_0002}, "CO"),
        ("real", "66d1e0", {"rax": 0x8001}, {"rax": 0x1_0002}, ""),
        ("pm32", "d1e0", {"rax": 0x8001}, {"rax": 0x1_0002}, ""),
        ("pm32", "c12704", {"rdi": DATA, (DATA, 4): 0x1234}, {(DATA, 4): 0x1_2340}, ""),
        ("real", "d02f", {"rbx": DATA, (DATA, 1): 3}, {(DATA, 1): 1}, "C"),
        # /6 is SHL as /4 is
        ("long", "d1f0", {"rax": 1}, {"rax": 2}, ""),
        # AH without REX, SPL with it
        ("long", "c0e404", {"rax": 0x0180}, {"rax": 0x1080}, ""),
        ("long", "40c0e404", {"rsp": 0x7001}, {"rsp": 0x7010}, ""),
        ("long", "49d3c7", {"r15": 1, "rcx": 4}, {"r15": 0x10}, None),
    ],
)
def test_forms(engine, mode, code, before, after, flags):
    check_case(engine, mode, code, before, after, flags)


# operation, size, value, filler, count, result, flags
DOUBLE = [
    ("SHLD", 2, 0x8001, 0xC000, 1, 0x0003, "CPO"),
    ("SHLD", 4, 0x1234_5678, 0x9ABC_DEF0, 16, 0x5678_9ABC, ""),
    ("SHLD", 8, 1, 1 << 63, 1, 3, "P"),
    ("SHLD", 8, 3, 0, 63, 1 << 63, "CPSO"),
    ("SHRD", 2, 0x0001, 0x0001, 1, 0x8000, "CPSO"),
    ("SHRD", 4, 0x1234_5678, 0x9ABC_DEF0, 8, 0xF012_3456, "PSO"),
    ("SHRD", 8, 1 << 63, 1, 63, 3, "PO"),
    # beyond the width, where the SDM leaves all of it undefined
    ("SHLD", 2, 0x1234, 0xABCD, 20, 0xBCD1, "SO"),
    ("SHRD", 2, 0x1234, 0xABCD, 20, 0x4ABC, "C"),
    ("SHRD", 2, 0x1234, 0xABCD, 16, 0xABCD, "SO"),
]


@pytest.mark.parametrize(("name", "size", "value", "filler", "count", "result", "flags"), DOUBLE)
def test_double_shift(engine, name, size, value, filler, count, result, flags):
    opcode = {"SHLD": 0xA4, "SHRD": 0xAC}[name]
    before = {"rbx": value, "rdx": filler, "rcx": 0x1200 | count}
    flags = flags if "P" in flags or (result & 0xFF).bit_count() % 2 else flags + "P"
    code = f"{PREFIX[size]}0f{opcode:02x}d3{count:02x}"
    check_case(engine, "long", code, before, {"rbx": result}, flags)
    code = f"{PREFIX[size]}0f{opcode + 1:02x}d3"
    check_case(engine, "long", code, before, {"rbx": result}, flags)


def test_double_shift_by_zero(engine):
    value = 0x1111_2222_3333_4444
    before = {"rbx": value, "rcx": 32, "rdx": 1, "rflags": 2 | STATUS}
    check_case(engine, "long", "0fa5d3", before, {"rbx": value & 0xFFFF_FFFF})
    check_case(engine, "long", "480facd340", before, {})


@pytest.mark.parametrize("code", ["d323", "0fa513"])
def test_at_a_device(engine, code):
    """The operand is read and written once, by a count of zero as well."""
    before = {"rbx": MMIO, "rcx": 1, "rdx": 0}
    accesses = [Read(MMIO, 4), Write(MMIO, 4, 6)]
    check_case(engine, "long", code, before, {}, "P", [3], accesses)
    before["rcx"] = 0
    check_case(engine, "long", code, before, {}, None, [3], [Read(MMIO, 4), Write(MMIO, 4, 3)])


@pytest.mark.parametrize("code", ["d323", "0fa513", "d32b", "c12300"])
def test_by_zero_needs_a_writable_operand(engine, code):
    machine = Machine(engine, "pm32", code, {"rbx": DATA, "rcx": 0})
    machine.state.ds = machine.state.ds._replace(attributes=0xC091)  # read-only data
    check_fault(machine, GP)
    machine = Machine(engine, "long", code, {"rbx": DATA, "rcx": 0})
    machine.state.cr0 |= CR0_WP
    machine.pte(DATA, DATA | P)
    check_fault(machine, PAGE_FAULT, 3, DATA)


def one_bit_at_a_time(name, value, count, carry, bits):
    """Result and CF from the definition of a shift by one."""
    top = 1 << (bits - 1)
    for _ in range(count):
        left = name in {"ROL", "RCL", "SHL"}
        out = bool(value & (top if left else 1))
        sign = bool(value & top)
        fill = {"ROL": out, "ROR": out, "RCL": carry, "RCR": carry, "SAR": sign}.get(name, False)
        value = (value * 2 % (2 * top) | fill) if left else value // 2 | (top if fill else 0)
        carry = out
    return value, carry


@given(
    data=st.data(),
    name=st.sampled_from([name for name in OPS if name]),
    size=st.sampled_from([1, 2, 4, 8]),
    count=st.integers(0, 255),
    carry=st.booleans(),
)
def test_like_single_bit_shifts(engine, data, name, size, count, carry):
    value = data.draw(st.integers(0, (1 << 8 * size) - 1))
    code = f"{PREFIX[size]}{0xD2 + (size > 1):02x}{0xC3 | OPS.index(name) << 3:02x}"
    machine = Machine(engine, "long", code, {"rbx": value, "rcx": count})
    machine.state.rflags = 2 | carry
    machine.step()
    masked = count & (63 if size == 8 else 31)
    result, carry = one_bit_at_a_time(name, value, masked, carry, 8 * size)
    assert machine.state.rbx == result
    assert machine.state.rflags & 1 == carry
