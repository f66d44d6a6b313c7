# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A real gdb on the reference monitor, with compiled guests and their symbols, on each backend."""

import re
import subprocess
import time
from pathlib import Path

import pytest

from examples.monitor_program import BACKENDS, GUESTS, command
from gdb.gdb_driver import Gdb
from system_tools import require

ADDRESS = re.compile(r"target remote (\S+)'")
SECONDS = 60
INCREMENTS = 2_000_000_000  # more than any backend counts meanwhile


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    """Return a folder with the guests, built with their symbols."""
    require("gcc")
    folder = tmp_path_factory.mktemp("guests")
    subprocess.run(["make", "--silent", "-C", GUESTS, f"OUT={folder}"], check=True, timeout=SECONDS)
    return folder


class Monitored:
    """The monitor as a process, with its server for a debugger."""

    def __init__(self, folder, program, arguments):
        self.program = program
        self._folder = folder
        self._errors = Path(folder) / "errors"
        with self._errors.open("w") as errors:
            self.process = subprocess.Popen(
                [*command(*arguments), "--gdb", "tcp:127.0.0.1:0", program],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.address = self._await_address()

    def _await_address(self):
        until = time.monotonic() + SECONDS
        while not (found := ADDRESS.search(self._errors.read_text())):
            if self.process.poll() is not None or time.monotonic() > until:
                pytest.fail(f"no server: {self._errors.read_text()}")
            time.sleep(0.01)
        return found[1]

    def gdb(self, *commands):
        """Run a batch of commands once gdb is connected; return the run without what came before.

        The guest goes on when gdb leaves.
        """
        first = (f"file {self.program}", f"target remote {self.address}")
        run = Gdb(self._folder, [*first, *commands], logged=False).result()
        return run.replies[len(first) :]

    def finish(self):
        """Wait for the guest's end; return what it printed and the exit status."""
        try:
            printed = self.process.communicate(timeout=SECONDS)[0]
        except subprocess.TimeoutExpired:
            self.process.kill()
            pytest.fail(f"the guest goes on: {self.process.communicate()[0]}")
        return printed, self.process.returncode


@pytest.fixture(params=BACKENDS)
def debugged(request, programs, tmp_path):
    """Return what starts the monitor with a guest."""
    started = []

    def start(guest, *arguments):
        found = Monitored(tmp_path, programs / f"{guest}.elf", [*request.param, *arguments])
        started.append(found)
        return found

    yield start
    for found in started:
        found.process.kill()
        found.process.communicate()


def number(text):
    """Return the last number that gdb printed."""
    return int(re.findall(r"0x[0-9a-f]+|\d+", text)[-1], 0)


def test_source_level(debugged):
    monitor = debugged("smp", "--vcpus", "2", "--append", "increments=100", "--wait")
    replies = monitor.gdb(
        "print $pc == (long) &pvh_entry",
        "break inner if depth == 2",
        "continue",
        "backtrace",
        "print depth",
        "print inner_calls",
        "set scheduler-locking on",  # the other vCPU comes here, too
        "finish",
        "info locals",
        "ptype progress[0]",
        "print progress[0].private_word",
        "info breakpoints",
        "delete",
    )
    start, _, hit, frames, depth, calls, _, finished, _, shape, word, table, _ = replies
    assert number(start) == 1
    assert re.search(r"hit Breakpoint 1, inner \(depth=(depth@entry=)?2\)", hit)
    assert re.search(r"#0 +inner .*in inner .*in middle .*in outer .*_main", frames, re.DOTALL)
    assert (number(depth), number(calls)) == (2, 0)
    assert "Value returned is $" in finished
    assert "private_word" in shape
    assert number(word) == 0x1000
    assert "already hit 1 time" in table
    assert (monitor.finish()[0].splitlines()[-1], monitor.process.returncode) == ("PASS", 0)


def test_attach_while_running_and_let_it_finish(debugged):
    monitor = debugged("smp", "--vcpus", "2", "--append", f"increments={INCREMENTS}")
    time.sleep(1.0)  # until both count, though any moment will do
    replies = monitor.gdb(
        "info threads",
        "print shared_counter",
        "tbreak count_one",
        "continue",
        "print shared_counter",
        "set variable increments = 1000 + (progress[0].increments > progress[1].increments"
        " ? progress[0].increments : progress[1].increments)",
        "print increments",
        "detach",
    )
    threads, before, _, hit, after, _, end, left = replies
    assert len(re.findall(r"^\*?\s+\d+\s+Thread", threads, re.MULTILINE)) == 2
    assert re.search(r"Temporary breakpoint 1, .*count_one", hit)
    assert number(after) >= number(before)
    assert "detached" in left
    printed, status = monitor.finish()
    total = 2 * number(end)
    assert f"ok counter {total} of {total}" in printed
    assert (printed.splitlines()[-1], status) == ("PASS", 0)


@pytest.mark.slow
def test_attach_again(debugged):
    monitor = debugged("smp", "--vcpus", "2", "--append", f"increments={INCREMENTS}")
    time.sleep(1.0)
    first = number(monitor.gdb("print shared_counter")[0])
    time.sleep(0.3)
    second = monitor.gdb("print shared_counter")[0]
    assert number(second) > first


@pytest.mark.slow
def test_instructions_one_by_one(debugged):
    monitor = debugged("smp", "--vcpus", "2", "--append", "increments=100", "--wait")
    replies = monitor.gdb(
        "break *outer",
        "continue",
        "delete",  # the other vCPU comes here, too
        "x/2i $pc",
        "stepi",
        "print $pc - (long) outer",
        "x/2i outer",
        "nexti 2",
        "print $pc - (long) outer",
        "info registers rip",
        "continue",
    )
    _, hit, _, listing, _, moved, again, _, further, _, end = replies
    assert "hit Breakpoint 1" in hit
    assert len(re.findall(r"<outer\+?\d*>:", listing)) == 2
    second = re.findall(r"<outer\+(\d+)>:", again)[0]
    assert number(moved) == int(second)
    assert number(further) > number(moved)
    assert "exited normally" in end
    assert monitor.finish()[1] == 0


@pytest.mark.slow
def test_registers_and_memory_change_the_guest(debugged):
    monitor = debugged("smp", "--vcpus", "2", "--append", "increments=100", "--wait")
    replies = monitor.gdb(
        "break *outer if $rdi == 0",
        "continue",
        "set $rsi = 3",
        "print (int) $rsi",
        "set variable inner_calls = 1000",
        "delete",
        "tbreak check",
        "continue",
        "print inner_calls",
        "continue",
    )
    assert number(replies[3]) == 3
    assert number(replies[8]) in (1004, 1004 + 6)  # the other vCPU makes six calls meanwhile
    assert "exited with code 01" in replies[9]
    printed, status = monitor.finish()
    assert "FAIL calls outer returned 6" in printed
    assert (printed.splitlines()[-1], status) == ("FAIL", 1)


@pytest.mark.slow
def test_watchpoint(debugged):
    """In hardware where the backend offers it, else gdb steps."""
    monitor = debugged("smp", "--vcpus", "2", "--append", "increments=10", "--wait")
    replies = monitor.gdb(
        "break *outer if $rdi == 0",
        "continue",
        "delete",
        "set scheduler-locking on",
        "watch inner_calls",
        "continue",
        "print inner_calls",
        "set can-use-hw-watchpoints 0",
        "delete",
        "watch inner_calls",
        "continue",
        "backtrace 1",
        "print inner_calls",
    )
    hardware, again, frames, calls = replies[5], replies[10], replies[11], replies[12]
    count = number(replies[6])
    refused = "Could not insert hardware watchpoint" in hardware
    assert refused or re.search(r"Old value = \d+\nNew value = \d+", hardware)
    assert re.search(r"Old value = \d+\nNew value = \d+", again)
    assert "inner" in frames
    assert number(calls) == count + 1


def test_vcpus_are_threads_with_their_own_tables(debugged):
    monitor = debugged("smp", "--vcpus", "2", "--append", "increments=100", "--wait")
    replies = monitor.gdb(
        "tbreak guest_main",  # its mode is another one: from here on gdb has other registers
        "continue",
        "break *outer if $rdi == 1",
        "continue",
        "info threads",
        "thread apply all print/x $cr3",
        "print/x *(long *) 0x8000000000",
        "thread 1",
        "print/x *(long *) 0x8000000000",
        "print/x *(long *) private_pages[1]",
        "thread apply all backtrace 1",
        "delete",
        "continue",
    )
    _, _, _, _, listing, tables, second, _, first, page, frames, _, end = replies
    assert re.search(r"\* .*vCPU 1.* outer ", listing)
    assert len(set(re.findall(r"= (0x\w+)", tables))) == 2
    assert (number(first), number(second), number(page)) == (0x1000, 0x1001, 0x1001)
    assert frames.count("#0 ") == 2
    assert "exited normally" in end
    assert monitor.finish()[1] == 0


def test_device_registers(debugged):
    monitor = debugged("pci_lister", "--device", "edu", "--wait")
    replies = monitor.gdb(
        "break guest_main",
        "continue",
        "monitor map",
        "x/wx 0xf0000000",
        "set {int} 0xf0000004 = 0x12345678",
        "x/wx 0xf0000004",
        "x/wx 0xe0000000",
        "set {int} 0xfec00000 = 1",
        "x/wx 0xfec00010",
    )
    board, identity, liveness, ecam, pins = (
        replies[2],
        number(replies[3]),
        number(replies[5]),
        number(replies[6]),
        number(replies[8]),
    )
    assert "ECAM" in board
    assert identity == 0x0100_00ED
    assert liveness == 0xEDCB_A987
    assert ecam & 0xFFFF in (0x8086, 0x1B36)
    in_kernel = "kernel" in monitor.process.args  # no device of this process then
    assert in_kernel or pins >> 16 & 0xFF == 23
