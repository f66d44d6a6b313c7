# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""CRC32: the Castagnoli polynomial, all source sizes, flags untouched."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insn.machine import DATA, GP, MMIO, STATUS, Machine, check_case, check_fault
from vmmkit.insn import Read

ONES = 0xFFFF_FFFF
# size: the opcode before ModRM
OPCODES = {1: "f20f38f0", 2: "66f20f38f1", 4: "f20f38f1", 8: "f2480f38f1"}


def by_polynomial_division(crc, data):
    """SDM vol. 2A, CRC32: the remainder by 11EDC6F41h, the bits of every operand reflected."""
    dividend = 0
    for byte in data:
        dividend = dividend << 8 | int(f"{byte:08b}"[::-1], 2)
    dividend = dividend << 32 ^ int(f"{crc:032b}"[::-1], 2) << 8 * len(data)
    for bit in range(8 * len(data) + 31, 31, -1):
        if dividend >> bit & 1:
            dividend ^= 0x1_1EDC_6F41 << bit - 32
    return int(f"{dividend:032b}"[::-1], 2)


def test_check_value(engine):
    """The published check value of CRC-32C for the nine digits is E3069283."""
    machine = Machine(engine, "long", OPCODES[1] + "c3", {"rax": ONES})
    for byte in b"123456789":
        machine.state.rip, machine.state.rbx = 0x1000, byte
        machine.step()
    assert machine.state.rax ^ ONES == 0xE306_9283


@given(data=st.binary(min_size=8, max_size=8), crc=st.integers(0, ONES))
def test_like_polynomial_division(engine, data, crc):
    for size, opcode in OPCODES.items():
        before = {"rax": 0xABCD << 32 | crc, "rbx": int.from_bytes(data, "little")}
        before["rflags"] = 2 | STATUS
        after = {"rax": by_polynomial_division(crc, data[:size])}
        check_case(engine, "long", opcode + "c3", before, after)


@pytest.mark.parametrize("mode", ["real", "pm32", "long"])
def test_memory_source(engine, mode):
    code = "f20f38f007" if mode == "real" else "f20f38f003"
    before = {"rax": 7, "rbx": DATA, (DATA, 1): 0x31}
    check_case(engine, mode, code, before, {"rax": by_polynomial_division(7, b"1")})


def test_destination_sizes(engine):
    """With REX.W the destination has 8 bytes even for a source of 1; AH is a source without REX."""
    result = by_polynomial_division(0, b"\x5a")
    check_case(engine, "long", "f2480f38f0c3", {"rax": 1 << 40, "rbx": 0x5A}, {"rax": result})
    check_case(engine, "long", "f20f38f0c7", {"rbx": 0x5A00}, {"rax": result})
    check_case(engine, "long", "f2400f38f0c7", {"rdi": 0x5A}, {"rax": result})


def test_device_and_fault(engine):
    after = {"rax": by_polynomial_division(0, b"\1\2\3\4")}
    check_case(
        engine, "long", "f20f38f103", {"rbx": MMIO}, after, None, [0x0403_0201], [Read(MMIO, 4)]
    )
    check_fault(Machine(engine, "long", "f20f38f103", {"rbx": 1 << 63}), GP)
