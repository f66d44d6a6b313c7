# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The presets judged by ACPICA: every table survives iasl, and the AML says what was put in."""

import functools
import re
import struct
import uuid

import pytest

from acpi.acpica import (
    AML_SIGNATURES,
    NO_SRS,
    acpiexec,
    assert_roundtrip,
    disassemble,
    evaluate,
    notifications,
)
from vmmkit.acpi.aml.resources import Resources
from vmmkit.acpi.platform.power import PowerButton
from vmmkit.acpi.platform.q35 import q35_like, q35_routing
from vmmkit.acpi.platform.reduced import reduced
from vmmkit.acpi.platform.values import Cpu, Ecam, MemoryRange, Numa
from vmmkit.acpi.tables.fadt import Fadt
from vmmkit.acpi.tables.madt import LocalApic, LocalX2Apic
from vmmkit.acpi.tables.spec import Spec

BASE = 0x7000_0000
WINDOWS = {"io": [(0xD00, 0xF300)], "mem": [(0xC000_0000, 0x2000_0000), (1 << 40, 1 << 38)]}
ROUTING = [(device, pin, 16 + (device + pin) % 8) for device in range(32) for pin in range(4)]
ECAM = Ecam(0x9000_0000, last_bus=63)
CPUS = [1, 2, 64, 255, 300]
OSC = uuid.UUID("33db4d5b-1ff7-401c-9657-7441c03dd766")

q35_with = functools.partial(
    q35_like,
    windows=WINDOWS,
    routing=ROUTING,
    ecam=ECAM,
    s5=7,
    osc_control=0x15,
    pm_base=0xB000,
    oem_id="ABC",
    oem_table_id="12345678",
)
reduced_with = functools.partial(
    reduced, windows=WINDOWS, routing=ROUTING, ecam=ECAM, config_ports=True, s5=3
)
NUMA = Numa(
    [MemoryRange(0, 1 << 31, 0), MemoryRange(1 << 32, 1 << 31, 1, hot_pluggable=True)],
    [[10, 20], [20, 10]],
)
PRESETS = {
    **{f"q35, {cpus}": functools.partial(q35_like, cpus=cpus) for cpus in CPUS},
    **{f"reduced, {cpus}": functools.partial(reduced, cpus=cpus) for cpus in CPUS},
    **{f"reduced with PCI, {cpus}": functools.partial(reduced_with, cpus=cpus) for cpus in (1, 64)},
    "q35, all other": functools.partial(q35_with, cpus=3),
    "q35, NUMA": functools.partial(
        q35_like, cpus=[Cpu(0), Cpu(1, proximity_domain=1), Cpu(0x300)], numa=NUMA
    ),
    "q35, hot-plug": functools.partial(
        q35_like, cpus=[Cpu(0), Cpu(4, 1, enabled=False, online_capable=True)]
    ),
    "q35, little": functools.partial(
        q35_like, isa_devices=(), hpet=False, ecam=None, reset=None, s5=None, waet=False
    ),
    **{f"q35, {spec.name}": functools.partial(q35_like, spec=spec) for spec in Spec},
}
REVISION_5 = {"q35, V5_0", "q35, V5_1"}


@functools.cache
def platform(name):
    return PRESETS[name]()


@functools.cache
def placed(name):
    """Return the bytes of every table by its name."""
    return {
        piece.name: bytes(piece.data) for piece in platform(name).table_set().place(BASE).pieces
    }


def resources_in(nodes):
    for node in nodes:
        if isinstance(node, Resources):
            yield node
        yield from resources_in(node.children())


@pytest.mark.parametrize("name", PRESETS)
def test_every_table_survives_iasl(name):
    templates = len(list(resources_in(platform(name).dsdt.terms)))
    # This iasl takes a field of revision 6 for a part of revision 5 of the FADT.
    tolerate = [r"terminates in the middle"] if name in REVISION_5 else []
    for title, table in placed(name).items():
        count = templates if table[:4] in AML_SIGNATURES else 0
        assert_roundtrip(table, templates=count, tolerate=tolerate if title == "FACP" else ())
    assert templates or "little" in name or "reduced" in name


