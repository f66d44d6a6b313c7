# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Write the benchmark page from the results: `render.py RESULTS_FOLDER PAGE`.

The folder holds one pytest-benchmark JSON file per run (`native.json`, `pure.json`), trimmed by
`conftest.py`, whose docstring says what a benchmark records for this program. Each group becomes
one table: a row per benchmark, a time per operation for each engine, and beside each time its
ratio to the floor of the same group, engine and run. Another program's rows (`engine: "Unicorn"`)
have a column of their own, and are the floors of the rows beside them. Ratios carry over to other
machines; times do not, and the page says so. Rows that name a picture are drawn as well, into the
folder `images` beside the page.
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import plot
import stages

ENGINES = ("native", "pure")
ANY = "any"
PICTURES = "images"
STAGES = "exit-stages"
UNITS = ((1e9, "s"), (1e6, "ms"), (1e3, "us"), (0.0, "ns"))

HEAD = """\
<!--
SPDX-FileCopyrightText: 2026 vmmkit contributors
SPDX-License-Identifier: BSD-2-Clause
-->
# Benchmarks

Written by `make bench`; do not edit. Each time is that of the fastest round of one run, per
operation, with the measuring loop inside the measured function. *x floor* is the time divided by
the floor: a row of the same table, or a bare call of the same handler where the table has none,
taken in the same run. This is the figure to compare between machines; where rows and floor were
timed in turns it is the median of the pairs. A column of another program's times is the floor of
what stands beside it. Some tables show speeds, in million (M/s) or thousand (k/s) operations a
second; their ratios are of times all the same. *hold* is the largest ratio or time, or the least
speed, that the design allows, where it sets one; the pure engine is held to none.
"""


class Point(NamedTuple):
    """Where a row is in a picture."""

    picture: str
    axis: str
    at: float
    nanoseconds: float


class Row(NamedTuple):
    """One benchmark of one run."""

    group: str
    label: str
    engine: str
    nanoseconds: float
    is_floor: bool
    ratio: float | None
    hold: str
    limit: float | None
    is_rate: bool
    is_hidden: bool
    point: Point | None
    stages: dict[str, float] | None


def read_rows(run: dict[str, Any]) -> list[Row]:
    """Return the rows of one result file, in the order they ran."""
    return [read_row(record) for record in run["benchmarks"]]


def read_row(record: dict[str, Any]) -> Row:
    """Return one row; what the benchmark did not tell gets its default."""
    notes = record["extra_info"]
    return Row(
        group=record["group"] or "Other",
        label=notes.get("label", record["name"]),
        engine=notes.get("engine", ANY),
        nanoseconds=record["stats"]["min"] * 1e9 / notes.get("operations", 1),
        is_floor=bool(notes.get("floor")),
        ratio=notes.get("ratio"),
        hold=hold_text(notes),
        limit=notes.get("hold_rate", notes.get("hold", notes.get("hold_ns"))),
        is_rate=bool(notes.get("rate")),
        is_hidden=bool(notes.get("hidden")),
        point=read_point(record),
        stages=notes.get("stages"),
    )


def read_point(record: dict[str, Any]) -> Point | None:
    """Return where the time of one call of a row is drawn, if anywhere."""
    notes = record["extra_info"]
    if "picture" not in notes:
        return None
    return Point(notes["picture"], notes["axis"], notes["at"], record["stats"]["min"] * 1e9)


def hold_text(notes: dict[str, Any]) -> str:
    """Return the figure a row is to hold: a ratio, or a time or speed where the design sets one."""
    if "hold_rate" in notes:
        return f">= {notes['hold_rate']:g} M/s"
    if "hold" in notes:
        return f"<= {notes['hold']:g}"
    return f"<= {duration(notes['hold_ns'])}" if "hold_ns" in notes else ""


def misses(row: Row, floor: float | None) -> bool:
    """Return whether a row of an engine that is held to a figure misses it; the pure one is not."""
    if row.limit is None or row.engine == ENGINES[-1]:
        return False
    if row.hold.startswith(">="):
        return 1e3 / row.nanoseconds < row.limit
    if row.hold.endswith("s"):
        return row.nanoseconds > row.limit
    ratio = row.ratio if row.ratio is not None or not floor else row.nanoseconds / floor
    return ratio is not None and ratio > row.limit


def duration(nanoseconds: float) -> str:
    """Return a time with three digits and the unit that suits it."""
    scale, unit = next(pair for pair in UNITS if nanoseconds >= pair[0])
    return f"{three_digits(nanoseconds / (scale or 1.0))} {unit}"


def speed(nanoseconds: float) -> str:
    """Return million or thousand operations a second with three digits."""
    scale, unit = (1e3, "M/s") if nanoseconds <= 1e3 else (1e6, "k/s")
    return f"{three_digits(scale / nanoseconds)} {unit}"


def three_digits(value: float) -> str:
    """Return a number with two decimals, or fewer where it is large."""
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def unique(values: Iterable[str]) -> list[str]:
    """Return the values without repeats, in order of first appearance."""
    return list(dict.fromkeys(values))


