# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A server for debuggers in a thread of its own.

The thread sleeps in one `poll` on the listening socket, the debugger's connection, and a socket
pair on which other threads wake it. It never polls at an interval; only connections that are being
ended have a time limit.
"""

from __future__ import annotations

import logging
import select
import socket
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any, Final, Self

from vmmkit.gdb.connection import (
    PART_SECONDS,
    RECEIVE_SIZE,
    Conversation,
    Holder,
    StubSurface,
    SwitchInterval,
    check_interval,
    refusal,
)
from vmmkit.gdb.listener import Listener, configure_client, has_gone, listen
from vmmkit.gdb.options import StubOptions
from vmmkit.gdb.poller import GONE, READABLE, WRITABLE, Partings, Poller, send_some
from vmmkit.gdb.stub import Stub
from vmmkit.gdb.target import Target

__all__ = ["Server", "serve"]

LOG: Final = logging.getLogger("vmmkit.gdb")
LEAVE_SECONDS: Final = 2.0
JOIN_SECONDS: Final = 5.0

Wake = Callable[[], None]
MakeStub = Callable[[Wake], StubSurface]


def serve(
    target: Target,
    address: str,
    *,
    wait: bool = False,
    allow_remote: bool = False,
    peer_uids: Collection[int] | None = None,
    switch_interval: float | None = None,
    **stub_options: Any,
) -> Server:
    """Serve debuggers, one at a time, from a thread of its own.

    A debugger that connects stops the target, and lets it go again when it leaves, in whatever
    way; its breakpoints are removed then. Another one that connects meanwhile is told so and sent
    away.

    Args:
        target: what they debug.
        address: "tcp:127.0.0.1:1234", "tcp:[::1]:0" (a free port, see `Server.address`) or
            "unix:PATH". The file of a Unix socket has mode 0600; one that a dead server left
            is replaced.
        wait: ask the target to stop before this returns, so that a guest which has not begun yet
            stands at its first instruction until the first debugger lets it go.
        allow_remote: `True` for an address that other computers can reach. There is no password:
            who can connect controls the guest.
        peer_uids: numbers of the users who may connect to a Unix socket, in place of whoever the
            file's mode lets in.
        switch_interval: seconds for `sys.setswitchinterval` while a debugger is connected. Where
            a vCPU computes in Python, each packet waits this long for the interpreter (5 ms
            unless set); less of it makes debugging quicker and the vCPU slightly slower.
        stub_options: fields of `StubOptions`, such as `read_only`.

    Raises:
        StubConfigError: an argument or option is of another kind, or out of range.
        ServeError: the address cannot be listened on.
    """
    options = StubOptions(**stub_options)
    check_interval(switch_interval)
    listener = listen(address, allow_remote=allow_remote, peer_uids=peer_uids)
    try:
        return Server(
            listener,
            lambda wake: Stub(target, options, wake),
            hold=target if wait else None,
            switch_interval=switch_interval,
        )
    except BaseException:
        listener.close()
        raise


class Server:
    """A server that listens until it is closed. Made by `serve`; use it in `with`, or `close` it.

    Attributes:
        address: where it listens, with the port that was taken, as `serve` takes it.
    """

    def __init__(
        self,
        listener: Listener,
        make_stub: MakeStub,
        *,
        hold: Target | None = None,
        switch_interval: float | None = None,
    ) -> None:
        """Start the thread; `hold` is a target that is to stand until a debugger comes."""
        self.address: Final = listener.address
        self._stub = make_stub(self._wake)
        self._holder = None if hold is None else Holder(hold)
        self._listener = listener
        self._interval = switch_interval
        self._connected = threading.Event()
        self._closing = threading.Event()
        self._exit_status: int | None = None
        self._woken = False
        self._wake_out, self._wake_in = socket.socketpair()
        self._wake_out.setblocking(False)
        self._wake_in.setblocking(False)
        self._poller = Poller()
        self._partings = Partings(self._poller)
        self._deadlines: list[float] = []
        self._client: _Client | None = None
        self._knocks = False
        self._knock_again: float | None = None
        self._poller.watch(self._wake_in, self._on_wake)
        self._poller.watch(listener.sock, self._on_knock)
        self._thread = threading.Thread(target=self._run, name="vmmkit-gdb", daemon=True)
        self._thread.start()

    # -- for the owner, on any thread -------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether a debugger is connected."""
        return self._connected.is_set()

    def wait_for_debugger(self, timeout: float | None = None) -> bool:
        """Wait until a debugger is connected; return whether one is.

        Args:
            timeout: seconds to wait at most; `None` for ever.
        """
        return self._connected.wait(timeout)

    def close(self, exit_status: int | None = None) -> None:
        """End the server: remove breakpoints, let the target go, and free the address.

        May be called on any thread, more than once; a call on the server's own thread, as from a
        monitor command, takes effect when the command has been answered.

        Args:
            exit_status: what a connected debugger is told the machine ended with, 0 to 255;
                `None` closes the connection without a word.
        """
        if exit_status is not None and not self._closing.is_set():
            self._exit_status = exit_status
        self._closing.set()
        self._wake()
        if threading.current_thread() is self._thread:
            return
        self._thread.join(JOIN_SECONDS)
        if self._thread.is_alive():
            LOG.warning("%s: the target keeps the server's thread from ending", self.address)

    def __enter__(self) -> Self:
        """Return the server, which the end of the block closes."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the server."""
        self.close()

    # -- the thread -------------------------------------------------------------------------------

    def _wake(self) -> None:
        """Have the thread look at the stub; called on any thread."""
        if not self._woken:
            self._woken = True
            with suppress(OSError):  # full, which wakes as well, or closed: nobody is there to wake
                self._wake_out.send(b"\0")

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._turn()
        except Exception:
            LOG.exception("%s: the server ends because of an error of its own", self.address)
        finally:
            self._end()

    def _turn(self) -> None:
        """Sleep until there is something to do, and do it."""
        busy = self._stub.busy
        self._poller.sleep(0 if busy else self._patience())
        if busy:
            self._look(Conversation.work)
        # Only now, as a debugger that has left and come back is seen leaving above.
        if self._knocks:
            self._accept()
        if self._deadlines:
            self._look_at_clock()

    def _patience(self) -> float | None:
        """Return milliseconds until the next time limit, if there is one."""
        limits = (self._partings.deadline, self._knock_again)
        self._deadlines = [limit for limit in limits if limit is not None]
        if not self._deadlines:
            return None
        return max(0.0, min(self._deadlines) - monotonic()) * 1000 + 1

    def _look_at_clock(self) -> None:
        now = monotonic()
        self._partings.close_late(now)
        if self._knock_again is not None and self._knock_again <= now:
            self._knock_again = None
            self._poller.watch(self._listener.sock, self._on_knock)

    def _on_wake(self, _event: int) -> None:
        with suppress(BlockingIOError):
            self._wake_in.recv(RECEIVE_SIZE)
        self._woken = False  # before looking: what comes from now on wakes again
        self._look(Conversation.pump)

    def _look(self, look: Callable[[Conversation, int], bytes]) -> None:
        """Let the stub do what it has to do, for the debugger or after it has gone."""
        if self._client is not None:
            self._client.say(partial(look, self._client.talk))
            return
        try:
            self._stub.pump()
        except Exception:
            LOG.exception("%s: the target could not be let go", self.address)

    def _on_knock(self, _event: int) -> None:
        self._knocks = True

    def _accept(self) -> None:
        self._knocks = False
        try:
            sock = self._listener.accept()
        except OSError as error:
            LOG.warning("%s: a connection has to wait: %s", self.address, error)
            self._poller.unwatch(self._listener.sock)
            self._knock_again = monotonic() + PART_SECONDS
            return
        if sock is None:
            return
        reason = self._objection(sock)
        if reason:
            LOG.warning("%s: a connection is refused: %s", self.address, reason)
            self._partings.add(sock, refusal(reason), asked=False)
        else:
            self._welcome(sock)

    def _objection(self, sock: socket.socket) -> str:
        """Return why a connection is refused, or nothing."""
        if self._client is not None and has_gone(self._client.sock):
            self._drop()
        reason = self._listener.objection(sock)
        return reason or ("" if self._client is None else "another debugger is connected")

    def _welcome(self, sock: socket.socket) -> None:
        configure_client(sock)
        LOG.info("%s: a debugger has connected", self.address)
        if self._interval is not None:
            SwitchInterval.want(self._interval)
        self._client = client = _Client(sock, self._stub, self._poller, self._drop)
        self._connected.set()
        if self._holder is not None:
            self._holder.pass_on()
        client.say(self._attach)

    def _attach(self, _unsent: int) -> bytes:
        self._stub.attach()
        return b""

    def _exited(self, _unsent: int) -> bytes:
        return self._stub.exited(self._exit_status or 0)

    def _drop(self, last_words: bytes = b"") -> None:
        """Let the debugger go that has gone or is to go, and the target with it."""
        client = self._client
        if client is None:
            return
        self._client = None
        self._connected.clear()
        client.close()
        LOG.info("%s: the debugger has gone", self.address)
        try:
            self._stub.disconnect()
        except Exception:
            LOG.exception("%s: the target could not be let go", self.address)
        if self._interval is not None:
            SwitchInterval.drop(self._interval)
        self._partings.add(client.sock, last_words, asked=True)

    def _end(self) -> None:
        """Leave nothing behind: no debugger, no file, no socket."""
        if self._knock_again is None:
            self._poller.unwatch(self._listener.sock)
        self._listener.close()
        if self._client is not None and self._exit_status is not None:
            self._client.say(self._exited)
        if self._client is not None:
            self._client.finish()
            self._drop()
        self._partings.close()
        self._await_leave()
        if self._holder is not None:
            self._holder.release()
        self._wake_out.close()
        self._wake_in.close()

    def _await_leave(self) -> None:
        """Wait for a target that has to stop before breakpoints can be removed."""
        limit = monotonic() + LEAVE_SECONDS
        while self._stub.leaving and (left := limit - monotonic()) > 0:
            self._poller.sleep(left * 1000 + 1)
        if self._stub.leaving:
            LOG.warning("%s: breakpoints stay, as the target does not stop", self.address)


