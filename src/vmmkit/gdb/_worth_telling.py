# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Which of a target's stops the debugger is to hear of."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Final, TypeGuard

from vmmkit.errors import TargetError
from vmmkit.gdb.registers import linear_pc
from vmmkit.gdb.target import BreakpointKind, Stop, StopKind

if TYPE_CHECKING:
    from vmmkit.gdb.run_control import Run
    from vmmkit.gdb.stub import Stub

__all__ = ["checked", "program_counter", "sound", "still_holds", "worth_telling"]

LOG: Final = logging.getLogger("vmmkit.gdb")
WIDE: Final = 1 << 64

INSTRUCTIONS: Final = {
    StopKind.SOFTWARE: BreakpointKind.SOFTWARE,
    StopKind.HARDWARE: BreakpointKind.HARDWARE,
}
AT_BREAKPOINTS: Final = {*INSTRUCTIONS, StopKind.WRITE, StopKind.READ, StopKind.ACCESS}


def checked(stops: object) -> tuple[Stop, ...]:
    """Return what a target has reported, on its own thread: its mistakes are its own to see.

    Raises:
        TargetError: a report is something else than several `Stop`.
    """
    reported = tuple(stops) if isinstance(stops, Iterable) else (stops,)
    if isinstance(stops, Stop) or not all(isinstance(stop, Stop) for stop in reported):
        raise TargetError(f"a report takes a list of Stop, not {stops!r}")
    for stop in reported:
        if not isinstance(stop.kind, StopKind):
            raise TargetError(f"the kind of a stop is a StopKind, not {stop.kind!r}")
    return reported


def sound(stub: Stub, run: Run, stops: Iterable[object]) -> list[Stop]:
    """Return what can be told of a report: stops of vCPUs that there are, and the end.

    The rest is a target's mistake: it is logged, and the run is over without it.
    """
    found = []
    for stop in stops:
        if _is_stop(stop) and (
            stop.kind is StopKind.EXITED
            or stop.vcpu in run.actions
            or stop.vcpu in stub.attempt(stub.vcpus, list[int]())
        ):
            found.append(stop)
        else:
            LOG.warning("the target reports what is no stop of a vCPU: %.200r", stop)
    return found


def _is_stop(stop: object) -> TypeGuard[Stop]:
    return (
        isinstance(stop, Stop)
        and isinstance(stop.vcpu, int)
        and isinstance(stop.kind, StopKind)
        and isinstance(stop.signal, int)
        and isinstance(stop.message, str)
        and (stop.address is None or (isinstance(stop.address, int) and 0 <= stop.address < WIDE))
    )


def worth_telling(stub: Stub, run: Run, stop: Stop) -> Stop | None:
    """Return the stop that the debugger is to hear of, `None` if the vCPU is to go on."""
    if stop.kind in AT_BREAKPOINTS:
        return stop if stop in run.counted or stub.breakpoints.counts(stop) else None
    if stop.kind is StopKind.STEP and stop.vcpu in run.ranges:
        return _step_within(stub, stop, *run.ranges[stop.vcpu])
    return stop


def _step_within(stub: Stub, stop: Stop, first: int, beyond: int) -> Stop | None:
    """Look where a step through a range has led: beyond it, or to a breakpoint.

    The next step would begin on that, and pass it.
    """
    pc = stub.attempt(partial(program_counter, stub, stop.vcpu), beyond)
    if not first <= pc < beyond:
        return stop
    for kind, inserted in INSTRUCTIONS.items():
        here = Stop(stop.vcpu, kind, pc)
        if stub.breakpoints.at(inserted, pc) and stub.breakpoints.counts(here):
            return here
    return None


def program_counter(stub: Stub, vcpu: int) -> int:
    """Return the program counter as the debugger has it."""
    values, description = stub.registers(vcpu), stub.description
    numbers = (r.number for r in description.registers if r.source == "rip")
    value = description.integer(next(numbers), values)
    return values["rip"] if value is None else value


def still_holds(stub: Stub, stop: Stop) -> bool:
    """Tell whether a stop that waits is still worth telling.

    Its breakpoint may be gone, or the vCPU be elsewhere, or be no more. Where registers cannot be
    read it is told: it must not get lost.
    """
    if stop.kind is StopKind.EXITED:
        return True
    if stop.vcpu not in stub.attempt(stub.vcpus, [stop.vcpu]):
        return False
    if stop.kind in AT_BREAKPOINTS and not stub.breakpoints.holds(stop):
        return False
    if stop.address is None or stop.kind not in INSTRUCTIONS:
        return True
    values = stub.attempt(partial(stub.registers, stop.vcpu), None)
    if values is None:
        return True
    is_linear = "cs_base" in values and stop.address == linear_pc(values)
    return is_linear or stop.address == values.get("rip")
