# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The I/O APIC rule by rule; sections are named as in the 82093AA data sheet."""

import pickle

import attrs
import pytest

from devices.apics import EOI, LEVEL, LOGICAL, MASKED, SVR, Pins, enabled_cpu
from vmmkit.devices.apic_bus import ApicBus
from vmmkit.devices.ioapic import IoApic
from vmmkit.devices.lapic import ApicMessage, DeliveryMode
from vmmkit.errors import DeviceError

REMOTE_IRR, STATUS, ACTIVE_LOW = 0x4000, 0x1000, 0x2000
VECTOR = 0x41


class Recorder:
    """An I/O APIC whose messages are written down, and accepted or not."""

    def __init__(self, **config):
        self.sent = []
        self.accepting = 1
        self.ioapic = IoApic(self.on_send, **config)

    def on_send(self, message):
        self.sent.append(message)
        return self.accepting

    get, set, entry, program = Pins.get, Pins.set, Pins.entry, Pins.program

    def messages(self):
        sent, self.sent = self.sent, []
        return len(sent)


# -- IOAPIC Registers --------------------------------------------------------------------------


def test_first_values():
    pins = Recorder(apic_id=3)
    assert [pins.get(index) for index in (0, 1, 2)] == [3 << 24, 0x0017_0020, 3 << 24]
    assert [pins.entry(pin) for pin in range(24)] == [MASKED] * 24
    assert (pins.get(0x40), pins.get(0x03), pins.get(0xFF)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("config", "version"),
    [({"version": 0x11}, 0x0017_0011), ({"pins": 120}, 0x0077_0020), ({"pins": 1}, 0x20)],
)
def test_version(config, version):
    assert Recorder(**config).get(1) == version


def test_id_and_arbitration_id():
    pins = Recorder()
    pins.set(0, 0xFFFF_FFFF)
    assert (pins.get(0), pins.get(2)) == (0x0F00_0000, 0x0F00_0000)
    pins.set(2, 0)
    pins.set(1, 0)
    assert (pins.get(2), pins.get(1)) == (0x0F00_0000, 0x0017_0020)


@pytest.mark.parametrize("value", [0, 0x5555_5555, 0xAAAA_AAAA, 0xFFFF_FFFF])
def test_kept_bits_of_an_entry(value):
    pins = Recorder()
    pins.set(0x10 + 46, value | MASKED)
    pins.set(0x11 + 46, value)
    assert pins.entry(23) == (value & 0xFF00_0000) << 32 | (value | MASKED) & 0x1_AFFF


@pytest.mark.parametrize(
    ("offset", "size", "value"),
    [(0x00, 1, 0x10), (0x00, 4, 0x10), (0x10, 1, 0x45), (0x12, 2, 1), (0x0E, 4, 0x45 << 16)],
)
def test_other_reads_see_bytes(offset, size, value):
    pins = Recorder()
    pins.set(0x10, MASKED | 0x45)
    assert pins.ioapic.read(None, offset, size) == value


@pytest.mark.parametrize(("offset", "size"), [(0x10, 1), (0x10, 2), (0x10, 8), (0x14, 4), (4, 4)])
def test_other_writes_are_dropped(offset, size):
    pins = Recorder()
    pins.ioapic.write(None, 0, 1, 0x10)
    pins.ioapic.write(None, offset, size, 0x45)
    assert (pins.entry(0), pins.messages()) == (MASKED, 0)


def test_the_index_takes_any_size():
    pins = Recorder()
    for size in (1, 2, 4):
        pins.ioapic.write(None, 0, size, 0)
        pins.ioapic.write(None, 0, size, 0x01)
        assert pins.ioapic.read(None, 0x10, 4) == 0x0017_0020


# -- I/O Redirection Table Registers: edges ----------------------------------------------------


def test_an_edge_sends_once():
    pins = Recorder()
    pins.program(4, LOGICAL | 0x100 | VECTOR, 0x0F)
    line = pins.ioapic.line(4)
    for level in (True, True, False):
        line(level)
    mode = DeliveryMode.LOWEST_PRIORITY
    assert pins.sent == [ApicMessage(VECTOR, mode, 0x0F, logical=True)]
    line(True)
    assert len(pins.sent) == 2
    assert pins.entry(4) & (REMOTE_IRR | STATUS) == 0


