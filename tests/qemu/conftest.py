# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A QEMU for each test that asks for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qemu.machines import QemuMachine


@pytest.fixture
def start_qemu(
    require_tool: Callable[[str], str], tmp_path: Path
) -> Iterator[Callable[..., QemuMachine]]:
    """Return a function that starts QEMU with options; all are ended after the test."""
    program = require_tool("qemu-system-x86_64")
    started: list[QemuMachine] = []

    def start(*options: str, machine: str = "q35") -> QemuMachine:
        folder = tmp_path / f"qemu{len(started)}"
        folder.mkdir()
        started.append(QemuMachine(program, folder, *options, machine=machine))
        return started[-1]

    yield start
    for one in started:
        one.stop()
