# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Whatever guest and owner do in whatever order: who answers is what a naive model says."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pci.model import ModelBar, ModelFunction, answer_at, answers, routes
from vmmkit.errors import OverlapError
from vmmkit.memregion import IMMUTABLE, RegionMap
from vmmkit.pci.bars import IoBar, MemBar, Rom
from vmmkit.pci.bridge import Bridge
from vmmkit.pci.capabilities.express import PciExpress
from vmmkit.pci.capabilities.power import PowerManagement
from vmmkit.pci.config import ConfigSpace, ResetKind
from vmmkit.pci.function import Function
from vmmkit.pci.host_bridge import HostBridge
from vmmkit.pci.spec import PortType

ECAM = 0xE000_0000
MIB = 1 << 20
LAST_BUS = 15
BASES = [
    *(k * MIB + page * 0x1000 for k in (4, 5, 6) for page in (0, 1, 2, 4)),
    0,
    0xA_0000,
    0xFFFF_F000,
    0xFFFF_FFFF,
    ECAM,
]
HIGHS = [0, 0, 0, 1, 0xFFFF_FFFF]
PORTS = [0, 0x1000, 0x1010, 0x1020, 0x1100, 0x13C0, 0x2000, 0x2010, 0xFFFF_FFFF]
PROBES = sorted(
    {
        base + high * (1 << 32) + at
        for base in BASES[:-5]
        for high in (0, 1)
        for at in (0, 0x7F0, 0xFFF)
    }
    | {0xA_0000, 0xFFFF_F000, 0x1000, 7 * MIB, 8 * MIB - 1}
)
PORT_PROBES = sorted({port + at for port in PORTS[1:-1] for at in (0, 15, 16, 31)})


def config0(number, *, pm=False, flr=False):
    config = ConfigSpace.type0(vendor_id=0x1234, device_id=number, class_code=0xFF0000)
    if pm:
        config.add(PowerManagement(d1=True, no_soft_reset=number % 2 == 0))
    if flr:
        config.add(PciExpress(port_type=PortType.ENDPOINT, flr=True))
    return config


def config1(number, *, pm=False):
    config = ConfigSpace.type1(vendor_id=0x1234, device_id=number)
    if pm:
        config.add(PowerManagement(no_soft_reset=False))
    return config


A0_BARS = ["m32:0:1000", "io:1:10", "m64ram:2:4000", "rom"]
C0_BARS = ["m32:0:1000", "io:1:10", "m64:2:2000"]
#: name: (parent, devfn, config, declarations); what answers is told apart by the label.
SHAPE = {
    "a0": (None, 0x18, lambda: config0(1, pm=True), A0_BARS),
    "a1": (None, 0x19, lambda: config0(2, flr=True), ["m32:0:2000", "m64:2:1000", "io:4:20"]),
    "big": (None, 0x40, lambda: config0(3), ["m64:0:100000", "m32:2:10", "m32ram:3:1000"]),
    "br": (None, 0x20, lambda: config1(4, pm=True), ["m32:0:1000", "rom"]),
    "c0": ("br", 0x00, lambda: config0(5, pm=True, flr=True), C0_BARS),
    "sub": ("br", 0x08, lambda: config1(6), []),
    "d0": ("sub", 0x10, lambda: config0(7), ["m32:0:1000", "io:1:10", "rom"]),
    "br2": (None, 0x30, lambda: config1(8), []),
    "e0": ("br2", 0x00, lambda: config0(9), ["m32:0:1000"]),
}  # fmt: skip

