# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""MSRs, the time-stamp counter, CPUID, RDPMC, random numbers: held, asked for, refused."""

import pytest

from insn.machine import (
    CF,
    CODE,
    CR4_PAE,
    EFER_LMA,
    EFER_LME,
    EFER_NXE,
    GP,
    STATUS,
    UD,
    VM,
    Machine,
    check_case,
    check_fault,
)
from vmmkit.errors import StepError
from vmmkit.insn import (
    WORD,
    Cpuid,
    CpuState,
    Done,
    ExitKind,
    Fault,
    Feature,
    Random,
    ReadMsr,
    ReadPmc,
    WriteMsr,
)

RDMSR, WRMSR, RDTSC, RDTSCP, RDPMC, CPUID = "0f32", "0f30", "0f31", "0f01f9", "0f33", "0fa2"
ALL, LOW = (1 << 64) - 1, 0xFFFF_FFFF
HIGH, NOT_CANONICAL = 0xFFFF_8000_1234_5678, 1 << 47
LONG_EFER = EFER_LME | EFER_LMA
PAT = 0x0007_0406_0007_0406

# Index, attribute, values that WRMSR takes, values that it refuses.
HELD = [
    (0x174, "sysenter_cs", [0, ALL], []),
    (0x175, "sysenter_esp", [HIGH], [NOT_CANONICAL]),
    (0x176, "sysenter_eip", [HIGH], [NOT_CANONICAL]),
    (0x277, "pat", [0, PAT, 0x0706_0504_0100_0000], [2, 3 << 56, 8, 0xFF00]),
    (0xC000_0081, "star", [ALL], []),
    (0xC000_0082, "lstar", [HIGH], [NOT_CANONICAL]),
    (0xC000_0083, "cstar", [HIGH], [NOT_CANONICAL]),
    (0xC000_0084, "sfmask", [LOW], [LOW + 1]),
    (0xC000_0102, "kernel_gs_base", [HIGH], [NOT_CANONICAL]),
    (0xC000_0103, "tsc_aux", [LOW], [LOW + 1]),
]


def write(index, value):
    """Registers for WRMSR; the upper halves are ignored."""
    junk = 0xABCD << 32
    return {"rcx": junk | index, "rdx": junk | value >> 32, "rax": junk | value & LOW}


@pytest.mark.parametrize(("index", "name", "taken", "refused"), HELD)
def test_msrs_that_are_held(engine, index, name, taken, refused):
    for value in taken:
        check_case(engine, "long", WRMSR, {name: 1, **write(index, value)}, {name: value})
        before = {"rcx": index, "rax": ALL, "rdx": ALL, name: value}
        check_case(engine, "pm32", RDMSR, before, {"rax": value & LOW, "rdx": value >> 32})
    for value in refused:
        check_fault(Machine(engine, "long", WRMSR, write(index, value)), GP)


@pytest.mark.parametrize(("index", "name"), [(0xC000_0100, "fs"), (0xC000_0101, "gs")])
def test_segment_bases(engine, index, name):
    machine = Machine(engine, "long", WRMSR + RDMSR, write(index, HIGH))
    assert isinstance(machine.step(), Done)
    assert getattr(machine.state, name).base == HIGH
    assert isinstance(machine.step(), Done)
    assert (machine.state.rdx, machine.state.rax) == (HIGH >> 32, HIGH & LOW)
    check_fault(Machine(engine, "long", WRMSR, write(index, NOT_CANONICAL)), GP)


EFER = 0xC000_0080


@pytest.mark.parametrize(
    ("mode", "value", "efer"),
    [
        ("pm32", EFER_LME | 1 | EFER_NXE, EFER_LME | 1 | EFER_NXE),
        ("pm32", EFER_LMA, 0),  # LMA cannot be written
        ("long", EFER_LME | 1, LONG_EFER | 1),
        ("long", LONG_EFER | EFER_NXE, LONG_EFER | EFER_NXE),
        ("long", EFER_LMA, None),  # LME stays while paging is on
        ("pg32", EFER_LME, None),
        *(("pm32", 1 << bit, None) for bit in (1, 7, 9, 12, 13, 14, 15, 32, 63)),
    ],
)
def test_efer(engine, mode, value, efer):
    if efer is None:
        check_fault(Machine(engine, mode, WRMSR, write(EFER, value)), GP)
    else:
        check_case(engine, mode, WRMSR, write(EFER, value), {"efer": efer})


@pytest.mark.parametrize(
    ("feature", "bit"), [(Feature.SYSCALL, 1), (Feature.LM, EFER_LME), (Feature.NX, EFER_NXE)]
)
def test_efer_bits_follow_features(engine, feature, bit):
    hidden = {"features": ALL & ~feature}
    check_fault(Machine(engine, "pm32", WRMSR, write(EFER, bit) | hidden), GP)


