# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The guest's side of a local APIC: one set of registers behind the page and behind MSRs.

`RegisterRow` says how each register can be reached in either mode; `_readers` and `_writers` what
it does. Source: SDM volume 3A, "Local APIC Register Address Map", "x2APIC Register Address Space"
and "Reserved Bit Checking".
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Final

import attrs

from vmmkit.devices._apic_messages import decode_icr
from vmmkit.devices._apic_spec import (
    EXTENDED_LVT,
    FIRST_LEGAL_VECTOR,
    IA32_APIC_BASE,
    IA32_TSC_DEADLINE,
    LVT_KEPT,
    MASKED,
    REGISTERS,
    REMOTE_IRR,
    TRIGGER_LEVEL,
    X2APIC_MSRS,
    ApicBase,
    DeliveryMode,
    ErrorStatus,
    Register,
    RegisterRow,
    Spurious,
)
from vmmkit.devices._lapic_core import LapicCore

__all__ = ["ApicFault", "LapicRegisters"]

_EN: Final = int(ApicBase.EN)
_EXTD: Final = int(ApicBase.EXTD)
_ICR: Final = int(Register.ICR)
_ENABLED: Final = int(Spurious.ENABLED)
_TIMER: Final = int(Register.LVT_TIMER)
_VECTORED: Final = (DeliveryMode.FIXED, DeliveryMode.LOWEST_PRIORITY)

# SDM "x2APIC States": IA32_APIC_BASE bits 10-11 before and after, without those that are #GP.
_DISABLED, _XAPIC, _X2APIC = 0, _EN, _EN | _EXTD
_TRANSITIONS: Final = {
    (_DISABLED, _DISABLED),
    (_DISABLED, _XAPIC),
    (_XAPIC, _XAPIC),
    (_XAPIC, _X2APIC),
    (_XAPIC, _DISABLED),
    (_X2APIC, _X2APIC),
    (_X2APIC, _DISABLED),
}
# SDM "Local APIC Version Register": 14H is an integrated APIC; bit 24, EOI broadcasts can be
# suppressed.
_VERSION: Final = 1 << 24 | 0x14


class ApicFault(Enum):
    """What an MSR access raises in the guest instead of having an effect."""

    GENERAL_PROTECTION = "#GP(0)"


_GP: Final = ApicFault.GENERAL_PROTECTION


def _word(bits: Callable[[], int], number: int) -> int:
    """Return 32 of 256 bits."""
    return bits() >> 32 * number & 0xFFFF_FFFF


def _words(first: Register, bits: Callable[[], int]) -> dict[int, Callable[[], int]]:
    """Return the readers of the eight registers that show 256 bits."""
    return {first + number: partial(_word, bits, number) for number in range(8)}


