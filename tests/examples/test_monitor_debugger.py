# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The monitor waits for a debugger, and is debugged."""

import re
import subprocess
from contextlib import contextmanager

import pytest

from examples.monitor_program import BACKENDS, GUESTS, QUICK, SECONDS, command
from system_tools import require

SAID = re.compile(r"monitor: gdb -ex 'target remote (\S+)'")


@contextmanager
def waiting(*arguments):
    """Run a monitor that serves a debugger; yield the process and the address it tells."""
    with subprocess.Popen(
        command(*arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            found = next(match for line in running.stderr if (match := SAID.match(line)))
            yield running, found[1]
        finally:
            running.kill()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_guest_waits_is_stopped_in_c_and_goes_on(backend):
    image = GUESTS / "hello.elf"
    gdb = [require("gdb"), "-nx", "-q", "-batch", "-ex", "set confirm off"]
    with waiting(*backend, "--gdb", "tcp:127.0.0.1:0", "--wait", image) as (running, address):
        script = (f"target remote {address}", "hbreak guest_main", "continue", "backtrace")
        for line in (*script, "print $cs & 3", "delete", "continue"):
            gdb += ["-ex", line]
        done = subprocess.run(
            [*gdb, image], check=False, capture_output=True, text=True, timeout=SECONDS
        )
        said, _ = running.communicate(timeout=SECONDS)
    assert "Breakpoint 1, guest_main ()" in done.stdout, done.stdout + done.stderr
    assert "$1 = 0" in done.stdout
    assert "exited normally" in done.stdout
    assert said.endswith("PASS\n")
    assert running.returncode == 0


@pytest.mark.parametrize("backend", QUICK)
def test_the_debugger_kills_it(backend):
    image = GUESTS / "hello.elf"
    with waiting(*backend, "--gdb", "tcp:127.0.0.1:0", "--wait", image) as (running, address):
        gdb = [require("gdb"), "-nx", "-q", "-batch", "-ex", "set confirm off"]
        gdb += ["-ex", f"target remote {address}", "-ex", "kill"]
        subprocess.run(gdb, check=False, capture_output=True, timeout=SECONDS)
        assert running.wait(SECONDS) == 137


@pytest.mark.parametrize("backend", QUICK)
def test_a_signal_ends_what_waits_for_a_debugger(backend):
    with waiting(*backend, "--gdb", "tcp:127.0.0.1:0", "--wait", GUESTS / "hello.elf") as (it, _):
        it.terminate()
        assert it.wait(SECONDS) == 143


def test_a_socket_of_the_file_system_is_gone_afterwards(tmp_path):
    path = tmp_path / "guest.gdb"
    image = GUESTS / "hello.elf"
    with waiting("--backend", "soft", "--gdb", f"unix:{path}", "--wait", image) as (running, told):
        assert told == str(path)
        assert path.exists()
        running.terminate()
        assert running.wait(SECONDS) == 143
    assert list(tmp_path.iterdir()) == []
