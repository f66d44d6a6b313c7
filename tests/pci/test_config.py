# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Config spaces: accesses of any shape, hooks, effects, resets, snapshots, author's mistakes."""

from threading import Thread

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pci.config_probe import bridge, endpoint
from vmmkit.errors import ConfigSpaceError, PciSnapshotError
from vmmkit.pci.capabilities import (
    Acs,
    Aer,
    Ari,
    Capability,
    Dsn,
    Msi,
    Msix,
    PciExpress,
    PowerManagement,
    RawCapability,
    Slot,
    SrIov,
    VendorSpecific,
)
from vmmkit.pci.config import ConfigSpace, Effect, ResetKind
from vmmkit.pci.spec import BarKind

ONES = 0xFFFF_FFFF


def test_a_space_has_one_of_two_sizes():
    assert ConfigSpace().size == 4096
    for size in (0, 64, 255, 8192, None):
        with pytest.raises(ConfigSpaceError, match="256 or 4096"):
            ConfigSpace(size)


# -- accesses of any width and alignment -------------------------------------------------------


def counting_space():
    """Return a space of 256 bytes that hold their own offsets, read-only."""
    config = ConfigSpace(256)
    for offset in range(256):
        config.define(offset, 1, value=offset)
    return config


@pytest.mark.parametrize(
    ("offset", "size", "expected"),
    [
        (0x10, 1, "10"),
        (0x11, 2, "11 12"),
        (0x13, 2, "13 14"),
        (0x10, 4, "10 11 12 13"),
        (0x12, 4, "12 13 14 15"),
        (0x10, 8, "10 11 12 13 14 15 16 17"),
        (0x17, 8, "17 18 19 1a 1b 1c 1d 1e"),
        (0xFE, 4, "fe ff ff ff"),
        (0xFC, 8, "fc fd fe ff ff ff ff ff"),
        (0x100, 4, "ff ff ff ff"),
        (0xFFC, 4, "ff ff ff ff"),
        (-2, 4, "ff ff 00 01"),
    ],
)
def test_reads_take_the_bytes_at_the_offset_and_ones_outside(offset, size, expected):
    read = counting_space().read(offset, size)
    assert read.to_bytes(size, "little").hex(" ") == expected


def writable_space(size=256):
    """Return a space of zeros that can all be written."""
    config = ConfigSpace(size)
    for offset in range(0, size, 4):
        config.define(offset, 4, rw=ONES)
    return config


@pytest.mark.parametrize("offset", [*range(8), 0xF9, 0xFE, 0xFF, 0x100, 0x1FC, -1, -4, -8])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 8, 16])
def test_writes_reach_the_bytes_at_the_offset_and_are_dropped_outside(offset, size):
    config = writable_space()
    data = bytes(range(1, size + 1))
    config.write(offset, size, int.from_bytes(data, "little"))
    expected = bytearray(256)
    for at, byte in enumerate(data):
        if 0 <= offset + at < 256:
            expected[offset + at] = byte
    assert config.read(0, 256).to_bytes(256, "little") == bytes(expected)


def test_bits_of_a_value_beyond_its_size_are_dropped():
    config = writable_space()
    config.write(4, 1, 0x1234_5678)
    config.write(0x12, 4, 0x99_1122_3344)
    assert (config.read(0, 8), config.read(0x10, 8)) == (0x78_0000_0000, 0x1122_3344_0000)


def test_a_byte_write_beside_a_w1c_bit_does_not_clear_it():
    config = endpoint()
    config.set(0x06, 2, 0x2000)
    config.write(0x04, 2, 0xFFFF)
    config.write(0x06, 1, 0xFF)
    assert config.read(0x06, 2) == 0x2000
    config.write(0x07, 1, 0x20)
    assert config.read(0x06, 2) == 0


def test_a_dword_write_onto_command_and_status_does_both():
    config = endpoint()
    config.set(0x06, 2, 0x2800)
    assert config.write(0x04, 4, 0x2000_0007) == Effect.DECODE | Effect.INTERRUPT
    assert config.read(0x04, 4) == 0x0800_0007


