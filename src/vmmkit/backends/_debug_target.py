# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What the targets of `vcpu_target` and `machine_target` have in common: stops and steps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any, Final, NamedTuple

from vmmkit.backends._debug_control import Seat
from vmmkit.backends._debug_registers import linear_pc
from vmmkit.backends._debug_view import DebugView
from vmmkit.gdb.spec import Signal
from vmmkit.gdb.target import (
    Action,
    ActionKind,
    Report,
    Stop,
    StopKind,
)
from vmmkit.insn import DebugExit, TripleFault, Unsupported

__all__ = ["AT_INSTRUCTIONS", "DebugTarget", "Raised", "holding"]

LAST_ADDRESS: Final = (1 << 64) - 1
AT_INSTRUCTIONS: Final = frozenset({StopKind.SOFTWARE, StopKind.HARDWARE})
STEP, CONTINUE = ActionKind.STEP, ActionKind.CONTINUE
# Outcomes after which a guest seldom goes on: the debugger sees them before the owner does.
FATAL: Final[Mapping[type, tuple[Signal, str]]] = {
    TripleFault: (Signal.SEGV, "triple fault"),
    Unsupported: (Signal.ILL, "an instruction that is not supported"),
}


class Raised(NamedTuple):
    """What a device raised while another thread than the owner's stepped; the owner's to see."""

    error: BaseException


