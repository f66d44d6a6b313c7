# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Framing: packets, acknowledgments, interrupts, junk, limits, any split of any bytes."""

import itertools
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmmkit.gdb.session import Interrupt, Oversize, Packet, Session

SIZE = 24  # small packets, so that limits are met often


def framed(payload, mark=b"$"):
    return b"%b%b#%02x" % (mark, payload, sum(payload) % 256)


def kinds(events):
    """Events with their types: an empty tuple is equal to every other one."""
    return [(type(event).__name__, *event) for event in events]


class SlowSession:
    """The same rules, a byte at a time, written from the text of the session's docstring."""

    def __init__(self, size, no_ack, last):
        self.size, self.no_ack, self.last = size, no_ack, last
        self.resends = 3
        self.events, self.output = [], b""
        self.packet = None  # bytes from "$" on, while there is one

    def feed(self, byte):
        if byte == ord("$"):
            self.packet = b"$"
        elif self.packet is None:
            self.between(byte)
        else:
            self.packet += bytes([byte])
            if self.packet[-3:-2] == b"#" or b"#" in self.packet[:-2]:
                self.complete()

    def between(self, byte):
        if byte == 3:
            self.events.append(("Interrupt",))
        elif byte == ord("-") and self.resends and self.last:
            self.resends -= 1
            self.output += self.last

    def complete(self):
        payload, digits = self.packet[1:].split(b"#", 1)
        self.packet = None
        good = digits.lower() == b"%02x" % (sum(payload) % 256)
        accepted = len(payload) > self.size or self.no_ack or good
        if self.no_ack:
            self.last = b""
        else:
            self.output += b"+" if accepted else b"-"
        if len(payload) > self.size:
            self.events.append(("Oversize", len(payload)))
        elif accepted:
            self.events.append(("Packet", payload))


GOOD = st.binary(max_size=SIZE + 6).map(
    lambda data: framed(data.translate(bytes(b if b not in b"#$*" else 65 for b in range(256))))
)
MARKS = [b"+", b"-", b"---", b"\x03", b"$", b"#", b"##", b"$#00", b"$#0", b"%Stop:T05#aa"]
NEARLY = [b"$qC#B4", b"$qC#b5", b"$q$qC#b4", b"$qC#$qC#b4", b"$qC#b$qC#b4", b"$a\x03#64", b"$qC#+4"]
TOKENS = st.one_of(
    GOOD,
    st.sampled_from([*MARKS, *NEARLY, b"$qC#b4"]),
    st.binary(max_size=6).map(lambda data: data.replace(b"*", b"")),
)
STREAMS = st.lists(TOKENS, max_size=25).map(b"".join)
CUTS = st.lists(st.integers(0, 400), max_size=12)


def split(data, cuts):
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


@settings(max_examples=200)
@given(STREAMS, CUTS, st.booleans())
def test_any_split_is_as_a_byte_at_a_time(stream, cuts, no_ack):
    session = Session(SIZE)
    session.reply(b"OK")
    last = session.data_to_send()
    if no_ack:
        session.start_no_ack()
    model = SlowSession(SIZE, no_ack, last)
    for byte in stream:
        model.feed(byte)
    events, output = [], b""
    for piece in split(stream, cuts):
        events += session.receive(piece)
        output += session.data_to_send()
        assert len(session._body) <= SIZE
    assert kinds(events) == model.events
    assert output == model.output


@settings(max_examples=100)
@given(st.lists(st.one_of(TOKENS, st.binary(max_size=40)), max_size=20).map(b"".join), CUTS)
def test_any_bytes_in_any_split(stream, cuts):
    whole, pieces = Session(SIZE), Session(SIZE)
    expected = whole.receive(stream)
    events = [event for piece in split(stream, cuts) for event in pieces.receive(memoryview(piece))]
    assert kinds(events) == kinds(expected)
    assert pieces.data_to_send() == whole.data_to_send()


LOG = b"".join(
    framed(payload)
    for payload in [
        b"qSupported:multiprocess+;swbreak+;hwbreak+;xmlRegisters=i386",
        b"QStartNoAckMode",
        b"?",
        b"Hgp0.0",
        b"qXfer:features:read:target.xml:0,fff",
        b"g",
        b"mffffffff80001000,40",
        b"X1000,5:}]}\x03}\x04ab",
        b"Z0,5000,1;X28,2600",
        b"vCont;c:p1.-1",
    ]
)


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(st.integers(0, len(LOG) - 1), st.integers(0, 255), st.booleans()), max_size=8
    ),
    CUTS,
)
def test_mutated_logs(changes, cuts):
    log = bytearray(LOG)
    for place, byte, insert in changes:
        log[place : place + (not insert)] = bytes([byte])
    whole, pieces = Session(64), Session(64)
    expected = whole.receive(bytes(log))
    assert all(len(event.data) <= 64 for event in expected if isinstance(event, Packet))
    events = [event for piece in split(bytes(log), cuts) for event in pieces.receive(piece)]
    assert kinds(events) == kinds(expected)
    assert pieces.data_to_send() == whole.data_to_send()


