# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Blocks: many elements of a repeated string instruction in one outcome."""

import pickle
from itertools import chain, cycle, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insn.machine import CODE, DATA, DF, GP, LOW, MMIO, PAGE_FAULT, ROM, TSS, Machine
from vmmkit.errors import StepError
from vmmkit.insn import (
    STEP_BATCH,
    WORD,
    BlockRead,
    BlockWrite,
    BudgetSpent,
    Cpu,
    Done,
    ExitKind,
    Fault,
    PortBlockIn,
    PortBlockOut,
    PortIn,
    PortOut,
    Read,
    Segment,
    Write,
)

PORT = 0x3F8
BYTES = bytes((7 + 31 * place) & 0xFF for place in range(0x2000))
TO_DEVICE = {"rsi": DATA, "rdi": MMIO, "rcx": 5}
FROM_DEVICE = {"rsi": MMIO, "rdi": DATA, "rcx": 5}
PORT_IN = {"rdx": PORT, "rdi": DATA, "rcx": 5}
PORT_OUT = {"rdx": PORT, "rsi": DATA, "rcx": 5}


def machine_of(engine, mode, code, registers, *, blocks=True):
    machine = Machine(engine, mode, code, registers)
    machine.cpu = machine.cpu_on(engine, blocks=blocks)
    machine.poke(DATA, BYTES)
    return machine


# code, registers, the outcome, the answer, rSI, rDI afterwards
OFFERS = [
    ("f3a4", TO_DEVICE, BlockWrite(MMIO, 1, 5, BYTES[:5]), None, DATA + 5, MMIO + 5),
    ("f2a5", TO_DEVICE, BlockWrite(MMIO, 4, 5, BYTES[:20]), 5, DATA + 20, MMIO + 20),
    ("f348a5", TO_DEVICE, BlockWrite(MMIO, 8, 5, BYTES[:40]), None, DATA + 40, MMIO + 40),
    ("f3a4", FROM_DEVICE, BlockRead(MMIO, 1, 5), b"12345", MMIO + 5, DATA + 5),
    ("f366a5", FROM_DEVICE, BlockRead(MMIO, 2, 5), b"1234567890", MMIO + 10, DATA + 10),
    ("f366ab", TO_DEVICE, BlockWrite(MMIO, 2, 5, b"xy" * 5), None, DATA, MMIO + 10),
    ("f36c", PORT_IN, PortBlockIn(PORT, 1, 5), bytearray(b"12345"), 0, DATA + 5),
    ("f36d", PORT_IN, PortBlockIn(PORT, 4, 5), memoryview(BYTES[5:25]), 0, DATA + 20),
    ("f36e", PORT_OUT, PortBlockOut(PORT, 1, 5, BYTES[:5]), None, DATA + 5, 0),
    ("f3666f", PORT_OUT, PortBlockOut(PORT, 2, 5, BYTES[:10]), 5, DATA + 10, 0),
]


@pytest.mark.parametrize(("code", "registers", "offer", "answer", "rsi", "rdi"), OFFERS)
def test_one_outcome_for_all(engine, code, registers, offer, answer, rsi, rdi):
    machine = machine_of(engine, "long", code, {"rax": 0x7978, **registers})
    assert machine.step() == offer
    assert machine.cpu.awaits_answer
    assert machine.state.rcx == 5
    assert machine.low[DATA : DATA + 0x2000] == BYTES
    assert machine.step(answer) == Done(CODE + len(machine.code), 0)
    state = machine.state
    assert (state.rsi, state.rdi, state.rcx, state.retired) == (rsi, rdi, 0, 5)
    read = bytes(answer) if isinstance(answer, bytes | bytearray | memoryview) else b""
    assert machine.low[DATA : DATA + 0x2000] == read + BYTES[len(read) :]


