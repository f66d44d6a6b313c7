# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Every memory form on RAM, and on a device behind exits that tell an address and nothing more."""

import itertools
from random import Random

import pytest

from guests.exits import (
    CODE,
    LOW,
    PRESENT,
    TO_DEVICE,
    TO_NOTHING,
    TO_RAM,
    WINDOW,
    WINDOW_SIZE,
    Exit,
    Hardware,
    Machine,
    MismatchError,
    Monitor,
)
from insn.memory_forms import AREAS, FAR, IMPLICIT, forms, operand_value, registers
from vmmkit.errors import DecodeError
from vmmkit.insn import WORD, Done, operand_accesses
from vmmkit.insn._operands import STRINGS
from vmmkit.insn._pure import EXECUTE
from vmmkit.insn.optable import OPS, ROWS

MODES = (16, 32, 64)
LOADS_SYSTEM = {"LGDT", "LIDT", "LLDT", "LTR", "INVPCID"}
NAMES = (
    *("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{n}" for n in range(8, 16))),
    *("rip", "rflags", "es", "cs", "ss", "ds", "fs", "gs", "interrupt_shadow"),
)
HLT = 0xF4
SPARE = 0x3_F000  # a page of RAM that nothing else uses


VECTOR_SIZE = 32 * 64 + 8 * 8
VECTORS = slice(8 * WORD["vector"], 8 * WORD["vector"] + VECTOR_SIZE)


class Bench:
    """One machine per mode and engine, set up anew for each form."""

    def __init__(self, mode, engine):
        self.machine = Machine(mode, engine)
        self.hardware, self.monitor = Hardware(self.machine), Monitor(self.machine)
        self.ram = bytes(self.machine.ram)
        self.record = bytes(self.hardware.cpu.state.record)

    def load(self, form, seed, tables):
        """Put form, registers and data in place; the window's content goes to RAM or device."""
        rng, machine, state = Random(seed), self.machine, self.hardware.cpu.state
        machine.ram[:], machine.ports[:] = self.ram, []
        machine.ram[WINDOW - 0x1000 : WINDOW + WINDOW_SIZE] = rng.randbytes(0x1000 + WINDOW_SIZE)
        machine.ram[CODE : CODE + len(form.code)] = form.code
        state.record[:], state.cr3 = self.record, tables
        state.fs = state.fs._replace(base=0x20)
        values = registers(form, rng)
        for name, value in values.items():
            setattr(state, name, value)
        # With every sign set, so that masked moves move.
        state.record[VECTORS] = bytes(byte | 0x80 for byte in rng.randbytes(VECTOR_SIZE))
        if form.insn.mnemonic not in STRINGS:
            place = operand_accesses(form.insn, state)[0].linear
            machine.poke(place, operand_value(form, rng, values), 16)
        if tables == TO_NOTHING:
            machine.device[:] = machine.ram[WINDOW : WINDOW + WINDOW_SIZE]
            machine.ram[WINDOW : WINDOW + WINDOW_SIZE] = bytes(WINDOW_SIZE)

    def run(self, form, *, brings_code=False):
        """Run a form to its end, emulating at exits; return its outcome and their number."""
        exits, outcome = 0, Done(self.machine.rip, 0)
        while outcome == Done(self.machine.rip, 0):
            outcome = self.hardware.run(brings_code=brings_code)
            if isinstance(outcome, Exit):
                exits += 1
                outcome = self.emulate(outcome, form)
        return outcome, exits

    def on_ram(self, form, seed):
        """Run a form on RAM; return what it left behind."""
        self.load(form, seed, TO_RAM)
        outcome, _ = self.run(form)
        return self.left(outcome, self.machine.ram[WINDOW : WINDOW + WINDOW_SIZE])

    def on_device(self, form, seed, *, brings_code):
        """Run a form on the device; return the same, and whether there was an exit."""
        self.load(form, seed, TO_NOTHING)
        outcome, exits = self.run(form, brings_code=brings_code)
        assert not any(self.machine.ram[WINDOW : WINDOW + WINDOW_SIZE]), "RAM behind the device"
        return self.left(outcome, self.machine.device), exits > 0

    def emulate(self, exit_, form):
        """Let the monitor do it; where the bytes came along, memory holds others by then."""
        if exit_.code:
            self.machine.ram[CODE] = HLT
        outcome, after = self.monitor.handle(exit_)
        self.hardware.resume(after)
        self.machine.ram[CODE : CODE + len(form.code)] = form.code
        return outcome

    def left(self, outcome, window):
        state, ram = self.hardware.cpu.state, self.machine.ram
        return {
            "outcome": outcome,
            **{name: getattr(state, name) for name in NAMES},
            "vectors and opmasks": bytes(state.record[VECTORS]),
            "window": bytes(window),
            "other RAM": bytes(ram[:WINDOW] + ram[WINDOW + WINDOW_SIZE : LOW]),
            "ports": list(self.machine.ports),
        }


def sample(mode):
    """Two of each form's kinds of addressing and place, taking turns; not of the same place."""
    groups = itertools.groupby(forms(mode), lambda form: form.kind)
    for number, (_, group) in enumerate(groups):
        ways = list(group)
        yield from (ways[(number * 5 + turn) % len(ways)] for turn in (0, 7))


