# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The AML that QEMU makes: read without loss, printed, and compiled to the same bytes by iasl."""

import pytest

from acpi.acpica import compile_asl
from acpi.test_linker_qemu import FwCfg
from qemu.qtest import Qtest
from vmmkit.acpi.aml.dump import dump
from vmmkit.acpi.aml.namespace import walk
from vmmkit.acpi.aml.reader import read_all
from vmmkit.acpi.tables.definition_block import Dsdt, Ssdt

pytestmark = pytest.mark.qemu

HEADER_SIZE = 36
KINDS = {b"DSDT": Dsdt, b"SSDT": Ssdt}
MORE = ("-smp", "4", "-device", "vmgenid", "-device", "pcie-root-port,id=port0,slot=1")
VGIA = b"\x08VGIA\x0c"
MACHINES = {
    "pc": (("pc", "-device", "vmgenid"), 2, "\\_SB.PCI0._CRS"),
    "q35": (("q35", *MORE), 2, "\\_SB.PCI0._CRS"),
    "microvm": (("microvm,acpi=on",), 1, "\\_SB.FWCF._CRS"),
}


def tables_in(content):
    """Yield the tables that lie one behind the other, as QEMU leaves them."""
    offset = 0
    while content[offset : offset + 4].strip(b"\0"):
        length = int.from_bytes(content[offset + 4 : offset + 8], "little")
        yield content[offset : offset + length]
        offset += length
        while content[offset : offset + 1] == b"\0":
            offset += 1


@pytest.fixture(params=MACHINES)
def blocks(request, require_tool, tmp_path):
    (machine, *options), count, path = MACHINES[request.param]
    qtest = Qtest(require_tool("qemu-system-x86_64"), tmp_path, "-machine", machine, *options)
    try:
        content = FwCfg(qtest, q35=False).files()["etc/acpi/tables"]
    finally:
        qtest.stop()
    # An address that firmware fills in; zero would not be encoded in the shortest way.
    content = content.replace(VGIA + bytes(4), VGIA + b"\x78\x56\x34\x12")
    found = [table for table in tables_in(content) if table[:4] in KINDS]
    assert len(found) == count
    return found, path


def test_qemus_tables(blocks):
    tables, path = blocks
    lists = read_all([table[HEADER_SIZE:] for table in tables])
    assert path in {found for found, _, _ in walk(lists[0])}
    for table, nodes in zip(tables, lists, strict=True):
        again = KINDS[table[:4]](*nodes, revision=table[8])
        assert again.to_bytes()[HEADER_SIZE:] == table[HEADER_SIZE:]
        assert "not read" not in dump(again)
        assert compile_asl(dump(again), "-f")[HEADER_SIZE:] == table[HEADER_SIZE:]
