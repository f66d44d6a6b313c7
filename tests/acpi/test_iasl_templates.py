# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Every example table of `iasl -T ALL` reads back, and as the class that is for it."""

import pytest

from acpi.acpica import templates
from vmmkit.acpi.tables import reading
from vmmkit.errors import TableParseError

# By iasl's names for the tables. All others have no class of their own.
CLASSES = {
    "apic": "Madt",
    "bert": "Bert",
    "bgrt": "Bgrt",
    "dbg2": "Dbg2",
    "dmar": "Dmar",
    "dsdt": "Dsdt",
    "facp": "Fadt",
    "facs": "Facs",
    "hest": "Hest",
    "hmat": "Hmat",
    "hpet": "Hpet",
    "ivrs": "Ivrs",
    "mcfg": "Mcfg",
    "pptt": "Pptt",
    "rsdp": "Rsdp",
    "rsdt": "Rsdt",
    "slit": "Slit",
    "spcr": "Spcr",
    "srat": "Srat",
    "ssdt": "Ssdt",
    "tpm2": "Tpm2",
    "waet": "Waet",
    "xsdt": "Xsdt",
}
OTHERS = [
    *("asf!", "boot", "cpep", "csrt", "dbgp", "drtm", "ecdt", "einj", "erst", "fpdt"),
    *("gtdt", "iort", "lpit", "mchi", "mpst", "msct", "msdm", "mtmr", "nfit"),
    *("osdt", "pcct", "pdtt", "pmtt", "rasf", "sbst", "sdei", "sdev", "slic"),
    *("spmi", "stao", "tcpa", "uefi", "vrtc", "wdat", "wddt", "wdrt", "wpbt"),
    *("wsmt", "xenv"),
]


@pytest.mark.parametrize("name", sorted([*CLASSES, *OTHERS]))
def test_template_reads_back_as_its_class(name):
    data = templates()[name]
    table = reading.from_bytes(data)
    assert table.to_bytes() == data
    assert type(table).__name__ == CLASSES.get(name, "Raw")


def test_no_template_is_left_out():
    # An S3PT is no table but a part that the FPDT points at, without checksum.
    assert templates().keys() - {*CLASSES, *OTHERS} <= {"s3pt"}


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_truncated_template_is_refused(name):
    data = templates()[name]
    for size in range(len(data)):
        with pytest.raises(TableParseError):
            reading.from_bytes(data[:size])


@pytest.mark.parametrize("name", sorted(CLASSES.keys() - {"facs"}))
def test_one_wrong_byte_is_refused(name):
    # All but the FACS have a checksum over all their bytes.
    data = bytearray(templates()[name])
    for offset in range(len(data)):
        data[offset] ^= 0x10
        with pytest.raises(TableParseError):
            reading.from_bytes(bytes(data))
        data[offset] ^= 0x10
