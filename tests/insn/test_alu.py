# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""ADD OR ADC SBB AND SUB XOR CMP: results, flags, forms, and what reaches memory.

Flags are from the SDM's pages of these instructions and vol. 1, "Status Flags". AF after a
logical operation is undefined there; both engines clear it.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insn.machine import DATA, GP, MMIO, Machine, check_case, check_fault
from vmmkit.insn import Done, Read, Write

OPS = ("ADD", "OR", "ADC", "SBB", "AND", "SUB", "XOR", "CMP")

# operation, size, left, right, carry in, result, flags
RESULTS = [
    ("ADD", 1, 0x01, 0x02, 0, 0x03, "P"),
    ("ADD", 1, 0x0F, 0x01, 0, 0x10, "A"),
    ("ADD", 1, 0xFF, 0x01, 0, 0x00, "CPAZ"),
    ("ADD", 1, 0x7F, 0x01, 0, 0x80, "ASO"),
    ("ADD", 1, 0x80, 0x80, 0, 0x00, "CPZO"),
    ("ADD", 1, 0xFF, 0x01, 1, 0x00, "CPAZ"),
    ("ADD", 2, 0x7FFF, 0x0001, 0, 0x8000, "PASO"),
    ("ADD", 4, 0xFFFF_FFFF, 1, 0, 0, "CPAZ"),
    ("ADD", 8, 1 << 63, 1 << 63, 0, 0, "CPZO"),
    ("ADC", 1, 0xFF, 0x00, 1, 0x00, "CPAZ"),
    ("ADC", 1, 0xFF, 0xFF, 1, 0xFF, "CPAS"),
    ("ADC", 1, 0x7F, 0x00, 1, 0x80, "ASO"),
    ("ADC", 4, 1, 1, 0, 2, ""),
    ("ADC", 8, (1 << 64) - 1, (1 << 64) - 1, 1, (1 << 64) - 1, "CPAS"),
    ("SUB", 1, 0x00, 0x01, 0, 0xFF, "CPAS"),
    ("SUB", 1, 0x80, 0x01, 0, 0x7F, "AO"),
    ("SUB", 1, 0x05, 0x05, 1, 0x00, "PZ"),
    ("SUB", 1, 0x7F, 0xFF, 0, 0x80, "CSO"),
    ("SUB", 2, 0x8000, 1, 0, 0x7FFF, "PAO"),
    ("SUB", 4, 0x10, 0x01, 0, 0x0F, "PA"),
    ("SUB", 8, 0, 1, 0, (1 << 64) - 1, "CPAS"),
    ("SBB", 1, 0x00, 0x00, 1, 0xFF, "CPAS"),
    ("SBB", 1, 0x00, 0xFF, 1, 0x00, "CPAZ"),
    ("SBB", 1, 0x80, 0x00, 1, 0x7F, "AO"),
    ("SBB", 8, 0, (1 << 64) - 1, 1, 0, "CPAZ"),
    ("CMP", 1, 0x01, 0x02, 0, 0x01, "CPAS"),
    ("CMP", 4, 0x8000_0000, 0x7FFF_FFFF, 0, 0x8000_0000, "AO"),
    ("AND", 1, 0xF0, 0x0F, 1, 0x00, "PZ"),
    ("AND", 4, 0x8000_0001, 0xFFFF_FFFF, 1, 0x8000_0001, "S"),
    ("OR", 1, 0x80, 0x01, 1, 0x81, "PS"),
    ("OR", 8, 1 << 63, 0, 0, 1 << 63, "PS"),
    ("XOR", 2, 0xFFFF, 0xFFFF, 1, 0, "PZ"),
    ("XOR", 4, 0x0000_0100, 0, 1, 0x0000_0100, "P"),
]

PREFIX = {1: "", 2: "66", 4: "", 8: "48"}
HIGH_PART = 0xA5A5_A5A5_A5A5_A5A5


def merged(old, new, size):
    """What a register holds after its low `size` bytes were written, SDM vol. 1."""
    if size >= 4:
        return new
    mask = (1 << 8 * size) - 1
    return old & ~mask | new


def with_low(value, size):
    return HIGH_PART & ~((1 << 8 * size) - 1) | value


