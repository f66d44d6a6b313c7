# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Configuration registers against QEMU's: values after power-on, masks, and byte lanes."""

from __future__ import annotations

import random
from typing import NamedTuple

import pytest

from qemu.accepted import ACCEPTED, accepted_bits
from qemu.machines import OwnMachine
from qemu.pairs import PAIRS, number_buses
from qemu.registers import Register, registers_of
from vmmkit.pci.testing import ConfigRegisters

pytestmark = pytest.mark.qemu

STEPS = 1500
# Written with patterns, these do more than keep them; test_bars.py is about that.
INITIATE_RESET = {"Device Control": 0x8000}
# QEMU takes no acknowledgement that covers bits which are not set, and reports command completion
# of what another register wrote: test_slot_status is about this one.
OWN_TESTS = {"Slot Status", "PMCSR"}
# What random writes bring about but masks do not show.
WHILE_RUNNING = {
    "MSI Control": 0x70,  # QEMU limits Multiple Message Enable only when it uses it
    "Root Error Status": 0xF800_0000,  # the vector that QEMU chooses by the number granted
    "Status": 0x08,  # an interrupt for a slot event, whose bits QEMU handles otherwise
    "MSI Pending": 0x01,  # the same, where the vector is masked
}


class Profile(NamedTuple):
    """What a register showed: as it was, bits that hold both values, bits stuck at one."""

    reset: int
    rw: int
    ones: int


def both(start_qemu, pair):
    options, build, bdf = PAIRS[pair]
    other, own = start_qemu(*options), OwnMachine()
    build(own)
    for machine in (other, own):
        number_buses(machine.registers, bdf)
    return other.registers(bdf), own.registers(bdf)


def kept(register: Register) -> int:
    full = (1 << 8 * register.size) - 1
    return full & ~INITIATE_RESET.get(register.name, 0)


def profile(config: ConfigRegisters, register: Register, reset: int) -> Profile:
    offset, size = register.offset, register.size
    before = config.read(offset, size)
    config.write(offset, size, kept(register))
    high = config.read(offset, size)
    config.write(offset, size, 0)
    low = config.read(offset, size)
    config.write(offset, size, before)
    return Profile(reset, high & ~low, high & low)


def profiles(config: ConfigRegisters) -> dict[str, Profile]:
    registers = registers_of(config)
    resets = {one.name: config.read(one.offset, one.size) for one in registers.values()}
    return {name: profile(config, one, resets[name]) for name, one in registers.items()}


def differences(pair, theirs, ours) -> dict[str, int]:
    found = {}
    for name in theirs.keys() & ours.keys():
        bits = 0
        for one, another in zip(theirs[name], ours[name], strict=True):
            bits |= one ^ another
        if bits:
            found[name] = bits
    return found


@pytest.mark.parametrize("pair", PAIRS)
def test_values_and_masks(start_qemu, pair):
    theirs, ours = (profiles(config) for config in both(start_qemu, pair))
    assert theirs.keys() == ours.keys()
    found = differences(pair, theirs, ours)
    assert {
        name: f"{bits & ~accepted_bits(pair, name):#x}: QEMU {theirs[name]}, vmmkit {ours[name]}"
        for name, bits in found.items()
        if bits & ~accepted_bits(pair, name) and name not in OWN_TESTS
    } == {}
    unneeded = [
        row for row in ACCEPTED if pair in row.pairs and not found.get(row.register, 0) & row.bits
    ]
    assert unneeded == []


def lane_accesses(pick, registers):
    """Yield accesses of 1, 2 and 4 bytes to whole registers and to parts of dwords."""
    dwords = sorted({one.offset & ~3 for one in registers.values()})
    while True:
        size = pick.choice((1, 2, 4))
        at = pick.choice(dwords) + pick.randrange(0, 4, size)
        value = pick.choice((0, (1 << 8 * size) - 1, pick.getrandbits(8 * size)))
        yield at, size, value


def harmless(pair, registers, at, size, value):
    """Clear what ends QEMU: its ioh3420 aborts where it is granted four messages or more."""
    if pair == "root port with MSI":
        shift = 8 * (registers["MSI Control"].offset - at)
        value &= ~(0x60 << shift if shift >= 0 else 0x60 >> -shift)
    return value & (1 << 8 * size) - 1


def byte_masks(pair, registers) -> dict[int, int]:
    """Return the bits of each byte of known registers that are compared."""
    masks = {}
    for one in registers.values():
        bits = kept(one) & ~accepted_bits(pair, one.name) & ~WHILE_RUNNING.get(one.name, 0)
        bits = 0 if one.name in OWN_TESTS else bits
        for lane in range(one.size):
            masks[one.offset + lane] = bits >> 8 * lane & 0xFF
    return masks


def untouched(registers) -> set[int]:
    """Return the bytes that a random write must not have: they do things."""
    found = set()
    for name in (*INITIATE_RESET, "PMCSR"):
        if name in registers:
            register = registers[name]
            found |= set(range(register.offset, register.offset + register.size))
    return found


