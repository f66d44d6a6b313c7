# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Memory through a debugger's eyes: translation, holes, devices and ROM."""

import random
import struct
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmmkit.backends import SoftVcpu
from vmmkit.backends.vcpu_target import VcpuTarget
from vmmkit.errors import BusError, TargetError
from vmmkit.insn import Translation
from vmmkit.memregion import AccessPolicy, RegionMap

PAGE = 4096
MIB = 1 << 20
PRESENT = 1
LARGE = 1 << 7
CR4_PSE, CR4_PAE, CR4_LA57 = 1 << 4, 1 << 5, 1 << 12
CR0_PG_PE = 1 << 31 | 1
EFER_NXE, EFER_LONG = 1 << 11, 1 << 10 | 1 << 8


def device_map(seen, **options):
    """Make a map with RAM at 0 and a device at 1 GiB that remembers its accesses."""

    class Device:
        def read(self, vcpu, offset, size):
            seen.append(("read", offset, size))
            if offset == 0x80:
                raise BusError("refused", offset, size)
            return int.from_bytes(bytes(range(offset & 0xF0, (offset & 0xF0) + size)), "little")

        def write(self, vcpu, offset, size, value):
            seen.append(("write", offset, size, value))

    mmio = RegionMap(address_bits=52, name="mmio")
    mmio.add(1 << 30, 0x100, Device(), name="device", **options)
    return mmio


def flat_target(ram, mmio=None):
    vcpu = SoftVcpu([(0, ram)], engine="pure")
    vcpu.state.enter_protected_mode(0x1000)
    return vcpu, VcpuTarget([vcpu], ram=[(0, ram)], mmio=mmio)


# -- translation -----------------------------------------------------------------------------------

MODES = {
    "32-bit": (0, 0, 4, 1024, 2),
    "32-bit PSE": (CR4_PSE, 0, 4, 1024, 2),
    "PAE": (CR4_PAE, 0, 8, 512, 3),
    "PAE NX": (CR4_PAE, EFER_NXE, 8, 512, 3),
    "4-level": (CR4_PAE, EFER_LONG | EFER_NXE, 8, 512, 4),
    "5-level": (CR4_PAE | CR4_LA57, EFER_LONG, 8, 512, 5),
}
# Bits that some mode or level reserves, or that have no influence.
ODD_BITS = (1 << 63, 1 << 51, 1 << 52, 1 << 40, 1 << 21, 1 << 13, 1 << 8, 1 << 2, 1 << 1, 1 << 5)


