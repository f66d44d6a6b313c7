# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Little-endian records, declared field by field: what every table and sub-structure is made of.

A class decorated with `structure` is a frozen attrs class whose fields are made by `u8`, `u16`,
`u32`, `u64`, `raw`, `text`, `guid`, `nested` and `pointer`, in the order they lie in memory::

    @structure
    class IoApic(Entry):
        io_apic_id: int = u8()
        reserved: int = u8(default=0)
        io_apic_address: int = u32()
        global_system_interrupt_base: int = u32()

It knows its bytes from the moment it is made, so a value that does not fit is an error there and
not when the tables are put together.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable
from operator import attrgetter
from typing import Any, ClassVar, NamedTuple, Self, TypeVar, dataclass_transform

import attrs

from vmmkit.acpi.relocation import Relocation, shown_target
from vmmkit.errors import TableParseError, TableValueError

__all__ = [
    "KEY",
    "Codec",
    "Field",
    "Layout",
    "Structure",
    "address_or_zero",
    "guid",
    "nested",
    "pointer",
    "raw",
    "structure",
    "text",
    "u8",
    "u16",
    "u32",
    "u64",
]

#: Where the metadata of an attrs field holds its `Codec`.
KEY = "vmmkit.acpi"
_Class = TypeVar("_Class", bound=type[Any])


class Codec(NamedTuple):
    """How one field lies in memory.

    Attributes:
        format: of `struct`, without byte order.
        pack: makes of the attribute what `struct` takes; `None`: as it is.
        unpack: makes of what `struct` gives the attribute; `None`: as it is.
        target: makes of the attribute what is pointed at, or `None` if nothing is.
        optional: see `Relocation.optional`.
    """

    format: str
    pack: Callable[[Any], Any] | None = None
    unpack: Callable[[Any], Any] | None = None
    target: Callable[[Any], Any] | None = None
    optional: bool = False


class Field(NamedTuple):
    """One field of a layout: its attribute, where it lies, and how."""

    name: str
    offset: int
    size: int
    codec: Codec


def _field(codec: Codec, default: Any, kw_only: bool, **more: Any) -> Any:
    return attrs.field(default=default, kw_only=kw_only, metadata={KEY: codec}, **more)


def _number(letter: str) -> Callable[..., Any]:
    def number(*, default: Any = attrs.NOTHING, kw_only: bool = False, enum: Any = None) -> Any:
        return _field(Codec(letter, unpack=_known(enum)), default, kw_only)

    return number


def _known(enum: Any) -> Callable[[int], Any] | None:
    """Return what makes a member of a number; a number that is no member stays one."""
    if enum is None:
        return None

    def member(value: int) -> Any:
        try:
            return enum(value)
        except ValueError:
            return value

    return member


_U8 = _number("B")
_U16 = _number("H")
_U32 = _number("I")
_U64 = _number("Q")


def u8(*, default: Any = attrs.NOTHING, kw_only: bool = False, enum: Any = None) -> Any:
    """Declare a byte; with `enum`, an `IntFlag` or `IntEnum` that reading makes members of."""
    return _U8(default=default, kw_only=kw_only, enum=enum)


def u16(*, default: Any = attrs.NOTHING, kw_only: bool = False, enum: Any = None) -> Any:
    """Declare two bytes; `enum` as in `u8`."""
    return _U16(default=default, kw_only=kw_only, enum=enum)


def u32(*, default: Any = attrs.NOTHING, kw_only: bool = False, enum: Any = None) -> Any:
    """Declare four bytes; `enum` as in `u8`."""
    return _U32(default=default, kw_only=kw_only, enum=enum)


def u64(*, default: Any = attrs.NOTHING, kw_only: bool = False, enum: Any = None) -> Any:
    """Declare eight bytes; `enum` as in `u8`."""
    return _U64(default=default, kw_only=kw_only, enum=enum)


def raw(size: int, *, default: Any = attrs.NOTHING, kw_only: bool = False) -> Any:
    """Declare `size` bytes that are kept as they are; the default is that many zeros."""

    def check(value: Any) -> bytes:
        if not isinstance(value, bytes) or len(value) != size:
            raise TypeError
        return value

    default = bytes(size) if default is attrs.NOTHING else default
    return _field(Codec(f"{size}s", check), default, kw_only, converter=_frozen)


