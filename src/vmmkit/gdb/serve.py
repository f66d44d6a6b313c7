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
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from time import monotonic
from typing import Any, Final, Self

from vmmkit.gdb.connection import (
    LEAVE_SECONDS,
    PART_SECONDS,
    RECEIVE_SIZE,
    check_interval,
    check_status,
)
from vmmkit.gdb.listener import Listener, listen
from vmmkit.gdb.options import StubOptions
from vmmkit.gdb.parting import READABLE
from vmmkit.gdb.shell import MakeStub, Shell
from vmmkit.gdb.stub import Stub
from vmmkit.gdb.target import Target

__all__ = ["Server", "serve"]

LOG: Final = logging.getLogger("vmmkit.gdb")
JOIN_SECONDS: Final = 5.0


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
        self._connected = threading.Event()
        self._closing = threading.Event()
        self._exit_status: int | None = None
        stub = make_stub(self._wake)
        self._poller = Poller()
        self._shell = Shell(self._poller, listener, stub, self._on_connected, hold, switch_interval)
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
        monitor command, takes effect when the command has been answered. A call by a thread that
        runs a vCPU just now, as from a device, waits for two seconds in vain for that vCPU to
        stop, if a debugger is connected and `exit_status` is not given.

        Args:
            exit_status: what a connected debugger is told the machine ended with, 0 to 255;
                `None` closes the connection without a word.

        Raises:
            StubConfigError: `exit_status` is something else; nothing is closed.
        """
        check_status(exit_status)
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
        self._poller.wake()

    def _on_connected(self, connected: bool) -> None:
        if connected:
            self._connected.set()
        else:
            self._connected.clear()

    def _run(self) -> None:
        try:
            self._serve()
        except BaseException:  # sys.exit() of a monitor command too: a thread would end in silence
            LOG.exception("%s: the server ends because of an error", self.address)
        finally:
            self._end()

    def _serve(self) -> None:
        poller, shell = self._poller, self._shell
        while not self._closing.is_set():
            busy = shell.is_busy
            if poller.sleep(0 if busy else None):
                shell.pump()
            if busy:
                shell.work()

    def _end(self) -> None:
        self._shell.end(self._exit_status)
        limit = monotonic() + LEAVE_SECONDS
        while self._shell.is_ending and (left := limit - monotonic()) > 0:
            if self._poller.sleep(left):
                self._shell.pump()
        self._shell.ended()
        self._poller.close()


class Poller:
    """The reactor of a thread, which other threads can wake."""

    def __init__(self) -> None:
        """Begin with nothing to watch but wakes."""
        self._poll = select.poll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._afterwards: list[Callable[[], None]] = []
        self._later: deque[tuple[float, Callable[[], None]]] = deque()
        self._wake_out, self._wake_in = socket.socketpair()
        self._wake_out.setblocking(False)
        self._wake_in.setblocking(False)
        self._sent_wake = self._woken = False
        self.watch(self._wake_in, self._on_wake)

    def watch(self, sock: socket.socket, handler: Callable[[int], None]) -> None:
        """As `Reactor.watch`."""
        self._handlers[sock.fileno()] = handler
        self._poll.register(sock, READABLE)

    def unwatch(self, sock: socket.socket) -> None:
        """As `Reactor.unwatch`."""
        self._poll.unregister(sock)
        del self._handlers[sock.fileno()]

    def watch_for(self, sock: socket.socket, events: int) -> None:
        """As `Reactor.watch_for`."""
        self._poll.modify(sock, events)

    def afterwards(self, call: Callable[[], None]) -> None:
        """As `Reactor.afterwards`."""
        self._afterwards.append(call)

    def later(self, call: Callable[[], None]) -> None:
        """As `Reactor.later`."""
        self._later.append((monotonic() + PART_SECONDS, call))

    def wake(self) -> None:
        """End a `sleep`, this one or the next; called on any thread."""
        if not self._sent_wake:
            self._sent_wake = True
            with suppress(OSError):  # full, which wakes as well, or closed: nobody is asleep
                self._wake_out.send(b"\0")

    def close(self) -> None:
        """Free what this has opened."""
        self._wake_out.close()
        self._wake_in.close()

    def sleep(self, seconds: float | None) -> bool:
        """Sleep until something happens, and handle it; return whether there was a wake.

        Args:
            seconds: the longest time; `None` for as long as it takes.
        """
        self._woken = False
        for number, event in self._poll.poll(self._patience(seconds)):
            handler = self._handlers.get(number)
            if handler is not None:
                handler(event)
        if self._afterwards:
            calls, self._afterwards = self._afterwards, []
            for call in calls:
                call()
        while self._later and self._later[0][0] <= monotonic():
            self._later.popleft()[1]()
        return self._woken

    def _patience(self, seconds: float | None) -> float | None:
        """Return the milliseconds to sleep, rounded up."""
        if self._afterwards:
            return 0
        if self._later:
            left = max(0.0, self._later[0][0] - monotonic())
            seconds = left if seconds is None else min(left, seconds)
        return seconds * 1000 + 1 if seconds else seconds

    def _on_wake(self, _event: int) -> None:
        with suppress(BlockingIOError):
            self._wake_in.recv(RECEIVE_SIZE)
        self._sent_wake = False  # before anyone looks: what comes from now on wakes again
        self._woken = True