def tables_of(seed, mode, ram):
    """Fill RAM with page tables that are mostly good; return the linear addresses to look at."""
    _, _, size, _, levels = MODES[mode]
    draw = random.Random(seed)
    code = "<I" if size == 4 else "<Q"

    def entry(level, table):
        target = draw.choice([table, draw.randrange(1, len(ram) // PAGE) * PAGE])
        value = target | PRESENT | draw.choice([0, 2, 4, 6])
        if draw.random() < 0.08:
            value |= draw.choice(ODD_BITS)
        if draw.random() < 0.05:
            value &= ~PRESENT
        if level > 1 and draw.random() < 0.1:
            value |= LARGE
        if draw.random() < 0.03:
            value += 1 << 30  # a table outside of RAM, or a page
        return value & (1 << 8 * size) - 1

    tables = [PAGE * (1 + level) for level in range(levels)]  # tables[0] is the last level's
    for level in range(levels, 0, -1):
        for index in range(16):
            below = tables[level - 2] if level > 1 else draw.randrange(8, 64) * PAGE
            value = entry(level, below)
            if level == 1 and index and draw.random() < 0.7:
                (before,) = struct.unpack_from(code, ram, tables[0] + (index - 1) * size)
                value = before + PAGE & (1 << 8 * size) - 1
            struct.pack_into(code, ram, tables[level - 1] + index * size, value)
    return tables[-1]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 32), mode=st.sampled_from(sorted(MODES)), start=st.integers(0, 70))
def test_memory_is_where_the_walk_says(seed, mode, start):
    cr4, efer, _, _, _ = MODES[mode]
    ram = bytearray(64 * PAGE)
    for page in range(8, 64):
        ram[page * PAGE : (page + 1) * PAGE] = bytes([page]) * PAGE
    root = tables_of(seed, mode, ram)
    vcpu = SoftVcpu([(0, ram)], engine="pure")
    vcpu.state.enter_protected_mode(0x1000)
    vcpu.state.cr0, vcpu.state.cr3, vcpu.state.cr4 = CR0_PG_PE, root, cr4
    vcpu.state.efer, vcpu.state.maxphyaddr = efer, 40
    target = VcpuTarget([vcpu], ram=[(0, ram)])
    linear, size = start * PAGE // 4, 20 * PAGE
    expected = bytearray()
    for at in range(linear, linear + size):
        if at % PAGE == 0 or at == linear:
            found = vcpu.translate(at, None)
            if not isinstance(found, Translation) or found.gpa >= len(ram):
                break
            base = found.gpa - at
        expected.append(ram[base + at])
    for _ in range(2):  # with and without what was found before
        assert target.read_memory(0, linear, size) == bytes(expected)


def test_translations_are_not_remembered_when_page_tables_change():
    ram = bytearray(64 * PAGE)
    vcpu = SoftVcpu([(0, ram)], engine="pure")
    struct.pack_into("<Q", ram, 0x1000, 0x2003)
    struct.pack_into("<Q", ram, 0x2000, 0x3003)
    struct.pack_into("<Q", ram, 0x3000, 0x4003)
    struct.pack_into("<2Q", ram, 0x4000, 0x8003, 0x4003)
    ram[0x8000], ram[0x9000] = 8, 9
    vcpu.state.enter_long_mode(0, 0x1000)
    target = VcpuTarget([vcpu], ram=[(0, ram)])
    target.stop(lambda _stops=(): None)
    assert target.read_memory(0, 0, 1) == b"\x08"
    target.write_memory(0, 0x1000, struct.pack("<Q", 0x9003))  # the table itself
    assert target.read_memory(0, 0, 1) == b"\x09"
    struct.pack_into("<Q", ram, 0x3000, 0x5003)
    struct.pack_into("<Q", ram, 0x5000, 0x8003)
    target.write_registers(0, {"cr3": 0x1000})
    assert target.read_memory(0, 0, 1) == b"\x08"


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1 << 32), mode=st.sampled_from(sorted(MODES)))
def test_memory_of_a_vcpu_that_runs_is_where_a_new_walk_says(seed, mode):
    cr4, efer, size, _, _ = MODES[mode]
    ram = bytearray(range(256)) * (64 * PAGE // 256)
    draw = random.Random(seed)
    root = tables_of(seed, mode, ram)
    vcpu = SoftVcpu([(0, ram)], engine="pure")
    vcpu.state.enter_protected_mode(0x1000)
    vcpu.state.cr0, vcpu.state.cr3, vcpu.state.cr4 = CR0_PG_PE, root, cr4
    vcpu.state.efer, vcpu.state.maxphyaddr = efer, 40
    target = VcpuTarget([vcpu], ram=[(0, ram)])
    for _ in range(40):
        at = draw.randrange(4) * PAGE + draw.randrange(PAGE)
        for _ in range(2):
            found = vcpu.translate(at, None)
            there = isinstance(found, Translation) and found.gpa < len(ram)
            expected = ram[found.gpa : found.gpa + 1] if there else b""
            assert target.read_memory(0, at, 1) == expected
        place = root - PAGE * draw.randrange(root // PAGE) + draw.randrange(4) * size
        ram[place + draw.randrange(size)] ^= 1 << draw.randrange(8)
        if draw.random() < 0.1:
            vcpu.state.cr3 ^= PAGE
        if draw.random() < 0.1:
            vcpu.state.efer ^= 1 << 11  # bit 63 of entries becomes reserved, or is no more


def test_an_address_outside_of_long_mode_has_32_bits():
    ram = bytearray(16 * PAGE)
    ram[0x100] = 7
    _, target = flat_target(ram)
    assert target.read_memory(0, (1 << 32) + 0x100, 1) == b"\x07"
    assert target.read_memory(0, 0xFFFF_FFFF, 2) == b""


# -- what is there ---------------------------------------------------------------------------------


def test_reads_end_at_the_first_hole():
    ram = bytearray(b"\x11" * PAGE)
    _, target = flat_target(ram)
    assert target.read_memory(0, PAGE - 4, 16) == b"\x11" * 4
    assert target.read_memory(0, PAGE, 16) == b""


def test_writes_that_reach_a_hole_change_nothing():
    ram = bytearray(PAGE)
    _, target = flat_target(ram)
    with pytest.raises(TargetError, match="nothing can be written"):
        target.write_memory(0, PAGE - 2, b"abcd")
    assert not any(ram)


def test_rom_is_read_and_not_written():
    ram, rom = bytearray(PAGE), bytes(range(256)) * 16
    vcpu = SoftVcpu([(0, ram), (PAGE, rom)], engine="pure")
    vcpu.state.enter_protected_mode(0)
    target = VcpuTarget([vcpu], ram=[(0, ram), (PAGE, rom)])
    assert target.read_memory(0, PAGE - 1, 4) == b"\x00\x00\x01\x02"
    with pytest.raises(TargetError, match="ROM"):
        target.write_memory(0, PAGE - 1, b"ab")
    assert not any(ram)


@pytest.mark.parametrize(
    ("offset", "size", "accesses"),
    [
        (0x10, 4, [(0x10, 4)]),
        (0x10, 8, [(0x10, 8)]),
        (0x14, 8, [(0x14, 4), (0x18, 4)]),
        (0x11, 4, [(0x11, 1), (0x12, 2), (0x14, 1)]),
        (0x10, 1, [(0x10, 1)]),
        (0x10, 7, [(0x10, 4), (0x14, 2), (0x16, 1)]),
    ],
)
def test_devices_are_accessed_in_natural_widths(offset, size, accesses):
    seen = []
    _, target = flat_target(bytearray(PAGE), device_map(seen))
    assert len(target.read_memory(0, (1 << 30) + offset, size)) == size
    assert seen == [("read", at, width) for at, width in accesses]
    seen.clear()
    target.write_memory(0, (1 << 30) + offset, bytes(size))
    assert seen == [("write", at, width, 0) for at, width in accesses]


def test_a_region_of_narrow_registers_is_accessed_in_its_width():
    seen = []
    _, target = flat_target(bytearray(PAGE), device_map(seen, policy=AccessPolicy(max_size=4)))
    assert target.read_memory(0, (1 << 30) + 0x10, 8) == bytes([16, 17, 18, 19] * 2)
    assert seen == [("read", 0x10, 4), ("read", 0x14, 4)]


def test_a_refused_access_ends_the_read():
    seen = []
    policy = AccessPolicy(min_size=4)
    _, target = flat_target(bytearray(PAGE), device_map(seen, policy=policy))
    assert len(target.read_memory(0, (1 << 30) + 0x10, 6)) == 4
    assert target.read_memory(0, (1 << 30) + 0x80, 4) == b""
    with pytest.raises(TargetError):
        target.write_memory(0, (1 << 30) + 0x10, b"a")


def test_devices_are_left_alone_when_asked():
    seen = []
    _, target = flat_target(bytearray(PAGE), device_map(seen))
    assert "not accessed" in target.monitor_commands()["mmio"](0, "off")
    assert target.read_memory(0, 1 << 30, 4) == b""
    with pytest.raises(TargetError):
        target.write_memory(0, 1 << 30, b"abcd")
    assert seen == []


def test_physical_addresses_bypass_the_page_tables():
    ram = bytearray(64 * PAGE)
    vcpu = SoftVcpu([(0, ram)], engine="pure")
    ram[0x8000] = 8
    vcpu.state.enter_long_mode(0, 0x1000)
    target = VcpuTarget([vcpu], ram=[(0, ram)])
    assert target.read_memory(0, 0x8000, 1) == b""
    assert target.memory_map() == ()
    target.physical = True
    assert target.read_memory(0, 0x8000, 1) == b"\x08"
    found = target.memory_map()
    assert found[0][:2] == (0, len(ram) - 1)
    assert found[-1].last == (1 << 64) - 1


def test_the_map_covers_everything():
    seen = []
    _, target = flat_target(bytearray(PAGE), device_map(seen))
    found = target.memory_map()
    assert found[0].first == 0
    assert found[-1].last == (1 << 64) - 1
    assert all(low.last + 1 == high.first for low, high in pairwise(found))
    assert target.memory_range(0, (1 << 30) + 5).name == "device"
    assert target.memory_range(0, 1 << 31) is None
