# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A local APIC for one vCPU, in xAPIC and x2APIC mode.

Theory of operation: the local APIC
-----------------------------------
`Lapic` is one state machine. The guest drives it through the register page (`read`, `write`),
through MSRs (`read_msr`, `write_msr`) and CR8; other APICs through `accept`; the owner (the
monitor) through the two local pins, the timer's `advance`, and `pending` and `acknowledge`, with
which a processor takes its interrupts. It owns no clock, no thread and no lock. What it wants done
leaves through callables that the owner hands in:

* `send(message)`: an IPI; `broadcast_eoi(vector)`: a level-triggered interrupt was ended;
  `reconfigured()`: other messages may be accepted from now on. `ApicBus` has a method for each.
* `interrupt(level)`: `pending()` became something, or nothing; called on changes only.
* `threshold(priority_class)`: below which CR8 must fall for that, or 0; called on changes only.
* `nmi()`, `smi()`, `init()`, `sipi(vector)`: what goes past the priorities to the processor.
* `pic_acknowledge()`: the INTA cycle of an 8259A, which returns the vector.
* `relocate(page)`: the register page answers elsewhere, or (`None`) no more.

Each is called after the state is complete, so it may call back. An exception out of a callable
leaves the APIC consistent and then leaves the access. Calls must not overlap in time, and since
APICs reach each other through the bus, a monitor with several vCPU threads puts *one* lock around
all of them.

Interrupts. IRR, ISR and TMR are one integer each, and so is the task priority; what is pending is
computed from them and never kept beside them. `pending()` tells what the processor should take
once its own rules (IF, interrupt shadow) let it; `acknowledge` takes the highest one at that
moment. If the guest raised the task priority in between, that is nothing any more, and
`acknowledge` returns the spurious vector, as SDM "Spurious Interrupt" has it.

Delivery takes no time: the delivery status bits of ICR and LVT always read idle.

Timer. Nothing ticks. `clock` returns virtual nanoseconds, which must never decrease; the current
count and the next expiration are computed from it. The owner asks `deadline()` after each exit of
the vCPU and calls `advance()` when that time has come. An access of the guest brings the timer up
to date first, so a late call is never seen in registers. Expirations that were missed come as
one interrupt, and the following ones stay where they would have been.

INIT and SIPI. `accept` resets the APIC on INIT and calls `init`. Whether the processor then
waits for a start-up message is kept here, as `waits_for_sipi`, so that the second SIPI of the usual
sequence is lost and a snapshot knows it.

