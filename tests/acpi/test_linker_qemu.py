# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""QEMU's own loader scripts, read from its fw_cfg device and carried out here."""

import struct

import pytest

from qemu.qtest import IoPort, MemoryPort, Qtest
from vmmkit.acpi.layout import TableSet
from vmmkit.acpi.linker import LOADER_FILE, Zone, apply, encode, parse

pytestmark = pytest.mark.qemu

# QEMU Firmware Configuration (fw_cfg) Device, "Guest-side DMA Interface".
DMA = 0x514
SELECT_AND_READ = 0x8 | 0x2
DESCRIPTOR, BUFFER = 0x1000, 0x10_0000
DIRECTORY = 0x19
ENTRY = struct.Struct(">IHH56s")

CONFIG_ADDRESS, CONFIG_DATA = 0xCF8, 0xCFC
PCIEXBAR = 0x8000_0060  # of q35's host bridge; QEMU makes an MCFG once it is enabled


class FwCfg:
    """The device, driven as firmware does."""

    def __init__(self, qtest, *, q35):
        self._memory, self._port = MemoryPort(qtest), IoPort(qtest)
        if q35:
            self._port.write(CONFIG_ADDRESS, 4, PCIEXBAR)
            self._port.write(CONFIG_DATA, 4, 0xE000_0001)

    def read(self, item, size):
        descriptor = struct.pack(">IIQ", item << 16 | SELECT_AND_READ, size, BUFFER)
        self._memory.write_bytes(DESCRIPTOR, descriptor)
        # The high half of the address is zero; writing the low half starts it.
        self._port.write(DMA + 4, 4, int.from_bytes(DESCRIPTOR.to_bytes(4, "big"), "little"))
        return self._memory.read_bytes(BUFFER, size)

    def directory(self):
        (count,) = struct.unpack(">I", self.read(DIRECTORY, 4))
        listing = self.read(DIRECTORY, 4 + count * ENTRY.size)[4:]
        return {
            name.rstrip(b"\0").decode(): (item, size)
            for size, item, _reserved, name in ENTRY.iter_unpack(listing)
        }

    def files(self):
        """Return what ACPI is about; scripts and tables are padded far beyond their content."""
        return {
            name: self.read(item, size)
            for name, (item, size) in self.directory().items()
            if name.startswith(("etc/acpi", "etc/table-loader", "etc/vmgenid", "etc/tpm"))
        }


MACHINES = {
    "pc": (["-machine", "pc"], {"FACP", "APIC", "HPET", "WAET"}),
    "q35": (["-machine", "q35"], {"FACP", "APIC", "HPET", "MCFG", "WAET"}),
    "q35 with more": (
        [
            *("-machine", "q35", "-smp", "4", "-device", "vmgenid", "-device", "intel-iommu"),
            *("-m", "64M", "-object", "memory-backend-ram,id=m0,size=64M"),
            *("-numa", "node,memdev=m0"),
        ],
        {"FACP", "APIC", "HPET", "MCFG", "WAET", "SSDT", "DMAR", "SRAT"},
    ),
    "microvm": (["-machine", "microvm,acpi=on"], {"FACP", "APIC"}),
}


def allocator():
    """Return an allocator like firmware's: RSDP low, the rest high, at least 16 bytes aligned."""
    free = {Zone.HIGH: 0x3FF0_0000, Zone.FSEG: 0xF_0000}

    def allocate(_name, size, alignment, zone):
        alignment = max(alignment, 16)
        address = (free[zone] + alignment - 1) & -alignment
        free[zone] = address + size
        return address

    return allocate


@pytest.fixture(scope="module", params=MACHINES, ids=lambda name: name.replace(" ", "-"))
def machine(request, require_tool, tmp_path_factory):
    options, tables = MACHINES[request.param]
    qtest = Qtest(require_tool("qemu-system-x86_64"), tmp_path_factory.mktemp("qemu"), *options)
    try:
        yield FwCfg(qtest, q35="q35" in request.param).files(), tables
    finally:
        qtest.stop()


def test_qemus_script_links_tables_that_are_found_and_right(machine):
    files, expected = machine
    linked = apply(files, files[LOADER_FILE], allocator())

    def read(gpa, size):
        for address, data, _file in linked.pieces():
            if address <= gpa < address + len(data):
                return data[gpa - address : gpa - address + size]
        return b""

    rsdp = linked.addresses["etc/acpi/rsdp"]
    assert 0xF_0000 <= rsdp <= 0xF_FFFF
    tables = TableSet.from_memory(read, rsdp)  # checks every checksum
    assert expected <= {table.signature for table in tables.listed()}
    assert tables.find("DSDT")
    again = tables.place(0x1000_0000)
    assert {piece.name.split()[0] for piece in again.pieces} >= expected


def test_qemus_script_reads_and_writes_back(machine):
    files, _tables = machine
    script = files[LOADER_FILE]
    again = encode(parse(script))
    assert script.startswith(again)
    assert not any(script[len(again) :])


def test_qemu_learns_where_the_generation_id_is(machine):
    files, tables = machine
    if "SSDT" not in tables:
        return
    linked = apply(files, files[LOADER_FILE], allocator())
    address = int.from_bytes(linked.written["etc/vmgenid_addr"], "little")
    assert address == linked.addresses["etc/vmgenid_guid"] + 40
