# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The drawing of a topology.

The left part is the tree, one box a function, further right the more bridges there are above it.
The right part has windows and BARs in order of address, one row a BAR. A window is a bar beside
all rows that begin in it, and windows in windows stand side by side. Rows are not to scale; a gap
between two of them says that there are addresses between that nobody has.

Widths follow from the texts: these are set in a monospaced font, and are cut where they would be
too long.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from math import ceil
from typing import Final, NamedTuple
from unicodedata import east_asian_width
from xml.sax.saxutils import escape, quoteattr

import attrs

from vmmkit.pci._topology import (
    ShownBar,
    ShownBus,
    ShownFunction,
    ShownHost,
    range_text,
    size_text,
)

__all__ = ["MAX_DRAWN", "draw"]

#: Functions that a drawing shows at most; more would help nobody.
MAX_DRAWN: Final = 128

_MARGIN: Final = 24
_TOP: Final = 84
_INDENT: Final = 40
_BOX_WIDTH: Final = 400
_HEAD: Final = 48  # of a box, above its lines
_LINE: Final = 19
_GAP: Final = 12
_BUS_LABEL: Final = 26
_ROW: Final = 42  # in the address part
_ROW_GAP: Final = 9
_PAD: Final = 10
# Widths of a character: DejaVu Sans Mono has 0.602 em; its relatives have less.
_MONO: Final = 7.3  # at 12 px
_SMALL: Final = 6.7  # at 11 px
_LONGEST_NAME: Final = 28

_STYLE: Final = """\
text { font-family: "DejaVu Sans Mono", Consolas, Menlo, monospace; font-size: 12px; fill: #1f2933; }
.title { font-size: 20px; font-weight: 600; }
.heading { font-size: 14px; font-weight: 600; }
.name { font-weight: 600; }
.note { fill: #5f6c7b; }
.small { font-size: 11px; fill: #46525f; }
.bus { stroke: #7b8794; stroke-width: 2; fill: none; }"""  # noqa: E501 - a line of CSS


class _Look(NamedTuple):
    """How something is painted, and what the legend calls it."""

    fill: str
    edge: str
    label: str


_LOOKS: Final = {
    "function": _Look("#f5f7fa", "#7b8794", "function"),
    "bridge": _Look("#e6dcf3", "#6a4fa3", "bridge"),
    "mem": _Look("#d6e6f9", "#2563a8", "memory"),
    "pref": _Look("#d3ecd9", "#2e7d4f", "prefetchable"),
    "io": _Look("#fdf0d0", "#b08a3c", "I/O ports"),
    "blocked": _Look("#fbe0dd", "#b3392f", "blocked"),
}


def _columns(words: str) -> int:
    """Return how many characters wide a text is."""
    return sum(2 if east_asian_width(one) in "WF" else 1 for one in words)


def _cut(words: str, columns: int) -> str:
    """Return a text that is at most so many characters wide."""
    if _columns(words) <= columns:
        return words
    while _columns(words) >= columns:
        words = words[:-1]
    return words + "…"


def draw(shown: ShownHost) -> str:
    """Draw a host bridge and all below, at most `MAX_DRAWN` functions."""
    functions = list(islice(shown.bus.below(), MAX_DRAWN))
    tree = _Tree({id(function) for function in functions})
    tree.add_bus(shown.bus, _MARGIN, _TOP)
    left = tree.right + 2 * _MARGIN
    parts: list[str] = []
    right, bottom = float(left), float(_TOP)
    for title, ports in (("Memory", False), ("I/O ports", True)):
        part = _AddressPart(functions, ports=ports)
        if part.rows:
            parts += part.drawn(title, left, bottom)
            right, bottom = max(right, left + part.width), bottom + part.height + 2 * _MARGIN
    omitted = sum(1 for _ in shown.bus.below()) - len(functions)
    foot = max(tree.bottom, bottom) + _MARGIN
    body = [*tree.drawn, *parts, *_legend(foot)]
    if omitted:
        words = f"and {omitted} more function{'s' if omitted != 1 else ''}"
        body.append(_text(_MARGIN, tree.bottom + 4, words, "note"))
    return _document(shown, max(right + _MARGIN, 860), foot + 30, body)


def _document(shown: ShownHost, width: float, height: float, body: Sequence[str]) -> str:
    width, height = ceil(width), ceil(height)
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    title = _cut(shown.name, 40)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
            f"<title>PCI topology {escape(title)}</title>",
            f"<style>\n{_STYLE}\n</style>",
            _rect((0, 0, width, height), _Look("#ffffff", "none", "")),
            _text(_MARGIN, 36, title, "title"),
            _text(_MARGIN, 56, shown.summary, "note"),
            *body,
            "</svg>\n",
        ]
    )