def test_an_edge_on_a_masked_pin_is_lost():
    pins = Recorder()
    pins.program(4, MASKED | VECTOR)
    pins.ioapic.set_line(4, True)
    pins.program(4, VECTOR)
    assert pins.messages() == 0


@pytest.mark.parametrize(
    ("mode", "sent"),
    [
        (0x000, DeliveryMode.FIXED),
        (0x100, DeliveryMode.LOWEST_PRIORITY),
        (0x200, DeliveryMode.SMI),
        (0x300, None),
        (0x400, DeliveryMode.NMI),
        (0x500, DeliveryMode.INIT),
        (0x600, None),
        (0x700, DeliveryMode.EXTINT),
    ],
)
def test_delivery_modes(mode, sent):
    pins = Recorder()
    pins.program(0, LEVEL | mode | VECTOR, 2)
    pins.ioapic.set_line(0, True)
    level = mode in (0x000, 0x100)
    expected = [] if sent is None else [ApicMessage(VECTOR, sent, 2, level=level)]
    assert pins.sent == expected
    assert bool(pins.entry(0) & REMOTE_IRR) is level


# -- I/O Redirection Table Registers: levels ---------------------------------------------------


def test_a_level_waits_for_its_eoi():
    pins = Recorder()
    pins.program(9, LEVEL | VECTOR)
    line = pins.ioapic.line(9)
    line(True)
    assert pins.sent == [ApicMessage(VECTOR, level=True)]
    assert pins.entry(9) == REMOTE_IRR | LEVEL | VECTOR
    line(False)
    line(True)
    assert len(pins.sent) == 1
    pins.ioapic.end_of_interrupt(VECTOR + 1)
    assert len(pins.sent) == 1
    pins.ioapic.end_of_interrupt(VECTOR)
    assert len(pins.sent) == 2
    line(False)
    pins.ioapic.end_of_interrupt(VECTOR)
    assert (len(pins.sent), pins.entry(9)) == (2, LEVEL | VECTOR)


@pytest.mark.parametrize("eoi_first", [False, True])
def test_masked_while_in_service(eoi_first):
    """The order in which drivers of threaded interrupts do it, and the other one."""
    pins = Recorder()
    pins.program(9, LEVEL | VECTOR)
    pins.ioapic.set_line(9, True)
    pins.set(0x22, MASKED | LEVEL | VECTOR)
    steps = [
        lambda: pins.ioapic.end_of_interrupt(VECTOR),
        lambda: pins.set(0x22, LEVEL | VECTOR),
    ]
    for step in steps if eoi_first else reversed(steps):
        assert len(pins.sent) == 1
        step()
    assert len(pins.sent) == 2


def test_unmasking_an_asserted_level():
    pins = Recorder()
    pins.ioapic.set_line(9, True)
    pins.program(9, LEVEL | VECTOR)
    assert pins.messages() == 1


@pytest.mark.parametrize(("version", "sent"), [(0x11, 1), (0x20, 2)])
def test_eoi_register(version, sent):
    pins = Recorder(version=version)
    pins.program(9, LEVEL | VECTOR)
    pins.ioapic.set_line(9, True)
    pins.ioapic.write(None, 0x40, 1, VECTOR)
    pins.ioapic.write(None, 0x40, 4, VECTOR)
    assert len(pins.sent) == sent


def test_edge_mode_ends_remote_irr():
    """How drivers end an interrupt without an EOI register: masked edge, then level again."""
    pins = Recorder(version=0x11)
    pins.program(9, LEVEL | VECTOR)
    pins.ioapic.set_line(9, True)
    pins.set(0x22, MASKED | VECTOR)
    assert pins.entry(9) == MASKED | VECTOR
    pins.set(0x22, LEVEL | VECTOR)
    assert len(pins.sent) == 2


def test_an_eoi_ends_all_entries_with_its_vector():
    pins = Recorder()
    for pin in (9, 10):
        pins.program(pin, LEVEL | VECTOR)
        pins.ioapic.set_line(pin, True)
    pins.ioapic.end_of_interrupt(VECTOR)
    assert len(pins.sent) == 4


# -- Delivery status ---------------------------------------------------------------------------


