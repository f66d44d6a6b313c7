# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The stub: a debugger's bytes on one side, a target on the other.

Theory of operation: the stub
-----------------------------
`Stub` owns no socket and no thread. A shell gives it what it has read and sends what it returns:
`receive` for bytes, `pump` after `wake` was called, `work` while `busy`. `wake` is the one thing
that may be called from other threads than the shell's: a target reports its stops where it likes.

Packets are answered in their order, one after the other: while the vCPUs are being stopped for a
debugger that has just come, and while a long operation goes on, they wait. Only the interrupt is
looked at meanwhile.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Generator
from functools import partial
from threading import get_ident
from typing import Final, TypeVar

from vmmkit.errors import GdbError
from vmmkit.gdb._said_texts import SaidTexts
from vmmkit.gdb._target_access import TargetAccess
from vmmkit.gdb.breakpoints import BreakpointTable
from vmmkit.gdb.options import Capabilities, StubOptions
from vmmkit.gdb.packets import ALL_PACKETS
from vmmkit.gdb.packets.table import PacketError
from vmmkit.gdb.run_control import RunControl
from vmmkit.gdb.session import Event, Interrupt, Packet, Session
from vmmkit.gdb.spec import ErrorCode
from vmmkit.gdb.target import CONTINUE, BreakpointKind, Target
from vmmkit.gdb.threads import ThreadIds

__all__ = ["Stub"]

T = TypeVar("T")
LOG: Final = logging.getLogger("vmmkit.gdb")
NOBODY: Final = 0  # no thread has this identity
MOST_PACKETS: Final = 64  # that may wait; no debugger sends two at once
LONGEST_MESSAGE: Final = 400  # of an error; the smallest packet holds it in hex too
PRINTABLE: Final = bytes(
    byte if 0x20 <= byte < 0x7F and byte not in b"#$}*" else ord(".") for byte in range(256)
)
Inserted = tuple[BreakpointKind, int, int, int]
"""Kind, vCPU, address and size of a breakpoint that the target has."""


