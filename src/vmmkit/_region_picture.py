# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Pictures of an address map: a text tree and an SVG drawing.

Both show addresses ascending downwards, and fallbacks behind the regions they surround. The
drawing cannot be to scale, since a space of 64 bits holds regions of 8 bytes and of terabytes.
Its axis is broken: every border between ranges is a step, the height of a region grows with the
logarithm of its size, and a stretch without regions is one row of fixed height that says how
much was left out.

Other threads may change the map meanwhile. So a picture begins with a snapshot, taken under one
hold of the lookup lock, and is drawn from that alone: it shows one commit, never a mixture. Only
what a commit changes is read under the lock; writing the words takes much longer.

Regions, fallbacks and disabled ones may be many thousands. The tree has a line for each, found in
one sweep in address order. The drawing ends where there would be more than `MAX_DRAWN` regions or
fallbacks, lists as many disabled ones, and counts the rest. Names are anybody's text: whatever is
not printable, which is all that XML does not allow and all that a terminal obeys, is shown as the
escape that `repr` has for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol
from xml.sax.saxutils import escape, quoteattr

from vmmkit._region import IMMUTABLE, READ, WRITE, Kind, Region, RegionFlags
from vmmkit._region_commit import Ledger

__all__ = ["MAX_DRAWN", "draw_svg", "draw_tree"]

#: Regions, fallbacks and disabled ones, each, that an SVG drawing shows at most; a picture of more
#: would help nobody.
MAX_DRAWN = 256


class Drawable(Protocol):
    """A map, as its pictures see it."""

    name: str
    address_bits: int
    _ledger: Ledger


class Range(NamedTuple):
    """A region or fallback as it was when the snapshot was taken, in words fit to be shown."""

    base: int
    size: int
    kind: Kind
    flags: str
    name: str

    @property
    def last(self) -> int:
        """Last address, inclusive."""
        return self.base + self.size - 1


class Snapshot(NamedTuple):
    """What a map held after one commit, every list in address order."""

    name: str
    bits: int
    regions: list[Range]
    fallbacks: list[Range]
    disabled: list[Range]


def snapshot(shown: Drawable) -> Snapshot:
    """Note what the map holds now."""
    ledger = shown._ledger
    with ledger.lookup:
        regions, fallbacks, disabled = (
            [(region._base, region) for region in held]
            for held in (ledger.regions, ledger.fallbacks, ledger.disabled)
        )
    disabled.sort(key=lambda placed: placed[0])
    return Snapshot(
        visible(shown.name),
        shown.address_bits,
        _ranges(regions),
        _ranges(fallbacks),
        _ranges(disabled),
    )


def _ranges(placed: Iterable[tuple[int, Region]]) -> list[Range]:
    return [
        Range(base, region._size, region.kind, flags_text(region.flags), visible(region.name))
        for base, region in placed
    ]


def visible(name: str) -> str:
    """Write what is not printable as `repr` does, so it is legal in XML and moves no cursor."""
    if name.isprintable():
        return name
    return "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in name
    )


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


def named(shown: Range) -> str:
    """Return a name that fits the drawing."""
    name = shown.name or "(unnamed)"
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def flags_text(flags: RegionFlags) -> str:
    """Write flags as `rwi`, a dash for each that is missing."""
    letters = ((READ, "r"), (WRITE, "w"), (IMMUTABLE, "i"))
    return "".join(letter if flags & flag else "-" for flag, letter in letters)


def count_text(count: int, what: str) -> str:
    """Write a count of regions, fallbacks or disabled ones."""
    return f"{count} {what}{'s' if count != 1 and not what.endswith('disabled') else ''}"


def summary(shown: Snapshot) -> str:
    """Say how wide a map is and what it holds."""
    counts = {
        "region": len(shown.regions),
        "fallback": len(shown.fallbacks),
        "disabled": len(shown.disabled),
    }
    parts = [count_text(count, what) for what, count in counts.items() if count or what == "region"]
    return f"{shown.bits}-bit address space, {', '.join(parts)}"


# -- text ---------------------------------------------------------------------------------------


def draw_tree(pictured: Drawable) -> str:
    """Draw one line per range; a region wholly inside a fallback stands below it, indented."""
    shown = snapshot(pictured)
    lines = [f"{shown.name}: {summary(shown)}"]
    outer_last = -1  # of the latest fallback; fallbacks never overlap each other
    for drawn in sorted([*shown.regions, *shown.fallbacks], key=_outer_first):
        if drawn.kind == "fallback":
            outer_last = drawn.last
        inside = drawn.kind != "fallback" and drawn.last <= outer_last
        lines.append(_line(drawn, shown.bits, depth=2 if inside else 1))
    lines += [f"{_line(drawn, shown.bits, depth=1)} (disabled)" for drawn in shown.disabled]
    return "\n".join(lines)


def _outer_first(drawn: Range) -> tuple[int, int, bool]:
    return drawn.base, -drawn.last, drawn.kind != "fallback"


def _line(drawn: Range, bits: int, depth: int) -> str:
    first, last = address_text(drawn.base, bits), address_text(drawn.last, bits)
    place = f"{'  ' * depth}{first}-{last}"
    details = f"{size_text(drawn.size):>10}  {drawn.flags}  {drawn.kind:8}"
    return f"{place:{2 * len(first) + 5}}{details}  {drawn.name or '(unnamed)'}"


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
    """A stretch between two borders, with its place on the drawing and who is there."""

    first: int
    stop: int
    top: float
    bottom: float
    owner: Range | None
    behind: Range | None


