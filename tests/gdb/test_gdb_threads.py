# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Several vCPUs, each a thread of gdb's with an address space of its own."""

import re

import pytest

from gdb.debug_session import assert_clean

PRIVATE = 0xFFFF_FFFF_A000_0000
THREADS = (1, 2, 3)


@pytest.fixture
def processors(debug):
    """Return a session with three vCPUs at their first instruction."""
    return debug("address_spaces", vcpus=3)


def test_each_sees_its_own_memory(processors):
    run = processors.gdb(
        "info threads",
        "break wait_two",
        "continue",
        "info threads",
        "thread apply all -s -q x/gx 0xffffffffa0000000",
        "thread 2",
        "x/gx 0xffffffffa0000000",
        "set {long}0xffffffffa0000008 = 77",
        "thread 1",
        "x/gx 0xffffffffa0000000",
        "thread apply all backtrace",
        "thread name first",
        "thread find first",
        "print $_thread",
        "thread apply 1 3 print/x $cr3",
    )
    before, _, hit, info, every, _, second, _, _, first = run.replies[:10]
    frames, _, _, selected, tables = run.replies[10:]
    assert len(re.findall(r"_start \(\)", before)) == 3
    assert re.search(r"Thread 3 .*hit Breakpoint 1, wait_two", hit)
    assert re.search(r"\* 3 .*wait_two", info)
    assert re.findall(r"0x000000000000(1\d{3})", every) == ["1002", "1001", "1000"]
    assert "0x0000000000001001" in second
    assert "0x0000000000001000" in first
    for name in ("wait_zero", "wait_one", "wait_two", "guest_main", "_start"):
        assert name in frames
    assert selected == "$1 = 1\n"
    assert len(set(re.findall(r"= (0x\w+)", tables))) == 2
    assert processors.guest.word("private_1", 4096).to_bytes(4096, "little")[8] in range(256)
    assert_clean(run.log)


def test_a_write_goes_to_the_selected_address_space(processors):
    processors.gdb("thread 3", f"set {{long}}{PRIVATE + 0x800:#x} = 0x55aa")
    pages = [processors.guest.word(f"private_{number}", 4096) for number in range(3)]
    assert [page >> 0x800 * 8 & 0xFFFF for page in pages] == [0, 0, 0x55AA]


def test_scheduler_locking(processors):
    run = processors.gdb(
        "break wait_two",
        "continue",
        "delete",
        "thread 1",
        "set scheduler-locking on",
        "print rounds",
        "stepi 200",
        "print $_thread",
        "print rounds",
        "set scheduler-locking step",
        "next",
        "next",
        "print rounds",
        "set scheduler-locking off",
        "tbreak wait_one",
        "break turn thread 2",
        "continue",
        "print $_thread",
    )
    rounds = [
        [int(number) for number in re.findall(r"(\d+)", run.replies[at].split("{")[1])]
        for at in (5, 8, 12)
    ]
    assert rounds[0][1:] == rounds[1][1:] == rounds[2][1:]
    assert rounds[0][0] < rounds[1][0]
    assert "Thread 2" in run.replies[16]
    assert run.replies[17].endswith("= 2\n")
    assert_clean(run.log)
    steps = run.log.packets(b"vCont;s")
    assert b"vCont;s:p1.1" in steps


def test_the_others_run_while_one_steps(processors):
    run = processors.gdb(
        "break wait_two",
        "continue",
        "delete",
        "thread 1",
        "set scheduler-locking off",
        "print rounds[1]",
        "next",
        "next",
        "next",
        "next",
        "next",
        "next",
        "print $_thread",
        "print rounds[1]",
    )
    assert run.replies[-2].endswith("= 1\n")
    before, after = (int(run.replies[at].split("= ")[1]) for at in (5, -1))
    assert after > before
    assert_clean(run.log)
