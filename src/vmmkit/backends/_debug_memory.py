# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Guest memory as a debugger reads and writes it: by virtual address, with no effect on the guest.

Theory of operation
-------------------
An access goes in two steps. First the linear range becomes *spans*, guest-physical ranges, by the
vCPU's own walk (`translate`, no rights checked, nothing marked accessed). Then each span is served
by RAM, by the buffer of a RAM or ROM region of the address map, or by a device through a port.

A walk in Python is slow, so one walk does for a table of pages: when it ended in a 4 KiB page, the
entries after the one it used are read straight from the same table. Such an entry may be used
where it is present and has no bit set, among those that can be reserved, that no entry of this
table had for which a whole walk has succeeded; other entries are walked to. So the result is
always that of a walk, and which bits are reserved in which mode is known in one place only. Spans
found are kept while every vCPU stands, until something is written. For vCPUs that run, a walk in
long mode is kept, and taken again while CR0, CR3, CR4, EFER and all its entries are what they were.

Bytes that breakpoints have replaced are shown as they were (`Patches`), and writes go beneath.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from ctypes import addressof, c_char
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol

from vmmkit.errors import AccessError, TargetError
from vmmkit.insn import PageEntry, Translation
from vmmkit.memregion import Port, Region, RegionMap, all_ones

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["DebugMemory", "Patches", "Piece", "Span"]

PAGE: Final = 4096
ADDRESS: Final = 0x000F_FFFF_FFFF_F000
HIGH_BITS: Final = 0xFFFF_FFFF_0000_0000  # of an entry: those that some mode reserves
PRESENT: Final = 1
ENTRY_CODES: Final[Mapping[int, Literal["I", "Q"]]] = {4: "I", 8: "Q"}
EFER_LMA: Final = 1 << 10
CR0_PG: Final = 1 << 31
LOW_32: Final = (1 << 32) - 1
SPACE_32: Final = 1 << 32
SPACE_64: Final = 1 << 64
KEPT: Final = 32  # spans of each vCPU
WIDEST: Final = 8  # bytes of one device access
WORDS: Final = (8, 4, 2, 1)
INT3: Final = 0xCC
HOST_BITS: Final = 64


class Piece(NamedTuple):
    """Memory with a buffer behind it."""

    first: int
    last: int
    view: memoryview
    writable: bool
    name: str
    host: int
    """Address in this process of the first byte, the same wherever the guest sees it."""


class Span(NamedTuple):
    """A linear range that is one guest-physical range."""

    first: int
    last: int
    gpa: int


class Walk(NamedTuple):
    """A walk in long mode, and all that it depended on beside its entries."""

    controls: tuple[int, int, int, int]
    found: Translation


NO_WALK: Final = Walk((0, 0, 0, 0), Translation(0, PAGE, False, False, False, ()))


class Patches(Protocol):
    """Bytes of RAM that breakpoints have replaced, by address in this process."""

    def conceal(self, host: int, data: bytearray) -> None:
        """Put the original bytes into what was read at `host`."""
        ...

    def wrote(self, host: int, size: int) -> None:
        """Hear that RAM was written; put the breakpoints back over it."""
        ...

    def touch(self, host: int, size: int) -> bool:
        """Whether there are any in this range."""
        ...


