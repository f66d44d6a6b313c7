# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Where tables go to the byte: edges of ranges, limits, granules."""

import pytest

from acpi.table_sets import PointingTable, minimal
from vmmkit.acpi._window import Window, memory_map, taken
from vmmkit.acpi.layout import E820Type, TableSet
from vmmkit.acpi.relocation import Blob
from vmmkit.acpi.tables.table import Raw
from vmmkit.errors import PlacementError

BASE = 0x1000
FOUR_GIB = 1 << 32
ACPI, NVS = E820Type.ACPI, E820Type.NVS

# What is avoided, and where 0x20 bytes aligned to 0x10 go from 0x1000 on.
TAKES = [
    ([], 0x1000),
    ([(0x0FFF, 1)], 0x1000),
    ([(0x0FFF, 2)], 0x1010),
    ([(0x1000, 1)], 0x1010),
    ([(0x101F, 1)], 0x1020),
    ([(0x1020, 1)], 0x1000),
    ([(0, 0x1_0000)], 0x1_0000),
    ([(0x1000, 0x100), (0x1100, 0x100)], 0x1200),
    ([(0x1000, 0x300), (0x1100, 0x10)], 0x1300),
    ([(0x1100, 0x10), (0x1000, 0xF0)], 0x1110),
    ([(0x1000, 0x100), (0x1120, 0x100)], 0x1100),
]


@pytest.mark.parametrize(("avoid", "expected"), TAKES)
def test_the_first_place_that_is_free_is_taken(avoid, expected):
    window = Window(BASE, None, avoid, [])
    assert window.take(0x20, 0x10, "it") == expected


def test_what_follows_goes_behind():
    window = Window(BASE, None, [(0x1020, 0x10), (0x1060, 0x10)], [])
    assert [window.take(size, 0x10, "it") for size in (0x20, 0x20, 0x10, 1, 0, 1)] == [
        *(0x1000, 0x1030, 0x1050, 0x1070, 0x1080, 0x1080)
    ]


def test_a_limit_is_the_first_address_beyond():
    assert Window(BASE, 0x1020, [], []).take(0x20, 16, "it") == 0x1000
    with pytest.raises(PlacementError):
        Window(BASE, 0x101F, [], []).take(0x20, 16, "it")
    assert Window((1 << 64) - 16, None, [], []).take(16, 16, "it") == (1 << 64) - 16


@pytest.mark.parametrize(
    ("base", "free"), [(0xFFF, True), (0x1000, False), (0x101F, False), (0x1020, True)]
)
def test_fixed_ranges_may_touch_but_not_overlap(base, free):
    fixed = [taken(0x1000, 0x20, "one"), taken(base, 1, "other")]
    if free:
        Window(0, None, [], fixed)
        return
    with pytest.raises(PlacementError, match="lies over"):
        Window(0, None, [], fixed)


# Ranges, what is avoided, and E820 entries, with granules of 0x1000 below 0x8800.
MAPS = [
    ([(0x1000, 1, ACPI)], [], [(0x1000, 0x1000, ACPI)]),
    ([(0x1010, 1, ACPI)], [], [(0x1010, 0xFF0, ACPI)]),
    ([(0x1000, 0x1000, ACPI), (0x2000, 1, ACPI)], [], [(0x1000, 0x2000, ACPI)]),
    ([(0x1000, 1, ACPI), (0x2000, 1, ACPI)], [], [(0x1000, 0x2000, ACPI)]),
    ([(0x1000, 1, ACPI), (0x2001, 1, ACPI)], [], [(0x1000, 0x1000, ACPI), (0x2001, 0xFFF, ACPI)]),
    ([(0x1000, 1, ACPI), (0x1800, 1, NVS)], [], [(0x1000, 0x800, ACPI), (0x1800, 0x800, NVS)]),
    (
        [(0x1000, 1, ACPI), (0x1800, 1, ACPI)],
        [(0x1400, 1)],
        [(0x1000, 0x400, ACPI), (0x1800, 0x800, ACPI)],
    ),
    ([(0x1000, 1, ACPI)], [(0x1001, 1)], [(0x1000, 1, ACPI)]),
    ([(0x8000, 1, ACPI)], [], [(0x8000, 0x800, ACPI)]),
    ([(0x8000, 0x800, ACPI)], [], [(0x8000, 0x800, ACPI)]),
    ([(0x9000, 1, ACPI)], [], [(0x9000, 0x1000, ACPI)]),  # fixed, beyond the limit of the others
    ([(0xE_0000, 0x2_0000, ACPI)], [], []),
    ([(0xD_FFFF, 2, ACPI)], [], [(0xD_FFFF, 1, ACPI)]),
    ([(0xF_FFFF, 2, ACPI)], [], [(0x10_0000, 0x1000, ACPI)]),
    ([(0x1000, 0, ACPI)], [], []),
]


@pytest.mark.parametrize(("ranges", "avoid", "expected"), MAPS)
def test_memory_maps(ranges, avoid, expected):
    window = Window(0, 0x8800, avoid, [])
    assert list(memory_map(ranges, window, 0x1000)) == expected


def test_how_tables_lie_to_each_other_does_not_depend_on_where():
    def distances(base):
        wide = PointingTable("OEM1", [], alignment=256)
        placement = TableSet([Raw("SSDT", b"x"), wide]).place(base)
        first = placement.piece("XSDT").gpa
        return [piece.gpa - first for piece in placement.pieces[1:]]

    assert distances(0x1000) == distances(0x1010) == distances(0x10F0)


def test_four_gib_is_out_of_reach_and_the_byte_before_is_not():
    blob = Blob(b"x", "blob", 1)
    tables = TableSet([PointingTable("OEM1", [(4, blob, 0, False)])])
    with pytest.raises(PlacementError, match="cannot reach blob of 1 bytes at 0x100000000"):
        tables.place(FOUR_GIB - 0x1000)
    tables.place(FOUR_GIB - 0x2000)


def test_a_table_at_four_gib_has_no_place_in_an_rsdt():
    distance = minimal(facs=False).place(BASE).piece("SSDT#2").gpa - BASE
    placement = minimal(facs=False).place(FOUR_GIB - distance)
    assert "RSDT" not in [piece.name for piece in placement.pieces]
    placement = minimal(facs=False).place(FOUR_GIB - distance - 16)
    assert placement.piece("SSDT#2").gpa == FOUR_GIB - 16
    assert "RSDT" in [piece.name for piece in placement.pieces]


def test_a_facs_may_end_at_four_gib():
    placement = minimal().place(BASE, facs=FOUR_GIB - 64)
    assert placement.piece("FACS").last == FOUR_GIB - 1


def test_an_image_may_have_just_the_size_allowed():
    placement = minimal().place(BASE)
    _base, block = placement.image()
    assert placement.image(len(block))[1] == block
    with pytest.raises(PlacementError):
        placement.image(len(block) - 1)
