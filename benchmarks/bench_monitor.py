# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What an exit costs: a vCPU on KVM beside a loop in C, the software vCPU, threads, kicks.

Run with `pytest benchmarks/bench_monitor.py -o python_files='bench_*.py'`. The guests are loops of
one instruction that exits; the device is a Python handler behind the port of a region map. The C
loop (`kvm_loop.c`) runs the same bytes in a process of its own and does nothing but KVM_RUN and
the completion. The rounds of both took turns, and the ratio is the median of the pairs.
"""

import os
import shutil
import subprocess
import threading
from contextlib import ExitStack, suppress
from functools import partial
from itertools import cycle, islice, repeat
from operator import truediv
from statistics import median
from time import perf_counter

import pytest

from guests.exit_loops import (
    CODE,
    DEVICE,
    DEVICE_SIZE,
    EXITS,
    PORT,
    SECOND_CHANCE,
    SPINNING,
    WORKING,
    Guest,
)
from vmmkit.backends import KvmVcpu, KvmVm, SoftVcpu
from vmmkit.backends.kvm import unusable_reason
from vmmkit.errors import HandlerError
from vmmkit.insn import IMPLEMENTATION, Unsupported, available_engines
from vmmkit.memregion import RegionMap

ROUNDS = 10
COUNT, SOFT_COUNT, PURE_COUNT = 5_000, 50_000, 2_000
EMULATED_COUNT = 2_000
KICKS = 200
BUDGET = 1 << 40
ANSWER = 0x55
LIMIT = 60.0
CPUS = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
HOLD = 1.35

NEEDS_NATIVE = pytest.mark.skipif(
    IMPLEMENTATION != "native", reason="measured beside the native engine"
)
NEEDS_KVM = pytest.mark.skipif(unusable_reason() is not None, reason=str(unusable_reason()))
EXIT_GROUP = "Monitor: time an exit, with a Python handler behind a region map"
CHANCE_GROUP = "Monitor: an instruction that KVM refuses, and kicks"
THREAD_GROUP = "Threads: time a unit of work, by the number of vCPUs"

pytestmark = NEEDS_NATIVE


# -- vCPUs ----------------------------------------------------------------------------------------


class Device:
    """Answers as often as it is told, then raises."""

    def __init__(self):
        self.answers = iter(())

    def read(self, _vcpu, _offset, _size):
        return next(self.answers)

    def write(self, _vcpu, _offset, _size, _value):
        next(self.answers)


class Monitored:
    """One vCPU of ours with its own device, which ends the run after a number of exits."""

    def __init__(self, vcpu, ram):
        self.vcpu, self.device = vcpu, Device()
        self.mmio = RegionMap(name="mmio")
        self.mmio.add_ram(0, ram)
        self.mmio.add(DEVICE, DEVICE_SIZE, self.device)
        pio = RegionMap(address_bits=16, name="ports")
        pio.add(PORT, 1, self.device)
        self.ports = self.mmio.port(vcpu), pio.port(vcpu)

    def run(self, count):
        """Take a number of exits."""
        self.device.answers = repeat(ANSWER, count)
        with suppress(HandlerError):
            outcome = self.vcpu.run_through(*self.ports, BUDGET)
            raise AssertionError(outcome)


def kvm_vcpus(stack: ExitStack, guest: Guest, count=1):
    """Make vCPUs of one virtual machine, all in the same loop."""
    vm = stack.enter_context(KvmVm())
    ram = guest.ram()
    vcpus = [Monitored(stack.enter_context(KvmVcpu(vm, number)), ram) for number in range(count)]
    vm.attach(vcpus[0].mmio)
    for one in vcpus:
        guest.begin(one.vcpu.state)
    return vcpus


def soft_vcpus(guest: Guest, engine, count=1):
    """Make software vCPUs, all in the same loop."""
    ram = guest.ram()
    vcpus = [
        Monitored(SoftVcpu([(0, ram)], engine=engine, deliver=True), ram) for _ in range(count)
    ]
    for one in vcpus:
        guest.begin(one.vcpu.state)
    return vcpus


class BareLoop:
    """The C program in a process of its own."""

    def __init__(self, program, mode, image, turns):
        arguments = [str(program), mode, str(image), str(CODE), str(turns)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(arguments, stdin=pipe, stdout=pipe, text=True)

    def run(self, count):
        """Take a number of exits; return the seconds they took."""
        self.begin(count)
        return self.finish()

    def begin(self, count):
        """Begin to take a number of exits."""
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()

    def finish(self):
        """Wait for the end; return the seconds they took."""
        return int(self._process.stdout.readline()) / 1e9

    def bind(self, cpu):
        """Run on one CPU only."""
        os.sched_setaffinity(self._process.pid, {cpu})

    def close(self):
        self._process.stdin.close()
        self._process.wait(LIMIT)
        self._process.stdout.close()


@pytest.fixture(scope="module")
def program(tmp_path_factory, request):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    target = tmp_path_factory.mktemp("monitor") / "kvm_loop"
    source = request.path.with_name("kvm_loop.c")
    subprocess.run(["gcc", "-O2", "-Wall", "-o", target, source], check=True)
    return target


@pytest.fixture
def bare(program, tmp_path):
    """Return a starter of C loops, which end with the test."""
    with ExitStack() as stack:

        def start(guest, turns=0):
            image = tmp_path / "ram"
            image.write_bytes(guest.ram()[:])
            loop = BareLoop(program, guest.mode, image, turns)
            stack.callback(loop.close)
            return loop

        yield start


@pytest.fixture
def stack():
    with ExitStack() as made:
        yield made


# -- measuring ------------------------------------------------------------------------------------


class Clock:
    """Time that was measured elsewhere, in seconds."""

    def __init__(self):
        self._passed = 0.0

    def __call__(self):
        return self._passed

    def add(self, seconds):
        self._passed += seconds


CLOCK = Clock()


def measure(benchmark, run, label, group, *, beside=None, rounds=ROUNDS, share=None, **notes):
    """Measure one row on `CLOCK`; with `beside`, with the ratio to that, round by round.

    Args:
        benchmark: the fixture.
        run: makes one round and returns its seconds.
        label: of the row.
        group: of the row.
        beside: makes a round of what the ratio is to, and returns its seconds.
        rounds: how many.
        share: operations of `beside` divided by those of `run`; the ratio is then that of the
            fastest rounds, since threads that share CPUs with others are slow by chance.
        notes: for `render.py`.
    """
    pairs = []

    def one_round():
        floor = beside() if beside is not None else 0.0
        seconds = run()
        pairs.append((seconds, floor))
        CLOCK.add(seconds)

    benchmark.group = group
    benchmark.pedantic(one_round, rounds=rounds, warmup_rounds=1)
    benchmark.extra_info.update(label=label, **notes)
    if beside is not None and share is not None:
        fastest = (min(seconds) for seconds in zip(*pairs, strict=True))
        benchmark.extra_info["ratio"] = truediv(*fastest) * share
    elif beside is not None:
        benchmark.extra_info["ratio"] = median(ours / floor for ours, floor in pairs[1:])


def timed(run, *arguments):
    """Return the seconds that a call takes."""
    start = perf_counter()
    run(*arguments)
    return perf_counter() - start


# -- exits ----------------------------------------------------------------------------------------

BY_LABEL = {guest.label: guest for guest in EXITS}


@NEEDS_KVM
@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize("label", BY_LABEL)
def test_exit_in_c(benchmark, bare, label):
    loop = bare(BY_LABEL[label])
    notes = {"operations": COUNT, "engine": "C loop", "floor": True}
    measure(benchmark, partial(loop.run, COUNT), label, EXIT_GROUP, **notes)


@NEEDS_KVM
@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize("label", BY_LABEL)
def test_exit_on_kvm(benchmark, bare, stack, label):
    guest = BY_LABEL[label]
    (ours,) = kvm_vcpus(stack, guest)
    floor = partial(bare(guest).run, COUNT)
    notes = {"operations": COUNT, "engine": "KvmVcpu", "hold": HOLD}
    measure(benchmark, partial(timed, ours.run, COUNT), label, EXIT_GROUP, beside=floor, **notes)


@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize("engine", available_engines())
@pytest.mark.parametrize("label", BY_LABEL)
def test_exit_in_software(benchmark, label, engine):
    (ours,) = soft_vcpus(BY_LABEL[label], engine)
    count = SOFT_COUNT if engine == "native" else PURE_COUNT
    notes = {"operations": count, "engine": engine}
    measure(benchmark, partial(timed, ours.run, count), label, EXIT_GROUP, **notes)


# -- second chance and kicks ----------------------------------------------------------------------


@NEEDS_KVM
@pytest.mark.benchmark(timer=CLOCK)
def test_second_chance(benchmark, stack):
    (ours,) = kvm_vcpus(stack, SECOND_CHANCE)
    ours.device.answers = repeat(ANSWER, 1)
    with suppress(HandlerError):
        outcome = ours.vcpu.run_through(*ours.ports, BUDGET)
        assert isinstance(outcome, Unsupported)
        pytest.skip("this backend does not emulate what KVM refuses")
    label = f"{SECOND_CHANCE.label}, emulated after KVM refused"
    notes = {"operations": EMULATED_COUNT}
    run = partial(timed, ours.run, EMULATED_COUNT)
    measure(benchmark, run, label, CHANCE_GROUP, **notes)


@NEEDS_KVM
@pytest.mark.benchmark(timer=CLOCK)
def test_plain_exit_beside(benchmark, stack):
    guest = BY_LABEL["long mode, CPL 3: `mov al, [device]; jmp`"]
    (ours,) = kvm_vcpus(stack, guest)
    notes = {"operations": COUNT, "floor": True}
    label = f"{guest.label}, which KVM emulates"
    measure(benchmark, partial(timed, ours.run, COUNT), label, CHANCE_GROUP, **notes)


class Kicked:
    """A vCPU that spins in a thread of its own, and what it takes to end its runs."""

    def __init__(self, ours):
        self._ours = ours
        self._running, self._ended_at = threading.Semaphore(0), 0.0
        self._ended = threading.Semaphore(0)
        self._runs = 0

    def _runner(self):
        for _ in range(self._runs):
            self._running.release()
            self._ours.vcpu.run_through(*self._ours.ports, BUDGET)
            self._ended_at = perf_counter()
            self._ended.release()

    def latency(self, count):
        """Return the seconds from a kick to the return of the run, for a number of kicks."""
        self._runs = count
        thread = threading.Thread(target=self._runner)
        thread.start()
        passed = 0.0
        for _ in range(count):
            assert self._running.acquire(timeout=LIMIT)
            threading.Event().wait(0.0005)
            start = perf_counter()
            self._ours.vcpu.kick()
            assert self._ended.acquire(timeout=LIMIT)
            passed += self._ended_at - start
        thread.join(LIMIT)
        return passed


@NEEDS_KVM
@pytest.mark.benchmark(timer=CLOCK)
def test_kick_on_kvm(benchmark, stack):
    (ours,) = kvm_vcpus(stack, SPINNING)
    label = "from `kick` to the return of `run_through`, KVM"
    run = partial(Kicked(ours).latency, KICKS)
    measure(benchmark, run, label, CHANCE_GROUP, operations=KICKS)


@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize("engine", available_engines())
def test_kick_in_software(benchmark, engine):
    (ours,) = soft_vcpus(SPINNING, engine)
    label = f"from `kick` to the return of `run_through`, software, {engine} engine"
    run = partial(Kicked(ours).latency, KICKS // 4)
    measure(benchmark, run, label, CHANCE_GROUP, rounds=6, operations=KICKS // 4)


# -- threads --------------------------------------------------------------------------------------


def together(vcpus, count):
    """Return the seconds that vCPUs take for a number of exits each.

    Each has a thread, and each thread a CPU of its own, as the scheduler of a busy host may take
    longer to spread threads than they run.
    """
    ready = threading.Barrier(len(vcpus) + 1, timeout=LIMIT)

    def run(ours, cpu):
        if CPUS:
            os.sched_setaffinity(0, {cpu})  # this thread's only
        ready.wait()
        ours.run(count)

    cpus = islice(cycle(CPUS or [0]), len(vcpus))
    pairs = zip(vcpus, cpus, strict=True)
    threads = [threading.Thread(target=run, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    ready.wait()
    start = perf_counter()
    for thread in threads:
        thread.join(LIMIT)
    return perf_counter() - start


EXITING = BY_LABEL["long mode, CPL 3: `mov al, [device]; jmp`"]
#: What is done, guest, and by kind of vCPU turns of its loop for each exit, exits in a round.
SCALING = {
    "exits to a Python handler": (
        EXITING,
        {"KVM": (0, 5_000), "native": (0, 300_000), "pure": (0, 3_000)},
    ),
    "guest code with an exit each 2 ms or more": (
        WORKING,
        {"KVM": (5_000_000, 100), "native": (100_000, 100), "pure": (500, 10)},
    ),
}


def scaling_vcpus(stack, kind, guest, turns, count):
    """Make vCPUs of a kind."""
    vcpus = kvm_vcpus(stack, guest, count) if kind == "KVM" else soft_vcpus(guest, kind, count)
    for ours in vcpus:
        ours.vcpu.state.rcx = turns
    return vcpus


@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize("kind", [pytest.param("KVM", marks=NEEDS_KVM), *available_engines()])
@pytest.mark.parametrize("what", SCALING)
@pytest.mark.parametrize("number", [1, 2])
def test_threads(benchmark, stack, what, kind, number):
    guest, by_kind = SCALING[what]
    turns, count = by_kind[kind]
    one = scaling_vcpus(stack, kind, guest, turns, 1)
    several = scaling_vcpus(stack, kind, guest, turns, number)
    where = "KVM" if kind == "KVM" else f"software, {kind} engine"
    label = f"{what}: {where}, {number} vCPU{'s' * (number > 1)}"
    beside = partial(together, one, count) if number > 1 else None
    run = partial(together, several, count)
    notes = {"operations": number * count, "share": 1 / number}
    measure(benchmark, run, label, THREAD_GROUP, beside=beside, rounds=8, **notes)


def processes_together(loops, count):
    """Return the seconds that C loops, each on a CPU of its own, take for exits each."""
    for loop in loops:
        loop.begin(count)
    return max(loop.finish() for loop in loops)


@NEEDS_KVM
@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize("what", SCALING)
@pytest.mark.parametrize("number", [1, 2])
def test_processes_in_c(benchmark, bare, what, number):
    """What the host itself allows: nothing is shared but its kernel and its processor."""
    guest, by_kind = SCALING[what]
    turns, count = by_kind["KVM"]
    loops = [bare(guest, turns) for _ in range(number)]
    for loop, cpu in zip(loops, cycle(CPUS), strict=False):
        loop.bind(cpu)
    label = f"{what}: C loop on KVM, {number} process{'es' * (number > 1)}"
    beside = partial(loops[0].run, count) if number > 1 else None
    run = partial(processes_together, loops, count)
    notes = {"operations": number * count, "share": 1 / number}
    measure(benchmark, run, label, THREAD_GROUP, beside=beside, rounds=8, **notes)