def test_a_dword_write_onto_the_msi_header_reaches_message_control():
    config = endpoint(Msi())
    assert config.write(0x40, 4, 0x0001_FFFF) == Effect.INTERRUPT
    assert (config.msi.enabled, config.read(0x40, 2)) == (True, 0x0005)


def test_a_misaligned_write_reaches_two_registers():
    config = endpoint()
    config.define_bar(0, BarKind.MEM32, 16)
    config.define_bar(1, BarKind.MEM32, 16)
    assert config.write(0x12, 4, 0x5678_1234) == Effect.DECODE
    assert (config.read(0x10, 4), config.read(0x14, 4)) == (0x1234_0000, 0x0000_5670)


# -- effects -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset", "size", "value", "effect"),
    [
        (0x04, 2, 0x0001, Effect.DECODE),
        (0x04, 2, 0x0002, Effect.DECODE),
        (0x04, 1, 0x04, Effect.INTERRUPT),
        (0x05, 1, 0x04, Effect.INTERRUPT),
        (0x04, 2, 0x0407, Effect.DECODE | Effect.INTERRUPT),
        (0x04, 2, 0x0140, Effect.NONE),
        (0x3C, 1, 0x0B, Effect.NONE),
        (0x00, 4, ONES, Effect.NONE),
        (0x18, 1, 1, Effect.NUMBERS | Effect.DECODE),
        (0x19, 2, 0x0201, Effect.NUMBERS | Effect.DECODE),
        (0x1C, 2, 0x2010, Effect.DECODE),
        (0x20, 4, 0x10, Effect.DECODE),
        (0x24, 4, 0x10, Effect.DECODE),
        (0x28, 4, 1, Effect.DECODE),
        (0x2C, 4, 1, Effect.DECODE),
        (0x3E, 2, 0x0004, Effect.DECODE),
        (0x3E, 2, 0x0008, Effect.DECODE),
        (0x3E, 2, 0x0010, Effect.DECODE),
        (0x3E, 2, 0x0040, Effect.SECONDARY_RESET),
        (0x3E, 2, 0x0003, Effect.NONE),
    ],
)
def test_a_change_has_its_effect_and_the_same_value_again_none(offset, size, value, effect):
    config = bridge()
    assert config.write(offset, size, value) == effect
    assert config.write(offset, size, value) == 0


def test_effects_are_plain_integers():
    config = endpoint(PowerManagement(), PciExpress())
    for offset, value in ((0x04, 7), (0x44, 3), (0x50, 0x8000), (0x3C, 1)):
        assert type(config.write(offset, 2, value)) is int


# -- hooks -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset", "size", "seen"),
    [
        (0x42, 1, [(0x40, 0x00FF_0000)]),
        (0x43, 1, [(0x40, 0xFF00_0000)]),
        (0x40, 4, [(0x40, ONES)]),
        (0x40, 2, []),
        (0x44, 1, [(0x44, 0x0000_00FF)]),
        (0x46, 2, []),
        (0x40, 8, [(0x40, ONES), (0x44, ONES)]),
        (0x41, 4, [(0x40, 0xFFFF_FF00), (0x44, 0x0000_00FF)]),
        (0x48, 4, []),
        (0x3F, 1, []),
    ],
)
def test_a_write_hook_sees_writes_that_touch_its_bytes(offset, size, seen):
    config = writable_space()
    calls = []

    def hook(_config, write):
        calls.append((write.offset, write.lanes))
        return Effect.SLOT

    config.on_write(0x42, 4, hook)
    assert config.write(offset, size, (1 << 8 * size) - 1) == (Effect.SLOT if seen else 0)
    assert calls == seen


def test_a_write_hook_sees_old_new_and_what_was_written():
    config = ConfigSpace(256)
    config.define(0x40, 4, value=0x1111_1111, rw=0x0000_FFFF)
    writes = []
    config.on_write(0x40, 4, lambda _config, write: writes.append(write) or 0)
    config.write(0x41, 2, 0xABCD)
    assert writes == [(0x40, 0x00FF_FF00, 0x00AB_CD00, 0x1111_1111, 0x1111_CD11)]


