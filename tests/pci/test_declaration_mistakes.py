# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Whatever a device's author contradicts is an error at class creation that names both parties."""

import pytest

from pci.devices import make_class
from vmmkit.errors import DeclarationError, PciError
from vmmkit.pci.bars import IoBar, MemBar, Rom
from vmmkit.pci.capabilities.msi import Msi
from vmmkit.pci.capabilities.msix import Msix
from vmmkit.pci.capabilities.power import PowerManagement
from vmmkit.pci.device import PciDevice
from vmmkit.pci.registers import Reg, RegArray
from vmmkit.pci.state import State


def fields(*declared, size=4):
    """Make the body of a class with one register and fields `f0`, `f1`, ... of it."""
    control = Reg(0, size=size)
    made = {f"f{number}": control.field(*one) for number, one in enumerate(declared)}
    return {"control": control, **made}


def hooked(register, event="on_write", names=("_hook",), **body):
    """Make the body of a class with methods that hook `register`."""

    def hook(self, old=0, new=0):
        return 0

    methods = {}
    for name in names:
        method = type(hook)(hook.__code__, hook.__globals__, name, hook.__defaults__)
        methods[name] = getattr(register, event)(method)
    return body | methods


FOREIGN = Reg(0)
OWN, HIDDEN = Reg(0), Reg(4, "wo")
BARS = {"regs": MemBar(0, 4096), "second": MemBar(1, 4096)}

