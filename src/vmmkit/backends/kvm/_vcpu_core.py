# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What is below the methods of a `KvmVcpu`: its descriptor, KVM_RUN, and what comes before it."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from typing import Final

from vmmkit.backends.kvm._access import Access
from vmmkit.backends.kvm._cpuid import CpuidTable, row_of
from vmmkit.backends.kvm._ioctl import Handle, kernel_ioctl, kvm_error
from vmmkit.backends.kvm._kick import Kicker
from vmmkit.backends.kvm._run_page import RunPage
from vmmkit.backends.kvm._spec import (
    CPUID_ENTRY,
    CPUID_HEAD,
    INTERRUPT,
    KVM_GET_CPUID2,
    KVM_INTERRUPT,
    KVM_NMI,
    KVM_RUN,
    KVM_SET_CPUID2,
    RUN_EXIT_REASON,
    RUN_IF_FLAG,
    RUN_READY_FOR_INTERRUPT,
    RUN_REQUEST_INTERRUPT_WINDOW,
    XSAVE_SIZE,
    Cap,
    Exit,
)
from vmmkit.backends.kvm._transfer import ALL_SYNC, StateTransfer
from vmmkit.backends.kvm._vcpu_events import EVENT, IF, VcpuEvents
from vmmkit.backends.kvm._vector_state import XsaveLayout
from vmmkit.backends.kvm.vm import CpuidEntry, KvmVm
from vmmkit.backends.msrs import MsrSource
from vmmkit.errors import StepError
from vmmkit.insn import (
    WORD,
    Cpu,
    CpuState,
    Done,
    Outcome,
)

__all__ = ["DEVICES", "IN_KERNEL", "REASON", "RUN_NUMBER", "VcpuCore"]

REASON: Final = RUN_EXIT_REASON // 4
RUN_NUMBER: Final = KVM_RUN.number
"""Called without an argument, which is 0 then: `fcntl.ioctl` would first take a 0 for a buffer,
twice, and clear the error it made each time, which takes longer than all else it does."""
INTR: Final = int(Exit.INTR)
DEVICES: Final = frozenset({int(Exit.IO), int(Exit.MMIO)})
IN_KERNEL: Final = DEVICES | {int(Exit.X86_RDMSR), int(Exit.X86_WRMSR)}
"""Exits whose instruction the kernel completes in the next KVM_RUN."""
REQUEST: Final = WORD["interrupt_request"]
WINDOW: Final = WORD["window_request"]
PENDING: Final = WORD["log_pending"]
CODE_RIP: Final = WORD["code_rip"]
RETIRED: Final = WORD["retired"]
ALL_ONES: Final = (1 << 64) - 1
HOLD: Final = 2  # of the word `debug_control`
DEBUG_CONTROL: Final = WORD["debug_control"]
CPUID_ROWS: Final = 256  # the most that kernels have


