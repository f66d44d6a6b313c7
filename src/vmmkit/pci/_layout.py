# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The registers of one device class, collected from it and its bases, checked, and compiled.

A class is compiled once, when it is created. What comes out is a `Register` for each register,
array elements one by one, with one mask for each thing that a guest access may do. Whatever
contradicts itself is a `DeclarationError` that names both parties.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from inspect import signature
from itertools import pairwise
from typing import Any, Final, NamedTuple, NoReturn

import attrs

from vmmkit.errors import DeclarationError
from vmmkit.pci.registers import Declaration, Field, FieldArray, Reg, RegArray, hooks_of

__all__ = [
    "BarLayout",
    "BarRange",
    "FieldHook",
    "Part",
    "Register",
    "compile_registers",
    "declared",
    "refuse",
]

AnyReg = Reg | RegArray
AnyField = Field | FieldArray

SIZES: Final = (1, 2, 4, 8)


class Word(NamedTuple):
    """What an access word lets a guest do to a bit."""

    visible: bool = False  #: reads give the value
    stores: bool = False  #: a write of 0 or 1 puts that there
    sets: bool = False  #: a write of 1 sets it
    clears: bool = False  #: a write of 1 clears it
    read_clears: bool = False  #: a read clears it
    fixed: bool = False  #: reads give the reset value


WORDS: Final = {
    "rw": Word(visible=True, stores=True),
    "ro": Word(visible=True),
    "wo": Word(stores=True),
    "w1c": Word(visible=True, clears=True),
    "w1s": Word(visible=True, sets=True),
    "rc": Word(visible=True, read_clears=True),
    "reserved": Word(fixed=True),
}

PARTIALS: Final = ("lanes", "ones", "ignore")


@attrs.frozen
class BarRange:
    """A BAR as far as its registers are concerned."""

    index: int
    name: str
    size: int  #: bytes


class FieldHook(NamedTuple):
    """A method to call after writes to some bits."""

    first: int
    mask: int  #: of the field's value, from bit 0
    method: str


@attrs.frozen
class Register:
    """One register, compiled: masks are of its bits, methods are names to look up on a device."""

    name: str  #: `status`, or `ring[3]`
    bar: int
    offset: int
    size: int
    reset: int
    access: str
    doc: str
    index: int | None  #: of an array's element
    keep: int  #: bits that a write leaves as they are
    take: int  #: bits of the written value that are merged in
    w1c: int
    rc: int
    visible: int
    fixed: int  #: what reserved bits read as
    widths: frozenset[int] | None  #: sizes of accesses it takes; `None`: any
    refused: int  #: what each byte reads as when an access is refused
    on_read: str | None
    on_write: str | None
    on_field_write: tuple[FieldHook, ...]

    @property
    def mask(self) -> int:
        """All its bits."""
        return (1 << 8 * self.size) - 1

    @property
    def last(self) -> int:
        """Offset of its last byte."""
        return self.offset + self.size - 1

    @property
    def plain(self) -> bool:
        """Whether a read is the stored value and nothing else happens."""
        return self.on_read is None and not self.rc and self.visible == self.mask


class Part(NamedTuple):
    """Some bytes of an access, and the register they belong to, `None` where there is none."""

    register: Register | None
    first: int  #: bytes from the start of the access
    size: int


class BarLayout:
    """The registers of one BAR, in the order of their offsets."""

    __slots__ = ("bar", "registers", "_offsets")

    def __init__(self, bar: BarRange, registers: Iterable[Register]) -> None:
        """Sort them."""
        self.bar = bar
        self.registers = tuple(sorted(registers, key=lambda register: register.offset))
        self._offsets = [register.offset for register in self.registers]

    def parts(self, offset: int, size: int) -> Iterator[Part]:
        """Cut an access at the borders of registers, in ascending order."""
        at, past = offset, offset + size
        index = max(bisect_right(self._offsets, offset) - 1, 0)
        for register in self.registers[index:]:
            if register.offset >= past:
                break
            if register.last < at:
                continue
            if register.offset > at:
                yield Part(None, at - offset, register.offset - at)
                at = register.offset
            end = min(register.last + 1, past)
            yield Part(register, at - offset, end - at)
            at = end
        if at < past:
            yield Part(None, at - offset, past - at)


def refuse(cls: type, text: str) -> NoReturn:
    """Raise the error of a mistake in the body of `cls`."""
    raise DeclarationError(f"{cls.__name__}: {text}")


def declared(cls: type, *kinds: type) -> dict[str, Any]:
    """Return the class attributes of these kinds, those of bases first.

    A subclass that gives the name to something else, `None` for instance, takes it out.
    """
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        for name, value in vars(base).items():
            if isinstance(value, kinds):
                found[name] = value
            else:
                found.pop(name, None)
    return found


