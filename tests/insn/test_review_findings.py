# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Mistakes that reviews and other judges found, each kept as the test that failed before."""

import copy
import pickle
import threading

import pytest

from vmmkit.errors import GuestMemoryError, StateError, StepError
from vmmkit.insn import (
    WORD,
    BudgetSpent,
    Cpu,
    CpuState,
    Done,
    ExitKind,
    Fault,
    Halt,
    PortIn,
    PortOut,
    Read,
    Segment,
    Write,
    decode,
)

MMIO = 0xFEC0_0000


def boot(engine, code, mode="enter_protected_mode", size=0x4000, **registers):
    ram = bytearray(size)
    machine_code = bytes.fromhex(code)
    ram[: len(machine_code)] = machine_code
    cpu = Cpu([(0, ram)], engine=engine)
    getattr(cpu.state, mode)(0)
    for name, value in registers.items():
        setattr(cpu.state, name, value)
    return cpu


class Long:
    """A 64-bit guest with one page table whose entries a test can change."""

    PML4, PDPT, PD, PT = 0x1000, 0x2000, 0x3000, 0x4000

    def __init__(self, engine, code):
        self.ram = bytearray(0x8000)
        machine_code = bytes.fromhex(code)
        self.ram[: len(machine_code)] = machine_code
        for table, target in ((self.PML4, self.PDPT), (self.PDPT, self.PD), (self.PD, self.PT)):
            self.entry(table, target | 3)
        self.entry(self.PT, 3)
        self.map(MMIO)
        self.cpu = Cpu([(0, self.ram)], engine=engine)
        self.cpu.state.enter_long_mode(0, self.PML4)
        self.cpu.state.rbx = 0x1000

    def entry(self, gpa, value):
        self.ram[gpa : gpa + 8] = value.to_bytes(8, "little")

    def map(self, gpa, present=1):
        """Map linear page 1000h, where RBX points."""
        self.entry(self.PT + 8, gpa | 2 | present)


def test_call_checks_its_stack_before_it_reads_the_pointer_from_a_device(engine):
    cpu = boot(engine, "ff13", rbx=MMIO, rsp=0x100)  # call [ebx]
    cpu.state.ss = Segment(0x10, 0, 0x10, 0xC093)
    assert cpu.step() == Fault(12, 0, 0)


def test_instruction_count_wraps_like_any_64_bit_counter(engine):
    cpu = boot(engine, "90 ebfd", retired=(1 << 64) - 2)
    assert cpu.run(1) == BudgetSpent(1)
    assert cpu.state.retired == (1 << 64) - 1
    cpu.step()
    assert cpu.state.retired == 0


def test_released_buffer_is_refused_as_ram(engine):
    view = memoryview(bytearray(4096))
    view.release()
    with pytest.raises(GuestMemoryError, match="no contiguous byte buffer"):
        Cpu([(0, view)], engine=engine)


def test_resume_after_step_goes_on_with_a_repeated_instruction(engine):
    """The elements done before the exit had used up the step's limit of one instruction."""
    cpu = boot(engine, "f3aa f4", rdi=0x3FFD, rcx=6)
    assert cpu.step() == Write(0x4000, 1, 0)
    for gpa in (0x4001, 0x4002):
        assert cpu.resume(0) == ExitKind.WRITE
        assert cpu.outcome(ExitKind.WRITE) == Write(gpa, 1, 0)
    assert cpu.resume(0) == ExitKind.BUDGET
    assert (cpu.state.rip, cpu.state.rcx, cpu.awaits_answer) == (2, 0, False)


def test_rip_changed_under_an_instruction_in_flight_is_an_error_that_loses_nothing(engine):
    """The bytes latched for one place were once executed at another."""
    cpu = boot(engine, "8903 f4 40", rbx=MMIO)
    assert cpu.step() == Write(MMIO, 4, 0)
    cpu.state.rip = 3
    for go_on in (cpu.step, lambda: cpu.run(1)):
        with pytest.raises(StepError, match="instruction at 0x0 awaits completion"):
            go_on()
    assert cpu.resume(0) == ExitKind.STALE
    cpu.state.rip = 0
    assert cpu.step() == Done(2, 0)
    cpu.state.rip = 0
    cpu.step()
    cpu.state.rip = 3
    cpu.abandon()
    assert cpu.step() == Done(4, 0)


def test_mode_changed_under_an_instruction_in_flight_is_an_error(engine):
    cpu = boot(engine, "8903", rbx=MMIO)
    cpu.step()
    cpu.state.cs = Segment(0, 0, 0xFFFF, 0x9B)
    with pytest.raises(StepError):
        cpu.step()


@pytest.mark.parametrize("enter", ["enter_real_mode", "enter_protected_mode"])
def test_entering_a_mode_abandons_what_was_in_flight(engine, enter):
    cpu = boot(engine, "8903 f4 40", rbx=MMIO)
    cpu.step()
    getattr(cpu.state, enter)(2)
    assert not cpu.awaits_answer
    assert cpu.step() == Halt(3)


