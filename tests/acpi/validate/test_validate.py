# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""`validate`: silent on valid machines, whole on any bytes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acpi.table_cases import sealed, table_bytes
from acpi.validate.mutation import BASE, Board, full_platform, reduced_platform
from vmmkit.acpi.aml.blocks import Else, If
from vmmkit.acpi.aml.data import Buffer, EisaId, Package
from vmmkit.acpi.aml.named import Alias, Device, Method, Name, Processor, Scope
from vmmkit.acpi.aml.namespace import opcode_name
from vmmkit.acpi.aml.node import Path, RawAml
from vmmkit.acpi.aml.reader import read
from vmmkit.acpi.aml.resources import DWordMemory, Interrupt, Io, Memory32Fixed, Resources
from vmmkit.acpi.aml.statements import Return
from vmmkit.acpi.layout import TableSet
from vmmkit.acpi.platform.power import PowerButton
from vmmkit.acpi.platform.q35 import q35_like
from vmmkit.acpi.platform.reduced import reduced
from vmmkit.acpi.platform.values import Cpu, Ecam, IoApicRange, MemoryRange, Numa
from vmmkit.acpi.relocation import Blob
from vmmkit.acpi.tables.definition_block import Dsdt
from vmmkit.acpi.tables.fadt import Fadt
from vmmkit.acpi.tables.madt import IoApic, LocalApic, LocalApicAddressOverride, Madt
from vmmkit.acpi.tables.mcfg import Mcfg, McfgAllocation
from vmmkit.acpi.tables.spec import Spec
from vmmkit.acpi.tables.table import Raw
from vmmkit.acpi.validate.codes import RULES
from vmmkit.acpi.validate.finding import Severity
from vmmkit.acpi.validate.validator import validate
from vmmkit.errors import TableValueError

PC = full_platform()
TABLES = [bytes(data) for data in Board(PC).data.values()]
SMALL = [bytes(data) for data in Board(reduced_platform()).data.values()]


@pytest.mark.parametrize(
    ("template", "code"),
    [
        (Buffer(Io(0x3F8, 8).to_bytes()), "CRS-NO-END-TAG"),
        (Resources(DWordMemory(0xFED6_0000, 0xFED6_FFFF, length=0x8000)), "CRS-WINDOW-LENGTH"),
    ],
)
def test_template_that_a_method_only_returns_is_judged(template, code):
    device = Device("SENS", Name("_HID", "VMMK0001"), Method("_CRS", 0, Return(template)))
    table = Dsdt(Scope("\\_SB", device)).to_bytes()
    findings = [each for each in validate([table]) if each.code == code]
    assert [each.table for each in findings] == ["DSDT"]
    start = len(table) - len(template.args[1])
    assert start <= findings[0].offset <= len(table)


@pytest.mark.parametrize("preset", [q35_like, reduced])
@pytest.mark.parametrize("cpus", [1, 2, 7, 8, 9, 64, 254, 255, 256, 300])
@pytest.mark.parametrize("x2apic", ["auto", "always"])
def test_presets_are_faultless(preset, cpus, x2apic):
    assert preset(cpus=cpus, x2apic=x2apic).validate() == []


@pytest.mark.parametrize(
    "platform",
    [
        *[q35_like(spec=spec) for spec in Spec],
        q35_like(ecam=None),
        q35_like(ecam=Ecam(0xB000_0000, 0, 0, 63)),
        q35_like(ecam=Ecam(0xE100_0000, 2, 16, 31), windows={"mem": [(0xC000_0000, 0x1000_0000)]}),
        q35_like(hpet=False, waet=False, isa_devices=()),
        q35_like(cpus=4, numa=Numa([MemoryRange(0, 1 << 30, 0)], [[10]])),
        reduced(windows={"mem": [(0xC000_0000, 0x1000_0000)]}, ecam=Ecam(0xB000_0000)),
        q35_like(ecam=Ecam(0x10_0000_0000), smbios=True),
        reduced(io_apics=[IoApicRange(), IoApicRange(0xFEC1_0000, 24, io_apic_id=1)]),
        reduced(io_apics=[IoApicRange(inputs=64)], power_button=PowerButton(gsi=63, select=2)),
    ],
)
def test_presets_with_options_are_faultless(platform):
    assert platform.validate() == []


