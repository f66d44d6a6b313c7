# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Interrupts into KVM's controllers, and doorbells out of the guest, as calls and descriptors."""

import os
import resource
import select
import struct

import pytest

from backends.kvm.bare_vcpu import BareVcpu, Stop, open_files
from vmmkit.backends.kvm import PC_ROUTES, Chip, ChipRoute, KvmVm, MsiRoute, allocate_ram
from vmmkit.backends.kvm import _spec as spec
from vmmkit.backends.kvm._spec import Exit
from vmmkit.errors import KvmError, MachineError
from vmmkit.memregion import RegionMap

pytestmark = pytest.mark.kvm

CODE, DOORBELL = 0x8000, 0xD000_0000
MSI_ADDRESS, VECTOR = 0xFEE0_0000, 0x61
LAPIC_IRR, LAPIC_SVR, LAPIC_ENABLE = 0x200, 0xF0, 0x1FF
PIC_LEVEL, PIC_IRR, PIC_IRQ_BASE = 0, 1, 5
IOAPIC_PINS_AT, IOAPIC_IRR = 24, struct.Struct("<I")


@pytest.fixture
def vm():
    with KvmVm() as made:
        yield made


@pytest.fixture
def kernel():
    with KvmVm("kernel") as made:
        yield made


@pytest.fixture
def split():
    with KvmVm("split") as made:
        yield made


@pytest.fixture
def apic():
    """A function that tells which vectors the local APIC of a machine's first vCPU has."""
    made = []

    def start(machine):
        vcpu = BareVcpu(machine)
        made.append(vcpu)
        enable_apic(vcpu)
        return lambda: requested(lapic(vcpu))

    yield start
    for vcpu in made:
        vcpu.close()


def lapic(vcpu):
    page = bytearray(spec.LAPIC_SIZE)
    vcpu.handle.call(spec.KVM_GET_LAPIC, page)
    return page


def enable_apic(vcpu):
    page = lapic(vcpu)
    page[LAPIC_SVR : LAPIC_SVR + 4] = LAPIC_ENABLE.to_bytes(4, "little")
    vcpu.handle.call(spec.KVM_SET_LAPIC, page)


def requested(page):
    words = [
        int.from_bytes(page[LAPIC_IRR + 16 * n : LAPIC_IRR + 16 * n + 4], "little")
        for n in range(8)
    ]
    return [32 * n + bit for n, word in enumerate(words) for bit in range(32) if word >> bit & 1]