def test_a_later_hook_sees_what_an_earlier_one_stored():
    config = writable_space()
    seen = []
    config.on_write(0, 4, lambda space, write: space.set(write.offset, 4, 0x55) or 0)
    config.on_write(0, 4, lambda _space, write: seen.append(write.new) or 0)
    config.write(0, 4, 0xAA)
    assert seen == [0x55]


def test_a_read_hook_answers_guests_and_not_the_device():
    config = endpoint()
    config.on_read(0x0C, lambda _config, offset, stored: stored | offset << 20)
    assert (config.read(0x0E, 1), config.read(0x0C, 8) & ONES) == (0xC0, 0x00C0_0000)
    assert config.get(0x0C, 4) == 0


def test_a_dword_has_one_read_hook():
    config = ConfigSpace(256)
    config.on_read(0, lambda _config, _offset, stored: stored)
    with pytest.raises(ConfigSpaceError, match="has a read hook already"):
        config.on_read(0, lambda _config, _offset, stored: stored)


@pytest.mark.parametrize(("offset", "size"), [(254, 4), (256, 1), (-1, 1), (0, 0)])
def test_a_write_hook_has_to_lie_in_the_space(offset, size):
    with pytest.raises(ConfigSpaceError, match="to watch"):
        ConfigSpace(256).on_write(offset, size, lambda _config, _write: 0)


# -- resets ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (ResetKind.POWER, 0x1234_5678),
        (ResetKind.BUS, 0xFF34_5678),
        (ResetKind.FUNCTION, 0xFFFF_5678),
        (ResetKind.D3, 0xFFFF_5678),
    ],
)
def test_sticky_bits_survive_resets_and_held_ones_those_of_the_function(kind, expected):
    config = ConfigSpace(256)
    config.define(0, 4, value=0x1234_5678, rw=ONES, sticky=0xFF00_0000, held=0x00FF_0000)
    config.write(0, 4, ONES)
    config.reset(kind)
    assert config.read(0, 4) == expected


def test_what_is_preset_is_there_at_once_and_after_a_reset():
    config = endpoint()
    config.preset(0x3D, 1, 2)
    config.set(0x3C, 1, 9)
    config.reset(ResetKind.POWER)
    assert config.read(0x3C, 2) == 0x0200
    config.preset(0x3D, 1, 3, now=False)
    assert config.read(0x3D, 1) == 2
    config.reset(ResetKind.FUNCTION)
    assert config.read(0x3D, 1) == 3


def test_bits_are_amended_and_their_neighbours_stay():
    config = endpoint()
    config.set(0x04, 4, 0x1111_1111)
    config.amend(0x06, 1, on=0x0A, off=0x10)
    assert config.read(0x04, 4) == 0x110B_1111


# -- snapshots ---------------------------------------------------------------------------------


def test_a_snapshot_brings_everything_back():
    config = endpoint(PowerManagement(), Msi(4), Dsn(7))
    config.define_bar(0, BarKind.MEM64, 4096)
    before = config.snapshot()
    config.write(0, 256, (1 << 2048) - 1)
    written = config.snapshot()
    assert written != before
    config.restore(before)
    assert config.snapshot() == before
    other = endpoint(PowerManagement(), Msi(4), Dsn(7))
    other.define_bar(0, BarKind.MEM64, 4096)
    other.restore(written)
    assert other.read(0, 4096) == written_value(written)


def written_value(snapshot):
    return sum(value << 32 * index for index, value in enumerate(snapshot.values))


def of_another_function():
    return ConfigSpace.type0(vendor_id=0x1234, device_id=1, class_code=0x00FF00).snapshot()


