# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Guest debugging by the kernel: KVM_SET_GUEST_DEBUG, and what it reports.

Theory of operation
-------------------
The owner's breakpoints stand in the record of the vCPU's state, where the instruction engine looks
at them when it executes something in the kernel's place. `GuestDebug` puts them into the four debug
registers as well. While it does, the guest's own breakpoints are not in force; the kernel keeps the
guest's debug registers apart, and they count again when the owner has none.

Not every kernel does all of it everywhere. Where it interprets guest code it may not look at data
breakpoints, and a nested host may run ring 3 without a way to step it. A tiny guest finds that out
once for a process (`vmmkit.backends.kvm._debug_probe`): data breakpoints that would never be hit
are refused, and steps that the kernel does not make are made by the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from vmmkit.backends.kvm import _debug_probe
from vmmkit.backends.kvm._second_chance import SINGLE_STEP, EmulatingVcpu
from vmmkit.backends.kvm._spec import (
    EXIT_DEBUG,
    GUEST_DEBUG,
    KVM_SET_GUEST_DEBUG,
    KVM_SET_REGS,
    RUN_DIRTY_REGS,
    RUN_UNION,
    Cap,
)
from vmmkit.backends.kvm._spec import GuestDebug as Control
from vmmkit.backends.kvm._vcpu_events import IF, REQUEST
from vmmkit.backends.kvm.vm import CpuidEntry, KvmVm
from vmmkit.backends.msrs import MsrSource
from vmmkit.errors import StateError
from vmmkit.insn import (
    WORD,
    BreakKind,
    Breakpoint,
    CpuState,
    DebugExit,
    Done,
    EventKind,
    Fault,
    Outcome,
    PageAccess,
    Read,
    Translation,
)

__all__ = [
    "DEBUG_REGISTERS",
    "DebugRegister",
    "DebugSide",
    "GuestDebug",
    "debug_registers",
]

DEBUG_REGISTERS: Final = 4

EXECUTE, WRITE, ACCESS = 0, 1, 3  # R/W fields of DR7: SDM vol. 3B, "Debug Registers"
LENGTHS: Final = {1: 0, 2: 1, 8: 2, 4: 3}  # LEN fields
DR7_FIXED: Final = 0x400
BREAKPOINT_TRAP: Final = 3
CONTROL: Final = WORD["debug_control"]
INT3, HELD, SKIP = 1, 2, 4
EVENT: Final = WORD["event"]
DIRTY: Final = RUN_DIRTY_REGS // 8
DR6_HITS: Final = 0xF
DR6_EVENTS: Final = 0xE000  # BD, BS and BT of DR6
WITHOUT_MASK: Final = Control.ENABLE | Control.SINGLESTEP | Control.USE_SW_BP | Control.USE_HW_BP
"""What kernels take that do not tell."""
DATA: Final = BreakKind.WRITE | BreakKind.READ


class DebugRegister(NamedTuple):
    """What one of DR0 to DR3 watches."""

    slot: int
    """Number of the owner's breakpoint that it serves, or a part of it."""
    kind: int
    """R/W field of DR7."""
    address: int
    size: int

    def control(self, number: int) -> int:
        """Return its bits of DR7, globally enabled, as register `number`."""
        return 2 << 2 * number | (LENGTHS[self.size] << 2 | self.kind) << 16 + 4 * number


def _pieces(first: int, last: int, widest: int) -> Iterable[tuple[int, int]]:
    """Cut a range into naturally aligned pieces of 1, 2, 4 or 8 bytes."""
    while first <= last:
        size = widest
        while first % size or first + size - 1 > last:
            size //= 2
        yield first, size
        first += size


def _parts(slot: int, found: Breakpoint) -> list[DebugRegister]:
    """Return the debug registers that a breakpoint takes; too many to count for a long range."""
    if found.kind & BreakKind.PORT:
        message = f"KVM has no breakpoints on I/O ports: {found!r}"
        raise StateError(message)
    if found.kind & DATA == BreakKind.READ:
        message = f"a debug register cannot watch loads without stores: {found!r}"
        raise StateError(message)
    if found.last - found.first >= 8 * DEBUG_REGISTERS:
        message = f"{found!r} covers more than {DEBUG_REGISTERS} debug registers can watch"
        raise StateError(message)
    kinds = []
    if found.kind & BreakKind.EXECUTE:
        kinds.append((EXECUTE, 1))
    if found.kind & DATA:
        kinds.append((ACCESS if found.kind & BreakKind.READ else WRITE, 8))
    return [
        DebugRegister(slot, kind, address, size)
        for kind, widest in kinds
        for address, size in _pieces(found.first, found.last, widest)
    ]


def debug_registers(breakpoints: Iterable[Breakpoint]) -> tuple[DebugRegister, ...]:
    """Return what the debug registers watch for breakpoints.

    A data breakpoint takes one register for each naturally aligned piece of 1, 2, 4 or 8 bytes.

    Raises:
        StateError: they take more than there are, or one is of a kind that there is not.
    """
    taken = [part for slot, found in enumerate(breakpoints) for part in _parts(slot, found)]
    if len(taken) > DEBUG_REGISTERS:
        message = f"there are {DEBUG_REGISTERS} debug registers, and {len(taken)} are wanted"
        raise StateError(message)
    return tuple(taken)


