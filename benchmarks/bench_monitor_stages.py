# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Where the time of an exit goes, from KVM_RUN to the completion, as a table and a picture.

Run with `pytest benchmarks/bench_monitor_stages.py -o python_files='bench_*.py'`. The stages of
`KvmVcpu.run_through` in Python are too short to be seen beside KVM_RUN, which differs by more from
one call to the next. So they are measured with a call in place of KVM_RUN that does nothing: the
vCPU sees the same exit again and again. KVM_RUN is that of the loop in C; what `fcntl.ioctl` adds
to it is the difference between Python's and C's calls of another ioctl.
"""

import shutil
import subprocess
from contextlib import suppress
from fcntl import ioctl
from itertools import repeat
from time import perf_counter

import pytest

from guests.exit_loops import CODE, DEVICE, DEVICE_SIZE, EXITS, PORT
from vmmkit.backends import KvmVcpu, KvmVm
from vmmkit.backends.kvm import unusable_reason, vcpu
from vmmkit.insn import IMPLEMENTATION
from vmmkit.memregion import RegionMap

pytestmark = [
    pytest.mark.skipif(IMPLEMENTATION != "native", reason="measured beside the native engine"),
    pytest.mark.skipif(unusable_reason() is not None, reason=str(unusable_reason())),
]

GROUP = "Monitor: where the time of an exit goes, by stage"
GET_API_VERSION = 0xAE00
COUNT, EXIT_COUNT, ROUNDS = 4_000, 1_000, 100
LIMIT = 60.0
STAGES = (
    "KVM_RUN: guest, kernel and back",
    "call of `ioctl` from Python",
    "exit decode",
    "map dispatch",
    "Python handler",
    "completion",
)
LONG_EXITS = {guest.label: guest for guest in EXITS if guest.mode == "long"}


def fastest(run):
    """Return the shortest of several runs, in seconds."""
    return min(run() for _ in range(ROUNDS))


class Handler:
    """The device in Python."""

    def read(self, _vcpu, _offset, _size):
        return 0x55

    def write(self, _vcpu, _offset, _size, _value):
        return None


def region_ports():
    """Make the ports of maps with one device."""
    mmio, pio = RegionMap(name="mmio"), RegionMap(address_bits=16, name="ports")
    mmio.add(DEVICE, DEVICE_SIZE, Handler())
    pio.add(PORT, 1, Handler())
    return mmio.port(None), pio.port(None)


def called(function, *arguments):
    """Return the seconds of a loop of calls of a function."""
    start = perf_counter()
    for _ in repeat(None, COUNT):
        function(*arguments)
    return perf_counter() - start


def stores():
    """Return the seconds of a loop of the stores that complete reads."""
    quads = memoryview(bytearray(64)).cast("Q")
    start = perf_counter()
    for _ in repeat(None, COUNT):
        quads[5] = 0x55
    return perf_counter() - start


def empty_loop():
    """Return the seconds of a loop without a body."""
    start = perf_counter()
    for _ in repeat(None, COUNT):
        pass
    return perf_counter() - start


def stages_in_python(made, exit_kind, monkeypatch):
    """Return the seconds of exit decode, map dispatch, handler and completion.

    The vCPU stays at one exit: what is called in place of KVM_RUN does nothing, but ends it all
    after a number of calls.
    """
    left = iter(())

    def nothing(_fd, _number):
        return next(left)

    def bare():
        while True:
            nothing(0, 0)

    def ending(run):
        nonlocal left
        left = repeat(0, COUNT)
        start = perf_counter()
        with suppress(StopIteration):
            run()
        return perf_counter() - start

    monkeypatch.setattr(vcpu, "kernel_ioctl", nothing)
    mmio, pio = region_ports()
    port, address = (mmio, DEVICE) if exit_kind in {"Read", "Write"} else (pio, PORT)
    is_read = exit_kind in {"Read", "PortIn"}
    value = () if is_read else (0x55,)
    method = "read" if is_read else "write"
    runs = (
        lambda: ending(bare),
        lambda: ending(lambda: made._loop(mmio, pio)),
        lambda: called(getattr(port, method), address, 1, *value),
        lambda: called(getattr(Handler(), method), None, 0, 1, *value),
        stores if is_read else empty_loop,
        empty_loop,
    )
    rounds = [[run() for run in runs] for _ in range(ROUNDS)]
    fastest_of_each = map(min, zip(*rounds, strict=True))
    floor, loop, access, handler, stored, empty = (one / COUNT for one in fastest_of_each)
    decode = loop - floor - (access - empty) - (stored - empty)
    return decode, access - handler, handler - empty, stored - empty


@pytest.fixture(scope="module")
def seconds_in_c(tmp_path_factory, request):
    """Return what measures the C loop: the seconds of one exit, or of one plain ioctl."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    folder = tmp_path_factory.mktemp("stages")
    target = folder / "kvm_loop"
    source = request.path.with_name("kvm_loop.c")
    subprocess.run(["gcc", "-O2", "-Wall", "-o", target, source], check=True)

    def measured(mode, guest, count):
        (folder / "ram").write_bytes(guest.ram()[:])
        command = [str(target), mode, str(folder / "ram"), str(CODE), "0"]
        lines = f"{count}\n" * ROUNDS
        output = subprocess.run(
            command, input=lines, capture_output=True, text=True, check=True, timeout=LIMIT
        )
        return min(map(int, output.stdout.split())) / 1e9 / count

    return measured


def ioctl_from_python():
    """Return the seconds of one ioctl that does nothing."""
    with KvmVm() as vm:
        fd = vm.kvm.fd

        def run():
            start = perf_counter()
            for _ in repeat(None, COUNT):
                ioctl(fd, GET_API_VERSION)
            return perf_counter() - start

        return (fastest(run) - fastest(empty_loop)) / COUNT


def stages_of(guest, seconds_in_c, monkeypatch):
    """Return the seconds of all stages of one exit."""
    kvm_run = seconds_in_c("long", guest, EXIT_COUNT)
    ioctl_call = ioctl_from_python() - seconds_in_c("call", guest, COUNT)
    ram = RegionMap()
    ram.add_ram(0, guest.ram())
    with KvmVm() as vm, KvmVcpu(vm) as made:
        vm.attach(ram)
        guest.begin(made.state)
        exit_kind = type(made.run()).__name__
        return kvm_run, ioctl_call, *stages_in_python(made, exit_kind, monkeypatch)


@pytest.mark.parametrize("label", LONG_EXITS)
def test_stages(benchmark, label, seconds_in_c, monkeypatch):
    seconds = stages_of(LONG_EXITS[label], seconds_in_c, monkeypatch)
    benchmark.group = GROUP
    stages = {name: one * 1e9 for name, one in zip(STAGES, seconds, strict=True)}
    benchmark.extra_info.update(label=label.partition(": ")[2], stages=stages)
    benchmark.pedantic(sum, (seconds,), rounds=1)
