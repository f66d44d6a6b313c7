# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The headers of type 0 and type 1, register by register as the specifications have them."""

import pytest

from pci.config_probe import CLASS, DEVICE, VENDOR, Bits, bridge, endpoint, probe
from vmmkit.errors import ConfigSpaceError
from vmmkit.pci.bars import MemBar
from vmmkit.pci.capabilities import Msix
from vmmkit.pci.config import ConfigSpace, Effect
from vmmkit.pci.function import Function
from vmmkit.pci.header import rom_bar_offset
from vmmkit.pci.spec import BarKind, HeaderType

COMMAND_RW = 0x0547  # I/O, memory, bus master, parity, SERR, interrupt disable
ERRORS = 0xF900

COMMON = {
    (0x00, 2): Bits(VENDOR),
    (0x02, 2): Bits(DEVICE),
    (0x04, 2): Bits(rw=COMMAND_RW),
    (0x06, 2): Bits(w1c=ERRORS),
    (0x08, 1): Bits(0),
    (0x0C, 1): Bits(rw=0xFF),
    (0x0D, 1): Bits(),
    (0x0F, 1): Bits(),
    (0x34, 4): Bits(),
    (0x3C, 1): Bits(rw=0xFF),
    (0x3D, 1): Bits(),
}
TYPE0 = COMMON | {
    (0x09, 1): Bits(0x00),
    (0x0A, 1): Bits(0xFF),
    (0x0E, 1): Bits(0x00),
    (0x10, 4): Bits(),
    (0x24, 4): Bits(),
    (0x28, 4): Bits(),
    (0x2C, 4): Bits(),
    (0x30, 4): Bits(),
    (0x38, 4): Bits(),
    (0x3E, 2): Bits(),
}
TYPE1 = COMMON | {
    (0x09, 1): Bits(0x00),
    (0x0A, 1): Bits(0x04),
    (0x0B, 1): Bits(0x06),
    (0x0E, 1): Bits(0x01),
    (0x18, 1): Bits(rw=0xFF),
    (0x19, 1): Bits(rw=0xFF),
    (0x1A, 1): Bits(rw=0xFF),
    (0x1B, 1): Bits(),
    (0x1C, 1): Bits(rw=0xF0),
    (0x1D, 1): Bits(rw=0xF0),
    (0x1E, 2): Bits(w1c=ERRORS),
    (0x20, 2): Bits(rw=0xFFF0),
    (0x22, 2): Bits(rw=0xFFF0),
    (0x24, 2): Bits(1, rw=0xFFF0),
    (0x26, 2): Bits(1, rw=0xFFF0),
    (0x28, 4): Bits(rw=0xFFFF_FFFF),
    (0x2C, 4): Bits(rw=0xFFFF_FFFF),
    (0x30, 4): Bits(),
    (0x38, 4): Bits(),
    (0x3E, 2): Bits(rw=0x005F),
}
CONVENTIONAL_BRIDGE = {
    (0x0D, 1): Bits(rw=0xFF),
    (0x1B, 1): Bits(rw=0xFF),
    (0x3E, 2): Bits(rw=0x0B7F, w1c=0x0400),
}


@pytest.mark.parametrize(("place", "bits"), TYPE0.items(), ids=str)
def test_type_0(place, bits):
    assert probe(endpoint(), *place) == bits


@pytest.mark.parametrize(("place", "bits"), TYPE1.items(), ids=str)
def test_type_1(place, bits):
    assert probe(bridge(), *place) == bits


@pytest.mark.parametrize(("place", "bits"), CONVENTIONAL_BRIDGE.items(), ids=str)
def test_a_conventional_bridge_has_timers_and_master_abort_mode(place, bits):
    assert probe(bridge(size=256), *place) == bits


def test_ids_are_where_they_belong():
    config = ConfigSpace.type0(
        vendor_id=0x8086,
        device_id=0x10D3,
        revision=0x42,
        class_code=0x020001,
        subsystem_vendor_id=0x1AF4,
        subsystem_id=0x1100,
    )
    assert (config.read(0, 4), config.read(8, 4)) == (0x10D3_8086, 0x0200_0142)
    assert config.read(0x2C, 4) == 0x1100_1AF4
    assert (config.header_type, config.command, config.power_state) == (HeaderType.TYPE0, 0, 0)
    assert (config.msi, config.msix, config.capabilities) == (None, None, ())


