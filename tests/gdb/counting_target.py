# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A small machine for tests of servers: one vCPU that counts, without computing while it runs."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock

from vmmkit.errors import TargetError
from vmmkit.gdb.target import ActionKind, BreakpointKind, Stop, StopKind

RAM_SIZE = 0x10_0000


class CountingTarget:
    """A machine with RAM from address 0, which reports its stops on a thread of its own.

    `runs` says whether it runs. It does not stop while `stops` is clear. `reads` is set when
    memory has been read, and `read_gate` holds reads up while it is clear.
    """

    can_step = True
    breakpoint_kinds = frozenset({BreakpointKind.SOFTWARE})

    def __init__(self, ram_size=RAM_SIZE):
        self.ram = bytearray(ram_size)
        self.rip = 0x1000
        self.breakpoints = set()
        self.calls = []
        self.runs = True
        self.stops = Event()
        self.stops.set()
        self.resumed = Event()
        self.reads = Event()
        self.read_gate = Event()
        self.read_gate.set()
        self._report = None
        self._lock = Lock()
        self._vcpu = ThreadPoolExecutor(1, "counting")

    def close(self):
        self.stops.set()
        self._vcpu.shutdown()

    def vcpus(self):
        return [0]

    def read_registers(self, vcpu):
        return {"rip": self.rip, "rax": 7, "eflags": 2, "cs": 8, "ss": 16}

    def write_registers(self, vcpu, values):
        self.rip = values.get("rip", self.rip)

    def read_memory(self, vcpu, address, size):
        self.reads.set()
        self.read_gate.wait(10)
        return bytes(self.ram[address : address + size])

    def write_memory(self, vcpu, address, data):
        if address + len(data) > len(self.ram):
            raise TargetError("there is no memory")
        self.ram[address : address + len(data)] = data

    def insert_breakpoint(self, kind, vcpu, address, size):
        self.breakpoints.add(address)

    def remove_breakpoint(self, kind, vcpu, address, size):
        if self.runs:
            raise TargetError("the vCPU runs")
        self.breakpoints.remove(address)

    def stop(self, report):
        self.calls.append("stop")
        with self._lock:
            self._report = report
        self._vcpu.submit(self._stand, report)

    def resume(self, actions, report):
        self.calls.append("resume" if report is not None else "let go")
        with self._lock:
            self._report = report
            self.runs = True
        self.resumed.set()
        if report is not None and actions[0].kind is ActionKind.STEP:
            self.rip += 1
            self._vcpu.submit(self._stand, report, Stop(0, StopKind.STEP))

    def _stand(self, report, *stops):
        self.stops.wait(10)
        with self._lock:
            if self._report is not report:
                return  # replaced meanwhile
            self.runs = False
            self.rip += 1
            self._report = None
        report(stops)