# what is wrong, the class's body, and what the message names
MISTAKES = [
    ("registers overlap", {"one": Reg(0x10, size=8), "two": Reg(0x14)}, ["'one'", "'two'"]),
    ("one byte in common", {"one": Reg(0), "two": Reg(3, size=1)}, ["'one'", "'two'"]),
    ("one inside the other", {"one": Reg(0, size=8), "two": Reg(2, size=1)}, ["'one'", "'two'"]),
    (
        "array over a register",
        {"ring": RegArray(0, 8), "two": Reg(0x10)},
        ["'ring[4]'", "'two'", "'regs'"],
    ),
    (
        "arrays that meet",
        {"one": RegArray(0, 4, stride=8), "two": RegArray(12, 2, stride=12)},
        ["'one[3]'", "'two[1]'"],
    ),
    ("register beyond the BAR", {"far": Reg(0x1000)}, ["'far'", "'regs'"]),
    ("register over the end", {"far": Reg(0xFFE)}, ["'far'", "[0xffe, 0x1001]", "'regs'"]),
    ("array beyond the BAR", {"ring": RegArray(0xFF0, 5)}, ["'ring'", "[0xff0, 0x1003]", "'regs'"]),
    ("register before the BAR", {"far": Reg(-4)}, ["'far'", "'regs'"]),
    ("no BAR", {"regs": None, "lost": Reg(0)}, ["Made", "'lost'"]),
    ("undeclared BAR", {"lost": Reg(0, bar=MemBar(3, 64))}, ["'lost'", "BAR 3"]),
    ("register in a ROM", {"rom": Rom(b""), "lost": Reg(0, bar=6)}, ["'lost'", "BAR 6"]),
    (
        "register in RAM",
        {"regs": MemBar(0, 8192, ram=True, traps=((0, 4096),)), "lost": Reg(4096)},
        ["'lost'", "'regs'"],
    ),
    (
        "register in a BAR with handlers",
        {"regs": MemBar(0, 64, read=print), "lost": Reg(0, bar=0)},
        ["'lost'", "BAR 0"],
    ),
    ("access word", {"odd": Reg(0, "rx")}, ["'odd'", "'rx'"]),
    ("register size", {"odd": Reg(0, size=3)}, ["'odd'", "3 bytes"]),
    ("register reset", {"odd": Reg(0, size=1, reset=256)}, ["'odd'", "0x100"]),
    ("negative reset", {"odd": Reg(0, reset=-1)}, ["'odd'", "-0x1"]),
    ("empty array", {"ring": RegArray(0, 0)}, ["'ring'", "0 registers"]),
    ("narrow stride", {"ring": RegArray(0, 2, stride=2)}, ["'ring'", "stride of 2"]),
    ("widths", {"odd": Reg(0, widths={3})}, ["'odd'", "[3]"]),
    ("no widths", {"odd": Reg(0, widths=())}, ["'odd'", "[]"]),
    ("widths by lanes", {"odd": Reg(0, widths={4}, partial="lanes")}, ["'odd'", "[4]", "lanes"]),
    ("partial", {"odd": Reg(0, partial="raise")}, ["'odd'", "'raise'"]),
    ("fields overlap", fields(((7, 4),), ((4, 0),)), ["'f0'", "'f1'", "'control'", "bit 4"]),
    ("field outside", fields(((8, 4),), size=1), ["'f0'", "(8, 4)", "'control'", "8 bits"]),
    ("field of bit 32", fields((32,)), ["'f0'", "(32, 32)", "'control'"]),
    ("field backwards", fields(((0, 7),)), ["'f0'", "(0, 7)", "'control'"]),
    ("field's word", fields((0, "wr")), ["'f0'", "'wr'"]),
    (
        "field's reset",
        {"control": (_c := Reg(0)), "go": _c.field((3, 2), reset=4)},
        ["'go'", "'control'", "0x4", "0x3"],
    ),
    ("field of nothing", {"lost": FOREIGN.field(0)}, ["'lost'", "does not declare"]),
    ("hook of nothing", hooked(FOREIGN, own=Reg(0)), ["'_hook'", "does not declare"]),
    (
        "two hooks",
        hooked(OWN, names=("_one", "_two"), own=OWN),
        ["'_one'", "'_two'", "'own'", "writes"],
    ),
    ("hook reads of wo", hooked(HIDDEN, "on_read", hidden=HIDDEN), ["'_hook'", "'hidden'", "wo"]),
    ("two BARs", {"second": MemBar(0, 64)}, ["'regs'", "'second'", "BAR register 0"]),
    (
        "second half",
        {"regs": MemBar(0, 64, width=64), "second": IoBar(1, 16)},
        ["'regs'", "'second'", "BAR register 1"],
    ),
    (
        "second half above",
        {"regs": MemBar(2, 64), "wide": MemBar(1, 64, width=64)},
        ["'regs'", "'wide'", "BAR register 2"],
    ),
    (
        "table beyond",
        {"msix": Msix(vectors=4, table_bar=0, table_offset=0xFE0, pba_offset=0)},
        ["table [0xfe0, 0x101f]", "'msix'", "'regs'", "0xfff"],
    ),
    (
        "PBA beyond",
        {"msix": Msix(vectors=4, table_bar=0, table_offset=0)},
        ["PBA [0x1000, 0x1007]", "'msix'", "'regs'"],
    ),
    (
        "table over a register",
        {"status": Reg(0x30), "msix": Msix(vectors=4, table_bar=0, pba_offset=0x800)},
        ["table [0x0, 0x3f]", "'msix'", "'status'"],
    ),
    (
        "PBA over an array",
        {
            "ring": RegArray(0x800, 4),
            "msix": Msix(vectors=4, table_bar=0, pba_offset=0x808),
        },
        ["PBA [0x808, 0x80f]", "'msix'", "'ring[2]'"],
    ),
    (
        "table in I/O",
        {"ports": IoBar(1, 256), "msix": Msix(table_bar=1, pba_offset=0x80)},
        ["table", "'msix'", "'ports'", "I/O"],
    ),
    ("table nowhere", {"msix": Msix(table_bar=5)}, ["table", "'msix'", "BAR 5"]),
    (
        "no BAR left for the table",
        {f"b{index}": MemBar(index, 64) for index in range(1, 6)} | {"msix": Msix()},
        ["'msix'", "'regs'", "'b5'"],
    ),
    (
        "capabilities overlap",
        {"msi": Msi(), "power": PowerManagement(), "capability_offsets": {"msi": 64, "power": 68}},
        ["'power'", "'msi' at 0x40", "44h"],
    ),
    (
        "two of a kind",
        {"msi": Msi(), "again": Msi(vectors=2)},
        ["'again'", "'msi' at 0x40"],
    ),
    (
        "capability beyond",
        {"msi": Msi(), "capability_offsets": {"msi": 0xF8}},
        ["'msi'", "Msi", "f8h"],
    ),
    ("offset of nothing", {"capability_offsets": {"msi": 0x40}}, ["'msi'", "capability_offsets"]),
    ("hides a method", {"reset": Reg(0)}, ["'reset'", "PciDevice.reset"]),
    ("hides an attribute", {"bus": State(0)}, ["'bus'", "PciDevice.bus"]),
    ("hides an ID", {"revision": Reg(0)}, ["'revision'", "PciDevice.revision"]),
    ("hides a BAR method", {"read": Reg(0)}, ["'read'", "PciDevice.read"]),
    ("field as a method", {"go": (_g := Reg(0)), "write": _g.field(0)}, ["'write'", "PciDevice"]),
    ("BAR hides an attribute", {"dma": MemBar(1, 64)}, ["MemBar 'dma'", "PciDevice.dma"]),
    ("capability hides a method", {"snapshot": Msi()}, ["Msi 'snapshot'", "PciDevice.snapshot"]),
    ("private name", {"_bind": lambda self: None}, ["'_bind'", "PciDevice._bind"]),
    ("private value", {"_power": 5}, ["'_power'", "PciDevice._power"]),
    ("offset", {"odd": Reg("4")}, ["'odd'", "offset='4'"]),
    ("offset between bytes", {"odd": Reg(0.5)}, ["'odd'", "offset=0.5"]),
    ("reset of text", {"odd": Reg(0, reset="on")}, ["'odd'", "reset='on'"]),
    ("length", {"ring": RegArray(0, 1.5)}, ["'ring'", "count=1.5"]),
    ("list of words", {"odd": Reg(0, ["rw"])}, ["'odd'", "['rw']"]),
    ("BAR by name", {"lost": Reg(0, bar="regs")}, ["'lost'", "bar='regs'"]),
    ("ID", {"device_id": 0x10000}, ["device_id", "65536", "16 bits"]),
    ("negative ID", {"class_code": -1}, ["class_code", "-1", "24 bits"]),
    ("pin", {"intx": "E"}, ["intx", "'E'"]),
    ("unimplemented", {"unimplemented": "raise"}, ["unimplemented", "'raise'"]),
]


