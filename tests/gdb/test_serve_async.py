# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The asyncio server from within its loop; what it shares with the thread is in test_serve.py."""

import asyncio

import pytest

from gdb.counting_target import CountingTarget
from gdb.raw_client import frame
from vmmkit.errors import StubConfigError
from vmmkit.gdb.asynchronous import serve_async

TCP = "tcp:127.0.0.1:0"
PATIENCE = 10.0


@pytest.fixture
def target():
    target = CountingTarget()
    yield target
    target.close()


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, PATIENCE))


async def connect(server):
    host, _, port = server.address.removeprefix("tcp:").rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def ask(streams, payload):
    reader, writer = streams
    writer.write(frame(payload))
    reply = await reader.readuntil(b"#") + await reader.readexactly(2)
    writer.write(b"+")
    return reply.lstrip(b"+")[1:-3]


async def leave(streams):
    streams[1].close()
    await streams[1].wait_closed()


def test_a_debugger_in_the_same_loop(target):
    async def main():
        async with await serve_async(target, TCP) as server:
            assert not server.connected
            streams = await connect(server)
            await server.wait_for_debugger()
            assert (await ask(streams, b"?")).startswith(b"T05")
            assert not target.runs
            await leave(streams)
        assert target.runs

    run(main())


def test_the_loop_goes_on_while_the_target_runs(target):
    async def main():
        async with await serve_async(target, TCP) as server:
            streams = await connect(server)
            streams[1].write(frame(b"vCont;c"))
            for _ in range(10):
                await asyncio.sleep(0.001)
            assert target.runs
            streams[1].write(b"\x03")
            reply = await streams[0].readuntil(b"#")
            assert b"T02" in reply
            await leave(streams)

    run(main())


def test_the_loop_goes_on_during_a_long_search(target):
    turns = []

    async def count():
        while True:
            turns.append(len(turns))
            await asyncio.sleep(0)

    async def main():
        async with await serve_async(target, TCP) as server:
            streams = await connect(server)
            counting = asyncio.create_task(count())
            assert await ask(streams, b"qSearch:memory:0;100000;needle") == b"0"
            counting.cancel()
            await leave(streams)

    run(main())
    assert turns


def test_close_twice(target):
    async def main():
        server = await serve_async(target, TCP, wait=True)
        await asyncio.gather(server.close(), server.close())
        await server.close(exit_status=1)
        assert target.runs

    run(main())


def test_a_close_that_is_cancelled_leaves_nothing(target, caplog):
    async def main():
        server = await serve_async(target, TCP)
        streams = await connect(server)
        await ask(streams, b"Z0,1000,1")
        streams[1].write(frame(b"c"))
        await asyncio.to_thread(target.resumed.wait, PATIENCE)
        target.stops.clear()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(server.close(), 0.02)
        assert "the target does not stop" in caplog.text
        await leave(streams)

    run(main())


def test_wrong_arguments(target):
    async def main():
        with pytest.raises(StubConfigError):
            await serve_async(target, "tcp:0.0.0.0:0")

    run(main())
