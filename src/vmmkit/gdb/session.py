# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The framing of the remote protocol, without a connection: bytes in, events out, bytes to send.

Source: the GDB manual ("Debugging with GDB"), appendix "GDB Remote Serial Protocol", sections
"Overview", "Packet Acknowledgment", "Interrupts" and "Notification Packets".

What a debugger sends never raises, and no more of it is kept than one packet. Where the manual
leaves it open:

- A packet longer than announced is skipped to its end, acknowledged, and told as `Oversize`: asked
  to send it again, a debugger would send the same one again.
- `$` within a packet begins another one; nothing is answered to the one that it broke off.
- Checksums are looked at only while acknowledgments are on, since they only ask for a repetition.
- A reply is repeated at most three times, which is as often as GDB asks.
- What is neither a packet, an acknowledgment nor 03h is skipped.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from vmmkit.gdb.codec import checksum, run_length_decode, run_length_encode
from vmmkit.gdb.spec import DEFAULT_PACKET_SIZE

__all__ = ["Event", "Interrupt", "Oversize", "Packet", "Session"]


class Packet(NamedTuple):
    """A packet from the debugger."""

    data: bytes
    """Payload. Run lengths are expanded, except in packets with binary data, where "*" is data and
    escapes are left to be undone."""


class Interrupt(NamedTuple):
    """The byte 03h outside of a packet. As a tuple it is empty, so test it with `isinstance`."""


class Oversize(NamedTuple):
    """A packet longer than `packet_size`, or that run lengths make longer; it was skipped."""

    size: int
    """Bytes of its payload, as far as they were counted."""


Event = Packet | Interrupt | Oversize
Phase = Callable[["Session", bytes, int, list[Event]], int]

INTERRUPT: Final = Interrupt()
DOLLAR: Final = ord("$")
# What is looked for between packets. "+" needs no answer and is skipped like any other byte.
MARK: Final = re.compile(rb"[$\x03-]")
TRAILERS: Final = tuple(b"#%02x" % value for value in range(256))
MOST_RESENDS: Final = 3
# Packets that carry binary data from the debugger, in which "*" is a byte like any other.
BINARY: Final = (b"X", b"vFile:", b"vFlashWrite:", b"qSearch:", b"qXfer:")


class Session:
    """One connection's framing.

    `receive` takes what came in and returns events; `reply` and `notify` queue packets, which
    `data_to_send` takes together with acknowledgments, in one piece.
    """

    __slots__ = (
        "_body",
        "_last",
        "_output",
        "_phase",
        "_remembering",
        "_resends",
        "_run_length",
        "_size",
        "_trailer",
        "no_ack",
        "packet_size",
    )

    def __init__(self, packet_size: int = DEFAULT_PACKET_SIZE, *, run_length: bool = False) -> None:
        """Begin with acknowledgments on.

        Args:
            packet_size: bytes of payload that a packet from the debugger may have.
            run_length: whether replies are run-length encoded.
        """
        self.packet_size: Final = packet_size
        self.no_ack = False
        """Whether acknowledgments are off."""
        self._run_length: Final = run_length
        self._output: list[bytes] = []
        self._last: tuple[bytes, ...] = ()
        self._resends = 0
        self._remembering = True
        self._phase: Phase = Session._between
        self._body = bytearray()
        self._size = 0
        self._trailer = b""

    def receive(self, data: bytes | memoryview) -> list[Event]:
        """Take bytes from the debugger; return what they complete, in order.

        However the same bytes are cut into pieces, the events and the acknowledgments are the same.
        """
        data = data if isinstance(data, bytes) else bytes(data)
        events: list[Event] = []
        end_of_body = len(data) - 3
        if (
            self._phase is Session._between
            and 0 < end_of_body <= self.packet_size + 1
            and data[0] == DOLLAR
            and data.find(b"#") == end_of_body
            and data.rfind(b"$") == 0
        ):
            self._complete(data[1:end_of_body], data[end_of_body:], events)
            return events
        position = 0
        while position < len(data):
            position = self._phase(self, data, position, events)
        return events

    def reply(self, data: bytes) -> None:
        """Queue a packet with this payload.

        `$`, `#` and `*` must not be in it: binary data is to be escaped by `codec.escape`.
        """
        if self._run_length:
            data = run_length_encode(data)
        packet = (b"$", data, TRAILERS[checksum(data)])
        self._output += packet
        if self._remembering:
            self._last = packet
            self._resends = MOST_RESENDS

    def notify(self, data: bytes) -> None:
        """Queue a notification, which is never acknowledged nor sent again."""
        self._output += (b"%", data, TRAILERS[checksum(data)])

    def data_to_send(self) -> bytes:
        """Take all that is queued, as one piece."""
        output = b"".join(self._output)
        self._output.clear()
        return output

    def start_no_ack(self) -> None:
        """Leave out acknowledgments from the next packet on.

        The reply to the packet that asked for it may be queued before or after this, and the
        debugger may still acknowledge it or have it repeated.
        """
        self.no_ack = True

    def _begin(self) -> None:
        self._phase = Session._within
        self._body.clear()
        self._size = 0

    def _between(self, data: bytes, position: int, events: list[Event]) -> int:
        mark = MARK.search(data, position)
        if mark is None:
            return len(data)
        if mark[0] == b"$":
            self._begin()
        elif mark[0] == b"-":
            self._repeat()
        else:
            events.append(INTERRUPT)
        return mark.end()

    def _within(self, data: bytes, position: int, _events: list[Event]) -> int:
        hash_at = data.find(b"#", position)
        stop = len(data) if hash_at < 0 else hash_at
        restart = data.rfind(b"$", position, stop)
        if restart >= 0:
            self._begin()
            position = restart + 1
        self._size += stop - position
        if self._size <= self.packet_size:
            self._body += memoryview(data)[position:stop]
        else:
            self._body.clear()
        if hash_at >= 0:
            self._phase = Session._ending
            self._trailer = b"#"
        return stop + 1

    def _ending(self, data: bytes, position: int, events: list[Event]) -> int:
        if data[position] == DOLLAR:
            self._begin()
            return position + 1
        self._trailer += data[position : position + 1]
        if len(self._trailer) == len(TRAILERS[0]):
            self._phase = Session._between
            body = bytes(self._body)
            self._body.clear()
            self._complete(body, self._trailer, events)
        return position + 1

    def _complete(self, body: bytes, trailer: bytes, events: list[Event]) -> None:
        size, self._size = self._size, 0
        if size > self.packet_size:
            self._acknowledge(b"+")
            events.append(Oversize(size))
        elif not self.no_ack and trailer.lower() != TRAILERS[checksum(body)]:
            self._acknowledge(b"-")
        else:
            self._acknowledge(b"+")
            events.append(self._expanded(body) if b"*" in body else Packet(body))

    def _acknowledge(self, mark: bytes) -> None:
        if not self.no_ack:
            self._output.append(mark)
        elif self._remembering:  # the reply that began no-ack mode has arrived
            self._remembering = False
            self._last = ()

    def _expanded(self, body: bytes) -> Packet | Oversize:
        if body.startswith(BINARY):
            return Packet(body)
        try:
            return Packet(run_length_decode(body, self.packet_size))
        except OverflowError:
            return Oversize(len(body))
        except ValueError:  # no run length then; its handler will not like the "*"
            return Packet(body)

    def _repeat(self) -> None:
        if self._last and self._resends:
            self._resends -= 1
            self._output += self._last
