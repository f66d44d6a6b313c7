# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Locked instructions of two vCPUs on one RAM (SDM vol. 3A, "Locked Atomic Operations")."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from insn.machine import CR0_PG, DATA, GDT, NP, RW, A, Machine, P, check_case
from vmmkit.insn import Cpu, Done, Fault, Halt, Read, Write
from vmmkit.insn._memory import RAM_LOCK

COUNT = {"native": 200_001, "pure": 801}
BUDGET = 1 << 40
NEAR_WRAP = (1 << 64) - 100

# Each adds 1 to the dword at rBX, rCX times, and halts.
COUNTERS = {
    "inc": "f0ff03 e2fb f4",
    "add": "f0830301 e2fa f4",
    "sub": "f0832bff e2fa f4",
    "adc": "f9 f0831300 e2f9 f4",
    "xadd": "b801000000 f00fc103 e2f5 f4",
    "cmpxchg": "8b03 8d5001 f00fb113 75f7 e2f3 f4",
}
SPINLOCK = "b801000000 8703 85c0 75f5 ff4308 c70300000000 e2ea f4"  # XCHG locks by itself
WIDE = "488b06 488b5608 4889c3 4889d1 4883c301 4883c101 f0480fc70e 75eb 48ffcd 75df f4"


@pytest.fixture
def fast_switching():
    """Let the interpreter change threads often, so that the pure engine's races show."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def race(engine, code, registers, others=None):
    """Run the code on two vCPUs over the same RAM; returns the first machine."""
    first = Machine(engine, "long", code, registers)
    second = Machine(engine, "long", code, registers | (others or {}))
    second.low, second.high = first.low, first.high
    second.cpu = second.cpu_on(engine)
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(machine.cpu.run, BUDGET) for machine in (first, second)]
        assert all(isinstance(run.result(), Halt) for run in runs)
    return first


@pytest.mark.slow
@pytest.mark.parametrize("offset", [0, 1, 3, 4])
@pytest.mark.parametrize("name", COUNTERS)
def test_counters(engine, fast_switching, name, offset):
    """Operands anywhere within an aligned 8-byte word are atomic."""
    count = COUNT[engine]
    machine = race(engine, COUNTERS[name], {"rbx": DATA + offset, "rcx": count})
    assert machine.peek(DATA + offset, 4) == 2 * count


SIZES = [("f0fe03 e2fb f4", 1), ("66f0ff03 e2fa f4", 2), ("f048ff03 e2fa f4", 8)]


@pytest.mark.slow
@pytest.mark.parametrize(("code", "size"), SIZES)
def test_sizes(engine, fast_switching, code, size):
    count = COUNT[engine]
    machine = race(engine, code, {"rbx": DATA, "rcx": count})
    assert machine.peek(DATA, size) == 2 * count % (1 << 8 * size)


NEIGHBOURS = [("f0fe03 e2fb f4", 1, 1), ("66f0ff03 e2fa f4", 2, 2), ("f0ff03 e2fb f4", 4, 4)]
NEIGHBOURS += [("66f0ff03 e2fa f4", 2, 3)]


@pytest.mark.slow
@pytest.mark.parametrize(("code", "size", "distance"), NEIGHBOURS)
def test_neighbours_do_not_disturb_each_other(engine, fast_switching, code, size, distance):
    count, start = COUNT[engine], DATA + 1
    others = {"rbx": start + distance}
    machine = race(engine, code, {"rbx": start, "rcx": count}, others)
    found = [machine.peek(place, size) for place in (start, start + distance)]
    assert found == [count % (1 << 8 * size)] * 2


# (code, rDX of either, before, after)
LOGIC = [
    ("f03113 e2fb f4", (1, 2), 0, 3),  # XOR toggles a bit of its own, an odd number of times
    ("f00913 e2fb f4", (1, 2), 0, 3),
    ("f02113 e2fb f4", (0xF100, 0x010F), 0xFFFF, 0x0100),
    ("f0f713 e2fb f4", (0, 0), 0xFFFF, 0xFFFF),  # NOT, an even number of times in all
    ("f0f71b e2fb f4", (0, 0), 0xFFFF, 0xFFFF),  # NEG
    ("f00fbb13 e2fa f4", (3, 12), 0, 0x1008),  # BTC
    ("f00fab13 e2fa f4", (3, 12), 0, 0x1008),  # BTS
    ("f00fb313 e2fa f4", (3, 12), 0xFFFF, 0xEFF7),  # BTR
]


@pytest.mark.slow
@pytest.mark.parametrize(("code", "masks", "before", "after"), LOGIC)
def test_logic(engine, fast_switching, code, masks, before, after):
    registers = {"rbx": DATA, "rcx": COUNT[engine], "rdx": masks[0], (DATA, 4): before}
    machine = race(engine, code, registers, {"rdx": masks[1]})
    assert machine.peek(DATA, 4) == after


@pytest.mark.slow
def test_xchg_makes_a_spinlock(engine, fast_switching):
    count = COUNT[engine] // 4
    machine = race(engine, SPINLOCK, {"rbx": DATA, "rcx": count})
    assert (machine.peek(DATA, 4), machine.peek(DATA + 8, 4)) == (0, 2 * count)


@pytest.mark.slow
def test_cmpxchg16b_counts_in_both_halves(engine, fast_switching):
    count = COUNT[engine]
    registers = {"rsi": DATA, "rbp": count, (DATA, 8): NEAR_WRAP}
    machine = race(engine, WIDE, registers)
    low = (NEAR_WRAP + 2 * count) % (1 << 64)
    assert (machine.peek(DATA, 8), machine.peek(DATA + 8, 8)) == (low, 2 * count)


def test_a_crossing_operand_still_adds(engine):
    """Not atomic, but right when alone: across a word, across a page."""
    for start in (DATA + 5, DATA + 0xFFE):
        machine = Machine(engine, "long", "f0ff03", {"rbx": start, (start, 4): 0xFFFF})
        machine.step()
        assert machine.peek(start, 4) == 0x1_0000


def test_half_at_a_device(engine):
    """A read and a write there, and the half in RAM behind it."""
    before = {"rbx": 0x7FFE, "rax": 0x1_0001, (0x7FFE, 2): 5}
    accesses = [Read(0x8000, 2), Write(0x8000, 2, 8)]
    check_case(engine, "pm32", "f00103", before, {(0x7FFE, 2): 6}, "P", [7], accesses)


@pytest.mark.parametrize("shift", [0, 1, 4, 8])
def test_buffers_that_are_not_aligned(engine, shift):
    """They cost atomicity, never a byte beyond them."""
    ram = memoryview(bytearray(0x2000 + 16))[shift : shift + 0x2000]
    cpu = Cpu([(0, ram)], engine=engine)
    code = bytes.fromhex("f0ff03 f0fe4304 f0480fc70e")
    ram[0x1000 : 0x1000 + len(code)] = code
    cpu.state.enter_long_mode(0x1000, 0)
    cpu.state.cr0 &= ~CR0_PG
    for place in (0, 1, 3, 5, 0xFF9, 0x1FF8):
        cpu.state.rip, cpu.state.rbx, cpu.state.rsi = 0x1000, place, 0x1FF0
        before = int.from_bytes(ram[place : place + 5], "little")
        assert [type(cpu.step()) for _ in range(3)] == [Done] * 3
        after = int.from_bytes(ram[place : place + 5], "little")
        assert after == before + 1 + (1 << 32)


UNDER_THE_LOCK = {
    "accessed bit": "8b03",
    "move run": "f3a4",
    "fill run": "f3aa",
}


@pytest.mark.parametrize("name", UNDER_THE_LOCK)
def test_every_store_to_ram_waits_for_a_locked_instruction(name):
    """A mark or a run that fell between its load and its store was lost, or brought back a PTE."""
    registers = {"rbx": DATA, "rsi": DATA, "rdi": DATA + 256, "rcx": 16, "rax": 0x55}
    machine = Machine("pure", "long", UNDER_THE_LOCK[name], registers)
    machine.poke(DATA, b"\x55" * 16)
    if name == "accessed bit":
        machine.pte(DATA, DATA | P | RW, marks=0)
    place = machine.pte_place(DATA)[0] if name == "accessed bit" else DATA + 256
    before = machine.peek(place, 1)
    with ThreadPoolExecutor(1) as pool:
        with RAM_LOCK:
            running = pool.submit(machine.step)
            with pytest.raises(TimeoutError):
                running.result(timeout=0.2)
            assert machine.peek(place, 1) == before
        assert isinstance(running.result(timeout=30), Done)
    assert machine.peek(place, 1) == (before | A if name == "accessed bit" else 0x55)


def test_a_descriptor_that_goes_away_is_not_brought_back_by_its_accessed_bit():
    """SDM vol. 3A, "Automatic Locking": it was read before the lock and its rights written back."""
    machine = Machine("pure", "pm32", "8ed8", {"rax": 8})  # mov ds, ax
    machine.descriptor(1, 0, 0xFFFF, 0x92)
    with ThreadPoolExecutor(1) as pool:
        with RAM_LOCK:
            running = pool.submit(machine.step)
            with pytest.raises(TimeoutError):
                running.result(timeout=0.2)
            machine.descriptor(1, 0, 0xFFFF, 0x12)
        assert running.result(timeout=30) == Fault(NP, 8, 0)
    assert machine.peek(GDT + 13, 1) == 0x12