def fits_immediate(row):
    """Whether the right operand is an imm32 that sign extension brings back."""
    return row[1] < 8 or row[3] < 1 << 31 or row[3] >= (1 << 64) - (1 << 31)


FORMS = [
    pytest.param(row, form, id=f"{row[0]}{8 * row[1]}-{row[2]:x}-{row[3]:x}-{form}")
    for row in RESULTS
    for form in ("reg,rm", "rm,reg", "mem,reg", "reg,mem", "mem,imm", "acc,imm")
    if "imm" not in form or fits_immediate(row)
]


@pytest.mark.parametrize(("row", "form"), FORMS)
def test_results_and_flags(engine, row, form):
    name, size, left, right, carry, result, flags = row
    opcode = OPS.index(name) * 8
    wide = int(size > 1)
    before = {"rflags": 0x2 | carry, "rbx": DATA}
    a, c = with_low(left, size), with_low(right, size)
    after = {}
    if form in {"reg,rm", "rm,reg"}:  # eax op= ecx
        code = f"{opcode + wide + (2 if form == 'reg,rm' else 0):02x}"
        code += "c1" if form == "reg,rm" else "c8"
        before |= {"rax": a, "rcx": c}
        after["rax"] = a if name == "CMP" else merged(a, result, size)
    elif form == "mem,reg":
        code = f"{opcode + wide:02x}0b"
        before |= {"rcx": c, (DATA, size): left}
        after[DATA, size] = result
    elif form == "reg,mem":
        code = f"{opcode + 2 + wide:02x}03"
        before |= {"rax": a, (DATA, size): right}
        after["rax"] = a if name == "CMP" else merged(a, result, size)
    else:
        width = min(size, 4)
        low = right & ((1 << 8 * width) - 1)
        immediate = low.to_bytes(width, "little").hex()
        if form == "mem,imm":
            code = f"{0x80 + wide:02x}{0x03 | OPS.index(name) << 3:02x}{immediate}"
            before[DATA, size] = left
            after[DATA, size] = result
        else:
            code = f"{opcode + 4 + wide:02x}{immediate}"
            before["rax"] = a
            after["rax"] = a if name == "CMP" else merged(a, result, size)
    check_case(engine, "long", PREFIX[size] + code, before, after, flags)


@pytest.mark.parametrize(
    ("code", "before", "after", "flags"),
    [
        # 83: the byte is sign-extended to the operand size
        ("83c0ff", {"rax": 5}, {"rax": 4}, "CA"),
        ("4883e8ff", {"rax": 5}, {"rax": 6}, "CPA"),
        ("6683c8f0", {"rax": 0x11111}, {"rax": 0x1FFF1}, "S"),
        ("4883e0f0", {"rax": HIGH_PART}, {"rax": HIGH_PART & ~0xF}, "PS"),
        # imm32 is sign-extended to 8 bytes
        ("480500000080", {"rax": 0}, {"rax": 0xFFFF_FFFF_8000_0000}, "PS"),
        # byte registers: AH without REX, SPL with it
        ("00e4", {"rax": 0x2100}, {"rax": 0x4200}, "P"),
        ("4000e4", {"rsp": 0x7021}, {"rsp": 0x7042}, "P"),
        # a 32-bit result clears the upper half even where nothing else changes
        ("01c0", {"rax": 0xFFFF_FFFF_0000_0000}, {"rax": 0}, "PZ"),
        # ... but CMP writes nothing
        ("39c0", {"rax": 0xFFFF_FFFF_0000_0000}, {"rax": 0xFFFF_FFFF_0000_0000}, "PZ"),
        ("4d01c8", {"r8": 1, "r9": 2}, {"r8": 3}, "P"),
    ],
)
def test_long_mode_forms(engine, code, before, after, flags):
    check_case(engine, "long", code, before, after, flags)


