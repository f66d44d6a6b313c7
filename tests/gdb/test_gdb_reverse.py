# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""gdb goes backwards through guests."""

from functools import partial

import pytest

from gdb.debug_session import assert_clean, line_of
from vmmkit.backends.recording_target import RecordingTarget

LOOP = line_of("kernel.c", "/* in the loop */")
BOTTOM = line_of("kernel.c", "/* bottom of the recursion */")
END = line_of("kernel.c", "/* the end */")
SECOND = line_of("spin.c", "/* second */")
START = "No more reverse-execution history"


@pytest.fixture(params=[50, 100_000])
def recorded(debug, request):
    """Return a maker of sessions that are recorded, with many checkpoints or one."""
    return partial(debug, target=partial(RecordingTarget, interval=request.param))


def value(reply):
    return reply.split(" = ", 1)[1].strip()


def test_instructions_and_lines(recorded):
    session = recorded("kernel")
    run = session.gdb(
        f"tbreak kernel.c:{LOOP}",
        "continue",
        "print $pc",
        "stepi 50",
        "print $pc",
        "reverse-stepi 50",
        "print $pc",
        "finish",
        "reverse-step",
        "reverse-finish",
        "reverse-next",
        "reverse-next",
        "frame",
    )
    _, _, first, _, far, _, again, _, inside, calls, _, before, frame = run.replies
    assert value(first) == value(again) != value(far)
    assert "count (limit=100)" in inside
    assert "count(100);" in calls
    assert "total += sum_list(&first);" in before
    assert "guest_main ()" in frame
    assert_clean(run.log)
    assert session.guest.console.startswith("begin")


def test_to_breakpoints(recorded):
    run = recorded("kernel").gdb(
        f"break kernel.c:{BOTTOM}",
        f"break kernel.c:{LOOP} if i == 7 || i == 40",
        f"tbreak kernel.c:{END}",
        *["continue"] * 4,
        *["reverse-continue", "print i"] * 2,
        *("print counter", "reverse-continue", "print n", "reverse-continue"),
        *("print $pc == &_start", "reverse-stepi", "info breakpoints"),
        *("delete", f"break kernel.c:{END}", "continue", "print counter"),
    )
    found = run.replies[7:]
    assert [value(found[at]) for at in (1, 3, 4, 6, 8)] == ["40", "7", "21", "1", "1"]
    assert "factorial (n=1)" in found[5]
    assert START in found[7]
    assert START in found[9]
    assert "guest_main ()" in found[13]
    assert value(found[14]) == "4950"
    assert_clean(run.log)


def test_to_an_access(recorded):
    run = recorded("kernel").gdb(
        f"tbreak kernel.c:{END}",
        "continue",
        "rwatch table[3]",
        "reverse-continue",
        "frame",
        "delete",
        "watch counter",
        *["reverse-continue"] * 2,
        "x/i $pc",
        "continue",
    )
    _, _, _, read, reader, _, _, last, one_before, code, forward = run.replies
    assert "read watchpoint 2: table[3]" in read
    assert "Value = 8" in read
    assert "read_table (index=3)" in reader
    for reply, old, new in ((last, 4950, 4851), (one_before, 4851, 4753), (forward, 4753, 4851)):
        assert f"Old value = {old}\nNew value = {new}\n" in reply
    assert "<counter>" in code  # it is the instruction that writes, not executed now
    assert_clean(run.log)


def test_through_interrupts(recorded):
    run = recorded("spin").gdb(
        "break timer if ticks == 20",
        "continue",
        "reverse-stepi 20",
        "backtrace",
        "print ticks",
        "continue",
        "break timer if ticks == 10",
        "reverse-continue",
        "print ticks",
    )
    _, stop, _, before, ticks, again, _, back, earlier = run.replies
    assert "Breakpoint 1, timer" in stop
    assert "timer" not in before
    assert value(ticks) == "20"
    assert "Breakpoint 1, timer" in again
    assert "Breakpoint 2, timer" in back
    assert value(earlier) == "10"
    assert_clean(run.log)


def test_ctrl_c_on_the_way_back(debug):
    session = debug("spin", target=partial(RecordingTarget, interval=1000), wait=False)
    gdb = session.start(
        f"break spin.c:{SECOND} if turns == 0",
        *("continue", "reverse-continue", "backtrace", "stepi", "set var leave = 1"),
        *("delete", "detach"),
    )
    gdb.await_packet("vCont;c")
    long = session.guest.machine.time + 600_000
    session.await_(lambda: session.guest.machine.time > long)
    gdb.interrupt()
    gdb.await_packet("bc")
    gdb.await_(lambda: session.target.replaying)
    gdb.interrupt()
    run = gdb.result()
    _, there, back, frames, *_ = run.replies[-8:]
    assert "received signal SIGINT" in there
    assert "received signal SIGINT" in back
    assert "guest_main ()" in frames
    session.await_(lambda: session.guest.console == "left\n")
