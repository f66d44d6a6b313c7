# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Reads what gdb writes with `set remotelogfile`: the packets of a session and their replies."""

import re
from typing import NamedTuple

ESCAPES = {"n": 10, "r": 13, "t": 9, "b": 8, "f": 12, "v": 11, "\\": 92}
ESCAPED = re.compile(r"\\x([0-9a-f]{2})|\\(.)")
FRAME = re.compile(rb"([$%])([^#]*)#[0-9a-fA-F]{2}|(\x03)", re.DOTALL)
REFUSAL = re.compile(rb"E(?:[0-9a-fA-F]{2}|\..*)", re.DOTALL)
# A packet's name: qXfer with its object, a word of letters, or the one letter of the old ones.
NAME = re.compile(rb"qXfer:[a-z-]+|vFile:[a-z]+|[qQvjb_][A-Za-z]+\??|[Zz][0-4]|.", re.DOTALL)


class Exchange(NamedTuple):
    """A packet of gdb's, and what came before its next one."""

    packet: bytes
    replies: list[bytes]

    @property
    def name(self):
        return NAME.match(self.packet).group().decode()

    @property
    def reply(self):
        """The reply, without the console output that may come before; `None` is none at all."""
        said = [reply for reply in self.replies if not re.match(rb"O(?!K$)", reply)]
        return said[0] if said else None


class PacketLog(NamedTuple):
    """All packets of a session."""

    exchanges: list[Exchange]
    notifications: list[bytes]

    def packets(self, prefix=b""):
        return [one.packet for one in self.exchanges if one.packet.startswith(prefix)]

    def replies(self, prefix):
        """Return the replies to packets that start so."""
        return [one.reply for one in self.exchanges if one.packet.startswith(prefix)]

    @property
    def empty(self):
        """Names of packets with an empty reply: what the stub does not know."""
        return {one.name for one in self.exchanges if one.reply == b""}

    @property
    def errors(self):
        """Packets with an error reply, and it."""
        return [
            (one.packet, one.reply)
            for one in self.exchanges
            if one.reply is not None and REFUSAL.fullmatch(one.reply)
        ]

    @property
    def unanswered(self):
        """Packets with no reply at all."""
        return [one.packet for one in self.exchanges if one.reply is None]


def _runs(text):
    """Yield direction and bytes of what went one way without a break."""
    direction, run = "", bytearray()
    for line in text.splitlines():
        if line[:2] not in {"w ", "r "}:
            continue
        if line[0] != direction:
            yield direction, bytes(run)
            direction, run = line[0], bytearray()
        run += _unescape(line[2:])
    yield direction, bytes(run)


def _unescape(text):
    def byte(match):
        code = int(match[1], 16) if match[1] else ESCAPES[match[2]]
        return chr(code)

    return ESCAPED.sub(byte, text).encode("latin-1")


def parse(text):
    """Return the packets of a log."""
    log = PacketLog([], [])
    for direction, run in _runs(text):
        for kind, data, interrupt in FRAME.findall(run):
            if direction == "w":
                log.exchanges.append(Exchange(data or interrupt, []))
            elif kind == b"%":
                log.notifications.append(data)
            elif log.exchanges:
                log.exchanges[-1].replies.append(data)
    return log
