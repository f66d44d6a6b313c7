# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The benchmark page says what the result files say."""

import json
import runpy
from pathlib import Path

import pytest

RENDER = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "render.py"))
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
