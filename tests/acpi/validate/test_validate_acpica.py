# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Faults that ACPICA notices as well: iasl takes a table apart, acpiexec loads it."""

import pytest

from acpi.acpica import AcpicaError, acpiexec, disassemble, templates
from acpi.table_cases import sealed, table_bytes
from acpi.validate.mutation import Board, full_platform, with_ssdt
from vmmkit.acpi.aml.named import Device, Name, Scope
from vmmkit.acpi.aml.node import RawAml
from vmmkit.acpi.aml.resources import Io
from vmmkit.acpi.validate.validator import validate

PC = Board(full_platform())


def changed(name, offset, value):
    data = bytearray(PC.data[name])
    data[offset] = value
    return sealed(data)


def codes(*tables):
    return {finding.code for finding in validate(tables)}


@pytest.mark.parametrize(
    ("table", "code", "text"),
    [
        (bytes([*PC.data["MCFG"][:9], 0x55, *PC.data["MCFG"][10:]]), "TABLE-CHECKSUM", "checksum"),
        (changed("APIC", 45, 0), "MADT-ENTRY-LENGTH", "nvalid zero length"),
        (changed("APIC", 45, 10), "MADT-ENTRY-LENGTH", "terminates early|Unknown"),
        (changed("APIC", 44, 0x70), "TABLE-ENTRY-TYPE", "Unknown MADT subtable type"),
    ],
)
def test_iasl_notices_it_as_well(table, code, text):
    seen = disassemble(table)
    good = disassemble(bytes(PC.data[table[:4].decode()]))
    assert any(pattern in seen.text + seen.messages for pattern in text.split("|"))
    assert good.complaints() == []
    assert code in codes(table)


AML = [
    (Name("_B_X", 1).to_bytes().replace(b"_B_X", b"_B!X"), "AML-BAD-NAME", []),
    (
        Name("DUPX", 1).to_bytes() + Name("DUPX", 2).to_bytes(),
        "AML-DUPLICATE-NAME",
        [],
    ),
    (
        Device("DEV0", Name("_HID", "PNP0501"), Name("_CRS", Io(0x3F8, 8).to_bytes())).to_bytes(),
        "CRS-NO-END-TAG",
        [r"resources \DEV0"],
    ),
]


@pytest.mark.parametrize(("content", "code", "commands"), AML)
def test_acpiexec_notices_it_as_well(content, code, commands):
    table = table_bytes("DSDT", Name("\\_S5", [0, 0, 0, 0]).to_bytes() + content, 2)
    with pytest.raises(AcpicaError):
        acpiexec(commands, table)
    assert codes(table) == {code}


def test_acpiexec_notices_a_scope_of_nothing():
    board = with_ssdt(Scope("\\_SB.PCI7", Name("NAMX", 1)))
    dsdt, ssdt = (bytes(board.data[name]) for name in ("DSDT", "SSDT"))
    with pytest.raises(AcpicaError, match="AE_NOT_FOUND"):
        acpiexec([], dsdt, ssdt)
    assert "AML-SCOPE-UNKNOWN" in {each.code for each in validate(board.placement())}


def test_acpiexec_loads_a_valid_machine():
    board = with_ssdt(Scope("\\_SB", Name("NAMX", 1)), RawAml(b""))
    acpiexec([], *(bytes(board.data[name]) for name in ("DSDT", "SSDT")))


# iasl's templates have zeros where addresses belong.
ZEROS = {
    "apic": {"MADT-LAPIC-ADDRESS", "MADT-IOAPIC-ADDRESS"},
    "dmar": {"DMAR-ADDRESS"},
    "dsdt": {"S5-MISSING"},
    "facp": {"FADT-NO-RESET"},
    "hpet": {"HPET-ADDRESS"},
    "mcfg": {"MCFG-ADDRESS"},
    "rsdp": {"RSDP-NO-ROOT"},
    "spcr": {"SPCR-ADDRESS"},
    "srat": {"SRAT-DUPLICATE-CPU"},
}


def test_templates_of_iasl_lack_no_more_than_addresses():
    assert {name: found for name, data in templates().items() if (found := codes(data))} == ZEROS
