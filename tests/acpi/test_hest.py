# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""HEST: error sources, whose type says how long they are."""

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
from vmmkit.acpi.tables.error_source import (
    ErrorSourceFlags,
    HardwareErrorNotification,
    NotificationType,
    UnreadSources,
)
from vmmkit.acpi.tables.gas import Gas
from vmmkit.acpi.tables.hest import (
    GenericHardwareErrorSource,
    GenericHardwareErrorSourceV2,
    Hest,
    Ia32CorrectedMachineCheck,
    Ia32DeferredMachineCheck,
    Ia32MachineCheckException,
    Ia32NonMaskableInterrupt,
    MachineCheckBank,
    PciExpressBridgeAer,
    PciExpressDeviceAer,
    PciExpressRootPortAer,
)
from vmmkit.errors import TableParseError, TableValueError

SCI = HardwareErrorNotification(NotificationType.SCI)
POLLED = HardwareErrorNotification(NotificationType.POLLED, 9, poll_interval=5000)
BANK = MachineCheckBank(
    2,
    control_register_msr_address=0x408,
    control_init_data=0xFF,
    status_register_msr_address=0x409,
    address_register_msr_address=0x40A,
    misc_register_msr_address=0x40B,
)
SCI_TEXT = "03 1C 0000" + "00000000" * 6
POLLED_TEXT = "00 1C 0000 88130000 09000000" + "00000000" * 4
BANK_TEXT = "02 00 00 00 08040000 FF00000000000000 09040000 0A040000 0B040000"
ONCE = "01000000 01000000"  # records to pre-allocate, sections in each
AER = "00000000 0000 0000 0000 0000 00000000 00000000 00000000 00000000"
STATUS = Gas.mem(0x7F00_0000, 64)
STATUS_TEXT = "00 40 00 04 0000007F00000000"

SOURCES = [
    (
        Ia32MachineCheckException(
            0, [BANK], flags=ErrorSourceFlags.GHES_ASSIST, global_control_init_data=7
        ),
        f"""0000 0000 0000 04 01 {ONCE} 0000000000000000 0700000000000000 01 00000000000000
        {BANK_TEXT}""",
    ),
    (
        Ia32CorrectedMachineCheck(1, [BANK, BANK], notification=POLLED),
        f"0100 0100 0000 00 01 {ONCE} {POLLED_TEXT} 02 000000 {BANK_TEXT} {BANK_TEXT}",
    ),
    (Ia32NonMaskableInterrupt(2, max_raw_data_length=16), f"0200 0200 00000000 {ONCE} 10000000"),
    (
        PciExpressRootPortAer(3, flags=ErrorSourceFlags.GLOBAL, root_error_command=7),
        f"0600 0300 0000 02 01 {ONCE} {AER} 07000000",
    ),
    (
        PciExpressDeviceAer(
            4,
            bus=0x0105,
            device=2,
            function=3,
            device_control=4,
            uncorrectable_error_mask=5,
            uncorrectable_error_severity=6,
            correctable_error_mask=7,
            advanced_error_capabilities_and_control=8,
        ),
        f"""0700 0400 0000 00 01 {ONCE}
        05010000 0200 0300 0400 0000 05000000 06000000 07000000 08000000""",
    ),
    (
        PciExpressBridgeAer(5, secondary_uncorrectable_error_severity=9),
        f"0800 0500 0000 00 01 {ONCE} {AER} 00000000 09000000 00000000",
    ),
    (
        GenericHardwareErrorSource(6, STATUS, SCI, 0x1000),
        f"0900 0600 FFFF 00 01 {ONCE} 00000000 {STATUS_TEXT} {SCI_TEXT} 00100000",
    ),
    (
        GenericHardwareErrorSourceV2(7, STATUS, SCI, 0x1000, Gas.mem(0x7F00_0008, 64), 0xFE),
        f"""0A00 0700 FFFF 00 01 {ONCE} 00000000 {STATUS_TEXT} {SCI_TEXT} 00100000
        00 40 00 04 0800007F00000000 FE00000000000000 0100000000000000""",
    ),
    (
        Ia32DeferredMachineCheck(8, notification=SCI),
        f"0B00 0800 0000 00 01 {ONCE} {SCI_TEXT} 00 000000",
    ),
]
SAMPLE = Hest([source for source, _text in SOURCES])