@pytest.mark.parametrize("name", PRESETS)
def test_acpiexec_finds_no_fault(name):
    commands = ["test predefined", "resources", "integrity"]
    output = acpiexec(commands, placed(name)["DSDT"], tolerate=[NO_SRS])
    (evaluated,) = re.findall(r"Evaluated (\d+) predefined names", output)
    assert output.count("returned AE_OK") == int(evaluated)
    assert re.search(r"Verified \d+ namespace nodes", output)


# -- processors -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_processors_are_those_of_the_madt(name):
    text = disassemble(placed(name)["DSDT"]).text
    devices = re.findall(r'"ACPI0007".*\n\s*Name \(_UID, (\w+)\)', text)
    special = {"Zero": 0, "One": 1}
    uids = [special[uid] if uid in special else int(uid, 16) for uid in devices]
    madt = next(table for table in platform(name).tables if table.name == "APIC")
    processors = [entry for entry in madt.entries if isinstance(entry, (LocalApic, LocalX2Apic))]
    assert uids == [entry.acpi_processor_uid for entry in processors]
    assert len(set(uids)) == len(uids)


# -- the host bridge ------------------------------------------------------------------------

WITH_PCI = [name for name in PRESETS if "reduced" not in name or "PCI" in name]
WORD, DWORD, QWORD = 0x88, 0x87, 0x8A
SIZES = {WORD: "<5H", DWORD: "<5I", QWORD: "<5Q"}
MEMORY, IO, BUS = range(3)
END_TAG = 0x79


def windows_of(crs):
    """Return (kind, first, last, length) of the address space descriptors of a template."""
    offset = 0
    while crs[offset] != END_TAG:
        tag = crs[offset]
        if tag < 0x80:
            offset += 1 + (tag & 7)
            continue
        (length,) = struct.unpack_from("<H", crs, offset + 1)
        if tag in SIZES:
            _granularity, first, last, _translation, size = struct.unpack_from(
                SIZES[tag], crs, offset + 6
            )
            yield crs[offset + 3], first, last, size
        offset += 3 + length
    assert sum(crs) & 0xFF == 0 or crs[offset + 1] == 0
    assert offset + 2 == len(crs)


@pytest.mark.parametrize("name", ["q35, all other", "reduced with PCI, 1"])
def test_windows_are_those_given(name):
    found = list(windows_of(evaluate(placed(name)["DSDT"], r"\_SB.PCI0._CRS")))
    buses = [(BUS, 0, 63, 64)]
    # Where there are ISA devices, the bridge lets their ports through.
    legacy = [(IO, 0, 0xCF7, 0xCF8)] if "q35" in name else []
    io = [(IO, base, base + size - 1, size) for base, size in WINDOWS["io"]]
    vga = [(0xA_0000, 0x2_0000)] if "q35" in name else []
    memory = [(MEMORY, base, base + size - 1, size) for base, size in vga + WINDOWS["mem"]]
    assert found == buses + legacy + io + memory


@pytest.mark.parametrize("name", WITH_PCI)
def test_routing_is_the_one_given(name):
    given = ROUTING if "with" in name or "other" in name else q35_routing()
    found = evaluate(placed(name)["DSDT"], r"\_SB.PCI0._PRT")
    assert found == [[device << 16 | 0xFFFF, pin, 0, gsi] for device, pin, gsi in given]


@pytest.mark.parametrize("name", WITH_PCI)
def test_bridge_says_segment_and_bus(name):
    table = placed(name)["DSDT"]
    assert evaluate(table, r"\_SB.PCI0._SEG") == 0
    assert evaluate(table, r"\_SB.PCI0._BBN") == 0


