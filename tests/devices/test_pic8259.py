# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The 8259A rule by rule; sections are named as in the 8259A data sheet."""

import pickle

import pytest

from vmmkit.devices.pic8259 import (
    Pic8259,
    PicPair,
    PicPairSnapshot,
    PicSnapshot,
)
from vmmkit.errors import DeviceError
from vmmkit.memregion import RegionMap

ICW1, SNGL, ADI, LTIM, IC4 = 0x10, 0x02, 0x04, 0x08, 0x01
UPM, AEOI, SFNM = 0x01, 0x02, 0x10
EOI, SPECIFIC, ROTATE = 0x20, 0x60, 0x80
READ_IRR, READ_ISR, POLL = 0x0A, 0x0B, 0x0C
SMM_ON, SMM_OFF = 0x68, 0x48


class Wired:
    """One chip, initialized as the only one in 8086 mode with vectors from 40h."""

    def __init__(self, icw1=ICW1 | SNGL | IC4, icw4=UPM, **config):
        self.levels = []
        self.pic = Pic8259(self.levels.append, **config)
        self.command(icw1)
        self.data(0x40)
        self.data(icw4)

    def command(self, *values):
        for value in values:
            self.pic.write(None, 0, 1, value)

    def data(self, value):
        self.pic.write(None, 1, 1, value)

    def status(self, command):
        self.command(command)
        return self.pic.read(None, 0, 1)

    def up(self, *numbers):
        for number in numbers:
            self.pic.line(number)(True)

    def down(self, *numbers):
        for number in numbers:
            self.pic.line(number)(False)

    def level(self):
        """Acknowledge and return the level served."""
        return self.pic.acknowledge() - 0x40


# -- Programming the 8259A: initialization -----------------------------------------------------


@pytest.mark.parametrize(
    ("words", "ready_after"),
    [
        pytest.param((ICW1 | SNGL, 0x20), 2, id="single, no ICW4"),
        pytest.param((ICW1 | SNGL | IC4, 0x20, 0x01), 3, id="single, ICW4"),
        pytest.param((ICW1, 0x20, 0x04), 3, id="cascade, no ICW4"),
        pytest.param((ICW1 | IC4, 0x20, 0x04, 0x01), 4, id="cascade, ICW4"),
    ],
)
def test_requests_wait_for_the_last_initialization_word(words, ready_after):
    levels = []
    pic = Pic8259(levels.append)
    for count, word in enumerate(words, 1):
        pic.write(None, int(count > 1), 1, word)
        pic.line(3)(False)
        pic.line(3)(True)
        assert pic.interrupting is (count == ready_after)
    pic.write(None, 1, 1, 0xFF)
    assert pic.read(None, 1, 1) == 0xFF
    assert levels[-2:] == [True, False]


def test_a_chip_never_initialized_is_silent():
    pic = Pic8259()
    pic.line(0)(True)
    pic.write(None, 1, 1, 0x12)
    assert not pic.interrupting
    assert pic.read(None, 1, 1) == 0x12


def test_icw1_clears():
    wired = Wired()
    wired.up(2, 5)
    assert wired.level() == 2
    wired.data(0x80)
    wired.command(ROTATE | 0x40 | 3, SMM_ON, READ_ISR, ROTATE)
    wired.command(ICW1 | SNGL | IC4)
    cleared = wired.pic.snapshot()
    assert cleared == PicSnapshot(lines=0x24, icw1=0x13, icw2=0x40, awaited=2)
    wired.data(0x40)
    wired.data(UPM)
    assert not wired.pic.interrupting  # the edge was before ICW1
    wired.down(5)
    wired.up(5)
    assert wired.level() == 5


def test_icw1_without_ic4_clears_icw4():
    wired = Wired(icw4=UPM | AEOI)
    wired.command(ICW1 | SNGL)
    wired.data(0x40)
    assert wired.pic.registers()["ICW4"] == 0


def test_buffered_mode_bits_are_kept_and_do_nothing():
    wired = Wired(icw4=UPM | 0x0C)
    wired.up(1)
    assert wired.level() == 1
    assert wired.pic.registers()["ICW4"] == UPM | 0x0C


