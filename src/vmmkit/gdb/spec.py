# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Numbers of the remote protocol, and of this stub's own.

Sources: the GDB manual ("Debugging with GDB"), appendix "GDB Remote Serial Protocol", and for
signals GDB's list of them, which is the same for every host ("Stop Reply Packets").
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

__all__ = ["DEFAULT_PACKET_SIZE", "INTERRUPT", "PROCESS", "ErrorCode", "Signal"]

DEFAULT_PACKET_SIZE: Final = 0x20000
"""Bytes of a packet's payload; what GDB can make use of, larger ones are no faster."""

INTERRUPT: Final = 0x03
"""The byte by which a debugger interrupts a running target (manual, "Interrupts")."""

PROCESS: Final = 1
"""The one process: the machine. A small number, so that no debugger takes it for a host's."""


class Signal(IntEnum):
    """GDB's signal numbers, which are not the host's."""

    NONE = 0
    HUP = 1
    INT = 2
    QUIT = 3
    ILL = 4
    TRAP = 5
    ABRT = 6
    EMT = 7
    FPE = 8
    KILL = 9
    BUS = 10
    SEGV = 11
    SYS = 12
    PIPE = 13
    ALRM = 14
    TERM = 15
    STOP = 17


class ErrorCode(IntEnum):
    """What stands in an `E` reply: the stub's own numbers, on every host the same.

    The protocol gives error numbers no meaning (manual, "Standard Replies").
    """

    MALFORMED = 1  #: the packet's arguments are not what they should be
    NO_THREAD = 2  #: no such vCPU
    NO_REGISTER = 3  #: no such register
    NO_MEMORY = 4  #: nothing can be read or written at the address
    BAD_VALUE = 5  #: a value that does not fit, or data of another length than announced
    BREAKPOINT = 6  #: a breakpoint cannot be inserted or removed
    READ_ONLY = 7  #: the server was started read-only
    RUNNING = 8  #: possible only while the vCPU stands
    TARGET = 9  #: the target refused or failed
    UNSUPPORTED = 10  #: the packet is known, but not in this form
    EXPRESSION = 11  #: an agent expression that cannot be used
    TOO_LARGE = 12  #: a packet beyond the size announced
    ABORTED = 13  #: given up because the debugger interrupted
