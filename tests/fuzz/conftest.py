# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Inputs run on both engines; where only one is live there is nothing to compare."""

import pytest

from vmmkit.insn import available_engines


@pytest.fixture(scope="session")
def two_engines():
    """Both engines' names, the reference first."""
    if len(available_engines()) < 2:
        pytest.skip("the native engine is not live in this run, so there is nothing to compare")
    return "pure", "native"
