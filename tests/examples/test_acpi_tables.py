# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The tables for a PC, made as a user would make them."""

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "acpi_tables.py"


def test_tables_and_memory_map():
    command = [sys.executable, EXAMPLE]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for signature in ("RSDP", "XSDT", "FACP", "FACS", "DSDT", "APIC", "MCFG", "HPET"):
        assert f"bytes  {signature}\n" in shown
    assert "0x00100000-0x03feffff  RAM\n" in shown
    assert "0xe0000000-0xefffffff  reserved\n" in shown


def test_the_example_stays_small():
    assert len(EXAMPLE.read_text().splitlines()) <= 80
