# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The monitor at a terminal, and what is left when it has ended."""

import fcntl
import json
import os
import pty
import select
import signal
import subprocess
import termios
import time

import pytest

from examples.monitor_program import (
    CHATTER,
    ECHO,
    HALT,
    PRINT,
    SECONDS,
    SOFT,
    SPIN,
    command,
    flat,
    kvm,
)

CTRL_A, CTRL_C = b"\x01", b"\x03"
MACHINES = [SOFT[0], kvm("kernel", pytest.mark.slow)]  # who runs the guest hardly matters here


class Terminal:
    """A terminal with a monitor at it."""

    def __init__(self, *arguments):
        self.fd, other = pty.openpty()
        self.before = termios.tcgetattr(self.fd)
        self.running = subprocess.Popen(
            command(*arguments), stdin=other, stdout=other, stderr=subprocess.PIPE
        )
        os.close(other)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.running.kill()
        self.running.wait()
        self.running.stderr.close()
        os.close(self.fd)

    def raw(self):
        """Wait until keys are no longer handled by the terminal."""
        last = time.monotonic() + SECONDS
        while termios.tcgetattr(self.fd)[3] & termios.ICANON:
            assert time.monotonic() < last
            time.sleep(0.02)

    def type(self, keys):
        os.write(self.fd, keys)

    def shown(self, size):
        """Return what the guest prints, as far as `size` characters."""
        text = b""
        while len(text) < size and select.select([self.fd], [], [], SECONDS)[0]:
            text += os.read(self.fd, size - len(text))
        return text


@pytest.mark.parametrize("backend", MACHINES)
def test_keys_are_the_guests(tmp_path, backend):
    with Terminal(*backend, *flat(tmp_path, ECHO)) as terminal:
        terminal.raw()
        terminal.type(b"abc" + CTRL_C + CTRL_A + CTRL_A + CTRL_A + b"?d")
        assert terminal.shown(6) == b"abc" + CTRL_C + CTRL_A + b"d"
        terminal.type(b"q")
        assert terminal.running.wait(SECONDS) == 5
        assert termios.tcgetattr(terminal.fd) == terminal.before


@pytest.mark.parametrize("backend", MACHINES)
@pytest.mark.parametrize("code", [ECHO, SPIN], ids=["echo", "spin"])
def test_ctrl_a_x_ends_the_monitor(tmp_path, backend, code):
    with Terminal(*backend, *flat(tmp_path, code)) as terminal:
        terminal.raw()
        terminal.type(CTRL_A + b"x")
        assert terminal.running.wait(SECONDS) == 0
        assert termios.tcgetattr(terminal.fd) == terminal.before


@pytest.mark.parametrize("backend", MACHINES)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_it_in_order(tmp_path, backend, number):
    trace = tmp_path / "trace.json"
    with Terminal(*backend, *flat(tmp_path, SPIN), "--trace", trace) as terminal:
        terminal.raw()
        time.sleep(0.2)
        terminal.running.send_signal(number)
        assert terminal.running.wait(SECONDS) == 128 + number
        assert termios.tcgetattr(terminal.fd) == terminal.before
        assert b"Traceback" not in terminal.running.stderr.read()
    assert trace.read_text().startswith("{")


@pytest.mark.parametrize("backend", MACHINES)
def test_somebody_is_impatient(tmp_path, backend):
    trace = tmp_path / "trace.json"
    arguments = (*backend, "--vcpus", "8", "--trace", trace, *flat(tmp_path, SPIN))
    with Terminal(*arguments) as terminal:
        terminal.raw()
        time.sleep(0.2)
        last = time.monotonic() + SECONDS
        while terminal.running.poll() is None:
            assert time.monotonic() < last
            terminal.running.send_signal(signal.SIGINT)
            time.sleep(0.002)
        assert terminal.running.returncode == 128 + signal.SIGINT
        assert b"Traceback" not in terminal.running.stderr.read()
    assert json.loads(trace.read_text())


def test_the_terminal_goes_away(tmp_path):
    with Terminal("--backend", "soft", *flat(tmp_path, HALT)) as terminal:
        terminal.raw()
        os.close(terminal.fd)
        terminal.fd = os.open(os.devnull, os.O_RDONLY)
        assert terminal.running.wait(SECONDS) == 4
        assert b"Traceback" not in terminal.running.stderr.read()


def test_nobody_reads_the_console(tmp_path):
    with subprocess.Popen(
        command("--backend", "soft", *flat(tmp_path, ECHO)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        running.stdout.close()
        try:
            _, said = running.communicate(b"abc", timeout=SECONDS)
        finally:
            running.kill()
    assert running.returncode == 1
    assert b"nobody reads the console" in said


@pytest.mark.parametrize("backend", MACHINES)
def test_a_reader_that_sleeps_does_not_keep_it(tmp_path, backend):
    with subprocess.Popen(
        command(*backend, "--seconds", "1", *flat(tmp_path, CHATTER)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pipesize=4096,
    ) as running:
        try:
            assert running.wait(SECONDS) == 124
        finally:
            running.kill()


def waiting(reading):
    """Return how many bytes there are in a pipe."""
    return int.from_bytes(fcntl.ioctl(reading, termios.FIONREAD, bytes(4)), "little")


def test_output_that_was_made_not_to_block(tmp_path):
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 8192)
    with subprocess.Popen(
        command("--backend", "soft", "--seconds", "1", *flat(tmp_path, CHATTER)),
        stdin=subprocess.DEVNULL,
        stdout=writing,
    ) as running:
        os.close(writing)
        try:
            with os.fdopen(reading, "rb") as shown:
                last = time.monotonic() + SECONDS
                while waiting(reading) < 4096:
                    assert time.monotonic() < last
                    time.sleep(0.02)
                time.sleep(0.3)  # the rest of the pipe
                assert len(shown.read()) > 8192
            assert running.wait(SECONDS) == 124
        finally:
            running.kill()


def closed(number, *arguments):
    """Run a monitor one of whose standard files is closed."""
    started = [
        "sh",
        "-c",
        f'exec "$@" {number}>&-',
        "sh",
        *command("--backend", "soft", *arguments),
    ]
    return subprocess.run(started, check=False, timeout=SECONDS, capture_output=True)


def test_standard_input_is_closed(tmp_path):
    done = closed(0, *flat(tmp_path, HALT))
    assert (done.returncode, b"waits for nothing" in done.stderr) == (4, True)


def test_a_disk_does_not_become_the_console(tmp_path):
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(4096))
    device = ("--device", f"virtio-blk,file={disk}")
    done = closed(1, *device, *flat(tmp_path, PRINT))
    assert (done.returncode, b"nobody reads the console" in done.stderr) == (1, True)
    assert disk.read_bytes() == bytes(4096)
    done = closed(2, *device, *flat(tmp_path, PRINT))
    assert (done.returncode, done.stdout) == (7, b"A")
