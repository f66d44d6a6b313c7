# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Thread ids: vCPU n is thread n + 1 of process 1 (GDB manual, "Packets", "thread-id syntax")."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from vmmkit.gdb.packets.table import PacketError
from vmmkit.gdb.spec import PROCESS, ErrorCode

__all__ = ["ALL", "ANY", "ThreadIds"]

ALL: Final = -1
"""What `-1` names: all threads."""
ANY: Final = -2
"""What `0` names: any thread."""

SYNTAX: Final = re.compile(
    rb"(?:p(-1|[0-9a-fA-F]{1,16})(?:\.(?=.)|$))?(-1|[0-9a-fA-F]{1,16})?", re.ASCII
)
SPECIAL: Final = {b"-1": ALL, b"0": ANY, None: ALL}


class ThreadIds:
    """The way a debugger names vCPUs.

    Attributes:
        multiprocess: whether ids go with the number of the process, as the debugger has asked.
    """

    __slots__ = ("multiprocess",)

    def __init__(self) -> None:
        """Begin without process numbers."""
        self.multiprocess = False

    def format(self, vcpu: int) -> bytes:
        """Return the id of a vCPU."""
        return b"p%x.%x" % (PROCESS, vcpu + 1) if self.multiprocess else b"%x" % (vcpu + 1)

    def parse(self, text: bytes) -> int:
        """Return the vCPU that an id names, `ALL` or `ANY`.

        Raises:
            PacketError: no id, or that of a process that does not exist.
        """
        found = SYNTAX.fullmatch(text)
        if found is None or not text:
            raise PacketError(ErrorCode.MALFORMED, f"{text!r:.40} is no thread id")
        process, thread = found[1], found[2]
        if process is not None and process not in SPECIAL and int(process, 16) != PROCESS:
            raise PacketError(ErrorCode.NO_THREAD, f"there is no process {process!r:.20}")
        if thread in SPECIAL:
            return SPECIAL[thread]
        number = int(thread, 16)
        if process == b"-1" and number:
            raise PacketError(ErrorCode.MALFORMED, "one thread is not of all processes")
        return number - 1 if number else ANY

    def one_of(self, text: bytes, vcpus: Collection[int]) -> int:
        """Return the vCPU that an id names; it must exist.

        Raises:
            PacketError: it does not, or the id names several.
        """
        vcpu = self.parse(text)
        if vcpu not in vcpus:
            raise PacketError(ErrorCode.NO_THREAD, f"there is no thread {text!r:.40}")
        return vcpu