@pytest.mark.parametrize("level", range(8))
@pytest.mark.parametrize(
    ("icw1", "icw4", "icw2", "base", "step"),
    [
        pytest.param(0x13, 0x01, 0x7F, 0x78, 1, id="8086: five bits of ICW2"),
        pytest.param(0xF7, 0x00, 0x12, 0xE0, 4, id="8085, interval 4: A7-A5 from ICW1"),
        pytest.param(0xF3, 0x00, 0x12, 0xC0, 8, id="8085, interval 8: A7-A6 from ICW1"),
    ],
)
def test_interrupt_sequence_outputs(level, icw1, icw4, icw2, base, step):
    wired = Wired()
    wired.command(icw1)
    wired.data(icw2)
    wired.data(icw4)
    wired.up(level)
    assert wired.pic.acknowledge() == base + step * level


# -- Edge and Level Triggered Modes ------------------------------------------------------------


def test_an_edge_is_served_once():
    wired = Wired()
    wired.up(4)
    assert wired.status(READ_IRR) == 0x10
    assert wired.level() == 4
    assert (wired.status(READ_IRR), wired.status(READ_ISR)) == (0x00, 0x10)
    wired.command(EOI)
    assert not wired.pic.interrupting
    wired.up(4)  # no edge: it has never fallen
    assert not wired.pic.interrupting
    assert wired.levels == [True, False]


def test_an_edge_during_service_waits_for_the_end_of_interrupt():
    wired = Wired()
    wired.up(4)
    assert wired.level() == 4
    wired.down(4)
    wired.up(4)
    assert (wired.pic.interrupting, wired.status(READ_IRR)) == (False, 0x10)
    wired.command(EOI)
    assert wired.pic.interrupting


@pytest.mark.parametrize("how", ["LTIM", "ELCR"])
def test_a_level_is_served_as_long_as_it_lasts(how):
    wired = Wired(icw1=ICW1 | SNGL | IC4 | (LTIM if how == "LTIM" else 0))
    if how == "ELCR":
        wired.pic.level_triggered = 0x10
    wired.up(4)
    for _ in range(2):
        assert wired.level() == 4
        assert wired.status(READ_IRR) == 0x10
        assert not wired.pic.interrupting
        wired.command(EOI)
        assert wired.pic.interrupting
    wired.down(4)
    assert not wired.pic.interrupting


def test_elcr_concerns_its_input_only():
    wired = Wired()
    wired.pic.level_triggered = 0x10
    wired.up(3)
    assert wired.level() == 3
    wired.command(EOI)
    assert not wired.pic.interrupting


@pytest.mark.parametrize("icw1", [0x13, 0x1B], ids=["edge", "level"])
def test_a_request_that_is_gone_is_acknowledged_as_ir7(icw1):
    wired = Wired(icw1)
    wired.up(2)
    wired.down(2)
    assert wired.levels == [True, False]
    assert wired.level() == 7
    assert wired.status(READ_ISR) == 0  # how a handler tells it from a real IR7


def test_a_real_ir7_is_in_service():
    wired = Wired()
    wired.up(7)
    assert wired.level() == 7
    assert wired.status(READ_ISR) == 0x80


# -- Fully Nested Mode, Interrupt Masks --------------------------------------------------------


def test_ir0_is_first_and_ir7_last():
    wired = Wired(icw4=UPM | AEOI)
    wired.up(*range(8))
    assert [wired.level() for _ in range(9)] == [0, 1, 2, 3, 4, 5, 6, 7, 7]


def test_only_higher_levels_interrupt_a_handler():
    wired = Wired()
    wired.up(4)
    assert wired.level() == 4
    wired.up(4, 5)
    assert not wired.pic.interrupting
    wired.up(3)
    assert wired.level() == 3
    assert wired.status(READ_ISR) == 0x18
    wired.command(EOI)
    assert wired.status(READ_ISR) == 0x10
    assert not wired.pic.interrupting
    wired.command(EOI)
    assert wired.level() == 5


