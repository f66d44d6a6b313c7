# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Packets that no debugger sends by itself, typed by its user."""

import re

from gdb.debug_session import assert_clean

# What is sent, and what the reply must be as a whole.
ODD = (
    ("qNoSuchPacket", ""),
    ("vNoSuchPacket;1", ""),
    ("jNoSuchPacket", ""),
    ("qC", "QCp1.1"),
    ("!", "OK"),
    ("?", "T05.*thread:p1.1;.*"),
    ("vCont?", "vCont;c;C;s;S;r;t|vCont;c;C;s;S;t;r"),
    ("m", "E01"),
    ("mxyz,4", "E01"),
    ("m-1,4", "E01"),
    ("mffffffff80000000,", "E01"),
    ("mffffffff80000000,4", "[0-9a-f]{8}"),
    ("m0,4", "E04"),
    ("m1000000000000000000000,4", "E01"),
    ("Mffffffff80000000,4:00", "E05"),
    ("M0,1:00", "E0[49]"),
    ("p7fffffff", "E03"),
    ("pnonsense", "E01"),
    ("P7fffffff=00", "E03"),
    ("P0=0", "E0[15]"),
    ("G00", "E0[15]"),
    ("Hgp1.99", "E02"),
    ("Hx0", "E01|E0a"),
    ("Tp1.1", "OK"),
    ("Tp1.99", "E02"),
    ("Z9,0,1", "E06|E01|"),
    ("Z0,zz,1", "E01"),
    ("Z0,ffffffff80000000,1;X3,01", "E01|E0b"),
    ("Z0,ffffffff80000000,1;X1,ff", "E0b"),
    ("vCont;x", "E01"),
    ("vCont;s:p1.99", "E02"),
    ("QNonStop:2", "E01"),
    ("qXfer:features:read:nothing.xml:0,fff", "E00|E0[1-5]"),
    ("qXfer:features:read:target.xml:ffffff,10", "l|E0[1-5]"),
    ("qXfer:features:read:target.xml:x,10", "E01|E00"),
    ("qRcmd,6", "E01"),
    ("qThreadExtraInfo,p1.1", "[0-9a-f]+"),
    ("qThreadExtraInfo,p1.63", "E02"),
    ("qCRC:0,10", "E0[49]"),
    ("qSearch:memory:0;10;a", "E0[49]"),
    ("qqemu.sstepbits", "ENABLE=1,NOIRQ=2"),
    ("qAttached:1", "1"),
    ("vMustReplyEmpty", ""),
    ("QStartNoAckMode", "OK"),
    ("bs", ""),
    ("bc", ""),
)


def test_odd_packets_and_all_is_well(debug):
    session = debug("kernel")
    packets = [f"maint packet {packet}" for packet, _ in ODD]
    run = session.gdb(*packets, "break factorial", "continue", "print n", "info registers rip")
    replies = [re.search(r'received: "(.*)"', reply)[1] for reply in run.replies[: len(ODD)]]
    wrong = [
        (packet, wanted, reply)
        for (packet, wanted), reply in zip(ODD, replies, strict=True)
        if not re.fullmatch(wanted, reply)
    ]
    assert wrong == []
    assert run.replies[-2] == "$1 = 5\n"


def test_a_read_only_server_refuses_every_change(debug):
    session = debug("kernel", read_only=True)
    run = session.gdb(
        "x/i $pc",
        "set var $rax = 1",
        "set {int}&counter = 1",
        "print counter",
        "stepi",
        "break factorial",
        "continue",
        "monitor reset",
        "delete",
        "stepi",
    )
    assert "_start" in run.replies[0]
    assert "Could not write register" in run.replies[1]
    assert "Cannot access memory" in run.replies[2]
    assert run.replies[3].endswith("= 0\n")
    assert "lea " in run.replies[4]
    assert "Cannot insert breakpoint" in run.replies[6]
    assert "read-only" in run.replies[7]
    assert "shl " in run.replies[9]
    changes = (b"P", b"X", b"Z", b"m0,", b"m1,")  # it steps through code with no stack yet
    assert {packet[:1] for packet, _ in run.log.errors} >= {b"Z"}
    assert_clean(run.log, errors=changes)
