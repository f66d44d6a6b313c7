# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The PC with PCI, run as a user would run it."""

import subprocess
import sys
from pathlib import Path

import pytest

from vmmkit.insn import available_engines

EXAMPLE = Path(__file__).parents[2] / "examples" / "pci_monitor.py"


@pytest.mark.parametrize("engine", available_engines())
def test_the_guest_finds_its_devices_and_hears_the_keyboard(engine):
    command = [sys.executable, EXAMPLE, "--engine", engine, "--type", "typed"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert f"{engine} engine\n11E81234\n010000ED\ntyped\n" in shown
    assert "ports  io  8 B  1000-1007  live" in shown
    assert "regs  mem32  1 MiB  c000_0000-c00f_ffff  live" in shown


def test_the_monitor_stays_small():
    assert len(EXAMPLE.read_text().splitlines()) <= 120
