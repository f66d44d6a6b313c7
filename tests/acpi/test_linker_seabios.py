# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Our loader scripts, carried out by firmware: SeaBIOS, in a QEMU that has no tables itself."""

import contextlib
import time

import pytest

from qemu.qtest import MemoryPort, Qtest
from vmmkit.acpi.aml.data import Address
from vmmkit.acpi.aml.named import Name
from vmmkit.acpi.layout import TableSet, find_rsdp
from vmmkit.acpi.linker import RSDP_FILE, TABLES_FILE, apply
from vmmkit.acpi.platform.q35 import q35_like
from vmmkit.acpi.platform.reduced import reduced
from vmmkit.acpi.relocation import Blob
from vmmkit.acpi.tables.definition_block import Ssdt
from vmmkit.errors import AcpiError

pytestmark = pytest.mark.qemu

PATIENCE_S = 30
BLOB = Blob(b"not a table, but pointed at " * 100, "etc/blob", 4096)


def with_blob(tables: TableSet) -> TableSet:
    """Add a table whose AML points at bytes in a file of their own."""
    tables.add(Ssdt(Name("BLOB", Address(BLOB, 8)), oem_table_id="BLOB"))
    return tables


SETS = {
    "q35": lambda: q35_like(cpus=4).table_set(),
    "without an RSDT": lambda: q35_like(cpus=255).table_set(rsdt=False),
    "reduced": lambda: reduced(cpus=2).table_set(),
    "blob": lambda: with_blob(q35_like(cpus=1).table_set()),
}


def find_tables(memory):
    """Return where the RSDP is and all tables, once they are all there and right."""
    until = time.monotonic() + PATIENCE_S
    while True:
        rsdp = find_rsdp(memory.read_bytes)
        if rsdp is not None:
            with contextlib.suppress(AcpiError):  # SeaBIOS is not done yet
                return rsdp, TableSet.from_memory(memory.read_bytes, rsdp)
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("case", SETS)
def test_seabios_links_what_placing_gives(case, require_tool, tmp_path):
    script = SETS[case]().linker_script()
    options = []
    for number, (name, content) in enumerate(script.files.items()):
        file = tmp_path / f"file{number}"
        file.write_bytes(content)
        options += ["-fw_cfg", f"name={name},file={file}"]
    machine = ("-machine", "q35,acpi=off", "-m", "128M", "-bios", "bios-256k.bin")
    qtest = Qtest(require_tool("qemu-system-x86_64"), tmp_path, *machine, *options)
    try:
        memory = MemoryPort(qtest)
        rsdp, tables = find_tables(memory)
        root = memory.read_bytes(rsdp, 36)
        addresses = {RSDP_FILE: rsdp, TABLES_FILE: int.from_bytes(root[24:32], "little")}
        for table in tables.find("SSDT"):
            addresses["etc/blob"] = int.from_bytes(table.to_bytes()[-8:], "little")
        linked = apply(script.files, script.loader, lambda name, *_rest: addresses[name])
        for gpa, data, name in linked.pieces():
            assert memory.read_bytes(gpa, len(data)) == data, name
    finally:
        qtest.stop()
