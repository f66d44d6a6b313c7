# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What is given to a stub, when and in which pieces: without sockets."""

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdb.raw_client import frame
from vmmkit.gdb.connection import HELD_LIMIT, Conversation, SwitchInterval, refusal

LIMIT = 1000
ANSWER = b"." * 300


class Listed:
    """A stub that lists what it is given; "long" begins an operation that an interrupt ends."""

    def __init__(self):
        self.given = []
        self.busy = self.finished = self.leaving = False

    def attach(self):
        """Nothing is to be done."""

    disconnect = attach

    def receive(self, data):
        self.given.append(data)
        if b"long" in data:
            self.busy = True
        if b"\x03" in data:
            self.busy = False
        if b"bye" in data:
            self.finished = True
        return ANSWER * data.count(b"#")

    def pump(self):
        self.given.append("pump")
        return b""

    def work(self):
        self.given.append("work")
        self.busy = False
        return ANSWER

    def exited(self, status):
        return frame(b"W%02x" % status)


@pytest.fixture
def stub():
    return Listed()


@pytest.fixture
def talk(stub):
    return Conversation(stub, LIMIT)


def test_one_packet_goes_as_it_came(stub, talk):
    data = frame(b"qC")
    assert talk.receive(data, 0) == ANSWER
    assert stub.given == [data]


def test_packets_wait_for_the_answers_to_be_read(stub, talk):
    data = frame(b"qC") * 10
    answer = talk.receive(data, 0)
    assert LIMIT < len(answer) <= LIMIT + len(ANSWER)
    assert not talk.wants_input(len(answer))
    assert not talk.can_resume(len(answer))
    rounds = 0
    while talk.can_resume(0):
        assert len(talk.resume(0)) <= LIMIT + len(ANSWER)
        rounds += 1
    assert rounds == 2
    assert b"".join(stub.given) == data


def test_the_interrupt_does_not_wait_for_a_long_operation(stub, talk):
    talk.receive(frame(b"long"), 0)
    assert talk.receive(frame(b"qC"), 0) == b""
    assert not talk.can_resume(0)
    assert stub.given == [frame(b"long")]
    assert talk.wants_input(0)
    assert talk.work(0) == ANSWER * 2
    assert stub.given[1:] == ["work", frame(b"qC")]


def test_the_interrupt_of_a_long_operation(stub, talk):
    talk.receive(frame(b"long"), 0)
    talk.receive(b"\x03" + frame(b"qC"), 0)
    assert stub.given == [frame(b"long"), b"\x03", frame(b"qC")]


def test_input_stops_while_much_waits(stub, talk):
    talk.receive(frame(b"long"), 0)
    while talk.wants_input(0):
        talk.receive(frame(b"X") * 1000, 0)
    assert len(stub.given) == 1
    stub.busy = False
    assert talk.can_resume(0)


def test_pump_waits_for_room(stub, talk):
    assert talk.pump(LIMIT + 1) == b""
    assert stub.given == []
    talk.resume(LIMIT)
    assert stub.given == ["pump"]
    talk.resume(0)
    assert stub.given == ["pump"]


def test_nothing_is_given_after_the_end(stub, talk):
    talk.receive(frame(b"bye") + frame(b"qC"), 0)
    assert stub.given == [frame(b"bye")]


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from([frame(b"qC"), frame(b"long"), b"\x03", b"+", b"junk#"])), st.data()
)
def test_any_split_gives_the_stub_all_in_order(pieces, data):
    stub = Listed()
    talk = Conversation(stub, LIMIT)
    stream = b"".join(pieces)
    start = 0
    while start < len(stream):
        size = data.draw(st.integers(1, len(stream) - start))
        talk.receive(stream[start : start + size], data.draw(st.sampled_from([0, LIMIT + 1])))
        start += size
    for _ in range(len(pieces) + 1):
        talk.work(0)
        while talk.can_resume(0):
            talk.resume(0)
    assert b"".join(given for given in stub.given if isinstance(given, bytes)) == stream
    assert len(stream) < HELD_LIMIT


def test_refusal_is_an_acknowledgement_and_a_packet():
    told = refusal("caf\xe9")
    assert told == b"+" + frame(b"E.refused: caf?")


def test_the_least_switch_interval_holds_and_the_first_returns():
    before = sys.getswitchinterval()
    for seconds in (0.001, 0.0001):
        SwitchInterval.want(seconds)
    assert sys.getswitchinterval() == pytest.approx(0.0001)
    SwitchInterval.drop(0.0001)
    assert sys.getswitchinterval() == pytest.approx(0.001)
    SwitchInterval.drop(0.001)
    assert sys.getswitchinterval() == pytest.approx(before)
