# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""--gdb: the machine as a target, served to a debugger."""

from __future__ import annotations

import sys
from argparse import Namespace
from contextlib import ExitStack
from typing import Any

from power import KILLED, Power

from vmmkit import gdb
from vmmkit.backends import MachineTarget, ThreadedMachine


class Debugger:
    """Runs the machine, with a debugger or without.

    Attributes:
        run: takes the place of the machine's `run`.
    """

    def __init__(self, options: Namespace, machine: Any, power: Power, stack: ExitStack) -> None:
        self.run = machine.run
        self._server: gdb.Server | None = None
        if options.gdb is not None:
            target: Any
            if isinstance(machine, ThreadedMachine):
                target = MachineTarget(machine)
                self.run, power.stop = target.run, target.end_run
            else:
                target = machine.debug_target()  # its machine always runs by way of it
            target.kill = lambda: power.end(KILLED, "killed by the debugger")
            self._server = stack.enter_context(gdb.serve(target, options.gdb, wait=options.wait))
            address = self._server.address.removeprefix("tcp:").removeprefix("unix:")
            print(f"monitor: gdb -ex 'target remote {address}'", file=sys.stderr, flush=True)

    def tell(self, status: int) -> None:
        """Say to a debugger that is connected how the guest ended."""
        if self._server is not None:
            self._server.close(exit_status=status)
