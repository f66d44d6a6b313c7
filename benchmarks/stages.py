# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Draws where the time of an exit goes: a bar for each kind of exit, in parts, as an SVG picture.

The first stage is many times as long as all the others. It is a bar to scale of its own, above
those of the rest, whose scale is another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT = 760, 200, 96
TITLE, PANEL_TOP, ROW, BAR, PANEL_GAP, LEGEND = 34, 96, 34, 20, 76, 30
COLOURS = ("#7b8794", "#2563a8", "#b08a3c", "#3f8f6b", "#a34747", "#7a5ba6")
DARK = "#1f2933"
STEPS = (1, 2, 5)
TICKS = 6

STYLE = """\
text { font-family: "DejaVu Sans", "Segoe UI", Helvetica, Arial, sans-serif; font-size: 12px;
  fill: #1f2933; }
.title { font-size: 18px; font-weight: 600; }
.code { font-family: "DejaVu Sans Mono", Menlo, Consolas, monospace; }
.note { fill: #5f6c7b; }
.grid { stroke: #e3e8ee; }
"""

Bars = Mapping[str, Mapping[str, float]]


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    """Return words at a pixel."""
    escaped = escape(words)
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escaped}</text>'


def box(x: float, y: float, width: float, height: float, colour: str) -> str:
    """Return a filled rectangle."""
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect {place} fill="{colour}"/>'


def tick_step(longest: float) -> float:
    """Return the round distance of at most `TICKS` marks up to a value."""
    power = 1.0
    while True:
        for step in STEPS:
            if longest / (step * power) <= TICKS:
                return step * power
        power *= 10


def legend(names: list[str], colours: tuple[str, ...], y: float) -> Iterator[str]:
    """Yield a line that says which colour is which stage."""
    x = 24.0
    for name, colour in zip(names, colours, strict=False):
        words = name.replace("`", "")
        yield box(x, y - 10, 12, 12, colour)
        yield text(x + 18, y, words)
        x += 38 + 7.0 * len(words)


def panel(
    bars: Bars, colours: tuple[str, ...], top: float, written: Callable[[float], str]
) -> Iterator[str]:
    """Yield bars under each other with their axis below; the sums stand beside them."""
    longest = max(sum(parts.values()) for parts in bars.values())
    scale = (WIDTH - LEFT - RIGHT) / longest
    bottom = top + ROW * len(bars)
    step = tick_step(longest)
    for number in range(int(longest / step) + 1):
        x = LEFT + number * step * scale
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>'
        mark = written(number * step) if number else "0"
        yield text(x, bottom + 16, mark, "note", "middle")
    for row, (label, parts) in enumerate(bars.items()):
        x, y = float(LEFT), top + row * ROW + (ROW - BAR) / 2
        yield text(LEFT - 12, y + 14, label, "code", "end")
        for length, colour in zip(parts.values(), colours, strict=False):
            yield box(x, y, length * scale, BAR, colour)
            x += length * scale
        yield text(x + 8, y + 14, written(sum(parts.values())))


def draw(title: str, bars: Bars, written: Callable[[float], str]) -> str:
    """Return the picture.

    Args:
        title: of the picture.
        bars: for each kind of exit the nanoseconds of its stages, all with the same stages.
        written: writes a time in nanoseconds.
    """
    names = list(next(iter(bars.values())))
    height = PANEL_TOP + 2 * ROW * len(bars) + PANEL_GAP + LEGEND
    size = f'width="{WIDTH}" height="{height}"'
    view = f'viewBox="0 0 {WIDTH} {height}"'
    rest = {label: dict(list(parts.items())[1:]) for label, parts in bars.items()}
    second = PANEL_TOP + ROW * len(bars) + PANEL_GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {view} role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>\n{STYLE}</style>",
        f'<rect {size} fill="#ffffff"/>',
        text(24, TITLE, title, "title"),
        *legend([names[0], "Python, in parts below"], (COLOURS[0], DARK), 74),
        *panel(
            {
                label: {names[0]: one[names[0]], "rest": sum(rest[label].values())}
                for label, one in bars.items()
            },
            (COLOURS[0], DARK),
            PANEL_TOP,
            written,
        ),
        *legend(names[1:], COLOURS[1:], second - 20),
        *panel(rest, COLOURS[1:], second, written),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"
