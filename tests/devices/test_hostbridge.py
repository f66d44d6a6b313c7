# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A function without BARs, pins and behaviour is a legal one."""

import pytest

from vmmkit.devices.hostbridge import PciHostBridge
from vmmkit.errors import ConfigSpaceError
from vmmkit.memregion import RegionMap
from vmmkit.pci.config import ResetKind
from vmmkit.pci.host_bridge import HostBridge


def plugged(device=None):
    host = HostBridge(
        RegionMap(address_bits=52), RegionMap(address_bits=16, access_sizes=(1, 2, 4))
    )
    bridge = PciHostBridge() if device is None else device
    host.bus.attach(bridge, 0)
    return host, bridge


@pytest.mark.parametrize(
    ("offset", "size", "value"),
    [
        (0x00, 4, 0x0008_1B36),
        (0x08, 4, 0x0600_0000),
        (0x0E, 1, 0x00),
        (0x2C, 4, 0x1100_1AF4),
        (0x34, 1, 0x00),  # no capabilities
        (0x3D, 1, 0x00),  # no pin: some guests refuse a host bridge that has one
    ],
)
def test_what_a_guest_finds(offset, size, value):
    host, _ = plugged()
    assert host.config_read(0, offset, size) == value


def test_no_bar_answers_to_sizing():
    host, bridge = plugged()
    for offset in range(0x10, 0x28, 4):
        host.config_write(0, offset, 4, 0xFFFF_FFFF)
        assert host.config_read(0, offset, 4) == 0
    host.config_write(0, 0x04, 2, 7)
    assert (bridge.bars, len(host.mmio), len(host.pio)) == ((), 0, 0)


def test_it_interrupts_nobody():
    _, bridge = plugged()
    bridge.irq().set_level(True)
    assert bridge.interrupts.mode == "none"
    with pytest.raises(ConfigSpaceError, match="no vector 1"):
        bridge.irq(1)


def test_another_chipset():
    class AmdHostBridge(PciHostBridge):
        vendor_id, device_id = 0x1022, 0x7432

    host, _ = plugged(AmdHostBridge())
    assert host.config_read(0, 0, 4) == 0x7432_1022


def test_reset_and_snapshot():
    host, bridge = plugged()
    host.config_write(0, 0x04, 2, 4)
    saved = bridge.snapshot()
    bridge.reset(ResetKind.BUS)
    assert host.config_read(0, 0x04, 2) == 0
    bridge.restore(saved)
    assert host.config_read(0, 0x04, 2) == 4
