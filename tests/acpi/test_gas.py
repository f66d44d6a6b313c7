# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Where a register is."""

import pytest

from acpi.records import check_limits
from vmmkit.acpi.tables.gas import AccessSize, AddressSpace, Gas
from vmmkit.errors import TableParseError, TableValueError


@pytest.mark.parametrize(
    ("gas", "expected"),
    [
        (Gas(), "00 00 00 00 0000000000000000"),
        (Gas.io(0x608, 32), "01 20 00 03 0806000000000000"),
        (Gas.io(0xCF9), "01 08 00 01 f90c000000000000"),
        (Gas.io(0x600, 32, AccessSize.WORD), "01 20 00 02 0006000000000000"),
        (Gas.io(0xAFE0, 128), "01 80 00 00 e0af000000000000"),
        (Gas.mem(0xFED0_0000, 64), "00 40 00 04 0000d0fe00000000"),
        (Gas.mem(0xFEA0_0200, 8), "00 08 00 01 0002a0fe00000000"),
        (Gas.pci(31, 7, 0x44, 16), "02 10 00 02 440007001f000000"),
        (Gas(AddressSpace.FUNCTIONAL_FIXED_HARDWARE, 1, 2, 3, 4), "7f 01 02 03 0400000000000000"),
    ],
)
def test_bytes(gas, expected):
    assert gas.to_bytes() == bytes.fromhex(expected)
    assert Gas.parse(gas.to_bytes()) == gas


def test_known_numbers_read_as_names_and_others_stay_numbers():
    gas = Gas.parse(bytes.fromhex("01 20 00 03 0806000000000000"))
    assert gas.address_space_id is AddressSpace.SYSTEM_IO
    assert gas.access_size is AccessSize.DWORD
    odd = Gas.parse(bytes.fromhex("c0 20 00 09 0806000000000000"))
    assert (odd.address_space_id, odd.access_size) == (0xC0, 9)


def test_presence_is_an_address():
    assert not Gas().present
    assert not Gas.mem(0).present
    assert Gas.io(0x80).present


def test_limits():
    check_limits(Gas)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Gas.io(0x1_0000),
        lambda: Gas.io(-1),
        lambda: Gas.io(0x80, 256),
        lambda: Gas.io(0x80, access=256),
        lambda: Gas.mem(1 << 64),
        lambda: Gas.pci(32, 0, 0),
        lambda: Gas.pci(0, 8, 0),
        lambda: Gas.pci(0, 0, 0x1000),
    ],
)
def test_no_such_register(make):
    with pytest.raises(TableValueError, match="Gas"):
        make()


@pytest.mark.parametrize("size", [0, 11, 13])
def test_other_sizes_are_refused(size):
    with pytest.raises(TableParseError, match="12 bytes"):
        Gas.parse(bytes(size))
