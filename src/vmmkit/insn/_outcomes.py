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
    "Cpuid",
    "DebugExit",
    "Done",
    "Fault",
    "Halt",
    "Hypercall",
    "InterruptWindow",
    "Outcome",
    "PortBlockIn",
    "PortBlockOut",
    "PortIn",
    "PortOut",
    "Random",
    "Read",
    "ReadMsr",
    "ReadPmc",
    "Shape",
    "TprBelowThreshold",
    "TripleFault",
    "Unsupported",
    "UnsupportedReason",
    "Write",
    "WriteMsr",
]


class Read(NamedTuple):
    """The instruction needs `size` bytes from a device at `gpa`.

    1, 2, 4 or 8; with `Cpu(wide=True)` also 16, 32 or 64.
    """

    gpa: int
    size: int


class Write(NamedTuple):
    """The instruction writes the low `size` bytes of `value` to a device at `gpa`.

    Of 64 bytes it may be a command of ENQCMD: then the device may `refuse` it.
    """

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
    """For #PF (14) the linear address that goes to CR2, for #DB (1) the bits to set in DR6."""


class Halt(NamedTuple):
    """HLT executed; RIP is past it."""

    rip: int


class ReadMsr(NamedTuple):
    """RDMSR of an MSR that the engine does not hold.

    Answer with its 64-bit value, or `refuse` it: #GP(0).
    """

    index: int  # type: ignore[assignment]


class WriteMsr(NamedTuple):
    """WRMSR to an MSR that the engine does not hold: write it and go on, or `refuse` it: #GP(0)."""

    index: int  # type: ignore[assignment]
    value: int


class ReadPmc(NamedTuple):
    """RDPMC with `counter` in ECX. Answer with the counter's value, or `refuse` it: #GP(0)."""

    counter: int


class Cpuid(NamedTuple):
    """CPUID with `leaf` in EAX and `subleaf` in ECX.

    Answer with four 32-bit integers: EAX, EBX, ECX, EDX.
    """

    leaf: int
    subleaf: int


class Random(NamedTuple):
    """RDRAND or RDSEED of `size` bytes (2, 4 or 8).

    Answer with a random integer, or `refuse` it: the guest then finds CF clear and tries again.
    """

    size: int
    seed: int
    """1 for RDSEED, 0 for RDRAND."""


class Hypercall(NamedTuple):
    """VMCALL or VMMCALL executed, at any CPL; RIP is past it, and the registers are the owner's.

    Both are 3 bytes long without prefixes: an owner without hypercalls sets RIP back and injects
    #UD.
    """

    rip: int


class TripleFault(NamedTuple):
    """A fault while the guest's double fault was delivered: the processor shuts down.

    Only with delivery on. RIP is where the first fault was; running on comes here again until the
    state is reset.
    """

    rip: int


class InterruptWindow(NamedTuple):
    """What `Cpu.request_interrupt_window` asked for: an interrupt could be delivered now."""

    rip: int


class TprBelowThreshold(NamedTuple):
    """The guest lowered CR8 below `state.tpr_threshold`; the instruction is complete.

    SDM vol. 3C, "TPR Below Threshold": an interrupt that the task priority held back may come now.
    """

    rip: int


class UnsupportedReason(Enum):
    """Why an instruction could not be executed here."""

    OPCODE = 0  #: no instruction that the engines execute
    NO_CODE = 1  #: RIP leads to a physical address outside of RAM
    TOO_MANY_ACCESSES = 2  #: more device accesses in one instruction than the replay log holds
    TASK_SWITCH = 3  #: a task gate, a far transfer to a TSS, or IRET from a nested task


class Unsupported(NamedTuple):
    """This engine cannot execute what is at RIP; never a skip or a guess.

    Nothing of the instruction is visible, except the elements that a repeated string instruction
    had done before.
    """

    code: bytes
    """Up to 15 bytes from RIP; fewer, or none, where they could not be fetched."""
    reason: UnsupportedReason
    address: int
    """RIP for `OPCODE` and `TASK_SWITCH`; the gpa or port for `NO_CODE` and `TOO_MANY_ACCESSES`."""


class DebugExit(NamedTuple):
    """A breakpoint that `Cpu.set_breakpoints` has set; nothing is in flight.

    For `EXECUTE` and INT3 before the instruction, nothing of which is done: `skip_breakpoint` lets
    the next run go on. For the other kinds after the instruction, or after the element of a
    repeated one; the guest's own debug trap for it is still pending then.
    """

    rip: int
    cause: int
    """Which of the breakpoint's `BreakKind` flags were hit; 0 for INT3."""
    slot: int
    """Number of the breakpoint, the lowest of those hit; 0 for INT3."""
    address: int
    """The first linear address hit, or port; for INT3 that of the instruction."""


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
    | ReadMsr
    | WriteMsr
    | ReadPmc
    | Cpuid
    | Random
    | Hypercall
    | TripleFault
    | InterruptWindow
    | TprBelowThreshold
    | Unsupported
    | DebugExit
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
    "TRIPLE_FAULT": (TripleFault, ("rip",)),
    "INTERRUPT_WINDOW": (InterruptWindow, ("rip",)),
    "TPR_BELOW_THRESHOLD": (TprBelowThreshold, ("rip",)),
    "BLOCK_READ": (BlockRead, (*_ACCESS, "exit_value")),
    "PORT_BLOCK_IN": (PortBlockIn, (*_ACCESS, "exit_value")),
    "READ_MSR": (ReadMsr, ("exit_address",)),
    "READ_PMC": (ReadPmc, ("exit_address",)),
    "CPUID": (Cpuid, _ACCESS),
    "RANDOM": (Random, ("exit_size", "exit_value")),
    "WRITE_MSR": (WriteMsr, ("exit_address", "exit_value")),
    "HYPERCALL": (Hypercall, ("rip",)),
    "DEBUG": (DebugExit, ("rip", "exit_value", "exit_size", "exit_address")),
}


def _shape(kind: str) -> Shape | None:
    if kind not in _PLAIN:
        return None
    outcome, names = _PLAIN[kind]
    return outcome, tuple(WORD[name] for name in names)


SHAPES: Final = tuple(map(_shape, EXIT_KINDS))
