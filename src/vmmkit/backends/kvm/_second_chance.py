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

Nothing is visible to the guest before the instruction is complete, but what KVM itself has done
before it gave up: of CMPXCHG16B it reads both halves of the operand, and then refuses it, so that a
device is read a second time.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from vmmkit.backends._odd_accesses import WORD_BYTES, enqueue, past_the_ports
from vmmkit.backends.kvm._access import Access
from vmmkit.backends.kvm._run_page import RunPage
from vmmkit.backends.kvm._vcpu_core import IN_KERNEL, VcpuCore
from vmmkit.backends.kvm.vm import CpuidEntry, KvmVm
from vmmkit.backends.msrs import MsrSource
from vmmkit.errors import AccessAddressError, DecodeError
from vmmkit.insn import (
    WORD,
    BudgetSpent,
    Cpu,
    Cpuid,
    CpuState,
    DebugExit,
    Done,
    EventKind,
    ExitKind,
    Fault,
    Hypercall,
    Outcome,
    PortIn,
    PortOut,
    Random,
    Read,
    ReadMsr,
    ReadPmc,
    Unsupported,
    Write,
    WriteMsr,
    decode,
)
from vmmkit.insn.cpuid import CpuidSource
from vmmkit.protocols import AccessPort

if TYPE_CHECKING:
    from typing_extensions import Buffer

    Answer = int | tuple[int, int, int, int] | None

__all__ = ["EmulatingVcpu", "Emulation", "SecondChance"]

TF: Final = 0x100
RF: Final = 1 << 16
CR0_PE: Final = 1
DEBUG_TRAP: Final = 1
KVM_EPERM: Final = 1  # "Linux KVM Hypercall" of the kernel's documentation
SINGLE_STEP: Final = 1 << 14  # DR6.BS
AFTER_STACK_LOAD: Final = 2
# SDM vol. 3A, "Exceptions and Interrupts": vectors that push an error code.
WITH_ERROR_CODE: Final = frozenset({8, 10, 11, 12, 13, 14, 17, 21})
UNKNOWN: Final = "(unknown)"
EVENT: Final = WORD["event"]
RETIRED: Final = WORD["retired"]
TSC_OFFSET: Final = WORD["tsc_offset"]
ALL_ONES: Final = (1 << 64) - 1


