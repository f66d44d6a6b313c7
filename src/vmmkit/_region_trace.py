# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Instruments: watching what goes through one port.

A port with instruments is the same port with its two functions wrapped; a port without them
has none of this code on its way. An instrument is any callable: it is called with an
`AccessRecord` after each access, failed ones included. One that has a method `before` besides
is called there first, with (vCPU, is_write, address, size, value), and may stop the access by
raising. Whatever an instrument raises goes to whoever made the access.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter_ns
from typing import Any, NamedTuple, Protocol

__all__ = [
    "AccessRecord",
    "BreakOn",
    "Counters",
    "Instrument",
    "Instrumentable",
    "TraceRing",
    "instrument",
]


class AccessRecord(NamedTuple):
    """One access that went through an instrumented port.

    Attributes:
        vcpu: the port's vCPU object.
        is_write: the direction.
        address: first byte.
        size: bytes.
        value: what was written or read; `None` where a read failed.
        region: name of the region at `address` when the access began; `None` for a fallback or
            nobody.
        start: when it began, in nanoseconds of `time.perf_counter_ns`.
        duration: how long it took, in nanoseconds.
        error: what it raised, or `None`.
    """

    vcpu: Any
    is_write: bool
    address: int
    size: int
    value: int | None
    region: str | None
    start: int
    duration: int
    error: BaseException | None

    def __str__(self) -> str:
        """Format as one line of a log."""
        way = "write" if self.is_write else "read "
        value = "-" if self.value is None else _hexadecimal(self.value)
        failure = "" if self.error is None else f" {type(self.error).__name__}"
        place = self.region or "-"
        return f"{way} {self.size} @ {_hexadecimal(self.address)} {place} = {value}{failure}"


class Instrument(Protocol):
    """What watches a port; may have `before(vcpu, is_write, address, size, value)` as well."""

    def __call__(self, record: AccessRecord, /) -> object:
        """Take the record of an access that is over."""
        ...


class Named(Protocol):
    """A region, as far as records need it."""

    name: str


class Instrumentable(Protocol):
    """A port, as far as it is wrapped."""

    vcpu: object
    read: Callable[[int, int], int]
    write: Callable[[int, int, int], None]


#: Finds the region at an address.
Finder = Callable[[int], Named | None]


def instrument(port: Instrumentable, find: Finder, instruments: Sequence[Instrument]) -> None:
    """Replace the functions of `port` by watched ones."""
    plain_read, plain_write = port.read, port.write
    watch = _watcher(port.vcpu, find, instruments)

    def read(address: int, size: int, /) -> int:
        return watch(False, address, size, None, lambda: plain_read(address, size))  # type: ignore[return-value]

    def write(address: int, size: int, value: int, /) -> None:
        watch(True, address, size, value, lambda: plain_write(address, size, value))

    port.read, port.write = read, write


def _watcher(
    vcpu: object, find: Finder, instruments: Sequence[Instrument]
) -> Callable[[bool, int, int, int | None, Callable[[], int | None]], int | None]:
    """Make the function that performs one access between `before` and the records."""
    before = [watching.before for watching in instruments if hasattr(watching, "before")]

    def watch(
        is_write: bool, address: int, size: int, value: int | None, access: Callable[[], int | None]
    ) -> int | None:
        for look in before:
            look(vcpu, is_write, address, size, value)
        region = find(address) if isinstance(address, int) else None
        name = None if region is None else region.name
        error: BaseException | None = None
        start = perf_counter_ns()
        try:
            result = access()
        except BaseException as raised:
            error, result = raised, None
            raise
        finally:
            duration = perf_counter_ns() - start
            shown = value if is_write else result
            record = AccessRecord(
                vcpu, is_write, address, size, shown, name, start, duration, error
            )
            for watching in instruments:
                watching(record)
        return result

    return watch


