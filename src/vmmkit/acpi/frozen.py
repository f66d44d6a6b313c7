# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Named, frozen versions of a table set, for guests that migrate between versions of a monitor.

A guest keeps what it learned from its tables: it must find the same bytes at the same addresses
after it has moved to a host with a newer monitor, and also after it rebooted there. So a monitor
never changes a table set that guests run with. It adds a version beside the old ones, gives the
newest to new guests, and lets each guest keep the one it began with::

    VERSIONS = Versions({"v0": build_v0, "v1": build_v1}, default="v1")

    placement = VERSIONS.build(None, cpus=4)           # a new guest: v1
    state["acpi"] = VERSIONS.stamp("v1", placement)    # goes into its migration stream
    ...
    placement = VERSIONS.restore(state["acpi"], cpus=4)  # on the other host: v1 again, or an error

The builders are functions of the monitor that return a `Placement`; a stamp is a short text of
version and digest. That a later change of the code leaves a version as it was is a test to keep:
freeze it once into a file, and compare ever after::

    Path("v0.json").write_text(freeze(build_v0(cpus=4), "v0").to_text())
    ...
    assert FrozenTables.from_text(Path("v0.json").read_text()).verify(build_v0(cpus=4)) == ()
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, ParamSpec

import attrs

from vmmkit.acpi.placement import E820Entry, E820Type, Piece, Placement
from vmmkit.errors import PlatformError, TableParseError

__all__ = ["Difference", "FrozenTables", "Versions", "digest", "freeze"]

_FORMAT = "vmmkit-acpi-tables-1"
_LINE = 76  # base64 characters a line, so that a change shows as few lines
_Arguments = ParamSpec("_Arguments")


def digest(placement: Placement) -> str:
    """Return SHA-256, as 64 hexadecimal digits, of all addresses, bytes and E820 entries."""
    total = hashlib.sha256(b"%d\0" % placement.rsdp)
    for gpa, data, name in placement.pieces:
        total.update(b"%d %d %s\0" % (gpa, len(data), name.encode()) + data)
    for base, size, kind in placement.e820:
        total.update(b"%d %d %d\0" % (base, size, kind))
    return total.hexdigest()


class Difference(NamedTuple):
    """One thing in which a placement is not what was frozen.

    Attributes:
        table: name of the piece; `None`: of the whole.
        offset: of the first byte that differs; `None`: not in its bytes.
        message: both sides.
    """

    table: str | None
    offset: int | None
    message: str

    def __str__(self) -> str:
        """Return the message."""
        return self.message


@attrs.frozen
class FrozenTables:
    """A table set as it once was.

    Args:
        name: of the version.
        placement: addresses, bytes and memory map.
    """

    name: str
    placement: Placement

    @property
    def digest(self) -> str:
        """See the function `digest`."""
        return digest(self.placement)

    def verify(self, placement: Placement) -> tuple[Difference, ...]:
        """Return what is different in another placement; nothing if it is the same."""
        ours = {piece.name: piece for piece in self.placement.pieces}
        theirs = {piece.name: piece for piece in placement.pieces}
        found = [
            Difference(name, None, f"{self.name}: {name} is {word}")
            for names, word in ((ours.keys() - theirs, "missing"), (theirs.keys() - ours, "new"))
            for name in sorted(names)
        ]
        for name, piece in ours.items():
            if name in theirs:
                found += self._piece_differences(piece, theirs[name])
        for what, mine, other in (
            ("the RSDP's address", hex(self.placement.rsdp), hex(placement.rsdp)),
            ("the memory map", _shown(self.placement.e820), _shown(placement.e820)),
        ):
            if mine != other:
                found.append(
                    Difference(None, None, f"{self.name}: {what} was {mine} and is {other}")
                )
        return tuple(found)

    def _piece_differences(self, mine: Piece, other: Piece) -> list[Difference]:
        name, found = mine.name, []
        if mine.gpa != other.gpa:
            text = f"{self.name}: {name} was at {mine.gpa:#x} and is at {other.gpa:#x}"
            found.append(Difference(name, None, text))
        if mine.data != other.data:
            offset = _first_difference(mine.data, other.data)
            was, now = (data[offset : offset + 8].hex(" ") for data in (mine.data, other.data))
            text = (
                f"{self.name}: {name} had {len(mine.data)} bytes and has {len(other.data)}; "
                f"at offset {offset:#x} were {was or 'none'} and are {now or 'none'}"
            )
            found.append(Difference(name, offset, text))
        return found

    def to_text(self) -> str:
        """Return all of it as JSON of short lines, for a file beside the tests."""
        pieces = [
            {"name": name, "gpa": gpa, "data": _base64_lines(data)}
            for gpa, data, name in self.placement.pieces
        ]
        content = {
            "format": _FORMAT,
            "name": self.name,
            "digest": self.digest,
            "rsdp": self.placement.rsdp,
            "e820": [[base, size, int(kind)] for base, size, kind in self.placement.e820],
            "pieces": pieces,
        }
        return json.dumps(content, indent=1) + "\n"

    @classmethod
    def from_text(cls, text: str) -> FrozenTables:
        """Read what `to_text` wrote.

        Raises:
            TableParseError: it is no such text, or was changed since: the digest is another.
        """
        try:
            content = json.loads(text)
            frozen = cls(_text(content["name"]), _placement(content))
            written = content["digest"] if content["format"] == _FORMAT else None
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise TableParseError(f"no frozen tables: {type(error).__name__}: {error}") from None
        if written != frozen.digest:
            raise TableParseError(
                f"the frozen tables {frozen.name} are not of format {_FORMAT}, or were changed: "
                f"their digest is {frozen.digest}, not {written}"
            )
        return frozen


