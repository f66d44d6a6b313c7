# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A vCPU in software: guest code from RAM, exits like a hypervisor's.

`SoftVcpu` is a loop over the instruction engine, in C when the native engine is live. Like a vCPU
of a hypervisor it runs until it needs its owner, returns an exit, and is run again:

>>> from vmmkit.backends import SoftVcpu
>>> from vmmkit.insn import Halt, PortOut
>>> ram = bytearray(4096)
>>> ram[:5] = bytes.fromhex("b041 e680 f4")  # mov al, 'A'; out 80h, al; hlt
>>> vcpu = SoftVcpu([(0, ram)])
>>> vcpu.state.enter_real_mode(ip=0)
>>> vcpu.run()
PortOut(port=128, size=1, value=65)
>>> vcpu.run()
Halt(rip=5)

A guest's fault is an exit (`Fault`), or with `deliver=True` goes to the guest by its interrupt
table. There is no model of time and no local APIC; `vmmkit.backends.SoftMachine` has both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from vmmkit.backends._odd_accesses import WORD_BYTES, enqueue, past_the_ports
from vmmkit.backends.msrs import MsrSource
from vmmkit.errors import AccessAddressError, StepError
from vmmkit.insn import (
    WORD,
    Breakpoint,
    Cpu,
    CpuState,
    EventKind,
    ExitKind,
    Fault,
    Outcome,
    PageAccess,
    Read,
    Translation,
)
from vmmkit.insn.cpuid import DEFAULT_FEATURES, Answer, CpuidModel, CpuidSource
from vmmkit.protocols import AccessPort

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["DEFAULT_BUDGET", "SoftVcpu"]

DEFAULT_BUDGET: Final = 1_000_000
"""Instructions that one `run` executes at most, unless told otherwise."""

ADDRESS: Final = WORD["exit_address"]
SIZE: Final = WORD["exit_size"]
VALUE: Final = WORD["exit_value"]
RETIRED: Final = WORD["retired"]
LIMIT: Final = WORD["limit"]
ALL_ONES: Final = (1 << 64) - 1
PENDING: Final = WORD["log_pending"]

READ: Final = int(ExitKind.READ)
WRITE: Final = int(ExitKind.WRITE)
WRITES: Final = frozenset({WRITE, int(ExitKind.ENQUEUE)})
PORT_IN: Final = int(ExitKind.PORT_IN)
PORT_OUT: Final = int(ExitKind.PORT_OUT)
CPUID: Final = int(ExitKind.CPUID)
READ_MSR: Final = int(ExitKind.READ_MSR)
WRITE_MSR: Final = int(ExitKind.WRITE_MSR)
COMPLETED: Final = frozenset(
    {READ, PORT_IN, READ_MSR, int(ExitKind.READ_PMC), int(ExitKind.RANDOM)}
)


