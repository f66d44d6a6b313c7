# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The console's serial port."""

import pytest

from acpi.acpica import assert_roundtrip
from acpi.records import check_limits, check_truncation, with_length
from vmmkit.acpi.tables.gas import Gas
from vmmkit.acpi.tables.spcr import BaudRate, InterruptType, SerialSubtype, Spcr, TerminalType
from vmmkit.errors import TableParseError, TableValueError

COM1 = Gas.io(0x3F8)
OLD = Spcr(
    COM1,
    interrupt_type=InterruptType.PC_AT_8259 | InterruptType.IO_APIC,
    irq=4,
    global_system_interrupt=4,
    configured_baud_rate=BaudRate.B115200,
)
OLD_BODY = (
    "00 000000 01080001f803000000000000 03 04 04000000 07 00 01 00 02 00"
    "ffff ffff 00 00 00 00000000 00 00000000"
)
NEW = Spcr(
    COM1,
    revision=4,
    interface_type=SerialSubtype.GAS_16550,
    uart_clock_frequency=1_843_200,
    precise_baud_rate=1_000_000,
    namespace_string="\\_SB.COM1",
)


def test_bytes():
    assert OLD.to_bytes()[36:] == bytes.fromhex(OLD_BODY)
    assert len(OLD.to_bytes()) == 80
    assert NEW.to_bytes()[76:] == bytes.fromhex("00201c00 40420f00 0a00 5800") + b"\\_SB.COM1\0"


@pytest.mark.parametrize("table", [OLD, NEW, Spcr(COM1, revision=4), Spcr(COM1, revision=1)])
def test_reads_back(table):
    assert Spcr.from_bytes(table.to_bytes()) == table
    check_truncation(table)


def test_iasl_makes_the_same():
    shown = assert_roundtrip(OLD.to_bytes())
    assert shown.values("Baud Rate") == [7]
    assert_roundtrip(Spcr(COM1, revision=1).to_bytes())


def test_numbers_read_as_names():
    table = Spcr.from_bytes(OLD.to_bytes())
    assert table.interface_type is SerialSubtype.FULL_16550
    assert table.terminal_type is TerminalType.VT_UTF8
    assert table.configured_baud_rate is BaudRate.B115200


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"precise_baud_rate": 1}, "no precise_baud_rate"),
        ({"namespace_string": "COM1", "revision": 3}, "namespace_string"),
        ({"namespace_string": "\xe9", "revision": 4}, "namespace_string"),
        ({"namespace_string": "A\0B", "revision": 4}, "namespace_string"),
        ({"namespace_string": "A" * 0xFFFF, "revision": 4}, "namespace_string"),
        ({"namespace_string": b"COM1", "revision": 4}, "namespace_string"),
    ],
)
def test_names_that_cannot_be(fields, words):
    with pytest.raises(TableValueError, match=words):
        Spcr(COM1, **fields)


def test_longest_name():
    table = Spcr(COM1, revision=4, namespace_string="A" * 0xFFFE)
    assert Spcr.from_bytes(table.to_bytes()) == table


def test_limits():
    check_limits(Spcr, base_address=COM1, revision=4)


@pytest.mark.parametrize("size", range(36, 98))
def test_cut_with_a_right_header(size):
    data = with_length(NEW.to_bytes(), size)
    with pytest.raises(TableParseError) as caught:
        Spcr.from_bytes(data)
    assert (caught.value.table, caught.value.offset is None) == ("SPCR", False)


def test_trailing_bytes_are_kept():
    for table in (OLD, NEW):
        data = with_length(table.to_bytes() + b"xyz", len(table.to_bytes()) + 3)
        assert Spcr.from_bytes(data).trailing == b"xyz"