def _enabled(dr7: int) -> int:
    """Return the bits that enabled breakpoints have in DR6, where others may be set as well.

    SDM vol. 3B, "Debug Status Register (DR6)".
    """
    return sum(1 << number for number in range(DEBUG_REGISTERS) if dr7 >> 2 * number & 3)


class GuestDebug:
    """The guest debugging of one vCPU, as the kernel is told it.

    Args:
        words: of the vCPU's record, with `hold_interrupts`, `skip_breakpoint` and INT3.
        tell: calls KVM_SET_GUEST_DEBUG with a `struct kvm_guest_debug`; the second argument
            says whether it is for a step.
        known: the flags that this kernel takes (KVM_CAP_SET_GUEST_DEBUG2).

    Attributes:
        registers: what DR0 to DR3 watch.
    """

    __slots__ = ("_armed", "_known", "_tell", "_told", "_words", "registers")

    def __init__(
        self, words: memoryview, tell: Callable[[bytes, bool], object], known: int
    ) -> None:
        """Start with nothing to debug."""
        self._words, self._tell, self._known = words, tell, known
        self._told = 0, self._packed(0, ())
        self.registers: tuple[DebugRegister, ...] = ()
        self._armed: tuple[DebugRegister, ...] = ()  # in the kernel; without, the guest's count

    @property
    def skips(self) -> bool:
        """Whether no breakpoint counts at the next instruction."""
        return bool(self._words[CONTROL] & SKIP)

    @property
    def owns_int3(self) -> bool:
        """Whether the next INT3 comes out instead of being executed."""
        return self._words[CONTROL] & (INT3 | SKIP) == INT3

    def instruction_done(self) -> None:
        """Breakpoints count again: the kernel has executed an instruction."""
        self._words[CONTROL] &= ~SKIP

    @staticmethod
    def _packed(control: int, registers: tuple[DebugRegister, ...]) -> bytes:
        dr7 = DR7_FIXED if registers else 0
        for number, register in enumerate(registers):
            dr7 |= register.control(number)
        places = [register.address for register in registers]
        places += [0] * (DEBUG_REGISTERS - len(places))
        return GUEST_DEBUG.pack(control, *places, 0, 0, 0, dr7)

    def arm(self, *, step: bool) -> None:
        """Tell the kernel what the next run is to report; after the registers are written.

        Args:
            step: whether it ends after one instruction.
        """
        control = Control.SINGLESTEP if step else 0
        control |= Control.USE_SW_BP if self.owns_int3 else 0
        registers = () if self.skips else self.registers
        control |= Control.USE_HW_BP if registers else 0
        control |= Control.BLOCKIRQ if self._words[CONTROL] & HELD else 0
        control &= self._known
        control |= Control.ENABLE if control else 0
        wanted, self._armed = (control, self._packed(control, registers)), registers
        if step or wanted != self._told:  # a step begins at the RIP that it is told at
            self._tell(wanted[1], step)
            self._told = wanted

    def hit(self, exception: int, linear: int, dr6: int, rip: int) -> DebugExit | None:
        """Return the owner's breakpoint that KVM_EXIT_DEBUG tells of; `None` if there is none.

        Then it was a single step, the owner's or the guest's, or a breakpoint of the guest's.

        Args:
            exception: the exit's vector.
            linear: its linear address.
            dr6: its debug status.
            rip: the register.
        """
        if exception == BREAKPOINT_TRAP:
            return DebugExit(rip, 0, 0, linear)
        for number, (slot, kind, address, _) in enumerate(self._armed):
            if dr6 >> number & 1:
                return DebugExit(rip, CAUSES[kind], slot, address)
        return None

    def of_guest(self, dr6: int) -> int:
        """Return what of KVM_EXIT_DEBUG's `dr6` can be the guest's."""
        return dr6 & (DR6_EVENTS | (0 if self._armed else DR6_HITS))


CAUSES: Final = {
    EXECUTE: int(BreakKind.EXECUTE),
    WRITE: int(BreakKind.WRITE),
    ACCESS: int(BreakKind.ACCESS),
}


