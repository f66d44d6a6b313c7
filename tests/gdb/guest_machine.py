# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A machine with a guest of `guests/`: RAM, a console at port 3F8h and a device page."""

from gdb.guests.build import HIGHER_HALF, LOWEST_RAM
from vmmkit.backends import MachineHalted, SoftMachine
from vmmkit.devices import ApicMessage, DeliveryMode

RAM, CONSOLE, DEVICE, PAGE = 0x180_0000, 0x3F8, 0xFEB0_0000, 0x1000
VERSION = 0x5645_5253


class Registers:
    """A device page that remembers how it was accessed.

    Attributes:
        accesses: `("read", offset, size)` and `("write", offset, size, value)`.
    """

    def __init__(self):
        self.page = bytearray(PAGE)
        self.page[:4] = VERSION.to_bytes(4, "little")
        self.accesses = []

    def read(self, _vcpu, offset, size, /):
        self.accesses.append(("read", offset, size))
        return int.from_bytes(self.page[offset : offset + size], "little")

    def write(self, _vcpu, offset, size, value, /):
        self.accesses.append(("write", offset, size, value))
        self.page[offset : offset + size] = value.to_bytes(size, "little")


class GuestMachine:
    """A machine that begins at the entry of the first of some programs.

    Attributes:
        console: what the guest has said.
        registers: of the device.
    """

    def __init__(self, *programs, vcpus=1, machine=SoftMachine, **arguments):
        self.programs = programs
        self.ram = bytearray(RAM)
        for program in programs:
            self.ram[program.gpa : program.gpa + len(program.image)] = program.image
        self.machine = machine([(0, self.ram)], vcpus=vcpus, **arguments)
        self.console, self.registers = "", Registers()
        self.machine.pio.add(CONSOLE, 1, write=self._say, name="console")
        self.machine.mmio.add(DEVICE, PAGE, self.registers, name="device")
        for number in range(vcpus):
            self._start(number)

    def _start(self, number):
        vcpu, lapic = self.machine.vcpus[number], self.machine.lapics[number]
        if number:
            sipi = ApicMessage(0x10, DeliveryMode.SIPI, destination=lapic.apic_id)
            self.machine.bus.deliver(sipi)
            vcpu.settle()
        state = vcpu.state
        program = self.programs[0]
        entry = program.symbols["_start"]
        if entry >= HIGHER_HALF:
            tables = program.symbols[f"pml4_{number}"] - HIGHER_HALF + LOWEST_RAM
            state.enter_long_mode(entry, tables)
        elif entry >= 0x1_0000:
            state.enter_protected_mode(entry)
        else:
            state.enter_real_mode(entry)
        state.rdi = number

    def _say(self, _vcpu, _offset, _size, value):
        self.console += chr(value)

    def word(self, symbol, size=4):
        """Return a variable of the first program."""
        program = self.programs[0]
        at = program.symbols[symbol] - program.symbols["_start"] + program.gpa
        return int.from_bytes(self.ram[at : at + size], "little")

    def run_alone(self, instructions=1_000_000):
        """Run without a debugger; return whether the guest has ended."""
        return isinstance(self.machine.run(instructions), MachineHalted)
