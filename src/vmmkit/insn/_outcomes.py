# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What `step` and `run` return: one small tuple per kind of outcome."""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

from vmmkit.insn._record import EXIT_KINDS, WORD

__all__ = [
    "SHAPES",
    "BlockRead",
    "BlockWrite",
    "BudgetSpent",
    "Done",
    "Fault",
    "Halt",
    "Outcome",
    "PortBlockIn",
    "PortBlockOut",
    "PortIn",
    "PortOut",
    "Read",
    "Shape",
    "Unsupported",
    "UnsupportedReason",
    "Write",
]


class Read(NamedTuple):
    """The instruction needs `size` bytes from a device at `gpa`.

    1, 2, 4 or 8; with `Cpu(wide=True)` also 16, 32 or 64.
    """

    gpa: int
    size: int


class Write(NamedTuple):
    """The instruction writes the low `size` bytes of `value` to a device at `gpa`."""

    gpa: int
    size: int
    value: int


class PortIn(NamedTuple):
    """The instruction reads `size` bytes (1, 2 or 4) from I/O port `port`."""

    port: int
    size: int


class PortOut(NamedTuple):
    """The instruction writes the low `size` bytes of `value` to I/O port `port`."""

    port: int
    size: int
    value: int


# "count" is the term for the elements of a string instruction; tuple.count is called by nobody.
class BlockRead(NamedTuple):
    """REP MOVS reads `count` elements of `size` bytes from a device, the first at `gpa`.

    Each element is at the next higher address. Answer with the bytes, `size * count` or fewer.
    """

    gpa: int
    size: int
    count: int  # type: ignore[assignment]


class BlockWrite(NamedTuple):
    """REP MOVS or STOS writes `count` elements of `size` bytes to a device, the first to `gpa`.

    Each element goes to the next higher address. Answer with nothing, or with how many the device
    has taken.
    """

    gpa: int
    size: int
    count: int  # type: ignore[assignment]
    data: bytes
    """All elements, lowest address first."""


class PortBlockIn(NamedTuple):
    """REP INS reads `count` elements of `size` bytes (1, 2 or 4), all from I/O port `port`.

    Answer with the bytes, `size * count` or fewer.
    """

    port: int
    size: int
    count: int  # type: ignore[assignment]


class PortBlockOut(NamedTuple):
    """REP OUTS writes `count` elements of `size` bytes (1, 2 or 4), all to I/O port `port`.

    Answer with nothing, or with how many the device has taken.
    """

    port: int
    size: int
    count: int  # type: ignore[assignment]
    data: bytes
    """All elements, the first one first."""


class Done(NamedTuple):
    """The instruction is complete; a repeated one may be at `rip` still, with rCX counted down."""

    rip: int
    interrupt_shadow: int
    """0; 1 after an STI that set IF; 2 after a load of SS: no interrupt before the next one."""


class Fault(NamedTuple):
    """An exception the monitor must inject.

    RIP is at the instruction and nothing of it is visible, except the elements that a repeated
    string instruction had done before. In real-address mode exceptions push no error code; `error`
    is 0 then.
    """

    vector: int
    error: int
    address: int
    """For #PF (14) the linear address that goes to CR2, else 0."""


class Halt(NamedTuple):
    """HLT executed; RIP is past it."""

    rip: int


class UnsupportedReason(Enum):
    """Why an instruction could not be executed here."""

    OPCODE = 0  #: no instruction that the engines execute
    NO_CODE = 1  #: RIP leads to a physical address outside of RAM
    TOO_MANY_ACCESSES = 2  #: more device accesses in one instruction than the replay log holds


class Unsupported(NamedTuple):
    """This engine cannot execute what is at RIP; never a skip or a guess.

    Nothing of the instruction is visible, except the elements that a repeated string instruction
    had done before.
    """

    code: bytes
    """Up to 15 bytes from RIP; fewer, or none, where they could not be fetched."""
    reason: UnsupportedReason
    address: int
    """RIP for `OPCODE`; the gpa or port for `NO_CODE` and `TOO_MANY_ACCESSES`."""


class BudgetSpent(NamedTuple):
    """`run` completed as many instructions as it was allowed."""

    rip: int


Outcome = (
    Read
    | Write
    | PortIn
    | PortOut
    | BlockRead
    | BlockWrite
    | PortBlockIn
    | PortBlockOut
    | Done
    | Fault
    | Halt
    | Unsupported
    | BudgetSpent
)

Shape = tuple[type[Outcome], tuple[int, ...]]

# The outcomes that are nothing but words of the record: type and word numbers by `EXIT_KINDS`. A
# step that used up its budget of one instruction is done.
_ACCESS: Final = ("exit_address", "exit_size")
_DONE: Final = (Done, ("rip", "interrupt_shadow"))
_PLAIN: Final = {
    "BUDGET": _DONE,
    "DONE": _DONE,
    "READ": (Read, _ACCESS),
    "WRITE": (Write, (*_ACCESS, "exit_value")),
    "PORT_IN": (PortIn, _ACCESS),
    "PORT_OUT": (PortOut, (*_ACCESS, "exit_value")),
    "FAULT": (Fault, (*_ACCESS, "exit_value")),
    "HALT": (Halt, ("rip",)),
    "BLOCK_READ": (BlockRead, (*_ACCESS, "exit_value")),
    "PORT_BLOCK_IN": (PortBlockIn, (*_ACCESS, "exit_value")),
}


def _shape(kind: str) -> Shape | None:
    if kind not in _PLAIN:
        return None
    outcome, names = _PLAIN[kind]
    return outcome, tuple(WORD[name] for name in names)


SHAPES: Final = tuple(map(_shape, EXIT_KINDS))