def _frozen(value: Any) -> Any:
    return bytes(value) if isinstance(value, (bytearray, memoryview)) else value


def text(size: int, *, default: Any = attrs.NOTHING, kw_only: bool = False, pad: str = " ") -> Any:
    """Declare `size` Latin-1 characters; a shorter text is filled up with `pad`."""

    def fill(value: Any) -> Any:
        return value.ljust(size, pad) if isinstance(value, str) else value

    def encode(value: Any) -> Any:
        if len(value) != size:
            raise TypeError
        return value.encode("latin-1")

    codec = Codec(f"{size}s", encode, lambda content: content.decode("latin-1"))
    return _field(codec, default, kw_only, converter=fill)


def guid(*, default: Any = attrs.NOTHING, kw_only: bool = False) -> Any:
    """Declare a `uuid.UUID`, first three parts little endian, as ToUUID and UEFI write it."""
    codec = Codec("16s", lambda value: value.bytes_le, lambda b: uuid.UUID(bytes_le=b))
    return _field(codec, default, kw_only)


def nested(kind: type[Structure], *, default: Any = attrs.NOTHING, kw_only: bool = False) -> Any:
    """Declare another structure, of a class with a layout only."""

    def pack(value: Any) -> Any:
        if not isinstance(value, kind):
            raise TypeError
        return value.to_bytes()

    return _field(Codec(f"{kind.layout().size}s", pack, kind.parse), default, kw_only)


def pointer(
    size: int, *, default: Any = attrs.NOTHING, kw_only: bool = False, optional: bool = False
) -> Any:
    """Declare an address of `size` bytes, 4 or 8: an int, or what will have one.

    `optional` marks the 32-bit twin of a 64-bit field; see `Relocation`.
    """
    codec = Codec(
        {4: "I", 8: "Q"}[size],
        address_or_zero,
        target=lambda value: None if isinstance(value, int) else value,
        optional=optional,
    )
    return _field(codec, default, kw_only, repr=shown_target)


def address_or_zero(value: Any) -> int:
    """Return an address, or zero for an object that will have one.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(value, int):
        return value
    # Records within tables have relocations, too; only what can be placed has checksums.
    if not hasattr(value, "checksums"):
        raise TypeError(f"neither an address nor what has one: {value!r}")
    return 0


class Layout:
    """The fields of a class, compiled for `struct`.

    Attributes:
        fields: in order.
        size: bytes of all of them, without what is before the first.
    """

    __slots__ = ("_custom", "_get", "_packer", "_pointers", "_unpackers", "fields", "size")

    def __init__(self, kind: type[Structure], base: int = 0) -> None:
        """Compile the fields of an attrs class that begin `base` bytes into the record."""
        offset = base
        fields = []
        for attribute in attrs.fields(kind):
            codec = attribute.metadata.get(KEY)
            if codec is not None:
                size = struct.calcsize(f"<{codec.format}")
                fields.append(Field(attribute.name, offset, size, codec))
                offset += size
        self.fields = tuple(fields)
        self.size = offset - base
        self._packer = struct.Struct("<" + "".join(field.codec.format for field in fields))
        self._get = _getter([field.name for field in fields])
        self._custom = any(field.codec.pack for field in fields)
        self._pointers = tuple(field for field in fields if field.codec.target)
        self._unpackers = [
            (number, field.codec.unpack)
            for number, field in enumerate(fields)
            if field.codec.unpack
        ]

    def pack(self, record: Structure) -> bytes:
        """Return the bytes of the declared fields.

        Raises:
            TableValueError: a value that its field cannot hold; the text names both.
        """
        try:
            if not self._custom:
                return self._packer.pack(*self._get(record))
            return self._packer.pack(*map(_packed, self.fields, self._get(record)))
        except (struct.error, TypeError, AttributeError, UnicodeError, OverflowError):
            raise self._culprit(record) from None

    def _culprit(self, record: Structure) -> TableValueError:
        """Find the field that would not pack."""
        name = type(record).__name__
        for field in self.fields:
            value = getattr(record, field.name)
            try:
                struct.pack(f"<{field.codec.format}", _packed(field, value))
            except (struct.error, TypeError, AttributeError, UnicodeError, OverflowError):
                return TableValueError(
                    f"{name}.{field.name} at offset {field.offset} has {field.size} bytes and "
                    f"cannot hold {value!r:.200}",
                    name,
                    field.offset,
                )
        return TableValueError(f"{name} has a field of a wrong kind", name)

    def unpack(self, data: bytes) -> dict[str, Any]:
        """Return attributes by name from at least `size` bytes."""
        values = list(self._packer.unpack_from(data))
        for number, unpack in self._unpackers:
            values[number] = unpack(values[number])
        return {field.name: value for field, value in zip(self.fields, values, strict=True)}

    def relocations(self, record: Structure) -> tuple[Relocation, ...]:
        """Return where addresses of others belong."""
        if not self._pointers:
            return ()
        found = []
        for name, offset, size, codec in self._pointers:
            target = codec.target(getattr(record, name)) if codec.target else None
            if target is not None:
                found.append(Relocation(offset, size, target, codec.optional))
        return tuple(found)


def _getter(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Return what gets these attributes, as a tuple whatever their number."""
    if not names:
        return lambda _record: ()
    if len(names) == 1:
        only = attrgetter(names[0])
        return lambda record: (only(record),)
    return attrgetter(*names)


