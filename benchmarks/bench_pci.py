# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What PCI costs: config accesses, probing, moving BARs, registers, interrupts.

Run with `pytest benchmarks/bench_pci.py -o python_files='bench_*.py'`. Everything goes the way a
guest's access goes, through the port of an address map; the loop is inside of what is measured.

Declared registers are compared with what an author would write by hand: one BAR whose two
handlers are chains of `if`. Both are BARs of one host in one map. Before each round the chain is
timed as well, and the ratio is the median over the rounds, so a busy neighbour does not decide.
"""

from statistics import median
from time import perf_counter

import pytest

from vmmkit.pci.bars import MemBar
from vmmkit.pci.bridge import Bridge
from vmmkit.pci.capabilities import Msi, Msix
from vmmkit.pci.config import ConfigSpace
from vmmkit.pci.device import PciDevice
from vmmkit.pci.function import Function
from vmmkit.pci.registers import Reg
from vmmkit.pci.testing import CollectedInterrupts, Host
from vmmkit.pci.testing.firmware import Firmware

ROUNDS = 30
ACCESSES = range(5_000)
MOVES = range(200)

CONFIG = "PCI configuration accesses"
PROBING = "PCI enumeration, per probe"
MOVING = "PCI: a BAR moves while decoding is on"
TOGGLING = "PCI: decoding is switched off and on"
REGISTERS = "PCI registers, from port to value"
INTERRUPTS = "PCI interrupts"


def measure(benchmark, run, operations, label, group, *, beside=None, rounds=ROUNDS, **notes):
    """Measure one row; with `beside`, another thing to do, as ratios to that, timed in turns."""
    floors = []

    def before_round():
        if beside is not None:
            start = perf_counter()
            beside()
            floors.append(perf_counter() - start)

    run()
    benchmark.group = group
    benchmark.pedantic(run, setup=before_round, rounds=rounds, warmup_rounds=1)
    if beside is not None:
        times = benchmark.stats.stats.data
        pairs = zip(times, floors[-len(times) :], strict=True)
        notes["ratio"] = median(one / other for one, other in pairs)
    benchmark.extra_info.update(label=label, operations=operations, **notes)


def function(*bars, capabilities=(), **options):
    config = ConfigSpace.type0(vendor_id=0x1234, device_id=0x11E8, class_code=0xFF0000)
    for capability in capabilities:
        config.add(capability)
    return Function(config, bars, **options)


# -- config ---------------------------------------------------------------------------------------

INTERRUPT_LINE = 0x3C
ECAM = 0xE000_0000


def config_host():
    host = Host()
    host.plug(function(MemBar(0, 4096)))
    return host


def test_config_space(benchmark):
    """The space alone, which the others are compared with."""
    read = function().config.read

    def run():
        for _ in ACCESSES:
            read(0, 4)

    measure(benchmark, run, len(ACCESSES), "ConfigSpace.read", CONFIG, floor=True)


@pytest.mark.parametrize("slot", [1, 2], ids=["hit", "miss"])
def test_ecam_read(benchmark, slot):
    read, address = config_host().port.read, ECAM + (slot << 15)

    def run():
        for _ in ACCESSES:
            read(address, 4)

    where = "hit" if slot == 1 else "miss"
    measure(benchmark, run, len(ACCESSES), f"read through ECAM, {where}", CONFIG)


@pytest.mark.parametrize("slot", [1, 2], ids=["hit", "miss"])
def test_ecam_write(benchmark, slot):
    write, address = config_host().port.write, ECAM + (slot << 15) + INTERRUPT_LINE

    def run():
        for number in ACCESSES:
            write(address, 1, number)

    where = "hit" if slot == 1 else "miss"
    measure(benchmark, run, len(ACCESSES), f"write through ECAM, {where}", CONFIG)


@pytest.mark.parametrize("slot", [1, 2], ids=["hit", "miss"])
def test_cf8_read(benchmark, slot):
    port = config_host().io_port
    read, write, latch = port.read, port.write, 1 << 31 | slot << 11

    def run():
        for _ in ACCESSES:
            write(0xCF8, 4, latch)
            read(0xCFC, 4)

    where = "hit" if slot == 1 else "miss"
    measure(benchmark, run, len(ACCESSES), f"CF8 + read of CFC, {where}", CONFIG)


def test_cf8_write(benchmark):
    write, latch = config_host().io_port.write, 1 << 31 | 1 << 11 | INTERRUPT_LINE

    def run():
        for number in ACCESSES:
            write(0xCF8, 4, latch)
            write(0xCFC, 1, number)

    measure(benchmark, run, len(ACCESSES), "CF8 + write of CFC, hit", CONFIG)


# -- enumeration ----------------------------------------------------------------------------------


def full_bus():
    host = Host()
    for slot in range(1, 32):
        for number in range(8):
            host.bridge.bus.attach(function(), slot, number)
    return host


def all_buses():
    """A chain of bridges, so that each of 256 bus numbers is in use."""
    host = Host()
    bus = host.bridge.bus
    for _ in range(255):
        bridge = Bridge(ConfigSpace.type1(vendor_id=1, device_id=1, class_code=0x060400))
        bus.attach(bridge, 0)
        bus = bridge.secondary
    Firmware(host.config).run()
    return host


@pytest.mark.parametrize(("make", "buses"), [(full_bus, 1), (all_buses, 256)])
@pytest.mark.parametrize("way", ["ECAM", "CF8"])
def test_probe(benchmark, make, buses, way):
    host = make()
    bdfs = range(buses << 8)

    def by_ecam():
        read = host.port.read
        for bdf in bdfs:
            read(ECAM + (bdf << 12), 4)

    def by_cf8():
        read, write = host.io_port.read, host.io_port.write
        for bdf in bdfs:
            write(0xCF8, 4, 1 << 31 | bdf << 8)
            read(0xCFC, 4)

    run = by_ecam if way == "ECAM" else by_cf8
    present = sum(1 for _ in host.bridge.functions())
    label = f"{len(bdfs):_} probes, {present} answered, through {way}".replace("_", " ")
    measure(benchmark, run, len(bdfs), label, PROBING, rounds=5 if buses > 1 else ROUNDS)


# -- BARs that move -------------------------------------------------------------------------------

BAR0 = 0x10
FIRST = 0xC000_0000
SPARE = 0xD000_0000


def answer(vcpu, offset, size):
    return 0


def host_with_bars(count, bar):
    """Make a host whose last function has `bar`, and the others together `count` BARs."""
    host = Host()
    for number in range(0, count, 5):
        bars = [MemBar(index, 4096, read=answer) for index in range(min(5, count - number))]
        added = function(*bars)
        host.bridge.bus.attach(added, 1 + (number // 5 >> 3), number // 5 & 7)
        for index in range(len(bars)):
            host.config.write(added.bdf, BAR0 + 4 * index, 4, FIRST + (number + index) * 0x2000)
        host.config.write(added.bdf, 4, 2, 2)
    mover = function(bar)
    host.bridge.bus.attach(mover, 31, 7)
    host.config.write(mover.bdf, BAR0, 4, SPARE)
    host.config.write(mover.bdf, 4, 2, 2)
    return host, mover


@pytest.mark.parametrize("count", [10, 1_000])
@pytest.mark.parametrize("kind", ["trapped", "RAM-backed"])
def test_move(benchmark, kind, count):
    bar = MemBar(0, 4096, read=answer)
    if kind == "RAM-backed":
        bar = MemBar(0, 1 << 16, ram=True, lazy=False)
    host, mover = host_with_bars(count, bar)
    few, few_mover = host_with_bars(10, bar)

    def move(host, mover):
        write, address = host.port.write, ECAM + (mover.bdf << 12) + BAR0
        for step in MOVES:
            write(address, 4, SPARE + ((step & 1) + 1 << 20))

    assert mover.bars[0].live
    label = f"{kind}, beside {count:_} others".replace("_", " ")
    measure(
        benchmark,
        lambda: move(host, mover),
        len(MOVES),
        label,
        MOVING,
        beside=lambda: move(few, few_mover),
        hold=2.0,
    )


TOGGLES = {
    "trapped": MemBar(0, 1 << 16, read=answer),
    "RAM-backed, not touched": MemBar(0, 1 << 16, ram=True),
    "RAM-backed, lazy=False": MemBar(0, 1 << 16, ram=True, lazy=False),
}


@pytest.mark.parametrize("kind", TOGGLES)
def test_toggle(benchmark, kind):
    """What an operating system does seven times to each function, for each of its BARs."""
    host, mover = host_with_bars(10, TOGGLES[kind])
    write, command = host.port.write, ECAM + (mover.bdf << 12) + 4

    def run():
        for _ in MOVES:
            write(command, 2, 0)
            write(command, 2, 2)

    measure(benchmark, run, len(MOVES), f"decoding off and on, {kind}", TOGGLING)


# -- registers ------------------------------------------------------------------------------------


class Declared(PciDevice):
    """Registers as in the teaching device."""

    vendor_id, device_id = 0x1234, 0x11E8
    regs = MemBar(0, 4096)
    ident = Reg(0x00, "ro", reset=0x0100_00ED)
    live = Reg(0x04)
    number = Reg(0x08)
    status = Reg(0x20, "ro")
    raise_when_done = status.field(7, "rw")
    irq_status = Reg(0x24, "ro")
    irq_raise = Reg(0x60, "wo")
    irq_ack = Reg(0x64, "w1c")

    @live.on_write
    def _invert(self, old, new):
        self.live = ~new


class Chain:
    """The same by hand: it takes dwords only, and knows neither tracing nor snapshots."""

    def __init__(self):
        self.live = self.number = self.status = self.irq_status = 0

    def read(self, vcpu, offset, size):
        if size != 4:
            return 0xFFFF_FFFF
        if offset == 0x00:
            return 0x0100_00ED
        if offset == 0x04:
            return self.live
        if offset == 0x08:
            return self.number
        if offset == 0x20:
            return self.status
        if offset == 0x24:
            return self.irq_status
        return 0xFFFF_FFFF

    def write(self, vcpu, offset, size, value):
        if size != 4:
            return
        if offset == 0x04:
            self.live = ~value & 0xFFFF_FFFF
        elif offset == 0x08:
            self.number = value
        elif offset == 0x20:
            self.status = self.status & ~0x80 | value & 0x80
        elif offset == 0x60:
            self.irq_status |= value
        elif offset == 0x64:
            self.irq_status &= ~value


CASES = {
    "first register": [0x00],
    "last register": [0x24],
    "round robin": [0x00, 0x04, 0x08, 0x20, 0x24],
}
WRITES = {
    "plain register": [0x08],
    "register with a field": [0x20],
    "register with a hook": [0x04],
    "round robin": [0x04, 0x08, 0x20],
}


def both():
    """Return a port, and the addresses of a declared BAR and of one made by hand."""
    host = Host()
    declared = host.plug(Declared())
    chain = Chain()
    by_hand = host.plug(function(MemBar(0, 4096, read=chain.read, write=chain.write)))
    return host.port, declared.bar(0).address, by_hand.bar(0).address


def access_all(port, base, offsets, way):
    addresses = [base + offsets[number % len(offsets)] for number in ACCESSES]
    read, write = port.read, port.write

    def reads():
        for address in addresses:
            read(address, 4)

    def writes():
        for address in addresses:
            write(address, 4, 5)

    return reads if way == "read" else writes


@pytest.mark.parametrize("case", CASES)
def test_register_read(benchmark, case):
    port, declared, by_hand = both()
    run = access_all(port, declared, CASES[case], "read")
    chain = access_all(port, by_hand, CASES[case], "read")
    label = f"read, {case}"
    measure(benchmark, run, len(ACCESSES), label, REGISTERS, beside=chain, hold=2.0)


@pytest.mark.parametrize("case", WRITES)
def test_register_write(benchmark, case):
    port, declared, by_hand = both()
    run = access_all(port, declared, WRITES[case], "write")
    chain = access_all(port, by_hand, WRITES[case], "write")
    label = f"write, {case}"
    measure(benchmark, run, len(ACCESSES), label, REGISTERS, beside=chain, hold=2.0)


# -- interrupts -----------------------------------------------------------------------------------


class Forgotten(CollectedInterrupts):
    """Interrupts that nobody keeps."""

    def send_msi(self, address, data, requester):
        pass

    def set_gsi(self, gsi, level):
        pass


def interrupting(capability, bars=()):
    """Make a host with a driver whose function has a capability for interrupts, and a pin."""
    host = Host(interrupts=Forgotten())
    driver = host.plug(function(*bars, capabilities=[capability], intx="A"))
    return host, driver


def with_msix():
    msix = Msix(vectors=64, table_bar=0, pba_bar=0, pba_offset=0x800)
    host, driver = interrupting(msix, [MemBar(0, 4096)])
    driver.enable_msix()
    return host, driver


def test_pulse_msix(benchmark):
    _, driver = with_msix()
    pulse = driver.function.interrupts.vector(5).pulse

    def run():
        for _ in ACCESSES:
            pulse()

    measure(benchmark, run, len(ACCESSES), "pulse, MSI-X, unmasked", INTERRUPTS)


def test_pulse_msi(benchmark):
    _, driver = interrupting(Msi(vectors=4))
    driver.enable_msi()
    pulse = driver.function.interrupts.vector(3).pulse

    def run():
        for _ in ACCESSES:
            pulse()

    measure(benchmark, run, len(ACCESSES), "pulse, MSI, unmasked", INTERRUPTS)


def test_intx(benchmark):
    _, driver = interrupting(Msi())
    set_level = driver.function.interrupts.vector(0).set_level

    def run():
        for _ in ACCESSES:
            set_level(True)
            set_level(False)

    measure(benchmark, run, len(ACCESSES), "INTx up and down", INTERRUPTS)


def test_masked(benchmark):
    host, driver = with_msix()
    pulse, write = driver.function.interrupts.vector(5).pulse, host.port.write
    mask = driver.bar(0).address + 5 * 16 + 12

    def run():
        for _ in ACCESSES:
            write(mask, 4, 1)
            pulse()
            write(mask, 4, 0)

    label = "mask, pulse, unmask: one message, MSI-X"
    measure(benchmark, run, len(ACCESSES), label, INTERRUPTS)


def test_mask_rate(benchmark):
    host, driver = with_msix()
    write, mask = host.port.write, driver.bar(0).address + 5 * 16 + 12

    def run():
        for _ in ACCESSES:
            write(mask, 4, 1)
            write(mask, 4, 0)

    label = "mask or unmask, MSI-X, through a port"
    measure(benchmark, run, 2 * len(ACCESSES), label, INTERRUPTS, rate=True, hold_rate=1.0)
