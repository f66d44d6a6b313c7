# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Draws one curve with logarithmic axes, as an SVG picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import ceil, floor, log10
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 720, 440
LEFT, RIGHT, TOP, BOTTOM = 84, 28, 74, 58

STYLE = """\
text { font-family: "DejaVu Sans", "Segoe UI", Helvetica, Arial, sans-serif; font-size: 12px;
  fill: #1f2933; }
.title { font-size: 18px; font-weight: 600; }
.note { fill: #5f6c7b; }
.grid { stroke: #e3e8ee; }
.frame { stroke: #7b8794; fill: none; }
.curve { stroke: #2563a8; stroke-width: 2; fill: none; }
.straight { stroke: #b08a3c; stroke-width: 1.5; stroke-dasharray: 6 4; fill: none; }
.dot { fill: #2563a8; }
"""


class Point(NamedTuple):
    """A measurement."""

    x: float
    y: float


class Axis(NamedTuple):
    """Values from `first` to `last`, laid out from one pixel to another."""

    first: float
    last: float
    start: float
    stop: float

    def at(self, value: float) -> float:
        """Return the pixel of a value."""
        share = log10(value / self.first) / log10(self.last / self.first)
        return self.start + share * (self.stop - self.start)


def decade_below(value: float) -> float:
    """Return the power of ten at or below a value."""
    return 10.0 ** floor(log10(value))


def decade_above(value: float) -> float:
    """Return the power of ten at or above a value."""
    return 10.0 ** ceil(log10(value))


def decades(axis: Axis) -> list[float]:
    """Return the powers of ten of an axis that begins and ends with one."""
    return [10.0**power for power in range(round(log10(axis.first)), round(log10(axis.last)) + 1)]


def line(kind: str, points: Sequence[tuple[float, float]]) -> str:
    """Return a line through pixels."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline class="{kind}" points="{path}"/>'


def label(x: float, y: float, text: str, *, kind: str = "", anchor: str = "start") -> str:
    """Return a text at a pixel."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def draw(
    title: str,
    x_title: str,
    points: Sequence[Point],
    y_text: Callable[[float], str],
    straight_from: float,
) -> str:
    """Return a picture of measurements.

    Args:
        title: of the picture.
        x_title: what the values below the picture are.
        points: by rising x, all values above 0.
        y_text: writes a value of y.
        straight_from: the x of the point that a line of proportional growth goes through.
    """
    across = Axis(points[0].x, points[-1].x, LEFT, WIDTH - RIGHT)
    lowest, highest = (choose(point.y for point in points) for choose in (min, max))
    up = Axis(decade_below(lowest), decade_above(highest), HEIGHT - BOTTOM, TOP)
    size = f'width="{WIDTH}" height="{HEIGHT}"'
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {box} role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>\n{STYLE}</style>",
        f'<rect {size} fill="#ffffff"/>',
        label(24, 34, title, kind="title"),
        *scales(across, up, [point.x for point in points], y_text),
        *straight(across, up, next(point for point in points if point.x == straight_from)),
        line("curve", [(across.at(x), up.at(y)) for x, y in points]),
        *dots(across, up, points, y_text),
        label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, x_title, kind="note", anchor="middle"),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def scales(
    across: Axis, up: Axis, marks: Sequence[float], y_text: Callable[[float], str]
) -> Iterator[str]:
    """Yield the grid, and the values beside it."""
    for value in decades(up):
        y = up.at(value)
        yield line("grid", [(across.start, y), (across.stop, y)])
        yield label(across.start - 8, y + 4, y_text(value), anchor="end")
    for mark in marks:
        x = across.at(mark)
        yield line("grid", [(x, up.start), (x, up.stop)])
        yield label(x, up.start + 18, f"{mark:g}", anchor="middle")
    frame = [(across.start, up.stop), (across.start, up.start), (across.stop, up.start)]
    yield line("frame", frame)


def straight(across: Axis, up: Axis, through: Point) -> Iterator[str]:
    """Yield the line of what grows as x does."""
    slope = through.y / through.x
    first, last = max(across.first, up.first / slope), min(across.last, up.last / slope)
    ends = [(across.at(x), up.at(slope * x)) for x in (first, last)]
    yield line("straight", ends)
    yield line("straight", [(LEFT, 54), (LEFT + 34, 54)])
    yield label(LEFT + 42, 58, f"proportional, through {through.x:g}", kind="note")


def dots(
    across: Axis, up: Axis, points: Sequence[Point], y_text: Callable[[float], str]
) -> Iterator[str]:
    """Yield the points; every third one has its value beside it, the first and last one always."""
    for number, point in enumerate(points):
        x, y = across.at(point.x), up.at(point.y)
        yield f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'
        if number in {0, len(points) - 1} or ((len(points) - 1 - number) % 3 == 0 and number > 1):
            shift, anchor = (-4, "end") if number else (4, "start")
            yield label(x + shift, y - 9, y_text(point.y), anchor=anchor)
