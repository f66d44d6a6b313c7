# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""SLIT: a square matrix of distances."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acpi import acpica
from acpi.table_cases import body, check_damage, check_reading, contents, hexed, table_bytes
from vmmkit.acpi.tables.slit import UNREACHABLE, Slit
from vmmkit.errors import TableParseError, TableValueError

SAMPLE = Slit([[10, 21, 31], [20, 10, UNREACHABLE], [30, 254, 10]])


def test_bytes_are_those_of_the_specification():
    assert body(SAMPLE) == hexed("0300000000000000  0A151F 140AFF 1EFE0A")
    assert Slit.from_bytes(SAMPLE.to_bytes()) == SAMPLE


def test_distances_are_numbers():
    assert SAMPLE.distances[1][0] == 20
    assert [list(row) for row in SAMPLE.distances] == [[10, 21, 31], [20, 10, 255], [30, 254, 10]]


def test_uniform():
    assert Slit.uniform(2) == Slit([[10, 20], [20, 10]])
    assert Slit.uniform(1, oem_id="X") == Slit([[10]], oem_id="X")
    assert Slit.uniform(3, remote=11).distances[2][1] == 11
    assert body(Slit.uniform(0)) == bytes(8)


BAD = [
    ([[10, 20]], r"row 0 has 2 distances, not 1", 44),
    ([[10], [20, 10]], r"row 0 has 1 distances, not 2", 44),
    ([[11]], r"\[0\]\[0\] is 11, not 10", 44),
    ([[10, 20], [20, 0]], r"\[1\]\[1\] is 0", 47),
    ([[10, 10], [20, 10]], r"\[0\]\[1\] is 10, not more", 45),
    ([[10, 20], [9, 10]], r"\[1\]\[0\] is 9", 46),
    ([[10, 0], [20, 10]], r"\[0\]\[1\] is 0", 45),
    ([[10, 256], [20, 10]], "row 0", None),
    ([[10, -1], [20, 10]], "row 0", None),
    ([["x"]], "row 0", None),
    ([None], "row 0", None),
]


@pytest.mark.parametrize(("distances", "message", "offset"), BAD)
def test_bad_matrix_is_refused(distances, message, offset):
    with pytest.raises(TableValueError, match=message) as caught:
        Slit(distances)
    assert "Slit.distances" in str(caught.value)
    assert caught.value.table == "SLIT"
    assert caught.value.offset == offset


@pytest.mark.parametrize("remote", [10, 0, 256, -1])
def test_uniform_refuses_what_is_no_distance(remote):
    with pytest.raises(TableValueError, match="distances"):
        Slit.uniform(2, remote)


READ_BAD = {
    "too few distances": "0200000000000000 0A140A",
    "too many localities": "FFFFFFFFFFFFFFFF 0A",
    "diagonal": "0100000000000000 0B",
    "near": "0200000000000000 0A 05 14 0A",
    "cut off": "01000000",
}


@pytest.mark.parametrize("text", READ_BAD.values(), ids=READ_BAD)
def test_bad_bytes_are_refused(text):
    with pytest.raises(TableParseError) as caught:
        Slit.from_bytes(table_bytes("SLIT", hexed(text)))
    assert caught.value.table == "SLIT"
    assert caught.value.offset is not None


def test_trailing_bytes_are_kept():
    data = table_bytes("SLIT", hexed("0100000000000000 0A") + b"more")
    assert Slit.from_bytes(data).trailing == b"more"
    assert Slit.from_bytes(data).to_bytes() == data


def test_large_matrix_reads_back():
    table = Slit.uniform(1500)
    assert len(table.to_bytes()) == 44 + 1500 * 1500
    assert Slit.from_bytes(table.to_bytes()) == table


def test_iasl_reads_and_recompiles_it():
    acpica.assert_roundtrip(SAMPLE.to_bytes())
    acpica.assert_roundtrip(Slit.uniform(20).to_bytes())


def test_damage_is_read_or_refused():
    check_damage(Slit, SAMPLE.to_bytes())


@settings(max_examples=50)
@given(contents(SAMPLE.to_bytes()))
def test_any_content_is_read_or_refused(content):
    check_reading(Slit, table_bytes("SLIT", content))


@settings(max_examples=30)
@given(st.integers(1, 6), st.data())
def test_any_matrix_reads_back(size, data):
    far = st.integers(11, 255)
    rows = [[10 if i == j else data.draw(far) for j in range(size)] for i in range(size)]
    table = Slit(rows)
    assert [list(row) for row in Slit.from_bytes(table.to_bytes()).distances] == rows
