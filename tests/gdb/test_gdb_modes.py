# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A guest that goes from real-address mode to long mode while gdb is connected."""

import re

import pytest

from gdb.debug_session import assert_clean

STAGES = ("real", "protected", "long")


def symbols(session):
    """Return commands that load the symbols of all stages."""
    return [f"add-symbol-file {program.elf}" for program in session.guest.programs]


def test_all_modes_in_one_connection(debug):
    session = debug(*STAGES)
    loading = symbols(session)
    run = session.gdb(
        *loading,
        "show architecture",
        "x/5i $pc",
        "break real_put",
        "break square if n == 3",
        "break shift if n == 2",
        "break compatible",
        "continue",
        "x/2i $pc",
        "print $sp",
        "stepi",
        "continue",
        "show architecture",
        "backtrace",
        "info locals",
        "x/2i $pc",
        "print $eip",
        "continue",
        "show architecture",
        "backtrace",
        "print n",
        "next",
        "print power",
        "print $rip",
        "print $r15",
        "continue",
        "show architecture",
        "x/2i $pc",
        "stepi",
        "stepi",
        "print $al",
        "detach",
        files=[],
    )
    replies = run.replies[len(loading) :]
    assert 'currently "i8086"' in replies[0]
    assert re.search(
        r"cli\s.*xor +%ax,%ax\s.*mov +%eax,%ds|cli\s.*xor +%ax,%ax", replies[1], re.DOTALL
    )
    assert "real_put" in replies[6]
    assert "mov    $0x3f8,%dx" in replies[7]
    assert "square (n=3)" in replies[10]
    assert 'currently "i386"' in replies[11]
    assert re.search(r"square \(n=3\).*protected_main \(\).*_start \(\)", replies[12], re.DOTALL)
    assert "product = " in replies[13]
    assert "%e" in replies[14]
    assert "shift (n=2)" in replies[16]
    assert 'currently "i386:x86-64"' in replies[17]
    assert re.search(r"shift \(n=2\).*long_main \(\).*_start \(\)", replies[18], re.DOTALL)
    assert replies[21].endswith(f"= {1 << 20}\n")
    assert "compatible" in replies[24]
    assert 'currently "i386"' in replies[25]
    assert "mov    $0x43,%al" in replies[26]
    assert replies[29].endswith("= 67\n")
    assert "too long" not in run.output
    assert_clean(run.log)
    assert session.halted.wait(20)
    assert session.guest.console == "RPLC"


def test_a_fixed_mode(debug):
    session = debug(*STAGES, mode=64, mode_switch="fixed")
    loading = symbols(session)[2:]
    run = session.gdb(
        *loading,
        "show architecture",
        "print $pc",
        "hbreak long_main",
        "continue",
        "backtrace",
        "x/2i $pc",
        "delete",
        "break *compatible",
        "continue",
        "print $rip",
        files=[],
    )
    replies = run.replies[len(loading) :]
    assert 'currently "i386:x86-64"' in replies[0]
    assert "0x7c00" in replies[1]
    assert "long_main ()" in replies[3]
    assert "compatible" in replies[8]
    assert "exec:" not in repr(run.log)
    assert_clean(run.log)


def test_the_layout_of_qemu(debug):
    session = debug("kernel", layout="qemu")
    run = session.gdb("break factorial", "continue", "print n", "print $cr0", "info registers rip")
    assert run.replies[2] == "$1 = 5\n"
    assert "PG" in run.replies[3]
    registers = [len(reply) for reply in run.log.replies(b"g") if reply]
    assert set(registers) <= {608 * 2}
    assert_clean(run.log)


@pytest.mark.parametrize("options", [{}, {"mode": 32, "mode_switch": "fixed"}])
def test_a_32_bit_program(debug, options):
    session = debug("protected", **options)
    run = session.gdb(
        "show architecture",
        "break square",
        "continue",
        "backtrace",
        "finish",
        "print $eax",
        "set var $eax = 5",
        "next",
        "print results",
        "load",
        "print $pc",
        "continue",
        "print $xmm0",
        "info registers",
    )
    assert 'currently "i386"' in run.replies[0]
    assert "square (n=1)" in run.replies[2]
    assert "protected_main ()" in run.replies[3]
    assert "Value returned is $1 = 1" in run.replies[4]
    assert "{5, 0, 0, 0}" in run.replies[8] or "{1, 0, 0, 0}" in run.replies[8]
    assert "<_start>" in run.replies[10]
    assert "square (n=1)" in run.replies[11]
    assert "v4_int32" in run.replies[12]
    assert "eflags" in run.replies[13]
    assert_clean(run.log)


def test_steps_and_watchpoints_across_modes(debug):
    session = debug(*STAGES)
    loading = symbols(session)
    run = session.gdb(
        *loading,
        "break real_switch",
        "continue",
        "stepi 5",
        "print $pc",
        "stepi",
        "x/i $pc",
        "watch results[2]",
        "continue",
        "break long_main",
        "continue",
        "watch powers[1]",
        "continue",
        "info watchpoints",
        files=[],
    )
    replies = run.replies[len(loading) :]
    assert "real_switch ()" in replies[1]
    assert "start32.S" in replies[2]
    assert replies[3].endswith("0x10000 <_start>\n")
    assert "mov    $0x10,%eax" in replies[5]
    assert re.search(r"Old value = 0\s+New value = 9\n", replies[7])
    assert "long_main ()" in replies[9]
    assert re.search(rf"Old value = 0\s+New value = {1 << 20}\n", replies[11])
    assert replies[12].count("already hit 1 time") == 2
    assert_clean(run.log)


