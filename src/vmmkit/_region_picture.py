# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Pictures of an address map: a text tree and an SVG drawing.

Both show addresses ascending downwards, and fallbacks behind the regions they surround. The
drawing cannot be to scale, since a space of 64 bits holds regions of 8 bytes and of terabytes.
Its axis is broken: every border between ranges is a step, the height of a region grows with the
logarithm of its size, and a stretch without regions is one row of fixed height that says how
much was left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol
from xml.sax.saxutils import escape, quoteattr

from vmmkit._region import IMMUTABLE, READ, WRITE, Kind, Region

__all__ = ["MAX_DRAWN", "draw_svg", "draw_tree"]

#: Regions an SVG drawing shows at most; a picture of more would help nobody.
MAX_DRAWN = 256


class Drawable(Protocol):
    """A map, as its pictures see it."""

    name: str
    address_bits: int

    def __iter__(self) -> Iterator[Region]:
        """Yield the regions in address order."""
        ...

    @property
    def fallbacks(self) -> tuple[Region, ...]:
        """Ranges that answer where no region does, in address order."""
        ...

    @property
    def disabled(self) -> tuple[Region, ...]:
        """Regions and fallbacks that are held but do not answer."""
        ...


_LONGEST_NAME = 26

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def size_text(size: int) -> str:
    """Write a number of bytes in the largest unit that divides it, or to one decimal."""
    unit = min((size.bit_length() - 1) // 10, len(_UNITS) - 1)
    scaled = size / (1 << 10 * unit)
    return (
        f"{scaled:.0f} {_UNITS[unit]}" if scaled == int(scaled) else f"{scaled:.1f} {_UNITS[unit]}"
    )


def address_text(address: int, bits: int) -> str:
    """Write an address in hexadecimal, as wide as the space asks, in groups of four digits."""
    digits = (bits + 3) // 4
    return f"{address:0{digits + (digits - 1) // 4}_x}"


def named(region: Region) -> str:
    """Return a name that fits the drawing."""
    name = region.name or "(unnamed)"
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def flags_text(region: Region) -> str:
    """Write flags as `rwi`, a dash for each that is missing."""
    letters = ((READ, "r"), (WRITE, "w"), (IMMUTABLE, "i"))
    return "".join(letter if region.flags & flag else "-" for flag, letter in letters)


def summary(shown: Drawable) -> str:
    """Say what a map holds in one line."""
    counts = {
        "region": sum(1 for _ in shown),
        "fallback": len(shown.fallbacks),
        "disabled": len(shown.disabled),
    }
    parts = [
        f"{count} {what}{'s' if count != 1 and what != 'disabled' else ''}"
        for what, count in counts.items()
        if count or what == "region"
    ]
    return f"{shown.name}: {shown.address_bits}-bit address space, {', '.join(parts)}"


# -- text ---------------------------------------------------------------------------------------


def draw_tree(shown: Drawable) -> str:
    """Draw one line per range; a region wholly inside a fallback stands below it, indented."""
    fallbacks = shown.fallbacks
    bits = shown.address_bits
    enabled = [
        _line(region, bits, depth=2 if _is_inside(region, fallbacks) else 1)
        for region in sorted([*shown, *fallbacks], key=_outer_first)
    ]
    disabled = [f"{_line(region, bits, depth=1)} (disabled)" for region in shown.disabled]
    return "\n".join([summary(shown), *enabled, *disabled])


def _is_inside(region: Region, fallbacks: Iterable[Region]) -> bool:
    return any(
        outer is not region and outer.base <= region.base and region.last <= outer.last
        for outer in fallbacks
    )


def _outer_first(region: Region) -> tuple[int, int, bool]:
    return region.base, -region.last, region.kind != "fallback"


def _line(region: Region, bits: int, depth: int) -> str:
    first, last = address_text(region.base, bits), address_text(region.last, bits)
    place = f"{'  ' * depth}{first}-{last}"
    details = f"{size_text(region.size):>10}  {flags_text(region)}  {region.kind:8}"
    return f"{place:{2 * len(first) + 5}}{details}  {region.name or '(unnamed)'}"


# -- SVG ----------------------------------------------------------------------------------------


class Look(NamedTuple):
    """How ranges of one kind are painted, and what the legend calls them."""

    fill: str
    edge: str
    label: str


LOOKS: dict[Kind, Look] = {
    "ram": Look("#d3ecd9", "#2e7d4f", "RAM"),
    "rom": Look("#e6dcf3", "#6a4fa3", "ROM"),
    "device": Look("#d6e6f9", "#2563a8", "device"),
    "fallback": Look("url(#hatch)", "#b08a3c", "fallback"),
}

_WIDTH = 760
_TOP = 78  # below the title
_BOX_LEFT, _BOX_RIGHT = 210, 610  # regions
_BACK_LEFT, _BACK_RIGHT = 196, 740  # fallbacks, behind them
_HOLE_HEIGHT = 38

_STYLE = """\
text { font-family: "DejaVu Sans", "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2933; }
.title { font-size: 20px; font-weight: 600; }
.note { font-size: 12px; fill: #5f6c7b; }
.name { font-size: 14px; font-weight: 600; }
.side { font-size: 12px; font-weight: 600; }
.mono { font-family: "DejaVu Sans Mono", Consolas, Menlo, monospace; font-size: 12px; }
.hole { font-size: 12px; fill: #7b8794; font-style: italic; }"""

_HATCH = (
    '<pattern id="hatch" width="9" height="9" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><rect width="9" height="9" fill="#fdf6e3"/>'
    '<rect width="2" height="9" fill="#f0e0b6"/></pattern>'
)


_WAVE = " q 5 -4 10 0 q 5 4 10 0" * 20


class Row(NamedTuple):
    """A stretch between two borders, with its place on the drawing."""

    first: int
    stop: int
    top: float
    bottom: float
    owner: Region | None


def draw_svg(shown: Drawable) -> str:
    """Draw a map, at most its first `MAX_DRAWN` regions; see the module's text."""
    regions, fallbacks = list(shown), list(shown.fallbacks)
    omitted = len(regions) - MAX_DRAWN
    regions = regions[:MAX_DRAWN]
    stop = regions[-1].last + 1 if omitted > 0 else 1 << shown.address_bits
    rows = _rows(regions, fallbacks, stop)
    heights = {row.first: row.top for row in rows} | {row.stop: row.bottom for row in rows}
    bits = shown.address_bits
    body = [
        *(_backdrop(fallback, heights, stop) for fallback in fallbacks if fallback.base < stop),
        *(_hole(row, fallbacks) for row in rows if row.owner is None),
        *(_box(region, heights, bits) for region in regions),
    ]
    bottom = rows[-1].bottom + 20
    if omitted > 0:
        body.append(
            _text(_BOX_LEFT, bottom, f"and {omitted} more regions at higher addresses", "hole")
        )
    feet, height = _feet(shown.disabled, bottom + 26, bits)
    return _document(shown, height, [*body, *feet])


def _document(shown: Drawable, height: float, body: Sequence[str]) -> str:
    title, _, note = summary(shown).partition(": ")
    size = f'width="{_WIDTH}" height="{height:.0f}" viewBox="0 0 {_WIDTH} {height:.0f}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
            f"<title>Address map {escape(shown.name)}</title>",
            f"<style>\n{_STYLE}\n</style>",
            f"<defs>{_HATCH}</defs>",
            _rect((0, 0, _WIDTH, height), "#ffffff", "none", ""),
            _text(24, 36, title, "title"),
            _text(24, 56, note, "note"),
            *body,
            "</svg>\n",
        ]
    )


