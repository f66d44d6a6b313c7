# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The monitor behind exits, run as a user would run it."""

import subprocess
import sys
from pathlib import Path

import pytest

from vmmkit.insn import available_engines

EXAMPLE = Path(__file__).parents[2] / "examples" / "exit_monitor.py"
CONSOLE = (
    "hello from a driver\n1 + 2 + ... + 100 = 5050\nthe letter f is at place 6\n"
    "the rest comes to 3223010113\n"
)


@pytest.mark.parametrize("engine", available_engines())
def test_the_driver_gets_what_it_asked_its_devices_for(engine):
    command = [sys.executable, EXAMPLE, "--engine", engine]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert CONSOLE in shown
    assert f"{engine} engine: Halt" in shown
    assert "   100 x add dword ptr [r12], ecx\n" in shown
    assert shown.count(" x ") == 23


def test_the_monitor_stays_small():
    assert len(EXAMPLE.read_text().splitlines()) <= 105
