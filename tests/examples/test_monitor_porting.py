# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A backend of somebody else's in the monitor: what the page says that it has is enough."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from examples.monitor_program import GUESTS, MONITOR, SECONDS

PAGE = Path(__file__).parents[2] / "docs" / "monitor.md"
PROGRAM = """
import runpy, sys
monitor = sys.argv.pop(1)
sys.path.insert(0, monitor)
names = NAMES
import backend
from vmmkit.backends import ThreadedMachine

class Theirs:
    def __init__(self, ram, *, vcpus, mmio, pio, start):
        self._machine = ThreadedMachine(ram, vcpus=vcpus, mmio=mmio, pio=pio, start=start)

    def __getattr__(self, name):
        assert name in names, name
        return getattr(self._machine, name)

backend.ThreadedMachine = lambda ram, *, engine, **settings: Theirs(ram, **settings)
runpy.run_path(monitor + "/__main__.py", run_name="__main__")
"""


@pytest.mark.parametrize(
    ("options", "guest"),
    [
        (("--vcpus", "2", "--device", "edu"), "pci_lister"),
        (("--gdb", "tcp:127.0.0.1:0"), "hello"),
    ],
    ids=["PCI", "gdb"],
)
def test_a_machine_with_what_the_page_names(options, guest):
    (said,) = re.findall(r"and has (`vcpus`.*?)`--gdb`", PAGE.read_text(), re.DOTALL)
    names = {*re.findall(r"`(\w+)`", said)} - {"through_halt"}
    program = PROGRAM.replace("NAMES", repr(names))
    given = ("--backend", "soft", *options, GUESTS / f"{guest}.elf")
    command = [sys.executable, "-c", program, str(MONITOR), *map(str, given)]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=SECONDS, input=""
    )
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["PASS"]), done.stderr
