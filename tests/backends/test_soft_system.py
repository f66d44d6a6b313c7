# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""`SoftVcpu` and what system instructions ask: CPUID by itself, the rest as exits."""

import pytest

from vmmkit.backends import SoftVcpu
from vmmkit.backends.msrs import MsrFile
from vmmkit.errors import StepError
from vmmkit.insn import (
    BudgetSpent,
    CpuState,
    Done,
    Fault,
    Feature,
    Halt,
    Hypercall,
    PortOut,
    Random,
    ReadMsr,
    WriteMsr,
    available_engines,
)
from vmmkit.insn.cpuid import DEFAULT_FEATURES, CpuidModel
from vmmkit.memregion import RegionMap

CPUID, HLT, RDMSR, WRMSR, OUT = "0fa2", "f4", "0f32", "0f30", "e680"


@pytest.fixture(params=available_engines())
def boot(request):
    """A vCPU in protected mode at 0 with code in RAM."""

    def make(code, **arguments):
        ram = bytearray(4096)
        raw = bytes.fromhex(code)
        ram[: len(raw)] = raw
        vcpu = SoftVcpu([(0, ram)], engine=request.param, **arguments)
        vcpu.state.enter_protected_mode(eip=0)
        return vcpu

    return make


def ports(vcpu, out):
    """Ports of two maps, with everything written to port 80h in `out`."""
    mmio, pio = RegionMap(), RegionMap(address_bits=16)
    pio.add(0x80, 1, write=lambda _vcpu, _offset, _size, value: out.append(value), name="post")
    return mmio.port(vcpu), pio.port(vcpu)


def test_cpuid_is_no_exit(boot):
    vcpu = boot(CPUID + CPUID + HLT)
    vcpu.state.rax = 0
    assert vcpu.run() == Halt(5)
    assert vcpu.state.retired == 3
    _, _, leaf_0_ecx, _ = CpuidModel()(vcpu.state, 0, 0)
    expected = CpuidModel()(vcpu.state, 0xD, leaf_0_ecx)
    assert vcpu.state.rax == expected[0]


def test_cpuid_in_steps(boot):
    vcpu = boot(CPUID + HLT)
    assert vcpu.step() == Done(2, 0)
    assert vcpu.state.rax == 0xD


def test_cpuid_counts_for_the_budget(boot):
    vcpu = boot(CPUID + CPUID + CPUID + HLT)
    assert vcpu.run(2) == BudgetSpent(4)
    assert vcpu.run(1) == BudgetSpent(6)


def test_cpuid_among_devices(boot):
    vcpu = boot(OUT + CPUID + OUT + RDMSR + OUT + HLT)
    vcpu.state.rax, out = 0, []
    mmio, pio = ports(vcpu, out)
    vcpu.state.rcx = 0x1B
    assert vcpu.run_through(mmio, pio) == ReadMsr(vcpu.state.rcx)
    assert out == [0, 0xD]
    vcpu.complete(0x55)
    assert vcpu.run_through(mmio, pio) == Halt(11)
    assert out == [0, 0xD, 0x55]


def test_an_owner_with_cpuid_of_its_own(boot):
    asked = []

    def answer(state, leaf, subleaf):
        asked.append((state, leaf, subleaf))
        return 1, 2, 3, 4

    vcpu = boot(CPUID + HLT, cpuid=answer)
    vcpu.state.rax, vcpu.state.rcx = 7, 9
    assert vcpu.run() == Halt(3)
    assert asked == [(vcpu.state, 7, 9)]
    assert (vcpu.state.rax, vcpu.state.rdx) == (1, 4)


def test_a_cpuid_that_raised_is_asked_again(boot):
    answers = [KeyError("first"), (1, 2, 3, 4)]

    def answer(_state, _leaf, _subleaf):
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    for call in ("run", "step"):
        answers[:] = [KeyError("first"), (1, 2, 3, 4)]
        vcpu = boot(CPUID + HLT, cpuid=answer)
        with pytest.raises(KeyError):
            getattr(vcpu, call)()
        assert vcpu.awaits_answer
        getattr(vcpu, call)()
        assert vcpu.state.rbx == 2


def test_msrs_are_exits(boot):
    vcpu = boot(RDMSR + WRMSR + HLT)
    vcpu.state.rcx = 0x1B
    assert vcpu.run() == ReadMsr(0x1B)
    with pytest.raises(StepError):
        vcpu.run()
    vcpu.complete(1 << 40 | 5)
    assert vcpu.run() == WriteMsr(0x1B, 1 << 40 | 5)
    assert vcpu.run() == Halt(5)


