# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Where the search for tables begins."""

import pytest

from acpi.acpica import assert_roundtrip
from acpi.records import check_limits
from vmmkit.acpi.tables.root import Rsdt, Xsdt
from vmmkit.acpi.tables.rsdp import Rsdp
from vmmkit.errors import TableParseError, TableValueError

# Sums computed by hand: the first 20 bytes, then all 36.
NEW = Rsdp(0x7FF0_1000, rsdt_address=0x7FF0_0000, oem_id="BOCHS")
NEW_BYTES = (
    "52 53 44 20 50 54 52 20 e1 42 4f 43 48 53 20 02 00 00 f0 7f"
    "24 00 00 00 00 10 f0 7f 00 00 00 00 5d 00 00 00"
)
OLD = Rsdp(revision=0, rsdt_address=0x7FF0_0000, oem_id="BOCHS")
OLD_BYTES = "52 53 44 20 50 54 52 20 e3 42 4f 43 48 53 20 00 00 00 f0 7f"


@pytest.mark.parametrize(("rsdp", "expected"), [(NEW, NEW_BYTES), (OLD, OLD_BYTES)])
def test_bytes(rsdp, expected):
    data = bytes.fromhex(expected)
    assert sum(data) % 256 == sum(data[:20]) % 256 == 0
    assert rsdp.to_bytes() == data
    assert Rsdp.from_bytes(data) == rsdp
    assert [(place.offset, place.start, place.length) for place in rsdp.checksums()] == [
        (8, 0, 20),
        (32, 0, 36),
    ][: 1 if len(data) == 20 else 2]


@pytest.mark.parametrize("rsdp", [NEW, OLD])
def test_iasl_makes_the_same(rsdp):
    assert_roundtrip(rsdp.to_bytes())


def test_points_at_tables():
    xsdt, rsdt = Xsdt(), Rsdt()
    rsdp = Rsdp(xsdt, rsdt_address=rsdt)
    assert [tuple(place) for place in rsdp.relocations()] == [
        (16, 4, rsdt, True, 0),
        (24, 8, xsdt, False, 0),
    ]
    assert rsdp.to_bytes()[16:20] + rsdp.to_bytes()[24:32] == bytes(12)
    assert (rsdp.alignment, rsdp.name) == (16, "RSDP")


def test_only_pointer_is_not_optional():
    for rsdp in (Rsdp(rsdt_address=Rsdt()), Rsdp(rsdt_address=Rsdt(), revision=0)):
        (place,) = rsdp.relocations()
        assert (place.offset, place.size, place.optional) == (16, 4, False)


def test_limits():
    check_limits(Rsdp)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"oem_id": "SEVENTH"}, "oem_id"),
        ({"oem_id": "\u20ac"}, "oem_id"),
        ({"oem_id": b"BOCHS "}, "oem_id"),
        ({"revision": 256}, "revision"),
        ({"xsdt_address": 1, "revision": 0}, "xsdt_address"),
        ({"xsdt_address": Xsdt(), "revision": 1}, "xsdt_address"),
        ({"reserved": b"\0\0\1", "revision": 1}, "reserved"),
        ({"reserved": b"\0"}, "reserved"),
    ],
)
def test_values_that_do_not_fit(fields, name):
    with pytest.raises(TableValueError, match=name):
        Rsdp(**fields)


@pytest.mark.parametrize("rsdp", [NEW, OLD])
def test_every_other_length_is_refused(rsdp):
    data = rsdp.to_bytes()
    for size in range(40):
        if size != len(data):
            with pytest.raises(TableParseError) as caught:
                Rsdp.from_bytes((data + bytes(40))[:size])
            assert caught.value.table == "RSDP"
            assert caught.value.offset is not None


@pytest.mark.parametrize("rsdp", [NEW, OLD])
def test_every_changed_byte_is_found(rsdp):
    for offset in range(len(rsdp.to_bytes())):
        data = bytearray(rsdp.to_bytes())
        data[offset] ^= 0x40
        with pytest.raises(TableParseError):
            Rsdp.from_bytes(bytes(data))


def test_wrong_sums_are_named():
    first, second = bytearray(NEW.to_bytes()), bytearray(NEW.to_bytes())
    first[12] += 1
    second[35] += 1
    for data, offset in ((first, 8), (second, 32)):
        with pytest.raises(TableParseError, match=f"checksum .* at offset {offset}") as caught:
            Rsdp.from_bytes(bytes(data))
        assert caught.value.offset == offset
