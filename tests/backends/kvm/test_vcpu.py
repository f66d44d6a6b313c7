# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A vCPU in KVM has the exits of one in software."""

import gc
import os
import threading

import pytest

from backends.kvm.bare_vcpu import open_files
from backends.kvm.pairs import (
    CODE,
    DEVICE,
    RAM_BYTES,
    SECONDS,
    image,
    kvm_vcpu,
    outcomes,
    registers,
    soft_vcpu,
    start,
)
from vmmkit.backends.kvm import KvmVcpu, KvmVm, allocate_ram
from vmmkit.backends.kvm._spec import MpState
from vmmkit.backends.msrs import MsrFile
from vmmkit.errors import DeniedError, KvmError, MachineError, StepError
from vmmkit.insn import (
    BudgetSpent,
    Done,
    Halt,
    InterruptWindow,
    PortIn,
    PortOut,
    Read,
    ReadMsr,
    TprBelowThreshold,
    TripleFault,
    Write,
    WriteMsr,
)
from vmmkit.memregion import RegionMap

pytestmark = pytest.mark.kvm

SNIPPETS = [
    pytest.param(16, "b041 e680 e580 66e580 ba3402 ec ef 66ed f4", id="port sizes"),
    pytest.param(16, "be0010 b90500 ba2000 f36e b90300 f36f f4", id="rep outs"),
    pytest.param(16, "bf0060 b90700 ba2000 f36c b90200 f3666d f4", id="rep ins"),
    pytest.param(16, "fd bf1060 b90400 ba2000 f36c fc f4", id="backwards"),
    pytest.param(16, "b80040 8ed8 a00000 a20100 a10200 a30400 66a10800 66a30c00 f4", id="mmio"),
    pytest.param(
        16,
        "33c0 8ed8 c7060000 2010 c70602000000 bb0000 f7f3 f4 9090909090909090909090f4",
        id="divide error",
    ),
    pytest.param(
        32,
        "a000000400 a201000400 66a102000400 66a304000400 a108000400 a30c000400 f4",
        id="mmio sizes",
    ),
    pytest.param(
        32, "810500000400 11111111 ff0504000400 f0ff0508000400 f4", id="read, modify, write"
    ),
    pytest.param(
        32,
        "b878563412 870500000400 f00fc10504000400 0fb61500000400 0fbf0d08000400 f4",
        id="exchange",
    ),
    pytest.param(32, "be00000400 bf00600000 b904000000 f3a5 f4", id="rep movs from a device"),
    pytest.param(32, "bf00000400 b903000000 b8aa55aa55 f3ab f4", id="rep stos to a device"),
    pytest.param(32, "ff3500000400 8f0504000400 f4", id="push and pop"),
    pytest.param(32, "6a00 6a00 0f011c24 0f0b f4", id="triple fault"),
    pytest.param(64, "488b042500000400 48890425080004 00 f4", id="eight bytes"),
    pytest.param(64, "f30f6f042500000400 f30f7f042510000400 f4", id="sixteen bytes"),
    pytest.param(
        64, "488b0425fd0f0400 8b0425ff0f0400 48890425fb0f0400 66890425ff0f0400 f4", id="over a page"
    ),
    pytest.param(64, "48c7c005000000 f0480fb10c2500000400 f4", id="compare and exchange"),
    pytest.param(64, "f0480fba2c250000040005 f4", id="bits"),
]


@pytest.mark.parametrize(("mode", "code"), SNIPPETS)
def test_outcomes_are_those_of_software(mode, code):
    ram = image(bytes.fromhex(code))
    with kvm_vcpu(ram) as (vcpu, pages, _):
        start(vcpu.state, mode)
        soft = soft_vcpu(ram, vcpu.cpuid)
        start(soft.state, mode)
        assert outcomes(vcpu) == outcomes(soft)
        assert registers(vcpu.state) == registers(soft.state)
        assert pages[:] == ram


def stepped(vcpu):
    """Step to the end; the exits, and not how many steps there were: see `docs/kvm.md`."""
    found = []
    while not (found and isinstance(found[-1], Halt | TripleFault)) and len(found) < 100:
        outcome = vcpu.step()
        assert vcpu.awaits_answer == isinstance(outcome, Read | PortIn | Write | PortOut)
        if isinstance(outcome, Read | PortIn):
            vcpu.complete(77)
        if not isinstance(outcome, Done):
            found.append(outcome)
    return found


