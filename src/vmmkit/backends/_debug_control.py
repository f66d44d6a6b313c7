# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Who may run and who is to stand: the orders of a debugger to the threads that run vCPUs.

Theory of operation
-------------------
Each vCPU has a `Seat`. Its `order` is what it may do, `None` for nothing; `moving` says that its
thread may be executing guest code, and is changed under the one lock only. So a vCPU stands when it
has no order and does not move, and that is also true of one whose owner does something else just
now: without `run` no guest code is executed, and `run` looks at the order first.

A `Group` is the vCPUs of one `stop` or `resume`, with the report that is owed for it. A vCPU
belongs to the last group that it was put into, so a report that was replaced is never called. When
one vCPU of a group stops, the others lose their orders, and when all stand the report is called
with every stop among them, outside of the lock. A stop that nobody was told stays with its seat
until the next report, and keeps the vCPU from running away from it.

A `Driver` is a thread of the owner's that runs vCPUs: one for each vCPU, or one for all of a
machine. It parks here while none of them has an order. Another thread may borrow a parked driver's
vCPUs to step them, which spares two changes of threads for each step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from threading import Condition, Lock
from typing import Any

import attrs

from vmmkit.errors import MachineError, TargetError
from vmmkit.gdb.target import Action, ActionKind, Report, Stop

__all__ = ["Driver", "Group", "RunControl", "Seat"]


@attrs.define(eq=False)
class Seat:
    """One vCPU, as run control sees it."""

    index: int
    driver: Driver
    order: ActionKind | None = ActionKind.CONTINUE
    moving: bool = False
    group: Group | None = None
    stop: Stop | None = None
    """Why it stopped, until that is reported."""
    hit: Stop | None = None
    """What its own thread has found that it stops for, until its run has ended."""
    told_at: int | None = None
    """Linear address of the instruction at which the debugger was told that it stopped."""

    @property
    def stands(self) -> bool:
        """Whether no guest code is executed, and none will be without another order."""
        return self.order is None and not self.moving


@attrs.define(eq=False)
class Driver:
    """A thread that runs vCPUs."""

    wake: Condition
    seats: list[Seat] = attrs.field(factory=list)
    inside: bool = False
    parked: bool = False
    borrowed: bool = False
    kicked: bool = False
    """Whether somebody wants it to look at its orders again."""
    released: bool = False
    """Whether it is to go back to the owner, whatever the orders are."""
    held: list[Any] = attrs.field(factory=list)
    """What the owner is to be given when a vCPU goes on."""

    @property
    def has_orders(self) -> bool:
        """Whether a vCPU may do something."""
        return any(seat.order is not None for seat in self.seats)


@attrs.define(eq=False)
class Group:
    """The vCPUs that go and stop together."""

    report: Report
    seats: list[Seat] = attrs.field(factory=list)


