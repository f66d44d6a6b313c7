# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A monitor for x86 guests, made of vmmkit's blocks: `python examples/monitor --help`."""

from __future__ import annotations

import sys
from argparse import Namespace
from contextlib import ExitStack
from time import monotonic

from board import Board
from console import Console
from debugger import Debugger
from image import load
from options import UsageError, parse
from power import CRASHED, HALTED, TIME_OVER, Power
from tracing import Trace

from devices import KINDS, Surroundings
from vmmkit.backends import MachineHalted, RunEnded, VcpuExit
from vmmkit.errors import VmmkitError

USAGE = 2


class Monitor:
    def __init__(self, options: Namespace, stack: ExitStack) -> None:
        self.options = options
        self.trace = Trace(options.trace)
        stack.callback(self.trace.write)
        self.board = Board(options, self.trace, stack)
        self.power = Power(self.board)
        self.console = Console(self.board, self.power)
        surroundings = Surroundings(self.console.transmit, stack)
        for kind, settings in options.device:
            self.board.attach(KINDS[kind].make(settings, surroundings))
        self.board.firmware()

    def show(self) -> None:
        """Write the maps that --map and --map-svg ask for."""
        board = self.board
        if self.options.map:
            print(board.host.tree(), board.mmio.tree(), board.pio.tree(), sep="\n")
        if self.options.map_svg:
            self.options.map_svg.write_text(board.mmio.to_svg())

    def run(self) -> int:
        """Run the guest to its end; return the exit status."""
        machine, power, limit = self.board.machine, self.power, self.options.seconds
        last = None if limit is None else monotonic() + limit
        while power.status is None:
            left = None if last is None else max(0.0, last - monotonic())
            outcome = machine.run(left, through_halt=self.console.open)
            if left == 0.0 or (last is not None and monotonic() >= last):
                power.end(TIME_OVER, f"{limit:g} seconds are over")
            match outcome:
                case RunEnded():
                    continue
                case MachineHalted():
                    power.end(HALTED, "the guest waits for nothing")
                case VcpuExit(vcpu, reason):
                    power.end(CRASHED, f"vCPU {vcpu}: {reason}")
        return power.status


def prepare(options: Namespace, stack: ExitStack) -> tuple[Monitor, Debugger]:
    """Make everything; what fails here is the user's to mend."""
    monitor = Monitor(options, stack)
    load(options, monitor.board)
    stack.enter_context(monitor.console)
    return monitor, Debugger(options, monitor.board.machine, monitor.power, stack)


def main() -> int:
    with ExitStack() as stack:
        try:
            options = parse()
            if options.map or options.map_svg:
                Monitor(options, stack).show()
                return 0
            monitor, debugger = prepare(options, stack)
        except (UsageError, VmmkitError, OSError) as error:
            print(f"monitor: {error}", file=sys.stderr)
            return USAGE
        status = monitor.run()
        debugger.tell(status)
    if monitor.power.reason:
        print(f"monitor: {monitor.power.reason}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