@pytest.mark.parametrize(
    ("code", "registers", "first"),
    [
        ("a4", TO_DEVICE, Write(MMIO, 1, BYTES[0])),  # no prefix
        ("f3a4", {**TO_DEVICE, "rcx": 1}, Write(MMIO, 1, BYTES[0])),
        ("f3a4", {**TO_DEVICE, "rflags": 2 | DF}, Write(MMIO, 1, BYTES[0])),
        ("f36c", {**PORT_IN, "rflags": 2 | DF}, PortIn(PORT, 1)),
        ("f3a4", {**TO_DEVICE, "rsi": MMIO + 0x100}, Read(MMIO + 0x100, 1)),
        ("f36c", {**PORT_IN, "rdi": MMIO}, PortIn(PORT, 1)),
        ("f36e", {**PORT_OUT, "rsi": MMIO}, Read(MMIO, 1)),
        ("f348a5", {**TO_DEVICE, "rdi": MMIO + 0xFFC}, Write(MMIO + 0xFFC, 4, None)),
        ("f3a5", {**TO_DEVICE, "rdi": 0x9FFC}, Write(0x9FFC, 4, None)),  # one fits in the page
        ("f3a4", {"rsi": ROM, "rdi": ROM + 8, "rcx": 5}, Write(ROM + 8, 1, 0x5A)),
        ("f3ac", FROM_DEVICE, Read(MMIO, 1)),
        ("f3ae", TO_DEVICE, Read(MMIO, 1)),
    ],
)
def test_what_comes_element_by_element(engine, code, registers, first):
    machine = machine_of(engine, "long", code, registers)
    if getattr(first, "value", 0) is None:
        first = first._replace(value=int.from_bytes(BYTES[: first.size], "little"))
    assert machine.step() == first


def test_nothing_changes_unless_asked(engine):
    machine = machine_of(engine, "long", "f3a4", TO_DEVICE, blocks=False)
    assert machine.step() == Write(MMIO, 1, BYTES[0])


@pytest.mark.parametrize(
    ("registers", "counts"),
    [
        ({"rdi": 0x9FF9, "rcx": 20}, [7, 13]),  # the device's page ends
        ({"rsi": 0x2FFD, "rcx": 20}, [3, 17]),  # RAM's does
        ({"rsi": 0x2FFD, "rdi": 0x9FFA, "rcx": 20}, [3, 3, 14]),
        ({"rcx": STEP_BATCH + 100}, [STEP_BATCH]),
    ],
)
def test_where_a_block_ends(engine, registers, counts):
    machine = machine_of(engine, "long", "f3a4", {**TO_DEVICE, **registers})
    found, outcome = [], machine.step()
    while isinstance(outcome, BlockWrite):
        assert outcome.gpa == machine.state.rdi
        found.append(outcome.count)
        outcome = machine.step()
    assert found == counts
    assert outcome == Done(CODE + (machine.state.rcx == 0) * 2, 0)


def test_the_budget_ends_a_block(engine):
    machine = machine_of(engine, "long", "f3aa90", {**TO_DEVICE, "rcx": 10})
    assert machine.cpu.run(4).count == 4
    assert machine.cpu.run(7).count == 3
    assert machine.cpu.run(3, 2) == Write(MMIO + 6, 1, 0)
    assert machine.state.rcx == 4
    assert machine.cpu.run(1) == BudgetSpent(CODE)
    assert machine.state.retired == 7


@pytest.mark.parametrize("segment", ["es", "ds"])
def test_the_segment_ends_a_block(engine, segment):
    machine = machine_of(engine, "pm32", "f3a4", {**TO_DEVICE, "rdi": MMIO, "rsi": DATA})
    base = MMIO if segment == "es" else DATA
    setattr(machine.state, segment, Segment(16, 0, base + 2, 0x8093))
    assert machine.step().count == 3
    assert machine.step() == Fault(GP, 0, 0)
    assert (machine.state.rcx, machine.state.retired) == (2, 3)


def test_the_address_size_ends_a_block(engine):
    machine = machine_of(engine, "real", "f3a4", {**TO_DEVICE, "rdi": 0xFFFD})
    assert machine.step() == BlockWrite(0xFFFD, 1, 3, BYTES[:3])
    assert machine.step() == Done(CODE + 2, 0)
    assert machine.low[:2] == BYTES[3:5]