def compile_registers(cls: type, bars: Mapping[int, BarRange]) -> dict[int, BarLayout]:
    """Compile the declarations of a class, those it inherits included.

    Args:
        cls: the class.
        bars: its BARs by index, in the order in which one is the first.

    Returns:
        The registers of each BAR that has any, by index.

    Raises:
        DeclarationError: two of them contradict each other.
    """
    fields: dict[str, list[tuple[str, AnyField]]] = {}
    registers: dict[str, AnyReg] = declared(cls, Reg, RegArray)
    for name, field in declared(cls, Field, FieldArray).items():
        _check_field_of(cls, name, field, registers)
        fields.setdefault(field.register.name, []).append((name, field))
    hooks = _hooks(cls)
    _check_hooks(cls, hooks)
    compiled: dict[int, list[Register]] = {}
    for name, register in registers.items():
        bar = _bar_of(cls, name, register, bars)
        _check_register(cls, name, register, bar)
        own = fields.get(name, [])
        _check_fields(cls, name, register, own)
        compiled.setdefault(bar.index, []).extend(_compile(cls, register, bar.index, own, hooks))
    layouts = {index: BarLayout(bars[index], found) for index, found in compiled.items()}
    for layout in layouts.values():
        _check_overlap(cls, layout)
    return layouts


def _check_field_of(cls: type, name: str, field: AnyField, registers: Mapping[str, AnyReg]) -> None:
    register = registers.get(field.register.name)
    if register is None:
        refuse(cls, f"field {name!r} is of a register that the class does not declare")
    if isinstance(register, RegArray) is not isinstance(field, FieldArray):
        kinds = ("an array", "one register")
        was, now = kinds if isinstance(field, FieldArray) else reversed(kinds)
        refuse(
            cls,
            f"field {name!r} was declared of {was}, and {register.name!r} is {now} in this class",
        )


def _bar_of(cls: type, name: str, register: AnyReg, bars: Mapping[int, BarRange]) -> BarRange:
    if register.bar is None:
        if not bars:
            refuse(cls, f"register {name!r} has no BAR to lie in")
        return next(iter(bars.values()))
    index = register.bar if isinstance(register.bar, int) else getattr(register.bar, "index", None)
    if not isinstance(index, int):
        refuse(cls, f"register {name!r}: bar={register.bar!r} is neither a BAR nor an index")
    if index not in bars:
        refuse(cls, f"register {name!r} lies in BAR {index}, which the class has no registers in")
    return bars[index]


def _check_register(cls: type, name: str, register: AnyReg, bar: BarRange) -> None:
    _check_numbers(cls, name, register)
    if register.access not in tuple(WORDS):
        refuse(cls, f"register {name!r} has the unknown access word {register.access!r}")
    if register.size not in SIZES:
        refuse(cls, f"register {name!r} has {register.size!r} bytes, not 1, 2, 4 or 8")
    if not 0 <= register.reset <= register.mask:
        refuse(
            cls, f"reset value {register.reset:#x} exceeds register {name!r}, {register.mask:#x}"
        )
    _check_widths(cls, name, register)
    count = 1 if register.count is None else register.count
    if count < 1 or register.stride < register.size:
        refuse(
            cls,
            f"array {name!r}: {count} registers of {register.size} bytes at a stride of "
            f"{register.stride} overlap each other or are none",
        )
    last = register.offset + (count - 1) * register.stride + register.size - 1
    if register.offset < 0 or last >= bar.size:
        refuse(
            cls,
            f"register {name!r} [{register.offset:#x}, {last:#x}] lies beyond BAR {bar.name!r} "
            f"[0x0, {bar.size - 1:#x}]",
        )


def _check_numbers(cls: type, name: str, register: AnyReg) -> None:
    for what in ("offset", "reset", "size", "stride", "count"):
        number = getattr(register, what)
        if not isinstance(number, int) and (what, number) != ("count", None):
            refuse(cls, f"register {name!r}: {what}={number!r} is no integer")


def _check_widths(cls: type, name: str, register: AnyReg) -> None:
    widths, partial = register.widths, register.partial
    if partial is not None and partial not in PARTIALS:
        refuse(cls, f"register {name!r}: partial={partial!r} is none of {', '.join(PARTIALS)}")
    if widths is None:
        return
    if not widths or not widths <= set(SIZES):
        refuse(cls, f"register {name!r}: widths={sorted(widths)} are not some of 1, 2, 4, 8")
    if partial == "lanes":
        refuse(cls, f"register {name!r}: widths={sorted(widths)} contradicts partial='lanes'")


