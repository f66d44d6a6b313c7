# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Hex dumps of whole hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmmkit.pci.dump import dump as dump_configs
from vmmkit.pci.host_bridge import HostBridge

if TYPE_CHECKING:
    from vmmkit.pci.testing.host import Host

__all__ = ["dump"]


def dump(*hosts: Host | HostBridge) -> str:
    """Return what `lspci -F` takes for the output of `lspci -xxxx`, of all reachable functions.

    Args:
        hosts: test hosts or host bridges, one for each segment.
    """
    bridges = (host if isinstance(host, HostBridge) else host.bridge for host in hosts)
    return "".join(_dump_one(bridge) for bridge in bridges)


def _dump_one(bridge: HostBridge) -> str:
    configs = {function.bdf: function.config for function in bridge.functions()}
    return dump_configs(configs, segment=bridge.segment)
