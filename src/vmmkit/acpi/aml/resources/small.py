# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Small resource items: ISA interrupts, DMA channels, ports, dependent functions.

ACPI Specification, "Small Resource Data Type".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Self

import attrs

from vmmkit.acpi.aml.encoding import shown
from vmmkit.acpi.aml.resources.descriptor import (
    Descriptor,
    Vendor,
    listed,
    number,
    numbers_of,
)
from vmmkit.acpi.aml.resources.values import (
    DmaTransfer,
    DmaType,
    Polarity,
    Sharing,
    Trigger,
    sharing_asl,
)
from vmmkit.errors import AmlValueError

__all__ = [
    "Dma",
    "EndDependentFn",
    "FixedDma",
    "FixedIo",
    "Io",
    "Irq",
    "IrqNoFlags",
    "StartDependentFn",
    "StartDependentFnNoPri",
    "VendorShort",
]


def _mask(numbers: Iterable[int], width: int) -> int:
    """Return the bit mask of interrupt lines or channels."""
    mask = 0
    for each in numbers:
        if not isinstance(each, int) or not 0 <= each < width:
            raise AmlValueError(f"line {shown(each)} is not one of 0 to {width - 1}")
        mask |= 1 << each
    return mask


def _numbers(mask: int) -> tuple[int, ...]:
    return tuple(number for number in range(mask.bit_length()) if mask >> number & 1)


def _lines(value: int | Iterable[int]) -> tuple[int, ...]:
    """Take one number for a tuple of one, and put several in the order a mask has."""
    try:
        return tuple(sorted(set(numbers_of(value))))
    except TypeError:
        raise AmlValueError(f"lines are numbers, not {shown(value)}") from None


def _body_of(mask: int) -> bytes:
    return mask.to_bytes(2, "little")


@attrs.frozen
class IrqNoFlags(Descriptor):
    """One of these ISA interrupts: edge triggered, active high, not shared.

    Args:
        interrupts: a number from 0 to 15, or several to choose from.
    """

    interrupts: tuple[int, ...] = attrs.field(converter=_lines)

    def to_bytes(self) -> bytes:
        """Return the item: the two-byte form of the IRQ descriptor."""
        return bytes((_IRQ | 2,)) + _body_of(_mask(self.interrupts, 16))

    def asl(self) -> str:
        """Return it as an ASL resource macro."""
        return f"IRQNoFlags () {listed(self.interrupts)}"


_IRQ = 0x20


@attrs.frozen
class Irq(Descriptor, tag=_IRQ, format="HB"):
    """One of these ISA interrupts.

    Args:
        interrupts: a number from 0 to 15, or several to choose from.
        trigger: edge or level.
        polarity: active high or low.
        sharing: may it be shared, may it wake the system.
    """

    interrupts: tuple[int, ...] = attrs.field(converter=_lines)
    trigger: Trigger = Trigger.EDGE
    polarity: Polarity = Polarity.ACTIVE_HIGH
    sharing: Sharing = Sharing.EXCLUSIVE

    LIMITS: ClassVar[dict[str, int]] = {"trigger": 1, "polarity": 1, "sharing": 3}

    def _values(self) -> tuple[Any, ...]:
        # "IRQ Descriptor", information byte: bit 0 edge, bit 3 low, bit 4 shared, bit 5 wake.
        flags = (self.trigger == Trigger.EDGE) | self.polarity << 3 | self.sharing << 4
        return _mask(self.interrupts, 16), flags

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Make the form without flags of two bytes, that with flags of three."""
        interrupts = _numbers(int.from_bytes(body[:2], "little"))
        if len(body) == 2:
            return IrqNoFlags(interrupts)  # type: ignore[return-value]
        trigger = Trigger.EDGE if body[2] & 1 else Trigger.LEVEL
        return cls(interrupts, trigger, Polarity(body[2] >> 3 & 1), Sharing(body[2] >> 4 & 3))

    def asl(self) -> str:
        """Return it as an ASL resource macro."""
        words = f"{self.trigger.asl}, {self.polarity.asl}, {sharing_asl(self.sharing)}"
        return f"IRQ ({words}, ) {listed(self.interrupts)}"


@attrs.frozen
class Dma(Descriptor, tag=0x28, format="BB"):
    """One of these ISA DMA channels.

    Args:
        channels: a number from 0 to 7, or several to choose from.
        kind: speed.
        bus_master: does the device master the bus.
        transfer: widths.
    """

    channels: tuple[int, ...] = attrs.field(converter=_lines)
    kind: DmaType = DmaType.COMPATIBILITY
    bus_master: bool = False
    transfer: DmaTransfer = DmaTransfer.TRANSFER8

    LIMITS: ClassVar[dict[str, int]] = {"kind": 3, "bus_master": 1, "transfer": 2}

    def _values(self) -> tuple[Any, ...]:
        return _mask(self.channels, 8), self.kind << 5 | self.bus_master << 2 | self.transfer

    @classmethod
    def _from_values(cls, *values: Any, tail: bytes) -> Self:
        del tail
        mask, flags = values
        kind, transfer = DmaType(flags >> 5 & 3), DmaTransfer(flags & 3)
        return cls(_numbers(mask), kind, bool(flags & 4), transfer)

    def asl(self) -> str:
        """Return it as an ASL resource macro."""
        master = "BusMaster" if self.bus_master else "NotBusMaster"
        return f"DMA ({self.kind.asl}, {master}, {self.transfer.asl}, ) {listed(self.channels)}"


@attrs.frozen
class StartDependentFn(Descriptor, tag=0x30, format="B"):
    """Begin one of several alternatives, with priorities 0 (best) to 2.

    Args:
        compatibility: priority.
        performance: priority.
    """

    compatibility: int
    performance: int

    LIMITS: ClassVar[dict[str, int]] = {"compatibility": 2, "performance": 2}

    def _values(self) -> tuple[Any, ...]:
        return (self.compatibility | self.performance << 2,)

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Make the form without priorities of no byte, that with them of one."""
        if not body:
            return StartDependentFnNoPri()  # type: ignore[return-value]
        return cls(body[0] & 3, body[0] >> 2 & 3)

    def asl(self) -> str:
        """Return the beginning of an ASL resource macro, which `EndDependentFn` closes."""
        return f"StartDependentFn ({self.compatibility}, {self.performance})"