def test_checks_come_first(engine):
    """Both sides, and the permission; what is offered cannot fault any more."""
    machine = machine_of(engine, "long", "f3a4", {**TO_DEVICE, "rsi": 1 << 30})
    assert machine.step() == Fault(PAGE_FAULT, 0, 1 << 30)
    machine = machine_of(engine, "pm32", "f36e", PORT_OUT).ring3()
    machine.state.tr = Segment(0x28, TSS, 0x66, 0x8B)
    assert machine.step() == Fault(GP, 0, 0)


@pytest.mark.parametrize("taken", [1, 2, 4])
def test_fewer_than_offered(engine, taken):
    machine = machine_of(engine, "long", "f3a5", FROM_DEVICE)
    machine.step()
    assert machine.step(b"\x11" * 4 * taken) in {BlockRead(MMIO + 4 * taken, 4, 5 - taken)} | {
        Read(MMIO + 4 * taken, 4)
    }
    state = machine.state
    assert (state.rsi, state.rdi) == (MMIO + 4 * taken, DATA + 4 * taken)
    assert (state.rcx, state.retired) == (5 - taken, taken)
    machine = machine_of(engine, "long", "f36e", PORT_OUT)
    machine.step()
    outcome = machine.step(taken)
    assert isinstance(outcome, PortOut if taken == 4 else PortBlockOut)
    assert (machine.state.rsi, machine.state.rcx) == (DATA + taken, 5 - taken)


def test_none_taken_brings_the_next_element_alone(engine):
    machine = machine_of(engine, "long", "f3a5", FROM_DEVICE)
    assert machine.step() == BlockRead(MMIO, 4, 5)
    assert machine.step(b"") == Read(MMIO, 4)
    assert machine.state.rcx == 5
    assert machine.step(0x1234) == BlockRead(MMIO + 4, 4, 4)
    assert machine.peek(DATA, 4) == 0x1234
    machine = machine_of(engine, "long", "f3a4", TO_DEVICE)
    machine.step()
    assert machine.step(0) == Write(MMIO, 1, BYTES[0])
    assert machine.step() == BlockWrite(MMIO + 1, 1, 4, BYTES[1:5])


WRONG = [
    ("f3a5", FROM_DEVICE, 5),
    ("f3a5", FROM_DEVICE, None),
    ("f3a5", FROM_DEVICE, "text"),
    ("f3a5", FROM_DEVICE, bytes(21)),
    ("f3a5", FROM_DEVICE, bytes(24)),
    ("f3a5", FROM_DEVICE, bytes(3)),
    ("f36d", PORT_IN, bytes(2)),
    ("f3a5", TO_DEVICE, 6),
    ("f3a5", TO_DEVICE, -1),
    ("f3a5", TO_DEVICE, bytes(20)),
    ("f36e", PORT_OUT, 6),
]


@pytest.mark.parametrize(("code", "registers", "answer"), WRONG)
def test_wrong_answers(engine, code, registers, answer):
    """They raise, and the block is still there."""
    machine = machine_of(engine, "long", code, registers)
    offer, record = machine.step(), bytes(machine.state.record)
    with pytest.raises(
        StepError, match="BLOCK" if isinstance(offer, BlockWrite | PortBlockOut) else "block"
    ):
        machine.step(answer)
    assert machine.state.record == record
    assert machine.low[DATA : DATA + 0x2000] == BYTES
    assert machine.cpu.outcome(machine.state.words[WORD["log_pending"]]) == offer


def test_registers_changed_in_flight(engine):
    """Nothing is written for an instruction that cannot go on."""
    machine = machine_of(engine, "long", "f3a5", FROM_DEVICE)
    machine.step()
    machine.state.rip += 1
    with pytest.raises(StepError, match="awaits completion"):
        machine.step(bytes(20))
    assert machine.low[DATA : DATA + 0x2000] == BYTES
    machine.state.rip -= 1
    assert machine.step(bytes(20)) == Done(CODE + 2, 0)


def test_abandoned(engine):
    machine = machine_of(engine, "long", "f3a5", FROM_DEVICE)
    machine.step()
    machine.step(b"")
    machine.cpu.abandon()
    assert machine.step() == BlockRead(MMIO, 4, 5)
    assert machine.state.rcx == 5


