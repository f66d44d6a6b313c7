# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Guests for the debugger, built when first asked for."""

import functools
import platform
import sys

import pytest

from gdb.guests.build import build


@pytest.fixture(scope="session")
def program(require_tool, tmp_path_factory):
    """Return a builder of a guest by its name."""
    if platform.machine() not in {"x86_64", "AMD64"} or sys.platform != "linux":
        pytest.skip("gcc makes ELF programs for x86 on Linux on x86 only")
    for tool in ("gcc", "ld", "nm", "objcopy"):
        require_tool(tool)
    folder = tmp_path_factory.mktemp("guests")
    return functools.cache(lambda name: build(folder, name))
