# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Whether requests of a function get to memory: its own Bus Master bit, and those above it.

Source: PCI Local Bus Specification 3.0, "Device Control" (Bus Master); PCI-to-PCI Bridge
Architecture Specification 1.2, "Command Register": with Bus Master Enable clear, a bridge does not
forward memory and I/O transactions from its secondary interface. Messages are memory writes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from vmmkit.pci.config import ConfigSpace

__all__ = ["may_master"]

_BUS_MASTER: Final = 1 << 2


def may_master(config: ConfigSpace, upstream: Iterable[ConfigSpace] = ()) -> bool:
    """Tell whether a function's requests leave it, and pass each bridge above.

    Args:
        config: the function's.
        upstream: of the bridges between it and the root bus.
    """
    if not config.command & _BUS_MASTER or config.power_state:
        return False
    return all(may_master(bridge) for bridge in upstream)
