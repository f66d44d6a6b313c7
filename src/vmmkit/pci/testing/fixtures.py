# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Fixtures for pytest: `pytest_plugins = ["vmmkit.pci.testing.fixtures"]` in a `conftest.py`.

| fixture | is |
|---|---|
| `pci_host` | a `Host` of its own for each test; when the test is over, maps and registers are checked |
| `pci_plug` | its `plug`: `driver = pci_plug(MyDevice())` |
"""  # noqa: E501 - a row of a table

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from vmmkit.pci.testing.driver import Driver
from vmmkit.pci.testing.host import Host

__all__ = ["pci_host", "pci_plug"]


@pytest.fixture
def pci_host() -> Iterator[Host]:
    """Make a host; afterwards see that its address maps are in step with its registers."""
    host = Host()
    yield host
    host.check()


@pytest.fixture
def pci_plug(pci_host: Host) -> Callable[..., Driver[Any]]:
    """Return `pci_host.plug`."""
    return pci_host.plug
