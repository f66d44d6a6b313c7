# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""BARs: what may be declared, and what handlers get to see of accesses."""

from __future__ import annotations

import pytest

from pci.machine import Machine, label
from vmmkit.errors import ConfigSpaceError, DeclarationError, TopologyError
from vmmkit.pci.bars import IoBar, MemBar, Rom
from vmmkit.pci.capabilities.msix import Msix
from vmmkit.pci.config import ConfigSpace
from vmmkit.pci.function import Function

BASE = 0xC000_0000
PAGE = 0x1000


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MemBar(0, 8), "size is a power of two from 16"),
        (lambda: MemBar(0, 0x1800), "size is a power of two"),
        (lambda: MemBar(0, 1 << 32), "to 0x80000000"),
        (lambda: MemBar(6, 16), "no such BAR"),
        (lambda: MemBar(-1, 16), "no such BAR"),
        (lambda: MemBar(5, 16, width=64), "64 bits take two"),
        (lambda: MemBar(0, 16, width=16), "width is 32 or 64"),
        (lambda: MemBar(0, 16, ram=True), "at least 4096 bytes"),
        (lambda: MemBar(0, PAGE, traps=((0, PAGE),)), "traps are for RAM-backed"),
        (lambda: MemBar(0, PAGE, ram=True, traps=((0, 16),)), "no pages of this BAR"),
        (lambda: MemBar(0, PAGE, ram=True, traps=((PAGE, PAGE),)), "no pages of this BAR"),
        (lambda: MemBar(0, PAGE, ram=True, traps=((0, 0),)), "no pages of this BAR"),
        (lambda: MemBar(0, 16, min_width=3), "widths are among"),
        (lambda: MemBar(0, 16, min_width=4, max_width=2), "min_width 4 exceeds max_width 2"),
        (lambda: MemBar(0, 16, too_wide="maybe", name="regs"), "regs .index 0.: too_wide"),
        (lambda: IoBar(0, 2), "from 4 to 0x100"),
        (lambda: IoBar(0, 512), "from 4 to 0x100"),
        (lambda: IoBar(6, 16), "indexes are 0-5"),
        (lambda: Rom(size=1024), "from 2048"),
        (lambda: Rom(bytes(4096), 2048), "exceeds 0x800"),
    ],
)
def test_declarations_that_no_device_could_have(make, words):
    with pytest.raises(DeclarationError, match=words):
        make()


def test_bars_of_one_function_that_want_one_register():
    with pytest.raises(ConfigSpaceError, match="BAR 1"):
        Machine().plug(1, MemBar(0, 16, width=64), MemBar(1, 16))


@pytest.mark.parametrize("ram", [bytearray(PAGE - 1), bytes(PAGE)])
def test_ram_of_another_length_or_read_only(ram):
    with pytest.raises(DeclarationError, match="ram is a writable buffer of 0x1000 bytes"):
        Machine().plug(1, MemBar(0, PAGE, ram=ram))


def test_a_bar_is_found_by_its_index():
    dev = Machine().plug(1, MemBar(2, 16), IoBar(0, 16), Rom())
    assert [bar.index for bar in dev.bars] == [0, 2, 6]
    assert dev.bar(6).space == "rom"
    with pytest.raises(TopologyError, match="has no BAR 1"):
        dev.bar(1)


def placed(*bars, command=7, capabilities=(), **options):
    """A machine with one device, whose first BAR is at BASE, or port 2000H, and decodes."""
    machine = Machine()
    dev = machine.plug(1, *bars, capabilities=capabilities, **options)
    for bar in dev.bars:
        base = 0x2000 if bar.space == "io" else BASE + (bar.index << 24) + (bar.index == 6)
        machine.write(dev, bar.offset, 4, base)
    machine.write(dev, 4, 2, command)
    return machine, dev


def test_handlers_hear_offsets_and_the_bar():
    heard = []

    def read(vcpu, bar, offset, size):
        heard.append((vcpu, bar, offset, size))
        return 0xAB

    def write(vcpu, bar, offset, size, value):
        heard.append((vcpu, bar, offset, size, value))

    machine, _ = placed(MemBar(0, 16), IoBar(1, 16), read=read, write=write)
    assert machine.memory.read(BASE + 4, 2) == 0xAB
    machine.ports.write(0x2003, 1, 0x77)
    assert heard == [("cpu0", 0, 4, 2), ("cpu0", 1, 3, 1, 0x77)]