# -- lines ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("gsi", [0, 1, 4, 7, 8, 15])
def test_a_line_of_the_isa_bus_reaches_the_pic(gsi, kernel):
    line = kernel.line(gsi)
    chip, bit = Chip(gsi // 8), 1 << gsi % 8
    line(True)
    assert kernel.get_irqchip(chip)[PIC_IRR] & bit
    assert kernel.get_irqchip(chip)[PIC_LEVEL] & bit
    line(False)
    assert not kernel.get_irqchip(chip)[PIC_LEVEL] & bit
    assert repr(line) == f"<GsiLine {gsi}>"


def ioapic_requests(vm):
    return IOAPIC_IRR.unpack_from(vm.get_irqchip(Chip.IOAPIC), 16)[0]


@pytest.mark.parametrize(("gsi", "pin"), [(0, 2), (1, 1), (9, 9), (16, 16), (23, 23)])
def test_a_line_reaches_its_pin_of_the_ioapic(gsi, pin, kernel):
    state = bytearray(kernel.get_irqchip(Chip.IOAPIC))
    level_triggered_masked = 1 << 16 | 1 << 15 | VECTOR
    struct.pack_into("<Q", state, IOAPIC_PINS_AT + 8 * pin, level_triggered_masked)
    kernel.set_irqchip(Chip.IOAPIC, bytes(state))
    line = kernel.line(gsi)
    line(True)
    assert ioapic_requests(kernel) == 1 << pin
    line(False)
    assert ioapic_requests(kernel) == 0


def test_a_line_that_goes_nowhere(kernel):
    kernel.line(2)(True)
    kernel.line(1000)(True)
    assert ioapic_requests(kernel) == 0


def test_a_line_that_sends_a_message(split, apic):
    vectors = apic(split)
    split.set_routing([MsiRoute(40, MSI_ADDRESS, VECTOR)])
    line = split.line(40)
    line(False)
    assert vectors() == []
    line(True)
    assert vectors() == [VECTOR]


def test_a_line_after_the_end(kernel):
    line = kernel.line(4)
    kernel.close()
    with pytest.raises(KvmError, match="KVM_IRQ_LINE on the virtual machine: EBADF"):
        line(True)


# -- messages -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["split", "kernel"])
def test_a_message_reaches_the_local_apic(kind, apic):
    with KvmVm(kind) as vm:
        vectors = apic(vm)
        assert vm.msi(MSI_ADDRESS, VECTOR)
        assert vm.msi(MSI_ADDRESS, VECTOR + 0x20)
        assert vectors() == [VECTOR, VECTOR + 0x20]


NOWHERE = {
    "nobody's destination": (MSI_ADDRESS | 7 << 12, VECTOR),
    "memory": (0x1000, VECTOR),
    "beside the window": (0xFED0_0000, VECTOR),
    "above 4 GiB": (1 << 32 | MSI_ADDRESS, VECTOR),
}


@pytest.mark.parametrize("name", NOWHERE)
def test_a_message_that_nobody_takes(name, split, apic):
    vectors = apic(split)
    assert split.msi(*NOWHERE[name]) is False
    assert vectors() == []


def test_a_message_to_a_disabled_apic(split):
    with BareVcpu(split):
        assert split.msi(MSI_ADDRESS, VECTOR) is False


@pytest.mark.parametrize(("address", "data"), [(-1, 0), (1 << 64, 0), (MSI_ADDRESS, 1 << 32)])
def test_a_message_too_wide(address, data, split):
    with pytest.raises(MachineError, match=r"is a number of (64|32) bits"):
        split.msi(address, data)


# -- routing --------------------------------------------------------------------------------------


def test_routes_of_a_pc(kernel, split):
    assert kernel.routes == PC_ROUTES
    assert split.routes == ()
    assert ChipRoute(0, Chip.IOAPIC, 2) in PC_ROUTES
    assert {route.gsi for route in PC_ROUTES} == {*range(24)} - {2}


def test_a_table_is_replaced(kernel, apic):
    vectors = apic(kernel)
    kernel.set_routing([*PC_ROUTES, MsiRoute(30, MSI_ADDRESS, VECTOR)])
    kernel.line(30)(True)
    assert vectors() == [VECTOR]
    kernel.set_routing([ChipRoute(5, Chip.PIC_MASTER, 6)])
    kernel.line(5)(True)
    assert kernel.get_irqchip(Chip.PIC_MASTER)[PIC_IRR] & 1 << 6


REFUSED_ROUTES = [
    ([MsiRoute(1 << 20, MSI_ADDRESS, 0)], KvmError, "KVM_SET_GSI_ROUTING 1 routes: EINVAL"),
    ([ChipRoute(3, Chip.IOAPIC, 24)], KvmError, "KVM_SET_GSI_ROUTING 1 routes: EINVAL"),
    ([MsiRoute(-1, MSI_ADDRESS, 0)], MachineError, "gsi is a number of 32 bits, not -1"),
    ([MsiRoute(1, 1 << 64, 0)], MachineError, "address is a number of 64 bits"),
    ([ChipRoute(1, 9, 0)], MachineError, "no interrupt controller 9"),
]


@pytest.mark.parametrize(("routes", "kind", "says"), REFUSED_ROUTES)
def test_a_table_that_is_refused_changes_nothing(routes, kind, says, kernel):
    with pytest.raises(kind, match=says):
        kernel.set_routing(routes)
    assert kernel.routes == PC_ROUTES
    kernel.line(4)(True)
    assert kernel.get_irqchip(Chip.PIC_MASTER)[PIC_IRR] & 1 << 4


# -- irqfd ----------------------------------------------------------------------------------------


def test_irqfd(split, apic):
    vectors = apic(split)
    split.set_routing([MsiRoute(33, MSI_ADDRESS, VECTOR)])
    with split.irqfd(33) as wire:
        assert (wire.resampled, wire.take_resampled()) == (None, 0)
        wire.pulse()
        wait_for(lambda: vectors() == [VECTOR])
        assert repr(wire) == f"<IrqFd GSI 33 fd={wire.fileno()}>"
    assert repr(wire) == "<IrqFd GSI 33 closed>"


def wait_for(holds):
    """The kernel may raise an irqfd's interrupt from a work queue, a moment later."""
    for _ in range(500):
        if holds():
            return
        select.select([], [], [], 0.01)
    raise AssertionError("did not happen")


# sti; jmp $ and, 16 bytes on, mov dword [esi], 0; out 0E9H, al; iret
WAIT, HANDLER = "fb eb fe", "66 67 c7 06 00 00 00 00  e6 e9  cf"
PIN, STACK, EOI, PORT = 20, 0x7000, 0xFEE0_00B0, 0xE9


def waiting_guest(vm):
    """A guest in RAM from 0 on that ends each interrupt, and then writes to a port."""
    ram = allocate_ram(0x10000)
    for place, code in ((CODE, WAIT), (CODE + 16, HANDLER)):
        ram[place : place + len(bytes.fromhex(code))] = bytes.fromhex(code)
    struct.pack_into("<HH", ram, 4 * VECTOR, CODE + 16, 0)
    mmio = RegionMap()
    mmio.add_ram(0, ram)
    vm.attach(mmio)


def test_irqfd_with_resampling(kernel):
    """The end of the interrupt lowers the line and tells; still wanted, it is raised again."""
    waiting_guest(kernel)
    with BareVcpu(kernel) as vcpu, kernel.irqfd(PIN, resample=True) as wire:
        enable_apic(vcpu)
        state = bytearray(kernel.get_irqchip(Chip.IOAPIC))
        struct.pack_into("<Q", state, IOAPIC_PINS_AT + 8 * PIN, 1 << 15 | VECTOR)
        kernel.set_irqchip(Chip.IOAPIC, bytes(state))
        vcpu.start(rip=CODE, rsp=STACK, rsi=EOI)
        for _ in range(3):
            assert wire.take_resampled() == 0
            wire.pulse()
            wait_for(lambda: ioapic_requests(kernel) == 1 << PIN)
            assert vcpu.run()[:2] == (Exit.IO, PORT)
            assert ioapic_requests(kernel) == 0
            assert select.select([wire.resampled], [], [], 5)[0] == [wire.resampled]
            assert wire.take_resampled() == 1


def test_a_closed_irqfd(kernel):
    before = open_files()
    wire = kernel.irqfd(5, resample=True)
    wire.close()
    wire.close()
    assert open_files() == before
    for use in (wire.fileno, wire.pulse, wire.take_resampled, lambda: wire.resampled):
        with pytest.raises(KvmError, match="KVM_IRQFD GSI 5: EBADF"):
            use()


def test_no_descriptor_left_for_an_irqfd(kernel):
    """With room for one eventfd of two nothing stays open."""
    limits, before = resource.getrlimit(resource.RLIMIT_NOFILE), open_files()
    lowest = os.dup(kernel.fd)
    os.close(lowest)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 1, limits[1]))
        with pytest.raises(KvmError, match="eventfd for GSI 5: EMFILE"):
            kernel.irqfd(5, resample=True)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert open_files() == before


