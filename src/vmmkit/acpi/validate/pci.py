# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""PCI host bridges, and the memory-mapped configuration space (ECAM) of the MCFG table.

PCI Firmware Specification, "MCFG Table Description".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import attrs

from vmmkit.acpi.placement import E820Type
from vmmkit.acpi.validate.finding import Finding
from vmmkit.acpi.validate.memory import Ranges, Span, covers, overlaps
from vmmkit.acpi.validate.objects import Object, text_of
from vmmkit.acpi.validate.resources import BUS, IO, MEMORY, Window, windows
from vmmkit.acpi.validate.subject import Subject, TableBytes

__all__ = ["check"]

_BRIDGES: Final = frozenset({"PNP0A03", "PNP0A08"})
_MOTHERBOARD: Final = frozenset({"PNP0C01", "PNP0C02"})
_FIRST_ALLOCATION: Final = 44
_ALLOCATION: Final = 16
_BUS_SIZE: Final = 1 << 20
_FOUR_GIB: Final = 1 << 32
_LEAST_RESERVED: Final = 16 << 20  # Linux halves a window down to this until it is reserved
_KINDS: Final = {MEMORY: "memory", IO: "I/O", BUS: "bus"}


class _Ecam(NamedTuple):
    """An allocation of the MCFG."""

    base: int
    segment: int
    first_bus: int
    last_bus: int
    offset: int

    @property
    def first(self) -> int:
        """Address of its first byte: that of its first bus, and not of bus 0."""
        return self.base + self.first_bus * _BUS_SIZE

    @property
    def last(self) -> int:
        """Address of its last byte."""
        return self.base + (self.last_bus + 1) * _BUS_SIZE - 1

    def __str__(self) -> str:
        """Return all of it."""
        return (
            f"ECAM at {self.first:#x}-{self.last:#x} of segment {self.segment}, buses "
            f"{self.first_bus}-{self.last_bus}"
        )


@attrs.frozen(eq=False)
class _Bridge:
    """A host bridge: its path, `_CRS`, and the ranges of it."""

    path: tuple[str, ...]
    device: Object
    resources: Object | None
    windows: tuple[Window, ...]
    start: int
    segment: Any
    base_bus: Any

    def finding(self, code: str, window: Window | None, message: str) -> Finding:
        """Return a finding at a range of it, or at the device."""
        table: TableBytes = self.device.table
        if window is None or self.resources is None:
            return table.finding(code, self.device.offset, message)
        table = self.resources.table
        return table.finding(code, self.start + window.offset, message)

    @property
    def by_offset(self) -> dict[int, Window]:
        """Return its ranges by their offsets."""
        return {window.offset: window for window in self.windows}

    def bus_ranges(self) -> list[Window]:
        """Return its ranges of buses."""
        return [window for window in self.windows if window.kind == BUS]


def check(subject: Subject) -> Iterator[Finding]:
    """Yield what is wrong with host bridges and ECAM."""
    bridges = [_bridge(subject, path, device) for path, device in _bridges(subject)]
    for bridge in bridges:
        yield from _buses(bridge)
        yield from _clipped(subject, bridge)
    yield from _windows_overlap(bridges)
    mcfg = subject.first("MCFG")
    if mcfg is None:
        return
    ecams = _allocations(mcfg)
    yield from _allocation_findings(subject, mcfg, ecams)
    good = [ecam for ecam in ecams if ecam.base and ecam.first_bus <= ecam.last_bus]
    yield from _reservations(subject, mcfg, good)
    for bridge in bridges:
        yield from _against_bridge(mcfg, good, bridge)


# -- host bridges -----------------------------------------------------------------------------


def _bridges(subject: Subject) -> Iterator[tuple[tuple[str, ...], Object]]:
    for path, device in subject.objects.devices():
        if _BRIDGES & subject.objects.ids(path):
            yield path, device