BRIDGES = ["br", "sub", "br2"]
WINDOW_WRITES = [
    *((0x20, 4, value) for value in (0x0060_0040, 0x0040_0050)),
    *((0x20, 2, 0x0050), (0x22, 2, 0x0040), (0x24, 4, 0x0041_0041)),
    *((0x28, 4, 1), (0x2C, 4, 1), (0x28, 8, 0)),
    *((0x1C, 2, 0x1010), (0x1C, 2, 0x2010), (0x1C, 1, 0x20), (0x1D, 1, 0xF0)),
    *((0x3E, 2, value) for value in (0x40, 0, 0x0C, 0x04)),
    (0x3E, 1, 0x1C),
]
NUMBERS = [0x03_01_00, 0x04_02_00, 0x02_02_01, 0x03_03_01, 0x04_04_00, 0, 0x01_00_00]
LABELS = sum(len(texts) for _, _, _, texts in SHAPE.values())


def declaration(text, label):
    def read(_vcpu, _offset, _size):
        return label

    if text == "rom":
        return Rom(bytes([label]) * 0x800), ModelBar(6, 0x800, "rom", label)
    kind, index, size = text.split(":")
    index, size = int(index), int(size, 16)
    if kind == "io":
        return IoBar(index, size, read=read), ModelBar(index, size, "io", label)
    width = 64 if kind.startswith("m64") else 32
    ram = bytearray([label]) * size if kind.endswith("ram") else False
    made = MemBar(index, size, width=width, ram=ram, read=None if ram else read)
    return made, ModelBar(index, size, f"mem{width}", label)


class Told:
    """Keeps where its BARs are by what it is told alone."""

    def on_mapped(self, bar):
        assert str(bar) not in self.told
        self.told[str(bar)] = bar.mapped_at

    def on_unmapped(self, bar):
        del self.told[str(bar)]

    def on_moved(self, bar, old_base):
        assert self.told[str(bar)] == old_base
        self.told[str(bar)] = bar.mapped_at


class ToldFunction(Told, Function):
    """A function that keeps it."""


class ToldBridge(Told, Bridge):
    """A bridge that keeps it."""


