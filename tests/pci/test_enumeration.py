# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A machine of two segments with everything in it, enumerated by a driver and read by lspci.

Three look at the same functions and have to agree: the objects that were plugged in, the scan of
the test host, which sees configuration registers alone, and lspci, which sees their dump.
"""

import re
import subprocess
from itertools import pairwise
from typing import NamedTuple

import pytest

from vmmkit.pci.assignment import assign
from vmmkit.pci.bars import IoBar, MemBar, Rom
from vmmkit.pci.bridge import Bridge
from vmmkit.pci.capabilities import (
    Dsn,
    Msi,
    Msix,
    PciExpress,
    PowerManagement,
    Slot,
    VendorSpecific,
)
from vmmkit.pci.config import ConfigSpace
from vmmkit.pci.function import Function
from vmmkit.pci.ports import PciBridge, RootPort, switch
from vmmkit.pci.spec import BarKind, CapabilityId, ExtendedCapabilityId
from vmmkit.pci.testing import Host, dump

WINDOWS = {
    "io": [(0x1000, 0xF000)],
    "mem": [(0xC000_0000, 0x2000_0000)],
    "mem64": [(1 << 36, 1 << 36)],
}


def function(name, *bars, ids=(0x1234, 0x11E8), class_code=0xFF0000, capabilities=(), **options):
    config = ConfigSpace.type0(vendor_id=ids[0], device_id=ids[1], class_code=class_code)
    for capability in capabilities:
        config.add(capability)
    return Function(config, bars, name=name, **options)


def nvme():
    capabilities = [
        PowerManagement(),
        PciExpress(flr=True),
        Msix(vectors=17, table_bar=0, table_offset=0x2000, pba_bar=0, pba_offset=0x3000),
        Dsn(0x0123456789ABCDEF),
    ]
    bar = MemBar(0, 1 << 14, width=64)
    return function("nvme", bar, class_code=0x010802, capabilities=capabilities, intx="A")


def graphics(size):
    bars = (
        MemBar(0, size, width=64, prefetchable=True),
        MemBar(2, 1 << 14),
        IoBar(5, 128),
        Rom(size=1 << 16),
    )
    capabilities = [PciExpress(), Msi(vectors=1, maskable=False)]
    return function("graphics", *bars, class_code=0x030000, capabilities=capabilities)


def first_segment():
    """Build segment 0; what is attached to what is told by `attach`, in no particular order."""
    host = Host()
    root = host.bridge.bus
    root.attach(function("host bridge", class_code=0x060000), 0)
    root.attach(function("first", MemBar(0, 16), IoBar(1, 4), intx="A"), 2)
    root.attach(function("second", MemBar(0, 1 << 20), capabilities=[Msi(vectors=32)]), 2, 1)
    root.attach(function("fourth", capabilities=[VendorSpecific(b"data")], intx="D"), 2, 3)
    empty = RootPort(name="empty", slot=Slot(number=1, hot_plug=True))
    root.attach(empty, 3)
    disk = RootPort(name="disk port", slot=Slot(number=2))
    root.attach(disk, 4)
    disk.secondary.attach(nvme(), 0)
    fan = RootPort(name="switch port")
    root.attach(fan, 5)
    inside = switch([None, Slot(number=3), None])
    fan.secondary.attach(inside, 0)
    left, _, right = inside.downstream
    left.secondary.attach(graphics(1 << 28), 0)
    left.secondary.attach(function("sound", MemBar(0, 1 << 14), capabilities=[PciExpress()]), 0, 1)
    legacy = PciBridge(name="legacy")
    right.secondary.attach(legacy, 0)
    legacy.secondary.attach(function("modem", IoBar(0, 8), intx="C"), 31)
    deeper = PciBridge(name="deeper")
    root.attach(deeper, 30)
    for number in range(8):
        deeper.secondary.attach(function(f"uart {number}", IoBar(0, 8), intx="B"), 1, number)
    return host


def second_segment():
    host = Host(segment=1)
    port = RootPort(name="port")
    host.bridge.bus.attach(port, 0)
    port.secondary.attach(graphics(1 << 30), 0)
    return host


def by_firmware(host):
    host.enumerate()


def by_assignment(host):
    assign(host.bridge, **WINDOWS, enable=7)


@pytest.fixture(scope="module", params=[by_firmware, by_assignment], ids=lambda how: how.__name__)
def machine(request):
    hosts = first_segment(), second_segment()
    for host in hosts:
        request.param(host)
        host.check()
    return hosts


def everything(host):
    return list(host.bridge.bus.below())


# -- what the driver finds ------------------------------------------------------------------------


def test_a_scan_finds_every_function_once(machine):
    for host in machine:
        scanned = [found.bdf for found in host.scan()]
        assert sorted(scanned) == [one.bdf for one in host.bridge.functions()]
        assert sorted(scanned) == sorted(one.bdf for one in everything(host))
        assert len(set(scanned)) == len(scanned)


def test_a_scan_sees_what_was_declared(machine):
    for host in machine:
        for found in host.scan():
            function = host.bridge.function_at(found.bdf)
            declared = function.config.get(0, 4), function.config.get(8, 4) >> 8
            assert (found.device_id << 16 | found.vendor_id, found.class_code) == declared
            assert found.is_bridge is isinstance(function, Bridge)
            siblings = [
                one for one in function.bus.functions() if one.devfn >> 3 == found.bdf >> 3 & 31
            ]
            assert found.multifunction is (len(siblings) > 1)


def test_bus_numbers_nest(machine):
    for host in machine:
        for one in everything(host):
            if isinstance(one, Bridge):
                inner = [b for b in one.secondary.below() if isinstance(b, Bridge)]
                numbers = {one.secondary_number, *(b.secondary_number for b in inner)}
                assert numbers == set(
                    range(one.secondary_number, one.secondary_number + len(numbers))
                )
                assert max(numbers) <= one.subordinate_number


def test_sizing_finds_what_was_declared(machine):
    for host in machine:
        for driver in host.drivers():
            declared = {
                bar.index: (bar.declaration.kind.value, bar.size) for bar in driver.function.bars
            }
            found = {
                bar.index: (bar.kind + " prefetchable" * bar.prefetchable, bar.size)
                for bar in driver.bars()
            }
            assert found == declared


def test_every_bar_answers(machine):
    for host in machine:
        bars = [bar for one in everything(host) for bar in one.bars if bar.index != 6]
        assert [str(bar) for bar in bars if not bar.live] == []


def test_ranges_of_bars_are_disjoint(machine):
    for host in machine:
        for space in ("io", "memory"):
            ranges = sorted(
                (bar.address, bar.address + bar.size)
                for one in everything(host)
                for bar in one.bars
                if bar.index != 6 and (bar.space == "io") is (space == "io")
            )
            assert all(one[1] <= other[0] for one, other in pairwise(ranges))


def test_interrupt_lines_are_those_the_wires_lead_to(machine):
    for host in machine:
        for driver in host.drivers():
            irq = driver.function.interrupts.vector(0)
            if driver.function.intx is not None:
                irq.set_level(True)
                assert driver.intx_level
                irq.set_level(False)
                assert not driver.intx_level
        assert not any(host.interrupts.levels.values())


# -- what lspci finds -----------------------------------------------------------------------------

HEAD = re.compile(r"(\w{4}):(\w\w):(\w\w)\.(\w) (\w{4}): (\w{4}):(\w{4})")
REGION = re.compile(r"Region (\d): (Memory|I/O ports) at (\w+)(?: \((\d\d)-bit, (non-)?prefetch)?")
BUSES = re.compile(r"Bus: primary=(\w\w), secondary=(\w\w), subordinate=(\w\w)")
WINDOW = re.compile(r"(I/O|Prefetchable memory|Memory) behind bridge: (\w+)-(\w+)(.*)")
CAPABILITY = re.compile(r"Capabilities: \[(\w+)(?: v\d)?\]")


class Listed(NamedTuple):
    """One function as `lspci -D -n -vvv` shows it."""

    segment: int
    bdf: int
    class_code: int
    ids: tuple[int, int]
    text: str


def read_listing(text):
    for block in text.strip().split("\n\n"):
        segment, bus, device, number, class_code, *ids = (
            int(field, 16) for field in HEAD.match(block).groups()
        )
        yield Listed(segment, bus << 8 | device << 3 | number, class_code, tuple(ids), block)


@pytest.fixture
def lspci(machine, require_tool, tmp_path):
    """Return a caller of lspci on the dump of the machine."""
    path = tmp_path / "machine.txt"
    path.write_text(dump(*machine))
    tool = require_tool("lspci")

    def call(*options):
        command = [tool, "-F", str(path), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        return done.stdout

    return call


@pytest.fixture
def listing(machine, lspci):
    """Return pairs of a function and what lspci says of it."""
    listed = list(read_listing(lspci("-D", "-n", "-vvv")))
    plugged = {(host.bridge.segment, one.bdf): one for host in machine for one in everything(host)}
    assert {(one.segment, one.bdf) for one in listed} == plugged.keys()
    assert len(listed) == len(plugged)
    return [(plugged[one.segment, one.bdf], one) for one in listed]


def test_lspci_reads_ids_and_classes(listing):
    for plugged, listed in listing:
        vendor, device = plugged.config.get(0, 2), plugged.config.get(2, 2)
        assert listed.ids == (vendor, device)
        assert listed.class_code == plugged.config.get(8, 4) >> 16


def region_of(bar):
    """Return what lspci says of a BAR."""
    kind = bar.declaration.kind
    if kind is BarKind.IO:
        return "I/O ports", bar.address, None, None
    width = "64" if kind.value.startswith("mem64") else "32"
    return "Memory", bar.address, width, None if "prefetchable" in kind.value else "non-"


def test_lspci_reads_bars(listing):
    for plugged, listed in listing:
        found = {
            int(index): (space, int(address, 16), width, not_prefetchable)
            for index, space, address, width, not_prefetchable in (
                match.groups() for match in REGION.finditer(listed.text)
            )
        }
        assert found == {bar.index: region_of(bar) for bar in plugged.bars if bar.index != 6}
        rom = any(bar.index == 6 for bar in plugged.bars)
        assert ("Expansion ROM at" in listed.text) is rom


def test_lspci_reads_bridges(listing):
    for plugged, listed in listing:
        if not isinstance(plugged, Bridge):
            assert "behind bridge" not in listed.text
            continue
        numbers = tuple(int(field, 16) for field in BUSES.search(listed.text).groups())
        own = plugged.bdf >> 8, plugged.secondary_number, plugged.subordinate_number
        assert numbers == own
        windows = {
            kind: None if "[disabled]" in more else (int(first, 16), int(last, 16))
            for kind, first, last, more in WINDOW.findall(listed.text)
        }
        assert windows == {
            "I/O": plugged.io_window,
            "Memory": plugged.memory_window,
            "Prefetchable memory": plugged.prefetchable_window,
        }


def test_lspci_reads_pins(listing):
    for plugged, listed in listing:
        pin = re.search(r"Interrupt: pin (\w)", listed.text)
        assert (pin and pin[1]) == plugged.intx


def test_lspci_and_the_driver_walk_the_same_lists(machine, listing):
    scanned = {(host.bridge.segment, one.bdf): one for host in machine for one in host.scan()}
    for _, listed in listing:
        found = scanned[listed.segment, listed.bdf]
        offsets = [int(offset, 16) for offset in CAPABILITY.findall(listed.text)]
        conventional = [offset for _, offset in found.capabilities]
        extended = [offset for _, offset in found.extended_capabilities]
        assert offsets == conventional + extended


def text_of(listing, name):
    [text] = [listed.text for plugged, listed in listing if plugged.name == name]
    return text


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("nvme", ["MSI-X: Enable- Count=17 Masked-", "BAR=0 offset=00002000", "FLReset+"]),
        ("nvme", ["BAR=0 offset=00003000", "Device Serial Number 01-23-45-67-89-ab-cd-ef"]),
        ("nvme", ["Express (v2) Endpoint", "Power Management version 3"]),
        ("second", ["MSI: Enable- Count=1/32"]),
        ("empty", ["Root Port (Slot+)", "HotPlug+", "Slot #1", "PresDet-"]),
        ("disk port", ["Root Port (Slot+)", "HotPlug-", "Slot #2", "PresDet+"]),
        ("switch", ["Upstream Port"]),
        ("switch.0", ["Downstream Port (Slot-)"]),
        ("switch.1", ["Downstream Port (Slot+)", "Slot #3"]),
    ],
)
def test_lspci_reads_what_was_declared(listing, name, fields):
    # A line that is wrapped by one version and not by another is one line here.
    text = " ".join(text_of(listing, name).replace(",", " ").split())
    assert [field for field in fields if field not in text] == []


TREE_TOKEN = re.compile(r"\[(?:(\w{4}):)?(\w\w)(?:-\w\w)?\]|\b(\w\w)\.([0-7])\b")


def read_tree(text):
    """Yield the segment and bdf of what `lspci -t` draws: a bus is left of what is on it."""
    buses: list[tuple[int, int]] = []
    segment = 0
    for line in text.splitlines():
        for token in TREE_TOKEN.finditer(line):
            buses = [(column, bus) for column, bus in buses if column < token.start()]
            domain, bus, device, number = token.groups()
            if bus is not None:
                buses.append((token.start(), int(bus, 16)))
                segment = segment if domain is None else int(domain, 16)
            else:
                yield segment, buses[-1][1] << 8 | int(device, 16) << 3 | int(number)


def test_lspci_draws_the_same_tree(machine, lspci):
    drawn = list(read_tree(lspci("-t")))
    plugged = [(host.bridge.segment, one.bdf) for host in machine for one in everything(host)]
    assert sorted(drawn) == sorted(plugged)


# -- the capabilities that drivers look for -------------------------------------------------------


def test_drivers_find_capabilities(machine):
    [disk] = [one for one in machine[0].drivers() if one.function.name == "nvme"]
    for cap_id in (
        CapabilityId.POWER_MANAGEMENT,
        CapabilityId.PCI_EXPRESS,
        CapabilityId.MSIX,
    ):
        offset = disk.capability(cap_id)
        assert disk.config.read8(offset) == cap_id
    assert disk.capability(CapabilityId.MSI) is None
    serial = disk.extended_capability(ExtendedCapabilityId.DSN)
    assert disk.config.read32(serial + 4) == 0x89AB_CDEF


def test_cf8_and_ecam_find_the_same():
    by_ecam, by_cf8 = Host(), Host(config="cf8")
    for host in (by_ecam, by_cf8):
        port = host.plug(RootPort(name="port"))
        host.plug(nvme(), behind=port)
    one, other = ([found.bdf for found in host.scan()] for host in (by_ecam, by_cf8))
    assert one == other
    for ecam, cf8 in zip(by_ecam.drivers(), by_cf8.drivers(), strict=True):
        assert ecam.config.bytes(256) == cf8.config.bytes(256)