def _bridge(subject: Subject, path: tuple[str, ...], device: Object) -> _Bridge:
    objects = subject.objects
    resources = objects.of(path, "_CRS")
    content = resources.value if resources is not None else None
    known = isinstance(content, bytes)
    found = tuple(windows(content)) if isinstance(content, bytes) else ()
    start = 0
    if resources is not None and isinstance(content, bytes):
        start = resources.offset + len(resources.node.encoded) - len(content)
    segment, base_bus = objects.of(path, "_SEG"), objects.of(path, "_BBN")
    return _Bridge(
        path,
        device,
        resources if known else None,
        found,
        start,
        0 if segment is None else segment.value,
        0 if base_bus is None else base_bus.value,
    )


def _buses(bridge: _Bridge) -> Iterator[Finding]:
    name = text_of(bridge.path)
    if bridge.resources is None:
        return
    ranges = bridge.bus_ranges()
    if not ranges:
        yield bridge.finding("CRS-NO-BUS-RANGE", None, f"{name}._CRS has no range of buses")
    elif isinstance(bridge.base_bus, int) and ranges[0].first != bridge.base_bus:
        message = f"{name} has _BBN {bridge.base_bus}, and buses from {ranges[0].first} in _CRS"
        yield bridge.finding("HOST-BUS-NUMBER", ranges[0], message)


def _clipped(subject: Subject, bridge: _Bridge) -> Iterator[Finding]:
    """Yield memory windows that the memory map, or a table, has as well."""
    spans = [
        Span(table.gpa, table.gpa + max(len(table.data), 1) - 1, table.name)
        for table in subject.tables
        if table.gpa is not None
    ]
    spans += [
        Span(base, base + size - 1, f"E820 type {int(kind)}")
        for base, size, kind in subject.memory or ()
        if size and kind != E820Type.ACPI
    ]
    taken = Ranges(spans)
    for window in bridge.windows:
        if window.kind != MEMORY or not window.producer:
            continue
        span = taken.overlapping(window.first, window.last)
        if span is not None:
            message = f"window {window.first:#x}-{window.last:#x} has {span}"
            yield bridge.finding("CRS-WINDOW-TAKEN", window, message)


def _windows_overlap(bridges: list[_Bridge]) -> Iterator[Finding]:
    for kind, what in _KINDS.items():
        groups: dict[Any, list[Span]] = {}
        for number, bridge in enumerate(bridges):
            for window in bridge.windows:
                if window.kind == kind and window.producer and window.first <= window.last:
                    group = bridge.segment if kind == BUS else None
                    span = Span(window.first, window.last, str(number), window.offset)
                    groups.setdefault(group, []).append(span)
        for spans in groups.values():
            for one, two in overlaps(spans):
                bridge = bridges[int(two.name)]
                window = bridge.by_offset[two.offset]
                message = (
                    f"{what} {two.first:#x}-{two.last:#x} of {text_of(bridge.path)} overlaps "
                    f"{one.first:#x}-{one.last:#x} of {text_of(bridges[int(one.name)].path)}"
                )
                yield bridge.finding("CRS-WINDOW-OVERLAP", window, message)


# -- ECAM -------------------------------------------------------------------------------------


def _allocations(mcfg: TableBytes) -> list[_Ecam]:
    last = mcfg.size - _ALLOCATION
    return [
        _Ecam(
            mcfg.number(offset, 8),
            mcfg.number(offset + 8, 2),
            mcfg.number(offset + 10, 1),
            mcfg.number(offset + 11, 1),
            offset,
        )
        for offset in range(_FIRST_ALLOCATION, last + 1, _ALLOCATION)
    ]