class SecondChance:
    """Executes single instructions on a vCPU's registers and RAM.

    Args:
        state: the registers, which the owner has read from the kernel before each call, and writes
            back afterwards.
        inject: has an exception delivered before anything else: vector, error code or `None`,
            and what goes to CR2 or DR6.
        cpuid: answers CPUID.
        ram: returns `(gpa, buffer)` pieces of whole pages; another tuple when they have changed.
        engine: as for `vmmkit.insn.Cpu`.

    Attributes:
        emulated: how many instructions were executed here, by mnemonic.
    """

    __slots__ = (
        *("_cpu", "_cpuid", "_engine", "_given", "_go", "_inject", "_name", "_ram", "_retired"),
        *("_state", "_trapped", "emulated"),
    )

    def __init__(
        self,
        state: CpuState,
        inject: Callable[[int, int | None, int], object],
        cpuid: CpuidSource,
        ram: Callable[[], tuple[tuple[int, Buffer], ...]],
        engine: str | None = None,
    ) -> None:
        """Bind the registers; RAM is looked at when it is needed."""
        self._state, self._inject, self._cpuid = state, inject, cpuid
        self._ram, self._engine = ram, engine
        self._given: tuple[tuple[int, Buffer], ...] | None = None
        self._cpu = Cpu((), engine=engine, state=state)
        self._go: Callable[[Answer], Outcome] = self._cpu.step
        self._name, self._trapped, self._retired = UNKNOWN, False, 0
        self.emulated: Counter[str] = Counter()

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

    def release(self) -> None:
        """Let go of RAM, so that its owner can close it."""
        self._cpu, self._given = Cpu((), engine=self._engine, state=self._state), None
        self._go = self._cpu.step

    def begin(
        self, code: bytes = b"", *, single: bool = False, leave_faults: bool = False
    ) -> Outcome:
        """Execute the instruction at RIP, or begin to.

        A repeated string instruction does up to `vmmkit.insn.STEP_BATCH` elements, and may be at
        RIP still.

        Args:
            code: its bytes, as far as the exit has brought them along; what is missing is fetched.
            single: whether a repeated string instruction does one element only, as it does by
                itself while the guest single-steps.
            leave_faults: whether an exception comes out as `Fault`, and is not the guest's yet.

        Returns:
            `Done` where the guest can go on, with an exception pending perhaps; `Read`, `Write`,
            `PortIn` or `PortOut` to be answered with `resume`; any other outcome of an instruction
            for the owner.
        """
        cpu, state = self.cpu, self._state
        if code:
            cpu.latch(code)
        self._name = self._mnemonic(code)
        self._retired = state.words[RETIRED]
        # Delivering an event is no instruction, and clears TF.
        self._trapped = bool(state.rflags & TF) and not state.words[EVENT]
        self._go = self._one_element if single or self._trapped else cpu.step
        return self._settle(self._go(None), leave_faults=leave_faults)

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

    def _settle(self, outcome: Outcome, *, leave_faults: bool = False) -> Outcome:
        """Answer what the vCPU can answer by itself, and have faults injected."""
        while (answer := self._known_answer(outcome)) is not None:
            outcome = self._go(answer)
        if self._cpu.awaits_answer:
            return outcome
        if isinstance(outcome, Hypercall):
            outcome = self._refuse_hypercall()
        self._stop_time()
        if isinstance(outcome, Fault) and leave_faults:
            return outcome
        if isinstance(outcome, Fault):
            self.raise_fault(outcome)
            return Done(self._state.rip, 0)
        if not isinstance(outcome, Unsupported) and not self._is_breakpoint(outcome):
            self._completed()
        return outcome

    def _stop_time(self) -> None:
        """Leave the time-stamp counter alone: to the engine it goes on with each instruction."""
        words = self._state.words
        passed = words[RETIRED] - self._retired
        words[TSC_OFFSET] = words[TSC_OFFSET] - passed & ALL_ONES

    def _known_answer(self, outcome: Outcome) -> Answer:
        if isinstance(outcome, Cpuid):
            return self._cpuid(self._state, *outcome)
        if isinstance(outcome, Random):
            return int.from_bytes(os.urandom(outcome.size), "little")
        if isinstance(outcome, ReadPmc):  # an engine has no counters; #GP, as without them in KVM
            self._cpu.refuse()
            return 0
        return None

    def _refuse_hypercall(self) -> Outcome:
        """Answer a hypercall of ring 3 as KVM does; no other comes here."""
        self._state.rax = -KVM_EPERM & ALL_ONES
        return Done(self._state.rip, 0)

    @staticmethod
    def _is_breakpoint(outcome: Outcome) -> bool:
        """Whether the instruction has not begun, because of a breakpoint of the owner's at it."""
        return isinstance(outcome, DebugExit) and outcome.cause in {0, 1}

    def _completed(self) -> None:
        """Count the instruction, and have the guest's single step trap after it."""
        self.emulated[self._name] += 1
        state = self._state
        if self._trapped and state.interrupt_shadow != AFTER_STACK_LOAD:
            self._inject(DEBUG_TRAP, None, SINGLE_STEP)

    def raise_fault(self, fault: Fault) -> None:
        """Have a fault delivered; RF is pushed set, so that it restarts without breakpoints."""
        has_error = fault.vector in WITH_ERROR_CODE and bool(self._state.cr0 & CR0_PE)
        self._state.rflags |= RF
        self._inject(fault.vector, fault.error if has_error else None, fault.address)


class Emulation(Access):
    """The access that an instruction executed here asks for, in the place of an exit's.

    Args:
        page: as for `Access`.
        chance: executes instructions.
    """

    __slots__ = ("_answer", "_chance", "_left", "_outcome")

    def __init__(self, page: RunPage, chance: SecondChance) -> None:
        """Begin with nothing in flight."""
        super().__init__(page)
        self._chance, self._left = chance, False
        self._outcome: Outcome = Done(0, 0)
        self._answer: int | None = None

    def begin(self, code: bytes, *, single: bool, leave_faults: bool) -> None:
        """Begin with the instruction at RIP; as `SecondChance.begin`."""
        self._take(self._chance.begin(code, single=single, leave_faults=leave_faults))

    def _take(self, outcome: Outcome) -> None:
        self._outcome, self._answer = outcome, None
        self._left = self._chance.awaits_answer
        if self._left:
            self.kind = KINDS[type(outcome)]

    @property
    def reads(self) -> bool:
        """Whether it needs a value."""
        return isinstance(self._outcome, Read | PortIn | ReadMsr)

    @property
    def of_msr(self) -> bool:
        """Whether it is to an MSR."""
        return isinstance(self._outcome, ReadMsr | WriteMsr)

    @property
    def left(self) -> bool:
        """Whether it is to be done."""
        return self._left

    def outcome(self) -> Outcome:
        """Return the access, or what the instruction has ended with."""
        return self._outcome

    def done(self, answer: int = 0) -> None:
        """Take the `answer` to a read, or know that a write is done."""
        self._answer, self._left = answer if self.reads else None, False

    def refuse(self) -> None:
        """Refuse the access to an MSR."""
        self._chance.refuse()
        self._left = False

    def go_on(self) -> Outcome | None:
        """Go on with the instruction; return its next access, or an end that is the owner's."""
        if self._chance.awaits_answer:
            self._take(self._chance.resume(self._answer))
        return None if isinstance(self._outcome, Done) else self._outcome

    def serve(self, mmio: AccessPort, pio: AccessPort) -> None:
        """Do this and all other accesses of the instruction through ports.

        What a port refuses by raising is still left.
        """
        while self._left and not self.of_msr:
            match self._outcome:
                case Read(address, size):
                    self.done(mmio.read(address, size))
                case Write(address, size, value) if size <= WORD_BYTES:
                    mmio.write(address, size, value)
                    self.done()
                case Write():
                    enqueue(self._chance.cpu, mmio.write)
                    self.done()
                case PortIn(address, size):
                    self.done(self._port(pio.read, address, size))
                case PortOut(address, size, value):
                    self._port(pio.write, address, size, value)
                    self.done()
            self._take(self._chance.resume(self._answer))

    def _port(self, access: Callable[..., int | None], *what: int) -> int:
        try:
            return access(*what) or 0
        except AccessAddressError as error:
            return past_the_ports(self._chance.cpu.state.words, error)


