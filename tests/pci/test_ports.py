# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Ports and bridges as a guest finds them: headers, capabilities, links, and who may be behind."""

import re
import subprocess

import pytest

from pci.slots import (
    BRIDGE_CONTROL,
    FULL,
    LINK_STATUS,
    PLAIN,
    SLOT_CONTROL,
    SLOT_STATUS,
    Endpoint,
    Machine,
)
from vmmkit.errors import ConfigSpaceError, TopologyError
from vmmkit.pci.assignment import HotplugReserve
from vmmkit.pci.bars import MemBar
from vmmkit.pci.capabilities import (
    Acs,
    Aer,
    ExpressRegister,
    Msi,
    Msix,
    PciExpress,
    PowerManagement,
    Slot,
    SubsystemId,
)
from vmmkit.pci.dump import dump
from vmmkit.pci.ports import PciBridge, RootPort, SwitchDownstream, SwitchUpstream, switch
from vmmkit.pci.spec import CapabilityId, ExtendedCapabilityId, PortType

KINDS = [
    (RootPort, PortType.ROOT_PORT, 0x1B36_000C),
    (SwitchUpstream, PortType.SWITCH_UPSTREAM, 0x104C_8232),
    (SwitchDownstream, PortType.SWITCH_DOWNSTREAM, 0x104C_8233),
]


def express(port, register, size=2):
    return port.config.read(port.config.find(PciExpress.cap_id) + register, size)


@pytest.mark.parametrize(("kind", "port_type", "ids"), KINDS)
def test_header_and_type(kind, port_type, ids):
    port = kind(port_number=3, speed=2, width=4)
    config = port.config
    assert (config.read(0, 2) << 16 | config.read(2, 2)) == ids
    assert config.read(9, 3) == 0x060400
    assert config.read(0x0E, 1) == 1
    assert config.size == 4096
    assert express(port, ExpressRegister.CAPABILITIES) >> 4 & 0xF == port_type
    assert express(port, ExpressRegister.CAPABILITIES) >> 8 & 1 == 0
    link = express(port, ExpressRegister.LINK_CAPABILITIES, 4)
    assert (link & 0xF, link >> 4 & 0x3F, link >> 24) == (2, 4, 3)
    assert config.find(CapabilityId.POWER_MANAGEMENT)
    assert config.msi.vectors == 1
    assert port.secondary.link == (kind is not SwitchUpstream)


def test_a_conventional_bridge():
    bridge = PciBridge(name="bridge")
    config = bridge.config
    assert (config.read(0, 2), config.read(2, 2), config.size) == (0x1B36, 1, 256)
    assert config.find(CapabilityId.PCI_EXPRESS) is None
    for device in (0, 5, 31):
        bridge.secondary.attach(Endpoint(f"d{device}"), device)
    assert len(bridge.secondary.functions()) == 3


@pytest.mark.parametrize("kind", [RootPort, SwitchUpstream, SwitchDownstream, PciBridge])
def test_ids_and_capabilities_are_the_callers(kind):
    port = kind(
        vendor_id=0x1234,
        device_id=0x5678,
        revision=9,
        capabilities=(SubsystemId(vendor_id=0xABCD, subsystem_id=0xEF01), PowerManagement()),
        name="mine",
    )
    assert port.config.read(0, 4) == 0x5678_1234
    assert port.config.read(8, 1) == 9
    assert port.config.find(CapabilityId.SUBSYSTEM_ID)
    assert port.config.msi is None
    assert port.name == "mine"


def test_extended_capabilities_and_msix():
    port = RootPort(
        capabilities=(Msix(vectors=2, table_bar=0, pba_bar=0, pba_offset=0x800), Aer(), Acs()),
        bars=(MemBar(0, 0x1000),),
        slot=FULL,
    )
    machine = Machine()
    machine.host.bus.attach(port, 0)
    machine.assign()
    assert port.config.find(ExtendedCapabilityId.AER, extended=True)
    assert port.config.find(ExtendedCapabilityId.ACS, extended=True)
    base = port.bar(0).address
    guest = machine.mmio.port(None)
    guest.write(base, 4, 0xFEE0_0000)
    guest.write(base + 8, 4, 0x51)
    guest.write(base + 12, 4, 0)
    machine.write(port, port.config.msix.offset + 2, 2, 0x8000)
    machine.set_command(port, 4)
    machine.express(port, SLOT_CONTROL, 0x0421)
    machine.express(port, SLOT_STATUS, 0x1FF)
    machine.messages.clear()
    port.slot.press_attention_button()
    assert machine.messages == [(port.bdf, 0x51)]


