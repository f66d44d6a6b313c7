# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Memory slots follow the address map, and a guest sees what they say."""

import gc
import mmap

import pytest

from backends.kvm.bare_vcpu import BareVcpu, Stop
from vmmkit.backends.kvm import KvmVm, MemorySlot, allocate_ram
from vmmkit.backends.kvm._ioctl import HostBuffer
from vmmkit.backends.kvm._slots import Slots
from vmmkit.backends.kvm._spec import KVM_SET_USER_MEMORY_REGION, USER_MEMORY_REGION, Exit
from vmmkit.errors import KvmError, MachineError, OverlapError
from vmmkit.insn import Cpu
from vmmkit.memregion import READ, WRITE, RegionMap

pytestmark = pytest.mark.kvm

PAGE = 0x1000
CODE = 0x8000
# mov [esi], al; mov bl, [edi]; hlt, with addresses of 32 bits
STORE_AND_LOAD = bytes.fromhex("67 88 06  67 8a 1f  f4")


@pytest.fixture
def vm():
    with KvmVm() as made:
        yield made


@pytest.fixture
def mmio():
    """A map with the guest's code at CODE."""
    made = RegionMap(address_bits=52, name="mmio")
    made.add_ram(CODE, ram_with(STORE_AND_LOAD), name="code")
    return made


def ram_with(content=b"", pages=1):
    ram = allocate_ram(pages * PAGE)
    ram[: len(content)] = content
    return ram


def store_and_load(vcpu, store, load, value=0x5A):
    vcpu.start(rip=CODE, rax=value, rsi=store, rdi=load)
    return vcpu.run()


def places(vm):
    return [(slot.gpa, slot.size, slot.readonly) for slot in vm.slots if slot.gpa != CODE]


# -- what gets a slot ---------------------------------------------------------------------------


def unaligned_buffer():
    return memoryview(ram_with(pages=2))[0x800 : 0x800 + PAGE]


SHAPES = {
    "ram": (lambda m: m.add_ram(0x10000, ram_with(pages=3)), (0x10000, 3 * PAGE, False)),
    "rom": (lambda m: m.add_rom(0xF0000, ram_with(pages=2)), (0xF0000, 2 * PAGE, True)),
    "ram that is only read": (
        lambda m: m.add_ram(0x10000, ram_with(), flags=READ),
        (0x10000, PAGE, True),
    ),
    "rom in memory that cannot be written": (
        lambda m: m.add_rom(0xF0000, mmap.mmap(-1, PAGE, prot=mmap.PROT_READ)),
        (0xF0000, PAGE, True),
    ),
    "ram that is only written": (lambda m: m.add_ram(0x10000, ram_with(), flags=WRITE), None),
    "odd base": (lambda m: m.add_ram(0x10800, ram_with()), None),
    "odd size": (lambda m: m.add_ram(0x10000, memoryview(ram_with(pages=2))[:0x1800]), None),
    "odd buffer": (lambda m: m.add_ram(0x10000, unaligned_buffer()), None),
    "disabled": (lambda m: m.add_ram(0x10000, ram_with(), enabled=False), None),
    "device": (lambda m: m.add(0x10000, PAGE, read=lambda *_: 0), None),
    "fallback": (lambda m: m.add_fallback(0x10000, PAGE), None),
}


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("shape", SHAPES)
def test_which_regions_have_slots(shape, late, vm, mmio):
    add, expected = SHAPES[shape]
    if late:
        vm.attach(mmio)
    add(mmio)
    if not late:
        vm.attach(mmio)
    assert places(vm) == ([expected] if expected else [])


def test_slots_say_what_they_are(vm, mmio):
    vm.attach(mmio)
    assert vm.slots == (MemorySlot(gpa=CODE, size=PAGE, readonly=False),)


# -- what a guest sees ----------------------------------------------------------------------------


def test_a_guest_reads_and_writes_ram(vm, mmio):
    ram = ram_with(b"\0\x33")
    mmio.add_ram(0x20000, ram)
    vm.attach(mmio)
    with BareVcpu(vm) as vcpu:
        assert store_and_load(vcpu, 0x20000, 0x20001) == Stop(Exit.HLT)
        assert vcpu.registers()["rbx"] == 0x33
    assert ram[0] == 0x5A


def test_a_guest_reads_rom_and_its_writes_leave(vm, mmio):
    rom = ram_with(b"\x11\x22")
    mmio.add_rom(0xF0000, rom)
    vm.attach(mmio)
    with BareVcpu(vm) as vcpu:
        assert store_and_load(vcpu, 0xF0000, 0xF0001) == Stop(Exit.MMIO, 0xF0000, b"\x5a")
        assert vcpu.run() == Stop(Exit.HLT)
        assert vcpu.registers()["rbx"] == 0x22
    assert rom[0] == 0x11


