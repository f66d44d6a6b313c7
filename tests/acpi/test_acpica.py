# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The judge judged: acpica.py on ASL written here, and on tables damaged on purpose."""

import struct

import pytest

from acpi.acpica import (
    NO_SRS,
    AcpicaError,
    Reference,
    acpiexec,
    acpixtract,
    assert_roundtrip,
    compile_asl,
    definition_block,
    disassemble,
    evaluate,
    evaluate_all,
    notifications,
    roundtrip,
    roundtrip_all,
    templates,
)

AML_TEMPLATES = {"dsdt", "ssdt", "osdt"}

BRIDGE = """
    Scope (\\_SB)
    {
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A08"))
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0CF8, 0x0CF8, 0x01, 0x08)
                Memory32Fixed (ReadWrite, 0xE0000000, 0x10000000)
            })
        }
    }
"""


def mend(table):
    """Return a table with a right checksum, so that the fault put in is the only one."""
    mended = bytearray(table)
    mended[9] = 0
    mended[9] = -sum(mended) & 0xFF
    return bytes(mended)


def damage(table, offset, *values, mended=True):
    """Return a table with other bytes at an offset."""
    changed = bytearray(table)
    changed[offset : offset + len(values)] = bytes(values)
    return mend(changed) if mended else bytes(changed)


def complaint(table):
    with pytest.raises(AcpicaError) as caught:
        assert_roundtrip(table)
    return "\n".join(caught.value.complaints)


@pytest.mark.parametrize("name", sorted(AML_TEMPLATES | {"rsdp"}))
def test_templates_survive_alone(name):
    assert_roundtrip(templates()[name])


def test_templates_survive_together():
    tables = templates()
    assert len(tables) >= 63
    roundtrip_all([tables[name] for name in tables.keys() - AML_TEMPLATES - {"rsdp"}])


def test_roundtrip_returns_the_table():
    table = templates()["mcfg"]
    assert roundtrip(table) == table
    assert roundtrip(templates()["rsdp"]) == templates()["rsdp"]


def test_fields_have_places_names_and_values():
    fields = {field.name: field for field in disassemble(templates()["mcfg"]).fields}
    assert fields["Signature"].value == "MCFG"
    assert fields["Base Address"].offset == 44
    assert fields["Base Address"].size == 8
    assert fields["Base Address"].value == 0
    assert fields["Asl Compiler Revision"].value == 0x20200925


def test_bits_of_flags_are_fields_without_a_size():
    found = [field for field in disassemble(templates()["apic"]).fields if field.size is None]
    assert (found[0].offset, found[0].name, found[0].value) == (40, "PC-AT Compatibility", 1)


def test_values_lists_every_field_of_a_name():
    assert disassemble(templates()["apic"]).values("Subtable Type")[:3] == [0, 1, 2]


def test_templates_of_resources_are_counted():
    assert_roundtrip(definition_block(BRIDGE), templates=1)
    with pytest.raises(AssertionError):
        assert_roundtrip(definition_block(BRIDGE), templates=2)


def test_asl_with_an_error_is_refused():
    with pytest.raises(AcpicaError, match="compiled nothing"):
        compile_asl("DefinitionBlock (")


def test_text_of_acpidump_is_split():
    table = templates()["waet"]
    rows = [table[start : start + 16] for start in range(0, len(table), 16)]
    dump = "WAET @ 0x0000000070001000\n" + "".join(
        f"    {16 * number:04X}: {row.hex(' ').upper():<48} {'.' * len(row)}\n"
        for number, row in enumerate(rows)
    )
    assert acpixtract(dump) == {"waet": table}


def test_text_without_a_table_is_refused():
    with pytest.raises(AcpicaError, match="no table"):
        acpixtract("nothing\n")


# --- faults that iasl sees ------------------------------------------------------------------

MADT_ENTRY = 44


def test_wrong_checksum_is_seen():
    damaged = damage(templates()["mcfg"], 9, 0x55, mended=False)
    assert "Incorrect checksum" in complaint(damaged)


def test_truncated_table_is_seen():
    assert "too long for file" in complaint(templates()["mcfg"][:-4])


def test_length_shorter_than_the_file_is_seen():
    damaged = damage(templates()["mcfg"], 4, *struct.pack("<I", 56))
    damaged = mend(damaged[:56]) + damaged[56:]
    assert "invalid trailing bytes" in complaint(damaged)