def test_slot_capabilities():
    port = RootPort(slot=FULL)
    value = express(port, ExpressRegister.SLOT_CAPABILITIES, 4)
    assert value >> 19 == 7
    assert value & 0x7F == 0b1111011
    assert express(port, ExpressRegister.CAPABILITIES) >> 8 & 1 == 1
    assert express(RootPort(), ExpressRegister.SLOT_CAPABILITIES, 4) == 0
    assert RootPort().slot is None


def test_an_upstream_port_has_no_slot():
    with pytest.raises(TypeError):
        SwitchUpstream(slot=PLAIN)


def test_bars_a_bridge_cannot_have():
    with pytest.raises((ConfigSpaceError, TypeError)):
        RootPort(bars=(MemBar(2, 0x1000),))


# -- links ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [RootPort, SwitchDownstream])
def test_only_device_0_is_at_a_link(kind):
    port = kind(name="port")
    with pytest.raises(TopologyError, match="device 0 only"):
        port.secondary.attach(Endpoint(), 1)
    port.secondary.attach(Endpoint("f3"), 0, 3)
    assert [one.devfn for one in port.secondary.functions()] == [3]


@pytest.mark.parametrize(
    "slot", [None, Slot(), PLAIN, FULL], ids=["none", "fixed", "plain", "full"]
)
def test_the_link_is_up_while_a_device_is_there(slot):
    machine = Machine()
    port, device = RootPort(slot=slot), Endpoint()
    machine.host.bus.attach(port, 1)
    machine.assign()
    active = [machine.express(port, LINK_STATUS) >> 13 & 1]
    port.secondary.attach(device, 0)
    active.append(machine.express(port, LINK_STATUS) >> 13 & 1)
    present = machine.read(device, 0, 4) == 0x5678_1234
    port.secondary.detach(device)
    active.append(machine.express(port, LINK_STATUS) >> 13 & 1)
    assert (active, present) == ([0, 1, 0], True)
    machine.settle()


def test_a_tree_built_before_it_is_attached():
    machine, device = Machine(), Endpoint("dev")
    port, tree = RootPort(name="port"), switch([PLAIN, None])
    tree.downstream[0].secondary.attach(device, 0)
    port.secondary.attach(tree, 0)
    machine.host.bus.attach(port, 1)
    machine.assign()
    assert device.bar(0).live
    assert tree.downstream[0].slot.status == 0x40
    machine.settle()


def test_windows_of_a_link_that_is_down_let_nothing_through():
    machine, port, device = Machine(), RootPort(slot=PLAIN), Endpoint()
    machine.host.bus.attach(port, 1)
    port.secondary.attach(device, 0)
    machine.assign()
    assert device.bar(0).live
    machine.write(port, BRIDGE_CONTROL, 2, 0x40)
    assert machine.express(port, LINK_STATUS) >> 13 & 1 == 0
    assert not device.bar(0).live
    machine.settle()
    machine.write(port, BRIDGE_CONTROL, 2, 0)
    assert machine.express(port, LINK_STATUS) >> 13 & 1 == 1
    machine.settle()


# -- switches ------------------------------------------------------------------------------------


def test_a_switch():
    tree = switch([FULL, None, PLAIN], name="s", speed=3, capabilities=(Msi(),))
    assert tree.name == "s"
    assert [port.name for port in tree.downstream] == ["s.0", "s.1", "s.2"]
    assert [port.devfn >> 3 for port in tree.downstream] == [0, 1, 2]
    assert [port.slot is not None for port in tree.downstream] == [True, False, True]
    numbers = [
        express(port, ExpressRegister.LINK_CAPABILITIES, 4) >> 24 for port in tree.downstream
    ]
    assert numbers == [1, 2, 3]


