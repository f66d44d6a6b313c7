# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Where PCI Express configuration space is."""

import pytest

from acpi.acpica import assert_roundtrip
from acpi.records import check_limits, check_truncation, with_length
from vmmkit.acpi.tables.mcfg import Mcfg, McfgAllocation
from vmmkit.errors import TableParseError, TableValueError

MIB = 1 << 20
MCFG = Mcfg(
    [
        McfgAllocation(0xB000_0000),
        McfgAllocation(0x10_0000_0000, 1, 0x20, 0x3F),
        McfgAllocation(0x20_0000_0000, 0xFFFF, 5, 5),
    ]
)


def test_bytes():
    assert MCFG.to_bytes()[:8] == b"MCFG" + (44 + 48).to_bytes(4, "little")
    assert MCFG.to_bytes()[36:] == bytes.fromhex(
        "0000000000000000"
        "000000b000000000 0000 00 ff 00000000"
        "0000000010000000 0100 20 3f 00000000"
        "0000000020000000 ffff 05 05 00000000"
    )
    assert Mcfg.from_bytes(MCFG.to_bytes()) == MCFG


def test_iasl_makes_the_same():
    shown = assert_roundtrip(MCFG.to_bytes())
    assert shown.values("Segment Group Number") == [0, 1, 0xFFFF]


@pytest.mark.parametrize(
    ("allocation", "first", "size"),
    [
        (McfgAllocation(0xB000_0000), 0xB000_0000, 256 * MIB),
        # The address is that of bus 0, which is not there.
        (McfgAllocation(0xB000_0000, 0, 0x20, 0x3F), 0xB200_0000, 32 * MIB),
        (McfgAllocation(0, 0, 255, 255), 0xFF0_0000, MIB),
        (McfgAllocation((1 << 64) - 256 * MIB), (1 << 64) - 256 * MIB, 256 * MIB),
    ],
)
def test_range(allocation, first, size):
    assert (allocation.first, allocation.size) == (first, size)
    assert allocation.last == first + size - 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0xB000_0000, 0, 1, 0), "end_bus 0 is before start_bus 1"),
        (((1 << 64) - 255 * MIB,), "beyond 64 bits"),
        ((1 << 64,), "McfgAllocation.base_address"),
        ((0, 1 << 16), "McfgAllocation.pci_segment_group"),
        ((0, 0, 256, 256), "McfgAllocation.start_bus"),
        ((0, 0, 0, 256), "McfgAllocation.end_bus"),
    ],
)
def test_impossible_ranges_are_refused(arguments, words):
    with pytest.raises(TableValueError, match=words):
        McfgAllocation(*arguments)


def test_backward_range_is_not_read():
    data = MCFG.to_bytes()[:44] + bytes.fromhex("000000b000000000 0000 01 00 00000000")
    with pytest.raises(TableParseError, match="end_bus 0"):
        Mcfg.from_bytes(with_length(data, len(data)))


def test_rest_of_an_allocation_is_kept():
    data = with_length(MCFG.to_bytes(), 44 + 16 + 7)
    table = Mcfg.from_bytes(data)
    assert (len(table.allocations), len(table.trailing)) == (1, 7)
    assert table.to_bytes() == data


def test_limits_and_truncation():
    check_limits(Mcfg)
    check_truncation(MCFG)
