# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Notifications that are told when no lock is held, in the order in which they were posted."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Lock

__all__ = ["Notices"]


class Notices:
    """A queue of calls, made by one thread at a time.

    Attributes:
        waiting: what is to be called.
    """

    def __init__(self) -> None:
        """Start with nothing to tell."""
        self.waiting: deque[Callable[[], object]] = deque()
        self._telling = Lock()

    def post(self, call: Callable[[], object]) -> None:
        """Have a call made by the next `tell`."""
        self.waiting.append(call)

    def tell(self) -> None:
        """Make the calls; where a thread is at it already, it makes these as well.

        Raises:
            Exception: what a call raised, when all have been made.
            ExceptionGroup: when several raised.
        """
        errors: list[Exception] = []
        # Asked again after the lock is free: somebody may have posted between the last look and
        # that, and have left it to this thread.
        while self.waiting and self._telling.acquire(blocking=False):
            try:
                self._make_calls(errors)
            finally:
                self._telling.release()
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise ExceptionGroup("notifications of PCI functions raised", errors)

    def _make_calls(self, errors: list[Exception]) -> None:
        while self.waiting:
            try:
                self.waiting.popleft()()
            except Exception as error:  # noqa: BLE001 - raised when everybody was told
                errors.append(error)
