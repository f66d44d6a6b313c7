# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Processors: MADT, SRAT and namespace from one list, and which entries they get."""

import functools

import pytest

from acpi.platform_view import View
from vmmkit.acpi.platform.processors import MAX_CPUS, Processors
from vmmkit.acpi.platform.q35 import q35_like
from vmmkit.acpi.platform.reduced import reduced
from vmmkit.acpi.platform.values import Cpu, MemoryRange, Numa
from vmmkit.acpi.tables.fadt import FadtFlags
from vmmkit.acpi.tables.madt import (
    LapicFlags,
    LocalApic,
    LocalApicNmi,
    LocalX2Apic,
    LocalX2ApicNmi,
)
from vmmkit.acpi.tables.srat import (
    MemoryAffinity,
    MemoryAffinityFlags,
    ProcessorLocalApicAffinity,
    ProcessorLocalX2ApicAffinity,
)
from vmmkit.errors import PlatformError


def test_local_apic_entries_below_255_and_x2apic_entries_above():
    entries = Processors([Cpu(254), Cpu(255), Cpu(1000)]).madt_entries()
    assert entries == [
        LocalApic(254, 254),
        LocalX2Apic(255, 255),
        LocalX2Apic(1000, 1000),
        LocalApicNmi(),
        LocalX2ApicNmi(),
    ]


def test_uid_that_needs_x2apic_makes_all_of_them_such():
    """A system drops x2APIC entries with small ids where there are local APIC entries too."""
    entries = Processors([Cpu(0, 0), Cpu(1, 300)]).madt_entries()
    assert entries == [LocalX2Apic(0, 0), LocalX2Apic(1, 300), LocalX2ApicNmi()]


def test_policies():
    assert Processors(1, "always").madt_entries() == [LocalX2Apic(0, 0), LocalX2ApicNmi()]
    assert Processors(1, "never").madt_entries() == [LocalApic(0, 0), LocalApicNmi()]
    assert len(Processors(255, "never").cpus) == 255


def test_states():
    cpus = [Cpu(0), Cpu(2, 1, enabled=False), Cpu(4, 2, enabled=False, online_capable=True)]
    view = View(q35_like(cpus=cpus))
    assert view.entries(LocalApic) == [
        LocalApic(0, 0),
        LocalApic(1, 2, LapicFlags(0)),
        LocalApic(2, 4, LapicFlags.ONLINE_CAPABLE),
    ]
    assert view.devices("ACPI0007") == ["\\_SB.C000", "\\_SB.C001", "\\_SB.C002"]
    assert [view.value(f"\\_SB.C00{number}._UID") for number in range(3)] == [0, 1, 2]
    assert "\\_SB.C000._STA" not in view.paths
    assert view.value("\\_SB.C001._STA") == view.value("\\_SB.C002._STA") == 0


def test_more_than_eight_need_physical_destinations():
    flag = FadtFlags.FORCE_APIC_PHYSICAL_DESTINATION_MODE
    assert not View(q35_like(cpus=8)).tables["FACP"].flags & flag
    assert View(q35_like(cpus=9)).tables["FACP"].flags & flag


def test_greatest_number():
    view = View(q35_like(cpus=MAX_CPUS))
    devices = view.devices("ACPI0007")
    assert (devices[0], devices[-1], len(devices)) == ("\\_SB.C000", "\\_SB.CFFF", MAX_CPUS)
    assert len(view.entries(LocalApic)) + len(view.entries(LocalX2Apic)) == MAX_CPUS


