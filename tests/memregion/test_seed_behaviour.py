# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What FreeBSD bhyve's region map does (M1 to M17) and gets wrong (MX1 to MX10), one by one."""

import threading

import pytest

from memregion.recording import Recorder
from vmmkit.errors import (
    DeniedError,
    ImmutableRegionError,
    OverlapError,
    RegionRangeError,
    StraddleError,
    UnknownRegionError,
    UnmappedError,
)
from vmmkit.memregion import IMMUTABLE, READ, RegionMap, all_ones


@pytest.fixture
def mmio():
    return RegionMap(name="mmio")


def test_m1_any_overlap_is_refused(mmio):
    mmio.add(0x1000, 0x1000, Recorder(), name="old")
    for base, size in [(0x1000, 0x1000), (0x800, 0x801), (0x1FFF, 1), (0, 0x10000), (0x1400, 4)]:
        with pytest.raises(OverlapError):
            mmio.add(base, size, Recorder(), name="new")
    assert len(mmio) == 1


def test_m2_a_hit_is_remembered_per_vcpu(mmio):
    mmio.add(0x1000, 0x1000, Recorder())
    first, second = mmio.port("first"), mmio.port("second")
    first.read(0x1000, 4)
    (_, first_reads), _ = first.tables()
    (_, second_reads), _ = second.tables()
    assert list(first_reads[4]) == [0x1000]
    assert not second_reads[4]


def test_m3_no_range_has_its_own_error(mmio):
    with pytest.raises(UnmappedError) as caught:
        mmio.port(None).read(0x1234, 4)
    assert (caught.value.address, caught.value.size) == (0x1234, 4)


def test_m4_ranges_come_and_go_while_vcpus_run(mmio):
    port = mmio.port(None)
    region = mmio.add(0, 16, Recorder())
    assert port.read(4, 4) == 4
    mmio.remove(region)
    with pytest.raises(UnmappedError):
        port.read(4, 4)


def test_m5_removal_is_by_handle(mmio):
    region = mmio.add(0, 16, Recorder())
    mmio.remove(region)
    with pytest.raises(UnknownRegionError):
        mmio.remove(region)
    with pytest.raises(UnknownRegionError):
        mmio.remove("region")
    with pytest.raises(UnknownRegionError):
        RegionMap().remove(mmio.add(0, 16, Recorder()))


def test_m6_removal_empties_the_table_of_every_vcpu(mmio):
    region = mmio.add(0, 16, Recorder())
    ports = [mmio.port(vcpu) for vcpu in range(4)]
    for port in ports:
        port.read(0, 4)
        port.write(0, 4, 0)
    mmio.remove(region)
    for port in ports:
        assert not any(cell for _, table in port.tables() for cell in table.values())


def test_m7_fallbacks_come_last_and_are_never_kept(mmio):
    port = mmio.port(None)
    mmio.add_fallback(0, 0x1000, all_ones)
    assert port.read(0x10, 2) == 0xFFFF
    assert not any(cell for _, table in port.tables() for cell in table.values())
    mmio.add(0x10, 16, Recorder())
    assert port.read(0x10, 2) == 0
    assert port.read(0x20, 2) == 0xFFFF


def test_m8_handlers_run_without_a_lock(mmio):
    """Another thread changes the map while a handler waits for it to have done so."""
    changed = threading.Event()

    def change():
        mmio.add(0x100, 16, Recorder())
        changed.set()

    def read(vcpu, offset, size):
        threading.Thread(target=change).start()
        return int(changed.wait(10))

    mmio.add(0, 16, read=read)
    assert mmio.port(None).read(0, 4) == 1


def test_m9_immutable_regions_stay(mmio):
    region = mmio.add(0, 16, Recorder(), name="ecam", flags=IMMUTABLE)
    for attempt in (
        lambda: mmio.remove(region),
        lambda: mmio.move(region, 0x100),
        lambda: mmio.disable(region),
        region.close,
    ):
        with pytest.raises(ImmutableRegionError, match="ecam"):
            attempt()
    assert mmio.port(None).read(4, 4) == 4


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_m10_m12_a_debugger_reads_and_writes_by_a_port_of_its_own(mmio, size):
    device = Recorder()
    mmio.add(0x1000, 16, device)
    debugger = mmio.port("debugger")
    debugger.read(0x1008, size)
    debugger.write(0x1008, size, 1)
    assert device.log == [("read", "debugger", 8, size), ("write", "debugger", 8, size, 1)]


def test_m11_the_pci_hole_reads_as_ones_of_the_width_asked(mmio):
    mmio.add_fallback(0xC000_0000, 0x4000_0000, name="pci hole")
    port = mmio.port(None)
    for size in (1, 2, 4, 8):
        assert port.read(0xD000_0000, size) == (1 << 8 * size) - 1
    port.write(0xD000_0000, 4, 0)


def test_m13_any_number_of_vcpus_of_any_kind(mmio):
    device = Recorder()
    mmio.add(0, 16, device)
    vcpus = [*range(300), "name", None, object()]
    for vcpu in vcpus:
        mmio.port(vcpu).read(0, 1)
    assert [entry[1] for entry in device.log] == vcpus


