# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Guests with spoilt tables, and an owner who interferes, on both engines.

These are the fuzzer's own seeds; `make fuzz` goes on from them with the C engine alone.
"""

import random
from collections import Counter

import pytest

from fuzz.inputs import Bench, compare, read_inputs, text_of
from fuzz.kernel_seeds import kernel_seed


def disagreements(count, engines):
    """What differs, by number of the guest."""
    guests = (kernel_seed(random.Random(f"guest/{number}")) for number in range(count))
    found = {number: compare(made, engines) for number, made in enumerate(guests)}
    return {number: what for number, what in found.items() if what}


def test_some(two_engines):
    assert disagreements(150, two_engines) == {}


@pytest.mark.slow
def test_many(two_engines):
    assert disagreements(4000, two_engines) == {}


def test_text_form_keeps_all():
    made = kernel_seed(random.Random(1))
    made.wide, made.deliver = 1, 1
    (again,) = read_inputs(text_of(made))
    assert text_of(again) == text_of(made)


def test_they_get_somewhere():
    """The seeds are worth something only if most of what a call may say comes up."""
    seen = Counter()
    for number in range(200):
        made = kernel_seed(random.Random(f"guest/{number}"))
        bench = Bench("pure", made)
        for event in made.events:
            seen[type(bench.event(*event)).__name__] += 1
    assert {"Done", "BudgetSpent", "Read", "Write", "TripleFault", "InterruptWindow"} <= set(seen)
