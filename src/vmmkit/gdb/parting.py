# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What a server needs of an event loop, and connections on which only the last is to be said."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from vmmkit.gdb.connection import RECEIVE_SIZE
from vmmkit.gdb.listener import PEER_CLOSED

__all__ = [
    "GONE",
    "INPUT",
    "READABLE",
    "WRITABLE",
    "Partings",
    "Reactor",
    "receive_some",
    "send_some",
]

# Of no use where there is no `poll`, but nothing is to fail there before somebody wants to serve.
HAS_POLL: Final = hasattr(select, "poll")
INPUT: Final = select.POLLIN if HAS_POLL else 0
GONE: Final = PEER_CLOSED | (select.POLLHUP | select.POLLERR | select.POLLNVAL if HAS_POLL else 0)
READABLE: Final = INPUT | PEER_CLOSED
WRITABLE: Final = select.POLLOUT if HAS_POLL else 0
MOST_PARTINGS: Final = 16


class Reactor(Protocol):
    """Sockets and times, and what to call when they come. All on one thread."""

    def watch(self, sock: socket.socket, handler: Callable[[int], None], /) -> None:
        """Call `handler` with events of `poll` when the socket can be read from, or has gone."""
        ...

    def unwatch(self, sock: socket.socket, /) -> None:
        """Undo `watch`; to be called before the socket is closed."""
        ...

    def watch_for(self, sock: socket.socket, events: int, /) -> None:
        """Look for other events of a watched socket: `READABLE`, `WRITABLE`, both, or `GONE`."""
        ...

    def afterwards(self, call: Callable[[], None], /) -> None:
        """Call when everything that has happened so far has been handled."""
        ...

    def later(self, call: Callable[[], None], /) -> None:
        """Call in `PART_SECONDS` from now."""
        ...


class Partings:
    """Connections that are being ended, each within `PART_SECONDS`."""

    def __init__(self, reactor: Reactor) -> None:
        """Begin with none."""
        self._reactor = reactor
        self._list: list[Parting] = []

    def add(self, sock: socket.socket, last_words: bytes, *, asked: bool) -> None:
        """Say the last on a connection and close it, without waiting for that here.

        Args:
            sock: the connection, non-blocking and not watched.
            last_words: what is to be sent.
            asked: whether to send it at once; else when the other side has asked something.
        """
        if len(self._list) >= MOST_PARTINGS:
            self._list[0].close()
        parting = Parting(self._reactor, self._list.remove, sock, last_words)
        self._list.append(parting)
        if asked:
            parting.speak()

    @property
    def are_speaking(self) -> bool:
        """Whether some of the last words still wait for the other side to read them."""
        return any(parting.is_speaking for parting in self._list)

    def close(self) -> None:
        """Close all."""
        for parting in list(self._list):
            parting.close()


class Parting:
    """A connection on which the last is said: to one that is refused, or has finished.

    Some debuggers throw away what they get before they have asked something. The connection is
    closed when the other side has closed it, which it does when it has read the last words, or
    when the time is up.
    """

    def __init__(
        self,
        reactor: Reactor,
        forget: Callable[[Parting], object],
        sock: socket.socket,
        last_words: bytes,
    ) -> None:
        """Take a connection; `forget` is called when it has been closed."""
        self.is_speaking = False
        self._is_open = True
        self._reactor = reactor
        self._forget = forget
        self._sock = sock
        self._unsent = last_words
        reactor.watch(sock, self._on_event)
        reactor.later(self.close)

    def close(self) -> None:
        """Close the connection, whatever has been said on it."""
        if self._is_open:
            self._is_open = False
            self._forget(self)
            self._reactor.unwatch(self._sock)
            receive_some(self._sock)  # closed with something unread, it would be reset
            self._sock.close()

    def speak(self) -> None:
        """Send what the connection takes, and after the last of it say that it was."""
        self._unsent = self._unsent[send_some(self._sock, self._unsent) :]
        self.is_speaking = bool(self._unsent)
        if self.is_speaking:
            self._reactor.watch_for(self._sock, READABLE | WRITABLE)
            return
        self._reactor.watch_for(self._sock, READABLE)
        with suppress(OSError):  # gone already
            self._sock.shutdown(socket.SHUT_WR)

    def _on_event(self, event: int) -> None:
        if event & INPUT:
            self._read()
        elif event & WRITABLE:
            self.speak()
        elif event & GONE:
            self.close()

    def _read(self) -> None:
        data = receive_some(self._sock)
        if data == b"":
            self.close()
        elif data is not None and b"$" in data:
            self.speak()


def receive_some(sock: socket.socket) -> bytes | None:
    """Return what is there; `None` if nothing is, and no bytes where the connection is gone."""
    try:
        return sock.recv(RECEIVE_SIZE)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def send_some(sock: socket.socket, data: bytes | bytearray) -> int:
    """Send what the connection takes now; return how much, all of it where it is broken."""
    try:
        return sock.send(data)
    except BlockingIOError:
        return 0
    except OSError:  # the next event of the connection says that it has gone
        return len(data)
