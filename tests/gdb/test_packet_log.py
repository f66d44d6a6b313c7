# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The reader of gdb's packet log, which other tests rely upon."""

from gdb.packet_log import parse

LOG = r"""
w +$qSupported:swbreak+#77
r +$PacketSize=1000#92
w +$QStartNoAckMode#b0
r +
r $O
r K#9a
w +
w $vMustReplyEmpty#3a
r $#00
w $X1000,3:\x00\n}\x03#00
r $OK#9a
w $m0,4#fd
r $E04#a9
w $vCont;c#a8
w \x03
r $O68690a#00$T02thread:p1.1;#00%Stop:T05thread:p1.2;#00
"""


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