def test_reading_an_msr_of_the_owner(engine):
    machine = Machine(engine, "long", RDMSR, {"rcx": 0x1B, "rax": ALL, "rdx": ALL})
    before = machine.registers()
    assert machine.step() == ReadMsr(0x1B)
    assert machine.cpu.awaits_answer
    assert machine.registers() == before
    assert machine.step(1 << 63 | 0xFEE0_0900) == Done(CODE + 2, 0)
    assert (machine.state.rdx, machine.state.rax) == (1 << 31, 0xFEE0_0900)


def test_writing_an_msr_of_the_owner(engine):
    machine = Machine(engine, "long", WRMSR, write(0x830, 0x1234_5678_9ABC_DEF0))
    before = machine.registers()
    assert machine.step() == WriteMsr(0x830, 0x1234_5678_9ABC_DEF0)
    assert machine.step() == Done(CODE + 2, 0)
    assert machine.registers() == before | {"rip": CODE + 2}


@pytest.mark.parametrize(("code", "asks"), [(RDMSR, ReadMsr), (WRMSR, WriteMsr), (RDPMC, ReadPmc)])
def test_refusing(engine, code, asks):
    machine = Machine(engine, "long", code, {"rcx": 0x1234})
    before = machine.registers()
    assert isinstance(machine.step(), asks)
    machine.cpu.refuse()
    assert machine.step() == Fault(GP, 0, 0)
    assert machine.registers() == before
    assert not machine.cpu.awaits_answer
    assert isinstance(machine.step(), asks)  # nothing is left of the refusal


def test_refusing_without_outcomes(engine):
    machine = Machine(engine, "long", RDMSR, {"rcx": 0x1234})
    assert machine.cpu.enter(1, 0) == ExitKind.READ_MSR
    assert machine.state.words[WORD["exit_address"]] == 0x1234
    machine.cpu.refuse()
    assert machine.cpu.resume(0) == ExitKind.FAULT
    assert machine.state.words[WORD["exit_address"]] == GP


def test_an_abandoned_refusal_is_forgotten(engine):
    machine = Machine(engine, "long", RDMSR, {"rcx": 0x1234})
    machine.step()
    machine.cpu.refuse()
    machine.cpu.abandon()
    assert machine.step() == ReadMsr(0x1234)
    assert isinstance(machine.step(1), Done)


def test_what_cannot_be_refused(engine):
    machine = Machine(engine, "long", CPUID)
    with pytest.raises(StepError, match="refused"):
        machine.cpu.refuse()
    machine.step()
    with pytest.raises(StepError, match="refused"):
        machine.cpu.refuse()


@pytest.mark.parametrize("code", [RDMSR, RDPMC, "0fc7f0"])
def test_an_answer_is_an_integer(engine, code):
    machine = Machine(engine, "long", code, {"rcx": 0x1B})
    machine.step()
    for answer in (None, b"\1", (1, 2, 3, 4)):
        with pytest.raises(StepError, match="needs an integer"):
            machine.step(answer)
    assert isinstance(machine.step(5), Done)


def test_a_write_takes_no_answer(engine):
    machine = Machine(engine, "long", WRMSR, {"rcx": 0x1B})
    machine.step()
    with pytest.raises(StepError, match="nothing awaits an answer"):
        machine.step(5)
    assert isinstance(machine.step(), Done)


def test_the_instruction_in_flight_moves_to_another_engine(two_engines):
    first = Machine(two_engines[0], "long", RDMSR, {"rcx": 0x1234})
    first.step()
    first.cpu.refuse()
    other = first.cpu_on(two_engines[1])
    assert other.step() == Fault(GP, 0, 0)


TSD, PCE = 1 << 2, 1 << 8


def test_time_is_the_instructions_completed_and_an_offset(engine):
    machine = Machine(engine, "long", "90" * 5 + RDTSC, {"rax": ALL, "rdx": ALL})
    machine.state.tsc = 0x1_0000_0000 - 3
    machine.cpu.run(6)
    assert (machine.state.rdx, machine.state.rax) == (1, 2)
    assert machine.state.tsc == 0x1_0000_0003


def test_the_owner_sets_the_time():
    state = CpuState()
    state.retired = 7
    for value in (0, 6, 8, ALL):
        state.tsc = value
        assert state.tsc == value
    state.retired += 1
    assert state.tsc == 0


def test_the_guest_sets_the_time(engine):
    machine = Machine(engine, "long", "90" + WRMSR + RDMSR + RDTSC, write(0x10, HIGH))
    machine.cpu.run(3)
    assert machine.state.rdx << 32 | machine.state.rax == HIGH + 1
    machine.step()
    assert machine.state.rdx << 32 | machine.state.rax == HIGH + 2


def test_rdtscp_and_rdpid_tell_the_processor(engine):
    before = {"tsc_aux": 0x1234_5678, "tsc_offset": 5 << 32 | 6, "rcx": ALL}
    after = {"rax": 6, "rdx": 5, "rcx": 0x1234_5678}
    check_case(engine, "long", RDTSCP, before, after)
    check_case(engine, "long", "f30fc7f9", before, {"rcx": 0x1234_5678})
    check_case(engine, "pm32", "f30fc7f9", before, {"rcx": 0x1234_5678})
    for code, feature in ((RDTSCP, Feature.RDTSCP), ("f30fc7f9", Feature.RDPID)):
        check_fault(Machine(engine, "long", code, {"features": ALL & ~feature}), UD)


