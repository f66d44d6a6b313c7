# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Fields that hold several structures refuse anything else, numbers above all."""

import pytest

from vmmkit.acpi.tables.bert import GenericErrorStatusBlock
from vmmkit.acpi.tables.dmar import Andd, Atsr, DeviceScope, Dmar
from vmmkit.acpi.tables.hest import Hest, Ia32MachineCheckException
from vmmkit.acpi.tables.ivhd import DeviceEntry
from vmmkit.acpi.tables.ivrs import Ivhd10, Ivrs
from vmmkit.acpi.tables.sequences import tuple_of
from vmmkit.acpi.tables.slit import Slit
from vmmkit.acpi.tables.tpm2 import LogArea, Tpm2
from vmmkit.errors import TableValueError

IOMMU = {"iommu_device_id": 0, "capability_offset": 0, "iommu_base_address": 0}

MAKERS = {
    "Hest.sources": Hest,
    "banks": lambda wrong: Ia32MachineCheckException(0, wrong),
    "Ivrs.blocks": Ivrs,
    "device_entries": lambda wrong: Ivhd10(wrong, **IOMMU),
    "device_scopes": lambda wrong: Atsr(device_scopes=wrong),
    "DeviceScope.path": lambda wrong: DeviceScope(1, wrong),
    "GenericErrorStatusBlock.entries": GenericErrorStatusBlock,
    "Slit.distances": Slit,
}


@pytest.mark.parametrize("wrong", [5, [5], [None], ["x"], [Atsr()], [(1, 2, 3)]], ids=repr)
@pytest.mark.parametrize("field", MAKERS)
def test_anything_else_is_refused(field, wrong):
    with pytest.raises(TableValueError) as caught:
        MAKERS[field](wrong)
    assert field in str(caught.value)
    assert caught.value.table is not None


@pytest.mark.parametrize("wrong", [5, "log", b"\0" * 12])
def test_log_area_is_one(wrong):
    with pytest.raises(TableValueError, match="log_area"):
        Tpm2(7, log_area=wrong)


def test_revision_is_a_number_before_the_log_area():
    with pytest.raises(TableValueError, match="revision"):
        Tpm2(7, log_area=LogArea(1, 2), revision="4")


def test_object_name_is_text():
    with pytest.raises(TableValueError, match="acpi_object_name"):
        Andd(1, b"name")


def test_any_iterable_becomes_a_tuple():
    entries = Ivhd10((DeviceEntry(kind) for kind in (1, 2)), **IOMMU).device_entries
    assert entries == (DeviceEntry(1), DeviceEntry(2))
    assert tuple_of("HEST", "field", int)(range(2)) == (0, 1)
    assert Dmar().entries == ()
