# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Pictures of topologies: the text is exact, the drawing has nothing that covers anything."""

import xml.etree.ElementTree as ET
from itertools import combinations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vmmkit.errors import TopologyError
from vmmkit.pci._picture_svg import MAX_DRAWN
from vmmkit.pci.bars import IoBar, MemBar, Rom
from vmmkit.pci.bridge import Bridge
from vmmkit.pci.capabilities import Msi, Msix, PowerManagement
from vmmkit.pci.config import ConfigSpace
from vmmkit.pci.function import Function
from vmmkit.pci.host_bridge import HostBridge
from vmmkit.pci.testing import Host

SVG = "{http://www.w3.org/2000/svg}"
# The advance of DejaVu Sans Mono, the widest of the fonts the drawing asks for, at its sizes.
ADVANCE = {"title": 12.05, "heading": 8.43, "name": 7.23, "note": 7.23, "small": 6.63}


def function(name, *bars, capabilities=(), **options):
    config = ConfigSpace.type0(vendor_id=0x1234, device_id=0x11E8, class_code=0x00FF00)
    for capability in capabilities:
        config.add(capability)
    return Function(config, bars, name=name, **options)


def bridge(name):
    config = ConfigSpace.type1(vendor_id=0x1B36, device_id=0x000C, class_code=0x060400)
    return Bridge(config, name=name)


def populated():
    host = Host()
    vram = MemBar(2, 1 << 30, width=64, prefetchable=True, ram=True, name="vram")
    edu = function(
        "edu", MemBar(0, 1 << 20, name="regs"), vram, Rom(), capabilities=[Msi(vectors=2)]
    )
    host.plug(edu).enable_msi()
    port = host.plug(bridge("port"))
    inner = host.plug(bridge("inner"), behind=port)
    nic = function(
        "nic",
        MemBar(0, 4096, name="msix"),
        IoBar(1, 32, name="ports"),
        capabilities=[Msix(vectors=4, table_bar=0, pba_bar=0, pba_offset=2048)],
        intx="B",
    )
    host.plug(nic, behind=inner).enable_msix()
    host.plug(function("sleeper", capabilities=[PowerManagement()]), behind=inner).power_state = 3
    serial = host.plug(function("serial", IoBar(0, 8, name="com"), intx="A"))
    clash = host.plug(function("clash", MemBar(0, 4096, name="regs")))
    clash.bar(0).write_address(0x2000)
    assert serial.bdf >> 3 == 3
    return host


def test_tree():
    assert populated().tree().splitlines() == [
        "pci: segment 0, buses 00-ff, 7 functions",
        "-[00]",
        "  +-01.0  1234:11e8  edu  (MSI 2)",
        "  |       regs  mem32  1 MiB  c000_0000-c00f_ffff  live",
        "  |       vram  mem64 pref ram  1 GiB  10_0000_0000-10_3fff_ffff  live",
        "  |       ROM  rom  2 KiB  off",
        "  +-02.0  1b36:000c  port  (bridge to 01-02)",
        "  |       window io    1000-1fff",
        "  |       window mem   c020_0000-c02f_ffff",
        "  | -[01]",
        "  |   \\-00.0  1b36:000c  inner  (bridge to 02-02)",
        "  |           window io    1000-1fff",
        "  |           window mem   c020_0000-c02f_ffff",
        "  |     -[02]",
        "  |       +-00.0  1234:11e8  nic  (MSI-X 4)",
        "  |       |       msix  mem32  4 KiB  c020_0000-c020_0fff  live",
        "  |       |       ports  io  32 B  1000-101f  live",
        "  |       \\-01.0  1234:11e8  sleeper  (D3)",
        "  +-03.0  1234:11e8  serial  (INTA to GSI 19)",
        "  |       com  io  8 B  2000-2007  live",
        "  \\-04.0  1234:11e8  clash",
        "          regs  mem32  4 KiB  0000_2000-0000_2fff  blocked by RAM",
    ]


def test_tree_before_firmware_ran():
    host = HostBridge(name="early")
    host.bus.attach(bridge("port"), 0)
    host.bus.attach(function("pin", MemBar(0, 16), intx="C"), 1)
    assert host.tree().splitlines() == [
        "early: segment 0, buses 00-ff, 2 functions",
        "-[00]",
        "  +-00.0  1b36:000c  port  (bridge to 00-00)",
        "  | -[not reachable]",
        "  \\-01.0  1234:11e8  pin  (INTC)",
        "          BAR0  mem32  16 B  off",
    ]


# -- the drawing ----------------------------------------------------------------------------------


def crowded():
    host = populated()
    for number in range(6):
        wide = function(f"宽 {number} " + "x" * 60, MemBar(0, 1 << 12 + number, name="r" * 40))
        host.plug(wide)
    host.plug(function('"<&>" \x07', MemBar(0, 16)))
    return host


def empty():
    return Host()


def windows_that_cross():
    host = populated()
    left, right = host.plug(bridge("left")), host.plug(bridge("right"))
    left.config.write32(0x20, 0xD7F0_D000)
    right.config.write32(0x20, 0xDFF0_D400)
    return host


