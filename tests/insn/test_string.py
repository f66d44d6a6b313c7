# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""MOVS and STOS, with and without REP (SDM vol. 2B, MOVS, STOS, REP)."""

import pytest

from insn.machine import (
    CODE,
    DATA,
    DF,
    GP,
    LOW,
    MMIO,
    PAGE_FAULT,
    PT,
    Machine,
    check_case,
    check_fault,
)
from vmmkit.insn import STEP_BATCH, BudgetSpent, Done, Fault, Read, Segment, Write

ONES = (1 << 64) - 1
VALUE = 0x8877_6655_4433_2211
FROM, TO = DATA, DATA + 0x800

SINGLE = [
    ("long", "a4", 1, 0x11),
    ("long", "66a5", 2, 0x2211),
    ("long", "a5", 4, 0x4433_2211),
    ("long", "48a5", 8, VALUE),
    ("pm32", "a5", 4, 0x4433_2211),
    ("real", "a5", 2, 0x2211),
    ("real", "66a5", 4, 0x4433_2211),
]


@pytest.mark.parametrize("direction", [0, DF], ids=["up", "down"])
@pytest.mark.parametrize(("mode", "code", "size", "value"), SINGLE)
def test_movs(engine, mode, code, size, value, direction):
    change = -size if direction else size
    before = {"rsi": FROM, "rdi": TO, "rcx": 9, "rflags": 2 | direction, (FROM, 8): VALUE}
    after = {"rsi": FROM + change, "rdi": TO + change, (TO, size): value}
    check_case(engine, mode, code, before, after)


@pytest.mark.parametrize("direction", [0, DF], ids=["up", "down"])
@pytest.mark.parametrize(
    ("mode", "code", "size", "value"),
    [
        (mode, code.replace("a5", "ab").replace("a4", "aa"), size, value)
        for mode, code, size, value in SINGLE
    ],
)
def test_stos(engine, mode, code, size, value, direction):
    change = -size if direction else size
    before = {"rax": VALUE, "rdi": TO, "rcx": 9, "rflags": 2 | direction}
    check_case(engine, mode, code, before, {"rdi": TO + change, (TO, size): value})


def filled(machine, count):
    machine.poke(FROM, bytes(range(1, count + 1)))
    return machine


@pytest.mark.parametrize("prefix", ["f3", "f2"])
def test_rep_movsb(engine, prefix):
    """REPNE repeats MOVS like REP; ZF has no say."""
    registers = {"rsi": FROM, "rdi": TO, "rcx": 5, "rflags": 0x42}
    machine = filled(Machine(engine, "long", f"{prefix}a4", registers), 8)
    assert machine.step() == Done(CODE + 2, 0)
    assert machine.low[TO : TO + 6] == bytes([1, 2, 3, 4, 5, 0])
    state = machine.state
    assert (state.rsi, state.rdi, state.rcx, state.rflags) == (FROM + 5, TO + 5, 0, 0x42)
    assert state.retired == 5


def test_overlapping_copy_goes_element_by_element(engine):
    registers = {"rsi": FROM, "rdi": FROM + 1, "rcx": 4}
    machine = filled(Machine(engine, "long", "f3a4", registers), 2)
    machine.step()
    assert machine.low[FROM : FROM + 6] == bytes([1, 1, 1, 1, 1, 0])


def test_rep_downwards(engine):
    registers = {"rsi": FROM + 3, "rdi": TO + 3, "rcx": 4, "rflags": 2 | DF}
    machine = filled(Machine(engine, "long", "f3a4", registers), 4)
    machine.step()
    assert machine.low[TO : TO + 4] == bytes([1, 2, 3, 4])
    assert (machine.state.rsi, machine.state.rdi) == (FROM - 1, TO - 1)


@pytest.mark.parametrize("code", ["f3a4", "f348ab", "f2aa", "f3a5"])
def test_zero_count_touches_nothing(engine, code):
    """Not even addresses that would fault."""
    registers = {"rcx": 0, "rsi": 1 << 63, "rdi": 1 << 62}
    check_case(engine, "long", code, registers, {})