def _rows(regions: Sequence[Region], fallbacks: Iterable[Region], stop: int) -> list[Row]:
    """Cut the space at every border and stack the stretches."""
    ranges = [*regions, *fallbacks]
    borders = {0, stop, *(r.base for r in ranges), *(r.last + 1 for r in ranges)}
    starts = {region.base: region for region in regions}
    rows: list[Row] = []
    top, owner = float(_TOP), None
    for first, following in pairwise(sorted(border for border in borders if border <= stop)):
        owner = starts.get(first, owner)
        if owner is not None and owner.last < first:
            owner = None
        height = _HOLE_HEIGHT if owner is None else _box_height(following - first)
        rows.append(Row(first, following, top, top + height, owner))
        top += height
    return rows


def _box_height(size: int) -> float:
    """Grow with the logarithm of the size, from a legible minimum to no more than a page."""
    return min(44 + 1.4 * size.bit_length(), 110)


def _backdrop(fallback: Region, heights: dict[int, float], stop: int) -> str:
    """Paint a fallback behind everything, with its label at the right."""
    look = LOOKS["fallback"]
    top, bottom = heights[fallback.base], heights[min(fallback.last + 1, stop)]
    x, y = (_BOX_RIGHT + _BACK_RIGHT) / 2, (top + bottom) / 2
    box = (_BACK_LEFT, top, _BACK_RIGHT, bottom)
    return "\n".join(
        [
            _rect(box, look.fill, look.edge, 'stroke-dasharray="5 3"'),
            _text(x, y - 2, named(fallback), "side", "middle"),
            _text(x, y + 14, size_text(fallback.size), "note", "middle"),
        ]
    )


