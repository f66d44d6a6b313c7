# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The 16550A against a second, naive model, under random accesses from both sides.

The model keeps every status bit as a value of its own and has one branch per rule; the port
derives them. After each step both show the same registers, and the pins are what they say.
"""

import pickle

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from vmmkit.devices.uart16550 import CharacterTimeout, Uart16550

OE, PE, FE, BI = 0x02, 0x04, 0x08, 0x10


class NaiveUart:
    """A 16550A told as a list of rules."""

    def __init__(self, *, paced, owner_timeout, inputs):
        self.paced = paced
        self.owner_timeout = owner_timeout
        self.inputs = inputs
        self.dll, self.dlm, self.scr = 12, 0, 0
        self.sent = []
        self.master_reset()

    def master_reset(self):
        self.ier = self.lcr = self.mcr = 0
        self.fifo_on, self.trigger = False, 1
        self.rx = []  # [character, errors nobody has seen]
        self.rbr = 0
        self.shown = {OE: False, PE: False, FE: False, BI: False}
        self.fifo_error = False  # an error came to the top of the FIFO
        self.silence = False
        self.tx, self.tsr = [], None
        self.thre_told = True
        self.deltas = set()
        self.seen_lines = self.modem_lines()

    # -- modem

    def modem_lines(self):
        if not self.mcr & 0x10:
            return {name for name, bit in LINES.items() if self.inputs & bit}
        names = {0x01: "DSR", 0x02: "CTS", 0x04: "RI", 0x08: "DCD"}
        return {name for bit, name in names.items() if self.mcr & bit}

    def watch_modem(self):
        now = self.modem_lines()
        for name in ("CTS", "DSR", "DCD"):
            if (name in now) != (name in self.seen_lines):
                self.deltas.add(name)
        if "RI" in self.seen_lines and "RI" not in now:
            self.deltas.add("RI")
        self.seen_lines = now

    def msr(self):
        high = sum(LINES[name] for name in self.modem_lines())
        return high + sum(LINES[name] // 16 for name in self.deltas)

    def set_inputs(self, inputs):
        self.inputs = inputs
        self.watch_modem()

    # -- receiver

    def room(self):
        if self.mcr & 0x10:
            return 0
        return 16 - len(self.rx) if self.fifo_on else 1 - len(self.rx)

    def arrive(self, character, errors):
        character %= 2 ** (5 + self.lcr % 4)
        if self.fifo_on and len(self.rx) == 16:
            self.shown[OE] = True
            return
        if not self.fifo_on and self.rx:
            self.shown[OE] = True
            self.rx = []
        self.rx.append([character, errors])
        self.look_at_top()

    def look_at_top(self):
        if self.rx:
            for bit in (PE, FE, BI):
                if self.rx[0][1] & bit:
                    self.shown[bit] = True
                    self.fifo_error = self.fifo_on
            self.rx[0][1] = 0

    def receive(self, data, errors, force):
        room = self.room()
        if not self.mcr & 0x10:
            for character in data if force else data[:room]:
                self.arrive(character, errors)
        return min(room, len(data))

    def read_rbr(self):
        self.silence = False
        if self.rx:
            self.rbr = self.rx.pop(0)[0]
            self.look_at_top()
        return self.rbr

    def lsr(self):
        value = sum(bit for bit, shown in self.shown.items() if shown)
        if self.rx:
            value += 0x01
        if not self.tx:
            value += 0x20
        if not self.tx and self.tsr is None:
            value += 0x40
        in_fifo = any(errors for _, errors in self.rx)
        if self.fifo_on and (in_fifo or self.fifo_error):
            value += 0x80
        return value

    def read_lsr(self):
        value = self.lsr()
        self.shown = dict.fromkeys(self.shown, False)
        self.fifo_error = False
        return value

    # -- transmitter

    def write_thr(self, value):
        value %= 2 ** (5 + self.lcr % 4)
        self.thre_told = True
        if self.fifo_on:
            if len(self.tx) < 16:
                self.tx.append(value)
        else:
            self.tx = [value]
        self.start()
        while not self.paced and self.tsr is not None:
            self.finish()

    def start(self):
        if self.tsr is None and self.tx:
            self.tsr = self.tx.pop(0)
            if not self.tx:
                self.thre_told = False

    def finish(self):
        character, self.tsr = self.tsr, None
        self.start()
        if character is None:
            return False
        if self.mcr & 0x10:
            self.arrive(character, 0)
        elif not self.lcr & 0x40:
            self.sent.append(character)
        return True

    # -- interrupts

    def iir(self):
        fifos = 0xC0 if self.fifo_on else 0
        if self.ier & 4 and any(self.shown.values()):
            return fifos + 0x06
        if self.ier & 1 and len(self.rx) >= self.trigger:
            return fifos + 0x04
        if self.ier & 1 and self.fifo_on and self.rx and (self.silence or not self.owner_timeout):
            return fifos + 0x0C
        if self.ier & 2 and not self.tx and not self.thre_told:
            return fifos + 0x02
        if self.ier & 8 and self.deltas:
            return fifos + 0x00
        return fifos + 0x01

    def read_iir(self):
        value = self.iir()
        if value & 0x0F == 0x02:
            self.thre_told = True
        return value

    # -- the window

    def read(self, register):
        dlab = self.lcr >= 0x80
        if register == 0:
            return self.dll if dlab else self.read_rbr()
        if register == 1:
            return self.dlm if dlab else self.ier
        if register == 2:
            return self.read_iir()
        if register == 5:
            return self.read_lsr()
        if register == 6:
            value = self.msr()
            self.deltas = set()
            return value
        return {3: self.lcr, 4: self.mcr, 7: self.scr}.get(register, 0xFF)

    def write(self, register, value):
        dlab = self.lcr >= 0x80
        if register == 0 and dlab:
            self.dll = value
        elif register == 0:
            self.write_thr(value)
        elif register == 1 and dlab:
            self.dlm = value
        elif register == 1:
            if value & 2 and not self.ier & 2 and not self.tx:
                self.thre_told = False
            self.ier = value % 16
        elif register == 2:
            self.write_fcr(value)
        elif register == 3:
            self.lcr = value
        elif register == 4:
            self.mcr = value % 32
            self.watch_modem()
        elif register == 7:
            self.scr = value

    def write_fcr(self, value):
        on = value % 2 == 1
        toggled = on != self.fifo_on
        if toggled or (on and value & 2):
            self.rx, self.silence, self.fifo_error = [], False, False
        if toggled or (on and value & 4):
            self.tx, self.thre_told = [], False
        self.fifo_on = on
        self.trigger = {0: 1, 1: 4, 2: 8, 3: 14}[value >> 6] if on else 1

    # -- what can be seen from outside

    def registers(self):
        names = ("RBR", "IER", "IIR", "LCR", "MCR", "LSR", "MSR", "SCR", "DLL", "DLM")
        rbr = self.rx[0][0] if self.rx else self.rbr
        values = (rbr, self.ier, self.iir(), self.lcr, self.mcr, self.lsr(), self.msr())
        return dict(zip(names, (*values, self.scr, self.dll, self.dlm), strict=True))

    def outputs(self):
        return 0 if self.mcr & 0x10 else self.mcr % 16 + (self.lcr & 0x40)


LINES = {"CTS": 0x10, "DSR": 0x20, "RI": 0x40, "DCD": 0x80}

# Mostly values that leave DLAB, break and loopback off: behind them little happens.
VALUES = st.one_of(
    st.sampled_from([0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x08, 0x0F]),
    st.sampled_from([0x01, 0x02, 0x03, 0x07, 0x0B]),
    st.sampled_from([0x10, 0x1F, 0x41, 0x81, 0xC1, 0xC7, 0x83, 0xFF]),
    st.integers(0, 255),
)


class UartMachine(RuleBasedStateMachine):
    """Both models under the same random accesses."""

    @initialize(
        paced=st.booleans(),
        timeout=st.sampled_from(CharacterTimeout),
        gate=st.booleans(),
        shift=st.integers(0, 3),
        inputs=st.integers(0, 15).map(lambda lines: lines << 4),
    )
    def plug_in(self, paced, timeout, gate, shift, inputs):
        self.config = {
            "paced": paced,
            "timeout": timeout,
            "out2_gate": gate,
            "register_shift": shift,
        }
        owner_timeout = timeout is CharacterTimeout.OWNER
        self.naive = NaiveUart(paced=paced, owner_timeout=owner_timeout, inputs=inputs)
        self.sent = []
        self.new_port(inputs)

    def new_port(self, inputs):
        """Replace the port under test by a fresh one."""
        self.level = False
        self.lines = 0
        self.uart = Uart16550(
            self.sent.append,
            self.on_interrupt,
            drive_outputs=self.on_outputs,
            modem_inputs=inputs,
            **self.config,
        )

    def on_interrupt(self, level):
        assert level is not self.level
        self.level = level

    def on_outputs(self, lines):
        assert lines != self.lines
        self.lines = lines

    def lane(self, offset):
        """Return the register at a byte offset; None between registers, 8 and up beyond."""
        spacing = 2 ** self.config["register_shift"]
        return offset // spacing if offset % spacing == 0 or offset >= 8 * spacing else None

    def naive_read(self, offset):
        register = self.lane(offset)
        return 0 if register is None else self.naive.read(register)

    @rule(register=st.integers(0, 7))
    def guest_reads(self, register):
        offset = register << self.config["register_shift"]
        assert self.uart.read("cpu", offset, 1) == self.naive.read(register)

    @rule(register=st.integers(0, 7), value=VALUES)
    def guest_writes(self, register, value):
        self.uart.write("cpu", register << self.config["register_shift"], 1, value)
        self.naive.write(register, value)

    @rule(ier=st.integers(0, 15), fcr=st.sampled_from([0x00, 0x01, 0x41, 0x81, 0xC1]))
    def driver_opens(self, ier, fcr):
        """Leave the corners that random values end up in: DLAB, break and loopback."""
        for register, value in ((3, 0x03), (4, 0x08), (2, fcr), (1, ier)):
            self.guest_writes(register, value)

    @rule(ier=st.sampled_from([0x01, 0x02, 0x03, 0x04, 0x08, 0x0F]))
    def driver_enables(self, ier):
        self.guest_writes(3, 0x03)
        self.guest_writes(1, ier)

    @rule()
    def driver_serves(self):
        for register in (2, 5, 0, 2, 6):
            self.guest_reads(register)
            self.check_pins()

    @rule(text=st.binary(min_size=1, max_size=20))
    def guest_sends(self, text):
        for character in text:
            self.guest_writes(0, character)

    @rule(offset=st.integers(0, 70), size=st.sampled_from([1, 2, 4, 8]))
    def guest_reads_wide(self, offset, size):
        expected = sum(self.naive_read(offset + lane) * 256**lane for lane in range(size))
        assert self.uart.read("cpu", offset, size) == expected

    @rule(
        offset=st.integers(0, 70),
        lanes=st.sampled_from([1, 2, 4, 8]).flatmap(
            lambda size: st.lists(VALUES, min_size=size, max_size=size)
        ),
    )
    def guest_writes_wide(self, offset, lanes):
        self.uart.write("cpu", offset, len(lanes), int.from_bytes(bytes(lanes), "little"))
        for index, byte in enumerate(lanes):
            if self.lane(offset + index) is not None:
                self.naive.write(self.lane(offset + index), byte)

    @rule(
        data=st.binary(max_size=20),
        errors=st.sampled_from([0, 0, PE, FE, BI, PE | FE]),
        force=st.booleans(),
    )
    def characters_arrive(self, data, errors, force):
        assert self.uart.room == self.naive.room()
        taken = self.uart.receive(data, errors=errors, force=force)
        assert taken == self.naive.receive(data, errors, force)

    @rule(force=st.booleans())
    def break_arrives(self, force):
        taken = self.uart.receive_break(force=force)
        assert taken == self.naive.receive(b"\0", BI | FE, force)

    @rule(lines=st.integers(0, 15))
    def modem_changes(self, lines):
        self.uart.set_modem_inputs(lines << 4)
        self.naive.set_inputs(lines << 4)

    @precondition(lambda self: self.config["timeout"] is CharacterTimeout.OWNER)
    @rule(data=st.binary(max_size=3))
    def silence_passes(self, data):
        self.characters_arrive(data, 0, force=False)
        self.naive.silence = self.naive.fifo_on and bool(self.naive.rx)
        assert self.uart.character_timeout() == self.naive.silence
        self.check_pins()
        self.guest_reads(0)

    @precondition(lambda self: self.config["paced"])
    @rule()
    def character_time_passes(self):
        assert self.uart.shift_out() == self.naive.finish()

    @rule()
    def reset(self):
        self.uart.reset()
        self.naive.master_reset()

    @rule(through_pickle=st.booleans())
    def move_to_another_port(self, through_pickle):
        saved = self.uart.snapshot()
        if through_pickle:
            saved = pickle.loads(pickle.dumps(saved))
        self.new_port(0)
        self.uart.restore(saved)
        assert self.uart.snapshot() == saved

    @invariant()
    def same_registers(self):
        assert self.uart.registers() == self.naive.registers()

    @invariant()
    def same_characters_sent(self):
        assert self.sent == self.naive.sent

    @invariant()
    def the_pins_say_what_the_registers_say(self):
        self.check_pins()

    def check_pins(self):
        assert self.lines == self.uart.outputs == self.naive.outputs()
        pending = self.uart.registers()["IIR"] & 1 == 0
        gate = not self.config["out2_gate"] or bool(self.uart.outputs & 0x08)
        assert self.level == (pending and gate)


TestUartMachine = UartMachine.TestCase
TestUartMachine.settings = settings(stateful_step_count=80)