def _legend(top: float) -> Iterator[str]:
    for column, look in enumerate(_LOOKS.values()):
        left = _MARGIN + 136 * column
        yield _rect((left, top, left + 20, top + 14), look, 'rx="3"')
        yield _text(left + 26, top + 11, look.label, "note")


# -- the tree ------------------------------------------------------------------------------------


class _Tree:
    """The left part, drawn from top to bottom."""

    def __init__(self, wanted: set[int]) -> None:
        """Draw nothing yet; `wanted` has the identities of what may be drawn."""
        self._wanted = wanted
        self.drawn: list[str] = []
        self.right, self.bottom = float(_MARGIN + _BOX_WIDTH), float(_TOP)

    def add_bus(self, bus: ShownBus, left: float, top: float) -> float:
        """Draw a bus and all on it; return where the next thing may begin."""
        label = f"bus {bus.number:02x}" if bus.reachable else "bus not reachable"
        self.drawn.append(_text(left, top + 12, label, "heading"))
        line, y, stop = left + 8, top + _BUS_LABEL, 0.0
        for function in bus.functions:
            if id(function) in self._wanted:
                stop = y + _HEAD / 2
                self.drawn.append(f'<path class="bus" d="M {line} {stop} h {_INDENT - 8}"/>')
                y = self._add_function(function, left + _INDENT, y)
        if stop:
            self.drawn.append(f'<path class="bus" d="M {line} {top + 18} V {stop}"/>')
        self.bottom = max(self.bottom, y)
        return y

    def _add_function(self, function: ShownFunction, left: float, top: float) -> float:
        lines = [*_lines(function)]
        height = _HEAD + _LINE * len(lines) + (6 if lines else -4)
        look = _LOOKS["function" if function.behind is None else "bridge"]
        box = (left, top, left + _BOX_WIDTH, top + height)
        self.right = max(self.right, box[2])
        self.drawn += [
            f"<g data-function={quoteattr(function.address)}>",
            _rect(box, look, 'rx="4"'),
            _text(left + _PAD, top + 19, f"{function.address} {_name(function)}", "name"),
            _text(left + _PAD, top + 37, _cut(_details(function), 52), "note"),
            *_line_marks(lines, left, top + _HEAD),
            "</g>",
        ]
        if function.behind is None:
            return top + height + _GAP
        return self.add_bus(function.behind, left + _INDENT, top + height + _GAP / 2)


def _name(function: ShownFunction) -> str:
    return _cut(function.name, _LONGEST_NAME)


def _details(function: ShownFunction) -> str:
    details = [function.ids, function.power, function.interrupts]
    if function.behind is not None:
        details.append(f"bridge to {function.behind.number:02x}-{function.subordinate:02x}")
    return " · ".join(detail for detail in details if detail)


def _lines(function: ShownFunction) -> Iterator[tuple[_Look, str, str]]:
    """Yield what a box lists: how it looks, what it is, and where."""
    for window in function.windows:
        span = range_text(window.first, window.last, ports=window.space == "io")
        yield _LOOKS[window.space], f"{window.space} window", span
    for bar in function.bars:
        what = f"{_cut(bar.name, 12)} {bar.kind} {size_text(bar.size)}"
        yield _bar_look(bar), what, "off" if bar.base is None else _span(bar)


def _line_marks(lines: Iterable[tuple[_Look, str, str]], left: float, top: float) -> Iterator[str]:
    right = left + _BOX_WIDTH - _PAD
    for number, (look, what, where) in enumerate(lines):
        y = top + _LINE * number
        yield _rect((left + _PAD, y, left + _PAD + 12, y + 12), look, 'rx="2"')
        yield _text(left + _PAD + 20, y + 10, what, "small")
        yield _text(right, y + 10, where, "small", "end")


def _bar_look(bar: ShownBar) -> _Look:
    if bar.base is None:
        return _Look("none", "#9aa5b1", "off")
    if bar.blocker:
        return _LOOKS["blocked"]
    return _LOOKS["io" if bar.kind == "io" else "pref" if "pref" in bar.notes else "mem"]


def _span(bar: ShownBar) -> str:
    assert bar.base is not None
    return range_text(bar.base, bar.base + bar.size - 1, ports=bar.kind == "io")


# -- addresses -----------------------------------------------------------------------------------


@attrs.define(eq=False)
class _Row:
    """A BAR, or the inside of a window that has none."""

    first: int
    last: int
    look: _Look
    title: str
    words: str
    top: float = 0.0


@attrs.define(eq=False)
class _Span:
    """A window, beside the rows from `start` to `end` inclusive."""

    first: int
    last: int
    look: _Look
    title: str
    words: str
    start: int = 0
    end: int = 0