class DebugSide(EmulatingVcpu):
    """What a `KvmVcpu` has for a debugger; it fits `DebuggableVcpu`.

    The owner's breakpoints are in the processor's debug registers, so there are four. They count
    for what the kernel runs and for what the second chance executes.
    """

    breakpoint_slots: Final = DEBUG_REGISTERS
    """How many breakpoints `set_breakpoints` takes."""

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
        known = vm.capability(Cap.SET_GUEST_DEBUG2) or WITHOUT_MASK
        self._guest_debug = GuestDebug(self._state.words, self._tell_guest_debug, known)

    @property
    def breakpoints(self) -> tuple[Breakpoint, ...]:
        """The owner's breakpoints, by slot."""
        return self._events.breakpoints

    def set_breakpoints(
        self, breakpoints: Iterable[Breakpoint] = (), *, int3: bool = False
    ) -> None:
        """Set all breakpoints of the owner, in place of those before.

        A hit comes out as `DebugExit`: before the instruction for `EXECUTE` and INT3, after it for
        data. While there are any, the guest's own are not in force.

        Args:
            breakpoints: of the kinds `EXECUTE`, `WRITE` and `ACCESS`. Each takes one of four debug
                registers, or more where its range is not a naturally aligned 1, 2, 4 or 8 bytes.
            int3: whether the instruction INT3 (CCH) comes out instead of being executed.

        Raises:
            StateError: too many, of a kind or range that debug registers cannot watch, or on data
                where this kernel never reports them. The breakpoints before are still there then.
        """
        given = tuple(breakpoints)
        registers = debug_registers(given)
        if any(register.kind != EXECUTE for register in registers):
            _debug_probe.require_data_breakpoints()
        self._events.set_breakpoints(given, int3=int3)
        self._guest_debug.registers = registers

    def skip_breakpoint(self) -> None:
        """Have no breakpoint and no INT3 of the owner count at the next instruction."""
        self._events.skip_breakpoint()

    def hold_interrupts(self, held: bool) -> None:
        """Let external interrupts and NMIs wait, or no more; those of the kernel's, too."""
        self._events.hold_interrupts(held)
        self._attention = True

    def translate(
        self,
        linear: int,
        access: PageAccess | None = PageAccess.READ,
        *,
        user: bool | None = None,
        read: Callable[[int, int], int] | None = None,
    ) -> Translation | Fault | Read:
        """Translate a linear address and touch nothing; as `vmmkit.insn.Cpu.translate`."""
        self._look()
        return self._second.cpu.translate(linear, access, user=user, read=read)

    # -- KVM_RUN -------------------------------------------------------------------------------

    def _arm(self, stepping: bool) -> None:
        """Tell the kernel what KVM_RUN is to stop for."""
        self._stepping = stepping
        self._guest_debug.arm(step=stepping)

    def _tell_guest_debug(self, packed: bytes, step: bool) -> None:
        """Call KVM_SET_GUEST_DEBUG; a step begins at the RIP that the kernel has then."""
        if step and self._attention:
            self._prepare()
        if step and self._page.quads[DIRTY]:
            self._page.quads[DIRTY] = 0
            self._handle.call(KVM_SET_REGS, self._page.regs_bytes)
        self._handle.call(KVM_SET_GUEST_DEBUG, packed)

    def _count(self) -> None:
        super()._count()
        self._guest_debug.instruction_done()

    def _single_step(self) -> Outcome:
        """Execute one instruction, or up to its first device access."""
        if self._steps_here():
            self._stepping = True
            outcome = self._execute(b"", leave_faults=True)
            if isinstance(outcome, Fault):  # the kernel would push the TF that it steps with
                self._second.raise_fault(outcome)
                outcome = self._execute(b"")
            return outcome or Done(self._state.rip, self._state.interrupt_shadow)
        return super()._single_step()

    def _steps_here(self) -> bool:
        """Whether the next instruction is one that the kernel runs without a way to step it."""
        state = self._look()
        in_ring_3 = state.mode == 64 and state.cs.selector & 3 == 3
        return in_ring_3 and not self._delivers(state) and not _debug_probe.steps_user_code()

    def _delivers(self, state: CpuState) -> bool:
        """Whether an interrupt that was asked for comes first, which leads out of ring 3."""
        words = state.words
        if words[EVENT] or self.interrupts_held:
            return False
        interrupt = words[REQUEST] and state.rflags & IF and not state.interrupt_shadow
        return bool(interrupt or (self._nmi_requested and not state.nmi_blocked))

    def _debug_exit(self) -> Outcome | None:
        """A breakpoint, the end of a step, or a debug trap of the guest's own."""
        exception, linear, dr6, _ = EXIT_DEBUG.unpack_from(self._page.octets, RUN_UNION)
        rip = self._transfer.rip()
        found = self._guest_debug.hit(exception, linear, dr6, rip)
        if found is None and not self._step_is_over(dr6):
            return None
        if found is None or found.cause & DATA:
            self._count()
        return found or self._stepped()

    def _step_is_over(self, dr6: int) -> bool:
        """Give the guest what is its own of a debug exit; tell whether a step of the owner's ends.

        A breakpoint of the guest's on the instruction to be stepped comes before it is executed.
        """
        conditions = self._guest_debug.of_guest(dr6)
        if conditions & DR6_HITS:
            conditions &= DR6_EVENTS | _enabled(self._look().dr7)
        if self._stepping:
            conditions &= ~SINGLE_STEP
        over = self._stepping and (bool(dr6 & SINGLE_STEP) or not conditions)
        if conditions or not over:
            self._look()
            self._events.inject(1, None, address=conditions, kind=EventKind.EXCEPTION)
        return over
