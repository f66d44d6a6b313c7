# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Declared registers as a guest and as the device see them."""

import pytest

from pci.devices import make_class, window
from vmmkit.pci._dispatch import TABLE_LIMIT
from vmmkit.pci.bars import IoBar, MemBar
from vmmkit.pci.device import PciDevice
from vmmkit.pci.registers import Reg, RegArray

ONES = 0xFFFF_FFFF


# -- access words --------------------------------------------------------------------------------

# word, value before, what is written: then what a read gives, and the value after it
ACCESSES = [
    ("rw", 0x1111_2222, 0x3333_4444, 0x3333_4444, 0x3333_4444),
    ("ro", 0x1111_2222, 0x3333_4444, 0x1111_2222, 0x1111_2222),
    ("wo", 0x1111_2222, 0x3333_4444, 0x0000_0000, 0x3333_4444),
    ("w1c", 0x1111_FFFF, 0x1000_0F0F, 0x0111_F0F0, 0x0111_F0F0),
    ("w1s", 0x1111_0000, 0x2000_0F0F, 0x3111_0F0F, 0x3111_0F0F),
    ("rc", 0x1111_2222, 0x3333_4444, 0x1111_2222, 0x0000_0000),
    ("reserved", 0x1111_2222, 0x3333_4444, 0x5A5A_0000, 0x1111_2222),
]


@pytest.mark.parametrize(("word", "before", "written", "read", "after"), ACCESSES)
def test_access_word(word, before, written, read, after):
    device = make_class(status=Reg(0, word, reset=0x5A5A_0000))()
    get, put = window(device)
    device.status = before
    put(0, written)
    assert (get(0), device.status) == (read, after)


@pytest.mark.parametrize(("word", "before", "written", "read", "after"), ACCESSES)
def test_access_word_by_bytes(word, before, written, read, after):
    """The same, one byte at a time: no byte takes notice of its neighbours."""
    device = make_class(status=Reg(0, word, reset=0x5A5A_0000))()
    get, put = window(device)
    device.status = before
    for at in range(4):
        put(at, written >> 8 * at & 0xFF, 1)
    assert sum(get(at, 1) << 8 * at for at in range(4)) == read
    assert device.status == after


@pytest.mark.parametrize("word", [case[0] for case in ACCESSES])
def test_reset_value(word):
    device = make_class(status=Reg(0, word, reset=0x5A5A_0000))()
    assert device.status == 0x5A5A_0000


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_values_are_cut_to_the_register(size):
    device = make_class(status=Reg(0, size=size))()
    device.status = -1
    assert device.status == (1 << 8 * size) - 1
    device.status = 1 << 8 * size | 5
    assert device.status == 5


def test_device_may_assign_what_the_guest_may_not():
    device = make_class(ident=Reg(0, "ro"), hidden=Reg(4, "wo"))()
    device.ident |= 6
    device.hidden += 7
    assert (device.ident, device.hidden) == (6, 7)


def test_class_attribute_is_the_declaration():
    made = make_class(status=Reg(0x20, doc="What happened."))
    assert (made.status.offset, made.status.doc) == (0x20, "What happened.")


# -- fields --------------------------------------------------------------------------------------


class Fields(PciDevice):
    """All kinds of fields in one register, and bits that are in none."""

    vendor_id, device_id = 0x1234, 2
    regs = MemBar(0, 4096)
    control = Reg(0, "ro", reset=0xF000_0000)
    go = control.field(0, "w1s")
    mode = control.field((7, 4), "rw", reset=9)
    events = control.field((15, 8), "w1c", reset=0xFF)
    secret = control.field((19, 16), "wo")
    seen = control.field((23, 20), "rc")
    fixed = control.field((27, 24), "reserved", reset=5)
    rest = control.field((31, 28))


def test_fields_have_words_and_resets_of_their_own():
    device = Fields()
    get, put = window(device)
    assert (device.mode, device.events, device.fixed, device.rest) == (9, 0xFF, 5, 0xF)
    device.seen = 3
    put(0, 0x0ABC_0A51)
    assert (device.go, device.mode, device.events, device.secret) == (1, 5, 0xF5, 0xC)
    assert get(0) == 0xF530_F551
    assert device.seen == 0


def test_assigning_a_field_leaves_the_rest():
    device = Fields()
    before = device.control
    device.mode = 0x123
    assert device.control == before & ~0xF0 | 0x30
    device.mode += 1
    assert device.mode == 4


def test_byte_access_to_fields():
    device = Fields()
    get, put = window(device)
    put(1, 0x0F, 1)
    assert (device.events, device.mode) == (0xF0, 9)
    device.seen = 7
    assert (get(1, 1), device.seen) == (0xF0, 7)
    assert (get(2, 1), device.seen) == (0x70, 0)