Sources of the register rules: Intel 64 and IA-32 Architectures Software Developer's Manual,
volume 3A, chapter "Advanced Programmable Interrupt Controller (APIC)", cited as "SDM" with the
title of the section.
"""

from __future__ import annotations

import attrs

from vmmkit.devices._apic_messages import ApicMessage, check_range
from vmmkit.devices._apic_spec import (
    LVT_KEPT,
    MASKED,
    PAGE_SIZE,
    DeliveryMode,
    LocalInterrupt,
    Register,
    Shorthand,
)
from vmmkit.devices._lapic_core import EXTINT
from vmmkit.devices._lapic_registers import ApicFault, LapicRegisters
from vmmkit.devices._lapic_snapshot import LapicSnapshot, check_lapic_snapshot
from vmmkit.errors import DeviceError

__all__ = [
    "EXTINT",
    "ApicFault",
    "ApicMessage",
    "DeliveryMode",
    "Lapic",
    "LapicSnapshot",
    "LocalInterrupt",
    "Shorthand",
]

# The state outside of vectors and timer: field of the snapshot, attribute.
_PLAIN_STATE = ("apic_base", "ldr", "dfr", "svr", "esr", "errors", "icr", "lines", "extint")
_TIMER_STATE = (
    ("initial_count", "initial"),
    ("divide", "divide"),
    ("timer_running", "running"),
    ("timer_origin", "origin"),
    ("timer_first", "first"),
    ("timer_reported", "reported"),
    ("tsc_deadline", "tsc_deadline"),
    ("tsc_offset", "tsc_offset"),
)
_VECTOR_STATE = ("tpr", "irr", "isr", "tmr")
_SHOWN = tuple(one for one in Register if one not in (Register.EOI, Register.SELF_IPI))


@attrs.define(eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class Lapic(LapicRegisters):
    """One vCPU's local APIC; a window of `size` bytes at `page`.

    Args:
        apic_id: x2APIC ID, 0 to FFFFFFFEH; xAPIC mode shows its low eight bits.
        clock: returns virtual time in nanoseconds, never less than before.
        send: takes each IPI as an `ApicMessage`.
        broadcast_eoi: takes the vector of each level-triggered interrupt that was ended, unless
            the guest suppresses that.
        reconfigured: called when the guest changed which messages are accepted.
        interrupt: called with true when `pending()` becomes something, false when nothing.
        threshold: called with the class that CR8 must fall below for an interrupt to become
            pending, 0 if none waits for that; on changes only.
        task_priority: a sequence with one integer, for an owner that keeps the task priority:
            the guest's MOV to CR8 changes it there, and `task_priority_changed` tells of it.
        nmi: called for each NMI.
        smi: called for each SMI.
        init: called after an INIT reset the APIC.
        sipi: called with the start-up vector if the processor waits for it.
        pic_acknowledge: returns the vector of the external interrupt controller.
        relocate: called with the page's address when it changed, or with `None`.
        bsp: the bootstrap processor; others wait for a start-up message after a reset.
        x2apic: x2APIC mode exists, as CPUID tells the guest.
        cmci: the LVT has an entry for corrected machine checks.
        address_bits: 32-52; width of physical addresses, for IA32_APIC_BASE.
        timer_hz: counts per second of the timer at divisor 1.
        tsc_hz: rate of the TSC.

    Raises:
        DeviceError: an argument outside of its range.

    `read` and `write` fit `vmmkit.protocols.MmioDevice`. Guest input never raises: what the
    guest may not do with an MSR is returned as an `ApicFault`. The configuration is fixed once the
    APIC exists.
    """

    @property
    def size(self) -> int:
        """Bytes of the register page."""
        return PAGE_SIZE

    # -- pins and local sources ----------------------------------------------------------------

    def lint0(self, level: bool) -> None:
        """Drive LINT0, in PCs the INTR of the 8259A; true is asserted, whatever the polarity."""
        self._set_line(0, bool(level))

    def lint1(self, level: bool) -> None:
        """Drive LINT1, in PCs the NMI; true is asserted, whatever the polarity."""
        self._set_line(1, bool(level))

    def raise_local(self, source: LocalInterrupt) -> None:
        """Let an internal source interrupt: thermal, performance counters or CMCI.

        Raises:
            DeviceError: `source` is a pin, the timer or the error entry, which act by themselves,
                or an entry that this APIC does not have.
        """
        sources = (LocalInterrupt.THERMAL, LocalInterrupt.PMC, LocalInterrupt.CMCI)
        if source not in sources or (source == LocalInterrupt.CMCI and not self.cmci):
            raise DeviceError(f"Lapic: {source!r} is no source to be raised here")
        if self.enabled:
            self._deliver_local(source)

    # -- the processor -------------------------------------------------------------------------

    def acknowledge(self, pending: int) -> int:
        """Take the interrupt that `pending()` announced; return its vector.

        Args:
            pending: what `pending()` returned, a vector or `EXTINT`.

        Returns the vector to be delivered: the highest one at this moment, or the answer of
        `pic_acknowledge`. If nothing is pending any more it is the spurious vector, which sets no
        bit of ISR and wants no EOI.
        """
        if pending == EXTINT and self._extint_pending():
            self._extint = False
            try:
                return self.pic_acknowledge()
            finally:
                self._drive()
        vector = self._vectors.dispense()
        self._drive()
        return self._svr & 0xFF if vector is None else vector

    @property
    def held_back(self) -> int:
        """The class that CR8 must fall below for an interrupt to become pending, or 0."""
        return self._vectors.held_back()

    @property
    def cr8(self) -> int:
        """CR8: the class of the task priority; SDM "Interaction of Task Priorities ...".

        The full title is "Interaction of Task Priorities between CR8 and APIC".
        """
        return self._vectors.tpr >> 4

    def write_cr8(self, value: int) -> ApicFault | None:
        """Write CR8: the sub-class becomes zero; reserved bits are #GP."""
        if value & ~0xF:
            return ApicFault.GENERAL_PROTECTION
        self._write_tpr(value << 4)
        return None

    def task_priority_changed(self) -> None:
        """Look again at what is pending, after the owner changed `task_priority`.

        A processor that keeps CR8 by itself calls this when the guest lowered it below `threshold`,
        and before it asks `pending` where that was something and is not any more.
        """
        self._drive()

    # -- time ----------------------------------------------------------------------------------

    @property
    def tsc(self) -> int:
        """The TSC now, as the deadline mode compares it."""
        return self._timer.tsc(self.clock())

    def set_tsc(self, value: int) -> None:
        """Set the TSC, as a write of IA32_TIME_STAMP_COUNTER does.

        Raises:
            DeviceError: `value` has more than 64 bits.
        """
        check_range("Lapic: tsc", value, 2**64 - 1)
        self._catch_up()
        self._timer.tsc_offset += value - self.tsc
        self._catch_up()

    def deadline(self) -> int | None:
        """Return the virtual time of the next timer interrupt, or `None` if none will come.

        A time that has passed means that `advance` is due. A masked timer needs no `advance`.
        """
        if self._lvt[Register.LVT_TIMER] & MASKED:
            return None
        return self._timer.deadline(self.clock())

    def advance(self) -> int | None:
        """Bring the timer up to the clock; return the next `deadline`."""
        self._catch_up()
        return self.deadline()

    # -- state ---------------------------------------------------------------------------------

    def reset(self) -> None:
        """Take a RESET: the state after power-up. The pins and the TSC stay as they are."""
        page = self.page
        self._power_up()
        self._drive_and_relocate(page)

    def snapshot(self) -> LapicSnapshot:
        """Return all guest-visible state; the configuration is not part of it."""
        plain = {field: getattr(self, f"_{field}") for field in _PLAIN_STATE}
        vectors = {field: getattr(self._vectors, field) for field in _VECTOR_STATE}
        timer = {field: getattr(self._timer, name) for field, name in _TIMER_STATE}
        return LapicSnapshot(
            **plain,
            **vectors,
            **timer,
            lvt=tuple(self._lvt[register] for register in LVT_KEPT),
            waits_for_sipi=self._waits_for_sipi,
        )

    def restore(self, snapshot: LapicSnapshot) -> None:
        """Take the state of `snapshot`; `interrupt` and `relocate` hear of what differs.

        Nothing is sent and `reconfigured` is not called: other APICs may not be restored yet.

        Raises:
            DeviceError: no snapshot, or one that no local APIC can have; nothing changed then.
        """
        state = check_lapic_snapshot(snapshot, x2apic=self.x2apic)
        page = self.page
        for field in _PLAIN_STATE:
            setattr(self, f"_{field}", getattr(state, field))
        for field in _VECTOR_STATE:
            setattr(self._vectors, field, getattr(state, field))
        for field, name in _TIMER_STATE:
            setattr(self._timer, name, getattr(state, field))
        self._lvt = dict(zip(LVT_KEPT, state.lvt, strict=True))
        self._timer.mode = self._lvt[Register.LVT_TIMER] >> 17 & 3
        self._waits_for_sipi = state.waits_for_sipi
        self._drive_and_relocate(page)

    def registers(self) -> dict[str, int]:
        """Return what the guest would read, by register name and without side effects.

        ISR, TMR and IRR are 256 bits; the ICR is 64.
        """
        shown = {one.name: self._read(one) for one in _SHOWN if one != Register.ICR_HIGH}
        vectors = self._vectors
        shown.update(ICR=self._icr, ISR=vectors.isr, TMR=vectors.tmr, IRR=vectors.irr)
        return {"IA32_APIC_BASE": self._apic_base, **shown}

    def __repr__(self) -> str:
        """Show the registers that say most, for debuggers."""
        mode = "x2APIC" if self.x2apic_mode else "xAPIC" if self.enabled else "disabled"
        names = ("TPR", "PPR", "SVR", "IRR", "ISR")
        shown = self.registers()
        values = " ".join(f"{name}={shown[name]:x}" for name in names)
        return f"<Lapic {self.apic_id} {mode} {values}>"
