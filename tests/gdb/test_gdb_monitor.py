# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""`monitor` commands as the user of a real gdb gives them."""

import re

from gdb.debug_session import assert_clean
from gdb.guest_machine import VERSION

COMMANDS = {
    *("break-on-io", "help", "hold", "map", "mmio", "mode", "physical", "regs", "reset"),
    *("threads", "translate"),
}


def test_commands_that_show(debug):
    session = debug("kernel")
    run = session.gdb(
        "monitor help",
        "monitor help physical",
        "monitor regs",
        "monitor translate 0xffffffff80000010",
        "monitor translate 0",
        "monitor map",
        "monitor threads",
        "monitor mode",
        "monitor no-such-command",
        "monitor translate",
    )
    replies = run.replies
    listed = dict(line.split(None, 1) for line in replies[0].splitlines())
    assert set(listed) == COMMANDS
    assert all(text[0].isupper() and text.endswith(".") for text in listed.values())
    assert "physical [on|off]" in replies[1]
    assert "rip  ffffffff80000000" in replies[2]
    assert "0xffffffff80000010 -> 0x200010" in replies[3]
    assert "no page" in replies[4]
    assert "device" in replies[5]
    assert "vCPU 0" in replies[6]
    assert replies[7] == "64-bit\n"
    assert 'no command "no-such-command"' in replies[8]
    assert "ADDRESS" in replies[9] or "address" in replies[9]
    assert_clean(run.log)


def test_physical_addresses(debug):
    session = debug("kernel")
    run = session.gdb(
        "x/4xb 0x200000",
        "monitor physical on",
        "x/4xb 0x200000",
        "x/wx 0xfeb00000",
        "set {int}0x300000 = 0x12345678",
        "maintenance flush dcache",
        "monitor physical off",
        "x/4xb 0xffffffff80000000",
        "x/wx 0xffffffff80100000",
        "x/4xb 0x200000",
    )
    code = run.replies[7].split(":")[1]
    assert run.replies[2].split(":")[1] == code
    assert f"0x{VERSION:08x}" in run.replies[3]
    assert "0x12345678" in run.replies[8]
    for at in (0, 9):
        assert "Cannot access memory" in run.replies[at]
    # Meanwhile the program counter, a virtual address, leads nowhere.
    assert_clean(run.log, errors=[b"m200000,", b"mffffffff8"])


def test_reset(debug):
    session = debug("real")
    run = session.gdb(
        "break real_put",
        "continue",
        "monitor reset",
        "maintenance flush register-cache",
        "info registers eip cs",
        "set var $cs = 0",
        "set var $eip = 0x7c00",
        "continue",
    )
    assert "The machine is reset" in run.replies[2]
    assert re.search(r"eip +0xfff0 ", run.replies[4])
    assert re.search(r"cs +0xf000 ", run.replies[4])
    assert "Breakpoint 1, real_put" in run.replies[7]
    assert_clean(run.log)


def test_stops_at_device_accesses(debug):
    session = debug("kernel")
    run = session.gdb(
        "monitor break-on-io 0x3f8",
        "continue",
        "backtrace 2",
        "monitor break-on-io off",
        "monitor break-on-io mmio 0xfeb00000-0xfeb00fff",
        "continue",
        "frame",
        "monitor break-on-io list",
        "monitor break-on-io off",
        "break *finished",
        "continue",
    )
    assert "port 0x3f8" in run.replies[1]
    assert "SIGTRAP" in run.replies[1]
    assert "say (text=" in run.replies[2]
    assert f"read {VERSION:#x}" in run.replies[5]
    assert "use_device ()" in run.replies[6]
    assert "mmio 0xfeb00000-0xfeb00fff" in run.replies[7]
    assert "finished ()" in run.replies[10]
    assert_clean(run.log)


def test_interrupts_are_taken_while_stepping_if_so_wanted(debug):
    session = debug("spin")
    run = session.gdb(
        "tbreak spin",
        "continue",
        "monitor hold off",
        "tbreak timer",
        "stepi 500",
        "backtrace",
        "maintenance packet Qqemu.sstep=0x3",
        "monitor hold",
    )
    assert "timer (" in run.replies[5]
    assert "spin ()" in run.replies[5]
    assert 'received: "OK"' in run.replies[6]
    assert "wait" in run.replies[7]
    assert_clean(run.log)
