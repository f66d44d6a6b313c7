# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Calls to the world outside, made in order and with no lock held.

State is changed under a lock, and what the change asks for is put into an outbox under the same
lock, so the order in the outbox is the order of the changes. Afterwards, with the lock released,
whoever put something in calls `deliver`. One thread at a time takes calls out; another one that
comes meanwhile leaves its calls to it. So a callee is free to call back, from the same thread or
another, and still never sees two calls in the wrong order or at the same time.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

__all__ = ["Outbox"]


def _never() -> bool:
    return False


class Outbox:
    """A queue of calls to make. `put` wants its owner's lock held, `deliver` does not."""

    __slots__ = ("_calls", "_token", "put", "waits")

    def __init__(self) -> None:
        """Start with nothing to do."""
        self._calls: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        # Nobody waits for this lock: who does not get it knows that its holder will look again.
        self._token = threading.Lock()
        self.put = self._calls.append
        #: Whether the calling thread may make no calls now, since it holds a lock.
        self.waits: Callable[[], bool] = _never

    def deliver(self) -> None:
        """Make the calls that wait, unless another activation is at it.

        An exception out of one call does not keep the others from being made; the first one is
        raised afterwards.
        """
        failure: Exception | None = None
        # The outer loop sees what was put in between the last look and the token's release.
        while self._calls and not self.waits() and self._token.acquire(False):
            try:
                failure = self._make_calls() or failure
            finally:
                self._token.release()
        if failure is not None:
            raise failure

    def _make_calls(self) -> Exception | None:
        failure: Exception | None = None
        while self._calls:
            call, arguments = self._calls.popleft()
            try:
                call(*arguments)
            except Exception as error:  # noqa: BLE001 - kept, and raised when all calls are made
                failure = failure or error
        return failure