def with_ssdt(*nodes, **options):
    """Return the tables of a PC and an SSDT."""
    tables = q35_like(**options).table_set()
    tables.add(Raw("SSDT", b"".join([each.to_bytes() for each in nodes]), revision=2))
    return tables


def with_device(*nodes, name="DEV0", hid="PNP0501", uid=77):
    return Scope("\\_SB", Device(name, Name("_HID", EisaId(hid)), Name("_UID", uid), *nodes))


def split_ecam():
    """Return a PC whose ECAM is in two allocations of the MCFG."""
    board = with_device(Name("_CRS", Resources(Memory32Fixed(0xB000_0000, 1 << 28))), hid="PNP0C02")
    tables = with_ssdt(board, ecam=None)
    allocations = [McfgAllocation(0xB000_0000, 0, 0, 63), McfgAllocation(0xB000_0000, 0, 64, 255)]
    tables.add(Mcfg(allocations))
    return tables


ROUTES = Package(
    [0xFFFF, 0, 0, Path("\\GSI_")], [0x1_FFFF, Path("\\PIN_"), Path("LNKA"), 0], Path("\\ROW_")
)


@pytest.mark.parametrize(
    "tables",
    [
        with_ssdt(with_device(Name("_PRT", ROUTES))),
        with_ssdt(with_device(Method("_PRT", 0, Return([[0xFFFF, 0, 0, 20]])))),
        with_ssdt(with_device(Method("_CRS", 0, Return(Resources(Interrupt(20)))))),
        with_ssdt(with_device(uid="one"), with_device(name="DEV1", uid="two")),
        with_ssdt(Name("\\_S5", Package(Path("\\STYP"), 0, 0, 0)), Name("\\STYP", 5), s5=None),
        with_ssdt(Alias("\\_SB.PCI0", "\\HOST"), Scope("\\HOST", Name("NAMX", 1))),
        with_ssdt(
            If(Path("\\ONE_"), Name("\\TWO_", 1)), Else(Name("\\TWO_", 2)), Name("\\ONE_", 1)
        ),
        split_ecam(),
        q35_like(sci=20),
        q35_like(pic_routing=[(device, 0, 10) for device in range(32)]),
        q35_like(cpus=[Cpu(0, 10), Cpu(2, 20, enabled=False), Cpu(300, 30)]),
        q35_like(io_apics=[IoApicRange(), IoApicRange(0xFEC1_0000, 64, io_apic_id=1)]),
        q35_like(ecam=Ecam(0x10_0000_0000), smbios=True),
        reduced(io_apics=[IoApicRange(inputs=64)], power_button=PowerButton(gsi=63, select=2)),
        TableSet(list(q35_like(spec=Spec.V3_0).table_set()), xsdt=False),
        [
            Madt(
                [LocalApic(0, 0), IoApic(0, 0xFEC0_0000), LocalApicAddressOverride(0xFEE0_0000)],
                local_apic_address=0,
            )
        ],
        [
            Madt([LocalApic(3, 3), IoApic(0, 0xFEC0_0000)]),
            Dsdt(Name("\\_S5", [5, 5]), Processor("CPU0", 3, 0, 0, Name("_UID", 7))),
        ],
    ],
)
def test_what_is_unusual_and_legal_is_passed(tables):
    assert validate(tables) == []


def test_the_order_of_root_tables_may_differ():
    board = Board(PC)
    data = board.data["RSDT"]
    data[36:44] = data[40:44] + data[36:40]
    assert validate(board.placement()) == []


def test_an_unknown_memory_map_is_mentioned():
    tables = [piece for piece in TABLES if piece[:4] == b"MCFG"]
    found = validate([*tables, Dsdt(Name("\\_S5", [5, 5]))])
    assert [each.code for each in found] == ["ECAM-NOT-RESERVED"]
    assert found[0].message.endswith("; the memory map is not known")