@pytest.mark.parametrize(
    ("mode", "code", "before", "after"),
    [
        # ECX counts and ESI/EDI move, zero-extended
        ("long", "67f3aa", {"rcx": 1 << 32 | 2, "rdi": 1 << 40 | TO}, {"rcx": 0, "rdi": TO + 2}),
        # CX, SI and DI move within 16 bits
        (
            "pm32",
            "67f3aa",
            {"rcx": 0x1_0002, "rdi": 0x5_0000 | TO},
            {"rcx": 0x1_0000, "rdi": 0x5_0000 | TO + 2},
        ),
        ("real", "67f3aa", {"rcx": 2, "rdi": TO}, {"rcx": 0, "rdi": TO + 2}),
        (
            "real",
            "f3aa",
            {"rcx": 0x7_0002, "rdi": 0x7_0000 | TO},
            {"rcx": 0x7_0000, "rdi": 0x7_0000 | TO + 2},
        ),
    ],
)
def test_address_size(engine, mode, code, before, after):
    check_case(engine, mode, code, {"rax": 0x77, **before}, {(TO, 2): 0x7777, **after})


def test_16_bit_index_wraps(engine):
    machine = Machine(engine, "real", "f3aa", {"rcx": 2, "rdi": 0xFFFF, "rax": 0x77})
    accesses, outcome = machine.finish()
    assert accesses == [Write(0xFFFF, 1, 0x77)]
    assert machine.low[0] == 0x77
    assert (machine.state.rdi, outcome) == (1, Done(CODE + 2, 0))


def test_segments(engine):
    """The source may be overridden, the destination is always ES."""
    machine = Machine(engine, "pm32", "64a4", {"rsi": 0, "rdi": 0, (FROM, 1): 0x77})
    machine.state.fs = Segment(16, FROM, 0xFFFF, 0xC093)
    machine.state.es = Segment(16, TO, 0xFFFF, 0xC093)
    machine.step()
    assert machine.low[TO] == 0x77
    machine = Machine(engine, "pm32", "64aa", {"rax": 0x78, "rdi": 0})
    machine.state.fs = Segment(16, FROM, 0xFFFF, 0xC093)
    machine.state.es = Segment(16, TO, 0xFFFF, 0xC093)
    machine.step()
    assert (machine.low[FROM], machine.low[TO]) == (0, 0x78)
    machine = Machine(engine, "long", "64a4", {"rsi": 0, "rdi": TO, (FROM, 1): 0x79})
    machine.state.fs = Segment(0, FROM, 0, 0xC093)
    machine.state.es = Segment(0, 0x100, 0, 0xC093)
    machine.step()
    assert machine.low[TO] == 0x79


def test_page_crossing_element(engine):
    registers = {"rsi": 0x2FFD, "rdi": 0x4FFE, (0x2FFD, 8): VALUE}
    after = {"rsi": 0x3005, "rdi": 0x5006, (0x4FFE, 8): VALUE}
    check_case(engine, "long", "48a5", registers, after)


def test_source_fault_comes_before_destination_fault(engine):
    machine = Machine(engine, "long", "a5", {"rsi": 1 << 30, "rdi": 2 << 30})
    check_fault(machine, PAGE_FAULT, 0, 1 << 30)
    machine = Machine(engine, "long", "a5", {"rsi": FROM, "rdi": 2 << 30})
    check_fault(machine, PAGE_FAULT, 2, 2 << 30)
    machine = Machine(engine, "long", "a5", {"rsi": 1 << 63, "rdi": 2 << 30})
    check_fault(machine, GP)


