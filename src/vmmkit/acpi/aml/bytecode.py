# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The smallest parts of AML: opcodes, numbers, strings, names, package lengths, field units.

ACPI Specification, "AML Grammar Definition".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar, Final

from vmmkit.acpi.aml.field_units import AccessAs, NamedField, Reserved, Unit
from vmmkit.acpi.aml.names import DUAL, MULTI, NULL, name_text
from vmmkit.acpi.aml.node import Path
from vmmkit.acpi.aml.opcodes import BY_CODE, Opcode
from vmmkit.errors import AmlParseError

__all__ = ["CONNECTION", "Cursor"]

_SEGMENT: Final = rb"[A-Z_][A-Z0-9_]{3}"
_SEGMENTS: Final = re.compile(rb"(?:" + _SEGMENT + rb")*")
_PREFIX: Final = re.compile(rb"\\|\^*")
_NAME_START: Final = frozenset(b"\\^./_ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_TWO_BYTES: Final = frozenset(code[0] for code in BY_CODE if len(code) == 2)
_ONE_BYTE: Final = tuple(BY_CODE.get(bytes((first,))) for first in range(0x100))

# What field units begin with; anything else is a name.
_RESERVED: Final = 0x00
_ACCESS_SIZES: Final = {0x01: 3, 0x03: 4}  # AccessField, ExtendedAccessField

#: What the unit of a field list begins with that holds a name or a buffer (ConnectField).
CONNECTION: Final = 0x02


class Cursor:
    """A place in a block of AML that moves as parts are read.

    `limit` is always the offset of the first byte that the part may not reach.

    Attributes:
        content: the block.
        position: offset of the next byte.
    """

    #: How the arguments that are no nodes are read, by their letters in `opcodes.Opcode`.
    SCALARS: ClassVar[dict[str, Callable[[Any, int], Any]]]

    def __init__(self, content: bytes) -> None:
        """Begin at the first byte."""
        self.content = content
        self.position = 0
        self._paths: dict[bytes, Path] = {}

    def error(self, message: str, offset: int) -> AmlParseError:
        """Return an error at an offset."""
        return AmlParseError(f"{message}, at offset {offset:#x}", None, offset)

    def take(self, count: int, limit: int) -> bytes:
        """Read some bytes.

        Raises:
            AmlParseError: there are fewer.
        """
        start = self.position
        if count > limit - start:
            noun = "byte" if count == 1 else "bytes"
            raise self.error(f"{count} {noun} wanted, {limit - start} left", start)
        self.position = start + count
        return self.content[start : self.position]

    def number(self, size: int, limit: int) -> int:
        """Read a number, little endian."""
        return int.from_bytes(self.take(size, limit), "little")

    def characters(self, limit: int) -> str:
        """Read characters up to a zero. Those that are not ASCII, which some tables have, too."""
        start = self.position
        stop = self.content.find(0, start, limit)
        if stop < 0:
            raise self.error("a string without an end", start)
        self.position = stop + 1
        return self.content[start:stop].decode("latin-1")

    def remainder(self, limit: int) -> bytes:
        """Read all that is left."""
        return self.take(limit - self.position, limit)

    def opcode(self, limit: int) -> Opcode:
        """Read an opcode of one or two bytes."""
        start = self.position
        first = self.content[start]
        found = None
        if first in _TWO_BYTES:
            found = BY_CODE.get(self.content[start : min(start + 2, limit)])
        if found is None:
            found = _ONE_BYTE[first]
        if found is None:
            shown = self.content[start : min(start + 2, limit)].hex(" ")
            raise self.error(f"no opcode begins with {shown}", start)
        self.position = start + len(found.code)
        return found

    def package_length(self, limit: int) -> int:
        """Read a package length (PkgLength) of one to four bytes."""
        first = self.number(1, limit)
        more = first >> 6
        if not more:
            return first
        return first & 0xF | self.number(more, limit) << 4

    def package(self, limit: int, start: int) -> int:
        """Read the package length of an opcode; return the offset of what follows the package.

        Args:
            limit: of whatever is around it.
            start: offset of its opcode, for the error.
        """
        counted_from = self.position
        length = self.package_length(limit)
        after = counted_from + length
        if after < self.position:
            raise self.error(f"a package of {length} bytes, fewer than its length takes", start)
        if after > limit:
            raise self.error(f"a package of {length} bytes, {after - limit} too many", start)
        return after

    def at_name(self, offset: int) -> bool:
        """Say whether a name begins here. The null name is not told from the opcode Zero."""
        return self.content[offset] in _NAME_START

    def name(self, limit: int) -> Path:
        """Read a name (NameString)."""
        start = self.position
        known = self._paths.get(self.content[start : start + 4])
        if known is not None and start + 4 <= limit:
            self.position = start + 4
            return known
        match = _PREFIX.match(self.content, start, limit)
        assert match is not None
        self.position = match.end()
        count = self._segment_count(limit)
        segments = self.take(4 * count, limit)
        if not _SEGMENTS.fullmatch(segments):
            raise self.error(f"{segments[:40]!r} is no name", start)
        encoded = self.content[start : self.position]
        path = self._paths.get(encoded)
        if path is None:
            texts = [segments[at : at + 4].decode("ascii") for at in range(0, 4 * count, 4)]
            text = name_text(match[0].decode("ascii"), texts)
            path = self._paths[encoded] = Path.as_read((text,), encoded)
        return path

    def _segment_count(self, limit: int) -> int:
        """Read what says how many segments of a name follow."""
        first = self.number(1, limit)
        if first == MULTI:
            return self.number(1, limit)
        if first == NULL:
            return 0
        if first == DUAL:
            return 2
        self.position -= 1
        return 1

    def unit(self, limit: int) -> Unit:
        """Read a unit of a field list, but none that holds a term."""
        start = self.position
        first = self.content[start]
        if first in _ACCESS_SIZES:
            _, access, attribute, *length = self.take(_ACCESS_SIZES[first], limit)
            return AccessAs.as_read(
                (access, attribute, length[0] if length else None),
                self.content[start : self.position],
            )
        args: tuple[Any, ...] = ()
        if first == _RESERVED:
            self.position = start + 1
        else:
            args = (self._field_name(limit),)
        args += (self.package_length(limit),)
        kind = NamedField if first else Reserved
        return kind.as_read(args, self.content[start : self.position])

    def _field_name(self, limit: int) -> str:
        start = self.position
        segment = self.take(4, limit)
        if not _SEGMENTS.fullmatch(segment):
            raise self.error(f"no unit of a field list begins with {segment.hex(' ')}", start)
        return name_text("", [segment.decode("ascii")])


def _number(size: int) -> Callable[[Cursor, int], int]:
    return lambda cursor, limit: cursor.number(size, limit)


Cursor.SCALARS = {
    "N": Cursor.name,
    "B": _number(1),
    "W": _number(2),
    "D": _number(4),
    "Q": _number(8),
    "Z": Cursor.characters,
    "X": Cursor.remainder,
}
