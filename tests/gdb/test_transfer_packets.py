# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The list of threads and the path of the program, read in pieces."""

from xml.etree import ElementTree as ET

import pytest

from gdb.small_target import SmallTarget
from gdb.wire import Wire
from vmmkit.gdb.codec import unescape


def read(wire, name, size=0x1000):
    """Read a whole object in pieces of a size."""
    data = b""
    while True:
        reply = wire.ask(b"%s:%x,%x" % (name, len(data), size))
        assert len(reply) <= wire.stub.options.packet_size
        data += unescape(reply[1:])
        if reply[:1] == b"l":
            return data
        assert reply[:1] == b"m"


@pytest.mark.parametrize("size", [1, 7, 0x1000])
@pytest.mark.parametrize("announced", [[], [b"multiprocess"]])
def test_threads_have_id_core_name_and_text(size, announced):
    wire = Wire(SmallTarget(3), announced=announced)
    root = ET.fromstring(read(wire, b"qXfer:threads:read:", size))
    prefix = "p1." if announced else ""
    assert root.tag == "threads"
    assert [(t.attrib, t.text) for t in root] == [
        ({"id": f"{prefix}{n + 1}", "core": f"{n}", "name": f"vCPU {n}"}, "[64-bit]")
        for n in range(3)
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("vCPU 0 [halted]", "[halted]"),
        ("<&\"'>", "<&\"'>"),
        ("#$}*", "#$}*"),
        ("tab\tnull\0line\n", "tab?null?line"),
        ("Kern \u20ac \ud800", "Kern \u20ac ?"),
        ("", None),
    ],
)
def test_any_text_is_xml(text, shown):
    wire = Wire(SmallTarget(1))
    wire.target.describe_vcpu = lambda _vcpu: text
    assert ET.fromstring(read(wire, b"qXfer:threads:read:"))[0].text == shown


def test_a_thousand_threads_in_small_packets():
    wire = Wire(SmallTarget(1), packet_size=0x400)
    wire.target.names = range(1000)
    wire.target.describe_vcpu = lambda vcpu: f"{vcpu} }}*#$" * 3
    root = ET.fromstring(read(wire, b"qXfer:threads:read:", 0xFFFF))
    assert [int(t.attrib["id"], 16) for t in root] == list(range(1, 1001))


def test_pieces_are_of_the_same_list():
    wire = Wire(SmallTarget(2))
    first = wire.ask(b"qXfer:threads:read::0,40")
    wire.target.modes[0] = wire.target.modes[1] = 16
    rest = wire.ask(b"qXfer:threads:read::40,1000")
    assert b"16-bit" not in first + rest
    ET.fromstring(first[1:] + rest[1:])


def test_the_path_of_the_program():
    wire = Wire(SmallTarget(), exec_file="/boot/\u00e4 #1")
    assert read(wire, b"qXfer:exec-file:read:", 3).decode() == "/boot/\u00e4 #1"
    assert read(wire, b"qXfer:exec-file:read:1").decode() == "/boot/\u00e4 #1"
    assert wire.ask(b"qXfer:exec-file:read:2:0,10") == b"E02"
    assert Wire(SmallTarget()).ask(b"qXfer:exec-file:read::0,10") == b""


@pytest.mark.parametrize(
    ("rest", "error"),
    [
        (b"annex:0,10", b"E01"),
        (b":", b"E01"),
        (b"", b"E01"),
        (b":0", b"E01"),
        (b":0,", b"E01"),
        (b":-1,10", b"E01"),
        (b":0x0,10", b"E01"),
        (b":fffff,10", b"E05"),
        (b":ffffffffffffffff,ffffffffffffffff", b"E05"),
    ],
)
def test_a_place_that_is_none_is_an_error(rest, error):
    assert Wire(SmallTarget()).ask(b"qXfer:threads:read:" + rest) == error