@pytest.mark.parametrize("platform", [PC, reduced_platform()])
def test_every_kind_of_source_is_taken(platform):
    tables = platform.table_set()
    placement = tables.place(BASE)
    assert validate(tables) == []
    assert validate(placement) == []
    assert validate([piece.data for piece in placement.pieces]) == []
    assert validate(tables) == validate(iter(tables)) == []
    assert validate([]) == []


@pytest.mark.parametrize("source", [b"APIC", "APIC", 5, None, [5], [None]])
def test_other_sources_are_refused(source):
    with pytest.raises(TableValueError, match="not"):
        validate(source)


def test_what_is_no_table_is_not_judged_as_one():
    tables = reduced_platform().table_set()
    blob = tables.add(Blob(b"\xff" * 100, "etc/blob"))
    tables.add(Raw("OEM1", b"12345678"), "mine")
    assert validate(tables) == []
    assert blob in list(tables)


def test_few_tables_are_not_missed():
    assert [finding.code for finding in validate([Fadt(x_dsdt=Dsdt())])] == [
        "FADT-NO-PM1",
        "FADT-NO-PM1",
        "FADT-NO-RESET",
    ]


def test_a_finding_says_where_and_what():
    board = Board(PC)
    at = board.entry("APIC", 0, number=3)
    board.put("APIC", at + 2, 0)
    found = {finding.code: finding for finding in validate(board.placement())}
    finding = found["MADT-DUPLICATE-UID"]
    assert (finding.table, finding.offset, finding.severity) == ("APIC", at, Severity.ERROR)
    assert "UID 0" in finding.message
    assert hex(board.entry("APIC", 0)) in finding.message
    assert str(finding).startswith(f"ERROR MADT-DUPLICATE-UID: APIC at {at:#x}: UID 0")


def test_findings_of_several_tables_say_which():
    ssdt = Raw("SSDT", Scope("\\_SB", Device("DEVX")).to_bytes(), revision=2)
    bad = Raw("SSDT", b"\0", revision=2)
    found = validate([piece.to_bytes() for piece in (ssdt, bad, ssdt)])
    assert [(each.table, each.code) for each in found] == [
        ("SSDT", "DEVICE-NO-ID"),
        ("SSDT#2", "AML-STRAY-DATA"),
        ("SSDT#3", "AML-DUPLICATE-NAME"),
    ]


def test_ecam_beyond_4_gib_is_right_with_smbios():
    platform = q35_like(ecam=Ecam(0x10_0000_0000), smbios=True).table_set()
    assert [each.code for each in validate(platform)] == ["ECAM-ABOVE-4G"]
    assert validate(platform, smbios=True) == []


def test_inputs_of_an_io_apic_can_be_told():
    ssdt = Raw(
        "SSDT",
        Device(
            "\\_SB.DEVX", Name("_ADR", 0), Name("_CRS", Resources(Interrupt(23), Interrupt(100)))
        ).to_bytes(),
        revision=2,
    )
    tables = reduced_platform().table_set()
    tables.add(ssdt)
    assert [each.code for each in validate(tables)] == ["GSI-BEYOND-24"]
    assert validate(tables, io_apic_inputs={0: 120}) == []
    assert [each.code for each in validate(tables, io_apic_inputs={0: 100})] == ["GSI-OUT-OF-RANGE"]


def packages(content):
    """Yield where the package lengths of a block are, and their sizes."""
    for match in re.finditer(rb"\x10|\x11|\x12|\x14|\xa0|\x5b\x82|\x5b\x81", content):
        at = match.end()
        if at < len(content):
            yield match.start(), at, 1 + (content[at] >> 6)


