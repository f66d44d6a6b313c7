# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Interrupts, and events that the owner of a vCPU in KVM makes."""

from __future__ import annotations

import errno
from typing import Final

from vmmkit.backends.kvm._exits import ExitHandlers
from vmmkit.backends.kvm._ioctl import kvm_error
from vmmkit.backends.kvm._spec import RUN_IF_FLAG, RUN_READY_FOR_INTERRUPT
from vmmkit.errors import StepError
from vmmkit.insn import WORD, Cpu, CpuState, EventKind

__all__ = ["EVENT", "IF", "REQUEST", "VcpuEvents"]

IF: Final = 1 << 9
ALL_ONES: Final = (1 << 64) - 1
PENDING: Final = WORD["log_pending"]
CODE_RIP: Final = WORD["code_rip"]
EVENT: Final = WORD["event"]
REQUEST: Final = WORD["interrupt_request"]
WINDOW: Final = WORD["window_request"]


class VcpuEvents(ExitHandlers):
    """What a `KvmVcpu` has for interrupts, without those of a local APIC in KVM."""

    _events: Cpu
    _nmi_requested: bool

    def _look(self) -> CpuState:
        """Return the registers, fetched from the kernel where they are not here."""
        if not self._transfer.looked:
            self._check_stands("state")
            self._transfer.pull()
            self._note_in_flight()
            self._attention = True
        return self._state

    def _note_in_flight(self) -> None:
        """Show in the record whether an instruction is in flight, which no engine can go on with.

        The RIP it was fetched at is none, so that it is stale for whoever takes the record.
        """
        words = self._state.words
        words[PENDING] = self._access.kind
        words[CODE_RIP] = self._state.rip ^ ALL_ONES

    @property
    def interrupt_window(self) -> bool:
        """Whether an external interrupt could be delivered now."""
        if self._access.kind or self.interrupts_held:
            return False
        octets = self._page.octets
        if self.vm.irqchip != "none":  # KVM alone knows what the local APIC lets through
            return bool(octets[RUN_READY_FOR_INTERRUPT] and octets[RUN_IF_FLAG])
        if octets[RUN_READY_FOR_INTERRUPT] and not self._transfer.looked:
            return bool(octets[RUN_IF_FLAG])
        state = self._look()
        return bool(state.rflags & IF) and not state.interrupt_shadow and not self.event_pending

    @property
    def event_pending(self) -> bool:
        """Whether an event is being delivered, or will be before anything else."""
        return bool(self._look().words[EVENT])

    def request_interrupt(self, vector: int) -> None:
        """Have an external interrupt delivered as soon as the guest takes one.

        One interrupt waits at a time; a second request takes the place of the first. Other threads
        may call this. Not where KVM has the interrupt controllers; where it has the local APICs
        alone, this is an interrupt of the owner's 8259A.

        Raises:
            StepError: no such vector, or KVM has the interrupt controllers.
        """
        self._check_who_interrupts()
        with self._kicker.lock:
            self._events.request_interrupt(vector)
        self._ask()

    def request_interrupt_window(self) -> None:
        """Have the run end with `InterruptWindow` as soon as the guest takes an interrupt.

        For an interrupt controller that tells the vector only then. Other threads may call this.

        Raises:
            StepError: KVM has the interrupt controllers.
        """
        self._check_who_interrupts()
        self._events.request_interrupt_window()
        self._ask()

    def _check_who_interrupts(self) -> None:
        if self.vm.irqchip == "kernel":
            raise StepError(
                f"the interrupts of vCPU {self.index} are those of KVM's controllers: raise them "
                "by `line` or `msi` of its virtual machine"
            )

    def nmi(self) -> None:
        """Have an NMI delivered, after the handler of the one before.

        Other threads may call this.
        """
        self._nmi_requested = True
        self._ask()

    def _forget_requests(self) -> None:
        """Have no interrupt, window or NMI that was asked for come; the vCPU stands."""
        with self._kicker.lock:
            self._state.words[REQUEST] = self._state.words[WINDOW] = 0
            self._nmi_requested = False

    def _ask(self) -> None:
        """Have the vCPU's thread look at what it is to do before it runs the guest on."""
        self._check_open("request")
        self._attention = True
        self._kicker.wake()

    def inject(
        self,
        vector: int,
        error_code: int | None = None,
        *,
        address: int = 0,
        kind: EventKind | None = None,
    ) -> None:
        """Have an event delivered before anything else; as `Cpu`'s method.

        Raises:
            StepError: an instruction or event is in flight, or an argument is out of range.
        """
        self._look()  # there it is put
        self._events.inject(vector, error_code, address=address, kind=kind)

    @property
    def interrupts_held(self) -> bool:
        """Whether a debugger has external interrupts and NMIs wait."""
        return self._events.interrupts_held

    def _check_stands(self, what: str) -> None:
        """Refuse what would wait for the end of another thread's run, with the caller's locks held.

        Raises:
            StepError: the vCPU runs on another thread.
            KvmError: it is closed.
        """
        self._check_open(what)
        if self._kicker.runs_elsewhere:
            raise StepError(
                f"{what} of vCPU {self.index}, which runs on another thread: kick it, or end the "
                "machine's run, and ask when it stands"
            )

    def _check_open(self, what: str) -> None:
        if self._handle.fd < 0:
            raise kvm_error(what, errno.EBADF, f"on vCPU {self.index}")
        if self.vm.fd < 0:
            raise kvm_error(what, errno.EBADF, f"on vCPU {self.index}: its virtual machine")