def test_fault_half_way_keeps_what_is_done(engine):
    """RIP stays, and the registers say how far it came, so that the guest can restart."""
    registers = {"rdi": 0x2FFC, "rcx": 4, "rax": VALUE}
    machine = Machine(engine, "long", "f366ab", registers)
    machine.pte(0x3000, 0)
    assert machine.step() == Fault(PAGE_FAULT, 2, 0x3000)
    state = machine.state
    assert (state.rip, state.rdi, state.rcx, state.retired) == (CODE, 0x3000, 2, 2)
    assert machine.peek(0x2FFC, 4) == 0x2211_2211
    machine.poke(PT + 8 * 3, 0x3003, 8)
    assert machine.step() == Done(CODE + 3, 0)
    assert (state.rdi, state.rcx, machine.peek(0x2FFC, 8)) == (0x3004, 0, 0x2211_2211_2211_2211)


def test_step_ends_a_batch_with_rip_at_the_instruction(engine):
    count = 2 * STEP_BATCH + 3
    machine = Machine(engine, "long", "f3aa90", {"rcx": count, "rdi": DATA, "rax": 0x5A})
    assert machine.step() == Done(CODE, 0)
    assert (machine.state.rcx, machine.state.rdi) == (count - STEP_BATCH, DATA + STEP_BATCH)
    assert machine.step() == Done(CODE, 0)
    assert machine.step() == Done(CODE + 2, 0)
    assert machine.state.rcx == 0
    assert machine.low[DATA : DATA + count + 1] == b"\x5a" * count + b"\0"


def test_run_counts_elements(engine):
    machine = Machine(engine, "long", "f3aaf3aa", {"rcx": 10, "rdi": DATA, "rax": 0x5A})
    assert machine.cpu.run(4) == BudgetSpent(CODE)
    assert (machine.state.rcx, machine.state.retired) == (6, 4)
    assert machine.cpu.run(6) == BudgetSpent(CODE + 2)
    assert (machine.state.rcx, machine.state.retired) == (0, 10)


def test_code_changed_between_batches_is_seen(engine):
    """Only an instruction in flight is latched; between batches an interrupt could come."""
    machine = Machine(engine, "long", "f3aa", {"rcx": STEP_BATCH + 5, "rdi": DATA})
    machine.step()
    machine.poke(CODE, bytes.fromhex("9090"))
    assert machine.step() == Done(CODE + 1, 0)


def test_rep_to_a_device(engine):
    registers = {"rsi": FROM, "rdi": MMIO, "rcx": 3}
    machine = filled(Machine(engine, "long", "f3a4", registers), 3)
    state = machine.state
    for number in range(3):
        assert machine.step() == Write(MMIO + number, 1, number + 1)
        assert (state.rcx, state.rdi, state.rsi) == (3 - number, MMIO + number, FROM + number)
    assert machine.step() == Done(CODE + 2, 0)


def test_rep_from_device_to_device(engine):
    registers = {"rsi": MMIO, "rdi": MMIO + 0x100, "rcx": 2}
    machine = Machine(engine, "long", "f3a5", registers)
    accesses, _ = machine.finish([7, 8])
    assert accesses == [
        Read(MMIO, 4),
        Write(MMIO + 0x100, 4, 7),
        Read(MMIO + 4, 4),
        Write(MMIO + 0x104, 4, 8),
    ]


def test_from_ram_into_a_device_and_the_other_way(engine):
    """The last RAM byte is 7FFF, the first device byte 8000."""
    machine = Machine(engine, "long", "f3aa", {"rdi": LOW - 2, "rcx": 4, "rax": 0x5A})
    accesses, _ = machine.finish()
    assert accesses == [Write(LOW, 1, 0x5A), Write(LOW + 1, 1, 0x5A)]
    assert machine.peek(LOW - 2, 2) == 0x5A5A


def test_rep_resumed_after_abandon_restarts_at_the_element(engine):
    machine = Machine(engine, "long", "f3aa", {"rdi": MMIO, "rcx": 3, "rax": 1})
    assert machine.step() == Write(MMIO, 1, 1)
    assert machine.step() == Write(MMIO + 1, 1, 1)
    machine.cpu.abandon()
    assert machine.state.rcx == 2
    assert machine.step() == Write(MMIO + 1, 1, 1)
