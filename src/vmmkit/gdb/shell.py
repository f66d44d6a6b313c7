# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Debuggers come and go, one at a time: what both servers do, on whichever loop of events."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from functools import partial
from typing import Final

from vmmkit.gdb.connection import (
    Conversation,
    Holder,
    StubSurface,
    SwitchInterval,
    refusal,
)
from vmmkit.gdb.listener import Listener, configure_client, has_gone
from vmmkit.gdb.parting import (
    GONE,
    INPUT,
    READABLE,
    WRITABLE,
    Partings,
    Reactor,
    receive_some,
    send_some,
)
from vmmkit.gdb.target import Target

__all__ = ["MakeStub", "Shell"]

LOG: Final = logging.getLogger("vmmkit.gdb")
OPENINGS: Final = b"+-$\x03"  # what a debugger can send first
MOST_SHOWN: Final = 40
Wake = Callable[[], None]
MakeStub = Callable[[Wake], StubSurface]


class Shell:
    """Accepts connections, lets one debugger in, and carries bytes between it and the stub.

    Args:
        reactor: calls this when something happens.
        listener: where connections come from; closed by `end`.
        stub: what debuggers talk to.
        on_connected: called with whether a debugger is connected, when that changes.
        hold: a target that is to stand until the first debugger lets it go.
        switch_interval: seconds for `SwitchInterval` while a debugger is connected.
    """

    def __init__(
        self,
        reactor: Reactor,
        listener: Listener,
        stub: StubSurface,
        on_connected: Callable[[bool], object],
        hold: Target | None,
        switch_interval: float | None,
    ) -> None:
        """Listen from now on."""
        self._reactor = reactor
        self._listener = listener
        self._stub = stub
        self._on_connected = on_connected
        self._interval = switch_interval
        self._holder = None if hold is None else Holder(hold)
        self._partings = Partings(reactor)
        self._client: _Client | None = None
        self._is_listening = False
        self._listen()

    @property
    def is_busy(self) -> bool:
        """Whether `work` has something to do."""
        return self._stub.busy

    @property
    def is_ending(self) -> bool:
        """Whether the debugger or the target has still to be waited for, after `end`."""
        return self._stub.leaving or self._partings.are_speaking

    def work(self) -> None:
        """Do a slice of a long operation."""
        self._look(Conversation.work)

    def pump(self) -> None:
        """Look at what the target has reported."""
        self._look(Conversation.pump)

    def end(self, exit_status: int | None) -> None:
        """Stop listening, and let the debugger and the target go; `is_ending` until they have."""
        self._unlisten()
        self._listener.close()
        if self._client is not None and exit_status is not None:
            self._client.say(partial(self._exited, exit_status))
        if self._client is not None:
            self._drop(self._client.unsent)

    def ended(self) -> None:
        """Leave nothing behind, however far they have gone."""
        if self._stub.leaving:
            LOG.warning("%s: breakpoints stay: the target does not stop", self._listener.address)
        self._partings.close()
        try:
            if self._holder is not None:
                self._holder.release()
        except Exception:
            LOG.exception("%s: the target could not be let go", self._listener.address)

    def _look(self, look: Callable[[Conversation, int], bytes]) -> None:
        """Let the stub do what it has to do, for the debugger or after it has gone."""
        if self._client is not None:
            self._client.say(partial(look, self._client.talk))
            return
        try:
            self._stub.pump()
        except Exception:
            LOG.exception("%s: the target could not be let go", self._listener.address)

    # -- who comes --------------------------------------------------------------------------------

    def _listen(self) -> None:
        self._is_listening = True
        self._reactor.watch(self._listener.sock, self._on_knock)

    def _unlisten(self) -> None:
        if self._is_listening:
            self._is_listening = False
            self._reactor.unwatch(self._listener.sock)

    def _on_knock(self, _event: int) -> None:
        # A debugger that has left and come back is to be seen leaving first.
        self._reactor.afterwards(self._accept)

    def _accept(self) -> None:
        if not self._is_listening:
            return
        try:
            sock = self._listener.accept()
        except OSError as error:
            LOG.warning("%s: a connection has to wait: %s", self._listener.address, error)
            self._unlisten()
            self._reactor.later(self._listen_again)
            return
        if sock is not None:
            self._answer_knock(sock)

    def _listen_again(self) -> None:
        if self._listener.is_open:
            self._listen()

    def _answer_knock(self, sock: socket.socket) -> None:
        try:
            reason = self._objection(sock)
            configure_client(sock)
        except OSError:  # gone already
            sock.close()
            return
        if reason:
            LOG.warning("%s: a connection is refused: %s", self._listener.address, reason)
            self._partings.add(sock, refusal(reason), asked=False)
        else:
            self._welcome(sock)

    def _objection(self, sock: socket.socket) -> str:
        """Return why a connection is refused, or nothing."""
        if self._client is not None and has_gone(self._client.sock):
            self._drop(b"")
        reason = self._listener.objection(sock)
        return reason or ("" if self._client is None else "another debugger is connected")

    def _welcome(self, sock: socket.socket) -> None:
        LOG.info("%s: a debugger has connected", self._listener.address)
        if self._interval is not None:
            SwitchInterval.want(self._interval)
        self._client = client = _Client(sock, self._stub, self._reactor, self._drop)
        self._on_connected(True)
        if self._holder is not None:
            self._holder.pass_on()
        client.say(self._attach)

    # -- who goes ---------------------------------------------------------------------------------

    def _attach(self, _unsent: int) -> bytes:
        self._stub.attach()
        return b""

    def _exited(self, status: int, _unsent: int) -> bytes:
        return self._stub.exited(status)

    def _drop(self, last_words: bytes) -> None:
        """Let the debugger go that has gone or is to go, and the target with it."""
        client = self._client
        if client is None:
            return
        self._client = None
        client.close()
        self._on_connected(False)
        LOG.info("%s: the debugger has gone", self._listener.address)
        try:
            self._stub.disconnect()
        except Exception:
            LOG.exception("%s: the target could not be let go", self._listener.address)
        if self._interval is not None:
            SwitchInterval.drop(self._interval)
        self._partings.add(client.sock, last_words, asked=True)