def test_a_masked_request_waits():
    wired = Wired()
    wired.data(0x08)
    wired.up(3)
    assert (wired.pic.interrupting, wired.status(READ_IRR)) == (False, 0x08)
    wired.data(0)
    assert wired.level() == 3
    assert wired.pic.read(None, 1, 1) == 0


def test_a_mask_leaves_other_levels_alone():
    wired = Wired()
    wired.data(0x01)
    wired.up(0, 6)
    assert wired.level() == 6


# -- End of Interrupt, rotation ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("ocw2", "in_service", "lowest"),
    [
        pytest.param(0x20, 0x28, 7, id="non-specific EOI"),
        pytest.param(0x60 | 5, 0x0A, 7, id="specific EOI"),
        pytest.param(0x60 | 4, 0x2A, 7, id="specific EOI of a level not in service"),
        pytest.param(0xA0, 0x28, 1, id="rotate on non-specific EOI"),
        pytest.param(0xE0 | 3, 0x22, 3, id="rotate on specific EOI"),
        pytest.param(0xC0 | 6, 0x2A, 6, id="set priority"),
        pytest.param(0x40 | 6, 0x2A, 7, id="no operation"),
        pytest.param(0x80, 0x2A, 7, id="rotate in AEOI mode, set"),
        pytest.param(0x00, 0x2A, 7, id="rotate in AEOI mode, clear"),
    ],
)
def test_ocw2(ocw2, in_service, lowest):
    wired = Wired()
    for level in (5, 3, 1):
        wired.up(level)
        assert wired.level() == level
    wired.command(ocw2)
    after = wired.pic.snapshot()
    assert (after.in_service, after.lowest) == (in_service, lowest)
    assert after.rotate_on_aeoi == (ocw2 == 0x80)


@pytest.mark.parametrize("ocw2", [0x20, 0xA0])
def test_end_of_no_interrupt(ocw2):
    wired = Wired()
    wired.command(ocw2)
    assert wired.pic.snapshot().lowest == 7


@pytest.mark.parametrize("lowest", range(8))
def test_priorities_begin_after_the_lowest(lowest):
    wired = Wired(icw4=UPM | AEOI)
    wired.command(0xC0 | lowest)
    wired.up(*range(8))
    assert [wired.level() for _ in range(8)] == [(lowest + 1 + n) % 8 for n in range(8)]


def test_automatic_end_of_interrupt_tells_the_next_request_apart():
    wired = Wired(icw4=UPM | AEOI)
    wired.up(1, 2)
    assert wired.level() == 1
    assert wired.status(READ_ISR) == 0
    assert wired.levels == [True, False, True]  # INT falls between, for a master's edge


def test_automatic_rotation():
    wired = Wired(icw4=UPM | AEOI, icw1=0x1B)  # level triggered: all ask all the time
    wired.command(ROTATE)
    wired.up(*range(8))
    assert [wired.level() for _ in range(10)] == [0, 1, 2, 3, 4, 5, 6, 7, 0, 1]
    wired.command(0)
    assert [wired.level() for _ in range(2)] == [2, 2]


# -- Special Mask Mode -------------------------------------------------------------------------


def test_special_mask_mode_lets_lower_levels_through():
    wired = Wired()
    wired.up(2)
    assert wired.level() == 2
    wired.up(6)
    wired.data(0x04)
    assert not wired.pic.interrupting
    wired.command(SMM_ON)
    assert wired.level() == 6
    assert wired.status(READ_ISR) == 0x44
    wired.command(EOI)  # leaves the masked level alone
    assert wired.status(READ_ISR) == 0x04
    wired.command(EOI)
    assert wired.status(READ_ISR) == 0x04
    wired.command(SPECIFIC | 2)
    assert wired.status(READ_ISR) == 0


def test_special_mask_mode_blocks_by_unmasked_levels():
    wired = Wired()
    wired.command(SMM_ON)
    wired.up(2)
    assert wired.level() == 2
    wired.up(6)
    assert not wired.pic.interrupting


def test_special_mask_mode_changes_with_esmm_only():
    wired = Wired()
    wired.command(0x28)
    assert not wired.pic.snapshot().special_mask
    wired.command(SMM_ON, 0x08)
    assert wired.pic.snapshot().special_mask
    wired.command(SMM_OFF)
    assert not wired.pic.snapshot().special_mask