class Stub(TargetAccess):
    """A debugger's counterpart, without the connection.

    Args:
        target: what is debugged.
        options: settings, `StubOptions()` without them.
        wake: called, on any thread, when `pump` has something to do.

    Attributes:
        target: what is debugged.
        capabilities: what it can do, as found when the debugger came.
        options: the settings.
        session: the framing.
        features: what the debugger said that it understands.
        selected: the vCPU that packets without a thread are about.
        resumed: the vCPU that `c` and `s` are about, or `None` for all.
        unlisted: vCPUs that qsThreadInfo is still to list.
        thread_list: the XML that the debugger is reading in pieces.
        threads: the debugger's names of vCPUs.
        breakpoints: what the debugger has inserted.
        run: who runs, who stands.
        mode: bits that the debugger is to be told at the next opportunity, or `None` to follow.
        brief: whether `g` has the first registers only.
        knows_layout: whether the debugger is known to have taken the description, or not to.
        lists_threads: whether stop replies list all threads.
        error_strings: whether errors carry their text after the number, as LLDB has it.
        finished: whether the connection is to be closed once everything is sent.

    Raises:
        StubConfigError: `target` lacks a method that every target has.
    """

    def __init__(
        self,
        target: Target,
        options: StubOptions | None = None,
        wake: Callable[[], object] = lambda: None,
    ) -> None:
        """Prepare for a debugger; `attach` when it comes."""
        self.target = target
        self.options = StubOptions() if options is None else options
        self.capabilities = Capabilities.of(target)
        self._wake = wake
        self._thread = get_ident()
        self._attached = self._leaving = False
        self._leftovers: list[Inserted] = []
        self._said = SaidTexts()
        self.run = RunControl(self)
        self._begin()

    def _begin(self) -> None:
        """Forget everything that belongs to one debugger."""
        options = self.options
        self.session = Session(options.packet_size, run_length=options.run_length)
        self.features = frozenset()
        self.threads = ThreadIds()
        self.mode = options.mode
        self.lists_threads = self.error_strings = self.finished = False
        self.thread_suffix = False
        self.selected = min(self.attempt(self.vcpus, list[int]()), default=0)
        self.resumed: int | None = None
        self.unlisted: list[int] = []
        self.thread_list = b""
        self._values = {}
        self._description = None
        self.brief, self.knows_layout, self._rejected = False, True, False
        self._packets: deque[Event] = deque()
        self._operation: Generator[None, None, bytes] | None = None
        self._attaching = False
        self._resumes = True
        self.breakpoints = BreakpointTable(self._read_register, self._read_number, self.say)

    # -- for the shell ---------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether `work` has something to do."""
        return self._operation is not None or self.run.unsettled

    @property
    def leaving(self) -> bool:
        """Whether a debugger has gone whose breakpoints are still to be removed."""
        return self._leaving

    def attach(self) -> None:
        """Begin with a debugger that has just connected: stop the vCPUs."""
        self._thread = get_ident()
        self.capabilities = Capabilities.of(self.target)
        # What a debugger has left that went while vCPUs ran is removed when they stand.
        self._leftovers += self.breakpoints.clear()
        was_attached = self._attached
        self.run = RunControl(self)
        self._begin()
        self._leaving, self._attached, self._attaching = False, True, True
        if self.capabilities.attach_listener and not was_attached:
            self._tell_target("debugger_attached")
        self._guarded(self.run.attach)
        self._settle()
        self._thread = NOBODY

    def receive(self, data: bytes | memoryview) -> bytes:
        """Take what the debugger has sent; return what is to be sent to it.

        What makes no sense is answered with an error or skipped; nothing is raised.
        """
        self._thread = get_ident()
        for event in self.session.receive(data):
            if isinstance(event, Interrupt) and self._operation is not None and not self._packets:
                self._abort()
            elif len(self._packets) < MOST_PACKETS:
                self._packets.append(event)
            self._take_turns()  # as far as they need not wait, so that they are not too many
        return self._turn()

    def pump(self) -> bytes:
        """Look at what the target has reported; return what is to be sent."""
        self._thread = get_ident()
        return self._turn()

    def work(self) -> bytes:
        """Go on with a long operation for about a millisecond; return what is to be sent."""
        self._thread = get_ident()
        if self._operation is not None:
            self._go_on()
        return self._turn()

    def disconnect(self) -> None:
        """Clean up after a debugger that has gone: breakpoints are removed, vCPUs resumed.

        While vCPUs run they are stopped first: call `pump` after `wake` until `leaving` is false.
        """
        self._thread = get_ident()
        self._packets.clear()
        self._abandon()
        if self._attached:
            self._leaving = True
            self._stop_to_leave()
            self._settle()
        self._thread = NOBODY

    def exited(self, status: int) -> bytes:
        """Tell the debugger that the machine has ended; return what is to be sent."""
        self._thread = get_ident()
        if self._attached:
            self.run.exited(status)
        self.finished = True
        self._thread = NOBODY
        return self.session.data_to_send()

    # -- the order of things ---------------------------------------------------------------------

    def woken(self) -> None:
        """Have the shell call `pump`, unless it is within a call of its own and looks anyway."""
        if get_ident() != self._thread:
            self._wake()

    def _turn(self) -> bytes:
        self._take_turns()
        self._thread = NOBODY
        return self.session.data_to_send()

    def _take_turns(self) -> None:
        self._settle()
        while self._packets and not self._blocked() and not self.finished:
            event = self._packets.popleft()
            if isinstance(event, Packet):
                self._answer(event.data)
            elif isinstance(event, Interrupt):
                self._guarded(self.run.interrupt)
            else:
                self._reply_error(PacketError(ErrorCode.TOO_LARGE, "the packet is too large"))
            self._settle()

    def _settle(self) -> None:
        self.run.settle()
        if self.run.awaited:
            self.show_what_was_said()
        if self.run.any_running or self.run.unsettled:
            return
        self._attaching = False
        self._remove(self._leftovers)
        if self._leaving:
            self._leave()

    def _blocked(self) -> bool:
        return self._operation is not None or self._attaching or self._leaving

    def _answer(self, packet: bytes) -> None:
        handler, rest = ALL_PACKETS.find(packet)
        if handler is None:
            self.session.reply(b"")
            return
        try:
            reply = handler(self, rest)
            if isinstance(reply, Generator):
                self._operation = reply
                self._go_on()
            elif reply is not None:
                self.session.reply(reply)
        except Exception as error:  # noqa: BLE001 - whatever a target does, debugging goes on
            self._reply_error(error)

    def _go_on(self) -> None:
        """Do one slice of a long operation."""
        assert self._operation is not None
        try:
            next(self._operation)
        except StopIteration as end:
            self._operation = None
            self.session.reply(end.value)
        except Exception as error:  # noqa: BLE001 - as in `_answer`
            self._operation = None
            self._reply_error(error)

    def _abandon(self) -> None:
        if self._operation is not None:
            self._operation.close()
            self._operation = None

    def _abort(self) -> None:
        self._abandon()
        self._reply_error(PacketError(ErrorCode.ABORTED, "interrupted"))

    def _reply_error(self, error: Exception) -> None:
        """Answer with a number, or with text where the debugger can show it.

        A debugger that has not said so takes "E.text" for data (manual, "Standard Replies").
        """
        code, message = ErrorCode.TARGET, str(error)
        if isinstance(error, PacketError):
            code, message = error.code, error.message
        elif not isinstance(error, GdbError):
            LOG.warning("the target failed", exc_info=error)
            message = f"{type(error).__name__}: {error}"
        reply = b"E%02x" % code
        if message and "error-message" in self.features:
            reply = b"E." + _printable(message)
        elif message and self.error_strings:
            reply += b";" + _printable(message).hex().encode()
        self.session.reply(reply)

    # -- coming and going ------------------------------------------------------------------------

    def detach(self, *, resume: bool = True) -> None:
        """Remove breakpoints, resume everything, and be finished with this debugger.

        Without `resume` the machine has ended: nothing runs, and no report will come.
        """
        self._resumes = resume
        if not resume:
            self.run = RunControl(self)
        self.finished = True
        self._leaving = True
        self._stop_to_leave()

    def _stop_to_leave(self) -> None:
        """Stop what runs; a target that fails here has lost its chance to be cleaned up."""
        self._guarded(self.run.leave)

    def _leave(self) -> None:
        self._leaving = self._attached = False
        self.forget_breakpoints()
        if self._resumes:
            self._guarded(self._resume_freely)
        if self.capabilities.attach_listener:
            self._tell_target("debugger_detached")
        self.run = RunControl(self)

    def forget_breakpoints(self) -> None:
        """Remove all breakpoints: to the debugger they are gone with another program."""
        self._remove(self.breakpoints.clear())

    def _resume_freely(self) -> None:
        self.target.resume(dict.fromkeys(self.vcpus(), CONTINUE), None)

    def _remove(self, inserted: list[Inserted]) -> None:
        while inserted:
            self._guarded(partial(self._remove_one, *inserted.pop()))

    def _remove_one(self, kind: BreakpointKind, vcpu: int, address: int, size: int) -> None:
        self.target.remove_breakpoint(kind, vcpu, address, size)

    def _tell_target(self, method: str) -> None:
        self._guarded(getattr(self.target, method))

    def _guarded(self, action: Callable[[], object]) -> None:
        """Do what a target may fail at while nobody waits for an answer."""
        self.attempt(action, None)

    # -- for the functions that answer packets -----------------------------------------------------

    def attempt(self, action: Callable[[], T], otherwise: T) -> T:
        """Return what an action of the target's gives, or something else where it fails."""
        try:
            return action()
        except Exception as error:
            LOG.warning("the target failed", exc_info=error)
            return otherwise

    def say(self, text: str) -> None:
        """Show text to the debugger's user as soon as the debugger may be told; on any thread.

        It may while it waits for a stop or for a monitor command, and in non-stop mode only for
        the latter (manual, "Stop Reply Packets", `O`).
        """
        self._said.put(text)
        self.woken()

    def show_what_was_said(self) -> None:
        """Show what has been said, as is legal now."""
        for text in self._said.take():
            self.show(text)

    def show(self, text: str) -> None:
        """Show text to the debugger's user, who can be shown it now."""
        size = self.options.packet_size // 2 - 1
        data = text.encode("utf-8", "replace")
        for start in range(0, len(data), size):
            self.session.reply(b"O" + data[start : start + size].hex().encode())


def _printable(text: str) -> bytes:
    """ASCII without control characters and the framing's own; as much as anybody reads."""
    plain = text[:LONGEST_MESSAGE].encode("ascii", "replace")
    return plain.translate(PRINTABLE)
