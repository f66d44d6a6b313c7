# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Debuggers come, talk and go: both servers, the thread and the asyncio one, alike."""

import errno
import logging
import os
import socket
import struct
import sys
import threading
import time
from contextlib import contextmanager, suppress
from functools import partial

import pytest

from gdb.counting_target import CountingTarget
from gdb.loop_thread import serve_in_loop, server_in_loop
from gdb.raw_client import RawClient, frame
from vmmkit.errors import GdbError, StubConfigError
from vmmkit.gdb.listener import Listener, listen
from vmmkit.gdb.options import StubOptions
from vmmkit.gdb.serve import Server, serve
from vmmkit.gdb.stub import Stub

SERVE = {"thread": serve, "asyncio": serve_in_loop}
SERVER = {"thread": Server, "asyncio": server_in_loop}
TCP = "tcp:127.0.0.1:0"
PATIENCE = 10.0
REFUSED = b"+" + frame(b"E.refused: another debugger is connected")


@pytest.fixture(params=SERVE)
def kind(request):
    return request.param


@pytest.fixture
def start(kind):
    return SERVE[kind]


@pytest.fixture
def target():
    target = CountingTarget()
    yield target
    target.close()


@contextmanager
def debugger(server):
    with RawClient(server.address) as client:
        client.no_ack()
        client.packet(b"qSupported:swbreak+")
        yield client


def eventually(condition):
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.002)


# -- one debugger ---------------------------------------------------------------------------------


def test_a_debugger_stops_the_target_and_lets_it_go(start, target):
    with start(target, TCP) as server:
        assert target.runs
        assert not server.connected
        with debugger(server) as client:
            assert client.packet(b"?").startswith(b"T05")
            assert not target.runs
            assert server.connected
            assert server.wait_for_debugger(PATIENCE)
        eventually(lambda: target.runs)
        eventually(lambda: not server.connected)


@pytest.mark.parametrize("address", ["tcp:127.0.0.1:0", "tcp:[::1]:0", "tcp:localhost:0", "unix"])
def test_addresses(start, target, tmp_path, address):
    wanted = f"unix:{tmp_path / 'gdb'}" if address == "unix" else address
    with start(target, wanted) as server, debugger(server) as client:
        assert client.packet(b"qAttached") == b"1"
        if address != "unix":
            assert not server.address.endswith(":0")


def test_bytes_one_at_a_time(start, target):
    with start(target, TCP) as server, debugger(server) as client:
        for byte in frame(b"vMustReplyEmpty") + frame(b"qC"):
            client.send_raw(bytes([byte]))
        assert [client.reply(), client.reply()] == [b"", b"QC1"]


def test_many_packets_in_one_segment(start, target):
    with start(target, TCP) as server, debugger(server) as client:
        client.send_raw((frame(b"vMustReplyEmpty") + frame(b"qC")) * 500)
        replies = [client.reply() for _ in range(1000)]
        assert replies == [b"", b"QC1"] * 500


def test_interrupt(start, target):
    with start(target, TCP) as server, debugger(server) as client:
        client.send(b"vCont;c")
        assert client.is_silent()
        assert target.runs
        client.interrupt()
        assert client.wait_stop().startswith(b"T02")
        assert not target.runs


def test_continue_and_interrupt_in_one_segment(start, target):
    with start(target, TCP) as server, debugger(server) as client:
        client.send_raw(frame(b"vCont;c") + b"\x03")
        assert client.wait_stop().startswith(b"T02")
        assert client.is_silent()


def test_those_that_reset_their_connections(start, target):
    """A connection that is gone before it is accepted, or in mid sentence, disturbs nobody."""
    with start(target, TCP) as server:
        for number in range(60):
            client = RawClient(server.address)
            linger = struct.pack("ii", 1, 0)
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            client.send_raw(frame(b"qC")[: number % 8])
            client.close()
        with debugger(server) as client:
            assert client.packet(b"qC") == b"QC1"


