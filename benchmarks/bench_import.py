# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""How long imports take: each block, and the first names out of it, beside attrs alone.

Run with `pytest benchmarks/bench_import.py -o python_files='bench_*.py'`. Each import is done by a
Python of its own, which measures it from inside; what the interpreter itself takes to start is not
counted, modules of the standard library that are loaded on the way are. Bytecode is there already.
"""

import subprocess
import sys
from importlib.util import find_spec

import pytest

ROUNDS = 15
HOLD_NS = 60e6
GROUP = "Start-up: import of a block, in a fresh interpreter"
NAMES_GROUP = "Start-up: the first names out of a block, in a fresh interpreter"

PACKAGES = ("vmmkit", *(f"vmmkit.{name}" for name in (
    "memregion", "insn", "pci", "acpi", "gdb", "devices", "backends", "backends.kvm", "loader",
)))  # fmt: skip
NAMES = (
    ("vmmkit.memregion", "RegionMap"),
    ("vmmkit.insn", "decode"),
    ("vmmkit.insn", "Cpu"),
    ("vmmkit.pci", "ConfigSpace"),
    ("vmmkit.pci", "PciDevice, HostBridge"),
    ("vmmkit.acpi", "TableSet"),
    ("vmmkit.acpi.tables", "Madt"),
    ("vmmkit.acpi.platform", "q35_like"),
    ("vmmkit.gdb", "serve"),
    ("vmmkit.devices", "Uart16550"),
    ("vmmkit.backends", "SoftVcpu"),
    ("vmmkit.backends", "ThreadedMachine"),
    ("vmmkit.backends", "KvmVm, KvmVcpu"),
)
EVERYTHING = ("memregion", "insn", "pci", "acpi", "gdb", "devices", "backends")

PROGRAM = """
from time import perf_counter
start = perf_counter()
{statement}
print(perf_counter() - start)
"""


class Clock:
    """The time that imports have taken in other processes, in seconds."""

    def __init__(self):
        self._passed = 0.0

    def __call__(self):
        return self._passed

    def run(self, statement):
        command = [sys.executable, "-c", PROGRAM.format(statement=statement)]
        self._passed += float(subprocess.check_output(command, text=True, timeout=60))


CLOCK = Clock()


def measure(benchmark, statement, label, group, **notes):
    """Measure one row on the clock of the interpreters started for it."""
    benchmark.group = group
    benchmark.extra_info.update(label=label, **notes)
    benchmark.pedantic(CLOCK.run, (statement,), rounds=ROUNDS, warmup_rounds=1)


@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize("group", [GROUP, NAMES_GROUP])
def test_attrs_alone(benchmark, group):
    measure(benchmark, "import attrs", "`import attrs`, which most blocks use", group, floor=True)


@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize("package", PACKAGES)
def test_import(benchmark, package):
    if find_spec(package) is None:
        pytest.skip(f"{package} is not there")
    measure(benchmark, f"import {package}", f"`import {package}`", GROUP, hold_ns=HOLD_NS)


@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.engine
@pytest.mark.parametrize(("package", "names"), NAMES)
def test_names(benchmark, package, names):
    statement = f"from {package} import {names}"
    measure(benchmark, statement, f"`{statement}`", NAMES_GROUP)


@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.engine
def test_everything(benchmark):
    statement = "\n".join(f"from vmmkit.{block} import *" for block in EVERYTHING)
    measure(benchmark, statement, "every public name of every block", NAMES_GROUP)
