# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""One debugger's connection without its socket: what both servers do alike.

What arrives is given to the stub one packet at a time, and no packet while too much is waiting to
be sent. So a debugger that asks and never reads costs the bound of its output and no more.
"""

from __future__ import annotations

import sys
import threading
from typing import ClassVar, Final, Protocol

from vmmkit.errors import StubConfigError
from vmmkit.gdb.target import CONTINUE, Stop, Target

__all__ = [
    "Conversation",
    "Holder",
    "StubSurface",
    "SwitchInterval",
    "check_interval",
    "check_status",
    "refusal",
]

RECEIVE_SIZE: Final = 0x10000  # bytes taken from a socket at once; more gains nothing
HELD_LIMIT: Final = RECEIVE_SIZE
OUTPUT_LIMIT: Final = 0x10_0000
PART_SECONDS: Final = 1.0  # that a socket stays, at most, after the last has been said on it
LEAVE_SECONDS: Final = 2.0  # that a server which is closed waits for the target to stop, at most
CHECKSUM_DIGITS: Final = 2
LAST_STATUS: Final = 0xFF


class StubSurface(Protocol):
    """What a server uses of a stub."""

    @property
    def busy(self) -> bool:
        """Whether a long operation is under way, and `work` is to be called."""
        ...

    @property
    def finished(self) -> bool:
        """Whether the conversation is over once all is sent."""
        ...

    @property
    def leaving(self) -> bool:
        """Whether a debugger has gone, and `pump` is to be called after a wake until this ends."""
        ...

    def attach(self) -> object:
        """A debugger has connected."""
        ...

    def receive(self, data: bytes, /) -> bytes:
        """Take what came; return what to send."""
        ...

    def pump(self) -> bytes:
        """Look after a wake; return what to send."""
        ...

    def work(self) -> bytes:
        """Do a slice of the long operation; return what to send."""
        ...

    def disconnect(self) -> object:
        """The debugger has gone."""
        ...

    def exited(self, status: int, /) -> bytes:
        """The machine has ended; return what to send."""
        ...


def refusal(reason: str) -> bytes:
    """Return what a debugger is told that is not wanted, as the answer to its first packet.

    An acknowledgement and an error reply with a text. GDB shows it as "Remote failure reply:
    E.refused: ..." and then says that the connection is closed. Errors with a text are told to
    debuggers here that never said they know them, as nothing has been said yet; those that do not
    see an error reply of an unknown number, and the same end.
    """
    text = f"E.refused: {reason}".encode("ascii", "replace")
    return b"+$%b#%02x" % (text, sum(text) & 0xFF)


class Conversation:
    """Gives the stub what a debugger sends: in order, one packet at a time, within bounds.

    A packet waits while more than `output_limit` bytes of answers do, or while a long operation is
    under way. What is between packets (the interrupt byte) does not wait for a long operation.
    Every method takes how many bytes wait to be sent, and returns what to send behind them.
    """

    def __init__(self, stub: StubSurface, output_limit: int = OUTPUT_LIMIT) -> None:
        """Begin with a stub that has been attached, or is about to be."""
        self._stub: Final = stub
        self._output_limit = output_limit
        self._held = b""
        self._owes_pump = False

    def can_resume(self, unsent: int) -> bool:
        """Return whether something has waited that need not wait longer."""
        return bool(self._held) and unsent <= self._output_limit and not self._stub.busy

    def wants_input(self, unsent: int) -> bool:
        """Return whether more is to be read from the connection."""
        return unsent <= self._output_limit and len(self._held) <= HELD_LIMIT

    def receive(self, data: bytes, unsent: int) -> bytes:
        """Take what was read, which is `RECEIVE_SIZE` bytes at most."""
        if self._held or self._stub.busy or unsent > self._output_limit:
            return self._receive_apart(self._held + data, unsent)
        if 0 <= data.find(b"#") < len(data) - CHECKSUM_DIGITS - 1:
            return self._receive_apart(data, unsent)
        return self._stub.receive(data)

    def pump(self, unsent: int) -> bytes:
        """Look at the stub after it has asked for that, or later where too much is unsent."""
        self._owes_pump = True
        return self.resume(unsent)

    def work(self, unsent: int) -> bytes:
        """Do a slice of a long operation, and what waits for it if it was the last."""
        answer = self._stub.work()
        return answer + self.resume(unsent + len(answer))

    def resume(self, unsent: int) -> bytes:
        """Do what has waited, as far as it need not wait longer."""
        answer = b""
        if self._owes_pump and unsent <= self._output_limit:
            self._owes_pump = False
            answer = self._stub.pump()
        if self._held:
            answer += self._receive_apart(self._held, unsent + len(answer))
        return answer

    def _receive_apart(self, data: bytes, unsent: int) -> bytes:
        answers = []
        start = 0
        while start < len(data) and unsent <= self._output_limit and not self._stub.finished:
            stop = self._piece(data, start)
            if stop == start:
                break
            answers.append(self._stub.receive(data[start:stop]))
            unsent += len(answers[-1])
            start = stop
        self._held = data[start:]
        return b"".join(answers)

    def _piece(self, data: bytes, start: int) -> int:
        """Return where the next piece stops: a whole packet at most, or what is before one."""
        if self._stub.busy:
            found = data.find(b"$", start)
            return len(data) if found < 0 else found
        found = data.find(b"#", start)
        return len(data) if found < 0 else min(found + 1 + CHECKSUM_DIGITS, len(data))


def check_status(status: int | None) -> None:
    """Check an exit status.

    Raises:
        StubConfigError: it is neither `None` nor a number from 0 to 255.
    """
    if status is None:
        return
    if not isinstance(status, int) or not 0 <= status <= LAST_STATUS:
        raise StubConfigError(f"an exit status is from 0 to {LAST_STATUS}, not {status!r}")


def check_interval(seconds: float | None) -> None:
    """Check a switch interval.

    Raises:
        StubConfigError: it is not a positive number of seconds, of at most one.
    """
    if seconds is None:
        return
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= 1:
        raise StubConfigError(f"switch_interval is above 0 and at most 1 second, not {seconds!r}")


class Holder:
    """Holds a target that no debugger has come to yet; the report that its stop is given."""

    def __init__(self, target: Target) -> None:
        """Ask the target to stop."""
        self._target = target
        self._holds = True
        target.stop(self)

    def __call__(self, _stops: object = ()) -> None:
        """Hear that all stand; there is nobody to tell."""

    def counts(self, _stop: Stop) -> bool:
        """Let every stop be one."""
        return True

    def pass_on(self) -> None:
        """Leave the target, as it stands, to a stub, which lets it go."""
        self._holds = False

    def release(self) -> None:
        """Let the target go, unless a stub has it."""
        if self._holds:
            self._holds = False
            self._target.resume(dict.fromkeys(self._target.vcpus(), CONTINUE), None)


class SwitchInterval:
    """The interpreter's switch interval while debuggers are connected: the least one wanted.

    A thread that computes in Python keeps the others waiting for as long as this interval (5 ms
    unless set), and so does a vCPU in Python with every packet of the debugger's.
    """

    _lock: ClassVar = threading.Lock()
    _wanted: ClassVar[list[float]] = []
    _before: ClassVar[float] = 0.0

    @classmethod
    def want(cls, seconds: float) -> None:
        """Set the interval, or leave it where it is less already."""
        with cls._lock:
            if not cls._wanted:
                cls._before = sys.getswitchinterval()
            cls._wanted.append(seconds)
            sys.setswitchinterval(min(cls._before, *cls._wanted))

    @classmethod
    def drop(cls, seconds: float) -> None:
        """Undo one `want` of the same interval; after the last one all is as before."""
        with cls._lock:
            cls._wanted.remove(seconds)
            sys.setswitchinterval(min([cls._before, *cls._wanted]))