class RunControl:
    """The orders of a debugger.

    Args:
        drivers: for each vCPU the number of the driver that runs it.
        kick: called under the lock, with a driver whose vCPUs move and are to end their run.

    Attributes:
        seats: by vCPU.
        drivers: by number.
    """

    def __init__(self, drivers: Iterable[int], kick: Callable[[Driver], object]) -> None:
        """Let every vCPU run."""
        self.lock = Lock()
        self._kick = kick
        numbers = list(drivers)
        self.drivers = [Driver(Condition(self.lock)) for _ in range(max(numbers) + 1)]
        self.seats = [Seat(index, self.drivers[n]) for index, n in enumerate(numbers)]
        for seat in self.seats:
            seat.driver.seats.append(seat)
        self._groups: list[Group] = []
        self._alone: Seat | None = None  # the vCPU beside which no other may execute anything
        self._waiting: list[Seat] = []  # those that move, and wait to be alone
        self._quiet = Condition(self.lock)

    @property
    def still(self) -> bool:
        """Whether every vCPU stands."""
        return all(seat.stands for seat in self.seats)

    # -- under the lock --------------------------------------------------------------------------

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the lock, and afterwards call the reports that have become due."""
        with self.lock:
            yield
            due = [(group.report, self._stops_of(group)) for group in self._complete()]
        for report, stops in due:
            report(stops)

    def _complete(self) -> list[Group]:
        """Take out the groups of which all stand."""
        done = [group for group in self._groups if all(seat.stands for seat in group.seats)]
        if done:
            self._groups = [group for group in self._groups if group not in done]
        return [group for group in done if group.seats]

    @staticmethod
    def _stops_of(group: Group) -> list[Stop]:
        stops = [seat.stop for seat in group.seats if seat.stop is not None]
        for seat in group.seats:
            seat.group = seat.stop = None
        return stops

    def _regroup(self, group: Group | None, seat: Seat) -> None:
        """Put a vCPU into another group; the one that it was in loses it."""
        if seat.group is not None:
            seat.group.seats.remove(seat)
        seat.group = group
        if group is not None:
            group.seats.append(seat)

    def withdraw(self, seats: Iterable[Seat]) -> None:
        """Take the orders of vCPUs away."""
        for seat in seats:
            seat.order = None
            if seat.moving:
                self.nudge(seat.driver)

    def nudge(self, driver: Driver) -> None:
        """Have a driver look at its orders."""
        driver.kicked = True
        driver.wake.notify_all()
        if any(seat.moving for seat in driver.seats):
            self._kick(driver)

    # -- for the debugger ------------------------------------------------------------------------

    def stop(self, report: Report, seats: Iterable[Seat]) -> None:
        """Have vCPUs stop, and call `report` when they stand."""
        with self.changing():
            group = Group(report)
            for seat in seats:
                self._regroup(group, seat)
            self._groups.append(group)
            self.withdraw(group.seats)

    def resume(self, actions: Mapping[int, Action], report: Report | None) -> None:
        """Give orders; without `report` they are to run for nobody."""
        with self.changing():
            group = None if report is None else Group(report)
            seats = [self.seat(index) for index in actions]
            for seat in seats:
                self._regroup(group, seat)
                seat.stop = None if group is None else seat.stop
                seat.order = ActionKind.CONTINUE if group is None else actions[seat.index].kind
            if group is not None:
                self._groups.append(group)
            if any(seat.stop is not None for seat in seats):
                self.withdraw(seats)
            for driver in {id(seat.driver): seat.driver for seat in seats}.values():
                self.nudge(driver)

    def seat(self, index: int) -> Seat:
        """Return the seat of a vCPU.

        Raises:
            TargetError: there is no such vCPU.
        """
        if not 0 <= index < len(self.seats):
            raise TargetError(f"there is no vCPU {index}")
        return self.seats[index]

    @contextmanager
    def borrowing(self, driver: Driver) -> Iterator[bool]:
        """Keep a parked driver parked; false where it is not, or has something for its owner."""
        with self.lock:
            free = driver.parked and not (driver.borrowed or driver.held or driver.released)
            free = free and not driver.has_orders
            driver.borrowed = driver.borrowed or free
        try:
            yield free
        finally:
            if free:
                with self.lock:
                    driver.borrowed = False
                    driver.wake.notify_all()

    # -- for the drivers -------------------------------------------------------------------------

    def enter(self, driver: Driver) -> bool:
        """Begin `run`; true where no debugger has a say, and the vCPUs move already.

        Raises:
            MachineError: another thread is in it.
        """
        with self.lock:
            if driver.inside:
                raise MachineError("another thread runs this already")
            driver.inside = True
            free = self._is_clear(driver) and all(seat.group is None for seat in driver.seats)
            for seat in driver.seats:
                seat.moving = free
            return free

    def left_freely(self, driver: Driver) -> bool:
        """End a `run` in which nothing was asked of the driver; false where something was."""
        with self.lock:
            if driver.kicked:
                return False
            driver.inside = False
            for seat in driver.seats:
                seat.moving = False
            return True

    def leave(self, driver: Driver) -> None:
        """End `run`."""
        with self.changing():
            driver.inside = driver.released = driver.parked = False
            for seat in driver.seats:
                seat.moving = False
            self._quiet.notify_all()

    def await_orders(self, driver: Driver) -> bool:
        """Stand, and wait until a vCPU may go; false where the owner is wanted first."""
        if self._goes_on(driver):
            return True
        with self.changing():
            for seat in driver.seats:
                seat.moving = False
        with self.lock:
            driver.parked = True
            self._quiet.notify_all()
            while driver.borrowed or self._alone or not (driver.released or driver.has_orders):
                driver.wake.wait()
            driver.parked = driver.kicked = False
            if driver.released or driver.held:
                return False
            for seat in driver.seats:
                seat.moving = seat.order is not None
        return True

    def _goes_on(self, driver: Driver) -> bool:
        """Whether nothing has happened since a driver took its orders, or before its first."""
        with self.lock:
            clear = self._is_clear(driver)
            for seat in driver.seats:
                seat.moving = seat.moving or clear
        return clear

    def _is_clear(self, driver: Driver) -> bool:
        """Whether every vCPU of a driver may go, and nothing else is to be done before."""
        if driver.kicked or driver.released or driver.held or driver.borrowed or self._alone:
            return False
        return all(seat.order is not None for seat in driver.seats)

    def await_change(self, driver: Driver, still: Callable[[], bool]) -> None:
        """Wait, the vCPUs having orders but nothing to do, until somebody nudges the driver."""
        with self.lock:
            while not (driver.kicked or driver.released) and still():
                driver.wake.wait()

    def stopped(self, seat: Seat, stop: Stop, at: int) -> None:
        """A vCPU, still moving, has a reason to stop, and with it its group.

        Without a group the debugger has gone meanwhile, and nobody would have it go on.
        """
        with self.changing():
            if seat.group is not None:
                seat.stop, seat.told_at = stop, at
                self.withdraw(seat.group.seats)

    @contextmanager
    def alone(self, seat: Seat) -> Iterator[None]:
        """Have no other vCPU execute anything, while this one moves on its own thread."""
        with self.lock:
            self._waiting.append(seat)
            self._quiet.notify_all()
            while self._alone is not None:
                self._quiet.wait()
            self._waiting.remove(seat)
            self._alone = seat
            others = [other for other in self.seats if other.driver is not seat.driver]
            for other in others:
                if other.moving and other not in self._waiting:
                    self.nudge(other.driver)
            while any(other.moving and other not in self._waiting for other in others):
                self._quiet.wait()
        try:
            yield
        finally:
            with self.lock:
                self._alone = None
                self._quiet.notify_all()
                for driver in self.drivers:
                    driver.wake.notify_all()

    def hold(self, driver: Driver, outcome: object) -> None:
        """Keep something for the owner until a vCPU goes on."""
        with self.lock:
            driver.held.append(outcome)

    def release(self, driver: Driver) -> None:
        """Have a driver go back to its owner."""
        with self.changing():
            driver.released = True
            self.nudge(driver)
