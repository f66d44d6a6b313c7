# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Registers as class attributes: what an author declares about them.

Theory of operation: declarations
---------------------------------
A `Reg`, a `RegArray` or a field of one stands in the body of a device class. It says where the
register lies, what the guest may do to its bits and what they are after a reset. On an instance
the same attribute is a plain integer, cut to the register's width when it is set: that is the
device's side, on which no access word counts.

The access words are those of SystemRDL, from the guest's point of view:

========== ============================ =========================================
word       a read gives                 a write
========== ============================ =========================================
rw         the value                    stores
ro         the value                    changes nothing
wo         zeros                        stores
w1c        the value                    clears the bits written as ones
w1s        the value                    sets the bits written as ones
rc         the value, then clears it    changes nothing
reserved   the reset value              changes nothing
========== ============================ =========================================

A declaration checks nothing by itself, since it does not know its name yet; the class that holds it
does, when it is created (`vmmkit.pci._layout`). Hooks mark the function they decorate and leave
the declaration as it was, so a subclass may hook a register of its base.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any, Final, Literal, Self, TypeVar, overload

__all__ = [
    "Access",
    "Declaration",
    "Row",
    "Field",
    "FieldArray",
    "Hook",
    "Partial",
    "Reg",
    "RegArray",
    "hooks_of",
]

Access = Literal["rw", "ro", "wo", "w1c", "w1s", "rc", "reserved"]
Partial = Literal["lanes", "ones", "ignore"]
Bits = int | tuple[int, int]

_HOOKS: Final = "_register_hooks"

ReadMethod = TypeVar("ReadMethod", bound=Callable[[Any], int])
WriteMethod = TypeVar("WriteMethod", bound=Callable[[Any, int, int], object])
ReadElement = TypeVar("ReadElement", bound=Callable[[Any, int], int])
WriteElement = TypeVar("WriteElement", bound=Callable[[Any, int, int, int], object])


class Hook:
    """A mark on a method: run it on guest reads or writes of a declaration.

    Attributes:
        event: `"read"` or `"write"`.
        declaration: the register, array or field.
    """

    __slots__ = ("event", "declaration")

    def __init__(self, event: Literal["read", "write"], declaration: Declaration) -> None:
        """Remember what to hook."""
        self.event = event
        self.declaration = declaration


def _mark(method: Any, hook: Hook) -> None:
    vars(method)[_HOOKS] = (*hooks_of(method), hook)


def hooks_of(method: object) -> tuple[Hook, ...]:
    """Return the marks on a method, none for anything else."""
    return getattr(method, _HOOKS, ())


class Declaration:
    """What registers and fields share: a name that the class body gives."""

    name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        """Take the name of the class attribute."""
        self.name = self.name or name


class _Register(Declaration):
    """What is declared alike of one register and of an array."""

    def __init__(
        self,
        offset: int,
        access: Access,
        *,
        reset: int,
        size: int,
        bar: Any,
        widths: Collection[int] | None,
        partial: Partial | None,
        doc: str,
    ) -> None:
        self.offset = offset
        self.access = access
        self.reset = reset
        self.size = size
        self.bar = bar
        self.widths = None if widths is None else frozenset(widths)
        self.partial = partial
        self.doc = doc
        self.count: int | None = None
        self.stride = size
        self._mask = (1 << 8 * size) - 1 if size in (1, 2, 4, 8) else 0

    @property
    def mask(self) -> int:
        """All bits of one register."""
        return self._mask