def test_without_an_outcome(engine):
    """The hot interface: what stands in the record, and the data as a view."""
    machine = machine_of(engine, "long", "f3a5", FROM_DEVICE)
    cpu, words = machine.cpu, machine.state.words
    with pytest.raises(StepError, match="no block"):
        cpu.block()
    assert cpu.enter(10, 0) == ExitKind.BLOCK_READ
    found = [words[WORD[name]] for name in ("exit_address", "exit_size", "exit_value")]
    assert found == [MMIO, 4, 5]
    view = cpu.block()
    assert view.nbytes == 20
    view[:8] = b"AAAABBBB"
    assert cpu.resume(2) == ExitKind.BLOCK_READ
    assert machine.low[DATA : DATA + 8] == b"AAAABBBB"
    assert (machine.state.rdi, machine.state.rcx) == (DATA + 8, 3)
    assert cpu.resume(1 << 40) != ExitKind.BLOCK_READ  # more than offered is all of it
    assert machine.state.rcx == 0


def test_data_of_a_write_cannot_be_written(engine):
    for code in ("f3a4", "f3aa"):
        machine = machine_of(engine, "long", code, TO_DEVICE)
        assert machine.cpu.enter(10, 0) == ExitKind.BLOCK_WRITE
        data = machine.cpu.block()
        assert data.readonly
        assert bytes(data) == (BYTES[:5] if code == "f3a4" else bytes(5))


def test_block_of_other_ram(engine):
    machine = machine_of(engine, "long", "f3a4", TO_DEVICE)
    machine.step()
    elsewhere = Cpu([(0x100000, bytearray(0x1000))], engine=engine, state=machine.state)
    with pytest.raises(StepError, match="there is none here"):
        elsewhere.outcome(ExitKind.BLOCK_WRITE)


def test_in_flight_is_in_the_record(two_engines):
    """Pickled with a block offered, and again with the element after a refused one."""
    for first, second in (two_engines, two_engines[::-1]):
        machine = machine_of(first, "long", "f3a5", FROM_DEVICE)
        assert machine.step() == BlockRead(MMIO, 4, 5)
        for answer, expected in (
            (b"abcdefgh", BlockRead(MMIO + 8, 4, 3)),
            (b"", Read(MMIO + 8, 4)),
            (0x3131_3131, Read(MMIO + 12, 4)),  # this Cpu takes no blocks
        ):
            machine.state = pickle.loads(pickle.dumps(machine.state))
            machine.cpu = machine.cpu_on(second, blocks=answer == b"abcdefgh")
            assert machine.step(answer) == expected
        assert machine.low[DATA : DATA + 16] == b"abcdefgh1111" + BYTES[12:16]


class Device:
    """Memory from `LOW` on, and a port that counts."""

    def __init__(self, taken):
        self.memory = bytearray(BYTES * 4)
        self.reads, self.written = 0, []
        self.taken = taken

    def take(self, count):
        """How many of the elements offered the device takes now."""
        return min(next(self.taken), count)

    def next_in(self, size):
        self.reads += 1
        return (self.reads * 0x9E37_79B9 & (1 << 8 * size) - 1).to_bytes(size, "little")

    def answer(self, outcome):
        """Do what an outcome asks for."""
        match outcome:
            case Read(gpa, size):
                return int.from_bytes(self.memory[gpa - LOW : gpa - LOW + size], "little")
            case Write(gpa, size, value):
                self.memory[gpa - LOW : gpa - LOW + size] = value.to_bytes(size, "little")
            case PortIn(_, size):
                return int.from_bytes(self.next_in(size), "little")
            case PortOut(port, size, value):
                self.written.append((port, size, value))
            case BlockRead(gpa, size, count):
                return self.memory[gpa - LOW :][: size * self.take(count)]
            case PortBlockIn(_, size, count):
                return b"".join(self.next_in(size) for _ in range(self.take(count)))
            case BlockWrite(gpa, size, count, data):
                done = self.take(count)
                self.memory[gpa - LOW : gpa - LOW + size * done] = data[: size * done]
                return done
            case PortBlockOut(port, size, count, data):
                done = self.take(count)
                for place in range(0, size * done, size):
                    value = int.from_bytes(data[place : place + size], "little")
                    self.written.append((port, size, value))
                return done
        return None


