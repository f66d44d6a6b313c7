# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The kernel's virtual machines as a peer, where they may be used; nothing else needs them."""

import pytest

from kvm.kvm import unusable_reason
from vmmkit.insn import available_engines

REASON = unusable_reason()


def pytest_collection_modifyitems(items):
    """Skip all of this folder, and say why, where there is no peer."""
    if REASON is None:
        return
    skip = pytest.mark.skip(reason=REASON)
    for item in items:
        if item.get_closest_marker("kvm"):
            item.add_marker(skip)


@pytest.fixture(scope="session", params=available_engines())
def engine(request):
    """Name of the engine under test."""
    return request.param