def freeze(placement: Placement, name: str) -> FrozenTables:
    """Keep a placement under a name."""
    return FrozenTables(name, placement)


def _shown(entries: tuple[E820Entry, ...]) -> str:
    return ", ".join(f"{base:#x}+{size:#x} {kind.name}" for base, size, kind in entries) or "empty"


def _first_difference(one: bytes, other: bytes) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _base64_lines(data: bytes) -> list[str]:
    text = base64.b64encode(data).decode()
    return [text[start : start + _LINE] for start in range(0, len(text), _LINE)]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _number(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value < 1 << 64:
        raise ValueError(f"{value!r} is no number of 64 bits")
    return value


def _placement(content: Any) -> Placement:
    pieces = tuple(
        Piece(_number(one["gpa"]), _bytes(one["data"]), _text(one["name"]))
        for one in content["pieces"]
    )
    e820 = tuple(
        E820Entry(_number(base), _number(size), E820Type(kind))
        for base, size, kind in content["e820"]
    )
    return Placement(pieces, _number(content["rsdp"]), e820)


def _bytes(lines: Any) -> bytes:
    try:
        return base64.b64decode("".join(lines), validate=True)
    except binascii.Error as error:
        raise ValueError(f"no base64: {error}") from None


class Versions(Generic[_Arguments]):
    """The table sets that a monitor keeps, by name, oldest first.

    Args:
        builders: what makes each; all take the same arguments and return a `Placement`.
        default: name of the one that new guests get; the last where none is given.

    Raises:
        PlatformError: no builders, or a default that is none of them.
    """

    def __init__(
        self,
        builders: Mapping[str, Callable[_Arguments, Placement]],
        default: str | None = None,
    ) -> None:
        """Keep the builders."""
        if not isinstance(builders, Mapping):
            raise PlatformError(f"the versions are no mapping: {builders!r:.80}")
        if not builders:
            raise PlatformError("no versions of tables to choose from")
        self._builders = dict(builders)
        self._default = self.choose(default if default is not None else list(builders)[-1])

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in the order given."""
        return tuple(self._builders)

    @property
    def default(self) -> str:
        """The name of what new guests get."""
        return self._default

    def choose(self, pinned: str | None) -> str:
        """Return the name that a guest has pinned, the default if it has none.

        Raises:
            PlatformError: this monitor has no such version.
        """
        if pinned is None:
            return self._default
        if pinned not in self._builders:
            raise PlatformError(
                f"no version {pinned!r} of the tables; there are {', '.join(self._builders)}"
            )
        return pinned

    def build(
        self, pinned: str | None, *args: _Arguments.args, **kwargs: _Arguments.kwargs
    ) -> Placement:
        """Make the tables of a version, of the default for `None`.

        Raises:
            PlatformError: this monitor has no such version.
        """
        return self._builders[self.choose(pinned)](*args, **kwargs)

    def stamp(self, name: str | None, placement: Placement) -> str:
        """Return what goes with a guest that migrates: version and digest, in one line.

        Raises:
            PlatformError: this monitor has no such version.
        """
        return f"{self.choose(name)} sha256:{digest(placement)}"

    def restore(self, stamp: str, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> Placement:
        """Make the tables that a guest came with.

        Raises:
            PlatformError: no stamp, no such version here, or its tables came out otherwise: the
                arguments differ, or the code of the version was changed.
        """
        name, space, expected = (
            stamp.rpartition(" sha256:") if isinstance(stamp, str) else ("",) * 3
        )
        if not space:
            raise PlatformError(f"{stamp!r} is no stamp of a version of tables")
        placement = self.build(name, *args, **kwargs)
        if digest(placement) != expected:
            raise PlatformError(
                f"version {name!r} of the tables has digest {digest(placement)} here, and the "
                f"guest came with {expected}"
            )
        return placement
