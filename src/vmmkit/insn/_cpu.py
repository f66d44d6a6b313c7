# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The re-entrant processor: state, RAM and the instruction in flight."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import TYPE_CHECKING, Final, Never

from vmmkit.errors import StepError
from vmmkit.insn._blocks import Ram, block_data, block_outcome, take_block
from vmmkit.insn._debugging import Debuggable
from vmmkit.insn._engine import engine_named
from vmmkit.insn._injection import Interruptible
from vmmkit.insn._memory import (
    BLOCK_KINDS,
    CPUID,
    ENQUEUE,
    PORT_IN,
    RANDOM,
    READ,
    READ_MSR,
    READ_PMC,
    VALUE_KINDS,
    WRITE_MSR,
)
from vmmkit.insn._outcomes import (
    SHAPES,
    BudgetSpent,
    Fault,
    Outcome,
    Read,
    Unsupported,
    UnsupportedReason,
    Write,
)
from vmmkit.insn._ram import ram_pieces
from vmmkit.insn._record import EXIT_KINDS, MAX_LENGTH, RUN_SLICE, STEP_BATCH, WORD
from vmmkit.insn._state import CpuState
from vmmkit.insn._translate import PageAccess, Translation, translate_only

if TYPE_CHECKING:
    from typing_extensions import Buffer

    Answer = Buffer | int | tuple[int, int, int, int] | None

__all__ = ["STEP_BATCH", "Cpu", "ExitKind"]

RIP: Final = WORD["rip"]
RETIRED: Final = WORD["retired"]
ALL_ONES: Final = (1 << 64) - 1
ADDRESS: Final = WORD["exit_address"]
SIZE: Final = WORD["exit_size"]
VALUE: Final = WORD["exit_value"]
WIDE: Final = WORD["wide_value"]
WORD_BYTES, WIDEST = 8, 64
PENDING: Final = WORD["log_pending"]
CODE: Final = WORD["code"]
CODE_RIP: Final = WORD["code_rip"]
CODE_MODE: Final = WORD["code_mode"]
CODE_LENGTH: Final = WORD["code_length"]
CODE_GIVEN: Final = WORD["code_given"]
KICK: Final = WORD["kick"]
LIMIT: Final = WORD["limit"]
BATCH: Final = WORD["batch"]

ANSWER_HIGH: Final = WORD["answer_high"]
REFUSED: Final = WORD["refused"]
REFUSABLE: Final = frozenset({READ_MSR, WRITE_MSR, READ_PMC, RANDOM, ENQUEUE})
FOUR_WORDS: Final = struct.Struct("<4I")
TWO_ANSWERS: Final = struct.Struct("<2Q")

_NEW: Final = tuple.__new__  # a third of the cost of calling a NamedTuple class


class ExitKind(IntEnum):
    """Why `Cpu.enter` returned."""

    BUDGET = EXIT_KINDS.index("BUDGET")  #: as many instructions as were allowed
    DONE = EXIT_KINDS.index("DONE")  #: between instructions only; no caller sees it
    READ = EXIT_KINDS.index("READ")  #: as `Read`
    WRITE = EXIT_KINDS.index("WRITE")  #: as `Write`
    PORT_IN = EXIT_KINDS.index("PORT_IN")  #: as `PortIn`
    PORT_OUT = EXIT_KINDS.index("PORT_OUT")  #: as `PortOut`
    FAULT = EXIT_KINDS.index("FAULT")  #: as `Fault`
    HALT = EXIT_KINDS.index("HALT")  #: as `Halt`
    UNSUPPORTED = EXIT_KINDS.index("UNSUPPORTED")  #: as `Unsupported`
    BLOCK_READ = EXIT_KINDS.index("BLOCK_READ")  #: as `BlockRead`
    BLOCK_WRITE = EXIT_KINDS.index("BLOCK_WRITE")  #: as `BlockWrite`
    PORT_BLOCK_IN = EXIT_KINDS.index("PORT_BLOCK_IN")  #: as `PortBlockIn`
    PORT_BLOCK_OUT = EXIT_KINDS.index("PORT_BLOCK_OUT")  #: as `PortBlockOut`
    READ_MSR = EXIT_KINDS.index("READ_MSR")  #: as `ReadMsr`
    READ_PMC = EXIT_KINDS.index("READ_PMC")  #: as `ReadPmc`
    CPUID = EXIT_KINDS.index("CPUID")  #: as `Cpuid`
    RANDOM = EXIT_KINDS.index("RANDOM")  #: as `Random`
    WRITE_MSR = EXIT_KINDS.index("WRITE_MSR")  #: as `WriteMsr`
    HYPERCALL = EXIT_KINDS.index("HYPERCALL")  #: as `Hypercall`
    TRIPLE_FAULT = EXIT_KINDS.index("TRIPLE_FAULT")  #: as `TripleFault`
    INTERRUPT_WINDOW = EXIT_KINDS.index("INTERRUPT_WINDOW")  #: as `InterruptWindow`
    TPR_BELOW_THRESHOLD = EXIT_KINDS.index("TPR_BELOW_THRESHOLD")  #: as `TprBelowThreshold`
    ENQUEUE = EXIT_KINDS.index("ENQUEUE")
    """In `WORD["log_pending"]` only: the `WRITE` in flight is an ENQCMD's, which can be refused."""
    STALE = EXIT_KINDS.index("STALE")  #: RIP or mode changed under an instruction in flight
    DEBUG = EXIT_KINDS.index("DEBUG")  #: as `DebugExit`


