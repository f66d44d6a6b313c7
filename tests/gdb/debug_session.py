# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A guest on a software machine, served to real debuggers."""

import time
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread

from gdb.gdb_driver import Gdb, GdbRun, MachineInterface
from gdb.guest_machine import GuestMachine
from vmmkit.backends import MachineHalted, ThreadedMachine
from vmmkit.backends.machine_target import MachineTarget
from vmmkit.gdb.serve import serve

GUESTS = Path(__file__).parent / "guests"
SLICE = 20_000  # instructions
# What gdb 13 asks and the stub need not know: an empty reply is what the protocol has for that.
UNKNOWN = {"vMustReplyEmpty", "qTStatus", "qSymbol", "qOffsets"}


def line_of(source, text):
    """Return the number of the line of a guest's source that has some text."""
    lines = (GUESTS / source).read_text().splitlines()
    return 1 + next(number for number, line in enumerate(lines) if text in line)


def assert_clean(log, *, errors=(), unknown=()):
    """Check that no packet of gdb's was refused but those that may be.

    Args:
        errors: beginnings of packets that may be answered by an error.
        unknown: names of packets that may be unknown, besides the usual ones.
    """
    refused = [one for one in log.errors if not one[0].startswith(tuple(errors))]
    assert refused == []
    assert log.empty - UNKNOWN - set(unknown) == set()


class DebugSession:
    """A guest that runs on a thread of its own, as far as a debugger lets it.

    Args:
        folder: for gdb.
        guest: the machine.
        target: what makes a target of it.
        wait: whether it begins to run only when a debugger lets it.
        limit: of one run: how often the owner looks whether it is to end.
        options: of `serve`.
    """

    def __init__(self, folder, guest, *, wait=True, limit=SLICE, target=MachineTarget, **options):
        self.folder, self.guest, self._limit = folder, guest, limit
        self.target = target(guest.machine)
        self.server = serve(self.target, "tcp:127.0.0.1:0", wait=wait, **options)
        self.remote = self.server.address.removeprefix("tcp:")
        self.halted, self._closing, self._errors = Event(), Event(), []
        self._live = ExitStack()
        self._thread = Thread(target=self._run, name="guest")
        self._thread.start()

    def _run(self):
        try:
            while not self._closing.is_set():
                if isinstance(self.target.run(self._limit), MachineHalted):
                    self.halted.set()
                    time.sleep(0.002)
        except BaseException as error:  # noqa: BLE001 - the test is told when it ends
            self._errors.append(error)

    def close(self):
        """End the guest; raise what went wrong in it."""
        self._closing.set()
        self._live.close()
        self.server.close()
        self.target.end_run()
        self._thread.join(timeout=20)
        assert not self._thread.is_alive()
        assert self._errors == []

    def start(self, *commands, connect="target remote", files=None, before=(), logged=True):
        """Start a gdb with the symbols of the first program; it connects, and obeys commands."""
        programs = self.guest.programs[:1] if files is None else files
        opening = [*(f"file {program.elf}" for program in programs), *before]
        opening.append(f"{connect} {self.remote}")
        return Gdb(self.folder, [*opening, *commands], logged=logged)

    def gdb(self, *commands, **how):
        """Run commands in a gdb; return their outputs and the packets."""
        run = self.start(*commands, **how).result()
        return GdbRun(run.replies[-len(commands) :], run.log, run.output)

    def machine_interface(self):
        """Return a gdb that is driven over MI, not connected yet."""
        interface = MachineInterface(self.folder)
        self._live.callback(interface.kill)
        interface.command(f"file {self.guest.programs[0].elf}")
        return interface

    def await_(self, happened, seconds=60):
        """Wait until something is so."""
        until = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < until, "it does not happen"
            time.sleep(0.002)

    def await_progress(self, symbol="turns"):
        """Wait until a variable that the running guest counts up has grown."""
        before = self.guest.word(symbol, 8)
        self.await_(lambda: self.guest.word(symbol, 8) > before)


# The timer of a guest on the host's time leaves it something of the processor.
THREADED = {"machine": ThreadedMachine, "timer_hz": 1_000_000}
SECONDS = 0.05


def session_of(folder, programs, *, vcpus=1, threaded=False, **options):
    """Return a session with a machine of these programs, or one with a thread for each vCPU."""
    if threaded:
        guest = GuestMachine(*programs, vcpus=vcpus, **THREADED)
        return DebugSession(folder, guest, limit=SECONDS, **options)
    return DebugSession(folder, GuestMachine(*programs, vcpus=vcpus), **options)
