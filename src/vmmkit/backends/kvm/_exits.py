# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What each reason for an exit becomes, but for device accesses.

"The Definitive KVM API Documentation", KVM_RUN. A handler returns the outcome, or `None`: the vCPU
goes on. Instructions that the kernel refuses and debug exits are for classes above this one.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any, ClassVar, Final

from vmmkit.backends.kvm._access import Access
from vmmkit.backends.kvm._ioctl import Handle
from vmmkit.backends.kvm._kick import Kicker
from vmmkit.backends.kvm._run_page import RunPage
from vmmkit.backends.kvm._spec import (
    EMULATION_HAS_BYTES,
    EXIT_EMULATION_FAILURE,
    EXIT_FAIL_ENTRY,
    EXIT_INTERNAL,
    EXIT_IOAPIC_EOI,
    KVM_TRANSLATE,
    RUN_CR8,
    RUN_EXIT_REASON,
    RUN_REQUEST_INTERRUPT_WINDOW,
    RUN_UNION,
    TRANSLATION,
    Exit,
    InternalError,
)
from vmmkit.backends.kvm._transfer import StateTransfer
from vmmkit.backends.kvm.vm import KvmVm
from vmmkit.backends.msrs import MsrSource
from vmmkit.errors import KvmError
from vmmkit.insn import (
    MAX_LENGTH,
    WORD,
    BudgetSpent,
    CpuState,
    Done,
    Halt,
    InterruptWindow,
    Outcome,
    ReadMsr,
    TprBelowThreshold,
    TripleFault,
    WriteMsr,
)

__all__ = ["ExitHandlers"]

REQUEST: Final = WORD["interrupt_request"]
WINDOW: Final = WORD["window_request"]
THRESHOLD: Final = WORD["tpr_threshold"]
RETIRED: Final = WORD["retired"]
HLT: Final = 0xF4
PREFIXES: Final = frozenset(
    (0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF2, 0xF3, *range(0x40, 0x50))
)
REASON: Final = RUN_EXIT_REASON // 4
ALL_ONES: Final = (1 << 64) - 1