# -- ioeventfd ------------------------------------------------------------------------------------

# mov [esi], eax; hlt in real mode with addresses of 32 bits; as 8, 16 and 32 bits
STORES = {1: "67 88 06 f4", 2: "67 89 06 f4", 4: "66 67 89 06 f4"}
OUTS = {1: "ee f4", 2: "ef f4", 4: "66 ef f4"}


def write(vm, size, value, *, address=DOORBELL, pio=False):
    """Have a guest make one write: the exit it stops with."""
    ram = allocate_ram(0x1000)
    code = bytes.fromhex((OUTS if pio else STORES)[size])
    ram[: len(code)] = code
    mmio = RegionMap()
    mmio.add_ram(CODE, ram)
    vm.attach(mmio)
    with BareVcpu(vm) as vcpu:
        vcpu.start(rip=CODE, rax=value, rsi=address, rdx=address)
        return vcpu.run()


#: size and value of the doorbell, size and value of the write, whether it rings
DOORBELLS = [
    (4, None, 4, 7, True),
    (4, 7, 4, 7, True),
    (4, 7, 4, 8, False),
    (2, None, 4, 7, False),
    (2, 0xFFFF, 2, 0xFFFF, True),
    (1, 0, 1, 0, True),
    (1, 0, 1, 1, False),
    (0, None, 1, 9, True),
    (0, None, 2, 9, True),
    (0, None, 4, 9, True),
]


@pytest.mark.parametrize("pio", [False, True], ids=["mmio", "pio"])
@pytest.mark.parametrize(("size", "value", "written", "as_value", "rings"), DOORBELLS)
def test_ioeventfd(size, value, written, as_value, rings, pio, vm):
    address = 0x510 if pio else DOORBELL
    bell = vm.ioeventfd(address, size, value, pio=pio)
    assert bell.take() == 0
    stop = write(vm, written, as_value, address=address, pio=pio)
    if rings:
        assert stop == Stop(Exit.HLT)
        assert select.select([bell], [], [], 0)[0] == [bell]
        assert (bell.take(), bell.take()) == (1, 0)
    else:
        kind = Exit.IO if pio else Exit.MMIO
        assert stop == Stop(kind, address, as_value.to_bytes(written, "little"))
        assert bell.take() == 0


