# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The table of breakpoints: which stops count, and what the debugger left to the stub."""

import threading

import pytest

from vmmkit.errors import ExpressionError, TargetError
from vmmkit.gdb.breakpoints import Breakpoint, BreakpointTable
from vmmkit.gdb.expression import Expression
from vmmkit.gdb.target import BreakpointKind, Stop, StopKind

SOFTWARE, HARDWARE, WRITE, READ, ACCESS = BreakpointKind
TRUE, FALSE = Expression(b"\x22\x01\x27"), Expression(b"\x22\x00\x27")
REGISTER_0 = Expression(b"\x26\x00\x00\x27")
MEMORY_AT_0 = Expression(b"\x22\x00\x17\x27")
BROKEN = Expression(b"\x22\x01\x22\x00\x05\x27")  # 1 / 0


def printing(text):
    size = len(text) + 1
    return Expression(b"\x22\x00\x22\x00\x34\x00\x00" + bytes([size]) + text + b"\0\x27")


class Guest:
    """Two vCPUs, each with a register and a byte of memory of its own."""

    def __init__(self):
        self.registers = {0: 0, 1: 1}
        self.memory = {0: 1, 1: 0}
        self.said = []
        self.table = BreakpointTable(self.read_register, self.read_memory, self.said.append)

    def read_register(self, vcpu, number):
        return self.registers[vcpu] + number

    def read_memory(self, vcpu, address, _size):
        if address:
            raise TargetError(f"no memory at {address:#x}")
        return self.memory[vcpu]


@pytest.fixture
def guest():
    return Guest()


@pytest.mark.parametrize(
    "kind", [kind for kind in StopKind if kind.name not in BreakpointKind.__members__]
)
def test_stops_at_no_breakpoint_always_count(guest, kind):
    assert guest.table.counts(Stop(0, kind, 0x1000))
    assert guest.table.counts(Stop(0, kind))
    assert guest.table.holds(Stop(0, kind, 0x1000))


@pytest.mark.parametrize("kind", BreakpointKind)
def test_stops_at_breakpoints_count_while_these_are_there(guest, kind):
    stop = Stop(0, StopKind[kind.name], 0x1000)
    assert not guest.table.counts(stop)
    guest.table.insert(kind, 0x1000, 4)
    assert guest.table.counts(stop)
    assert guest.table.holds(stop)
    for _ in range(2):
        guest.table.remove(kind, 0x1000, 4)
        assert not guest.table.counts(stop)
        assert not guest.table.holds(stop)


@pytest.mark.parametrize("kind", BreakpointKind)
def test_a_stop_without_an_address_counts(guest, kind):
    assert guest.table.counts(Stop(0, StopKind[kind.name]))
    assert guest.table.holds(Stop(0, StopKind[kind.name]))


@pytest.mark.parametrize(
    ("kind", "addresses"),
    [
        (SOFTWARE, {0x1000}),
        (HARDWARE, {0x1000}),
        (WRITE, {0x1000, 0x1001, 0x1002, 0x1003}),
        (READ, {0x1000, 0x1001, 0x1002, 0x1003}),
        (ACCESS, {0x1000, 0x1001, 0x1002, 0x1003}),
    ],
)
def test_watchpoints_have_a_range_and_breakpoints_an_address(guest, kind, addresses):
    guest.table.insert(kind, 0x1000, 4)
    stops = [Stop(0, StopKind[kind.name], address) for address in range(0xFF8, 0x1008)]
    assert {stop.address for stop in stops if guest.table.counts(stop)} == addresses


def test_kinds_at_one_address_are_independent(guest):
    guest.table.insert(SOFTWARE, 0x1000, 1, [FALSE])
    guest.table.insert(HARDWARE, 0x1000, 1)
    assert len(guest.table) == 2
    assert not guest.table.counts(Stop(0, StopKind.SOFTWARE, 0x1000))
    assert guest.table.counts(Stop(0, StopKind.HARDWARE, 0x1000))
    guest.table.remove(SOFTWARE, 0x1000, 1)
    assert guest.table.counts(Stop(0, StopKind.HARDWARE, 0x1000))


def test_overlapping_watchpoints_each_have_their_say(guest):
    guest.table.insert(WRITE, 0x1000, 8, [FALSE])
    guest.table.insert(WRITE, 0x1004, 4)
    assert not guest.table.counts(Stop(0, StopKind.WRITE, 0x1003))
    assert guest.table.counts(Stop(0, StopKind.WRITE, 0x1004))
    assert len(guest.table.at(WRITE, 0x1004)) == 2


def test_inserting_again_replaces(guest):
    guest.table.insert(SOFTWARE, 0x1000, 1, [FALSE])
    guest.table.insert(SOFTWARE, 0x1000, 1, [TRUE])
    assert guest.table.entries() == (Breakpoint(SOFTWARE, 0x1000, 1, (TRUE,)),)
    assert guest.table.counts(Stop(0, StopKind.SOFTWARE, 0x1000))


