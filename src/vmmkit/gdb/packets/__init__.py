# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The packets that the stub answers, by domain."""

from __future__ import annotations

from typing import Final

from vmmkit.gdb.packets import (
    breakpoints,
    lldb,
    memory,
    monitor,
    query,
    registers,
    run,
    threads,
    transfer,
)
from vmmkit.gdb.packets.table import PacketTable

__all__ = ["ALL_PACKETS"]

ALL_PACKETS: Final = PacketTable(
    (breakpoints, lldb, memory, monitor, query, registers, run, threads, transfer)
)
"""Every packet that has an answer other than the empty one."""
