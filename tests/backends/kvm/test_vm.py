# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A virtual machine: what it can do, what it refuses, and how it ends."""

import errno
import gc
import mmap
import os
import subprocess
import sys
import warnings
from types import SimpleNamespace

import attrs
import pytest

from backends.kvm.bare_vcpu import BareVcpu, open_files
from vmmkit.backends.kvm import Cap, KvmVm, allocate_ram
from vmmkit.backends.kvm import _spec as spec
from vmmkit.backends.kvm._ioctl import kvm_error
from vmmkit.errors import KvmError, KvmUnavailableError, MachineError
from vmmkit.memregion import RegionMap

pytestmark = pytest.mark.kvm

KINDS = ("none", "split", "kernel")


@pytest.fixture(params=KINDS)
def vm(request):
    with KvmVm(request.param) as made:
        yield made


# -- making one -----------------------------------------------------------------------------------


def test_what_it_was_made_with(vm):
    assert vm.irqchip in KINDS
    assert repr(vm) == f"<KvmVm irqchip={vm.irqchip!r} fd={vm.fd}>"


WRONG = [
    ({"irqchip": "both"}, "irqchip is 'none', 'split' or 'kernel', not 'both'"),
    ({"irqchip": None}, "not None"),
    ({"irqchip": "split", "ioapic_pins": -1}, "ioapic_pins is a number of 16 bits, not -1"),
    ({"irqchip": "split", "ioapic_pins": "24"}, "ioapic_pins is a number of 16 bits, not '24'"),
]


@pytest.mark.parametrize(("arguments", "says"), WRONG)
def test_wrong_arguments(arguments, says):
    before = open_files()
    with pytest.raises(MachineError, match=says):
        KvmVm(**arguments)
    assert open_files() == before


def test_more_pins_than_the_kernel_has():
    before = open_files()
    with pytest.raises(KvmError, match="KVM_ENABLE_CAP capability SPLIT_IRQCHIP: EINVAL"):
        KvmVm("split", ioapic_pins=65535)
    assert open_files() == before


def test_another_version_of_the_interface(monkeypatch):
    before = open_files()
    monkeypatch.setattr("vmmkit.backends.kvm._ioctl.API_VERSION", 13)
    with pytest.raises(KvmUnavailableError, match="version 12, not 13; the kernel is too old"):
        KvmVm()
    assert open_files() == before


@pytest.mark.parametrize("size", [0, -4096, 4095, 4097, 1.5, None])
def test_ram_is_whole_pages(size):
    with pytest.raises(MachineError, match="RAM is a positive multiple of 4096 bytes"):
        allocate_ram(size)


def test_ram_is_empty_and_can_be_written():
    with allocate_ram(8192) as ram:
        assert isinstance(ram, mmap.mmap)
        assert ram[:] == bytes(8192)
        ram[8191] = 1


# -- what it can do -------------------------------------------------------------------------------


def test_capabilities(vm):
    assert vm.capability(Cap.USER_MEMORY) == 1
    assert vm.capability(Cap.NR_MEMSLOTS) > 8
    assert vm.capability(0xFFFF) == 0
    assert vm.has_second_chance is bool(vm.capability(Cap.EXIT_ON_EMULATION_FAILURE))
    assert vm.has_msr_exits is bool(vm.capability(Cap.X86_USER_SPACE_MSR))


def test_a_capability_that_is_not_there(vm):
    with pytest.raises(KvmError, match="KVM_ENABLE_CAP capability 65535: EINVAL"):
        vm.enable(0xFFFF)


def test_cpuid(vm):
    rows = vm.cpuid
    assert rows[0].function == 0
    assert {1, 7, 0x8000_0008} <= {row.function for row in rows}
    assert all(row.indexed for row in rows if row.function == 7)
    assert len({(row.function, row.index) for row in rows}) == len(rows)


def test_cpuid_is_what_a_vcpu_takes(vm):
    rows = [attrs.astuple(row) for row in vm.cpuid]
    table = spec.CPUID_HEAD.pack(len(rows)) + b"".join(spec.CPUID_ENTRY.pack(*row) for row in rows)
    with BareVcpu(vm) as vcpu:
        vcpu.handle.call(spec.KVM_SET_CPUID2, table)


def test_msr_indices(vm):
    assert {0x10, 0x174, 0xC000_0081, 0xC000_0082} <= {*vm.msr_indices}


def test_a_table_longer_than_the_first_guess(vm, monkeypatch):
    rows, indices = vm.cpuid, vm.msr_indices
    monkeypatch.setattr("vmmkit.backends.kvm.vm.TABLE_ROWS", 1)
    assert (vm.cpuid, vm.msr_indices) == (rows, indices)


def test_vcpus(vm):
    with BareVcpu(vm, 0), BareVcpu(vm, 3):
        with pytest.raises(KvmError, match=r"KVM_CREATE_VCPU vCPU 3: EEXIST, .* of this index"):
            vm.create_vcpu_fd(3)
        with pytest.raises(KvmError, match=r"KVM_CREATE_VCPU vCPU .*: EINVAL, .* MAX_VCPU_ID"):
            vm.create_vcpu_fd(1 << 30)
    assert vm.vcpu_mmap_size >= mmap.PAGESIZE


