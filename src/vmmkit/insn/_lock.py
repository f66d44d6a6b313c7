# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Locked instructions of the pure engine; `csrc/lock.c` does the same by compare-and-swap.

One lock serves every vCPU of the process (SDM vol. 3A, "Locked Atomic Operations"). A locked
instruction holds it from load to store, and every plain store takes it too: a spinlock is released
by one, which must not fall between the two halves of another vCPU's XCHG. What the native engine
does to the same RAM is not kept out. A locked instruction at a device is a read and a write, with
whatever other vCPUs do in between.
"""

from __future__ import annotations

from typing import Final

from vmmkit.insn._execute import Handler
from vmmkit.insn._memory import RAM_LOCK, Context
from vmmkit.insn._record import PREFIX_BITS
from vmmkit.insn.optable import OPS

__all__ = ["exclusive"]

LOCK: Final = PREFIX_BITS["LOCK"]
XCHG: Final = OPS.index("XCHG")


def exclusive(handler: Handler) -> Handler:
    """Make a handler run alone when the instruction is locked; XCHG with memory always is."""

    def execute(context: Context) -> int | None:
        implied = context.row.op == XCHG and context.modrm < 0xC0
        if not (implied or context.prefixes & LOCK):
            return handler(context)
        with RAM_LOCK:
            return handler(context)

    return execute