@pytest.fixture(params=MODES, ids="{}-bit".format)
def mode(request):
    return request.param


@pytest.fixture
def bench(mode, engine):
    return Bench(mode, engine)


def check(bench, cases, *, brings_code):
    """Compare each form on RAM and device; return the rows whose accesses exited."""
    wrong, reached = [], set()
    for seed, form in enumerate(cases):
        expected = bench.on_ram(form, seed)
        found, exited = bench.on_device(form, seed, brings_code=brings_code)
        different = {name for name in expected if found[name] != expected[name]}
        if different:
            wrong.append(f"{form}, seed {seed}: {found['outcome']}, differs in {different}")
        # What needs alignment may fail here, and what loads system registers.
        may_fail = form.insn.memory_size >= 16 or form.insn.mnemonic in LOADS_SYSTEM
        assert isinstance(found["outcome"], Done) or may_fail, found["outcome"]
        if exited:
            reached.add(form.row)
    assert wrong == []
    return reached


@pytest.mark.slow
def test_every_memory_form_does_on_a_device_what_it_does_on_ram(bench, mode):
    cases = list(sample(mode))
    assert check(bench, cases, brings_code=False) == {form.row for form in cases}


def test_exits_that_bring_the_code_need_no_memory(bench, mode):
    check(bench, itertools.islice(sample(mode), 0, None, 20), brings_code=True)


@pytest.mark.slow
def test_more_exits_that_bring_the_code_need_no_memory(bench, mode):
    check(bench, itertools.islice(sample(mode), 1, None, 4), brings_code=True)


@pytest.mark.slow
def test_many_prefixes_addressings_and_places(bench, mode):
    step = {"native": 3, "pure": 7}[bench.machine.engine]  # odd, so that every place has its turn
    check(bench, forms(mode)[::step], brings_code=False)
    check(bench, forms(mode)[:: 5 * step], brings_code=True)


def may_be_memory(row):
    """Of opmask instructions only KMOV k, k/m; what is left out has tests of its own."""
    masks = " k" in row.operands and row.encoding[-2:] != "90"
    return not (masks or row.index_size or OPS[row.op] in FAR | AREAS)


def test_no_executable_memory_form_is_left_out():
    tried = {form.row for mode in MODES for form in forms(mode)}
    explicit = {
        number
        for number, row in enumerate(ROWS)
        if EXECUTE[number] is not None and row.access and may_be_memory(row)
    }
    assert explicit <= tried
    assert {OPS[ROWS[number].op] for number in tried - explicit} == IMPLICIT


def first(mode, mnemonic):
    """A form that reads and writes its operand."""
    return next(form for form in forms(mode) if form.insn.mnemonic == mnemonic)


def test_bytes_that_do_not_touch_the_address_are_refused(bench, mode):
    """Another processor wrote over the instruction between the exit and the fetch."""
    bench.load(first(mode, "ADD"), 1, TO_NOTHING)
    exit_ = bench.hardware.run()
    bench.machine.ram[CODE : CODE + 2] = b"\x89\xc8"  # mov ax, cx
    with pytest.raises(MismatchError, match=hex(exit_.gla)):
        bench.monitor.handle(exit_)


def test_an_operand_elsewhere_is_refused(bench, mode):
    bench.load(first(mode, "ADD"), 1, TO_NOTHING)
    exit_ = bench.hardware.run()
    with pytest.raises(MismatchError):
        bench.monitor.handle(exit_._replace(gla=exit_.gla + 0x100))


def test_code_is_fetched_across_pages_that_lie_apart(bench, mode):
    form, machine = first(mode, "ADD"), bench.machine
    expected = bench.on_ram(form, 1)
    for root in (TO_NOTHING, TO_DEVICE):
        machine.map(root, CODE + 0x1000, SPARE | PRESENT)
    bench.ram = bytes(machine.ram[:CODE]) + bench.ram[CODE:LOW] + bytes(machine.ram[LOW:])
    bench.load(form, 1, TO_NOTHING)
    cut = 1
    machine.ram[CODE + 0x1000 - cut : CODE + 0x1000] = form.code[:cut]
    machine.ram[SPARE : SPARE + len(form.code) - cut] = form.code[cut:]
    bench.hardware.cpu.state.rip += 0x1000 - cut
    exit_ = bench.hardware.run()
    outcome, _ = bench.monitor.handle(exit_)
    assert outcome == Done(expected["rip"] + 0x1000 - cut, 0)
    assert machine.device == expected["window"]


def test_a_guest_that_pages_its_code_out_gets_its_page_fault(bench, mode):
    """Hardware would not exit there; a monitor that comes late finds no translation."""
    bench.load(first(mode, "ADD"), 1, TO_NOTHING)
    exit_ = bench.hardware.run(brings_code=True)
    bench.machine.map(TO_DEVICE, CODE, 0)
    with pytest.raises(DecodeError):
        bench.monitor.handle(exit_._replace(code=b""))
    outcome, _ = bench.monitor.handle(exit_)
    assert isinstance(outcome, Done)
