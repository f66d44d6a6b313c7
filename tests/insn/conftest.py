# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Every instruction test runs on every engine there is; none uses the preferred one silently."""

import pytest

from vmmkit.insn import available_engines


@pytest.fixture(scope="session", params=available_engines())
def engine(request):
    """Name of the engine under test."""
    return request.param


@pytest.fixture(scope="session")
def two_engines():
    """Both engines' names, the reference first; skips where only one is built."""
    if len(available_engines()) < 2:
        pytest.skip("the native engine is not live in this run, so there is nothing to compare")
    return "pure", "native"