@pytest.mark.parametrize(
    ("mode", "code", "before", "after", "flags"),
    [
        ("real", "01d8", {"rax": 0x1_FFFF, "rbx": 1}, {"rax": 0x1_0000}, "CPAZ"),
        ("real", "6601d8", {"rax": 0xFFFF, "rbx": 1}, {"rax": 0x1_0000}, "PA"),
        ("pm32", "01d8", {"rax": 0xFFFF, "rbx": 1}, {"rax": 0x1_0000}, "PA"),
        ("pm32", "6601d8", {"rax": 0x7FFF_FFFF, "rbx": 1}, {"rax": 0x7FFF_0000}, "CPAZ"),
        ("pm32", "82c001", {"rax": 1}, {"rax": 2}, ""),  # 82 is an alias of 80 outside 64-bit mode
        ("real", "8007ff", {"rbx": DATA, (DATA, 1): 1}, {(DATA, 1): 0}, "CPAZ"),
        ("pm16", "051234", {"rax": 0x1111}, {"rax": 0x4523}, ""),
    ],
)
def test_other_modes(engine, mode, code, before, after, flags):
    check_case(engine, mode, code, before, after, flags)


def bit_by_bit(left, right, carry, bits):
    """Add as a chain of full adders: result, and the carry out of every bit."""
    result, carries = 0, []
    for bit in range(bits):
        a, b = left >> bit & 1, right >> bit & 1
        result |= (a ^ b ^ carry) << bit
        carry = a & b | a & carry | b & carry
        carries.append(carry)
    return result, carries


def expected(name, left, right, carry, bits):
    """Result and flag letters from first principles."""
    ones = (1 << bits) - 1
    flags = set()
    if name in {"AND", "OR", "XOR"}:
        result = {"AND": left & right, "OR": left | right, "XOR": left ^ right}[name]
    else:
        adding = name in {"ADD", "ADC"}
        carry = carry if name in {"ADC", "SBB"} else 0
        # a - b - c is a + ~b + (1 - c), with the carries inverted
        operands = (left, right, carry) if adding else (left, right ^ ones, 1 - carry)
        result, carries = bit_by_bit(*operands, bits)
        if carries[-1] == adding:
            flags.add("C")
        if carries[3] == adding:
            flags.add("A")
        if carries[-1] != carries[-2]:
            flags.add("O")
    flags |= {"Z"} if result == 0 else set()
    flags |= {"S"} if result >> (bits - 1) else set()
    flags |= {"P"} if f"{result & 0xFF:b}".count("1") % 2 == 0 else set()
    return result, "".join(flags)


@given(data=st.data(), name=st.sampled_from(OPS), size=st.sampled_from([1, 2, 4, 8]))
def test_like_a_chain_of_full_adders(engine, data, name, size):
    values = st.one_of(
        st.integers(0, (1 << 8 * size) - 1),
        st.sampled_from([0, 1, (1 << 8 * size) - 1, 1 << (8 * size - 1)]),
    )
    left, right = data.draw(values), data.draw(values)
    carry = data.draw(st.integers(0, 1))
    result, flags = expected(name, left, right, carry, 8 * size)
    code = PREFIX[size] + f"{OPS.index(name) * 8 + int(size > 1):02x}c8"
    after = {} if name == "CMP" else {"rax": merged(left, result, size)}
    check_case(engine, "long", code, {"rax": left, "rcx": right, "rflags": 2 | carry}, after, flags)


def test_device_operands(engine):
    """A destination at a device is read once and written once; CMP and a source only read."""
    read, registers = Read(MMIO, 4), {"rbx": MMIO, "rax": 2}
    check_case(engine, "long", "0103", registers, {}, "P", [1], [read, Write(MMIO, 4, 3)])
    check_case(engine, "long", "3903", registers, {}, "CPAS", [1], [read])
    check_case(engine, "long", "0303", registers, {"rax": 3}, "P", [1], [read])


def test_memory_destination_needs_a_writable_segment(engine):
    for opcode, is_write in (("01", True), ("39", False), ("03", False)):
        machine = Machine(engine, "pm32", f"{opcode}03", {"rbx": DATA})
        machine.state.ds = machine.state.ds._replace(attributes=0xC091)  # read-only data
        if is_write:
            check_fault(machine, GP)
        else:
            assert isinstance(machine.step(), Done)


def test_lock_prefix_executes(engine):
    check_case(engine, "long", "f00103", {"rbx": DATA, "rax": 2, (DATA, 4): 1}, {(DATA, 4): 3}, "P")
