# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Guests for the debugger, built when first asked for."""

import functools
import platform
import sys
from contextlib import ExitStack

import pytest

from gdb.debug_session import session_of
from gdb.gdb_driver import gdb_path
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


@pytest.fixture
def debug(program, tmp_path):
    """Return a maker of sessions by the names of programs; they end with the test."""
    gdb_path()
    with ExitStack() as stack:

        def start(*names, **options):
            programs = [program(name) for name in names]
            session = session_of(tmp_path, programs, **options)
            stack.callback(session.close)
            return session

        yield start