@pytest.mark.parametrize("count", [0, 33])
def test_switches_that_cannot_be(count):
    with pytest.raises(TopologyError, match="1 to 32"):
        switch([None] * count)


def test_intx_through_a_switch_is_swizzled():
    machine, device = Machine(), Endpoint("dev")
    port, tree = RootPort(), switch([None] * 3)
    tree.downstream[2].secondary.attach(device, 0)
    port.secondary.attach(tree, 0)
    machine.host.bus.attach(port, 4)
    device.interrupts.vector(0).set_level(True)
    # Pin A of device 0, from device 2 of the switch's bus: pin C of device 0, up to device 4.
    assert machine.lines == [(machine.host.wiring.routing.gsi(4, 2), True)]


# -- what lspci makes of it ----------------------------------------------------------------------


@pytest.fixture
def lspci(require_tool, tmp_path):
    """Return a caller of lspci on all that a machine's guest can reach."""
    tool = require_tool("lspci")

    def call(machine, *options):
        path = tmp_path / "dump.txt"
        path.write_text(dump({one.bdf: one.config for one in machine.host.functions()}))
        command = [tool, "-F", str(path), *options]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    return call


def test_lspci_sees_the_tree_and_the_slots(lspci):
    machine, port, tree = Machine(), RootPort(slot=FULL, name="port"), switch([PLAIN, None])
    tree.downstream[1].secondary.attach(Endpoint("dev"), 0)
    port.secondary.attach(tree, 0)
    machine.host.bus.attach(port, 1)
    machine.host.bus.attach(PciBridge(reserve=HotplugReserve()), 2)
    machine.assign()
    lines = lspci(machine, "-tn")
    assert re.search(r"01\.0-\[01-04\]----00\.0-\[02-04\]--\+-00\.0-\[03\]", lines), lines
    assert re.search(r"01\.0-\[04\]----00\.0", lines), lines
    verbose = lspci(machine, "-vvvnn", "-s", "00:01.0")
    for wanted in (
        r"Express \(v2\) Root Port \(Slot\+\)",
        r"AttnBtn\+ PwrCtrl\+ MRL- AttnInd\+ PwrInd\+ HotPlug\+ Surprise\+",
        r"Slot #7",
        r"Enable: AttnBtn- PwrFlt- MRL- PresDet- CmdCplt- HPIrq- LinkChg-",
        r"Control: AttnInd Off, PwrInd On, Power- Interlock-",
        r"MRL- CmdCplt- PresDet\+ Interlock-",
        r"DLActive\+",
        r"Bus: primary=00, secondary=01, subordinate=04",
        r"Memory behind bridge: c\w+-c\w+ \[size=\w+\]",
    ):
        assert re.search(wanted, verbose), (wanted, verbose)
    assert "Upstream Port" in lspci(machine, "-vvv", "-s", "01:00.0")
    assert "Downstream Port (Slot-)" in lspci(machine, "-vvv", "-s", "02:01.0")
    bridge = lspci(machine, "-vvv", "-s", "00:02.0")
    assert "Vendor Specific Information: Len=20" in bridge


@pytest.mark.parametrize("kind", [RootPort, SwitchUpstream, SwitchDownstream])
def test_ports_forward_pme_messages(kind):
    config = kind().config
    can = config.read(config.find(CapabilityId.POWER_MANAGEMENT) + 2, 2)
    assert can >> 11 & 0b11001 == 0b11001


@pytest.mark.parametrize(
    "call",
    [
        lambda: RootPort(capabilities=5),
        lambda: RootPort(capabilities=None),
        lambda: RootPort(reserve=5),
        lambda: PciBridge(capabilities=5),
        lambda: switch(5),
        lambda: switch(None),
    ],
)
def test_arguments_of_the_wrong_kind_are_refused(call):
    with pytest.raises(TopologyError):
        call()
