# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The text tree and the drawing."""

import itertools
from xml.etree import ElementTree as ET

import pytest

from memregion.recording import Recorder
from vmmkit._region_picture import MAX_DRAWN, size_text
from vmmkit.memregion import IMMUTABLE, READ, RegionMap

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def mmio():
    mmio = RegionMap(address_bits=40, name="memory")
    mmio.add_ram(0, bytearray(0xA0000), name="low RAM")
    mmio.add_rom(0xF0000, bytes(0x10000), name="BIOS <shadow>")
    mmio.add_fallback(0xC000_0000, 0x4000_0000, name="PCI hole")
    mmio.add(0xC000_0000, 0x4000, Recorder(), name="nvme & co")
    mmio.add(0xFEC0_0000, 0x1000, Recorder(), name="IOAPIC", flags=IMMUTABLE | READ)
    mmio.add(0xD000_0000, 24, Recorder(), enabled=False)
    return mmio


TREE = """\
memory: 40-bit address space, 4 regions, 1 fallback, 1 disabled
  00_0000_0000-00_0009_ffff     640 KiB  rw-  ram       low RAM
  00_000f_0000-00_000f_ffff      64 KiB  r--  rom       BIOS <shadow>
  00_c000_0000-00_ffff_ffff       1 GiB  rw-  fallback  PCI hole
    00_c000_0000-00_c000_3fff    16 KiB  rw-  device    nvme & co
    00_fec0_0000-00_fec0_0fff     4 KiB  r-i  device    IOAPIC
  00_d000_0000-00_d000_0017        24 B  rw-  device    (unnamed) (disabled)"""


def test_the_tree(mmio):
    assert mmio.tree() == TREE


def test_the_tree_of_an_empty_map():
    assert RegionMap(address_bits=16, name="pio").tree() == "pio: 16-bit address space, 0 regions"


def texts(svg):
    return [element.text for element in ET.fromstring(svg).iter(f"{SVG}text")]


def test_the_drawing_is_well_formed_and_complete(mmio):
    svg = mmio.to_svg()
    shown = texts(svg)
    for expected in ("low RAM", "BIOS <shadow>", "nvme & co", "PCI hole", "00_c000_0000", "memory"):
        assert expected in shown
    root = ET.fromstring(svg)
    assert [group.get("data-region") for group in root.iter(f"{SVG}g")] == [
        "low RAM",
        "BIOS <shadow>",
        "nvme & co",
        "IOAPIC",
    ]
    assert any("answered by PCI hole" in text for text in shown)
    assert any(text.startswith("disabled") for text in shown)


def test_boxes_do_not_overlap_and_stay_on_the_page(mmio):
    root = ET.fromstring(mmio.to_svg())
    boxes = [next(group.iter(f"{SVG}rect")) for group in root.iter(f"{SVG}g")]
    places = [(float(box.get("y")), float(box.get("height"))) for box in boxes]
    for (top, height), (next_top, _) in itertools.pairwise(places):
        assert top + height <= next_top
    assert places[-1][0] + places[-1][1] < float(root.get("height"))


def test_a_region_across_a_fallbacks_edge():
    mmio = RegionMap(address_bits=16)
    mmio.add_fallback(0x1000, 0x1000, name="hole")
    mmio.add(0x800, 0x1000, Recorder(), name="lower")
    mmio.add(0x1800, 0x1000, Recorder(), name="upper")
    assert {"lower", "upper", "hole"} <= set(texts(mmio.to_svg()))
    assert "  1000-1fff" in mmio.tree()


def test_the_whole_space_as_one_region():
    mmio = RegionMap()
    mmio.add(0, 1 << 64, Recorder(), name="all")
    assert "16 EiB" in mmio.tree()
    assert "all" in texts(mmio.to_svg())


def test_an_empty_drawing():
    assert "16 EiB without regions" in texts(RegionMap().to_svg())


def test_long_names_are_cut():
    mmio = RegionMap()
    mmio.add(0, 16, Recorder(), name="n" * 100)
    assert "n" * 25 + "…" in texts(mmio.to_svg())


def test_a_drawing_has_an_end():
    mmio = RegionMap()
    for n in range(MAX_DRAWN + 5):
        mmio.add(0x1000 * n, 0x100, Recorder(), name=str(n))
    mmio.add_fallback(1 << 40, 0x1000, name="far")
    shown = texts(mmio.to_svg())
    assert "and 5 more regions at higher addresses" in shown
    assert str(MAX_DRAWN - 1) in shown
    assert str(MAX_DRAWN) not in shown


@pytest.mark.parametrize(
    ("size", "text"),
    [(1, "1 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (1 << 64, "16 EiB")],
)
def test_sizes(size, text):
    assert size_text(size) == text
