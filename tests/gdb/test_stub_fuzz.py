# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Whatever a debugger sends, the whole stub answers or skips it, within bounds, and cleans up."""

import random
import tracemalloc

import pytest

from gdb.small_target import COUNT, LOAD, NOP, SPIN, STORE, SmallTarget
from gdb.wire import Wire, frame

# What GDB 13 and LLDB 14 send, and what they do not.
LOG = b" ".join(
    (
        b"qSupported:multiprocess+;swbreak+;hwbreak+;qRelocInsn+;fork-events+;vfork-events+;exec-events+;vContSupported+;QThreadEvents+;no-resumed+;xmlRegisters=i386",
        b"vMustReplyEmpty QStartNoAckMode Hgp0.0 qTStatus ? qfThreadInfo qsThreadInfo Hc-1 qC g",
        b"p10 qXfer:features:read:target.xml:0,ffb qXfer:threads:read::0,1000",
        b"qXfer:memory-map:read::0,fff qAttached:1 qThreadExtraInfo,p1.1 Hgp1.2 m1000,40 x1000,40",
        b"M1000,2:9090 X1008,0: X1009,1:}] Z0,1003,1 Z0,1004,1;X3,220027 Z1,1005,1 Z2,1010,4",
        b"Z3,1010,1 Z4,1010,8 vCont? vCont;s:p1.1;c vCont;c vCont;r1000,1004:p1.1;c:p1.-1 vCont;t",
        b"vCont;S05:1;C02 c s C05 S05;1002 bs bc vCtrlC z0,1003,1 z0,1004,1 z1,1005,1 z2,1010,4",
        b"z3,1010,1 z4,1010,8 P10=0010000000000000 p7f G00 P0=1 qSearch:memory:1000;100;\x90",
        b"qCRC:1000,800 qRcmd,68656c70 qRcmd,72656773 qRcmd,6d6f6465203332 QNonStop:1 vStopped",
        b"vStopped vStopped QNonStop:0 QThreadEvents:1 T1 Tp1.9 H H9 Hg-1 Hc1 ! qHostInfo",
        b"qProcessInfo qRegisterInfo0 qRegisterInfo10 jThreadsInfo QThreadSuffixSupported",
        b"QListThreadsInStopReply QEnableErrorStrings qMemoryRegionInfo:1000 p10;thread:1;",
        b"g;thread:2; Qqemu.sstep=3 qqemu.sstepbits Qqemu.PhyMemMode:1 qqemu.PhyMemMode qOffsets",
        b"qSymbol:: R00 D;1 k vKill;1 vFile:open:0,0,0 vRun; vAttach;1 QPassSignals:",
        b"qXfer:exec-file:read:1:0,ff vCont;x c1;2",
    )
)
PACKETS = LOG.split(b" ")
ALPHABET = b"0123456789abcdefgGmMxXpPZzHTqQvcsSCD?:;,=-+.$#*}{ \x00\x03\x90\xff"
BOUND = 4 << 20  # bytes: a few packets, the table of breakpoints, lists of threads
CODE = NOP * 2 + COUNT + STORE + LOAD + NOP + SPIN


def mutated(rng, packet):
    body = bytearray(packet)
    for _ in range(rng.choice((0, 0, 1, 1, 2, 8))):
        place = rng.randrange(len(body) + 1)
        way = rng.randrange(4)
        if way == 0:
            body[place:place] = bytes(rng.choices(ALPHABET, k=rng.randrange(1, 4)))
        elif way == 1:
            del body[place : place + rng.randrange(1, 4)]
        elif way == 2 and place < len(body):
            body[place] = rng.choice(ALPHABET)
        else:
            body[place:place] = b"%x" % rng.choice((0, 1, 2**31, 2**63, 2**64 - 1, 2**64, 2**70))
    return bytes(body)


def stream(rng, length):
    """Return what a debugger in disorder sends."""
    pieces = []
    for _ in range(length):
        packet = mutated(rng, rng.choice(PACKETS))
        kind = rng.randrange(20)
        if kind == 0:
            pieces.append(bytes(rng.choices(ALPHABET, k=rng.randrange(60))))
        elif kind == 1:
            pieces.append(b"$" + packet + b"#00")
        else:
            pieces.append(frame(packet) if rng.randrange(10) else b"\x03")
    return b"".join(pieces)


def feed(rng, wire, data):
    """Send it in any pieces, while the target goes on now and then."""
    stub, sent = wire.stub, 0
    while data:
        size = rng.choice((1, 7, 64, 4096))
        piece, data = data[:size], data[size:]
        sent += len(stub.receive(piece))
        for _ in range(rng.randrange(4)):
            if stub.busy:
                sent += len(stub.work())
        if rng.randrange(3) == 0:
            wire.target.run()
            sent += len(stub.pump())
        if stub.finished:
            return sent
    return sent


def settled(wire):
    for _ in range(100):
        wire.target.run()
        wire.stub.pump()
        while wire.stub.busy:
            wire.stub.work()


def play(seed):
    rng = random.Random(seed)
    target = SmallTarget(
        rng.randrange(1, 4), code=CODE, prompt=rng.random() < 0.5, asks=rng.random() < 0.5
    )
    wire = Wire(target, read_only=rng.random() < 0.1)
    for _ in range(3):  # debuggers, one after the other
        feed(rng, wire, stream(rng, 60))
        wire.stub.disconnect()
        settled(wire)
        assert not wire.stub.leaving
        assert target.inserted == []
        wire.stub.attach()
        settled(wire)
    replies = wire.taken(wire.stub.receive(frame(b"?")))
    assert [reply[:1] for reply in replies if reply[:1] in b"TW"] == [b"T"]


@pytest.mark.parametrize("seed", range(40))
def test_a_debugger_in_disorder(seed):
    play(seed)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 4000, 500))
def test_debuggers_in_disorder(first):
    for seed in range(first, first + 500):
        play(1_000_000 + seed)


def test_memory_stays_within_a_bound():
    """A debugger that sends and never waits, at a target that never gets on."""
    rng = random.Random(7)
    wire = Wire(SmallTarget(2, code=CODE, prompt=False))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(40):
            data = stream(rng, 50)
            wire.stub.receive(data + b"$" + b"m" * 300_000)
            wire.target.run()
            wire.stub.pump()
            if wire.stub.finished:
                wire.stub.disconnect()
                wire.stub.attach()
        assert tracemalloc.get_traced_memory()[0] - before < BOUND
    finally:
        tracemalloc.stop()