@pytest.mark.parametrize(
    ("snapshot", "message"),
    [
        (None, "no ConfigSnapshot"),
        (attrs.evolve(endpoint().snapshot(), version=2), "version 2"),
        (attrs.evolve(endpoint().snapshot(), values=(0,)), "1024 dwords"),
        (attrs.evolve(endpoint().snapshot(), values=(-1,) * 1024), "1024 dwords"),
        (attrs.evolve(endpoint().snapshot(), values=("0",) * 1024), "1024 dwords"),
        (of_another_function(), "another layout"),
        (endpoint(Msi()).snapshot(), "another layout"),
        (endpoint(Dsn(1)).snapshot(), "another layout"),
        (bridge().snapshot(), "another layout"),
        (endpoint(size=256).snapshot(), "another layout"),
    ],
)
def test_a_snapshot_of_something_else_is_refused_and_nothing_changes(snapshot, message):
    config = endpoint()
    config.write(0x3C, 1, 5)
    with pytest.raises(PciSnapshotError, match=message):
        config.restore(snapshot)
    assert config.read(0x3C, 1) == 5


def test_capabilities_with_other_constants_are_another_layout():
    assert endpoint(Dsn(1)).layout != endpoint(Dsn(2)).layout
    assert endpoint(Dsn(1)).layout == endpoint(Dsn(1)).layout


# -- author's mistakes -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0x101, 1), "no register of 1 bytes at 0x101"),
        ((0x42, 4), "no register of 4 bytes at 0x42"),
        ((0x40, 3), "no register of 3 bytes"),
        ((0x40, 8), "no register of 8 bytes"),
        ((-4, 4), "no register of 4 bytes"),
    ],
)
def test_a_register_has_to_have_a_place(arguments, message):
    with pytest.raises(ConfigSpaceError, match=message):
        ConfigSpace(256).define(*arguments)


@pytest.mark.parametrize(
    "masks", [{"rw": 1, "w1c": 3}, {"rw": 0x100}, {"value": 0x1FF}, {"sticky": 1 << 8}]
)
def test_masks_have_to_fit_the_register_and_each_other(masks):
    with pytest.raises(ConfigSpaceError, match="masks overlap or exceed 1 bytes"):
        ConfigSpace(256).define(0x40, 1, **masks)


def test_registers_that_overlap_are_named():
    config = ConfigSpace(256)
    config.define(0x60, 4, name="PIRQ Route")
    with pytest.raises(
        ConfigSpaceError, match=r"Latch \[62h-63h\] overlaps PIRQ Route \[60h-63h\]"
    ):
        config.define(0x62, 2, name="Latch")
    with pytest.raises(ConfigSpaceError, match=r"register \[60h-60h\] overlaps PIRQ Route"):
        config.define(0x60, 1)


def test_capabilities_that_overlap_are_named():
    config = endpoint()
    config.add(Msi(), at=0x40)
    message = r"capability PowerManagement \[50h-57h\] overlaps capability Msi \[40h-57h\]"
    with pytest.raises(ConfigSpaceError, match=message):
        config.add(PowerManagement(), at=0x50)
    with pytest.raises(ConfigSpaceError, match=r"Knob \[57h-57h\] overlaps capability Msi"):
        config.define(0x57, 1, name="Knob")
    config._check()


@pytest.mark.parametrize("at", [0x3C, 0x42, 0xFC, 0x100, -4])
def test_a_standard_capability_lies_between_40h_and_ffh(at):
    with pytest.raises(ConfigSpaceError, match=r"is not at a multiple of 4 in \[40h-ffh\]"):
        endpoint().add(PowerManagement(), at=at)


@pytest.mark.parametrize("at", [0xFC, 0x102, 0xFF8, 0x1000])
def test_an_extended_capability_lies_above_ffh(at):
    with pytest.raises(ConfigSpaceError, match=r"is not at a multiple of 4 in \[100h-fffh\]"):
        endpoint().add(Dsn(0), at=at)


def test_an_extended_capability_wants_an_extended_space():
    with pytest.raises(ConfigSpaceError, match="Dsn needs a space of 4096 bytes"):
        endpoint(size=256).add(Dsn(0))


def test_a_capability_that_a_function_has_once_is_refused_the_second_time():
    with pytest.raises(ConfigSpaceError, match="Msi: there is one already, at 40h"):
        endpoint(Msi(), Msi())