def test_a_64_bit_file_and_a_guest_in_real_mode(debug):
    """GDB rejects the description, and the connection outlives that."""
    session = debug(*STAGES)
    run = session.gdb(
        "print $pc",
        "print/x $cs",
        "stepi",
        "x/2i $pc",
        "break long_main",
        "continue",
        "backtrace",
        "print $cr3 != 0",
        "info registers rip",
        files=[],
        before=[f"file {session.guest.programs[2].elf}"],
    )
    assert "rejected" in run.output
    assert "0x7c00" in run.replies[0]
    assert re.search(r"xor +%ax,%ax", run.replies[3])
    assert re.search(r"long_main \(\).*_start \(\)", run.replies[6], re.DOTALL)
    assert run.replies[7].endswith("= 1\n")
    assert "long_main" in run.replies[8]
    assert "too long" not in run.output
    assert_clean(run.log)


def test_a_32_bit_file_and_a_guest_in_long_mode(debug):
    narrow = debug("protected").guest.programs[0].elf
    session = debug("kernel")
    run = session.gdb(
        "print/x $eip",
        "stepi",
        "print/x $rip",
        "info registers cr0",
        files=[],
        before=[f"file {narrow}"],
    )
    assert "rejected" in run.output
    assert "too long" not in run.output
    start = session.guest.programs[0].symbols["_start"]
    assert run.replies[0] == f"$1 = {start & 0xFFFF_FFFF:#x}\n"
    assert run.replies[2].startswith("$2 = 0x")
    assert "PG" in run.replies[3]
    assert_clean(run.log, errors=(b"m",))  # where its 32-bit code would have a stack


@pytest.mark.parametrize("load", [("symbol-file {}",), ("file {}", "exec-file")])
def test_a_64_bit_program_and_a_guest_in_real_mode(debug, load):
    """GDB holds to the architecture of its executable file; symbols have none."""
    session = debug(*STAGES)
    elf = session.guest.programs[2].elf
    loading = [command.format(elf) for command in load]
    run = session.gdb(
        "x/2i $pc",
        "break long_main",
        "continue",
        "backtrace",
        files=[],
        before=loading,
    )
    assert re.search(r"cli\s.*xor +%ax,%ax", run.replies[0], re.DOTALL)
    assert re.search(r"long_main \(\).*_start \(\)", run.replies[3], re.DOTALL)
    assert "rejected" not in run.output
    assert_clean(run.log)


def test_a_program_that_the_server_names(debug, program):
    """GDB loads it by itself, and does not take its architecture for the processor's."""
    session = debug(*STAGES, exec_file=str(program("long").elf))
    run = session.gdb(
        "break *0x10000",
        "break long_main",
        "continue",
        "show architecture",
        "continue",
        "show architecture",
        "backtrace",
        files=[],
    )
    assert 'currently "i386"' in run.replies[3]
    assert 'currently "i386:x86-64"' in run.replies[5]
    assert re.search(r"long_main \(\).*_start \(\)", run.replies[6], re.DOTALL)
    assert "too long" not in run.output
    assert_clean(run.log)


@pytest.mark.parametrize("going", ["detach", "kill", "disconnect"])
def test_leaving_at_the_stop_between_two_modes(debug, going):
    session = debug(*STAGES)
    run = session.gdb("catch exec", "break *0x10000", "continue", "print $pc", going, files=[])
    assert "Catchpoint 1" in run.replies[2]
    assert "0x10000" in run.replies[3]
    session.await_(session.halted.is_set)


def test_breakpoints_survive_catchpoints_between_modes(debug):
    session = debug(*STAGES)
    loading = symbols(session)
    run = session.gdb(
        *loading,
        "catch exec",
        "hbreak compatible",
        "break long_main",
        *["continue"] * 4,
        "show architecture",
        "delete",
        "detach",
        files=[],
    )
    stops = run.replies[len(loading) + 3 :][:4]
    assert "Catchpoint 1 (exec'd ), long_main ()" in stops[0]
    assert "Breakpoint 3, long_main ()" in stops[1]
    assert "Catchpoint 1 (exec'd ), compatible ()" in stops[2]
    assert "Breakpoint 2, compatible ()" in stops[3]
    assert 'currently "i386"' in run.replies[len(loading) + 7]
    session.await_(session.halted.is_set)


@pytest.mark.parametrize("linear_pc", [False, True])
def test_breakpoints_in_code_with_a_base(debug, linear_pc):
    """They are at linear addresses, and no stop is passed over because EIP is an offset."""
    session = debug(*STAGES, linear_pc=linear_pc)
    state = session.guest.machine.vcpus[0].state
    state.enter_real_mode(0, 0x7C0)
    run = session.gdb(
        "break *real_put", "continue", "print/x $linear_pc", "delete", "stepi", "detach"
    )
    stop = "Breakpoint 1" if linear_pc else "received signal SIGTRAP"
    assert stop in run.replies[1]
    assert run.replies[2] == f"$1 = {session.guest.programs[0].symbols['real_put']:#x}\n"