def draw_svg(pictured: Drawable) -> str:
    """Draw a map, at most its first `MAX_DRAWN` regions and fallbacks; see the module's text."""
    shown = snapshot(pictured)
    limit = 1 << shown.bits
    stop = min(_drawn_stop(shown.regions, limit), _drawn_stop(shown.fallbacks, limit))
    regions = [region for region in shown.regions if region.base < stop]
    fallbacks = [fallback for fallback in shown.fallbacks if fallback.base < stop]
    rows = _rows(regions, fallbacks, stop)
    heights = {row.first: row.top for row in rows} | {row.stop: row.bottom for row in rows}
    body = [
        *(_backdrop(fallback, heights, stop) for fallback in fallbacks),
        *(_hole(row) for row in rows if row.owner is None),
        *(_box(region, heights, stop, shown.bits) for region in regions),
    ]
    omitted = {
        "more region": len(shown.regions) - len(regions),
        "more fallback": len(shown.fallbacks) - len(fallbacks),
    }
    more, bottom = _omissions(omitted, rows[-1].bottom + 20)
    feet, height = _feet(shown.disabled, bottom + 26, shown.bits)
    return _document(shown, height, [*body, *more, *feet])


def _drawn_stop(ranges: Sequence[Range], limit: int) -> int:
    """Return the address before which no more than `MAX_DRAWN` of these ranges begin."""
    return ranges[MAX_DRAWN - 1].last + 1 if len(ranges) > MAX_DRAWN else limit


def _omissions(omitted: dict[str, int], top: float) -> tuple[list[str], float]:
    """Say what the drawing leaves out; return the lines and the place of the last one."""
    lines = [
        f"and {count_text(count, what)} at higher addresses"
        for what, count in omitted.items()
        if count
    ]
    drawn = [_text(_BOX_LEFT, top + 18 * n, line, "hole") for n, line in enumerate(lines)]
    return drawn, top + 18 * max(len(lines) - 1, 0)


def _document(shown: Snapshot, height: float, body: Sequence[str]) -> str:
    size = f'width="{_WIDTH}" height="{height:.0f}" viewBox="0 0 {_WIDTH} {height:.0f}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
            f"<title>Address map {escape(shown.name)}</title>",
            f"<style>\n{_STYLE}\n</style>",
            f"<defs>{_HATCH}</defs>",
            _rect((0, 0, _WIDTH, height), "#ffffff", "none", ""),
            _text(24, 36, shown.name, "title"),
            _text(24, 56, summary(shown), "note"),
            *body,
            "</svg>\n",
        ]
    )


def _rows(regions: Sequence[Range], fallbacks: Sequence[Range], stop: int) -> list[Row]:
    """Cut the space at every border and stack the stretches."""
    ranges = [*regions, *fallbacks]
    borders = {0, stop, *(r.base for r in ranges), *(r.last + 1 for r in ranges)}
    regions_at = {region.base: region for region in regions}
    fallbacks_at = {fallback.base: fallback for fallback in fallbacks}
    rows: list[Row] = []
    top, owner, behind = float(_TOP), None, None
    for first, following in pairwise(sorted(border for border in borders if border <= stop)):
        owner = _reaching(first, regions_at.get(first, owner))
        behind = _reaching(first, fallbacks_at.get(first, behind))
        height = _HOLE_HEIGHT if owner is None else _box_height(following - first)
        rows.append(Row(first, following, top, top + height, owner, behind))
        top += height
    return rows


def _reaching(address: int, latest: Range | None) -> Range | None:
    """Return the range that began last before an address if it has not ended there."""
    return latest if latest is not None and address <= latest.last else None


def _box_height(size: int) -> float:
    """Grow with the logarithm of the size, from a legible minimum to no more than a page."""
    return min(44 + 1.4 * size.bit_length(), 110)


def _backdrop(fallback: Range, heights: dict[int, float], stop: int) -> str:
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


def _hole(row: Row) -> str:
    """Write how much is left out and who answers there, between two lines that break the axis."""
    answer = "without regions" if row.behind is None else f"answered by {named(row.behind)}"
    middle = (row.top + row.bottom) / 2
    words = f"{size_text(row.stop - row.first)} {answer}"
    waves = [
        f'<path d="M {_BOX_LEFT} {y:.1f}{_WAVE}" fill="none" stroke="#b6c0cb"/>'
        for y in (row.top + 8, row.bottom - 8)
    ]
    return "\n".join(
        [*waves, _text((_BOX_LEFT + _BOX_RIGHT) / 2, middle + 4, words, "hole", "middle")]
    )


def _box(region: Range, heights: dict[int, float], stop: int, bits: int) -> str:
    """Paint a region: its name, size, kind and flags inside, its two addresses at the left."""
    look = LOOKS[region.kind]
    top, bottom = heights[region.base], heights[min(region.last + 1, stop)]
    middle = (top + bottom) / 2
    note = f"{look.label} · {region.flags} · {size_text(region.size)}"
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


def _feet(disabled: Sequence[Range], top: float, bits: int) -> tuple[list[str], float]:
    """Draw the list of disabled regions and the legend; return them and the page's height."""
    drawn = []
    for shown in disabled[:MAX_DRAWN]:
        place = f"{address_text(shown.base, bits)}-{address_text(shown.last, bits)}"
        drawn.append(_text(_BACK_LEFT, top, f"disabled  {place}  {named(shown)}", "mono"))
        top += 20
    omitted = len(disabled) - MAX_DRAWN
    if omitted > 0:
        drawn.append(_text(_BACK_LEFT, top, f"and {omitted} more disabled", "hole"))
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
