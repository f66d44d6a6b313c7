# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Debugging a `SoftMachine` or a `ThreadedMachine`.

`machine.debug_target()` makes one that `machine.run` goes by way of. Of one that is made by hand
the owner calls `target.run()` where it would call `machine.run()`, with the same arguments:

>>> from vmmkit.backends import SoftMachine
>>> from vmmkit.backends.machine_target import MachineTarget
>>> ram = bytearray(4096)
>>> ram[:2] = bytes.fromhex("90 f4")  # nop; hlt
>>> machine = SoftMachine([(0, ram)])
>>> machine.vcpus[0].state.enter_real_mode(ip=0)
>>> MachineTarget(machine).run()
MachineHalted(time=20)

With a debugger (`vmmkit.gdb.serve`) the call lasts for as long as the machine is stopped, and for
as long as all vCPUs wait: `MachineHalted` is returned without a debugger only.

A step is one instruction of the vCPU that is stepped, and one of each vCPU that is to run
meanwhile, so that code which waits for another vCPU gets on; with a `SoftMachine` that is the same
each time. A vCPU in HLT is not stepped, but time goes on to the next timer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

from vmmkit.backends._debug_control import Driver, Seat
from vmmkit.backends._debug_io import Ways
from vmmkit.backends._debug_target import AT_INSTRUCTIONS, DebugTarget, Raised, holding
from vmmkit.backends._machine_outcomes import MachineHalted, MachineOutcome, RunEnded, VcpuExit
from vmmkit.backends._machine_vcpu import MachineVcpu
from vmmkit.backends.soft_machine import DEFAULT_INSTRUCTIONS, SoftMachine
from vmmkit.backends.soft_threads import ThreadedMachine
from vmmkit.errors import MachineError
from vmmkit.gdb.target import Action, ActionKind, Stop, StopKind
from vmmkit.insn import WORD, DebugExit, ExitKind

__all__ = ["MachineTarget"]

GIGAHERTZ: Final = 1_000_000_000
DEBUG: Final = int(ExitKind.DEBUG)
LIMIT, BATCH = WORD["limit"], WORD["batch"]
Machine = SoftMachine | ThreadedMachine


class Limits:
    """How far a run may go, whatever pieces the debugger cuts it into."""

    def __init__(
        self,
        machine: SoftMachine | ThreadedMachine,
        given: tuple[Any, ...],
        options: dict[str, Any],
    ) -> None:
        """Take the arguments of the machine's `run`."""
        self._machine = machine
        self._amount_name = "instructions" if isinstance(machine, SoftMachine) else "seconds"
        if len(given) > 1 or (given and self._amount_name in options):
            raise MachineError(f"run takes {self._amount_name} and names, not {given!r}")
        self._options = dict(options)
        self._amount = given[0] if given else self._options.pop(self._amount_name, None)
        if isinstance(machine, SoftMachine) and self._amount is None and not options.get("until"):
            self._amount = DEFAULT_INSTRUCTIONS
        self._start = self._now()

    def _now(self) -> float:
        machine = self._machine
        return machine.spent if isinstance(machine, SoftMachine) else machine.time / GIGAHERTZ

    def left(self) -> dict[str, Any]:
        """Return the arguments for what is left."""
        if self._amount is None:
            return self._options
        return {**self._options, self._amount_name: self._amount - (self._now() - self._start)}

    @property
    def reached(self) -> bool:
        """Whether nothing is left."""
        until = self._options.get("until")
        if until is not None and self._machine.time >= until:
            return True
        return self._amount is not None and self._now() - self._start >= self._amount > 0


