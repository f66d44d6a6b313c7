# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The example of a target of one's own, run as its head says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from gdb.raw_client import RawClient
from system_tools import require

EXAMPLE = Path(__file__).parents[2] / "examples" / "gdb_target.py"
LINES = 45  # of the class, which the guide shows


@pytest.fixture
def address():
    """Run the example as a server; return its port on this computer."""
    command = [sys.executable, EXAMPLE, "tcp:127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            told = running.stdout.readline()
            yield re.fullmatch(r"gdb -ex 'target remote (127\.0\.0\.1:\d+)'\n", told)[1]
        finally:
            running.kill()


def test_without_a_debugger():
    shown = subprocess.run([sys.executable, EXAMPLE], check=True, capture_output=True, text=True)
    assert shown.stdout == f"rax = {sum(range(256)):#x}\n"


def test_it_is_stopped_stepped_and_resumed(address):
    with RawClient(f"tcp:{address}") as client:
        assert client.packet(b"?").startswith(b"T05thread:1;")
        for count in range(1, 4):
            client.send(b"vCont;s")
            assert client.wait_stop()[:3] == b"T05"
            assert client.packet(b"p10") == count.to_bytes(8, "little").hex().encode()
        assert client.packet(b"m0,4") == b"00010203"
        assert client.packet(b"M4,1:ff") == b"OK"
        assert client.packet(b"M100,1:ff")[:1] == b"E"
        client.send(b"vCont;c")
        client.interrupt()
        assert client.wait_stop()[:3] == b"T02"
        assert client.packet(b"P0=0000000000000000")[:1] == b"E"
        assert client.packet(b"D") == b"OK"


def test_with_gdb_as_its_head_says(address):
    command = [require("gdb"), "-nx", "-q", "-batch", "-ex", "set confirm off"]
    for line in (f"target remote {address}", "stepi", "stepi", "print $rax", "print $pc"):
        command += ["-ex", line]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert "$1 = 1\n" in done.stdout
    assert "0x2" in done.stdout.partition("$2 = ")[2]


def test_the_example_stays_small():
    body = EXAMPLE.read_text().split("class ToyTarget:")[1].split("\nif __name__")[0]
    assert len(body.split("\n    def loop(")[0].splitlines()) <= LINES - 8
    assert len(body.splitlines()) <= LINES + 5
