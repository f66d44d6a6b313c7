# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Memory through a real gdb: bulk transfers, searches, checksums, device registers."""

import random
import re

import pytest

from gdb.debug_session import assert_clean
from gdb.guest_machine import VERSION

VIRTUAL, PHYSICAL, SIZE = 0xFFFF_FFFF_8040_0000, 0x60_0000, 16 << 20
DEVICE = 0xFFFF_FFFF_FEB0_0000


@pytest.fixture
def kernel(debug):
    """Return a session that waits at the kernel's first instruction."""
    return debug("kernel")


def test_16_mib_there_and_back(kernel, tmp_path):
    noise = random.Random(1).randbytes(SIZE)
    ram = memoryview(kernel.guest.ram)[PHYSICAL : PHYSICAL + SIZE]
    ram[:] = noise
    dumped = tmp_path / "dumped"
    run = kernel.gdb(f"dump binary memory {dumped} {VIRTUAL:#x} {VIRTUAL + SIZE:#x}", logged=False)
    assert run.replies == [""]
    assert dumped.read_bytes() == noise
    ram[:] = bytes(SIZE)
    run = kernel.gdb(f"restore {dumped} binary {VIRTUAL:#x}", logged=False)
    assert "Restoring binary file" in run.replies[0]
    assert ram == noise


def test_sections_and_searches(kernel):
    run = kernel.gdb(
        "compare-sections",
        "find /b &_start, +0x2000, 'h', 'e', 'l', 'l', 'o'",
        'find &_start, +0x14000, "hello from the guest"',
        "find /w &table, +32, 64",
        "find &_start, +0x1000, 0x1234567890abcdefLL",
        "set var greeting[0] = 'J'",
        "x/s greeting",
        "compare-sections .data",
        "print/x *table@4",
        "x/3dw &table[4]",
        "output table[7]",
        "x/2xg 0",
        "print *(int *)0x1000",
        "set {int}0x1000 = 1",
        "x/4xb 0xffffffff823ffffe",
    )
    sections = run.replies[0]
    assert sections.count("matched") == 3
    assert "MIS-MATCHED" not in sections
    assert "<greeting>" in run.replies[2]
    assert "1 pattern found" in run.replies[2]
    assert "<table+24>" in run.replies[3]
    assert "Pattern not found" in run.replies[4]
    assert '"Jello' in run.replies[6]
    assert "MIS-MATCHED!" in run.replies[7]
    assert "{0x1, 0x2, 0x4, 0x8}" in run.replies[8]
    assert re.search(r"16\s+32\s+64", run.replies[9])
    for reply in run.replies[11:14]:
        assert re.search(r"Cannot access memory at address 0x", reply)
    assert_clean(
        run.log, errors=[b"m0,", b"m1000,", b"x0,", b"x1000,", b"X1000,", b"M1000", b"mfff"]
    )


def test_loading_a_program(kernel):
    program = kernel.guest.programs[0]
    kernel.guest.ram[program.gpa + 0x30 : program.gpa + 0x800] = bytes(0x7D0)
    run = kernel.gdb(
        "set var $rip = &guest_main",
        "load",
        "print $rip",
        "compare-sections .text",
        "break *finished",
        "continue",
    )
    assert "Start address 0xffffffff80000000" in run.replies[1]
    assert "<_start>" in run.replies[2]
    assert "matched." in run.replies[3]
    assert "finished ()" in run.replies[5]
    assert kernel.guest.console == "begin\nend\n"
    assert_clean(run.log, errors=[b"m0,"])


def test_device_registers_are_accessed_at_their_width(kernel):
    run = kernel.gdb(
        f"x/wx {DEVICE:#x}",
        f"x/hx {DEVICE + 8:#x}",
        f"x/bx {DEVICE + 0xB:#x}",
        f"x/gx {DEVICE + 0x10:#x}",
        f"set {{int}}{DEVICE + 4:#x} = 9",
        f"set {{char}}{DEVICE + 0xC:#x} = 1",
        f"set {{short}}{DEVICE + 0xE:#x} = 2",
        f"set {{long}}{DEVICE + 0x18:#x} = 3",
    )
    assert f"0x{VERSION:08x}" in run.replies[0]
    assert kernel.guest.registers.accesses[:8] == [
        ("read", 0, 4),
        ("read", 8, 2),
        ("read", 0xB, 1),
        ("read", 0x10, 8),
        ("write", 4, 4, 9),
        ("write", 0xC, 1, 1),
        ("write", 0xE, 2, 2),
        ("write", 0x18, 8, 3),
    ]
    assert_clean(run.log)


def test_device_accesses_can_be_turned_off(kernel):
    run = kernel.gdb(
        "monitor mmio off", f"x/wx {DEVICE:#x}", "monitor mmio on", f"x/wx {DEVICE:#x}"
    )
    assert "Cannot access memory" in run.replies[1]
    assert f"0x{VERSION:08x}" in run.replies[3]
    guests_own = [("read", 0, 4), ("write", 4, 4, 7)]
    kernel.await_(lambda: kernel.guest.registers.accesses == [("read", 0, 4), *guests_own])
