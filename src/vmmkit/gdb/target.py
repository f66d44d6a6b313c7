# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What a debugger debugs: the interface between the stub and a backend.

`Target` is all that is required: five methods. Every other Protocol here is optional; a target has
a capability when it has the methods of its Protocol (an attribute that is `None` counts as
missing). `Capabilities` looks once, when a debugger attaches; what is missing is not advertised.

A vCPU is named by a number of the target's choice, 0 or more. All methods are called on one thread,
the one that drives the stub, unless their text says otherwise, and most of them only while the
vCPUs concerned stand still. What a target cannot do it refuses with `TargetError`; any other
exception of its own is answered to the debugger as an error too, and debugging goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import Enum, IntEnum
from typing import Final, NamedTuple, Protocol

__all__ = [
    "Target",
    "Report",
    "Stop",
    "StopKind",
    "Action",
    "ActionKind",
    "CONTINUE",
    "STEP",
    "BreakpointKind",
    "PackedRegisters",
    "RegisterWriter",
    "MemoryWriter",
    "Stepper",
    "Breakpoints",
    "PerVcpuControl",
    "Reverser",
    "Resetter",
    "Killer",
    "AttachListener",
    "ModeSource",
    "ThreadDescriber",
    "MemoryMapper",
    "MonitorSource",
    "MemoryKind",
    "MemoryRange",
]


class StopKind(Enum):
    """Why a vCPU stopped."""

    ASKED = "asked"  #: because the debugger asked for it
    STEP = "step"  #: a step is complete
    SOFTWARE = "swbreak"  #: at a software breakpoint that the debugger inserted
    HARDWARE = "hwbreak"  #: at a hardware breakpoint
    WRITE = "watch"  #: after a write to a watched address
    READ = "rwatch"  #: after a read of one
    ACCESS = "awatch"  #: after a read or write of one
    SIGNAL = "signal"  #: for a reason of the target's own, see `Stop.signal`
    HISTORY = "replaylog"  #: at an end of the recorded history, in reverse execution
    EXITED = "exited"  #: the machine is gone; `Stop.signal` is the exit status


class Stop(NamedTuple):
    """One vCPU's reason to stop."""

    vcpu: int
    kind: StopKind = StopKind.ASKED
    address: int | None = None
    """Watched data address that was touched (within the watched range), for watchpoints; for
    breakpoints the address of the instruction, equal to the program counter."""
    signal: int = 5
    """GDB's number of the signal that the debugger is told, 5 being SIGTRAP. With `ASKED` it is
    not looked at. See `vmmkit.gdb.spec.Signal`."""
    message: str = ""
    """Text for the debugger's user, or empty."""


class ActionKind(Enum):
    """What a vCPU does when the others are resumed."""

    CONTINUE = "c"  #: run
    STEP = "s"  #: execute one instruction, then stop everything


class Action(NamedTuple):
    """What one vCPU is to do."""

    kind: ActionKind
    signal: int = 0
    """Signal to deliver, 0 for none. Guests have exceptions instead: targets ignore it, unless
    they give it a meaning of their own."""


CONTINUE: Final = Action(ActionKind.CONTINUE)
STEP: Final = Action(ActionKind.STEP)


class Report(Protocol):
    """How a target tells the stub that vCPUs stand. Made by the stub; callable on any thread."""

    def __call__(self, stops: Iterable[Stop] = (), /) -> None:
        """Say that every vCPU of the run stands, and what stopped which ones.

        Called once for each `stop` or `resume` that it was given to; the last one given replaces
        those before it. Stops that happened at the same time are told together, all of them.
        """
        ...

    def counts(self, stop: Stop, /) -> bool:
        """Whether a stop at a breakpoint is to be reported: whether its condition holds.

        A target may ask on the vCPU's own thread, while that vCPU stands, before it stops the
        others: if the answer is false it steps over the breakpoint and goes on. The stub looks at
        conditions by itself when a target does not ask, only less quickly.
        """
        ...


class Target(Protocol):
    """The least that can be debugged."""

    def vcpus(self) -> Sequence[int]:
        """List the vCPUs that exist now, at least one, in ascending order."""
        ...

    def read_registers(self, vcpu: int, /) -> Mapping[str, int]:
        """Return registers by name, as unsigned integers.

        Names are those of GDB's 64-bit description (`rax`, `rip`, `eflags`, `cs`, `st0`, `fctrl`,
        `xmm0`, `ymm0h`, ...) and of `vmmkit.gdb.registers` for system registers, in every mode of
        the processor. Names that are missing read as unavailable. The mapping may compute its
        values when asked for them; it is used before the vCPU goes on.
        """
        ...

    def read_memory(self, vcpu: int, address: int, size: int, /) -> bytes:
        """Read up to `size` bytes at a virtual address as `vcpu` sees it.

        Returns fewer bytes where a hole begins, and none where the first byte cannot be read.
        Breakpoints that the target keeps in memory are hidden.
        """
        ...

    def stop(self, report: Report, /) -> None:
        """Ask every vCPU to stop, and return at once; `report` is called when all stand.

        Where all stand already, `report` may be called before this returns. A breakpoint hit
        meanwhile is in the stops reported.
        """
        ...

    def resume(self, actions: Mapping[int, Action], report: Report | None, /) -> None:
        """Let the vCPUs of `actions` go, and return at once; the others keep still.

        `report` is called once, when all stand again: after a step, at a breakpoint, or after
        `stop`. `None` means that the debugger is gone: run, and stop for nothing.
        """
        ...