@pytest.mark.parametrize(
    ("stream", "events", "output"),
    [
        (b"$qC#b4", [("Packet", b"qC")], b"+"),
        (b"+$qC#b4", [("Packet", b"qC")], b"+"),
        (b"$#00", [("Packet", b"")], b"+"),
        (b"$qC#B4", [("Packet", b"qC")], b"+"),
        (b"$qC#b5", [], b"-"),
        (b"$qC#zz", [], b"-"),
        (b"$qC# 4", [], b"-"),
        (b"$qC#b5$qC#b4", [("Packet", b"qC")], b"-+"),
        (b"$junk$qC#b4", [("Packet", b"qC")], b"+"),
        (b"$qC#b$qC#b4", [("Packet", b"qC")], b"+"),
        (b"\x03", [("Interrupt",)], b""),
        (b"\x03$qC#b4\x03", [("Interrupt",), ("Packet", b"qC"), ("Interrupt",)], b"+"),
        (framed(b"X0,1:\x03"), [("Packet", b"X0,1:\x03")], b"+"),
        (b"hello", [], b""),
        (b"%Stop:T05#9f$qC#b4", [("Packet", b"qC")], b"+"),
        (framed(b"a" * 24), [("Packet", b"a" * 24)], b"+"),
        (framed(b"a" * 25), [("Oversize", 25)], b"+"),
        (framed(b"a" * 99)[:-2] + b"zz$qC#b4", [("Oversize", 99), ("Packet", b"qC")], b"++"),
        (b"$" + b"a" * 99 + b"$qC#b4", [("Packet", b"qC")], b"+"),
        (framed(b"a0* b"), [("Packet", b"a0000b")], b"+"),
        (framed(b"a*~"), [("Oversize", 3)], b"+"),
        (framed(b"a*"), [("Packet", b"a*")], b"+"),
        (framed(b"X0,4:0* b"), [("Packet", b"X0,4:0* b")], b"+"),
        (framed(b"qSearch:memory:0;9;**"), [("Packet", b"qSearch:memory:0;9;**")], b"+"),
        (framed(b"vFile:pwrite:5,0,a* "), [("Packet", b"vFile:pwrite:5,0,a* ")], b"+"),
        (framed(b"vFlashWrite:0:a* "), [("Packet", b"vFlashWrite:0:a* ")], b"+"),
        (framed(b"qXfer:a:write::0:a* "), [("Packet", b"qXfer:a:write::0:a* ")], b"+"),
        (b"$$a$b$qC#b4", [("Packet", b"qC")], b"+"),
    ],
)
def test_streams(stream, events, output):
    session = Session(SIZE)
    assert kinds(session.receive(stream)) == events
    assert session.data_to_send() == output


def test_replies_and_acknowledgments_leave_together():
    session = Session()
    for event in session.receive(b"$qC#b4"):
        assert event == Packet(b"qC")
        session.reply(b"QC1")
    assert session.data_to_send() == b"+" + framed(b"QC1")
    assert session.data_to_send() == b""


def test_a_reply_is_sent_again_a_few_times_at_most():
    session = Session()
    session.reply(b"first")
    session.reply(b"second")
    session.notify(b"Stop:T05")
    session.data_to_send()
    assert session.receive(b"-" * 1000) == []
    assert session.data_to_send() == framed(b"second") * 3
    session.reply(b"third")
    session.receive(b"-")
    assert session.data_to_send() == framed(b"third") * 2


def test_nothing_to_send_again():
    session = Session()
    session.receive(b"-")
    assert session.data_to_send() == b""


@pytest.mark.parametrize("reply_first", [True, False])
def test_no_ack_mode_begins_after_its_reply(reply_first):
    session = Session()
    session.receive(framed(b"QStartNoAckMode"))
    if reply_first:
        session.reply(b"OK")
    session.start_no_ack()
    if not reply_first:
        session.reply(b"OK")
    assert session.data_to_send() == b"+" + framed(b"OK")
    assert session.no_ack
    assert session.receive(b"-+") == []  # the reply was lost once, then acknowledged
    assert session.data_to_send() == framed(b"OK")
    assert session.receive(b"$qC#00") == [Packet(b"qC")]
    session.reply(b"QC1")
    assert session.data_to_send() == framed(b"QC1")
    assert session.receive(b"-" * 10) == []
    assert session.data_to_send() == b""


def test_notifications():
    session = Session(run_length=True)
    session.notify(b"Stop:T05" + b"0" * 10)
    assert session.data_to_send() == framed(b"Stop:T05" + b"0" * 10, b"%")


def test_replies_are_run_length_encoded():
    session = Session(run_length=True)
    session.reply(b"0" * 98)
    assert session.data_to_send() == framed(b"0*~")
    session.receive(b"-")
    assert session.data_to_send() == framed(b"0*~")


@given(st.binary(max_size=80).map(lambda data: data.translate(None, b"#$*")), st.integers(1, 200))
def test_large_replies(data, times):
    session = Session()
    session.reply(data * times)
    assert session.data_to_send() == framed(data * times)


def peak_of_a_flood(begin, byte):
    """Return the most memory that the process took while a session got the byte again and again."""
    session = Session(1024)
    session.reply(b"x" * 1024)
    session.receive(begin)
    tracemalloc.start()
    for _ in range(200):
        session.receive(byte * 4096)
        assert len(session._body) <= 1024
    session.data_to_send()
    _current, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("byte", [b"a", b"+", b"-", b"#", b"%", b"$", b"*"])
@pytest.mark.parametrize("begin", [b"", b"$"])
def test_memory_is_bounded(begin, byte):
    """The least of several: a thread of the test runner's may take memory meanwhile."""
    peaks = (peak_of_a_flood(begin, byte) for _ in range(4))
    assert any(peak < 100_000 for peak in peaks)


def test_a_packet_in_single_bytes():
    session = Session()
    events = []
    for byte in framed(b"X1000,fff0:" + bytes(range(33)) * 1000):
        events += session.receive(bytes([byte]))
    assert events == [Packet(b"X1000,fff0:" + bytes(range(33)) * 1000)]


def test_interrupts_are_told_one_by_one():
    events = Session().receive(b"\x03\x03$\x03#03\x03")
    assert [type(event) for event in events] == [Interrupt, Interrupt, Packet, Interrupt]
    assert not isinstance(events[0], Oversize)
