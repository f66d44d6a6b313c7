# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Registers as a real gdb shows and sets them, and what the guest has of its own to debug with."""

import re

from gdb.debug_session import assert_clean, line_of


def test_vector_and_system_registers(debug):
    session = debug("sse")
    run = session.gdb(
        "info registers rip eflags",
        f"break sse.c:{line_of('sse.c', 'added')}",
        "continue",
        "print $xmm0.v4_int32",
        "print $ymm1.v8_int32",
        "print $st0",
        "set var $xmm0.v4_int32[2] = -1",
        "print/x $xmm0.uint128",
        "set var $st0 = 2.5",
        "print $st0",
        "print $mxcsr",
        "print $cr0",
        "print/x $cr3",
        "print $cr4",
        "print $efer",
        "print $eflags",
        "print/x $cs_base",
        "info registers",
        "info all-registers",
        "info registers float",
        "info vector",
        "print $fs_base = 0x1000",
        "print/x $fs_base",
        "next",
        "next",
        "print sums",
        "info registers nonsense",
        "maint print remote-registers",
    )
    replies = run.replies
    assert "{11, 22, 33, 44}" in replies[3]
    assert "{10, 20, 30, 40, 0, 0, 0, 0}" in replies[4]
    assert "3.14159265358979" in replies[5]
    assert "0x2cffffffff000000160000000b" in replies[7]
    assert "2.5" in replies[9]
    assert "PG" in replies[11]
    assert "PE" in replies[11]
    tables = session.guest.programs[0].symbols["pml4_0"] - 0xFFFF_FFFF_7FE0_0000
    assert replies[12].split("= ")[1] == f"{tables:#x}\n"
    assert "PAE" in replies[13]
    assert "LMA" in replies[14]
    # gdb on x86 asks no description for groups: system registers are among the general ones.
    for name in ("rax", "rip", "eflags", "gs", "cr0", "gdtr_base"):
        assert re.search(rf"^{name}\s", replies[17], re.MULTILINE)
    for name in ("ymm15", "st7", "cr4", "k_gs_base"):
        assert re.search(rf"^{name}\s", replies[18], re.MULTILINE)
    assert replies[22].split("= ")[1] == "0x1000\n"
    assert "{11, 22, -1, 44}" in replies[25]
    assert "Invalid register" in replies[26]
    assert_clean(run.log)


def test_the_guest_keeps_its_own_breakpoints(debug):
    """Its INT3, debug registers and single steps reach its own handlers, also among ours."""
    session = debug("traps")
    run = session.gdb(
        f"break traps.c:{line_of('traps.c', '/* #BP */')}",
        "watch debug_traps",
        f"break traps.c:{line_of('traps.c', 'after all')}",
        "continue",
        "backtrace",
        "continue",
        "continue",
        "continue",
        "print breakpoints",
        "print debug_traps",
        "print/x dr6 & 0x4001",
    )
    assert "on_breakpoint" in run.replies[3]
    assert "guest_main ()" in run.replies[4]
    assert "New value = 1" in run.replies[5]
    assert "New value = 2" in run.replies[6]
    assert "Breakpoint 3, guest_main ()" in run.replies[7]
    assert [reply.split("= ")[1] for reply in run.replies[8:]] == ["1\n", "2\n", "0x4001\n"]
    assert_clean(run.log)


def test_stepping_over_the_guests_own_traps(debug):
    session = debug("traps")
    run = session.gdb(
        "break guest_main",
        "continue",
        *["next"] * 7,
        "print breakpoints",
        "print debug_traps",
        "frame",
    )
    assert run.replies[-3].endswith("= 1\n")
    assert run.replies[-2].endswith("= 2\n")
    assert_clean(run.log)
