# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The software vCPU: exits, completion, budgets, ports, and guests that go astray."""

import pytest

from vmmkit.backends import SoftVcpu
from vmmkit.errors import GuestMemoryError, HandlerError, StepError, UnmappedError
from vmmkit.insn import (
    BudgetSpent,
    Done,
    Fault,
    Halt,
    InterruptWindow,
    PortIn,
    PortOut,
    Read,
    TripleFault,
    Unsupported,
    UnsupportedReason,
    Write,
    available_engines,
)
from vmmkit.memregion import RegionMap, all_ones

CODE = 0x1000
MMIO = 0xFEC0_0000


@pytest.fixture(params=available_engines())
def engine(request):
    return request.param


@pytest.fixture
def boot(engine):
    """Return a maker of 32-bit vCPUs with `code` at CODE in 64 KiB of RAM."""

    def make(code: str, **registers: int) -> SoftVcpu:
        ram = bytearray(0x1_0000)
        machine_code = bytes.fromhex(code)
        ram[CODE : CODE + len(machine_code)] = machine_code
        vcpu = SoftVcpu([(0, ram)], engine=engine)
        vcpu.state.enter_protected_mode(CODE)
        vcpu.state.rsp = 0x8000
        for name, value in registers.items():
            setattr(vcpu.state, name, value)
        return vcpu

    return make


def registers_of(vcpu):
    return [*vcpu.state.gpr, vcpu.state.rip, vcpu.state.rflags, vcpu.state.retired]


# (code, registers, exits in order with the answer given after each)
EXITS = [
    ("e480 f4", {}, [(PortIn(0x80, 1), 0x41), (Halt(CODE + 3), None)]),
    ("66ed f4", {"rdx": 0xCF8}, [(PortIn(0xCF8, 2), 0x1234), (Halt(CODE + 3), None)]),
    ("ef f4", {"rdx": 0xCFC, "rax": 0x8000_0000}, [(PortOut(0xCFC, 4, 0x8000_0000), None)]),
    ("8b03 f4", {"rbx": MMIO}, [(Read(MMIO, 4), 7), (Halt(CODE + 3), None)]),
    ("8803 f4", {"rbx": MMIO, "rax": 0x1FF}, [(Write(MMIO, 1, 0xFF), None)]),
    ("8703 f4", {"rbx": MMIO, "rax": 5}, [(Read(MMIO, 4), 9), (Write(MMIO, 4, 5), None)]),
    ("f4", {}, [(Halt(CODE + 1), None)]),
    ("0f0b", {}, [(Fault(6, 0, 0), None)]),
]


@pytest.mark.parametrize(("code", "registers", "expected"), EXITS, ids=[row[0] for row in EXITS])
def test_exits_come_in_order_and_complete(boot, code, registers, expected):
    vcpu = boot(code, **registers)
    for exit_, answer in expected:
        assert vcpu.run() == exit_
        if answer is not None:
            vcpu.complete(answer)


def test_completed_value_is_cut_to_the_access(boot):
    vcpu = boot("8a03 f4", rbx=MMIO, rax=0xAABB_CCDD)
    assert vcpu.run() == Read(MMIO, 1)
    vcpu.complete(0x1_2345)
    assert vcpu.run() == Halt(CODE + 3)
    assert vcpu.state.rax == 0xAABB_CC45


def test_budget_ends_a_run_and_the_next_goes_on(boot):
    vcpu = boot("40 40 40 40 f4")  # inc eax, four times
    assert vcpu.run(3) == BudgetSpent(CODE + 3)
    assert (vcpu.state.rax, vcpu.state.retired) == (3, 3)
    assert vcpu.run(3) == Halt(CODE + 5)


def test_budget_bounds_a_repeated_instruction(boot):
    vcpu = boot("f3aa f4", rdi=0x4000, rcx=100, rax=0x55)
    assert vcpu.run(30) == BudgetSpent(CODE)
    assert (vcpu.state.rcx, vcpu.state.rdi) == (70, 0x4000 + 30)
    assert vcpu.run(71) == Halt(CODE + 3)