@pytest.mark.parametrize("code", [RDMSR, WRMSR])
def test_refusing_an_msr(boot, code):
    vcpu = boot(code + HLT)
    vcpu.state.rcx = 0x1B
    vcpu.run()
    vcpu.refuse()
    assert vcpu.run() == Fault(13, 0, 0)
    assert vcpu.state.rip == 0


def test_refusing_through_ports(boot):
    vcpu = boot(WRMSR + HLT)
    vcpu.state.rcx = 0x1B
    through = ports(vcpu, [])
    assert vcpu.run_through(*through) == WriteMsr(0x1B, 0)
    vcpu.refuse()
    assert vcpu.run_through(*through) == Fault(13, 0, 0)


def test_nothing_to_refuse(boot):
    vcpu = boot(OUT + HLT)
    with pytest.raises(StepError):
        vcpu.refuse()
    assert isinstance(vcpu.run(), PortOut)
    with pytest.raises(StepError):
        vcpu.refuse()


def test_random_numbers_and_hypercalls_are_exits(boot):
    vcpu = boot("0fc7f0" + "0f01c1" + HLT)
    vcpu.state.features |= Feature.RDRAND
    assert vcpu.run() == Random(4, 0)
    vcpu.complete(0x1234)
    assert vcpu.run() == Hypercall(6)
    assert vcpu.state.rax == 0x1234
    assert vcpu.run() == Halt(7)


def test_features_of_a_state_that_is_given_stay(boot):
    assert boot(HLT).state.features == DEFAULT_FEATURES
    state = CpuState()
    state.features = Feature.CMOV
    vcpu = boot(CPUID + HLT, state=state)
    state.rax = 1
    vcpu.run()
    assert state.features == Feature.CMOV
    assert state.rdx >> 15 & 1
    assert not state.rdx >> 26 & 1


def test_a_file_of_msrs_answers(boot):
    msrs = MsrFile()
    msrs.values[0x1B] = 5 << 32 | 6
    vcpu = boot(RDMSR + "40" + WRMSR + CPUID + HLT, msrs=msrs)
    vcpu.state.rcx = 0x1B
    assert vcpu.run() == Halt(8)
    assert msrs.values[0x1B] == 5 << 32 | 7
    assert vcpu.state.retired == 5


@pytest.mark.parametrize(("code", "index"), [(RDMSR, 0x1234), (WRMSR, 0x1234), (WRMSR, 0xFE)])
def test_a_file_of_msrs_refuses(boot, code, index):
    for call in ("run", "step"):
        vcpu = boot(code + HLT, msrs=MsrFile())
        vcpu.state.rcx = index
        assert getattr(vcpu, call)() == Fault(13, 0, 0)
        assert vcpu.state.rip == 0
        assert not vcpu.awaits_answer


def test_a_file_of_msrs_among_devices(boot):
    vcpu = boot(OUT + RDMSR + OUT + HLT, msrs=MsrFile())
    vcpu.state.rcx, out = 0x1B, []
    assert vcpu.run_through(*ports(vcpu, out)) == Halt(7)
    assert out == [0, 0]
    assert vcpu.state.rax == 0xFEE0_0900


def test_what_the_engine_holds_is_not_asked_for(boot):
    vcpu = boot(RDMSR + HLT, msrs=MsrFile())
    vcpu.state.rcx, vcpu.state.pat = 0x277, 7
    assert vcpu.run() == Halt(3)
    assert vcpu.state.rax == 7


# Read, without being ready for #GP, by a Linux kernel that sees the default CPUID on a processor
# of family 6: start-up code, microcode revision, capabilities, features, debug exceptions.
READ_BY_LINUX = (
    *(0x10, 0x17, 0x1B, 0x8B, 0x10A, 0x174, 0x175, 0x176, 0x1A0, 0x1D9, 0x277, 0xDA0),
    *range(0xC000_0080, 0xC000_0085),
    *range(0xC000_0100, 0xC000_0104),
)


@pytest.mark.parametrize("index", READ_BY_LINUX)
def test_what_linux_reads_is_there(boot, index):
    vcpu = boot(RDMSR + HLT, msrs=MsrFile())
    vcpu.state.rcx = index
    assert vcpu.run() == Halt(3)


def test_nothing_speculates():
    """RDCL_NO and MDS_NO above all: no page-table isolation, no VERW on the way to ring 3."""
    msrs = MsrFile()
    assert msrs.read(0x10A) & 0x21 == 0x21
    assert not msrs.write(0x10A, 0)


def test_branch_trace_storage_and_pebs_are_unavailable():
    assert MsrFile().read(0x1A0) & 0x1800 == 0x1800
