# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The lists of tables."""

import pytest

from acpi.acpica import assert_roundtrip
from acpi.records import check_truncation, with_length
from vmmkit.acpi.relocation import Blob
from vmmkit.acpi.tables.mcfg import Mcfg
from vmmkit.acpi.tables.root import Rsdt, Xsdt
from vmmkit.errors import TableValueError

XSDT = Xsdt([0x1_2345_6789, 0x7FF0_0000], oem_id="A", oem_table_id="B", creator_id="C")
XSDT_BYTES = (
    "58534454 34000000 01 18 412020202020 4220202020202020 01000000 43202020 01000000"
    "8967452301000000 0000f07f00000000"
)


def test_bytes():
    data = bytes.fromhex(XSDT_BYTES)
    assert sum(data) % 256 == 0
    assert XSDT.to_bytes() == data
    assert Xsdt.from_bytes(data) == XSDT


@pytest.mark.parametrize("table", [XSDT, Rsdt([1, 2, 0xFFFF_FFFF]), Rsdt(), Xsdt()])
def test_iasl_makes_the_same(table):
    if table.entries:
        assert_roundtrip(table.to_bytes())
    assert type(table).from_bytes(table.to_bytes()) == table


@pytest.mark.parametrize(("kind", "size"), [(Rsdt, 4), (Xsdt, 8)])
def test_points_at_tables(kind, size):
    mcfg, blob = Mcfg(), Blob(b"x")
    root = kind([mcfg, 0x1000, blob])
    assert [tuple(place) for place in root.relocations()] == [
        (36, size, mcfg, False, 0),
        (36 + 2 * size, size, blob, False, 0),
    ]
    assert root.to_bytes()[36:] == bytes(size) + (0x1000).to_bytes(size, "little") + bytes(size)


@pytest.mark.parametrize(("kind", "limit"), [(Rsdt, 1 << 32), (Xsdt, 1 << 64)])
@pytest.mark.parametrize("wrong", ["limit", -1, None, "x", 0.5])
def test_no_address(kind, limit, wrong):
    value = limit if wrong == "limit" else wrong
    assert kind([limit - 1]).to_bytes()[36:] == b"\xff" * kind.ENTRY_SIZE
    with pytest.raises(TableValueError, match=rf"{kind.SIGNATURE}.entries\[1\]") as caught:
        kind([0, value])
    assert caught.value.offset == 36 + kind.ENTRY_SIZE


def test_rest_of_an_entry_is_kept():
    data = with_length(XSDT.to_bytes(), 49)
    table = Xsdt.from_bytes(data)
    assert (len(table.entries), table.trailing) == (1, data[44:])
    assert table.to_bytes() == data


def test_truncation():
    check_truncation(XSDT)