def test_a_guest_reads_rom_that_this_process_cannot_write(vm, mmio, tmp_path):
    image = tmp_path / "rom"
    image.write_bytes(b"\x77" * PAGE)
    with image.open("rb") as file:
        rom = mmap.mmap(file.fileno(), PAGE, prot=mmap.PROT_READ, flags=mmap.MAP_SHARED)
    mmio.add_rom(0xF0000, rom)
    mmio.add_ram(0x20000, ram_with())
    vm.attach(mmio)
    with BareVcpu(vm) as vcpu:
        assert store_and_load(vcpu, 0x20000, 0xF0010) == Stop(Exit.HLT)
        assert vcpu.registers()["rbx"] == 0x77


def test_memory_without_a_slot_leaves(vm, mmio):
    mmio.add_ram(0x20800, ram_with())
    vm.attach(mmio)
    with BareVcpu(vm) as vcpu:
        assert store_and_load(vcpu, 0x20800, 0x20801) == Stop(Exit.MMIO, 0x20800, b"\x5a")
        assert vcpu.run() == Stop(Exit.MMIO, 0x20801)
        assert vcpu.run(b"\x44") == Stop(Exit.HLT)
        assert vcpu.registers()["rbx"] == 0x44


def test_the_guest_follows_a_region(vm, mmio):
    """Moved, disabled, enabled, removed, and another one in its place."""
    first, second = ram_with(b"\1"), ram_with(b"\2")
    vm.attach(mmio)
    region = mmio.add_ram(0x20000, first)
    with BareVcpu(vm) as vcpu:

        def at(place):
            stop = store_and_load(vcpu, CODE + 0x100, place)
            if stop.reason is Exit.MMIO:
                vcpu.run(b"\xff")
            return vcpu.registers()["rbx"]

        assert (at(0x20000), at(0x30000)) == (1, 0xFF)
        region.move(0x30000)
        assert (at(0x20000), at(0x30000)) == (0xFF, 1)
        region.disable()
        assert (at(0x20000), at(0x30000)) == (0xFF, 0xFF)
        region.enable()
        assert at(0x30000) == 1
        region.close()
        mmio.add_ram(0x30000, second)
        assert at(0x30000) == 2


def test_regions_trade_places_in_one_transaction(vm, mmio):
    vm.attach(mmio)
    one, other = mmio.add_ram(0x20000, ram_with(b"\1")), mmio.add_ram(0x30000, ram_with(b"\2"))
    with mmio.transaction():
        one.move(0x30000)
        other.move(0x20000)
    with BareVcpu(vm) as vcpu:
        store_and_load(vcpu, CODE + 0x100, 0x20000)
        assert vcpu.registers()["rbx"] == 2
        store_and_load(vcpu, CODE + 0x100, 0x30000)
        assert vcpu.registers()["rbx"] == 1


def test_a_refused_transaction_changes_no_slot(vm, mmio):
    vm.attach(mmio)
    region = mmio.add_ram(0x20000, ram_with())
    before = vm.slots
    with pytest.raises(OverlapError), mmio.transaction():  # noqa: PT012 - the end raises
        region.move(0x50000)
        mmio.add_ram(CODE, ram_with())
    assert vm.slots == before


def test_a_region_moves_into_and_out_of_pages(vm, mmio):
    vm.attach(mmio)
    region = mmio.add_ram(0x20000, ram_with())
    seen = []
    for base in (0x20800, 0x21800, 0x22000, 0x23000):
        region.move(base)
        seen.append(places(vm))
    assert seen == [[], [], [(0x22000, PAGE, False)], [(0x23000, PAGE, False)]]


def test_a_region_shrinks_to_make_room(vm, mmio):
    """What was one region becomes RAM, a device and RAM, over the same buffer."""
    vm.attach(mmio)
    ram = ram_with(b"\0", pages=3)
    whole = mmio.add_ram(0x20000, ram)
    with mmio.transaction():
        mmio.remove(whole)
        mmio.add_ram(0x20000, memoryview(ram)[:PAGE])
        mmio.add(0x21000, PAGE, read=lambda *_: 0)
        mmio.add_ram(0x22000, memoryview(ram)[2 * PAGE :])
    assert places(vm) == [(0x20000, PAGE, False), (0x22000, PAGE, False)]
    with BareVcpu(vm) as vcpu:
        assert store_and_load(vcpu, 0x22004, 0x21000) == Stop(Exit.MMIO, 0x21000)
    assert ram[2 * PAGE + 4] == 0x5A


