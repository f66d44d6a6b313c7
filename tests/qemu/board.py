# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What `tests/devices/virtio/driver.py` wants of a machine, on QEMU.

The driver was written for vmmkit's devices; here it meets devices that nobody here wrote.
"""

from __future__ import annotations

import struct
import time

from devices.virtio.driver import MSI_ADDRESS, Board, Driver
from devices.virtio.rings import RINGS
from qemu.machines import BDF, RAM_SIZE, QemuMachine

PATIENCE = 10  # seconds
NO_MESSAGE = 0xDEAD_BEEF
MAILBOX = 0x8000  # where messages go, a dword for each vector


class QemuRam:
    """RAM of QEMU with the accessors of `rings.Ram`."""

    def __init__(self, memory):
        self.memory = memory
        self.next = 0x20_0000

    def alloc(self, size, align=16):
        address = (self.next + align - 1) & -align
        self.next = address + size
        assert self.next <= RAM_SIZE
        self.write(address, bytes(size))
        return address

    def read(self, address, size):
        return self.memory.read_bytes(address, size)

    def write(self, address, data):
        self.memory.write_bytes(address, bytes(data))
        return True

    def get(self, code, address):
        code = "<" + code
        return struct.unpack(code, self.read(address, struct.calcsize(code)))[0]

    def put(self, code, address, *values):
        self.write(address, struct.pack("<" + code, *values))


class MailboxPort:
    """A port into memory that has messages sent to a mailbox of their vector.

    The driver writes one address into all entries of the MSI-X table, and tells vectors by their
    data; in RAM, the next message would overwrite the last.
    """

    def __init__(self, memory):
        self.memory, self.read = memory, memory.read

    def write(self, address, size, value):
        if value == MSI_ADDRESS:
            value = MAILBOX + (address >> 4 & 0xF) * 4
        self.memory.write(address, size, value)


class QemuBoard(Board):
    """A machine of QEMU with one device in slot 4."""

    def __init__(self, machine: QemuMachine):
        self.machine = machine
        self.ram = QemuRam(machine.memory)
        self.port = MailboxPort(machine.memory)
        self.registers = machine.registers(BDF)
        self.enumerate()
        for vector in range(16):
            self.ram.put("I", MAILBOX + 4 * vector, NO_MESSAGE)

    def config_read(self, offset, size):
        return self.registers.read(offset, size)

    def config_write(self, offset, size, value):
        self.registers.write(offset, size, value)

    @property
    def messages(self):
        """Return the data of messages that arrived since the last call, by vector."""
        found = []
        for vector in range(16):
            data = self.ram.get("I", MAILBOX + 4 * vector)
            if data != NO_MESSAGE:
                found.append(data)
                self.ram.put("I", MAILBOX + 4 * vector, NO_MESSAGE)
        return found

    @property
    def level(self):
        """Return whether the pin is up, as far as the device knows."""
        return bool(self.registers.read16(0x06) & 8)


def patient(ring):
    """Make a class of rings that wait for what was offered."""

    class Patient(ring):
        def collect(self):
            end = time.monotonic() + PATIENCE
            while not (done := super().collect()):
                assert time.monotonic() < end, "the device does not answer"
            return done

    return Patient


class PatientDriver(Driver):
    """A driver of a device that takes its time."""

    def __init__(self, board, *, ring="split", **options):
        super().__init__(board, ring=ring, **options)
        self.make_ring = patient(RINGS[ring])

    def interrupts(self):
        """Wait until there are some."""
        end = time.monotonic() + PATIENCE
        while not (found := super().interrupts()):
            assert time.monotonic() < end, "no interrupt"
        return found
