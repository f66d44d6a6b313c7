# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Locked instructions of the pure engine; `csrc/lock.c` does the same by compare-and-swap.

One lock serves every vCPU of the process: it keeps locked instructions of pure engines apart from
each other (SDM vol. 3A, "Locked Atomic Operations"). Plain stores of other vCPUs are not kept out,
and neither is anything the native engine does. A locked instruction at a device is a read and a
write, with whatever other vCPUs do in between.
"""

from __future__ import annotations

import threading
from typing import Final

from vmmkit.insn._execute import Handler
from vmmkit.insn._memory import Context
from vmmkit.insn._record import PREFIX_BITS
from vmmkit.insn.optable import OPS

__all__ = ["exclusive"]

LOCK: Final = PREFIX_BITS["LOCK"]
XCHG: Final = OPS.index("XCHG")

_bus: Final = threading.Lock()


def exclusive(handler: Handler) -> Handler:
    """Make a handler run alone when the instruction is locked; XCHG with memory always is."""

    def execute(context: Context) -> int | None:
        implied = context.row.op == XCHG and context.modrm < 0xC0
        if not (implied or context.prefixes & LOCK):
            return handler(context)
        with _bus:
            return handler(context)

    return execute