# -- arrays --------------------------------------------------------------------------------------


class Rings(PciDevice):
    """Two arrays whose elements take turns."""

    vendor_id, device_id = 0x1234, 3
    regs = MemBar(0, 4096)
    base = RegArray(0x100, 4, size=8, stride=16, reset=0x1_0000_0000)
    length = RegArray(0x108, 4, "w1c", stride=16)
    running = length.field(31, "ro", reset=1)


def test_rows_read_and_assign_like_sequences():
    device = Rings()
    assert (len(device.base), list(device.running)) == (4, [1, 1, 1, 1])
    device.base[-1] = -1
    assert device.base[3] == (1 << 64) - 1
    device.running = [0, 1, 0, 3]
    assert list(device.length) == [0, 1 << 31, 0, 1 << 31]
    assert repr(device.running) == "[0x0, 0x1, 0x0, 0x1]"
    assert device.base is device.base


@pytest.mark.parametrize("index", [4, -5])
def test_row_has_an_end(index):
    with pytest.raises(IndexError):
        Rings().base[index]


def test_row_takes_as_many_as_there_are():
    device = Rings()
    with pytest.raises(ValueError, match="'base' is a row of 4"):
        device.base = [1, 2, 3]
    assert list(device.base) == [0x1_0000_0000] * 4


def test_guest_reaches_elements():
    device = Rings()
    get, put = window(device)
    put(0x120, 0x1122_3344_5566_7788, 8)
    device.length[2] = 0xFF
    put(0x128, 0x8000_000F)
    assert device.base[2] == 0x1122_3344_5566_7788
    assert (device.length[2], get(0x128)) == (0xF0, 0xF0)
    assert get(0x10C) == ONES  # between two elements


# -- accesses that are not those of one register --------------------------------------------------


class Mixed(PciDevice):
    """Registers side by side, of several sizes, with a hole."""

    vendor_id, device_id = 0x1234, 4
    regs = MemBar(0, 4096)
    byte = Reg(0, size=1, reset=0x11)
    word = Reg(1, size=2, reset=0x3322)
    last = Reg(3, "w1c", size=1, reset=0xFF)
    wide = Reg(8, size=8, reset=0x8877_6655_4433_2211)


@pytest.mark.parametrize(
    ("offset", "size", "value"),
    [
        (0, 4, 0xFF33_2211),
        (0, 8, 0xFFFF_FFFF_FF33_2211),
        (2, 2, 0xFF33),
        (6, 4, 0x2211_FFFF),
        (11, 4, 0x7766_5544),
        (12, 8, 0xFFFF_FFFF_8877_6655),
        (4, 4, ONES),
        (0x1000, 4, ONES),
        (0, 16, 0x8877_6655_4433_2211_FFFF_FFFF_FF33_2211),
    ],
)
def test_read_of_several(offset, size, value):
    get, _ = window(Mixed())
    assert get(offset, size) == value
    assert get(offset, size) == value


def test_write_of_several():
    device = Mixed()
    _, put = window(device)
    put(0, 0xAAAA_AAAA_0F_BBCC_DD, 8)
    assert (device.byte, device.word, device.last) == (0xDD, 0xBBCC, 0xF0)
    put(7, 0x1234_5678, 4)
    assert device.wide == 0x8877_6655_4412_3456


def test_where_no_register_is_there_may_be_zeros():
    get, put = window(make_class(unimplemented="zeros", status=Reg(4, reset=ONES))())
    put(0, 5)
    assert (get(0), get(2), get(0, 8)) == (0, 0xFFFF_0000, 0xFFFF_FFFF_0000_0000)


# declaration, then (offset, size) and whether it is taken
WIDTHS = [
    ({"widths": {4}}, 4, 4, True),
    ({"widths": {4}}, 4, 2, False),
    ({"widths": {4}}, 5, 4, False),
    ({"widths": {4}}, 0, 8, False),
    ({"widths": {4, 8}}, 0, 8, True),
    ({"widths": {4, 8}}, 4, 8, False),
    ({"widths": {1}}, 7, 1, True),
    ({"partial": "ones"}, 4, 4, True),
    ({"partial": "ones"}, 6, 2, False),
    ({"partial": "lanes"}, 6, 2, True),
]


@pytest.mark.parametrize(("declared", "offset", "size", "taken"), WIDTHS)
def test_widths(declared, offset, size, taken):
    device = make_class(low=Reg(0, reset=0), status=Reg(4, **declared))()
    get, put = window(device)
    put(offset, (1 << 8 * size) - 1, size)
    assert bool(device.status) is taken
    device.status = 0
    shift = max(4 - offset, 0) * 8
    assert bool(get(offset, size) >> shift & 0xFF) is not taken


