# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Resource descriptors in general: tags, lengths, and the template that holds them.

ACPI Specification, "Resource Data Types for ACPI". A small item has its type and length in one
byte, a large item in three. A template is a buffer of items that an end tag closes.

Each class says its tag, its `struct` format, and how its attributes become the values of that
format and back. What a class cannot express is kept as a `RawDescriptor`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from typing import Any, ClassVar, Final, Self

import attrs

from vmmkit.acpi.aml.data import Buffer
from vmmkit.acpi.aml.encoding import shown
from vmmkit.acpi.arguments import octets
from vmmkit.errors import AmlParseError, AmlValueError

__all__ = [
    "END_TAG",
    "Descriptor",
    "RawDescriptor",
    "Resources",
    "Vendor",
    "parse_resources",
    "source_asl",
    "source_bytes",
    "source_of",
    "tagged",
]

#: The tag of the item that ends a template. Its one byte is a checksum, and zero is none.
END_TAG: Final = 0x79
_END: Final = bytes((END_TAG, 0))
_LARGE: Final = 0x80
_SOURCE: Final = re.compile("[ !#-~]*")

_MEMBERS: dict[int, type[Descriptor]] = {}


@attrs.frozen
class Descriptor:
    """One item of a resource template."""

    TAG: ClassVar[int]  # of a small item without its length bits
    FORMAT: ClassVar[struct.Struct]
    #: The highest value of the attributes that are numbers.
    LIMITS: ClassVar[dict[str, int]] = {}

    def __init_subclass__(cls, *, tag: int | None = None, format: str = "", **more: Any) -> None:  # noqa: A002
        """Enter the class under its tag."""
        super().__init_subclass__(**more)
        if tag is not None:
            cls.TAG = tag
            cls.FORMAT = struct.Struct("<" + format)
        if "TAG" in cls.__dict__:
            _MEMBERS[cls.TAG] = cls

    def __attrs_post_init__(self) -> None:
        """Check that every value fits.

        Raises:
            AmlValueError: one does not.
        """
        for name, highest in self.LIMITS.items():
            checked(f"{name} of {type(self).__name__.strip('_')}", getattr(self, name), highest)
        self.to_bytes()

    def to_bytes(self) -> bytes:
        """Return tag, length and content."""
        try:
            body = self.FORMAT.pack(*self._values()) + self._tail()
        except (struct.error, TypeError, AttributeError):
            message = f"a value that the descriptor has no room for: {shown(self)}"
            raise AmlValueError(message) from None
        return tagged(self.TAG, body)

    def _values(self) -> tuple[Any, ...]:
        """Return the values of the format; the attributes, where a class says nothing else."""
        return attrs.astuple(self, recurse=False)

    def _tail(self) -> bytes:
        """Return what follows them."""
        return b""

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Make a descriptor of the bytes after tag and length.

        Raises:
            AmlValueError, struct.error: it cannot be one; the caller keeps the bytes.
        """
        return cls._from_values(*cls.FORMAT.unpack_from(body), tail=body[cls.FORMAT.size :])

    @classmethod
    def _from_values(cls, *values: Any, tail: bytes) -> Self:
        """Make a descriptor of the values of the format and what follows them."""
        del tail  # compared by the caller, who encodes again
        return cls(*values)

    @property
    def has_asl(self) -> bool:
        """Whether there is an ASL resource macro that a compiler makes the same bytes of."""
        return True

    def asl(self) -> str:
        """Return it as an ASL resource macro."""
        raise NotImplementedError


def checked(what: str, value: Any, highest: int, lowest: int = 0) -> int:
    """Return a number within its limits.

    Raises:
        AmlValueError: it is none, or not within them.
    """
    if not isinstance(value, int) or not lowest <= value <= highest:
        limits = f"{lowest:#x} to {highest:#x}" if highest > 9 else f"{lowest} to {highest}"
        raise AmlValueError(f"{what} is a number from {limits}, not {shown(value)}")
    return value


def content_of(value: Any) -> bytes:
    """Return bytes of a vendor's own, or of a whole item (converter).

    Raises:
        AmlValueError: something else.
    """
    return octets(value, "a resource item", error=AmlValueError)


def numbers_of(value: Any) -> tuple[Any, ...]:
    """Return one number as a tuple of one, and several as a tuple (converter).

    Raises:
        AmlValueError: neither.
    """
    try:
        return (value,) if isinstance(value, int) else tuple(value)
    except TypeError:
        raise AmlValueError(f"a number or several, not {shown(value)}") from None


def tagged(tag: int, body: bytes) -> bytes:
    """Return an item.

    Raises:
        AmlValueError: longer than its length field can say.
    """
    limit = 0xFFFF if tag & _LARGE else 7
    if len(body) > limit:
        raise AmlValueError(f"a resource item of {len(body)} bytes; the limit is {limit}")
    if tag & _LARGE:
        return bytes((tag,)) + len(body).to_bytes(2, "little") + body
    return bytes((tag | len(body),)) + body


@attrs.frozen
class RawDescriptor(Descriptor):
    """An item that no class is for, or whose content none can express.

    Args:
        tag: bit 7 set for a large item; of a small one bits 6-3, without the length bits.
        body: bytes after tag and length.
    """

    tag: int
    body: bytes = attrs.field(converter=content_of)

    def to_bytes(self) -> bytes:
        """Return tag, length and content.

        Raises:
            AmlValueError: no such tag, or too long.
        """
        checked("tag of a resource item", self.tag, 0xFF)
        if not self.tag & _LARGE and self.tag & 7:
            raise AmlValueError(f"tag {self.tag:#x} of a small item has length bits")
        if self.tag == END_TAG & ~7:
            raise AmlValueError("Resources adds the end tag, which is no item of its own")
        return tagged(self.tag, self.body)

    @property
    def has_asl(self) -> bool:
        """No, whatever it is."""
        return False

    def asl(self) -> str:
        """Return it as a comment, which no compiler turns back."""
        return f"/* item 0x{self.tag:02X}: {self.body.hex(' ')} */"


@attrs.frozen
class Vendor(Descriptor):
    """Bytes of a vendor's own: `VendorShort` and `VendorLong`, whose macros have their names.

    Args:
        content: the bytes.
    """

    content: bytes = attrs.field(converter=content_of)

    def _values(self) -> tuple[Any, ...]:
        return ()

    def _tail(self) -> bytes:
        return self.content

    @classmethod
    def _from_values(cls, *values: Any, tail: bytes) -> Self:
        return cls(tail, *values)

    def asl(self) -> str:
        """Return it as an ASL resource macro."""
        return f"{type(self).__name__} () {listed(self.content)}"


class Resources(Buffer):
    """A resource template: the buffer that `_CRS`, `_PRS` and `_SRS` are about.

    Args:
        descriptors: items in order. The end tag is added, with no checksum, as ASL's
            ResourceTemplate does.

    Raises:
        AmlValueError: something else than a descriptor.
    """

    __slots__ = ()

    def __init__(self, *descriptors: Descriptor) -> None:
        """Encode the items."""
        for each in descriptors:
            if not isinstance(each, Descriptor):
                raise AmlValueError(f"a resource template holds descriptors, not {shown(each)}")
        super().__init__(b"".join([each.to_bytes() for each in descriptors]) + _END)


def parse_resources(content: bytes) -> tuple[Descriptor, ...]:
    """Return the items of a template, without the end tag.

    Putting them into `Resources` gives the same bytes, but for a checksum in the end tag.

    Raises:
        AmlParseError: an item that leads beyond the buffer, no end tag, or bytes after it.
    """
    content = content_of(content)
    found: list[Descriptor] = []
    offset = 0
    while offset < len(content):
        tag, body, after = _item(content, offset)
        if tag == END_TAG & ~7:
            if after != len(content):
                raise AmlParseError(
                    f"{len(content) - after} bytes after the end tag", "resource template", after
                )
            return tuple(found)
        found.append(_descriptor(tag, body))
        offset = after
    raise AmlParseError("a resource template without an end tag", "resource template", offset)


def _item(content: bytes, offset: int) -> tuple[int, bytes, int]:
    """Return the tag without length bits, the body, and where the next item begins."""
    first = content[offset]
    if first & _LARGE:
        tag, start = first, offset + 3
        length = int.from_bytes(content[offset + 1 : start], "little")
    else:
        tag, start, length = first & ~7, offset + 1, first & 7
    if start + length > len(content):
        raise AmlParseError(
            f"a resource item at offset {offset} has {length} bytes, beyond its template",
            "resource template",
            offset,
        )
    return tag, content[start : start + length], start + length


def _descriptor(tag: int, body: bytes) -> Descriptor:
    member = _MEMBERS.get(tag)
    if member is not None:
        try:
            made = member.from_body(body)
            if made.to_bytes() == tagged(tag, body):
                return made
        except (struct.error, ValueError, IndexError):
            pass
    return RawDescriptor(tag, body)


# -- resource sources, which several large items end with -------------------------------------


def source_bytes(index: int | None, source: str | None) -> bytes:
    """Return the optional resource source: an index, and the name of a device."""
    if index is None and source is None:
        return b""
    encoded = bytes((checked("index of a resource source", index or 0, 0xFF),))
    return encoded if source is None else encoded + path_bytes(source)


def path_bytes(source: str) -> bytes:
    """Return the path of a device, ended by a zero.

    Raises:
        AmlValueError: other characters than ASCII has, or a quotation mark.
    """
    if not isinstance(source, str) or not _SOURCE.fullmatch(source):
        raise AmlValueError(f"a resource source is the path of a device, not {shown(source)}")
    return source.encode("ascii") + b"\0"


def source_of(tail: bytes) -> tuple[int | None, str | None]:
    """Return index and name from the end of an item."""
    if not tail:
        return None, None
    return tail[0], tail[1:-1].decode("ascii") if len(tail) > 1 else None


def source_asl(index: int | None, source: str | None) -> str:
    """Return both as arguments of an ASL macro."""
    first = "" if index is None else f"0x{index:02X}"
    return f"{first}, " + ("" if source is None else quoted(source))


def quoted(text: str) -> str:
    """Return a path as an ASL string."""
    return '"' + text.replace("\\", "\\\\") + '"'


def listed(values: Iterable[int]) -> str:
    """Return the braces of an ASL macro with a list of numbers."""
    return "{" + ", ".join(str(value) for value in values) + "}"


def number(value: int) -> str:
    """Return a number as ASL."""
    return f"0x{value:02X}"
