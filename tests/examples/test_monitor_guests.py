# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The guests of the monitor, which judge by themselves, on every backend."""

import pytest

from examples.monitor_program import BACKENDS, GUESTS, monitor

EDU_AND_RNG = ("--device", "edu", "--device", "virtio-rng")
COUNT = ("--vcpus", "2", "--append", "increments=200")
CASES = [
    ("hello", ("--append", "speak up"), "command line: 'speak up'"),
    ("pci_lister", EDU_AND_RNG, "ok virtio-unmasked"),
    ("acpi_reader", ("--vcpus", "3"), "ok dsdt-s5 sleep type 0"),
    ("acpi_reader", ("--append", "off"), "ok acpi-mode"),
    ("acpi_reader", ("--append", "reset"), "to port cf9"),
    ("smp", COUNT, "ok counter 400 of 400"),
    ("pagefault", (), "ok double-fault"),
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("guest", "options", "line"), CASES, ids=[" ".join((name, *opts)) for name, opts, _ in CASES]
)
def test_guest(backend, guest, options, line):
    done = monitor(*backend, *options, "--seconds", "25", GUESTS / f"{guest}.elf")
    assert "FAIL" not in done.stdout
    assert "PASS" in done.stdout, done.stderr
    assert line in done.stdout
    assert done.returncode == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_file_is_a_disk(tmp_path, backend):
    disk = tmp_path / "disk.img"
    disk.write_bytes(b"bytes of a file".ljust(2048, b"\0"))
    device = ("--device", f"virtio-blk,file={disk}")
    done = monitor(*backend, *device, "--seconds", "25", GUESTS / "disk.elf")
    assert "ok driver 4 sectors" in done.stdout
    assert "the disk says: bytes of a file\n" in done.stdout
    assert done.returncode == 0, done.stdout
    assert disk.read_bytes()[512:527] == b"BYTES OF A FILE"


def test_a_disk_that_may_not_be_written(tmp_path):
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(2048))
    device = ("--device", f"virtio-blk,file={disk},readonly=on,serial=mine")
    done = monitor("--backend", "soft", *device, "--seconds", "25", GUESTS / "disk.elf")
    assert "FAIL write status 1" in done.stdout
    assert done.returncode == 1
    assert disk.read_bytes() == bytes(2048)