def _allocation_findings(
    subject: Subject, mcfg: TableBytes, ecams: list[_Ecam]
) -> Iterator[Finding]:
    rest = max(mcfg.size - _FIRST_ALLOCATION, 0)
    if rest % _ALLOCATION or not ecams:
        message = f"{rest} bytes of allocations, no multiple of {_ALLOCATION} above 0"
        yield mcfg.finding("MCFG-LENGTH", 4, message)
    for ecam in ecams:
        if ecam.first_bus > ecam.last_bus:
            yield mcfg.finding("MCFG-BUS-RANGE", ecam.offset + 10, str(ecam))
        elif not ecam.base or ecam.base % _BUS_SIZE:
            yield mcfg.finding("MCFG-ADDRESS", ecam.offset, str(ecam))
        elif ecam.last >= _FOUR_GIB and not subject.smbios:
            yield mcfg.finding("ECAM-ABOVE-4G", ecam.offset, str(ecam))
    by_segment: dict[int, list[Span]] = {}
    for ecam in ecams:
        span = Span(ecam.first_bus, ecam.last_bus, str(ecam), ecam.offset)
        by_segment.setdefault(ecam.segment, []).append(span)
    memory = [Span(ecam.first, ecam.last, str(ecam), ecam.offset) for ecam in ecams]
    seen: set[int] = set()
    for spans in (*by_segment.values(), memory):
        for one, two in overlaps(span for span in spans if span.first <= span.last):
            if two.offset not in seen:
                yield mcfg.finding("MCFG-OVERLAP", two.offset, f"{two.name}, and {one.name}")
            seen.add(two.offset)


def _reservations(subject: Subject, mcfg: TableBytes, ecams: list[_Ecam]) -> Iterator[Finding]:
    """Yield windows that nothing reserves, where that can be said."""
    reserved, known = _motherboard(subject)
    if not known:
        return
    for ecam in ecams:
        if subject.memory and covers(subject.memory, ecam.first, ecam.last, (E820Type.RESERVED,)):
            continue
        size = ecam.last - ecam.first + 1
        if _is_reserved(reserved, ecam.first, size):
            continue
        while size // 2 >= _LEAST_RESERVED:
            size //= 2
            if _is_reserved(reserved, ecam.first, size):
                message = f"{ecam}: only the first {size >> 20} MiB are reserved"
                yield mcfg.finding("ECAM-PARTLY-RESERVED", ecam.offset, message)
                break
        else:
            told = "" if subject.memory is not None else "; the memory map is not known"
            yield mcfg.finding("ECAM-NOT-RESERVED", ecam.offset, f"{ecam}{told}")


def _is_reserved(reserved: Ranges, first: int, size: int) -> bool:
    return reserved.containing(first, first + size - 1) is not None


def _motherboard(subject: Subject) -> tuple[Ranges, bool]:
    """Return the memory that motherboard devices hold, and whether that is all there is."""
    objects = subject.objects
    known = objects.whole and bool(subject.definition_blocks)
    found = []
    for path, _device in objects.devices():
        if not _MOTHERBOARD & objects.ids(path):
            continue
        resources = objects.of(path, "_CRS")
        content = resources.value if resources is not None else b""
        if not isinstance(content, bytes):
            known = False
            continue
        memory = [window for window in windows(content) if window.kind == MEMORY]
        found += [Span(window.first, window.last, text_of(path)) for window in memory]
    return Ranges(found), known


def _against_bridge(mcfg: TableBytes, ecams: list[_Ecam], bridge: _Bridge) -> Iterator[Finding]:
    memory = Ranges(Span(ecam.first, ecam.last, str(ecam)) for ecam in ecams)
    for window in bridge.windows:
        ecam = memory.overlapping(window.first, window.last) if window.kind == MEMORY else None
        if ecam is not None:
            message = f"{ecam.name} is in {window.first:#x}-{window.last:#x} of {bridge.path[-1]}"
            yield bridge.finding("ECAM-IN-HOST-BRIDGE", window, message)
    buses = Ranges(
        Span(ecam.first_bus, ecam.last_bus, str(ecam), ecam.offset)
        for ecam in ecams
        if ecam.segment == bridge.segment
    )
    for window in bridge.bus_ranges():
        ecam = buses.containing(window.first, window.first)
        if ecam is None:
            continue
        reached = ecam
        while reached.last < window.last:
            following = buses.containing(reached.last + 1, reached.last + 1)
            if following is None:
                message = f"{ecam.name}; {text_of(bridge.path)} has buses to {window.last}"
                yield mcfg.finding("MCFG-PART-OF-BRIDGE", ecam.offset, message)
                break
            reached = following
