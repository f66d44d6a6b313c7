# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""VIOT: devices behind a virtio-iommu. ACPICA's tools of 2020 know no such table."""

import pytest
from hypothesis import given, settings

from acpi.table_cases import (
    body,
    check_damage,
    check_limits,
    check_reading,
    contents,
    hexed,
    table_bytes,
)
from vmmkit.acpi.tables.viot import MmioEndpoint, PciRange, Viot, VirtioIommuMmio, VirtioIommuPci
from vmmkit.errors import TableParseError, TableValueError

PCI_IOMMU = VirtioIommuPci(0x0010, segment=1)
MMIO_IOMMU = VirtioIommuMmio(0x1000_0000)
SAMPLE = Viot(
    [
        PCI_IOMMU,
        PciRange(PCI_IOMMU, endpoint_start=0x100, segment_end=2, bdf_start=8, bdf_end=0xFF),
        MmioEndpoint(5, 0x2000_0000, MMIO_IOMMU),
        MMIO_IOMMU,
    ]
)
# Offsets: 48 (16 bytes), 64 (24), 88 (24), 112 (16).
GOLDEN = """
    0400 3000 0000000000000000
    03 00 1000 0100 1000 0000000000000000
    01 00 1800 00010000 0000 0200 0800 FF00 3000 000000000000
    02 00 1800 05000000 0000002000000000 7000 000000000000
    04 00 1000 00000000 0000001000000000
"""


def test_bytes_are_those_of_the_specification():
    assert body(SAMPLE) == hexed(GOLDEN)


def test_reading_makes_the_objects_again():
    table = Viot.from_bytes(SAMPLE.to_bytes())
    assert table == SAMPLE
    assert table.entries[1].output_node is table.entries[0]
    assert table.entries[2].output_node is table.entries[3]
    assert table.node_count == 4


@pytest.mark.parametrize("entry", SAMPLE.entries)
def test_limits_of_fields(entry):
    check_limits(entry, apart={"output_node"})


@pytest.mark.parametrize("value", [-1, 0x10000, "iommu", None])
def test_what_is_no_reference_is_refused(value):
    with pytest.raises(TableValueError, match="output_node"):
        PciRange(value)


def test_bad_reference_is_refused():
    with pytest.raises(TableValueError, match="output_node refers to a VirtioIommuPci that is not"):
        Viot([PciRange(PCI_IOMMU)])
    inner = PciRange(0)
    with pytest.raises(TableValueError, match=r"output_node .* type \[3, 4\]"):
        Viot([inner, PciRange(inner)])


def test_table_beyond_64_kib_has_no_offsets_for_it():
    far = [*(VirtioIommuPci(number) for number in range(4100)), PCI_IOMMU, PciRange(PCI_IOMMU)]
    with pytest.raises(TableValueError, match="output_node has 2 bytes"):
        Viot(far)


def test_too_many_nodes_are_refused():
    with pytest.raises(TableValueError, match="node_count"):
        Viot([VirtioIommuPci(0) for _ in range(0x10000)])


READ_BAD = {
    "other offset": "0000 3400 0000000000000000 00000000",
    "too few": "0200 3000 0000000000000000 03001000 00000000 0000000000000000",
    "length 0": "0100 3000 0000000000000000 03000000",
    "reserved byte of a node": "0100 3000 0000000000000000 03011000 00000000 0000000000000000",
    "self": "0100 3000 0000000000000000 01001800 00000000 00000000 00000000 3000 000000000000",
    "cut off": "0100",
}


@pytest.mark.parametrize("text", READ_BAD.values(), ids=READ_BAD)
def test_bad_bytes_are_refused(text):
    with pytest.raises(TableParseError) as caught:
        Viot.from_bytes(table_bytes("VIOT", hexed(text)))
    assert caught.value.table == "VIOT"
    assert caught.value.offset is not None


def test_what_follows_the_counted_nodes_is_kept():
    text = "0100 3000 0000000000000000 03001000 0000 0800 0000000000000000 FFFFFFFFFF"
    table = Viot.from_bytes(table_bytes("VIOT", hexed(text)))
    assert len(table.entries) == 1
    assert table.trailing == b"\xff" * 5


def test_damage_is_read_or_refused():
    check_damage(Viot, SAMPLE.to_bytes())


@settings(max_examples=50)
@given(contents(SAMPLE.to_bytes()))
def test_any_content_is_read_or_refused(content):
    check_reading(Viot, table_bytes("VIOT", content))