def _hole(row: Row, fallbacks: Iterable[Region]) -> str:
    """Write how much is left out and who answers there, between two lines that break the axis."""
    behind = next((f for f in fallbacks if f.base <= row.first <= f.last), None)
    answer = "without regions" if behind is None else f"answered by {named(behind)}"
    middle = (row.top + row.bottom) / 2
    words = f"{size_text(row.stop - row.first)} {answer}"
    waves = [
        f'<path d="M {_BOX_LEFT} {y:.1f}{_WAVE}" fill="none" stroke="#b6c0cb"/>'
        for y in (row.top + 8, row.bottom - 8)
    ]
    return "\n".join(
        [*waves, _text((_BOX_LEFT + _BOX_RIGHT) / 2, middle + 4, words, "hole", "middle")]
    )


def _box(region: Region, heights: dict[int, float], bits: int) -> str:
    """Paint a region: its name, size, kind and flags inside, its two addresses at the left."""
    look = LOOKS[region.kind]
    top, bottom = heights[region.base], heights[region.last + 1]
    middle = (top + bottom) / 2
    note = f"{look.label} · {flags_text(region)} · {size_text(region.size)}"
    return "\n".join(
        [
            f"<g data-region={quoteattr(region.name)}>",
            _rect((_BOX_LEFT, top + 1, _BOX_RIGHT, bottom - 1), look.fill, look.edge, 'rx="4"'),
            _rect((_BOX_LEFT, top + 1, _BOX_LEFT + 7, bottom - 1), look.edge, "none", 'rx="3"'),
            _text(_BOX_LEFT + 20, middle + 5, named(region), "name"),
            _text(_BOX_RIGHT - 12, middle + 5, note, "note", "end"),
            _text(_BACK_LEFT - 10, top + 14, address_text(region.base, bits), "mono", "end"),
            _text(_BACK_LEFT - 10, bottom - 5, address_text(region.last, bits), "mono", "end"),
            "</g>",
        ]
    )


def _feet(disabled: Sequence[Region], top: float, bits: int) -> tuple[list[str], float]:
    """Draw the list of disabled regions and the legend; return them and the page's height."""
    drawn = []
    for region in disabled:
        place = f"{address_text(region.base, bits)}-{address_text(region.last, bits)}"
        drawn.append(_text(_BACK_LEFT, top, f"disabled  {place}  {named(region)}", "mono"))
        top += 20
    top += 10
    for column, look in enumerate(LOOKS.values()):
        left = _BACK_LEFT + 130 * column
        drawn.append(_rect((left, top - 11, left + 22, top + 3), look.fill, look.edge, 'rx="3"'))
        drawn.append(_text(left + 30, top, look.label, "note"))
    return drawn, top + 20


def _rect(box: tuple[float, float, float, float], fill: str, edge: str, more: str) -> str:
    left, top, right, bottom = box
    size = f'width="{right - left:.1f}" height="{bottom - top:.1f}"'
    return f'<rect x="{left:.1f}" y="{top:.1f}" {size} fill="{fill}" stroke="{edge}" {more}/>'


def _text(x: float, y: float, words: str, style: str, anchor: str = "start") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}"'
    return f'<text {place} class="{style}" text-anchor="{anchor}">{escape(words)}</text>'
