# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Ending KVM_RUN from other threads.

Theory of operation
-------------------
A kick sets `immediate_exit` in struct kvm_run and sends a real-time signal to the thread that is in
KVM_RUN, if there is one. A KVM_RUN that has not begun yet finds the flag, one that has begun finds
the signal ("The Definitive KVM API Documentation", KVM_RUN and KVM_SET_SIGNAL_MASK). That thread
has the signal blocked, and only KVM_RUN lets it through; nobody handles it: it stays pending and is
fetched with sigtimedwait(2). So a signal can neither be lost before KVM_RUN nor hit anything else,
and no handler of the program's is replaced.

Whether a vCPU was kicked is a flag here and not the signal: KVM_RUN may also be interrupted by
other signals, for which the run goes on. The lock orders a kick and what the vCPU's thread does
about it. It also keeps that thread alive while it is sent the signal. A signal handler of Python's
may kick, too, at any place in the vCPU's own thread: so the lock can be taken again by its owner,
and the flag is taken after all that a kick sets.

What else the thread has blocked is looked up at every run. A signal that KVM_RUN lets through and
the thread does not would end each KVM_RUN at once, for ever; and a kick's signal that the program
has unblocked since would end the process.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Final

from vmmkit.backends.kvm._ioctl import Handle
from vmmkit.backends.kvm._run_page import RunPage
from vmmkit.backends.kvm._spec import KVM_SET_SIGNAL_MASK, RUN_IMMEDIATE_EXIT, SIGNAL_MASK
from vmmkit.errors import StepError

__all__ = ["DEFAULT_KICK_SIGNAL", "Kicker"]

if sys.platform == "linux":
    from _signal import (  # type: ignore[import-not-found]
        pthread_sigmask,  # that of `signal` makes an enumeration of each number
    )

DEFAULT_KICK_SIGNAL: Final = 40  # a real-time signal: glibc itself uses 32 and 33
KERNEL_SIGSET: Final = 8  # bytes


def _block(number: int) -> int:
    """Block a signal in this thread; return the thread's other blocked signals, as a mask."""
    before = pthread_sigmask(signal.SIG_BLOCK, (number,))
    return sum(1 << each - 1 for each in before if each != number)


class Kicker:
    """One vCPU's kicks.

    Args:
        handle: the vCPU's descriptor.
        page: its struct kvm_run.
        number: the signal.

    Attributes:
        lock: orders what other threads ask of the vCPU and what its own does about it.
    """

    __slots__ = ("_handle", "_kicked", "_mask", "_number", "_octets", "_process", "_runner",
                 "_sent", "lock")  # fmt: skip

    def __init__(self, handle: Handle, page: RunPage, number: int) -> None:
        """Start without kicks."""
        self._handle, self._octets, self._number = handle, page.octets, number
        self._process = os.getpid()
        self.lock = threading.RLock()
        self._kicked = self._sent = False
        self._runner: int | None = None
        self._mask: int | None = None

    def enter(self) -> None:
        """Begin a run on this thread.

        Raises:
            StepError: another thread, or this one, runs the vCPU already.
        """
        others = _block(self._number)
        with self.lock:
            if self._runner is not None:
                raise StepError("the vCPU runs already; a vCPU belongs to one thread at a time")
            if others != self._mask:
                packed = SIGNAL_MASK.pack(KERNEL_SIGSET, others)
                self._handle.call(KVM_SET_SIGNAL_MASK, packed)
                self._mask = others
            self._runner = threading.get_ident()

    @property
    def runs_elsewhere(self) -> bool:
        """Whether another thread runs the vCPU, so that its ioctls would wait for the run's end."""
        return self._runner not in (None, threading.get_ident())

    def leave(self) -> None:
        """End a run: no signal is sent to this thread any more, and none is left pending."""
        with self.lock:
            self._runner = None
            if self._sent:
                self._fetch()

    def kick(self) -> None:
        """End the run in progress, or else the next one."""
        with self.lock:
            self._kicked = True
            self._end_kvm_run()

    def wake(self) -> None:
        """Have KVM_RUN return once, so that the vCPU's thread looks at what it is to do."""
        with self.lock:
            self._end_kvm_run()

    def interrupted(self) -> bool:
        """Return whether KVM_RUN was interrupted by a kick, which is over then."""
        with self.lock:
            self._octets[RUN_IMMEDIATE_EXIT] = 0
            self._fetch()
            kicked, self._kicked = self._kicked, False  # last: see above
        return kicked

    def close(self) -> None:
        """Close the vCPU's descriptor; from here on kicks are refused.

        Raises:
            StepError: the vCPU runs.
        """
        if os.getpid() != self._process:  # a fork has none of the threads that run and kick
            self.lock, self._runner = threading.RLock(), None
        with self.lock:
            if self._runner is not None:
                raise StepError("the vCPU runs: kick it, and close it when its run has ended")
            self._handle.close()

    def expect_immediate_exit(self) -> None:
        """Have the next KVM_RUN complete the instruction in flight and do nothing else."""
        self._octets[RUN_IMMEDIATE_EXIT] = 1

    def forget_immediate_exit(self) -> None:
        """Undo `expect_immediate_exit`; a kick stays."""
        with self.lock:
            self._octets[RUN_IMMEDIATE_EXIT] = self._kicked

    def _end_kvm_run(self) -> None:
        self._handle.check_open("kick")
        self._octets[RUN_IMMEDIATE_EXIT] = 1
        if self._runner is not None and not self._sent:
            signal.pthread_kill(self._runner, self._number)
            self._sent = True

    def _fetch(self) -> None:
        """Take the signal, which is pending in this thread or has come to nobody."""
        self._sent = False
        signal.sigtimedwait({self._number}, 0)
