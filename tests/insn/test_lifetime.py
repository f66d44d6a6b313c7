# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What an engine's entry points keep alive."""

import gc

from vmmkit.insn import Cpu, ExitKind


def bound_entry_point(engine):
    ram = bytearray(4096)
    ram[:3] = bytes.fromhex("40 eb fd")  # inc eax; jmp back
    cpu = Cpu([(0, ram)], engine=engine)
    cpu.state.enter_protected_mode(0)
    return cpu.enter, cpu.state


def test_entry_point_outlives_its_cpu(engine):
    """The C structures behind it were once freed with the object that made them."""
    enter, state = bound_entry_point(engine)
    gc.collect()
    ballast = [bytearray(4096) for _ in range(200)]
    assert [enter(100, 0) for _ in range(5)] == [ExitKind.BUDGET] * 5
    assert state.rax == 250
    assert len(ballast) == 200
