# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Engines as parameters of tests that run guests for seconds on the slower ones."""

import pytest

from vmmkit.insn import available_engines


def quick_engines():
    """Return the first engine there is, and the others for the slow run.

    With VMMKIT_NATIVE=0 the pure engine is the first.
    """
    first, *others = available_engines()
    return [first, *(pytest.param(engine, marks=pytest.mark.slow) for engine in others)]
