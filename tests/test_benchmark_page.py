# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The benchmark page says what the result files say."""

import json
import runpy
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.append(str(BENCHMARKS))  # the program imports what stands beside it
RENDER = runpy.run_path(str(BENCHMARKS / "render.py"))
MACHINE = {"cpu": {"brand_raw": "Some CPU"}, "cpus": 2, "python": "CPython 3.11", "system": "Linux"}


def record(name, fastest, **notes):
    return {"name": name, "group": "decode", "stats": {"min": fastest}, "extra_info": notes}


def run(*records):
    return {"machine_info": MACHINE, "datetime": "2026-01-02T03:04:05", "benchmarks": [*records]}


NATIVE = run(
    record("bare", 2e-6, label="bare call", operations=20, floor=True),
    record("mov", 6e-6, label="MOV", operations=20, engine="native", hold=4.0),
    record("slow", 3.0, hold_ns=1000),
    record("paired", 2e-6, operations=20, ratio=1.5),
)
PURE = run(record("mov", 6e-3, label="MOV", operations=20, engine="pure", hold=4.0))


def test_page(tmp_path, capsys):
    (tmp_path / "native.json").write_text(json.dumps(NATIVE))
    (tmp_path / "pure.json").write_text(json.dumps(PURE))
    page = tmp_path / "page.md"
    assert RENDER["main"](str(tmp_path), str(page)) == 0
    assert page.read_text().splitlines()[-10:] == [
        "Taken 2026-01-02 on Some CPU, 2 CPUs, Linux, CPython 3.11.",
        "",
        "## decode",
        "",
        "|  | time | x floor | native | x floor | pure | x floor | hold |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| bare call | 100 ns | 1.00 |  |  |  |  |  |",
        "| MOV |  |  | 300 ns | 3.00 | 300 us | 3000.00 | <= 4 |",
        "| slow | 3.00 s | 30000000.00 |  |  |  |  | <= 1.00 us **missed** |",
        "| paired | 100 ns | 1.50 |  |  |  |  |  |",
    ]
    assert page.read_text() in capsys.readouterr().out


def test_points_become_a_picture_above_the_table(tmp_path):
    """Labels are of the points that have one; a hidden row is in the picture and nowhere else."""
    notes = {"picture": "growth", "axis": "parts"}
    rows = [
        record("one", 1e-6, label="1 part", at=1, operations=1, hidden=True, **notes),
        record("ten", 8e-6, label="10 parts", at=10, operations=10, floor=True, **notes),
        record("many", 1e-4, label="100 parts", at=100, operations=100, **notes),
    ]
    (tmp_path / "native.json").write_text(json.dumps(run(*rows)))
    assert RENDER["main"](str(tmp_path), str(tmp_path / "page.md")) == 0
    assert (tmp_path / "page.md").read_text().splitlines()[-8:] == [
        "## decode",
        "",
        "![decode](images/growth.svg)",
        "",
        "|  | time | x floor |",
        "| --- | ---: | ---: |",
        "| 10 parts | 800 ns | 1.00 |",
        "| 100 parts | 1.00 us | 1.25 |",
    ]
    picture = ET.parse(tmp_path / "images" / "growth.svg")
    texts = [element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"decode", "parts", "1", "10", "100", "1.00 us", "100 us"} <= set(texts)
    assert "proportional, through 10" in texts
    dots = [
        (float(dot.get("cx")), float(dot.get("cy")))
        for dot in picture.iter("{http://www.w3.org/2000/svg}circle")
    ]
    assert dots == sorted(dots, key=lambda dot: (dot[0], -dot[1]))
    assert dots[1][0] - dots[0][0] == pytest.approx(dots[2][0] - dots[1][0], abs=0.2)


def test_no_results_is_an_error(tmp_path, capsys):
    assert RENDER["main"](str(tmp_path), str(tmp_path / "page.md")) == 1
    assert str(tmp_path) in capsys.readouterr().err


def test_another_program_has_a_column_and_speeds_are_shown_as_such():
    """Where it has no row there is no ratio."""
    rows = [
        record("one", 1e-3, label="loop", operations=1000, engine="native", rate=True, hold_rate=2),
        record("two", 1e-4, label="loop", operations=1000, engine="Unicorn", rate=True, floor=True),
        record("own", 4e-6, label="alone", operations=1000, engine="native", rate=True),
    ]
    assert RENDER["page"]([run(*rows)]).splitlines()[-4:] == [
        "|  | Unicorn | native | x Unicorn | hold |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| loop | 10.0 M/s | 1.00 M/s | 10.00 | >= 2 M/s **missed** |",
        "| alone |  | 250 M/s |  |  |",
    ]


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(0.4, "0.40 ns"), (12.34, "12.3 ns"), (999, "999 ns"), (1000, "1.00 us"), (2.5e6, "2.50 ms")],
)
def test_durations_have_three_digits(nanoseconds, text):
    assert RENDER["duration"](nanoseconds) == text


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(0.2, "5000 M/s"), (40, "25.0 M/s"), (1e3, "1.00 M/s"), (8e4, "12.5 k/s")],
)
def test_speeds_have_three_digits(nanoseconds, text):
    assert RENDER["speed"](nanoseconds) == text


def test_stages_become_a_table_and_a_picture(tmp_path):
    stages = {"KVM_RUN": 1000.0, "call of `ioctl`": 80.0, "handler": 30.0}
    rows = [
        record("read", 1e-6, label="`read`", stages=stages),
        record("write", 1e-6, label="`write`", stages=stages | {"handler": 0.0}),
    ]
    (tmp_path / "native.json").write_text(json.dumps(run(*rows)))
    page = tmp_path / "page.md"
    assert RENDER["main"](str(tmp_path), str(page)) == 0
    assert page.read_text().splitlines()[-8:] == [
        "![decode](images/exit-stages.svg)",
        "",
        "|  | `read` | `write` |",
        "| --- | ---: | ---: |",
        "| KVM_RUN | 1.00 us | 1.00 us |",
        "| call of `ioctl` | 80.0 ns | 80.0 ns |",
        "| handler | 30.0 ns | 0.00 ns |",
        "| all | 1.11 us | 1.08 us |",
    ]
    picture = ET.parse(tmp_path / "images" / "exit-stages.svg")
    texts = [element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"KVM_RUN", "call of ioctl", "handler", "1.11 us", "110 ns", "80.0 ns"} <= set(texts)
    bars = list(picture.iter("{http://www.w3.org/2000/svg}rect"))
    assert len(bars) == 1 + 4 + 8  # the ground, the legends, and two bars in two parts twice
