# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The ports for debuggers."""

import pytest

from acpi.acpica import assert_roundtrip
from acpi.records import check_truncation, with_length
from vmmkit.acpi.tables.dbg2 import Dbg2, DebugDevice, PortType, SerialSubtype, UsbSubtype
from vmmkit.acpi.tables.gas import Gas
from vmmkit.errors import TableParseError, TableValueError

COM1 = DebugDevice(PortType.SERIAL, SerialSubtype.FULL_16550, [(Gas.io(0x3F8), 8)])
COM1_BYTES = (
    "00 2800 01 0200 2600 0000 0000 0080 0000 0000 1600 220001080001f803000000000000 08000000 2e00"
)
XHCI = DebugDevice(
    PortType.USB,
    UsbSubtype.XHCI,
    [(Gas.mem(0xFE00_0000), 0x10000), (Gas.mem(0xFE10_0000), 0x1000)],
    namespace_string="\\_SB.PCI0.XHC0",
    oem_data=b"\1\2\3",
)
BARE = DebugDevice(PortType.NET, 0x8086)


def test_bytes():
    assert COM1.to_bytes() == bytes.fromhex(COM1_BYTES)
    table = Dbg2([COM1])
    assert table.to_bytes()[36:44] == bytes.fromhex("2c000000 01000000")
    assert table.to_bytes()[44:] == COM1.to_bytes()


@pytest.mark.parametrize("devices", [[], [COM1], [BARE], [XHCI, COM1, BARE, XHCI]])
def test_reads_back(devices):
    table = Dbg2(devices)
    assert Dbg2.from_bytes(table.to_bytes()) == table
    check_truncation(table)


def test_iasl_makes_the_same():
    shown = assert_roundtrip(Dbg2([COM1, XHCI]).to_bytes())
    assert shown.values("Namepath") == [".", "\\_SB.PCI0.XHC0"]
    assert shown.values("Port Type") == [0x8000, 0x8002]


def test_trailing_bytes_are_kept():
    table = Dbg2([COM1], trailing=b"rest")
    assert Dbg2.from_bytes(table.to_bytes()) == table


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: DebugDevice(1 << 16, 0), "port_type"),
        (lambda: DebugDevice(0x8000, -1), "port_subtype"),
        (lambda: DebugDevice(0x8000, 0, revision=256), "revision"),
        (lambda: DebugDevice(0x8000, 0, [(Gas(), 1 << 32)]), r"registers\[0\]"),
        (lambda: DebugDevice(0x8000, 0, [(0x3F8, 8)]), "registers"),
        (lambda: DebugDevice(0x8000, 0, [Gas()]), "registers"),
        (lambda: DebugDevice(0x8000, 0, [(Gas(), 1)] * 256), "number_of_generic_address_registers"),
        (lambda: DebugDevice(0x8000, 0, oem_data=bytes(0x1_0000)), "length"),
        (lambda: DebugDevice(0x8000, 0, namespace_string="\u20ac"), "namespace_string"),
    ],
)
def test_values_that_do_not_fit(make, words):
    with pytest.raises(TableValueError, match=words):
        make()


@pytest.mark.parametrize(("offset", "value"), [(45, 0), (45, 21), (45, 0xFF), (36, 0xFFFF_FF00)])
def test_impossible_places_are_refused(offset, value):
    data = bytearray(Dbg2([COM1]).to_bytes())
    data[offset : offset + 4] = value.to_bytes(4, "little")
    with pytest.raises(TableParseError) as caught:
        Dbg2.from_bytes(with_length(data, len(data)))
    assert (caught.value.table, caught.value.offset is None) == ("DBG2", False)


def test_huge_count_ends_at_once():
    data = bytearray(Dbg2([COM1]).to_bytes())
    data[40:44] = b"\xff" * 4
    with pytest.raises(TableParseError, match="device at offset 84"):
        Dbg2.from_bytes(with_length(data, len(data)))


def test_other_order_is_refused_and_not_rearranged():
    # Name before registers: allowed, but not how it is written here.
    data = bytearray(Dbg2([COM1]).to_bytes())
    data[44 + 6 : 44 + 8] = (22).to_bytes(2, "little")
    with pytest.raises(TableParseError, match="does not read back"):
        Dbg2.from_bytes(with_length(data, len(data)))
