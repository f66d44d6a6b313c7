# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Encodings of the remote protocol: checksum, binary data, run lengths, hexadecimal numbers.

Source: the GDB manual ("Debugging with GDB"), appendix "GDB Remote Serial Protocol", section
"Overview".
"""

from __future__ import annotations

import re
import struct
from binascii import unhexlify
from itertools import chain
from typing import Final
from zlib import adler32

__all__ = [
    "checksum",
    "escape",
    "escape_within",
    "unescape",
    "run_length_encode",
    "run_length_decode",
    "hex_number",
    "from_hex",
    "transfer",
]

# The low half of Adler-32 is one plus the sum of the bytes, modulo 65521. 256 bytes cannot reach
# that, and the high half does not change the lowest eight bits: so zlib adds, at its own speed.
BLOCK: Final = 256
GROUP: Final = 16 * BLOCK
BLOCKS: Final = struct.Struct(f"{BLOCK}s" * (GROUP // BLOCK))


def checksum(data: bytes) -> int:
    """Return the sum of the bytes modulo 256, the checksum of a packet with this payload."""
    size = len(data)
    if size <= BLOCK:
        return adler32(data, 0) & 0xFF
    view = memoryview(data)
    grouped = size - size % GROUP
    blocks = chain.from_iterable(BLOCKS.iter_unpack(view[:grouped]))
    total = sum(map(adler32, blocks)) - grouped // BLOCK
    for first in range(grouped, size, BLOCK):
        total += adler32(view[first : first + BLOCK], 0)
    return total & 0xFF


# 7Dh goes first, or the escapes of the others would be escaped again. Replies must escape "*" too,
# which would begin a run length.
ESCAPES: Final = ((b"}", b"}]"), (b"#", b"}\x03"), (b"$", b"}\x04"), (b"*", b"}\n"))
ESCAPE: Final = re.compile(rb"\}(.?)", re.DOTALL)
UNESCAPED: Final = tuple(bytes((byte ^ 0x20,)) for byte in range(256))


def escape(data: bytes) -> bytes:
    """Return binary data as packets carry it."""
    for plain, escaped in ESCAPES:
        data = data.replace(plain, escaped)
    return data


def escape_within(data: bytes, limit: int) -> bytes:
    """Return as much of the data, escaped, as `limit` bytes hold."""
    return _cut(escape(data), limit)


def _cut(escaped: bytes, limit: int) -> bytes:
    if len(escaped) <= limit:
        return escaped
    # Every 7Dh begins an escape, so one in last place has lost its other half.
    return escaped[: limit - (escaped[limit - 1 : limit] == b"}")]


def unescape(data: bytes) -> bytes:
    """Return the binary data that a packet carries; any byte may have been escaped.

    Raises:
        ValueError: the last byte begins an escape.
    """
    if b"}" not in data:
        return data
    first, *rest = data.split(b"}")
    if b"" not in rest:
        return first + b"".join([UNESCAPED[piece[0]] + piece[1:] for piece in rest])
    return ESCAPE.sub(_unescaped, data)  # an escape of 5Dh as 7Dh 7Dh, or one cut short


def _unescaped(match: re.Match[bytes]) -> bytes:
    if not match[1]:
        raise ValueError("the data ends within an escape")
    return UNESCAPED[match[1][0]]


# Runs of other bytes are too rare in hexadecimal and binary memory to be worth looking for. Each
# pattern begins with four literals, which is what makes the search fast.
RUNS: Final = tuple(
    (byte * 4, re.compile(re.escape(byte) * 4 + re.escape(byte) + rb"{0,94}"))
    for byte in (b"0", b"f", b"x", b"\0", b"\xff")
)
COUNT_BASE: Final = 29
PRINTABLE: Final = re.compile(rb"[ -~]")
LARGEST_REPEAT: Final = 97
# Counts that would be characters of the framing; older versions of the manual name "+" and "-" as
# well. And those that a later pass of the encoder would take for data.
UNUSED_COUNTS: Final = frozenset(b"#$+-" + b"".join(run[:1] for run, _pattern in RUNS))


def _repeat_within(repeat: int) -> int:
    while repeat + COUNT_BASE in UNUSED_COUNTS:
        repeat -= 1
    return repeat


COUNTS: Final = tuple(_repeat_within(repeat) for repeat in range(LARGEST_REPEAT + 1))


def _run(match: re.Match[bytes]) -> bytes:
    run = match[0]
    repeat = COUNTS[len(run) - 1]
    return b"%c*%c%b" % (run[0], repeat + COUNT_BASE, run[repeat + 1 :])


def run_length_encode(data: bytes) -> bytes:
    """Return a payload with its runs of "0", "f", "x", 00h and FFh made short.

    The payload must have no "*" of its own; `escape` sees to that.
    """
    for run, pattern in RUNS:
        if run in data:
            data = pattern.sub(_run, data)
    return data


def run_length_decode(data: bytes, limit: int) -> bytes:
    """Return a payload with its run lengths expanded.

    Raises:
        ValueError: a run of nothing, or a count that is missing or no printable character.
        OverflowError: more than `limit` bytes.
    """
    expanded = bytearray()
    position = 0
    while (star := data.find(b"*", position)) >= 0:
        expanded += data[position:star]
        position = star + 2
        if not expanded or not PRINTABLE.match(data, star + 1):
            raise ValueError("a run length without a byte to repeat, or without its count")
        expanded += expanded[-1:] * (data[star + 1] - COUNT_BASE)
        if len(expanded) > limit:
            break
    expanded += data[position:]
    if len(expanded) > limit:
        raise OverflowError(f"more than {limit} bytes after run lengths are expanded")
    return bytes(expanded)


HEX_DIGITS: Final = b"0123456789abcdefABCDEF"


def hex_number(text: bytes, digits: int = 16) -> int:
    """Return a number written in hexadecimal digits, and in nothing else.

    Args:
        text: one digit at least; no sign, no `0x`, no blanks.
        digits: how many digits are allowed, 16 for numbers of 64 bits.

    Raises:
        ValueError: no such number.
    """
    if not 0 < len(text) <= digits or text.strip(HEX_DIGITS):
        raise ValueError(f"no hexadecimal number of up to {digits} digits: {text[:32]!r}")
    return int(text, 16)


def from_hex(text: bytes) -> bytes:
    """Return bytes that are written as two hexadecimal digits each.

    Raises:
        ValueError: an odd number of digits, or something that is no digit.
    """
    return unhexlify(text)


def transfer(data: bytes, offset: int, length: int, limit: int) -> bytes:
    """Return the reply to a `qXfer` read ("General Query Packets", `qXfer:object:read`).

    Args:
        data: the whole object.
        offset: first byte wanted.
        length: bytes wanted at most.
        limit: bytes that the reply may have.

    Returns:
        `m` or, with the last of the data, `l`, followed by escaped data.

    Raises:
        ValueError: `offset` is beyond the end of the data.
    """
    if offset > len(data):
        raise ValueError(f"offset {offset:#x} is beyond {len(data):#x} bytes")
    escaped = escape(data[offset : offset + length])
    sent = _cut(escaped, limit - 1)
    last = len(sent) == len(escaped) and offset + length >= len(data)
    return (b"l" if last else b"m") + sent