def _check_fields(
    cls: type, register_name: str, register: AnyReg, fields: list[tuple[str, AnyField]]
) -> None:
    for name, field in fields:
        if field.access is not None and field.access not in WORDS:
            refuse(cls, f"field {name!r} has the unknown access word {field.access!r}")
        if not 0 <= field.first <= field.last < 8 * register.size:
            refuse(
                cls,
                f"field {name!r}, bits ({field.last}, {field.first}), is not within register "
                f"{register_name!r} of {8 * register.size} bits",
            )
        if field.reset is not None and not 0 <= field.reset <= field.mask:
            refuse(
                cls,
                f"reset value {field.reset:#x} exceeds field {name!r} of {register_name!r}, "
                f"{field.mask:#x}",
            )
    ordered = sorted(fields, key=lambda named: named[1].first)
    for (name, field), (other_name, other) in pairwise(ordered):
        if other.first <= field.last:
            refuse(
                cls,
                f"fields {name!r} and {other_name!r} of {register_name!r} share bit {other.first}",
            )


def _check_overlap(cls: type, layout: BarLayout) -> None:
    for register, other in pairwise(layout.registers):
        if other.offset <= register.last:
            refuse(
                cls,
                f"registers {register.name!r} [{register.offset:#x}, {register.last:#x}] and "
                f"{other.name!r} [{other.offset:#x}, {other.last:#x}] of BAR {layout.bar.name!r} "
                f"overlap",
            )


def _hooks(cls: type) -> dict[tuple[str, str], str]:
    """Return the method for each event and declaration; of several classes the last one's."""
    every = [value for base in cls.__mro__ for value in vars(base).values()]
    known = {id(value) for value in every if isinstance(value, Declaration)}
    found: dict[tuple[str, str], str] = {}
    for base in reversed(cls.__mro__):
        here: dict[tuple[str, str], str] = {}
        for name, method in vars(base).items():
            for hook in hooks_of(method):
                key = hook.event, hook.declaration.name
                if id(hook.declaration) not in known:
                    refuse(cls, f"{name!r} hooks {key[1]!r}, which the class does not declare")
                if key in here:
                    refuse(cls, f"{here[key]!r} and {name!r} both hook {key[0]}s of {key[1]!r}")
                here[key] = name
        found |= here
    return found


def _check_hooks(cls: type, hooks: Mapping[tuple[str, str], str]) -> None:
    """Refuse hooks that cannot be called as they will be."""
    for name, declaration in declared(cls, Reg, RegArray, Field, FieldArray).items():
        index = ("index",) if isinstance(declaration, RegArray | FieldArray) else ()
        for event, values in (("read", ()), ("write", ("old", "new"))):
            method = hooks.get((event, name))
            arguments = ("self", *index, *values)
            if method is not None and not _takes(getattr(cls, method), arguments):
                refuse(
                    cls,
                    f"{method!r} hooks {event}s of {name!r}, and cannot be called with "
                    f"({', '.join(arguments)})",
                )


def _takes(method: object, arguments: tuple[str, ...]) -> bool:
    if not callable(method):
        return False
    try:
        signature(method).bind(*arguments)
    except TypeError:
        return False
    return True


class _Masks:
    """Bits of a register by what a guest may do to them."""

    def __init__(self, register: AnyReg, fields: Iterable[AnyField]) -> None:
        self.reset = register.reset
        self._bits = dict.fromkeys(Word._fields, 0)
        rest = register.mask
        for field in fields:
            bits = field.mask << field.first
            rest &= ~bits
            self._add(field.access or register.access, bits)
            if field.reset is not None:
                self.reset = self.reset & ~bits | field.reset << field.first
        self._add(register.access, rest)

    def _add(self, access: str, bits: int) -> None:
        for name, applies in WORDS[access]._asdict().items():
            if applies:
                self._bits[name] |= bits

    def __getitem__(self, name: str) -> int:
        return self._bits[name]


def _compile(
    cls: type,
    register: AnyReg,
    bar: int,
    fields: list[tuple[str, AnyField]],
    hooks: Mapping[tuple[str, str], str],
) -> Iterator[Register]:
    masks = _Masks(register, [field for _, field in fields])
    on_read = hooks.get(("read", register.name))
    if on_read is not None and not masks["visible"]:
        refuse(cls, f"{on_read!r} hooks reads of {register.name!r}, which is {register.access}")
    widths = register.widths
    if widths is None and register.partial in ("ones", "ignore"):
        widths = frozenset({register.size})
    names = (register.name,) if isinstance(register, Reg) else register.names()
    for index, name in enumerate(names):
        yield Register(
            name=name,
            bar=bar,
            offset=register.offset + index * register.stride,
            size=register.size,
            reset=masks.reset,
            access=register.access,
            doc=register.doc,
            index=None if isinstance(register, Reg) else index,
            keep=register.mask & ~masks["stores"],
            take=masks["stores"] | masks["sets"],
            w1c=masks["clears"],
            rc=masks["read_clears"],
            visible=masks["visible"],
            fixed=masks["fixed"] & masks.reset,
            widths=widths,
            refused=0 if register.partial == "ignore" else 0xFF,
            on_read=on_read,
            on_write=hooks.get(("write", register.name)),
            on_field_write=tuple(
                FieldHook(field.first, field.mask, hooks["write", field_name])
                for field_name, field in fields
                if ("write", field_name) in hooks
            ),
        )
