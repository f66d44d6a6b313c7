# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The re-entrant processor: state, RAM and the instruction in flight."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from vmmkit.errors import GuestMemoryError, StepError
from vmmkit.insn._engine import engine_named
from vmmkit.insn._memory import PAGE, PORT_IN, READ, RamPiece
from vmmkit.insn._outcomes import (
    BudgetSpent,
    Done,
    Fault,
    Halt,
    Outcome,
    PortIn,
    PortOut,
    Read,
    Unsupported,
    UnsupportedReason,
    Write,
)
from vmmkit.insn._record import EXIT_KINDS, WORD
from vmmkit.insn._state import CpuState

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["STEP_BATCH", "Cpu"]

STEP_BATCH: Final = 1024
"""Elements of a repeated string instruction that one `step` completes at most."""

ADDRESS_SPACE: Final = 1 << 52  # SDM vol. 3A: physical addresses have at most 52 bits

RIP: Final = WORD["rip"]
SHADOW: Final = WORD["interrupt_shadow"]
ADDRESS: Final = WORD["exit_address"]
SIZE: Final = WORD["exit_size"]
VALUE: Final = WORD["exit_value"]
PENDING: Final = WORD["log_pending"]
CODE: Final = WORD["code"]


def _unsupported(words: memoryview) -> Unsupported:
    code = words[CODE : CODE + 2].tobytes()[: words[SIZE]]
    return Unsupported(code, UnsupportedReason(words[VALUE]), words[ADDRESS])


_OUTCOMES: Final = {
    "BUDGET": lambda words: Done(words[RIP], words[SHADOW]),
    "READ": lambda words: Read(words[ADDRESS], words[SIZE]),
    "WRITE": lambda words: Write(words[ADDRESS], words[SIZE], words[VALUE]),
    "PORT_IN": lambda words: PortIn(words[ADDRESS], words[SIZE]),
    "PORT_OUT": lambda words: PortOut(words[ADDRESS], words[SIZE], words[VALUE]),
    "FAULT": lambda words: Fault(words[ADDRESS], words[SIZE], words[VALUE]),
    "HALT": lambda words: Halt(words[RIP]),
    "UNSUPPORTED": _unsupported,
}
_OUTCOME_BY_KIND: Final = tuple(_OUTCOMES.get(name) for name in EXIT_KINDS)


def _ram_pieces(ram: Iterable[tuple[int, Buffer]]) -> tuple[RamPiece, ...]:
    """Check and order the RAM pieces."""
    pieces = sorted((_ram_piece(gpa, buffer) for gpa, buffer in ram), key=lambda piece: piece.gpa)
    for below, above in zip(pieces, pieces[1:], strict=False):
        if above.gpa <= below.last:
            message = (
                f"RAM pieces overlap: {below.gpa:#x}-{below.last:#x} and "
                f"{above.gpa:#x}-{above.last:#x}"
            )
            raise GuestMemoryError(message)
    return tuple(pieces)


def _ram_piece(gpa: int, buffer: Buffer) -> RamPiece:
    try:
        raw = memoryview(buffer)
        view = raw.cast("B") if raw.nbytes else raw
    except TypeError as error:
        message = f"RAM at {gpa!r} is no contiguous byte buffer: {buffer!r:.60}"
        raise GuestMemoryError(message) from error
    size = view.nbytes
    if not isinstance(gpa, int) or gpa < 0 or gpa % PAGE or gpa + size > ADDRESS_SPACE:
        message = f"RAM base {gpa!r} is no multiple of {PAGE} within 52 bits (size {size:#x})"
        raise GuestMemoryError(message)
    if not size or size % PAGE:
        message = f"RAM at {gpa:#x} has {size:#x} bytes; whole pages of {PAGE} are needed"
        raise GuestMemoryError(message)
    return RamPiece(gpa, gpa + size - 1, view, not view.readonly)


class Cpu:
    """One processor: registers, RAM, and at most one instruction in flight.

    `step` executes one instruction and `run` many. Both return as soon as a device is needed;
    call the same method again with the answer and the instruction goes on. Nothing of an
    instruction is visible in `state` before it completes, except the elements that a repeated
    string instruction has done.

    Args:
        ram: `(gpa, buffer)` pieces. Base and size are multiples of 4096 bytes; a read-only buffer
            is ROM, whose writes come out as `Write`. The buffers stay the caller's.
        engine: `"native"`, `"pure"`, or `None` for the preferred one.
        state: registers to work on, a new `CpuState` without it.

    Raises:
        GuestMemoryError: pieces that overlap, are misaligned, empty, or no byte buffers.
        EngineError: no such engine.
    """

    __slots__ = ("_core", "_words", "engine", "state")

    def __init__(
        self,
        ram: Iterable[tuple[int, Buffer]] = (),
        *,
        engine: str | None = None,
        state: CpuState | None = None,
    ) -> None:
        """Bind registers and RAM to an engine."""
        implementation = engine_named(engine)
        self.engine = implementation.NAME
        self.state = CpuState() if state is None else state
        self._words = self.state.words
        self._core = implementation.Core(self.state.record, _ram_pieces(ram))

    @property
    def awaits_answer(self) -> bool:
        """Whether an instruction waits for a `Read`, `Write`, `PortIn` or `PortOut` to be done."""
        return bool(self._words[PENDING])

    def step(self, answer: int | None = None) -> Outcome:
        """Execute one instruction, or go on with the one in flight.

        A repeated string instruction does up to `STEP_BATCH` elements.

        Args:
            answer: after `Read` and `PortIn` the value read (cut to the size asked for), after
                anything else `None`.

        Raises:
            StepError: an answer where none is awaited, or none where one is.
        """
        kind = self._core.run(1, STEP_BATCH, self._answer(answer))
        outcome = _OUTCOME_BY_KIND[kind]
        assert outcome is not None
        return outcome(self._words)

    def run(self, budget: int, answer: int | None = None) -> Outcome:
        """Execute up to `budget` instructions; each element of a repeated one counts.

        Args:
            budget: at least 1.
            answer: as for `step`.

        Returns:
            `BudgetSpent`, or what stopped the run earlier.

        Raises:
            StepError: as `step`; or a budget below 1.
        """
        if not 0 < budget < 1 << 63:
            message = f"a budget is from 1 to 2**63-1 instructions, not {budget!r}"
            raise StepError(message)
        kind = self._core.run(budget, 0, self._answer(answer))
        if not kind:
            return BudgetSpent(self._words[RIP])
        outcome = _OUTCOME_BY_KIND[kind]
        assert outcome is not None
        return outcome(self._words)

    def abandon(self) -> None:
        """Forget the instruction in flight; the next one starts at RIP afresh."""
        for name in ("log_pending", "log_count", "code_length"):
            self._words[WORD[name]] = 0

    def _answer(self, answer: int | None) -> int:
        pending = self._words[PENDING]
        if pending in (READ, PORT_IN):
            if isinstance(answer, int):
                return answer & 0xFFFF_FFFF_FFFF_FFFF
            message = (
                f"the {EXIT_KINDS[pending]} of {self._words[SIZE]} bytes at "
                f"{self._words[ADDRESS]:#x} needs an integer, not {answer!r}"
            )
            raise StepError(message)
        if answer is not None:
            message = f"nothing awaits an answer, yet {answer!r} was given"
            raise StepError(message)
        return 0