def cells(row: Row | None, floor: float | None) -> list[str]:
    """Return the time and ratio cells of one row under one engine."""
    if row is None:
        return ["", ""]
    ratio = row.ratio
    if ratio is None and floor is not None:
        ratio = row.nanoseconds / floor
    shown = speed if row.is_rate else duration
    return [shown(row.nanoseconds), "" if ratio is None else f"{ratio:.2f}"]


def column(engine: str) -> int:
    """Return the place of an engine's column: other programs stand before our engines."""
    return (ANY, "", *ENGINES).index(engine if engine in (ANY, *ENGINES) else "")


class Floors:
    """What the times of one table are divided by."""

    def __init__(self, rows: list[Row]) -> None:
        floors = [row for row in reversed(rows) if row.is_floor]
        self.by_engine = {row.engine: row.nanoseconds for row in floors}
        self.peers = {row.engine for row in floors} - {ANY, *ENGINES}
        self.by_label = {row.label: row.nanoseconds for row in floors if row.engine in self.peers}
        self.title = f"x {min(self.peers)}" if self.peers else "x floor"

    def of(self, label: str, engine: str) -> float | None:
        """Return the floor of a row: none for another program, which has but itself."""
        if engine in self.peers:
            return None
        beside = self.by_label.get(label, self.by_engine.get(ANY))
        return self.by_engine.get(engine, beside)


def table(rows: list[Row]) -> list[str]:
    """Return one group as the lines of a Markdown table."""
    engines = sorted(unique(row.engine for row in rows), key=column)
    found = {(row.label, row.engine): row for row in rows}
    floors = Floors(rows)
    holds = {row.label: row.hold for row in rows if row.hold}
    missed = {row.label for row in rows if misses(row, floors.of(row.label, row.engine))}
    titles = {ANY: "time"}
    head = ["", *(cell for e in engines for cell in (titles.get(e, e), floors.title)), "hold"]
    body = [
        [
            label,
            *(c for e in engines for c in cells(found.get((label, e)), floors.of(label, e))),
            holds.get(label, "") + (" **missed**" if label in missed else ""),
        ]
        for label in unique(row.label for row in rows)
    ]
    used = [i for i in range(len(head)) if i == 0 or any(line[i] for line in body)]
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return ["| " + " | ".join(line[i] for i in used) + " |" for line in lines]


def stage_table(rows: list[Row]) -> list[str]:
    """Return the table of what consists of stages: a row for each stage, and one for all."""
    found = {row.label: row.stages for row in rows if row.stages}
    if not found:
        return []
    names = unique(name for parts in found.values() for name in parts)
    body = [[name, *(duration(parts[name]) for parts in found.values())] for name in names]
    sums = [duration(sum(parts.values())) for parts in found.values()]
    lines = [["", *found], ["---", *["---:"] * len(found)], *body, ["all", *sums]]
    return ["| " + " | ".join(line) + " |" for line in lines]


def machine(runs: list[dict[str, Any]]) -> str:
    """Return the line that says where and when the figures were taken."""
    facts = runs[0]["machine_info"]
    cpu = facts["cpu"].get("brand_raw", "unknown processor")
    day = runs[0]["datetime"].partition("T")[0]
    return f"Taken {day} on {cpu}, {facts['cpus']} CPUs, {facts['system']}, {facts['python']}."


def page(runs: list[dict[str, Any]]) -> str:
    """Return the whole page."""
    lines = [HEAD, machine(runs)]
    for group, rows in groups(runs).items():
        lines += ["", f"## {group}", ""]
        for name in pictures(rows):
            lines += [f"![{group}]({PICTURES}/{name}.svg)", ""]
        lines += stage_table(rows) or table([row for row in rows if not row.is_hidden])
    return "\n".join(lines) + "\n"


def groups(runs: list[dict[str, Any]]) -> dict[str, list[Row]]:
    """Return the rows of all runs by the title of their table."""
    found: dict[str, list[Row]] = {}
    for run in runs:
        for row in read_rows(run):
            found.setdefault(row.group, []).append(row)
    return found


def pictures(rows: list[Row]) -> dict[str, str]:
    """Return the pictures of one group by name; the dashed line is through its floor."""
    drawn = [(row, row.point) for row in rows if row.point is not None]
    found = {}
    for name in unique(point.picture for _row, point in drawn):
        points = sorted({point for _row, point in drawn if point.picture == name})
        through = next((point.at for row, point in drawn if row.is_floor), points[-1].at)
        curve = [plot.Point(point.at, point.nanoseconds) for point in points]
        found[name] = plot.draw(rows[0].group, points[0].axis, curve, duration, through)
    bars = {row.label.replace("`", ""): row.stages for row in rows if row.stages}
    return found | ({STAGES: stages.draw(rows[0].group, bars, duration)} if bars else {})


def main(folder: str, target: str) -> int:
    """Read all results, write the page, and print it."""
    paths = [Path(folder, f"{engine}.json") for engine in ENGINES]
    runs = [json.loads(path.read_text()) for path in paths if path.exists()]
    if not runs:
        print(f"no results in {folder}", file=sys.stderr)
        return 1
    text = page(runs)
    Path(target).write_text(text)
    folder_of_pictures = Path(target).parent / PICTURES
    for rows in groups(runs).values():
        for name, picture in pictures(rows).items():
            folder_of_pictures.mkdir(exist_ok=True)
            (folder_of_pictures / f"{name}.svg").write_text(picture)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
