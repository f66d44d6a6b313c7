# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""An endpoint on a root bus is a part of the root complex, and reads so: without a link."""

import pytest

from pci.machine import Machine
from vmmkit.pci import PciExpress, PortType, RootPort
from vmmkit.pci.capabilities import ExpressRegister as At

LINK = (At.LINK_CAPABILITIES, At.LINK_CONTROL, At.LINK_CAPABILITIES_2, At.LINK_CONTROL_2)


def port_type(machine, function):
    at = function.config.offset_of(PciExpress)
    return machine.read(function, at + At.CAPABILITIES, 2) >> 4 & 0xF


def link(machine, function):
    at = function.config.offset_of(PciExpress)
    return [machine.read(function, at + register) for register in LINK]


@pytest.fixture
def machine():
    return Machine()


def test_on_a_root_bus_it_is_integrated(machine):
    dev = machine.plug(1, capabilities=[PciExpress()])
    assert port_type(machine, dev) == PortType.INTEGRATED_ENDPOINT
    assert link(machine, dev) == [0, 0, 0, 0]


def test_its_link_control_cannot_be_written_there(machine):
    dev = machine.plug(1, capabilities=[PciExpress()])
    at = dev.config.offset_of(PciExpress) + At.LINK_CONTROL
    machine.write(dev, at, 2, 0xFFFF)
    assert machine.read(dev, at) == 0


def test_behind_a_port_it_is_an_endpoint_and_when_it_moves_what_it_is_there(machine):
    port = RootPort(name="port")
    machine.host.bus.attach(port, 2)
    machine.number(port, 1)
    dev = machine.plug(0, bus=port.secondary, capabilities=[PciExpress()])
    assert port_type(machine, dev) == PortType.ENDPOINT
    assert link(machine, dev)[0] != 0
    port.secondary.detach(dev)
    machine.host.bus.attach(dev, 3)
    assert port_type(machine, dev) == PortType.INTEGRATED_ENDPOINT
    machine.host.bus.detach(dev)
    port.secondary.attach(dev, 0)
    assert port_type(machine, dev) == PortType.ENDPOINT


@pytest.mark.parametrize("kind", [PortType.LEGACY_ENDPOINT, PortType.INTEGRATED_ENDPOINT])
def test_other_types_stay_what_they_are(machine, kind):
    dev = machine.plug(1, capabilities=[PciExpress(port_type=kind)])
    assert port_type(machine, dev) == kind


def test_a_root_port_keeps_its_link(machine):
    port = RootPort(name="port")
    machine.host.bus.attach(port, 2)
    assert port_type(machine, port) == PortType.ROOT_PORT
    assert link(machine, port)[0] != 0


def test_a_snapshot_is_of_the_registers_and_fits_both_places(machine):
    dev = machine.plug(1, capabilities=[PciExpress()])
    saved = dev.snapshot()
    machine.host.bus.detach(dev)
    dev.restore(saved)
    at = dev.config.offset_of(PciExpress)
    assert dev.config.read(at + At.CAPABILITIES, 2) >> 4 & 0xF == PortType.ENDPOINT
