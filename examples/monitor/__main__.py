# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A monitor for x86 guests, made of vmmkit's blocks: `python examples/monitor --help`."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import TIMEOUT_MAX, Timer

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
            self.board.host.bus.attach(KINDS[kind].make(settings, surroundings))
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
        power = self.power
        while power.status is None:
            match self.board.machine.run(through_halt=self.console.open):
                case RunEnded():
                    continue  # somebody has called `stop`
                case MachineHalted():
                    power.end(HALTED, "the guest waits for nothing")
                case VcpuExit(vcpu, reason):
                    power.end(CRASHED, f"vCPU {vcpu}: {reason}")
        return power.status


@contextmanager
def time_limit(power: Power, seconds: float | None) -> Iterator[None]:
    """End the machine after so many seconds, also while a debugger has it stopped."""
    if seconds is None:
        yield
        return
    over = (TIME_OVER, f"{seconds:g} seconds are over")
    timer = Timer(min(seconds, TIMEOUT_MAX), power.end, over)
    if seconds:
        timer.start()
    else:
        power.end(*over)
    try:
        yield
    finally:
        timer.cancel()


def keep_standard_files() -> None:
    """Take the places of standard files that are closed, which a disk would get otherwise."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY)  # becomes the lowest that is free
    if sys.stderr is None:  # `print` would take standard output instead
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - for as long as the process


def prepare(options: Namespace, stack: ExitStack) -> tuple[Monitor, Debugger]:
    """Make everything; what fails here is the user's to mend."""
    monitor = Monitor(options, stack)
    load(options, monitor.board)
    stack.enter_context(monitor.console)
    return monitor, Debugger(options, monitor.board.machine, monitor.power, stack)


def main() -> int:
    keep_standard_files()
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
        with time_limit(monitor.power, options.seconds):
            status = monitor.run()
        debugger.tell(status)
    if monitor.power.reason:
        print(f"monitor: {monitor.power.reason}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
