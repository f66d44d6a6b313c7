# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A small blocking client of the GDB Remote Serial Protocol, for tests and benchmarks.

It judges the stub, so it shares no code with it: framing, checksums and escapes are its own.
"""

import socket
from contextlib import suppress
from typing import Self

TIMEOUT = 10.0
RECEIVE_SIZE = 0x10000
ACKS = (b"+", b"-")


def frame(payload: bytes) -> bytes:
    """Put a payload, escaped already, between `$` and its checksum."""
    return b"$%b#%02x" % (payload, sum(payload) & 0xFF)


def escape(data: bytes) -> bytes:
    """Escape binary data as `X` carries it."""
    escaped = data.replace(b"}", b"}]")
    for byte in b"#$*":
        escaped = escaped.replace(bytes([byte]), bytes([ord("}"), byte ^ 0x20]))
    return escaped


def unescape(data: bytes) -> bytes:
    """Undo `escape`; "}" is escaped too, so that each one stands before another byte."""
    first, *rest = data.split(b"}")
    return first + b"".join(bytes([piece[0] ^ 0x20]) + piece[1:] for piece in rest)


class RawClient:
    """One connection to a stub.

    Args:
        address: as `gdb.serve` takes it and `Server.address` says it.
        timeout: seconds that everything waits at most; TimeoutError is raised then.
        verify: whether checksums of replies are verified, which is most of the time that a large
            one takes.

    Attributes:
        sock: the socket.
        acks: whether replies are acknowledged.
        notifications: what came between replies.
    """

    def __init__(self, address: str, timeout: float = TIMEOUT, *, verify: bool = True) -> None:
        self.sock = connect(address, timeout)
        self.acks = True
        self.notifications: list[bytes] = []
        self._timeout = timeout
        self._verify = verify
        self._buffer = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection without a word."""
        self.sock.close()

    def send_raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.sock.sendall(data)

    def send(self, payload: bytes) -> None:
        """Send one packet, and wait for nothing."""
        self.sock.sendall(frame(payload))

    def interrupt(self) -> None:
        """Send the byte of Ctrl-C."""
        self.sock.sendall(b"\x03")

    def packet(self, payload: bytes) -> bytes:
        """Send one packet, and return the payload of the reply as it came."""
        self.sock.sendall(frame(payload))
        return self.reply()

    def exchange(self, framed: bytes) -> bytes:
        """Send a packet that is framed already, and return the payload of the reply."""
        self.sock.sendall(framed)
        return self.reply()

    def no_ack(self) -> None:
        """Agree on doing without acknowledgements."""
        assert self.packet(b"QStartNoAckMode") == b"OK"
        self.acks = False

    def reply(self) -> bytes:
        """Return the payload of the next reply."""
        if not self._buffer:
            data = self.sock.recv(RECEIVE_SIZE)
            if data[:1] == b"$" and data.find(b"#") == len(data) - 3:
                return self._reply(data[1:-3], data[-2:])
            self._append(data)
        while True:
            kind, payload, checksum = self._cut()
            if kind == b"$":
                return self._reply(payload, checksum)
            self._check(payload, checksum)
            self.notifications.append(payload)

    def wait_stop(self, timeout: float | None = None) -> bytes:
        """Return the next reply that is no console output."""
        self.sock.settimeout(self._timeout if timeout is None else timeout)
        try:
            while (reply := self.reply())[:1] == b"O" and reply != b"OK":
                continue
            return reply
        finally:
            self.sock.settimeout(self._timeout)

    def wait_closed(self) -> bytes:
        """Return what comes until the server closes the connection."""
        with suppress(ConnectionResetError):
            while data := self.sock.recv(RECEIVE_SIZE):
                self._buffer += data
        return bytes(self._buffer)

    def is_silent(self, seconds: float = 0.05) -> bool:
        """Return whether nothing but acknowledgements comes for a while."""
        self.sock.settimeout(seconds)
        try:
            while not self._buffer.strip(b"+"):
                self._append(self.sock.recv(RECEIVE_SIZE))
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(self._timeout)
        return False

    def _append(self, data: bytes) -> None:
        if not data:
            raise ConnectionError(f"the server has closed the connection; {bytes(self._buffer)!r}")
        self._buffer += data

    def _cut(self) -> tuple[bytes, bytes, bytes]:
        """Take the next packet: its first byte, payload and checksum."""
        buffer = self._buffer
        searched = 0
        while (end := buffer.find(b"#", searched)) < 0 or len(buffer) < end + 3:
            searched = len(buffer) if end < 0 else end
            self._append(self.sock.recv(RECEIVE_SIZE))
        start = 0
        while buffer[start : start + 1] in ACKS:
            start += 1
        kind = bytes(buffer[start : start + 1])
        assert kind in {b"$", b"%"}, bytes(buffer[:80])
        payload, checksum = bytes(buffer[start + 1 : end]), bytes(buffer[end + 1 : end + 3])
        del buffer[: end + 3]
        return kind, payload, checksum

    def _reply(self, payload: bytes, checksum: bytes) -> bytes:
        self._check(payload, checksum)
        if self.acks:
            self.sock.sendall(b"+")
        return payload

    def _check(self, payload: bytes, checksum: bytes) -> None:
        if self._verify:
            assert int(checksum, 16) == sum(payload) & 0xFF, payload[:80]


def connect(address: str, timeout: float = TIMEOUT) -> socket.socket:
    """Connect to "tcp:HOST:PORT" or "unix:PATH"."""
    kind, _, where = address.partition(":")
    if kind == "unix":
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout)
        sock.connect(where)
        return sock
    host, _, port = where.rpartition(":")
    sock = socket.create_connection((host.strip("[]"), int(port)), timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock
