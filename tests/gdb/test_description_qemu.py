# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The layout "qemu" against QEMU's own stub."""

import re
import socket
import subprocess
import time
import xml.etree.ElementTree as ET

import pytest

from system_tools import require
from vmmkit.gdb.description import describe

pytestmark = pytest.mark.qemu
FIRST_TRY, TRIES = 0.02, 400


def connected(path, process):
    for _ in range(TRIES):
        wire = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        wire.settimeout(20)
        try:
            wire.connect(str(path))
        except OSError:
            wire.close()
            assert process.poll() is None
            time.sleep(FIRST_TRY)
        else:
            return wire
    raise AssertionError("QEMU does not listen")


@pytest.fixture
def stub(tmp_path):
    path = tmp_path / "gdb"
    process = subprocess.Popen(
        [
            *(require("qemu-system-x86_64"), "-S", "-display", "none", "-nodefaults"),
            *("-gdb", f"unix:{path},server=on,wait=off"),
        ],
    )
    try:
        with connected(path, process) as wire:
            yield lambda data: exchange(wire, data)
    finally:
        process.kill()
        process.wait(20)


def exchange(wire, data):
    wire.sendall(b"$%s#%02x" % (data, sum(data) & 0xFF))
    reply = b""
    while not (found := re.search(rb"\$([^#]*)#..", reply, re.DOTALL)):
        received = wire.recv(65536)
        assert received
        reply += received
    wire.sendall(b"+")
    return found[1]


def read_annex(stub, annex):
    text = b""
    while True:
        part = stub(b"qXfer:features:read:%s:%x,ff0" % (annex, len(text)))
        text += part[1:]
        if part[:1] != b"m":
            return text


def test_names_widths_order_and_size_are_those_of_qemu(stub):
    stub(b"qSupported:xmlRegisters=i386")
    target = read_annex(stub, b"target.xml")
    (annex,) = re.findall(rb'include href="([^"]+)"', target)
    theirs = ET.fromstring(read_annex(stub, annex))
    ours = describe(64, "qemu", ())
    assert [(r.get("name"), int(r.get("bitsize"))) for r in theirs.iter("reg")] == [
        (r.name, r.bits) for r in ours.registers
    ]
    architecture = ET.fromstring(ours.xml).findtext("architecture")
    assert f"<architecture>{architecture}</architecture>".encode() in target
    assert ours.xml.count(b"<feature") == 1
    assert theirs.get("name") == ET.fromstring(ours.xml).find("feature").get("name")
    assert len(stub(b"g")) == 2 * ours.size


def test_a_processor_after_reset_reads_as_qemu_s_does(stub):
    stub(b"qSupported:xmlRegisters=i386")
    ours = describe(64, "qemu", ())
    whole = stub(b"g")
    values = ours.unpack(whole, {})
    assert ours.pack(dict.fromkeys((r.source for r in ours.registers), 0) | values) == whole
    assert (values["rip"], values["cs"], values["mxcsr"]) == (0xFFF0, 0xF000, 0x1F80)
