# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Instructions that KVM refuses, executed here.

Theory of operation
-------------------
KVM has an instruction emulator of its own, for accesses to devices and wherever the processor does
not run the guest directly. What it cannot execute it reports as KVM_EXIT_INTERNAL_ERROR with the
suberror KVM_INTERNAL_ERROR_EMULATION; with KVM_CAP_EXIT_ON_EMULATION_FAILURE the bytes come along,
whatever the guest's privilege ("The Definitive KVM API Documentation", KVM_RUN). RIP is still at
the instruction and no register has changed. The exit tells no address: a `vmmkit.insn.Cpu` on the
vCPU's own registers and RAM finds the operands, walks the guest's page tables and leaves its
accesses to devices to whoever runs the vCPU.

KVM may have read from a device before it gave up: it reads both halves of the operand of
CMPXCHG16B, and then refuses it. `KernelReads` remembers what the device answered, so that it is not
asked again.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from vmmkit.errors import DecodeError
from vmmkit.insn import (
    BudgetSpent,
    Cpu,
    Cpuid,
    CpuState,
    DebugExit,
    Done,
    EventKind,
    Fault,
    Outcome,
    Random,
    Read,
    Unsupported,
    decode,
)
from vmmkit.insn.cpuid import CpuidSource

if TYPE_CHECKING:
    from typing_extensions import Buffer

    Answer = int | tuple[int, int, int, int] | None

__all__ = ["KernelReads", "SecondChance", "VcpuSide"]

TF: Final = 0x100
RF: Final = 1 << 16
CR0_PE: Final = 1
DEBUG_TRAP: Final = 1
SINGLE_STEP: Final = 1 << 14  # DR6.BS
AFTER_STACK_LOAD: Final = 2
# SDM vol. 3A, "Exceptions and Interrupts": vectors that push an error code.
WITH_ERROR_CODE: Final = frozenset({8, 10, 11, 12, 13, 14, 17, 21})
UNKNOWN: Final = "(unknown)"


class VcpuSide(Protocol):
    """What the second chance asks of its vCPU. Caller: `SecondChance`."""

    def inject(
        self,
        vector: int,
        error_code: int | None = None,
        *,
        address: int = 0,
        kind: EventKind | None = None,
    ) -> None:
        """Have an exception delivered before anything else."""
        ...


class KernelRead(NamedTuple):
    """One device read that an instruction has made in the kernel."""

    rip: int
    gpa: int
    size: int
    value: int


class KernelReads:
    """The device reads of the instruction that the kernel is emulating.

    They are known by the RIP at which each was made; a write, which the kernel makes last, or a
    read of another instruction begins anew.
    """

    __slots__ = ("_reads",)

    def __init__(self) -> None:
        """Start with none."""
        self._reads: list[KernelRead] = []

    def add(self, rip: int, gpa: int, size: int, value: int) -> None:
        """Note what a device has answered the instruction at `rip`."""
        if self._reads and self._reads[-1].rip != rip:
            self._reads.clear()
        self._reads.append(KernelRead(rip, gpa, size, value))

    def clear(self) -> None:
        """Forget them: the instruction is complete."""
        self._reads.clear()

    def take(self, rip: int, wanted: Read) -> int | None:
        """Return what the first read has given, if it is the one wanted; `None` if it is not.

        A read that is not wanted was not made for this instruction, nor were those after it.
        """
        if self._reads and self._reads[0][:3] == (rip, *wanted):
            return self._reads.pop(0).value
        self._reads.clear()
        return None