def test_a_write_is_not_repeated_when_its_page_goes_away_meanwhile(engine):
    """The access was made; that its page is gone by the time it is replayed is no fault of it."""
    guest = Long(engine, "8903 f4")  # mov [rbx], eax
    assert guest.cpu.step() == Write(MMIO, 4, 0)
    guest.map(MMIO, present=0)
    assert guest.cpu.step() == Done(2, 0)


def test_a_read_goes_to_its_register_though_its_page_moved_meanwhile(engine):
    guest = Long(engine, "8b03 f4")  # mov eax, [rbx]
    assert guest.cpu.step() == Read(MMIO, 4)
    guest.entry(guest.PD, 0x10_0003)  # the walk would now ask a device
    assert guest.cpu.step(0x9003) == Done(2, 0)
    assert guest.cpu.state.rax == 0x9003


@pytest.mark.native
def test_aligned_accesses_do_not_tear():
    """SDM vol. 3A, "Guaranteed Atomic Operations": aligned quadwords are single accesses."""
    guest = Long("native", "488903 48f7d0 ebf8")  # mov [rbx], rax; not rax; jmp
    guest.map(0x6000)
    cells = memoryview(guest.ram).cast("Q")
    seen = set()
    with_guest = threading.Thread(target=guest.cpu.run, args=(12_000_000,))
    with_guest.start()
    while with_guest.is_alive():
        seen.update(cells[0x6000 // 8] for _ in range(1000))
    assert seen <= {0, (1 << 64) - 1}


def outcomes_of(engine, changes):
    cpu = boot(engine, "8b03 f4", rbx=MMIO)
    cpu.step()
    for name, value in changes.items():
        cpu.state.words[WORD[name]] = value
    kind = cpu.resume(0x1234)
    return kind, cpu.state.rax, cpu.state.rip


HOSTILE = [
    *({"log_count": count} for count in (1, 63, 64, 70, 1 << 63, (1 << 64) - 1)),
    *({"exit_size": size} for size in (0, 3, 9, 1 << 32, (1 << 64) - 1)),
    *({"page_count": count} for count in (1, 16, 17, (1 << 64) - 1)),
    *({"code_length": length} for length in (0, 1, 15, 16, 255, (1 << 64) - 1)),
    *({"log_pending": kind} for kind in (1, 6, 9, (1 << 64) - 1)),
]


@pytest.mark.parametrize("changes", HOSTILE, ids=str)
def test_a_record_somebody_wrote_into_never_raises(engine, changes):
    kind, _, _ = outcomes_of(engine, changes)
    assert kind in set(ExitKind)


@pytest.mark.native
@pytest.mark.parametrize("changes", HOSTILE, ids=str)
def test_engines_agree_on_a_record_somebody_wrote_into(changes):
    assert outcomes_of("pure", changes) == outcomes_of("native", changes)


VM86, PVI, VME, VIF, VIP = 1 << 17, 1 << 1, 1 << 0, 1 << 19, 1 << 20
VIRTUAL = [
    # code, CR4, RFLAGS before, outcome, RFLAGS after
    ("fa", 0, VM86 | VIF, Fault(13, 0, 0), VM86 | VIF),
    ("fa", VME, VM86 | VIF, Done(1, 0), VM86),
    ("fb", VME, VM86, Done(1, 0), VM86 | VIF),
    ("fb", VME, VM86 | VIP, Fault(13, 0, 0), VM86 | VIP),
    ("fb", PVI, VM86, Fault(13, 0, 0), VM86),
]


@pytest.mark.parametrize(("code", "cr4", "before", "outcome", "after"), VIRTUAL)
def test_vme_moves_cli_and_sti_to_vif(engine, code, cr4, before, outcome, after):
    cpu = boot(engine, code, "enter_real_mode")
    cpu.state.cr0 |= 1
    cpu.state.cr4, cpu.state.rflags = cr4, before | 2
    assert cpu.step() == outcome
    assert cpu.state.rflags == after | 2


@pytest.mark.parametrize("code", ["fa", "fb"])
def test_pvi_moves_cli_and_sti_to_vif_at_cpl_3(engine, code):
    cpu = boot(engine, code, cr4=PVI)
    cpu.state.ss = Segment(0x13, 0, 0xFFFF_FFFF, 0xC0F3)
    assert cpu.step() == Done(1, 0)
    assert cpu.state.rflags == 2 | (VIF if code == "fb" else 0)


def test_system_tables_at_addresses_that_are_not_canonical_are_refused(engine):
    guest = Long(engine, "ec")  # in al, dx
    state = guest.cpu.state
    state.ss = Segment(0x13, 0, 0xFFFF_FFFF, 0xC0F3)
    state.tr = Segment(0x20, 1 << 60, 0xFFFF, 0x8B)
    guest.entry(guest.PML4, guest.PDPT | 7)
    for table, target in ((guest.PDPT, guest.PD), (guest.PD, guest.PT)):
        guest.entry(table, target | 7)
    guest.entry(guest.PT, 7)
    assert guest.cpu.step() == Fault(13, 0, 0)


def test_a_selector_is_16_bits_whatever_the_record_says(engine):
    cpu = boot(engine, "8cd8")  # mov eax, ds
    cpu.state.words[WORD["segment"] + 4 * 3] = 0x1_2345_6789
    cpu.step()
    assert cpu.state.rax == 0x6789


def test_kick_ends_the_next_run_at_once_and_no_other(engine):
    cpu = boot(engine, "40 ebfd")
    cpu.kick()
    assert cpu.run(100) == BudgetSpent(0)
    assert cpu.run(2) == BudgetSpent(0)
    assert cpu.state.rax == 1


def test_kick_lets_an_instruction_in_flight_complete(engine):
    cpu = boot(engine, "8b03 40", rbx=MMIO)
    cpu.run(10)
    cpu.kick()
    assert cpu.run(10, 5) == BudgetSpent(2)
    assert cpu.state.rax == 5


def test_kick_from_another_thread_ends_an_endless_loop(engine):
    cpu = boot(engine, "ebfe")
    outcome = []
    runner = threading.Thread(target=lambda: outcome.append(cpu.run((1 << 63) - 1)))
    runner.start()
    while not cpu.state.retired:
        pass
    cpu.kick()
    runner.join(timeout=30)
    assert outcome == [BudgetSpent(0)]


def test_a_long_run_is_sliced_without_a_trace(engine, monkeypatch):
    def slice_by_slice(_budget, _answer):
        return None

    monkeypatch.setattr("vmmkit.insn._cpu.RUN_SLICE", 10)
    cpu = boot(engine, "40 8b0b ebfb", rbx=MMIO)
    cpu._proceed = slice_by_slice
    cpu.state.rip = 0
    assert cpu.run(25) == Read(MMIO, 4)
    assert cpu.run(24, 1) == Read(MMIO, 4)
    cpu = boot(engine, "40 ebfd")
    cpu._proceed = slice_by_slice
    assert cpu.run(35) == BudgetSpent(1)
    assert (cpu.state.retired, cpu.state.rax) == (35, 18)


def test_a_kick_where_the_budget_ends_is_for_the_next_run(engine):
    cpu = boot(engine, "8b03 40 ebfd", rbx=MMIO)
    cpu.enter(1, 0)
    cpu.kick()
    cpu.resume(5)
    assert cpu.run(100) == BudgetSpent(2)
    assert cpu.run(100) == BudgetSpent(2)
    assert cpu.state.retired == 101


@pytest.mark.parametrize("budget", [1.5, "5", None, 0, -1, 1 << 63])
def test_budgets_that_are_none(engine, budget):
    with pytest.raises(StepError, match="budget"):
        boot(engine, "90").run(budget)


@pytest.mark.parametrize("value", [5, None, (1, 2, 3), (0x10000, 0, 0, 0), (0, 0, 1 << 32, 0)])
def test_segments_that_are_none(value):
    state = CpuState()
    before = state.cs
    with pytest.raises(StateError, match="cs takes"):
        state.cs = value
    assert state.cs == before


def test_the_state_of_a_cpu_cannot_be_swapped_under_it(engine):
    cpu = boot(engine, "90")
    with pytest.raises(AttributeError):
        cpu.state = CpuState()


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, CpuState.copy])
def test_state_copies_with_the_instruction_in_flight(engine, copied):
    cpu = boot(engine, "8b03", rbx=MMIO)
    cpu.step()
    twin = Cpu([(0, bytearray(4096))], engine=engine, state=copied(cpu.state))
    assert twin.step(7) == Done(2, 0)
    assert (twin.state.rax, cpu.state.rax) == (7, 0)
    again = pickle.loads(pickle.dumps(twin.state))
    assert again.record == twin.state.record


