# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Fixed interrupts inside a local APIC: IRR, ISR, TMR and the priorities that rank them.

Each register is one integer of 256 bits, a bit for each vector, so the highest vector is a
`bit_length`. Priorities follow from the registers and are never kept beside them.

Source: SDM volume 3A, "Interrupt, Task, and Processor Priority", "Interrupt Acceptance for Fixed
Interrupts" and "Signaling Interrupt Servicing Completion".
"""

from __future__ import annotations

from typing import Any

import attrs

__all__ = ["VectorQueue"]


@attrs.define(eq=False)
class VectorQueue:
    """The three vector registers and the task priority.

    Attributes:
        task_priority: a sequence whose only element is the task priority, 0-255.
        irr: accepted and not yet dispensed.
        isr: dispensed and not yet ended.
        tmr: accepted as level-triggered, so that the EOI is broadcast.
    """

    task_priority: Any = attrs.field(factory=lambda: [0])
    irr: int = 0
    isr: int = 0
    tmr: int = 0

    @property
    def tpr(self) -> int:
        """The task priority."""
        return int(self.task_priority[0])

    @tpr.setter
    def tpr(self, value: int) -> None:
        """Set it where it is kept."""
        self.task_priority[0] = value

    def request(self, vector: int, *, level: bool) -> None:
        """Accept `vector`; one that already waits is merged with it."""
        bit = 1 << vector
        self.irr |= bit
        self.tmr = self.tmr | bit if level else self.tmr & ~bit

    @property
    def highest_requested(self) -> int:
        """The highest vector in IRR, or 0."""
        return max(self.irr.bit_length() - 1, 0)

    @property
    def highest_in_service(self) -> int:
        """The highest vector in ISR, or 0."""
        return max(self.isr.bit_length() - 1, 0)

    @property
    def processor_priority(self) -> int:
        """PPR: the task priority, or the class in service if that is higher.

        With equal classes the sub-class is the task's; the manual leaves that to the model.
        """
        servicing = self.highest_in_service & 0xF0
        return self.tpr if self.tpr & 0xF0 >= servicing else servicing

    @property
    def arbitration_priority(self) -> int:
        """APR: what the processor priority would be with the highest request in service too."""
        requested, servicing = self.highest_requested & 0xF0, self.highest_in_service & 0xF0
        if self.tpr & 0xF0 >= requested and self.tpr & 0xF0 > servicing:
            return self.tpr
        return max(self.tpr & 0xF0, servicing, requested)

    def candidate(self) -> int | None:
        """Return the vector to be dispensed: the highest request of a class above PPR's."""
        irr = self.irr
        if not irr:
            return None
        vector = irr.bit_length() - 1
        servicing = self.isr.bit_length() - 1 >> 4
        return vector if servicing < vector >> 4 > self.task_priority[0] >> 4 else None

    def held_back(self) -> int:
        """Return the class of the highest request if nothing but the task priority is above it."""
        requested = self.irr.bit_length() - 1 >> 4
        servicing = self.isr.bit_length() - 1 >> 4
        return requested if servicing < requested <= self.task_priority[0] >> 4 else 0

    def dispense(self) -> int | None:
        """Move the candidate from IRR to ISR and return it."""
        vector = self.candidate()
        if vector is not None:
            self.irr &= ~(1 << vector)
            self.isr |= 1 << vector
        return vector

    def end(self) -> tuple[int, bool] | None:
        """Take the highest vector out of ISR; return it and whether it was level-triggered."""
        if not self.isr:
            return None
        vector = self.highest_in_service
        self.isr &= ~(1 << vector)
        return vector, bool(self.tmr >> vector & 1)

    def holds(self, vector: int) -> bool:
        """Whether `vector` is requested or in service."""
        return bool((self.irr | self.isr) >> vector & 1)

    def clear(self) -> None:
        """Go to the state after power-up."""
        self.tpr = self.irr = self.isr = self.tmr = 0
