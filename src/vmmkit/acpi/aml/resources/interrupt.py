# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Interrupts by their global number, and GPIO pins that request them.

ACPI Specification, "Extended Interrupt Descriptor" and "GPIO Connection Descriptor".
"""

from __future__ import annotations

import struct
from typing import Any, ClassVar, Self

import attrs

from vmmkit.acpi.aml.resources.descriptor import (
    Descriptor,
    checked,
    content_of,
    listed,
    numbers_of,
    path_bytes,
    quoted,
    source_asl,
    source_bytes,
    source_of,
)
from vmmkit.acpi.aml.resources.values import Keyword, Polarity, Sharing, Trigger, sharing_asl

__all__ = ["GpioInt", "GpioIo", "Interrupt", "IoRestriction", "PinPull"]


def _consumer(*, consumer: bool) -> str:
    return "ResourceConsumer" if consumer else "ResourceProducer"


@attrs.frozen
class Interrupt(Descriptor, tag=0x89, format="BB"):
    """Global system interrupts (GSIs).

    Args:
        interrupts: a GSI, or several to choose from, up to 255.
        trigger: edge or level.
        polarity: active high or low.
        sharing: may it be shared, may it wake the system.
        consumer: the device uses it, and does not produce it.
        source_index: of the resource source, or `None`.
        source: path of the device that gives it, or `None` for the GSIs of the system.
    """

    interrupts: tuple[int, ...] = attrs.field(converter=numbers_of)
    trigger: Trigger = Trigger.LEVEL
    polarity: Polarity = Polarity.ACTIVE_HIGH
    sharing: Sharing = Sharing.EXCLUSIVE
    consumer: bool = True
    source_index: int | None = None
    source: str | None = None

    LIMITS: ClassVar[dict[str, int]] = {"trigger": 1, "polarity": 1, "sharing": 3, "consumer": 1}

    def _values(self) -> tuple[Any, ...]:
        checked("how many interrupts there are", len(self.interrupts), 0xFF, 1)
        for each in self.interrupts:
            checked("an interrupt", each, 0xFFFF_FFFF)
        # "Extended Interrupt Descriptor", flags: consumer, edge, low, shared, wake from bit 0.
        flags = self.consumer | self.trigger << 1 | self.polarity << 2 | self.sharing << 3
        return flags, len(self.interrupts)

    def _tail(self) -> bytes:
        numbers = struct.pack(f"<{len(self.interrupts)}I", *self.interrupts)
        return numbers + source_bytes(self.source_index, self.source)

    @classmethod
    def _from_values(cls, *values: Any, tail: bytes) -> Self:
        flags, count = values
        return cls(
            struct.unpack_from(f"<{count}I", tail),
            Trigger(flags >> 1 & 1),
            Polarity(flags >> 2 & 1),
            Sharing(flags >> 3 & 3),
            bool(flags & 1),
            *source_of(tail[4 * count :]),
        )

    def asl(self) -> str:
        """Return it as an ASL resource macro."""
        words = (
            _consumer(consumer=self.consumer),
            self.trigger.asl,
            self.polarity.asl,
            sharing_asl(self.sharing),
            source_asl(self.source_index, self.source),
        )
        return f"Interrupt ({', '.join(words)}, ) {listed(self.interrupts)}"


class PinPull(Keyword):
    """What holds a pin that nobody drives."""

    DEFAULT = 0
    UP = 1
    DOWN = 2
    NONE = 3

    @property
    def asl(self) -> str:
        """The keyword."""
        return "Pull" + self.name.capitalize()


class IoRestriction(Keyword):
    """What a pin for input and output may be used for."""

    NONE = 0
    INPUT_ONLY = 1
    OUTPUT_ONLY = 2
    NONE_AND_PRESERVE = 3

    @property
    def asl(self) -> str:
        """The keyword."""
        return "IoRestriction" + "".join(word.capitalize() for word in self.name.split("_"))


# Revision, connection type, general flags, interrupt or I/O flags, pull, drive strength, debounce
# time, offset of the pins, source index, offset of the source, offset and length of vendor data.
# Offsets count from the tag, which is three bytes before.
_GPIO = "BBHHBHHHBHHH"
_GPIO_REVISION = 1
_TAG_SIZE = 3


@attrs.frozen
class _Gpio(Descriptor):
    """What both connections have.

    Args:
        pins: a number, or several.
        source: path of the GPIO controller.
        pull: what holds the pin.
        sharing: may it be shared, may it wake the system.
        source_index: of the resource source.
        consumer: the device uses it, and does not produce it.
        vendor: bytes of a vendor's own.
    """

    pins: tuple[int, ...] = attrs.field(converter=numbers_of)
    source: str
    pull: PinPull = attrs.field(default=PinPull.DEFAULT, kw_only=True)
    sharing: Sharing = attrs.field(default=Sharing.EXCLUSIVE, kw_only=True)
    source_index: int = attrs.field(default=0, kw_only=True)
    consumer: bool = attrs.field(default=True, kw_only=True)
    vendor: bytes = attrs.field(default=b"", converter=content_of, kw_only=True)

    LIMITS: ClassVar[dict[str, int]] = {
        "pull": 3,
        "sharing": 3,
        "source_index": 0xFF,
        "consumer": 1,
        "debounce": 0xFFFF,
    }

    def _connection(self) -> tuple[int, int, int, int]:
        """Return connection type, flags, drive strength and debounce time."""
        raise NotImplementedError

    def _values(self) -> tuple[Any, ...]:
        checked("how many pins there are", len(self.pins), 0x7FFF, 1)
        for each in self.pins:
            checked("a pin", each, 0xFFFF)
        kind, flags, drive, debounce = self._connection()
        pins = _TAG_SIZE + self.FORMAT.size
        source = pins + 2 * len(self.pins)
        vendor = source + len(self.source) + 1
        head = (_GPIO_REVISION, kind, self.consumer, flags, self.pull, drive, debounce)
        return (*head, pins, self.source_index, source, vendor, len(self.vendor))

    def _tail(self) -> bytes:
        pins = struct.pack(f"<{len(self.pins)}H", *self.pins)
        return pins + path_bytes(self.source) + self.vendor

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Make the connection that the item's type says."""
        values = cls.FORMAT.unpack_from(body)
        _, kind, consumer, flags, pull, drive, debounce, pins, index, source, vendor, count = values
        places = [place - _TAG_SIZE for place in (pins, source, vendor)]
        numbers = struct.unpack(f"<{(source - pins) // 2}H", body[places[0] : places[1]])
        name = body[places[1] : places[2] - 1].decode("ascii")
        made = GpioIo if kind else GpioInt
        return made._of(  # type: ignore[return-value]  # noqa: SLF001
            flags,
            (drive, debounce),
            numbers,
            name,
            pull=PinPull(pull),
            sharing=Sharing(flags >> 3 & 3),
            source_index=index,
            consumer=bool(consumer & 1),
            vendor=body[places[2] : places[2] + count],
        )

    def _asl(self, words: str) -> str:
        consumer = _consumer(consumer=self.consumer)
        place = f"{quoted(self.source)}, 0x{self.source_index:02X}, {consumer}, , "
        vendor = (
            f"RawDataBuffer (0x{len(self.vendor):02X}) {listed(self.vendor)}" if self.vendor else ""
        )
        return f"{words}, {place}{vendor}) {listed(self.pins)}"


