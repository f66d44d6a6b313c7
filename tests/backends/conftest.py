# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Guests that several files run: built when first asked for."""

import functools
import platform
import sys

import pytest

from guests.boot_image import images


@pytest.fixture(scope="session")
def guest_images(require_tool, tmp_path_factory):
    """Return a builder of the stages of a guest by its name."""
    if platform.machine() not in {"x86_64", "AMD64"} or sys.platform != "linux":
        pytest.skip("gcc makes ELF programs for x86 on Linux on x86 only")
    for tool in ("gcc", "ld", "objcopy"):
        require_tool(tool)
    return functools.cache(lambda name: images(tmp_path_factory.mktemp(name), name))