def test_m14_a_catch_all_may_log(mmio):
    log = []

    def read(vcpu, address, size):
        log.append(address)
        return -1

    mmio.add_fallback(0, 1 << 64, read=read, absolute=True)
    assert mmio.port(None).read(0xFEE0_0000, 4) == 0xFFFF_FFFF
    assert log == [0xFEE0_0000]


def test_m15_interrupt_controllers_can_be_pinned(mmio):
    for base in (0xFEC0_0000, 0xFED0_0000, 0xFEE0_0000):
        mmio.add(base, 0x1000, Recorder(), flags=IMMUTABLE)
    assert [region.base for region in mmio] == [0xFEC0_0000, 0xFED0_0000, 0xFEE0_0000]


def test_m16_an_access_is_address_size_value_and_nothing_else(mmio):
    device = Recorder()
    mmio.add(0x1000, 16, device)
    mmio.port(7).write(0x1004, 2, 0xBEEF)
    assert device.log == [("write", 7, 4, 2, 0xBEEF)]


@pytest.mark.parametrize(
    ("base", "size"),
    [(0, 0), (0, -1), (-1, 2), (1 << 64, 1), ((1 << 64) - 1, 2), (0, (1 << 64) + 1)],
)
def test_m17_mx3_empty_and_wrapping_ranges_are_refused(mmio, base, size):
    with pytest.raises(RegionRangeError, match="no range"):
        mmio.add(base, size, Recorder())
    assert len(mmio) == 0


def test_m17_the_whole_space_is_a_range(mmio):
    mmio.add(0, 1 << 64, Recorder())
    assert mmio.port(None).read((1 << 64) - 8, 8) == (1 << 64) - 8


@pytest.mark.parametrize(
    ("base", "size"), [(0x1000, 8), (0x1800, 8), (0x800, 0x1000), (0, 0x10000)]
)
def test_mx1_base_inside_existing_region_is_refused(mmio, base, size):
    old = mmio.add(0x1000, 0x1000, Recorder(), name="old")
    with pytest.raises(OverlapError) as caught:
        mmio.add(base, size, Recorder(), name="new")
    assert caught.value.other is old
    assert caught.value.region.name == "new"
    for part in ("'old' [0x1000, 0x1fff]", f"'new' [{base:#x}, {base + size - 1:#x}]"):
        assert part in str(caught.value)


def test_mx2_a_refused_region_leaves_nothing_to_trip_over(mmio):
    old = mmio.add(0x1000, 0x1000, Recorder())
    with pytest.raises(OverlapError) as caught:
        mmio.add(0x1800, 8, Recorder())
    with pytest.raises(UnknownRegionError):
        mmio.remove(caught.value.region)
    mmio.remove(old)
    mmio._check()
    assert len(mmio) == 0


def test_mx4_flags_are_enforced(mmio):
    device = Recorder()
    mmio.add(0, 16, device, flags=READ, name="status")
    port = mmio.port(None)
    assert port.read(0, 4) == 0
    with pytest.raises(DeniedError, match="status"):
        port.write(0, 4, 1)
    assert len(device.log) == 1


@pytest.mark.parametrize(("address", "size"), [(0x1FFF, 2), (0x1FFD, 4), (0x1FF9, 8)])
def test_mx5_mx9_no_byte_outside_of_a_region_reaches_its_handler(mmio, address, size):
    device = Recorder()
    mmio.add(0x1000, 0x1000, device, name="tpm")
    port = mmio.port(None)
    with pytest.raises(StraddleError, match="tpm"):
        port.read(address, size)
    with pytest.raises(StraddleError, match="tpm"):
        port.write(address, size, 0)
    assert device.log == []


def test_mx6_a_handler_may_change_the_map(mmio):
    regions = {}

    def write(vcpu, offset, size, value):
        mmio.move(regions["bar"], value)
        mmio.add(0x9000, 16, Recorder())
        mmio.remove(regions["self"])

    regions["bar"] = mmio.add(0x1000, 16, Recorder(), name="bar")
    regions["self"] = mmio.add(0, 16, write=write)
    port = mmio.port(None)
    port.write(0, 4, 0x2000)
    assert [region.base for region in mmio] == [0x2000, 0x9000]
    assert port.read(0x2004, 4) == 4


def test_mx7_fallbacks_can_be_removed(mmio):
    hole = mmio.add_fallback(0, 16)
    mmio.remove_fallback(hole)
    assert mmio.fallbacks == ()
    with pytest.raises(UnmappedError):
        mmio.port(None).read(0, 4)


def test_mx8_a_debugger_does_not_touch_a_vcpus_table(mmio):
    mmio.add(0, 16, Recorder())
    vcpu, debugger = mmio.port(0), mmio.port(0)
    debugger.read(0, 4)
    assert not any(cell for _, table in vcpu.tables() for cell in table.values())


def test_mx10_maps_are_independent():
    first, second = RegionMap(), RegionMap()
    first.add(0, 16, Recorder())
    second.add(8, 16, Recorder())
    assert first.port(None).read(8, 4) == 8
    assert second.port(None).read(8, 4) == 0