def test_proximity_domains():
    numa = Numa(
        [
            MemoryRange(0, 0xA_0000),
            MemoryRange(0x10_0000, 0x3FF0_0000, 0),
            MemoryRange(0x1_0000_0000, 0x4000_0000, 1, hot_pluggable=True),
        ],
        distances=[[10, 21], [21, 10]],
        host_bridge=1,
    )
    cpus = [Cpu(0), Cpu(1, proximity_domain=1), Cpu(300, proximity_domain=1)]
    view = View(q35_like(cpus=cpus, numa=numa))
    enabled = MemoryAffinityFlags.ENABLED
    assert view.tables["SRAT"].entries == (
        ProcessorLocalApicAffinity(0, 0),
        ProcessorLocalApicAffinity(1, 1),
        ProcessorLocalX2ApicAffinity(1, 300),
        MemoryAffinity(0, 0, 0xA_0000),
        MemoryAffinity(0, 0x10_0000, 0x3FF0_0000),
        MemoryAffinity(1, 1 << 32, 0x4000_0000, enabled | MemoryAffinityFlags.HOT_PLUGGABLE),
    )
    assert [list(row) for row in view.tables["SLIT"].distances] == [[10, 21], [21, 10]]
    assert [view.value(f"\\_SB.C00{number}._PXM") for number in range(3)] == [0, 1, 1]
    assert view.value("\\_SB.PCI0._PXM") == 1


def test_host_bridge_is_near_the_first_processor():
    """Linux warns of a root bus that is in no domain."""
    numa = Numa([MemoryRange(0, 1 << 20), MemoryRange(1 << 20, 1 << 20, 1)])
    cpus = [Cpu(0, enabled=False), Cpu(1, proximity_domain=1), Cpu(2)]
    for preset in (q35_like, functools.partial(reduced, windows={"mem": [(1 << 30, 1 << 20)]})):
        assert View(preset(cpus=cpus, numa=numa)).value("\\_SB.PCI0._PXM") == 1
    assert "\\_SB.PCI0._PXM" not in View(q35_like(cpus=cpus)).paths


def test_no_slit_without_distances():
    view = View(q35_like(numa=Numa([MemoryRange(0, 1 << 20)])))
    assert "SRAT" in view.bytes
    assert "SLIT" not in view.bytes


@pytest.mark.parametrize(
    ("cpus", "policy", "message"),
    [
        (0, "auto", "0 processors; a platform has 1 to 4096"),
        (-1, "auto", "-1 processors; a platform has 1 to 4096"),
        (MAX_CPUS + 1, "auto", "4097 processors; a platform has 1 to 4096"),
        ([], "auto", "0 processors; a platform has 1 to 4096"),
        ([Cpu(0), Cpu(1, 5), Cpu(1, 6)], "auto", "two processors have APIC id 1"),
        ([Cpu(0, 7), Cpu(1, 7)], "auto", "two processors have UID 7"),
        ([Cpu(0, enabled=False)], "auto", "none of the processors is enabled"),
        ([0, 1], "auto", "processors are a number or Cpu objects, not 0"),
        ("2", "auto", "processors are a number or Cpu objects, not '2'"),
        (None, "auto", "processors are a number or Cpu objects, not None"),
        (1, "sometimes", '"auto", "always" or "never", not \'sometimes\''),
        (256, "never", "APIC id 255 and UID 255 needs an x2APIC entry"),
        ([Cpu(0, 255)], "never", "APIC id 0 and UID 255 needs an x2APIC entry"),
    ],
)
def test_errors(cpus, policy, message):
    with pytest.raises(PlatformError) as caught:
        Processors(cpus, policy)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Cpu(0xFFFF_FFFF), "the APIC id of a processor is 0xffffffff"),
        (lambda: Cpu(-1), "the APIC id of a processor is -0x1"),
        (lambda: Cpu("0"), "the APIC id of a processor is '0'"),
        (lambda: Cpu(0, 1 << 32), "the UID of a processor is 0x100000000"),
        (lambda: Cpu(0, proximity_domain=-1), "the proximity domain of a processor is -0x1"),
        (lambda: Cpu(3, online_capable=True), "APIC id 3 is enabled already"),
        (lambda: MemoryRange(0, 0), "memory of a proximity domain has 0x0 from 0x0"),
        (lambda: MemoryRange(1 << 63, 1 << 63 | 1), "leads beyond 0xffffffffffffffff"),
    ],
)
def test_values(make, message):
    with pytest.raises(PlatformError) as caught:
        make()
    assert message in str(caught.value)


def test_domain_without_distances():
    numa = Numa([MemoryRange(0, 1 << 20)], distances=[[10]])
    with pytest.raises(PlatformError, match="proximity domain 2 has no row in the distances of 1"):
        q35_like(cpus=[Cpu(0, proximity_domain=2)], numa=numa)