class DebugMemory:
    """The memory of a machine, for a debugger.

    Args:
        vcpus: those whose translations are asked for.
        ram: `(gpa, buffer)` pieces.
        mmio: the guest-physical address map, where there is one.

    Attributes:
        physical: whether addresses are guest-physical ones.
        devices: whether devices are read and written.
        patches: what breakpoints have replaced.
        still: tells whether every vCPU stands.
        guard: held while a device is accessed.
        shared: whether devices may be accessed while vCPUs run; true at first.
    """

    patches: Patches
    guard: AbstractContextManager[object]

    def __init__(
        self,
        vcpus: tuple[Any, ...],
        ram: Iterable[tuple[int, Buffer]],
        mmio: RegionMap | None,
        still: Callable[[], bool],
    ) -> None:
        """Put the pieces in order."""
        self.physical, self.devices, self.still = False, True, still
        self.guard, self.shared = nullcontext(), True
        self._vcpus, self._mmio = vcpus, mmio
        self._pieces = sorted(_piece(gpa, buffer) for gpa, buffer in ram)
        self._firsts = [piece.first for piece in self._pieces]
        self._ports: dict[int, Port] = {}
        self._spans: dict[int, list[Span]] = {}
        self._walks: dict[tuple[int, int], Walk] = {}

    def forget(self) -> None:
        """Forget translations: vCPUs go on, or something has been written."""
        self._spans.clear()

    # -- translation -----------------------------------------------------------------------------

    def linear_size(self, vcpu: int) -> int:
        """Return the size of the address space: 2**32 outside of long mode."""
        long_mode = self.physical or self._vcpus[vcpu].state.efer & EFER_LMA
        return SPACE_64 if long_mode else SPACE_32

    def pages(self, vcpu: int) -> bool:
        """Whether addresses are translated."""
        return not self.physical and bool(self._vcpus[vcpu].state.cr0 & CR0_PG)

    def _spans_of(self, vcpu: int, linear: int, size: int, pages: bool) -> Iterator[Span]:
        """Yield spans side by side, the first one around `linear`, until a hole or enough."""
        beyond = linear + size
        while linear < beyond:
            if not pages:
                yield Span(0, SPACE_64 - 1, 0)
                return
            spans = self._translated(vcpu, linear, beyond - linear)
            if not spans:
                return
            yield from spans
            linear = spans[-1].last + 1

    def translate(self, vcpu: int, linear: int) -> int | None:
        """Translate a linear address of a vCPU's, whatever addresses the debugger uses."""
        if not self._vcpus[vcpu].state.cr0 & CR0_PG:
            return linear
        found = self._translated(vcpu, linear, 1)
        return found[0].gpa + linear - found[0].first if found else None

    def _translated(self, vcpu: int, linear: int, size: int) -> list[Span]:
        kept = self._spans.setdefault(vcpu, [])
        for span in kept:
            if span.first <= linear <= span.last:
                return [span]
        found = self._walk(vcpu, linear, size)
        if self.still():
            kept[:0] = found
            del kept[KEPT:]
        return found

    def _walk(self, vcpu: int, linear: int, size: int) -> list[Span]:
        """Walk to one page, and take those after it from the same table."""
        found = self._translation(vcpu, linear)
        if found is None:
            return []
        first = linear & -found.page_size
        last, gpa = first + found.page_size - 1, found.gpa & -found.page_size
        spans = [Span(first, last, gpa)]
        if found.page_size == PAGE and linear + size - 1 > last:
            for page in self._neighbours(found, linear + size - 1 - last):
                before = spans[-1]
                if before.gpa + before.last + 1 - before.first == page:
                    spans[-1] = before._replace(last=before.last + PAGE)
                else:
                    spans.append(Span(before.last + 1, before.last + PAGE, page))
        return spans

    def _translation(self, vcpu: int, linear: int) -> Translation | None:
        """Translate an address, or another one of its page."""
        chosen, page = self._vcpus[vcpu], (vcpu, linear & -PAGE)
        state = chosen.state
        controls = state.cr0, state.cr3, state.cr4, state.efer
        known = self._walks.get(page, NO_WALK)
        if known.controls == controls and all(map(self._is_unchanged, known.found.entries)):
            return known.found
        found = chosen.translate(linear, None)
        if not isinstance(found, Translation):
            return None
        if state.efer & EFER_LMA:  # elsewhere some entries may be in registers
            if len(self._walks) >= KEPT:
                self._walks.clear()
            self._walks[page] = Walk(controls, found)
        return found

    def _is_unchanged(self, entry: PageEntry) -> bool:
        gpa, size, value = entry
        piece = self.piece_at(gpa)
        if piece is None:
            return False
        held = piece.view[gpa - piece.first : gpa - piece.first + size]
        return int.from_bytes(held, "little") == value

    def _neighbours(self, found: Translation, size: int) -> Iterator[int]:
        """Yield the addresses of the pages after one, up to one that a walk must judge."""
        entry = found.entries[-1]
        begin, width = entry.gpa + entry.size, entry.size
        count = min((-begin % PAGE) // width, -(-size // PAGE))
        table = self.piece_at(begin) if count else None
        if table is None:
            return
        offset = begin - table.first
        raw = bytes(table.view[offset : offset + count * width])
        suspect = HIGH_BITS & ~entry.value if width == WIDEST else 0
        for value in memoryview(raw).cast(ENTRY_CODES[width]):
            if not value & PRESENT or value & suspect:
                return
            yield value & ADDRESS

    # -- what is where ---------------------------------------------------------------------------

    def piece_at(self, gpa: int) -> Piece | None:
        """Return the RAM or ROM at a guest-physical address."""
        number = bisect_right(self._firsts, gpa) - 1
        if number >= 0 and gpa <= self._pieces[number].last:
            return self._pieces[number]
        region = self.region_at(gpa)
        if region is None or region.buffer is None:
            return None
        writable = region.kind == "ram" and not region.buffer.readonly
        view = region.buffer
        return Piece(region.base, region.last, view, writable, region.name, _host_address(view))

    def region_at(self, gpa: int) -> Region | None:
        """Return the region of the address map, fallbacks included unless nobody is there."""
        if self._mmio is None or gpa >= 1 << self._mmio.address_bits:
            return None
        region = self._mmio.find(gpa)
        if region is not None:
            return region
        for fallback in self._mmio.fallbacks:
            if fallback.base <= gpa <= fallback.last and not _is_nobody(fallback):
                return fallback
        return None

    def pieces(self) -> Iterator[Piece]:
        """Yield RAM and ROM, the owner's pieces first."""
        yield from self._pieces
        for region in self._mmio or ():
            if region.buffer is not None:
                piece = self.piece_at(region.base)
                if piece is not None and piece.first == region.base:
                    yield piece

    def _port(self, vcpu: int) -> Port:
        assert self._mmio is not None
        if vcpu not in self._ports:
            self._ports[vcpu] = self._mmio.port(self._vcpus[vcpu])
        return self._ports[vcpu]

    def _reaches_devices(self) -> bool:
        return self.devices and (self.shared or self.still())

    # -- reading ---------------------------------------------------------------------------------

    def _reach(self, vcpu: int, address: int, size: int) -> Iterator[tuple[int, int]]:
        """Yield guest-physical address and size of what a range consists of, up to a hole."""
        space = self.linear_size(vcpu)
        if space == SPACE_32:
            address &= LOW_32
        beyond = min(address + size, space)
        for span in self._spans_of(vcpu, address, beyond - address, self.pages(vcpu)):
            here = min(beyond, span.last + 1) - address
            yield span.gpa + address - span.first, here
            address += here

    def read(self, vcpu: int, address: int, size: int) -> bytes:
        """Read as `Target.read_memory`."""
        parts: list[bytes] = []
        for gpa, count in self._reach(vcpu, address, size):
            part = self.read_physical(vcpu, gpa, count)
            parts.append(part)
            if len(part) < count:
                break
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def code(self, vcpu: int, linear: int, size: int) -> bytes:
        """Read what is in RAM or ROM at a linear address, whatever addresses the debugger uses."""
        pages, code = bool(self._vcpus[vcpu].state.cr0 & CR0_PG), b""
        for span in self._spans_of(vcpu, linear, size, pages):
            at = linear + len(code)
            gpa = span.gpa + at - span.first
            piece = self.piece_at(gpa)
            if piece is None:
                break
            count = min(size - len(code), span.last + 1 - at, piece.last + 1 - gpa)
            code += self._read_piece(piece, gpa, count)
        return code

    def read_physical(self, vcpu: int, gpa: int, size: int) -> bytes:
        """Read guest-physical memory up to the first hole."""
        parts: list[bytes] = []
        while size > 0:
            piece = self.piece_at(gpa)
            if piece is None:
                part = self._read_device(vcpu, gpa, size)
                wanted = min(size, WIDEST)
            else:
                wanted = min(size, piece.last + 1 - gpa)
                part = self._read_piece(piece, gpa, wanted)
            parts.append(part)
            if not part:
                break
            gpa, size = gpa + len(part), size - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _read_piece(self, piece: Piece, gpa: int, size: int) -> bytes:
        offset = gpa - piece.first
        view = piece.view[offset : offset + size]
        host = piece.host + offset
        if not self.patches.touch(host, size):
            return bytes(view)
        data = bytearray(view)
        self.patches.conceal(host, data)
        return bytes(data)

    def _width(self, gpa: int, size: int) -> int:
        """Return how many bytes one access to a device takes: 8, 4, 2 or 1, or 0 for none."""
        region = self.region_at(gpa) if self._reaches_devices() else None
        if region is None:
            return 0
        most = min(size, region.policy.max_size, region.last + 1 - gpa)
        return next((width for width in WORDS if width <= most and not gpa % width), 1)

    def _read_device(self, vcpu: int, gpa: int, size: int) -> bytes:
        width = self._width(gpa, size)
        if not width:
            return b""
        try:
            with self.guard:
                return self._port(vcpu).read(gpa, width).to_bytes(width, "little")
        except AccessError:
            return b""

    # -- writing ---------------------------------------------------------------------------------

    def write(self, vcpu: int, address: int, data: bytes) -> None:
        """Write as `MemoryWriter.write_memory`."""
        reached = list(self._reach(vcpu, address, len(data)))
        if sum(count for _, count in reached) < len(data):
            raise TargetError(f"there is no memory at all of {address:#x}, {len(data)} bytes")
        for gpa, count in reached:
            self._check_writable(gpa, count)
        offset = 0
        try:
            for gpa, count in reached:
                self._write_physical(vcpu, gpa, data[offset : offset + count])
                offset += count
        finally:
            self.forget()

    def _check_writable(self, gpa: int, size: int) -> None:
        last = gpa + size - 1
        while gpa <= last:
            piece = self.piece_at(gpa)
            if piece is not None and not piece.writable:
                raise TargetError(f"{gpa:#x} is in ROM ({piece.name}), which cannot be written")
            reaches = piece is None and self._reaches_devices()
            region = self.region_at(gpa) if reaches else None
            if piece is None and region is None:
                raise TargetError(f"nothing can be written at {gpa:#x}")
            here = piece or region
            assert here is not None
            gpa = here.last + 1

    def _write_physical(self, vcpu: int, gpa: int, data: bytes) -> None:
        while data:
            piece = self.piece_at(gpa)
            if piece is None:
                count = self._write_device(vcpu, gpa, data)
            else:
                count = min(len(data), piece.last + 1 - gpa)
                offset = gpa - piece.first
                piece.view[offset : offset + count] = data[:count]
                self.patches.wrote(piece.host + offset, count)
            gpa, data = gpa + count, data[count:]

    def _write_device(self, vcpu: int, gpa: int, data: bytes) -> int:
        width = self._width(gpa, len(data))
        try:
            with self.guard:
                self._port(vcpu).write(gpa, width, int.from_bytes(data[:width], "little"))
        except AccessError as error:
            raise TargetError(f"{error}") from error
        return width


def _piece(gpa: int, buffer: Buffer) -> Piece:
    view = memoryview(buffer).cast("B")
    writable = not view.readonly
    name = "ram" if writable else "rom"
    return Piece(gpa, gpa + len(view) - 1, view, writable, name, _host_address(view))


def _host_address(view: memoryview) -> int:
    """Return where a buffer is in this process, or a place of its own if that is not to be had."""
    for buffer in (view, view.obj):
        with suppress(
            TypeError, ValueError, BufferError
        ):  # read-only; or RAM that others only read
            if memoryview(buffer).nbytes == view.nbytes:
                return addressof(c_char.from_buffer(buffer))
    return -(id(view.obj) << HOST_BITS)


def _is_nobody(fallback: Region) -> bool:
    """Whether a fallback is there only so that accesses to nobody read as ones."""
    return fallback._read == all_ones.read  # noqa: SLF001 - handlers have no public name