class _AddressPart:
    """Windows and BARs of one space, in order of address."""

    def __init__(self, functions: Sequence[ShownFunction], *, ports: bool) -> None:
        """Find out where all of it goes."""
        spans = [*_spans_of(functions, ports=ports)]
        rows = [*_rows_of(functions, ports=ports)]
        for span in spans:
            if not any(span.first <= row.first <= span.last for row in rows):
                rows.append(_Row(span.first, span.last, _EMPTY, "nothing inside", ""))
        self.rows = sorted(rows, key=lambda row: (row.first, -row.last))
        self.height = self._stack()
        self._columns = _side_by_side(spans, self.rows)
        self._widths = [_width_of(column) for column in self._columns]
        self.width = sum(self._widths) + _width_of(self.rows)

    def _stack(self) -> float:
        top, reached = float(_BUS_LABEL), None
        for row in self.rows:
            if reached is not None and row.first > reached + 1:
                top += _ROW_GAP
            row.top = top
            top += _ROW
            reached = row.last if reached is None else max(reached, row.last)
        return top

    def drawn(self, title: str, left: float, top: float) -> list[str]:
        """Draw it all."""
        body = [_text(left, top + 12, title, "heading")]
        for column, width in zip(self._columns, self._widths, strict=True):
            for span in column:
                ends = self.rows[span.start].top, self.rows[span.end].top + _ROW
                body += _cell(span, (left, top + ends[0], left + width, top + ends[1]))
            left += width
        for row in self.rows:
            box = (left, top + row.top, left + _width_of(self.rows), top + row.top + _ROW)
            body += _cell(row, box)
        return body


_EMPTY: Final = _Look("none", "#9aa5b1", "")


def _spans_of(functions: Iterable[ShownFunction], *, ports: bool) -> Iterator[_Span]:
    for function in functions:
        for window in function.windows:
            if (window.space == "io") is ports:
                words = range_text(window.first, window.last, ports=ports)
                title = f"{function.address} {window.space} window"
                yield _Span(window.first, window.last, _LOOKS[window.space], title, words)


def _rows_of(functions: Iterable[ShownFunction], *, ports: bool) -> Iterator[_Row]:
    for function in functions:
        for bar in function.bars:
            if bar.base is not None and (bar.kind == "io") is ports:
                words = f"{_span(bar)} {size_text(bar.size)}"
                if bar.blocker:
                    words += " " + _cut(bar.state, _LONGEST_NAME)
                title = f"{function.address} {_name(function)} {_cut(bar.name, 12)}"
                yield _Row(bar.base, bar.base + bar.size - 1, _bar_look(bar), title, words)


def _side_by_side(spans: Iterable[_Span], rows: Sequence[_Row]) -> list[list[_Span]]:
    """Put windows into columns, the outer ones first, so that no two share a place."""
    for span in spans:
        beside = [at for at, row in enumerate(rows) if span.first <= row.first <= span.last]
        span.start, span.end = beside[0], beside[-1]
    columns: list[list[_Span]] = []
    for span in sorted(spans, key=lambda span: (span.first - span.last, span.first)):
        for column in columns:
            if all(span.start > other.end or span.end < other.start for other in column):
                column.append(span)
                break
        else:
            columns.append([span])
    return columns


def _width_of(cells: Iterable[_Row | _Span]) -> float:
    texts = (max(_columns(c.title) * _MONO, _columns(c.words) * _SMALL) for c in cells)
    return max(texts, default=0) + 2 * _PAD


def _cell(shown: _Row | _Span, box: tuple[float, float, float, float]) -> Iterator[str]:
    """Paint a row or window: what it is, and where."""
    left, top, right, bottom = box
    middle = (top + bottom) / 2
    dashes = "" if shown.look.label else 'stroke-dasharray="4 3"'
    yield f"<g data-range={quoteattr(shown.title)}>"
    yield _rect((left + 2, top + 1, right - 2, bottom - 1), shown.look, f'rx="3" {dashes}')
    yield _text(left + _PAD, middle - 2, shown.title, "name" if shown.words else "note")
    yield _text(left + _PAD, middle + 13, shown.words, "small")
    yield "</g>"


def _rect(box: tuple[float, float, float, float], look: _Look, more: str = "") -> str:
    left, top, right, bottom = box
    size = f'width="{right - left:.1f}" height="{bottom - top:.1f}"'
    paint = f'fill="{look.fill}" stroke="{look.edge}"'
    return f'<rect x="{left:.1f}" y="{top:.1f}" {size} {paint} {more}/>'


def _text(x: float, y: float, words: str, style: str, anchor: str = "start") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}"'
    return f'<text {place} class="{style}" text-anchor="{anchor}">{escape(words)}</text>'