def drive(machines, device):
    """Run to the end of the instruction, all machines alike; tell how many outcomes it took."""
    answer = None
    for calls in range(100_000):
        first, *others = [machine.step(answer) for machine in machines]
        assert others == [first] * len(others)
        records = [machine.state.record for machine in machines]
        assert all(record == records[0] for record in records)
        if isinstance(first, Fault) or (isinstance(first, Done) and first.rip != CODE):
            return first, calls
        answer = device.answer(first)
    raise AssertionError(first)


SIDES = (DATA, DATA + 1, 0x2FF0, 0x2FFD, LOW - 3, LOW - 64, LOW, MMIO, MMIO + 0xFFD, 0x9FF0)
OPCODES = ("a4", "66a5", "a5", "48a5", "aa", "ab", "6c", "666d", "6d", "6e", "6f")


@given(
    opcode=st.sampled_from(OPCODES),
    prefix=st.sampled_from(("f3", "f2")),
    mode=st.sampled_from(("long", "pm32", "real")),
    count=st.integers(0, 40) | st.integers(0, 3000),
    rsi=st.sampled_from(SIDES) | st.integers(DATA, MMIO),
    rdi=st.sampled_from(SIDES) | st.integers(DATA, MMIO),
    taken=st.lists(st.integers(0, 50) | st.just(STEP_BATCH), min_size=1, max_size=6),
    down=st.booleans(),
    hole=st.booleans(),
)
def test_blocks_make_no_difference(
    two_engines, opcode, prefix, mode, count, rsi, rdi, taken, down, hole
):
    """Registers, RAM and devices end up the same, whatever a device takes at once."""
    code = prefix + (opcode.replace("48", "") if mode != "long" else opcode)
    registers = {"rcx": count, "rsi": rsi, "rdi": rdi, "rdx": PORT, "rax": 0x8877_6655_4433_2211}
    registers["rflags"] = 2 | DF if down else 2
    ends, calls = [], {}
    for blocks in (False, True):
        device = Device(chain.from_iterable(repeat(taken)) if any(taken) else cycle((0,)))
        machines = [machine_of(name, mode, code, registers, blocks=blocks) for name in two_engines]
        for machine in machines:
            if hole:
                machine.pte(0x9000, 0)
        outcome, calls[blocks] = drive(machines, device)
        assert machines[0].low == machines[1].low
        end = (outcome, machines[0].registers(), machines[0].state.retired, machines[0].low)
        ends.append((*end, device.memory, device.reads, device.written))
    assert ends[0] == ends[1]
    if min(taken):
        assert calls[True] <= calls[False]


@pytest.mark.parametrize("opcode", ["6c", "6e", "a4", "aa"])
def test_an_element_begun_by_itself_does_not_become_a_block(engine, opcode):
    """At a batch's last element there is room for one; once it is answered, for many again."""
    registers = {"rcx": STEP_BATCH + 2, "rsi": DATA, "rdi": DATA, "rdx": PORT, "rflags": 2}
    if opcode in {"a4", "aa"}:
        registers["rdi"] = MMIO
    device = Device(chain([1], repeat(STEP_BATCH)))
    machine = machine_of(engine, "long", "f3" + opcode, registers, blocks=True)
    outcome, _ = drive([machine], device)
    assert outcome == Done(CODE + 2, 0)
    assert machine.state.retired == STEP_BATCH + 2
    at_the_port = STEP_BATCH + 2 if opcode in {"6c", "6e"} else 0
    assert device.reads + len(device.written) == at_the_port


def test_one_call_instead_of_a_thousand(engine):
    machine = machine_of(engine, "long", "f3a4", {**TO_DEVICE, "rcx": 1000})
    _, calls = drive([machine], Device(cycle((STEP_BATCH,))))
    assert calls == 1
