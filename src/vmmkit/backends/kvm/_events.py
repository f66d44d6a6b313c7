# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What is being delivered, and what is held up: a vCPU's record and struct kvm_vcpu_events.

"The Definitive KVM API Documentation", KVM_GET_VCPU_EVENTS. Exception payloads are not enabled, so
that CR2 and DR6 are set already when an exception is there, as they are in the record.
"""

from __future__ import annotations

from typing import Final

from vmmkit.backends.kvm._spec import SHADOW_MOV_SS, SHADOW_STI, VCPU_EVENTS, EventsValid
from vmmkit.insn import WORD, EventKind

__all__ = ["pull_events", "push_events", "shadow_of"]

SHADOW: Final = WORD["interrupt_shadow"]
BLOCKED: Final = WORD["nmi_blocked"]
NMI_PENDING: Final = WORD["nmi_pending"]
TRAP: Final = WORD["debug_pending"]
EVENT: Final = WORD["event"]
ERROR: Final = WORD["event_error"]
DR6: Final = WORD["dr"] + 6
HAS_ERROR, VALID = 0x800, 1 << 31
TYPE, VECTOR, NARROW = 0x700, 0xFF, 0xFFFF_FFFF
DEBUG, NMI_VECTOR = 1, 2
SOFTWARE: Final = frozenset({3, 4})  # exceptions of INT3 and INTO
SHADOW_WORD: Final = {SHADOW_MOV_SS: 2, SHADOW_STI: 1, SHADOW_MOV_SS | SHADOW_STI: 2}
SHADOW_BITS: Final = {0: 0, 1: SHADOW_STI, 2: SHADOW_MOV_SS}
EXCEPTIONS: Final = frozenset({EventKind.EXCEPTION, EventKind.SOFTWARE_EXCEPTION, EventKind.ICEBP})
GIVEN: Final = EventsValid.NMI_PENDING | EventsValid.SHADOW
# Numbers of the fields of struct kvm_vcpu_events.
EXCEPTION: Final = 0  # injected, vector, whether there is an error code, pending, error code
INTERRUPT: Final = 5  # injected, vector, of INT n, shadow
NMI: Final = 9  # injected, pending, masked
SIPI, FLAGS, SMM, LAST = 12, 13, 14, 20


def _event_of(fields: tuple[int, ...]) -> tuple[int, int]:
    """Return the words `event` and `event_error`."""
    injected, vector, has_error, pending, error = fields[EXCEPTION:INTERRUPT]
    if injected or pending:
        kind = EventKind.SOFTWARE_EXCEPTION if vector in SOFTWARE else EventKind.EXCEPTION
        return VALID | kind | vector | (HAS_ERROR if has_error else 0), error
    injected, vector, of_int, _ = fields[INTERRUPT:NMI]
    if injected:
        return VALID | vector | (EventKind.SOFTWARE_INTERRUPT if of_int else 0), 0
    return (VALID | EventKind.NMI | NMI_VECTOR, 0) if fields[NMI] else (0, 0)


def shadow_of(events: memoryview) -> int:
    """Return the word `interrupt_shadow` for struct kvm_vcpu_events, given as bytes."""
    return SHADOW_WORD.get(VCPU_EVENTS.unpack_from(events)[NMI - 1], 0)


def pull_events(words: memoryview, events: memoryview) -> None:
    """Fill the record from struct kvm_vcpu_events, given as bytes."""
    fields = VCPU_EVENTS.unpack_from(events)
    words[EVENT], words[ERROR] = _event_of(fields)
    words[SHADOW] = SHADOW_WORD.get(fields[NMI - 1], 0)
    words[NMI_PENDING], words[BLOCKED] = int(bool(fields[NMI + 1])), fields[NMI + 2]
    words[TRAP] = 0


def push_events(words: memoryview, events: memoryview) -> None:
    """Fill struct kvm_vcpu_events, given as bytes, from the record.

    A debug trap that is due before the next instruction becomes the exception that it is.
    """
    fields = list(VCPU_EVENTS.unpack_from(events))
    event, error = words[EVENT], words[ERROR]
    if not event and words[TRAP]:
        event, words[DR6] = VALID | EventKind.EXCEPTION | DEBUG, words[DR6] | words[TRAP]
        words[TRAP] = 0
    kind, vector = event & TYPE, event & VECTOR
    fields[EXCEPTION:INTERRUPT] = [0] * 5
    fields[INTERRUPT : NMI + 1] = [0] * 5
    if event and kind in EXCEPTIONS:
        has_error = bool(event & HAS_ERROR)
        fields[EXCEPTION:INTERRUPT] = [1, vector, has_error, 0, error & NARROW]
    elif event and kind == EventKind.NMI:
        fields[NMI] = 1
    elif event:
        fields[INTERRUPT:NMI] = [1, vector, kind == EventKind.SOFTWARE_INTERRUPT, 0]
    fields[NMI - 1] = SHADOW_BITS.get(words[SHADOW], 0)
    fields[NMI + 1], fields[NMI + 2] = bool(words[NMI_PENDING]), bool(words[BLOCKED])
    fields[FLAGS] = GIVEN
    VCPU_EVENTS.pack_into(events, 0, *fields)