class VcpuCore(VcpuEvents):
    """Everything of a `KvmVcpu` that is not for its owner."""

    def __init__(
        self,
        vm: KvmVm,
        index: int,
        table: Iterable[CpuidEntry],
        msrs: MsrSource | None,
        unknown_msrs: str,
        kick_signal: int,
    ) -> None:
        """Make the vCPU and its buffers."""
        self.vm, self.index = vm, index
        self.ioapic_eoi: Callable[[int], object] | None = None
        self._handle = Handle(vm.create_vcpu_fd(index), f"vCPU {index}")
        self._fd = self._handle.fd
        self._state = CpuState()
        self._events = Cpu(state=self._state, deliver=True)  # checks and notes what is injected
        try:
            self._page = RunPage(self._fd, vm.vcpu_mmap_size)
            self._set_cpuid(table)
            self._transfer = self._make_transfer()
        except BaseException:
            self._handle.close()
            raise
        self._access: Access = Access(self._page)
        self._kicker = Kicker(self._handle, self._page, kick_signal)
        self._msrs, self._msrs_exit = msrs, unknown_msrs == "exit"
        self._answer: int | None = None
        self._refused = False  # whether a port has raised for the access in flight
        self._attention = False  # whether there is more to do before KVM_RUN than to call it
        self._nmi_requested = False
        self._stepping, self._step_rip = False, 0

    def _set_cpuid(self, table: Iterable[CpuidEntry]) -> None:
        """Give the kernel the table and fetch what it has made of it."""
        rows = [CPUID_ENTRY.pack(*row_of(entry)) for entry in table]
        self._handle.call(KVM_SET_CPUID2, CPUID_HEAD.pack(len(rows)) + b"".join(rows))
        size = max(len(rows), CPUID_ROWS)  # a kernel may add rows of its own
        raw = bytearray(CPUID_HEAD.pack(size) + bytes(size * CPUID_ENTRY.size))
        self._handle.call(KVM_GET_CPUID2, raw)
        (count,) = CPUID_HEAD.unpack_from(raw)
        found = memoryview(raw)[CPUID_HEAD.size :][: count * CPUID_ENTRY.size]
        self.cpuid = CpuidTable(CpuidEntry(*row) for row in CPUID_ENTRY.iter_unpack(found))

    def _make_transfer(self) -> StateTransfer:
        vm, cpuid = self.vm, self.cpuid
        return StateTransfer(
            self._handle,
            self._page,
            self._state,
            layout=XsaveLayout(cpuid.places, cpuid.components),
            xsave_size=max(vm.capability(Cap.XSAVE2), XSAVE_SIZE),
            processor=(cpuid.features, cpuid.maxphyaddr),
            has_lapic=vm.irqchip != "none",
            syncs=vm.capability(Cap.SYNC_REGS) & ALL_SYNC == ALL_SYNC,
        )

    # -- KVM_RUN -------------------------------------------------------------------------------

    def _enter(self) -> int:
        """Call KVM_RUN once; return the reason for the exit."""
        if self._attention:
            self._prepare()
        try:
            kernel_ioctl(self._fd, RUN_NUMBER)
        except OSError as error:
            return self._not_run(error)
        return int(self._page.longs[REASON])

    def _not_run(self, error: OSError) -> int:
        """KVM_RUN was interrupted, or has waited for a start-up message, or failed."""
        self._page.longs[REASON] = INTR  # the exit before, which is over, may still be there
        if error.errno not in (errno.EINTR, errno.EAGAIN):
            raise kvm_error("KVM_RUN", error.errno or 0, f"of vCPU {self.index}") from None
        return INTR

    def _prepare(self) -> None:
        """Do what was asked for since the last KVM_RUN."""
        if self._transfer.looked:
            self._push()
        self._attention = False  # first: what is asked for from here on needs another look
        words = self._state.words
        if words[DEBUG_CONTROL] & HOLD:
            self._page.octets[RUN_REQUEST_INTERRUPT_WINDOW] = 0
            return
        if self._nmi_requested:
            self._nmi_requested = False
            self._handle.call(KVM_NMI)
        if words[REQUEST]:
            self._interrupt()
        self._page.octets[RUN_REQUEST_INTERRUPT_WINDOW] = bool(words[REQUEST] or words[WINDOW])

    def _prepare_served(self) -> None:
        """Prepare for KVM_RUN; where that fails, the access of the last exit is done already."""
        try:
            self._prepare()
        except BaseException:
            reason = self._exit_reason()
            if reason in DEVICES:
                self._access.take(reason)
                self._access.skip()
            raise

    def _push(self) -> None:
        """Give the kernel what the owner has changed."""
        transfer, words = self._transfer, self._state.words
        if transfer.changed:
            if self._exit_reason() in IN_KERNEL:
                raise self._changed_in_flight()
            if words[PENDING]:
                raise StepError(
                    "these registers have an instruction in flight; step to its end where it began"
                )
            self._judge_window()
        transfer.push()
        transfer.begin_run(sync=True)

    def _judge_window(self) -> None:
        """Say by the changed registers whether an interrupt is taken; by the last exit's it is not.

        Else each instruction executed here would put an interrupt off for one more window. With a
        local APIC in KVM that alone knows what is let through.
        """
        state, octets = self._state, self._page.octets
        takes = bool(state.rflags & IF) and not (state.interrupt_shadow or state.words[EVENT])
        octets[RUN_READY_FOR_INTERRUPT] = takes and self.vm.irqchip == "none"
        octets[RUN_IF_FLAG] = bool(state.rflags & IF)

    def _changed_in_flight(self) -> StepError:
        return StepError(
            f"an instruction of vCPU {self.index} is in flight; step to its end before "
            "changing registers"
        )

    def _interrupt(self) -> None:
        """Have the interrupt that was requested delivered, if the guest takes it now."""
        if self._exit_reason() in IN_KERNEL or not self._page.octets[RUN_READY_FOR_INTERRUPT]:
            return  # an interrupt window will tell
        with self._kicker.lock:
            vector, self._state.words[REQUEST] = self._state.words[REQUEST] - 1, 0
        self._handle.call(KVM_INTERRUPT, INTERRUPT.pack(vector))
        self._page.octets[RUN_READY_FOR_INTERRUPT] = 0

    def _handle_exit(self, reason: int) -> Outcome | None:
        """Return the outcome, or `None` for nothing that concerns the owner."""
        handler = self.HANDLERS.get(reason)
        return self._unknown_exit() if handler is None else handler(self)

    def _go_on(self) -> Outcome | None:
        """Go on with an instruction that the kernel has no part in."""
        raise NotImplementedError

    # -- guest debug -----------------------------------------------------------------------------

    def _arm(self, stepping: bool) -> None:
        """Have KVM_RUN stop after each instruction, or no more."""
        raise NotImplementedError

    def _single_step(self) -> Outcome:
        """Execute one instruction, or up to its first device access."""
        self._step_rip = self._transfer.rip()
        self._arm(True)
        return self._until_exit()

    def _until_exit(self) -> Outcome:
        """Run until there is something for the owner."""
        outcome: Outcome | None = None
        while outcome is None:
            reason = self._enter()
            if reason in DEVICES:
                self._access.take(reason)
                outcome = self._access.outcome()
            else:
                outcome = self._handle_exit(reason)
        return outcome

    def _complete_in_kernel(self) -> Outcome:
        """Have the kernel complete the instruction in flight, and no more.

        Returns:
            `Done`, or the next access of the same instruction.
        """
        outcome: Outcome | None = None
        while outcome is None:
            self._kicker.expect_immediate_exit()
            try:
                reason = self._enter()
            finally:
                self._kicker.forget_immediate_exit()
            if reason == INTR:
                self._count()
                outcome = Done(self._transfer.rip(), self._transfer.shadow())
            elif reason in DEVICES:
                self._access.take(reason)
                outcome = self._access.outcome()
            else:
                outcome = self._handle_exit(reason)
        return outcome
