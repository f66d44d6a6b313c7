# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""IVRS: AMD's IOMMUs and the devices behind them."""

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acpi import acpica
from acpi.table_cases import (
    body,
    check_damage,
    check_limits,
    check_reading,
    contents,
    hexed,
    table_bytes,
)
from vmmkit.acpi.tables.ivhd import (
    AcpiDeviceEntry,
    AliasDeviceEntry,
    DataSetting,
    DeviceEntry,
    DeviceEntryType,
    ExtendedDataSetting,
    ExtendedDeviceEntry,
    RawDeviceEntry,
    SpecialDeviceEntry,
    UidFormat,
    Variety,
)
from vmmkit.acpi.tables.ivrs import (
    Ivhd10,
    Ivhd11,
    Ivhd40,
    IvhdFlags,
    Ivinfo,
    Ivmd,
    IvmdFlags,
    IvmdType,
    Ivrs,
    RawIvrsBlock,
    ivinfo,
)
from vmmkit.errors import TableParseError, TableValueError

PASS = DataSetting.INIT_PASS | DataSetting.LINT1_PASS
DEVICES = [
    (DeviceEntry(DeviceEntryType.SELECT, 0x0011, PASS), "02 1100 81"),
    (
        AliasDeviceEntry(DeviceEntryType.ALIAS_SELECT, 0x0100, source_device_id=0x00A5),
        "42 0001 00 00 A500 00",
    ),
    (
        ExtendedDeviceEntry(
            DeviceEntryType.EXTENDED_START_OF_RANGE,
            0x0200,
            extended_data_setting=ExtendedDataSetting.ATS_DISABLED,
        ),
        "47 0002 00 00000080",
    ),
    (SpecialDeviceEntry(4, 0x00A0, Variety.IOAPIC, data_setting=PASS), "48 0000 81 04 A000 01"),
    (
        AcpiDeviceEntry(0x00A8, "AMDI0010", unique_id=b"U1", unique_id_format=UidFormat.STRING),
        "F0 A800 00 414D444930303130 0000000000000000 02 02 5531",
    ),
    (RawDeviceEntry(bytes([200, *range(31)])), "C8" + bytes(range(31)).hex()),
]
COMMON = {"iommu_device_id": 0x0002, "capability_offset": 0x40, "iommu_base_address": 0xFEB8_0000}
FIXED = "0200 4000 0000B8FE00000000 0000"
BLOCKS = [
    (
        Ivhd10([DEVICES[0][0]], **COMMON, iommu_info=0x0200, flags=IvhdFlags.COHERENT),
        f"10 20 1C00 {FIXED} 0002 00000000 02 1100 81",
    ),
    (
        Ivhd11(
            [DEVICES[3][0]],
            **COMMON,
            iommu_attributes=0x0080_0000,
            efr_register_image=0x29D3,
            efr_register_image_2=7,
        ),
        f"11 00 3000 {FIXED} 0000 00008000 D329000000000000 0700000000000000 48 0000 81 04 A000 01",
    ),
    (
        Ivhd40([DEVICES[4][0]], **COMMON),
        f"""40 00 4000 {FIXED} 0000 00000000 0000000000000000 0000000000000000
        {DEVICES[4][1]}""",
    ),
    (
        Ivmd(IvmdType.RANGE, 0x10_0000, 0x2000, device_id=8, auxiliary_data=16),
        "22 07 2000 0800 1000 0000000000000000 0000100000000000 0020000000000000",
    ),
    (RawIvrsBlock(0x77, flags=3, trailing=b"\1\2"), "77 03 0600 0102"),
]
SAMPLE = Ivrs(
    [
        *(block for block, _text in BLOCKS),
        Ivhd40([entry for entry, _text in DEVICES], **COMMON),
    ],
    iv_info=ivinfo(pa_size=48, va_size=64),
)


@pytest.mark.parametrize(("entry", "text"), DEVICES, ids=lambda case: type(case).__name__)
def test_bytes_of_device_entries(entry, text):
    assert entry.to_bytes() == hexed(text)
    table = Ivrs([Ivhd40([entry], **COMMON)])
    assert Ivrs.from_bytes(table.to_bytes()) == table


@pytest.mark.parametrize(("block", "text"), BLOCKS, ids=lambda case: type(case).__name__)
def test_bytes_of_blocks(block, text):
    assert block.to_bytes() == hexed(text)
    assert body(Ivrs([block])) == bytes(12) + hexed(text)
    assert Ivrs.from_bytes(Ivrs([block]).to_bytes()) == Ivrs([block])
    assert type(block).parse(block.to_bytes()) == block


def test_table_reads_back():
    assert body(SAMPLE)[:12] == hexed("01302000 0000000000000000")
    assert SAMPLE.revision == 2
    assert Ivrs.from_bytes(SAMPLE.to_bytes()) == SAMPLE


@pytest.mark.parametrize(("name", "limit"), [("gva_size", 7), ("pa_size", 127), ("va_size", 127)])
def test_limits_of_ivinfo(name, limit):
    sizes = {"pa_size": 0, "va_size": 0}
    value = ivinfo(**{**sizes, name: limit}, flags=Ivinfo(0))
    assert value.bit_count() == limit.bit_length()
    for wrong in (limit + 1, -1):
        with pytest.raises(TableValueError, match=name):
            ivinfo(**{**sizes, name: wrong})


