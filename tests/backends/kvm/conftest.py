# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Guests for the tests of KVM; what needs it is skipped where it is of no use, with the reason."""

import pytest

from backends.kvm.small_guest import SmallGuest
from vmmkit.backends.kvm import unusable_reason


def pytest_collection_modifyitems(items):
    reason = unusable_reason()
    if reason is None:
        return
    for item in items:
        if item.get_closest_marker("kvm"):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def guest():
    """Return a maker of guests, which end with the test."""
    made = []

    def make(code, **options):
        made.append(SmallGuest(code, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