# -- its end --------------------------------------------------------------------------------------

AFTER_CLOSE = {
    "capability": lambda vm: vm.capability(Cap.IRQFD),
    "enable": lambda vm: vm.enable(Cap.IRQFD),
    "cpuid": lambda vm: vm.cpuid,
    "msr_indices": lambda vm: vm.msr_indices,
    "vcpu_mmap_size": lambda vm: vm.vcpu_mmap_size,
    "create_vcpu_fd": lambda vm: vm.create_vcpu_fd(0),
    "attach": lambda vm: vm.attach(RegionMap()),
    "slots": lambda vm: vm.slots,
    "log_dirty": lambda vm: vm.log_dirty(RegionMap().add_ram(0, bytearray(4096)), True),
    "dirty_pages": lambda vm: vm.dirty_pages(RegionMap().add_ram(0, bytearray(4096))),
    "line": lambda vm: vm.line(4),
    "msi": lambda vm: vm.msi(0xFEE0_0000, 0x41),
    "set_routing": lambda vm: vm.set_routing(()),
    "irqfd": lambda vm: vm.irqfd(4),
    "ioeventfd": lambda vm: vm.ioeventfd(0x1000, 4),
    "get_irqchip": lambda vm: vm.get_irqchip(0),
    "set_irqchip": lambda vm: vm.set_irqchip(0, bytes(512)),
    "get_pit": lambda vm: vm.get_pit(),
    "set_pit": lambda vm: vm.set_pit(bytes(112)),
}


@pytest.mark.parametrize("name", AFTER_CLOSE)
def test_a_closed_machine_refuses_everything(name):
    vm = KvmVm("kernel")
    vm.close()
    with pytest.raises(KvmError, match=r"EBADF, .* closed already"):
        AFTER_CLOSE[name](vm)


def test_close_gives_everything_back(vm):
    before = open_files()
    with KvmVm(vm.irqchip) as other:
        other.ioeventfd(0x1000, 4)
        if vm.irqchip != "none":
            other.irqfd(5)
        assert open_files() > before
    assert open_files() == before
    other.close()
    assert (other.fd, repr(other)) == (-1, f"<KvmVm irqchip={vm.irqchip!r} closed>")


def test_an_exception_closes_it():
    with pytest.raises(ZeroDivisionError), KvmVm() as vm:
        _ = 1 // 0
    assert vm.fd == -1


def test_a_forgotten_machine_is_closed_with_a_warning():
    before = open_files()
    with pytest.warns(ResourceWarning, match="unclosed <KvmVm irqchip='none' fd="):
        KvmVm()
    assert open_files() == before


def test_nothing_is_inherited_by_programs():
    with KvmVm("kernel") as vm, BareVcpu(vm) as vcpu:
        doorbell, wire = vm.ioeventfd(0x1000, 4), vm.irqfd(5, resample=True)
        mine = [vm.fd, vm.kvm.fd, vcpu.handle.fd, doorbell.fileno(), wire.fileno(), wire.resampled]
        assert [os.get_inheritable(fd) for fd in mine] == [False] * 6
        code = (
            "import os\nfor name in os.listdir('/proc/self/fd'):\n"
            "    try: print(os.readlink(f'/proc/self/fd/{name}'))\n"
            "    except OSError: pass"
        )
        seen = subprocess.check_output(
            [sys.executable, "-c", code], close_fds=False, text=True, timeout=60
        )
    assert "kvm" not in seen
    assert "eventfd" not in seen


def in_a_fork(action):
    """Run `action` in a fork of this process: whether it ended without an exception."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
        child = os.fork()
    if child == 0:
        status = 1
        try:
            action()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_fork_can_close_its_copy_and_no_more():
    ram = allocate_ram(4096)
    mmio = RegionMap()
    with KvmVm("kernel") as vm:
        mmio.add_ram(0, ram)
        vm.attach(mmio)
        doorbell = vm.ioeventfd(0x1000, 4)

        def use():
            with pytest.raises(KvmError, match=r"EIO, .* not to its forks"):
                vm.capability(Cap.IRQFD)

        assert in_a_fork(use)
        assert in_a_fork(vm.close)
        assert len(vm.slots) == 1
        doorbell.close()


def test_arguments_that_there_are_not_leave_nothing_to_close():
    with pytest.raises(TypeError):
        KvmVm(chips=1)
    gc.collect()  # what is not closed properly says so


def test_a_table_without_end_is_an_error(vm, monkeypatch):
    """A kernel that never has enough room."""
    sizes = []

    def call(request, raw):
        sizes.append(len(raw))
        raise kvm_error(request.name, errno.E2BIG)

    with monkeypatch.context() as patch:
        patch.setattr(vm, "kvm", SimpleNamespace(call=call))
        with pytest.raises(KvmError, match="E2BIG"):
            vm.msr_indices  # noqa: B018 - the property calls
    assert max(sizes) < 1 << 20
