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
about it. It also keeps that thread alive while it is sent the signal.
"""

from __future__ import annotations

import signal
import threading
from typing import Final

from vmmkit.backends.kvm._ioctl import Handle
from vmmkit.backends.kvm._run_page import RunPage
from vmmkit.backends.kvm._spec import KVM_SET_SIGNAL_MASK, RUN_IMMEDIATE_EXIT, SIGNAL_MASK
from vmmkit.errors import StepError

__all__ = ["DEFAULT_KICK_SIGNAL", "Kicker"]

DEFAULT_KICK_SIGNAL: Final = 40  # a real-time signal: glibc itself uses 32 and 33
KERNEL_SIGSET: Final = 8  # bytes


class _Blocked(threading.local):
    """Of each thread, by kick signal: what else it has blocked, as a mask of the kernel's."""

    def __init__(self) -> None:
        self.others: dict[int, int] = {}


BLOCKED: Final = _Blocked()


def _block(number: int) -> int:
    """Block a signal in this thread, once; return the thread's other blocked signals."""
    others = BLOCKED.others.get(number)
    if others is None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
        others = sum(1 << each - 1 for each in before if each != number)
        BLOCKED.others[number] = others
    return others


class Kicker:
    """One vCPU's kicks.

    Args:
        handle: the vCPU's descriptor.
        page: its struct kvm_run.
        number: the signal.

    Attributes:
        lock: orders what other threads ask of the vCPU and what its own does about it.
    """

    __slots__ = ("_handle", "_kicked", "_mask", "_number", "_octets", "_runner", "_sent", "lock")

    def __init__(self, handle: Handle, page: RunPage, number: int) -> None:
        """Start without kicks."""
        self._handle, self._octets, self._number = handle, page.octets, number
        self.lock = threading.Lock()
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
            self._runner = threading.get_ident()
        if others != self._mask:
            packed = SIGNAL_MASK.pack(KERNEL_SIGSET, others)
            self._handle.call(KVM_SET_SIGNAL_MASK, packed)
            self._mask = others

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
            kicked, self._kicked = self._kicked, False
            self._octets[RUN_IMMEDIATE_EXIT] = 0
            self._fetch()
        return kicked

    def expect_immediate_exit(self) -> None:
        """Have the next KVM_RUN complete the instruction in flight and do nothing else."""
        self._octets[RUN_IMMEDIATE_EXIT] = 1

    def forget_immediate_exit(self) -> None:
        """Undo `expect_immediate_exit`; a kick stays."""
        with self.lock:
            self._octets[RUN_IMMEDIATE_EXIT] = self._kicked

    def _end_kvm_run(self) -> None:
        self._octets[RUN_IMMEDIATE_EXIT] = 1
        if self._runner is not None and not self._sent:
            signal.pthread_kill(self._runner, self._number)
            self._sent = True

    def _fetch(self) -> None:
        """Take the signal, which is pending in this thread or has come to nobody."""
        self._sent = False
        signal.sigtimedwait({self._number}, 0)
