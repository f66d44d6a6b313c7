# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A machine of toy processors that is a debugger's target, with every optional Protocol.

vCPUs share RAM and run in rounds, one instruction each, in the order of their numbers. Instructions
are one byte long, but for the jump; anything not named here does nothing for one byte.
"""

import threading

from vmmkit.errors import TargetError
from vmmkit.gdb.registers import REGISTERS
from vmmkit.gdb.target import (
    Action,
    ActionKind,
    BreakpointKind,
    MemoryRange,
    Stop,
    StopKind,
)

NOP, COUNT, STORE, LOAD, TRAP, EXIT, JUMP = (
    b"\x90",
    b"\x40",
    b"\x88",
    b"\x8a",
    b"\xcc",
    b"\x0f",
    0xEB,
)
"""COUNT adds 1 to RAX, STORE writes AL to [RDI], LOAD reads RAX's byte from [RSI], TRAP stops for a
signal, EXIT ends the machine with the status in RAX. JUMP has a displacement."""
SPIN = bytes((JUMP, 0xFE))
BASE = 0x1000
WIDTHS = {register.name: register.bits for register in REGISTERS if register.name != "linear_pc"}
OPTIONAL = (
    "write_registers",
    "write_memory",
    "can_step",
    "breakpoint_kinds",
    "stop_vcpu",
    "reverse_step",
    "reset",
    "kill",
    "debugger_attached",
    "mode",
    "describe_vcpu",
    "memory_map",
    "monitor_commands",
    "hold_interrupts_while_stepping",
    "physical",
)
"""A member of each optional Protocol, for `lacks`."""
HIT = {BreakpointKind.SOFTWARE: StopKind.SOFTWARE, BreakpointKind.HARDWARE: StopKind.HARDWARE}
WATCH = {
    BreakpointKind.WRITE: (StopKind.WRITE, "w"),
    BreakpointKind.READ: (StopKind.READ, "r"),
    BreakpointKind.ACCESS: (StopKind.ACCESS, "rw"),
}


class Going:
    """vCPUs that were resumed together."""

    def __init__(self, actions, report):
        self.actions, self.report = dict(sorted(actions.items())), report
        self.fresh = set(actions)  # these do not stop at a breakpoint before they have moved
        self.asked = False


class SmallTarget:
    """The machine; `run` makes it go on, nothing else does.

    Args:
        vcpus: how many there are, all at the start of RAM.
        code: what is at the start of RAM.
        lacks: names of members that it is to be without.
        running: whether it runs before the debugger comes.
        prompt: whether vCPUs stop at once when they are asked, and not after one more round.
        asks: whether it asks if a stop at a breakpoint counts.

    Attributes:
        failures: exceptions to raise, by name of method.
        heard: names of the methods called that come and go with debuggers, reset and kill.
    """

    breakpoint_kinds = tuple(BreakpointKind)
    can_step = True
    hold_interrupts_while_stepping = True
    physical = False

    def __init__(
        self, vcpus=2, *, code=SPIN, lacks=(), running=False, prompt=True, asks=True, size=0x1000
    ):
        self.ram = bytearray(code.ljust(size, NOP))
        self.names = range(vcpus)
        self.registers = {vcpu: self._at_reset() for vcpu in self.names}
        self.modes = dict.fromkeys(self.names, 64)
        self.prompt, self.asks = prompt, asks
        self.inserted, self.failures, self.heard, self.history = [], {}, [], []
        self.goings = []
        for name in lacks:
            setattr(self, name, None)
        if running:
            self.goings = [Going(dict.fromkeys(self.names, Action(ActionKind.CONTINUE)), None)]

    @staticmethod
    def _at_reset():
        return dict.fromkeys(WIDTHS, 0) | {"rip": BASE, "eflags": 2, "efer": 0x500}

    def _called(self, method):
        if method in self.failures:
            raise self.failures[method]

    # -- what every target has

    def vcpus(self):
        self._called("vcpus")
        return list(self.names)

    def read_registers(self, vcpu):
        self._called("read_registers")
        return dict(self.registers[vcpu])

    def read_memory(self, vcpu, address, size):
        self._called("read_memory")
        first = address - BASE
        return bytes(self.ram[first : first + size]) if first >= 0 else b""

    def stop(self, report):
        self._called("stop")
        if not self.goings:
            report()
            return
        together = Going({}, report)
        for going in self.goings:
            together.actions |= going.actions
        together.asked, together.fresh = True, set().union(*(g.fresh for g in self.goings))
        self.goings = [together]
        if self.prompt:
            self._halt(together, [])

    def resume(self, actions, report):
        self._called("resume")
        busy = {vcpu for going in self.goings for vcpu in going.actions}
        assert not busy & set(actions), "resumed twice"
        self.goings.append(Going(actions, report))

    # -- options

    def write_registers(self, vcpu, values):
        self._called("write_registers")
        if not values.keys() <= WIDTHS.keys():
            raise TargetError(f"no registers {sorted(values.keys() - WIDTHS.keys())}")
        self.registers[vcpu].update(values)

    def write_memory(self, vcpu, address, data):
        self._called("write_memory")
        first = address - BASE
        if not 0 <= first <= len(self.ram) - len(data):
            raise TargetError(f"no RAM at {address:#x}")
        self.ram[first : first + len(data)] = data

    def insert_breakpoint(self, kind, vcpu, address, size):
        self._called("insert_breakpoint")
        self.inserted.append((kind, address, size))

    def remove_breakpoint(self, kind, vcpu, address, size):
        self._called("remove_breakpoint")
        self.inserted.remove((kind, address, size))

    def stop_vcpu(self, vcpu, report):
        self._called("stop_vcpu")
        for going in self.goings:
            if vcpu in going.actions:
                going.report, going.asked = report, True
                if self.prompt:
                    self._halt(going, [])
                return
        report()

    def reverse_step(self, vcpu, report):
        self._called("reverse_step")
        kind = StopKind.STEP if self._undo(vcpu) is not None else StopKind.HISTORY
        report([Stop(vcpu, kind)])

    def reverse_continue(self, report):
        self._called("reverse_continue")
        while self.history:
            vcpu = self._undo()
            hit = self._breakpoint(vcpu)
            if hit is not None and report.counts(hit):
                report([hit])
                return
        report([Stop(min(self.names), StopKind.HISTORY)])

    def reset(self):
        self._called("reset")
        self.heard.append("reset")
        self.registers = {vcpu: self._at_reset() for vcpu in self.names}

    def kill(self):
        self._called("kill")
        self.heard.append("kill")
        self.goings = []

    def debugger_attached(self):
        self._called("debugger_attached")
        self.heard.append("attached")

    def debugger_detached(self):
        self._called("debugger_detached")
        self.heard.append("detached")

    def mode(self, vcpu):
        self._called("mode")
        return self.modes[vcpu]

    def describe_vcpu(self, vcpu):
        self._called("describe_vcpu")
        return f"vCPU {vcpu} [{self.modes[vcpu]}-bit]"

    def memory_map(self):
        return [MemoryRange(BASE, BASE + len(self.ram) - 1, name="RAM")]

    def memory_range(self, vcpu, address):
        found = self.memory_map()[0]
        return found if found.first <= address <= found.last else None

    def monitor_commands(self):
        return {"add": self.add}

    @staticmethod
    def add(vcpu, *words):
        """Add numbers to the vCPU's."""
        return f"{vcpu + sum(map(int, words))}\n"

    # -- execution

    @property
    def is_running(self):
        return bool(self.goings)

    def run(self, rounds=1):
        """Let what has been resumed execute; return whether something still runs."""
        for _ in range(rounds):
            for going in list(self.goings):
                stops = self._round(going)
                if going in self.goings and (stops or going.asked):
                    self._halt(going, stops)
        return self.is_running

    def _halt(self, going, stops):
        self.goings.remove(going)
        if going.report is not None:
            going.report(stops)

    def _round(self, going):
        stops = []
        for vcpu, action in going.actions.items():
            stop = None if vcpu in going.fresh else self._counted(going, self._breakpoint(vcpu))
            if stop is None:
                going.fresh.discard(vcpu)
                stop = self._counted(going, self._execute(vcpu))
                if stop is None and action.kind is ActionKind.STEP:
                    stop = Stop(vcpu, StopKind.STEP)
            if stop is not None and going.report is not None:
                stops.append(stop)
        return stops

    def _counted(self, going, stop):
        """Return a stop that is worth stopping for."""
        at_breakpoint = stop is not None and stop.address is not None
        if going.report is None or (at_breakpoint and self.asks and not going.report.counts(stop)):
            return None
        return stop

    def _breakpoint(self, vcpu):
        rip = self.registers[vcpu]["rip"]
        hits = [kind for kind, address, _size in self.inserted if kind in HIT and address == rip]
        return Stop(vcpu, HIT[min(hits)], rip) if hits else None

    def _execute(self, vcpu):
        values, stop = self.registers[vcpu], None
        self.history.append((vcpu, dict(values), bytes(self.ram)))
        del self.history[:-256]
        offset = (values["rip"] - BASE) % len(self.ram)
        code = self.ram[offset : offset + 1]
        values["rip"] += 1
        if code == COUNT:
            values["rax"] += 1
        elif code == STORE:
            self.ram[values["rdi"] - BASE] = values["rax"] & 0xFF
            stop = self._watched(vcpu, values["rdi"], "w")
        elif code == LOAD:
            values["rax"] = self.ram[values["rsi"] - BASE]
            stop = self._watched(vcpu, values["rsi"], "r")
        elif code == TRAP:
            stop = Stop(vcpu, StopKind.SIGNAL, signal=4, message="a trap")
        elif code == EXIT:
            stop = Stop(vcpu, StopKind.EXITED, signal=values["rax"] & 0xFF)
        elif code[0] == JUMP:
            displacement = self.ram[offset + 1]
            values["rip"] += 1 + displacement - (displacement & 0x80) * 2
        return stop

    def _watched(self, vcpu, touched, way):
        for kind, address, size in self.inserted:
            if kind in WATCH and way in WATCH[kind][1] and address <= touched < address + size:
                return Stop(vcpu, WATCH[kind][0], touched)
        return None

    def _undo(self, vcpu=None):
        """Undo the last instruction, of one vCPU or of whichever; return whose, None without."""
        for index in reversed(range(len(self.history))):
            whose, values, ram = self.history[index]
            if vcpu in {None, whose}:
                del self.history[index]
                self.registers[whose], self.ram[:] = values, ram
                return whose
        return None


class ThreadedTarget(SmallTarget):
    """The same machine on a thread of its own, which begins with the `with` statement."""

    def __init__(self, *args, **settings):
        super().__init__(*args, prompt=False, **settings)
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_exception):
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def stop(self, report):
        with self._changed:
            super().stop(report)

    def stop_vcpu(self, vcpu, report):
        with self._changed:
            super().stop_vcpu(vcpu, report)

    def resume(self, actions, report):
        with self._changed:
            super().resume(actions, report)
            self._changed.notify()

    def _loop(self):
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self.goings or self._closing)
                if self._closing:
                    return
                self.run(16)