def test_refused_accesses_may_read_as_zeros():
    device = make_class(status=Reg(4, widths={4}, partial="ignore", reset=ONES))()
    get, put = window(device)
    put(4, 0, 2)
    assert (get(4, 2), get(4), device.status) == (0, ONES, ONES)


def test_one_register_of_two_may_refuse():
    device = make_class(low=Reg(0, reset=5), high=Reg(4, partial="ignore", reset=7))()
    get, put = window(device)
    put(0, 0x0000_0001_0000_0002, 8)
    assert (device.low, device.high, get(0, 8)) == (2, 7, 2)


# -- hooks ---------------------------------------------------------------------------------------


class Hooked(PciDevice):
    """Every kind of hook, writing down what it hears."""

    vendor_id, device_id = 0x1234, 5
    regs = MemBar(0, 4096)
    plain = Reg(0x00)
    answer = Reg(0x04, "rc", reset=0x77)
    control = Reg(0x08)
    low = control.field((7, 0))
    high = control.field((31, 24))
    ring = RegArray(0x10, 4)
    ring_on = ring.field(0)
    unhooked = Reg(0x20)

    def __init__(self):
        super().__init__()
        self.heard = []

    @plain.on_write
    def _plain(self, old, new):
        self.heard.append(("plain", old, new, self.plain))

    @answer.on_read
    def _answer(self):
        self.heard.append("answer")
        return -2

    @low.on_write
    def _low(self, old, new):
        self.heard.append(("low", old, new))

    @high.on_write
    def _high(self, old, new):
        self.heard.append(("high", old, new))

    @control.on_write
    def _control(self, old, new):
        self.heard.append(("control", old, new))

    @ring.on_write
    def _ring(self, index, old, new):
        self.heard.append((index, old, new))

    @ring_on.on_write
    def _ring_on(self, index, old, new):
        self.heard.append(("on", index, old, new))

    @ring.on_read
    def _ring_read(self, index):
        return 0x100 + index


def heard(write, size=4, made=Hooked):
    device = made()
    offset, value = write
    window(device)[1](offset, value, size)
    return device.heard


def test_write_hook_finds_the_new_value_stored():
    assert heard((0, 5)) == [("plain", 0, 5, 5)]
    assert heard((1, 5), 1) == [("plain", 0, 0x500, 0x500)]
    assert heard((0, 0)) == [("plain", 0, 0, 0)]


def test_write_hook_of_a_read_only_register():
    """It hears of the attempt, with nothing changed."""
    calls = []
    status = Reg(0, "ro", reset=5)

    def attempt(self, old, new):
        calls.append((old, new))

    device = make_class(status=status, attempt=status.on_write(attempt))()
    window(device)[1](0, 7)
    window(device)[1](2, 7, 1)
    assert (calls, device.status) == ([(5, 5), (5, 5)], 5)


def test_read_hook_answers_and_is_cut():
    device = Hooked()
    get, _ = window(device)
    assert (get(4), get(5, 1)) == (0xFFFF_FFFE, 0xFF)
    assert (device.heard, device.answer) == (["answer"] * 2, 0)


def test_reserved_bits_beside_a_read_hook():
    status = Reg(0, reset=0x8000_0000)
    body = {"status": status, "top": status.field(31, "reserved")}
    device = make_class(**body, answer=status.on_read(lambda self: 5))()
    get, _ = window(device)
    assert (get(0), get(3, 1), get(0, 8)) == (0x8000_0005, 0x80, ONES << 32 | 0x8000_0005)


@pytest.mark.parametrize(
    ("offset", "size", "value", "names"),
    [
        (8, 4, 0x0100_0002, ["control", "low", "high"]),
        (8, 1, 2, ["control", "low"]),
        (9, 1, 2, ["control"]),
        (11, 1, 1, ["control", "high"]),
    ],
)
def test_field_hooks_hear_of_their_bytes(offset, size, value, names):
    assert [event[0] for event in heard((offset, value), size)] == names


def test_field_hooks_get_the_fields_values():
    assert heard((8, 0x0300_0002))[1:] == [("low", 0, 2), ("high", 0, 3)]


def test_array_hooks_get_the_index():
    assert heard((0x14, 3)) == [(1, 0, 3), ("on", 1, 0, 1)]
    get, _ = window(Hooked())
    assert [get(0x10 + 4 * index) for index in range(4)] == [0x100, 0x101, 0x102, 0x103]
    assert get(0x12) == 0x0101_0000


def test_access_of_two_registers_calls_both_in_order():
    device = Hooked()
    _, put = window(device)
    put(0x10, 0x0000_0002_0000_0001, 8)
    assert [event for event in device.heard if event[0] != "on"] == [(0, 0, 1), (1, 0, 2)]


def test_assigning_calls_no_hook():
    device = Hooked()
    device.plain = 5
    device.ring[0] = 1
    device.low = 3
    assert device.heard == []