def _packed(field: Field, value: Any) -> Any:
    return value if field.codec.pack is None else field.codec.pack(value)


@attrs.frozen(eq=False, repr=False)
class Structure:
    """A record that knows its bytes; subclasses are decorated with `structure`."""

    _encoded: bytes = attrs.field(init=False, eq=False, repr=False)

    _layout: ClassVar[Layout]

    def __attrs_post_init__(self) -> None:
        """Encode, so that a value that does not fit is an error at once."""
        object.__setattr__(self, "_encoded", self._encode())

    def __eq__(self, other: object) -> bool:
        """Compare bytes and what is pointed at."""
        if not isinstance(other, Structure) or type(other) is not type(self):
            return NotImplemented
        return self._encoded == other._encoded and self.relocations() == other.relocations()

    def __hash__(self) -> int:
        """Hash the bytes."""
        return hash(self._encoded)

    def __repr__(self) -> str:
        """Return the class and its fields, as attrs writes them."""
        shown = []
        for field in attrs.fields(type(self)):
            if field.repr:
                text = field.repr if callable(field.repr) else repr
                shown.append(f"{field.name}={text(getattr(self, field.name))}")
        return f"{type(self).__name__}({', '.join(shown)})"

    def _encode(self) -> bytes:
        """Return the bytes; subclasses with more than fixed fields add theirs."""
        return self._layout.pack(self)

    @classmethod
    def fields_base(cls) -> int:
        """Return how many bytes are before the first declared field."""
        return 0

    @classmethod
    def layout(cls) -> Layout:
        """Return the compiled fields of this class."""
        return cls._layout

    def to_bytes(self) -> bytes:
        """Return its bytes, with zero where addresses of others belong."""
        return self._encoded

    def relocations(self) -> tuple[Relocation, ...]:
        """Return where addresses of others belong."""
        return self._layout.relocations(self)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Make a record of exactly its bytes.

        Raises:
            TableParseError: too few or too many.
        """
        if len(data) != cls._layout.size:
            raise TableParseError(
                f"{cls.__name__} has {cls._layout.size} bytes, not {len(data)}", cls.__name__, 0
            )
        return cls(**cls._layout.unpack(data))


@dataclass_transform(
    frozen_default=True,
    field_specifiers=(u8, u16, u32, u64, raw, text, guid, nested, pointer, attrs.field),
)
def structure(kind: _Class) -> _Class:
    """Make a frozen attrs class with a layout of its fields (class decorator).

    What compares, hashes and shows records is in the base class: there are so many of these
    classes that to have attrs compile it for each would be half of the time to import them.
    """
    made: _Class = attrs.frozen(kind, eq=False, repr=False)
    made._layout = Layout(made, made.fields_base())  # noqa: SLF001
    return made
