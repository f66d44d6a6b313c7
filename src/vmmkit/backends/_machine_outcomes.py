# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What `run` of a machine returns."""

from __future__ import annotations

from typing import NamedTuple

from vmmkit.insn import Outcome

__all__ = ["MachineHalted", "MachineOutcome", "RunEnded", "VcpuExit"]


class RunEnded(NamedTuple):
    """The instructions or the time asked for are over, or somebody ended the run."""

    time: int
    """Virtual time in ns."""


class MachineHalted(NamedTuple):
    """Every vCPU waits, and no timer of the machine will ever end that."""

    time: int
    """Virtual time in ns."""


class VcpuExit(NamedTuple):
    """A vCPU needs the owner."""

    vcpu: int
    """Its number."""
    outcome: Outcome
    """`Hypercall`, `Unsupported`, `TripleFault`, `Random`, `ReadPmc`, `ReadMsr` or `WriteMsr`.

    With breakpoints `DebugExit`.
    """


MachineOutcome = RunEnded | MachineHalted | VcpuExit
"""What `run` and `step` of `SoftMachine` and `ThreadedMachine` return."""
