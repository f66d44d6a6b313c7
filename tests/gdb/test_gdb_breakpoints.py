# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Breakpoints and watchpoints of every kind, inserted by a real gdb."""

import re

import pytest

from gdb.debug_session import assert_clean, line_of

LOOP = line_of("kernel.c", "in the loop")


@pytest.fixture
def kernel(debug):
    """Return a session that waits at the kernel's first instruction."""
    return debug("kernel")


def test_conditions_on_the_target_stop_once(kernel):
    run = kernel.gdb(
        f"break kernel.c:{LOOP} if i == 50",
        "continue",
        "print i",
        "print counter",
        "condition 1 i == 60 && counter > 10",
        "continue",
        "print i",
        "condition 1 $rax == 0 && $rax != 0",
        "break *finished",
        "continue",
    )
    assert [run.replies[at] for at in (2, 3, 6)] == ["$1 = 50\n", "$2 = 1225\n", "$3 = 60\n"]
    assert "finished ()" in run.replies[-1]
    assert len(run.log.packets(b"vCont;c")) == 3
    assert any(b";X" in packet for packet in run.log.packets(b"Z0"))
    assert_clean(run.log)


def test_conditions_in_gdb_stop_each_time(kernel):
    run = kernel.gdb(
        "set breakpoint condition-evaluation host",
        f"break kernel.c:{LOOP} if i == 5",
        "continue",
        "print counter",
        "ignore 1 3",
        "condition 1",
        "continue",
        "print i",
    )
    assert run.replies[3] == "$1 = 10\n"
    assert run.replies[7] == "$2 = 9\n"
    assert not any(b";X" in packet for packet in run.log.packets(b"Z0"))
    assert_clean(run.log)


def test_watchpoints(kernel):
    run = kernel.gdb(
        "watch counter",
        "continue",
        "continue",
        "frame 0",
        "delete",
        "rwatch table[3]",
        "continue",
        "delete",
        "awatch small",
        "continue",
        "delete",
        "watch *(unsigned *)&version if version == 0x56455253",
        "continue",
        "info watchpoints",
    )
    first, second, frame = run.replies[1:4]
    assert "Hardware watchpoint 1: counter" in first
    assert re.search(r"Old value = 0\s+New value = 1\n", first)
    assert re.search(r"Old value = 1\s+New value = 3\n", second)
    assert "count (limit=100)" in frame
    assert "Hardware read watchpoint 2: table[3]" in run.replies[6]
    assert "Value = 8" in run.replies[6]
    assert "read_table (index=3)" in run.replies[6]
    assert "Hardware access (read/write) watchpoint 3: small" in run.replies[9]
    assert "New value = 4660" in run.replies[9]
    assert "use_device ()" in run.replies[12]
    assert "breakpoint already hit 1 time" in run.replies[13]
    for kind in (b"Z2", b"Z3", b"Z4"):
        assert run.log.packets(kind)
    assert_clean(run.log)


def test_watching_a_structure_and_a_local(kernel):
    run = kernel.gdb(
        "watch triangle",
        "break area",
        "continue",
        "set var triangle.corners[0].x = 1",
        "next",
        "watch base",
        "continue",
        "continue",
    )
    assert "area (shape=" in run.replies[2]
    assert "Hardware watchpoint 3: base" in run.replies[6]
    assert "New value = 2" in run.replies[6]
    assert "Watchpoint 3 deleted because the program has left the block" in run.replies[7]
    assert_clean(run.log)


def test_hardware_and_temporary_breakpoints(kernel):
    run = kernel.gdb(
        "hbreak sum_list",
        "thbreak count",
        "tbreak factorial",
        "continue",
        "continue",
        "continue",
        "info breakpoints",
        "clear sum_list",
        "disable",
        "break *finished",
        "continue",
    )
    assert "Temporary breakpoint 3, factorial (n=5)" in run.replies[3]
    assert "Breakpoint 1, sum_list" in run.replies[4]
    assert "Temporary breakpoint 2, count" in run.replies[5]
    assert "hw breakpoint" in run.replies[6]
    assert "del" not in run.replies[6]
    assert "finished ()" in run.replies[-1]
    assert run.log.packets(b"Z1")
    assert_clean(run.log)


@pytest.mark.parametrize("style", ["agent", "gdb"])
def test_printing_without_stopping(kernel, style):
    run = kernel.gdb(
        f"set dprintf-style {style}",
        f'dprintf kernel.c:{LOOP},"i is %u of %u\\n", i, limit',
        "condition 1 i < 12",
        "break *finished",
        "continue",
    )
    said = [int(i) for i in re.findall(r"i is (\d+) of 100", run.output)]
    assert said == list(range(12))
    resumed = len(run.log.packets(b"vCont;c"))
    assert resumed == 1 if style == "agent" else resumed > 10
    assert_clean(run.log)


def test_commands_at_a_breakpoint(kernel, tmp_path):
    script = tmp_path / "script"
    lines = (f"break kernel.c:{LOOP}", "commands", "silent", "print i * 1000", "end", "continue")
    script.write_text("\n".join(lines))
    run = kernel.gdb(f"source {script}", "continue", "print $bpnum")
    assert "$1 = 0" in run.replies[0]
    assert "$2 = 1000" in run.replies[1]


def test_a_breakpoint_where_nothing_is_yet(kernel):
    """It is kept: what the guest maps there later is looked at."""
    run = kernel.gdb("break *0x1000", "break *finished", "continue", "x/i $pc")
    assert "finished ()" in run.replies[2]
    assert_clean(run.log, errors=[b"m1000,"])


def test_breakpoints_do_not_show_in_memory(kernel):
    at = kernel.guest.programs[0].symbols["factorial"]
    run = kernel.gdb(
        "set breakpoint always-inserted on",
        "break *factorial",
        f"x/2xb {at:#x}",
        f"set {{char}}{at + 1} = 0x48",
        f"x/2xb {at:#x}",
        "maint packet m" + f"{at:x},2",
        "compare-sections .text",
    )
    original = kernel.guest.programs[0].image[at - 0xFFFF_FFFF_8000_0000 :][:2]
    assert run.log.packets(b"Z0")
    shown = [int(byte, 16) for byte in re.findall(r"0x(..)\b", run.replies[2].split(":")[1])]
    assert bytes(shown) == original
    assert f"{original[0]:02x}48" in run.replies[5]