@attrs.define(eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class LapicRegisters(LapicCore):
    """Adds the registers to `LapicCore`."""

    _rows: dict[int, RegisterRow] = attrs.field(init=False)
    _readers: dict[int, Callable[[], int]] = attrs.field(init=False)
    _writers: dict[int, Callable[[int], None]] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Bind the register tables, without the registers that this processor does not have."""
        super().__attrs_post_init__()
        self._rows = {
            index: row for index, row in REGISTERS.items() if self.cmci or index != EXTENDED_LVT
        }
        vectors, timer = self._vectors, self._timer
        self._readers = {
            Register.ID: self._read_id,
            Register.VERSION: self._read_version,
            Register.TPR: lambda: vectors.tpr,
            Register.APR: lambda: vectors.arbitration_priority,
            Register.PPR: lambda: vectors.processor_priority,
            Register.LDR: lambda: self.logical_id,
            Register.DFR: lambda: self._dfr | 0x0FFF_FFFF,
            Register.SVR: lambda: self._svr,
            **_words(Register.ISR, lambda: vectors.isr),
            **_words(Register.TMR, lambda: vectors.tmr),
            **_words(Register.IRR, lambda: vectors.irr),
            Register.ESR: lambda: self._esr,
            Register.ICR: lambda: self._icr & 0xFFFF_FFFF,
            Register.ICR_HIGH: lambda: self._icr >> 32,
            Register.INITIAL_COUNT: lambda: timer.initial,
            Register.CURRENT_COUNT: lambda: timer.current(self.clock()),
            Register.DIVIDE: lambda: timer.divide,
        }
        self._writers = {
            Register.TPR: self._write_tpr,
            Register.EOI: self._write_eoi,
            Register.LDR: self._write_ldr,
            Register.DFR: self._write_dfr,
            Register.SVR: self._write_svr,
            Register.ESR: self._write_esr,
            Register.ICR: self._write_icr,
            Register.ICR_HIGH: self._write_icr_high,
            Register.INITIAL_COUNT: lambda count: timer.start(self.clock(), count),
            Register.DIVIDE: lambda divide: timer.set_divide(self.clock(), divide),
            Register.SELF_IPI: self._write_self_ipi,
        }

    # -- the page ------------------------------------------------------------------------------

    def read(self, _vcpu: object, offset: int, size: int, /) -> int:
        """Return the `size` bytes at `offset` of the page, little-endian.

        Registers stand in the first four of each sixteen bytes; the rest reads zero. All ones
        while the page does not answer (disabled, x2APIC mode).
        """
        mask = (1 << 8 * size) - 1
        if self._apic_base & (_EN | _EXTD) != _EN:
            return mask
        self._catch_up()
        first, lane = divmod(offset, 16)
        value = self._read_page(first)
        if lane + size > 16:
            value |= self._read_page(first + 1) << 128
        return value >> 8 * lane & mask

    def write(self, _vcpu: object, offset: int, size: int, value: int, /) -> None:
        """Write the register at `offset` of the page.

        SDM "Local APIC Register Address Map" allows aligned 32-bit stores only; others are
        dropped.
        """
        if self._apic_base & (_EN | _EXTD) != _EN or size != 4 or offset % 16:
            return
        self._catch_up()
        index = offset >> 4
        row = self._rows.get(index)
        if row is None or not row.xapic:
            self._illegal_register()
        elif "w" in row.xapic:
            self._write(index, value & row.kept)

    def _read_page(self, index: int) -> int:
        row = self._rows.get(index)
        if row is None or not row.xapic:
            self._illegal_register()
            return 0
        return self._read(index) if "r" in row.xapic else 0

    def _illegal_register(self) -> None:
        """Log an access to a register that is not there; SDM "Error Handling"."""
        self._log_error(ErrorStatus.ILLEGAL_REGISTER)
        self._drive()

    # -- MSRs ----------------------------------------------------------------------------------

    def read_msr(self, msr: int) -> int | ApicFault:
        """Return the 64 bits of an MSR, or the fault that RDMSR raises.

        IA32_APIC_BASE, IA32_TSC_DEADLINE and, in x2APIC mode, 800H-8FFH are known. Every other
        one is #GP.
        """
        self._catch_up()
        if msr == IA32_APIC_BASE:
            return self._apic_base
        if msr == IA32_TSC_DEADLINE:
            return self._timer.tsc_deadline
        row = self._x2apic_row(msr)
        if row is None or "r" not in row.x2apic:
            return _GP
        index = msr & 0xFF
        return self._icr if index == _ICR else self._read(index)

    def write_msr(self, msr: int, value: int) -> ApicFault | None:
        """Write 64 bits to an MSR; return the fault that WRMSR raises instead, if any."""
        self._catch_up()
        if msr == IA32_APIC_BASE:
            return self._write_apic_base(value)
        if msr == IA32_TSC_DEADLINE:
            self._timer.set_tsc_deadline(value)
            self._catch_up()
            return None
        row = self._x2apic_row(msr)
        if row is None or "w" not in row.x2apic:
            return _GP
        index = msr & 0xFF
        checked = value & 0xFFFF_FFFF if index == _ICR else value
        if checked & ~(row.kept | row.ignored):
            return _GP
        self._write(index, value & (row.kept | value & ~0xFFFF_FFFF))
        return None

    def _x2apic_row(self, msr: int) -> RegisterRow | None:
        """Return how the register behind an x2APIC MSR can be reached, if there is one."""
        if msr not in X2APIC_MSRS or not self.x2apic_mode:
            return None
        return self._rows.get(msr & 0xFF)

    def _write_apic_base(self, value: int) -> ApicFault | None:
        """SDM "Local APIC Status and Location", "x2APIC States" and the sections after it."""
        allowed = (1 << self.address_bits) - 0x1000 | int(ApicBase.BSP) | _EN
        allowed |= _EXTD if self.x2apic else 0
        before, after = self._apic_base & (_EN | _EXTD), value & (_EN | _EXTD)
        if value & ~allowed or (before, after) not in _TRANSITIONS:
            return _GP
        page = self.page
        self._apic_base = value
        if before != after:
            self._change_mode(after)
        try:
            self._drive_and_relocate(page)
        finally:
            self.reconfigured()
        return None

    def _drive_and_relocate(self, page: int | None) -> None:
        """Tell the owner of a change of everything.

        Args:
            page: where the page was before.
        """
        try:
            self._drive()
        finally:
            if page != self.page:
                self.relocate(self.page)

    def _change_mode(self, mode: int) -> None:
        """Lose what a change of mode loses.

        SDM "State Changes From xAPIC Mode to x2APIC Mode": LDR and the high half of the ICR. When
        disabled, all registers ("x2APIC Transitions From Disabled Mode").
        """
        if mode == _DISABLED:
            self._initialize()
        elif mode == _X2APIC:
            self._ldr, self._icr = 0, self._icr & 0xFFFF_FFFF

    # -- registers -----------------------------------------------------------------------------

    def _read(self, index: int) -> int:
        reader = self._readers.get(index)
        return self._lvt[index] if reader is None else reader()

    def _write(self, index: int, value: int) -> None:
        writer = self._writers.get(index)
        if writer is None:
            self._write_lvt(index, value)
        else:
            writer(value)

    def _read_id(self) -> int:
        return self.apic_id if self.x2apic_mode else (self.apic_id & 0xFF) << 24

    def _read_version(self) -> int:
        entries = len(LVT_KEPT) - (not self.cmci)
        return _VERSION | entries - 1 << 16

    def _write_tpr(self, value: int) -> None:
        self._vectors.tpr = value
        self._drive()

    def _write_eoi(self, _zero: int) -> None:
        self._end_of_interrupt()

    def _write_ldr(self, value: int) -> None:
        self._ldr = value
        self.reconfigured()

    def _write_dfr(self, value: int) -> None:
        self._dfr = value
        self.reconfigured()

    def _write_svr(self, value: int) -> None:
        """Take SVR; disabling sets all masks ("... After It Has Been Software Disabled")."""
        self._svr = value
        if not value & _ENABLED:
            for register in self._lvt:
                self._lvt[register] |= MASKED
        self._drive_then(self.reconfigured)

    def _write_esr(self, _value: int) -> None:
        """Show what was logged and begin anew; SDM "Error Handling"."""
        self._esr, self._errors = self._errors, 0

    def _write_lvt(self, register: int, value: int) -> None:
        """Take an entry; its mask cannot be cleared while software-disabled."""
        if not self._svr & _ENABLED:
            value |= MASKED
        if value & TRIGGER_LEVEL:
            value |= self._lvt[register] & REMOTE_IRR
        self._lvt[register] = value
        if register == _TIMER:
            self._timer.set_mode(value >> 17 & 3)
        self._level_lint0()
        self._drive()

    def _write_icr(self, value: int) -> None:
        """Send an IPI; in xAPIC mode the high half was written before."""
        if not self.x2apic_mode:
            value |= self._icr & ~0xFFFF_FFFF
        self._icr = value
        message = decode_icr(value, self.apic_id, wide=self.x2apic_mode)
        if message is None:
            return
        if message.delivery_mode in _VECTORED and message.vector < FIRST_LEGAL_VECTOR:
            self._log_error(ErrorStatus.SEND_ILLEGAL_VECTOR)
            self._drive()
        else:
            self.send(message)

    def _write_icr_high(self, value: int) -> None:
        self._icr = value << 32 | self._icr & 0xFFFF_FFFF

    def _write_self_ipi(self, vector: int) -> None:
        """Interrupt oneself; SDM "SELF IPI Register"."""
        if vector < FIRST_LEGAL_VECTOR:
            self._log_error(ErrorStatus.SEND_ILLEGAL_VECTOR | ErrorStatus.RECEIVE_ILLEGAL_VECTOR)
        elif self.software_enabled:
            self._queue(vector, level=False)
        self._drive()
