# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""BMI1, BMI2 and ADX: results, flags, encodings, and memory sources.

AF and PF are undefined in the SDM after all of BMI1 and BZHI, SF too after BEXTR; here AF is clear,
PF and SF follow the result.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insn.machine import DATA, GP, MMIO, PAGE_FAULT, STATUS, UD, Machine, check_case, check_fault
from vmmkit.insn import Read

ONES = (1 << 64) - 1
RAX, RCX, RBX = 0, 1, 3
# mnemonic: (map, pp, opcode)
VEX = {
    "ANDN": (2, 0, 0xF2),
    "BLS": (2, 0, 0xF3),
    "BZHI": (2, 0, 0xF5),
    "PEXT": (2, 2, 0xF5),
    "PDEP": (2, 3, 0xF5),
    "MULX": (2, 3, 0xF6),
    "BEXTR": (2, 0, 0xF7),
    "SHLX": (2, 1, 0xF7),
    "SARX": (2, 2, 0xF7),
    "SHRX": (2, 3, 0xF7),
    "RORX": (3, 3, 0xF0),
}
BLS = {"BLSR": 1, "BLSMSK": 2, "BLSI": 3}


def vex(name, reg, vvvv, rm, *, wide, mod=0xC0, tail=""):
    """An encoding on registers 0 to 7, or with `mod` 0 on memory at one of them."""
    number, pp, opcode = VEX[name]
    second = (wide << 7) | (~vvvv & 15) << 3 | pp
    return f"c4{0xE0 | number:02x}{second:02x}{opcode:02x}{mod | reg << 3 | rm:02x}{tail}"


@pytest.mark.parametrize(
    ("name", "wide", "vvvv", "rm", "result", "flags"),
    [
        ("ANDN", 0, 0xF0F0_F0F0, ONES, 0x0F0F_0F0F, "P"),
        ("ANDN", 1, 1, ONES, ONES - 1, "S"),
        ("ANDN", 1, ONES, ONES, 0, "PZ"),
        ("BZHI", 0, 0x1_0008, ONES, 0xFF, "P"),
        ("BZHI", 0, 0x20, ONES, 0xFFFF_FFFF, "CPS"),
        ("BZHI", 0, 0x100, ONES, 0, "PZ"),
        ("BZHI", 1, 0x3F, ONES, ONES >> 1, "P"),
        ("BZHI", 1, 0xFF, 5, 5, "CP"),
        ("BEXTR", 0, 0x0804, 0xABCD_EF12, 0xF1, ""),
        ("BEXTR", 0, 0xFF10, 0xABCD_EF12, 0xABCD, ""),
        ("BEXTR", 0, 0x0820, ONES, 0, "PZ"),
        ("BEXTR", 1, 0x4000, ONES, ONES, "PS"),
        ("BEXTR", 1, 0xFFFF, ONES, 0, "PZ"),
        ("BEXTR", 1, 0x0000, ONES, 0, "PZ"),
        ("BEXTR", 1, 0x013F, 1 << 63, 1, ""),
        ("PEXT", 0, 0x1234_5678, 0xFF00_F0F0, 0x1257, None),
        ("PEXT", 1, ONES, 0x8000_0000_0000_0001, 3, None),
        ("PDEP", 0, 0x1257, 0xFF00_F0F0, 0x1200_5070, None),
        ("PDEP", 1, 2, 0x8000_0000_0000_0001, 1 << 63, None),
        ("SHLX", 0, 33, 0x8000_0001, 2, None),
        ("SHLX", 1, 65, 3, 6, None),
        ("SHRX", 0, 31, 0xF_8000_0000, 1, None),
        ("SHRX", 1, 63, 1 << 63, 1, None),
        ("SARX", 0, 4, 0x8000_0000, 0xF800_0000, None),
        ("SARX", 1, 63, 1 << 63, ONES, None),
        ("SARX", 1, 64, 5, 5, None),
    ],
)
def test_three_operands(engine, name, wide, vvvv, rm, result, flags):
    """From a register and from memory; not more bytes are read than the operand has."""
    before = {"rax": 0x77, "rcx": vvvv, "rbx": rm, "rflags": 2 | STATUS}
    code = vex(name, RAX, RCX, RBX, wide=wide)
    check_case(engine, "long", code, before, {"rax": result}, flags)
    size = 8 if wide else 4
    before |= {"rbx": DATA, (DATA, size): rm & (1 << 8 * size) - 1}
    code = vex(name, RAX, RCX, RBX, wide=wide, mod=0)
    check_case(engine, "long", code, before, {"rax": result}, flags)
    if not wide:
        check_case(engine, "pm32", code, before, {"rax": result}, flags)


@pytest.mark.parametrize(
    ("name", "wide", "source", "result", "flags"),
    [
        ("BLSR", 0, 0x8000_0100, 0x8000_0000, "PS"),
        ("BLSR", 0, 0, 0, "CPZ"),
        ("BLSR", 1, 1, 0, "PZ"),
        ("BLSMSK", 0, 0, 0xFFFF_FFFF, "CPS"),
        ("BLSMSK", 1, 0, ONES, "CPS"),
        ("BLSMSK", 1, 0x10, 0x1F, ""),
        ("BLSI", 0, 0xF_8000_0000, 0x8000_0000, "CPS"),
        ("BLSI", 1, 0x30, 0x10, "C"),
        ("BLSI", 1, 0, 0, "PZ"),
    ],
)
def test_lowest_one(engine, name, wide, source, result, flags):
    before = {"rcx": 0x77, "rbx": source, "rflags": 2 | STATUS}
    code = vex("BLS", BLS[name], RCX, RBX, wide=wide)
    check_case(engine, "long", code, before, {"rcx": result}, flags)


