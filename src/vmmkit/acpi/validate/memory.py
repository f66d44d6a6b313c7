# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Where tables lie, and what the memory map says about it.

ACPI Specification, System Address Map Interfaces.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from vmmkit.acpi.placement import BIOS_FIRST, BIOS_LAST, E820Entry, E820Type
from vmmkit.acpi.validate.finding import Finding
from vmmkit.acpi.validate.subject import Subject, finding

__all__ = ["Ranges", "Span", "check", "covers", "overlaps"]


class Span(NamedTuple):
    """A range of addresses and what it is."""

    first: int
    last: int
    name: str
    offset: int = 0

    def __str__(self) -> str:
        """Return name and range."""
        return f"{self.name} at {self.first:#x}-{self.last:#x}"


class Ranges:
    """Ranges that can be searched, however many there are.

    Args:
        spans: in any order; they may overlap.
    """

    def __init__(self, spans: Iterable[Span]) -> None:
        """Sort them, and note which of those up to each reaches furthest."""
        self._firsts: list[int] = []
        self._furthest: list[Span] = []
        furthest: Span | None = None
        for span in sorted(spans):
            if furthest is None or span.last > furthest.last:
                furthest = span
            self._firsts.append(span.first)
            self._furthest.append(furthest)

    def overlapping(self, first: int, last: int) -> Span | None:
        """Return one that shares an address with a range, if there is one."""
        return self._reaching(last, first)

    def containing(self, first: int, last: int) -> Span | None:
        """Return one that has all of a range, if there is one."""
        return self._reaching(first, last)

    def _reaching(self, start: int, last: int) -> Span | None:
        """Return one that begins at `start` or before and reaches `last`."""
        at = bisect.bisect_right(self._firsts, start) - 1
        return self._furthest[at] if at >= 0 and self._furthest[at].last >= last else None


def overlaps(spans: Iterable[Span]) -> Iterator[tuple[Span, Span]]:
    """Yield pairs of ranges that overlap: each range with the one before it that reaches furthest.

    Those are not all pairs, but all ranges that overlap one before them are in a pair.
    """
    furthest: Span | None = None
    for span in sorted(spans):
        if furthest is not None and span.first <= furthest.last:
            yield furthest, span
        if furthest is None or span.last > furthest.last:
            furthest = span


def covers(entries: Iterable[E820Entry], first: int, last: int, kinds: Iterable[int]) -> bool:
    """Return whether ranges of these kinds have all of a range between them."""
    wanted = set(kinds)
    for base, size, kind in sorted(entries):
        if kind in wanted and base <= first < base + size:
            first = base + size
            if first > last:
                return True
    return False


def check(subject: Subject) -> Iterator[Finding]:
    """Yield what is wrong with places and memory map."""
    spans = [
        Span(table.gpa, table.gpa + max(len(table.data), 1) - 1, table.name)
        for table in subject.tables
        if table.gpa is not None
    ]
    other = [Span(gpa, gpa + size - 1, name) for name, gpa, size in subject.other if size]
    for one, two in overlaps([*spans, *other]):
        message = f"{two} overlaps {one}"
        yield finding("MEMORY-OVERLAP", two.name, 0, message)
    if subject.memory is not None:
        yield from _memory_map(subject.memory)
        yield from _told(spans, subject.memory)


def _memory_map(entries: tuple[E820Entry, ...]) -> Iterator[Finding]:
    ranges = [
        Span(base, base + size - 1, f"type {int(kind)}") for base, size, kind in entries if size
    ]
    for one, two in overlaps(ranges):
        if one.name != two.name:
            yield finding("E820-CONTRADICTION", "E820", 0, f"{two} overlaps {one}")


def _told(spans: Iterable[Span], entries: tuple[E820Entry, ...]) -> Iterator[Finding]:
    """Yield tables in memory that the guest may take for RAM of its own."""
    kinds = (E820Type.RESERVED, E820Type.ACPI, E820Type.NVS)
    for span in spans:
        in_firmware = span.first >= BIOS_FIRST and span.last <= BIOS_LAST
        if not in_firmware and not covers(entries, span.first, span.last, kinds):
            message = f"{span.first:#x}-{span.last:#x} is not all reserved, ACPI or NVS memory"
            yield finding("MEMORY-NOT-RESERVED", span.name, 0, message)