def test_steps(start, target):
    with start(target, TCP) as server, debugger(server) as client:
        assert [client.packet(b"vCont;s:1")[:3] for _ in range(20)] == [b"T05"] * 20


def test_detach_closes_the_connection(start, target):
    with start(target, TCP) as server, debugger(server) as client:
        client.send(b"D")
        assert client.wait_closed() == frame(b"OK")
        assert target.runs
        with debugger(server) as another:
            assert another.packet(b"qC") == b"QC1"


# -- a second one ---------------------------------------------------------------------------------


def test_a_second_debugger_is_refused_and_the_first_undisturbed(start, target):
    with start(target, TCP) as server, debugger(server) as first:
        with RawClient(server.address) as second:
            second.send_raw(b"+")
            assert first.packet(b"qC") == b"QC1"
            second.send(b"qSupported:multiprocess+")
            assert second.wait_closed() == REFUSED
        assert first.packet(b"qC") == b"QC1"
        assert not target.runs


def test_a_refused_debugger_that_asks_nothing_does_not_stay(start, target):
    with start(target, TCP) as server, debugger(server) as first:
        with RawClient(server.address) as second:
            assert second.wait_closed() == b""
        assert first.packet(b"qC") == b"QC1"


def test_a_crowd_is_refused(start, target):
    with start(target, TCP) as server, debugger(server) as first:
        crowd = [RawClient(server.address) for _ in range(40)]
        for client in crowd:
            with suppress(OSError):
                client.send(b"qSupported")
        assert first.packet(b"qC") == b"QC1"
        assert all(client.wait_closed() in {b"", REFUSED} for client in crowd)
        for client in crowd:
            client.close()
        assert first.packet(b"qC") == b"QC1"


class FullOnce(Listener):
    """A listener of a process that has as many files as it may have, at first."""

    full = True

    def accept(self):
        if self.full:
            self.full = False
            raise OSError(errno.EMFILE, "no room")
        return super().accept()


def test_no_room_for_another_file(kind, target, caplog):
    """The connection waits, and the server does not spin on it."""
    made = listen(TCP, allow_remote=False, peer_uids=None)
    listener = FullOnce(made.sock, made.address, None, frozenset())
    server = SERVER[kind](listener, partial(Stub, target, None))
    with server, debugger(server) as client:
        assert client.packet(b"qC") == b"QC1"
    assert "no room" in caplog.text


def open_files():
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (numbers, not paths)


@pytest.mark.skipif(sys.platform != "linux", reason="counts in /proc")
def test_a_hundred_debuggers_leave_nothing(start, target):
    with start(target, TCP) as server:
        with debugger(server):
            pass
        eventually(lambda: not server.connected)
        files, threads = open_files(), threading.active_count()
        for number in range(100):
            with RawClient(server.address) as client:
                assert client.packet(b"qC") == b"QC1"
                if number % 3 == 0:
                    client.send(b"vCont;c")
        eventually(lambda: not server.connected)
        eventually(lambda: open_files() <= files)
        assert threading.active_count() == threads


# -- before the first and after the last ----------------------------------------------------------


def test_wait_stops_the_target_before_serve_returns(start, target):
    with start(target, TCP, wait=True) as server:
        assert target.calls == ["stop"]
        eventually(lambda: not target.runs)
        with debugger(server) as client:
            assert client.packet(b"?").startswith(b"T05")
            assert not target.runs
            client.send(b"vCont;c")
            assert client.is_silent()
            assert target.runs


def test_wait_ends_with_the_server(start, target):
    with start(target, TCP, wait=True):
        eventually(lambda: not target.runs)
    assert target.calls == ["stop", "let go"]
    assert target.runs


def test_close_lets_the_debugger_and_the_target_go(start, target):
    with start(target, TCP) as server, debugger(server) as client:
        assert client.packet(b"Z0,1000,1") == b"OK"
        assert target.breakpoints == {0x1000}
        server.close()
        assert client.wait_closed() == b""
        assert target.breakpoints == set()
        assert target.runs
        server.close()