def deep():
    host = Host()
    above = None
    for level in range(7):
        above = host.plug(bridge(f"level {level}"), behind=above)
    host.plug(function("bottom", MemBar(0, 4096)), behind=above)
    return host


HOSTS = [populated, crowded, empty, windows_that_cross, deep]


def rectangle(element):
    x, y, width, height = (float(element.get(key)) for key in ("x", "y", "width", "height"))
    return x, y, x + width, y + height


def boxes(root):
    return [
        rectangle(group.find(f"{SVG}rect"))
        for group in root.iter(f"{SVG}g")
        if group.get("data-function") or group.get("data-range")
    ]


def columns(words):
    return sum(2 if ord(one) > 0x2FFF else 1 for one in words)


def extent(text):
    """Return left, top, right and bottom of what a text covers."""
    width = columns(text.text or "") * ADVANCE[text.get("class")]
    x, y = float(text.get("x")), float(text.get("y"))
    left = x - width if text.get("text-anchor") == "end" else x
    return left, y - 9, left + width, y + 3


def overlap(one, other):
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def check_drawing(root):
    """Assert that nothing on a drawing covers anything else."""
    for shapes in (boxes(root), [extent(text) for text in root.iter(f"{SVG}text") if text.text]):
        assert [pair for pair in combinations(shapes, 2) if overlap(*pair)] == []


@pytest.fixture(params=HOSTS, ids=lambda make: make.__name__)
def drawing(request):
    return ET.fromstring(request.param().to_svg())


def test_nothing_overlaps(drawing):
    check_drawing(drawing)


def test_texts_fit_their_boxes(drawing):
    for group in drawing.iter(f"{SVG}g"):
        left, top, right, bottom = rectangle(group.find(f"{SVG}rect"))
        for text in group.iter(f"{SVG}text"):
            x, y, end, foot = extent(text)
            assert left <= x, text.text
            assert end <= right, text.text
            assert top <= y, text.text
            assert foot <= bottom + 1, text.text


def test_everything_is_on_the_page(drawing):
    width, height = float(drawing.get("width")), float(drawing.get("height"))
    for left, top, right, bottom in [
        *(rectangle(rect) for rect in drawing.iter(f"{SVG}rect")),
        *(extent(text) for text in drawing.iter(f"{SVG}text")),
    ]:
        assert 0 <= left <= right <= width
        assert 0 <= top <= bottom <= height


def test_every_function_and_address_is_drawn():
    root = ET.fromstring(populated().to_svg())
    groups = list(root.iter(f"{SVG}g"))
    functions = [group.get("data-function") for group in groups if group.get("data-function")]
    assert functions == [
        "00:01.0",
        "00:02.0",
        "01:00.0",
        "02:00.0",
        "02:01.0",
        "00:03.0",
        "00:04.0",
    ]
    ranges = {group.get("data-range") for group in groups if group.get("data-range")}
    assert ranges == {
        "00:01.0 edu regs",
        "00:01.0 edu vram",
        "00:02.0 mem window",
        "00:02.0 io window",
        "01:00.0 mem window",
        "01:00.0 io window",
        "02:00.0 nic msix",
        "02:00.0 nic ports",
        "00:03.0 serial com",
        "00:04.0 clash regs",
    }


WRITES = st.lists(
    st.tuples(
        st.sampled_from([0x008, 0x010, 0x100, 0x200, 0x201, 0x018, 0x020]),
        st.sampled_from([*range(0x04, 0x40, 2)]),
        st.one_of(st.integers(0, 0xFFFF), st.sampled_from([0, 0x07, 0xC020, 0xFFFF])),
    ),
    max_size=12,
)


@given(WRITES)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_a_guest_wrote_can_be_drawn(writes):
    host = populated()
    for bdf, offset, value in writes:
        host.config.write(bdf, offset, 2, value)
    host.tree()
    check_drawing(ET.fromstring(host.to_svg()))


def test_a_drawing_is_deterministic():
    assert populated().to_svg() == populated().to_svg()


def test_many_functions_are_counted():
    host = Host()
    for slot in range(1, 32):
        for number in range(8):
            host.plug(function(f"f{slot}.{number}"), slot, function=number)
    root = ET.fromstring(host.to_svg())
    assert sum(1 for group in root.iter(f"{SVG}g")) == MAX_DRAWN
    assert f"and {31 * 8 - MAX_DRAWN} more functions" in [t.text for t in root.iter(f"{SVG}text")]


def test_the_bridge_draws_itself():
    host = populated()
    assert host.bridge.tree() == host.tree()
    assert host.bridge.to_svg() == host.to_svg()


def test_a_bus_draws_itself_and_what_is_behind_it():
    host, above = HostBridge(), bridge("above")
    host.bus.attach(above, 1)
    above.secondary.attach(function("behind"), 2)
    host.bus.attach(function("beside"), 3)
    host.config_write(above.bdf, 0x18, 4, 0x050500)
    text = above.secondary.tree()
    assert text.startswith("-[05]\n")
    assert "behind" in text
    assert "beside" not in text
    assert host.bus.tree() == "\n".join(host.tree().splitlines()[1:])
    with pytest.raises(TopologyError, match="no host bridge"):
        bridge("alone").secondary.tree()
