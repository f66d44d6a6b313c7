# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What is said twice in the tables is the same, whatever the parameters: from the bytes alone."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from acpi.platform_view import View
from vmmkit.acpi.aml.resources import AddressSpace, Interrupt, Memory32Fixed
from vmmkit.acpi.platform.processors import X2ApicPolicy
from vmmkit.acpi.platform.q35 import q35_like
from vmmkit.acpi.platform.reduced import reduced
from vmmkit.acpi.platform.values import Cpu, Ecam, IoApicRange
from vmmkit.acpi.platform.virtio_mmio import VirtioMmio
from vmmkit.acpi.tables.madt import (
    InterruptSourceOverride,
    IoApic,
    LocalApic,
    LocalApicNmi,
    LocalX2Apic,
    LocalX2ApicNmi,
)
from vmmkit.acpi.tables.spec import Spec
from vmmkit.errors import PlatformError

MIB = 1 << 20
_POLICIES = st.sampled_from(X2ApicPolicy.__args__)
_IDS = st.one_of(st.integers(0, 300), st.integers(0, (1 << 32) - 2))


@st.composite
def processors(draw):
    """Draw a count, or a list whose first one is enabled."""
    if draw(st.booleans()):
        return draw(st.integers(1, 12))
    ids = draw(st.lists(_IDS, min_size=1, max_size=6, unique=True))
    uids = draw(st.lists(_IDS, min_size=len(ids), max_size=len(ids), unique=True))
    enabled = [True, *draw(st.lists(st.booleans(), min_size=len(ids), max_size=len(ids)))]
    return [Cpu(*each) for each in zip(ids, uids, enabled, strict=False)]


@st.composite
def ecams(draw):
    """Draw a window below 2 GiB; buses from any to any."""
    last = draw(st.integers(0, 255))
    first = draw(st.integers(0, last))
    alignment = MIB << last.bit_length()
    slots = 0x8000_0000 // alignment
    base = draw(st.integers(0, slots - 1)) * alignment
    segment = draw(st.integers(0, 0xFFFF))
    return Ecam(base + first * MIB, segment=segment, first_bus=first, last_bus=last)