class PackedRegisters(Protocol):
    """Many registers at once: what `Target.read_registers` returns may have this.

    Without it they are read one by one, which is slower where each is computed.
    """

    def packed(self, names: tuple[str, ...], sizes: tuple[int, ...], /) -> bytes:
        """Return the values of registers, one behind the other, the lowest byte of each first.

        Args:
            names: of the registers.
            sizes: bytes of each; a value is cut to that many.

        Raises:
            KeyError: a register is missing; those that are there are then read one by one.
        """
        ...


class RegisterWriter(Protocol):
    """Registers can be written."""

    def write_registers(self, vcpu: int, values: Mapping[str, int], /) -> None:
        """Set registers, named as in `read_registers`.

        Raises:
            TargetError: a register cannot be written, or not with this value; nothing is changed.
        """
        ...


class MemoryWriter(Protocol):
    """Memory can be written."""

    def write_memory(self, vcpu: int, address: int, data: bytes, /) -> None:
        """Write to a virtual address as `vcpu` sees it, whatever the guest's own rights are.

        Raises:
            TargetError: some of it cannot be written; nothing is changed, devices excepted.
        """
        ...


class Stepper(Protocol):
    """Vcpus can execute one instruction: `resume` takes `ActionKind.STEP`."""

    can_step: bool


class BreakpointKind(IntEnum):
    """What the debugger can insert; numbers of the `Z` packets (GDB manual, "Packets")."""

    SOFTWARE = 0
    HARDWARE = 1
    WRITE = 2
    READ = 3
    ACCESS = 4


class Breakpoints(Protocol):
    """Breakpoints and watchpoints of some kinds."""

    breakpoint_kinds: Collection[BreakpointKind]

    def insert_breakpoint(
        self, kind: BreakpointKind, vcpu: int, address: int, size: int, /
    ) -> None:
        """Insert a breakpoint, for all vCPUs; the stub asks once for each kind, address and size.

        Args:
            kind: one of `breakpoint_kinds`.
            vcpu: whose view of memory `address` belongs to, where that matters.
            address: virtual address.
            size: bytes watched, at least 1; for breakpoints the length of the breakpoint
                instruction.

        Raises:
            TargetError: not there, or no room for another one.
        """
        ...

    def remove_breakpoint(
        self, kind: BreakpointKind, vcpu: int, address: int, size: int, /
    ) -> None:
        """Remove what was inserted with the same kind, address and size, on whatever vCPU.

        Raises:
            TargetError: it cannot be removed.
        """
        ...


class PerVcpuControl(Protocol):
    """Vcpus run and stop one by one, as non-stop mode needs.

    `resume` may then be called for some vCPUs while others run, each with a report of its own, and
    a stop is that of the vCPUs of one `resume` only. Registers and memory of those that stand are
    read while others run.
    """

    def stop_vcpu(self, vcpu: int, report: Report, /) -> None:
        """As `stop`, for one vCPU."""
        ...


class Reverser(Protocol):
    """Execution goes backwards too, over a recorded history."""

    def reverse_step(self, vcpu: int, report: Report, /) -> None:
        """Go back by one instruction of `vcpu`; at the start of the history stop for `HISTORY`."""
        ...

    def reverse_continue(self, report: Report, /) -> None:
        """Go back to the last breakpoint or watchpoint, or to the start of the history."""
        ...


class Resetter(Protocol):
    """The machine can be reset."""

    def reset(self) -> None:
        """Reset the machine; every vCPU stands at its reset vector afterwards."""
        ...


class Killer(Protocol):
    """The machine can be ended. Without this, `kill` detaches and the guest goes on."""

    def kill(self) -> None:
        """End the machine: nothing runs afterwards, and a report that is owed need not come."""
        ...


class AttachListener(Protocol):
    """Hears of debuggers."""

    def debugger_attached(self) -> None:
        """A debugger has come, and `stop` will follow."""
        ...

    def debugger_detached(self) -> None:
        """It has gone; breakpoints are removed and everything has been resumed."""
        ...


class ModeSource(Protocol):
    """The processor changes between modes. Without this all is 64-bit, or what the stub is told."""

    def mode(self, vcpu: int, /) -> int:
        """Return 16, 32 or 64: how code at the program counter is decoded now."""
        ...


class ThreadDescriber(Protocol):
    """Vcpus have names and something to tell about them."""

    def describe_vcpu(self, vcpu: int, /) -> str:
        """Return a few words, such as "vCPU 0 [64-bit, CPL 0, halted]"."""
        ...


class MemoryKind(Enum):
    """What memory is, in GDB's words (GDB manual, "Memory Map Format")."""

    RAM = "ram"
    ROM = "rom"


class MemoryRange(NamedTuple):
    """A range of a memory map."""

    first: int
    last: int  #: inclusive
    kind: MemoryKind = MemoryKind.RAM
    writable: bool = True
    executable: bool = True
    name: str = ""


class MemoryMapper(Protocol):
    """The debugger may ask what is where."""

    def memory_map(self) -> Iterable[MemoryRange]:
        """Return the map in terms of the addresses that `read_memory` takes, or nothing.

        GDB takes what is not in a map for inaccessible, so a map that is not empty must have every
        address the user may want; in ROM it inserts hardware breakpoints by itself.
        """
        ...

    def memory_range(self, vcpu: int, address: int, /) -> MemoryRange | None:
        """Return the range around `address` as `vcpu` sees it, or `None` in a hole."""
        ...


class MonitorSource(Protocol):
    """The target adds commands to `monitor`."""

    def monitor_commands(self) -> Mapping[str, Callable[..., str | None]]:
        """Return functions by command name.

        Each is called with the selected vCPU and the words after the command, and returns text.
        Its docstring's first line is its help. It may raise `TargetError`.
        """
        ...