def test_doorbells_of_several_values_at_one_address(vm):
    bells = [vm.ioeventfd(DOORBELL, 4, value) for value in range(4)]
    write(vm, 4, 2)
    assert [bell.take() for bell in bells] == [0, 0, 1, 0]


def test_a_doorbell_that_was_closed(vm):
    bell = vm.ioeventfd(DOORBELL, 4)
    bell.close()
    assert write(vm, 4, 1) == Stop(Exit.MMIO, DOORBELL, b"\1\0\0\0")
    with pytest.raises(KvmError, match="KVM_IOEVENTFD 4 bytes at 0xd0000000: EBADF"):
        bell.take()
    vm.ioeventfd(DOORBELL, 4).close()


def test_the_same_doorbell_twice(vm):
    vm.ioeventfd(DOORBELL, 4, 1)
    before = open_files()
    with pytest.raises(KvmError, match=r"EEXIST, .* an ioeventfd answers this address"):
        vm.ioeventfd(DOORBELL, 4, 1)
    assert open_files() == before


WRONG_DOORBELLS = [
    ((DOORBELL, 3), {}, "no doorbell of 3 bytes"),
    ((DOORBELL, 0, 1), {}, "no doorbell of 0 bytes and value 1"),
    ((DOORBELL, 1, 256), {}, "value is a number of 8 bits, not 256"),
    ((DOORBELL, 4, -1), {}, "value is a number of 32 bits, not -1"),
    ((1 << 64, 4), {}, "address is a number of 64 bits"),
    ((0x10000, 4), {"pio": True}, "address is a number of 16 bits"),
]


@pytest.mark.parametrize(("arguments", "options", "says"), WRONG_DOORBELLS)
def test_wrong_doorbells(arguments, options, says, vm):
    with pytest.raises(MachineError, match=says):
        vm.ioeventfd(*arguments, **options)


# -- state of the controllers ---------------------------------------------------------------------


@pytest.mark.parametrize("chip", Chip)
def test_state_of_a_controller(chip, kernel):
    state = bytearray(kernel.get_irqchip(chip))
    assert len(state) == 512
    place = IOAPIC_PINS_AT if chip is Chip.IOAPIC else PIC_IRQ_BASE
    state[place] = 0x48
    kernel.set_irqchip(chip, bytes(state))
    assert kernel.get_irqchip(chip)[place] == 0x48


def test_state_of_the_timer(kernel):
    state = bytearray(kernel.get_pit())
    assert len(state) == 112
    struct.pack_into("<I", state, 24, 0x1234)  # count of channel 1, which interrupts nobody
    kernel.set_pit(bytes(state))
    assert struct.unpack_from("<I", kernel.get_pit(), 24) == (0x1234,)


NEEDS = [
    ("none", lambda vm: vm.line(1), "line needs irqchip='kernel' or 'split', this is 'none'"),
    ("none", lambda vm: vm.msi(MSI_ADDRESS, 1), "msi needs irqchip='kernel' or 'split'"),
    ("none", lambda vm: vm.set_routing(()), "set_routing needs"),
    ("none", lambda vm: vm.irqfd(1), "irqfd needs irqchip='kernel' or 'split'"),
    ("split", lambda vm: vm.irqfd(1, resample=True), "irqfd needs irqchip='kernel', this is"),
    ("split", lambda vm: vm.get_irqchip(Chip.IOAPIC), "get_irqchip needs irqchip='kernel'"),
    ("split", lambda vm: vm.set_irqchip(Chip.IOAPIC, bytes(512)), "set_irqchip needs"),
    ("split", lambda vm: vm.get_pit(), "get_pit needs irqchip='kernel' with pit=True"),
    ("kernel", lambda vm: vm.get_irqchip(3), "no interrupt controller 3"),
    ("kernel", lambda vm: vm.set_irqchip(Chip.IOAPIC, b""), "has 512 bytes, not 0"),
    ("kernel", lambda vm: vm.set_pit(b""), "has 112 bytes, not 0"),
    ("kernel", lambda vm: vm.irqfd(-1), "gsi is a number of 32 bits, not -1"),
    ("kernel", lambda vm: vm.line("4"), "gsi is a number of 32 bits, not '4'"),
]


@pytest.mark.parametrize(("kind", "use", "says"), NEEDS)
def test_what_a_machine_cannot_do(kind, use, says):
    with KvmVm(kind) as vm, pytest.raises(MachineError, match=says):
        use(vm)


def test_a_machine_without_a_timer():
    with KvmVm("kernel", pit=False) as vm:
        with pytest.raises(MachineError, match="get_pit needs irqchip='kernel' with pit=True"):
            vm.get_pit()
        assert len(vm.get_irqchip(Chip.IOAPIC)) == 512
