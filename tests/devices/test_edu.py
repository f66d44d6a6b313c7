# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The teaching device as a driver uses it; the rules are those of QEMU's "EDU device"."""

import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pci.devices import COMMAND, MASTER, MEMORY, Machine
from vmmkit.devices.edu import Edu
from vmmkit.pci.interrupts import Interrupts

IDENT, LIVENESS, FACTORIAL, STATUS, IRQ_STATUS = 0x00, 0x04, 0x08, 0x20, 0x24
RAISE, ACK, SOURCE, DESTINATION, COUNT, COMMAND_DMA = 0x60, 0x64, 0x80, 0x88, 0x90, 0x98
BUFFER = 0x4_0000
START, TO_RAM, WITH_IRQ = 1, 2, 4
ONES = 0xFFFF_FFFF


class Driver(Machine):
    """What a driver of the device does."""

    def __init__(self, **options):
        self.steps = []
        super().__init__(Edu(**options))

    def transfer(self, source, destination, count, command=START):
        for offset, value in ((SOURCE, source), (DESTINATION, destination), (COUNT, count)):
            self.write(offset, value, 8)
        self.write(COMMAND_DMA, command, 8)


@pytest.fixture
def driver():
    return Driver()


@pytest.fixture
def slow():
    """Return a driver of a device that does everything later, and the list of what is to do."""
    steps = []
    driver = Driver(defer=steps.append)
    driver.steps = steps
    return driver


def test_ids(driver):
    config = driver.device.config
    assert config.read(0, 4) == 0x11E8_1234
    assert config.read(8, 4) == 0x00FF00_10
    assert (config.read(0x3D, 1), driver.device.regs.size) == (1, 1 << 20)
    assert driver.read(IDENT) == 0x0100_00ED


@pytest.mark.parametrize("value", [0, 1, 0x1234_5678, ONES])
def test_liveness(driver, value):
    driver.write(LIVENESS, value)
    assert driver.read(LIVENESS) == value ^ ONES


@pytest.mark.parametrize("number", [0, 1, 5, 10, 12, 13, 20, 33, 34, 35, 1000, ONES])
def test_factorial(driver, number):
    driver.write(FACTORIAL, number)
    assert driver.read(FACTORIAL) == (math.factorial(number) & ONES if number < 2000 else 0)
    assert driver.read(STATUS) == 0


# which accesses the device takes: offset, size, and whether it does
SIZES = [
    (LIVENESS, 4, True),
    (LIVENESS, 1, False),
    (LIVENESS, 2, False),
    (LIVENESS, 8, False),
    (LIVENESS + 2, 4, False),
    (SOURCE, 4, True),
    (SOURCE, 8, True),
    (SOURCE, 2, False),
    (SOURCE, 1, False),
]


@pytest.mark.parametrize(("offset", "size", "taken"), SIZES)
def test_sizes(driver, offset, size, taken):
    ones = (1 << 8 * size) - 1
    driver.write(offset, 0x5A, size)
    assert (driver.read(offset, size) != ones) is taken
    assert bool(driver.device.liveness or driver.device.dma_source) is taken


def test_halves_of_dma_registers(driver):
    driver.write(SOURCE + 4, 0x1122_3344)
    driver.write(SOURCE, 0x5566_7788)
    assert driver.read(SOURCE, 8) == 0x1122_3344_5566_7788


def test_where_no_register_is(driver):
    driver.write(0x0C, 5)
    assert (driver.read(0x0C), driver.read(BUFFER)) == (ONES, ONES)


def test_only_bit_7_of_status_is_the_drivers(driver):
    driver.write(STATUS, ONES)
    assert driver.read(STATUS) == 0x80
    driver.write(IRQ_STATUS, ONES)
    assert driver.read(IRQ_STATUS) == 0


# -- interrupts ------------------------------------------------------------------------------------


def test_raise_and_acknowledge_by_pin(driver):
    driver.write(RAISE, 0b101)
    assert (driver.read(IRQ_STATUS), driver.lines) == (0b101, [True])
    driver.write(RAISE, 0b010)
    driver.write(ACK, 0b101)
    assert (driver.read(IRQ_STATUS), driver.lines) == (0b010, [True])
    driver.write(ACK, ONES)
    assert (driver.read(IRQ_STATUS), driver.lines) == (0, [True, False])
    assert driver.read(RAISE) == driver.read(ACK) == 0


