# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Who can connect, and what those who may only look can do."""

import os
import select
import socket
import stat

import pytest

from gdb.counting_target import CountingTarget
from gdb.raw_client import RawClient, frame
from vmmkit.errors import ServeError, StubConfigError
from vmmkit.gdb.address import TcpAddress, UnixAddress, check_reach, parse_address
from vmmkit.gdb.listener import bind_private, configure_client
from vmmkit.gdb.serve import serve

TCP = "tcp:127.0.0.1:0"

PARSED = {
    "tcp:127.0.0.1:1234": TcpAddress("127.0.0.1", 1234),
    "tcp:localhost:0": TcpAddress("localhost", 0),
    "tcp:[::1]:65535": TcpAddress("::1", 65535),
    "tcp::1234": TcpAddress("", 1234),
    "tcp:a.example:1": TcpAddress("a.example", 1),
    "unix:/run/gdb": UnixAddress("/run/gdb"),
    "unix:here:there": UnixAddress("here:there"),
}
WRONG = (
    "",
    "1234",
    ":1234",
    "127.0.0.1:1234",
    "udp:127.0.0.1:1234",
    "TCP:127.0.0.1:1234",
    "tcp:",
    "tcp:1234",
    "tcp:127.0.0.1",
    "tcp:127.0.0.1:",
    "tcp:127.0.0.1:65536",
    "tcp:127.0.0.1:-1",
    "tcp:127.0.0.1:+1",
    "tcp:127.0.0.1: 1",
    "tcp:127.0.0.1:0x10",
    "tcp:127.0.0.1:\u0661",
    "tcp:127.0.0.1:000001",
    "tcp: 127.0.0.1:1",
    "tcp:::1:1234",
    "tcp:[127.0.0.1]:1",
    "tcp:[::1:1",
    "tcp:[::1]1",
    "tcp://127.0.0.1:1234",
    "unix:",
    "unix:@hidden",
    "unix:\0hidden",
    "unix:/a\0b",
)
LOOPBACK = ("tcp:127.0.0.1:1", "tcp:127.9.9.9:1", "tcp:[::1]:1", "tcp:localhost:1", "unix:/x")
REMOTE = (
    "tcp::1",
    "tcp:0.0.0.0:1",
    "tcp:[::]:1",
    "tcp:10.0.0.1:1",
    "tcp:128.0.0.1:1",
    "tcp:a.example:1",
    "tcp:localhost.example:1",
    "tcp:[::ffff:10.0.0.1]:1",
)


@pytest.fixture
def target():
    target = CountingTarget()
    yield target
    target.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "gdb"


# -- addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", PARSED)
def test_parse(text):
    assert parse_address(text) == PARSED[text]
    assert str(parse_address(text)) == text


@pytest.mark.parametrize("text", WRONG)
def test_wrong_addresses_are_named(text):
    with pytest.raises(StubConfigError) as raised:
        parse_address(text)
    assert repr(text) in str(raised.value)


@pytest.mark.parametrize("address", [None, 1234, b"tcp:127.0.0.1:1", ("127.0.0.1", 1)])
def test_addresses_of_other_kinds(address):
    with pytest.raises(StubConfigError):
        parse_address(address)


@pytest.mark.parametrize("text", LOOPBACK)
def test_loopback(text):
    assert not check_reach(parse_address(text), False)


@pytest.mark.parametrize("allow", [False, None, 1, "yes"])
@pytest.mark.parametrize("text", REMOTE)
def test_other_interfaces_are_refused(text, allow):
    with pytest.raises(StubConfigError, match="allow_remote=True"):
        check_reach(parse_address(text), allow)


@pytest.mark.parametrize("text", REMOTE)
def test_other_interfaces_when_asked_for(text):
    assert check_reach(parse_address(text), True)


def test_serving_others_is_refused(target):
    with pytest.raises(StubConfigError, match="allow_remote"):
        serve(target, "tcp:0.0.0.0:0")


def test_serving_others_is_warned_of(target, caplog):
    with serve(target, "tcp::0", allow_remote=True) as server:
        port = server.address.rpartition(":")[2]
        with RawClient(f"tcp:127.0.0.1:{port}") as client:
            assert client.packet(b"qC") == b"QC1"
    assert "controls the guest" in caplog.text


def test_loopback_is_not_warned_of(target, caplog):
    with serve(target, TCP):
        pass
    assert caplog.text == ""