class SoftVcpu:
    """One software vCPU.

    Exits are the outcomes of `vmmkit.insn`: `Read`, `Write`, `PortIn`, `PortOut`, `Halt`, `Fault`,
    `Unsupported` (with the bytes), `Hypercall`, `ReadMsr`, `WriteMsr`, `ReadPmc`, `Random` and
    `BudgetSpent`; with a `tpr_threshold` `TprBelowThreshold`; with `deliver` `TripleFault` and
    `InterruptWindow`, and no `Fault`; with breakpoints `DebugExit`. After `Read`, `PortIn`,
    `ReadMsr`, `ReadPmc` and `Random` call `complete` with the value before running on, or `refuse`
    the last three, `WriteMsr` and the `Write` of 64 bytes of an ENQCMD; other writes need no
    completion. CPUID is answered by `cpuid`.

    A vCPU belongs to one thread at a time. While the native engine runs, other Python threads do
    too.

    Args:
        ram: `(gpa, buffer)` pieces, as for `vmmkit.insn.Cpu`.
        engine: `"native"`, `"pure"`, or `None` for the preferred one.
        state: registers to start from. Without it the state after reset, with the features of
            `vmmkit.insn.cpuid.DEFAULT_FEATURES`.
        cpuid: answers CPUID for `(state, leaf, subleaf)`; a `CpuidModel` without it.
        msrs: answers RDMSR and WRMSR, for instance `vmmkit.backends.msrs.MsrFile`; without it they
            are exits.
        deliver: whether exceptions go to the guest, and the methods for interrupts work.

    Raises:
        GuestMemoryError: see `vmmkit.insn.Cpu`.
        EngineError: no such engine.
    """

    __slots__ = ("_answer", "_cpu", "_cpuid", "_msrs", "_own", "_refused", "_words")

    def __init__(
        self,
        ram: Iterable[tuple[int, Buffer]] = (),
        *,
        engine: str | None = None,
        state: CpuState | None = None,
        cpuid: CpuidSource | None = None,
        msrs: MsrSource | None = None,
        deliver: bool = False,
    ) -> None:
        """Bind registers and RAM to an engine."""
        if state is None:
            state = CpuState()
            state.features = DEFAULT_FEATURES
        self._cpu = Cpu(ram, engine=engine, state=state, deliver=deliver)
        self._cpuid = CpuidModel() if cpuid is None else cpuid
        self._msrs = msrs
        self._own = frozenset({CPUID} if msrs is None else {CPUID, READ_MSR, WRITE_MSR})
        self._words = self._cpu.state.words
        self._answer: int | None = None
        self._refused = False  # whether a port has raised for the access in flight

    def __repr__(self) -> str:
        """Show the engine and the registers a person looks at first."""
        return f"<{type(self).__name__} {self.engine} {self.state!r}>"

    @property
    def state(self) -> CpuState:
        """The registers; change them only while `awaits_answer` is false."""
        return self._cpu.state

    @property
    def awaits_answer(self) -> bool:
        """Whether an instruction is in flight: the last exit was a device access, read or write.

        `step` completes it and executes nothing else.
        """
        return self._cpu.awaits_answer

    @property
    def engine(self) -> str:
        """`"native"` or `"pure"`."""
        return self._cpu.engine

    def complete(self, value: int) -> None:
        """Answer the `Read`, `PortIn`, `ReadMsr`, `ReadPmc` or `Random` that the last run returned.

        Args:
            value: the value read; bits above the size asked for are dropped.

        Raises:
            StepError: no read awaits an answer, or `value` is no integer.
        """
        if self._words[PENDING] not in COMPLETED:
            message = f"no read awaits completion, yet {value!r} was given"
            raise StepError(message)
        if not isinstance(value, int):
            message = f"a read is completed with an integer, not {value!r}"
            raise StepError(message)
        self._answer = value

    def refuse(self) -> None:
        """Refuse the `ReadMsr`, `WriteMsr` or `ReadPmc` (#GP) or `Random` (CF clear) in flight.

        Or the `Write` of an ENQCMD (ZF set).

        Raises:
            StepError: nothing is in flight that can be refused.
        """
        self._cpu.refuse()

    def run(self, budget: int = DEFAULT_BUDGET) -> Outcome:
        """Run until an exit.

        Args:
            budget: instructions, at least 1; each element of a repeated string instruction counts.

        Raises:
            StepError: the last exit was a read and nobody completed it; or a budget below 1.
        """
        words, answer = self._words, self._answer
        before = words[RETIRED]
        outcome = self._cpu.run(budget, self._due() if answer is None else answer)
        self._answer, self._refused = None, False
        while words[PENDING] in self._own:
            left = before + budget - words[RETIRED] & ALL_ONES
            outcome = self._cpu.run(left, self._own_answer())
        return outcome

    def step(self) -> Outcome:
        """Complete the instruction in flight, or execute one; `Done` or another exit.

        Raises:
            StepError: as `run`.
        """
        outcome = self._cpu.step(self._due())
        self._answer, self._refused = None, False
        while self._words[PENDING] in self._own:
            outcome = self._cpu.step(self._own_answer())
        return outcome

    def _own_answer(self) -> Answer | int | None:
        """Answer the CPUID or MSR access in flight."""
        words = self._words
        if words[PENDING] == CPUID:
            return self._cpuid(self.state, words[ADDRESS], words[SIZE])
        assert self._msrs is not None
        value = None
        if words[PENDING] == READ_MSR:
            value = self._msrs.read(words[ADDRESS])
            refused = value is None
        else:
            refused = not self._msrs.write(words[ADDRESS], words[VALUE])
        if refused:
            self._cpu.refuse()
        return value

    def _due(self) -> Answer | int | None:
        """What the instruction in flight is answered, also where its source has raised."""
        return self._own_answer() if self._words[PENDING] in self._own else self._answer

    def kick(self) -> None:
        """End the run in progress, or else the next one, at an instruction boundary.

        For other threads than the vCPU's; the run returns `BudgetSpent`.
        """
        self._cpu.kick()

    @property
    def interrupt_window(self) -> bool:
        """Whether an external interrupt could be delivered now."""
        return self._cpu.interrupt_window

    @property
    def event_pending(self) -> bool:
        """Whether an event is being delivered, or will be before anything else."""
        return self._cpu.event_pending

    def request_interrupt(self, vector: int) -> None:
        """Have an external interrupt delivered when the guest takes one; as `Cpu`'s method."""
        self._cpu.request_interrupt(vector)

    def request_interrupt_window(self) -> None:
        """Have the run end with `InterruptWindow` when the guest takes an interrupt."""
        self._cpu.request_interrupt_window()

    def nmi(self) -> None:
        """Have an NMI delivered; as `Cpu`'s method."""
        self._cpu.nmi()

    def inject(
        self,
        vector: int,
        error_code: int | None = None,
        *,
        address: int = 0,
        kind: EventKind | None = None,
    ) -> None:
        """Have an event delivered before anything else; as `Cpu`'s method."""
        self._cpu.inject(vector, error_code, address=address, kind=kind)

    @property
    def breakpoints(self) -> tuple[Breakpoint, ...]:
        """The owner's breakpoints, by slot."""
        return self._cpu.breakpoints

    def set_breakpoints(
        self, breakpoints: Iterable[Breakpoint] = (), *, int3: bool = False
    ) -> None:
        """Set all breakpoints of the owner; as `Cpu`'s method."""
        self._cpu.set_breakpoints(breakpoints, int3=int3)

    def skip_breakpoint(self) -> None:
        """Have no breakpoint count at the next instruction; as `Cpu`'s method."""
        self._cpu.skip_breakpoint()

    def hold_interrupts(self, held: bool) -> None:
        """Let what interrupts the guest wait, or no more; as `Cpu`'s method."""
        self._cpu.hold_interrupts(held)

    @property
    def interrupts_held(self) -> bool:
        """Whether `hold_interrupts` is in force."""
        return self._cpu.interrupts_held

    def latch(self, code: Buffer) -> None:
        """Give the bytes of the instruction at RIP; as `Cpu`'s method.

        A debugger whose INT3 stands there hands the bytes that it has replaced, so that the
        instruction is executed while other vCPUs still find the INT3.
        """
        self._cpu.latch(code)

    def translate(
        self,
        linear: int,
        access: PageAccess | None = PageAccess.READ,
        *,
        user: bool | None = None,
        read: Callable[[int, int], int] | None = None,
    ) -> Translation | Fault | Read:
        """Translate a linear address and touch nothing; as `Cpu`'s method."""
        return self._cpu.translate(linear, access, user=user, read=read)

    def run_through(
        self, mmio: AccessPort, pio: AccessPort, budget: int = DEFAULT_BUDGET
    ) -> Outcome:
        """Run, doing device accesses through ports, until an exit that no port can serve.

        An access that the last exit left undone is done first: a read that was not completed, or
        one that a port refused by raising.

        Args:
            mmio: port of the guest-physical address map.
            pio: port of the I/O port map.
            budget: instructions in total.

        Returns:
            `Halt`, `Fault`, `TripleFault`, `InterruptWindow`, `TprBelowThreshold`, `Hypercall`,
            `ReadMsr`, `WriteMsr`, `ReadPmc`, `Random`, `Unsupported`, `DebugExit` or
            `BudgetSpent`.

        Raises:
            StepError: as `run`.
            RegionError: whatever a port raises. The access is still in flight: call `run_through`
                to try it once more, `complete` a read or `run` on past a write, or `abandon` it.
        """
        words, resume = self._words, self._cpu.resume
        end = words[RETIRED] + budget & ALL_ONES
        kind = words[PENDING]
        if self._answer is None and (kind in {READ, PORT_IN} or (kind and self._refused)):
            self._cpu.allow(budget)
        else:
            outcome = self.run(budget)
            kind = words[PENDING]
            if not kind:
                return outcome
        self._refused = True  # unless the loop below comes to its end
        while True:
            if kind == READ:
                answer = mmio.read(words[ADDRESS], words[SIZE])
            elif kind == PORT_IN:
                try:
                    answer = pio.read(words[ADDRESS], words[SIZE])
                except AccessAddressError as error:
                    answer = past_the_ports(words, error)
            elif kind in WRITES:
                answer = 0
                if words[SIZE] > WORD_BYTES:
                    enqueue(self._cpu, mmio.write)
                else:
                    mmio.write(words[ADDRESS], words[SIZE], words[VALUE])
            elif kind == PORT_OUT:
                answer = 0
                try:
                    pio.write(words[ADDRESS], words[SIZE], words[VALUE])
                except AccessAddressError as error:
                    past_the_ports(words, error)
            else:
                left = end - words[RETIRED] & ALL_ONES
                # `run` goes by slices, so it may be the slice that has ended, not the budget.
                goes_on = not kind and words[RETIRED] == words[LIMIT] and left
                if not goes_on and kind not in self._own:
                    self._refused = False
                    return self._cpu.outcome(kind)
                outcome = self.run(left)
                kind = words[PENDING]
                if not kind:
                    return outcome
                self._refused = True
                continue
            kind = resume(answer)

    def abandon(self) -> None:
        """Forget the instruction that awaits completion; the next run starts it afresh."""
        self._answer, self._refused = None, False
        self._cpu.abandon()
