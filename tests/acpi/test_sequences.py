# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Fields that hold several structures, or bytes, refuse anything else, numbers above all."""

import uuid

import pytest

from vmmkit.acpi.relocation import Blob
from vmmkit.acpi.tables.bert import GenericErrorDataEntry, GenericErrorStatusBlock
from vmmkit.acpi.tables.dbg2 import Dbg2, DebugDevice
from vmmkit.acpi.tables.dmar import Andd, Atsr, DeviceScope, Dmar
from vmmkit.acpi.tables.entry import RawEntry
from vmmkit.acpi.tables.error_source import UnreadSources
from vmmkit.acpi.tables.hest import Hest, Ia32MachineCheckException
from vmmkit.acpi.tables.ivhd import AcpiDeviceEntry, DeviceEntry, RawDeviceEntry
from vmmkit.acpi.tables.ivrs import Ivhd10, Ivrs
from vmmkit.acpi.tables.madt import IoApic, LocalApic, Madt
from vmmkit.acpi.tables.mcfg import Mcfg
from vmmkit.acpi.tables.pptt import Pptt
from vmmkit.acpi.tables.root import Rsdt, Xsdt
from vmmkit.acpi.tables.sequences import tuple_of
from vmmkit.acpi.tables.slit import Slit
from vmmkit.acpi.tables.srat import MemoryAffinity, RawDeviceHandle, Srat
from vmmkit.acpi.tables.table import Raw
from vmmkit.acpi.tables.tpm2 import LogArea, Tpm2
from vmmkit.acpi.tables.viot import Viot
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
    "Mcfg.allocations": Mcfg,
    "Dbg2.devices": Dbg2,
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


@pytest.mark.parametrize("table", [Srat, Madt, Dmar, Pptt, Viot])
@pytest.mark.parametrize("wrong", [5, [5], [None], ["x"], [LocalApic], [b"\0\2"]], ids=repr)
def test_entries_are_sub_structures(table, wrong):
    with pytest.raises(TableValueError, match="entries"):
        table(wrong)


@pytest.mark.parametrize("entry", [LocalApic(0, 0), RawEntry(LocalApic.FAMILY, 99, b"")])
def test_entries_are_those_of_the_table(entry):
    with pytest.raises(TableValueError, match=r"SRAT\.entries\[1\].*of the APIC") as caught:
        Srat([MemoryAffinity(0, 0, 1), entry])
    assert caught.value.table == "SRAT"
    assert Madt([entry, IoApic(0)]).entries == (entry, IoApic(0))


@pytest.mark.parametrize("table", [Rsdt, Xsdt])
@pytest.mark.parametrize("wrong", [5, [None], ["x"]], ids=repr)
def test_entries_of_root_tables_are_addresses_or_tables(table, wrong):
    with pytest.raises(TableValueError, match="entries"):
        table(wrong)


WITH_BYTES = {
    "Blob": Blob,
    "Raw": lambda wrong: Raw("TEST", wrong),
    "Table": lambda wrong: Madt(trailing=wrong),
    "Entry": lambda wrong: LocalApic(0, 0, trailing=wrong),
    "RawEntry": lambda wrong: RawEntry(LocalApic.FAMILY, 99, wrong),
    "Tpm2": lambda wrong: Tpm2(7, wrong),
    "DebugDevice": lambda wrong: DebugDevice(0x8000, 0, oem_data=wrong),
    "Ivhd": lambda wrong: Ivhd10(trailing=wrong, **IOMMU),
    "AcpiDeviceEntry": lambda wrong: AcpiDeviceEntry(1, "A", "B", wrong),
    "RawDeviceEntry": RawDeviceEntry,
    "RawDeviceHandle": lambda wrong: RawDeviceHandle(2, wrong),
    "UnreadSources": lambda wrong: UnreadSources(1, wrong),
    "GenericErrorDataEntry": lambda wrong: GenericErrorDataEntry(uuid.UUID(int=0), wrong),
    "GenericErrorStatusBlock": lambda wrong: GenericErrorStatusBlock((), wrong),
}


@pytest.mark.parametrize("wrong", [16, "text", None, [1, 2]], ids=repr)
@pytest.mark.parametrize("kind", WITH_BYTES)
def test_bytes_are_bytes(kind, wrong):
    with pytest.raises(TableValueError, match="takes bytes"):
        WITH_BYTES[kind](wrong)


@pytest.mark.parametrize("kind", WITH_BYTES)
def test_bytes_may_be_any_buffer(kind):
    content = b"0123456789abcdef"[: 12 if kind == "Tpm2" else 16]
    made = WITH_BYTES[kind](content)
    assert WITH_BYTES[kind](bytearray(content)).to_bytes() == made.to_bytes()
    assert WITH_BYTES[kind](memoryview(content)).to_bytes() == made.to_bytes()
