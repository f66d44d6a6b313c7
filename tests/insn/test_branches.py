# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Jcc, JMP, CALL, RET (SDM vol. 2A and 2B)."""

import pytest

from insn.machine import (
    AF,
    CF,
    CODE,
    DATA,
    GP,
    MMIO,
    OF,
    PAGE_FAULT,
    PF,
    SF,
    SS_FAULT,
    STACK,
    ZF,
    Machine,
    check_case,
    check_fault,
)
from vmmkit.insn import Done, Read, Segment

# SDM vol. 1, appendix "EFLAGS Condition Codes": when each even condition holds.
CONDITIONS = {
    0x0: lambda flags: flags & OF,
    0x2: lambda flags: flags & CF,
    0x4: lambda flags: flags & ZF,
    0x6: lambda flags: flags & CF or flags & ZF,
    0x8: lambda flags: flags & SF,
    0xA: lambda flags: flags & PF,
    0xC: lambda flags: bool(flags & SF) is not bool(flags & OF),
    0xE: lambda flags: flags & ZF or bool(flags & SF) is not bool(flags & OF),
}


def all_flags():
    for number in range(32):
        bits = (CF, PF, ZF, SF, OF)
        yield sum(bit for place, bit in enumerate(bits) if number >> place & 1)


@pytest.mark.parametrize("code", range(16))
def test_every_condition_under_every_combination_of_flags(engine, code):
    short = Machine(engine, "long", f"{0x70 + code:02x}10")
    near = Machine(engine, "long", f"0f{0x80 + code:02x}00010000")
    for flags in all_flags():
        holds = bool(CONDITIONS[code & ~1](flags)) != bool(code & 1)
        for machine, length, offset in ((short, 2, 0x10), (near, 6, 0x100)):
            machine.state.rip, machine.state.rflags = CODE, 2 | AF | flags
            machine.step()
            assert machine.state.rip == CODE + length + (offset if holds else 0)
            assert machine.state.rflags == 2 | AF | flags


JUMPS = [
    ("long", "eb10", {}, CODE + 0x12),
    ("long", "ebfe", {}, CODE),
    ("long", "e900010000", {}, CODE + 0x105),
    ("long", "e9fbefffff", {}, 0),
    ("long", "66e900010000", {}, CODE + 0x106),  # 66 does not narrow it in 64-bit mode
    ("long", "ffe0", {"rax": 0x7FFF_FFFF_FFFF}, 0x7FFF_FFFF_FFFF),
    ("long", "41ffe7", {"r15": 0xFFFF_8000_0000_0000}, 0xFFFF_8000_0000_0000),
    ("long", "ff23", {"rbx": DATA, (DATA, 8): 0x1234_5678_9ABC}, 0x1234_5678_9ABC),
    ("pm32", "e900010000", {}, CODE + 0x105),
    ("pm32", "66e90001", {}, CODE + 0x104),
    ("pm32", "ffe0", {"rax": 0xFFFF_0000}, 0xFFFF_0000),
    ("pm32", "66ffe0", {"rax": 0xFFFF_1234}, 0x1234),
    ("pm32", "66ff23", {"rbx": DATA, (DATA, 4): 0xFFFF_1234}, 0x1234),
    ("pm32", "e9fbefffff", {}, 0),
    ("pm32", "e9faefffff", {}, 0xFFFF_FFFF),  # wraps at 32 bits; the limit is 4 GiB
    ("real", "ebfe", {}, CODE),
    ("real", "e9fdef", {}, 0),
    ("real", "e9f0ef", {}, 0xFFF3),  # wraps at 16 bits
    ("real", "66e9faefffff", {}, 0),
    ("real", "ffe0", {"rax": 0xF_1234}, 0x1234),
    ("real", "7410", {"rflags": 0x42}, CODE + 0x12),
]


@pytest.mark.parametrize(("mode", "code", "before", "rip"), JUMPS)
def test_jumps(engine, mode, code, before, rip):
    check_case(engine, mode, code, before, {"rip": rip})


CALLS = [
    ("long", "e800010000", {}, 8, CODE + 5, CODE + 0x105),
    ("long", "66e800010000", {}, 8, CODE + 6, CODE + 0x106),
    ("long", "ffd0", {"rax": 0x1234_5678_9ABC}, 8, CODE + 2, 0x1234_5678_9ABC),
    ("long", "ff13", {"rbx": DATA, (DATA, 8): 0x4000}, 8, CODE + 2, 0x4000),
    ("long", "ffd4", {}, 8, CODE + 2, STACK),  # CALL RSP uses the old value
    ("pm32", "e800010000", {}, 4, CODE + 5, CODE + 0x105),
    ("pm32", "66e80001", {}, 2, CODE + 4, CODE + 0x104),
    ("pm32", "ffd0", {"rax": 0x4000}, 4, CODE + 2, 0x4000),
    ("real", "e80001", {}, 2, CODE + 3, CODE + 0x103),
    ("real", "66e800010000", {}, 4, CODE + 6, CODE + 0x106),
    ("real", "ff17", {"rbx": DATA, (DATA, 2): 0x4000}, 2, CODE + 2, 0x4000),
]