class Reg(_Register):
    """One register.

    Args:
        offset: bytes from the start of the BAR.
        access: what the guest may do to bits that no field speaks of.
        reset: value after any reset.
        size: bytes: 1, 2, 4 or 8.
        bar: the BAR it lies in; the first one where none is named.
        widths: sizes of accesses it takes, in bytes, each at a multiple of its size; any access
            where none are given.
        partial: what becomes of other accesses. `"lanes"`: the bytes that were accessed count, as
            if the others were not there (the default without `widths`). `"ones"`: reads give ones,
            writes are dropped (the default with `widths`). `"ignore"`: reads give zeros, writes
            are dropped. With one of these two and no `widths`, accesses have the register's size.
        doc: a sentence for the reference.
    """

    def __init__(
        self,
        offset: int,
        access: Access = "rw",
        *,
        reset: int = 0,
        size: int = 4,
        bar: Any = None,
        widths: Collection[int] | None = None,
        partial: Partial | None = None,
        doc: str = "",
    ) -> None:
        """Declare it; the class checks it."""
        super().__init__(
            offset,
            access,
            reset=reset,
            size=size,
            bar=bar,
            widths=widths,
            partial=partial,
            doc=doc,
        )

    @overload
    def __get__(self, device: None, owner: type | None = None) -> Self: ...

    @overload
    def __get__(self, device: object, owner: type | None = None) -> int: ...

    def __get__(self, device: Any, owner: type | None = None) -> Self | int:
        """Return the value on a device, the declaration on the class."""
        if device is None:
            return self
        return device.register_values[self.name]  # type: ignore[no-any-return]

    def __set__(self, device: Any, value: int) -> None:
        """Store the low bits, whatever the access word says."""
        device.register_values[self.name] = value & self._mask

    def field(
        self, bits: Bits, access: Access | None = None, *, reset: int | None = None, doc: str = ""
    ) -> Field:
        """Declare some of its bits.

        Args:
            bits: the number of one bit, or (last, first) as data sheets write `7:4`.
            access: the register's word where none is given.
            reset: value of these bits after a reset; the register's where none is given.
            doc: a sentence for the reference.
        """
        return Field(self, bits, access, reset, doc)

    def on_read(self, method: ReadMethod) -> ReadMethod:
        """Let `method(self) -> int` answer guest reads; the stored value is not touched."""
        _mark(method, Hook("read", self))
        return method

    def on_write(self, method: WriteMethod) -> WriteMethod:
        """Call `method(self, old, new)` after each guest write; `new` is stored already."""
        _mark(method, Hook("write", self))
        return method


class _Bits(Declaration):
    """What fields of registers and of arrays share."""

    def __init__(
        self,
        register: Reg | RegArray,
        bits: Bits,
        access: Access | None,
        reset: int | None,
        doc: str,
    ) -> None:
        """Declare it; the class checks it."""
        self.register = register
        self.last, self.first = (bits, bits) if isinstance(bits, int) else bits
        self.access = access
        self.reset = reset
        self.doc = doc
        self.mask = (1 << max(self.last - self.first + 1, 0)) - 1


class Field(_Bits):
    """Some bits of a register; on a device an integer that begins at bit 0."""

    @overload
    def __get__(self, device: None, owner: type | None = None) -> Self: ...

    @overload
    def __get__(self, device: object, owner: type | None = None) -> int: ...

    def __get__(self, device: Any, owner: type | None = None) -> Self | int:
        """Return the value on a device, the declaration on the class."""
        if device is None:
            return self
        value: int = device.register_values[self.register.name]
        return value >> self.first & self.mask

    def __set__(self, device: Any, value: int) -> None:
        """Store the low bits, and leave the rest of the register alone."""
        values = device.register_values
        name = self.register.name
        first, mask = self.first, self.mask
        values[name] = values[name] & ~(mask << first) | (value & mask) << first

    def on_write(self, method: WriteMethod) -> WriteMethod:
        """Call `method(self, old, new)` after guest writes to these bits, with their values."""
        _mark(method, Hook("write", self))
        return method


