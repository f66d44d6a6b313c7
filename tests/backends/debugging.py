# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A debugger's side of a target for tests: reports that can be waited for, owners on threads."""

import struct
from collections.abc import Callable, Iterable
from contextlib import ExitStack, contextmanager
from threading import Condition, Thread
from time import monotonic, sleep

from vmmkit.backends import SoftMachine, SoftVcpu, ThreadedMachine
from vmmkit.backends.machine_target import MachineTarget
from vmmkit.backends.vcpu_target import VcpuTarget
from vmmkit.gdb.target import CONTINUE, STEP, Stop

PATIENCE = 10.0  # seconds until a test fails that would wait for ever
MIB = 1 << 20
ROOT = 0x8_0000  # of page tables that map the first GiB to itself
ICR = 0x300  # of the local APIC; INIT and start-up message for all but itself
START_UP = (0xC4500, 0xC4600)


def until(condition: Callable[[], object]) -> None:
    """Wait for something that another thread brings about."""
    end = monotonic() + PATIENCE
    while not condition():
        assert monotonic() < end, "it did not happen"
        sleep(0)


class Report:
    """A report that remembers its calls."""

    def __init__(self, counts: Callable[[Stop], bool] = lambda _stop: True) -> None:
        self.calls: list[list[Stop]] = []
        self.asked: list[Stop] = []
        self._counts = counts
        self._called = Condition()

    def __call__(self, stops: Iterable[Stop] = ()) -> None:
        with self._called:
            self.calls.append(list(stops))
            self._called.notify_all()

    def counts(self, stop: Stop) -> bool:
        self.asked.append(stop)
        return self._counts(stop)

    def wait(self) -> list[Stop]:
        """Wait for the call and return the stops; there must be one only."""
        with self._called:
            assert self._called.wait_for(lambda: self.calls, PATIENCE), "nothing was reported"
            assert len(self.calls) == 1, self.calls
            return self.calls[0]


class Guest:
    """RAM, vCPUs in 64-bit mode with flat page tables, and a target of them.

    `kind` is "vcpus", "soft" or "threads"; `codes` are the programs, by address, and `starts` the
    addresses at which the vCPUs begin.
    """

    def __init__(self, kind, engine, codes, starts=(0x1000,), **options):
        self.ram = bytearray(4 * MIB)
        for address, code in codes.items():
            self.ram[address : address + len(code)] = code
        for place, value in ((0, 0x1003), (0x1000, 0x2003)):
            struct.pack_into("<Q", self.ram, ROOT + place, ROOT + value)
        struct.pack_into("<2Q", self.ram, ROOT + 0x2000, 0x83, 0x20_0083)
        pieces = [(0, self.ram)]
        if kind == "vcpus":
            self.machine = None
            self.vcpus = [SoftVcpu(pieces, engine=engine, deliver=True) for _ in starts]
            self.target = VcpuTarget(self.vcpus, ram=pieces, **options)
        else:
            machine = SoftMachine if kind == "soft" else ThreadedMachine
            self.machine = machine(pieces, vcpus=len(starts), engine=engine, **options)
            self.vcpus = self.machine.vcpus
            self.target = MachineTarget(self.machine)
            for message in START_UP:
                self.machine.lapics[0].write(None, ICR, 4, message)
                for vcpu in self.vcpus:
                    vcpu.settle()
        for number, (vcpu, start) in enumerate(zip(self.vcpus, starts, strict=True)):
            vcpu.state.enter_long_mode(start, ROOT)
            vcpu.state.rsp = 0x7_0000 - 0x1000 * number

    @contextmanager
    def owned(self, *limits, ends=lambda _outcome: False):
        """Have threads of the owner run everything, from run to run; yields the outcomes."""
        over, outcomes = [], []

        def work(*arguments):
            while not over:
                try:
                    outcomes.append(self.target.run(*arguments))
                except Exception as error:  # noqa: BLE001 - for the test to look at
                    outcomes.append(error)
                if isinstance(outcomes[-1], Exception) or ends(outcomes[-1]):
                    return

        places = [(n,) for n in range(len(self.vcpus))] if self.machine is None else [limits]
        threads = [Thread(target=work, args=place) for place in places]
        with ExitStack() as stack:
            stack.callback(self._end, over, threads, places)
            for thread in threads:
                thread.start()
            yield outcomes

    def _end(self, over, threads, places):
        over.append(True)
        self.target.resume(dict.fromkeys(self.target.vcpus(), CONTINUE), None)
        self.target.debugger_detached()
        for thread, place in zip(threads, places, strict=True):
            while thread.is_alive():
                self.target.end_run(*(place if self.machine is None else ()))
                thread.join(0.05)

    @contextmanager
    def debugged(self, **options):
        """As `owned`, with a debugger that has stopped everything."""
        self.target.debugger_attached()
        first = Report()
        self.target.stop(first)
        with self.owned(**options) as outcomes:
            assert first.wait() == []
            yield outcomes

    def start(self, actions=None, counts=lambda _stop: True) -> Report:
        """Resume everything, or what `actions` says."""
        report = Report(counts)
        self.target.resume(actions or dict.fromkeys(self.target.vcpus(), CONTINUE), report)
        return report

    def go(self, actions=None) -> list[Stop]:
        """Resume, and wait for the report."""
        return self.start(actions).wait()

    def step(self, vcpu=0) -> list[Stop]:
        """Step one vCPU, the others standing."""
        return self.go({vcpu: STEP})

    def gets_on(self, count=10):
        """Wait until every vCPU has executed as many instructions more."""
        before = [vcpu.state.retired for vcpu in self.vcpus]
        for vcpu, then in zip(self.vcpus, before, strict=True):
            until(lambda vcpu=vcpu, then=then: vcpu.state.retired >= then + count)

    def stop(self) -> list[Stop]:
        """Stop everything and wait for the report."""
        report = Report()
        self.target.stop(report)
        return report.wait()
