# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Debugging vCPUs that their owner runs, each on a thread of its own.

The owner calls `target.run(index)` where it would call `vcpu.run_through(mmio, pio)`:

>>> from vmmkit.backends import SoftVcpu
>>> from vmmkit.backends.vcpu_target import VcpuTarget
>>> ram = bytearray(4096)
>>> ram[:2] = bytes.fromhex("90 f4")  # nop; hlt
>>> vcpu = SoftVcpu([(0, ram)])
>>> vcpu.state.enter_real_mode(ip=0)
>>> target = VcpuTarget([vcpu], ram=[(0, ram)])
>>> target.run(0)
Halt(rip=2)

With a debugger (`vmmkit.gdb.serve`) the call lasts for as long as the vCPU is stopped. The owner is
still given every outcome: `Halt`, `Hypercall` and all others when they occur; those found while the
vCPU was to stop, or was stepped by the debugger, when it goes on. `TripleFault` and `Unsupported`
are shown to the debugger first. Between two calls of `run` a vCPU stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final, Protocol

from vmmkit.backends._debug_control import Driver, Seat
from vmmkit.backends._debug_io import Ways
from vmmkit.backends._debug_target import DebugTarget, Raised
from vmmkit.backends._machine_ways import PlainPort, locked_port
from vmmkit.backends.soft import DEFAULT_BUDGET, SoftVcpu
from vmmkit.errors import TargetError
from vmmkit.gdb.target import Action, ActionKind, StopKind
from vmmkit.insn import (
    Breakpoint,
    BudgetSpent,
    CpuState,
    DebugExit,
    Fault,
    Outcome,
    PageAccess,
    Read,
    Translation,
)
from vmmkit.memregion import Port, RegionMap, all_ones
from vmmkit.protocols import AccessPort

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["DebuggableVcpu", "VcpuTarget"]

MEMORY_BITS, PORT_BITS = 52, 16
TRIES: Final = 8  # of a step that kicks end before it has begun


class DebuggableVcpu(Protocol):
    """A vCPU that can be debugged. Caller: `VcpuTarget`.

    A vCPU may have less: without `latch` the others are held while it steps over a breakpoint in
    RAM; `breakpoint_slots` tells of fewer than 16 slots; `awaits_answer` is false without it, and
    so is `waits_for_sipi`, which says that it executes nothing before a start-up message comes.
    """

    @property
    def state(self) -> CpuState:
        """The registers; `retired` grows with each instruction."""
        ...

    def run_through(self, mmio: AccessPort, pio: AccessPort, budget: int, /) -> Outcome:
        """Run up to `budget` instructions, 1 being a single step, or until an exit."""
        ...

    def kick(self) -> None:
        """End the run in progress, or else the next one; for any thread."""
        ...

    def translate(
        self,
        linear: int,
        access: PageAccess | None = ...,
        *,
        user: bool | None = ...,
        read: Callable[[int, int], int] | None = ...,
    ) -> Translation | Fault | Read:
        """Translate a linear address without any effect; `None` asks for no rights."""
        ...

    def set_breakpoints(self, breakpoints: Iterable[Breakpoint] = ..., *, int3: bool = ...) -> None:
        """Set all breakpoints; `StateError` for more than there are slots."""
        ...

    def skip_breakpoint(self) -> None:
        """Have no breakpoint, and no INT3, count at the next instruction."""
        ...

    def hold_interrupts(self, held: bool, /) -> None:
        """Let external interrupts and NMIs wait."""
        ...


AnyPort = Port | PlainPort