class Machine(RuleBasedStateMachine):
    @initialize()
    def build(self):
        self.mmio = RegionMap(address_bits=40, name="memory")
        self.pio = RegionMap(address_bits=16, name="ports", access_sizes=(1, 2, 4))
        self.host = HostBridge(self.mmio, self.pio, last_bus=LAST_BUS)
        self.mmio.add(ECAM, self.host.ecam.size, self.host.ecam, name="ecam", flags=IMMUTABLE)
        self.pio.add(0xCF8, 8, self.host.config_ports, name="config")
        self.memory, self.ports = self.mmio.port("cpu"), self.pio.port("cpu")
        self.mmio.add_fallback(0, 1 << 40)
        self.pio.add_fallback(0, 1 << 16)
        self.foreign = {}
        self.functions, self.models = {}, {}
        self.told = {}
        label = 0
        for name, (parent, devfn, config, texts) in SHAPE.items():
            space = config()
            made = []
            for text in texts:
                label += 1
                made.append(declaration(text, label))
            is_bridge = space.header_type == 1
            maker = ToldBridge if is_bridge else ToldFunction
            self.functions[name] = maker(space, [one for one, _ in made], name=name)
            self.functions[name].told = self.told
            self.models[name] = ModelFunction(
                name, space.read, devfn, [one for _, one in made], self.models.get(parent)
            )
            self.attach(name)
        self.bars = {
            bar.label: (name, bar) for name, model in self.models.items() for bar in model.bars
        }
        self.boot()
        for at, label in enumerate(self.bars):
            self.place(label, BASES[at % 12], 0, PORTS[1 + at % 6])
        self.snapshot = self.host.snapshot()

    @rule()
    def boot(self):
        """Do what firmware does first: number buses, open windows, enable decoding."""
        for name, numbers in (("br", 0x03_01_00), ("sub", 0x02_02_01), ("br2", 0x04_04_00)):
            self.poke(name, 0x3E, 2, 0)
            self.poke(name, 0x18, 4, numbers)
            for offset, value in ((0x1C, 0x1010), (0x20, 0x0060_0040), (0x24, 0x0001_FFF1)):
                self.poke(name, offset, 4, value)
        for name in SHAPE:
            self.write_command(name, 7, 2)

    @rule(
        label=st.integers(0, LABELS - 1),
        base=st.sampled_from(BASES[:12]),
        high=st.sampled_from(HIGHS[:4]),
        port=st.sampled_from(PORTS[1:-1]),
    )
    def move_bar(self, label, base, high, port):
        self.place(sorted(self.bars)[label], base, high, port)

    def bar_name(self, name, bar):
        return str(self.functions[name].bar(bar.index))

    def place(self, label, base, high, port):
        name, bar = self.bars[label]
        if bar.kind == "rom":
            self.poke(name, 0x38 if "br" in name else 0x30, 4, base | 1)
            return
        self.poke(name, 0x10 + 4 * bar.index, 4, port if bar.kind == "io" else base)
        if bar.kind == "mem64":
            self.poke(name, 0x14 + 4 * bar.index, 4, high)

    def bus_of(self, name):
        parent = SHAPE[name][0]
        return self.host.bus if parent is None else self.functions[parent].secondary

    def attach(self, name):
        devfn = SHAPE[name][1]
        self.bus_of(name).attach(self.functions[name], devfn >> 3, devfn & 7)
        self.models[name].attached = True

    def poke(self, name, offset, size, value, *, by_ports=False):
        bdf = self.functions[name].bdf
        if not by_ports or offset + size > 0x100 or (offset & 3) + size > 4:
            self.memory.write(ECAM + (bdf << 12) + offset, size, value)
            return
        self.ports.write(0xCF8, 4, 1 << 31 | bdf << 8 | offset)
        self.ports.write(0xCFC + (offset & 3), size, value)

    @rule(
        name=st.sampled_from(sorted(SHAPE)),
        index=st.integers(0, 6),
        base=st.sampled_from(BASES + PORTS),
        high=st.sampled_from(HIGHS),
        size=st.sampled_from([1, 2, 4, 4, 4, 8]),
        by_ports=st.booleans(),
    )
    def write_bar(self, name, index, base, high, size, by_ports):
        rom = 0x38 if SHAPE[name][3] and "br" in name else 0x30
        offset = rom if index == 6 else 0x10 + 4 * index
        self.poke(name, offset, size, high << 32 | base | (index == 6), by_ports=by_ports)

    @rule(
        name=st.sampled_from(sorted(SHAPE)),
        value=st.sampled_from([0, 1, 2, 3, 3, 7, 7]),
        size=st.sampled_from([1, 2, 4]),
    )
    def write_command(self, name, value, size):
        self.poke(name, 4, size, value)

    @rule(name=st.sampled_from(BRIDGES), write=st.sampled_from(WINDOW_WRITES))
    def write_window(self, name, write):
        self.poke(name, *write)

    @rule(
        name=st.sampled_from(BRIDGES),
        numbers=st.sampled_from(NUMBERS),
        size=st.sampled_from([1, 2, 4]),
        at=st.integers(0, 2),
    )
    def write_numbers(self, name, numbers, size, at):
        self.poke(name, 0x18 + at, size if at + size <= 4 else 1, numbers >> 8 * at)

    @rule(name=st.sampled_from(["a0", "br", "c0"]), state=st.integers(0, 3))
    def write_power(self, name, state):
        at = self.functions[name].config.offset_of(PowerManagement)
        self.poke(name, at + 4, 2, state)

    @rule(name=st.sampled_from(["a1", "c0"]))
    def function_level_reset(self, name):
        at = self.functions[name].config.offset_of(PciExpress)
        self.poke(name, at + 8, 2, 0x8000)

    @rule(
        name=st.sampled_from(sorted(SHAPE)),
        offset=st.integers(0, 0x103),
        size=st.sampled_from([1, 2, 4, 8]),
        value=st.integers(0, (1 << 64) - 1),
    )
    def write_anything(self, name, offset, size, value):
        self.poke(name, offset, size, value)

    @rule(name=st.sampled_from([*sorted(SHAPE), None]), kind=st.sampled_from(ResetKind))
    def reset(self, name, kind):
        if name is None:
            self.host.reset(kind)
        else:
            self.functions[name].reset(kind)

    @rule(name=st.sampled_from(sorted(SHAPE)))
    def plug_or_unplug(self, name):
        if self.models[name].attached:
            self.bus_of(name).detach(self.functions[name])
            self.models[name].attached = False
        else:
            self.attach(name)

    @rule(base=st.sampled_from(BASES[:12]), size=st.sampled_from([0x10, 0x1000, 0x3000, MIB]))
    def owner_adds_ram(self, base, size):
        try:
            self.foreign[base, size] = self.mmio.add_ram(base, bytearray(size), name="owner")
        except OverlapError:
            pass
        else:
            assert answers(self.models.values(), [(base, size)], io=False) is not None

    @rule(base=st.sampled_from(BASES[:12]), size=st.sampled_from([0x10, 0x1000, 0x3000]))
    def owner_insists(self, base, size):
        self.host.reserve(base, size)
        if all(one in self.foreign.values() for one in self.mmio.conflicts(base, size)):
            if not self.mmio.conflicts(base, size):
                self.foreign[base, size] = self.mmio.add_ram(base, bytearray(size), name="owner")
        else:
            pytest.fail("a BAR is live in a reserved range")
        self.host.unreserve(base, size)

    @rule(data=st.data())
    def owner_removes_ram(self, data):
        if self.foreign:
            place = data.draw(st.sampled_from(sorted(self.foreign)))
            self.mmio.remove(self.foreign.pop(place))

    @rule(data=st.data())
    def owner_moves_ram(self, data):
        if self.foreign:
            place = data.draw(st.sampled_from(sorted(self.foreign)))
            base = data.draw(st.sampled_from(BASES[:12]))
            region = self.foreign[place]
            try:
                region.move(base)
            except OverlapError:
                return
            del self.foreign[place]
            self.foreign[base, place[1]] = region

    @rule()
    def save(self):
        if all(model.attached for model in self.models.values()):
            self.snapshot = self.host.snapshot()

    @rule()
    def load(self):
        if all(model.attached for model in self.models.values()):
            self.host.restore(self.snapshot)

    @rule(address=st.sampled_from(PROBES), size=st.sampled_from([1, 2, 4, 8]))
    def touch(self, address, size):
        if (address & 0xFFF) + size <= 0x800:
            self.memory.read(address, size)

    @rule()
    def read_everything(self):
        placed = answers(self.models.values(), self.foreign, io=False)
        for address in PROBES:
            expected = answer_at(placed, address)
            if expected is None and self.mmio.find(address) is not None:
                continue
            assert self.memory.read(address, 1) == (0xFF if expected is None else expected)

    @invariant()
    def everything_is_in_step(self):
        if not hasattr(self, "snapshot"):
            return
        self.host._check()
        self.mmio._check()
        names = {label: self.bar_name(*bar) for label, bar in self.bars.items()}
        owners = {"owner", "ecam", "config"}
        memory = self.mmio, PROBES, [*self.foreign, (ECAM, self.host.ecam.size)], False
        ports = self.pio, PORT_PROBES, [(0xCF8, 8)], True
        for space, probes, foreign, io in (memory, ports):
            placed = answers(self.models.values(), foreign, io=io)
            for address in probes:
                expected = names.get(answer_at(placed, address))
                region = space.find(address)
                found = None if region is None or region.name in owners else region.name
                assert found == expected, (hex(address), found, expected)
        mapped = {
            str(bar): bar.mapped_at
            for function in self.functions.values()
            for bar in function.bars
            if bar.live
        }
        assert self.told == mapped
        reached = {bdf: one.name for bdf, one in self.host._functions.items()}
        assert reached == routes(list(self.models.values()), last_bus=LAST_BUS)


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
