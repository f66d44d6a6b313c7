# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Which interrupt a GSI raises: rows of KVM's routing table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs

from vmmkit.backends.kvm._spec import (
    ROUTE_CHIP,
    ROUTE_MSI,
    ROUTING_CHIP,
    ROUTING_HEAD,
    ROUTING_MSI,
    Chip,
)
from vmmkit.errors import MachineError

__all__ = [
    "PC_ROUTES",
    "ChipRoute",
    "MsiRoute",
    "Route",
    "checked",
    "checked_chip",
    "pack_routes",
    "split_address",
]

PIC_PINS: Final = 8
ISA_IRQS: Final = 16
IOAPIC_PINS: Final = 24
TIMER, TIMER_PIN, CASCADE = 0, 2, 2


def checked(what: str, value: int, bits: int) -> int:
    """Return `value` where an unsigned field of `bits` bits holds it.

    Raises:
        MachineError: it does not; `what` names the field.
    """
    if not isinstance(value, int) or not 0 <= value < 1 << bits:
        raise MachineError(f"{what} is a number of {bits} bits, not {value!r}")
    return value


def checked_chip(chip: int) -> Chip:
    """Return one of KVM's interrupt controllers.

    Raises:
        MachineError: there is none of this number.
    """
    try:
        return Chip(chip)
    except ValueError:
        raise MachineError(f"no interrupt controller {chip!r}; there are {[*Chip]}") from None


@attrs.frozen
class ChipRoute:
    """A GSI that is wired to an input of an interrupt controller inside KVM.

    Attributes:
        gsi: the wire.
        chip: which controller.
        pin: its input.
    """

    gsi: int
    chip: Chip
    pin: int

    def pack(self) -> bytes:
        """Return struct kvm_irq_routing_entry."""
        gsi, pin = checked("gsi", self.gsi, 32), checked("pin", self.pin, 32)
        return ROUTING_CHIP.pack(gsi, ROUTE_CHIP, checked_chip(self.chip), pin)


@attrs.frozen
class MsiRoute:
    """A GSI that sends a message.

    Attributes:
        gsi: the wire.
        address: 64 bits, where the message is written.
        data: 32 bits.
    """

    gsi: int
    address: int
    data: int

    def pack(self) -> bytes:
        """Return struct kvm_irq_routing_entry."""
        gsi, data = checked("gsi", self.gsi, 32), checked("data", self.data, 32)
        return ROUTING_MSI.pack(gsi, ROUTE_MSI, *split_address(self.address), data)


Route = ChipRoute | MsiRoute


def split_address(address: int) -> tuple[int, int]:
    """Return the low and the high half of the address of a message."""
    address = checked("address", address, 64)
    return address & 0xFFFF_FFFF, address >> 32


def _pc_routes() -> Iterable[ChipRoute]:
    """Yield the wires of a PC.

    ISA interrupts reach both 8259A and I/O APIC. The timer, GSI 0, has input 2 of the I/O APIC,
    as the interrupt source override of ACPI tables says; GSI 2, the cascade, has no wire.
    """
    for gsi in range(IOAPIC_PINS):
        if gsi == CASCADE:
            continue
        if gsi < ISA_IRQS:
            yield ChipRoute(gsi, Chip(gsi // PIC_PINS), gsi % PIC_PINS)
        yield ChipRoute(gsi, Chip.IOAPIC, TIMER_PIN if gsi == TIMER else gsi)


#: What `KvmVm(irqchip="kernel")` starts with.
PC_ROUTES: Final = tuple(_pc_routes())


def pack_routes(routes: Iterable[Route]) -> bytes:
    """Return struct kvm_irq_routing."""
    rows = [route.pack() for route in routes]
    return ROUTING_HEAD.pack(len(rows)) + b"".join(rows)