@attrs.frozen
class GpioInt(_Gpio, tag=0x8C, format=_GPIO):
    """Pins of a GPIO controller that request interrupts; see `GpioIo` for what both have.

    Args:
        trigger: edge or level.
        polarity: active high, low, or both.
        debounce: in hundredths of a millisecond.
    """

    trigger: Trigger = attrs.field(default=Trigger.EDGE, kw_only=True)
    polarity: Polarity = attrs.field(default=Polarity.ACTIVE_HIGH, kw_only=True)
    debounce: int = attrs.field(default=0, kw_only=True)

    LIMITS: ClassVar[dict[str, int]] = _Gpio.LIMITS | {"trigger": 1, "polarity": 2}

    def _connection(self) -> tuple[int, int, int, int]:
        # "GPIO Connection Descriptor", interrupt flags: edge, polarity (2 bits), shared, wake.
        return 0, self.trigger | self.polarity << 1 | self.sharing << 3, 0, self.debounce

    @classmethod
    def _of(cls, flags: int, times: tuple[int, int], *args: Any, **kwargs: Any) -> Self:
        trigger, polarity = Trigger(flags & 1), Polarity(flags >> 1 & 3)
        return cls(*args, trigger=trigger, polarity=polarity, debounce=times[1], **kwargs)

    def asl(self) -> str:
        """Return it as an ASL resource macro."""
        words = (self.trigger.asl, self.polarity.asl, sharing_asl(self.sharing), self.pull.asl)
        return self._asl(f"GpioInt ({', '.join(words)}, 0x{self.debounce:02X}")


@attrs.frozen
class GpioIo(_Gpio):
    """Pins of a GPIO controller for input and output.

    Args:
        pins: a number, or several.
        source: path of the GPIO controller.
        pull: what holds the pin.
        sharing: may it be shared, may it wake the system.
        source_index: of the resource source.
        consumer: the device uses it, and does not produce it.
        vendor: bytes of a vendor's own.
        restriction: to input, to output, or none.
        debounce: in hundredths of a millisecond.
        drive: strength, in hundredths of a milliampere.
    """

    restriction: IoRestriction = attrs.field(default=IoRestriction.NONE, kw_only=True)
    debounce: int = attrs.field(default=0, kw_only=True)
    drive: int = attrs.field(default=0, kw_only=True)

    LIMITS: ClassVar[dict[str, int]] = _Gpio.LIMITS | {"restriction": 3, "drive": 0xFFFF}

    def _connection(self) -> tuple[int, int, int, int]:
        # "GPIO Connection Descriptor", I/O flags: restriction (2 bits), shared in bit 3.
        return 1, self.restriction | self.sharing << 3, self.drive, self.debounce

    @classmethod
    def _of(cls, flags: int, times: tuple[int, int], *args: Any, **kwargs: Any) -> Self:
        restriction = IoRestriction(flags & 3)
        return cls(*args, restriction=restriction, drive=times[0], debounce=times[1], **kwargs)

    def asl(self) -> str:
        """Return it as an ASL resource macro."""
        times = f"0x{self.debounce:02X}, 0x{self.drive:02X}"
        words = f"{sharing_asl(self.sharing)}, {self.pull.asl}, {times}"
        return self._asl(f"GpioIo ({words}, {self.restriction.asl}")


GpioIo.FORMAT, GpioIo.TAG = GpioInt.FORMAT, GpioInt.TAG
