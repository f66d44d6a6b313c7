# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What each reason for an exit becomes, but for device accesses.

"The Definitive KVM API Documentation", KVM_RUN. A handler returns the outcome, or `None`: the vCPU
goes on.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from vmmkit.backends.kvm._spec import (
    EMULATION_HAS_BYTES,
    EXIT_EMULATION_FAILURE,
    EXIT_FAIL_ENTRY,
    EXIT_IOAPIC_EOI,
    RUN_CR8,
    RUN_REQUEST_INTERRUPT_WINDOW,
    RUN_UNION,
    Exit,
    InternalError,
)
from vmmkit.errors import KvmError
from vmmkit.insn import (
    WORD,
    BudgetSpent,
    Halt,
    InterruptWindow,
    Outcome,
    TprBelowThreshold,
    TripleFault,
    Unsupported,
    UnsupportedReason,
)

if TYPE_CHECKING:
    from vmmkit.backends.kvm.vcpu import KvmVcpu

__all__ = ["EXITS", "unknown_exit"]

REQUEST: Final = WORD["interrupt_request"]
WINDOW: Final = WORD["window_request"]
THRESHOLD: Final = WORD["tpr_threshold"]


def _halt(vcpu: KvmVcpu) -> Outcome:
    return Halt(vcpu._transfer.rip())


def _shutdown(vcpu: KvmVcpu) -> Outcome:
    return TripleFault(vcpu._transfer.rip())


def _interrupted(vcpu: KvmVcpu) -> Outcome | None:
    """A kick, or a signal of somebody else's."""
    return BudgetSpent(vcpu._transfer.rip()) if vcpu._kicker.interrupted() else None


def _window(vcpu: KvmVcpu) -> Outcome | None:
    words = vcpu._state.words
    vcpu._page.octets[RUN_REQUEST_INTERRUPT_WINDOW] = 0
    if words[REQUEST]:
        vcpu._attention = True
        return None
    wanted, words[WINDOW] = words[WINDOW], 0
    return InterruptWindow(vcpu._transfer.rip()) if wanted else None


def _task_priority(vcpu: KvmVcpu) -> Outcome | None:
    """CR8 was lowered."""
    below = vcpu._page.octets[RUN_CR8] < vcpu._state.words[THRESHOLD]
    return TprBelowThreshold(vcpu._transfer.rip()) if below else None


def _end_of_interrupt(vcpu: KvmVcpu) -> None:
    (vector,) = EXIT_IOAPIC_EOI.unpack_from(vcpu._page.octets, RUN_UNION)
    if vcpu.ioapic_eoi is not None:
        vcpu.ioapic_eoi(vector)


def _read_msr(vcpu: KvmVcpu) -> Outcome | None:
    return vcpu._msr_exit(Exit.X86_RDMSR)


def _write_msr(vcpu: KvmVcpu) -> Outcome | None:
    return vcpu._msr_exit(Exit.X86_WRMSR)


def _go_on(_vcpu: KvmVcpu) -> None:
    """Of no interest to a guest: an NMI of the host's."""


def _debug(vcpu: KvmVcpu) -> Outcome | None:
    return vcpu._debug_exit()


def _internal_error(vcpu: KvmVcpu) -> Outcome | None:
    """An instruction that the kernel does not emulate, or a state that it gives up on."""
    octets = vcpu._page.octets
    suberror, count, flags, size, held = EXIT_EMULATION_FAILURE.unpack_from(octets, RUN_UNION)
    if suberror != InternalError.EMULATION:
        return Unsupported(b"", UnsupportedReason.OPCODE, vcpu._transfer.rip())
    given = count >= 1 and flags & EMULATION_HAS_BYTES
    return vcpu._not_emulated(held[:size] if given else b"")


def _failed_entry(vcpu: KvmVcpu) -> Outcome:
    reason, cpu = EXIT_FAIL_ENTRY.unpack_from(vcpu._page.octets, RUN_UNION)
    message = (
        f"KVM_RUN of vCPU {vcpu.index}: the processor (CPU {cpu}) does not enter the guest, "
        f"hardware reason {reason:#x}; its registers contradict each other"
    )
    raise KvmError(message, "KVM_RUN", errno.EINVAL)


def unknown_exit(vcpu: KvmVcpu) -> Outcome:
    """Refuse an exit that nobody has enabled.

    Raises:
        KvmError: always.
    """
    reason = vcpu._exit_reason()
    message = f"KVM_RUN of vCPU {vcpu.index} returned exit reason {reason}, which nobody asked for"
    raise KvmError(message, "KVM_RUN", errno.ENOSYS)


EXITS: Final[dict[int, Callable[[KvmVcpu], Outcome | None]]] = {
    Exit.HLT: _halt,
    Exit.INTR: _interrupted,
    Exit.IRQ_WINDOW_OPEN: _window,
    Exit.X86_RDMSR: _read_msr,
    Exit.X86_WRMSR: _write_msr,
    Exit.SET_TPR: _task_priority,
    Exit.IOAPIC_EOI: _end_of_interrupt,
    Exit.SHUTDOWN: _shutdown,
    Exit.DEBUG: _debug,
    Exit.INTERNAL_ERROR: _internal_error,
    Exit.FAIL_ENTRY: _failed_entry,
    Exit.NMI: _go_on,
}