def test_close_while_the_target_runs_stops_it_to_clean_up(start, target):
    with start(target, TCP) as server, debugger(server) as client:
        client.packet(b"Z0,1000,1")
        client.send(b"vCont;c")
        assert client.is_silent()
    assert target.breakpoints == set()
    assert target.runs


def test_a_target_that_cannot_be_let_go(start, target, caplog):
    def fail(_actions, _report):
        raise ZeroDivisionError("a bug")

    target.resume = fail
    with start(target, TCP, wait=True):
        pass
    assert "could not be let go" in caplog.text


def test_leave_while_the_target_runs(start, target):
    with start(target, TCP) as server:
        with debugger(server) as client:
            client.packet(b"Z0,1000,1")
            client.send(b"vCont;c")
            assert client.is_silent()
        eventually(lambda: target.breakpoints == set() and target.runs)
        assert not server.connected


def test_exit_status_is_told(start, target):
    server = start(target, TCP)
    with debugger(server) as client:
        client.send(b"vCont;c")
        assert client.is_silent()
        server.close(exit_status=3)
        assert client.wait_closed() == frame(b"W03")


@pytest.mark.parametrize("status", [-1, 256, "0", 1.0])
def test_wrong_exit_statuses(start, target, status):
    """256 would be told as success."""
    with start(target, TCP) as server:
        with pytest.raises(StubConfigError, match="exit status"):
            server.close(exit_status=status)
        with debugger(server) as client:
            assert client.packet(b"qC") == b"QC1"


def test_close_by_many_threads(target):
    server = serve(target, TCP)
    threads = [threading.Thread(target=server.close) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)


def test_close_on_its_own_thread(target):
    """What the debugger asked for is answered before."""

    def halt(_vcpu, *_words):
        server.close()
        return "closed\n"

    server = serve(target, TCP, commands={"halt": halt})
    with debugger(server) as client:
        client.send(b"qRcmd," + b"halt".hex().encode())
        assert b"closed\n".hex().encode() in client.wait_closed()
    server.close()
    assert target.runs


def test_a_monitor_command_that_exits_ends_the_server_with_a_word(target, caplog):
    with serve(target, TCP, commands={"bye": lambda _vcpu: sys.exit(1)}) as server:
        with debugger(server) as client:
            client.send(b"qRcmd," + b"bye".hex().encode())
            assert client.wait_closed() == b""
        eventually(lambda: target.runs)
    assert "the server ends" in caplog.text


def test_with_closes_on_an_error(start, target):
    def fail():
        with start(target, TCP) as server:
            kept.append(server.address)
            raise KeyError

    kept = []
    with pytest.raises(KeyError):
        fail()
    with pytest.raises(ConnectionRefusedError):
        RawClient(kept[0])


# -- those who do not behave --------------------------------------------------------------------


def test_a_debugger_that_never_reads(start, target):
    """The server stops reading from it, and is there for the next one."""
    packets = frame(b"m0,8000") * 200
    with start(target, TCP) as server:
        with RawClient(server.address, timeout=0.5) as client:
            client.no_ack()
            with pytest.raises(TimeoutError):
                client.send_raw(packets * 20000)
        with debugger(server) as another:
            assert another.packet(b"qC") == b"QC1"


def test_a_debugger_that_reads_late_gets_everything(start, target):
    count = 300
    with start(target, TCP) as server, debugger(server) as client:
        client.send_raw(frame(b"m0,8000") * count)
        client.send(b"qC")
        assert {client.reply() for _ in range(count)} == {b"00" * 0x8000}
        assert client.reply() == b"QC1"


def search(client):
    client.send(b"qSearch:memory:0;100000;needle")


def test_interrupt_of_a_long_search(start, target):
    target.read_gate.clear()
    with start(target, TCP) as server, debugger(server) as client:
        search(client)
        assert target.reads.wait(PATIENCE)
        client.interrupt()
        target.read_gate.set()
        assert client.reply() == b"E0d"
        assert client.packet(b"qC") == b"QC1"


