# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Host bridges: several of them, hot-added ones, what _OSC answers, and what they refuse."""

import uuid

import pytest

from acpi import acpica
from acpi.platform_view import View
from vmmkit.acpi.aml.resources import BusNumber, DWordMemory, Memory32Fixed, QWordMemory
from vmmkit.acpi.platform.pci_host import PciHost
from vmmkit.acpi.platform.q35 import q35_like
from vmmkit.acpi.platform.values import Ecam, Windows, routes
from vmmkit.acpi.tables.madt import InterruptSourceOverride
from vmmkit.acpi.tables.mcfg import McfgAllocation
from vmmkit.errors import PlatformError

EXPRESS = uuid.UUID("33db4d5b-1ff7-401c-9657-7441c03dd766")


def second(**more):
    fields = {"name": "PCI1", "config_ports": False} | more
    return PciHost({"mem": [(0x9000_0000, 0x1000_0000)]}, **fields)


def test_configuration_ports_reach_segment_0_only():
    assert PciHost({}).config_ports
    assert not PciHost({}, segment=1).config_ports
    assert not PciHost({}, ecam=Ecam(0xA000_0000, segment=1)).config_ports
    assert not PciHost({}, config_ports=False).config_ports


def test_two_segments():
    bridge = second(ecam=Ecam(0xA000_0000, segment=1, last_bus=127), routing=[(0, 0, 18)])
    view = View(q35_like(devices=[bridge]))
    assert view.devices("PNP0A08") == ["\\_SB.PCI0", "\\_SB.PCI1"]
    assert [view.value(f"\\_SB.PCI1.{name}") for name in ("_SEG", "_BBN", "_UID")] == [1, 0, 1]
    assert view.resources("\\_SB.PCI1") == [
        BusNumber(0, 127),
        DWordMemory(0x9000_0000, 0x9FFF_FFFF),
    ]
    assert view.tables["MCFG"].allocations == (
        McfgAllocation(0xB000_0000, 0, 0, 255),
        McfgAllocation(0xA000_0000, 1, 0, 127),
    )
    assert view.resources("\\_SB.MRES") == [
        Memory32Fixed(0xB000_0000, 0x1000_0000),
        Memory32Fixed(0xA000_0000, 0x0800_0000),
    ]


def test_second_root_bus_of_a_segment():
    ecam = Ecam(0xB800_0000, first_bus=128)
    platform = q35_like(ecam=Ecam(0xB000_0000, last_bus=127), devices=[second(ecam=ecam)])
    view = View(platform)
    assert view.value("\\_SB.PCI1._BBN") == 128
    assert view.resources("\\_SB.PCI1")[0] == BusNumber(128, 255)
    # The table says where bus 0 would be.
    assert view.tables["MCFG"].allocations[1] == McfgAllocation(0xB000_0000, 0, 128, 255)
    assert [entry.base for entry in platform.e820()] == [0xB000_0000, 0xB800_0000]


def test_hot_added_bridge_says_itself_where_its_configuration_space_is():
    bridge = second(ecam=Ecam(0xA000_0000, segment=1), hot_added=True, proximity_domain=3)
    view = View(q35_like(devices=[bridge]))
    assert view.value("\\_SB.PCI1._CBA") == 0xA000_0000
    assert view.value("\\_SB.PCI1._PXM") == 3
    assert len(view.tables["MCFG"].allocations) == 1
    assert Memory32Fixed(0xA000_0000, 0x1000_0000) in view.resources("\\_SB.MRES")


def test_ecam_above_4_gib():
    view = View(q35_like(ecam=Ecam(0x40_0000_0000), smbios=True))
    reserved = QWordMemory(0x40_0000_0000, 0x40_0FFF_FFFF, consumer=True)
    assert view.resources("\\_SB.MRES") == [reserved]


def test_no_ecam():
    platform = q35_like(ecam=None)
    view = View(platform)
    assert platform.e820() == ()
    assert "MCFG" not in view.bytes
    assert "\\_SB.MRES" not in view.paths


def test_no_osc():
    assert "\\_SB.PCI0._OSC" not in View(q35_like(osc_control=None)).paths


def osc(mask, identifier, revision, wanted):
    """Return the status and control dwords after acpiexec called _OSC."""
    dsdt = q35_like(osc_control=mask, routing=()).dsdt.to_bytes()
    buffer = b"".join(word.to_bytes(4, "little") for word in (0, 0x1F, wanted))
    arguments = (identifier.bytes_le, revision, 3, buffer)
    answer = acpica.evaluate(dsdt, "\\_SB.PCI0._OSC", *arguments)
    return tuple(int.from_bytes(answer[at : at + 4], "little") for at in (0, 8))