@pytest.mark.parametrize("step", [1, -1])
def test_each_package_length_that_is_wrong_by_one_is_found(step):
    """Every object with a package length, of a machine with all kinds of them."""
    platform = q35_like(routing=[(0, 0, 16), (1, 0, 17)])
    body = Dsdt.from_bytes(Board(platform).data["DSDT"])
    content = body.to_bytes()[36:]
    real = {node.encoded for node in every_node(read(content))}
    tried = 0
    for start, at, size in packages(content):
        length = content[at] & (0x3F if size == 1 else 0xF)
        length |= int.from_bytes(content[at + 1 : at + size], "little") << 4
        if content[start : at + length] not in real:
            continue
        wrong = length + step
        changed = (
            bytes([wrong])
            if size == 1
            else bytes([content[at] & 0xC0 | wrong & 0xF])
            + (wrong >> 4).to_bytes(size - 1, "little")
        )
        if size == 1 and wrong > 0x3F:
            continue
        spoilt = table_bytes("DSDT", content[:at] + changed + content[at + size :], 2)
        codes = {each.code for each in validate([spoilt])}
        assert codes, (start, content[start : start + 8].hex(" "))
        tried += 1
    assert tried > 25


def every_node(nodes):
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if opcode_name(node):
            yield node
        waiting.extend(node.children())


# -- any bytes --------------------------------------------------------------------------------

SIGNATURES = ["APIC", "FACP", "DSDT", "SSDT", "MCFG", "SRAT", "SLIT", "HPET", "SPCR", "DBG2"]
SIGNATURES += ["DMAR", "PPTT", "XSDT", "RSDT", "RSD ", "FACS", "IVRS", "HMAT", "VIOT", "OEMX"]


def check_whole(tables):
    for finding in validate(tables):
        assert finding.code in RULES
        assert finding.offset >= 0
        assert finding.message
        assert finding.consequence == RULES[finding.code].consequence


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=200), max_size=4))
def test_any_bytes_are_judged(tables):
    check_whole(tables)


@settings(max_examples=150)
@given(
    st.lists(
        st.builds(
            table_bytes,
            st.sampled_from(SIGNATURES),
            st.binary(max_size=120),
            st.integers(0, 7),
        ),
        max_size=5,
    )
)
def test_any_tables_are_judged(tables):
    check_whole(tables)


@settings(max_examples=60)
@given(st.data())
def test_spoilt_machines_are_judged(data):
    tables = list(data.draw(st.sampled_from([TABLES, SMALL])))
    for _ in range(data.draw(st.integers(1, 4))):
        number = data.draw(st.integers(0, len(tables) - 1))
        content = bytearray(tables[number])
        at = data.draw(st.integers(0, len(content)))
        patch = data.draw(st.binary(min_size=1, max_size=4))
        content[at : at + len(patch)] = patch
        if data.draw(st.booleans()):
            content = content[: data.draw(st.integers(0, len(content)))]
        tables[number] = sealed(content) if len(content) > 36 else bytes(content)
    check_whole(tables)


@pytest.mark.parametrize(
    "content",
    [
        b"\x5b\x82\x0a" * 3000,
        b"\x12\xff\xff\xff" * 3000,
        b"\x08AAAA\x00" * 3000,
        b"\x10\x05_SB_" * 3000,
        b"\xa0\x02\x00" * 3000,
    ],
)
def test_much_of_the_same_is_judged(content):
    check_whole([table_bytes("DSDT", content, 2), table_bytes("APIC", bytes(8) + b"\0\2" * 4000)])


def test_many_windows_are_judged():
    """MCFG and `_CRS` of thousands of ranges each, all of which overlap."""
    allocations = b"".join([(at << 20).to_bytes(8, "little") + bytes(8) for at in range(3000)])
    item = bytes.fromhex("86 0900 01 00000000 00000001")
    body = b"".join([item[:4] + at.to_bytes(4, "little") + item[8:] for at in range(3000)])
    mcfg = table_bytes("MCFG", bytes(8) + allocations)
    terms = [Name("_HID", 0x030AD041), Name("_CRS", body + b"\x79\0")]
    dsdt = Dsdt(Device("\\PCI0", *terms), Device("\\PCI1", *terms))
    check_whole([mcfg, dsdt, RawAml(b"")])