def test_packets_behind_a_long_search_wait(start, target):
    with start(target, TCP) as server, debugger(server) as client:
        client.send_raw(frame(b"qSearch:memory:0;100000;needle") + frame(b"qC"))
        assert [client.reply(), client.reply()] == [b"0", b"QC1"]


def test_disconnect_during_a_long_search(start, target):
    target.read_gate.clear()
    with start(target, TCP) as server:
        with debugger(server) as client:
            search(client)
            assert target.reads.wait(PATIENCE)
        target.read_gate.set()
        eventually(lambda: target.runs)
        with debugger(server) as client:
            assert client.packet(b"qC") == b"QC1"


def test_half_closed(start, target):
    with start(target, TCP) as server:
        with debugger(server) as client:
            client.sock.shutdown(1)
            assert client.wait_closed() == b""
        eventually(lambda: target.runs)


class BrokenStub(Stub):
    """A stub with a bug."""

    def receive(self, data):
        if b"boom" in data:
            raise ZeroDivisionError("a bug")
        return super().receive(data)


def test_a_bug_in_the_stub_is_logged_and_serving_goes_on(kind, target, caplog):
    listener = listen(TCP, allow_remote=False, peer_uids=None)
    make_stub = partial(BrokenStub, target, StubOptions())
    with SERVER[kind](listener, make_stub) as server:
        with debugger(server) as client:
            client.send(b"boom")
            assert client.wait_closed() == b""
        assert target.runs
        with debugger(server) as client:
            assert client.packet(b"qC") == b"QC1"
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.exc_info[0] for record in errors] == [ZeroDivisionError]


def test_a_target_that_does_not_stop_keeps_nobody(target, caplog):
    """Closing is bounded; the target is told of when it stands too late."""
    with serve(target, TCP) as server, debugger(server) as client:
        client.packet(b"Z0,1000,1")
        client.send(b"vCont;c")
        assert client.is_silent()
        target.stops.clear()
    assert "the target does not stop" in caplog.text


@pytest.mark.parametrize(
    "opening", [b"POST / HTTP/1.1\r\n\r\n" + frame(b"M1000,1:00"), b"\x16\x03\x01", b"\n", b"#"]
)
def test_what_is_no_debugger_is_sent_away(start, target, opening, caplog):
    """A web page can have a browser send packets in the body of a request."""
    before = bytes(target.ram)
    with start(target, TCP) as server:
        with RawClient(server.address) as client:
            client.send_raw(opening)
            assert client.wait_closed() == b""
        eventually(lambda: target.runs)
        with debugger(server) as client:
            client.send_raw(b"between packets" + frame(b"qC"))
            assert client.reply() == b"QC1"
    assert bytes(target.ram) == before
    assert "begins with" in caplog.text


# -- options --------------------------------------------------------------------------------------


def test_switch_interval_holds_while_a_debugger_is_connected(start, target):
    before = sys.getswitchinterval()
    with start(target, TCP, switch_interval=0.0002) as server:
        assert sys.getswitchinterval() == before
        with debugger(server) as client:
            client.packet(b"qC")
            assert sys.getswitchinterval() == pytest.approx(0.0002)
        eventually(lambda: not server.connected)
    assert sys.getswitchinterval() == pytest.approx(before)


@pytest.mark.parametrize(
    "options",
    [
        {"switch_interval": 0},
        {"switch_interval": -1.0},
        {"switch_interval": 2},
        {"switch_interval": True},
        {"switch_interval": "1"},
        {"packet_size": 3},
        {"layout": "other"},
        {"exec_file": 5},
        {"commands": [print]},
    ],
)
def test_wrong_options(start, target, options):
    with pytest.raises(StubConfigError):
        start(target, TCP, **options)


@pytest.mark.parametrize("what", [None, object(), CountingTarget])
def test_no_target(start, what):
    with pytest.raises(GdbError):
        start(what, TCP)
