# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The first monitor, run as a user would run it, and the guests it ships."""

import subprocess
import sys
from pathlib import Path

import pytest

from engine_parameters import quick_engines

EXAMPLES = Path(__file__).parents[2] / "examples"
CONSOLES = (
    "hello from 16-bit real mode\n1 + 2 + ... + 1000 = 500500\na port without a device reads 255\n",
    "hello from 64-bit mode\n1 + 2 + ... + 1000 = 500500\nthe PCI hole reads 4294967295\n",
    "hello from C: 78 primes below 400, the largest is 397\n",
)


@pytest.mark.parametrize("engine", quick_engines())
def test_every_guest_prints_its_console(engine):
    command = [sys.executable, EXAMPLES / "hello_monitor.py", "--engine", engine]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for console in CONSOLES:
        assert console in shown
    assert shown.count(f"under the {engine} engine") == len(CONSOLES)
    for region in ("com1", "adder", "PCI hole", "empty ports"):
        assert region in shown


def test_the_monitor_stays_small():
    assert len((EXAMPLES / "hello_monitor.py").read_text().splitlines()) <= 80


@pytest.mark.parametrize("guest", ["hello16", "hello64", "driver64"])
def test_shipped_guest_is_what_its_source_assembles_to(guest, require_tool, tmp_path):
    """The C guest is left out: its bytes depend on the compiler's version."""
    for tool in ("as", "ld", "objcopy", "make"):
        require_tool(tool)
    copy = tmp_path / "guests"
    copy.mkdir()
    for source in (EXAMPLES / "guests").iterdir():
        if source.suffix != ".bin":
            (copy / source.name).write_bytes(source.read_bytes())
    subprocess.run(["make", "-s", "-C", copy, f"{guest}.bin"], check=True)
    shipped = EXAMPLES / "guests" / f"{guest}.bin"
    assert (copy / f"{guest}.bin").read_bytes() == shipped.read_bytes()