def test_no_guest_changes_what_identifies_a_function():
    config = endpoint()
    before = config.read(0, 4), config.read(8, 4), config.read(0x2C, 4), config.read(0x0E, 2)
    config.write(0, 64, (1 << 512) - 1)
    after = config.read(0, 4), config.read(8, 4), config.read(0x2C, 4), config.read(0x0E, 2)
    assert after == before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("vendor_id", 0x10000),
        ("vendor_id", "1af4"),
        ("device_id", -1),
        ("revision", 0x100),
        ("class_code", 0x100_0000),
        ("subsystem_vendor_id", 0x10000),
        ("subsystem_id", 0x10000),
    ],
)
def test_ids_have_to_fit_their_registers(field, value):
    ids = {"vendor_id": VENDOR, "device_id": DEVICE, "class_code": CLASS, field: value}
    with pytest.raises(ConfigSpaceError, match=f"{field} is 0 to"):
        ConfigSpace.type0(**ids)


# -- windows -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("io_bits", "low", "upper"),
    [(0, Bits(), Bits()), (16, Bits(rw=0xF0), Bits()), (32, Bits(1, 0xF0), Bits(rw=0xFFFF))],
)
def test_widths_of_the_io_window(io_bits, low, upper):
    for offset in (0x1C, 0x1D):
        assert probe(bridge(io_bits=io_bits), offset, 1) == low
    for offset in (0x30, 0x32):
        assert probe(bridge(io_bits=io_bits), offset, 2) == upper


@pytest.mark.parametrize(
    ("bits", "low", "upper"),
    [
        (0, Bits(), Bits()),
        (32, Bits(rw=0xFFF0), Bits()),
        (64, Bits(1, 0xFFF0), Bits(rw=0xFFFF_FFFF)),
    ],
)
def test_widths_of_the_prefetchable_window(bits, low, upper):
    for offset in (0x24, 0x26):
        assert probe(bridge(prefetchable_bits=bits), offset, 2) == low
    for offset in (0x28, 0x2C):
        assert probe(bridge(prefetchable_bits=bits), offset, 4) == upper


@pytest.mark.parametrize("options", [{"io_bits": 8}, {"prefetchable_bits": 16}])
def test_windows_of_other_widths_are_refused(options):
    with pytest.raises(ConfigSpaceError, match=f"{next(iter(options))} is 0,"):
        bridge(**options)


# -- base address registers --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "size", "after_ones"),
    [
        (BarKind.IO, 4, 0xFFFF_FFFD),
        (BarKind.IO, 256, 0xFFFF_FF01),
        (BarKind.MEM32, 16, 0xFFFF_FFF0),
        (BarKind.MEM32, 1 << 20, 0xFFF0_0000),
        (BarKind.MEM32, 1 << 31, 0x8000_0000),
        (BarKind.MEM32_PREFETCHABLE, 1 << 20, 0xFFF0_0008),
        (BarKind.MEM64, 1 << 12, 0xFFFF_FFFF_FFFF_F004),
        (BarKind.MEM64_PREFETCHABLE, 1 << 32, 0xFFFF_FFFF_0000_000C),
        (BarKind.MEM64_PREFETCHABLE, 1 << 40, 0xFFFF_FF00_0000_000C),
        (BarKind.MEM64, 1 << 63, 0x8000_0000_0000_0004),
    ],
)
def test_sizing_is_masking(kind, size, after_ones):
    config = endpoint()
    config.define_bar(2, kind, size)
    width = 8 if after_ones >> 32 else 4
    kind_bits = config.read(0x18, width)
    for pattern in (0xFFFF_FFFF_FFFF_FFFF, 0xFFFF_FFF0_FFFF_FFF0):  # the second is OpenBSD's
        config.write(0x18, width, pattern)
        assert config.read(0x18, width) == after_ones & pattern | kind_bits
    assert config.bars == {2: (kind, size)}


def test_each_half_of_a_wide_bar_is_written_by_itself():
    config = endpoint()
    config.define_bar(0, BarKind.MEM64_PREFETCHABLE, 1 << 20)
    assert config.write(0x14, 4, 0x0000_00AB) == Effect.DECODE
    assert config.write(0x12, 1, 0x70) == Effect.DECODE
    assert config.read(0x10, 8) == 0x0000_00AB_0070_000C


