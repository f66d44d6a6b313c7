# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The guests of the monitor, which judge by themselves, on every backend."""

import pytest

from examples.monitor_program import BACKENDS, GUESTS, monitor

DEVICES = {"pci_lister": ("--device", "edu", "--device", "virtio-rng")}
PROCESSORS = {"smp": "2", "acpi_reader": "3"}
KNOWN = {"hello", "pci_lister", "acpi_reader", "smp", "pagefault"}


def guests():
    return sorted(path.stem for path in GUESTS.glob("*.elf"))


def test_they_are_there():
    assert set(guests()) >= KNOWN


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("guest", guests())
def test_guest(backend, guest):
    options = ("--vcpus", PROCESSORS.get(guest, "1"), "--append", "speak up")
    image = GUESTS / f"{guest}.elf"
    done = monitor(*backend, *options, *DEVICES.get(guest, ()), "--seconds", "25", image)
    assert [line for line in done.stdout.splitlines() if line.startswith("FAIL")] == []
    assert done.stdout.endswith("PASS\n"), done.stderr
    assert done.returncode == 0
    assert guest != "hello" or "'speak up'" in done.stdout
