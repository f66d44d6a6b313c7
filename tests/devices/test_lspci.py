# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Every PCI device of the library as lspci reads it, against what its class declares."""

import re
import subprocess

import pytest

from vmmkit.devices.edu import Edu
from vmmkit.devices.hostbridge import PciHostBridge
from vmmkit.devices.pci_uart import PciUart
from vmmkit.devices.pirq_router import PirqRouter
from vmmkit.devices.virtio import BufferDisk, VirtioBlk, VirtioConsole, VirtioNet, VirtioRng
from vmmkit.pci import IoBar, Rom
from vmmkit.pci.testing import Host, dump


def drop(*_arguments):
    """Be a backend that nobody listens to."""


MAKERS = {
    "hostbridge": PciHostBridge,
    "pirq_router": PirqRouter,
    "edu": Edu,
    "pci_uart": lambda: PciUart(transmit=drop),
    "virtio-rng": VirtioRng,
    "virtio-console": lambda: VirtioConsole(drop),
    "virtio-blk": lambda: VirtioBlk(BufferDisk(bytearray(1 << 20))),
    "virtio-net": lambda: VirtioNet(drop, bytes.fromhex("525400123456")),
}
NAMES = {0x01: "Power Management", 0x05: "MSI:", 0x09: "Vendor Specific", 0x11: "MSI-X:"}
IDS = re.compile(r" (\w{4}): (\w{4}):(\w{4})(?: \(rev (\w+)\))?(?: \(prog-if (\w+))?")
REGION = re.compile(
    r"Region (\d): (?:Memory at (\w+) \((32|64)-bit, (non-)?pref|I/O ports at (\w+))"
)
CAPABILITY = re.compile(r"Capabilities: \[(\w+)\] (.*)")


@pytest.fixture(params=MAKERS)
def driver(request):
    return Host().plug(MAKERS[request.param]())


@pytest.fixture
def listing(driver, require_tool, tmp_path):
    path = tmp_path / "dump.txt"
    path.write_text(dump(driver.function.host))
    command = [require_tool("lspci"), "-F", str(path), "-n", "-vvv"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def test_ids_are_those_of_the_class(driver, listing):
    class_id, vendor, device, revision, interface = IDS.search(listing).groups()
    kind = type(driver.function)
    assert (int(vendor, 16), int(device, 16)) == (kind.vendor_id, driver.function.device_id)
    shown = int(class_id, 16) << 8 | int(interface or "0", 16)
    assert (shown, int(revision or "0", 16)) == (driver.function.class_code, kind.revision)


def test_regions_are_the_bars(driver, listing):
    regions = {int(row[0]): row[1:] for row in REGION.findall(listing)}
    bars = [bar for bar in driver.function.bars if not isinstance(bar.declaration, Rom)]
    assert set(regions) == {bar.index for bar in bars}
    for bar in bars:
        memory, width, non_prefetchable, ports = regions[bar.index]
        assert int(memory or ports, 16) == bar.address
        assert bool(ports) is isinstance(bar.declaration, IoBar)
        if memory:
            assert int(width) == bar.declaration.width
            assert bool(non_prefetchable) is not bar.declaration.prefetchable


def test_capabilities_are_in_their_places(driver, listing):
    config = driver.function.config
    found = {int(at, 16): text for at, text in CAPABILITY.findall(listing)}
    assert set(found) == {offset for offset, _ in config.capabilities}
    for offset, text in found.items():
        assert text.startswith(NAMES[config.get(offset, 1)]), text


def test_the_pin_is_the_declared_one(driver, listing):
    pin = re.search(r"Interrupt: pin ([A-D])", listing)
    assert (pin and pin.group(1)) == driver.function.intx
