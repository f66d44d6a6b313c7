# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""--gdb: the machine as a target, served to a debugger."""

from __future__ import annotations

import sys
from argparse import Namespace
from contextlib import ExitStack
from functools import partial
from typing import Any

from power import KILLED, Power

from vmmkit import gdb


class Debugger:
    def __init__(self, options: Namespace, machine: Any, power: Power, stack: ExitStack) -> None:
        self._server: gdb.Server | None = None
        if options.gdb is not None:
            kill = partial(power.end, KILLED, "killed by the debugger")
            target = machine.debug_target(kill=kill)  # `machine.run` goes by way of it
            self._server = stack.enter_context(gdb.serve(target, options.gdb, wait=options.wait))
            address = self._server.address.removeprefix("tcp:").removeprefix("unix:")
            print(f"monitor: gdb -ex 'target remote {address}'", file=sys.stderr, flush=True)

    def tell(self, status: int) -> None:
        """Say to a debugger that is connected how the guest ended."""
        if self._server is not None:
            self._server.close(exit_status=status)
