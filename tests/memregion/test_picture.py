# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The text tree and the drawing."""

import itertools
import sys
import threading
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


def test_pictures_while_another_thread_moves_and_disables_regions():
    mmio = RegionMap(address_bits=32)
    regions = [mmio.add(0x1000 * n, 0x100, Recorder(), name=f"r{n}") for n in range(64)]
    hole = mmio.add_fallback(0x800_0000, 0x1000, name="hole")
    names = sorted([*(region.name for region in regions), "hole"])
    begun, done = threading.Event(), threading.Event()

    def change():
        for turn in itertools.count():
            for n, region in enumerate(regions):
                region.move(0x1000 * n + 0x200 * (turn % 3 + 1))
                (region.disable, region.enable)[turn % 2]()
            hole.move(0x800_0000 + 0x1000 * (turn % 3))
            begun.set()
            if done.is_set():
                return

    changer = threading.Thread(target=change)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    changer.start()
    try:
        begun.wait()
        for _ in range(50):
            root = ET.fromstring(mmio.to_svg())
            words = [text.text for text in root.iter(f"{SVG}text") if "answered" not in text.text]
            shown = [text.split()[-1] for text in words]
            assert sorted(name for name in shown if name in names) == names
            head, *lines = mmio.tree().splitlines()
            assert sorted(line.removesuffix(" (disabled)").split()[-1] for line in lines) == names
            disabled = sum(line.endswith("(disabled)") for line in lines)
            assert f", {64 - disabled} region" in head
    finally:
        done.set()
        changer.join()
        sys.setswitchinterval(interval)


def map_of_fallbacks(count, *, regions=True):
    mmio = RegionMap(name="many")
    with mmio.transaction():
        for n in range(count):
            mmio.add_fallback(0x1000 * n, 0x800, name=f"f{n}")
            if regions:
                mmio.add(0x1000 * n + 0x100, 0x10, Recorder(), name=f"r{n}")
    return mmio


def calls_of(function):
    """Count the Python functions entered while `function` runs."""
    calls = 0

    def count(_frame, event, _argument):
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("regions", [False, True])
@pytest.mark.parametrize("draw", [RegionMap.tree, RegionMap.to_svg])
def test_the_work_grows_no_faster_than_the_map(draw, regions):
    few, many = (map_of_fallbacks(count, regions=regions) for count in (200, 800))
    assert calls_of(lambda: draw(many)) < 5 * calls_of(lambda: draw(few))


def test_the_tree_indents_by_the_fallback_around_and_no_other():
    mmio = map_of_fallbacks(3)
    mmio.add(0x1800, 0x10, Recorder(), name="between")
    mmio.add(0x27F8, 0x10, Recorder(), name="across")
    indented = [line.split()[-1] for line in mmio.tree().splitlines() if line.startswith("    ")]
    assert indented == ["r0", "r1", "r2"]


def test_a_drawing_of_many_fallbacks_has_an_end():
    mmio = map_of_fallbacks(MAX_DRAWN + 3)
    shown = texts(mmio.to_svg())
    assert "and 3 more regions at higher addresses" in shown
    assert "and 3 more fallbacks at higher addresses" in shown
    assert f"f{MAX_DRAWN - 1}" in shown
    assert f"f{MAX_DRAWN}" not in shown


def test_a_region_across_the_end_of_the_drawing():
    mmio = map_of_fallbacks(MAX_DRAWN + 1, regions=False)
    mmio.add(0x1000 * (MAX_DRAWN - 1) + 0x400, 0x1000, Recorder(), name="across")
    mmio.add(1 << 40, 0x1000, Recorder(), name="far")
    shown = texts(mmio.to_svg())
    assert "across" in shown
    assert "and 1 more region at higher addresses" in shown
    assert "and 1 more fallback at higher addresses" in shown


def test_a_list_of_disabled_regions_has_an_end():
    mmio = RegionMap()
    for n in range(MAX_DRAWN + 7):
        mmio.add(0x1000 * n, 0x100, Recorder(), name=f"d{n}", enabled=False)
    svg = mmio.to_svg()
    shown = texts(svg)
    assert sum(text.startswith("disabled  ") for text in shown) == MAX_DRAWN
    assert "and 7 more disabled" in shown
    assert float(ET.fromstring(svg).get("height")) < 20 * MAX_DRAWN + 300


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a\x00b", r"a\x00b"),
        ("\x1b[2J", r"\x1b[2J"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\x85\u2028", r"\x85\u2028"),
        ("\ufffe\uffff", r"\ufffe\uffff"),
        ("\ud800", r"\ud800"),
        ("\u202ebackwards", r"\u202ebackwards"),
        ("a: ]]>'\"&<é 漢", "a: ]]>'\"&<é 漢"),
    ],
)
def test_hostile_names_are_escaped(name, text):
    mmio = RegionMap(name=name)
    mmio.add(0, 0x100, Recorder(), name=name)
    mmio.add_fallback(0x1000, 0x100, name=name)
    mmio.add(0x2000, 0x100, Recorder(), name=name, enabled=False)
    svg = mmio.to_svg()
    root = ET.fromstring(svg.encode())
    assert root.find(f"{SVG}title").text == f"Address map {text}"
    assert [group.get("data-region") for group in root.iter(f"{SVG}g")] == [text]
    assert texts(svg).count(text) == 3
    lines = mmio.tree().splitlines()
    assert lines[0].startswith(f"{text}: 64-bit")
    assert [text in line for line in lines] == [True] * 4
