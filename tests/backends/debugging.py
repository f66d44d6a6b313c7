# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A debugger's side of a target for tests: reports that can be waited for, owners on threads."""

from collections.abc import Callable, Iterable
from contextlib import contextmanager
from threading import Condition, Thread

from vmmkit.gdb.target import CONTINUE, Stop

PATIENCE = 20.0  # seconds until a test fails that would wait for ever


class Report:
    """A report that remembers its calls."""

    def __init__(self, counts: Callable[[Stop], bool] = lambda _stop: True) -> None:
        self.calls: list[list[Stop]] = []
        self.asked: list[Stop] = []
        self._counts = counts
        self._called = Condition()

    def __call__(self, stops: Iterable[Stop] = ()) -> None:
        with self._called:
            self.calls.append(list(stops))
            self._called.notify_all()

    def counts(self, stop: Stop) -> bool:
        self.asked.append(stop)
        return self._counts(stop)

    def wait(self) -> list[Stop]:
        """Wait for the call and return the stops; there must be one only."""
        with self._called:
            assert self._called.wait_for(lambda: self.calls, PATIENCE), "nothing was reported"
            assert len(self.calls) == 1, self.calls
            return self.calls[0]


@contextmanager
def owner(target, *arguments, ends=lambda _outcome: False):
    """Run what a target debugs on a thread, again and again until `ends` says so or the test."""
    outcomes, over = [], []

    def work():
        while not over:
            try:
                outcomes.append(target.run(*arguments))
            except Exception as error:  # noqa: BLE001 - for the test to look at
                outcomes.append(error)
                return
            if ends(outcomes[-1]):
                return

    thread = Thread(target=work)
    thread.start()
    try:
        yield outcomes
    finally:
        over.append(True)
        target.debugger_detached()
        target.resume(dict.fromkeys(target.vcpus(), CONTINUE), None)
        target.end_run(*arguments[:1])
        thread.join(PATIENCE)
        assert not thread.is_alive()


def stop(target) -> list[Stop]:
    report = Report()
    target.stop(report)
    return report.wait()