@st.composite
def ranges(draw, first, last, unit, most):
    """Draw ranges that do not overlap, in any order; now and then some that do."""
    edges = st.integers(first // unit, last // unit)
    cuts = sorted(draw(st.lists(edges, max_size=2 * most, unique=True)))
    found = [(low * unit, (high - low) * unit) for low, high in itertools.pairwise(cuts)][::2]
    if found and draw(st.integers(0, 7)) == 0:
        found.append(found[0])
    return draw(st.permutations(found))


@st.composite
def windows(draw):
    below, above = ranges(0x8000_0000, 0xFEC0_0000, MIB, 2), ranges(1 << 32, 1 << 46, MIB, 2)
    low_ports, high_ports = ranges(0, 0xCF8, 1, 1), ranges(0xD00, 0x10000, 1, 2)
    return {"io": draw(low_ports) + draw(high_ports), "mem": draw(below) + draw(above)}


routing = st.dictionaries(
    st.tuples(st.integers(0, 31), st.integers(0, 3)), st.integers(16, 47), max_size=12
).map(lambda gsis: [(*place, gsi) for place, gsi in gsis.items()])

IO_APICS = (IoApicRange(), IoApicRange(0xFEC1_0000, 24, io_apic_id=1))


def check_processors(view, cpus):
    """The MADT and the devices have the same processors in the same order."""
    cpus = [Cpu(number) for number in range(cpus)] if isinstance(cpus, int) else cpus
    entries = view.entries((LocalApic, LocalX2Apic))
    assert [entry.acpi_processor_uid for entry in entries] == [cpu.uid for cpu in cpus]
    ids = [getattr(entry, "apic_id", None) for entry in entries]
    ids = [entry.x2apic_id if id_ is None else id_ for id_, entry in zip(ids, entries, strict=True)]
    assert ids == [cpu.apic_id for cpu in cpus]
    devices = view.devices("ACPI0007")
    assert [view.value(f"{device}._UID") for device in devices] == [cpu.uid for cpu in cpus]
    assert bool(view.entries(LocalApicNmi)) == bool(view.entries(LocalApic))
    assert bool(view.entries(LocalX2ApicNmi)) == bool(view.entries(LocalX2Apic))
    small = {entry.x2apic_id for entry in view.entries(LocalX2Apic) if entry.x2apic_id < 255}
    assert not (small and view.entries(LocalApic))


def check_bridge(view, ecam, given_windows, given_routing):
    """Buses, windows, routing and configuration space are what was given."""
    spaces = [one for one in view.resources("\\_SB.PCI0") if isinstance(one, AddressSpace)]
    ranges = {kind: [(s.minimum, s.length) for s in spaces if s.space == kind] for kind in range(3)}
    for space in spaces:
        assert space.maximum - space.minimum + 1 == space.length
    assert ranges[0] == [(0xA_0000, 0x2_0000), *given_windows["mem"]]  # VGA adapters have the first
    legacy = any(base < 0xCF8 for base, _size in given_windows["io"])
    assert ranges[1] == ([] if legacy else [(0, 0xCF8)]) + given_windows["io"]
    assert ranges[2] == [(ecam.first_bus, ecam.last_bus - ecam.first_bus + 1)]
    rows = view.value("\\_SB.PCI0._PRT") if given_routing else []
    assert [(row[0] >> 16, row[1], row[3]) for row in rows] == given_routing
    assert all(row[0] & 0xFFFF == 0xFFFF and row[2] == 0 for row in rows)
    assert view.value("\\_SB.PCI0._BBN") == ecam.first_bus
    assert view.value("\\_SB.PCI0._SEG") == ecam.segment


def check_ecam(view, platform, ecam):
    (allocation,) = view.tables["MCFG"].allocations
    place = (allocation.first, allocation.size)
    assert place == (ecam.base, ecam.size)
    assert view.resources("\\_SB.MRES") == [Memory32Fixed(*place)]
    assert [(entry.base, entry.size) for entry in platform.e820()] == [place]
    for space in view.resources("\\_SB.PCI0"):
        if isinstance(space, AddressSpace) and space.space == 0:
            assert space.maximum < ecam.base or ecam.base + ecam.size <= space.minimum


def check_interrupts(view):
    """All interrupts are inputs of the I/O APICs; those of ISA numbers say that they are levels."""
    inputs = {one.global_system_interrupt_base: 24 for one in view.entries(IoApic)}
    gsis = {gsi for base, count in inputs.items() for gsi in range(base, base + count)}
    levels = {
        one.global_system_interrupt
        for one in view.entries(InterruptSourceOverride)
        if one.flags.trigger_mode == 3
    }
    sci = view.tables["FACP"].sci_int
    assert not sci or sci >= 16 or sci in levels
    used = {one.global_system_interrupt for one in view.entries(InterruptSourceOverride)}
    for path in [path for path in view.paths if path.endswith("._CRS")]:
        for one in view.resources(path.removesuffix("._CRS")):
            used |= set(one.interrupts) if isinstance(one, Interrupt) else set()
    assert used <= gsis


@settings(max_examples=80, deadline=None)
@given(
    cpus=processors(),
    ecam=ecams(),
    windows=windows(),
    routing=routing,
    sci=st.integers(9, 48),
    pm_base=st.integers(9, 0x100).map(lambda number: number * 0x80),
    x2apic=_POLICIES,
    spec=st.sampled_from(Spec),
)
def test_full_hardware(cpus, ecam, windows, routing, sci, pm_base, x2apic, spec):
    try:
        platform = q35_like(
            cpus=cpus,
            ecam=ecam,
            windows=windows,
            routing=routing,
            sci=sci,
            pm_base=pm_base,
            x2apic=x2apic,
            spec=spec,
            io_apics=IO_APICS,
        )
    except PlatformError:
        return
    view = View(platform)
    check_processors(view, cpus)
    check_bridge(view, ecam, windows, routing)
    check_ecam(view, platform, ecam)
    check_interrupts(view)
    fadt = view.tables["FACP"]
    assert (fadt.pm1a_evt_blk, fadt.pm_tmr_blk, fadt.sci_int) == (pm_base, pm_base + 8, sci)
    assert fadt.dsdt == view.placement.piece("DSDT").gpa
    pairing = (fadt.revision, fadt.minor_version, view.tables["APIC"].revision)
    assert pairing == spec.value[:3]


@settings(max_examples=30, deadline=None)
@given(
    cpus=processors(),
    x2apic=_POLICIES,
    places=st.lists(st.tuples(st.integers(0, 0xFF), st.integers(10, 47)), max_size=5),
)
def test_reduced_hardware(cpus, x2apic, places):
    devices = [VirtioMmio(0xFEB0_0000 + 0x200 * slot, gsi) for slot, gsi in places]
    try:
        platform = reduced(cpus=cpus, x2apic=x2apic, devices=devices, io_apics=IO_APICS)
    except PlatformError:
        return
    view = View(platform)
    check_processors(view, cpus)
    check_interrupts(view)
    found = [view.resources(device) for device in view.devices("LNRO0005")]
    assert [(memory.base, one.interrupts[0]) for memory, one in found] == [
        (device.base, device.gsi) for device in devices
    ]
    assert "FACS" not in view.bytes