@pytest.mark.parametrize("pair", PAIRS)
def test_random_lanes(start_qemu, pair):
    other, own = both(start_qemu, pair)
    registers = registers_of(own)
    moved = {name: one.offset - registers[name].offset for name, one in registers_of(other).items()}
    places = {
        one.offset + lane: one.offset + lane + moved[name]
        for name, one in registers.items()
        for lane in range(one.size)
    }
    masks, hot = byte_masks(pair, registers), untouched(registers)
    pick = random.Random(pair)
    accesses = lane_accesses(pick, registers)
    for step in range(STEPS):
        at, size, value = next(accesses)
        lanes = range(at, at + size)
        if hot.intersection(lanes) or at not in places:
            continue
        if any(places.get(one) != places[at] + one - at for one in lanes):
            continue  # the other's capability is not laid out so
        value = harmless(pair, registers, at, size, value)
        own.write(at, size, value)
        other.write(places[at], size, value)
        dword = at & ~3
        for byte in range(dword, dword + 4):
            if byte in masks:
                found = own.read8(byte), other.read8(places[byte])
                assert (found[0] ^ found[1]) & masks[byte] == 0, (
                    f"step {step}: {size} bytes at {at:#x} <- {value:#x}, "
                    f"byte {byte:#x}: vmmkit {found[0]:#x}, QEMU {found[1]:#x}"
                )


# -- what masks do not show ----------------------------------------------------------------------


def test_multiple_messages_granted(start_qemu):
    """Granting more than is offered gives what is offered, once MSI is on."""
    for pair in ("edu", "PCI bridge"):
        found = []
        for config in both(start_qemu, pair):
            control = registers_of(config)["MSI Control"]
            for granted in (0, 1, 3, 5, 7):
                config.write16(control.offset, granted << 4 | 1)
                found.append(config.read16(control.offset))
        assert found[:5] == found[5:]


@pytest.mark.parametrize("pair", ["root port", "downstream port"])
def test_slot_status(start_qemu, pair):
    """A write to Slot Control completes, which is acknowledged by writing the bit."""
    found = []
    for config in both(start_qemu, pair):
        registers = registers_of(config)
        control, status = (registers[name].offset for name in ("Slot Control", "Slot Status"))
        seen = []
        for value in (0x0008, 0x0028, 0x0038, 0x0638):
            config.write16(control, value)
            seen.append(config.read16(status) & 0x17F)
            config.write16(status, 0x0010)
            seen.append(config.read16(status) & 0x17F)
        config.write8(status, 0x10)
        found.append((seen, config.read16(control)))
    assert found[0] == found[1]


def test_power_states(start_qemu):
    """Between D0 and D3hot; D1 and D2 QEMU keeps though its function does not have them."""
    found = []
    for config in both(start_qemu, "endpoint"):
        control = registers_of(config)["PMCSR"].offset
        for states in ((0,), (3,), (3, 0), (0, 3, 3, 0)):
            for state in states:
                config.write16(control, state)
                found.append(config.read16(control) & 3)
            config.write16(control, 0)
    assert found[: len(found) // 2] == found[len(found) // 2 :]


def test_function_level_reset(start_qemu):
    """What every register of an endpoint holds after it, and that BARs stop decoding."""
    found = []
    for config in both(start_qemu, "endpoint"):
        registers = registers_of(config)
        for name in ("Command", "BAR 1", "BAR 4", "Interrupt Line", "MSI-X Control"):
            config.write(*registers[name][1:], kept(registers[name]))
        control = registers["Device Control"].offset
        config.write16(control, config.read16(control) | 0x8000)
        found.append({name: config.read(*one[1:]) for name, one in registers.items()})
    theirs, ours = found
    left = {
        name: (hex(theirs[name]), hex(ours[name]))
        for name in ours
        if (theirs[name] ^ ours[name]) & ~accepted_bits("endpoint", name)
    }
    assert left == {}


def test_a_masked_message(start_qemu):
    """MSI with a mask: what a slot event sends, keeps pending, and sends when unmasked."""
    options, build, bdf = PAIRS["root port with MSI"]
    mailbox, data, nothing = 0x8000, 0x4321, 0xDEAD_BEEF
    other, own = start_qemu(*options), OwnMachine()
    build(own)
    found = []
    for machine in (other, own):
        config, seen = machine.registers(bdf), []
        at = {name: one.offset for name, one in registers_of(config).items()}
        config.write16(at["Command"], 6)
        config.write32(at["MSI Address"], mailbox)
        config.write16(at["MSI Data"], data)
        config.write16(at["MSI Control"], 1)
        for masks in (0, 1, 1, 2, 3):
            machine.memory.write(mailbox, 4, nothing)
            config.write32(at["MSI Mask"], masks)
            config.write16(at["Slot Control"], 0x0730)  # a command, whose completion interrupts
            seen += [machine.memory.read(mailbox, 4), config.read32(at["MSI Pending"])]
            config.write32(at["MSI Mask"], 0)
            seen += [machine.memory.read(mailbox, 4), config.read32(at["MSI Pending"])]
            config.write16(at["Slot Status"], 0x10)
        found.append(seen)
    assert found[0] == found[1]
    assert found[0][:8] == [data, 0, data, 0, nothing, 1, data, 0]