class _Client:
    """The debugger's connection."""

    def __init__(
        self,
        sock: socket.socket,
        stub: StubSurface,
        reactor: Reactor,
        on_end: Callable[[bytes], None],
    ) -> None:
        """Take a connection; `on_end` is called, with what is unsent, when it is to end."""
        self.sock = sock
        self.talk = Conversation(stub)
        self._stub = stub
        self._reactor = reactor
        self._on_end = on_end
        self._unsent = bytearray()
        self._events = READABLE
        self._is_open = True
        self._has_spoken = False
        reactor.watch(sock, self._on_event)

    @property
    def unsent(self) -> bytes:
        """What is still to be sent."""
        return bytes(self._unsent)

    def say(self, ask: Callable[[int], bytes]) -> None:
        """Send what the stub has to say; with an error of the stub's own the debugger goes."""
        if not self._is_open:
            return
        try:
            answer = ask(len(self._unsent))
        except Exception:
            LOG.exception("error in the stub; the debugger is sent away")
            self._on_end(b"")
            return
        self._send(answer)
        if self._stub.finished:
            self._on_end(self.unsent)
            return
        unsent = len(self._unsent)
        if unsent or self._events != READABLE:
            self._choose_events()
        if self.talk.can_resume(unsent):
            self._reactor.afterwards(partial(self.say, self.talk.resume))

    def close(self) -> None:
        """Leave the socket to others."""
        self._is_open = False
        self._reactor.unwatch(self.sock)

    def _on_event(self, event: int) -> None:
        if event & WRITABLE:
            self._flush()
        if event & INPUT:
            self._read()
        elif event & GONE:
            self._on_end(b"")

    def _read(self) -> None:
        data = receive_some(self.sock)
        if data is None:
            return
        if not data or not self._is_debugger(data):
            self._on_end(b"")
            return
        self.say(partial(self.talk.receive, data))

    def _is_debugger(self, data: bytes) -> bool:
        """Whether what comes first is of the protocol.

        Packets may have other bytes before them, so that a web page could have its reader's browser
        send some here, in the body of a request to this port. But the request begins with letters.
        """
        if not self._has_spoken and data[0] not in OPENINGS:
            LOG.warning("a connection is closed: it begins with %r", data[:MOST_SHOWN])
            return False
        self._has_spoken = True
        return True

    def _send(self, data: bytes) -> None:
        if self._unsent:
            self._unsent += data
        elif data:
            sent = send_some(self.sock, data)
            if sent < len(data):
                self._unsent += memoryview(data)[sent:]

    def _flush(self) -> None:
        sent = send_some(self.sock, self._unsent)
        del self._unsent[:sent]
        self.say(self.talk.resume)

    def _choose_events(self) -> None:
        events = READABLE if self.talk.wants_input(len(self._unsent)) else GONE
        if self._unsent:
            events |= WRITABLE
        if events != self._events:
            self._events = events
            self._reactor.watch_for(self.sock, events)
