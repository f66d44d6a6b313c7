# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Devices of third parties: what they are told, what they can ask for, and what goes wrong."""

import re

import pytest

from acpi import acpica
from acpi.platform_view import View
from vmmkit.acpi.aml.data import EisaId
from vmmkit.acpi.aml.named import Device, Method, Name
from vmmkit.acpi.aml.node import Path
from vmmkit.acpi.aml.operators import Add, Store
from vmmkit.acpi.aml.resources import Memory32Fixed
from vmmkit.acpi.aml.statements import Notify
from vmmkit.acpi.platform.isa import MotherboardPorts, Rtc, Uart
from vmmkit.acpi.platform.power import PowerButton
from vmmkit.acpi.platform.q35 import q35_like
from vmmkit.acpi.platform.reduced import reduced
from vmmkit.acpi.tables.fadt import BootArchFlags
from vmmkit.acpi.tables.table import Raw
from vmmkit.errors import PlatformError


class Contributor:
    """A device whose description is a function of the context."""

    def __init__(self, describe):
        self.describe = describe

    def acpi_nodes(self, context):
        return self.describe(context)


def named(name):
    return Contributor(lambda _context: [Device(name, Name("_UID", 0))])


def test_scopes():
    paths = []
    device = Contributor(lambda context: paths.append(context.path_of("DEV")) or ())
    q35_like(isa_devices=[device], pci_devices=[device], devices=[device])
    assert paths == ["\\_SB.PCI0.ISA.DEV", "\\_SB.PCI0.DEV", "\\_SB.DEV"]


def test_nodes_stand_in_their_scope():
    view = View(
        q35_like(isa_devices=[named("ONE")], pci_devices=[named("TWO")], devices=[named("TRI")])
    )
    assert {"\\_SB.PCI0.ISA.ONE", "\\_SB.PCI0.TWO", "\\_SB.TRI"} < set(view.paths)


def test_context_says_what_platform_it_is():
    told = []
    device = Contributor(lambda context: told.append((context.reduced, context.spec.name)) or ())
    q35_like(devices=[device])
    reduced(devices=[device])
    assert told == [(False, "V6_5"), (True, "V6_5")]


def test_unique_ids_go_on_across_scopes():
    ids = []

    def describe(context):
        ids.append((context.unique_id("ABCD0001"), context.unique_id("ABCD0002")))
        return ()

    device = Contributor(describe)
    q35_like(pci_devices=[device, device], devices=[device])
    assert ids == [(0, 0), (1, 1), (2, 2)]
    assert View(q35_like(isa_devices=[Uart(), Uart(0x2F8, 3)])).devices("PNP0501") == [
        "\\_SB.PCI0.ISA.COM1",
        "\\_SB.PCI0.ISA.COM2",
    ]


def test_tables_fields_and_reservations():
    def describe(context):
        context.add_table(Raw("ABCD", b"\1\2\3\4", **context.header))
        context.fadt(iapc_boot_arch=BootArchFlags.MSI_NOT_SUPPORTED, day_alrm=0x0D)
        context.reserve("own memory", 0x8000_0000, 0x1000)
        return ()

    platform = q35_like(devices=[Contributor(describe)], oem_id="ABC")
    view = View(platform)
    assert view.tables["ABCD"].body == b"\1\2\3\4"
    assert view.tables["ABCD"].oem_id == "ABC   "
    assert view.tables["FACP"].day_alrm == 0x0D
    assert view.tables["FACP"].iapc_boot_arch & BootArchFlags.MSI_NOT_SUPPORTED
    assert (0x8000_0000, 0x1000) in [(entry.base, entry.size) for entry in platform.e820()]
    assert Memory32Fixed(0x8000_0000, 0x1000) in view.resources("\\_SB.MRES")
    assert platform.reserved[1][0] == "own memory"


def test_general_purpose_events_of_several_devices():
    """Their methods run what each of them gave, in order."""
    count = Path("\\_SB.CNT")

    def describe(context):
        context.on_gpe(5, Store(Add(count, 1), count))
        context.on_gpe(5, Store(Add(count, 10), count))
        context.on_gpe(0x1F, Store(100, count), level=True)
        return [Name("CNT", 0), Method("GET", 0)]

    dsdt = q35_like(devices=[Contributor(describe)], routing=()).dsdt.to_bytes()
    paths = ["\\_GPE._E05", "\\_SB.CNT", "\\_GPE._L1F", "\\_SB.CNT"]
    output = acpica.acpiexec([f"execute {path}" for path in paths], dsdt)
    assert re.findall("Integer.*= (0*[0-9A-F]+)", output)[-2:] == [f"{11:016X}", f"{100:016X}"]


def test_interrupt_events_by_interrupt_and_by_selector():
    hits = Path("\\_SB.HITS")

    def describe(context):
        context.on_event(20, Store(Add(hits, 1), hits))
        context.on_event(20, Store(Add(hits, 2), hits))
        context.on_event(21, Store(Add(hits, 100), hits), level=True)
        return [Name("HITS", 0)]

    platform = reduced(devices=[Contributor(describe)], power_button=None, event_selector=None)
    dsdt = platform.dsdt.to_bytes()
    commands = [f"execute \\_SB.GED._EVT {gsi}" for gsi in (20, 21, 22)]
    output = acpica.acpiexec([*commands, "execute \\_SB.HITS"], dsdt)
    assert "0000000000000067" in output  # 103


def test_fixed_hardware_can_have_a_generic_event_device_too():
    view = View(q35_like(devices=[PowerButton(gsi=10)]))
    assert view.devices("ACPI0013") == ["\\_SB.GED"]


