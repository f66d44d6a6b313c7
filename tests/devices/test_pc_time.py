# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Timer, clock and interrupt controllers of a PC together, on one virtual time."""

from collections import Counter
from datetime import datetime

from vmmkit.devices import Mc146818, PicPair, Pit8254
from vmmkit.memregion import RegionMap

SECOND = 1_000_000_000
START = datetime.fromisoformat("2026-12-31 23:59:58")


class Pc:
    """A guest that does nothing but serve IRQ 0 and IRQ 8, in no time."""

    def __init__(self):
        self.now = 0
        self.pics = PicPair()
        self.pit = Pit8254(lambda: self.now, self.pics.line(0))
        self.rtc = Mc146818(lambda: self.now, START, self.pics.line(8))
        pio = RegionMap(address_bits=16, name="pio")
        for base, device in (
            (0x20, self.pics.master),
            (0x40, self.pit),
            (0x70, self.rtc),
            (0xA0, self.pics.slave),
        ):
            pio.add(base, device.size, device)
        self.port = pio.port("vcpu0")
        self.trace = []

    def out(self, port, *values):
        for value in values:
            self.port.write(port, 1, value)

    def boot(self):
        for base, words in ((0x20, (0x30, 0x04, 0x01, 0x00)), (0xA0, (0x38, 0x02, 0x01, 0x00))):
            self.out(base, 0x11)
            self.out(base + 1, *words)
        self.out(0x43, 0x34)
        self.out(0x40, 1193 & 0xFF, 1193 >> 8)
        self.out(0x70, 0x0B)
        self.out(0x71, 0x52)  # periodic at 1024 Hz, and update ended

    def serve(self):
        vector = self.pics.acknowledge()
        if vector == 0x38:
            self.out(0x70, 0x0C)
            self.trace.append((self.now, vector, self.port.read(0x71, 1)))
            self.out(0xA0, 0x20)
        else:
            self.trace.append((self.now, vector, None))
        self.out(0x20, 0x20)

    def run(self, until):
        while (deadline := min(self.pit.deadline(), self.rtc.deadline())) <= until:
            self.now = deadline
            self.pit.advance()
            self.rtc.advance()
            while self.pics.interrupting:
                self.serve()
        self.now = until


def test_two_seconds():
    pc = Pc()
    pc.boot()
    pc.run(2 * SECOND)
    taken = Counter(vector for _, vector, _ in pc.trace)
    # The first tick of the timer is the rise of OUT0 as the control word is written.
    assert taken == {0x30: 2001, 0x38: 2048 + 2}
    updates = [when for when, _, flags in pc.trace if flags is not None and flags & 0x10]
    assert updates == [SECOND, 2 * SECOND]
    assert pc.rtc.date_time == datetime.fromisoformat("2027-01-01 00:00:00")


def test_the_same_time_gives_the_same_trace():
    traces = []
    for stops in ((SECOND // 2,), range(0, SECOND // 2 + 1, SECOND // 20)):
        pc = Pc()
        pc.boot()
        for stop in stops:
            pc.run(stop)
        traces.append(pc.trace)
    assert traces[0] == traces[1]


def test_a_machine_moves_in_mid_run():
    pc = Pc()
    pc.boot()
    pc.run(SECOND // 3)
    moved = Pc()
    moved.now = pc.now
    moved.pics.restore(pc.pics.snapshot())
    moved.pit.restore(pc.pit.snapshot())
    moved.rtc.restore(pc.rtc.snapshot())
    pc.trace.clear()
    for machine in (pc, moved):
        machine.run(SECOND)
    assert moved.trace == pc.trace