def test_entering_a_mode_leaves_what_would_spoil_it():
    state = CpuState()
    state.cr4, state.rflags = 1 << 12, VM86 | 2
    state.enter_long_mode(0, 0x1000)
    assert (state.cr4 >> 12 & 1, state.rflags, state.mode) == (0, 2, 64)
    state.rflags |= VM86
    state.enter_protected_mode(0)
    assert (state.rflags, state.mode) == (2, 32)
    state.enter_real_mode(0)
    assert state.mode == 16


@pytest.mark.parametrize("mode", [64.5, "64", None, 8, []])
def test_decode_refuses_modes_that_are_none(engine, mode):
    with pytest.raises(ValueError, match="mode is 16, 32 or 64"):
        decode(b"\x90", mode, engine=engine)


def test_absolute_offsets_are_not_negative(engine):
    assert decode(bytes.fromhex("67a1ffffffff"), 64, engine=engine).displacement == 0xFFFF_FFFF
    assert decode(bytes.fromhex("a1ffff"), 16, engine=engine).displacement == 0xFFFF


def test_port_accesses_are_in_flight_like_all_others(engine):
    cpu = boot(engine, "ee ec", rdx=0x80)
    assert cpu.step() == PortOut(0x80, 1, 0)
    assert cpu.awaits_answer
    assert cpu.step() == Done(1, 0)
    assert cpu.step() == PortIn(0x80, 1)