def test_nodes_of_the_root_are_there_once():
    def describe(context):
        context.add_at_root(Name("\\_S3", [1, 0, 0, 0]), Name("OWN", 1))
        return ()

    view = View(q35_like(devices=[Contributor(describe), Contributor(describe)]))
    assert view.value("\\_S3") == [1, 0, 0, 0]
    assert view.paths.count("\\OWN") == 1


def test_power_button_by_a_general_purpose_event():
    view = View(q35_like(devices=[PowerButton(gpe=3)]))
    assert "\\_GPE._E03" in view.paths


def test_fadt_bits_of_the_caller_and_of_devices_come_together():
    platform = q35_like(fadt={"iapc_boot_arch": BootArchFlags.PCIE_ASPM_CONTROLS})
    assert View(platform).tables["FACP"].iapc_boot_arch == (
        BootArchFlags.PCIE_ASPM_CONTROLS | BootArchFlags.LEGACY_DEVICES
    )


def build(preset=q35_like, **more):
    return lambda: preset(**more)


def asking(ask):
    def describe(context):
        ask(context)
        return ()

    return [Contributor(describe)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (build(devices=[named("DEV"), named("DEV")]), "two objects \\_SB.DEV: of Contributor and"),
        (build(devices=[named("PCI0")]), "two objects \\_SB.PCI0: of PciHost and of Contributor"),
        (build(devices=[named("C000")]), "two objects \\_SB.C000: of Processors and of"),
        (build(pci_devices=[named("ISA")]), "two objects \\_SB.PCI0.ISA: of LpcBridge and of"),
        (build(isa_devices=[Uart(name="COM2"), Uart(0x2F8, 3)]), "two objects \\_SB.PCI0.ISA.COM2"),
        (build(devices=[4]), "4 cannot describe itself: it has no method acpi_nodes"),
        (build(isa_devices=["COM1"]), "'COM1' cannot describe itself"),
        (build(devices=[Contributor(lambda _context: [EisaId])]), "which is no AML node"),
        (build(devices=[Contributor(lambda _context: [b"\0"])]), "contributes b'\\x00' to \\_SB"),
        (
            build(devices=[Contributor(lambda _context: None)]),
            "Contributor contributes None to \\_SB, no list of nodes",
        ),
        (
            build(devices=[Contributor(lambda _context: Device("DEV"))]),
            "Contributor contributes Device('DEV', ()) to \\_SB, no list of nodes",
        ),
        (build(devices=asking(lambda it: it.on_gpe(64))), "event 64 does not exist: of 64"),
        (build(devices=asking(lambda it: it.on_gpe(-1))), "event -1 does not exist"),
        (build(devices=asking(lambda it: it.on_gpe("5"))), "event '5' does not exist"),
        (build(isa_devices=[Uart(interrupt="4")]), "COM1 has GSI '4'; the I/O APICs have"),
        (
            build(reduced, devices=asking(lambda it: it.on_gpe(1))),
            "event 1 does not exist: a hardware-reduced platform has none",
        ),
        (
            build(devices=asking(lambda it: (it.on_gpe(1), it.on_gpe(1, level=True)))),
            "general-purpose event 1 is an edge for one and a level for another",
        ),
        (
            build(devices=asking(lambda it: (it.on_event(10), it.on_event(10, level=True)))),
            "the event of GSI 10 is an edge for one and a level for another",
        ),
        (
            build(devices=asking(lambda it: it.add_at_root(Name("OWN", 1), Name("OWN", 2)))),
            "two objects",
        ),
        (build(devices=asking(lambda it: it.on_event(24))), "the generic event device has GSI 24"),
        (
            build(devices=asking(lambda it: it.on_event(16))),
            (
                "GSI 16 is edge triggered for the generic event device and level triggered for the "
                "routing of PCI0"
            ),
        ),
        (build(devices=[PowerButton(gsi=20, select=2)], routing=()), "the platform has none"),
        (build(devices=asking(lambda it: it.fadt(century=1))), "FADT: century is 0x32 for one"),
        (build(fadt={"sci_interrupt": 9}), "the FADT has no field 'sci_interrupt'"),
        (build(fadt={"sci_int": 9}), "the FADT's sci_int follows from another argument"),
        (build(isa_devices=[Rtc(), Rtc()]), "RTC at 0x70 to 0x71 and RTC at 0x70 to 0x71 overlap"),
        (
            build(isa_devices=[Uart(), MotherboardPorts(((0x3FF, 1),))]),
            "MBIO at 0x3ff to 0x3ff and COM1 at 0x3f8 to 0x3ff overlap in I/O ports",
        ),
        (
            build(isa_devices=[Uart(), Uart(0x2F8, 4)]),
            "GSI 4 is edge triggered for COM2 and edge triggered for COM1; only level",
        ),
        (build(devices=asking(lambda it: it.reserve("own", 0xFEE0_0000, 1))), "the local APICs at"),
    ],
)
def test_errors(make, message):
    with pytest.raises(PlatformError) as caught:
        make()
    assert message in str(caught.value)


def test_button_needs_one_way():
    for ways in ({}, {"gsi": 9, "gpe": 1}):
        with pytest.raises(PlatformError, match="has either a gsi or a gpe"):
            PowerButton(**ways)


def test_device_is_notified_by_its_path():
    view = View(q35_like(pci_devices=[PowerButton(gpe=3)]))
    (statement,) = view.objects["\\_GPE._E03"].args[-1]
    assert statement == Notify(Path("\\_SB.PCI0.PWRB"), 0x80)