def test_status_bit_of_the_config_space_follows(driver):
    driver.write(RAISE, 1)
    assert driver.device.config.read(6, 2) & 8
    driver.write(ACK, 1)
    assert not driver.device.config.read(6, 2) & 8


def test_each_raise_is_a_message(driver):
    driver.enable_msi(0x30)
    driver.write(RAISE, 1)
    driver.write(RAISE, 1)
    assert (driver.sent(), driver.lines) == ([0x30, 0x30], [])
    driver.write(ACK, 1)
    assert driver.sent() == []


def test_raising_nothing_is_no_interrupt(driver):
    driver.enable_msi()
    driver.write(RAISE, 0)
    assert (driver.sent(), driver.read(IRQ_STATUS)) == ([], 0)


def test_factorial_interrupts_if_asked_to(driver):
    driver.enable_msi(0x30)
    driver.write(FACTORIAL, 5)
    assert driver.sent() == []
    driver.write(STATUS, 0x80)
    driver.write(FACTORIAL, 5)
    assert (driver.sent(), driver.read(IRQ_STATUS)) == ([0x30], 1)


# -- DMA -------------------------------------------------------------------------------------------


def test_there_and_back(driver):
    driver.memory[0x1000:0x1100] = bytes(range(256))
    driver.transfer(0x1000, BUFFER + 16, 256)
    driver.transfer(BUFFER + 16, 0x2000, 256, START | TO_RAM)
    assert driver.memory[0x2000:0x2100] == bytes(range(256))
    assert driver.read(COMMAND_DMA) == TO_RAM
    assert driver.read(IRQ_STATUS) == 0


def test_transfer_interrupts_if_asked_to(driver):
    driver.enable_msi(0x30)
    driver.transfer(0x1000, BUFFER, 1, START | WITH_IRQ)
    assert (driver.sent(), driver.read(IRQ_STATUS)) == ([0x30], 0x100)


# source, destination, count, command: nothing is moved, and the transfer ends all the same
BEYOND = [
    (0x1000, BUFFER, 4097, START),
    (0x1000, BUFFER + 4096, 1, START),
    (0x1000, BUFFER - 1, 1, START),
    (0x1000, 0x2000, 16, START),
    (0x1000, BUFFER, (1 << 64) - 1, START),
    (0x1000, (1 << 64) - 1, 1, START),
    (BUFFER + 1, 0x1000, 4096, START | TO_RAM),
    (0, 0x1000, 16, START | TO_RAM),
    ((1 << 64) - 1, 0x1000, 1 << 63, START | TO_RAM),
]


@pytest.mark.parametrize("transfer", BEYOND)
def test_transfers_beyond_the_buffer(driver, transfer):
    driver.memory[0x1000:0x1100] = b"\x55" * 256
    driver.transfer(*transfer)
    assert driver.device.buffer == bytes(4096)
    assert driver.memory[0x1000:0x1100] == b"\x55" * 256
    assert driver.read(COMMAND_DMA) & START == 0


def test_the_whole_buffer_and_nothing(driver):
    driver.memory[0:4096] = b"\xaa" * 4096
    driver.transfer(0, BUFFER, 4096)
    assert driver.device.buffer == b"\xaa" * 4096
    driver.transfer(0x8000, BUFFER + 4096, 0)
    assert driver.read(COMMAND_DMA) == 0


def test_addresses_have_28_bits(driver):
    driver.memory[0x100] = 0x42
    driver.transfer(0xF000_0000_1000_0100, BUFFER, 1)
    assert driver.device.buffer[0] == 0x42
    wide = Driver(dma_mask=(1 << 64) - 1)
    wide.memory[0x100] = 0x42
    wide.transfer(0x1000_0100, BUFFER, 1)
    assert wide.device.buffer[0] == 0xFF  # nobody is there


def test_no_bus_master_no_transfer(driver):
    driver.memory[0x100] = 0x42
    driver.config(COMMAND, 2, MEMORY)
    driver.transfer(0x100, BUFFER, 1)
    driver.transfer(BUFFER + 1, 0x100, 1, START | TO_RAM)
    assert (driver.device.buffer[0], driver.memory[0x100]) == (0xFF, 0x42)
    driver.config(COMMAND, 2, MEMORY | MASTER)
    driver.transfer(0x100, BUFFER, 1)
    assert driver.device.buffer[0] == 0x42


# -- a device that is busy -------------------------------------------------------------------------


