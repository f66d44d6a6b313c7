# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Reads what gdb writes with `set debug remote`: the packets of a session and their replies.

`set remotelogfile` would be the plainer log, but gdb 13 closes it at the first error of a command.
"""

import re
from typing import NamedTuple

ESCAPES = {"n": 10, "r": 13, "t": 9, "b": 8, "f": 12, "v": 11, "a": 7, "e": 27}
ESCAPED = re.compile(r"\\([0-7]{3}|.)")
LINE = re.compile(
    r"\[remote\] +(?:Sending packet: \$(.*)#[0-9a-f]{2}|Packet received: (.*)"
    r"|Notification received: (.*)|(interrupt): enter)$",
    re.MULTILINE,
)
MI_LINE = re.compile(r'^&"(.*)\\n"$', re.MULTILINE)
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


def _plain(text):
    """Take the quotes of MI from the lines of a log."""
    return MI_LINE.sub(lambda line: line[1].replace('\\"', '"').replace("\\\\", "\\"), text)


def _unescape(text):
    def character(match):
        what = match[1]
        return chr(int(what, 8) if len(what) == 3 else ESCAPES.get(what, ord(what)))

    return ESCAPED.sub(character, text).encode("latin-1", "replace")


def parse(text):
    """Return the packets of a log."""
    log = PacketLog([], [])
    for packet, reply, notification, interrupt in LINE.findall(_plain(text)):
        if interrupt:
            log.exchanges.append(Exchange(b"\x03", []))
        elif notification:
            log.notifications.append(_unescape(notification))
        elif packet:
            log.exchanges.append(Exchange(_unescape(packet), []))
        elif log.exchanges:
            log.exchanges[-1].replies.append(_unescape(reply))
    return log
