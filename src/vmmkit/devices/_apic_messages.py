# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The message that local APICs, I/O APICs and MSI devices send, and how it is written.

Sources as in `_apic_spec`; the PCI side of MSI is "Message Signalled Interrupts" of the PCI Local
Bus Specification.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs

from vmmkit.devices._apic_spec import (
    APIC_ADDRESSES,
    BROADCAST_8,
    BROADCAST_32,
    ICR_LEVEL,
    ICR_LOGICAL,
    ICR_TRIGGER_LEVEL,
    DeliveryMode,
    Shorthand,
)
from vmmkit.errors import DeviceError

__all__ = [
    "ApicMessage",
    "check_callable",
    "check_cell",
    "check_flag",
    "check_range",
    "decode_icr",
    "decode_message",
    "decode_msi",
    "in_range",
    "unconnected",
]

_MODES: Final = {int(mode): mode for mode in DeliveryMode}
_LEVEL_CAPABLE: Final = (DeliveryMode.FIXED, DeliveryMode.LOWEST_PRIORITY)


@attrs.frozen
class ApicMessage:
    """One interrupt message on its way to local APICs.

    Attributes:
        vector: 0-255; the start page with `DeliveryMode.SIPI`.
        delivery_mode: what the message asks of its receivers.
        destination: an APIC ID, or a logical destination; 8 bits, or 32 if `wide`.
        logical: `destination` is a logical one.
        level: the vector is level-triggered: its EOI is broadcast.
        wide: sent by a local APIC in x2APIC mode, where FFH is an ordinary ID.
        redirectable: one of the receivers is enough (MSI's redirection hint).
        shorthand: who is meant instead of `destination`.
        source: APIC ID of the sender of an IPI, for the shorthands.
    """

    vector: int
    delivery_mode: DeliveryMode = DeliveryMode.FIXED
    destination: int = 0
    logical: bool = False
    level: bool = False
    wide: bool = False
    redirectable: bool = False
    shorthand: Shorthand = Shorthand.NONE
    source: int | None = None

    @property
    def broadcast(self) -> bool:
        """Whether `destination` means every APIC."""
        return self.destination == (BROADCAST_32 if self.wide else BROADCAST_8)

    @property
    def to_one(self) -> bool:
        """Whether a single receiver is to be chosen; SDM "Lowest Priority Delivery Mode"."""
        return self.delivery_mode is DeliveryMode.LOWEST_PRIORITY or (
            self.redirectable and self.logical
        )


def decode_message(
    low: int, destination: int, *, level: bool, redirectable: bool = False
) -> ApicMessage | None:
    """Return the message of an MSI's data or a redirection entry, or `None` if it sends nothing.

    Args:
        low: vector in bits 0-7, delivery mode in 8-10, logical in 11.
        destination: as in `ApicMessage`.
        level: level-triggered; only fixed and lowest priority delivery know that.
        redirectable: as in `ApicMessage`.
    """
    mode = _MODES.get(low >> 8 & 7)
    if mode is None or mode is DeliveryMode.SIPI:
        return None
    return ApicMessage(
        low & 0xFF,
        mode,
        destination,
        logical=bool(low & ICR_LOGICAL),
        level=level and mode in _LEVEL_CAPABLE,
        redirectable=redirectable,
    )


def decode_msi(address: int, data: int, *, extended: bool = False) -> ApicMessage | None:
    """Return the message that a device's write of `data` to `address` is.

    SDM "Message Address Register Format" and "Message Data Register Format": bits 12-19 of the
    address are the destination, bit 3 the redirection hint, bit 2 the destination mode; bits 14
    and 15 of the data are level and trigger. A level message that de-asserts is nothing to a
    local APIC.

    Args:
        address: 64 bits; `None` is returned unless it is in FEE00000-FEEFFFFF.
        data: 32 bits, of which the upper 16 do not count.
        extended: bits 5-11 of the address are bits 8-14 of the destination. Hypervisors offer
            that to guests with more than 255 processors and no interrupt remapping.
    """
    if address >> 20 != APIC_ADDRESSES:
        return None
    level = bool(data & ICR_TRIGGER_LEVEL)
    if level and not data & ICR_LEVEL:
        return None
    destination = address >> 12 & 0xFF
    if extended:
        destination |= (address >> 5 & 0x7F) << 8
    low = data & 0x7FF | (address >> 2 & 1) * ICR_LOGICAL
    return decode_message(low, destination, level=level, redirectable=bool(address & 8))


def _sends_nothing(icr: int) -> bool:
    """Whether a command is an INIT de-assert or of a reserved delivery mode.

    SDM "Local APIC State After It Receives an INIT-Deassert IPI": it concerns nothing but the
    arbitration IDs of APIC buses.
    """
    mode = icr >> 8 & 7
    deassert = mode == DeliveryMode.INIT and icr & ICR_TRIGGER_LEVEL and not icr & ICR_LEVEL
    return mode not in _MODES or mode == DeliveryMode.EXTINT or bool(deassert)


def decode_icr(icr: int, source: int, *, wide: bool) -> ApicMessage | None:
    """Return the IPI that a value of the interrupt command register asks for, if any.

    SDM "Interrupt Command Register (ICR)": level and trigger have no meaning but for INIT; every
    IPI is an edge.

    Args:
        icr: 64 bits; the destination in bits 32-63 if `wide`, else in bits 56-63.
        source: APIC ID of the sender.
        wide: x2APIC mode.
    """
    if _sends_nothing(icr):
        return None
    return ApicMessage(
        icr & 0xFF,
        _MODES[icr >> 8 & 7],
        icr >> (32 if wide else 56),
        logical=bool(icr & ICR_LOGICAL),
        wide=wide,
        shorthand=Shorthand(icr >> 18 & 3),
        source=source,
    )


def unconnected(*_values: object) -> int:
    """Stand in for a pin that leads nowhere."""
    return 0


def check_callable(owner: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse a callable that is none (an attrs validator)."""
    if not callable(value):
        name = type(owner).__name__
        raise DeviceError(f"{name}: {attribute.name} is {value!r}, which cannot be called")


def check_cell(owner: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse what is no sequence of one integer (an attrs validator)."""
    try:
        (element,) = value  # type: ignore[misc]
    except (TypeError, ValueError):
        element = None
    if not isinstance(element, int):
        name = type(owner).__name__
        raise DeviceError(f"{name}: {attribute.name} is {value!r}; one integer in it is possible")


def check_flag(owner: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse what is no bool: "no" would count as true (an attrs validator)."""
    if not isinstance(value, bool):
        name = type(owner).__name__
        raise DeviceError(f"{name}: {attribute.name} is {value!r}; True and False are possible")


def check_range(what: str, value: object, last: int, first: int = 0) -> int:
    """Return `value` as an int, or raise `DeviceError` if it is none from `first` to `last`."""
    if not isinstance(value, int) or not first <= value <= last:
        raise DeviceError(f"{what} is {value!r}; {first:#x} to {last:#x} are possible")
    return int(value)


def in_range(first: int, last: int) -> Callable[[Any, attrs.Attribute[Any], object], None]:
    """Return an attrs validator that refuses what is no integer from `first` to `last`."""

    def check(owner: object, attribute: attrs.Attribute[Any], value: object) -> None:
        check_range(f"{type(owner).__name__}: {attribute.name}", value, last, first)

    return check
