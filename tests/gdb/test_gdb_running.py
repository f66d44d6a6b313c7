# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Debuggers come and go while a guest spins, and press Ctrl-C."""

import re

import pytest

from gdb.debug_session import assert_clean, line_of

SECOND = line_of("spin.c", "/* second */")


@pytest.fixture(params=[False, True], ids=["soft", "threads"])
def spinning(request, debug):
    """Return a session whose guest runs at once."""
    return debug("spin", wait=False, threaded=request.param)


def code_of(session, symbol):
    """Return the bytes of a function in the guest's RAM and those of its program."""
    program = session.guest.programs[0]
    offset = program.symbols[symbol] - program.symbols["_start"]
    at = program.gpa + offset
    return session.guest.ram[at : at + 64], program.image[offset : offset + 64]


def test_ctrl_c(spinning):
    gdb = spinning.start(
        "continue", "backtrace", "print leave", "continue", "frame", "set var leave = 1", "detach"
    )
    for count in (1, 2):
        gdb.await_packet("vCont;c", count)
        spinning.await_progress()
        gdb.interrupt()
    run = gdb.result()
    *_, stop, frames, _, again, _, _, _ = run.replies
    assert "received signal SIGINT" in stop
    assert "received signal SIGINT" in again
    assert "guest_main () at spin.c" in frames
    assert run.log.packets(b"\x03") == [b"\x03"] * 2
    assert_clean(run.log)
    spinning.await_(lambda: spinning.guest.console == "left\n")


def test_steps_hold_interrupts(spinning):
    """A tick is due every 200 instructions: without that, stepping would end up in its handler."""
    run = spinning.gdb(
        f"tbreak spin.c:{SECOND}",
        "continue",
        "print ticks",
        "stepi 500",
        "print ticks",
        "frame",
        *["next"] * 20,
        "print ticks",
        "break timer",
        "continue",
        "backtrace",
    )
    ticks = [run.replies[at].split("= ")[1] for at in (2, 4, 26)]
    assert ticks[0] == ticks[1] == ticks[2]
    assert "spin ()" in run.replies[5]
    assert "Breakpoint 2, timer" in run.replies[28]
    assert "spin ()" in run.replies[29]
    assert_clean(run.log)


def test_detach_leaves_nothing_and_another_may_come(spinning):
    first = spinning.gdb(
        f"break spin.c:{SECOND}", "watch ticks", "hbreak timer", "continue", "detach"
    )
    assert "detached" in first.replies[-1]
    assert_clean(first.log)
    here, there = code_of(spinning, "spin")
    assert here == there
    spinning.await_progress()
    second = spinning.gdb("info breakpoints", "print turns", "break timer", "continue", "detach")
    assert "No breakpoints" in second.replies[0]
    assert "Breakpoint 1, timer" in second.replies[3]
    assert_clean(second.log)
    spinning.await_progress()
    spinning.await_progress("ticks")


@pytest.mark.parametrize("leaving", ["disconnect", "kill", "monitor help"])
def test_every_way_to_leave_lets_the_guest_go_on(spinning, leaving):
    spinning.gdb(f"break spin.c:{SECOND}", "continue", leaving)
    spinning.await_progress()
    assert "spin" in spinning.gdb("print turns", "backtrace").replies[1]
    spinning.await_progress()


DYING = {
    "running": ("continue", "vCont;c", 2),
    "stopped": ("python import time; time.sleep(60)", "vCont;c", 1),
    "reading": ("dump binary memory dumped 0xffffffff80000000 0xffffffff81600000", "m.*80[4-9]", 1),
}


@pytest.mark.parametrize("when", DYING)
def test_a_gdb_that_dies_lets_the_guest_go_on(spinning, when):
    last, packet, count = DYING[when]
    here = f"break spin.c:{SECOND}"
    gdb = spinning.start(here, "continue", "delete", "break guest_main", last)
    gdb.await_packet(packet, count)
    gdb.die()
    spinning.await_progress()
    inside, outside = code_of(spinning, "spin")
    assert inside == outside
    run = spinning.gdb("info breakpoints", f"tbreak spin.c:{SECOND}", "continue", "frame")
    assert f"spin () at spin.c:{SECOND}" in run.replies[3]


def test_a_second_debugger_is_told_no(spinning):
    first = spinning.start("continue", "print turns")
    first.await_packet("vCont;c")
    second = spinning.gdb("print 1")
    assert re.search(r"(?i)debugger|connected|closed|refused|in use", second.output)
    spinning.await_progress()
    first.interrupt()
    run = first.result()
    assert "SIGINT" in run.replies[-2]
    assert_clean(run.log)


def test_extended_remote(spinning):
    run = spinning.gdb("print turns", "detach", "print 5", connect="target extended-remote")
    assert run.replies[-1] == "$2 = 5\n"
    spinning.await_progress()
    assert_clean(run.log)
