# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Memory forms on a KVM vCPU do on a device what they do on RAM, whoever executes them."""

from collections import Counter

import pytest

from backends.kvm.kernel_differences import UNENDING, reason_of
from backends.kvm.memory_walk import Bench, sample

pytestmark = pytest.mark.kvm

WALKS = {(64, 0): 1, (64, 3): 1, (32, 0): 6, (16, 0): 6}
"""By mode and privilege: of how many kinds of form the full walk tries one."""
SAMPLE = 37
"""Of how many of those the sample tries one."""


def walk(mode, cpl, forms):
    """Return the verdicts of a walk."""
    bench = Bench(mode, cpl)
    try:
        return [bench.verdict(form, seed) for seed, form in enumerate(forms)]
    finally:
        bench.close()


def wrong(verdicts):
    """Name the forms that differ, but for those that are known to."""
    return [
        f"{one.form}: on RAM {one.ram_end}, on the device {one.end}, differs in {one.different}"
        for one in verdicts
        if one.different and reason_of(one) is None
    ]


def check(mode, cpl, forms):
    verdicts = walk(mode, cpl, forms)
    assert wrong(verdicts) == []
    ends = Counter(one.end for one in verdicts)
    assert ends["done"] > len(verdicts) * 3 // 4, ends


@pytest.mark.parametrize(("mode", "cpl"), WALKS)
def test_a_sample(mode, cpl):
    forms = sample(mode, SAMPLE * WALKS[mode, cpl])
    check(mode, cpl, [form for form in forms if form.insn.mnemonic not in UNENDING])


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "cpl"), WALKS)
def test_all(mode, cpl):
    check(mode, cpl, sample(mode, WALKS[mode, cpl]))