def test_a_subclass_may_have_methods_instead():
    class Device(Function):
        def read(self, vcpu, bar, offset, size):
            return offset

    machine = Machine()
    dev = Device(ConfigSpace.type0(vendor_id=1, device_id=1, class_code=0), [MemBar(0, 64)])
    machine.host.bus.attach(dev, 1)
    machine.write(dev, 0x10, 4, BASE)
    machine.write(dev, 4, 2, 2)
    assert machine.memory.read(BASE + 9, 1) == 9
    machine.memory.write(BASE, 4, 1)  # no method for it: dropped


def test_a_bars_own_callables_go_before_the_functions():
    machine, _ = placed(
        MemBar(0, 16, read=label(1)), MemBar(1, 16), read=lambda _v, bar, _o, _s: 0x10 + bar
    )
    assert machine.memory.read(BASE, 1) == 1
    assert machine.memory.read(BASE + (1 << 24), 1) == 0x11


def test_without_callables_there_are_ones():
    machine, _ = placed(MemBar(0, 16), IoBar(1, 4))
    machine.memory.write(BASE, 4, 0)
    machine.ports.write(0x2000, 4, 0)
    assert machine.memory.read(BASE, 4) == machine.ports.read(0x2000, 4) == 0xFFFF_FFFF


@pytest.mark.parametrize(
    ("options", "access", "seen", "value"),
    [
        ({}, (0, 8), [(0, 8)], 0x0706_0504_0302_0100),
        ({"max_width": 4}, (0, 8), [(0, 4), (4, 4)], 0x0706_0504_0302_0100),
        ({"max_width": 2}, (4, 8), [(4, 2), (6, 2), (8, 2), (10, 2)], 0x0B0A_0908_0706_0504),
        ({"max_width": 4, "too_wide": "ones"}, (0, 8), [], (1 << 64) - 1),
        ({"min_width": 4}, (0, 2), [], 0xFFFF),
        ({"min_width": 4}, (4, 4), [(4, 4)], 0x0706_0504),
        ({"min_width": 4, "max_width": 4}, (8, 8), [(8, 4), (12, 4)], 0x0F0E_0D0C_0B0A_0908),
        ({"max_width": 1}, (3, 2), [(3, 1), (4, 1)], 0x0403),
    ],
)
def test_widths(options, access, seen, value):
    heard, wrote = [], []

    def read(_vcpu, offset, size):
        heard.append((offset, size))
        return int.from_bytes(bytes(range(offset, offset + size)), "little") | 1 << 100

    def write(_vcpu, offset, size, value):
        wrote.append((offset, size, value))

    machine, _ = placed(MemBar(0, 64, read=read, write=write, **options))
    offset, size = access
    assert machine.memory.read(BASE + offset, size) == value
    assert heard == seen
    machine.memory.write(BASE + offset, size, value)
    assert [part[:2] for part in wrote] == seen
    assert all(part == value >> 8 * (at - offset) & (1 << 8 * n) - 1 for at, n, part in wrote)


def test_io_widths_are_split_too():
    heard = []
    machine, _ = placed(
        IoBar(0, 8, max_width=1, read=lambda _v, at, size: heard.append((at, size)) or at)
    )
    assert machine.ports.read(0x2004, 4) == 0x07060504
    assert heard == [(4, 1), (5, 1), (6, 1), (7, 1)]


def test_ram_with_trapped_pages():
    memory = bytearray(4 * PAGE)
    wrote = []
    machine, dev = placed(
        MemBar(
            0,
            4 * PAGE,
            ram=memory,
            traps=((PAGE, PAGE),),
            read=lambda _v, at, _s: at,
            write=lambda *access: wrote.append(access[1:]),
        )
    )
    machine.memory.write(BASE + 8, 4, 0xCAFE)
    assert memory[8:10] == b"\xfe\xca"
    assert machine.memory.read(BASE + PAGE + 4, 4) == PAGE + 4
    machine.memory.write(BASE + 2 * PAGE - 2, 2, 5)
    assert wrote == [(2 * PAGE - 2, 2, 5)]
    kinds = [(region.kind, region.size) for region in machine.mmio.conflicts(BASE, 4 * PAGE)]
    assert kinds == [("ram", PAGE), ("device", PAGE), ("ram", 2 * PAGE)]
    assert dev.bar(0).buffer.obj is memory
    machine.check()