def test_short_last_subtable_is_seen():
    table = templates()["apic"][: MADT_ENTRY + 6]
    damaged = mend(damage(table, 4, *struct.pack("<I", len(table))))
    assert "terminates early" in complaint(damaged)


@pytest.mark.parametrize("length", [0, 10])
def test_wrong_length_of_a_subtable_is_seen(length):
    assert complaint(damage(templates()["apic"], MADT_ENTRY + 1, length))


def test_unknown_subtable_is_seen():
    assert "Unknown MADT subtable type" in complaint(damage(templates()["apic"], MADT_ENTRY, 0x7E))


def test_illegal_name_is_seen():
    table = definition_block("Name (ABCD, 1)")
    damaged = damage(table, table.index(b"ABCD"), ord("!"))
    assert "Invalid character(s) in name" in complaint(damaged)


SCOPED = "Scope (\\_SB) { Name (AAAA, 1) } Name (BBBB, 2)"


@pytest.mark.parametrize("step", [1, -1])
def test_wrong_package_length_is_seen(step):
    table = definition_block(SCOPED)
    length = table.index(b"\x10", 36) + 1
    with pytest.raises(AcpicaError):
        assert_roundtrip(damage(table, length, table[length] + step))


def test_missing_end_tag_shows_in_the_count_alone():
    table = definition_block(BRIDGE)
    damaged = damage(table, table.rindex(b"\x79"), 0x22)
    with pytest.raises(AssertionError):
        assert_roundtrip(damaged, templates=1)


def test_one_bad_table_of_many_is_named():
    tables = [templates()["mcfg"], damage(templates()["hpet"], 9, 1, mended=False)]
    with pytest.raises(AcpicaError, match="HPET"):
        roundtrip_all(tables)


@pytest.mark.parametrize("offset", [12, 20, 28, 35])
def test_wrong_rsdp_is_seen(offset):
    rsdp = templates()["rsdp"]
    with pytest.raises(AcpicaError):
        assert_roundtrip(damage(rsdp, offset, rsdp[offset] ^ 1, mended=False))


# --- acpiexec -------------------------------------------------------------------------------

VALUES = [
    ("0x123456789", 0x1_2345_6789),
    ("Ones", (1 << 64) - 1),
    ('"plain"', "plain"),
    ('"q\\" b\\\\ n\\n t\\t"', 'q" b\\ n\n t\t'),
    ('"\\x01\\x41"', "\x01A"),
    ('""', ""),
    ("Buffer () {}", b""),
    ("Buffer (3) {1, 2, 3}", b"\1\2\3"),
    ("Buffer (40) {0x3A, 0x2F, 0x2F}", b"://" + bytes(37)),
    ("Package () {}", []),
    ('Package () {1, "a", Buffer () {9, 8}, Package () {2}}', [1, "a", b"\t\x08", [2]]),
    ("Package (3) {1}", [1, None, None]),
    ("Package () {Buffer (17) {1}, 5}", [b"\1" + bytes(16), 5]),
    (f"Package () {{{', '.join(map(str, range(40)))}}}", list(range(40))),
]


@pytest.mark.parametrize(("text", "value"), VALUES, ids=[text[:20] for text, _ in VALUES])
def test_values_are_read_back(text, value):
    assert evaluate(definition_block(f"Method (MAIN) {{ Return ({text}) }}"), r"\MAIN") == value


def test_values_of_names_are_read_back():
    assert evaluate(definition_block('Name (ABCD, "x")'), r"\ABCD") == "x"


def test_references_are_told_from_data():
    (found,) = evaluate(definition_block("Name (ABCD, Package () {\\_SB})"), r"\ABCD")
    assert isinstance(found, Reference)
    assert "_SB_ Device" in found.text


def test_arguments_reach_the_method():
    table = definition_block(
        "Method (MAIN, 2) { Local0 = Package (2) {} Local0[0] = Arg1 Local0[1] = Arg0 "
        "Return (Local0) }"
    )
    for arguments in [(0x12, 0xABCDEF0123), ("a b", 1), (b"\1\2", "x")]:
        assert evaluate(table, r"\MAIN", *arguments) == list(reversed(arguments))


