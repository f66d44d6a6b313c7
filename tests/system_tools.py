# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""System programs that tests run: found, or a reason not to run the test."""

import os
import shutil

import pytest


def require(name: str) -> str:
    """Return the path of a program; without it the test is skipped (in CI: fails)."""
    path = shutil.which(name)
    if path is None and os.environ.get("CI"):
        pytest.fail(f"{name} is not installed, and CI must not skip what needs it")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path