@pytest.mark.parametrize("budget", [0, -1, 1 << 63])
def test_budget_out_of_range_is_refused(boot, budget):
    vcpu = boot("f4")
    with pytest.raises(StepError, match=str(budget)):
        vcpu.run(budget)
    assert vcpu.run() == Halt(CODE + 1)


def test_a_read_that_nobody_completed_is_refused(boot):
    vcpu = boot("8b03 f4", rbx=MMIO)
    vcpu.run()
    with pytest.raises(StepError, match="fec00000"):
        vcpu.run()
    vcpu.complete(1)
    assert vcpu.run() == Halt(CODE + 3)


@pytest.mark.parametrize("value", [None, "1", 1.0, b"\1"])
def test_completing_with_no_integer_is_refused(boot, value):
    vcpu = boot("8b03 f4", rbx=MMIO)
    vcpu.run()
    with pytest.raises(StepError):
        vcpu.complete(value)
    vcpu.complete(3)
    assert vcpu.run() == Halt(CODE + 3)
    assert vcpu.state.rax == 3


def test_completing_what_needs_none_is_refused(boot):
    vcpu = boot("8903 f4", rbx=MMIO)
    with pytest.raises(StepError):
        vcpu.complete(1)
    assert vcpu.run() == Write(MMIO, 4, 0)
    with pytest.raises(StepError):
        vcpu.complete(1)
    assert vcpu.run() == Halt(CODE + 3)


def test_abandoned_read_starts_afresh(boot):
    vcpu = boot("8b03 f4", rbx=MMIO)
    vcpu.run()
    vcpu.abandon()
    vcpu.state.rbx = 0x4000
    assert vcpu.run() == Halt(CODE + 3)


def test_running_off_the_end_of_ram_names_the_address(boot):
    vcpu = boot("e9f9ef0000")  # jmp to the last byte of RAM but one
    vcpu.state.rip = 0xFFFE
    before = registers_of(vcpu)
    outcome = vcpu.run()
    # two zero bytes are `add [eax], al`; what follows lies beyond RAM
    assert outcome == Unsupported(b"", UnsupportedReason.NO_CODE, 0x1_0000)
    assert vcpu.state.rip == 0x1_0000
    assert registers_of(vcpu)[:16] == before[:16]


def test_an_instruction_cut_by_the_end_of_ram_changes_nothing(boot):
    vcpu = boot("90")
    vcpu.state.rip = 0xFFFF  # 00: the ModRM byte would be outside
    before = registers_of(vcpu)
    outcome = vcpu.run()
    assert outcome == Unsupported(b"\0", UnsupportedReason.NO_CODE, 0x1_0000)
    assert registers_of(vcpu) == before


GARBAGE = [
    ("d8c0", Unsupported, "fadd is not executed"),
    ("0faa", Fault, "rsm is no instruction outside of SMM"),
    ("fe38", Fault, "an encoding that does not exist"),
    ("f08b03", Fault, "LOCK where it is illegal"),
    ("66" * 15 + "90", Fault, "longer than 15 bytes"),
]


@pytest.mark.parametrize(("code", "kind", "_why"), GARBAGE, ids=[row[2] for row in GARBAGE])
def test_garbage_is_a_typed_outcome_and_changes_nothing(boot, code, kind, _why):
    vcpu = boot(code)
    before = registers_of(vcpu)
    outcome = vcpu.run()
    assert isinstance(outcome, kind)
    assert registers_of(vcpu) == before
    if isinstance(outcome, Unsupported):
        assert outcome.code.startswith(bytes.fromhex(code))
        assert outcome.address == CODE


def test_a_jump_into_the_void_names_the_physical_address(boot):
    vcpu = boot("ffe0", rax=0xDEAD_0000)
    assert vcpu.run() == Unsupported(b"", UnsupportedReason.NO_CODE, 0xDEAD_0000)


class Machine:
    """Two maps with a device each, and a log of what reached them."""

    def __init__(self):
        self.log = []
        self.mmio, self.pio = RegionMap(name="mmio"), RegionMap(address_bits=16, name="pio")
        self.mmio.add(MMIO, 0x1000, read=self.read, write=self.write, name="device")
        self.pio.add_fallback(0, 0x1_0000, all_ones, name="empty")

    def read(self, _vcpu, offset, size):
        self.log.append(("read", offset, size))
        return offset + 1

    def write(self, _vcpu, offset, size, value):
        self.log.append(("write", offset, size, value))