@pytest.mark.parametrize(
    ("mask", "identifier", "revision", "wanted", "answer"),
    [
        (0x1D, EXPRESS, 1, 0x1D, (0, 0x1D)),
        (0x1D, EXPRESS, 1, 0x1F, (0x10, 0x1D)),
        (0x1D, EXPRESS, 1, 0x05, (0, 0x05)),
        (0x15, EXPRESS, 1, 0x1F, (0x10, 0x15)),
        (0x1D, EXPRESS, 2, 0x1D, (0x08, 0x1D)),
        (0x1D, uuid.UUID(int=1), 1, 0x1D, (0x04, 0x1D)),
    ],
)
def test_osc(mask, identifier, revision, wanted, answer):
    assert osc(mask, identifier, revision, wanted) == answer


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Ecam(0xB001_0000), "bus 0 would be at 0xb0010000, which is not a multiple of"),
        (lambda: Ecam(0xB800_0000), "bus 0 would be at 0xb8000000, which is not a multiple of"),
        (lambda: Ecam(0x0800_0000, first_bus=255), "bus 0 would be at -0x7f00000"),
        (lambda: Ecam(1 << 64), "the base of the ECAM window is 0x10000000000000000"),
        (lambda: Ecam((1 << 64) - (1 << 20)), "leads beyond 0xffffffffffffffff"),
        (lambda: Ecam(0, segment=1 << 16), "the segment of an ECAM window is 0x10000"),
        (lambda: Ecam(0, last_bus=256), "the last bus of an ECAM window is 0x100"),
        (lambda: Ecam(0, first_bus=2, last_bus=1), "the first bus of an ECAM window is 0x2"),
        (lambda: Windows(io=[(0xFFFF, 2)]), "an I/O window has 0x2 from 0xffff on"),
        (lambda: Windows(mem=[(0x1000, 0)]), "a memory window has 0x0 from 0x1000 on"),
        (lambda: Windows(mem=[(1 << 63, 1 << 63), (0, "1")]), "the size of a memory window is '1'"),
        (lambda: Windows(mem=[0x1000]), "a memory window is 4096, not a pair of base and size"),
        (lambda: PciHost({"memory": []}), "windows are"),
        (lambda: PciHost([(0, 1)]), "windows are"),
        (lambda: PciHost({}, ecam=0xB000_0000), "ecam is an Ecam or None, not 2952790016"),
        (lambda: PciHost({}, hot_added=True), "PCI0 is hot-added and has no ECAM window"),
        (lambda: PciHost({}, ecam=Ecam(0), segment=1), "PCI0 has segment 1, buses 0 to 255, and"),
        (lambda: PciHost({}, ecam=Ecam(0, last_bus=3), last_bus=4), "buses 0 to 4, and Ecam("),
        (lambda: PciHost({}, segment=-1), "the segment of PCI0 is -0x1"),
        (lambda: PciHost({}, last_bus=300), "the last bus of PCI0 is 0x12c"),
        (lambda: PciHost({}, osc_control=1 << 32), "the _OSC control of PCI0 is 0x100000000"),
        (lambda: PciHost({}, children=[3]), "3 cannot describe itself: it has no method"),
        (lambda: routes([(32, 0, 16)]), "the device of a route is 0x20"),
        (lambda: routes([(0, 4, 16)]), "the pin of a route is 0x4"),
        (lambda: routes([(0, 0, -1)]), "the GSI of a route is -0x1"),
        (lambda: routes([(0, 0)]), "a route is (device, pin, GSI), not (0, 0)"),
        (lambda: routes([(1, 0, 16), (1, 0, 17)]), "device 1, pin 0 is routed twice: to GSI 16"),
        (lambda: routes([(1, 0, 16), (1, 0, 16)]), "a pin is routed twice to the same GSI"),
    ],
)
def test_values(make, message):
    with pytest.raises(PlatformError) as caught:
        make()
    assert message in str(caught.value)


def test_routing_by_interrupt_controller():
    """`_PRT` returns what goes with the mode that `_PIC` was told."""
    routing, pic_routing = [(1, 0, 16), (1, 1, 17)], [(1, 0, 10), (1, 1, 11)]
    platform = q35_like(
        routing=routing,
        pic_routing=pic_routing,
        devices=[second(routing=[(0, 0, 18)], pic_routing=[(0, 0, 10)])],
    )
    dsdt = platform.dsdt.to_bytes()
    assert acpica.evaluate(dsdt, "\\_SB.PCI0._PRT") == [
        [0x1_FFFF, pin, 0, interrupt] for _device, pin, interrupt in pic_routing
    ]
    assert acpica.evaluate(dsdt, "\\_SB.PCI1._PRT") == [[0xFFFF, 0, 0, 10]]
    output = acpica.acpiexec(["execute \\_PIC 1", "execute \\_SB.PCI0._PRT"], dsdt)
    after = output[output.rindex("_PRT") :]
    assert "0000000000000011" in after
    assert "000000000000000B" not in after
    overrides = View(platform).entries(InterruptSourceOverride)
    assert [one.source for one in overrides] == [0, 9, 10, 11]


def test_interrupts_of_the_8259s():
    with pytest.raises(PlatformError, match="an interrupt of the 8259s for PCI0 is 0x10"):
        q35_like(pic_routing=[(1, 0, 16)])
    with pytest.raises(PlatformError, match="GSI 4 is edge triggered for COM1 and level"):
        q35_like(pic_routing=[(1, 0, 4)])
