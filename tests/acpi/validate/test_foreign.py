# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""`validate` on QEMU's own tables: what it says about them is true, and known."""

import pytest

from acpi.test_linker_qemu import MACHINES, FwCfg, allocator
from qemu.qtest import Qtest
from vmmkit.acpi.layout import TableSet
from vmmkit.acpi.linker import LOADER_FILE, apply
from vmmkit.acpi.validate.validator import validate

pytestmark = pytest.mark.qemu

# Firmware sets the base of the PM registers before it reads the tables; here none has, and the
# base, which is that of the first block, is zero.
NO_FIRMWARE = ("FADT-NO-PM1", "FACP")
# The host bridge has `_ADR` zero beside its `_HID`.
HOST_BRIDGE = ("DEVICE-TWO-IDS", "DSDT")
# pc's FADT has revision 1, without a reset register.
OLD_FADT = ("FADT-NO-RESET", "FACP")
# A FADT of ACPI 5.0 beside a MADT of 1.0.
OLD_MADT = ("MADT-REVISION", "APIC")

KNOWN = {
    "pc": [NO_FIRMWARE, OLD_FADT, HOST_BRIDGE],
    "q35": [NO_FIRMWARE, HOST_BRIDGE],
    "q35 with more": [NO_FIRMWARE, HOST_BRIDGE],
    "microvm": [OLD_MADT],
}


@pytest.mark.parametrize("name", MACHINES)
def test_what_is_said_of_qemus_tables_is_known(name, require_tool, tmp_path):
    options, _tables = MACHINES[name]
    qtest = Qtest(require_tool("qemu-system-x86_64"), tmp_path, *options)
    try:
        files = FwCfg(qtest, q35="q35" in name).files()
    finally:
        qtest.stop()
    linked = apply(files, files[LOADER_FILE], allocator())

    def read(gpa, size):
        for address, data, _file in linked.pieces():
            if address <= gpa < address + len(data):
                return data[gpa - address : gpa - address + size]
        return b""

    tables = TableSet.from_memory(read, linked.addresses["etc/acpi/rsdp"])
    found = sorted((finding.code, finding.table) for finding in validate(tables))
    assert found == sorted(KNOWN[name])