@pytest.mark.parametrize(
    ("wide", "count", "result"),
    [(0, 4, 0x1000_0000), (0, 0x20, 1), (0, 0xFF, 2), (1, 4, 1 << 60), (1, 0x40, 1), (1, 0x7F, 2)],
)
def test_rorx(engine, wide, count, result):
    code = vex("RORX", RAX, 0, RBX, wide=wide, tail=f"{count:02x}")
    check_case(engine, "long", code, {"rbx": 1, "rflags": 2 | STATUS}, {"rax": result})


def test_mulx(engine):
    """RDX is the other factor; one destination named twice holds the high half."""
    before = {"rdx": ONES, "rbx": ONES, "rflags": 2 | STATUS}
    after = {"rax": ONES - 1, "rcx": 1}
    check_case(engine, "long", vex("MULX", RAX, RCX, RBX, wide=1), before, after)
    after = {"rax": ONES - 1}
    check_case(engine, "long", vex("MULX", RAX, RAX, RBX, wide=1), before, after)
    after = {"rax": 0xFFFF_FFFE, "rcx": 1}
    check_case(engine, "long", vex("MULX", RAX, RCX, RBX, wide=0), before, after)
    before = {"rdx": 3, "rbx": MMIO}
    code = vex("MULX", RAX, RCX, RBX, wide=0, mod=0)
    check_case(engine, "long", code, before, {"rax": 0, "rcx": 15}, None, [5], [Read(MMIO, 4)])


@pytest.mark.parametrize("name", [name for name in VEX if name not in {"BLS", "RORX"}])
def test_what_is_refused(engine, name):
    """#UD behind 66, F2, F3, LOCK or REX, and wherever segments are real."""
    code = vex(name, RAX, RCX, RBX, wide=0)
    check_fault(Machine(engine, "real", code), UD)
    for prefix in ("66", "f2", "f3", "f0", "48"):
        check_fault(Machine(engine, "long", prefix + code), UD)
    check_case(engine, "pm16", code, {"rcx": 1, "rbx": 1}, machine_after(engine, code))


def machine_after(engine, code):
    """What a 16-bit segment gives is what a 32-bit one gives."""
    machine = Machine(engine, "pm32", code, {"rcx": 1, "rbx": 1})
    machine.step()
    names = ("rax", "rcx", "rflags")
    return {name: machine.get(name) for name in names}


def test_memory_faults(engine):
    code = vex("ANDN", RAX, RCX, RBX, wide=1, mod=0)
    check_fault(Machine(engine, "long", code, {"rbx": 1 << 63}), GP)
    machine = Machine(engine, "long", code, {"rbx": DATA})
    machine.pte(DATA, 0)
    check_fault(machine, PAGE_FAULT, 0, DATA)


@pytest.mark.parametrize(
    ("code", "flags", "left", "right", "result", "after"),
    [
        ("660f38f6c3", "", 1, 2, 3, ""),
        ("660f38f6c3", "CPAZSO", 1, 2, 4, "PAZSO"),
        ("660f38f6c3", "O", 0xFFFF_FFFF, 1, 0, "CO"),
        ("66480f38f6c3", "C", ONES, 0, 0, "C"),
        ("66480f38f6c3", "", 1 << 63, 1 << 63, 0, "C"),
        ("f30f38f6c3", "O", 1, 2, 4, ""),
        ("f30f38f6c3", "CPAZS", 0xFFFF_FFFF, 0, 0xFFFF_FFFF, "CPAZS"),
        ("f3480f38f6c3", "CO", ONES, ONES, ONES, "CO"),
    ],
)
def test_carry_chains(engine, code, flags, left, right, result, after):
    """ADCX uses CF and ADOX uses OF; no other flag changes."""
    letters = {"C": 1, "P": 4, "A": 0x10, "Z": 0x40, "S": 0x80, "O": 0x800}
    start = 2 | sum(letters[letter] for letter in flags)
    check_case(
        engine, "long", code, {"rax": left, "rbx": right, "rflags": start}, {"rax": result}, after
    )


@given(value=st.integers(0, ONES), mask=st.integers(0, ONES))
def test_deposit_undoes_extract(engine, value, mask):
    """PEXT gathers what PDEP spreads, and both agree with strings of digits."""
    machine = Machine(engine, "long", vex("PEXT", RAX, RCX, RBX, wide=1))
    machine.state.rcx, machine.state.rbx = value, mask
    machine.step()
    chosen = [f"{value:064b}"[place] for place in range(64) if f"{mask:064b}"[place] == "1"]
    assert machine.state.rax == int("".join(chosen) or "0", 2)
    back = Machine(engine, "long", vex("PDEP", RAX, RCX, RBX, wide=1))
    back.state.rcx, back.state.rbx = machine.state.rax, mask
    back.step()
    assert back.state.rax == value & mask
