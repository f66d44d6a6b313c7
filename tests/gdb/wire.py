# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A debugger's end of a stub without a connection: packets in, the replies' payloads out."""

import queue
import re

from vmmkit.gdb.codec import checksum
from vmmkit.gdb.options import StubOptions
from vmmkit.gdb.stub import Stub

PIECE = re.compile(rb"([$%])([^#]*)#([0-9a-f]{2})|([+-])", re.DOTALL)
ENOUGH = 10  # seconds, after which a target is taken to hang


def frame(payload):
    return b"$%s#%02x" % (payload, checksum(payload))


class Wire:
    """A stub with a debugger attached, in no-ack mode.

    Attributes:
        stub: the stub.
        notices: payloads of notifications, those that nobody has taken.
    """

    def __init__(self, target, *, announced=(), attach=True, **options):
        self.woken = queue.SimpleQueue()
        self.target, self.notices = target, []
        self.stub = Stub(target, StubOptions(**options), lambda: self.woken.put(None))
        if attach:
            self.attach(announced)

    def attach(self, announced=()):
        """Connect, and announce features."""
        self.stub.attach()
        while self.stub.run.any_running:
            self.woken.get(timeout=ENOUGH)
            assert self.stub.pump() == b""
        assert self.ask(b"QStartNoAckMode") == b"OK"
        return self.ask(b"qSupported:" + b";".join(b"%s+" % name for name in announced))

    def taken(self, data):
        """Take apart what the stub has sent; every checksum must be right."""
        replies, position = [], 0
        while position < len(data):
            piece = PIECE.match(data, position)
            assert piece is not None, data[position:]
            position = piece.end()
            if piece[1]:
                assert int(piece[3], 16) == checksum(piece[2])
                (replies if piece[1] == b"$" else self.notices).append(piece[2])
        return replies

    def raw(self, data):
        """Send bytes, and do what the stub has to do then; return the replies."""
        data = self.stub.receive(data)
        while self.stub.busy:
            data += self.stub.work()
        return self.taken(data)

    def send(self, *packets):
        """Send packets in one piece; return the replies."""
        return self.raw(b"".join(map(frame, packets)))

    def ask(self, packet):
        """Send a packet that has one reply."""
        replies = self.send(packet)
        assert len(replies) == 1, (packet, replies)
        return replies[0]

    def pump(self):
        """Look at what the target has reported; return what was sent."""
        return self.taken(self.stub.pump())

    def run(self, rounds=1):
        """Let a target execute that does so only when told; return what was sent then."""
        replies = []
        for _ in range(rounds):
            self.target.run()
            replies += self.pump()
        return replies

    def wait(self):
        """Wait for a target that runs on a thread of its own; return what was sent then."""
        while True:
            self.woken.get(timeout=ENOUGH)
            replies = self.pump()
            if replies or self.notices:
                return replies

    def interrupt(self):
        """Send Ctrl-C; return the replies."""
        return self.raw(b"\x03")
