# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What a debugger waits for: the stub through a socket, beside QEMU's stub in the same run.

Run with `pytest benchmarks/bench_gdb.py -o python_files='bench_*.py'`. Both stubs are in processes
of their own, and the client is the same for both, with packets as large as each stub takes. QEMU's
knows acknowledgements only; ours is asked to do without, as GDB does. Where both are shown their
rounds took turns, and the ratio is the median of the pairs.
"""

import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from statistics import median
from time import perf_counter

import pytest

from gdb.raw_client import RawClient, escape, frame
from vmmkit.insn import IMPLEMENTATION

HERE = Path(__file__).parent
ROUNDS, EXCHANGES = 12, 2000
BLOCK, ROUND_SIZE = 1 << 20, 8 << 20  # eight rounds are 64 MiB
MEMORY_ROUNDS = 8
STEPS = 1000
FEW_ROUNDS = 30
LIMIT = 60.0

NEEDS_NATIVE = pytest.mark.skipif(
    IMPLEMENTATION != "native", reason="the figures are those of the native engine"
)
MEMORY = "GDB: bytes a second through a socket, each stub with its largest packets"
PACKETS = "GDB: packets and steps"
WAITS = "GDB: connecting and stopping"
CONDITIONS = "GDB: a breakpoint whose condition does not hold, with GDB itself"


# -- the stubs ------------------------------------------------------------------------------------


class Process:
    """A stub in a process of its own, and where it listens."""

    def __init__(self, arguments, address=None):
        self._process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.address, self.facts = address, []
        if address is None:
            self.address, *self.facts = self._process.stdout.readline().decode().split()
        self.await_server()

    def await_server(self):
        limit = time.monotonic() + LIMIT
        while time.monotonic() < limit:
            with suppress(OSError):
                RawClient(self.address).close()
                return
            time.sleep(0.02)
        self.close()
        raise TimeoutError(self.address)

    def close(self):
        self._process.stdin.close()
        try:
            self._process.wait(0.1 if "qemu" in self._process.args[0] else 10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def guest(address="tcp:127.0.0.1:0", engine="native", interval=""):
    script = str(HERE / "gdb_guest.py")
    return Process([sys.executable, script, address, engine, interval])


def qemu():
    path = shutil.which("qemu-system-x86_64")
    if path is None:
        pytest.skip("qemu-system-x86_64 is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    machine = ["-machine", "pc", "-m", "128", "-accel", "tcg", "-display", "none"]
    place = f"127.0.0.1:{port}"
    return Process([path, "-S", "-gdb", f"tcp:{place}", *machine], f"tcp:{place}")


@pytest.fixture
def processes():
    """Return a starter of stubs. They end with the test, as guests that run disturb the next."""
    with ExitStack() as stack:

        def start(make, *arguments):
            process = make(*arguments)
            stack.callback(process.close)
            return process

        yield start


class Debugger(RawClient):
    """A client that has said hello."""

    def __init__(self, process):
        super().__init__(process.address, verify=False)
        self.features = self.packet(b"qSupported:swbreak+;hwbreak+;xmlRegisters=i386").split(b";")
        sizes = [word[11:] for word in self.features if word.startswith(b"PacketSize=")]
        self.packet_size = int(sizes[0], 16)
        if b"QStartNoAckMode+" in self.features:
            self.no_ack()


@pytest.fixture
def ours(processes):
    with Debugger(processes(guest)) as client:
        yield client


@pytest.fixture
def theirs(processes):
    with Debugger(processes(qemu)) as client:
        yield client


# -- measuring ------------------------------------------------------------------------------------


def measure(benchmark, run, label, group, *, beside=None, rounds=ROUNDS, setup=None, **notes):
    """Measure one row; with `beside`, the same thing done by another stub, as ratios to that.

    `setup` is called before each round of `run`.
    """
    floors = []

    def before_round():
        if beside is not None:
            start = perf_counter()
            beside()
            floors.append(perf_counter() - start)
        if setup is not None:
            setup()

    benchmark.group = group
    benchmark.pedantic(run, setup=before_round, rounds=rounds, warmup_rounds=1)
    if beside is not None:
        times = benchmark.stats.stats.data
        pairs = zip(times, floors[-len(times) :], strict=True)
        notes["ratio"] = median(one / other for one, other in pairs)
    benchmark.extra_info.update(label=label, **notes)


def exchange(client, packet, count=EXCHANGES):
    framed = frame(packet)

    def run():
        for _ in range(count):
            client.exchange(framed)

    return run


# -- memory ---------------------------------------------------------------------------------------


def pieces(size):
    """Ranges of RAM above 1 MiB, `ROUND_SIZE` bytes in all."""
    step = 1 << size.bit_length() - 1
    return [(BLOCK + offset, step) for offset in range(0, ROUND_SIZE, step)]


def read(client, letter):
    """Read with the largest power of two that the packets have room for."""
    room = client.packet_size // 2 if letter == b"m" else client.packet_size // 2 + 1
    packets = [frame(b"%b%x,%x" % (letter, *piece)) for piece in pieces(room)]

    def run():
        for packet in packets:
            client.exchange(packet)

    digits = {b"m": 2, b"x": 1}[letter] * pieces(room)[0][1]
    assert len(client.exchange(packets[0])) in {digits, digits + 1}
    return run


def write(client, letter):
    """Write bytes of which few need escapes."""
    room = client.packet_size - 32
    found = pieces(room // 2)
    data = bytes(range(256)) * (found[0][1] // 256)
    payload = data.hex().encode() if letter == b"M" else escape(data)
    packets = [frame(b"%b%x,%x:%b" % (letter, *piece, payload)) for piece in found]

    def run():
        for packet in packets:
            assert client.exchange(packet) == b"OK"

    run()
    return run


TRANSFERS = {"m": (read, 0.25), "x": (read, 0.125), "M": (write, None), "X": (write, None)}
NOT_THEIRS = {"x": "m", "X": "M"}


@pytest.mark.parametrize("letter", TRANSFERS)
@NEEDS_NATIVE
def test_memory(benchmark, ours, theirs, letter):
    make, hold = TRANSFERS[letter]
    other = NOT_THEIRS.get(letter, letter)
    verb = "read" if make is read else "write"
    label = f"{verb} by {letter}" + (f", beside QEMU's {other}" if other != letter else "")
    notes = {"hold": hold} if hold else {}
    beside = make(theirs, other.encode())
    run = make(ours, letter.encode())
    sized = {"operations": ROUND_SIZE, "rate": True, "rounds": MEMORY_ROUNDS}
    measure(benchmark, run, label, MEMORY, beside=beside, **sized, **notes)


@pytest.mark.parametrize("letter", ["m", "M"])
def test_memory_of_qemu(benchmark, theirs, letter):
    make = TRANSFERS[letter][0]
    label = f"{make.__name__} by {letter}"
    run = make(theirs, letter.encode())
    sized = {"operations": ROUND_SIZE, "rate": True, "rounds": MEMORY_ROUNDS}
    measure(benchmark, run, label, MEMORY, engine="QEMU", floor=True, **sized)


# -- packets --------------------------------------------------------------------------------------

KINDS = {
    "round trips of a minimal packet": (b"qC", EXCHANGES, 1.54),
    "g: all registers": (b"g", EXCHANGES, None),
    "vCont;s: steps": (b"vCont;s:1", STEPS, None),
}
THEIRS = {b"vCont;s:1": b"vCont;s:p1.1"}


@pytest.mark.parametrize("label", KINDS)
@NEEDS_NATIVE
def test_packets(benchmark, ours, theirs, label):
    packet, count, hold = KINDS[label]
    notes = {"hold": hold} if hold else {}
    beside = exchange(theirs, THEIRS.get(packet, packet), count)
    run = exchange(ours, packet, count)
    measure(benchmark, run, label, PACKETS, beside=beside, operations=count, rate=True, **notes)


@pytest.mark.parametrize("label", KINDS)
def test_packets_of_qemu(benchmark, theirs, label):
    packet, count, _hold = KINDS[label]
    run = exchange(theirs, THEIRS.get(packet, packet), count)
    notes = {"engine": "QEMU", "floor": True, "operations": count, "rate": True}
    measure(benchmark, run, label, PACKETS, **notes)


@NEEDS_NATIVE
def test_round_trips_of_a_unix_socket(benchmark, processes, tmp_path_factory):
    path = tmp_path_factory.mktemp("gdb") / "socket"
    with Debugger(processes(guest, f"unix:{path}")) as client:
        run = exchange(client, b"qC")
        label = "round trips through a Unix socket"
        measure(benchmark, run, label, PACKETS, operations=EXCHANGES, rate=True)


# -- connecting and stopping ----------------------------------------------------------------------


class Connecting:
    """Connects until the debugger knows why the guest stands."""

    def __init__(self, process):
        self._address = process.address
        self._client = None

    def run(self):
        self._client = client = RawClient(self._address, verify=False)
        client.packet(b"qSupported:swbreak+")
        assert client.packet(b"?").startswith(b"T")

    def leave(self):
        if self._client is not None:
            self._client.close()
            self._client = None
            time.sleep(0.003)


@NEEDS_NATIVE
def test_connect(benchmark, processes):
    connecting = Connecting(processes(guest))
    label = "connect, qSupported, ?"
    notes = {"setup": connecting.leave, "hold_ns": 1e6, "rounds": FEW_ROUNDS}
    measure(benchmark, connecting.run, label, WAITS, **notes)
    connecting.leave()


def test_connect_of_qemu(benchmark, processes):
    connecting = Connecting(processes(qemu))
    notes = {"setup": connecting.leave, "engine": "QEMU", "floor": True, "rounds": FEW_ROUNDS}
    measure(benchmark, connecting.run, "connect, qSupported, ?", WAITS, **notes)
    connecting.leave()


def stop(benchmark, process, label, thread, **notes):
    """Measure from Ctrl-C to the stop reply."""
    with Debugger(process) as client:

        def go():
            client.send(b"vCont;c:" + thread)
            time.sleep(0.01)

        def run():
            client.interrupt()
            assert client.wait_stop()[:1] in b"TS"

        measure(benchmark, run, label, WAITS, setup=go, rounds=FEW_ROUNDS, **notes)


INTERRUPTED = {
    "Ctrl-C while a native vCPU spins": ("native", "", {"hold_ns": 2e6}),
    "Ctrl-C while a vCPU in Python spins": ("pure", "", {}),
    "the same, switch_interval of 0.5 ms": ("pure", "0.0005", {}),
    "the same, switch_interval of 0.1 ms": ("pure", "0.0001", {}),
}


@pytest.mark.parametrize("label", INTERRUPTED)
@NEEDS_NATIVE
def test_interrupt(benchmark, processes, label):
    engine, interval, notes = INTERRUPTED[label]
    process = processes(guest, "tcp:127.0.0.1:0", engine, interval)
    stop(benchmark, process, label, b"1", **notes)


def test_interrupt_of_qemu(benchmark, processes):
    label = "Ctrl-C while a native vCPU spins"
    stop(benchmark, processes(qemu), label, b"p1.1", engine="QEMU", floor=True)


# -- conditions -----------------------------------------------------------------------------------


class Gdb:
    """A real gdb that is typed to."""

    def __init__(self, process, side):
        path = shutil.which("gdb")
        if path is None:
            pytest.skip("gdb is not installed")
        arguments = [path, "-nx", "-q"]
        self._process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for command in ("set pagination off", "set confirm off", "set width 0"):
            self.type(command)
        self.type(f"set breakpoint condition-evaluation {side}")
        self.type("target remote " + process.address.removeprefix("tcp:"))
        inner, turns = map(int, process.facts)
        self.turns = turns
        self.type(f"break *{inner:#x} if $ecx == 1")

    def type(self, command):
        self._process.stdin.write(f"{command}\necho @@done\\n\n".encode())
        self._process.stdin.flush()
        text = b""
        while b"@@done" not in text:
            line = self._process.stdout.readline()
            if not line:
                raise ConnectionError(f"gdb has ended: {text!r}")
            text += line
        return text

    def go(self):
        """Let the guest hit the breakpoint `turns` times."""
        assert b"Breakpoint 1" in self.type("continue")

    def close(self):
        self._process.communicate(b"detach\nquit\n", timeout=LIMIT)


@NEEDS_NATIVE
def test_condition(benchmark, processes):
    with ExitStack() as stack:
        found = {}
        for side in ("host", "target"):
            process = processes(guest, "tcp:127.0.0.1:0", "native", f"0.00{len(side)}")
            found[side] = Gdb(process, side)
            stack.callback(found[side].close)
            found[side].go()
        measure(
            benchmark,
            found["target"].go,
            "hits a second, the condition evaluated by the stub",
            CONDITIONS,
            beside=found["host"].go,
            operations=found["target"].turns,
            rate=True,
            hold=0.25,
        )


@NEEDS_NATIVE
def test_condition_in_gdb(benchmark, processes):
    gdb = Gdb(processes(guest, "tcp:127.0.0.1:0", "native", "0.004"), "host")
    try:
        label = "hits a second, the condition evaluated by the stub"
        notes = {"engine": "GDB", "floor": True, "operations": gdb.turns, "rate": True}
        measure(benchmark, gdb.go, label, CONDITIONS, **notes)
    finally:
        gdb.close()
