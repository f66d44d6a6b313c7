# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Formatted printing of guest values, as C's `printf` does it: what a debugger's dprintf sends.

The format arrives as it stands in C source, escape sequences and all (GDB manual, "Bytecode
Descriptions", `printf`). It is taken apart once; what is wrong with it is found then. Conversions
are `d i u x X o c s p` and `%%`, with flags, width, precision and the length modifiers of C.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from vmmkit.errors import ExpressionError

__all__ = ["MAX_FIELD", "MAX_STRING", "Conversion", "Piece", "parse_format", "render"]

MAX_FIELD: Final = 1000  #: greatest width or precision of a number
MAX_STRING: Final = 1024  #: bytes of a guest string that `%s` prints at most

_CONVERSION: Final = re.compile(
    rb"%(?P<flags>[-+ #0]{0,16})(?P<width>[0-9]{0,4})(?:\.(?P<precision>[0-9]{0,4}))?"
    rb"(?P<length>hh|h|ll|l|j|z|t|)(?P<letter>[diuxXocsp])"
)
_ESCAPE: Final = re.compile(rb"\\(.?)", re.DOTALL)
# The escape sequences that GDB lets pass in a format.
_ESCAPES: Final = {
    b"a": b"\a",
    b"b": b"\b",
    b"e": b"\x1b",
    b"f": b"\f",
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"v": b"\v",
    b"\\": b"\\",
    b'"': b'"',
}
_BITS: Final = {b"hh": 8, b"h": 16, b"": 32}  # all others are 64 bits wide
_BASES: Final = {"d": "d", "i": "d", "u": "d", "x": "x", "X": "X", "o": "o", "p": "x"}
_PREFIXES: Final = {"x": "0x", "X": "0X"}


class Conversion(NamedTuple):
    """One conversion of a format."""

    letter: str
    flags: str = ""  #: of `-+ #0`
    width: int = 0
    precision: int | None = None
    bits: int = 32  #: of an integer argument


Piece = bytes | Conversion


def parse_format(text: bytes) -> tuple[Piece, ...]:
    """Take a format apart into text and conversions.

    Raises:
        ExpressionError: an escape sequence or a conversion that is not known, a field too wide.
    """
    text = _ESCAPE.sub(_unescaped, text)
    pieces: list[Piece] = []
    position = 0
    while (found := text.find(b"%", position)) >= 0:
        pieces.append(text[position:found])
        piece, position = _conversion_at(text, found)
        pieces.append(piece)
    pieces.append(text[position:])
    return tuple(piece for piece in pieces if piece)


def _unescaped(found: re.Match[bytes]) -> bytes:
    character = _ESCAPES.get(found[1])
    if character is None:
        raise ExpressionError(f"printf: unknown escape sequence {_quoted(found[0])}")
    return character


def _conversion_at(text: bytes, position: int) -> tuple[Piece, int]:
    if text.startswith(b"%%", position):
        return b"%", position + 2
    found = _CONVERSION.match(text, position)
    if found is None:
        raise ExpressionError(
            f"printf: unknown conversion {_quoted(text[position : position + 8])}"
        )
    return _conversion(found), found.end()


def _conversion(found: re.Match[bytes]) -> Conversion:
    letter, length = found["letter"].decode(), found["length"]
    if letter in "csp" and length:
        raise ExpressionError(f"printf: no length modifier goes with {_quoted(found[0])}")
    width = int(found["width"] or b"0")
    precision = None if found["precision"] is None else int(found["precision"] or b"0")
    if max(width, precision or 0) > MAX_FIELD:
        raise ExpressionError(f"printf: {_quoted(found[0])} is wider than {MAX_FIELD}")
    bits = 64 if letter == "p" else _BITS.get(length, 64)
    return Conversion(letter, found["flags"].decode(), width, precision, bits)


def _quoted(text: bytes) -> str:
    return ascii(text.decode("latin-1"))


def render(
    pieces: Sequence[Piece], arguments: Sequence[int], read_memory: Callable[[int, int], int]
) -> str:
    """Return the text printed.

    Args:
        pieces: of `parse_format`.
        arguments: unsigned 64-bit values, at least as many as there are conversions.
        read_memory: returns 1-8 bytes at an address as a little-endian integer; reads do not
            cross a multiple of 8.

    Raises:
        ExpressionError: whatever `read_memory` raises when a string cannot be read.
    """
    values = iter(arguments)
    printed = (
        piece if isinstance(piece, bytes) else _converted(piece, next(values), read_memory)
        for piece in pieces
    )
    return b"".join(printed).decode("utf-8", "replace")


def _converted(conversion: Conversion, value: int, read_memory: Callable[[int, int], int]) -> bytes:
    letter = conversion.letter
    if letter == "c":
        return _padded(conversion, bytes((value & 0xFF,)))
    if letter == "s":
        return _padded(conversion, _string(value, conversion.precision, read_memory))
    if letter == "p" and not value:
        return _padded(conversion, b"(nil)")
    return _number(conversion, value)


def _string(address: int, limit: int | None, read_memory: Callable[[int, int], int]) -> bytes:
    limit = MAX_STRING if limit is None else limit
    text = bytearray()
    while len(text) < limit:
        # Never across a multiple of 8, so that the end of a page does not matter.
        size = 8 - address % 8
        part = read_memory(address, size).to_bytes(size, "little")
        text += part.partition(b"\0")[0]
        if 0 in part:
            break
        address = (address + size) % (1 << 64)
    return bytes(text[:limit])


def _padded(conversion: Conversion, text: bytes) -> bytes:
    if "-" in conversion.flags:
        return text.ljust(conversion.width)
    return text.rjust(conversion.width)


def _number(conversion: Conversion, value: int) -> bytes:
    """C's rules: precision counts digits, and zeros fill the width only without a precision."""
    letter, flags, width, precision, bits = conversion
    value &= (1 << bits) - 1
    sign = ""
    if letter in "di":
        value -= (value >> (bits - 1)) << bits
        sign = "-" if value < 0 else "+" if "+" in flags else " " if " " in flags else ""
    digits = format(abs(value), _BASES[letter])
    if precision is not None:
        digits = "" if value == precision == 0 else digits.zfill(precision)
    if letter == "o" and "#" in flags and not digits.startswith("0"):
        digits = "0" + digits
    elif letter == "p" or (value and "#" in flags):
        sign = _PREFIXES.get(_BASES[letter], sign)
    if precision is None and "0" in flags and "-" not in flags:
        digits = digits.zfill(width - len(sign))
    return _padded(conversion, (sign + digits).encode())
