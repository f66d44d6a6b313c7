# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Events: what interrupts the flow of instructions, and when; `csrc/events.c` is the same.

An event is chosen between two instructions, or made of the fault that one raised, and put into the
`event` word. Its delivery is a phase of its own: it may stop for devices as an instruction does,
with a replay log of its own, and goes on when run again, until RIP is at the handler.
"""

from __future__ import annotations

from typing import Final

from vmmkit.insn._breakpoints import (
    CONTROL,
    DR,
    HOLD,
    SKIP,
    code_breakpoints,
    report_hit,
    stops_at,
)
from vmmkit.insn._delivery import BS, add_external, deliver
from vmmkit.insn._event_words import (
    CR2,
    DB,
    DR6_FIXED,
    ERROR,
    EVENT,
    HAS_ERROR,
    NMI,
    NMI_PENDING,
    PAGE_FAULT,
    REQUEST,
    RESUME,
    SHADOW,
    VALID,
    WINDOW,
    may_interrupt,
)
from vmmkit.insn._execute import RFLAGS, RIP, SHADOW_MOV_SS
from vmmkit.insn._far_segments import TS
from vmmkit.insn._flags import mask_of
from vmmkit.insn._memory import (
    DONE,
    EXIT_ADDRESS,
    EXIT_SIZE,
    EXIT_VALUE,
    FAULT,
    Context,
    Stop,
)
from vmmkit.insn._record import EVENT_BITS, EVENT_TYPES, EXIT_KINDS, WORD
from vmmkit.insn._segments import GP, begin_mode, linear_rip
from vmmkit.insn._stack import RF

__all__ = [
    "EVENT",
    "TRIPLE_FAULT",
    "after_instruction",
    "before_instruction",
    "begin_delivery",
    "code_stop",
    "continue_delivery",
    "needs_attention",
    "raise_exception",
    "raise_fault",
    "wakes",
    "watches",
]

DOUBLE_FAULT: Final = 8
ALIGNMENT: Final = 17
DEBUG_EXIT: Final = EXIT_KINDS.index("DEBUG")
TRIPLE_FAULT: Final = EXIT_KINDS.index("TRIPLE_FAULT")
INTERRUPT_WINDOW: Final = EXIT_KINDS.index("INTERRUPT_WINDOW")

# SDM vol. 3A, "Interrupt 8 - Double Fault Exception (#DF)": #DE, #TS, #NP, #SS, #GP and #CP.
CONTRIBUTORY: Final = frozenset({0, TS, 11, 12, GP, 21})
PAGE_FAULTS: Final = frozenset({PAGE_FAULT, 20})
WITH_ERROR: Final = frozenset({DOUBLE_FAULT, *range(TS, PAGE_FAULT + 1), ALIGNMENT, 21, 29, 30})

NMI_BLOCKED: Final = WORD["nmi_blocked"]
DEBUG: Final = WORD["debug_pending"]
RETIRED: Final = WORD["retired"]
LOG_COUNT: Final = WORD["log_count"]
PAGE_COUNT: Final = WORD["page_count"]
CODE_LENGTH: Final = WORD["code_length"]
CODE_GIVEN: Final = WORD["code_given"]
BLOCK_ANSWER: Final = WORD["block_answer"]

TYPE: Final = EVENT_BITS["TYPE"]
SOFTWARE: Final = (EVENT_TYPES["SOFTWARE_INTERRUPT"], EVENT_TYPES["SOFTWARE_EXCEPTION"])
DR7_ENABLES: Final = 0xFF
DR7_GD: Final = 1 << 13
BREAKPOINTS: Final = 15  # B3-B0 in DR6


def watches(context: Context) -> bool:
    """Whether breakpoints are enabled."""
    return bool(context.words[DR + 7] & DR7_ENABLES)


def raise_exception(context: Context, vector: int, error: int, address: int, bits: int) -> None:
    """Make an exception the event; CR2, DR6 and DR7 change now.

    A page fault that is detected while an event is delivered sets CR2 even if it becomes a double
    fault (SDM vol. 3A, "Interrupt 14 - Page-Fault Exception (#PF)"). `address` is for #PF the
    linear address, for #DB the bits of DR6.
    """
    words = context.words
    if vector == PAGE_FAULT:
        words[CR2] = address
    if vector == DB:
        words[DR + 6] = words[DR + 6] & ~BREAKPOINTS | DR6_FIXED | address
        words[DR + 7] &= ~DR7_GD
    has_error = HAS_ERROR if vector in WITH_ERROR else 0
    words[EVENT] = VALID | EVENT_TYPES["EXCEPTION"] | has_error | bits | vector
    words[ERROR] = error


def raise_fault(context: Context) -> None:
    """Make the fault in the exit record the event; RF is pushed set, so it restarts untrapped."""
    words = context.words
    raise_exception(context, words[EXIT_ADDRESS], words[EXIT_SIZE], words[EXIT_VALUE], RESUME)


def after_instruction(context: Context, *, complete: bool) -> None:
    """Keep the debug traps of an instruction, and let RF end with it.

    An instruction that loads SS puts its single-step trap off to the next one, which has its own.
    RF is set while a repeated instruction is not at its end.
    """
    words = context.words
    if context.shadow == SHADOW_MOV_SS:
        context.debug &= ~BS
    words[DEBUG] |= context.debug
    if not complete:
        words[RFLAGS] |= RF
    elif not context.keeps_rf:
        words[RFLAGS] &= ~RF


def _code_breakpoints(context: Context) -> int:
    if not watches(context) or context.words[RFLAGS] & RF:
        return 0
    return code_breakpoints(context, linear_rip(context))


def _unless_held(words: memoryview, waiting: int) -> int:
    """What waits in that word, unless the owner holds it."""
    return 0 if words[CONTROL] & HOLD else words[waiting]


def code_stop(context: Context) -> int:
    """Return DEBUG, the exit record filled, if an EXECUTE slot of the owner is here; else 0."""
    begin_mode(context)
    return report_hit(context) if stops_at(context, linear_rip(context)) else 0


def before_instruction(context: Context) -> int:
    """Choose the event before the next instruction, if any; or return an exit kind, else 0.

    SDM vol. 3A, "Priority Among Concurrent Events": traps of the last instruction, NMI, external
    interrupts, code breakpoints. A trap takes the code breakpoints of the same boundary along: one
    #DB tells of both, as on processors. The owner's come before the guest's, and are not lost
    behind a load of SS.
    """
    words = context.words
    begin_mode(context)
    after_stack_load = words[SHADOW] == SHADOW_MOV_SS
    if words[DEBUG] and not after_stack_load:
        raise_exception(context, DB, 0, words[DEBUG] | _code_breakpoints(context), 0)
        words[DEBUG] = 0
    elif _unless_held(words, NMI_PENDING) and not words[NMI_BLOCKED] and not after_stack_load:
        words[NMI_PENDING] = 0
        words[EVENT] = VALID | EVENT_TYPES["NMI"] | NMI
    elif _unless_held(words, REQUEST) and may_interrupt(words):
        words[EVENT] = VALID | EVENT_TYPES["INTERRUPT"] | words[REQUEST] - 1 & 0xFF
        words[REQUEST] = 0
    elif _unless_held(words, WINDOW) and may_interrupt(words):
        words[WINDOW] = 0
        return INTERRUPT_WINDOW
    elif code_stop(context):
        return DEBUG_EXIT
    elif not after_stack_load:
        bits = _code_breakpoints(context)
        if bits:
            raise_exception(context, DB, 0, bits, 0)
    return 0


def _block_nmis(context: Context, event: int) -> None:
    """An NMI blocks the next, also where its delivery has come to a fault."""
    if event & TYPE == EVENT_TYPES["NMI"]:
        context.words[NMI_BLOCKED] = 1


def _combine(context: Context, first: int) -> int:
    """Make an event of the fault that came while `first` was delivered.

    SDM vol. 3A, "Interrupt 8 - Double Fault Exception (#DF)". Returns 0 to deliver it now, DONE
    where that is better left for later, or TRIPLE_FAULT.
    """
    words = context.words
    _block_nmis(context, first)
    if first & TYPE not in SOFTWARE:
        add_external(context)
    vector, second = first & 0xFF, words[EXIT_ADDRESS]
    raise_fault(context)
    if second not in CONTRIBUTORY and second not in PAGE_FAULTS:
        return DONE  # benign ones may lead to each other for ever
    if first & TYPE != EVENT_TYPES["EXCEPTION"]:
        return 0
    if vector == DOUBLE_FAULT:
        words[EVENT], words[ERROR] = first, 0
        return TRIPLE_FAULT
    if vector in PAGE_FAULTS or (vector in CONTRIBUTORY and second in CONTRIBUTORY):
        raise_exception(context, DOUBLE_FAULT, 0, 0, 0)
    return 0


def _deliver_event(context: Context) -> None:
    words = context.words
    event = words[EVENT]
    context.shadow = context.debug = 0
    context.watched = 0
    try:
        begin_mode(context)
        flags = words[RFLAGS] | (RF if event & RESUME else 0)
        error = words[ERROR] if event & HAS_ERROR else None
        software = event & TYPE in SOFTWARE
        deliver(context, event & 0xFF, words[RIP], flags, error, software=software)
    finally:
        begin_mode(context)
    words[RIP] = context.next_rip
    words[SHADOW] = 0
    _block_nmis(context, event)


def _forget(context: Context) -> None:
    """The next phase has a log of its own."""
    words = context.words
    words[LOG_COUNT] = words[PAGE_COUNT] = words[BLOCK_ANSWER] = 0
    words[CODE_LENGTH] = words[CODE_GIVEN] = 0


def continue_delivery(context: Context) -> int:
    """Deliver the event, and what comes of it; return DONE or an exit kind.

    It counts as an instruction.
    """
    words, kind = context.words, 0
    context.code = b""
    while not kind:
        event = words[EVENT]
        context.ordinal = context.pages = 0
        context.pages_known = words[PAGE_COUNT]
        try:
            _deliver_event(context)
        except Stop as stop:
            if stop.kind != FAULT:
                return stop.kind
            kind = _combine(context, event)
        else:
            words[EVENT], kind = 0, DONE
        _forget(context)
    if kind == DONE:
        words[RETIRED] = words[RETIRED] + 1 & mask_of(8)
        words[CONTROL] &= ~SKIP
    return kind


def begin_delivery(context: Context) -> int:
    """Deliver a new event."""
    _forget(context)
    return continue_delivery(context)


def needs_attention(context: Context) -> bool:
    """Whether `before_instruction` may have something to do."""
    words = context.words
    waiting = words[NMI_PENDING] | words[REQUEST] | words[WINDOW]
    return bool(words[DEBUG] or (waiting and not words[CONTROL] & HOLD) or watches(context))


def wakes(context: Context) -> bool:
    """Whether something ends HLT at once."""
    words = context.words
    nmi = _unless_held(words, NMI_PENDING) and not words[NMI_BLOCKED]
    return bool(words[DEBUG] or nmi or (_unless_held(words, REQUEST) and may_interrupt(words)))