def _unsupported(words: memoryview) -> Outcome:
    code = words[CODE : CODE + 2].tobytes()[: words[SIZE]]
    return Unsupported(code, UnsupportedReason(words[VALUE]), words[ADDRESS])


def _stale(words: memoryview) -> Never:
    message = (
        f"the instruction at {words[CODE_RIP]:#x} awaits completion, but RIP is {words[RIP]:#x} or "
        "the mode has changed; step to its end first, or abandon it"
    )
    raise StepError(message)


def _outcome(words: memoryview, kind: int, ram: Ram) -> Outcome:
    """Build the outcome of a step."""
    shape = SHAPES[kind]
    if shape is not None and kind == ExitKind.WRITE and words[SIZE] > WORD_BYTES:
        wide = words[WIDE : WIDE + min(words[SIZE], WIDEST) // WORD_BYTES].tobytes()
        return Write(words[ADDRESS], words[SIZE], int.from_bytes(wide, "little"))
    if shape is not None:
        outcome, numbers = shape
        return _NEW(outcome, [words[number] for number in numbers])
    if kind in BLOCK_KINDS:
        return block_outcome(ram, words, kind)
    return _unsupported(words) if kind == ExitKind.UNSUPPORTED else _stale(words)


def _check_budget(budget: int) -> None:
    if not isinstance(budget, int) or not 0 < budget < 1 << 63:
        message = f"a budget is from 1 to 2**63-1 instructions, not {budget!r}"
        raise StepError(message)


class Cpu(Interruptible, Debuggable):
    """One processor: registers, RAM, and at most one instruction in flight.

    An instruction is in flight from the `Read`, `Write`, `PortIn`, `PortOut` or block it returned
    until the outcome after that, also where no answer is needed: inject interrupts and load
    registers only while `awaits_answer` is false.

    `step` executes one instruction and `run` many. Both return as soon as a device is needed;
    call the same method again with the answer and the instruction goes on. Nothing of an
    instruction is visible in `state` before it completes, except the elements that a repeated
    string instruction has done.

    Hot loops can do without outcomes, and without checks: `enter(budget, answer)` is `run` and
    `resume(answer)` goes on with the step or run that stopped for an access; `answer` is the value
    read, or 0. Both return an `ExitKind`; what it is about stands in `state.words` at
    `WORD["exit_address"]`, `WORD["exit_size"]` and `WORD["exit_value"]`, in the order of the
    outcome's fields. `outcome(kind)` makes a tuple of it after all. The data of a block is
    `block()`, to be filled or written to the device, and its `answer` is the number of elements
    done.

    Args:
        ram: `(gpa, buffer)` pieces. Base and size are multiples of 4096 bytes; a read-only buffer
            is ROM, whose writes come out as `Write`. The buffers stay the caller's. One buffer may
            stand at several addresses. Two mappings of one file may not, where the guest keeps page
            tables in it: to the native engine they are different memory.
        engine: `"native"`, `"pure"`, or `None` for the preferred one.
        state: registers to work on, a new `CpuState` without it.
        blocks: whether repeated string instructions may come out as `BlockRead`, `BlockWrite`,
            `PortBlockIn` and `PortBlockOut`, many elements in one outcome.
        deliver: whether exceptions go to the guest, by its interrupt table, instead of coming out
            as `Fault`; the guest's single step and breakpoints, and the methods for interrupts,
            work with it only. A delivery counts as an instruction.
        wide: whether `Read` and `Write` of vectors may have 16, 32 or 64 bytes; else they are cut
            into pieces of 8, the lowest first.

    Raises:
        GuestMemoryError: pieces that overlap, are misaligned, empty, or no byte buffers.
        EngineError: no such engine.
    """

    __slots__ = (
        "_advance",
        "_proceed",
        "_ram",
        "_state",
        "_step",
        "_words",
        "delivers",
        "engine",
        "enter",
        "resume",
    )

    def __init__(
        self,
        ram: Iterable[tuple[int, Buffer]] = (),
        *,
        engine: str | None = None,
        state: CpuState | None = None,
        blocks: bool = False,
        deliver: bool = False,
        wide: bool = False,
    ) -> None:
        """Bind registers and RAM to an engine."""
        implementation = engine_named(engine)
        self.engine = implementation.NAME
        self.delivers = deliver
        self._state = CpuState() if state is None else state
        self._words = self._state.words
        self._ram = ram_pieces(ram)
        core = implementation.Core(self._state.record, self._ram, blocks, deliver, wide)
        self._step, self._advance, self._proceed = core.step, core.advance, core.proceed
        self.enter: Callable[[int, int], int] = core.run
        self.resume: Callable[[int], int] = core.resume

    @property
    def state(self) -> CpuState:
        """The registers. Change them only while `awaits_answer` is false."""
        return self._state

    @property
    def awaits_answer(self) -> bool:
        """Whether an instruction waits for a device: for what the last outcome says to be done."""
        return bool(self._words[PENDING])

    def step(self, answer: Answer = None) -> Outcome:
        """Execute one instruction, or go on with the one in flight.

        A repeated string instruction does up to `STEP_BATCH` elements.

        Args:
            answer: after `Read` and `PortIn` the value read (cut to the size asked for), after
                anything else `None`. After `BlockRead` and `PortBlockIn` the bytes read, after
                `BlockWrite` and `PortBlockOut` the number of elements written, or `None` for all;
                fewer than offered will do, and after none the next element comes by itself.

        Raises:
            StepError: an answer where none is awaited, or none where one is, or more than a block
                has; or RIP or the mode changed while an instruction was in flight.
        """
        outcome = self._advance(answer)
        if outcome is None:
            outcome = self._step(self._answer(answer))
        return _outcome(self._words, outcome, self._ram) if isinstance(outcome, int) else outcome

    def run(self, budget: int, answer: Answer = None) -> Outcome:
        """Execute up to `budget` instructions; each element of a repeated one counts.

        Args:
            budget: at least 1.
            answer: as for `step`.

        Returns:
            `BudgetSpent`, or what stopped the run earlier.

        Raises:
            StepError: as `step`; or a budget below 1.
        """
        outcome = self._proceed(budget, answer)
        if outcome is None:
            return self._run_in_slices(budget, answer)
        return self.outcome(outcome) if isinstance(outcome, int) else outcome

    def _run_in_slices(self, budget: int, answer: Answer) -> Outcome:
        _check_budget(budget)
        words = self._words
        known = 0 if answer is None and not words[PENDING] else self._answer(answer)
        # One call to the engine is deaf to Ctrl-C, so a long run is several.
        while budget > RUN_SLICE:
            before = words[RETIRED]
            kind = self.enter(RUN_SLICE, known)
            done = words[RETIRED] - before & ALL_ONES
            if kind or done < RUN_SLICE:
                return self.outcome(kind)
            budget, known = budget - done, 0
        return self.outcome(self.enter(budget, known))

    def allow(self, budget: int) -> None:
        """Give `resume` a new budget, as `run` would, without going on yet.

        Raises:
            StepError: a budget below 1 or above 2**63-1.
        """
        _check_budget(budget)
        self._words[LIMIT] = self._words[RETIRED] + budget & ALL_ONES
        self._words[BATCH] = 0

    def latch(self, code: Buffer) -> None:
        """Give the bytes of the instruction at RIP, so that they are not fetched.

        For exits that bring them along (KVM's emulation failure, AMD's decode assist): the
        instruction executed is then the one that caused the exit, whatever memory holds by now. The
        next step or run begins with it, provided RIP and the mode are still the same; what is
        missing at the end of a truncated instruction is fetched. No bytes undo an earlier call.

        Args:
            code: what stands at RIP; anything past 15 bytes is ignored.

        Raises:
            StepError: an instruction is in flight.
        """
        words = self._words
        if words[PENDING]:
            message = f"an instruction at {words[CODE_RIP]:#x} is in flight; complete it first"
            raise StepError(message)
        window = bytes(memoryview(code).cast("B")[:MAX_LENGTH])
        packed = int.from_bytes(window, "little")
        words[CODE], words[CODE + 1] = packed & ALL_ONES, packed >> 64
        words[CODE_LENGTH], words[CODE_GIVEN] = len(window), int(bool(window))
        words[CODE_RIP], words[CODE_MODE] = words[RIP], self._state.mode

    def kick(self) -> None:
        """End the run in progress at the next instruction boundary, or else the next run at once.

        For other threads than the vCPU's. The run returns `BudgetSpent`; an instruction that waits
        for a device is completed first, and a repeated string instruction ends its batch. A `step`
        does not take notice of it.
        """
        self._words[KICK] = 1

    def outcome(self, kind: int) -> Outcome:
        """Build the outcome for an `ExitKind` that `enter` or `resume` has just returned."""
        words = self._words
        return _outcome(words, kind, self._ram) if kind else BudgetSpent(words[RIP])

    def block(self) -> memoryview:
        """Return the data of the block in flight: RAM to fill, or read-only what is written.

        After `enter` or `resume` returned a block kind and until it is answered.

        Raises:
            StepError: no block is in flight, or its RAM is another `Cpu`'s.
        """
        if self._words[PENDING] not in BLOCK_KINDS:
            message = "no block is in flight"
            raise StepError(message)
        return block_data(self._ram, self._words)

    def translate(
        self,
        linear: int,
        access: PageAccess | None = PageAccess.READ,
        *,
        user: bool | None = None,
        read: Callable[[int, int], int] | None = None,
    ) -> Translation | Fault | Read:
        """Translate a linear address as the processor would now, and touch nothing.

        No accessed or dirty bit is set and nothing in `state` changes, so a debugger may ask at any
        time, also while an instruction is in flight: that one goes on with the pages it has seen.

        Args:
            linear: linear address, after segmentation; cut to 32 bits outside of long mode and to
                64 in it.
            access: the rights to check, `None` for none: whether there is a page at all.
            user: whether with user or supervisor rights; `None` takes those of the current CPL.
            read: reads the page-table entries that are not in RAM: `(gpa, size)` to an integer.

        Returns:
            A `Translation`; or the `Fault` that the access would raise, a page fault, or #GP for an
            address that is not canonical; or `Read(gpa, size)` of the page-table entry that is not
            in RAM, where `read` was not given.

        Raises:
            StepError: an `access` of another kind, or a `read` that returned no integer.
        """
        return translate_only(self._words, self._ram, linear, access, user, read)

    def refuse(self) -> None:
        """Refuse what the instruction in flight asks for, and go on with `step()` or `resume(0)`.

        After `ReadMsr`, `WriteMsr` and `ReadPmc` it then raises #GP(0); after `Random` it gives no
        number, with CF clear. After the `Write` of an ENQCMD or ENQCMDS the device has not taken
        the command, and ZF is set.

        Raises:
            StepError: nothing awaits an answer, or nothing that can be refused.
        """
        if self._words[PENDING] not in REFUSABLE:
            message = "only an MSR access, RDPMC, RDRAND, RDSEED and ENQCMD can be refused"
            raise StepError(message)
        self._words[REFUSED] = 1

    def abandon(self) -> None:
        """Forget the instruction in flight; the next one starts at RIP afresh.

        An event whose delivery was in flight is delivered from its start.
        """
        self.state.abandon()

    def _answer(self, answer: Answer) -> int:
        pending = self._words[PENDING]
        if pending in BLOCK_KINDS:
            return self._block_answer(answer)
        if pending == CPUID:
            return self._cpuid_answer(answer)
        refused = self._words[REFUSED] and answer is None
        if pending in (READ, PORT_IN) or (pending in VALUE_KINDS and not refused):
            if isinstance(answer, int) and pending == READ and self._words[SIZE] > WORD_BYTES:
                return self._wide_answer(answer)
            if isinstance(answer, int):
                return answer & ALL_ONES
            message = (
                f"the {EXIT_KINDS[pending]} of {self._words[SIZE]} bytes at "
                f"{self._words[ADDRESS]:#x} needs an integer, not {answer!r}: "
                "`step` and `run` of a Cpu take it, `complete` of a SoftVcpu"
            )
            raise StepError(message)
        if answer is not None:
            message = f"nothing awaits an answer, yet {answer!r} was given"
            raise StepError(message)
        return 0

    def _cpuid_answer(self, answer: object) -> int:
        """EAX and EBX are the answer, ECX and EDX stand beside it in the record."""
        try:
            packed = FOUR_WORDS.pack(*answer)  # type: ignore[misc]
        except (TypeError, struct.error) as error:
            message = f"CPUID is answered with four integers of 32 bits, not {answer!r:.60}"
            raise StepError(message) from error
        low, self._words[ANSWER_HIGH] = TWO_ANSWERS.unpack(packed)
        return int(low)

    def _wide_answer(self, answer: int) -> int:
        """Put the answer to a `Read` of more than 8 bytes into the record."""
        words = self._words
        for number in range(WIDEST // WORD_BYTES):
            words[WIDE + number] = answer >> 64 * number & ALL_ONES
        return 0

    def _block_answer(self, answer: Answer) -> int:
        """As `take_block`; no RAM is written for an instruction that cannot go on."""
        words = self._words
        if words[CODE_RIP] != words[RIP] or words[CODE_MODE] != self._state.mode:
            _stale(words)
        return take_block(self._ram, words, answer)
