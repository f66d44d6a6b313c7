# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""One processor of a machine: a `SoftVcpu` with a local APIC.

Theory of operation
-------------------
What waits for the processor is in its record, where the engine looks before each instruction, and
the local APIC's callables write it there: `interrupt` asks for an interrupt window, `threshold`
says below which CR8 the run is to end, `nmi` leaves an NMI. The task priority itself is a word of
the record which the APIC reads and writes in place. So nothing has to be carried from one to the
other at exits, a device access costs nothing for being able to interrupt, and a copy of the record
is a copy of all that.

The vector is fetched when the window opens. INIT and SIPI are marks, which `settle` obeys between
two instructions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final

from vmmkit.backends._machine_snapshot import VcpuSnapshot
from vmmkit.backends._odd_accesses import WORD_BYTES, enqueue, past_the_ports
from vmmkit.backends.msrs import MsrSource
from vmmkit.backends.soft import SoftVcpu
from vmmkit.devices import ApicFault, Lapic
from vmmkit.errors import AccessAddressError, StepError
from vmmkit.insn import WORD, CpuState, ExitKind, Outcome
from vmmkit.insn.cpuid import DEFAULT_FEATURES, CpuidSource

if TYPE_CHECKING:
    from typing_extensions import Buffer

Read = Callable[[int, int], int]
Write = Callable[[int, int, int], object]
Ways = tuple[Read, Write, Read, Write]
"""Memory's `read` and `write` of a port, then those of I/O ports."""

__all__ = ["MachineVcpu", "Ways"]

ADDRESS: Final = WORD["exit_address"]
SIZE: Final = WORD["exit_size"]
VALUE: Final = WORD["exit_value"]
PENDING: Final = WORD["log_pending"]
REFUSED: Final = WORD["refused"]
ANSWER_HIGH: Final = WORD["answer_high"]
RETIRED: Final = WORD["retired"]
LIMIT: Final = WORD["limit"]
RFLAGS: Final = WORD["rflags"]
HALTED: Final = WORD["halted"]
WINDOW: Final = WORD["window_request"]
REQUEST: Final = WORD["interrupt_request"]
THRESHOLD: Final = WORD["tpr_threshold"]
TPR: Final = WORD["tpr"]
NMI_PENDING: Final = WORD["nmi_pending"]
NMI_BLOCKED: Final = WORD["nmi_blocked"]
TSC_OFFSET: Final = WORD["tsc_offset"]
TSC_WRITE_EXITS: Final = WORD["tsc_write_exits"]
BATCH: Final = WORD["batch"]
ALL_ONES: Final = (1 << 64) - 1
HALF: Final = 1 << 63
INTERRUPT_FLAG: Final = 1 << 9
CODE: Final = WORD["code"]
REPEATS: Final = frozenset(b"\xf2\xf3")
PREFIXES: Final = 4  # bytes of an instruction among which a repeat prefix is looked for

READ, WRITE = int(ExitKind.READ), int(ExitKind.WRITE)
ENQUEUE: Final = int(ExitKind.ENQUEUE)
PORT_IN, PORT_OUT = int(ExitKind.PORT_IN), int(ExitKind.PORT_OUT)
BUDGET, HALT, DEBUG = map(int, (ExitKind.BUDGET, ExitKind.HALT, ExitKind.DEBUG))
CPUID, READ_MSR, WRITE_MSR = map(int, (ExitKind.CPUID, ExitKind.READ_MSR, ExitKind.WRITE_MSR))
INTERRUPT_WINDOW: Final = int(ExitKind.INTERRUPT_WINDOW)
TPR_BELOW: Final = int(ExitKind.TPR_BELOW_THRESHOLD)

MSR_TSC, MSR_APIC_BASE, MSR_TSC_DEADLINE = 0x10, 0x1B, 0x6E0
X2APIC_MSRS: Final = range(0x800, 0x900)
# Those of the local APIC that can move its timer's deadline: SVR, LVT timer, counts, divisor.
TIMER_MSRS: Final = frozenset({MSR_APIC_BASE, MSR_TSC_DEADLINE, 0x80F, 0x832, 0x838, 0x83E})