@pytest.mark.parametrize("record", [block for block, _text in BLOCKS])
def test_limits_of_block_fields(record):
    check_limits(record, apart={"type"})


@pytest.mark.parametrize("record", [entry for entry, _text in DEVICES[:-1]])
def test_limits_of_device_entry_fields(record):
    check_limits(record, apart={"type"})


@pytest.mark.parametrize(
    "make",
    [
        lambda: DeviceEntry(DeviceEntryType.ALIAS_SELECT),
        lambda: AliasDeviceEntry(DeviceEntryType.SELECT, source_device_id=0),
        lambda: ExtendedDeviceEntry(DeviceEntryType.SPECIAL_DEVICE),
        lambda: SpecialDeviceEntry(1, 1, 1, type=71),
        lambda: AcpiDeviceEntry(1, "A", type=241),
        lambda: Ivmd(0x23, 0, 0),
        lambda: Ivmd(None, 0, 0),
        lambda: RawIvrsBlock(256),
    ],
)
def test_type_of_another_is_refused(make):
    with pytest.raises(TableValueError, match="type"):
        make()


def test_limits_of_lengths():
    assert AcpiDeviceEntry(1, "A", unique_id=bytes(255)).to_bytes()[21] == 255
    with pytest.raises(TableValueError, match="unique_id_length"):
        AcpiDeviceEntry(1, "A", unique_id=bytes(256))
    with pytest.raises(TableValueError, match="65560 bytes"):
        Ivhd10([DeviceEntry(0)] * 16384, **COMMON)


READ_BAD = {"length 0": "10 00 0000", "length 3": "10 00 0300", "too long": "10 00 0500"}


@pytest.mark.parametrize("text", READ_BAD.values(), ids=READ_BAD)
def test_bad_block_is_refused(text):
    with pytest.raises(TableParseError) as caught:
        Ivrs.from_bytes(table_bytes("IVRS", bytes(12) + hexed(text)))
    assert (caught.value.table, caught.value.offset) == ("IVRS", 48)


@pytest.mark.parametrize("kind", [Ivhd10, Ivhd11, Ivhd40, Ivmd, RawIvrsBlock])
@pytest.mark.parametrize("data", [b"", b"\x10\0\5\0", b"\x12" + bytes(47)])
def test_block_must_be_whole(kind, data):
    with pytest.raises(TableParseError):
        kind.parse(data)


@pytest.mark.parametrize("kind", [Ivhd10, Ivhd11, Ivhd40, Ivmd])
def test_block_must_be_of_its_type(kind):
    with pytest.raises((TableParseError, TableValueError)):
        kind.parse(b"\x12\0\x30" + bytes(45))


def test_short_block_of_a_known_type_is_kept():
    content = bytes(12) + hexed("10 00 0600 0102")
    table = Ivrs.from_bytes(table_bytes("IVRS", content, 2))
    assert table.blocks == (RawIvrsBlock(0x10, trailing=b"\1\2"),)


@pytest.mark.parametrize(
    "text",
    ["02 1100", "42 0000 00 00", "F0 A800 00", "F0" + "00" * 20 + "05 01", "FA 010203", "C8 00"],
)
def test_device_entry_without_end_is_kept_as_trailing(text):
    block = attrs.evolve(BLOCKS[0][0], trailing=hexed(text))
    table = Ivrs.from_bytes(Ivrs([block]).to_bytes())
    assert table.blocks == (block,)


@pytest.mark.parametrize(
    ("number", "size"), [(5, 4), (63, 4), (64, 8), (127, 8), (128, 16), (239, 32)]
)
def test_type_says_the_length(number, size):
    entry = RawDeviceEntry(bytes([number]) + b"\x5a" * (size - 1))
    table = Ivrs([Ivhd10([entry, DeviceEntry(1)], **COMMON)])
    assert Ivrs.from_bytes(table.to_bytes()) == table


def test_acpi_device_must_be_whole():
    data = DEVICES[4][0].to_bytes()
    for wrong in (data[:-1], data + b"\0", b""):
        with pytest.raises(TableParseError):
            AcpiDeviceEntry.parse(wrong)


def test_iasl_reads_and_recompiles_it():
    # This version knows blocks 10h, 20h and 21h, and entries of 4 and 8 bytes.
    entries = [entry for entry, _text in DEVICES[:4]]
    blocks = [
        Ivhd10([DeviceEntry(3, 8), DeviceEntry(4, 16), *entries], **COMMON),
        Ivmd(IvmdType.ALL, 0, 0x1000, flags=IvmdFlags.EXCLUSION_RANGE),
    ]
    acpica.assert_roundtrip(Ivrs(blocks, revision=1).to_bytes())


def test_damage_is_read_or_refused():
    check_damage(Ivrs, SAMPLE.to_bytes())


@settings(max_examples=50)
@given(contents(SAMPLE.to_bytes()))
def test_any_content_is_read_or_refused(content):
    check_reading(Ivrs, table_bytes("IVRS", content))


@settings(max_examples=30)
@given(st.lists(st.sampled_from([entry for entry, _text in DEVICES]), max_size=12))
def test_any_device_entries_read_back(entries):
    table = Ivrs([Ivhd40(entries, **COMMON)])
    assert Ivrs.from_bytes(table.to_bytes()) == table