class ExitHandlers:
    """The handlers, with what they need of a vCPU."""

    index: int
    vm: KvmVm
    ioapic_eoi: Callable[[int], object] | None
    _access: Access
    _attention: bool
    _handle: Handle
    _kicker: Kicker
    _msrs: MsrSource | None
    _msrs_exit: bool
    _page: RunPage
    _state: CpuState
    _step_rip: int
    _stepping: bool
    _transfer: StateTransfer

    def _exit_reason(self) -> int:
        return int(self._page.longs[REASON])

    def _halt(self) -> Outcome:
        return Halt(self._transfer.rip())

    def _shutdown(self) -> Outcome:
        return TripleFault(self._transfer.rip())

    def _interrupted(self) -> Outcome | None:
        """A kick, or a signal of somebody else's."""
        return BudgetSpent(self._transfer.rip()) if self._kicker.interrupted() else None

    def _window(self) -> Outcome | None:
        words = self._state.words
        self._page.octets[RUN_REQUEST_INTERRUPT_WINDOW] = 0
        if words[REQUEST]:
            self._attention = True
            return None
        wanted, words[WINDOW] = words[WINDOW], 0
        return InterruptWindow(self._transfer.rip()) if wanted else None

    def _task_priority(self) -> Outcome | None:
        """CR8 was lowered."""
        below = self._page.octets[RUN_CR8] < self._state.words[THRESHOLD]
        return TprBelowThreshold(self._transfer.rip()) if below else None

    def _end_of_interrupt(self) -> None:
        (vector,) = EXIT_IOAPIC_EOI.unpack_from(self._page.octets, RUN_UNION)
        if self.ioapic_eoi is not None:
            self.ioapic_eoi(vector)

    def _msr_exit(self) -> Outcome | None:
        """Answer an access to an MSR that the kernel does not know, or ask the owner."""
        access = self._access
        access.take(self._exit_reason())
        wanted = access.outcome()
        if self._msrs is None:
            if self._msrs_exit:
                return wanted
            access.refuse()
        elif isinstance(wanted, ReadMsr):
            value = self._msrs.read(wanted.index)
            access.refuse() if value is None else access.done(value)
        elif isinstance(wanted, WriteMsr):
            access.done() if self._msrs.write(wanted.index, wanted.value) else access.refuse()
        access.kind = 0
        return None

    def _host_nmi(self) -> None:
        """Of no interest to a guest: an NMI of the host's."""

    def _debug(self) -> Outcome | None:
        return self._debug_exit()

    def _debug_exit(self) -> Outcome | None:
        """A breakpoint, or the end of a step."""
        raise NotImplementedError

    def _stepped(self) -> Outcome:
        """Return what a single step has done: the kernel reports that of HLT as a step alone."""
        rip = self._transfer.rip()
        length = rip - self._step_rip
        if self.vm.irqchip == "none" and 0 < length <= MAX_LENGTH:
            *prefixes, opcode = self._code(self._step_rip, length) or bytes(1)
            if opcode == HLT and PREFIXES.issuperset(prefixes):
                return Halt(rip)
        return Done(rip, self._transfer.shadow())

    def _code(self, rip: int, length: int) -> bytes:
        """Return bytes of the instruction at `rip`, fewer where a page or the RAM ends."""
        raw = bytearray(TRANSLATION.pack(self._transfer.code_base() + rip, 0, 0, 0, 0))
        self._handle.call(KVM_TRANSLATE, raw)
        _, gpa, valid, _, _ = TRANSLATION.unpack(raw)
        for base, buffer in self.vm.ram if valid else ():
            if base <= gpa < base + len(buffer):
                return bytes(buffer[gpa - base : gpa - base + length])
        return b""

    def _not_emulated(self, code: bytes) -> Outcome | None:
        """An instruction that the kernel cannot emulate; RIP is at it."""
        raise NotImplementedError

    def _count(self) -> None:
        """Count one instruction; the time-stamp counter, which KVM has, does not follow."""
        words = self._state.words
        words[RETIRED] = words[RETIRED] + 1 & ALL_ONES

    def _internal_error(self) -> Outcome | None:
        """What the kernel does not emulate: an instruction, or the delivery of an event.

        Of a delivery KVM reports what hardware said about it. The event is still pending, and who
        executes instructions delivers it first.

        Raises:
            KvmError: the kernel gave up for a reason of its own.
        """
        octets = self._page.octets
        suberror, count, flags, size, held = EXIT_EMULATION_FAILURE.unpack_from(octets, RUN_UNION)
        if suberror in {InternalError.DELIVERY_EV, InternalError.SIMUL_EX}:
            return self._not_emulated(b"")
        if suberror != InternalError.EMULATION:
            raise self._gave_up()
        given = count >= 1 and flags & EMULATION_HAS_BYTES
        return self._not_emulated(held[:size] if given else b"")

    def _gave_up(self) -> KvmError:
        suberror, count, *data = EXIT_INTERNAL.unpack_from(self._page.octets, RUN_UNION)
        told = ", ".join(f"{word:#x}" for word in data[:count])
        message = (
            f"KVM_RUN of vCPU {self.index} at {self._transfer.rip():#x}: internal error "
            f"{suberror} of the kernel, with data [{told}]"
        )
        return KvmError(message, "KVM_RUN", errno.EIO)

    def _failed_entry(self) -> Outcome:
        reason, cpu = EXIT_FAIL_ENTRY.unpack_from(self._page.octets, RUN_UNION)
        message = (
            f"KVM_RUN of vCPU {self.index}: the processor (CPU {cpu}) does not enter the guest, "
            f"hardware reason {reason:#x}; its registers contradict each other"
        )
        raise KvmError(message, "KVM_RUN", errno.EINVAL)

    def _unknown_exit(self) -> Outcome:
        """Refuse an exit that nobody has enabled.

        Raises:
            KvmError: always.
        """
        reason = self._exit_reason()
        message = (
            f"KVM_RUN of vCPU {self.index} returned exit reason {reason}, which nobody asked for"
        )
        raise KvmError(message, "KVM_RUN", errno.ENOSYS)

    HANDLERS: ClassVar[dict[int, Callable[[Any], Outcome | None]]] = {
        Exit.HLT: _halt,
        Exit.INTR: _interrupted,
        Exit.IRQ_WINDOW_OPEN: _window,
        Exit.X86_RDMSR: _msr_exit,
        Exit.X86_WRMSR: _msr_exit,
        Exit.SET_TPR: _task_priority,
        Exit.IOAPIC_EOI: _end_of_interrupt,
        Exit.SHUTDOWN: _shutdown,
        Exit.DEBUG: _debug,
        Exit.INTERNAL_ERROR: _internal_error,
        Exit.FAIL_ENTRY: _failed_entry,
        Exit.NMI: _host_nmi,
    }
