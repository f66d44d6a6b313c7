# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Which of a target's stops the debugger is to hear of."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from vmmkit.gdb.registers import linear_pc
from vmmkit.gdb.target import BreakpointKind, Stop, StopKind

if TYPE_CHECKING:
    from vmmkit.gdb.run_control import Run
    from vmmkit.gdb.stub import Stub

__all__ = ["program_counter", "still_holds", "worth_telling"]

INSTRUCTIONS: Final = {
    StopKind.SOFTWARE: BreakpointKind.SOFTWARE,
    StopKind.HARDWARE: BreakpointKind.HARDWARE,
}
AT_BREAKPOINTS: Final = {*INSTRUCTIONS, StopKind.WRITE, StopKind.READ, StopKind.ACCESS}


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

    Its breakpoint may be gone, or the vCPU be elsewhere.
    """
    if stop.kind in AT_BREAKPOINTS and not stub.breakpoints.holds(stop):
        return False
    if stop.address is None or stop.kind not in INSTRUCTIONS:
        return True
    values = stub.registers(stop.vcpu)
    is_linear = "cs_base" in values and stop.address == linear_pc(values)
    return is_linear or stop.address == values.get("rip")
