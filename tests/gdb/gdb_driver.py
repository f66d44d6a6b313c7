# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Runs a real gdb: as a batch of commands with a log of its packets, or live over MI."""

import os
import re
import subprocess
import time
from pathlib import Path
from signal import SIGINT
from typing import NamedTuple

import pytest

from gdb.packet_log import PacketLog, parse
from system_tools import require

SETTINGS = (
    *("set pagination off", "set confirm off", "set width 0", "set height 0"),
    *("set debuginfod enabled off", "set sysroot", "set auto-load no"),
    *("set tcp connect-timeout 5", "set remotetimeout 5", "set python print-stack full"),
)
MARK = re.compile(r"^@@(\d+)@@\n", re.MULTILINE)
SECONDS = 60
"""What a gdb may take at most; a run takes a fraction of a second."""
CRASHED = 128


class GdbRun(NamedTuple):
    """What a batch of commands gave."""

    replies: list[str]
    """gdb's output, for each command."""
    log: PacketLog
    output: str
    """All of it."""


def gdb_path():
    """Return gdb, or skip."""
    return require("gdb")


def _environment():
    """Return an environment without a sanitizer that is meant for this process alone."""
    kept = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    return kept | {"LC_ALL": "C", "TERM": "dumb"}


def _logging(log):
    """Return commands that write packets, and gdb's own words, to a file."""
    return (
        f"set logging file {log}",
        "set logging debugredirect on",
        "set logging enabled on",
        "set debug remote-packet-max-chars unlimited",
        "set debug remote 1",
    )


def _arguments(commands, log):
    settings = [*SETTINGS, *_logging(log)] if log else [*SETTINGS]
    marked = []
    for number, command in enumerate(commands):
        marked += [f"echo @@{number}@@\\n", command, "echo \\n"]
    marked.append(f"echo @@{len(commands)}@@\\n")  # before it says that it leaves
    return [word for command in (*settings, *marked) for word in ("-ex", command)]


class Gdb:
    """A gdb that works through a batch of commands.

    An error in one of them does not keep it from the next.

    Args:
        folder: for the log.
        commands: as typed by a user; none may take several lines.
        logged: whether to log packets, which makes large transfers slow.
    """

    def __init__(self, folder, commands, *, logged=True):
        self.commands = commands
        self._log = Path(folder) / f"packets-{time.monotonic_ns()}" if logged else None
        arguments = [gdb_path(), "-nx", "-q", "-batch", *_arguments(commands, self._log)]
        self._process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=_environment(),
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._until = time.monotonic() + SECONDS

    def log_text(self):
        """Return the log so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def await_packet(self, pattern, count=1):
        """Wait until a packet that matches has been sent so many times."""
        frame = re.compile(r"Sending packet: \$" + pattern)
        self.await_(lambda: len(frame.findall(self.log_text())) >= count)

    def await_(self, happened):
        """Wait for something to happen while gdb works."""
        while not happened():
            if self._process.poll() is not None or time.monotonic() > self._until:
                self._process.kill()
                pytest.fail(f"gdb has not come this far:\n{self._process.communicate()[0]}")
            time.sleep(0.005)

    def interrupt(self):
        """Press Ctrl-C."""
        self._process.send_signal(SIGINT)

    def die(self):
        """End it as a crash would."""
        self._process.kill()
        self._process.communicate(timeout=SECONDS)

    def result(self):
        """Wait for the end; return what it was."""
        try:
            output = self._process.communicate(timeout=max(1, self._until - time.monotonic()))[0]
        except subprocess.TimeoutExpired:
            self._process.kill()
            output = self._process.communicate()[0]
            pytest.fail(f"gdb takes too long:\n{output}\n{self._log_tail()}")
        code = self._process.returncode
        if code < 0 or code > CRASHED:
            pytest.fail(f"gdb itself has failed with exit code {code}:\n{output}")
        parts = MARK.split(output)[2:-2:2]
        log = parse(self.log_text()) if self._log else PacketLog([], [])
        return GdbRun([part.removesuffix("\n") for part in parts], log, output)

    def _log_tail(self):
        return self.log_text()[-2000:] if self._log else ""


class MachineInterface:
    """A gdb that is talked to over MI, which has an event loop, as background execution needs.

    Everything it says is kept in `lines`.
    """

    def __init__(self, folder):
        self._log = Path(folder) / f"packets-{time.monotonic_ns()}"
        self._process = subprocess.Popen(
            [gdb_path(), "-nx", "-q", "--interpreter=mi3"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=_environment(),
            start_new_session=True,
        )
        os.set_blocking(self._process.stdout.fileno(), False)
        self._rest, self._token = b"", 0
        self.lines = []
        for command in (*SETTINGS, *_logging(self._log)):
            self.command(command)

    def command(self, text, *, fails=False):
        """Run a command, of MI or of the console; return the lines up to its result.

        The result is the last one.
        """
        self._token += 1
        token, before = str(self._token), len(self.lines)
        if not text.startswith("-"):
            quoted = text.replace("\\", "\\\\").replace('"', '\\"')
            text = f'-interpreter-exec console "{quoted}"'
        self._process.stdin.write(f"{token}{text}\n".encode())
        self._process.stdin.flush()
        result = self.await_line(rf"{token}\^(done|running|connected|error|exit)", before)
        if ("^error" in result) is not fails:
            pytest.fail(f"{text}: {result}\n" + "\n".join(self.lines[-40:]))
        return self.lines[before:]

    def await_line(self, pattern, first=0):
        """Wait for a line that matches, from the line of number `first` on; return it."""
        until = time.monotonic() + SECONDS
        wanted = re.compile(pattern)
        while True:
            for line in self.lines[first:]:
                if wanted.match(line):
                    return line
            ended = self._process.poll() is not None
            if not self._read() and (ended or time.monotonic() > until):
                tail = "\n".join(self.lines[-40:])
                pytest.fail(f"gdb never said {pattern!r}:\n{tail}\n{self._log.read_text()[-2000:]}")

    def _read(self):
        """Take what gdb has said meanwhile; return whether there was anything."""
        data = self._process.stdout.read()
        if not data:
            time.sleep(0.002)
            return False
        *whole, self._rest = (self._rest + data).split(b"\n")
        self.lines += [line.decode(errors="replace") for line in whole]
        return True

    def close(self):
        """Leave gdb; return its packets."""
        self.command("-gdb-exit")
        self._process.stdin.close()
        self._process.wait(timeout=SECONDS)
        self._process.stdout.close()
        return parse(self._log.read_text(errors="replace"))

    def kill(self):
        """End it, if it has not ended."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(timeout=SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            pipe.close()