def test_run_through_serves_ports_until_something_else(boot):
    machine = Machine()
    vcpu = boot("8b4304 894308 e480 e780 f4", rbx=MMIO)
    outcome = vcpu.run_through(machine.mmio.port(0), machine.pio.port(0))
    assert outcome == Halt(CODE + 11)
    assert machine.log == [("read", 4, 4), ("write", 8, 4, 5)]
    assert vcpu.state.rax == 0xFF


def test_run_through_keeps_to_its_budget(boot):
    machine = Machine()
    vcpu = boot("8b03 ebfc", rbx=MMIO)
    assert vcpu.run_through(machine.mmio.port(0), machine.pio.port(0), 9) == BudgetSpent(CODE + 2)
    assert (vcpu.state.retired, len(machine.log)) == (9, 5)


def test_run_through_leaves_an_unmapped_access_awaiting_its_answer(boot):
    machine = Machine()
    vcpu = boot("8b03 f4", rbx=0xE000_0000)
    with pytest.raises(UnmappedError, match="e0000000"):
        vcpu.run_through(machine.mmio.port(0), machine.pio.port(0))
    vcpu.complete(0xFFFF_FFFF)
    assert vcpu.run_through(machine.mmio.port(0), machine.pio.port(0)) == Halt(CODE + 3)
    assert vcpu.state.rax == 0xFFFF_FFFF


def test_a_handler_that_raises_leaves_map_and_vcpu_usable(boot):
    mmio, pio = RegionMap(name="mmio"), RegionMap(address_bits=16, name="pio")
    answers = iter([ZeroDivisionError("broken"), 5])

    def read(_vcpu, _offset, _size):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    mmio.add(MMIO, 0x1000, read=read, name="broken")
    vcpu = boot("8b03 f4", rbx=MMIO)
    before = registers_of(vcpu)
    with pytest.raises(HandlerError, match="broken"):
        vcpu.run_through(mmio.port(0), pio.port(0))
    assert registers_of(vcpu) == before
    vcpu.abandon()
    assert vcpu.run_through(mmio.port(0), pio.port(0)) == Halt(CODE + 3)
    assert vcpu.state.rax == 5


BAD_RAM = [
    ([(0, bytearray(100))], "whole pages"),
    ([(0, bytearray())], "whole pages"),
    ([(100, bytearray(4096))], "multiple of 4096"),
    ([(-4096, bytearray(4096))], "-4096"),
    ([(1 << 52, bytearray(4096))], "52 bits"),
    ([(0, bytearray(8192)), (4096, bytearray(4096))], "overlap"),
    ([(0, "text")], "no contiguous byte buffer"),
    ([("0", bytearray(4096))], "multiple of 4096"),
]


@pytest.mark.parametrize(("ram", "text"), BAD_RAM, ids=range(len(BAD_RAM)))
def test_bad_ram_is_refused(engine, ram, text):
    with pytest.raises(GuestMemoryError, match=text):
        SoftVcpu(ram, engine=engine)


def test_read_only_ram_is_rom(engine):
    vcpu = SoftVcpu([(0, bytes.fromhex("a204000000f4").ljust(4096, b"\0"))], engine=engine)
    vcpu.state.enter_protected_mode(0)
    assert vcpu.run() == Write(4, 1, 0)
    assert vcpu.run() == Halt(6)


def test_run_through_tries_a_refused_write_once_more(boot):
    """A write that a port refused was once lost by running on."""
    mmio, pio, log = RegionMap(name="mmio"), RegionMap(address_bits=16, name="pio"), []
    ports = mmio.port(0), pio.port(0)
    vcpu = boot("8903 f4", rbx=MMIO, rax=5)
    with pytest.raises(UnmappedError):
        vcpu.run_through(*ports)
    mmio.add(MMIO, 8, write=lambda *access: log.append(access), name="late")
    assert vcpu.run_through(*ports) == Halt(CODE + 3)
    assert log == [(0, 0, 4, 5)]


