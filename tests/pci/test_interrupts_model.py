# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Interrupts against a naive model: which messages were sent, which pending bits are set.

The model keeps what the guest wrote and what the device asked for in plain variables, and after
every step looks at all vectors anew. It shares no code with the library.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pci.wired import Wired
from vmmkit.pci.config import ResetKind
from vmmkit.pci.interrupts import Interrupts

WORDS_WRITABLE = [0xFFFF_FFFC, 0xFFFF_FFFF, 0xFFFF_FFFF, 1]


class Model:
    """The naive one."""

    def __init__(self, pin, msix, msi):
        self.has_pin, self.msix_size, self.msi_size = pin is not None, msix, msi
        self.vectors = max(1, msix, msi)
        self.sent, self.pin = [], []
        self.level = [False] * self.vectors
        self.pulse_waits = [False] * self.vectors
        self.rise_waits = [False] * self.vectors
        self.pin_is = False
        self.was = "intx" if pin else "none"
        self.registers()

    def registers(self):
        self.bus_master = self.disable = False
        self.d_state = 0
        self.msix_on = self.function_mask = False
        self.msi_on, self.granted, self.msi_address, self.msi_data, self.msi_mask = (
            False,
            1,
            0,
            0,
            0,
        )
        self.table = bytearray((b"\0" * 12 + b"\1\0\0\0") * self.msix_size)

    def mode(self):
        if self.msix_on:
            return "msix"
        if self.msi_on:
            return "msi"
        return "intx" if self.has_pin else "none"

    def messages(self):
        """Number of messages, and for each its (masked, address, data)."""
        if self.mode() == "msix":
            for number in range(self.msix_size):
                raw = self.table[16 * number : 16 * number + 16]
                address = int.from_bytes(raw[:8], "little")
                yield bool(raw[12] & 1), address, int.from_bytes(raw[8:12], "little")
        elif self.mode() == "msi":
            for number in range(self.granted):
                data = self.msi_data - self.msi_data % self.granted + number
                yield bool(self.msi_mask >> number & 1), self.msi_address, data

    def settle(self):
        mode = self.mode()
        if mode != self.was:
            self.was = mode
            self.rise_waits = [level and mode != "intx" for level in self.level]
        messages = list(self.messages())
        stopped = not self.bus_master or self.d_state or (mode == "msix" and self.function_mask)
        for number, (masked, address, data) in enumerate(messages):
            users = range(number, self.vectors, len(messages))
            if stopped or masked:
                continue
            if any(self.pulse_waits[user] or self.rise_waits[user] for user in users):
                self.sent.append((address, data))
                for user in users:
                    self.pulse_waits[user] = self.rise_waits[user] = False
        self.move_pin(self.status() and not self.disable and not self.d_state)

    def move_pin(self, level):
        if level != self.pin_is:
            self.pin_is = level
            self.pin.append(level)

    def status(self):
        return self.mode() == "intx" and any(self.level)

    def pulse(self, vector):
        if self.mode() != "intx":
            self.pulse_waits[vector] = True
        elif not any(self.level) and not self.disable and not self.d_state:
            self.pin += [True, False]
        self.settle()

    def drive(self, vector, level):
        if level != self.level[vector]:
            self.level[vector] = level
            self.rise_waits[vector] = level and self.mode() != "intx"
        self.settle()

    def waiting(self):
        return [n for n in range(self.vectors) if self.pulse_waits[n] or self.rise_waits[n]]

    def msix_pending(self):
        return sum(1 << number for number in {n % self.msix_size for n in self.waiting()})

    def msi_pending(self):
        if self.mode() == "msix":
            return 0
        return sum(1 << number for number in {n % self.granted for n in self.waiting()})

    def write_table(self, offset, size, value):
        for at, byte in enumerate(value.to_bytes(size, "little"), offset):
            if at < len(self.table):
                keep = WORDS_WRITABLE[at // 4 % 4] >> 8 * (at % 4) & 0xFF
                self.table[at] = byte & keep
        self.settle()

    def reset(self):
        self.registers()
        self.level = [False] * self.vectors
        self.pulse_waits = [False] * self.vectors
        self.rise_waits = [False] * self.vectors
        self.was = self.mode()
        self.settle()


CHOICES = [
    {"pin": "A", "msix": 4, "msi": 0},
    {"pin": None, "msix": 3, "msi": 0},
    {"pin": "B", "msix": 0, "msi": 4},
    {"pin": None, "msix": 0, "msi": 8},
    {"pin": "C", "msix": 2, "msi": 8},
    {"pin": "D", "msix": 70, "msi": 2},
    {"pin": "A", "msix": 0, "msi": 0},
    {"pin": None, "msix": 0, "msi": 0},
]
numbers = st.integers(0, 69)
bits = st.booleans()


class InterruptsMachine(RuleBasedStateMachine):
    @initialize(choice=st.sampled_from(CHOICES))
    def begin(self, choice):
        self.choice = choice
        self.wired = Wired(bus_master=False, **choice)
        self.model = Model(**choice)

    @rule(number=numbers)
    def pulse(self, number):
        number %= self.model.vectors
        self.wired.irq(number).pulse()
        self.model.pulse(number)

    @rule(number=numbers, level=bits)
    def drive(self, number, level):
        number %= self.model.vectors
        self.wired.irq(number).set_level(level)
        self.model.drive(number, level)

    @rule(bus_master=bits, disable=bits, size=st.sampled_from([2, 4]))
    def command(self, bus_master, disable, size):
        self.wired.write(4, size, bus_master << 2 | disable << 10)
        self.model.bus_master, self.model.disable = bus_master, disable
        self.model.settle()

    @rule(bus_master=bits)
    def command_byte(self, bus_master):
        self.wired.write(4, 1, bus_master << 2)
        self.model.bus_master = bus_master
        self.model.settle()

    @rule(state=st.sampled_from([0, 3]))
    def power(self, state):
        self.wired.power(state)
        self.model.d_state = state
        self.model.settle()

    @rule(on=bits, function_mask=bits)
    def msix_control(self, on, function_mask):
        if self.choice["msix"]:
            self.wired.msix(enable=on, function_mask=function_mask)
            self.model.msix_on, self.model.function_mask = on, function_mask
            self.model.settle()

    @rule(on=bits, granted=st.sampled_from([1, 2, 4, 8, 16, 32, 64, 128]))
    def msi_control(self, on, granted):
        if self.choice["msi"]:
            # A dword write onto the capability's header, which keeps the header as it is.
            at = self.wired.config.msi.offset
            self.wired.write(at, 4, (on | granted.bit_length() - 1 << 4) << 16)
            self.model.msi_on, self.model.granted = on, min(granted, self.choice["msi"])
            self.model.settle()

    @rule(address=st.integers(0, (1 << 64) - 1), data=st.integers(0, 0xFFFF))
    def msi_message(self, address, data):
        if self.choice["msi"]:
            at = self.wired.config.msi.offset
            self.wired.write(at + 4, 4, address & 0xFFFF_FFFF)
            self.wired.write(at + 8, 4, address >> 32)
            self.wired.write(at + 12, 2, data)
            self.model.msi_address, self.model.msi_data = address & ~3, data
            self.model.settle()

    @rule(mask=st.integers(0, 0xFFFF_FFFF))
    def msi_mask(self, mask):
        if self.choice["msi"]:
            self.wired.msi_mask(mask)
            self.model.msi_mask = mask & (1 << self.choice["msi"]) - 1
            self.model.settle()

    @rule(number=numbers, masked=bits)
    def mask(self, number, masked):
        if self.choice["msix"]:
            number %= self.choice["msix"]
            self.wired.mask(number, masked)
            self.model.write_table(16 * number + 12, 4, masked)

    @rule(
        offset=st.integers(0, 16 * 4 + 4),
        size=st.sampled_from([1, 2, 3, 4, 8, 16]),
        value=st.integers(0, (1 << 128) - 1),
    )
    def write_table(self, offset, size, value):
        if self.choice["msix"]:
            value &= (1 << 8 * size) - 1
            self.wired.interrupts.table.write(None, offset, size, value)
            self.model.write_table(offset, size, value)

    @rule(kind=st.sampled_from(ResetKind))
    def reset(self, kind):
        self.wired.reset(kind)
        self.model.reset()

    @rule()
    def save_and_restore(self):
        wired, interrupts = self.wired, self.wired.interrupts
        state = interrupts.snapshot()
        fresh = Interrupts(wired.config, pin=self.choice["pin"])
        interrupts.disconnect()
        if self.model.pin_is:
            assert wired.pin.pop() is False  # the old one left the line
        fresh.send, fresh.set_pin = interrupts_send(wired), wired.pin.append
        fresh.restore(state)
        if self.model.pin_is:
            assert wired.pin.pop() is True  # and the new one took it
        assert fresh.snapshot() == state
        wired.interrupts = fresh

    @invariant()
    def same(self):
        if not hasattr(self, "model"):
            return
        wired, model = self.wired, self.model
        assert (wired.sent, wired.pin) == (model.sent, model.pin)
        assert bool(wired.status()) == model.status()
        assert wired.interrupts.mode == model.mode()
        if model.msix_size:
            assert wired.pending() == model.msix_pending()
            size = 16 * model.msix_size
            table = wired.interrupts.table.read(None, 0, size).to_bytes(size, "little")
            assert table == model.table
        if model.msi_size:
            assert wired.config.msi.pending == model.msi_pending()
        for number in range(model.vectors):
            irq = wired.irq(number)
            assert irq.level == model.level[number]
            assert irq.pending == (number in model.waiting())


def interrupts_send(wired):
    return lambda address, data: wired.sent.append((address, data))


TestInterrupts = InterruptsMachine.TestCase
TestInterrupts.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