@pytest.mark.parametrize(
    ("body", "named"), [case[1:] for case in MISTAKES], ids=[case[0] for case in MISTAKES]
)
def test_mistake(body, named):
    with pytest.raises(DeclarationError) as caught:
        make_class(**body)
    message = str(caught.value)
    assert message.startswith("Made: ")
    assert [text for text in named if text not in message] == []


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: MemBar(0, 3000), ["index 0", "3000"]),
        (lambda: MemBar(6, 4096), ["index 6"]),
        (lambda: IoBar(0, 512), ["index 0", "512"]),
    ],
)
def test_bar_that_cannot_be(make, named):
    with pytest.raises(DeclarationError) as caught:
        make()
    assert [text for text in named if text not in str(caught.value)] == []


def test_state_that_cannot_be_copied():
    with pytest.raises(DeclarationError, match=r"Made: state 'busy' .*pickle"):
        make_class(busy=State(memoryview(b"")))


def test_ids_may_be_left_to_subclasses():
    base = make_class("Base", device_id=None)
    assert make_class("Whole", (base,), device_id=7)().config.get(2, 2) == 7
    with pytest.raises(DeclarationError, match=r"Base .*device_id"):
        base()


def test_mistakes_against_what_is_inherited():
    base = make_class("Base", status=Reg(0x10))
    with pytest.raises(DeclarationError, match=r"Made: registers 'wide' .* and 'status'"):
        make_class("Made", (base,), wide=Reg(0x0C, size=8))
    with pytest.raises(DeclarationError, match=r"'status' .* beyond BAR 'regs'"):
        make_class("Made", (base,), regs=MemBar(0, 16))


SIGNATURES = [
    (Reg(0), "on_write", lambda self, new: None, "(self, old, new)"),
    (Reg(0), "on_read", lambda self, size: 0, "(self)"),
    (RegArray(0, 4), "on_write", lambda self, old, new: None, "(self, index, old, new)"),
    (RegArray(0, 4), "on_read", lambda self: 0, "(self, index)"),
]


@pytest.mark.parametrize(("register", "event", "method", "arguments"), SIGNATURES)
def test_hooks_that_cannot_be_called(register, event, method, arguments):
    getattr(register, event)(method)
    with pytest.raises(DeclarationError) as caught:
        make_class(ring=register, _hook=method)
    assert [
        text for text in ("'_hook'", "'ring'", arguments) if text not in str(caught.value)
    ] == []


def test_hooks_of_fields_that_cannot_be_called():
    control = RegArray(0, 4)
    go = control.field(0)
    with pytest.raises(DeclarationError, match=r"'_go' hooks writes of 'go'"):
        make_class(control=control, go=go, _go=go.on_write(lambda self, old, new: None))


def test_hook_that_a_subclass_replaces():
    status = Reg(0)
    base = make_class("Base", status=status, _w=status.on_write(lambda self, old, new: None))
    with pytest.raises(DeclarationError, match=r"'_w' hooks writes of 'status'"):
        make_class("Made", (base,), _w=lambda self: None)
    with pytest.raises(DeclarationError, match=r"'_w' hooks writes of 'status'"):
        make_class("Made", (base,), _w=None)


def test_one_register_in_place_of_an_array():
    ring, flag = RegArray(0, 4), Reg(0x40)
    base = make_class("Base", ring=ring, busy=ring.field(0), flag=flag, up=flag.field(0))
    with pytest.raises(DeclarationError, match=r"'busy' was declared of an array, and 'ring' is"):
        make_class("Made", (base,), ring=Reg(0))
    with pytest.raises(DeclarationError, match=r"'up' was declared of one register, and 'flag'"):
        make_class("Made", (base,), flag=RegArray(0x40, 2))
    assert make_class("Made", (base,), ring=Reg(0), busy=None)().ring == 0


def test_mistakes_are_pci_errors_and_type_errors():
    assert issubclass(DeclarationError, PciError)
    assert issubclass(DeclarationError, TypeError)


def test_neighbours_are_no_mistake():
    class Tight(PciDevice):
        """Everything touches and nothing overlaps."""

        vendor_id, device_id = 0x1234, 1
        regs = MemBar(0, 4096, width=64)
        second = MemBar(2, 16)
        one = Reg(0xFFC)
        two = RegArray(0, 4, size=8, stride=16)
        three = RegArray(8, 4, stride=16)
        four = RegArray(12, 4, stride=16)
        msix = Msix(vectors=4, table_bar=0, table_offset=0x40, pba_offset=0x80)
        low = one.field((15, 0))
        high = one.field((31, 16), reset=0xFFFF)

    assert Tight().one == 0xFFFF_0000
