# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""MXCSR, FXSAVE, the XSAVE family, and the registers as `CpuState` shows them."""

import pytest

from insn.machine import DATA, GP, UD, Machine, check_case, check_fault
from vmmkit.errors import StateError
from vmmkit.insn import CpuState, Done

AREA = DATA & ~63
COMPACTED = 1 << 63
NM = 7


def filled(machine):
    """Different contents for every register."""
    state = machine.state
    for number in range(32):
        state.zmm[number] = int.from_bytes(bytes((number + 1,)) * 64, "little")
    for number in range(8):
        state.opmask[number] = 0x0101010101010101 * (number + 1)
        state.x87[number] = 0x4000_8000_0000_0000_0000 + number
    state.mxcsr, state.x87_tag, state.x87_status = 0x1FA0, 0x81, 0x3800
    return machine


def vectors_of(state):
    files = (state.zmm, state.opmask, state.x87)
    words = state.mxcsr, state.x87_control, state.x87_status, state.x87_tag
    return [[file[number] for number in range(len(file))] for file in files], words


def step_at(machine, code, rip=0x1000):
    machine.state.rip = rip
    machine.poke(rip, bytes.fromhex(code))
    assert isinstance(machine.step(), Done)


PAIRS = [
    ("xsave", "480fae23", "480fae2b"),
    ("xsaveopt", "480fae33", "480fae2b"),
    ("xsavec", "480fc723", "480fae2b"),
    ("xsaves", "480fc72b", "480fc71b"),
]


@pytest.mark.parametrize(("name", "save", "restore"), PAIRS)
def test_round_trip(engine, name, save, restore):
    registers = {"rbx": AREA, "rax": 0xFFFF_FFFF, "rdx": 0xFFFF_FFFF}
    machine = filled(Machine(engine, "long", save, registers))
    machine.poke(AREA, bytes(2752))
    before = vectors_of(machine.state)
    assert isinstance(machine.step(), Done)
    for number in range(32):
        machine.state.zmm[number] = 0
    machine.state.opmask[3], machine.state.mxcsr, machine.state.x87[2] = 0, 0x1F80, 0
    step_at(machine, restore)
    assert vectors_of(machine.state) == before
    assert machine.peek(AREA + 512, 8) == 0xE7
    compacted = name in {"xsavec", "xsaves"}
    assert machine.peek(AREA + 520, 8) == (COMPACTED | 0xE7 if compacted else 0)
    opmasks = 576 + 256 if compacted else 1088
    assert machine.peek(AREA + opmasks, 8) == 0x0101010101010101


def test_what_is_not_asked_for_stays(engine):
    """XSAVE of AVX alone: the header keeps its other bits, XMM registers are not written."""
    registers = {"rbx": AREA, "rax": 4, "rdx": 0, (AREA + 512, 8): 3}
    machine = filled(Machine(engine, "long", "480fae23", registers))
    assert isinstance(machine.step(), Done)
    assert machine.peek(AREA + 512, 8) == 7
    assert machine.peek(AREA + 160, 16) == 0
    assert machine.peek(AREA + 24, 4) == 0x1FA0
    assert machine.peek(AREA + 576, 16) == int.from_bytes(b"\1" * 16, "little")


def test_xrstor_initializes(engine):
    """Components whose bit is clear get their initial values, MXCSR what memory says."""
    registers = {"rbx": AREA, "rax": 7, "rdx": 0, (AREA + 24, 4): 0x1F80}
    machine = filled(Machine(engine, "long", "480fae2b", registers))
    assert isinstance(machine.step(), Done)
    state = machine.state
    assert (state.x87_control, state.x87_tag, state.x87[2]) == (0x37F, 0, 0)
    assert state.ymm[3] == 0
    assert state.zmm[3] >> 256 == int.from_bytes(b"\4" * 32, "little")


BAD_HEADERS = [
    {(AREA + 512, 8): 1 << 8},
    {(AREA + 520, 8): 1},
    {(AREA + 520, 8): COMPACTED | 1 << 8},
    {(AREA + 512, 8): 2, (AREA + 520, 8): COMPACTED | 1},
    {(AREA + 528, 8): 1},
    {(AREA + 520, 8): COMPACTED | 7, (AREA + 575, 1): 1},
    {(AREA + 24, 4): 1 << 16},
]


@pytest.mark.parametrize("header", BAD_HEADERS)
def test_bad_areas(engine, header):
    registers = {"rbx": AREA, "rax": 7, "rdx": 0, **header}
    check_fault(filled(Machine(engine, "long", "480fae2b", registers)), GP)


@pytest.mark.parametrize("code", ["0fae23", "0fae2b", "0fae33", "0fc723", "0fc72b", "0fc71b"])
def test_xsave_checks(engine, code):
    check_fault(Machine(engine, "long", code, {"rbx": AREA + 32}), GP)
    machine = Machine(engine, "long", code, {"rbx": AREA})
    machine.state.cr0 |= 8
    check_fault(machine, NM)
    machine.state.cr4 &= ~(1 << 18)
    check_fault(machine, UD)


@pytest.mark.parametrize("code", ["0fc72b", "0fc71b"])
def test_supervisor_forms(engine, code):
    check_fault(Machine(engine, "long", code, {"rbx": AREA}).ring3(), GP)


@pytest.mark.parametrize("mode", ["pm32", "long"])
def test_fxsave(engine, mode):
    machine = filled(Machine(engine, mode, "0fae03", {"rbx": AREA}))
    before = vectors_of(machine.state)
    assert isinstance(machine.step(), Done)
    assert machine.peek(AREA + 24, 8) == 0xFFFF_0000_1FA0
    assert machine.peek(AREA + 32, 10) == machine.state.x87[7]
    last = 15 if mode == "long" else 7
    assert machine.peek(AREA + 160 + 16 * last, 16) == machine.state.xmm[last]
    assert machine.peek(AREA + 416, 96) == 0
    machine.state.xmm[last], machine.state.mxcsr, machine.state.x87_tag = 0, 0x1F80, 0
    step_at(machine, "0fae0b")
    assert vectors_of(machine.state) == before


def test_mxcsr(engine):
    check_case(engine, "long", "0fae13", {"rbx": DATA, (DATA, 4): 0xFFC0}, {"mxcsr": 0xFFC0})
    check_fault(Machine(engine, "long", "0fae13", {"rbx": DATA, (DATA, 4): 0x10000}), GP)
    check_case(engine, "long", "0fae1b", {"rbx": DATA, "mxcsr": 0x1FBF}, {(DATA, 4): 0x1FBF})


def test_reset():
    state = CpuState()
    assert (state.mxcsr, state.xcr0, state.x87_control, state.x87_tag) == (0x1F80, 1, 0x40, 0xFF)
    assert state.zmm[31] == state.opmask[7] == 0


def test_views_of_one_register():
    state = CpuState()
    state.zmm[5] = (1 << 512) - 1
    state.ymm[5] = 0
    state.xmm[5] = 7
    assert state.zmm[5] == ((1 << 512) - 1) >> 256 << 256 | 7
    state.mmx[2] = 9
    assert state.x87[2] == 9
    assert len(state.zmm) == 32
    assert len(state.opmask) == 8
    assert state.copy().zmm[5] == state.zmm[5]


@pytest.mark.parametrize("value", [-1, 1 << 128, "7"])
def test_values_that_do_not_fit(value):
    with pytest.raises(StateError):
        CpuState().xmm[0] = value


@pytest.mark.parametrize("number", [-1, 32])
def test_registers_that_are_not_there(number):
    with pytest.raises(IndexError):
        CpuState().xmm[number]