@pytest.mark.parametrize(("source", "text"), SOURCES, ids=lambda case: type(case).__name__)
def test_bytes_are_those_of_the_specification(source, text):
    assert source.to_bytes() == hexed(text)
    assert body(Hest([source])) == hexed("01000000") + hexed(text)
    assert Hest.from_bytes(Hest([source]).to_bytes()) == Hest([source])
    assert type(source).parse(source.to_bytes()) == source


def test_all_sources_read_back_together():
    assert SAMPLE.error_source_count == 9
    assert Hest.from_bytes(SAMPLE.to_bytes()) == SAMPLE
    assert body(Hest()) == bytes(4)


RECORDS = [*(source for source, _text in SOURCES), SCI, BANK]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_limits_of_fields(record):
    check_limits(record, apart={"length"})


def test_notification_has_one_length():
    with pytest.raises(TableValueError, match=r"HardwareErrorNotification\.length"):
        HardwareErrorNotification(0, length=27)


def test_limit_of_banks():
    assert len(Ia32MachineCheckException(0, [BANK] * 255).to_bytes()) == 40 + 255 * 28
    with pytest.raises(TableValueError, match="number_of_hardware_banks"):
        Ia32MachineCheckException(0, [BANK] * 256)


def test_notification_must_be_one():
    with pytest.raises(TableValueError, match="notification"):
        GenericHardwareErrorSource(1, STATUS, b"", 1)


def test_sources_from_an_unknown_type_on_are_kept():
    known = SOURCES[2][0]
    content = hexed("03000000") + known.to_bytes() + hexed("0300 0000 AABBCC")
    table = Hest.from_bytes(table_bytes("HEST", content))
    assert table.sources == (known, UnreadSources(2, hexed("0300 0000 AABBCC")))
    assert table.to_bytes()[36:] == content


def test_what_follows_the_counted_sources_is_kept():
    content = hexed("01000000") + SOURCES[2][0].to_bytes() + b"more"
    assert Hest.from_bytes(table_bytes("HEST", content)).trailing == b"more"


READ_BAD = {
    "no count": "0100",
    "no source": "01000000",
    "half a type": "01000000 02",
    "cut off": "01000000 0200 0200 00000000 01000000",
    "banks cut off": "01000000 0100 0100" + "00" * 40 + "01 000000 02 00",
    "huge count": "FFFFFFFF 0200 0200 00000000 01000000 01000000 10000000",
}


@pytest.mark.parametrize("text", READ_BAD.values(), ids=READ_BAD)
def test_bad_bytes_are_refused(text):
    with pytest.raises(TableParseError) as caught:
        Hest.from_bytes(table_bytes("HEST", hexed(text)))
    assert caught.value.table == "HEST"
    assert caught.value.offset is not None


@pytest.mark.parametrize("source", [source for source, _text in SOURCES])
def test_source_must_be_whole_and_of_its_type(source):
    data = source.to_bytes()
    for wrong in (data[:-1], data + b"\0", b"\x0c\0" + data[2:], b""):
        with pytest.raises(TableParseError):
            type(source).parse(wrong)


def test_iasl_reads_and_recompiles_it():
    # This version drops the bit GLOBAL.
    sources = list(SAMPLE.sources)
    sources[3] = attrs.evolve(sources[3], flags=ErrorSourceFlags.FIRMWARE_FIRST)
    acpica.assert_roundtrip(Hest(sources).to_bytes())


def test_damage_is_read_or_refused():
    check_damage(Hest, SAMPLE.to_bytes())


@settings(max_examples=50)
@given(contents(SAMPLE.to_bytes()))
def test_any_content_is_read_or_refused(content):
    check_reading(Hest, table_bytes("HEST", content))


@settings(max_examples=30)
@given(st.lists(st.sampled_from([source for source, _text in SOURCES]), max_size=8))
def test_any_sources_read_back(sources):
    table = Hest(sources, revision=1)
    assert Hest.from_bytes(table.to_bytes()) == table
    in_order = Hest(sorted(sources, key=lambda source: source.TYPE))
    assert Hest.from_bytes(in_order.to_bytes()) == in_order


def test_sources_of_revision_2_are_sorted_by_type():
    sources = [Ia32NonMaskableInterrupt(0), Ia32MachineCheckException(1)]
    assert Hest(sources, revision=1).sources == tuple(sources)
    with pytest.raises(TableValueError, match=r"sources.*\[2, 0\].*revision 2"):
        Hest(sources)
    assert Hest(reversed(sources)).revision == 2