class Row:
    """A device's array of registers, or of one field of them: a row of integers.

    Indices count from 0, negative ones from the end; slices are not taken.
    """

    __slots__ = ("_values", "_names", "_first", "_mask")

    def __init__(
        self, values: dict[str, int], names: tuple[str, ...], first: int, mask: int
    ) -> None:
        """Look at `mask << first` of the values of these names."""
        self._values = values
        self._names = names
        self._first = first
        self._mask = mask

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._names)

    def __getitem__(self, index: int) -> int:
        """Return one value."""
        return self._values[self._names[index]] >> self._first & self._mask

    def __setitem__(self, index: int, value: int) -> None:
        """Store the low bits of `value`."""
        name, mask, first = self._names[index], self._mask, self._first
        kept = self._values[name] & ~(mask << first)
        self._values[name] = kept | (value & mask) << first

    def __iter__(self) -> Iterator[int]:
        """Yield all values."""
        return (self[index] for index in range(len(self._names)))

    def __repr__(self) -> str:
        """Show the values."""
        return f"[{', '.join(map(hex, self))}]"


class _Rows(Declaration):
    """Attributes whose value on a device is an `Row`, made once for each device."""

    @overload
    def __get__(self, device: None, owner: type | None = None) -> Self: ...

    @overload
    def __get__(self, device: object, owner: type | None = None) -> Row: ...

    def __get__(self, device: Any, owner: type | None = None) -> Self | Row:
        """Return the row on a device, the declaration on the class."""
        if device is None:
            return self
        try:
            return device.register_rows[self.name]  # type: ignore[no-any-return]
        except KeyError:
            row = device.register_rows[self.name] = self.row(device)
            return row

    def __set__(self, device: Any, values: Collection[int]) -> None:
        """Store all values.

        Raises:
            ValueError: more or fewer than there are.
        """
        row = self.row(device)
        if len(values) != len(row):
            raise ValueError(f"{self.name!r} is a row of {len(row)}, not {len(values)}")
        for index, value in enumerate(values):
            row[index] = value

    def row(self, device: Any) -> Row:
        """Make the view of one device's values."""
        raise NotImplementedError


class RegArray(_Rows, _Register):
    """Registers that differ in their place only; on a device a row of integers.

    Args:
        offset: of the first one, in bytes from the start of the BAR.
        count: how many.
        access: as for `Reg`, like everything not named here.
        stride: bytes from one to the next; `size` where none is given.
    """

    count: int

    def __init__(
        self,
        offset: int,
        count: int,
        access: Access = "rw",
        *,
        stride: int | None = None,
        reset: int = 0,
        size: int = 4,
        bar: Any = None,
        widths: Collection[int] | None = None,
        partial: Partial | None = None,
        doc: str = "",
    ) -> None:
        """Declare it; the class checks it."""
        _Register.__init__(
            self,
            offset,
            access,
            reset=reset,
            size=size,
            bar=bar,
            widths=widths,
            partial=partial,
            doc=doc,
        )
        self.count = count
        self.stride = size if stride is None else stride

    def names(self) -> tuple[str, ...]:
        """Return the names of its registers: `ring[0]`, `ring[1]`, ..."""
        return tuple(f"{self.name}[{index}]" for index in range(self.count))

    def row(self, device: Any) -> Row:
        """Make the view of one device's values."""
        return Row(device.register_values, device.array_names(self.name), 0, self._mask)

    def field(
        self, bits: Bits, access: Access | None = None, *, reset: int | None = None, doc: str = ""
    ) -> FieldArray:
        """Declare the same bits of each; arguments as for `Reg.field`."""
        return FieldArray(self, bits, access, reset, doc)

    def on_read(self, method: ReadElement) -> ReadElement:
        """Let `method(self, index) -> int` answer guest reads."""
        _mark(method, Hook("read", self))
        return method

    def on_write(self, method: WriteElement) -> WriteElement:
        """Call `method(self, index, old, new)` after each guest write."""
        _mark(method, Hook("write", self))
        return method


class FieldArray(_Rows, _Bits):
    """The same bits of each register of an array; on a device a row of integers."""

    def row(self, device: Any) -> Row:
        """Make the view of one device's values."""
        names = device.array_names(self.register.name)
        return Row(device.register_values, names, self.first, self.mask)

    def on_write(self, method: WriteElement) -> WriteElement:
        """Call `method(self, index, old, new)` after guest writes to these bits."""
        _mark(method, Hook("write", self))
        return method