def test_running_on_past_a_refused_write_counts_it_as_done(boot):
    mmio, pio = RegionMap(name="mmio"), RegionMap(address_bits=16, name="pio")
    vcpu = boot("8903 f4", rbx=MMIO)
    with pytest.raises(UnmappedError):
        vcpu.run_through(mmio.port(0), pio.port(0))
    assert vcpu.run() == Halt(CODE + 3)


def test_run_through_does_a_read_that_run_left_undone(boot):
    machine = Machine()
    vcpu = boot("8b03 f4", rbx=MMIO)
    assert vcpu.run() == Read(MMIO, 4)
    assert vcpu.run_through(machine.mmio.port(0), machine.pio.port(0)) == Halt(CODE + 3)
    assert machine.log == [("read", 0, 4)]


def test_run_through_does_not_repeat_a_write_that_the_owner_did(boot):
    machine = Machine()
    vcpu = boot("8903 f4", rbx=MMIO)
    assert vcpu.run() == Write(MMIO, 4, 0)
    assert vcpu.run_through(machine.mmio.port(0), machine.pio.port(0)) == Halt(CODE + 3)
    assert machine.log == []


def test_step_completes_the_access_in_flight_and_nothing_more(boot):
    vcpu = boot("8903 40 f4", rbx=MMIO)
    assert vcpu.run() == Write(MMIO, 4, 0)
    assert vcpu.awaits_answer
    assert vcpu.step() == Done(CODE + 2, 0)
    assert (vcpu.awaits_answer, vcpu.state.rax) == (False, 0)


def test_kick_ends_a_run(boot):
    vcpu = boot("ebfe")
    vcpu.kick()
    assert vcpu.run() == BudgetSpent(CODE)


@pytest.mark.native
@pytest.mark.parametrize(("budget", "kind"), [(7_000_000, Halt), (5_000_000, BudgetSpent)])
def test_run_through_spends_all_of_a_long_budget(budget, kind):
    """After a device access, what was left was once that of a slice of some million."""
    ram, mmio, pio = bytearray(0x1000), RegionMap(name="mmio"), RegionMap(address_bits=16)
    ram[:11] = bytes.fromhex("bbc0c62d00 e680 4b 75fd f4")  # count down from 3 000 000
    pio.add(0x80, 1, write=lambda *_access: None, name="diagnostic")
    vcpu = SoftVcpu([(0, ram)], engine="native")
    vcpu.state.enter_protected_mode(0)
    outcome = vcpu.run_through(mmio.port(vcpu), pio.port(vcpu), budget)
    assert isinstance(outcome, kind)
    assert vcpu.state.retired == min(budget, 2 + 2 * 3_000_000 + 1)


def test_delivery(engine):
    """A guest that takes its own page of exceptions, and a timer's interrupts between."""
    ram = bytearray(0x1_0000)
    ram[CODE : CODE + 6] = bytes.fromhex("fb0f0bf4ebfd")  # sti; ud2; hlt; jmp to the hlt
    ram[0x2000:0x2007] = bytes.fromhex("5883c0025043cf")  # pop ax; add ax, 2; push ax; inc bx; iret
    ram[0x2010:0x2012] = bytes.fromhex("41cf")  # inc cx; iret
    ram[4 * 6 : 4 * 6 + 4] = (0x2000).to_bytes(4, "little")
    ram[4 * 0x20 : 4 * 0x20 + 4] = (0x2010).to_bytes(4, "little")
    vcpu = SoftVcpu([(0, ram)], engine=engine, deliver=True)
    vcpu.state.enter_real_mode(CODE)
    vcpu.state.rsp = 0x8000
    for ticks in range(4):
        assert vcpu.run() == Halt(CODE + 4)
        assert (vcpu.state.rbx, vcpu.state.rcx) == (1, ticks)
        assert vcpu.interrupt_window
        vcpu.request_interrupt(0x20)
    vcpu.request_interrupt_window()
    assert vcpu.run() == Halt(CODE + 4)
    assert vcpu.run() == InterruptWindow(CODE + 4)
    vcpu.inject(6)
    assert vcpu.event_pending
    vcpu.nmi()
    vcpu.state.idtr_limit = 0
    assert vcpu.run() == TripleFault(CODE + 4)