def test_clear_takes_all_and_says_what_the_target_has(guest):
    for kind in BreakpointKind:
        guest.table.insert(kind, 0x1000, 1, vcpu=int(kind) % 2)
    assert guest.table.find(SOFTWARE, 0x1000, 1) == Breakpoint(SOFTWARE, 0x1000, 1)
    cleared = guest.table.clear()
    assert sorted(cleared) == [(kind, int(kind) % 2, 0x1000, 1) for kind in BreakpointKind]
    assert len(guest.table) == 0
    assert guest.table.find(SOFTWARE, 0x1000, 1) is None


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([], True),
        ([TRUE], True),
        ([FALSE], False),
        ([FALSE, TRUE], True),
        ([FALSE, FALSE], False),
        ([BROKEN], True),
        ([FALSE, BROKEN], True),
        ([TRUE, BROKEN], True),
    ],
)
def test_one_condition_that_holds_is_enough(guest, conditions, expected):
    guest.table.insert(SOFTWARE, 0x1000, 1, conditions)
    assert guest.table.counts(Stop(0, StopKind.SOFTWARE, 0x1000)) is expected


def test_conditions_look_at_the_vcpu_that_stopped(guest):
    guest.table.insert(SOFTWARE, 0x1000, 1, [REGISTER_0])
    guest.table.insert(SOFTWARE, 0x2000, 1, [MEMORY_AT_0])
    stops = [Stop(vcpu, StopKind.SOFTWARE, at) for vcpu in (0, 1) for at in (0x1000, 0x2000)]
    assert [guest.table.counts(stop) for stop in stops] == [False, True, True, False]


def test_the_user_is_told_why_a_condition_failed(guest):
    guest.table.insert(SOFTWARE, 0x1000, 1, [BROKEN])
    guest.table.insert(WRITE, 0x2000, 1, [Expression(b"\x22\x05\x17\x27")])
    assert guest.table.counts(Stop(0, StopKind.SOFTWARE, 0x1000))
    assert guest.table.counts(Stop(0, StopKind.WRITE, 0x2000))
    assert guest.said == [
        "breakpoint at 0x1000: division by zero\n",
        "write watchpoint at 0x2000: no memory at 0x5\n",
    ]


@pytest.mark.parametrize("error", [KeyError("r9"), ZeroDivisionError(), TargetError("gone")])
def test_nothing_that_a_target_raises_comes_out(guest, error):
    def read_register(_vcpu, _number):
        raise error

    table = BreakpointTable(read_register, guest.read_memory, guest.said.append)
    table.insert(SOFTWARE, 0x1000, 1, [REGISTER_0])
    assert table.counts(Stop(0, StopKind.SOFTWARE, 0x1000))
    assert len(guest.said) == 1


def test_commands_are_run_instead_of_a_report(guest):
    guest.table.insert(SOFTWARE, 0x1000, 1, commands=[printing(b"one"), printing(b"two")])
    assert not guest.table.counts(Stop(0, StopKind.SOFTWARE, 0x1000))
    assert guest.said == ["one", "two"]


def test_commands_are_run_only_if_a_condition_holds(guest):
    guest.table.insert(SOFTWARE, 0x1000, 1, [REGISTER_0], [printing(b"hit")])
    assert not guest.table.counts(Stop(0, StopKind.SOFTWARE, 0x1000))
    assert guest.said == []
    assert not guest.table.counts(Stop(1, StopKind.SOFTWARE, 0x1000))
    assert guest.said == ["hit"]


def test_a_command_that_fails_ends_them_and_stops(guest):
    commands = [printing(b"one"), BROKEN, printing(b"two")]
    guest.table.insert(SOFTWARE, 0x1000, 1, commands=commands)
    assert guest.table.counts(Stop(0, StopKind.SOFTWARE, 0x1000))
    assert guest.said == ["one", "breakpoint at 0x1000: division by zero\n"]


def test_a_condition_that_fails_stops_without_commands(guest):
    guest.table.insert(SOFTWARE, 0x1000, 1, [BROKEN], [printing(b"one")])
    assert guest.table.counts(Stop(0, StopKind.SOFTWARE, 0x1000))
    assert guest.said == ["breakpoint at 0x1000: division by zero\n"]


def test_a_condition_must_leave_a_value(guest):
    with pytest.raises(ExpressionError, match="no value"):
        guest.table.insert(SOFTWARE, 0x1000, 1, [printing(b"x")])
    assert len(guest.table) == 0


def test_stops_are_judged_while_breakpoints_come_and_go(guest):
    """Copy on write: a reader never sees half a change."""
    guest.table.insert(SOFTWARE, 0x1000, 1, [TRUE])
    guest.table.insert(WRITE, 0x2000, 4, [TRUE])
    wrong = []
    done = threading.Event()

    stops = (Stop(0, StopKind.SOFTWARE, 0x1000), Stop(0, StopKind.WRITE, 0x2003))

    def judge():
        while not done.is_set():
            wrong.extend(stop for stop in stops if not guest.table.counts(stop))

    threads = [threading.Thread(target=judge) for _ in range(2)]
    for thread in threads:
        thread.start()
    for turn in range(300):
        guest.table.insert(SOFTWARE, 0x3000 + turn % 7, 1)
        guest.table.insert(SOFTWARE, 0x1000, 1, [TRUE])
        guest.table.remove(SOFTWARE, 0x3000 + turn % 5, 1)
    done.set()
    for thread in threads:
        thread.join(10)
    assert wrong == []