class MachineVcpu(SoftVcpu):
    """One vCPU of a machine; the machine runs it.

    Attributes:
        index: its number in the machine.
        lapic: its local APIC.
        page: where that answers in memory, or `None`.
        host_time: whether time goes on by itself, so that the time-stamp counter is set at exits.
        on_break: at a `DebugExit` of a turn: returns its kind, or what one instruction ended with.
        paused: the owner's, to be set between two runs: whether `run` of the machine leaves it out.
            INIT and start-up messages wait meanwhile, as interrupts do.
    """

    __slots__ = (
        "_guard",
        "_handlers",
        "_init",
        "_ports",
        "_start_up",
        "_told",
        "_unknown_msrs_exit",
        "attend",
        "host_time",
        "index",
        "lapic",
        "on_break",
        "page",
        "paused",
        "timer_moved",
    )

    lapic: Lapic
    on_break: Callable[[], int]
    page: int | None
    _start_up: int | None
    _told: bool
    timer_moved: Callable[[], object]
    attend: Callable[[MachineVcpu], object]

    def __init__(
        self,
        index: int,
        ram: Iterable[tuple[int, Buffer]],
        *,
        engine: str | None,
        msrs: MsrSource,
        unknown_msrs_exit: bool,
        guard: AbstractContextManager[object],
        host_time: bool,
    ) -> None:
        """Make the processor; `connect` makes it complete.

        `guard` is held while anything but guest code runs.
        """
        state = CpuState()
        state.features = DEFAULT_FEATURES
        super().__init__(ram, engine=engine, state=state, msrs=msrs, deliver=True)
        self.index, self._guard, self.host_time = index, guard, host_time
        self._unknown_msrs_exit = unknown_msrs_exit
        self._init, self._start_up, self._told = False, None, False
        self.paused, self.on_break = False, lambda: DEBUG
        self._handlers: dict[int, Callable[[], int | None]] = {
            INTERRUPT_WINDOW: self._take_interrupt,
            TPR_BELOW: self._priority_lowered,
            CPUID: self._answer_cpuid,
            READ_MSR: self._read_msr,
            WRITE_MSR: self._write_msr,
            HALT: self._halt,
        }

    def connect(self, lapic: Lapic, cpuid: CpuidSource, ways: Ways) -> None:
        """Give the processor its local APIC, its CPUID and its ways into the address maps."""
        self.lapic, self.page, self._cpuid = lapic, lapic.page, cpuid
        self._ports = ways
        self.power_up()

    @property
    def ways(self) -> Ways:
        """The ways into the address maps; the owner may replace them between two runs."""
        return self._ports

    @ways.setter
    def ways(self, ways: Ways) -> None:
        self._ports = ways

    # -- the local APIC's callables ------------------------------------------------------------

    @property
    def task_priority(self) -> memoryview:
        """The word that CR8 and the local APIC share."""
        return self._words[TPR : TPR + 1]

    def interrupt(self, level: bool) -> None:
        """Ask for an interrupt window, or no more."""
        self._words[WINDOW] = level
        if level:
            self._end_repetition()
            self.attend(self)

    def _end_repetition(self) -> None:
        """Let a repeated instruction whose access interrupts end with this element.

        The engine would look at what waits after all of them.
        """
        words = self._words
        if words[PENDING] and not REPEATS.isdisjoint(words[CODE : CODE + 1].tobytes()[:PREFIXES]):
            self.kick()

    def threshold(self, priority_class: int) -> None:
        """End the run when the guest lowers CR8 below this."""
        self._words[THRESHOLD] = priority_class
        if priority_class:
            self.attend(self)

    def take_nmi(self) -> None:
        """Leave an NMI."""
        self._words[NMI_PENDING] = 1
        self._end_repetition()
        self.attend(self)

    def take_init(self) -> None:
        """Leave an INIT, which takes the place of a start-up message and an NMI before it."""
        self._init, self._start_up = True, None
        self._words[NMI_PENDING] = 0
        self.kick()
        self.attend(self)

    def take_start_up(self, vector: int) -> None:
        """Leave a start-up message."""
        self._start_up = vector
        self.attend(self)

    @property
    def ends_by_init(self) -> bool:
        """Whether an INIT came before the access in flight.

        The local APIC is as INIT leaves it by then, and the access is not to change that.
        """
        return self._init and self._words[PENDING] != 0

    # -- between instructions ------------------------------------------------------------------

    def settle(self, *, though_paused: bool = False) -> bool:
        """Obey INIT and SIPI, unless paused; return whether there is something to execute.

        The guest may have lowered CR8 before the local APIC, on another thread, said below which
        value that matters: so this looks at both.
        """
        if self.paused and not though_paused:
            return False
        words = self._words
        if self._init:
            self._obey_init()
        if self._start_up is not None:
            self.state.start_up(self._start_up)
            self._start_up = None
        if words[TPR] >> 4 < words[THRESHOLD]:
            self._priority_lowered()
        if self.lapic.waits_for_sipi:
            return False
        return not words[HALTED] or self._wakes()

    def _obey_init(self) -> None:
        """Go to the state after INIT; an NMI that came after it stays."""
        nmi = self._words[NMI_PENDING]
        self._answer, self._init, self._refused, self._told = None, False, False, False
        self.state.init()
        self._words[NMI_PENDING] = nmi
        self._sign()
        self.refresh()

    def _wakes(self) -> bool:
        """End the halt if something ends it."""
        words = self._words
        nmi = words[NMI_PENDING] and not words[NMI_BLOCKED]
        asked = words[WINDOW] and words[RFLAGS] & INTERRUPT_FLAG
        if self.interrupts_held:
            return not words[HALTED]
        if nmi or (asked and self.lapic.pending() is not None):
            words[HALTED] = 0
        return not words[HALTED]

    def _sign(self) -> None:
        """RDX after RESET and INIT is the processor's signature."""
        self.state.rdx = self._cpuid(self.state, 1, 0)[0]

    def power_up(self) -> None:
        """Go to the state after RESET."""
        self.state.reset()
        self._words[TSC_WRITE_EXITS] = 1
        self._answer, self._init, self._start_up, self._told = None, False, None, False
        self._sign()
        self.refresh()

    def refresh(self) -> None:
        """Write what the local APIC told last: a window ends with its exit, whatever is left."""
        self._words[WINDOW] = self.lapic.interrupting
        self._words[THRESHOLD] = self.lapic.held_back

    def set_time(self, tsc: int, *, forwards: bool = False) -> None:
        """Let the time-stamp counter go on from `tsc`; with `forwards` never from less than it is.

        The engine counts instructions on from there.
        """
        words = self._words
        offset = tsc - words[RETIRED] & ALL_ONES
        if not forwards or offset - words[TSC_OFFSET] & ALL_ONES < HALF:  # the counter may wrap
            words[TSC_OFFSET] = offset

    # -- running -------------------------------------------------------------------------------

    def turn(self, budget: int, *, by_element: bool = False) -> int:
        """Run until `budget` instructions are done, a halt, or what only the owner can do.

        With `by_element` each element of a repeated instruction is one by itself, and a kick does
        not count. Returns the exit's kind; `outcome` tells the rest.

        Raises:
            StepError: the owner has not answered what the last turn ended with.
            RegionError: a device's; the access is tried again by the next turn.
        """
        words, resume, handlers = self._words, self._cpu.resume, self._handlers
        read, write, port_in, port_out = self._ports
        kind = self._begin(budget, int(by_element))
        while True:
            if kind == WRITE:
                if words[SIZE] > WORD_BYTES:
                    enqueue(self._cpu, write)
                else:
                    write(words[ADDRESS], words[SIZE], words[VALUE])
                kind = resume(0)
            elif kind == READ:
                kind = resume(read(words[ADDRESS], words[SIZE]))
            elif kind == PORT_OUT:
                try:
                    port_out(words[ADDRESS], words[SIZE], words[VALUE])
                except AccessAddressError as error:
                    past_the_ports(words, error)
                kind = resume(0)
            elif kind == PORT_IN:
                try:
                    answer = port_in(words[ADDRESS], words[SIZE])
                except AccessAddressError as error:
                    answer = past_the_ports(words, error)
                kind = resume(answer)
            elif kind == DEBUG and not by_element and (kind := self.on_break()) == BUDGET:
                kind = resume(0)
            elif kind in handlers:
                with self._guard:
                    if self.host_time:
                        self.set_time(self.lapic.tsc, forwards=True)
                    known = handlers[kind]()
                if known is None:
                    self._told = bool(words[PENDING])
                    return kind
                kind = resume(known)
            else:
                self._told = bool(words[PENDING])
                return kind

    def _begin(self, budget: int, batch: int) -> int:
        """Go on where the last turn ended."""
        words = self._words
        kind = words[PENDING]
        if not (kind or batch):
            self._told = False
            return self._cpu.enter(budget, 0)
        self._cpu.allow(budget)
        words[BATCH] = batch
        if not kind:
            self._told = False
            return self._cpu.resume(0)
        answer, self._answer = self._answer, None
        if answer is None and not self._told:
            return WRITE if kind == ENQUEUE else kind  # a device or a source has raised
        if answer is None:
            if not words[REFUSED] and kind != WRITE_MSR:
                message = f"vCPU {self.index} waits for an answer: complete or refuse it"
                raise StepError(message)
            answer = 0
        self._told = False
        return self._cpu.resume(answer)

    def outcome(self, kind: int) -> Outcome:
        """Build the outcome of a turn that ended with `kind`."""
        return self._cpu.outcome(kind)

    def _halt(self) -> int | None:
        self._words[HALTED] = 1
        return 0 if self._wakes() else None

    def _take_interrupt(self) -> int:
        """The guest takes an interrupt now: fetch its vector, unless it is gone meanwhile."""
        lapic = self.lapic
        pending = lapic.pending()
        if pending is None:
            lapic.task_priority_changed()
        else:
            self._words[REQUEST] = lapic.acknowledge(pending) + 1
        self.refresh()
        return 0

    def _priority_lowered(self) -> int:
        self.lapic.task_priority_changed()
        self.refresh()
        return 0

    def _answer_cpuid(self) -> int:
        words = self._words
        eax, ebx, ecx, edx = self._cpuid(self.state, words[ADDRESS], words[SIZE])
        words[ANSWER_HIGH] = ecx | edx << 32
        return eax | ebx << 32

    def _read_msr(self) -> int | None:
        index = self._words[ADDRESS]
        if index in X2APIC_MSRS or index in TIMER_MSRS:
            value = self.lapic.read_msr(index)
            if not isinstance(value, ApicFault):
                return value
        else:
            assert self._msrs is not None
            held = self._msrs.read(index)
            if held is not None:
                return held
            if self._unknown_msrs_exit:
                return None
        self._cpu.refuse()
        return 0

    def _write_msr(self) -> int | None:
        index, value = self._words[ADDRESS], self._words[VALUE]
        if index == MSR_TSC:
            self.lapic.set_tsc(value)
            self.set_time(value)
            self.timer_moved()
            return 0
        if index in X2APIC_MSRS or index in TIMER_MSRS:
            fault = None if self.ends_by_init else self.lapic.write_msr(index, value)
            if index in TIMER_MSRS:
                self.timer_moved()
            if fault is None:
                return 0
        else:
            assert self._msrs is not None
            if self._msrs.write(index, value):
                return 0
            if self._unknown_msrs_exit and self._msrs.read(index) is None:
                return None
        self._cpu.refuse()
        return 0

    # -- state ---------------------------------------------------------------------------------

    def snapshot(self) -> VcpuSnapshot:
        """Return the state without the local APIC's."""
        state = CpuState()
        state.take_record(self.state.record)
        state.words[LIMIT] = state.retired  # each turn gets a new one; this tells of the last
        state.words[BATCH] = 0
        return VcpuSnapshot(
            bytes(state.record), self._init, self._start_up, self._answer, self._told
        )

    def restore(self, snapshot: VcpuSnapshot) -> None:
        """Take a state back, after the local APIC has its own; the owner's breakpoints stay."""
        self.state.take_record(snapshot.record)
        self._init, self._start_up = snapshot.init, snapshot.start_up
        self._answer, self._told = snapshot.answer, snapshot.told
