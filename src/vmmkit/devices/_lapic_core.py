# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A local APIC's state and what happens inside it: acceptance, local sources, resets.

`vmmkit.devices._lapic_registers` puts the guest's registers on top of it, and
`vmmkit.devices.lapic`, with the theory of operation, the owner's side.

No method whose name begins with `_queue`, `_log` or `_local` calls out: the state is complete
before `_drive` tells of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs

from vmmkit.devices._apic_messages import (
    ApicMessage,
    check_callable,
    check_cell,
    check_flag,
    in_range,
    unconnected,
)
from vmmkit.devices._apic_spec import (
    BROADCAST_32,
    DEFAULT_APIC_BASE,
    FIRST_LEGAL_VECTOR,
    LVT_KEPT,
    MASKED,
    NANOSECONDS,
    REMOTE_IRR,
    TRIGGER_LEVEL,
    ApicBase,
    DeliveryMode,
    DestinationFormat,
    ErrorStatus,
    Register,
    Shorthand,
    Spurious,
)
from vmmkit.devices._lapic_timer import ApicTimer
from vmmkit.devices._lapic_vectors import VectorQueue
from vmmkit.protocols import InterruptLine

__all__ = ["EXTINT", "LapicCore"]

EXTINT: Final = -1
"""What `Lapic.pending` returns when the 8259A is to be asked for the vector."""

# Plain integers: an operation on an IntFlag costs ten times as much, and these run per access.
_EN: Final = int(ApicBase.EN)
_EXTD: Final = int(ApicBase.EXTD)
_BSP: Final = int(ApicBase.BSP)
_ENABLED: Final = int(Spurious.ENABLED)
_FOCUS_DISABLED: Final = int(Spurious.FOCUS_DISABLED)
_NO_EOI_BROADCAST: Final = int(Spurious.NO_EOI_BROADCAST)
_FLAT: Final = int(DestinationFormat.FLAT)
_CLUSTER: Final = int(DestinationFormat.CLUSTER)
_TIMER: Final = int(Register.LVT_TIMER)
_ERROR: Final = int(Register.LVT_ERROR)
_PMC: Final = int(Register.LVT_PMC)
_LINT: Final = (int(Register.LVT_LINT0), int(Register.LVT_LINT1))
_FIXED: Final = int(DeliveryMode.FIXED)
_EXTINT_MODE: Final = int(DeliveryMode.EXTINT)


def _mode(entry: int) -> int:
    """Return the delivery mode of an LVT entry."""
    return entry >> 8 & 7


