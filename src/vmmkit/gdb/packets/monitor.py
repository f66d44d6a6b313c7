# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The packet by which a debugger's user talks to the stub (GDB manual, "General Query Packets")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from vmmkit.gdb import monitor
from vmmkit.gdb.codec import from_hex
from vmmkit.gdb.packets.table import Handler, PacketError, Reply
from vmmkit.gdb.spec import ErrorCode

if TYPE_CHECKING:
    from vmmkit.gdb.stub import Stub

__all__ = ["PACKETS"]

LONGEST: Final = 4096
"""Bytes of a command that somebody may have typed."""


def _command(stub: Stub, rest: bytes) -> Reply:
    """Execute a command; its text is shown by console output, which may be of any length."""
    if stub.run.any_running and not stub.run.non_stop:
        raise PacketError(ErrorCode.RUNNING, "the vCPUs run")
    if len(rest) > 2 * LONGEST:
        raise PacketError(ErrorCode.TOO_LARGE, f"a command has up to {LONGEST} bytes")
    try:
        line = from_hex(rest)
    except ValueError as error:
        raise PacketError(ErrorCode.MALFORMED, str(error)) from None
    stub.show_what_was_said()
    text = monitor.execute(stub, line.decode("utf-8", "replace"))
    stub.show_what_was_said()
    stub.show(text)
    return b"OK"


PACKETS: Final[Mapping[str, Handler]] = {"qRcmd": _command}
