# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The MSI-X table and pending bit array as windows: every width and place has a result."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pci.wired import BUS_MASTER, Wired, config_space, message
from vmmkit.pci.interrupts import Interrupts

KEPT = (0xFFFF_FFFC, 0xFFFF_FFFF, 0xFFFF_FFFF, 1)


def table_of(vectors=4):
    return Interrupts(config_space(msix=vectors)).table


@pytest.mark.parametrize("vectors", [1, 3, 64, 65, 2048])
def test_sizes_and_first_values(vectors):
    table = table_of(vectors)
    assert (table.vectors, table.size, table.pba.size) == (
        vectors,
        16 * vectors,
        -(-vectors // 64) * 8,
    )
    for number in (0, vectors - 1):
        assert [table.read(None, 16 * number + at, 4) for at in (0, 4, 8, 12)] == [0, 0, 0, 1]


def test_pieces():
    table = table_of()
    assert table.pieces(0) == [(0, 64, table), (0x8000, 8, table.pba)]
    assert table.pieces(1) == []


@pytest.mark.parametrize("dword", range(4))
def test_bits_that_are_kept(dword):
    table = table_of()
    table.write(None, 16 + 4 * dword, 4, 0xFFFF_FFFF)
    assert table.read(None, 16 + 4 * dword, 4) == KEPT[dword]
    table.write(None, 16 + 4 * dword, 4, 0)
    assert table.read(None, 16 + 4 * dword, 4) == 0


# (offset, size, value) and the bytes of entry 0 that come of it.
WRITES = [
    (0, 8, 0x1122_3344_5566_7788, "88776655443322110000000001000000"),
    (8, 8, 0x0000_0000_99AA_BBCC, "0000000000000000ccbbaa9900000000"),
    (4, 8, 0x99AA_BBCC_1122_3344, "0000000044332211ccbbaa9901000000"),
    (8, 1, 0x5A, "00000000000000005a00000001000000"),
    (11, 1, 0x5A, "00000000000000000000005a01000000"),
    (9, 2, 0x1234, "00000000000000000034120001000000"),
    (3, 2, 0x1234, "00000034120000000000000001000000"),
    (1, 4, 0x1122_3344, "00443322110000000000000001000000"),
    (12, 1, 0x00, "00000000000000000000000000000000"),
    (13, 1, 0xFF, "00000000000000000000000001000000"),
    (10, 4, 0x0000_1234, "00000000000000000000341200000000"),
    (0, 3, 0xFFFFFF, "fcffff00000000000000000001000000"),
    (0, 16, 0x4433_2211_00, "00112233440000000000000000000000"),
]


@pytest.mark.parametrize(("offset", "size", "value", "entry"), WRITES)
def test_writes_of_any_width_and_place(offset, size, value, entry):
    table = table_of()
    table.write(None, offset, size, value)
    assert table.read(None, 0, 16).to_bytes(16, "little").hex() == entry


def test_a_write_across_two_entries_reaches_both():
    wired = Wired(msix=4)
    wired.msix()
    wired.entry(0, masked=True)
    wired.entry(1, masked=True)
    wired.irq(0).pulse()
    wired.irq(1).pulse()
    wired.interrupts.table.write(None, 12, 20, 0)  # control of entry 0, all of entry 1
    assert wired.take() == [message(0), (0, 0)]


def test_a_wide_write_is_whole_before_anything_leaves():
    wired = Wired(msix=4)
    wired.msix()
    wired.entry(2, masked=True, data=0)
    wired.irq(2).pulse()
    wired.interrupts.table.write(None, 2 * 16 + 8, 8, 0x42)  # data, and control unmasked
    assert wired.take() == [message(2)]


@given(st.integers(0, 80), st.sampled_from([1, 2, 3, 4, 5, 8, 16, 32, 64]))
def test_reads_are_bytes_of_the_table_and_ones_beyond(offset, size):
    table = table_of()
    for dword in range(16):
        table.write(None, 4 * dword, 4, 0x0101_0101 * (dword + 1))
    whole = b"".join(table.read(None, at, 4).to_bytes(4, "little") for at in range(0, 64, 4))
    expected = (whole + b"\xff" * 160)[offset : offset + size]
    assert table.read(None, offset, size).to_bytes(size, "little") == expected


@given(st.integers(0, 200), st.integers(1, 64), st.integers(0, (1 << 512) - 1))
def test_writes_beyond_the_end_vanish(offset, size, value):
    table = table_of()
    table.write(None, 64 + offset, size, value & (1 << 8 * size) - 1)
    assert table.snapshot() == (0, 0, 0, 1) * 4
    table.write(None, 60, 8, 0xFFFF_FFFF_0000_0000)
    assert table.snapshot() == (0, 0, 0, 1) * 3 + (0, 0, 0, 0)


# -- pending bits ------------------------------------------------------------------------------


def pending_of(*vectors, size=70):
    wired = Wired(msix=size, bus_master=False)
    for number in vectors:
        wired.irq(number).pulse()
    return wired


@pytest.mark.parametrize(
    ("offset", "size", "value"),
    [
        (0, 8, 1 << 63 | 0b1001),
        (8, 8, 0b10_0001),
        (0, 4, 0b1001),
        (4, 4, 1 << 31),
        (7, 1, 0x80),
        (7, 2, 0x2180),
        (3, 4, 0),
        (6, 4, 0x0021_8000),
        (0, 16, 0b10_0001 << 64 | 1 << 63 | 0b1001),
        (16, 4, 0xFFFF_FFFF),
        (12, 8, 0xFFFF_FFFF_0000_0000),
    ],
)
def test_pending_bits_of_any_width_and_place(offset, size, value):
    wired = pending_of(0, 3, 63, 64, 69)
    assert wired.interrupts.table.pba.read(None, offset, size) == value


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_pending_bits_cannot_be_written(size):
    wired = pending_of(0, 3)
    wired.interrupts.table.pba.write(None, 0, size, (1 << 8 * size) - 1)
    wired.interrupts.table.pba.write(None, 0, size, 0)
    assert wired.pending() == 0b1001


def test_a_big_table_flushes_all():
    wired = Wired(msix=2048, bus_master=False)
    for number in range(2048):
        wired.entry(number, address=0xFEE0_0000, data=number)
        wired.irq(number).set_level(True)
    wired.msix()
    assert wired.pending() == (1 << 2048) - 1
    wired.command(BUS_MASTER)
    assert (wired.pending(), [data for _, data in wired.take()]) == (0, [*range(2048)])


def test_changing_an_unmasked_entry_counts_at_once():
    wired = Wired(msix=1)
    wired.msix()
    wired.entry(0)
    wired.interrupts.table.write(None, 8, 4, 0x77)
    wired.irq().pulse()
    assert wired.take()[0][1] == 0x77


def test_masking_without_msix_enabled_sends_nothing():
    wired = Wired(msix=1)
    wired.entry(0)
    wired.irq().pulse()
    wired.mask(0)
    wired.unmask(0)
    assert (wired.sent, wired.pending()) == ([], 1)