def test_trapped_pages_without_handlers_are_memory_all_the_same():
    machine, dev = placed(MemBar(0, 2 * PAGE, ram=True, traps=((0, PAGE),)))
    machine.memory.write(BASE + 16, 4, 0x1234)
    assert machine.memory.read(BASE + 16, 4) == 0x1234
    assert dev.bar(0).buffer[16:18] == b"\x34\x12"


def test_an_msix_table_is_served_where_it_lies():
    msix = Msix(vectors=4, table_bar=0, table_offset=0x800, pba_bar=0, pba_offset=0xC00)
    heard = []
    machine, dev = placed(
        MemBar(0, 2 * PAGE, read=lambda _v, at, _s: heard.append(at) or 5), capabilities=[msix]
    )
    assert machine.memory.read(BASE + 0x80C, 4) == 1  # masked
    machine.memory.write(BASE + 0x80C, 4, 0)
    assert machine.memory.read(BASE + 0x80C, 4) == 0
    assert machine.memory.read(BASE + 0xC00, 8) == 0
    assert [machine.memory.read(BASE + at, 1) for at in (0x7FF, 0x840, 0xC08)] == [5, 5, 5]
    assert heard == [0x7FF, 0x840, 0xC08]
    assert len(machine.mmio.conflicts(BASE, 2 * PAGE)) == 5
    machine.check()
    machine.write(dev, 0x10, 4, 0xD000_0000)
    assert machine.memory.read(0xD000_080C, 4) == 0
    machine.check()


def test_an_msix_table_in_ram_traps_its_page():
    msix = Msix(vectors=2, table_bar=0, table_offset=PAGE + 0x10, pba_bar=0, pba_offset=PAGE)
    machine, _ = placed(MemBar(0, 4 * PAGE, ram=True), capabilities=[msix])
    machine.memory.write(BASE + PAGE + 0x800, 4, 77)  # beside the table, still memory
    assert machine.memory.read(BASE + PAGE + 0x800, 4) == 77
    assert machine.memory.read(BASE + PAGE + 0x1C, 4) == 1
    machine.memory.read(BASE, 1)
    regions = machine.mmio.conflicts(BASE, 4 * PAGE)
    assert [region.kind for region in regions] == [
        "ram",
        "device",
        "device",
        "device",
        "device",
        "ram",
    ]
    machine.check()


def test_a_rom_answers_when_both_enables_are_set():
    machine, dev = placed(Rom(b"\x55\xaa"))
    base = BASE + (6 << 24)
    assert machine.memory.read(base, 4) == 0xFFFF_AA55
    machine.memory.write(base, 4, 0)
    assert machine.memory.read(base, 2) == 0xAA55
    assert machine.slots == [("added", "Told ROM")]
    machine.write(dev, 0x30, 4, base)
    assert machine.memory.read(base, 2) == 0xFFFF
    machine.write(dev, 0x30, 4, base | 1)
    machine.write(dev, 4, 2, 0)
    assert machine.memory.read(base, 2) == 0xFFFF


def test_a_rom_by_callable():
    machine, dev = placed(Rom(size=0x1000, read=lambda _v, at, _s: at))
    assert machine.memory.read(BASE + (6 << 24) + 0x123, 2) == 0x123
    assert dev.bar(6).buffer is None


def test_lazy_ram_becomes_ram_when_touched_and_trapped_when_decoding_ends():
    machine, dev = placed(MemBar(0, PAGE, ram=True))
    assert machine.mmio.find(BASE).buffer is None
    assert machine.memory.read(BASE, 8) == 0
    assert machine.mmio.find(BASE).buffer is not None
    machine.write(dev, 0x10, 4, 0xD000_0000)  # moves as RAM: it is in use
    machine.write(dev, 4, 2, 0)
    machine.write(dev, 4, 2, 2)
    assert machine.mmio.find(0xD000_0000).buffer is None
    assert machine.slots == [
        ("added", "Told BAR0"),
        ("moved", "Told BAR0"),
        ("removed", "Told BAR0"),
    ]


def test_ram_that_is_not_lazy():
    machine, dev = placed(MemBar(0, PAGE, ram=True, lazy=False))
    assert machine.slots == [("added", "Told BAR0")]
    machine.write(dev, 4, 2, 0)
    assert machine.slots[1:] == [("removed", "Told BAR0")]
    machine.check()


def test_one_declaration_serves_several_functions():
    bar = MemBar(0, PAGE, ram=True)
    machine = Machine()
    one, two = machine.plug(1, bar), machine.plug(2, bar)
    one.bar(0).buffer[0] = 1
    assert two.bar(0).buffer[0] == 0