@attrs.frozen
class StartDependentFnNoPri(Descriptor):
    """Begin one of several alternatives, without priorities."""

    def to_bytes(self) -> bytes:
        """Return the item: the form of the descriptor without its optional byte."""
        return b"\x30"

    def asl(self) -> str:
        """Return the beginning of an ASL resource macro."""
        return "StartDependentFnNoPri ()"


@attrs.frozen
class EndDependentFn(Descriptor, tag=0x38, format=""):
    """End the alternatives."""

    def asl(self) -> str:
        """Return it as an ASL resource macro."""
        return "EndDependentFn ()"


@attrs.frozen
class Io(Descriptor, tag=0x40, format="BHHBB"):
    """I/O ports.

    Args:
        minimum: first port, or the lowest it may be.
        length: ports, 1 to 255.
        maximum: the highest the first port may be; `minimum` where none is given.
        alignment: of the first port.
        decode16: all 16 address bits are decoded, not 10.
    """

    minimum: int
    length: int
    maximum: int = attrs.field(default=attrs.Factory(lambda io: io.minimum, takes_self=True))
    alignment: int = 1
    decode16: bool = True

    LIMITS: ClassVar[dict[str, int]] = {
        **dict.fromkeys(("minimum", "maximum"), 0xFFFF),
        **dict.fromkeys(("length", "alignment"), 0xFF),
        "decode16": 1,
    }

    def _values(self) -> tuple[Any, ...]:
        return self.decode16, self.minimum, self.maximum, self.alignment, self.length

    @classmethod
    def _from_values(cls, *values: Any, tail: bytes) -> Self:
        del tail
        decode, minimum, maximum, alignment, length = values
        return cls(minimum, length, maximum, alignment, bool(decode))

    def asl(self) -> str:
        """Return it as an ASL resource macro."""
        decode = "Decode16" if self.decode16 else "Decode10"
        sizes = (self.minimum, self.maximum, self.alignment, self.length)
        return f"IO ({decode}, {', '.join(map(number, sizes))}, )"


@attrs.frozen
class FixedIo(Descriptor, tag=0x48, format="HB"):
    """I/O ports of a device that decodes 10 address bits.

    Args:
        base: first port, 0 to 3FFH.
        length: ports, 1 to 255.
    """

    base: int
    length: int

    LIMITS: ClassVar[dict[str, int]] = {"base": 0x3FF, "length": 0xFF}

    def asl(self) -> str:
        """Return it as an ASL resource macro."""
        return f"FixedIO (0x{self.base:02X}, 0x{self.length:02X}, )"


_WIDTHS = ("Width8bit", "Width16bit", "Width32bit", "Width64bit", "Width128bit", "Width256bit")


@attrs.frozen
class FixedDma(Descriptor, tag=0x50, format="HHB"):
    """A channel of a DMA controller that its request line selects.

    Args:
        request_line: of the controller.
        channel: of the controller.
        width: 0 for 8 bits to 5 for 256.
    """

    request_line: int
    channel: int
    width: int = 2

    LIMITS: ClassVar[dict[str, int]] = {
        **dict.fromkeys(("request_line", "channel"), 0xFFFF),
        "width": len(_WIDTHS) - 1,
    }

    def _values(self) -> tuple[Any, ...]:
        return self.request_line, self.channel, self.width

    def asl(self) -> str:
        """Return it as an ASL resource macro."""
        return (
            f"FixedDMA (0x{self.request_line:02X}, 0x{self.channel:02X}, {_WIDTHS[self.width]}, )"
        )


@attrs.frozen
class VendorShort(Vendor, tag=0x70, format=""):
    """Up to 7 bytes of a vendor's own.

    Args:
        content: the bytes.
    """
