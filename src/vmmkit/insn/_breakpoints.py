# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Breakpoints in the debug registers; `csrc/breakpoints.c` is the same.

SDM vol. 3B, "Debug Registers". Data and I/O breakpoints are traps: what an instruction touches is
noted while it runs and counts once it has completed. Code breakpoints are faults before it begins.
"""

from __future__ import annotations

from typing import Final

from vmmkit.insn._memory import Context
from vmmkit.insn._record import WORD

__all__ = ["DR", "code_breakpoints", "watch", "watch_port"]

DR: Final = WORD["dr"]
CR4: Final = WORD["cr4"]
CR4_DE: Final = 1 << 3
EXECUTE, WRITE, PORT, ACCESS = range(4)  # R/W fields of DR7
LENGTHS: Final = (1, 2, 8, 4)  # by the LEN fields of DR7


def _matches(context: Context, kinds: tuple[int, ...], address: int, size: int) -> int:
    """Bits of DR6 of the enabled breakpoints of `kinds` that an access touches."""
    words, bits = context.words, 0
    control = words[DR + 7]
    for number in range(4):
        if not control >> 2 * number & 3 or control >> 16 + 4 * number & 3 not in kinds:
            continue
        length = LENGTHS[control >> 18 + 4 * number & 3]
        first = words[DR + number] & ~(length - 1)
        if first < address + size and address < first + length:
            bits |= 1 << number
    return bits


def watch(context: Context, linear: int, size: int, *, write: bool) -> None:
    """Note a data access."""
    kinds = (WRITE, ACCESS) if write else (ACCESS,)
    context.debug |= _matches(context, kinds, linear, size)


def watch_port(context: Context, port: int, size: int) -> None:
    """Note a port access; CR4.DE makes breakpoints of them."""
    if context.words[CR4] & CR4_DE:
        context.debug |= _matches(context, (PORT,), port, size)


def code_breakpoints(context: Context, linear: int) -> int:
    """Bits of DR6 of the breakpoints at the first byte of an instruction."""
    return _matches(context, (EXECUTE,), linear, 1)
