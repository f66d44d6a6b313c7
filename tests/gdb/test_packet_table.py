# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The packets that have an answer, and the table of them in the guide."""

import re
from pathlib import Path

import pytest

from vmmkit.gdb.packets import ALL_PACKETS
from vmmkit.gdb.packets.table import split

GUIDE = Path(__file__).parents[2] / "docs/gdb.md"


def written():
    """Return the names in the first column of the guide's table."""
    section = GUIDE.read_text().split("\n## The packets\n")[1]
    cells = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_the_guide_has_every_packet_and_no_other():
    names = {re.sub(r"^([Zz])\d$", r"\1", name) for name in written()}
    assert names == set(ALL_PACKETS.names)


@pytest.mark.parametrize(
    ("packet", "name", "rest"),
    [
        (b"", b"", b""),
        (b"m1000,4", b"m", b"1000,4"),
        (b"bs", b"bs", b""),
        (b"bsx", b"b", b"sx"),
        (b"vCont;c:1;s", b"vCont", b"c:1;s"),
        (b"vCont?", b"vCont?", b""),
        (b"qXfer:features:read:target.xml:0,ff", b"qXfer:features:read", b"target.xml:0,ff"),
        (b"qXfer:features:write:x", b"qXfer:features:write", b"x"),
        (b"qSearch:memory:0;1;\xff", b"qSearch:memory", b"0;1;\xff"),
        (b"qRegisterInfo1f", b"qRegisterInfo", b"1f"),
        (b"qC", b"qC", b""),
        (b"qCRC:0,1", b"qCRC", b"0,1"),
        (b"Qqemu.sstep=7", b"Qqemu.sstep", b"7"),
        (b"qqemu.sstepbits", b"qqemu.sstepbits", b""),
        (b"jThreadsInfo", b"jThreadsInfo", b""),
        (b"?", b"?", b""),
        (b"\xff\x00", b"\xff", b"\x00"),
    ],
)
def test_names(packet, name, rest):
    assert split(packet) == (name, rest)
