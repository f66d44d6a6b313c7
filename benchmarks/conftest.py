# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What every benchmark run records, and how small the record stays.

A benchmark tells `render.py` how to show it through `benchmark.extra_info`:

* `operations`: how many accesses, instructions, ... one measured call makes (default 1). The
  loop belongs inside the measured function, because calling it costs pytest-benchmark 35-40 ns.
* `label`: the row's text (default: the test's name).
* `floor`: true for the row that the others of its group are divided by.
* `rate`: true for a row that is shown as million operations per second.
* `hold`: the largest ratio to the floor that the design allows, if it sets one; `hold_ns`: the
  longest time; `hold_rate`: the least number of million operations per second.
* `ratio`: the ratio to show, where the benchmark knows a better one than that of the medians.
* `engine`: "native" or "pure" where the row depends on it (default: the run's engine for
  tests marked `engine`, otherwise the row is shown once for both). Any other name is that of
  another program, which gets a column of its own; with `floor` it is the floor of the same label.
* `picture`: the name of a picture, without a folder, whose curve goes through the time of one
  call; `axis` and `at` say what is along its lower edge, and where there this row is. The picture
  stands above the table of the group.
* `stages`: nanoseconds by the name of a stage; all rows of the group have the same stages, and the
  group's table and picture, `exit-stages.svg`, are made of these.
* `hidden`: true for a row that is a point of a picture and nothing else.

`benchmark.group` is the table's title.
"""

import os
from typing import Any

import pytest

KEPT_STATS = ("min", "median", "iqr", "rounds", "iterations")
KEPT_CPU = ("brand_raw", "arch", "hz_advertised_friendly")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "engine: depends on the instruction engine; run once each")


@pytest.fixture(autouse=True)
def _record_engine(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("engine") and "benchmark" in request.fixturenames:
        from vmmkit.insn import IMPLEMENTATION  # noqa: PLC0415 (memregion runs do without insn)

        request.getfixturevalue("benchmark").extra_info.setdefault("engine", IMPLEMENTATION)


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_json(
    config: pytest.Config, benchmarks: list[Any], output_json: dict[str, Any]
) -> None:
    """Trim what is committed: no samples, no host name, no branch."""
    machine = output_json["machine_info"]
    output_json["machine_info"] = {
        "cpu": {key: machine["cpu"][key] for key in KEPT_CPU if key in machine["cpu"]},
        "cpus": os.cpu_count(),
        "python": f"{machine['python_implementation']} {machine['python_version']}",
        "system": f"{machine['system']} {machine['machine']}",
    }
    output_json["commit_info"] = {"id": output_json["commit_info"].get("id")}
    for row in output_json["benchmarks"]:
        row["stats"] = {key: row["stats"][key] for key in KEPT_STATS}
        row.pop("options", None)