@pytest.mark.parametrize("code", [RDTSC, RDTSCP])
def test_tsd_hides_time_from_applications(engine, code):
    hidden = {"cr4": CR4_PAE | TSD}
    assert isinstance(Machine(engine, "long", code, hidden).step(), Done)
    assert isinstance(Machine(engine, "long", code).ring3().step(), Done)
    check_fault(Machine(engine, "long", code, hidden).ring3(), GP)
    check_fault(Machine(engine, "pm16", code, {"cr4": TSD, "rflags": VM | 2}), GP)


def test_rdpmc(engine):
    machine = Machine(engine, "long", RDPMC, {"rcx": 1 << 40 | 1 << 30})
    assert machine.step() == ReadPmc(1 << 30)
    assert isinstance(machine.step(7 << 32 | 9), Done)
    assert (machine.state.rdx, machine.state.rax) == (7, 9)
    check_fault(Machine(engine, "long", RDPMC).ring3(), GP)
    allowed = Machine(engine, "long", RDPMC, {"cr4": CR4_PAE | PCE}).ring3()
    assert allowed.step() == ReadPmc(0)


def test_cpuid(engine):
    registers = {"rax": 1 << 63 | 7, "rcx": 1 << 63 | 2, "rbx": ALL, "rdx": ALL}
    for mode in ("real", "pm32", "long"):
        machine = Machine(engine, mode, CPUID, registers)
        before = machine.registers()
        assert machine.step() == Cpuid(7, 2)
        assert machine.step((1, LOW, 3, 0x8000_0000)) == Done(CODE + 2, 0)
        after = {"rax": 1, "rbx": LOW, "rcx": 3, "rdx": 0x8000_0000, "rip": CODE + 2}
        assert machine.registers() == before | after


def test_cpuid_at_any_privilege(engine):
    assert Machine(engine, "long", CPUID).ring3().step() == Cpuid(0, 0)
    assert Machine(engine, "pm16", CPUID, {"rflags": VM | 2}).step() == Cpuid(0, 0)


def test_cpuid_without_outcomes(engine):
    machine = Machine(engine, "long", CPUID, {"rax": 4, "rcx": 1})
    assert machine.cpu.enter(1, 0) == ExitKind.CPUID
    words = machine.state.words
    assert (words[WORD["exit_address"]], words[WORD["exit_size"]]) == (4, 1)
    words[WORD["answer_high"]] = 3 | 4 << 32
    assert machine.cpu.resume(1 | 2 << 32) == ExitKind.BUDGET
    state = machine.state
    assert (state.rax, state.rbx, state.rcx, state.rdx) == (1, 2, 3, 4)


@pytest.mark.parametrize("answer", [None, 5, (1, 2, 3), (1, 2, 3, 1 << 32), (1, 2, 3, -1), "1234"])
def test_cpuid_is_answered_with_four_integers(engine, answer):
    machine = Machine(engine, "long", CPUID)
    machine.step()
    with pytest.raises(StepError, match="four integers"):
        machine.step(answer)
    assert isinstance(machine.step((1, 2, 3, 4)), Done)


RANDOM = [("0fc7f1", 0, Feature.RDRAND), ("0fc7f9", 1, Feature.RDSEED)]


@pytest.mark.parametrize(("code", "seed", "feature"), RANDOM)
def test_random_numbers(engine, code, seed, feature):
    number = 0xFEDC_BA98_7654_3210
    flags = STATUS | 2
    for prefix, size, result in (
        ("", 4, 0x7654_3210),
        ("66", 2, ALL & ~0xFFFF | 0x3210),
        ("48", 8, number),
    ):
        machine = Machine(engine, "long", prefix + code, {"rcx": ALL, "rflags": flags})
        assert machine.step() == Random(size, seed)
        assert isinstance(machine.step(number), Done)
        assert (machine.state.rcx, machine.state.rflags) == (result, CF | 2)
        machine = Machine(engine, "long", prefix + code, {"rcx": ALL, "rflags": flags})
        machine.step()
        machine.cpu.refuse()
        assert isinstance(machine.step(), Done)
        assert machine.state.rcx == (ALL & ~0xFFFF if size == 2 else 0)
        assert machine.state.rflags == 2
    check_fault(Machine(engine, "long", code, {"features": ALL & ~feature}), UD)


@pytest.mark.parametrize("code", [RDMSR, WRMSR])
def test_msrs_are_privileged(engine, code):
    for index in (0x10, 0x1B, 0xC000_0082):
        check_fault(Machine(engine, "long", code, {"rcx": index}).ring3(), GP)
        check_fault(Machine(engine, "pm16", code, {"rcx": index, "rflags": VM | 2}), GP)
