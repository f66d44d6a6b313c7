# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Hints, fences, cache line operations and undefined opcodes; `csrc/hints.c` is the same.

There is no cache here and, without CET, no shadow stack: ENDBR32, ENDBR64 and RDSSP do nothing
(SDM vol. 1, "Control-Flow Enforcement Technology (CET)").
"""

from __future__ import annotations

from typing import Final

from vmmkit.insn._execute import Handler, effective_address
from vmmkit.insn._memory import Context
from vmmkit.insn._paging import locate_linear
from vmmkit.insn._segments import UD, flushed_address

__all__ = ["HINTS"]

IGNORED: Final = (
    *("PREFETCH", "PREFETCHW", "PREFETCHNTA", "PREFETCHT0", "PREFETCHT1", "PREFETCHT2"),
    *("PREFETCHWT1", "PREFETCHIT0", "PREFETCHIT1", "CLDEMOTE"),
    *("LFENCE", "MFENCE", "SFENCE"),
    *("ENDBR32", "ENDBR64", "RDSSP"),
)


def _ignore(_context: Context) -> None:
    """A prefetch of an address that cannot be read is dropped, so none is looked at.

    Fences: the interpreter's own lock orders what threads of this engine do.
    """


def _flush_line(context: Context) -> None:
    """Checks like a load of a byte; no device has a line to write back."""
    linear = flushed_address(context, context.segment, effective_address(context))
    locate_linear(context, linear, 1, 0)


def _undefined(context: Context) -> None:
    raise context.fault(UD)


HINTS: Final[dict[str, Handler]] = {
    **dict.fromkeys(IGNORED, _ignore),
    **dict.fromkeys(("CLFLUSH", "CLFLUSHOPT", "CLWB"), _flush_line),
    **dict.fromkeys(("UD0", "UD1", "UD2"), _undefined),
}
