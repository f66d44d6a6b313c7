# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What a BAR is made of: ranges with one kind of answer each, and the callables that give it.

A trapped BAR is one piece, unless an MSI-X table or PBA lies in it. A RAM-backed BAR is cut at
pages: holes stay trapped, and so do pages that hold a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from vmmkit.pci.bars import PAGE, IoBar, MemBar, Rom
from vmmkit.protocols import MmioDevice, ReadHandler, WriteHandler

if TYPE_CHECKING:
    from vmmkit.pci.bars import Bar

__all__ = ["Handlers", "Piece", "memory_handlers", "pieces_of"]

TablePiece = tuple[int, int, MmioDevice]
"""Offset, size and device of an MSI-X table or PBA."""


class Handlers(NamedTuple):
    """A device as an address map takes it."""

    read: Callable[..., int]
    write: Callable[..., object]


class Piece(NamedTuple):
    """A range of a BAR.

    Attributes:
        offset: first byte, counted from the BAR's start.
        size: bytes.
        handlers: who answers while it is trapped.
        memory: the bytes, where the map may have them as RAM or ROM; else `None`.
        kind: `"trap"`, `"ram"` or `"rom"`.
    """

    offset: int
    size: int
    handlers: MmioDevice
    memory: memoryview | None
    kind: Literal["trap", "ram", "rom"]


def pieces_of(bar: Bar, tables: Iterable[TablePiece] = ()) -> tuple[Piece, ...]:
    """Cut a BAR.

    Args:
        bar: the BAR.
        tables: what the core itself serves in it.
    """
    tables = sorted(tables, key=lambda table: table[0])
    declaration = bar.declaration
    if bar.buffer is not None and isinstance(declaration, Rom):
        return (Piece(0, bar.size, memory_handlers(bar.buffer), bar.buffer, "rom"),)
    holes = [(0, bar.size)]
    if bar.buffer is not None and isinstance(declaration, MemBar):
        holes = [_pages(offset, size) for offset, size, _ in tables]
        holes += [_pages(offset, size) for offset, size in declaration.traps]
    edges = {0, bar.size, *(edge for hole in holes for edge in hole)}
    for offset, size, _ in tables:
        edges |= {offset, offset + size}
    owned = [(first, last, _owner(first, tables, holes)) for first, last in pairwise(sorted(edges))]
    return tuple(_piece(bar, *part) for part in _joined(owned))


def _pages(offset: int, size: int) -> tuple[int, int]:
    return offset & -PAGE, offset + size + PAGE - 1 & -PAGE


def _owner(
    offset: int, tables: Iterable[TablePiece], holes: Iterable[tuple[int, int]]
) -> MmioDevice | Literal["ram", "trap"]:
    for first, size, device in tables:
        if first <= offset < first + size:
            return device
    return "trap" if any(first <= offset < end for first, end in holes) else "ram"


def _joined(owned: Iterable[tuple[int, int, Any]]) -> Iterator[tuple[int, int, Any]]:
    """Join neighbours with one owner."""
    start, end, owner = 0, 0, None
    for first, past, who in owned:
        if who is not owner:
            if owner is not None:
                yield start, end, owner
            start, owner = first, who
        end = past
    yield start, end, owner


def _piece(bar: Bar, first: int, past: int, owner: Any) -> Piece:
    if owner == "trap":
        return Piece(first, past - first, trapped(bar, first), None, "trap")
    if owner == "ram":
        assert bar.buffer is not None, bar
        view = bar.buffer[first:past]
        return Piece(first, past - first, memory_handlers(view), view, "ram")
    return Piece(first, past - first, owner, None, "trap")


def trapped(bar: Bar, start: int) -> Handlers:
    """Make the handlers of a range that the author answers for.

    Args:
        bar: the BAR.
        start: where in it the range begins; handlers hear offsets from the start of the BAR.
    """
    declaration, function = bar.declaration, bar.function
    read = _placed_read(declaration.read, function.bar_read, bar.index, start)
    write = _placed_write(declaration.write, function.bar_write, bar.index, start)
    if bar.buffer is not None:
        memory = memory_handlers(bar.buffer[start:])
        read, write = read or memory.read, write or memory.write
    read, write = read or read_ones, write or ignore_write
    if isinstance(declaration, (MemBar, IoBar)):
        return limited(read, write, declaration)
    return Handlers(read, write)


def _placed_read(
    own: ReadHandler | None, shared: Callable[..., int] | None, index: int, start: int
) -> Callable[..., int] | None:
    """Return the reader of a BAR, told which BAR and what offset where it has to be told."""
    if own is not None:
        reader = own
        return (lambda vcpu, offset, size: reader(vcpu, start + offset, size)) if start else own
    if shared is None:
        return None
    return lambda vcpu, offset, size: shared(vcpu, index, start + offset, size)


def _placed_write(
    own: WriteHandler | None, shared: Callable[..., object] | None, index: int, start: int
) -> Callable[..., object] | None:
    if own is not None:
        writer = own
        if not start:
            return own
        return lambda vcpu, offset, size, value: writer(vcpu, start + offset, size, value)
    if shared is None:
        return None
    return lambda vcpu, offset, size, value: shared(vcpu, index, start + offset, size, value)


def read_ones(_vcpu: Any, _offset: int, size: int) -> int:
    """Answer as nobody does."""
    return (1 << 8 * size) - 1


def ignore_write(_vcpu: Any, _offset: int, _size: int, _value: int) -> None:
    """Drop a write."""


def limited(
    read: Callable[..., int], write: Callable[..., object], declaration: MemBar | IoBar
) -> Handlers:
    """Let handlers see the widths they were declared for, and no others."""
    low, high = declaration.min_width, declaration.max_width
    if low == 1 and high >= (4 if isinstance(declaration, IoBar) else 8):
        return Handlers(read, write)
    splits = declaration.too_wide == "split"
    mask = (1 << 8 * high) - 1

    def read_limited(vcpu: Any, offset: int, size: int) -> int:
        if low <= size <= high:
            return read(vcpu, offset, size)
        if size < low or not splits:
            return (1 << 8 * size) - 1
        value = 0
        for at in range(0, size, high):
            value |= (read(vcpu, offset + at, high) & mask) << 8 * at
        return value

    def write_limited(vcpu: Any, offset: int, size: int, value: int) -> None:
        if low <= size <= high:
            write(vcpu, offset, size, value)
        elif size > high and splits:
            for at in range(0, size, high):
                write(vcpu, offset + at, high, value >> 8 * at & mask)

    return Handlers(read_limited, write_limited)


def memory_handlers(view: memoryview) -> Handlers:
    """Make handlers that read and write bytes; writes to a read-only view are dropped."""

    def read(_vcpu: Any, offset: int, size: int) -> int:
        return int.from_bytes(view[offset : offset + size], "little")

    def write(_vcpu: Any, offset: int, size: int, value: int) -> None:
        view[offset : offset + size] = value.to_bytes(size, "little")

    return Handlers(read, ignore_write if view.readonly else write)