class _Client:
    """The debugger's connection."""

    def __init__(
        self,
        sock: socket.socket,
        stub: StubSurface,
        poller: Poller,
        on_end: Callable[[bytes], None],
    ) -> None:
        """Take a connection; `on_end` is called, with what is unsent, when it is to end."""
        self.sock = sock
        self.talk = Conversation(stub)
        self._stub = stub
        self._poller = poller
        self._on_end = on_end
        self._unsent = bytearray()
        self._events = READABLE
        self._is_open = True
        poller.watch(sock, self._on_event)

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
            self._on_end(bytes(self._unsent))
        elif self._unsent or self._events != READABLE or self.talk.is_waiting:
            self._choose_events()

    def close(self) -> None:
        """Leave the socket to others."""
        self._is_open = False
        self._poller.unwatch(self.sock)

    def finish(self) -> None:
        """Send what is unsent now, in a bounded time."""
        with suppress(OSError):
            self.sock.settimeout(PART_SECONDS)
            self.sock.sendall(self._unsent)

    def _on_event(self, event: int) -> None:
        if event & WRITABLE:
            self._flush()
        if event & select.POLLIN:
            self._read()
        elif event & GONE:
            self._on_end(b"")

    def _read(self) -> None:
        try:
            data = self.sock.recv(RECEIVE_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.say(partial(self.talk.receive, data))
        else:
            self._on_end(b"")

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
            self._poller.watch_for(self.sock, events)
