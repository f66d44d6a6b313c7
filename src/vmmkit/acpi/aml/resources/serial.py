# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A connection to a serial port.

ACPI Specification, "UART Serial Bus Connection Descriptor".
"""

from __future__ import annotations

import struct
from typing import Any, ClassVar, Final, Self

import attrs

from vmmkit.acpi.aml.resources.descriptor import (
    Descriptor,
    checked,
    content_of,
    listed,
    path_bytes,
    quoted,
)
from vmmkit.acpi.aml.resources.values import Keyword
from vmmkit.errors import AmlValueError

__all__ = ["FlowControl", "Parity", "StopBits", "UartSerialBus"]


class Parity(Keyword):
    """The parity bit."""

    NONE = 0
    EVEN = 1
    ODD = 2
    MARK = 3
    SPACE = 4

    @property
    def asl(self) -> str:
        """The keyword."""
        return "ParityType" + self.name.capitalize()


class StopBits(Keyword):
    """How many stop bits."""

    ZERO = 0
    ONE = 1
    ONE_PLUS_HALF = 2
    TWO = 3

    @property
    def asl(self) -> str:
        """The keyword."""
        return "StopBits" + "".join(word.capitalize() for word in self.name.split("_"))


class FlowControl(Keyword):
    """How a receiver holds its sender up."""

    NONE = 0
    HARDWARE = 1
    XON = 2

    @property
    def asl(self) -> str:
        """The keyword."""
        return "FlowControl" + self.name.capitalize()


_UART: Final = 3
# Revision, source index, bus type, general flags, type flags, type revision, length of what
# follows; baud rate, receive and transmit FIFO, parity, lines in use.
_FORMAT = "BBBBHBHIHHBB"
_COMMON = struct.calcsize("<BBBBHBH")


@attrs.frozen
class UartSerialBus(Descriptor, tag=0x8E, format=_FORMAT):
    """A device that hangs on a serial port, or a port that others hang on.

    Args:
        baud_rate: bits a second it begins with.
        source: path of the serial port.
        data_bits: 5 to 9.
        stop_bits: of a character.
        lines: of the modem in use: DCD, RI, DSR, DTR, CTS, RTS from bit 2.
        big_endian: most significant bit first.
        parity: of a character.
        flow_control: who holds whom up.
        receive_fifo: bytes.
        transmit_fifo: bytes.
        source_index: of the resource source.
        consumer: the device uses the connection.
        shared: others use it too (revision 2).
        revision: 2, or 1 for what ACPI 5.0 had.
        vendor: bytes of a vendor's own.
    """

    baud_rate: int
    source: str
    data_bits: int = attrs.field(default=8, kw_only=True)
    stop_bits: StopBits = attrs.field(default=StopBits.ONE, kw_only=True)
    lines: int = attrs.field(default=0, kw_only=True)
    big_endian: bool = attrs.field(default=False, kw_only=True)
    parity: Parity = attrs.field(default=Parity.NONE, kw_only=True)
    flow_control: FlowControl = attrs.field(default=FlowControl.NONE, kw_only=True)
    receive_fifo: int = attrs.field(default=16, kw_only=True)
    transmit_fifo: int = attrs.field(default=16, kw_only=True)
    source_index: int = attrs.field(default=0, kw_only=True)
    consumer: bool = attrs.field(default=True, kw_only=True)
    shared: bool = attrs.field(default=False, kw_only=True)
    revision: int = attrs.field(default=2, kw_only=True)
    vendor: bytes = attrs.field(default=b"", converter=content_of, kw_only=True)

    LIMITS: ClassVar[dict[str, int]] = {
        "baud_rate": 0xFFFF_FFFF,
        "stop_bits": 3,
        "parity": 4,
        "flow_control": 2,
        **dict.fromkeys(("lines", "source_index"), 0xFF),
        **dict.fromkeys(("receive_fifo", "transmit_fifo"), 0xFFFF),
        **dict.fromkeys(("big_endian", "consumer", "shared"), 1),
    }

    def _values(self) -> tuple[Any, ...]:
        checked("data_bits of UartSerialBus", self.data_bits, 9, 5)
        checked("revision of UartSerialBus", self.revision, 2, 1)
        if self.shared and self.revision == 1:
            raise AmlValueError("a UartSerialBus of revision 1 cannot say that it is shared")
        # "UART Serial Bus Connection Descriptor", type flags: flow control, stop bits, data bits
        # less 5, endianness from bit 0; general flags: slave mode, consumer, sharing.
        flags = self.flow_control | self.stop_bits << 2 | (self.data_bits - 5) << 4
        flags |= self.big_endian << 7
        data = self.FORMAT.size - _COMMON + len(self.vendor)
        general = self.consumer << 1 | self.shared << 2
        common = (self.revision, self.source_index, _UART, general, flags, 1, data)
        fifos = (self.receive_fifo, self.transmit_fifo)
        return (*common, self.baud_rate, *fifos, self.parity, self.lines)

    def _tail(self) -> bytes:
        return self.vendor + path_bytes(self.source)

    @classmethod
    def _from_values(cls, *values: Any, tail: bytes) -> Self:
        revision, index, kind, general, flags, _, data, baud, receive, transmit, parity, lines = (
            values
        )
        if kind != _UART:
            raise AmlValueError(f"serial bus {kind} is no UART")
        vendor = data - (cls.FORMAT.size - _COMMON)
        return cls(
            baud,
            tail[vendor:-1].decode("ascii"),
            data_bits=5 + (flags >> 4 & 7),
            stop_bits=StopBits(flags >> 2 & 3),
            lines=lines,
            big_endian=bool(flags & 0x80),
            parity=Parity(parity),
            flow_control=FlowControl(flags & 3),
            receive_fifo=receive,
            transmit_fifo=transmit,
            source_index=index,
            consumer=bool(general & 2),
            shared=bool(general & 4),
            revision=revision,
            vendor=tail[:vendor],
        )

    def asl(self) -> str:
        """Return it as an ASL resource macro."""
        words = (
            f"0x{self.baud_rate:02X}",
            ("DataBitsFive", "DataBitsSix", "DataBitsSeven", "DataBitsEight", "DataBitsNine")[
                self.data_bits - 5
            ],
            self.stop_bits.asl,
            f"0x{self.lines:02X}",
            "BigEndian" if self.big_endian else "LittleEndian",
            self.parity.asl,
            self.flow_control.asl,
            f"0x{self.receive_fifo:04X}",
            f"0x{self.transmit_fifo:04X}",
            quoted(self.source),
            f"0x{self.source_index:02X}",
            "ResourceConsumer" if self.consumer else "ResourceProducer",
            "",
            *(["Shared" if self.shared else "Exclusive"] if self.revision > 1 else []),
        )
        macro = "UartSerialBusV2" if self.revision > 1 else "UartSerialBus"
        vendor = (
            f" RawDataBuffer (0x{len(self.vendor):02X}) {listed(self.vendor)}"
            if self.vendor
            else ""
        )
        return f"{macro} ({', '.join(words)},{vendor})"