def test_only_capabilities_are_added():
    with pytest.raises(ConfigSpaceError, match="is no capability"):
        endpoint().add("MSI")


def test_a_capability_may_not_write_beside_itself():
    class Greedy(Capability):
        cap_id = 0x09
        size = 8

        def __init__(self, register):
            self.register = register

        def define(self, config, offset):
            config.define(offset + self.register, 2)

    for register in (0, 8):
        with pytest.raises(ConfigSpaceError, match="outside of it or in its header"):
            endpoint().add(Greedy(register))
    assert endpoint(Greedy(2)).layout == endpoint(Greedy(2)).layout


def test_a_full_space_says_so():
    config = endpoint()
    config.define(0x80, 4, name="Middle")
    assert config.add(RawCapability(0x0F, bytes(62))) == 0x40
    assert config.add(RawCapability(0x0F, bytes(62))) == 0x84
    with pytest.raises(ConfigSpaceError, match="no room for capability RawCapability of 64 bytes"):
        config.add(RawCapability(0x0F, bytes(62)))
    assert config.add(RawCapability(0x0F, bytes(58))) == 0xC4
    config._check()


# -- for debuggers -----------------------------------------------------------------------------


def test_registers_are_shown_by_name_in_the_order_of_offsets():
    config = endpoint(Msix(3, table_bar=0))
    config.define_bar(0, BarKind.MEM32, 0x2000)
    config.define(0xF0, 1)
    registers = config.registers()
    assert list(registers)[:4] == ["Vendor ID", "Device ID", "Command", "Status"]
    assert list(registers)[-3:] == ["MSI-X.Control", "MSI-X.Table", "MSI-X.PBA"]
    assert (registers["Vendor ID"], registers["MSI-X.Control"]) == (0x1234, 2)


# -- fuzz --------------------------------------------------------------------------------------

ACCESSES = st.tuples(
    st.integers(-8, 0x1010), st.sampled_from([1, 2, 3, 4, 8, 16]), st.integers(0, (1 << 128) - 1)
)


def full_endpoint():
    config = endpoint(PowerManagement(d1=True), Msi(8), Msix(4, table_bar=0), PciExpress())
    config.define_bar(0, BarKind.MEM64, 0x2000)
    for capability in (Aer(), Ari(acs_groups=True), Dsn(1), SrIov(total_vfs=4, device_id=1)):
        config.add(capability)
    return config


def full_bridge():
    slot = Slot(hot_plug=True, attention_button=True, power_controller=True)
    config = bridge(PciExpress(port_type=4, slot=slot), Msi(), PowerManagement(pme=["D3hot"]))
    for capability in (Aer(root_port=True), Acs(), VendorSpecific(b"abc", rw=b"\xff\xff\xff")):
        config.add(capability)
    return config


@given(
    st.sampled_from([full_endpoint, full_bridge]),
    st.lists(ACCESSES, max_size=30),
    st.sampled_from(ResetKind),
)
def test_no_guest_gets_an_exception_out_of_a_space(make, accesses, kind):
    config = make()
    for offset, size, value in accesses:
        assert config.write(offset, size, value) >= 0
        assert 0 <= config.read(offset, size) < 1 << 8 * size
        config._check()
    config.reset(kind)
    config._check()
    assert config.msi.vectors_enabled <= config.msi.vectors
    assert config.power_state in config.capability(PowerManagement).states


# -- threads -----------------------------------------------------------------------------------


def test_a_device_and_a_guest_may_change_neighbours_in_a_dword():
    config = endpoint()

    def device():
        for _ in range(2000):
            config.amend(0x06, 1, on=0x08)
            config.amend(0x06, 1, off=0x08)
            config.set(0x06, 1, 0x10)

    thread = Thread(target=device)
    thread.start()
    for number in range(2000):
        command = 0x0407 if number & 1 else 0
        config.write(0x04, 2, command)
        assert config.command == command
    thread.join()
    assert config.read(0x04, 4) == 0x0010_0407
