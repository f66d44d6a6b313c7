# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""UD0, UD1 and UD2 (SDM vol. 2B, UD): instructions whose one effect is #UD."""

import pytest

from insn.machine import MMIO, MODES, UD, Machine, check_fault
from vmmkit.insn import decode

CODES = {"0f0b": "UD2", "0fb9c3": "UD1", "0fb903": "UD1", "0fffc3": "UD0", "0fff03": "UD0"}
PREFIXES = ["", "66", "67", "f2", "f3", "2e"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("code", CODES)
def test_undefined(engine, mode, prefix, code):
    """They decode; the operand is not looked at."""
    for place in (1 << 63, MMIO, 0x4000_0000):
        check_fault(Machine(engine, mode, prefix + code, {"rbx": place, "rdi": place}), UD)


@pytest.mark.parametrize("code", CODES)
def test_they_are_instructions(engine, code):
    assert decode(bytes.fromhex(code), 64, engine=engine).mnemonic == CODES[code]


@pytest.mark.parametrize("code", CODES)
def test_lock_comes_to_the_same(engine, code):
    check_fault(Machine(engine, "long", "f0" + code), UD)