# -- Reading the 8259A Status, Poll Command ----------------------------------------------------


def test_the_register_to_read_stays_selected():
    wired = Wired()
    wired.up(3)
    wired.level()
    wired.up(5)
    assert wired.status(READ_ISR) == 0x08
    wired.command(0x08)  # OCW3 without RR
    assert wired.pic.read(None, 0, 1) == 0x08
    assert wired.status(READ_IRR) == 0x20
    assert wired.pic.read(None, 0, 1) == 0x20


@pytest.mark.parametrize("address", [0, 1])
def test_poll_acknowledges(address):
    wired = Wired()
    wired.up(6, 3)
    wired.command(POLL)
    assert wired.pic.read(None, address, 1) == 0x83
    assert wired.status(READ_ISR) == 0x08
    wired.command(POLL)
    assert wired.pic.read(None, address, 1) == 0x07
    assert wired.pic.read(None, 1, 1) == 0
    assert wired.levels == [True, False]


def test_poll_comes_before_a_register_asked_for_in_the_same_word():
    wired = Wired()
    wired.up(6)
    wired.command(POLL | 0x03)
    assert [wired.pic.read(None, 0, 1) for _ in range(2)] == [0x86, 0x40]


# -- the window --------------------------------------------------------------------------------


def test_wide_accesses_are_bytes():
    pic = Pic8259()
    pic.write(None, 0, 2, 0x2012)  # ICW1, ICW2
    pic.write(None, 1, 4, 0x5A)
    assert pic.read(None, 0, 4) == 0xFFFF5A00
    assert pic.size == 2


# -- Cascade Mode ------------------------------------------------------------------------------


class Pc:
    """A pair in port space, initialized as PCs are; vectors from 30h and 38h."""

    def __init__(self, master_icw4=UPM, slave_icw4=UPM, master_icw3=0x04, slave_icw3=0x02):
        self.levels = []
        self.pics = PicPair(self.levels.append)
        pio = RegionMap(address_bits=16, name="pio")
        for base, device in (
            (0x20, self.pics.master),
            (0xA0, self.pics.slave),
            (0x4D0, self.pics.elcr),
        ):
            pio.add(base, device.size, device)
        self.port = pio.port("cpu")
        for port, value in (
            (0x20, 0x11), (0x21, 0x30), (0x21, master_icw3), (0x21, master_icw4),
            (0xA0, 0x11), (0xA1, 0x38), (0xA1, slave_icw3), (0xA1, slave_icw4),
        ):  # fmt: skip
            self.outb(port, value)

    def outb(self, port, value):
        self.port.write(port, 1, value)

    def inb(self, port):
        return self.port.read(port, 1)

    def pulse(self, number):
        self.pics.line(number)(False)
        self.pics.line(number)(True)


@pytest.mark.parametrize("number", [n for n in range(16) if n != 2])
def test_each_line_has_its_vector(number):
    pc = Pc()
    pc.pulse(number)
    assert pc.levels == [True]
    assert pc.pics.acknowledge() == 0x30 + number
    assert pc.levels == [True, False]
    state = pc.pics.snapshot()
    in_service = state.master.in_service, state.slave.in_service
    assert in_service == ((0x04, 1 << number - 8) if number >= 8 else (1 << number, 0))


def test_there_is_no_line_2():
    with pytest.raises(DeviceError, match="IRQ 9"):
        Pc().pics.line(2)


def test_the_slaves_lines_rank_between_1_and_3():
    pc = Pc(UPM | AEOI, UPM | AEOI)
    for number in (3, 1, 15, 8, 12):
        pc.pulse(number)
    assert [pc.pics.acknowledge() - 0x30 for _ in range(5)] == [1, 8, 12, 15, 3]
    assert not pc.pics.interrupting


def test_a_second_slave_request_waits_for_both_ends_of_interrupt():
    pc = Pc()
    pc.pulse(10)
    assert pc.pics.acknowledge() == 0x3A
    pc.pulse(11)
    assert not pc.pics.interrupting
    pc.outb(0xA0, 0x20)
    assert not pc.pics.interrupting  # the master still has IR2 in service
    pc.outb(0x20, 0x20)
    assert pc.pics.acknowledge() == 0x3B


