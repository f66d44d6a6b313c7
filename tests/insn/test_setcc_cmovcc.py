# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""SETcc, CMOVcc, LAHF, SAHF: flags that become data, choose data, and come back."""

import pytest

from insn.machine import AF, CF, DATA, GP, MMIO, OF, PF, SF, ZF, Machine, check_case, check_fault
from vmmkit.insn import Read, Write

HIGH = 0xA5A5_A5A5_0000_0000
# condition code: (flags for which it holds, flags for which it does not)
CONDITIONS = [
    ((OF, OF | ZF), (0, CF | SF)),
    ((CF, CF | ZF), (0, OF | ZF)),
    ((ZF,), (0, CF)),
    ((CF, ZF, CF | ZF), (0, SF | OF)),
    ((SF,), (0, OF)),
    ((PF,), (0, AF)),
    ((SF, OF, SF | ZF), (0, SF | OF)),
    ((ZF, SF, OF, SF | OF | ZF), (0, SF | OF)),
]


def cases():
    """Condition code, flags, whether the condition holds; bit 0 of the code inverts."""
    for half, (true, false) in enumerate(CONDITIONS):
        for flags in true + false:
            yield 2 * half, flags, flags in true
            yield 2 * half + 1, flags, flags not in true


@pytest.mark.parametrize(("code", "flags", "holds"), list(cases()))
def test_conditions(engine, code, flags, holds):
    before = {"rflags": 2 | flags, "rax": 0x1234, "rbx": 0x5678}
    check_case(engine, "long", f"0f{0x90 + code:02x}c0", before, {"rax": 0x1200 | holds})
    after = {"rax": 0x5678} if holds else {}
    check_case(engine, "long", f"480f{0x40 + code:02x}c3", before, after)


@pytest.mark.parametrize(
    ("mode", "code", "before", "after"),
    [
        # SETZ: ModRM.reg is not looked at
        ("long", "0f94fb", {"rbx": 0x1FF, "rflags": 0x42}, {"rbx": 0x101}),
        ("long", "0f94c7", {"rbx": 0x1FF, "rflags": 0x42}, {"rbx": 0x1FF & 0xFF | 0x100}),
        ("long", "410f94c7", {"r15": 0x1FF, "rflags": 2}, {"r15": 0x100}),
        ("real", "0f9407", {"rbx": DATA, (DATA, 2): 0xFFFF, "rflags": 0x42}, {(DATA, 2): 0xFF01}),
        ("pm32", "0f9403", {"rbx": DATA, (DATA, 2): 0xFFFF}, {(DATA, 2): 0xFF00}),
        # CMOVZ: of 4 bytes the upper half becomes zero even when nothing is moved
        ("long", "0f44c3", {"rax": HIGH | 1, "rbx": HIGH | 2}, {"rax": 1}),
        ("long", "0f44c3", {"rax": HIGH | 1, "rbx": HIGH | 2, "rflags": 0x42}, {"rax": 2}),
        ("long", "660f44c3", {"rax": HIGH | 1, "rbx": 0x5_0002, "rflags": 0x42}, {"rax": HIGH | 2}),
        ("long", "660f44c3", {"rax": HIGH | 1, "rbx": 2}, {}),
        ("long", "480f44c3", {"rax": HIGH | 1, "rbx": 2}, {}),
        ("real", "0f4407", {"rbx": DATA, (DATA, 2): 7, "rflags": 0x42}, {"rax": 7}),
    ],
)
def test_forms(engine, mode, code, before, after):
    check_case(engine, mode, code, before, after)


def test_at_a_device(engine):
    """CMOVcc reads whether or not it moves; SETcc writes and does not read."""
    check_case(engine, "long", "0f4403", {"rbx": MMIO, "rax": 5}, {}, None, [7], [Read(MMIO, 4)])
    check_case(
        engine, "long", "0f4503", {"rbx": MMIO, "rax": 5}, {"rax": 7}, None, [7], [Read(MMIO, 4)]
    )
    check_case(engine, "long", "0f9503", {"rbx": MMIO}, {}, None, (), [Write(MMIO, 1, 1)])


def test_faults(engine):
    """A move that does not happen still faults."""
    check_fault(Machine(engine, "long", "0f4403", {"rbx": 1 << 63}), GP)
    check_fault(Machine(engine, "long", "0f9403", {"rbx": 1 << 63}), GP)
    machine = Machine(engine, "pm32", "0f9403", {"rbx": DATA})
    machine.state.ds = machine.state.ds._replace(attributes=0xC091)  # read-only data
    check_fault(machine, GP)


@pytest.mark.parametrize("mode", ["real", "pm32", "long"])
def test_flags_in_ah(engine, mode):
    """LAHF has bit 1 set, bits 3 and 5 clear; SAHF leaves OF and all that is not a status flag."""
    before = {"rax": 0x1_1234, "rflags": 0xCD7}
    check_case(engine, mode, "9f", before, {"rax": 0x1_D734})
    check_case(engine, mode, "9f", {"rax": 0, "rflags": 0x802}, {"rax": 0x200})
    check_case(engine, mode, "9e", {"rax": 0xFF00, "rflags": 0x402}, {}, "CPAZS")
    check_case(engine, mode, "9e", {"rax": 0x00FF, "rflags": 0x8D7}, {}, "O")
    check_case(engine, mode, "9e", {"rax": 0x4100, "rflags": 2}, {}, "CZ")


def test_ah_is_ah_with_rex(engine):
    """With REX byte register 4 is SPL, which these do not mean."""
    check_case(engine, "long", "489f", {"rax": 0, "rflags": 3}, {"rax": 0x300})
    check_case(engine, "long", "409e", {"rax": 0x0100}, {}, "C")