def test_a_taken_port(target):
    with serve(target, TCP) as server, pytest.raises(ServeError, match="cannot listen"):
        serve(target, server.address)


def test_a_host_that_does_not_exist(target):
    with pytest.raises(ServeError):
        serve(target, "tcp:[2001:db8::1]:0", allow_remote=True)


def test_a_system_without_poll(target, monkeypatch):
    monkeypatch.delattr(select, "poll")
    with pytest.raises(ServeError, match="poll"):
        serve(target, TCP)


# -- Unix sockets ---------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0, 0o022, 0o777])
def test_mode(target, path, umask):
    before = os.umask(umask)
    try:
        with serve(target, f"unix:{path}"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_mode_of_the_first_moment(path):
    before = os.umask(0)
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            bind_private(sock, str(path))
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_the_file_goes_with_the_server(target, path):
    with serve(target, f"unix:{path}"):
        assert path.is_socket()
    assert not path.exists()


def test_the_file_of_a_dead_server_is_replaced(target, path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with serve(target, f"unix:{path}") as server, RawClient(server.address) as client:
        assert client.packet(b"qC") == b"QC1"


def test_a_live_server_stays_and_does_not_notice(target, path):
    with serve(target, f"unix:{path}") as server:
        with pytest.raises(ServeError, match="another server"):
            serve(target, f"unix:{path}")
        assert target.calls == []
        with RawClient(server.address) as client:
            assert client.packet(b"qC") == b"QC1"


@pytest.mark.parametrize("make", ["touch", "mkdir"])
def test_other_files_stay(target, path, make):
    getattr(path, make)()
    with pytest.raises(ServeError, match="no socket"):
        serve(target, f"unix:{path}")
    assert path.exists()


def test_a_file_that_is_another_servers_by_now_stays(target, path):
    with serve(target, f"unix:{path}"):
        path.unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
    assert path.is_socket()


@pytest.mark.parametrize("wrong", ["missing/gdb", "x" * 300])
def test_paths_that_cannot_be(target, tmp_path, wrong):
    with pytest.raises(ServeError, match="cannot listen"):
        serve(target, f"unix:{tmp_path / wrong}")


needs_credentials = pytest.mark.skipif(
    not hasattr(socket, "SO_PEERCRED"), reason="the system does not tell who connects"
)


@needs_credentials
def test_the_right_user(target, path):
    server = serve(target, f"unix:{path}", peer_uids={os.getuid()})
    with server, RawClient(server.address) as client:
        assert client.packet(b"qC") == b"QC1"


@needs_credentials
def test_another_user(target, path):
    with serve(target, f"unix:{path}", peer_uids=[os.getuid() + 1]) as server:
        with RawClient(server.address) as client:
            client.send(b"qSupported")
            told = b"E.refused: user %d may not debug here" % os.getuid()
            assert client.wait_closed() == b"+" + frame(told)
        assert not server.connected
    assert target.calls == []


@needs_credentials
@pytest.mark.parametrize("uids", [[], [-1], ["root"], [True], 1000])
def test_wrong_users(target, path, uids):
    with pytest.raises(StubConfigError, match="peer_uids"):
        serve(target, f"unix:{path}", peer_uids=uids)
    assert not path.exists()


def test_users_are_not_known_through_tcp(target):
    with pytest.raises(StubConfigError, match="peer_uids"):
        serve(target, TCP, peer_uids=[0])


# -- reading only ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "packet", [b"M1000,1:00", b"X1000,1:a", b"P0=0000000000000000", b"Z0,1000,1"]
)
def test_read_only_refuses_changes(target, packet):
    with serve(target, TCP, read_only=True) as server, RawClient(server.address) as client:
        assert client.packet(packet) in {b"E07", b""}
        assert client.packet(b"m0,2") == b"0000"
        assert (bytes(target.ram), target.breakpoints) == (bytes(len(target.ram)), set())


def test_read_only_stops_and_goes_on(target):
    with serve(target, TCP, read_only=True) as server, RawClient(server.address) as client:
        client.send(b"vCont;c")
        client.interrupt()
        assert client.wait_stop().startswith(b"T02")


# -- the line -------------------------------------------------------------------------------------


def test_a_line_is_quick_and_does_not_outlive_its_other_end():
    server = socket.create_server(("127.0.0.1", 0))
    with server, socket.create_connection(server.getsockname()) as client:
        configure_client(client)
        assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
