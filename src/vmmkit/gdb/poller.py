# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""One `poll` over several sockets, and connections on which only the last is to be said."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Final

from vmmkit.gdb.connection import PART_SECONDS, RECEIVE_SIZE
from vmmkit.gdb.listener import PEER_CLOSED

__all__ = ["Partings", "Poller", "send_some"]

GONE: Final = PEER_CLOSED | select.POLLHUP | select.POLLERR | select.POLLNVAL
READABLE: Final = select.POLLIN | PEER_CLOSED
WRITABLE: Final = select.POLLOUT
MOST_PARTINGS: Final = 16


class Poller:
    """Sockets, and what to call when something happens to them."""

    def __init__(self) -> None:
        """Begin with no sockets."""
        self._poll = select.poll()
        self._handlers: dict[int, Callable[[int], None]] = {}

    def watch(self, sock: socket.socket, handler: Callable[[int], None]) -> None:
        """Call `handler` with the events when the socket can be read from, or has gone."""
        self._handlers[sock.fileno()] = handler
        self._poll.register(sock, READABLE)

    def unwatch(self, sock: socket.socket) -> None:
        """Undo `watch`; to be called before the socket is closed."""
        self._poll.unregister(sock)
        del self._handlers[sock.fileno()]

    def watch_for(self, sock: socket.socket, events: int) -> None:
        """Set which events of a watched socket are looked for."""
        self._poll.modify(sock, events)

    def sleep(self, milliseconds: float | None) -> None:
        """Sleep until something happens, or for a time, and call the handlers."""
        for number, event in self._poll.poll(milliseconds):
            handler = self._handlers.get(number)
            if handler is not None:
                handler(event)


class Partings:
    """Connections that are being ended, each within `PART_SECONDS`."""

    def __init__(self, poller: Poller) -> None:
        """Begin with none."""
        self._poller = poller
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
        self._list.append(Parting(self._poller, self._list.remove, sock, last_words))
        if asked:
            self._list[-1].speak()

    @property
    def deadline(self) -> float | None:
        """When `close_late` is to be called, if it is."""
        return self._list[0].deadline if self._list else None

    def close_late(self, now: float) -> None:
        """Close those whose time is up."""
        for parting in [parting for parting in self._list if parting.deadline <= now]:
            parting.close()

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
        poller: Poller,
        forget: Callable[[Parting], object],
        sock: socket.socket,
        last_words: bytes,
    ) -> None:
        """Take a connection; `forget` is called when it has been closed."""
        self.deadline: Final = monotonic() + PART_SECONDS
        self._poller = poller
        self._forget = forget
        self._sock = sock
        self._unsent = last_words
        poller.watch(sock, self._on_event)

    def close(self) -> None:
        """Close the connection, whatever has been said on it."""
        self._forget(self)
        self._poller.unwatch(self._sock)
        self._sock.close()

    def speak(self) -> None:
        """Send what the connection takes, and after the last of it say that it was."""
        self._unsent = self._unsent[send_some(self._sock, self._unsent) :]
        if self._unsent:
            self._poller.watch_for(self._sock, READABLE | WRITABLE)
            return
        self._poller.watch_for(self._sock, READABLE)
        with suppress(OSError):  # gone already
            self._sock.shutdown(socket.SHUT_WR)

    def _on_event(self, event: int) -> None:
        if event & select.POLLIN:
            self._read()
        elif event & WRITABLE:
            self.speak()
        elif event & GONE:
            self.close()

    def _read(self) -> None:
        try:
            data = self._sock.recv(RECEIVE_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
        elif b"$" in data:
            self.speak()


def send_some(sock: socket.socket, data: bytes | bytearray) -> int:
    """Send what the connection takes now; return how much, all of it where it is broken."""
    try:
        return sock.send(data)
    except BlockingIOError:
        return 0
    except OSError:  # the next event of the connection says that it has gone
        return len(data)