class VcpuTarget(DebugTarget):
    """A target made of vCPUs with a thread each.

    It has every optional Protocol of `vmmkit.gdb.target` but `Reverser`; `Resetter` where
    `reset` was given, and `Killer` where `kill` is set.

    Args:
        vcpus: the vCPUs, one or more; their positions are their numbers.
        ram: `(gpa, buffer)` pieces, the ones that the vCPUs have.
        mmio: the guest-physical address map for accesses to devices; nobody is there without it.
        pio: the map of I/O ports.
        reset: resets the machine, with all vCPUs standing; without it there is no `reset`.
        guard: a lock, reentrant, that is held while a handler of either map runs, be it for a vCPU
            or for the debugger; none without it.

    Attributes:
        reset: as given, or `None`; keeps breakpoints.
        kill: what the debugger's `kill` calls, to be set before the target is served; with `None`,
            as at first, that detaches only.
        hold_interrupts_while_stepping: whether external interrupts and NMIs wait during a step of
            the debugger's; true at first.
        physical: whether the debugger's addresses are guest-physical; false at first.

    Raises:
        TargetError: no vCPU.
    """

    def __init__(
        self,
        vcpus: Sequence[DebuggableVcpu],
        *,
        ram: Iterable[tuple[int, Buffer]] = (),
        mmio: RegionMap | None = None,
        pio: RegionMap | None = None,
        reset: Callable[[], object] | None = None,
        guard: AbstractContextManager[object] | None = None,
    ) -> None:
        """Make a port of each map for each vCPU."""
        if not vcpus:
            raise TargetError("a target has at least one vCPU")
        super().__init__(vcpus, ram, (mmio, pio), range(len(vcpus)))
        memory = _nobody(MEMORY_BITS, "mmio") if mmio is None else mmio
        ports = _nobody(PORT_BITS, "pio") if pio is None else pio
        self._plain: list[tuple[AnyPort, AnyPort]] = [
            (memory.port(vcpu), ports.port(vcpu)) for vcpu in vcpus
        ]
        if guard is not None:
            self._memory.guard = guard
            self._plain = [
                (locked_port(guard, one), locked_port(guard, other)) for one, other in self._plain
            ]
        self._ways = list(self._plain)
        self._watching: list[object] = [()] * len(vcpus)
        self._soft = all(isinstance(vcpu, SoftVcpu) for vcpu in vcpus)
        self._owner_reset = reset
        self.reset: Callable[[], None] | None = None if reset is None else self._reset

    # -- for the owner ---------------------------------------------------------------------------

    def run(self, index: int = 0, budget: int = DEFAULT_BUDGET) -> Outcome:
        """Run a vCPU as `run_through` does, unless and until the debugger has it stop.

        Call it on the vCPU's own thread. After the debugger has stopped and resumed the vCPU it
        returns, as after a kick.

        Args:
            index: the vCPU's number.
            budget: instructions.

        Returns:
            What `run_through` of the vCPU returns, but for `DebugExit`.

        Raises:
            TargetError: there is no such vCPU.
            MachineError: another thread runs it.
            Exception: whatever `run_through` raises.
        """
        seat = self._control.seat(index)
        driver = seat.driver
        free = self._control.enter(driver)
        try:
            if free:
                outcome = self._go(index, budget)
                if self._control.left_freely(driver):
                    return outcome
                for_owner = self._sort(seat, outcome)
                if for_owner is not None:
                    return for_owner
            while self._control.await_orders(driver):
                for_owner = self._obey(seat, budget)
                if for_owner is not None:
                    return for_owner
            return self._held(seat)
        finally:
            self._control.leave(driver)

    def end_run(self, index: int = 0) -> None:
        """Have `run` of a vCPU return `BudgetSpent`, also while the debugger has it stopped.

        For any thread. `kick` of the vCPU itself does the same while the vCPU runs.
        """
        seat = self._control.seat(index)
        self._control.release(seat.driver)

    def _held(self, seat: Seat) -> Outcome:
        held = seat.driver.held
        if not held:
            return BudgetSpent(self._vcpus[seat.index].state.rip)
        outcome = held.pop(0)
        if isinstance(outcome, Raised):
            raise outcome.error
        found: Outcome = outcome
        return found

    # -- running ---------------------------------------------------------------------------------

    def _obey(self, seat: Seat, budget: int) -> Outcome | None:
        """Do what the order says; return what is for the owner."""
        self._breakpoints.apply(seat.index)
        if seat.order is ActionKind.STEP:
            self._tell(seat, self._step(seat, self.hold_interrupts_while_stepping))
            return None
        if self._is_to_step_over(seat):
            stop = self._step(seat, hold=True)
            if stop is None or stop.kind is not StopKind.STEP:
                self._tell(seat, stop)
                return None
            if seat.driver.kicked:  # by a kick that the step has taken, perhaps
                return None
        return self._sort(seat, self._go(seat.index, budget))

    def _go(self, index: int, budget: int) -> Outcome:
        mmio, pio = self._ports(index)
        outcome: Outcome = self._vcpus[index].run_through(mmio, pio, budget)
        return outcome

    def _tell(self, seat: Seat, stop: Any) -> None:
        if stop is not None:
            self._control.stopped(seat, stop, self._at(seat))

    def _sort(self, seat: Seat, outcome: Outcome) -> Outcome | None:
        """Find out whom an outcome concerns: the debugger, the owner now, or later."""
        message = self._io.take(seat.index)
        if message:
            self._tell(seat, self._io_stop(seat, message, outcome))
        elif isinstance(outcome, DebugExit):
            self._tell(seat, self._hit(seat, outcome))
        elif seat.group is not None and (stop := self._fatal(seat, outcome)) is not None:
            self._control.hold(seat.driver, outcome)
            self._tell(seat, stop)
        elif seat.order is None:
            self._control.hold(seat.driver, outcome)
        else:
            return outcome
        return None

    def _ports(self, vcpu: int) -> tuple[AnyPort, AnyPort]:
        """Return the ports of a vCPU, watched ones if the debugger wants to know of accesses."""
        ranges = self._io.ranges
        if self._watching[vcpu] is not ranges:
            self._watching[vcpu] = ranges
            mmio, pio = self._plain[vcpu]
            plain: Ways = mmio.read, mmio.write, pio.read, pio.write
            read, write, port_in, port_out = self._io.watched(vcpu, plain)
            self._ways[vcpu] = PlainPort(read, write), PlainPort(port_in, port_out)
        return self._ways[vcpu]

    def _execute_one(self, seat: Seat) -> Outcome | None:
        vcpu = self._vcpus[seat.index]
        if vcpu.state.halted or getattr(vcpu, "waits_for_sipi", False):
            return None
        mmio, pio = self._ports(seat.index)
        before = vcpu.state.retired
        for _ in range(TRIES):
            outcome: Outcome = vcpu.run_through(mmio, pio, 1)
            if not isinstance(outcome, BudgetSpent):
                return outcome
            if vcpu.state.retired != before or seat.driver.released:
                break
        return None

    def _can_step_here(self, actions: Mapping[int, Action]) -> bool:
        steps = all(action.kind is ActionKind.STEP for action in actions.values())
        return self._soft and steps

    def _kick(self, driver: Driver, /) -> None:
        self._vcpus[driver.seats[0].index].kick()

    def _end_at_next(self, vcpu: int) -> None:
        self._vcpus[vcpu].kick()

    def _reset(self) -> None:
        """As `Resetter.reset`."""
        assert self._owner_reset is not None
        self._owner_reset()
        self._after_reset()


def _nobody(bits: int, name: str) -> RegionMap:
    """Make an address map in which nobody answers."""
    space = RegionMap(address_bits=bits, name=name, straddle="split")
    space.add_fallback(0, 1 << bits, all_ones, name="nobody")
    return space
