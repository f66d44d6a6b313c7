# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The reader of gdb's packet log, which other tests rely upon."""

from gdb.packet_log import parse

LOG = r"""
[remote] start_remote_1: enter
  [remote] Sending packet: $qSupported:swbreak+#77
  [remote] Received Ack
  [remote] Packet received: PacketSize=1000
  [remote] Sending packet: $QStartNoAckMode#b0
  [remote] Packet received: OK
[remote] Sending packet: $vMustReplyEmpty#3a
[remote] Packet received:_
[remote] Sending packet: $X1000,3:\000\n}\003#00
[remote] Packet received: OK
0x0:	[remote] Sending packet: $m0,4#fd
[remote] Packet received: E04
Cannot access memory at address 0x0
[remote] Sending packet: $vCont;c#a8
  [remote] interrupt: enter
  [remote] Packet received: O68690a
  [remote] Packet received: T02thread:p1.1;
  [remote]   Notification received: Stop:T05thread:p1.2;
""".replace(":_", ": ")


def test_packets_and_replies():
    log = parse(LOG)
    names = [one.name for one in log.exchanges]
    first = ["qSupported", "QStartNoAckMode", "vMustReplyEmpty", "X", "m"]
    assert names == [*first, "vCont", "\x03"]
    assert log.packets(b"X") == [b"X1000,3:\x00\n}\x03"]
    assert log.replies(b"Q") == [b"OK"]
    assert log.empty == {"vMustReplyEmpty"}
    assert log.errors == [(b"m0,4", b"E04")]
    assert log.unanswered == [b"vCont;c"]
    assert log.exchanges[-1].replies == [b"O68690a", b"T02thread:p1.1;"]
    assert log.exchanges[-1].reply == b"T02thread:p1.1;"
    assert log.notifications == [b"Stop:T05thread:p1.2;"]


def test_a_log_of_mi():
    lines = [
        r'&"[remote] Sending packet: $X1000,2:\\n\"#00\n"',
        r'&"[remote] Packet received: E01\n"',
        r'&"[remote]   Notification received: Stop:T05thread:p1.2;\n"',
    ]
    log = parse("\n".join(lines))
    assert log.errors == [(b'X1000,2:\n"', b"E01")]
    assert log.notifications == [b"Stop:T05thread:p1.2;"]