@pytest.mark.parametrize(("mode", "code"), SNIPPETS)
def test_steps_are_those_of_software(mode, code):
    ram = image(bytes.fromhex(code))
    with kvm_vcpu(ram) as (vcpu, _, _):
        start(vcpu.state, mode)
        soft = soft_vcpu(ram, vcpu.cpuid)
        start(soft.state, mode)
        assert stepped(vcpu) == stepped(soft)
        assert registers(vcpu.state) == registers(soft.state)


def maps(ram, device, pio_device):
    """Ports of maps with a device at `DEVICE` and one at port 20h."""
    memory, ports = RegionMap(), RegionMap(address_bits=16)
    memory.add(DEVICE - 0x1000, 0x4000, device)
    ports.add(0x20, 0x300, pio_device)
    return memory.port(None), ports.port(None)


class Notebook:
    """A device that keeps what it is asked."""

    def __init__(self):
        self.seen = []

    def read(self, _vcpu, offset, size):
        self.seen.append((offset, size))
        return 0x1122334455667788 + len(self.seen) & (1 << 8 * size) - 1

    def write(self, _vcpu, offset, size, value):
        self.seen.append((offset, size, value))


@pytest.mark.parametrize("budget", [1, 1_000_000])
@pytest.mark.parametrize(("mode", "code"), SNIPPETS)
def test_runs_through_ports_do_the_same_accesses(mode, code, budget):
    ram = image(bytes.fromhex(code))
    with kvm_vcpu(ram) as (vcpu, _, _):
        start(vcpu.state, mode)
        soft = soft_vcpu(ram, vcpu.cpuid)
        start(soft.state, mode)
        seen = []
        for each in (vcpu, soft):
            device, pio_device = Notebook(), Notebook()
            ports = maps(ram, device, pio_device)
            outcome = BudgetSpent(0)
            while isinstance(outcome, BudgetSpent):
                outcome = each.run_through(*ports, budget)
                assert not each.awaits_answer
            seen.append((outcome, device.seen, pio_device.seen, registers(each.state)))
        assert seen[0] == seen[1]


OUT_IN = bytes.fromhex("e620 e420 f4")  # out 20h, al; in al, 20h; hlt


class Stubborn:
    """A port that raises, until it is told to be good."""

    def __init__(self):
        self.good, self.seen = False, []

    def _note(self, *what):
        self.seen.append(what)
        if not self.good:
            raise DeniedError("no", address=what[0], size=what[1])

    def read(self, port, size):
        self._note(port, size)
        return 0x55

    def write(self, port, size, value):
        self._note(port, size, value)


def test_an_access_that_a_port_refuses_is_tried_again():
    with kvm_vcpu(image(OUT_IN)) as (vcpu, _, _):
        start(vcpu.state, 16)
        port = Stubborn()
        for _ in range(2):
            with pytest.raises(DeniedError):
                vcpu.run_through(port, port)
            assert vcpu.awaits_answer
        port.good = True
        assert vcpu.run_through(port, port) == Halt(CODE + 5)
        assert port.seen == [(0x20, 1, 0)] * 3 + [(0x20, 1)]
        assert vcpu.state.rax == 0x55


def test_an_owner_may_do_what_a_port_refused():
    with kvm_vcpu(image(OUT_IN)) as (vcpu, _, _):
        start(vcpu.state, 16)
        port = Stubborn()
        with pytest.raises(DeniedError):
            vcpu.run_through(port, port)
        assert vcpu.run() == PortIn(0x20, 1)
        vcpu.complete(0x66)
        assert vcpu.run_through(port, port) == Halt(CODE + 5)
        assert vcpu.state.rax == 0x66
        assert port.seen == [(0x20, 1, 0)]


def test_a_read_of_run_is_done_by_run_through():
    with kvm_vcpu(image(OUT_IN)) as (vcpu, _, _):
        start(vcpu.state, 16)
        port = Stubborn()
        port.good = True
        assert vcpu.run() == PortOut(0x20, 1, 0)
        assert vcpu.run() == PortIn(0x20, 1)
        assert vcpu.run_through(port, port) == Halt(CODE + 5)
        assert port.seen == [(0x20, 1)]