def test_one_buffer_at_two_places(vm, mmio):
    ram = ram_with()
    mmio.add_ram(0x20000, ram)
    mmio.add_ram(0x30000, ram)
    vm.attach(mmio)
    with BareVcpu(vm) as vcpu:
        store_and_load(vcpu, 0x20000, 0x30000)
        assert vcpu.registers()["rbx"] == 0x5A


# -- many, and too many ---------------------------------------------------------------------------


def test_numbers_of_slots_are_used_again(vm):
    slots = Slots(vm._vm, 2)
    mmio = RegionMap(address_bits=52)
    mmio.subscribe(slots)
    for turn in range(50):
        region = mmio.add_ram(turn * PAGE, ram_with())
        other = mmio.add_ram(0x100_0000, ram_with())
        assert len([*slots]) == 2
        mmio.remove(region if turn % 2 else other)
        mmio.remove(other if turn % 2 else region)
    assert [*slots] == []


def test_more_regions_than_slots(vm):
    slots = Slots(vm._vm, 2)
    mmio = RegionMap(address_bits=52)
    mmio.subscribe(slots)
    first = mmio.add_ram(0x10000, ram_with())
    mmio.add_ram(0x20000, ram_with())
    with pytest.raises(KvmError, match="KVM_SET_USER_MEMORY_REGION: no memory slot for 'third'"):
        mmio.add_ram(0x30000, ram_with(), name="third")
    assert mmio.find(0x30000).name == "third"
    assert len([*slots]) == 2
    mmio.remove(first)
    mmio.add_ram(0x40000, ram_with())
    assert [slot.gpa for slot in slots] == [0x20000, 0x40000]
    slots.clear()


def test_a_thousand_regions(vm, mmio):
    ram = ram_with(pages=1000)
    for page in range(1000):
        mmio.add_ram(0x100_0000 + 2 * page * PAGE, memoryview(ram)[page * PAGE :][:PAGE])
    vm.attach(mmio)
    assert len(vm.slots) == len(vm.ram) == 1001
    with BareVcpu(vm) as vcpu:
        store_and_load(vcpu, 0x100_0000 + 1998 * PAGE, CODE)
    assert ram[999 * PAGE] == 0x5A


@pytest.fixture
def occupied(vm):
    """A slot at 40000H that the map knows nothing of."""
    ram = HostBuffer(ram_with())
    slot = USER_MEMORY_REGION.pack(77, 0, 0x40000, PAGE, ram.address)
    vm.call(KVM_SET_USER_MEMORY_REGION, slot)
    return ram


def test_a_slot_that_the_kernel_refuses(vm, mmio, occupied):
    vm.attach(mmio)
    with pytest.raises(KvmError, match="at 0x40000: EEXIST, File exists; another memory slot"):
        mmio.add_ram(0x40000, ram_with())
    assert mmio.find(0x40000) is not None
    assert places(vm) == []
    mmio.add_ram(0x50000, ram_with())
    assert places(vm) == [(0x50000, PAGE, False)]


def test_a_move_that_the_kernel_refuses_leaves_nothing_behind(vm, mmio, occupied):
    """The guest must not find the region where it was."""
    vm.attach(mmio)
    region = mmio.add_ram(0x20000, ram_with())
    with pytest.raises(KvmError, match="EEXIST"):
        region.move(0x40000)
    assert places(vm) == []
    region.move(0x30000)
    assert places(vm) == [(0x30000, PAGE, False)]


def test_a_map_that_the_kernel_refuses_is_not_attached(vm, mmio, occupied):
    mmio.add_ram(0x40000, ram_with())
    with pytest.raises(KvmError, match="EEXIST"):
        vm.attach(mmio)
    assert vm.slots == vm.ram == ()
    vm.attach(RegionMap())


def test_one_map_a_machine(vm, mmio):
    vm.attach(mmio)
    with pytest.raises(MachineError, match="the map 'mmio' is attached already"):
        vm.attach(RegionMap())


# -- what keeps a buffer alive --------------------------------------------------------------------


@pytest.mark.parametrize("prot", [mmap.PROT_READ, mmap.PROT_READ | mmap.PROT_WRITE])
def test_a_host_buffer_stays_where_it_is(prot):
    ram = mmap.mmap(-1, PAGE, prot=prot)
    host = HostBuffer(ram)
    assert host.address % PAGE == 0
    with pytest.raises(BufferError):
        ram.close()
    host.release()
    ram.close()


def test_the_end_of_a_slot_lets_go_of_the_buffer(vm):
    ram = ram_with()

    def come_and_go():
        mmio = RegionMap()
        mmio.add_ram(0x20000, ram)
        vm.attach(mmio)
        with pytest.raises(BufferError):
            ram.close()
        vm.close()

    come_and_go()
    gc.collect()
    ram.close()


