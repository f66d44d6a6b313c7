# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The socket that a server listens on, and who is at the other end of one accepted from it."""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
import select
import socket
import stat
import struct
from collections.abc import Collection
from pathlib import Path
from typing import Final, NamedTuple

from vmmkit.errors import ServeError, StubConfigError
from vmmkit.gdb.address import LOCALHOST, TcpAddress, UnixAddress, check_reach, parse_address

__all__ = ["Listener", "configure_client", "has_gone", "listen"]

LOG: Final = logging.getLogger("vmmkit.gdb")
BACKLOG: Final = 64
NO_ROOM: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
PEER_CLOSED: Final = getattr(select, "POLLRDHUP", 0)  # Linux only
ALL_INTERFACES: Final = "0.0.0.0"  # noqa: S104 (asked for in so many words, and warned of)
PRIVATE: Final = 0o600
CREDENTIALS: Final = struct.Struct("iII")  # struct ucred: pid, uid, gid
# Seconds of silence before the first probe, seconds between probes, and how many go unanswered
# before a debugger's computer counts as gone.
KEEPALIVE: Final = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))


class FileIdentity(NamedTuple):
    """Which file a path led to."""

    path: str
    device: int
    inode: int


class Listener:
    """A listening socket, non-blocking.

    Attributes:
        sock: the socket.
        address: where it listens, with the port that was taken.
    """

    def __init__(
        self, sock: socket.socket, address: str, file: FileIdentity | None, uids: frozenset[int]
    ) -> None:
        """Take a socket that listens, its file, and the users who may connect, empty for all."""
        self.sock: Final = sock
        self.address: Final = address
        self._file = file
        self._uids = uids

    @property
    def is_open(self) -> bool:
        """Whether it has not been closed."""
        return self.sock.fileno() >= 0

    def accept(self) -> socket.socket | None:
        """Return a connection, non-blocking, or `None` where it has gone meanwhile.

        Raises:
            OSError: there is no room for another file, so that it stays in the queue.
        """
        try:
            client, _ = self.sock.accept()
        except OSError as error:
            if error.errno in NO_ROOM:
                raise
            return None
        client.setblocking(False)
        return client

    def objection(self, client: socket.socket) -> str:
        """Return why the user at the other end may not debug here, or nothing."""
        if not self._uids:
            return ""
        size = CREDENTIALS.size
        found = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        uid = CREDENTIALS.unpack(found)[1]
        return "" if uid in self._uids else f"user {uid} may not debug here"

    def close(self) -> None:
        """Close the socket, and remove its file if it is still this socket's."""
        if self._file is not None and identify(self._file.path) == self._file:
            Path(
                self._file.path
            ).unlink()  # before the socket closes, which frees the inode's number
        self.sock.close()


def listen(text: str, *, allow_remote: bool, peer_uids: Collection[int] | None) -> Listener:
    """Listen at an address.

    Args:
        text: see `vmmkit.gdb.address.parse_address`.
        allow_remote: `True` where other computers may connect.
        peer_uids: the users who may connect, by number; `None` for whoever can. Needs a Unix
            socket, and a system that tells who is at its other end.

    Raises:
        StubConfigError: the arguments are not those, or not together.
        ServeError: the address cannot be listened on.
    """
    if not hasattr(select, "poll"):
        raise ServeError(f"cannot listen on {text}: this system has no poll")
    address = parse_address(text)
    is_remote = check_reach(address, allow_remote)
    uids = check_uids(address, peer_uids)
    try:
        if isinstance(address, UnixAddress):
            return listen_unix(address, uids)
        return listen_tcp(address, is_remote)
    except (OSError, UnicodeError) as error:
        raise ServeError(f"cannot listen on {text}: {error}") from error


def check_uids(address: TcpAddress | UnixAddress, uids: Collection[int] | None) -> frozenset[int]:
    """Return the users who may connect, empty for all."""
    if uids is None:
        return frozenset()
    if isinstance(address, TcpAddress):
        raise StubConfigError(f"peer_uids: who is at the other end of {address} is not known")
    if not hasattr(socket, "SO_PEERCRED"):
        raise StubConfigError("peer_uids: this system does not tell who is at the other end")
    is_several = isinstance(uids, Collection) and bool(uids)
    if not is_several or not all(type(uid) is int and uid >= 0 for uid in uids):
        raise StubConfigError(f"peer_uids: user numbers are wanted, at least one, not {uids!r}")
    return frozenset(uids)


def listen_tcp(address: TcpAddress, is_remote: bool) -> Listener:
    """Listen on a TCP port."""
    family, _, _, _, where = socket.getaddrinfo(
        address.host or ALL_INTERFACES, address.port, type=socket.SOCK_STREAM
    )[0]
    host = str(where[0])
    if address.host == LOCALHOST and not ipaddress.ip_address(host).is_loopback:
        raise ServeError(f"{LOCALHOST} is {host} here, which is no loopback address")
    sock = socket.create_server(where, family=family, backlog=BACKLOG)
    sock.setblocking(False)
    taken = TcpAddress(host, sock.getsockname()[1])
    if is_remote:
        LOG.warning("%s: whoever can connect controls the guest", taken)
    return Listener(sock, str(taken), None, frozenset())


def listen_unix(address: UnixAddress, uids: frozenset[int]) -> Listener:
    """Listen on a Unix socket that only its owner can connect to, from its first moment on."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        remove_stale(address.path)
        bind_private(sock, address.path)
        file = identify(address.path)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return Listener(sock, str(address), file, uids)


def bind_private(sock: socket.socket, path: str) -> None:
    """Bind with mode 0600.

    On Linux the file is made with the mode of the socket. Elsewhere the mode is set afterwards,
    which is early enough: nobody can connect before the socket listens.
    """
    os.fchmod(sock.fileno(), PRIVATE)
    sock.bind(path)
    if stat.S_IMODE(Path(path).lstat().st_mode) != PRIVATE:
        Path(path).chmod(PRIVATE)


def remove_stale(path: str) -> None:
    """Remove the socket file that a server which is gone has left."""
    try:
        found = Path(path).lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise FileExistsError(errno.EEXIST, "there is a file that is no socket", path)
    if is_bound(path):
        raise OSError(errno.EADDRINUSE, "another server listens there", path)
    Path(path).unlink()


def is_bound(path: str) -> bool:
    """Return whether some socket is bound to a socket file, without connecting to it.

    A datagram socket cannot connect to one of streams; the error tells whether there is one.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        return probe.connect_ex(path) != errno.ECONNREFUSED


def identify(path: str) -> FileIdentity | None:
    """Return which file is at a path now, if one is."""
    try:
        found = Path(path).lstat()
    except OSError:
        return None
    return FileIdentity(path, found.st_dev, found.st_ino)


def configure_client(client: socket.socket) -> None:
    """Set what a debugger's connection needs: no delay of small packets, and an end if it dies."""
    if client.family == getattr(socket, "AF_UNIX", None):
        return
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE:
        if hasattr(socket, name):
            client.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def has_gone(client: socket.socket) -> bool:
    """Return whether the debugger has closed its end, as far as the system can tell already."""
    poll = select.poll()
    poll.register(client, PEER_CLOSED)
    return bool(poll.poll(0))