def test_the_last_ports_have_nobody_behind_them():
    with kvm_vcpu(image(bytes.fromhex("baffff ed ef f4"))) as (vcpu, _, _):
        start(vcpu.state, 16)
        ports = maps(None, Notebook(), Notebook())
        assert vcpu.run_through(*ports) == Halt(CODE + 6)
        assert vcpu.state.rax == 0xFFFF


def test_mistakes_are_named():
    with kvm_vcpu(image(OUT_IN)) as (vcpu, _, _):
        start(vcpu.state, 16)
        with pytest.raises(StepError, match="no read awaits"):
            vcpu.complete(1)
        with pytest.raises(StepError, match="only an MSR"):
            vcpu.refuse()
        with pytest.raises(StepError, match="budget"):
            vcpu.run(0)
        assert isinstance(vcpu.run(), PortOut)
        vcpu.state.rax = 5
        with pytest.raises(StepError, match="in flight"):
            vcpu.run()
        vcpu.state.rax = 0
        assert vcpu.step() == Done(CODE + 2, 0)
        vcpu.state.rax = 0x1200
        assert isinstance(vcpu.run(), PortIn)
        with pytest.raises(StepError, match="complete"):
            vcpu.run()
        with pytest.raises(StepError, match="integer"):
            vcpu.complete("1")
        vcpu.complete(0xABCDEF)
        assert vcpu.run() == Halt(CODE + 5)
        assert vcpu.state.rax == 0x12EF
    with KvmVm() as vm, pytest.raises(MachineError, match="unknown_msrs"):
        KvmVcpu(vm, unknown_msrs="maybe")
    with KvmVm() as vm, pytest.raises(MachineError, match="kick_signal"):
        KvmVcpu(vm, kick_signal=2)


MSR = 0x4444
MSR_CODE = bytes.fromhex("66b944440000 0f32 0f30 f4")  # mov ecx, 4444h; rdmsr; wrmsr; hlt


def test_unknown_msrs_are_the_owner_s():
    with kvm_vcpu(image(MSR_CODE), unknown_msrs="exit") as (vcpu, _, _):
        start(vcpu.state, 16)
        assert vcpu.run() == ReadMsr(MSR)
        vcpu.complete(0x1234567855AA55AA)
        assert vcpu.run() == WriteMsr(MSR, 0x1234567855AA55AA)
        assert vcpu.run() == Halt(CODE + 11)
        assert (vcpu.state.rax, vcpu.state.rdx) == (0x55AA55AA, 0x12345678)


def test_unknown_msrs_come_from_a_source():
    msrs = MsrFile()
    msrs.values[MSR] = 0x99
    with kvm_vcpu(image(MSR_CODE), msrs=msrs) as (vcpu, _, _):
        start(vcpu.state, 16)
        assert vcpu.run() == Halt(CODE + 11)
        assert vcpu.state.rax == 0x99


@pytest.mark.parametrize("how", ["exit", "fault", "source"])
def test_unknown_msrs_may_be_refused(how):
    ram = image(MSR_CODE)
    ram[13 * 4 : 13 * 4 + 4] = (0x2000).to_bytes(4, "little")  # the handler of #GP
    ram[0x2000] = 0xF4
    options = {"msrs": MsrFile()} if how == "source" else {"unknown_msrs": how}
    with kvm_vcpu(ram, **options) as (vcpu, _, _):
        start(vcpu.state, 16)
        outcome = vcpu.run()
        if how == "exit":
            assert outcome == ReadMsr(MSR)
            vcpu.refuse()
            outcome = vcpu.run()
        assert outcome == Halt(0x2001)


LOOP = bytes.fromhex("fb 40 ebfd")  # sti; inc ax; jmp
VECTOR = 0x40


def with_handler(code, *vectors):
    """RAM in which interrupts halt: at 2000h + 10h for each vector."""
    ram = image(code)
    for vector in vectors:
        place = 0x2000 + 0x10 * vector
        ram[4 * vector : 4 * vector + 4] = place.to_bytes(4, "little")
        ram[place] = 0xF4
    return ram


