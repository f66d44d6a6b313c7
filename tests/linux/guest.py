# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A Linux guest in QEMU, from its start to its own end.

QEMU runs with -no-reboot, so that it ends when the guest powers off and when the guest resets; the
SHUTDOWN event on its monitor (QMP) says which of the two it was. Nothing else ends it here, except
the time limit, and that is a failure which shows the last lines of the console.

The emulator is always TCG. With KVM inside another virtual machine, kernels were seen to stop
before their first line.
"""

from __future__ import annotations

import json
import selectors
import socket
import subprocess
import time
from collections.abc import Sequence
from typing import NamedTuple

from linux.report import Report

PATIENCE = 60  # seconds; a boot takes 2 to 5
TAIL = 40  # lines of the console in the message of a failure
ASK = b"@ask "  # the guest wants a command of the monitor


class GuestError(AssertionError):
    """The guest hung or broke off; the message ends with what it said last."""

    def __init__(self, what: str, console: str) -> None:
        tail = "\n".join(console.replace("\r", "").splitlines()[-TAIL:])
        super().__init__(f"{what}; the console's last {TAIL} lines:\n{tail}")
        self.console = console


class Outcome(NamedTuple):
    """How a guest ended and what it said."""

    reason: str  # of QEMU's SHUTDOWN event: "guest-shutdown", "guest-reset", ...
    console: str
    seconds: float
    qemu_said: str  # on its standard error

    @property
    def report(self) -> Report:
        """The guest's answers; `GuestError` if it did not give them all."""
        report = Report(self.console)
        if not report.complete:
            said = f"QEMU said: {self.qemu_said or 'nothing'}"
            raise GuestError(f"no whole report before {self.reason}; {said}", self.console)
        return report


class Guest:
    """One QEMU with its console on a pipe and its monitor on a socket pair."""

    def __init__(self, program: str, options: Sequence[str]) -> None:
        self.qmp, theirs = socket.socketpair()
        monitor = (
            "-chardev",
            f"socket,id=qmp,fd={theirs.fileno()}",
            "-mon",
            "chardev=qmp,mode=control",
        )
        fixed = ("-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio", *monitor)
        with theirs:
            self.process = subprocess.Popen(
                [program, *fixed, *options],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
            )
        self.console = bytearray()
        self.answers = bytearray()
        self.asked = 0  # the console up to here was searched for commands
        self.execute("qmp_capabilities")

    def execute(self, command: str) -> None:
        self.qmp.sendall(json.dumps({"execute": command}).encode() + b"\n")

    def obey(self) -> None:
        """Give the monitor the commands in the console's whole lines that are new."""
        end = self.console.rfind(b"\n") + 1
        for line in bytes(self.console[self.asked : end]).splitlines():
            if line.startswith(ASK):
                self.execute(line.removeprefix(ASK).decode().strip())
        self.asked = end

    def collect(self, deadline: float) -> None:
        """Read console and monitor until QEMU closes both."""
        with selectors.DefaultSelector() as open_ends:
            open_ends.register(self.process.stdout, selectors.EVENT_READ, self.console)
            open_ends.register(self.qmp, selectors.EVENT_READ, self.answers)
            while open_ends.get_map():
                ready = open_ends.select(max(0.0, deadline - time.monotonic()))
                if not ready:
                    raise GuestError("the guest did not end in time", self.text)
                for key, _ in ready:
                    data = read(key.fileobj)
                    key.data.extend(data)
                    if not data:
                        open_ends.unregister(key.fileobj)
                self.obey()

    @property
    def text(self) -> str:
        return self.console.decode(errors="replace")

    @property
    def reason(self) -> str:
        """Why QEMU ended, from its last SHUTDOWN event."""
        events = [json.loads(line) for line in self.answers.splitlines()]
        reasons = [event["data"]["reason"] for event in events if event.get("event") == "SHUTDOWN"]
        return reasons[-1] if reasons else "no SHUTDOWN event"

    def run(self, patience: float = PATIENCE) -> Outcome:
        """Wait for the guest's end; raise `GuestError` if there is none in time."""
        start = time.monotonic()
        try:
            self.collect(start + patience)
        finally:
            self.process.kill()
            stderr = self.process.communicate()[1].decode(errors="replace").strip()
            self.qmp.close()
        return Outcome(self.reason, self.text, time.monotonic() - start, stderr)


def read(end: object) -> bytes:
    """Return what a pipe or a socket has; nothing at its end."""
    try:
        return end.recv(65536) if isinstance(end, socket.socket) else end.read1(65536)
    except ConnectionResetError:
        return b""
