# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Debian's kernel by the 64-bit boot protocol, from its first instruction to its first program."""

import secrets
import subprocess
import time
from pathlib import Path

import pytest

from linux.initrd import Entry, newc, program
from linux.kernel import FetchError, fetch
from loader.images import FLAGS, MIB, SOURCES
from system_tools import require
from vmmkit import loader
from vmmkit.backends import SoftMachine
from vmmkit.devices.uart16550 import Uart16550
from vmmkit.insn import Random, TripleFault

pytestmark = [pytest.mark.linux, pytest.mark.native]

BUILD = Path(__file__).parents[2] / "build" / "linux"
RAM = 256 * MIB
MEMORY = [(0, 0x9_FC00, 1), (0x9_FC00, 0x400, 2), (0xF_0000, 0x1_0000, 2), (MIB, RAM - MIB, 1)]
# reboot=t ends by a triple fault; no address-space randomisation, so that runs are alike.
CMDLINE = "earlyprintk=serial,ttyS0,115200 console=ttyS0,115200 nokaslr panic=-1 reboot=t"
PATIENCE = 240  # seconds; it takes 20 to 45: 1400 million instructions


@pytest.fixture(scope="module")
def image():
    try:
        return loader.read(fetch(BUILD).image.read_bytes())
    except FetchError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def initrd(tmp_path_factory):
    """Return an archive with one program, which says that it runs."""
    path = tmp_path_factory.mktemp("init") / "init"
    command = [require("gcc"), *FLAGS, "-o", path, SOURCES / "init.c"]
    subprocess.run(command, check=True, timeout=60)
    # The kernel's own archive has /dev/console; this one goes on top of it.
    return newc([Entry("init-is-here", 0o100644), program("init", path.read_bytes())])


def test_header(image):
    assert (image.kind, image.header.version >= 0x20F) == ("bzimage", True)
    assert image.header.relocatable_kernel
    assert image.version.split()[0].endswith("-cloud-amd64")
    assert image.extent > len(image.code) > len(image.payload) > 4 * MIB


def test_boot_to_the_first_program(image, initrd):
    ram = [(0, bytearray(RAM))]
    boot = image.boot(memory=MEMORY, cmdline=CMDLINE, initrd=initrd)
    console, machine = bytearray(), SoftMachine(ram)
    machine.pio.add(0x3F8, 8, Uart16550(transmit=console.append, interrupt=machine.line(4)))
    boot.write(ram)
    boot.start(machine.vcpus[0].state)
    outcome = run(machine)
    text = console.decode("ascii", "replace")
    assert isinstance(outcome, TripleFault), (outcome, text[-2000:])
    for line in (
        f"Linux version {image.version.split()[0]}",
        f"Command line: {CMDLINE}",
        "BIOS-e820: [mem 0x0000000000100000-0x000000000fffffff] usable",
        "Run /init as init process",
        "init of the initial RAM disk",
    ):
        assert line in text


def run(machine):
    """Run to an exit; return it, or None when patience ends."""
    patient_until = time.monotonic() + PATIENCE
    while time.monotonic() < patient_until:
        found = getattr(machine.run(20_000_000), "outcome", None)
        if isinstance(found, Random):
            machine.vcpus[0].complete(secrets.randbits(8 * found.size))
        elif found is not None:
            return found
    return None
