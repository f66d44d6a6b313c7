# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Accesses of a guest that an address map does not take as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from vmmkit.errors import AccessAddressError, AccessSizeError
from vmmkit.insn import WORD, Cpu, ExitKind, Write

__all__ = ["WORD_BYTES", "enqueue", "past_the_ports"]

WORD_BYTES: Final = 8
"""Wider writes of a `Cpu` without `wide` are commands of ENQCMD and ENQCMDS."""
PORTS: Final = 1 << 16
ALL_ONES: Final = (1 << 64) - 1
ADDRESS: Final = WORD["exit_address"]
SIZE: Final = WORD["exit_size"]


def enqueue(cpu: Cpu, write: Callable[[int, int, int], object]) -> None:
    """Offer the command in flight to a port's `write`; a region that takes no 64 bytes refuses.

    So does what is no target of enqueue stores on a processor (SDM vol. 2A, ENQCMD).

    Raises:
        RegionError: any other of the port.
    """
    command = cpu.outcome(ExitKind.WRITE)
    assert isinstance(command, Write)
    try:
        write(*command)
    except AccessSizeError:
        cpu.refuse()


def past_the_ports(words: memoryview, error: AccessAddressError) -> int:
    """Answer an access that begins at the last ports and ends behind them: nobody is there.

    Raises:
        AccessAddressError: `error`, where it is about anything else.
    """
    if words[ADDRESS] + words[SIZE] <= PORTS:
        raise error
    return ALL_ONES
