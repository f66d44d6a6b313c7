# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Non-stop mode with a real gdb: vCPUs run and stop one by one."""

import re

import pytest

from gdb.debug_session import assert_clean


@pytest.fixture
def processors(debug):
    """Return a session with three vCPUs at their first instruction."""
    return debug("address_spaces", vcpus=3)


@pytest.fixture
def interface(processors):
    """Return a gdb that is connected in non-stop mode."""
    gdb = processors.machine_interface()
    gdb.command("set mi-async on")
    gdb.command("set non-stop on")
    gdb.command(f"-target-select remote {processors.remote}")
    return gdb


def rounds(session):
    """Return what each vCPU has counted."""
    words = session.guest.word("rounds", 24)
    return [words >> shift & (1 << 64) - 1 for shift in (0, 64, 128)]


def states(gdb):
    """Return the state of each thread by its number."""
    text = "".join(gdb.command("-thread-info"))
    return {
        int(number): state for number, state in re.findall(r'\{id="(\d+)".*?state="(\w+)"', text)
    }


def test_one_stops_while_the_others_run(processors, interface):
    processors.await_(lambda: set(states(interface).values()) == {"stopped"})
    interface.command("-exec-continue --all")
    processors.await_(lambda: all(rounds(processors)))
    assert set(states(interface).values()) == {"running"}
    before = len(interface.lines)
    interface.command("-exec-interrupt --thread 2")
    interface.await_line(r'\*stopped,.*signal-name="(SIGINT|0)".*thread-id="2"', before)
    assert states(interface) == {1: "running", 2: "stopped", 3: "running"}
    stands = rounds(processors)
    processors.await_(lambda: all(rounds(processors)[at] > stands[at] + 100 for at in (0, 2)))
    assert rounds(processors)[1] == stands[1]
    private = interface.command("-data-evaluate-expression --thread 2 *(long*)0xffffffffa0000000")
    assert 'value="4097"' in "".join(private)
    before = len(interface.lines)
    interface.command("-exec-step-instruction --thread 2")
    interface.await_line(r'\*stopped,reason="end-stepping-range".*thread-id="2"', before)
    before = len(interface.lines)
    interface.command("-break-insert -p 3 turn")
    interface.await_line(r'\*stopped,reason="breakpoint-hit".*thread-id="3"', before)
    assert states(interface) == {1: "running", 2: "stopped", 3: "stopped"}
    interface.command("-break-delete")
    interface.command("-exec-continue --all")
    assert set(states(interface).values()) == {"running"}
    before = len(interface.lines)
    interface.command("-exec-interrupt --all")
    for thread in (1, 2, 3):
        interface.await_line(rf'\*stopped,.*thread-id="{thread}"', before)
    interface.command("-target-detach")
    log = interface.close()
    assert log.notifications
    assert log.packets(b"vCont;t") or log.packets(b"vCtrlC")
    assert_clean(log)
    stands = rounds(processors)
    processors.await_(
        lambda: all(now > then for now, then in zip(rounds(processors), stands, strict=True))
    )


def test_breakpoints_of_several_at_once(processors, interface):
    processors.await_(lambda: set(states(interface).values()) == {"stopped"})
    interface.command("-break-insert wait_zero")
    interface.command("-break-insert wait_one")
    interface.command("-break-insert wait_two")
    before = len(interface.lines)
    interface.command("-exec-continue --all")
    for thread in (1, 2, 3):
        interface.await_line(rf'\*stopped,reason="breakpoint-hit".*thread-id="{thread}"', before)
    assert set(states(interface).values()) == {"stopped"}
    before = len(interface.lines)
    interface.command("-exec-next --thread 1")
    interface.await_line(r'\*stopped,reason="end-stepping-range".*thread-id="1"', before)
    assert_clean(interface.close())
