# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The guests of the reference monitor in QEMU, which judges them: what fails there is their fault.

QEMU's own processor (TCG) runs them, on its q35 with its teaching device.
"""

import re
import subprocess

import pytest

from monitor.board import GUESTS
from system_tools import require

pytestmark = pytest.mark.qemu

# What GCC leaves in a file about itself: the bytes of another version may differ.
COMPILER = re.compile(rb"GCC: \([^)]*\) [0-9.]+")
# isa-debug-exit ends QEMU with twice the value that was written, and one.
PASSED, ENDED_BY_ITSELF = 1, 0
RNG = ("-device", "virtio-rng-pci")
DISK = ("-device", "virtio-blk-pci,drive=d0,disable-legacy=on", "-drive")
PORT = ("-device", "pcie-root-port,id=slot1")
CASES = [
    ("hello", "", (), PASSED, ["hypervisor: TCGTCGTCGTCG", "command line: ''"]),
    ("hello", "a=1 b", (), PASSED, ["command line: 'a=1 b'"]),
    ("acpi_reader", "", (), PASSED, ["ok mcfg-ecam", "ok dsdt-s5", "PASS"]),
    ("acpi_reader", "off", (), ENDED_BY_ITSELF, ["ok acpi-mode", "off by 2000 to port 604"]),
    ("acpi_reader", "reset", ("-no-reboot",), ENDED_BY_ITSELF, ["reset by f to port cf9"]),
    ("smp", "", (), PASSED, ["ok counter 60000 of 60000"]),
    ("pagefault", "", (), PASSED, ["ok smep", "ok smap", "ok system-call"]),
    ("pci_lister", "", RNG, PASSED, ["ok edu-moved", "ok edu-intx-end", "ok virtio-unmasked"]),
    ("pci_lister", "", (*PORT, *RNG, "-device", "edu,bus=slot1"), PASSED, ["ok edu-msi-dma"]),
]


def run_in_qemu(image, command_line, *options):
    """Return the exit status of QEMU and what the guest printed, and QEMU itself."""
    machine = ("-machine", "q35", "-accel", "tcg", "-cpu", "max", "-m", "256", "-smp", "2")
    console = ("-display", "none", "-serial", "stdio", "-nic", "none")
    devices = ("-device", "isa-debug-exit,iobase=0xf4")
    if not any("edu" in option for option in options):
        devices += ("-device", "edu")
    done = subprocess.run(
        [
            *(require("qemu-system-x86_64"), *machine, *console, *devices, *options),
            *("-kernel", image, "-append", command_line),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("guest", "command_line", "options", "status", "lines"),
    CASES,
    ids=[f"{row[0]}-{row[1] or number}" for number, row in enumerate(CASES)],
)
def test_a_guest_passes(guest, command_line, options, status, lines):
    ended, console = run_in_qemu(GUESTS / f"{guest}.elf", command_line, *options)
    assert console.splitlines()[-1:] == ["PASS"], console
    assert ended == status
    for line in lines:
        assert line in console


def test_a_processor_that_is_missing_is_told():
    ended, console = run_in_qemu(GUESTS / "smp.elf", "", "-smp", "1")
    assert "FAIL processors" in console
    assert (console.splitlines()[-1], ended) == ("FAIL", 3)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return a folder with the guests as their sources are now."""
    for tool in ("make", "gcc", "ld"):
        require(tool)
    folder = tmp_path_factory.mktemp("guests")
    command = ["make", "-C", GUESTS, f"OUT={folder}"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return folder


@pytest.mark.parametrize("name", sorted(path.name for path in GUESTS.glob("*.elf")))
def test_a_guest_is_what_its_sources_make(name, built):
    disk = built / "disk.img"
    disk.write_bytes(bytes(2048))
    ended, console = run_in_qemu(
        built / name, "", *RNG, *DISK, f"if=none,id=d0,format=raw,file={disk}"
    )
    assert (console.splitlines()[-1], ended) == ("PASS", PASSED), console
    shipped, now = (GUESTS / name).read_bytes(), (built / name).read_bytes()
    if COMPILER.findall(shipped) == COMPILER.findall(now):
        assert shipped == now, "make guests"