class MachineTarget(DebugTarget):
    """A machine as a target.

    It has every optional Protocol of `vmmkit.gdb.target` but `Reverser`; `Killer` where `kill` is
    set.

    Args:
        machine: the machine; its owner calls `run` of the target instead of the machine's.

    Attributes:
        machine: as given.
        kill: what the debugger's `kill` calls, to be set before the target is served; with `None`,
            as at first, that detaches only.
        hold_interrupts_while_stepping: whether external interrupts and NMIs wait during a step of
            the debugger's, unless the vCPU is in HLT; true at first.
        physical: whether the debugger's addresses are guest-physical; false at first.
    """

    def __init__(self, machine: Machine) -> None:
        """Look at what the machine is made of."""
        self.machine = machine
        super().__init__(
            machine.vcpus, machine.ram, (machine.mmio, machine.pio), [0] * len(machine.vcpus)
        )
        if isinstance(machine, ThreadedMachine):
            self._memory.guard = machine.lock
        else:
            self._memory.shared = False
        self._plain: list[Ways] = [vcpu.ways for vcpu in machine.vcpus]
        self._driver = self._control.drivers[0]
        self._watching: object = ()
        self._stale = False  # whether a kick of ours may be waiting for the machine's next run
        self._asleep = False  # whether a round has found all in HLT

    # -- for the owner ---------------------------------------------------------------------------

    def run(self, *limits: Any, **options: Any) -> MachineOutcome:
        """Run the machine, unless and until the debugger has it stop.

        Args:
            limits: as `run` of the machine.
            options: as `run` of the machine.

        Returns:
            What `run` of the machine returns, but for the `DebugExit` of a vCPU, and with a
            debugger no `MachineHalted`. What a vCPU needed while it was to stop, or was stepped,
            is returned when a vCPU goes on.

        Raises:
            MachineError: it runs already.
            Exception: whatever `run` of the machine raises.
        """
        left, driver = Limits(self.machine, limits, options), self._driver
        free = self._control.enter(driver)
        try:
            if free and not self._stale:
                found = self._run_machine(*limits, **options)
                if self._control.left_freely(driver):
                    return found
                outcome = self._conclude(left, found)
                if outcome is not None:
                    return outcome
            while self._control.await_orders(driver):
                outcome = self._obey(left)
                if outcome is not None:
                    return outcome
            return self._held()
        finally:
            self._control.leave(driver)

    def end_run(self) -> None:
        """Have `run` return `RunEnded`, also while the debugger has the machine stopped.

        For any thread. `kick` and `stop` of the machine do so while it runs, but may go unnoticed
        when the debugger stops it at the same time.
        """
        self._control.release(self._driver)

    def forget_end_run(self) -> None:
        """Have an `end_run` that no run has noticed end none."""
        with self._control.lock:
            self._driver.released = False

    def _held(self) -> MachineOutcome:
        held = self._driver.held
        if not held:
            return RunEnded(self.machine.time)
        outcome = held.pop(0)
        if isinstance(outcome, Raised):
            raise outcome.error
        found: MachineOutcome = outcome
        return found

    # -- running ---------------------------------------------------------------------------------

    def _obey(self, limits: Limits) -> MachineOutcome | None:
        """Do what the orders say; return what is for the owner."""
        going = [seat for seat in self._control.seats if seat.order is not None]
        self._prepare()
        kinds = {seat.index: seat.order or ActionKind.CONTINUE for seat in going}
        if ActionKind.STEP in kinds.values():
            going.sort(key=lambda seat: kinds[seat.index] is not ActionKind.STEP)
            for stop in self._round(going, kinds):
                self._tell(self._control.seats[stop.vcpu], stop)
            return None
        if self._attached and not self._step_over(going):
            return None
        if limits.reached:
            return RunEnded(self.machine.time)
        if self._stale:
            self._stale = False
            self.machine._forget_stop_directly()  # noqa: SLF001 - the owner's stop stays
        if self._driver.kicked:  # looked at after that, so that no kick is forgotten unseen
            return None
        return self._run(limits)

    def _prepare(self) -> None:
        """Tell the vCPUs who is left out, and of breakpoints."""
        for seat, vcpu in zip(self._control.seats, self.machine.vcpus, strict=True):
            vcpu.paused = seat.order is None
            vcpu.on_break = partial(self._at_breakpoint, seat, vcpu)
            self._breakpoints.apply(seat.index)
        self._watch_accesses()

    def _at_breakpoint(self, seat: Seat, vcpu: MachineVcpu) -> int:
        """Judge a hit on the thread that runs the vCPU, and pass it by if it does not count.

        The machine runs on then. What counts, and all that is rare, ends the run as any exit does.
        """
        group = seat.group
        stop = None if group is None else self._breakpoints.stop_for(seat.index, _hit_of(vcpu))
        if group is None or stop is None or stop.kind not in AT_INSTRUCTIONS:
            return DEBUG
        if group.report.counts(stop):
            seat.hit = stop
            return DEBUG
        return self._pass_by(seat, vcpu)

    def _pass_by(self, seat: Seat, vcpu: MachineVcpu) -> int:
        """Execute the instruction at a breakpoint within a turn; return the exit's kind."""
        words, breakpoints = vcpu.state.words, self._breakpoints
        limit = words[LIMIT]
        with breakpoints.stepping_over(seat.index), holding(vcpu, True):
            kind = vcpu.turn(1, by_element=True)
            if kind == DEBUG and not _hit_of(vcpu).cause:
                vcpu.skip_breakpoint()  # the original byte is an INT3 itself
                kind = vcpu.turn(1, by_element=True)
            if kind == DEBUG:
                seat.hit = breakpoints.stop_for(seat.index, _hit_of(vcpu))
        words[LIMIT], words[BATCH] = limit, 0
        if isinstance(self.machine, ThreadedMachine):
            with self.machine.lock:
                vcpu.set_time(vcpu.lapic.tsc, forwards=True)
        return kind

    def _watch_accesses(self) -> None:
        if self._watching is not self._io.ranges:
            self._watching = self._io.ranges
            for vcpu, plain in zip(self.machine.vcpus, self._plain, strict=True):
                vcpu.ways = self._io.watched(vcpu.index, plain)

    def _step_over(self, seats: list[Seat]) -> bool:
        """Let vCPUs leave the breakpoints that the debugger has seen; false if one stops again."""
        goes_on = True
        for seat in seats:
            if self._is_to_step_over(seat):
                stop = self._step(seat, hold=True)
                if stop is None or stop.kind is not StopKind.STEP:
                    goes_on = False
                    self._tell(seat, stop)
        return goes_on

    def _tell(self, seat: Seat, stop: Any) -> None:
        if stop is not None:
            self._control.stopped(seat, stop, self._at(seat))

    def _run(self, limits: Limits) -> MachineOutcome | None:
        arguments = limits.left()
        if self._attached and isinstance(self.machine, ThreadedMachine):
            arguments["through_halt"] = True
        return self._conclude(limits, self._run_machine(**arguments))

    def _conclude(self, limits: Limits, outcome: MachineOutcome) -> MachineOutcome | None:
        """Look at how a run of the machine ended; return what is for the owner."""
        machine = self.machine
        for_owner = self._sort(outcome)
        if isinstance(machine, ThreadedMachine):
            for found in machine.take_exits():
                more = self._sort(found)
                if more is not None:
                    self._control.hold(self._driver, more)
        self._stale = self._stale or self._driver.kicked
        if isinstance(outcome, RunEnded) and self._stale and not limits.reached:
            for_owner = None
        if for_owner is not None and not self._driver.has_orders:
            self._control.hold(self._driver, for_owner)
            for_owner = None
        return for_owner

    def _run_machine(self, *limits: Any, **options: Any) -> MachineOutcome:
        return self.machine._run_directly(*limits, **options)  # noqa: SLF001 - `run` comes here

    def _step_machine(self, index: int) -> MachineOutcome:
        return self.machine.step(index)

    def _sort(self, outcome: MachineOutcome) -> MachineOutcome | None:
        """Find out whom an outcome concerns; return what is the owner's."""
        self._tell_of_accesses()
        if isinstance(outcome, MachineHalted) and self._attached:
            self._control.await_change(self._driver, lambda: self._attached)
            return None
        if not isinstance(outcome, VcpuExit):
            return outcome
        seat = self._control.seats[outcome.vcpu]
        if isinstance(outcome.outcome, DebugExit):
            self._tell(seat, self._hit(seat, outcome.outcome))
            return None
        stop = self._fatal(seat, outcome) if seat.group is not None else None
        if stop is None:
            return outcome
        self._control.hold(self._driver, outcome)
        self._tell(seat, stop)
        return None

    def _tell_of_accesses(self) -> None:
        for seat in self._control.seats:
            message = self._io.take(seat.index)
            if message:
                self._tell(seat, self._io_stop(seat, message, None))

    def _execute_one(self, seat: Seat) -> Any:
        self._watch_accesses()
        outcome = self._step_machine(seat.index)
        self._asleep = self._asleep and isinstance(outcome, MachineHalted)
        if isinstance(outcome, VcpuExit):
            found = outcome.outcome
            return found if isinstance(found, DebugExit) else outcome
        return None

    def _round(self, seats: Iterable[Seat], kinds: Mapping[int, ActionKind]) -> list[Stop]:
        self._asleep = True
        stops = super()._round(seats, kinds)
        if self._asleep:
            self._let_time_pass()
        return stops

    def _let_time_pass(self) -> None:
        """Go to the next timer; without this nothing would ever wake a vCPU that is stepped."""
        if isinstance(self.machine, SoftMachine):
            paused = [vcpu.paused for vcpu in self.machine.vcpus]
            for vcpu in self.machine.vcpus:
                vcpu.paused = True
            self._run_machine(instructions=1)
            for vcpu, before in zip(self.machine.vcpus, paused, strict=True):
                vcpu.paused = before

    def _can_step_here(self, actions: Mapping[int, Action]) -> bool:
        return any(action.kind is ActionKind.STEP for action in actions.values())

    def _kick(self, _driver: Driver, /) -> None:
        self._stale = True
        self.machine._stop_directly()  # noqa: SLF001 - `stop` comes here

    def _end_at_next(self, vcpu: int) -> None:
        self._stale = True
        chosen = self.machine.vcpus[vcpu]
        chosen.paused = True
        chosen.kick()
        self._kick(self._driver)

    def reset(self) -> None:
        """As `Resetter.reset`; breakpoints stay."""
        self.machine.reset()
        self._after_reset()


def _hit_of(vcpu: MachineVcpu) -> DebugExit:
    """Build the outcome of a turn that has ended with `DEBUG`."""
    outcome = vcpu.outcome(DEBUG)
    assert isinstance(outcome, DebugExit)
    return outcome