@pytest.mark.parametrize("trigger", [0, LEVEL])
def test_what_nobody_accepts_is_pending(trigger):
    pins = Recorder()
    pins.accepting = 0
    pins.program(4, trigger | VECTOR)
    pins.ioapic.set_line(4, True)
    assert pins.entry(4) == STATUS | trigger | VECTOR
    pins.accepting = 1
    pins.ioapic.retry()
    assert pins.entry(4) == trigger | VECTOR | (REMOTE_IRR if trigger else 0)
    pins.ioapic.retry()
    assert len(pins.sent) == 2


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(lambda pins: pins.set(0x19, 2 << 24), id="another destination"),
        pytest.param(lambda pins: pins.ioapic.end_of_interrupt(0xFE), id="any EOI"),
        pytest.param(lambda pins: pins.ioapic.retry(), id="retry"),
    ],
)
@pytest.mark.parametrize("trigger", [0, LEVEL])
def test_what_tries_again(step, trigger):
    pins = Recorder()
    pins.accepting = 0
    pins.program(4, trigger | VECTOR)
    pins.ioapic.set_line(4, True)
    pins.accepting = 1
    pins.messages()
    step(pins)
    assert (pins.messages(), pins.entry(4) & STATUS) == (1, 0)


@pytest.mark.parametrize(
    ("step", "trigger"),
    [
        pytest.param(lambda pins: pins.set(0x18, MASKED | VECTOR), 0, id="masked edge"),
        pytest.param(
            lambda pins: pins.set(0x18, MASKED | LEVEL | VECTOR), LEVEL, id="masked level"
        ),
        pytest.param(lambda pins: pins.ioapic.set_line(4, False), LEVEL, id="level gone"),
    ],
)
def test_what_withdraws(step, trigger):
    pins = Recorder()
    pins.accepting = 0
    pins.program(4, trigger | VECTOR)
    pins.ioapic.set_line(4, True)
    step(pins)
    assert pins.entry(4) & STATUS == 0
    pins.messages()
    pins.ioapic.retry()
    assert pins.messages() == 0


def test_an_edge_stays_pending_when_its_line_falls():
    pins = Recorder()
    pins.accepting = 0
    pins.program(4, VECTOR)
    pins.ioapic.set_line(4, True)
    pins.accepting = 1
    pins.ioapic.set_line(4, False)
    assert len(pins.sent) == 2


def test_a_local_apic_that_is_enabled_later_gets_it():
    bus = ApicBus()
    cpu, pins = enabled_cpu(0, bus), Pins(bus)
    cpu.set(SVR, 0xFF)
    pins.program(4, LEVEL | VECTOR)
    bus.line(4)(True)
    assert pins.entry(4) & STATUS
    cpu.set(SVR, 0x1FF)
    assert cpu.take() == VECTOR
    assert pins.entry(4) & (STATUS | REMOTE_IRR) == REMOTE_IRR


# -- Interrupt Input Pin Polarity --------------------------------------------------------------


def test_lines_are_logical_by_default():
    pins = Recorder()
    pins.program(4, LEVEL | ACTIVE_LOW | VECTOR)
    assert pins.messages() == 0
    pins.ioapic.set_line(4, True)
    assert (pins.messages(), pins.entry(4) & ACTIVE_LOW) == (1, ACTIVE_LOW)


@pytest.mark.parametrize("trigger", [0, LEVEL])
def test_electrical_lines(trigger):
    pins = Recorder(electrical=True)
    pins.ioapic.set_line(4, True)
    pins.program(4, trigger | ACTIVE_LOW | VECTOR)
    assert pins.messages() == 0
    pins.ioapic.set_line(4, False)
    assert pins.messages() == 1


# -- With local APICs --------------------------------------------------------------------------


def test_a_handler_that_runs_within_the_message():
    """The processor takes and ends the interrupt before `send` returns."""
    bus = ApicBus()
    cpu, pins = enabled_cpu(0, bus), Pins(bus)
    line, served = bus.line(4), []

    def handler(level):
        if level:
            served.append(cpu.take())
            line(False)
            cpu.set(EOI, 0)

    cpu.lapic.interrupt = handler
    pins.program(4, LEVEL | VECTOR)
    line(True)
    line(True)
    assert (served, pins.entry(4)) == ([VECTOR, VECTOR], LEVEL | VECTOR)


def test_a_window_of_its_size():
    assert (IoApic().size, enabled_cpu().lapic.size) == (0x100, 0x1000)