@pytest.mark.parametrize(("name", "granted"), [("q35, 1", 0x1D), ("q35, all other", 0x15)])
@pytest.mark.parametrize("wanted", [0, 0x1D, 0x1F, 0xFFFF_FFFF])
def test_osc_grants_what_the_platform_allows(name, granted, wanted):
    sent = struct.pack("<3I", 0, 0x1F, wanted)
    found = evaluate(placed(name)["DSDT"], r"\_SB.PCI0._OSC", OSC.bytes_le, 1, 3, sent)
    status, support, control = struct.unpack("<3I", found)
    assert (support, control) == (0x1F, wanted & granted)
    # Bit 4: capabilities were masked.
    assert status == (0x10 if wanted & ~granted else 0)


def test_osc_refuses_another_uuid():
    sent = struct.pack("<3I", 0, 0x1F, 0x1D)
    found = evaluate(placed("q35, 1")["DSDT"], r"\_SB.PCI0._OSC", bytes(16), 1, 3, sent)
    # Bit 2: unrecognized UUID.
    assert struct.unpack("<3I", found) == (4, 0x1F, 0x1D)


def test_osc_refuses_another_revision():
    sent = struct.pack("<3I", 0, 0x1F, 0x1D)
    found = evaluate(placed("q35, 1")["DSDT"], r"\_SB.PCI0._OSC", OSC.bytes_le, 2, 3, sent)
    # Bit 3: unrecognized revision.
    assert struct.unpack("<3I", found)[0] == 8


# -- power ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "sleep_type"),
    [
        ("q35, 1", 0),
        ("q35, all other", 7),
        ("reduced, 1", 5),
        ("reduced with PCI, 1", 3),
    ],
)
def test_s5_has_the_sleep_type(name, sleep_type):
    found = evaluate(placed(name)["DSDT"], r"\_S5")
    assert 2 <= len(found) <= 4
    assert found[0] == sleep_type


@pytest.mark.parametrize("name", [name for name in PRESETS if "reduced" in name])
def test_reduced_machines_say_so(name):
    fadt = Fadt.from_bytes(placed(name)["FACP"])
    bits = [field for field in assert_roundtrip(fadt.to_bytes()).fields if field.size is None]
    assert {field.value for field in bits if field.name == "Hardware Reduced (V5)"} == {1}
    assert "FACS" not in placed(name)


PRESSED = 0x80


def test_interrupt_of_the_power_button_notifies_it():
    table = placed("reduced, 1")["DSDT"]
    assert notifications(table, r"\_SB.GED._EVT", 9, fill=0xFF) == [("PWRB", PRESSED)]
    # Its bit of the event selector is not set, or the interrupt is another.
    assert notifications(table, r"\_SB.GED._EVT", 9) == []
    assert notifications(table, r"\_SB.GED._EVT", 10, fill=0xFF) == []


@pytest.mark.parametrize(("level", "method"), [(False, "_E03"), (True, "_L03")])
def test_event_of_a_power_button_notifies_it(level, method):
    table = q35_like(devices=[PowerButton(gpe=3, level=level)]).dsdt.to_bytes()
    assert notifications(table, rf"\_GPE.{method}") == [("PWRB", PRESSED)]


# -- addresses ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["q35, 1", "reduced, 1"])
def test_addresses_lead_to_the_tables(name):
    placement = platform(name).table_set().place(BASE)
    at = {piece.name: piece.gpa for piece in placement.pieces}
    xsdt = assert_roundtrip(placed(name)["XSDT"])
    listed = [field.value for field in xsdt.fields if field.offset >= 36]
    assert listed[0] == at["FACP"]
    assert set(listed) == set(at.values()) - {
        at[other] for other in ("RSDP", "RSDT", "XSDT", "DSDT", "FACS") if other in at
    }
    fadt = assert_roundtrip(placed(name)["FACP"])
    assert set(fadt.values("DSDT Address")) == {at["DSDT"]}
    if "FACS" in at:
        assert fadt.values("FACS Address") == [at["FACS"], 0]
    assert placement.rsdp == at["RSDP"]
