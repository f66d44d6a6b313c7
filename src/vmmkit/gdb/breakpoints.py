# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The breakpoints and watchpoints that a debugger has inserted, and whether a stop at one counts.

The debugger may leave conditions and commands to the stub (GDB manual, "Packets", `Z0`): a stop is
reported only if one of the conditions holds, and where there are commands they are run instead.
That is decided on the vCPU's own thread, which spares a stop of all vCPUs and a round trip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain
from typing import Final, TypeAlias

import attrs

from vmmkit.errors import ExpressionError
from vmmkit.gdb.expression import Expression, MemoryReader, RegisterReader
from vmmkit.gdb.target import BreakpointKind, Stop, StopKind

__all__ = ["Breakpoint", "BreakpointTable", "Inserted", "Key"]

_KINDS: Final = {
    StopKind.SOFTWARE: BreakpointKind.SOFTWARE,
    StopKind.HARDWARE: BreakpointKind.HARDWARE,
    StopKind.WRITE: BreakpointKind.WRITE,
    StopKind.READ: BreakpointKind.READ,
    StopKind.ACCESS: BreakpointKind.ACCESS,
}
_WORDS: Final = (
    "breakpoint",
    "hardware breakpoint",
    "write watchpoint",
    "read watchpoint",
    "watchpoint",
)

Key: TypeAlias = tuple[BreakpointKind, int, int]
"""Kind, address and size, by which the debugger names a breakpoint."""
Inserted: TypeAlias = tuple[BreakpointKind, int, int, int]
"""Kind, vCPU, address and size, with which a target has inserted it."""

Place: TypeAlias = tuple[BreakpointKind, int | None]


def _place(key: Key) -> Place:
    """Where breakpoints are looked up: by address, but watchpoints, of which there are few, not."""
    kind, address, _ = key
    return kind, address if kind <= BreakpointKind.HARDWARE else None


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
        vcpu: whose view of memory the address belonged to.
    """

    kind: BreakpointKind
    address: int
    size: int
    conditions: tuple[Expression, ...] = attrs.field(default=())
    commands: tuple[Expression, ...] = ()
    persist: bool = False
    vcpu: int = 0

    @conditions.validator
    def _check_conditions(self, _: object, conditions: tuple[Expression, ...]) -> None:
        if not all(condition.gives_value for condition in conditions):
            raise ExpressionError("a condition leaves no value on the stack")

    @property
    def key(self) -> Key:
        """What tells it from others."""
        return self.kind, self.address, self.size

    @property
    def bytecode_size(self) -> int:
        """Bytes of its conditions and commands."""
        return sum(len(one.bytecode) for one in (*self.conditions, *self.commands))

    def covers(self, address: int) -> bool:
        """Tell whether a stop of its kind at this address is its own."""
        if self.kind <= BreakpointKind.HARDWARE:
            return address == self.address
        return self.address <= address < self.address + self.size


class BreakpointTable:
    """All breakpoints of a debugging session.

    Changed on one thread; `counts` may be called on any, meanwhile too: a change makes a new table
    and puts it in place of the old one.

    Attributes:
        bytecode_size: bytes of all conditions and commands.
    """

    def __init__(
        self,
        read_register: Callable[[int, int], int],
        read_memory: Callable[[int, int, int], int],
        say: Callable[[str], object],
    ) -> None:
        """Begin with no breakpoints.

        All three are called on the threads that call `counts`, only for breakpoints that have
        conditions or commands. What the readers raise counts as a condition that cannot be
        evaluated.

        Args:
            read_register: is given a vCPU and the register's number in the target description.
            read_memory: is given a vCPU, an address and 1 to 8 bytes; returns a little-endian
                integer.
            say: prints for the debugger's user, and does not raise.
        """
        self._read_register = read_register
        self._read_memory = read_memory
        self._say = say
        self._places: dict[Place, tuple[Breakpoint, ...]] = {}
        self._count = 0
        self.bytecode_size = 0

    def __len__(self) -> int:
        """Count breakpoints and watchpoints."""
        return self._count

    def entries(self) -> tuple[Breakpoint, ...]:
        """Return all of them."""
        return tuple(chain.from_iterable(self._places.values()))

    def insert(
        self,
        kind: BreakpointKind,
        address: int,
        size: int,
        conditions: Iterable[Expression] = (),
        commands: Iterable[Expression] = (),
        persist: bool = False,
        vcpu: int = 0,
    ) -> None:
        """Put a breakpoint in, in place of one of the same kind, address and size.

        Raises:
            ExpressionError: a condition that leaves no value.
        """
        entry = Breakpoint(kind, address, size, tuple(conditions), tuple(commands), persist, vcpu)
        self._replace(entry.key, (entry,))

    def remove(self, kind: BreakpointKind, address: int, size: int) -> None:
        """Take a breakpoint out, if it is there."""
        self._replace((kind, address, size), ())

    def clear(self) -> list[Inserted]:
        """Take all out; return what the target is to remove."""
        entries = self.entries()
        self._places, self._count, self.bytecode_size = {}, 0, 0
        return [(entry.kind, entry.vcpu, entry.address, entry.size) for entry in entries]

    def find(self, kind: BreakpointKind, address: int, size: int) -> Breakpoint | None:
        """Return what was inserted with this kind, address and size, or `None`."""
        key = kind, address, size
        return next(
            (entry for entry in self._places.get(_place(key), ()) if entry.key == key), None
        )

    def at(self, kind: BreakpointKind, address: int) -> list[Breakpoint]:
        """Return the breakpoints whose instruction, or whose watched range, is at an address."""
        entries = self._places.get(_place((kind, address, 0)), ())
        return [entry for entry in entries if entry.covers(address)]

    def _replace(self, key: Key, by: tuple[Breakpoint, ...]) -> None:
        place, places = _place(key), dict(self._places)
        before = places.pop(place, ())
        after = (*(entry for entry in before if entry.key != key), *by)
        if after:
            places[place] = after
        self._places = places
        self._count += len(after) - len(before)
        self.bytecode_size += sum(entry.bytecode_size for entry in after)
        self.bytecode_size -= sum(entry.bytecode_size for entry in before)

    def holds(self, stop: Stop) -> bool:
        """Tell whether the breakpoint of a stop is still there; true for stops at none."""
        kind = _KINDS.get(stop.kind)
        return kind is None or stop.address is None or bool(self.at(kind, stop.address))

    def counts(self, stop: Stop) -> bool:
        """Tell whether a stop is to be reported: see `vmmkit.gdb.target.Report.counts`.

        Stops at no breakpoint always are. A stop at a breakpoint that is no longer there is not.
        A condition that cannot be evaluated counts as one that holds, so that nothing is missed,
        and so does a command that fails; the user is told why. Never raises.
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
            readers = partial(self._read_register, vcpu), partial(self._read_memory, vcpu)
            return self._decide(entry, *readers)
        except Exception as error:  # noqa: BLE001 - the readers are the target's
            self._say(f"{_WORDS[entry.kind]} at {entry.address:#x}: {error!s}\n")
            return True

    def _decide(self, entry: Breakpoint, registers: RegisterReader, memory: MemoryReader) -> bool:
        conditions = entry.conditions
        if conditions and not any(one.evaluate(registers, memory) for one in conditions):
            return False
        for command in entry.commands:
            command.run(registers, memory, self._say)
        return not entry.commands
