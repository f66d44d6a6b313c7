# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""--gdb: the machine as a target, served to a debugger."""

from __future__ import annotations

import sys
from argparse import Namespace
from contextlib import ExitStack
from typing import Any

from vmmkit import gdb
from vmmkit.backends import MachineTarget, ThreadedMachine


class Debugger:
    """Runs the machine, with a debugger or without.

    Attributes:
        run: takes the place of the machine's `run`.
    """

    def __init__(self, options: Namespace, machine: Any, stack: ExitStack) -> None:
        self.run = machine.run
        self._server: gdb.Server | None = None
        if options.gdb is not None:
            software = isinstance(machine, ThreadedMachine)
            target: Any = MachineTarget(machine) if software else machine.debug_target()
            self.run = target.run
            self._server = stack.enter_context(gdb.serve(target, options.gdb, wait=options.wait))
            address = self._server.address.removeprefix("tcp:").removeprefix("unix:")
            print(f"monitor: gdb -ex 'target remote {address}'", file=sys.stderr, flush=True)

    def tell(self, status: int) -> None:
        """Say to a debugger that is connected how the guest ended."""
        if self._server is not None:
            self._server.close(exit_status=status)