def place_after(vector):
    """RIP past the HLT of a handler."""
    return 0x2001 + 0x10 * vector


def test_an_interrupt_is_delivered_when_the_guest_takes_it():
    code = bytes.fromhex("e620 fb 90 ebfe")  # out; sti; nop; jmp self
    with kvm_vcpu(with_handler(code, VECTOR)) as (vcpu, _, _):
        start(vcpu.state, 16)
        assert not vcpu.interrupt_window
        assert vcpu.run() == PortOut(0x20, 1, 0)
        vcpu.request_interrupt(VECTOR)
        assert vcpu.run() == Halt(place_after(VECTOR))
        assert not vcpu.interrupt_window
        assert not vcpu.state.rflags & 0x200


def test_an_interrupt_window_comes_out():
    with kvm_vcpu(with_handler(LOOP, VECTOR)) as (vcpu, _, _):
        start(vcpu.state, 16)
        vcpu.request_interrupt_window()
        assert isinstance(vcpu.run(), InterruptWindow)
        assert vcpu.interrupt_window
        vcpu.request_interrupt(VECTOR)
        assert vcpu.run() == Halt(place_after(VECTOR))


def test_an_nmi_is_delivered_with_interrupts_off():
    with kvm_vcpu(with_handler(bytes.fromhex("e620 ebfe"), 2)) as (vcpu, _, _):
        start(vcpu.state, 16)
        assert isinstance(vcpu.run(), PortOut)
        vcpu.nmi()
        assert vcpu.run() == Halt(place_after(2))
        assert vcpu.state.nmi_blocked == 1


def test_exceptions_are_injected():
    with kvm_vcpu(with_handler(bytes.fromhex("f4"), 6, 14)) as (vcpu, _, _):
        start(vcpu.state, 16)
        vcpu.inject(6)
        assert vcpu.event_pending
        with pytest.raises(StepError, match="in flight"):
            vcpu.inject(6)
        assert vcpu.run() == Halt(place_after(6))
        assert not vcpu.event_pending
        vcpu.inject(14, 2, address=0x12345)
        assert vcpu.state.cr2 == 0x12345
        assert vcpu.run() == Halt(place_after(14))
        assert vcpu.state.cr2 == 0x12345


def test_closed_things_say_so():
    with KvmVm() as vm:
        vcpu = KvmVcpu(vm)
        twin = KvmVcpu(vm, 1)
        vcpu.close()
        vcpu.close()
        assert "closed" in repr(vcpu)
        for call in (vcpu.run, vcpu.step, vcpu.kick, vcpu.nmi, lambda: vcpu.state):
            with pytest.raises(KvmError, match="closed"):
                call()
        with pytest.raises(KvmError, match="EEXIST"):
            KvmVcpu(vm, 1)
    with pytest.raises(KvmError, match="virtual machine"):
        twin.run()
    twin.close()


def test_a_halt_waits_inside_where_the_local_apic_is_there():
    pages, memory = allocate_ram(RAM_BYTES), RegionMap()
    pages[:] = bytes(image(bytes.fromhex("fa f4 e620 ebfc")))  # cli; hlt; out; jmp
    memory.add_ram(0, pages)
    with KvmVm("split") as vm, KvmVcpu(vm) as vcpu:
        vm.attach(memory)
        start(vcpu.state, 16)
        timer = threading.Timer(0.05, vcpu.kick)
        timer.start()
        assert vcpu.run() == BudgetSpent(CODE + 2)
        timer.join(SECONDS)
        assert (vcpu.state.halted, vcpu.mp_state) == (1, MpState.HALTED)
        vcpu.state.halted = 0
        assert vcpu.run() == PortOut(0x20, 1, 0)
        assert vcpu.state.halted == 0


def test_the_owner_s_8259a_interrupts_beside_a_local_apic_in_kvm():
    pages, memory = allocate_ram(RAM_BYTES), RegionMap()
    pages[:] = bytes(with_handler(bytes.fromhex("fb ebfe"), VECTOR))
    pages[0x2000 + 0x10 * VECTOR : 0x2002 + 0x10 * VECTOR] = bytes.fromhex("e621")
    memory.add_ram(0, pages)
    with KvmVm("split") as vm, KvmVcpu(vm) as vcpu:
        vm.attach(memory)
        start(vcpu.state, 16)
        vcpu.request_interrupt(VECTOR)
        timer = threading.Timer(SECONDS, vcpu.kick)
        timer.start()
        assert vcpu.run() == PortOut(0x21, 1, 0)
        timer.cancel()
        timer.join()