class SecondChance:
    """Executes single instructions on a vCPU's registers and RAM.

    Args:
        state: the registers, which the owner has read from the kernel before each call, and writes
            back afterwards.
        vcpu: takes exceptions.
        cpuid: answers CPUID.
        ram: returns `(gpa, buffer)` pieces of whole pages; another tuple when they have changed.
        engine: as for `vmmkit.insn.Cpu`.

    Attributes:
        emulated: how many instructions were executed here, by mnemonic.
        reads: what the kernel has read for the instruction that it is emulating.
    """

    __slots__ = (
        *(
            "_cpu",
            "_cpuid",
            "_engine",
            "_given",
            "_go",
            "_name",
            "_ram",
            "_state",
            "_trapped",
            "_vcpu",
        ),
        *("emulated", "reads"),
    )

    def __init__(
        self,
        state: CpuState,
        vcpu: VcpuSide,
        cpuid: CpuidSource,
        ram: Callable[[], tuple[tuple[int, Buffer], ...]],
        engine: str | None = None,
    ) -> None:
        """Bind the registers; RAM is looked at when it is needed."""
        self._state, self._vcpu, self._cpuid = state, vcpu, cpuid
        self._ram, self._engine = ram, engine
        self._given: tuple[tuple[int, Buffer], ...] | None = None
        self._cpu = Cpu((), engine=engine, state=state)
        self._go: Callable[[Answer], Outcome] = self._cpu.step
        self._name, self._trapped = UNKNOWN, False
        self.emulated: Counter[str] = Counter()
        self.reads = KernelReads()

    @property
    def cpu(self) -> Cpu:
        """The engine, with the RAM that there is now."""
        ram = self._ram()
        if ram is not self._given:
            self._cpu = Cpu(ram, engine=self._engine, state=self._state)
            self._given = ram
        return self._cpu

    @property
    def awaits_answer(self) -> bool:
        """Whether an instruction waits for a device; `resume` goes on with it."""
        return self._cpu.awaits_answer

    def begin(self, code: bytes = b"", *, single: bool = False) -> Outcome:
        """Execute the instruction at RIP, or begin to.

        A repeated string instruction does up to `vmmkit.insn.STEP_BATCH` elements, and may be at
        RIP still.

        Args:
            code: its bytes, as far as the exit has brought them along; what is missing is fetched.
            single: whether a repeated string instruction does one element only, as it does by
                itself while the guest single-steps.

        Returns:
            `Done` where the guest can go on, with an exception pending perhaps; `Read`, `Write`,
            `PortIn` or `PortOut` to be answered with `resume`; any other outcome of an instruction
            for the owner.
        """
        cpu, state = self.cpu, self._state
        if code:
            cpu.latch(code)
        self._name = self._mnemonic(code)
        self._trapped = bool(state.rflags & TF)
        self._go = self._one_element if single or self._trapped else cpu.step
        return self._settle(self._go(None))

    def _one_element(self, answer: Answer) -> Outcome:
        outcome = self._cpu.run(1, answer)
        return Done(*outcome, 0) if isinstance(outcome, BudgetSpent) else outcome

    def resume(self, answer: int | None = None) -> Outcome:
        """Go on with the instruction after a device access; as `begin`.

        Args:
            answer: what was read, where something was.
        """
        return self._settle(self._go(answer))

    def refuse(self) -> None:
        """Refuse the MSR access in flight; as `Cpu.refuse`."""
        self._cpu.refuse()

    def abandon(self) -> None:
        """Forget the instruction in flight."""
        self._cpu.abandon()

    def _mnemonic(self, code: bytes) -> str:
        try:
            return decode(code, self._state.mode).mnemonic
        except DecodeError:
            return UNKNOWN

    def _settle(self, outcome: Outcome) -> Outcome:
        """Answer what the vCPU can answer by itself, and have faults injected."""
        while (answer := self._known_answer(outcome)) is not None:
            outcome = self._go(answer)
        if self._cpu.awaits_answer:
            return outcome
        self.reads.clear()
        if isinstance(outcome, Fault):
            self._inject(outcome)
            return Done(self._state.rip, 0)
        if not isinstance(outcome, Unsupported) and not self._is_breakpoint(outcome):
            self._completed()
        return outcome

    def _known_answer(self, outcome: Outcome) -> Answer:
        if isinstance(outcome, Read):
            return self.reads.take(self._state.rip, outcome)
        if isinstance(outcome, Cpuid):
            return self._cpuid(self._state, *outcome)
        if isinstance(outcome, Random):
            return int.from_bytes(os.urandom(outcome.size), "little")
        return None

    @staticmethod
    def _is_breakpoint(outcome: Outcome) -> bool:
        """Whether the instruction has not begun, because of a breakpoint of the owner's at it."""
        return isinstance(outcome, DebugExit) and outcome.cause in {0, 1}

    def _completed(self) -> None:
        """Count the instruction, and have the guest's single step trap after it."""
        self.emulated[self._name] += 1
        state = self._state
        if self._trapped and state.interrupt_shadow != AFTER_STACK_LOAD:
            self._vcpu.inject(DEBUG_TRAP, address=SINGLE_STEP, kind=EventKind.EXCEPTION)

    def _inject(self, fault: Fault) -> None:
        """Have a fault delivered; RF is pushed set, so that it restarts without breakpoints."""
        has_error = fault.vector in WITH_ERROR_CODE and bool(self._state.cr0 & CR0_PE)
        self._state.rflags |= RF
        self._vcpu.inject(
            fault.vector,
            fault.error if has_error else None,
            address=fault.address,
            kind=EventKind.EXCEPTION,
        )
