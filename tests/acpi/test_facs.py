# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Memory that firmware and system share."""

import pytest

from acpi.acpica import assert_roundtrip
from acpi.records import check_limits
from vmmkit.acpi.tables.facs import Facs, FacsFlags, FacsGlobalLock, FacsOspmFlags
from vmmkit.errors import TableParseError

FACS = Facs(
    0x1234_5678,
    firmware_waking_vector=0x9A00,
    global_lock=FacsGlobalLock.OWNED,
    flags=FacsFlags.WAKE_64BIT_SUPPORTED_F,
    x_firmware_waking_vector=0x1_0000_0000,
    ospm_flags=FacsOspmFlags.WAKE_64BIT_F,
)
BYTES = (
    "46414353 40000000 78563412 009a0000 02000000 02000000 0000000001000000 02 000000 01000000"
    + "00" * 24
)


def test_bytes():
    assert FACS.to_bytes() == bytes.fromhex(BYTES)
    assert Facs.from_bytes(bytes.fromhex(BYTES)) == FACS


def test_is_placed_on_64_bytes_and_has_no_checksum():
    assert (FACS.alignment, FACS.name, FACS.signature) == (64, "FACS", "FACS")
    assert FACS.checksums() == FACS.relocations() == ()


@pytest.mark.parametrize("facs", [FACS, Facs(), Facs(version=1)])
def test_iasl_makes_the_same(facs):
    assert_roundtrip(facs.to_bytes())


def test_limits():
    check_limits(Facs)


def test_reserved_bytes_are_kept():
    data = bytes.fromhex(BYTES)[:33] + bytes(range(31))
    facs = Facs.from_bytes(data)
    assert facs.to_bytes() == data
    assert facs.reserved_33 == b"\0\1\2"


@pytest.mark.parametrize("size", [*range(64), 65, 128])
def test_other_lengths_are_refused(size):
    with pytest.raises(TableParseError) as caught:
        Facs.from_bytes((FACS.to_bytes() + bytes(64))[:size])
    assert (caught.value.table, caught.value.offset is None) == ("FACS", False)


@pytest.mark.parametrize("length", [0, 60, 63, 65])
def test_wrong_length_field_is_refused(length):
    data = FACS.to_bytes()
    with pytest.raises(TableParseError, match="64 bytes"):
        Facs.from_bytes(data[:4] + length.to_bytes(4, "little") + data[8:])
