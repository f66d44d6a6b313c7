# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The breakpoints and watchpoints that a debugger has inserted, and whether a stop at one counts.

The debugger may leave conditions and commands to the stub (GDB manual, "Packets", `Z0`): a stop is
reported only if one of the conditions holds, and where there are commands they are run instead.
That is decided on the vCPU's own thread, which spares a stop of all vCPUs and a round trip.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

import attrs

from vmmkit.errors import ExpressionError
from vmmkit.gdb.expression import Expression, MemoryReader, RegisterReader
from vmmkit.gdb.target import BreakpointKind, Stop, StopKind

__all__ = ["MAX_FAILURES", "Breakpoint", "BreakpointTable", "Key"]

_KINDS: Final = {
    StopKind.SOFTWARE: BreakpointKind.SOFTWARE,
    StopKind.HARDWARE: BreakpointKind.HARDWARE,
    StopKind.WRITE: BreakpointKind.WRITE,
    StopKind.READ: BreakpointKind.READ,
    StopKind.ACCESS: BreakpointKind.ACCESS,
}

MAX_FAILURES: Final = 16  #: texts kept for the user

Key: TypeAlias = tuple[BreakpointKind, int, int]


@attrs.frozen
class Breakpoint:
    """What the debugger inserted with one `Z` packet.

    Attributes:
        kind: of breakpoint or watchpoint.
        address: virtual, as the debugger gave it.
        size: bytes watched; of a breakpoint the length of its instruction.
        conditions: it counts if one of them gives other than zero, or if there are none.
        commands: run instead of reporting the stop.
        persist: whether the debugger would like commands to be run after it has gone. There is
            nobody to print for then: breakpoints go with the debugger all the same.
    """

    kind: BreakpointKind
    address: int
    size: int
    conditions: tuple[Expression, ...] = attrs.field(default=())
    commands: tuple[Expression, ...] = ()
    persist: bool = False

    @conditions.validator
    def _check_conditions(self, _: object, conditions: tuple[Expression, ...]) -> None:
        if not all(condition.gives_value for condition in conditions):
            raise ExpressionError("a condition leaves no value on the stack")

    @property
    def key(self) -> Key:
        """What tells it from others."""
        return self.kind, self.address, self.size

    def covers(self, address: int) -> bool:
        """Tell whether a stop of its kind at this address is its own."""
        if self.kind <= BreakpointKind.HARDWARE:
            return address == self.address
        return self.address <= address < self.address + self.size


class BreakpointTable:
    """All breakpoints of a debugging session.

    Changed on one thread; `counts` may be called on any, meanwhile too: a change makes a new table
    and puts it in place of the old one.
    """

    def __init__(
        self,
        registers_of: Callable[[int], RegisterReader],
        memory_of: Callable[[int], MemoryReader],
        say: Callable[[str], object],
    ) -> None:
        """Begin with no breakpoints.

        All three are called on the threads that call `counts`, only for breakpoints that have
        conditions or commands. What they and the functions they return raise counts as a condition
        that cannot be evaluated.

        Args:
            registers_of: returns a reader of a vCPU's registers.
            memory_of: returns a reader of memory as a vCPU sees it.
            say: prints for the debugger's user.
        """
        self._registers_of = registers_of
        self._memory_of = memory_of
        self._say = say
        self._failures: deque[str] = deque(maxlen=MAX_FAILURES)
        self._lock = threading.Lock()
        self._entries: dict[Key, Breakpoint] = {}
        self._by_address: dict[tuple[BreakpointKind, int], tuple[Breakpoint, ...]] = {}
        self._watched: dict[BreakpointKind, tuple[Breakpoint, ...]] = {}

    def __len__(self) -> int:
        """Count breakpoints and watchpoints."""
        return len(self._entries)

    def __contains__(self, key: Key) -> bool:
        """Tell whether there is a breakpoint of this kind, address and size."""
        return key in self._entries

    def entries(self) -> tuple[Breakpoint, ...]:
        """Return all of them, in order of insertion."""
        return tuple(self._entries.values())

    def insert(
        self,
        kind: BreakpointKind,
        address: int,
        size: int,
        conditions: Iterable[Expression] = (),
        commands: Iterable[Expression] = (),
        persist: bool = False,
    ) -> Breakpoint:
        """Put a breakpoint in, in place of one of the same kind, address and size.

        Raises:
            ExpressionError: a condition that leaves no value.
        """
        breakpoint_ = Breakpoint(kind, address, size, tuple(conditions), tuple(commands), persist)
        with self._lock:
            self._replace({**self._entries, breakpoint_.key: breakpoint_})
        return breakpoint_

    def remove(self, kind: BreakpointKind, address: int, size: int) -> bool:
        """Take a breakpoint out; return whether there was one."""
        with self._lock:
            entries = dict(self._entries)
            found = entries.pop((kind, address, size), None)
            self._replace(entries)
        return found is not None

    def clear(self) -> tuple[Breakpoint, ...]:
        """Take all out, and return them."""
        with self._lock:
            entries = self.entries()
            self._replace({})
        return entries

    def at(self, kind: BreakpointKind, address: int) -> tuple[Breakpoint, ...]:
        """Return the breakpoints whose instruction, or whose watched range, is at an address."""
        if kind <= BreakpointKind.HARDWARE:
            return self._by_address.get((kind, address), ())
        watched = self._watched.get(kind, ())
        return tuple(entry for entry in watched if entry.covers(address))

    def _replace(self, entries: dict[Key, Breakpoint]) -> None:
        by_address: dict[tuple[BreakpointKind, int], tuple[Breakpoint, ...]] = {}
        watched: dict[BreakpointKind, tuple[Breakpoint, ...]] = {}
        for entry in entries.values():
            if entry.kind <= BreakpointKind.HARDWARE:
                place = entry.kind, entry.address
                by_address[place] = (*by_address.get(place, ()), entry)
            else:
                watched[entry.kind] = (*watched.get(entry.kind, ()), entry)
        self._entries, self._by_address, self._watched = entries, by_address, watched

    def counts(self, stop: Stop) -> bool:
        """Tell whether a stop is to be reported: see `vmmkit.gdb.target.Report.counts`.

        Stops at no breakpoint always are. A stop at a breakpoint that is no longer there is not.
        A condition that cannot be evaluated counts as one that holds, so that nothing is missed,
        and so does a command that fails; `take_failures` says why. Never raises.
        """
        kind = _KINDS.get(stop.kind)
        if kind is None or stop.address is None:
            return True
        reported = False
        for entry in self.at(kind, stop.address):
            # All are asked, since each may have commands to run.
            reported |= self._reported(entry, stop.vcpu)
        return reported

    def _reported(self, entry: Breakpoint, vcpu: int) -> bool:
        if not (entry.conditions or entry.commands):
            return True
        try:
            return self._decide(entry, self._registers_of(vcpu), self._memory_of(vcpu))
        except Exception as error:  # noqa: BLE001 - readers and `say` are not ours
            self._failures.append(f"breakpoint at {entry.address:#x}: {error}")
            return True

    def _decide(self, entry: Breakpoint, registers: RegisterReader, memory: MemoryReader) -> bool:
        conditions = entry.conditions
        if conditions and not any(one.evaluate(registers, memory) for one in conditions):
            return False
        for command in entry.commands:
            command.run(registers, memory, self._say)
        return not entry.commands

    def take_failures(self) -> tuple[str, ...]:
        """Return why conditions and commands failed since the last call, the latest few of them."""
        failures = []
        while self._failures:
            failures.append(self._failures.popleft())
        return tuple(failures)