class TraceRing:
    """The last accesses, of one port or of several, in the order they ended.

    Args:
        capacity: how many records are kept; older ones are dropped.

    Attributes:
        dropped: how many were.
    """

    __slots__ = ("_records", "dropped")

    def __init__(self, capacity: int = 65536) -> None:
        """Start empty."""
        self._records: deque[AccessRecord] = deque(maxlen=capacity)
        self.dropped = 0

    def __call__(self, record: AccessRecord, /) -> None:
        """Keep a record."""
        if len(self._records) == self._records.maxlen:
            self.dropped += 1
        self._records.append(record)

    def __iter__(self) -> Iterator[AccessRecord]:
        """Yield the records, oldest first."""
        return iter(tuple(self._records))

    def __len__(self) -> int:
        """Count the records kept."""
        return len(self._records)

    def to_chrome_json(self, *, name: Callable[[Any], str] = "vCPU {}".format) -> str:
        """Export as trace JSON, which Perfetto and Chrome's tracing page open.

        Each vCPU is a thread, each access a complete event ("ph": "X") with times in
        microseconds.

        Args:
            name: called with a vCPU, as the port got it; returns what its thread is called.

        Source: "Trace Event Format", sections "JSON Object Format" and "Complete
        Events".
        """
        tracks: dict[int, int] = {}
        events: list[dict[str, Any]] = []
        for record in self:
            if id(record.vcpu) not in tracks:
                tracks[id(record.vcpu)] = len(tracks)
                events.append(_track_name(tracks[id(record.vcpu)], name(record.vcpu)))
            events.append(_event(record, tracks[id(record.vcpu)]))
        return json.dumps({"traceEvents": events, "displayTimeUnit": "ns"})


def _track_name(track: int, name: str) -> dict[str, Any]:
    """Name a thread by a metadata event."""
    return {"name": "thread_name", "ph": "M", "pid": 0, "tid": track, "args": {"name": name}}


def _hexadecimal(number: object) -> str:
    """Write a number; what is none, an access that was refused for it, as Python shows it."""
    return f"{number:#x}" if isinstance(number, int) else repr(number)


def _event(record: AccessRecord, track: int) -> dict[str, Any]:
    """Make the event of one access."""
    way = "write" if record.is_write else "read"
    details = {
        "address": _hexadecimal(record.address),
        "size": record.size if isinstance(record.size, int) else repr(record.size),
        "value": None if record.value is None else _hexadecimal(record.value),
        "error": None if record.error is None else str(record.error),
    }
    return {
        "name": f"{way} {record.region or 'unclaimed'}",
        "cat": way,
        "ph": "X",
        "ts": record.start / 1000,
        "dur": record.duration / 1000,
        "pid": 0,
        "tid": track,
        "args": {key: value for key, value in details.items() if value is not None},
    }


class Tally(NamedTuple):
    """What went through to one region."""

    reads: int
    writes: int
    bytes_read: int
    bytes_written: int
    errors: int


class Counters:
    """Counts accesses by region name; `None` counts what no region answered."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        """Start at zero."""
        self._counts: Counter[tuple[str | None, str]] = Counter()

    def __call__(self, record: AccessRecord, /) -> None:
        """Count one access; a failed one counts as an error only."""
        if record.error is not None:
            self._counts[record.region, "errors"] += 1
            return
        way = "written" if record.is_write else "read"
        self._counts[record.region, "writes" if record.is_write else "reads"] += 1
        self._counts[record.region, f"bytes_{way}"] += record.size

    def __getitem__(self, region: str | None) -> Tally:
        """Return what was counted for the region of this name."""
        return Tally(*(self._counts[region, field] for field in Tally._fields))

    def __iter__(self) -> Iterator[str | None]:
        """Yield the names counted, in the order they were first seen."""
        return iter(dict.fromkeys(region for region, _ in tuple(self._counts)))


class BreakOn:
    """Calls a function before any access that touches an address range.

    Args:
        first: first address watched.
        last: last address watched, inclusive; `first` alone where left out.
        action: called with (vCPU, is_write, address, size, value); by default Python's
            `breakpoint`. The access goes on when it returns, and does not happen if it raises.
        reads: whether reads count.
        writes: whether writes count.

    Attributes:
        hits: how often it was called.
    """

    __slots__ = ("_action", "_reads", "_writes", "first", "hits", "last")

    def __init__(
        self,
        first: int,
        last: int | None = None,
        *,
        action: Callable[[Any, bool, int, int, int | None], object] | None = None,
        reads: bool = True,
        writes: bool = True,
    ) -> None:
        """Watch from `first` to `last`."""
        self.first = first
        self.last = first if last is None else last
        self.hits = 0
        self._action = action
        self._reads, self._writes = reads, writes

    def before(
        self, vcpu: Any, is_write: bool, address: int, size: int, value: int | None, /
    ) -> None:
        """Compare an access that is about to happen."""
        wanted = self._writes if is_write else self._reads
        if not wanted or address > self.last or address + size <= self.first:
            return
        self.hits += 1
        if self._action is None:
            breakpoint()  # noqa: T100 - what this class is for
        else:
            self._action(vcpu, is_write, address, size, value)

    def __call__(self, record: AccessRecord, /) -> None:
        """Let accesses that are over pass."""