# NO_OP: attrs' hooks on assignment would be looked up on every change of guest state.
@attrs.define(eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class LapicCore:
    """State and behaviour of one local APIC; `Lapic` documents the arguments."""

    apic_id: int = attrs.field(validator=in_range(0, BROADCAST_32 - 1))
    clock: Callable[[], int] = attrs.field(validator=check_callable)
    send: Callable[[ApicMessage], object] = attrs.field(
        default=unconnected, validator=check_callable, kw_only=True
    )
    broadcast_eoi: Callable[[int], object] = attrs.field(
        default=unconnected, validator=check_callable, kw_only=True
    )
    reconfigured: Callable[[], object] = attrs.field(
        default=unconnected, validator=check_callable, kw_only=True
    )
    interrupt: InterruptLine = attrs.field(
        default=unconnected, validator=check_callable, kw_only=True
    )
    threshold: Callable[[int], object] = attrs.field(
        default=unconnected, validator=check_callable, kw_only=True
    )
    task_priority: Any = attrs.field(factory=lambda: [0], validator=check_cell, kw_only=True)
    nmi: Callable[[], object] = attrs.field(
        default=unconnected, validator=check_callable, kw_only=True
    )
    smi: Callable[[], object] = attrs.field(
        default=unconnected, validator=check_callable, kw_only=True
    )
    init: Callable[[], object] = attrs.field(
        default=unconnected, validator=check_callable, kw_only=True
    )
    sipi: Callable[[int], object] = attrs.field(
        default=unconnected, validator=check_callable, kw_only=True
    )
    pic_acknowledge: Callable[[], int] = attrs.field(
        default=unconnected, validator=check_callable, kw_only=True
    )
    relocate: Callable[[int | None], object] = attrs.field(
        default=unconnected, validator=check_callable, kw_only=True
    )
    bsp: bool = attrs.field(default=False, validator=check_flag, kw_only=True)
    x2apic: bool = attrs.field(default=True, validator=check_flag, kw_only=True)
    cmci: bool = attrs.field(default=True, validator=check_flag, kw_only=True)
    address_bits: int = attrs.field(default=52, validator=in_range(32, 52), kw_only=True)
    timer_hz: int = attrs.field(default=NANOSECONDS, validator=in_range(1, 1 << 40), kw_only=True)
    tsc_hz: int = attrs.field(default=NANOSECONDS, validator=in_range(1, 1 << 40), kw_only=True)

    _apic_base: int = attrs.field(default=0, init=False)
    _ldr: int = attrs.field(default=0, init=False)  # in xAPIC mode; bits 24-31
    _dfr: int = attrs.field(default=0, init=False)  # bits 28-31
    _svr: int = attrs.field(default=0, init=False)
    _esr: int = attrs.field(default=0, init=False)  # what the guest reads
    _errors: int = attrs.field(default=0, init=False)  # logged since the guest wrote ESR
    _icr: int = attrs.field(default=0, init=False)
    _lvt: dict[int, int] = attrs.field(factory=dict, init=False)
    _vectors: VectorQueue = attrs.field(init=False)
    _timer: ApicTimer = attrs.field(init=False)
    _lines: int = attrs.field(default=0, init=False)  # LINT0 and LINT1, set = asserted
    _extint: bool = attrs.field(default=False, init=False)  # an ExtINT message was accepted
    _waits_for_sipi: bool = attrs.field(default=False, init=False)
    _level: bool = attrs.field(default=False, init=False)  # what `interrupt` heard last
    _held: int = attrs.field(default=0, init=False)  # what `threshold` heard last
    _acceptors: dict[int, Callable[[ApicMessage], bool]] = attrs.field(init=False)
    _local_modes: dict[int, Callable[[], object]] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Bind the delivery modes and go to the state after power-up."""
        self._acceptors = {
            DeliveryMode.FIXED: self._accept_vector,
            DeliveryMode.LOWEST_PRIORITY: self._accept_vector,
            DeliveryMode.SMI: self._accept_smi,
            DeliveryMode.NMI: self._accept_nmi,
            DeliveryMode.INIT: self._accept_init,
            DeliveryMode.SIPI: self._accept_sipi,
            DeliveryMode.EXTINT: self._accept_extint,
        }
        # What an LVT entry does besides a fixed interrupt. ExtINT is a level, see
        # `_extint_pending`; the remaining modes are reserved there.
        self._local_modes = {
            DeliveryMode.SMI: self.smi,
            DeliveryMode.NMI: self.nmi,
            DeliveryMode.INIT: self.init_reset,
        }
        self._vectors = VectorQueue(self.task_priority)
        self._timer = ApicTimer(self.timer_hz, self.tsc_hz)
        self._power_up()

    # -- state ---------------------------------------------------------------------------------

    def _power_up(self) -> None:
        """Set what RESET sets; SDM "Local APIC State After Power-Up or Reset"."""
        self._apic_base = DEFAULT_APIC_BASE | _EN | (_BSP if self.bsp else 0)
        self._waits_for_sipi = not self.bsp
        self._initialize()

    def _initialize(self) -> None:
        """Set what RESET, INIT and global disabling all set: every register of the page."""
        self._vectors.clear()
        self._ldr = self._esr = self._errors = self._icr = 0
        self._dfr, self._svr = 0xF000_0000, 0xFF
        self._lvt = dict.fromkeys(LVT_KEPT, MASKED)
        self._extint = False
        timer = self._timer
        timer.mode = timer.divide = timer.initial = timer.tsc_deadline = 0
        timer.running = False

    @property
    def enabled(self) -> bool:
        """IA32_APIC_BASE.EN: without it the processor has no local APIC (nor CPUID tells of it)."""
        return bool(self._apic_base & _EN)

    @property
    def x2apic_mode(self) -> bool:
        """Registers are MSRs rather than a page."""
        return bool(self._apic_base & _EXTD)

    @property
    def software_enabled(self) -> bool:
        """Whether fixed interrupts are accepted.

        SDM "Local APIC State After It Has Been Software Disabled".
        """
        return bool(self._apic_base & _EN and self._svr & _ENABLED)

    @property
    def waits_for_sipi(self) -> bool:
        """Whether the processor waits for a start-up message and executes nothing."""
        return self._waits_for_sipi

    @property
    def page(self) -> int | None:
        """Where the register page answers; `None` if disabled or in x2APIC mode."""
        if self._apic_base & (_EN | _EXTD) != _EN:
            return None
        return self._apic_base & ~0xFFF

    # -- what the bus asks ---------------------------------------------------------------------

    @property
    def priority(self) -> int:
        """The processor priority, for arbitration."""
        return self._vectors.processor_priority

    def is_focus(self, vector: int) -> bool:
        """Whether this processor already has `vector`; SDM "Lowest Priority Delivery Mode"."""
        return not self._svr & _FOCUS_DISABLED and self._vectors.holds(vector)

    @property
    def logical_id(self) -> int:
        """LDR, which follows from the ID in x2APIC mode.

        SDM "Deriving Logical x2APIC ID from the Local x2APIC ID".
        """
        if self.x2apic_mode:
            return (self.apic_id >> 4 & 0xFFFF) << 16 | 1 << (self.apic_id & 15)
        return self._ldr

    def matches(self, message: ApicMessage) -> bool:
        """Whether `message` is for this APIC; one that is disabled globally hears nothing."""
        if not self.enabled:
            return False
        if message.shorthand is not Shorthand.NONE:
            others = message.source != self.apic_id
            return (message.shorthand != Shorthand.SELF or not others) and (
                message.shorthand != Shorthand.OTHERS or others
            )
        if message.broadcast:
            return True
        if message.logical:
            return self._matches_logical(message.destination)
        return message.destination == self.apic_id

    def _matches_logical(self, destination: int) -> bool:
        """SDM "Logical Destination Mode" and "Logical Destination Mode in x2APIC Mode"."""
        logical = self.logical_id
        if self.x2apic_mode:
            return destination >> 16 == logical >> 16 and destination & logical & 0xFFFF != 0
        logical >>= 24
        model = self._dfr >> 28
        if destination > 0xFF or model not in (_FLAT, _CLUSTER):
            return False
        if model == _FLAT:
            return destination & logical != 0
        return destination >> 4 == logical >> 4 and destination & logical & 0xF != 0

    def accept(self, message: ApicMessage) -> bool:
        """Take a message that `matches`; return whether it was accepted.

        Refused are fixed interrupts while software-disabled, and everything while disabled
        globally. An illegal vector is accepted and becomes an error; a vector that already waits
        is merged with it.
        """
        return self.enabled and self._acceptors[message.delivery_mode](message)

    def _accept_vector(self, message: ApicMessage) -> bool:
        if not self.software_enabled:
            return False
        self._queue(message.vector, level=message.level)
        self._drive()
        return True

    def _accept_smi(self, _message: ApicMessage) -> bool:
        self.smi()
        return True

    def _accept_nmi(self, _message: ApicMessage) -> bool:
        self.nmi()
        return True

    def _accept_init(self, _message: ApicMessage) -> bool:
        self.init_reset()
        return True

    def _accept_sipi(self, message: ApicMessage) -> bool:
        """Start the processor if it waits; else the message is lost, like the second of two."""
        if self._waits_for_sipi:
            self._waits_for_sipi = False
            self.sipi(message.vector)
        return True

    def _accept_extint(self, _message: ApicMessage) -> bool:
        self._extint = True
        self._drive()
        return True

    def init_reset(self) -> None:
        """Take an INIT; SDM "Local APIC State After an INIT Reset ("Wait-for-SIPI" State)".

        ID and IA32_APIC_BASE stay, and so does x2APIC mode. The bootstrap processor does not wait
        for a start-up message. `init` is called whatever `interrupt` raised.
        """
        self._initialize()
        self._waits_for_sipi = not self._apic_base & _BSP
        self._drive_then(self.init)

    # -- inside --------------------------------------------------------------------------------

    def _queue(self, vector: int, *, level: bool) -> bool:
        """Put `vector` into IRR, or log an illegal one; SDM "Valid Interrupt Vectors"."""
        if vector < FIRST_LEGAL_VECTOR:
            self._log_error(ErrorStatus.RECEIVE_ILLEGAL_VECTOR)
            return False
        self._vectors.request(vector, level=level)
        return True

    def _log_error(self, errors: int) -> None:
        """Log errors; SDM "Error Handling".

        The first one after a write of ESR raises the LVT's error interrupt, which that write
        armed. An illegal vector in that entry is logged beside it.
        """
        armed = not self._errors
        self._errors |= int(errors)
        entry = self._lvt[_ERROR]
        if armed and not entry & MASKED:
            self._queue(entry & 0xFF, level=False)

    def _deliver_local(self, register: int) -> None:
        """Let a source of the local vector table raise an edge, as its entry says."""
        entry = self._lvt[register]
        if entry & MASKED:
            return
        if register == _PMC:
            self._lvt[register] = entry | MASKED
        mode = _mode(entry)
        if mode == _FIXED:
            self._queue(entry & 0xFF, level=False)
            self._drive()
        elif mode in self._local_modes:
            self._local_modes[mode]()

    def _lint0_senses_level(self) -> bool:
        """Whether LINT0 is a level-sensitive fixed interrupt; LINT1 takes edges only.

        SDM "Local Vector Table": the trigger bit counts for fixed delivery.
        """
        entry = self._lvt[_LINT[0]]
        return _mode(entry) == _FIXED and bool(entry & TRIGGER_LEVEL)

    def _level_lint0(self) -> None:
        """Queue LINT0's vector if its level asks for it; remote IRR is then set until the EOI."""
        entry = self._lvt[_LINT[0]]
        idle = self._lines & 1 and not entry & (MASKED | REMOTE_IRR)
        if idle and self._lint0_senses_level() and self._queue(entry & 0xFF, level=True):
            self._lvt[_LINT[0]] = entry | REMOTE_IRR

    def _set_line(self, pin: int, asserted: bool) -> None:
        """Drive LINT0 or LINT1; with the APIC disabled they are INTR and NMI."""
        before = self._lines
        self._lines = before & ~(1 << pin) | asserted << pin
        rising = self._lines & ~before
        if not self.enabled:
            if rising and pin == 1:
                self.nmi()
        elif pin == 0 and self._lint0_senses_level():
            self._level_lint0()
        elif rising:
            self._deliver_local(_LINT[pin])
        self._drive()

    def _end_of_interrupt(self) -> None:
        """Take an EOI; SDM "Signaling Interrupt Servicing Completion"."""
        ended = self._vectors.end()
        if ended is None:
            return
        vector, level = ended
        entry = self._lvt[_LINT[0]]
        if entry & REMOTE_IRR and entry & 0xFF == vector:
            self._lvt[_LINT[0]] = entry & ~REMOTE_IRR
            self._level_lint0()
        try:
            if level and not self._svr & _NO_EOI_BROADCAST:
                self.broadcast_eoi(vector)
        finally:
            self._drive()

    def _catch_up(self) -> None:
        """Let the timer expire if it is due."""
        timer = self._timer
        if (timer.running or timer.tsc_deadline) and timer.expire(self.clock()):
            self._deliver_local(_TIMER)

    # -- towards the processor -----------------------------------------------------------------

    def _extint_pending(self) -> bool:
        """Whether an external interrupt controller asks, past all priorities.

        SDM "Local Vector Table" for the lines; with the APIC disabled LINT0 is INTR.
        """
        if not (self._lines or self._extint):
            return False
        if not self.enabled:
            return bool(self._lines & 1)
        return self._extint or any(
            self._lines >> pin & 1
            and not self._lvt[register] & MASKED
            and _mode(self._lvt[register]) == _EXTINT_MODE
            for pin, register in enumerate(_LINT)
        )

    def pending(self) -> int | None:
        """Return what the processor should take once it may: a vector, `EXTINT`, or `None`.

        An external interrupt comes first: it knows no priority.
        """
        return EXTINT if self._extint_pending() else self._vectors.candidate()

    @property
    def interrupting(self) -> bool:
        """Whether something is pending, as `interrupt` heard it last."""
        return self._level

    def _drive(self) -> None:
        """Tell the owner when something became pending, or nothing is any more.

        Without requests the task priority holds nothing back.
        """
        held = self._vectors.held_back() if self._vectors.irr else 0
        if held != self._held:
            self._held = held
            self.threshold(held)
        level = self.pending() is not None
        if level != self._level:
            self._level = level
            self.interrupt(level)

    def _drive_then(self, tell: Callable[[], object]) -> None:
        """Drive INTR, then call `tell` even if that raised."""
        try:
            self._drive()
        finally:
            tell()