def test_busy_with_a_factorial(slow):
    slow.write(STATUS, 0x80)
    slow.write(FACTORIAL, 6)
    assert slow.read(STATUS) == 0x81
    slow.write(FACTORIAL, 7)  # not now
    assert (slow.read(FACTORIAL), len(slow.steps)) == (6, 1)
    slow.steps.pop()()
    assert (slow.read(STATUS), slow.read(FACTORIAL), slow.read(IRQ_STATUS)) == (0x80, 720, 1)


def test_busy_with_a_transfer(slow):
    slow.memory[0x100] = 0x42
    slow.transfer(0x100, BUFFER, 1, START | WITH_IRQ)
    assert slow.read(COMMAND_DMA) == START | WITH_IRQ
    slow.transfer(0x200, BUFFER + 5, 7, START | TO_RAM)  # not now
    assert [slow.read(at, 8) for at in (SOURCE, DESTINATION, COUNT)] == [0x100, BUFFER, 1]
    assert len(slow.steps) == 1
    slow.steps.pop()()
    assert (slow.device.buffer[0], slow.read(COMMAND_DMA)) == (0x42, WITH_IRQ)
    assert slow.read(IRQ_STATUS) == 0x100


def test_reset_ends_what_is_under_way(slow):
    slow.write(FACTORIAL, 6)
    slow.transfer(0x100, BUFFER, 1)
    slow.device.reset()
    for step in slow.steps:
        step()
    assert [slow.device.factorial, slow.device.status, slow.device.dma_command] == [0, 0, 0]


def test_snapshot_goes_on_elsewhere(slow):
    slow.write(STATUS, 0x80)
    slow.write(FACTORIAL, 6)
    slow.memory[0x100] = 0x42
    slow.transfer(0x100, BUFFER, 1)
    steps = []
    other = Driver(defer=steps.append)
    other.memory[:] = slow.memory
    other.device.restore(pickle.loads(pickle.dumps(slow.device.snapshot())))
    assert (other.read(STATUS), len(steps)) == (0x81, 2)
    for step in steps:
        step()
    assert (other.read(FACTORIAL), other.device.buffer[0]) == (720, 0x42)
    assert other.read(IRQ_STATUS) == 1


def test_restored_devices_interrupt_goes_on():
    source, target = Driver(), Driver()
    source.write(RAISE, 4)
    target.device.restore(source.device.snapshot())
    assert target.lines == [True]
    target.write(ACK, 4)
    assert target.lines == [True, False]


def test_whoever_hears_of_a_restored_interrupt_finds_its_cause():
    source, target, causes = Driver(), Driver(), []
    source.write(RAISE, 4)
    target.device.interrupts.set_pin = lambda _level: causes.append(target.read(IRQ_STATUS))
    target.device.restore(source.device.snapshot())
    assert causes == [4]


@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.one_of(st.integers(0, 0xA8), st.integers(0, (1 << 20) - 8)),
            st.sampled_from([1, 2, 4, 8]),
            st.integers(0, (1 << 64) - 1),
        ),
        max_size=30,
    )
)
def test_no_guest_makes_it_raise(accesses):
    driver = Driver()
    for writes, offset, size, value in accesses:
        if writes:
            driver.write(offset, value, size)
        else:
            assert 0 <= driver.read(offset, size) < 1 << 8 * size
    driver.host._check()


# -- steps in other threads ----------------------------------------------------------------------


class Meanwhile(int):
    """A value that lets something happen while a register is written with it."""

    def __new__(cls, value, happens):
        made = super().__new__(cls, value)
        made.happens = happens
        return made

    def __and__(self, other):
        self.happens()
        return int(self) & other


def test_a_computation_ends_while_the_guest_writes_the_status(slow):
    slow.write(FACTORIAL, 5)
    write = slow.device.bar(0).declaration.write
    write("cpu", STATUS, 4, Meanwhile(0x80, slow.steps.pop()))
    assert (slow.read(STATUS), slow.read(FACTORIAL)) == (0x80, 120)


def test_status_and_level_change_together(slow, monkeypatch):
    under_lock, set_level = [], Interrupts.set_level

    def watched(interrupts, vector, level):
        under_lock.append((slow.device.lock.is_mine(), level))
        set_level(interrupts, vector, level)

    monkeypatch.setattr(Interrupts, "set_level", watched)
    slow.write(RAISE, 1)
    slow.write(ACK, 1)
    assert under_lock == [(True, True), (True, False)]