@pytest.mark.parametrize(("mode", "code", "before", "size", "back", "rip"), CALLS)
def test_calls(engine, mode, code, before, size, back, rip):
    after = {"rip": rip, "rsp": STACK - size, (STACK - size, size): back}
    check_case(engine, mode, code, before, after)


RETURNS = [
    ("long", "c3", 8, 0x1234_5678_9ABC, 0),
    ("long", "66c3", 8, 0x4000, 0),
    ("long", "c21000", 8, 0x4000, 0x10),
    ("long", "c2f0ff", 8, 0x4000, 0xFFF0),  # the count is unsigned
    ("pm32", "c3", 4, 0x4000, 0),
    ("pm32", "66c3", 2, 0x4000, 0),
    ("pm32", "c20800", 4, 0x4000, 8),
    ("real", "c3", 2, 0x4000, 0),
    ("real", "66c20400", 4, 0x4000, 4),
]


@pytest.mark.parametrize(("mode", "code", "size", "rip", "released"), RETURNS)
def test_returns(engine, mode, code, size, rip, released):
    after = {"rip": rip, "rsp": STACK + size + released}
    check_case(engine, mode, code, {(STACK, size): rip}, after)


HOLE = 1 << 47
FAULTS = [
    ("long", "ffe0", {"rax": HOLE}, (GP,)),
    ("long", "ff23", {"rbx": DATA, (DATA, 8): HOLE}, (GP,)),
    ("long", "ffd0", {"rax": HOLE}, (GP,)),
    ("long", "c3", {(STACK, 8): HOLE}, (GP,)),
    ("long", "c3", {"rsp": HOLE}, (SS_FAULT,)),
    ("long", "e800000000", {"rsp": HOLE + 8}, (SS_FAULT,)),
    ("long", "e800000000", {"rsp": 0x4000_0008}, (PAGE_FAULT, 2, 0x4000_0000)),
    ("long", "ff23", {"rbx": 0x4000_0000}, (PAGE_FAULT, 0, 0x4000_0000)),
    ("real", "66e9f0ff0000", {}, (GP,)),  # EIP beyond the 64 KiB limit
    ("real", "66ffe0", {"rax": 0x1_0000}, (GP,)),
    ("real", "66c3", {(STACK, 4): 0x1_0000}, (GP,)),
    ("real", "66ffd0", {"rax": 0x1_0000}, (GP,)),
    ("real", "e80001", {"rsp": 1}, (SS_FAULT,)),
    ("pm32", "e900100000", {"cs": (8, 0, 0x1FFF, 0xC09B)}, (GP,)),
    ("pm32", "0f8400100000", {"cs": (8, 0, 0x1FFF, 0xC09B), "rflags": 0x42}, (GP,)),
]


@pytest.mark.parametrize(("mode", "code", "registers", "fault"), FAULTS)
def test_faults_leave_everything_as_it_was(engine, mode, code, registers, fault):
    check_fault(Machine(engine, mode, code, registers), *fault)


def test_the_same_target_is_fine_when_the_branch_is_not_taken(engine):
    machine = Machine(engine, "pm32", "0f8400100000", {"cs": (8, 0, 0x1FFF, 0xC09B)})
    assert machine.step() == Done(CODE + 6, 0)


def test_canonical_width_follows_la57(engine):
    machine = Machine(engine, "long", "ffe0", {"rax": HOLE})
    machine.state.cr4 |= 1 << 12
    machine.state.cr3 = 0x44000
    assert machine.step() == Done(HOLE, 0)
    machine = Machine(engine, "long", "ffe0", {"rax": 1 << 56})
    machine.state.cr4 |= 1 << 12
    machine.state.cr3 = 0x44000
    check_fault(machine, GP)


def test_targets_from_devices(engine):
    check_case(engine, "long", "ff23", {"rbx": MMIO}, {"rip": 0x42}, None, [0x42], [Read(MMIO, 8)])
    after = {"rip": 0x42, "rsp": STACK - 8, (STACK - 8, 8): CODE + 2}
    check_case(engine, "long", "ff13", {"rbx": MMIO}, after, None, [0x42], [Read(MMIO, 8)])
    after = {"rip": 0x42, "rsp": MMIO + 8}
    check_case(engine, "long", "c3", {"rsp": MMIO}, after, None, [0x42], [Read(MMIO, 8)])


def test_code_segment_base_is_no_part_of_rip(engine):
    machine = Machine(engine, "real", "")
    machine.poke(0x1230 + 0x20, bytes.fromhex("eb0e"))
    machine.state.cs, machine.state.rip = Segment(0x123, 0x1230, 0xFFFF, 0x9B), 0x20
    assert machine.step() == Done(0x30, 0)