def test_a_vcpu_that_outlives_its_machine_finds_no_memory(mmio):
    vm = KvmVm()
    vm.attach(mmio)
    with BareVcpu(vm) as vcpu:
        vcpu.start(rip=CODE)
        vm.close()
        assert vcpu.run().reason in {Exit.MMIO, Exit.INTERNAL_ERROR, Exit.SHUTDOWN}


def test_a_closed_machine_hears_no_news(vm, mmio):
    vm.attach(mmio)
    vm.close()
    mmio.add_ram(0x20000, ram_with())
    assert vm.ram == ()
    with pytest.raises(KvmError, match="slots on the virtual machine: EBADF"):
        _ = vm.slots


# -- what the instruction engine gets -------------------------------------------------------------


def test_ram_as_the_instruction_engine_takes_it(vm, mmio):
    ram, rom = ram_with(b"\1"), ram_with(b"\2")
    vm.attach(mmio)
    low = mmio.add_ram(0x1000, unaligned_buffer())  # no slot, but whole pages
    mmio.add_ram(0x20000, ram)
    mmio.add_rom(0xF0000, rom)
    mmio.add_ram(0x30800, ram_with())
    assert [(gpa, buffer.readonly) for gpa, buffer in vm.ram] == [
        (0x1000, False),
        (CODE, False),
        (0x20000, False),
        (0xF0000, True),
    ]
    assert vm.ram is vm.ram
    low.move(0x2000)
    assert vm.ram[0][0] == 0x2000
    low.move(0x2800)
    low.disable()
    assert [gpa for gpa, _ in vm.ram] == [CODE, 0x20000, 0xF0000]
    Cpu(vm.ram)


# -- the log of writes --------------------------------------------------------------------------


@pytest.fixture
def logged(vm, mmio):
    vm.attach(mmio)
    region = mmio.add_ram(0x20000, ram_with(pages=200), name="logged")
    vm.log_dirty(region, True)
    with BareVcpu(vm) as vcpu:

        def write(*pages):
            for page in pages:
                store_and_load(vcpu, region.base + page * PAGE + 8, CODE)

        yield region, write


def test_dirty_pages(vm, logged):
    region, write = logged
    assert vm.dirty_pages(region) == ()
    write(3, 0, 3, 199)
    assert vm.dirty_pages(region) == (0x20000, 0x23000, 0x20000 + 199 * PAGE)
    assert vm.dirty_pages(region) == ()
    write(3)
    assert vm.dirty_pages(region) == (0x23000,)


def test_reads_and_this_process_are_not_logged(vm, logged):
    region, _ = logged
    region.buffer[0x5000] = 1
    with BareVcpu(vm, 1) as vcpu:
        store_and_load(vcpu, CODE + 0x100, 0x26000)
    assert vm.dirty_pages(region) == ()


@pytest.mark.parametrize("way", ["move", "disable", "trade"])
def test_the_log_goes_with_its_region(way, vm, mmio, logged):
    region, write = logged
    write(1)
    if way == "move":
        region.move(0x40000)
    elif way == "disable":
        region.disable()
        region.enable()
    else:
        other = mmio.add_ram(0x400000, ram_with(pages=200))
        with mmio.transaction():
            other.move(0x20000)
            region.move(0x400000)
    write(2)
    assert vm.dirty_pages(region) == (region.base + PAGE, region.base + 2 * PAGE)
    write(4)
    assert vm.dirty_pages(region) == (region.base + 4 * PAGE,)


def test_a_log_that_is_switched_off_and_on(vm, logged):
    region, write = logged
    write(1)
    vm.log_dirty(region, False)
    with pytest.raises(MachineError, match=r"the writes to 'logged' .* are not logged"):
        vm.dirty_pages(region)
    vm.log_dirty(region, False)
    vm.log_dirty(region, True)
    vm.log_dirty(region, True)
    assert vm.dirty_pages(region) == ()
    write(5)
    assert vm.dirty_pages(region) == (0x25000,)


def test_a_log_begun_before_there_is_a_slot(vm, mmio):
    vm.attach(mmio)
    region = mmio.add_ram(0x800000, ram_with(), enabled=False)
    vm.log_dirty(region, True)
    assert vm.dirty_pages(region) == ()
    region.enable()
    with BareVcpu(vm) as vcpu:
        store_and_load(vcpu, 0x800000, CODE)
    assert vm.dirty_pages(region) == (0x800000,)


def test_a_device_has_no_log(vm, mmio):
    vm.attach(mmio)
    device = mmio.add(0x20000, PAGE, read=lambda *_: 0, name="uart")
    with pytest.raises(MachineError, match=r"'uart' .* has no memory that is written"):
        vm.log_dirty(device, True)
