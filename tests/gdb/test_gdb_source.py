# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Source-level debugging of a 64-bit guest with a real gdb."""

import re

import pytest

from gdb.debug_session import assert_clean, line_of

FACTORIAL = line_of("kernel.c", "bottom of the recursion")


@pytest.fixture
def kernel(debug):
    """Return a session that waits at the kernel's first instruction."""
    return debug("kernel")


def test_it_waits_at_the_first_instruction(kernel):
    where, code, info = kernel.gdb("frame", "x/2i $pc", "info threads").replies[-3:]
    assert "_start ()" in where
    assert "start64.S" in where
    assert "=> 0xffffffff80000000 <_start>:\tcld" in code
    assert "* 1 " in info
    assert kernel.guest.console == "begin\nend\n" or kernel.halted.wait(20)


def test_breakpoints_backtrace_and_data(kernel):
    run = kernel.gdb(
        "break factorial if n == 1",
        "continue",
        "backtrace",
        "up 2",
        "info locals",
        "print n",
        f"break kernel.c:{line_of('kernel.c', 'in the list')}",
        "continue",
        "info args",
        "print *head",
        "print *head->next->next",
        "print triangle",
        "print/x table",
        "x/s greeting",
        "print &first == head",
        "info breakpoints",
        "x/3i $pc",
        "delete",
        "info symbol factorial",
    )
    (_, hit, frames, up, no_locals, n, _, second, args, first, third, triangle) = run.replies[:12]
    table, greeting, same, points, code, *_ = run.replies[12:]
    assert f"Breakpoint 1, factorial (n=1) at kernel.c:{FACTORIAL - 1}" in hit
    assert [int(n) for n in re.findall(r"factorial \(n=(\d)\)", frames)] == [1, 2, 3, 4, 5]
    assert "#5 " in frames
    assert "guest_main () at kernel.c" in frames
    assert re.search(r"#6 .* _start \(\)", frames)
    assert "#7" not in frames
    assert "factorial (n=3)" in up
    assert "No locals." in no_locals
    assert n == "$1 = 3\n"
    assert "Breakpoint 2, sum_list (head=" in second
    assert "<first>" in args
    assert "{value = 10, next = " in first
    assert "{value = 30, next = 0x0}" in third
    assert "name = 0xffffffff8" in triangle
    assert '"triangle", colour = GREEN, corners = {{x = 0, y = 0}, {x = 3, y = 0}' in triangle
    assert "{0x1, 0x2, 0x4, 0x8, 0x10, 0x20, 0x40, 0x80}" in table
    assert '"hello from the guest"' in greeting
    assert same.endswith("= 1\n")
    assert "breakpoint already hit 1 time" in points
    assert "=> 0xffffffff8" in code
    assert_clean(run.log)


def test_stepping(kernel):
    run = kernel.gdb(
        "break guest_main",
        "continue",
        "next",
        "next",
        "step",
        "info locals",
        "next",
        "next",
        "print base",
        "finish",
        "stepi",
        "nexti",
        "advance sum_list",
        "backtrace 1",
        f"until {line_of('kernel.c', 'return sum')}",
        "print sum",
        "tbreak count",
        "continue",
        "info breakpoints",
        "next",
        "next",
        "until",
        "until",
        "until",
        "finish",
        "print counter",
    )
    replies = run.replies
    assert "int total = 0;" in replies[1]
    assert 'say("begin' in replies[2]
    assert "total += area(&triangle)" in replies[3]
    assert "area (shape=" in replies[4]
    assert "corner = " in replies[5]
    assert replies[8] == "$1 = 3\n"
    assert "Value returned is $2 = 6" in replies[9]
    assert "sum_list (head=" in replies[12]
    assert replies[15] == "$3 = 60\n"
    assert "Temporary breakpoint 2, count (limit=100)" in replies[17]
    assert "Temporary" not in replies[18]
    assert "58\t}" in replies[21]  # the loop is through
    assert "guest_main ()" in replies[22]
    assert "_start ()" in replies[24]
    assert replies[25].endswith(f"= {sum(range(100))}\n")
    assert_clean(run.log)


def test_variables_and_registers_are_changed(kernel):
    run = kernel.gdb(
        "break area",
        "continue",
        "next",
        "set var triangle.corners[1].x = 30",
        "next",
        "print base",
        "set var base = 50",
        "finish",
        "break read_table",
        "continue",
        "set var table[7] = 1000",
        "set var $rdi = 7",
        "print $rdi",
        "set var index = 7",
        "finish",
        "break *finished",
        "continue",
        "print $rax",
        "p $rip = &guest_main",
        "x/i $pc",
        "p $eax = 0x12345678",
        "p $al",
        "p $ax = 0x1111",
        "p $rax",
        "p $eflags |= 1",
        "p factorial(6)",
        "p $rip",
    )
    replies = run.replies
    assert replies[5] == "$1 = 30\n"
    assert "Value returned is $2 = 100" in replies[7]
    assert replies[12] == "$3 = 7\n"
    assert "Value returned is $4 = 1000" in replies[14]
    assert replies[17] == f"$5 = {100 + 120 + 60 + 1000}\n"
    assert "<guest_main>" in replies[19]
    assert replies[21].split("= ")[1] == f"{0x78}\n"
    assert replies[23].split("= ")[1] == f"{0x12341111}\n"
    assert "CF" in replies[24]
    assert replies[25].split("= ")[1] == "720\n"  # a function of the guest, called by gdb
    assert "<guest_main>" in replies[26]
    assert_clean(run.log)


def test_history_is_not_offered(kernel):
    run = kernel.gdb("reverse-step", "reverse-continue", "reverse-stepi", "tstatus")
    for reply in run.replies[:3]:
        assert "does not support this command." in reply