def test_a_lower_task_priority_may_come_out():
    code = bytes.fromhex("440f22c0 440f22c1 440f22c2 f4")  # mov cr8, rax; rcx; rdx; hlt
    with kvm_vcpu(image(code)) as (vcpu, _, _):
        start(vcpu.state, 64)
        vcpu.state.rax, vcpu.state.rcx, vcpu.state.rdx = 9, 7, 3
        vcpu.state.tpr_threshold = 5
        outcome = vcpu.run()
        if outcome == TprBelowThreshold(CODE + 12):  # not where the kernel interprets the guest
            assert vcpu.state.cr8 == 3
            outcome = vcpu.run()
        assert outcome == Halt(CODE + 13)
        assert vcpu.state.cr8 == 3


def test_a_forgotten_vcpu_gives_its_descriptor_back():
    with KvmVm() as vm:
        vcpu = KvmVcpu(vm)
        fd = vcpu._handle.fd
        os.fstat(fd)
        del vcpu
        gc.collect()
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(fd)


def test_a_vcpu_that_is_refused_gives_its_descriptor_back():
    with KvmVm() as vm:
        before = open_files()
        with pytest.raises(KvmError, match="KVM_SET_CPUID2: E2BIG"):
            KvmVcpu(vm, cpuid=[*vm.cpuid] * 20)
        assert open_files() == before


def test_state_of_the_local_apic():
    with KvmVm("split") as vm, KvmVcpu(vm) as vcpu:
        vcpu.set_lapic(vcpu.get_lapic())
        with pytest.raises(MachineError, match="a local APIC has 1024 bytes, not 3"):
            vcpu.set_lapic(b"abc")
    with KvmVm() as vm, KvmVcpu(vm) as vcpu, pytest.raises(MachineError, match="this is 'none'"):
        vcpu.get_lapic()


def test_an_exception_that_waits_outlives_a_change_of_registers():
    ram = image(bytes.fromhex("66b978563412 0f32 f4"))  # rdmsr of one that is not there
    ram[4 * 13 : 4 * 13 + 4] = (0x2000).to_bytes(4, "little")
    ram[0x2000] = 0xF4
    with kvm_vcpu(ram, unknown_msrs="exit") as (vcpu, _, _):
        start(vcpu.state, 16)
        assert vcpu.run() == ReadMsr(0x12345678)
        vcpu.refuse()
        assert vcpu.step() == Done(CODE + 6, 0)
        assert vcpu.event_pending
        vcpu.state.rbx = 5
        assert vcpu.run() == Halt(0x2001)
        assert vcpu.state.rbx == 5


@pytest.mark.parametrize("code", ["e620 e621 f4", "e420 e421 f4"], ids=["out", "in"])
def test_an_access_whose_port_changed_registers_is_done_once(code):
    with kvm_vcpu(image(bytes.fromhex(code))) as (vcpu, _, _):
        start(vcpu.state, 16)
        seen = []

        class Port:
            def read(self, address, _size):
                seen.append(address)
                if len(seen) == 1:
                    vcpu.state.rbx = 5
                return 0x42

            def write(self, address, size, _value):
                self.read(address, size)

        with pytest.raises(StepError, match="in flight"):
            vcpu.run_through(Port(), Port())
        assert vcpu.awaits_answer
        vcpu.state.rbx = 0
        assert vcpu.run_through(Port(), Port()) == Halt(CODE + 5)
        assert seen == [0x20, 0x21]
        assert vcpu.state.rax == (0x42 if code.startswith("e4") else 0)


def test_interrupts_of_kvm_s_controllers_are_not_the_owner_s():
    with KvmVm("kernel") as vm, KvmVcpu(vm) as vcpu:
        for ask in (lambda: vcpu.request_interrupt(0x40), vcpu.request_interrupt_window):
            with pytest.raises(StepError, match="those of KVM's controllers"):
                ask()