def test_hook_may_be_called_by_name():
    device = Hooked()
    device._plain(1, 2)
    assert device.heard == [("plain", 1, 2, 0)]


def test_one_method_may_hook_several():
    class Both(PciDevice):
        """One method, two registers."""

        vendor_id, device_id = 0x1234, 6
        regs = MemBar(0, 4096)
        one, two = Reg(0), Reg(4)
        calls = 0

        @one.on_write
        @two.on_write
        def _count(self, old, new):
            self.calls += new

    device = Both()
    _, put = window(device)
    put(0, 1)
    put(4, 2)
    assert device.calls == 3


# -- inheritance ---------------------------------------------------------------------------------


def test_subclass_adds_and_the_base_does_not_notice():
    class More(Hooked):
        """One more register, and another hook for one of the base's."""

        extra = Reg(0x30, reset=5)

        @Hooked.unhooked.on_write
        def _more(self, old, new):
            self.heard.append(("unhooked", new))

    assert heard((0x20, 1), made=More) == [("unhooked", 1)]
    assert heard((0x20, 1)) == []
    assert More().extra == 5
    assert heard((0x30, 1)) == []


def test_subclass_overrides_a_hook_by_its_method():
    class Other(Hooked):
        """The same hooks."""

        def _plain(self, old, new):
            self.heard.append("other")
            super()._plain(old, new)

    assert heard((0, 1), made=Other) == ["other", ("plain", 0, 1, 1)]


def test_subclass_overrides_a_hook_by_another():
    class Other(Hooked):
        """Another hook for a register."""

        @Hooked.plain.on_write
        def _other(self, old, new):
            self.heard.append("other")

    assert heard((0, 1), made=Other) == ["other"]
    assert heard((0, 1)) == [("plain", 0, 1, 1)]


def test_subclass_moves_a_register_and_keeps_its_fields_and_hooks():
    class Moved(Hooked):
        """The control register elsewhere."""

        control = Reg(0x40, reset=0x0900_0000)

    device = Moved()
    assert device.high == 9
    assert heard((0x40, 0), made=Moved)[0] == ("control", 0x0900_0000, 0)
    assert heard((0x08, 0), made=Moved) == []


def test_subclass_takes_out():
    class Less(Rings):
        """No lengths."""

        length = running = None

    device = Less()
    get, _ = window(device)
    assert (get(0x108), device.length) == (ONES, None)
    assert "length" not in device.snapshot().values


def test_subclass_makes_an_array_longer():
    class Longer(Rings):
        """Eight of each."""

        base = RegArray(0x100, 8, size=8, stride=16)
        length = RegArray(0x108, 8, "w1c", stride=16)

    device = Longer()
    assert (len(device.base), len(device.running)) == (8, 8)
    assert len(Rings().running) == 4


def test_mixin_brings_registers():
    class Scratch:
        """Registers for whoever has a BAR."""

        scratch = Reg(0x80, reset=0x55)

    device = make_class("With", (Scratch, PciDevice))()
    assert window(device)[0](0x80) == 0x55


def test_two_bases():
    left = make_class("Left", left=Reg(0, reset=1))
    right = make_class("Right", right=Reg(4, reset=2))
    device = make_class("Both", (left, right))()
    assert window(device)[0](0, 8) == 0x2_0000_0001


# -- several BARs --------------------------------------------------------------------------------


def test_registers_lie_in_the_first_bar_or_the_one_named():
    second = MemBar(2, 256)
    ports = IoBar(4, 16)
    made = make_class(
        regs=None,
        ports=ports,
        second=second,
        status=Reg(0, reset=1),
        other=Reg(0, bar=ports, reset=2),
        third=Reg(4, bar=2, reset=3),
    )
    device = made()
    assert [window(device, 2)[0](0), window(device, 4)[0](0), window(device, 2)[0](4)] == [1, 2, 3]


def test_devices_of_one_class_share_nothing():
    one, other = Rings(), Rings()
    window(one)[1](0x100, 5)
    one.length[0] = 7
    assert (other.base[0], other.length[0]) == (0x1_0000_0000, 1 << 31)


def test_registers_may_be_set_before_init():
    class Early(Mixed):
        """Sets a register first."""

        def __init__(self):
            self.byte = 0x99
            super().__init__()

    assert Early().byte == 0x99


def test_tables_do_not_grow_without_end():
    device = make_class(regs=MemBar(0, 1 << 20), status=Reg(0))()
    get, put = window(device)
    for offset in range(TABLE_LIMIT + 10):
        get(offset, 1)
        put(offset, 1, 1)
    dispatch = device._dispatches[0]
    assert all(len(cell) <= TABLE_LIMIT for cell in dispatch._reads.values())
    assert all(len(cell) <= TABLE_LIMIT for cell in dispatch._writes.values())
