# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A vCPU with a local APIC in KVM as it is when it has just been made, to go back to."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from vmmkit.backends.kvm._spec import (
    KVM_GET_MSRS,
    KVM_SET_MSRS,
    MSR_ENTRY,
    MSRS_HEAD,
    MpState,
)
from vmmkit.backends.kvm.vcpu import KvmVcpu
from vmmkit.errors import StepError

__all__ = ["PowerUp"]

TSC, APIC_BASE = 0x10, 0x1B
IDENTITY: Final = 1
# SVR: enabled, vector FFH; LINT0: ExtINT; LINT1: NMI (MultiProcessor Specification 1.4, "Virtual
# Wire Mode").
VIRTUAL_WIRE: Final = ((0xF0, 0x1FF), (0x350, 0x700), (0x360, 0x400))


class PowerUp:
    """What a reset restores of one vCPU.

    Registers are those of `CpuState.reset`; the local APIC, all MSRs of the kernel's and what the
    vCPU waits for are kept from the beginning.

    Args:
        vcpu: one that has not run yet, of a virtual machine that has all its vCPUs.
    """

    def __init__(self, vcpu: KvmVcpu) -> None:
        """Take the state."""
        self._vcpu = vcpu
        self._handle = vcpu._handle  # noqa: SLF001 - for calls that nobody else needs
        self._forget_registers = vcpu._forget_registers  # noqa: SLF001
        self._lapic, self._mp_state = vcpu.get_lapic(), vcpu.mp_state
        # KVM's map of destinations may lack the vCPU that was made last; this brings it up to date.
        vcpu.set_lapic(self._lapic)
        self._apic_base = self._read(APIC_BASE)
        self._msrs = {index: self._read(index) for index in vcpu.vm.msr_indices if index != TSC}

    def _read(self, index: int) -> int | None:
        """Return an MSR, or `None` if this vCPU has none of this number."""
        raw = bytearray(MSRS_HEAD.pack(1) + MSR_ENTRY.pack(index, 0))
        if not self._handle.call(KVM_GET_MSRS, raw):
            return None
        value: int = MSR_ENTRY.unpack_from(raw, MSRS_HEAD.size)[1]
        return value

    def _write(self, index: int, value: int | None) -> None:
        if value is not None:
            entry = MSRS_HEAD.pack(1) + MSR_ENTRY.pack(index, value)
            self._handle.call(KVM_SET_MSRS, entry, f"of {index:#x}")

    def restore(self) -> None:
        """Go back; the vCPU stands."""
        vcpu = self._vcpu
        vcpu._forget_requests()  # noqa: SLF001 - nobody else resets a vCPU
        self._end_instruction()
        _ = vcpu.mp_state  # has KVM take an INIT or start-up message that it has not looked at yet
        vcpu.mp_state = MpState.RUNNABLE
        self._forget_registers()  # so that "no longer halted" is no change to be made
        state = vcpu.state
        state.reset()
        state.rdx = vcpu.cpuid(state, IDENTITY, 0)[0]  # the processor's signature
        self._write(APIC_BASE, self._apic_base)
        vcpu.set_lapic(self._lapic)
        for index, value in self._msrs.items():
            if self._read(index) != value:
                self._write(index, value)
        vcpu.mp_state = self._mp_state

    def _end_instruction(self) -> None:
        """Have an instruction in flight done with: KVM would go on with it after the reset."""
        vcpu = self._vcpu
        self._forget_registers()  # changed ones would be refused while an instruction is in flight
        while vcpu.awaits_answer:
            with suppress(StepError):  # what wants no value is complete already
                vcpu.complete(0)
            vcpu.step()

    def virtual_wire(self) -> None:
        """Write what firmware does to the local APIC of the bootstrap processor."""
        registers = bytearray(self._vcpu.get_lapic())
        for offset, value in VIRTUAL_WIRE:
            registers[offset : offset + 4] = value.to_bytes(4, "little")
        self._vcpu.set_lapic(bytes(registers))
