# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A server for debuggers in an asyncio loop, by the rules of `vmmkit.gdb.serve`.

It watches its sockets with `add_reader` and `add_writer`, one step below transports: the bytes
then go the same way as in the thread, with the same bounds, and faster than through streams.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from typing import Any, Final, Self

from vmmkit.gdb.connection import LEAVE_SECONDS, PART_SECONDS, check_interval, check_status
from vmmkit.gdb.listener import Listener, listen
from vmmkit.gdb.options import StubOptions
from vmmkit.gdb.parting import INPUT, READABLE, WRITABLE
from vmmkit.gdb.shell import MakeStub, Shell
from vmmkit.gdb.stub import Stub
from vmmkit.gdb.target import Target

__all__ = ["AsyncServer", "serve_async"]


async def serve_async(
    target: Target,
    address: str,
    *,
    wait: bool = False,
    allow_remote: bool = False,
    peer_uids: Collection[int] | None = None,
    switch_interval: float | None = None,
    **stub_options: Any,
) -> AsyncServer:
    """Serve debuggers, one at a time, in the running loop.

    Arguments and errors are those of `vmmkit.gdb.serve.serve`. The target's methods are called in
    the loop; its reports may come from any thread.
    """
    options = StubOptions(**stub_options)
    check_interval(switch_interval)
    listener = listen(address, allow_remote=allow_remote, peer_uids=peer_uids)
    try:
        return AsyncServer(
            listener,
            lambda wake: Stub(target, options, wake),
            hold=target if wait else None,
            switch_interval=switch_interval,
        )
    except BaseException:
        listener.close()
        raise


class AsyncServer:
    """A server in a loop. Made by `serve_async`; use it in `async with`, or `close` it.

    Attributes:
        address: where it listens, with the port that was taken.
    """

    def __init__(
        self,
        listener: Listener,
        make_stub: MakeStub,
        *,
        hold: Target | None = None,
        switch_interval: float | None = None,
    ) -> None:
        """Listen from now on; `hold` is a target that is to stand until a debugger comes."""
        self.address: Final = listener.address
        self._loop = asyncio.get_running_loop()
        self._connected = asyncio.Event()
        self._stirred = asyncio.Event()
        self._closing = self._works = self._woken = False
        self._shell = Shell(
            LoopReactor(self._loop, self._stir),
            listener,
            make_stub(self._wake),
            self._on_connected,
            hold,
            switch_interval,
        )

    @property
    def connected(self) -> bool:
        """Whether a debugger is connected."""
        return self._connected.is_set()

    async def wait_for_debugger(self) -> None:
        """Wait until a debugger is connected."""
        await self._connected.wait()

    async def close(self, exit_status: int | None = None) -> None:
        """End the server, as `vmmkit.gdb.serve.Server.close` does; in the loop."""
        check_status(exit_status)
        if self._closing:
            return
        self._closing = True
        self._shell.end(exit_status)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_SECONDS):
                    while self._shell.is_ending:
                        self._stirred.clear()
                        await self._stirred.wait()
        finally:
            self._shell.ended()  # also where the task is cancelled: nobody comes to do it later

    async def __aenter__(self) -> Self:
        """Return the server, which the end of the block closes."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the server."""
        await self.close()

    def _on_connected(self, connected: bool) -> None:
        if connected:
            self._connected.set()
        else:
            self._connected.clear()

    def _wake(self) -> None:
        """Have the loop look at the stub; called on any thread."""
        if not self._woken:
            self._woken = True
            with suppress(RuntimeError):  # the loop is closed, and nobody will look
                self._loop.call_soon_threadsafe(self._pump)

    def _pump(self) -> None:
        self._woken = False  # before looking: what comes from now on wakes again
        self._shell.pump()
        self._stir()

    def _stir(self) -> None:
        """See what is to be done after something has happened."""
        self._stirred.set()
        if not self._works and self._shell.is_busy:
            self._works = True
            self._loop.call_soon(self._work)

    def _work(self) -> None:
        self._works = False
        self._shell.work()
        self._stir()


class LoopReactor:
    """The reactor of an asyncio loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, stir: Callable[[], None]) -> None:
        """Use a loop; `stir` is called after each event."""
        self._loop = loop
        self._stir = stir
        self._handlers: dict[int, Callable[[int], None]] = {}

    def watch(self, sock: socket.socket, handler: Callable[[int], None]) -> None:
        """As `Reactor.watch`."""
        self._handlers[sock.fileno()] = handler
        self.watch_for(sock, READABLE)

    def unwatch(self, sock: socket.socket) -> None:
        """As `Reactor.unwatch`."""
        del self._handlers[sock.fileno()]
        self._loop.remove_reader(sock)
        self._loop.remove_writer(sock)

    def watch_for(self, sock: socket.socket, events: int) -> None:
        """As `Reactor.watch_for`; that one who does not read has gone is seen in writing."""
        number = sock.fileno()
        if events & INPUT:
            self._loop.add_reader(number, self._handle, number, INPUT)
        else:
            self._loop.remove_reader(number)
        if events & WRITABLE:
            self._loop.add_writer(number, self._handle, number, WRITABLE)
        else:
            self._loop.remove_writer(number)

    def afterwards(self, call: Callable[[], None]) -> None:
        """As `Reactor.afterwards`."""
        self._loop.call_soon(self._call, call)

    def later(self, call: Callable[[], None]) -> None:
        """As `Reactor.later`."""
        self._loop.call_later(PART_SECONDS, self._call, call)

    def _handle(self, number: int, event: int) -> None:
        if number in self._handlers:
            self._call(partial(self._handlers[number], event))

    def _call(self, call: Callable[[], None]) -> None:
        call()
        self._stir()
