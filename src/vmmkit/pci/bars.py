# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""BARs: what an author declares, and the handle that says where the guest has put one.

A declaration (`MemBar`, `IoBar`, `Rom`) is a plain value that several functions may share. A
`Bar` belongs to one function: it has the address, the memory behind a RAM-backed BAR, and the
callables that answer.

Handlers are called as `read(vcpu, offset, size)` and `write(vcpu, offset, size, value)`, with
offsets that count from the start of the BAR and accesses that lie wholly inside of it. They may be
entered by several vCPUs at once.
"""

from __future__ import annotations

from mmap import mmap
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Self, overload

import attrs

from vmmkit.errors import DeclarationError
from vmmkit.pci.spec import BarKind
from vmmkit.protocols import ReadHandler, WriteHandler

if TYPE_CHECKING:
    from vmmkit.pci.decode import Claim, Key
    from vmmkit.pci.function import Function

__all__ = ["Bar", "Declaration", "IoBar", "MemBar", "Rom"]

PAGE: Final = 0x1000

_ROM_INDEX: Final = 6
_MIN_MEMORY: Final = 16
_MIN_IO, _MAX_IO = 4, 256
_MIN_ROM: Final = 0x800
_WIDTHS: Final = (1, 2, 4, 8)

_MEMORY_KINDS: Final = {
    (32, False): BarKind.MEM32,
    (32, True): BarKind.MEM32_PREFETCHABLE,
    (64, False): BarKind.MEM64,
    (64, True): BarKind.MEM64_PREFETCHABLE,
}


class _Attribute:
    """What type checkers see of a declaration in a device class: on a device it is the `Bar`."""

    __slots__ = ()

    if TYPE_CHECKING:

        @overload
        def __get__(self, device: None, owner: type[Any] | None = None) -> Self: ...

        @overload
        def __get__(self, device: object, owner: type[Any] | None = None) -> Bar: ...

        def __get__(self, device: object, owner: type[Any] | None = None) -> Any: ...


def _refuse(what: Declaration, why: str) -> DeclarationError:
    return DeclarationError(f"{what.name or 'BAR'} (index {what.index}): {why}")


def _check_size(what: Declaration, least: int, most: int) -> None:
    size = what.size
    if not isinstance(size, int) or size & (size - 1) or not least <= size <= most:
        raise _refuse(what, f"size is a power of two from {least} to {most:#x}, not {size!r}")


def _check_widths(what: MemBar | IoBar) -> None:
    if what.min_width not in _WIDTHS or what.max_width not in _WIDTHS:
        raise _refuse(what, f"widths are among {_WIDTHS}")
    if what.min_width > what.max_width:
        raise _refuse(what, f"min_width {what.min_width} exceeds max_width {what.max_width}")
    if what.too_wide not in ("split", "ones"):
        raise _refuse(what, f"too_wide is 'split' or 'ones', not {what.too_wide!r}")


@attrs.frozen
class MemBar(_Attribute):
    """A memory BAR.

    Args:
        index: 0-5, the first register; a 64-bit BAR takes the next one as well.
        size: bytes, a power of two, at least 16.
        width: 32 or 64 bits of address.
        prefetchable: the bit of that name.
        ram: whether memory answers instead of handlers: `True` for fresh zeroed pages, or a
            writable buffer of `size` bytes. Such a BAR has at least a page.
        traps: `(offset, size)` of pages of a RAM-backed BAR where the handlers answer all the
            same. Multiples of 4096.
        min_width: narrowest access a handler sees, in bytes; narrower ones read as ones and
            are dropped.
        max_width: widest access a handler sees, in bytes, at most 8.
        too_wide: what becomes of wider ones: `"split"` in address order, or `"ones"`.
        read: answers reads. Without it, and without a `read` of the function, there are ones.
        write: takes writes. Without it, and without a `write` of the function, they are dropped.
        lazy: whether RAM becomes a RAM region of the map only when it is first accessed after
            decoding was enabled; see `docs/design/pci.md`.
        keep: whether snapshots hold the memory's contents.
        name: for maps, errors and pictures.

    Raises:
        DeclarationError: any of these is out of its range.
    """

    index: int
    size: int
    width: int = attrs.field(default=32, kw_only=True)
    prefetchable: bool = attrs.field(default=False, kw_only=True)
    ram: Any = attrs.field(default=False, kw_only=True)
    traps: tuple[tuple[int, int], ...] = attrs.field(default=(), kw_only=True)
    min_width: int = attrs.field(default=1, kw_only=True)
    max_width: int = attrs.field(default=8, kw_only=True)
    too_wide: Literal["split", "ones"] = attrs.field(default="split", kw_only=True)
    read: ReadHandler | None = attrs.field(default=None, kw_only=True)
    write: WriteHandler | None = attrs.field(default=None, kw_only=True)
    lazy: bool = attrs.field(default=True, kw_only=True)
    keep: bool = attrs.field(default=True, kw_only=True)
    name: str = attrs.field(default="", kw_only=True)

    def __attrs_post_init__(self) -> None:
        """Refuse what no device could have."""
        if self.width not in (32, 64):
            raise _refuse(self, f"width is 32 or 64, not {self.width!r}")
        if self.index not in range(7 - self.registers):
            raise _refuse(self, "no such BAR: indexes are 0-5, and 64 bits take two")
        _check_size(self, _MIN_MEMORY, 1 << self.width - 1)
        _check_widths(self)
        if self.ram is False and self.traps:
            raise _refuse(self, "traps are for RAM-backed BARs")
        if self.ram is not False and self.size < PAGE:
            raise _refuse(self, f"a RAM-backed BAR has at least {PAGE} bytes, not {self.size}")
        for offset, size in self.traps:
            if (offset | size) % PAGE or size <= 0 or not 0 <= offset <= self.size - size:
                raise _refuse(self, f"trap of {size:#x} bytes at {offset:#x}: no pages of this BAR")

    @property
    def registers(self) -> int:
        """How many BAR registers it takes."""
        return self.width // 32

    @property
    def kind(self) -> BarKind:
        """Which kind of BAR this is."""
        return _MEMORY_KINDS[self.width, bool(self.prefetchable)]


@attrs.frozen
class IoBar(_Attribute):
    """An I/O BAR; the arguments mean what they do for `MemBar`.

    Args:
        index: 0-5.
        size: ports, a power of two from 4 to 256.
        min_width: narrowest access a handler sees, in bytes.
        max_width: widest access a handler sees, in bytes.
        too_wide: what becomes of wider ones.
        read: answers reads.
        write: takes writes.
        name: for maps, errors and pictures.
    """

    index: int
    size: int
    min_width: int = attrs.field(default=1, kw_only=True)
    max_width: int = attrs.field(default=4, kw_only=True)
    too_wide: Literal["split", "ones"] = attrs.field(default="split", kw_only=True)
    read: ReadHandler | None = attrs.field(default=None, kw_only=True)
    write: WriteHandler | None = attrs.field(default=None, kw_only=True)
    name: str = attrs.field(default="", kw_only=True)

    width: ClassVar[int] = 32
    registers: ClassVar[int] = 1
    kind: ClassVar[BarKind] = BarKind.IO

    def __attrs_post_init__(self) -> None:
        """Refuse what no device could have."""
        if self.index not in range(6):
            raise _refuse(self, "no such BAR: indexes are 0-5")
        _check_size(self, _MIN_IO, _MAX_IO)
        _check_widths(self)


def _rom_size(rom: Rom) -> int:
    return max(_MIN_ROM, 1 << (len(rom.image) - 1).bit_length()) if rom.image else _MIN_ROM


@attrs.frozen
class Rom(_Attribute):
    """An expansion ROM. Writes to it are dropped.

    Args:
        image: its contents; ones follow up to `size`.
        size: bytes, a power of two, at least 2048. By default what the image needs.
        read: answers reads instead of an image.
        lazy: as for `MemBar`.
        name: for maps, errors and pictures.

    Raises:
        DeclarationError: the image exceeds the size.
    """

    image: bytes = b""
    size: int = attrs.field(default=attrs.Factory(_rom_size, takes_self=True))
    read: ReadHandler | None = attrs.field(default=None, kw_only=True)
    lazy: bool = attrs.field(default=True, kw_only=True)
    name: str = attrs.field(default="ROM", kw_only=True)

    index: ClassVar[int] = _ROM_INDEX
    width: ClassVar[int] = 32
    registers: ClassVar[int] = 1
    write: ClassVar[None] = None
    kind: ClassVar[BarKind] = BarKind.ROM

    def __attrs_post_init__(self) -> None:
        """Refuse what no device could have."""
        _check_size(self, _MIN_ROM, 1 << 24)
        if len(self.image) > self.size:
            raise _refuse(self, f"an image of {len(self.image):#x} bytes exceeds {self.size:#x}")


Declaration = MemBar | IoBar | Rom

_SPACES: Final[dict[type, str]] = {IoBar: "io", Rom: "rom"}


class Bar:
    """One BAR of one function.

    Attributes:
        declaration: what it was made from.
        function: whose it is.
        index: 0-5, 6 for the expansion ROM.
        size: bytes.
        space: `"memory"`, `"io"` or `"rom"`.
        offset: of its register in the config space.
        buffer: the memory behind a RAM-backed BAR or a ROM; `None` where handlers answer.
    """

    __slots__ = (
        "buffer",
        "claim",
        "declaration",
        "function",
        "index",
        "key",
        "mapped_at",
        "name",
        "offset",
        "pieces",
        "placed",
        "promoted",
        "size",
        "space",
    )

    def __init__(self, declaration: Declaration, function: Function, offset: int) -> None:
        """Belong to a function; nothing is mapped."""
        self.declaration = declaration
        self.function = function
        self.index = declaration.index
        self.size = declaration.size
        self.space = _SPACES.get(type(declaration), "memory")
        self.offset = offset
        self.name = declaration.name or f"BAR{declaration.index}"
        self.buffer = _memory_of(declaration)
        # What the mapper keeps here: the claim, and the regions it has made of it.
        self.key: Key = ((), 0, self.index)
        self.claim: Claim[Bar] | None = None
        self.mapped_at: int | None = None
        self.pieces: tuple[Any, ...] = ()
        self.placed: tuple[Any, ...] = ()
        self.promoted = False

    @property
    def address(self) -> int | None:
        """Where the guest has it decode, or `None`; something may be in the way, see `live`."""
        return None if self.claim is None else self.claim.base

    @property
    def live(self) -> bool:
        """Whether it answers."""
        return self.mapped_at is not None

    @property
    def conflict(self) -> str:
        """Name of what is in the way, where it decodes and is not live; else `""`."""
        return "" if self.claim is None else self.claim.blocker

    def __str__(self) -> str:
        """Return the names of function and BAR."""
        return f"{self.function.name} {self.name}"

    def __repr__(self) -> str:
        """Show where it is."""
        where = "off" if self.address is None else f"{self.address:#x}"
        state = "" if self.live or self.address is None else f" blocked by {self.conflict!r}"
        return f"<Bar {self} {self.declaration.kind.value} {self.size:#x} at {where}{state}>"


def _memory_of(declaration: Declaration) -> memoryview | None:
    """Return the memory that answers for a BAR, made or taken over."""
    if isinstance(declaration, Rom):
        if declaration.read is not None:
            return None
        return memoryview(declaration.image.ljust(declaration.size, b"\xff"))
    if isinstance(declaration, IoBar) or declaration.ram is False:
        return None
    if declaration.ram is True:
        # Whole pages of the host's, as memory slots of a hypervisor want them.
        return memoryview(mmap(-1, declaration.size))
    view = memoryview(declaration.ram).cast("B")
    if view.readonly or len(view) != declaration.size:
        raise _refuse(declaration, f"ram is a writable buffer of {declaration.size:#x} bytes")
    return view
