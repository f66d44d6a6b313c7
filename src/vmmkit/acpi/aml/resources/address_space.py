# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Address spaces: what a bridge passes on, and what a device beyond 32 bits takes.

ACPI Specification, "Address Space Resource Descriptors". A descriptor says which space (memory,
I/O, bus numbers, or one of a vendor's own) in how many bits (16, 32, 64, or 64 with an attribute);
the functions are named as the ASL macros for the combinations.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final, Self, TypedDict, Unpack

import attrs

from vmmkit.acpi.aml.resources.descriptor import (
    Descriptor,
    checked,
    number,
    source_asl,
    source_bytes,
    source_of,
)
from vmmkit.acpi.aml.resources.values import AddressRange, Cacheable
from vmmkit.errors import AmlValueError

__all__ = [
    "AddressSpace",
    "BusNumber",
    "BusOptions",
    "DWordIo",
    "DWordMemory",
    "DWordSpace",
    "ExtendedIo",
    "ExtendedMemory",
    "ExtendedSpace",
    "IoOptions",
    "MemoryOptions",
    "QWordIo",
    "QWordMemory",
    "QWordSpace",
    "VendorOptions",
    "WordIo",
    "WordSpace",
]

MEMORY: Final = 0
IO: Final = 1
BUS: Final = 2

# "Address Space Resource Descriptors", general flags.
_CONSUMER, _SUBTRACTIVE, _MIN_FIXED, _MAX_FIXED = 1, 2, 4, 8
_WINDOW = _MIN_FIXED | _MAX_FIXED

_ENTIRE_RANGE: Final = 3  # I/O: the ranges that an ISA card aliases, and those that it does not


# Type flags that have a keyword; those of a vendor's space are a number.
_KNOWN_FLAGS: Final = {MEMORY: 0x3F, IO: 0x33, BUS: 0}

_FLAGS: Final = ("space", "general_flags", "type_flags")
_SIZES: Final = ("granularity", "minimum", "maximum", "translation", "length")
_FIELDS: Final = _FLAGS + _SIZES


@attrs.frozen
class AddressSpace(Descriptor):
    """A range of one address space; the functions of this module make them.

    Attributes:
        space: 0 memory, 1 I/O, 2 bus numbers, C0H and up a vendor's.
        general_flags: consumer, subtractive decode, minimum fixed, maximum fixed from bit 0.
        type_flags: what `space` makes of them.
        granularity: a mask: bits that are one are of no concern in the addresses.
        minimum: first address, on the secondary side.
        maximum: last address, inclusive.
        translation: added to get the address on the primary side.
        length: `maximum - minimum + 1` where both are fixed.
        source_index: of the resource source, or `None`.
        source: path of the device that gives the range, or `None`.
    """

    space: int
    general_flags: int
    type_flags: int
    granularity: int
    minimum: int
    maximum: int
    translation: int
    length: int
    source_index: int | None = None
    source: str | None = None

    WORD: ClassVar[str]

    def _values(self) -> tuple[Any, ...]:
        return attrs.astuple(self, recurse=False)[:8]

    def _tail(self) -> bytes:
        return source_bytes(self.source_index, self.source)

    @classmethod
    def _from_values(cls, *values: Any, tail: bytes) -> Self:
        index, source = source_of(tail)
        fields = dict(zip(_FIELDS, values, strict=True))
        return cls(**fields, source_index=index, source=source)

    @property
    def is_window(self) -> bool:
        """Whether it is passed on by a bridge, and not used by the device itself."""
        return not self.general_flags & _CONSUMER

    @property
    def has_asl(self) -> bool:
        """Not with flags that the macros have no keyword for."""
        known = _KNOWN_FLAGS.get(self.space, 0xFF)
        if self.space == BUS and self.WORD != "Word":
            known = 0xFF
        is_ranged = self.space != IO or self.type_flags & _ENTIRE_RANGE
        return bool(is_ranged) and not (self.general_flags & ~0xF or self.type_flags & ~known)

    def asl(self) -> str:
        """Return it as an ASL resource macro."""
        return _MACROS.get(self.space, _vendor_asl)(self)

    def _sizes(self) -> str:
        values = (self.granularity, self.minimum, self.maximum, self.translation, self.length)
        return ", ".join(map(number, values))

    def _end(self) -> str:
        """Return the arguments from the sizes up to the name of the descriptor."""
        return f"{self._sizes()}, {source_asl(self.source_index, self.source)}, "


def _limits(highest: int, *more: str) -> dict[str, int]:
    return dict.fromkeys(_FLAGS, 0xFF) | dict.fromkeys((*_SIZES, *more), highest)


@attrs.frozen
class _Word(AddressSpace, tag=0x88, format="BBBHHHHH"):
    """A range in 16 bits."""

    WORD = "Word"
    LIMITS: ClassVar[dict[str, int]] = _limits(0xFFFF)


@attrs.frozen
class _DWord(AddressSpace, tag=0x87, format="BBBIIIII"):
    """A range in 32 bits."""

    WORD = "DWord"
    LIMITS: ClassVar[dict[str, int]] = _limits(0xFFFF_FFFF)


@attrs.frozen
class _QWord(AddressSpace, tag=0x8A, format="BBBQQQQQ"):
    """A range in 64 bits."""

    WORD = "QWord"
    LIMITS: ClassVar[dict[str, int]] = _limits(0xFFFF_FFFF_FFFF_FFFF)


@attrs.frozen
class _Extended(AddressSpace, tag=0x8B, format="BBBBBQQQQQQ"):
    """A range in 64 bits with an attribute."""

    attribute: int = 0

    WORD = "Extended"
    LIMITS: ClassVar[dict[str, int]] = _limits(0xFFFF_FFFF_FFFF_FFFF, "attribute")
    REVISION: ClassVar[int] = 1

    def _values(self) -> tuple[Any, ...]:
        if self.source_index is not None or self.source is not None:
            raise AmlValueError("an Extended range has no resource source")
        values = super()._values()
        return (*values[:3], self.REVISION, 0, *values[3:], self.attribute)

    @classmethod
    def _from_values(cls, *values: Any, tail: bytes) -> Self:
        del tail
        space, general, flags, _revision, _reserved, *sizes, attribute = values
        fields = dict(zip(_FIELDS, (space, general, flags, *sizes), strict=True))
        return cls(**fields, attribute=attribute)

    def _end(self) -> str:
        return f"{self._sizes()}, 0x{self.attribute:02X}, "


_KINDS: dict[int, type[AddressSpace]] = {16: _Word, 32: _DWord, 64: _QWord}


class BusOptions(TypedDict, total=False):
    """What every range may be told besides its ends.

    Attributes:
        consumer: the device uses it; otherwise, as a bridge, it passes it on.
        subtractive: it decodes what nobody else does.
        granularity: see `AddressSpace`; 0 where not given.
        translation: see `AddressSpace`; 0 where not given.
        length: where it is not `maximum - minimum + 1`.
        general_flags: instead of those for two fixed ends.
        source_index: of the resource source.
        source: path of the device that gives the range.
    """

    consumer: bool
    subtractive: bool
    granularity: int
    translation: int
    length: int
    general_flags: int
    source_index: int
    source: str


class IoOptions(BusOptions, total=False):
    """What a range of ports may be told.

    Attributes:
        range_type: 3 for all ports, 2 for those that ISA cards decode, 1 for the others.
        translates: it is memory on the primary side.
        sparse: and there each port has a page of its own.
        attribute: for `ExtendedIo`.
    """

    range_type: int
    translates: bool
    sparse: bool
    attribute: int


class MemoryOptions(BusOptions, total=False):
    """What a range of memory may be told.

    Attributes:
        writeable: true where not given.
        cacheable: not, where not given.
        range_type: memory, where not given.
        translates: it is I/O on the primary side.
        attribute: for `ExtendedMemory`.
    """

    writeable: bool
    cacheable: Cacheable
    range_type: AddressRange
    translates: bool
    attribute: int


class VendorOptions(BusOptions, total=False):
    """What a range of a vendor's address space may be told.

    Attributes:
        type_flags: what the vendor makes of them.
        attribute: for `ExtendedSpace`.
    """

    type_flags: int
    attribute: int


def _made(
    kind: type[AddressSpace], space: int, flags: int, minimum: int, maximum: int, more: Any
) -> AddressSpace:
    """Make a range whose ends are fixed, so that its length follows."""
    for end, value in (("first", minimum), ("last", maximum)):
        checked(f"{end} of a {kind.WORD} range", value, kind.LIMITS["maximum"])
    if minimum > maximum:
        raise AmlValueError(f"a range from {minimum:#x} to {maximum:#x}")
    unknown = more.keys() - attrs.fields_dict(kind).keys() - {"consumer", "subtractive"}
    if unknown:
        raise AmlValueError(f"a {kind.WORD} range has no {', '.join(sorted(unknown))}")
    defaults = {
        "general_flags": _WINDOW | (_CONSUMER if more.pop("consumer", False) else 0),
        "granularity": 0,
        "translation": 0,
        "length": maximum - minimum + 1,
    }
    if more.pop("subtractive", False):
        defaults["general_flags"] |= _SUBTRACTIVE
    return kind(space, type_flags=flags, minimum=minimum, maximum=maximum, **(defaults | more))


def BusNumber(first: int, last: int, **more: Unpack[BusOptions]) -> AddressSpace:  # noqa: N802
    """Return the bus numbers of a host bridge (WordBusNumber).

    Args:
        first: bus number.
        last: bus number, inclusive.
        more: see `BusOptions`.

    Raises:
        AmlValueError: numbers out of order, or beyond 16 bits.
    """
    return _made(_Word, BUS, 0, first, last, dict(more))


def _flag(more: Any, name: str, highest: int, default: int = 0) -> int:
    return checked(name, more.pop(name, default), highest)


def _io(kind: type[AddressSpace], minimum: int, maximum: int, more: Any) -> AddressSpace:
    flags = _flag(more, "range_type", 3, _ENTIRE_RANGE)
    flags |= _flag(more, "translates", 1) << 4 | _flag(more, "sparse", 1) << 5
    return _made(kind, IO, flags, minimum, maximum, more)


def WordIo(minimum: int, maximum: int, **more: Unpack[IoOptions]) -> AddressSpace:  # noqa: N802
    """Return I/O ports in 16 bits (WordIO).

    Args:
        minimum: first port.
        maximum: last port, inclusive.
        more: see `IoOptions`.

    Raises:
        AmlValueError: out of order, or beyond 16 bits.
    """
    return _io(_Word, minimum, maximum, dict(more))


def DWordIo(minimum: int, maximum: int, **more: Unpack[IoOptions]) -> AddressSpace:  # noqa: N802
    """Return I/O ports in 32 bits (DWordIO); arguments as for `WordIo`."""
    return _io(_DWord, minimum, maximum, dict(more))


def QWordIo(minimum: int, maximum: int, **more: Unpack[IoOptions]) -> AddressSpace:  # noqa: N802
    """Return I/O ports in 64 bits (QWordIO); arguments as for `WordIo`."""
    return _io(_QWord, minimum, maximum, dict(more))


def ExtendedIo(minimum: int, maximum: int, **more: Unpack[IoOptions]) -> AddressSpace:  # noqa: N802
    """Return I/O ports in 64 bits (ExtendedIO); as `WordIo`, and an `attribute`."""
    return _io(_Extended, minimum, maximum, dict(more))


def _memory(kind: type[AddressSpace], minimum: int, maximum: int, more: Any) -> AddressSpace:
    flags = _flag(more, "writeable", 1, 1) | _flag(more, "cacheable", 3) << 1
    flags |= _flag(more, "range_type", 3) << 3 | _flag(more, "translates", 1) << 5
    return _made(kind, MEMORY, flags, minimum, maximum, more)


def DWordMemory(minimum: int, maximum: int, **more: Unpack[MemoryOptions]) -> AddressSpace:  # noqa: N802
    """Return memory below 4 GiB (DWordMemory).

    Args:
        minimum: first address.
        maximum: last address, inclusive.
        more: see `MemoryOptions`.

    Raises:
        AmlValueError: out of order, or beyond 32 bits.
    """
    return _memory(_DWord, minimum, maximum, dict(more))


def QWordMemory(minimum: int, maximum: int, **more: Unpack[MemoryOptions]) -> AddressSpace:  # noqa: N802
    """Return memory (QWordMemory); arguments as for `DWordMemory`."""
    return _memory(_QWord, minimum, maximum, dict(more))


def ExtendedMemory(minimum: int, maximum: int, **more: Unpack[MemoryOptions]) -> AddressSpace:  # noqa: N802
    """Return memory (ExtendedMemory); as `DWordMemory`, and an `attribute`."""
    return _memory(_Extended, minimum, maximum, dict(more))


def _vendor(
    kind: type[AddressSpace], space: int, minimum: int, maximum: int, more: Any
) -> AddressSpace:
    checked("a vendor's address space", space, 0xFF, 0xC0)
    return _made(kind, space, more.pop("type_flags", 0), minimum, maximum, more)


def WordSpace(  # noqa: N802
    space: int, minimum: int, maximum: int, **more: Unpack[VendorOptions]
) -> AddressSpace:
    """Return 16 bits of a vendor's address space C0H-FFH; as `BusNumber`, and `type_flags`."""
    return _vendor(_Word, space, minimum, maximum, dict(more))


def DWordSpace(  # noqa: N802
    space: int, minimum: int, maximum: int, **more: Unpack[VendorOptions]
) -> AddressSpace:
    """Return 32 bits of a vendor's address space; arguments as for `WordSpace`."""
    return _vendor(_DWord, space, minimum, maximum, dict(more))


def QWordSpace(  # noqa: N802
    space: int, minimum: int, maximum: int, **more: Unpack[VendorOptions]
) -> AddressSpace:
    """Return 64 bits of a vendor's address space; arguments as for `WordSpace`."""
    return _vendor(_QWord, space, minimum, maximum, dict(more))


def ExtendedSpace(  # noqa: N802
    space: int, minimum: int, maximum: int, **more: Unpack[VendorOptions]
) -> AddressSpace:
    """Return 64 bits of a vendor's address space; as `WordSpace`, and an `attribute`."""
    return _vendor(_Extended, space, minimum, maximum, dict(more))


# -- as ASL -----------------------------------------------------------------------------------


def _general(space: AddressSpace, *, decode_last: bool) -> str:
    flags = space.general_flags
    ends = (
        "MinFixed" if flags & _MIN_FIXED else "MinNotFixed",
        "MaxFixed" if flags & _MAX_FIXED else "MaxNotFixed",
    )
    decode = "SubDecode" if flags & _SUBTRACTIVE else "PosDecode"
    user = "ResourceConsumer" if flags & _CONSUMER else "ResourceProducer"
    return ", ".join((user, *ends, decode) if decode_last else (user, decode, *ends))


def _memory_asl(space: AddressSpace) -> str:
    flags = space.type_flags
    access = "ReadWrite" if flags & 1 else "ReadOnly"
    words = f"{_general(space, decode_last=False)}, {Cacheable(flags >> 1 & 3).asl}, {access}"
    translation = "TypeTranslation" if flags & 0x20 else "TypeStatic"
    kind = AddressRange(flags >> 3 & 3).asl
    return f"{space.WORD}Memory ({words}, {space._end()}, {kind}, {translation})"  # noqa: SLF001


_RANGES = ("", "NonISAOnlyRanges", "ISAOnlyRanges", "EntireRange")


def _io_asl(space: AddressSpace) -> str:
    flags = space.type_flags
    words = f"{_general(space, decode_last=True)}, {_RANGES[flags & 3]}"
    translation = "TypeTranslation" if flags & 0x10 else "TypeStatic"
    density = "SparseTranslation" if flags & 0x20 else "DenseTranslation"
    return f"{space.WORD}IO ({words}, {space._end()}, {translation}, {density})"  # noqa: SLF001


def _bus_asl(space: AddressSpace) -> str:
    if space.WORD != "Word":
        return _vendor_asl(space)
    return f"WordBusNumber ({_general(space, decode_last=True)}, {space._end()})"  # noqa: SLF001


def _vendor_asl(space: AddressSpace) -> str:
    words = f"0x{space.space:02X}, {_general(space, decode_last=False)}, 0x{space.type_flags:02X}"
    return f"{space.WORD}Space ({words}, {space._end()})"  # noqa: SLF001


_MACROS = {MEMORY: _memory_asl, IO: _io_asl, BUS: _bus_asl}
