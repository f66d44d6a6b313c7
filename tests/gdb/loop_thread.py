# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""An asyncio server behind the surface of the threaded one, so that both do the same tests."""

import asyncio
import threading

from vmmkit.gdb.asynchronous import AsyncServer, serve_async


class LoopThread:
    """A loop in a thread of its own."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class ServerInLoop:
    """An AsyncServer in a loop that runs elsewhere."""

    def __init__(self, make):
        self._thread = LoopThread()
        try:
            self._server = self._thread.run(make())
        except BaseException:
            self._thread.close()
            raise
        self.address = self._server.address
        self._closed = False

    @property
    def connected(self):
        return self._server.connected

    def wait_for_debugger(self, timeout):
        async def wait():
            await asyncio.wait_for(self._server.wait_for_debugger(), timeout)

        self._thread.run(wait())
        return True

    def close(self, exit_status=None):
        if not self._closed:
            self._closed = True
            self._thread.run(self._server.close(exit_status))
            self._thread.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def serve_in_loop(target, address, **options):
    return ServerInLoop(lambda: serve_async(target, address, **options))


def server_in_loop(listener, make_stub, **options):
    async def make():
        return AsyncServer(listener, make_stub, **options)

    return ServerInLoop(make)
