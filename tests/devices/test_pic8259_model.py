# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The 8259A against a second, naive model, under random accesses from both sides.

The model is a set of asking levels, a set of served ones and a list of all eight in order of
priority; the chip has masks and a number.
"""

import pickle

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from vmmkit.devices.pic8259 import Pic8259


class NaivePic:
    """An 8259A in 8086 mode told as a list of rules."""

    def __init__(self):
        self.high, self.fresh = set(), set()
        self.elcr = set()
        self.initialize(ltim=False, aeoi=False, sfnm=False, slaves=set())

    def initialize(self, *, ltim, aeoi, sfnm, slaves):
        self.ltim, self.aeoi, self.sfnm, self.slaves = ltim, aeoi, sfnm, slaves
        self.fresh = set()
        self.served, self.masked = set(), set()
        self.order = list(range(8))
        self.rotating = self.special = False
        self.show_served = self.polled = False

    def drive(self, level, up):
        if up and level not in self.high:
            self.fresh.add(level)
        if not up:
            self.fresh.discard(level)
        (self.high.add if up else self.high.discard)(level)

    def asking(self):
        return {n for n in self.high if self.ltim or n in self.elcr or n in self.fresh}

    def next(self):
        locks = {n for n in self.served if not (self.special and n in self.masked)}
        for n in self.order:
            wants = n in self.asking() and n not in self.masked
            if wants and n not in locks:
                return n
            if wants and self.sfnm and n in self.slaves:
                return n
            if n in locks:
                return None
        return None

    def take(self):
        n = self.next()
        if n is not None:
            self.fresh.discard(n)
            if not self.aeoi:
                self.served.add(n)
            elif self.rotating:
                self.sink(n)
        return n

    def sink(self, n):
        while self.order[-1] != n:
            self.order.append(self.order.pop(0))

    def first_served(self):
        for n in self.order:
            if n in self.served and not (self.special and n in self.masked):
                return n
        return None

    def end(self, n, rotate):
        if n is not None:
            self.served.discard(n)
            if rotate:
                self.sink(n)

    def read(self, address):
        if self.polled:
            self.polled = False
            n = self.take()
            return 7 if n is None else 128 + n
        if address == 1:
            return bits(self.masked)
        return bits(self.served if self.show_served else self.asking())


def bits(levels):
    return sum(2**n for n in levels)


def levels_of(value):
    return {n for n in range(8) if value & 2**n}


LEVELS = st.integers(0, 7)


class PicMachine(RuleBasedStateMachine):
    @initialize()
    def plug_in(self):
        self.level = False
        self.pic = Pic8259(self.on_interrupt)
        self.naive = NaivePic()
        self.guest_initializes(False, False, False, 0)

    def on_interrupt(self, level):
        assert level is not self.level
        self.level = level

    def command(self, value):
        self.pic.write("cpu", 0, 1, value)

    @rule(
        ltim=st.booleans(),
        aeoi=st.booleans(),
        sfnm=st.booleans(),
        slaves=st.sampled_from([0, 0x04, 0x81, 0xFF]),
    )
    def guest_initializes(self, ltim, aeoi, sfnm, slaves):
        self.command(0x11 + 8 * ltim)
        for word in (0x40, slaves, 1 + 2 * aeoi + 16 * sfnm):
            self.pic.write("cpu", 1, 1, word)
        self.naive.initialize(ltim=ltim, aeoi=aeoi, sfnm=sfnm, slaves=levels_of(slaves))

    @rule(level=LEVELS, up=st.booleans())
    def line_changes(self, level, up):
        self.pic.line(level)(up)
        self.naive.drive(level, up)

    @rule(some=st.sets(LEVELS, min_size=2))
    def lines_pulse(self, some):
        for level in sorted(some):
            self.line_changes(level, False)
            self.line_changes(level, True)

    @rule(value=st.integers(0, 255))
    def chipset_programs_elcr(self, value):
        self.pic.level_triggered = value
        self.naive.elcr = levels_of(value)

    @rule(value=st.sampled_from([0, 0, 1, 0x10, 0x33, 0xFE]) | st.integers(0, 255))
    def guest_masks(self, value):
        self.pic.write("cpu", 1, 1, value)
        self.naive.masked = levels_of(value)

    @rule(some=st.sets(LEVELS, min_size=2))
    def guest_masks_what_it_serves(self, some):
        """What special mask mode is for: levels below the one in service get through."""
        self.guest_masks(0)
        self.lines_pulse(some)
        self.processor_acknowledges()
        self.guest_writes_ocw3(True, None)
        self.guest_masks(bits(self.naive.served))

    @rule()
    def processor_acknowledges(self):
        taken = self.naive.take()
        assert self.pic.acknowledge() == 0x40 + (7 if taken is None else taken)

    @rule(rotate=st.booleans())
    def guest_ends(self, rotate):
        self.command(0x20 + 0x80 * rotate)
        self.naive.end(self.naive.first_served(), rotate)

    @rule(level=LEVELS, rotate=st.booleans())
    def guest_ends_one(self, level, rotate):
        self.command(0x60 + 0x80 * rotate + level)
        self.naive.end(level, rotate)

    @rule(level=LEVELS)
    def guest_sets_priority(self, level):
        self.command(0xC0 + level)
        self.naive.sink(level)

    @rule(level=LEVELS)
    def guest_does_nothing(self, level):
        self.command(0x40 + level)

    @rule(on=st.booleans())
    def guest_sets_rotation(self, on):
        self.command(0x80 * on)
        self.naive.rotating = on

    @rule(special=st.sampled_from([None, False, True]), shown=st.sampled_from([None, False, True]))
    def guest_writes_ocw3(self, special, shown):
        value = 0x08
        if special is not None:
            value += 0x40 + 0x20 * special
            self.naive.special = special
        if shown is not None:
            value += 0x02 + shown
            self.naive.show_served = shown
        self.command(value)
        self.naive.polled = False

    @rule(address=st.integers(0, 1))
    def guest_polls(self, address):
        self.command(0x0C)
        self.naive.polled = True
        self.guest_reads(address)

    @rule(address=st.integers(0, 1))
    def guest_reads(self, address):
        assert self.pic.read("cpu", address, 1) == self.naive.read(address)

    @rule()
    def move_to_another_chip(self):
        saved = pickle.loads(pickle.dumps(self.pic.snapshot()))
        self.level = False
        self.pic = Pic8259(self.on_interrupt)
        self.pic.restore(saved)
        assert self.pic.snapshot() == saved

    @invariant()
    def agrees(self):
        assert self.level is self.pic.interrupting is (self.naive.next() is not None)
        shown = self.pic.registers()
        assert shown["IRR"] == bits(self.naive.asking())
        assert shown["ISR"] == bits(self.naive.served)
        assert shown["IMR"] == bits(self.naive.masked)
        assert self.pic.snapshot().lowest == self.naive.order[-1]


TestPic = PicMachine.TestCase
TestPic.settings = settings(stateful_step_count=60)