def test_method_without_a_result_gives_none():
    assert evaluate(definition_block("Method (MAIN) { Local0 = 1 }"), r"\MAIN") is None


def test_values_of_predefined_names_are_not_repaired():
    rows = "Name (_PSS, Package () {Package () {1, 0, 0, 0, 0, 0}, Package () {2, 0, 0, 0, 0, 0}})"
    body = f"Scope (\\_SB) {{ Device (DEV0) {{ Name (_ADR, 0) {rows} }} }}"
    found = evaluate(definition_block(body), r"\_SB.DEV0._PSS")
    assert [row[0] for row in found] == [1, 2]


def test_revision_1_means_32_bits():
    table = definition_block("Method (MAIN) { Return (Ones + 0) }", revision=1)
    assert evaluate(table, r"\MAIN") == 0xFFFFFFFF


def test_several_tables_are_loaded():
    other = definition_block(
        "External (\\UNIT, IntObj) Method (\\MAIN) { Return (\\UNIT + 1) }", signature="SSDT"
    )
    assert evaluate([definition_block("Name (UNIT, 1)"), other], r"\MAIN") == 2
    assert_roundtrip(other, definition_block("Name (UNIT, 1)"))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("Return (1 / Arg0)", "AE_AML_DIVIDE_BY_ZERO"),
        ("While (One) {} Return (1)", "AE_AML_LOOP_TIMEOUT"),
        ("Local0 = Package (1) {} Return (Local0[5])", "AE_AML_PACKAGE_LIMIT"),
    ],
)
def test_failing_method_raises_the_code(body, code, monkeypatch):
    monkeypatch.setattr("acpi.acpica.LOOP_LIMIT_S", 1)
    with pytest.raises(AcpicaError, match=code):
        evaluate(definition_block(f"Method (MAIN, 1) {{ {body} }}"), r"\MAIN", 0)


def test_missing_object_raises():
    with pytest.raises(AcpicaError, match="AE_NOT_FOUND"):
        evaluate(definition_block(""), r"\NONE")


def test_table_that_does_not_load_raises():
    damaged = damage(definition_block("Name (ABCD, 1)"), 9, 0, mended=False)
    with pytest.raises(AcpicaError, match="Incorrect checksum"):
        acpiexec([], damaged)


def test_missing_end_tag_is_seen_by_resources():
    table = definition_block(BRIDGE)
    damaged = damage(table, table.rindex(b"\x79"), 0x22)
    acpiexec([r"resources \_SB.PCI0"], table, tolerate=[NO_SRS])
    with pytest.raises(AcpicaError, match="AE_AML_NO_RESOURCE_END_TAG"):
        acpiexec([r"resources \_SB.PCI0"], damaged, tolerate=[NO_SRS])


def test_notifications_are_seen():
    body = """
        Device (DEV0) {Name (_ADR, Zero)}
        OperationRegion (REG0, SystemMemory, 0x1000, 4)
        Field (REG0, DWordAcc, NoLock, Preserve) {SEL0, 32}
        Method (MAIN, 1) {If (SEL0) {Notify (DEV0, 0x81)} Notify (DEV0, Arg0)}
    """
    table = definition_block(body)
    assert notifications(table, r"\MAIN", 0x90) == [("DEV0", 0x90)]
    assert notifications(table, r"\MAIN", 3, fill=1) == [("DEV0", 3), ("DEV0", 0x81)]


def test_predefined_name_of_a_wrong_type_is_seen():
    body = 'Device (DEV0) { Name (_HID, "VMMK0001") Name (_STA, "on") }'
    with pytest.raises(AcpicaError, match="_STA"):
        acpiexec(["test predefined"], definition_block(body))


def test_many_methods_in_one_run():
    count = 1100
    table = definition_block(
        "\n".join(f"Method (M{number:03X}) {{ Return ({number}) }}" for number in range(count))
    )
    paths = [f"\\M{number:03X}" for number in range(count)]
    assert evaluate_all(table, paths) == list(range(count))


def test_one_failing_method_of_many_is_named():
    table = definition_block("Method (GOOD) { Return (1) } Method (BADD) { Return (1 / Zero) }")
    with pytest.raises(AcpicaError, match=r"execute \\BADD"):
        evaluate_all(table, [r"\GOOD", r"\BADD"])