@pytest.mark.parametrize(
    ("make", "offset", "layout"),
    [(endpoint, 0x30, HeaderType.TYPE0), (bridge, 0x38, HeaderType.TYPE1)],
)
def test_the_rom_has_an_enable_bit_and_its_place_depends_on_the_header(make, offset, layout):
    config = make()
    config.define_bar(6, BarKind.ROM, 0x10000)
    assert config.write(offset, 4, 1) == Effect.DECODE
    config.write(offset, 4, 0xFFFF_FFFF)
    assert config.read(offset, 4) == 0xFFFF_0001
    assert rom_bar_offset(layout) == offset


@pytest.mark.parametrize(
    ("make", "bar", "message"),
    [
        (endpoint, (6, BarKind.MEM32, 16), "no mem32 BAR 6 in a TYPE0 header"),
        (endpoint, (-1, BarKind.MEM32, 16), "no mem32 BAR -1"),
        (endpoint, (5, BarKind.MEM64, 16), "no mem64 BAR 5"),
        (endpoint, (0, BarKind.ROM, 0x800), "no rom BAR 0"),
        (bridge, (2, BarKind.IO, 16), "no io BAR 2 in a TYPE1 header"),
        (bridge, (1, BarKind.MEM64, 16), "no mem64 BAR 1"),
        (endpoint, (0, BarKind.MEM32, 24), "BAR 0: the size of a mem32 BAR is a power of two"),
        (endpoint, (0, BarKind.MEM32, 8), "from 0x10 to 0x80000000"),
        (endpoint, (0, BarKind.MEM32, 1 << 32), "from 0x10 to 0x80000000"),
        (endpoint, (0, BarKind.IO, 2), "from 0x4 to 0x100"),
        (endpoint, (0, BarKind.IO, 512), "from 0x4 to 0x100"),
        (endpoint, (6, BarKind.ROM, 1024), "ROM BAR: the size of a rom BAR"),
    ],
)
def test_a_bar_that_cannot_be_is_refused(make, bar, message):
    with pytest.raises(ConfigSpaceError, match=message):
        make().define_bar(*bar)


def test_bars_that_overlap_are_named():
    config = endpoint()
    config.define_bar(0, BarKind.MEM64, 16)
    message = r"BAR 1 \[14h-17h\] overlaps BAR 0 \(upper half\) \[14h-17h\]"
    with pytest.raises(ConfigSpaceError, match=message):
        config.define_bar(1, BarKind.MEM32, 16)


@pytest.mark.parametrize("bar_first", [False, True])
@pytest.mark.parametrize(
    ("kind", "size", "message"),
    [
        (BarKind.MEM32, 0x20, r"table \[0x0-0x2f\] does not fit into BAR 1 \(mem32, 0x20 bytes\)"),
        (BarKind.MEM32, 0x1000, r"PBA \[0x1000-0x1007\] does not fit into BAR 1"),
        (BarKind.IO, 0x100, r"table \[0x0-0x2f\] does not fit into BAR 1 \(io"),
    ],
)
def test_msix_structures_beyond_their_bar_are_refused(bar_first, kind, size, message):
    config = endpoint()
    steps = [
        lambda: config.add(Msix(3, table_bar=1)),
        lambda: config.define_bar(1, kind, size),
    ]
    steps = steps[::-1] if bar_first else steps
    steps[0]()
    with pytest.raises(ConfigSpaceError, match=message):
        steps[1]()


@pytest.mark.parametrize(
    ("msix", "message"),
    [
        (Msix(4, table_bar=1), r"no BAR 1 for table \[0x0-0x3f\]"),
        (Msix(4, table_bar=3), "no BAR 3 for table"),
        (Msix(4, table_bar=0, pba_bar=2, pba_offset=0), r"no BAR 2 for PBA \[0x0-0x7\]"),
    ],
)
def test_a_function_has_the_bar_that_msix_names(msix, message):
    with pytest.raises(ConfigSpaceError, match=message):
        Function(endpoint(msix), [MemBar(0, 0x1000, width=64)])
