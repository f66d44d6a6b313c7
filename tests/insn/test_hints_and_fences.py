# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Prefetches, fences, cache line operations, and what CET means where it is not (SDM vol. 2)."""

import pytest

from insn.machine import (
    DATA,
    GP,
    MMIO,
    MODES,
    PAGE_FAULT,
    SS_FAULT,
    UD,
    Machine,
    check_case,
    check_fault,
)
from vmmkit.insn import Segment
from vmmkit.insn.optable import FEATURES

WITH_MEMORY = {
    "prefetch": "0f0d00",
    "prefetchw": "0f0d08",
    "prefetchwt1": "0f0d10",
    "prefetchnta": "0f1800",
    "prefetcht0": "0f1808",
    "prefetcht1": "0f1810",
    "prefetcht2": "0f1818",
    "prefetchit1": "0f1830",
    "prefetchit0": "0f1838",
    "cldemote": "0f1c00",
}
PLAIN = {
    "lfence": "0faee8",
    "mfence": "0faef0",
    "sfence": "0faef8",
    "sfence, another rm": "0faeff",
    "endbr64": "f30f1efa",
    "endbr32": "f30f1efb",
    "rdsspd": "f30f1ec8",
}
FLUSHES = {"clflush": "0fae38", "clflushopt": "660fae38", "clwb": "660fae30"}
BAD_PLACES = (1 << 63, 0x4000_0000, MMIO, 0xFFFF_FFFF_FFFF_FFFF, DATA)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("code", [*WITH_MEMORY.values(), *PLAIN.values()])
def test_nothing_happens(engine, mode, code):
    """Wherever the operand is: no fault, no device access, no register changes."""
    for place in BAD_PLACES:
        registers = {"rax": place, "rbx": place, "rsi": 0, "rflags": 0xAD7}
        check_case(engine, mode, code, registers, {})


def test_rdsspq_leaves_its_register(engine):
    check_case(engine, "long", "f3480f1ec8", {"rax": (1 << 64) - 1}, {})


@pytest.mark.parametrize("mode", ["pm32", "compat", "long"])
@pytest.mark.parametrize("code", FLUSHES.values())
def test_a_line_is_flushed_without_an_access(engine, mode, code):
    for place in (DATA, MMIO, 0x5_0000):
        check_case(engine, mode, code, {"rax": place, "rflags": 0xAD7}, {})


@pytest.mark.parametrize("code", FLUSHES.values())
def test_a_line_is_checked_like_a_byte(engine, code):
    """SDM vol. 2A, CLFLUSH: what a load of one byte would be refused, a flush is refused."""
    check_fault(Machine(engine, "long", code, {"rax": 1 << 63}), GP)
    last = Machine(engine, "long", code, {"rax": 0x4000_0000})
    check_fault(last, PAGE_FAULT, 0, 0x4000_0000)
    check_case(engine, "long", code, {"rax": 0x3FFF_FFFF}, {})
    user = Machine(engine, "long", code, {"rax": DATA}).ring3()
    user.pte(DATA, DATA | 1)
    check_fault(user, PAGE_FAULT, 5, DATA)
    user.pte(DATA, DATA | 5)  # reading is enough
    before = user.registers()
    user.step()
    assert user.registers() == before | {"rip": before["rip"] + len(user.code)}
    short = {"rax": 0x1000, "ds": Segment(16, 0, 0xFFF, 0xC093)}
    check_fault(Machine(engine, "pm32", code, short), GP)


@pytest.mark.parametrize("code", FLUSHES.values())
def test_an_execute_only_segment_can_be_flushed(engine, code):
    """SDM vol. 2A, CLFLUSH; its limit counts, and it must be usable."""
    execute_only = Segment(8, 0, 0xFFFF, 0xC099)
    check_case(engine, "pm32", "2e" + code, {"rax": DATA, "cs": execute_only}, {})
    check_fault(Machine(engine, "pm32", "2e" + code, {"rax": 1 << 16, "cs": execute_only}), GP)
    unusable = {"rax": DATA, "es": Segment(0, 0, 0xFFFF, 1 << 16 | 0xC093)}
    check_fault(Machine(engine, "pm32", "26" + code, unusable), GP)


def test_a_stack_line_beyond_canonical(engine):
    check_fault(Machine(engine, "long", "0fae3c24", {"rsp": 1 << 63}), SS_FAULT)


@pytest.mark.parametrize("code", [*WITH_MEMORY.values(), *PLAIN.values(), *FLUSHES.values()])
def test_none_takes_lock(engine, code):
    check_fault(Machine(engine, "long", "f0" + code, {"rax": DATA}), UD)


CPUID = [
    ("CLFSH", "0fae38"),
    ("CLFLUSHOPT", "660fae38"),
    ("CLWB", "660fae30"),
    ("SSE", "0faef8"),
    ("SSE2", "0faee8"),
    ("SSE2", "0faef0"),
]


@pytest.mark.parametrize(("feature", "code"), CPUID)
def test_features(engine, feature, code):
    machine = Machine(engine, "long", code, {"rax": DATA})
    machine.state.features &= ~(1 << list(FEATURES).index(feature))
    check_fault(machine, UD)