class DebugTarget(DebugView):
    """A target whose vCPUs run in this process.

    Attributes:
        can_step: that it can.
    """

    can_step = True

    # -- what the two differ in ------------------------------------------------------------------

    @abstractmethod
    def _execute_one(self, seat: Seat) -> Any:
        """Execute one instruction; `None`, `DebugExit`, or what the owner is to be given."""

    @abstractmethod
    def _can_step_here(self, actions: Mapping[int, Action]) -> bool:
        """Whether the caller's thread may execute these, if nobody else runs the vCPUs."""

    # -- run control -----------------------------------------------------------------------------

    def stop(self, report: Report, /) -> None:
        """As `Target.stop`."""
        self._breakpoints.listen(True)
        self._control.stop(_Rearming(report, self), self._control.seats)

    def stop_vcpu(self, vcpu: int, report: Report, /) -> None:
        """As `PerVcpuControl.stop_vcpu`."""
        self._breakpoints.listen(True)
        self._control.stop(_Rearming(report, self), [self._control.seat(vcpu)])

    def resume(self, actions: Mapping[int, Action], report: Report | None, /) -> None:
        """As `Target.resume`; steps alone are made before this returns, where that can be."""
        self._memory.forget()
        if report is None:
            self._disarm()
            self._control.resume(actions, None)
            return
        self._forget_stale_stops()
        owed = _Rearming(report, self)
        if self._can_step_here(actions) and self._step_here(actions, owed):
            return
        self._control.resume(actions, owed)

    def _forget_stale_stops(self) -> None:
        """A stop that nobody was told is gone with its breakpoint."""
        for seat in self._control.seats:
            stop = seat.stop
            if stop is not None and stop.kind in AT_INSTRUCTIONS:
                at = linear_pc(self._vcpus[seat.index].state)
                if at != stop.address or not self._breakpoints.covers(seat.index, at):
                    seat.stop = None

    def _step_here(self, actions: Mapping[int, Action], report: Report) -> bool:
        """Make steps on the caller's thread, if the owners' are parked."""
        seats = [self._control.seat(index) for index in actions]
        seats.sort(key=lambda seat: actions[seat.index].kind is not STEP)
        if any(seat.stop is not None or seat.group is not None for seat in seats):
            return False
        with ExitStack() as stack:
            for driver in {id(seat.driver): seat.driver for seat in seats}.values():
                if not stack.enter_context(self._control.borrowing(driver)):
                    return False
            stops = self._round(seats, {seat.index: actions[seat.index].kind for seat in seats})
        self._memory.forget()
        if not stops:
            return False
        report(stops)
        return True

    def _round(self, seats: Iterable[Seat], kinds: Mapping[int, ActionKind]) -> list[Stop]:
        """Have each vCPU execute one instruction; return the stops that this gives."""
        stops = []
        for seat in seats:
            if kinds[seat.index] is STEP:
                stop = self._step(seat, self.hold_interrupts_while_stepping)
            else:
                stop = self._advance(seat)
            if stop is not None:
                seat.told_at = self._at(seat)
                stops.append(stop)
        return stops

    # -- one instruction -------------------------------------------------------------------------

    def _at(self, seat: Seat) -> int:
        return linear_pc(self._vcpus[seat.index].state)

    def _step(self, seat: Seat, hold: bool) -> Stop | None:
        """Execute one instruction whatever breakpoint is at it.

        Returns why the vCPU stops then, or `None` while its owner has to do something first.
        """
        vcpu = self._vcpus[seat.index]
        before = vcpu.state.retired
        lifted = self._breakpoints.to_be_lifted(seat.index)
        hit: Stop | None = None
        seat.hit = None
        try:
            alone = self._control.alone(seat) if lifted else nullcontext()
            over = self._breakpoints.stepping_over(seat.index, lifted)
            with alone, over, holding(vcpu, hold):
                found = self._execute_one(seat)
                if isinstance(found, DebugExit) and not found.cause:
                    vcpu.skip_breakpoint()  # the original byte is an INT3 itself
                    found = self._execute_one(seat)
                if isinstance(found, DebugExit):
                    hit = self._breakpoints.stop_for(seat.index, found)
        except Exception as error:  # noqa: BLE001 - a device's, for the owner
            return self._failed(seat, error)
        message = self._io.take(seat.index)
        if message:
            return self._io_stop(seat, message, found)
        if hit is not None:
            return hit
        if found is None or isinstance(found, DebugExit):
            return Stop(seat.index, StopKind.STEP)
        return self._owners(seat, found, done=vcpu.state.retired != before)

    def _failed(self, seat: Seat, error: Exception) -> Stop:
        """Keep what a device raised for the owner, and stop."""
        self._control.hold(seat.driver, Raised(error))
        return Stop(seat.index, StopKind.SIGNAL, signal=Signal.ABRT, message=str(error))

    def _owners(self, seat: Seat, found: Any, *, done: bool) -> Stop | None:
        """Keep an outcome for the owner, and tell whether the step is complete."""
        self._control.hold(seat.driver, found)
        fatal = self._fatal(seat, found)
        if fatal is not None:
            return fatal
        return Stop(seat.index, StopKind.STEP) if done else None

    def _io_stop(self, seat: Seat, message: str, found: Any) -> Stop:
        if found is not None and not isinstance(found, DebugExit):
            self._control.hold(seat.driver, found)
        return Stop(seat.index, StopKind.SIGNAL, signal=Signal.TRAP, message=message)

    def _fatal(self, seat: Seat, found: Any) -> Stop | None:
        outcome = getattr(found, "outcome", found)
        if type(outcome) not in FATAL:
            return None
        signal, text = FATAL[type(outcome)]
        message = f"vCPU {seat.index}: {text} at {self._at(seat):#x}"
        return Stop(seat.index, StopKind.SIGNAL, signal=signal, message=message)

    def _advance(self, seat: Seat) -> Stop | None:
        """Execute one instruction of a vCPU that is to run on; return a stop that it met."""
        if self._is_to_step_over(seat):
            stop = self._step(seat, hold=True)
            return None if stop is None or stop.kind is StopKind.STEP else stop
        try:
            found = self._execute_one(seat)
        except Exception as error:  # noqa: BLE001 - a device's, for the owner
            return self._failed(seat, error)
        message = self._io.take(seat.index)
        if message:
            return self._io_stop(seat, message, found)
        if isinstance(found, DebugExit):
            return self._hit(seat, found)
        if found is not None:
            self._owners(seat, found, done=True)
            return self._fatal(seat, found)
        return None

    def _is_to_step_over(self, seat: Seat) -> bool:
        """Whether the debugger knows already that a vCPU is at this breakpoint."""
        told, seat.told_at = seat.told_at, None
        return told is not None and bool(self._breakpoints) and told == self._at(seat)

    def _hit(self, seat: Seat, found: DebugExit) -> Stop | None:
        """Judge a hit; `None` says that the vCPU is to go on."""
        group, judged, seat.hit = seat.group, seat.hit, None
        if judged is not None and group is not None:
            return judged
        stop = self._breakpoints.stop_for(seat.index, found)
        if stop is None:
            if not found.cause:
                self._vcpus[seat.index].skip_breakpoint()  # the guest's own INT3
            return None
        if stop.kind in AT_INSTRUCTIONS and (group is None or not group.report.counts(stop)):
            seat.told_at = self._at(seat)
            return None
        return stop

    # -- debuggers -------------------------------------------------------------------------------

    def debugger_attached(self) -> None:
        """As `AttachListener.debugger_attached`."""
        self._attached = True

    def debugger_detached(self) -> None:
        """As `AttachListener.debugger_detached`; nothing of the debugger is left in the guest."""
        self._disarm()
        self._memory.physical, self._memory.devices = False, True
        self._attached = False
        with self._control.lock:
            for driver in self._control.drivers:
                self._control.nudge(driver)

    def _after_reset(self) -> None:
        for seat in self._control.seats:
            seat.stop = seat.hit = seat.told_at = None
        self._vcpus_have_stopped()

    def _vcpus_have_stopped(self) -> None:
        """Look at what the guest has done to breakpoints meanwhile."""
        self._memory.forget()
        if self._breakpoints:
            self._breakpoints.rearm()
            self._spread_breakpoints()


class _Rearming:
    """A report that looks after breakpoints before anybody hears of the stop."""

    __slots__ = ("_report", "_target")

    def __init__(self, report: Report, target: DebugTarget) -> None:
        self._report, self._target = report, target

    def __call__(self, stops: Iterable[Stop] = (), /) -> None:
        self._target._vcpus_have_stopped()  # noqa: SLF001 - one class in two
        self._report(stops)

    def counts(self, stop: Stop, /) -> bool:
        return self._report.counts(stop)


@contextmanager
def holding(vcpu: Any, hold: bool) -> Iterator[None]:
    """Hold interrupts for a while; never those that a halted vCPU waits for."""
    hold = hold and not vcpu.state.halted
    if hold:
        vcpu.hold_interrupts(True)
    try:
        yield
    finally:
        if hold:
            vcpu.hold_interrupts(False)