def test_the_eoi_broadcast_reaches_all():
    bus = ApicBus()
    cpu = enabled_cpu(0, bus)
    low, high = Pins(bus), Pins(bus, gsi_base=24)
    high.program(3, LEVEL | VECTOR)
    bus.line(27)(True)
    for _ in range(3):
        assert cpu.take() == VECTOR
        cpu.set(EOI, 0)
    assert low.entry(3) == MASKED


@pytest.mark.parametrize(("extended", "destination"), [(False, 0x34), (True, 0x1234)])
def test_extended_destinations(extended, destination):
    pins = Recorder(extended_destinations=extended)
    pins.set(0x11, 0x3424_0000)
    pins.set(0x10, VECTOR)
    pins.ioapic.set_line(0, True)
    assert pins.sent == [ApicMessage(VECTOR, destination=destination)]


# -- The owner's side --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        {"send": 1},
        {"pins": 0},
        {"pins": 121},
        {"gsi_base": -1},
        {"apic_id": 16},
        {"version": 256},
        {"electrical": 1},
        {"extended_destinations": None},
    ],
)
def test_wrong_configuration(config):
    with pytest.raises(DeviceError):
        IoApic(**config)


@pytest.mark.parametrize("pin", [-1, 24, "4"])
def test_wrong_pins(pin):
    ioapic = IoApic()
    with pytest.raises(DeviceError):
        ioapic.line(pin)
    with pytest.raises(DeviceError):
        ioapic.set_line(pin, True)


def busy_pins():
    pins = Recorder()
    pins.set(0, 0x0700_0000)
    pins.program(4, LEVEL | VECTOR, 3)
    pins.ioapic.set_line(4, True)
    pins.accepting = 0
    pins.program(5, VECTOR + 1, 2)
    pins.ioapic.set_line(5, True)
    return pins


def test_snapshot_and_restore():
    pins = busy_pins()
    saved = pickle.loads(pickle.dumps(pins.ioapic.snapshot()))
    other = Recorder()
    other.ioapic.restore(saved)
    assert other.sent == []
    assert other.ioapic.snapshot() == saved
    assert other.ioapic.registers() == pins.ioapic.registers()
    other.ioapic.end_of_interrupt(VECTOR)
    assert [message.vector for message in other.sent] == [VECTOR, VECTOR + 1]


@pytest.mark.parametrize(
    "change",
    [
        {"entries": (MASKED,) * 23},
        {"entries": [MASKED] * 24},
        {"entries": (1 << 17,) * 24},
        {"entries": ("",) * 24},
        {"entries": (LEVEL | REMOTE_IRR | STATUS,) * 24},
        {"entries": (REMOTE_IRR,) * 24},
        {"lines": 1 << 24},
        {"select": 256},
        {"apic_id": 16},
        {"arbitration_id": -1},
    ],
    ids=str,
)
def test_wrong_snapshots(change):
    pins = busy_pins()
    before = pins.ioapic.snapshot()
    with pytest.raises(DeviceError):
        pins.ioapic.restore(attrs.evolve(before, **change))
    assert pins.ioapic.snapshot() == before


def test_no_snapshot():
    with pytest.raises(DeviceError, match="no IoApicSnapshot"):
        IoApic().restore(None)


def test_reset_masks_all_and_leaves_the_lines():
    pins = busy_pins()
    pins.ioapic.reset()
    assert (pins.get(0), pins.entry(4)) == (0, MASKED)
    pins.messages()
    pins.program(4, LEVEL | VECTOR)
    assert pins.messages() == 1


def test_looking_changes_nothing():
    pins = busy_pins()
    before = pins.ioapic.snapshot()
    shown = pins.ioapic.registers()
    names = ["IOREGSEL", "IOAPICID", "IOAPICVERSION", "IOAPICARBITRATION", "IOREDTBL0"]
    assert list(shown)[:5] == names
    assert (shown["IOAPICID"], shown["IOREDTBL4"]) == (7 << 24, 3 << 56 | 0xC041)
    assert repr(pins.ioapic) == f"<IoApic GSI 0 4:{3 << 56 | 0xC041:x} 5:{2 << 56 | 0x1042:x}>"
    assert repr(IoApic(gsi_base=24)) == "<IoApic GSI 24 all masked>"
    assert pins.ioapic.snapshot() == before