@pytest.mark.parametrize(("icw4", "nested"), [(UPM, False), (UPM | SFNM, True)])
def test_special_fully_nested_mode(icw4, nested):
    pc = Pc(master_icw4=icw4)
    pc.pulse(12)
    assert pc.pics.acknowledge() == 0x3C
    pc.pulse(9)
    assert pc.pics.interrupting is nested
    if nested:
        assert pc.pics.acknowledge() == 0x39
        pc.pulse(5)  # below IR2: still locked out
        assert not pc.pics.interrupting


def test_a_slaves_request_that_is_gone_is_gone_from_the_master_too():
    pc = Pc()
    pc.pulse(10)
    pc.pics.line(10)(False)
    assert pc.levels == [True, False]
    assert pc.pics.acknowledge() == 0x37


def test_a_spurious_interrupt_of_the_slave_leaves_ir2_in_service():
    pc = Pc()
    pc.pics.master.drive_line(2, True)  # as if the slave's INT had fallen too late
    assert pc.pics.acknowledge() == 0x3F
    assert pc.pics.snapshot().master.in_service == 0x04
    assert pc.pics.snapshot().slave.in_service == 0


@pytest.mark.parametrize(
    ("master_icw3", "slave_icw3", "vector"),
    [
        pytest.param(0x04, 0x02, 0x39, id="as PCs are wired"),
        pytest.param(0x04, 0x03, 0xFF, id="no slave of this identity"),
        pytest.param(0x00, 0x02, 0x32, id="the master knows no slave"),
    ],
)
def test_icw3(master_icw3, slave_icw3, vector):
    pc = Pc(master_icw3=master_icw3, slave_icw3=slave_icw3)
    pc.pulse(9)
    assert pc.pics.acknowledge() == vector


def test_a_slaves_identity_is_7_until_icw3():
    slave = Pic8259(slave=True)
    slave.write(None, 0, 1, 0x11)
    assert slave.identity == 7
    slave.write(None, 1, 1, 0x38)
    slave.write(None, 1, 1, 0xFA)
    assert slave.identity == 2


def test_elcr_keeps_its_bits():
    pc = Pc()
    pc.port.write(0x4D0, 2, 0xFFFF)
    assert pc.port.read(0x4D0, 2) == 0xDEF8
    pc.pics.line(11)(True)
    assert pc.pics.acknowledge() == 0x3B
    pc.outb(0xA0, 0x20)
    pc.outb(0x20, 0x20)
    assert pc.pics.interrupting
    pc.pics.line(11)(False)
    assert not pc.pics.interrupting


# -- drivers -----------------------------------------------------------------------------------


def test_the_sequence_of_linux():
    """Probe, initialize, unmask, serve with specific EOIs, and tell a spurious IRQ apart."""
    pc = Pc()
    pc.outb(0xA1, 0xFF)
    pc.outb(0x21, 0xFB)
    assert pc.inb(0x21) == 0xFB
    pc.outb(0x21, 0xFF)
    for port, value in (
        (0x20, 0x11), (0x21, 0x30), (0x21, 0x04), (0x21, 0x01),
        (0xA0, 0x11), (0xA1, 0x38), (0xA1, 0x02), (0xA1, 0x01),
        (0x21, 0xFB), (0xA1, 0xFF),
    ):  # fmt: skip
        pc.outb(port, value)
    pc.outb(0xA1, 0xEF)
    pc.pulse(12)
    assert pc.pics.acknowledge() == 0x3C
    pc.outb(0xA1, 0xFF)
    pc.outb(0xA0, 0x60 + 4)
    pc.outb(0x20, 0x60 + 2)
    pc.outb(0xA1, 0xEF)
    assert not pc.pics.interrupting
    for port, command in ((0x20, 0x0B), (0xA0, 0x0B)):
        pc.outb(port, command)
        assert pc.inb(port) == 0
        pc.outb(port, 0x0A)


# -- callables ---------------------------------------------------------------------------------


