# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The fixed ACPI registers; the ACPI Specification calls the sections by the registers' names."""

import pickle

import pytest

from vmmkit.backends import MachineHalted, SoftMachine
from vmmkit.devices.acpi_pm import PM_TIMER_HZ, AcpiPm, AcpiPmSnapshot, Pm1Event
from vmmkit.errors import DeviceError
from vmmkit.memregion import RegionMap

STATUS, ENABLE, CONTROL, TIMER = 0, 2, 4, 8
SCI_EN, SLP_EN, SECOND = 0x0001, 0x2000, 1_000_000_000
HALF_PERIOD = -(-(1 << 23) * SECOND // PM_TIMER_HZ)  # ns of the 24-bit timer, rounded up


class Wired:
    """The registers, with a clock to set, and ears on what they say."""

    def __init__(self, **options):
        self.time, self.levels, self.slept = 0, [], []
        self.pm = AcpiPm(lambda: self.time, self.levels.append, self.slept.append, **options)

    def read(self, offset, size=2):
        return self.pm.read(None, offset, size)

    def write(self, offset, value, size=2):
        self.pm.write(None, offset, size, value)


@pytest.fixture
def wired():
    return Wired()


def test_after_power_up(wired):
    assert [wired.read(at) for at in (STATUS, ENABLE, CONTROL)] == [0, 0, SCI_EN]
    assert (wired.levels, wired.pm.size, wired.pm.deadline()) == ([], 12, None)


@pytest.mark.parametrize("typ", range(8))
def test_sleep_is_told_with_its_type_and_the_bit_reads_zero(wired, typ):
    wired.write(CONTROL, SLP_EN | typ << 10)
    assert wired.slept == [typ]
    assert wired.read(CONTROL) == SCI_EN | typ << 10


@pytest.mark.parametrize(
    ("writes", "slept"),
    [
        ([(CONTROL, 0x1400, 2)], []),  # the type alone
        ([(CONTROL + 1, 0x34, 1)], [5]),  # the high byte alone
        ([(CONTROL, 0x1400, 2), (CONTROL, 0x2000, 2)], [0]),  # the last type counts
        ([(CONTROL, 0xFF, 1)], []),  # the low byte alone
        ([(ENABLE, 0x2000_0000, 4)], [0]),  # enable and control together
        ([(STATUS, 0x2400_0000_0000, 8)], [1]),
    ],
)
def test_sleep_by_bytes(wired, writes, slept):
    for write in writes:
        wired.write(*write)
    assert wired.slept == slept


def test_control_keeps_what_the_guest_may_write(wired):
    wired.write(CONTROL, 0xFFFF & ~SLP_EN)
    assert wired.read(CONTROL) == SCI_EN | 0x1C02
    wired.write(CONTROL, 0)
    assert wired.read(CONTROL) == SCI_EN


def test_enable_has_no_other_bits(wired):
    wired.write(ENABLE, 0xFFFF)
    assert wired.read(ENABLE) == 0x0721
    wired.write(ENABLE + 1, 0, 1)
    assert wired.read(ENABLE) == 0x0021


@pytest.mark.parametrize("event", [bit for bit in Pm1Event if bit is not Pm1Event.TIMER])
def test_events_interrupt_where_enabled_until_cleared(wired, event):
    wired.write(ENABLE, event)
    wired.pm.raise_event(event)
    enabled = wired.read(ENABLE) == event
    assert wired.read(STATUS) == event
    assert wired.levels == ([True] if enabled else [])
    wired.write(STATUS, ~event & 0xFFFF)
    assert wired.read(STATUS) == event
    wired.write(STATUS, event)
    assert wired.read(STATUS) == 0
    assert wired.levels == ([True, False] if enabled else [])


def test_an_event_that_is_enabled_later(wired):
    wired.pm.raise_event(Pm1Event.POWER_BUTTON)
    assert wired.levels == []
    wired.write(ENABLE, Pm1Event.POWER_BUTTON)
    assert wired.levels == [True]


def test_without_acpi_mode_there_is_no_sci():
    wired = Wired(acpi_mode=False)
    wired.write(ENABLE, Pm1Event.POWER_BUTTON)
    wired.pm.raise_event(Pm1Event.POWER_BUTTON)
    wired.write(CONTROL, SCI_EN)
    assert (wired.read(CONTROL), wired.levels) == (0, [])
    wired.pm.set_acpi_mode(True)
    assert (wired.read(CONTROL), wired.levels) == (SCI_EN, [True])
    wired.pm.set_acpi_mode(False)
    assert wired.levels == [True, False]


# -- Power Management Timer ----------------------------------------------------------------------


@pytest.mark.parametrize("bits", [24, 32])
def test_the_timer_counts_and_wraps(bits):
    wired = Wired(timer_bits=bits)
    for seconds in (0, 1, 2, 5, 4000):
        wired.time = seconds * SECOND
        assert wired.read(TIMER, 4) == PM_TIMER_HZ * seconds % (1 << bits)
    wired.write(TIMER, 0, 4)
    assert wired.read(TIMER, 4) == PM_TIMER_HZ * 4000 % (1 << bits)


def test_the_bytes_of_one_read_are_of_one_moment():
    times = iter([0, 0, SECOND, 1 << 60])  # made; caught up; shown; never asked for
    assert AcpiPm(lambda: next(times)).read(None, TIMER, 4) == PM_TIMER_HZ


def test_the_highest_bit_sets_the_status_each_time_it_changes(wired):
    for changes in (1, 2, 3):
        wired.time = changes * HALF_PERIOD - 1000
        assert wired.read(STATUS) == 0
        wired.time = changes * HALF_PERIOD
        assert wired.read(STATUS) == Pm1Event.TIMER
        wired.write(STATUS, Pm1Event.TIMER)
    assert wired.levels == []


def test_the_timer_interrupts_at_its_deadline(wired):
    wired.write(ENABLE, Pm1Event.TIMER)
    assert wired.pm.deadline() == HALF_PERIOD
    wired.time = HALF_PERIOD - 1
    wired.pm.advance()
    assert wired.levels == []
    wired.time = HALF_PERIOD
    wired.pm.advance()
    assert (wired.levels, wired.pm.deadline()) == ([True], None)
    wired.write(STATUS, Pm1Event.TIMER)
    assert wired.levels == [True, False]
    assert HALF_PERIOD < wired.pm.deadline() <= 2 * HALF_PERIOD
    wired.pm.set_acpi_mode(False)
    assert wired.pm.deadline() is None


def test_a_machine_wakes_for_the_timer():
    ram = bytearray(0x10000)
    ram[0x1000:0x1005] = bytes.fromhex("b001 fb f4 f4")  # mov al, 1; sti; hlt; hlt
    machine = SoftMachine([(0, ram)])
    levels = []
    pm = AcpiPm(lambda: machine.time, levels.append)
    machine.pio.add(0x600, pm.size, machine.timed(pm), name="pm")
    machine.pio.port(machine.vcpus[0]).write(0x602, 2, Pm1Event.TIMER)
    machine.vcpus[0].state.enter_real_mode(ip=0x1000)
    assert isinstance(machine.run(), MachineHalted)
    assert levels == [True]
    assert machine.time >= HALF_PERIOD


# -- the owner's side ----------------------------------------------------------------------------


def test_reset(wired):
    wired.time = HALF_PERIOD + SECOND
    wired.write(ENABLE, 0xFFFF)
    wired.write(CONTROL, 0x1400)
    assert wired.levels == [True]
    wired.pm.reset()
    assert [wired.read(at) for at in (STATUS, ENABLE, CONTROL)] == [0, 0, SCI_EN]
    assert wired.read(TIMER, 4) == 0
    assert wired.levels == [True, False]


def test_a_snapshot_goes_on_elsewhere(wired):
    wired.time = HALF_PERIOD + SECOND
    wired.write(ENABLE, Pm1Event.TIMER)
    wired.write(CONTROL, 0x0402)
    other = Wired()
    other.time = 77
    other.pm.restore(pickle.loads(pickle.dumps(wired.pm.snapshot())))
    assert other.read(STATUS, 8) == wired.read(STATUS, 8)
    assert other.read(TIMER, 4) == wired.read(TIMER, 4)
    assert other.levels == [True]
    assert other.pm.snapshot() == wired.pm.snapshot()
    assert repr(other.pm) == "<AcpiPm 0001 0001 0403>"


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: AcpiPm(7),
        lambda: AcpiPm(int, sci=1),
        lambda: AcpiPm(int, sleep="S5"),
        lambda: AcpiPm(int, timer_bits=16),
        lambda: AcpiPm(int, acpi_mode=1),
        lambda: AcpiPm(int).raise_event(0x0002),
        lambda: AcpiPm(int).raise_event(-1),
        lambda: AcpiPm(int).raise_event("power"),
        lambda: AcpiPm(int).restore(None),
        lambda: AcpiPmSnapshot(status=0x10000),
        lambda: AcpiPmSnapshot(control=0x2000),
    ],
)
def test_what_the_owner_may_not_do(mistake):
    with pytest.raises(DeviceError):
        mistake()


@pytest.mark.parametrize("offset", range(14))
@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_any_access_has_a_result(wired, offset, size):
    wired.write(offset, (1 << 8 * size) - 1, size)
    assert 0 <= wired.read(offset, size) < 1 << 8 * size
    if offset >= 12:
        assert wired.read(offset, size) == (1 << 8 * size) - 1


def test_in_a_map_of_ports(wired):
    pio = RegionMap(address_bits=16, name="pio")
    pio.add(0x600, wired.pm.size, wired.pm, name="pm")
    pio.port(None).write(0x604, 2, SLP_EN)
    assert wired.slept == [0]
