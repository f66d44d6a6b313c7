# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A machine that has its target with it, so that its owner runs it by `run` as ever.

Without a target `run`, `stop` and `forget_kick` are the machine's own ways, `_run_directly` and its
like; with one they go by way of the target, which uses those.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vmmkit import backends  # whose part that imports machines is loaded when asked for
from vmmkit.backends._machine_outcomes import MachineOutcome
from vmmkit.backends._machine_run import OneRun

if TYPE_CHECKING:
    from vmmkit.backends.machine_target import MachineTarget

__all__ = ["DebuggedMachine"]


class DebuggedMachine(OneRun):
    """What `SoftMachine` and `ThreadedMachine` have in common with a debugger."""

    _target: MachineTarget | None = None

    @abstractmethod
    def _run_directly(self, *limits: Any, **options: Any) -> MachineOutcome:
        """Run without asking a debugger."""

    @abstractmethod
    def _stop_directly(self) -> None:
        """End that, or else the next."""

    @abstractmethod
    def _forget_stop_directly(self) -> None:
        """Have a `_stop_directly` that nobody has noticed end nothing."""

    def debug_target(self, *, kill: Callable[[], object] | None = None) -> MachineTarget:
        """Return the machine as a target, for `vmmkit.gdb.serve`; always the same.

        The owner goes on calling `run` and `stop` of the machine. From the first call of this on
        they work as `MachineTarget.run` and `end_run` do: a debugger may come and go between runs
        and while one lasts, and has the machine stand without ending the run. Time stands
        meanwhile. `step` does not ask the debugger.

        Args:
            kill: what the debugger's `kill` calls; `None` leaves that as it is.

        Raises:
            MachineError: the machine runs, and this is the first call.
        """
        if self._target is None:
            with self._one_run():
                self._target = backends.MachineTarget(self)  # type: ignore[arg-type]  # it is one
        if kill is not None:
            self._target.kill = kill
        return self._target

    def stop(self) -> None:
        """End the run in progress, or else the next one; for any thread.

        Whoever calls it may hold the machine's lock. Without a target it takes no lock at all, so
        it may be called in a signal handler then.

        A run that ends by itself just before leaves the call to the next run, which ends at once.
        An owner whose loop asks for something else than the outcome, as for a flag that was set
        before `stop`, loses nothing by that; another calls `forget_kick` before it runs again.
        """
        if self._target is None:
            self._stop_directly()
        else:
            self._target.end_run()

    def forget_kick(self) -> None:
        """Have a `stop` that no run has noticed end none."""
        self._forget_stop_directly()
        if self._target is not None:
            self._target.forget_end_run()

    def _run_by_target(self, *limits: Any, **options: Any) -> MachineOutcome:
        run = self._run_directly if self._target is None else self._target.run
        return run(*limits, **options)