def test_the_processor_may_acknowledge_from_within_interrupt():
    vectors = []

    def interrupt(level):
        if level:
            vectors.append(pics.acknowledge())

    pics = PicPair(interrupt)
    for chip, words in ((pics.master, (0x30, 4, 3)), (pics.slave, (0x38, 2, 3))):
        chip.write(None, 0, 1, 0x11)
        for word in words:
            chip.write(None, 1, 1, word)
    for number in (9, 1, 15):
        pics.line(number)(True)
    assert vectors == [0x39, 0x31, 0x3F]
    assert not pics.interrupting


def test_an_exception_out_of_interrupt_leaves_the_chip_usable():
    def interrupt(level):
        raise RuntimeError(level)

    pic = Pic8259(interrupt)
    pic.write(None, 0, 1, 0x12)
    pic.write(None, 1, 1, 0x40)
    with pytest.raises(RuntimeError):
        pic.line(3)(True)
    assert pic.interrupting
    with pytest.raises(RuntimeError):
        pic.acknowledge()
    assert not pic.interrupting
    assert pic.snapshot().in_service == 0x08


# -- snapshots ---------------------------------------------------------------------------------


def test_a_pair_moves():
    pc = Pc()
    pc.pulse(12)
    pc.pics.acknowledge()
    pc.outb(0x21, 0x80)
    pc.pulse(1)
    pc.pulse(9)
    saved = pickle.loads(pickle.dumps(pc.pics.snapshot()))
    levels = []
    other = PicPair(levels.append)
    other.restore(saved)
    assert other.snapshot() == saved == pc.pics.snapshot()
    assert levels == [True]
    assert other.acknowledge() == 0x31


def test_a_snapshot_from_within_interrupt_goes_on():
    """The slave's AEOI is between its two edges when the master's INT falls."""
    saved = []
    pc = Pc(UPM | AEOI, UPM | AEOI)
    pc.pulse(9)
    pc.pulse(10)
    pc.pics.master.interrupt = lambda level: saved.append(pc.pics.snapshot())
    assert pc.pics.acknowledge() == 0x39
    for snapshot in saved:
        other = PicPair()
        other.restore(snapshot)
        assert other.interrupting
        assert other.acknowledge() == 0x3A


def test_reset_keeps_the_lines():
    pc = Pc()
    pc.pulse(3)
    pc.pulse(9)
    pc.pics.reset()
    master, slave = pc.pics.snapshot().master, pc.pics.snapshot().slave
    assert (master, slave) == (PicSnapshot(lines=0x08), PicSnapshot(lines=0x02))
    assert pc.levels == [True, False]
    pc.pics.master.reset()
    assert pc.pics.master.snapshot() == master


@pytest.mark.parametrize(
    "fields",
    [
        {"lines": 0x100},
        {"edges": 1},
        {"mask": -1},
        {"icw4": 0x20},
        {"awaited": 5},
        {"lowest": 8},
        {"poll": 1},
        {"icw1": True},
        {"icw2": "40"},
    ],
)
def test_impossible_snapshots(fields):
    with pytest.raises(DeviceError):
        PicSnapshot(**fields)


def test_snapshots_of_something_else():
    pic, pair = Pic8259(slave=True), PicPair()
    for wrong in (PicSnapshot(icw3=8), None):
        with pytest.raises(DeviceError):
            pic.restore(wrong)
        with pytest.raises(DeviceError):
            pair.restore(PicPairSnapshot(slave=wrong))
    with pytest.raises(DeviceError):
        pair.restore(PicSnapshot())


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: Pic8259(5),
        lambda: Pic8259(slave=1),
        lambda: Pic8259(cascade=7),
        lambda: PicPair(None),
        lambda: Pic8259().line(8),
        lambda: Pic8259().line(True),
        lambda: PicPair().line(16),
        lambda: Pic8259().drive_line("3", True),
        lambda: setattr(Pic8259(), "level_triggered", 0x100),
    ],
)
def test_the_owners_mistakes(mistake):
    with pytest.raises(DeviceError):
        mistake()


def test_repr_shows_the_registers():
    pair = PicPair()
    assert "IMR=00" in repr(pair)
    assert repr(pair.line(9)) == "<PicLine IR1>"
