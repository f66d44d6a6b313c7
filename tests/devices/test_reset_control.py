# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The reset control register, alone and beside PCI's address register."""

import pytest

from vmmkit.devices.reset_control import ResetControl, ResetRequest
from vmmkit.errors import DeviceError
from vmmkit.memregion import RegionMap
from vmmkit.pci import HostBridge

PROCESSOR, SYSTEM, CYCLE = ResetRequest


@pytest.fixture
def asked():
    return []


@pytest.fixture
def register(asked):
    return ResetControl(asked.append)


@pytest.mark.parametrize(
    ("values", "requests"),
    [
        ([0x02], []),
        ([0x04], [PROCESSOR]),
        ([0x0C], [PROCESSOR]),
        ([0x06], [SYSTEM]),
        ([0x02, 0x06], [SYSTEM]),
        ([0x0E], [CYCLE]),
        ([0x0F], [CYCLE]),
        ([0x06, 0x06], [SYSTEM]),  # only the rise asks
        ([0x06, 0x02, 0x0E], [SYSTEM, CYCLE]),
        ([0xF1], []),
    ],
)
def test_what_is_written_asks_for(register, asked, values, requests):
    for value in values:
        register.write(None, 1, 1, value)
    assert asked == requests
    assert register.read(None, 1, 1) == values[-1] & 0x0E


def test_a_reset_clears_it(register, asked):
    register.write(None, 1, 1, 0x06)
    register.reset()
    assert register.read(None, 1, 1) == 0
    register.write(None, 1, 1, 0x06)
    assert asked == [SYSTEM, SYSTEM]
    assert repr(register) == "<ResetControl 06>"


def test_its_neighbours_are_nobody(register, asked):
    for offset in (0, 2, 3):
        register.write(None, offset, 1, 0x0F)
        assert register.read(None, offset, 1) == 0xFF
    assert (asked, register.size) == ([], 4)


def test_beside_pci(register, asked):
    pio = RegionMap(address_bits=16, name="pio")
    host = HostBridge(pio=pio)
    host.config_ports.other = register
    pio.add(0xCF8, 8, host.config_ports, name="configuration ports")
    port = pio.port(None)
    port.write(0xCF8, 4, 0x8000_0600)
    assert asked == []
    port.write(0xCF9, 1, 0x06)
    assert (asked, port.read(0xCF9, 1), port.read(0xCF8, 4)) == ([SYSTEM], 0x06, 0x8000_0600)


def test_what_cannot_be_called_is_refused():
    with pytest.raises(DeviceError):
        ResetControl("reset")