class EmulatingVcpu(VcpuCore):
    """What a `KvmVcpu` does with instructions that the kernel refuses.

    Attributes:
        emulated: how many were executed here, by mnemonic.
    """

    def __init__(
        self,
        vm: KvmVm,
        index: int,
        table: Iterable[CpuidEntry],
        msrs: MsrSource | None,
        unknown_msrs: str,
        kick_signal: int,
    ) -> None:
        """Make the vCPU; as `VcpuCore`."""
        super().__init__(vm, index, table, msrs, unknown_msrs, kick_signal)
        self._second = SecondChance(self._state, self._raise_in_guest, self.cpuid, lambda: vm.ram)
        self.emulated = self._second.emulated
        self._kernels = self._access
        self._emulation = Emulation(self._page, self._second)

    def _raise_in_guest(self, vector: int, error: int | None, address: int) -> None:
        self._events.inject(vector, error, address=address, kind=EventKind.EXCEPTION)

    def _not_emulated(self, code: bytes) -> Outcome | None:
        """An instruction that the kernel cannot emulate; RIP is at it."""
        return self._execute(code)

    def _execute(self, code: bytes, *, leave_faults: bool = False) -> Outcome | None:
        """Execute the instruction at RIP, or begin to; return what is for the owner."""
        self._look()
        self._attention = True  # what it changes goes to the kernel
        self._access = self._emulation
        self._emulation.begin(code, single=self._stepping, leave_faults=leave_faults)
        if self._emulation.left:
            return self._emulation.outcome()
        outcome = self._go_on()
        if outcome is None and self._stepping:
            return Done(self._state.rip, self._state.interrupt_shadow)
        return outcome

    def _go_on(self) -> Outcome | None:
        """Go on with the instruction that is executed here, if there is one."""
        if self._access is not self._emulation:
            return None
        outcome = self._emulation.go_on()
        if not self._emulation.left:
            self._emulation.kind = 0
            self._access = self._kernels
        return outcome

    def _forget_registers(self) -> None:
        """Drop what the owner has changed, and with it an instruction that is executed here."""
        if self._access is self._emulation:
            self._second.abandon()
            self._emulation.kind = 0
            self._access = self._kernels
            self._answer, self._refused = None, False
        self._transfer.forget()

    def _complete_in_kernel(self) -> Outcome:
        """As `VcpuCore`; of an instruction that was executed here there is nothing to complete."""
        if self._exit_reason() in IN_KERNEL:
            return super()._complete_in_kernel()
        state = self._state
        return Done(state.rip, state.interrupt_shadow)

    def _serve_emulation(
        self, mmio: AccessPort, pio: AccessPort, outcome: Outcome | None
    ) -> Outcome | None:
        """Do the accesses of an instruction that is executed here, if `outcome` is the first.

        Returns:
            What is for the owner.
        """
        if self._access is not self._emulation or self._emulation.of_msr:
            return outcome
        self._serve_left(mmio, pio)
        return self._go_on()

    def _serve_left(self, mmio: AccessPort, pio: AccessPort) -> None:
        """Do what is left of the access in flight."""
        raise NotImplementedError


KINDS: Final[dict[type[Outcome], int]] = {
    Read: int(ExitKind.READ),
    Write: int(ExitKind.WRITE),
    PortIn: int(ExitKind.PORT_IN),
    PortOut: int(ExitKind.PORT_OUT),
    ReadMsr: int(ExitKind.READ_MSR),
    WriteMsr: int(ExitKind.WRITE_MSR),
}
