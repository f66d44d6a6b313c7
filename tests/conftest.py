# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What all tests share: the engine line, Hypothesis profiles, and system tools."""

import importlib
import os
from collections.abc import Callable
from types import ModuleType

import pytest
from hypothesis import HealthCheck, settings

from system_tools import require
from vmmkit.insn import IMPLEMENTATION

IN_CI = bool(os.environ.get("CI"))

# No deadlines: a loaded machine is no failure. CI looks further than a developer's run, and at
# the same examples every time, so that a red build is the fault of the change it builds.
settings.register_profile("dev", deadline=None)
settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    max_examples=300,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if IN_CI else "dev"))


def pytest_report_header() -> str:
    wanted = os.environ.get("VMMKIT_NATIVE", "")
    return f"vmmkit: {IMPLEMENTATION} instruction engine (VMMKIT_NATIVE={wanted!r})"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the native engine alone have nothing to run where it was not built."""
    if IMPLEMENTATION == "native":
        return
    skip = pytest.mark.skip(reason="the native engine is not live in this run")
    for item in items:
        if item.get_closest_marker("native"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def require_tool() -> Callable[[str], str]:
    """Return a finder of system programs: their path, or a skip (in CI: a failure)."""
    return require


@pytest.fixture(scope="session")
def import_module() -> Callable[[str], ModuleType]:
    """Return an importer of vmmkit's modules that skips the native half where it is not live."""

    def load(name: str) -> ModuleType:
        if "._native" in name and IMPLEMENTATION != "native":
            pytest.skip("the native engine is not live in this run")
        return importlib.import_module(name)

    return load
