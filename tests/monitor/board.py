# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The least PC that the guests of `examples/monitor/guests` run on, on software vCPUs."""

from pathlib import Path

from vmmkit import loader
from vmmkit.acpi.platform import Ecam, q35_like
from vmmkit.backends import MachineHalted, RunEnded, SoftMachine, ThreadedMachine
from vmmkit.devices import Uart16550
from vmmkit.devices.edu import Edu
from vmmkit.devices.hostbridge import PciHostBridge
from vmmkit.devices.virtio import VirtioRng
from vmmkit.pci import HostBridge, IntxRouting, assign

GUESTS = Path(__file__).parents[2] / "examples" / "monitor" / "guests"
RAM_SIZE, LOW_END, ACPI, ACPI_LIMIT = 16 << 20, 0xA_0000, 0xE_0000, 0x10_0000
ECAM = Ecam(0xE000_0000)
WINDOWS = {"io": [(0x1000, 0xE000)], "mem": [(0xC000_0000, 0x2000_0000)]}
ROUTING = IntxRouting.swizzled(first_gsi=16, links=8)
COM1, EXIT_PORT, PM1_CONTROL, RESET_PORT = 0x3F8, 0xF4, 0x604, 0xCF9
SLEEP, FULL_RESET = 1 << 13, 0x06
RAM, RESERVED = 1, 2


class Board:
    """A PC with PCI, ACPI and COM1 that has a guest in it.

    Attributes:
        console: what the guest printed.
        ended: how it ended: the value it wrote to port F4h, `"off"`, `"reset"`, or `None`.
    """

    def __init__(self, image, kind, engine, *, vcpus=2, command_line="", devices=None):
        self.ram, self.console, self.ended = bytearray(RAM_SIZE), bytearray(), None
        self.machine = kind([(0, self.ram)], vcpus=vcpus, engine=engine)
        self._add_ports()
        self._add_pci([Edu(), VirtioRng()] if devices is None else devices)
        self._describe(vcpus)
        self._start(image, command_line)

    def _add_ports(self):
        pio = self.machine.pio
        self.uart = Uart16550(transmit=self.console.append, interrupt=self.machine.line(4))
        pio.add(COM1, self.uart.size, self.uart, name="com1")
        self.control = 1  # SCI_EN
        pm1 = {"read": self._read_control, "write": self._write_control}
        pio.add(PM1_CONTROL, 2, **pm1, name="PM1 control")
        pio.add(EXIT_PORT, 1, write=lambda _vcpu, _at, _size, value: self._end(value), name="exit")

    def _add_pci(self, devices):
        machine = self.machine
        self.host = HostBridge(
            machine.mmio,
            machine.pio,
            windows=WINDOWS,
            routing=ROUTING,
            set_gsi=lambda gsi, level: machine.line(gsi)(level),
            send_msi=lambda address, data, _requester: machine.msi(address, data),
        )
        self.host.config_ports.other = self
        machine.mmio.add(ECAM.base, self.host.ecam.size, self.host.ecam, name="ECAM")
        machine.pio.add(0xCF8, 8, self.host.config_ports, name="configuration ports")
        for device, function in enumerate((PciHostBridge(), *devices)):
            self.host.bus.attach(function, device)
        assign(self.host, **WINDOWS)

    def _describe(self, vcpus):
        self.platform = q35_like(
            cpus=vcpus, ecam=ECAM, windows=WINDOWS, routing=ROUTING.entries(), hpet=None
        )
        placement = self.platform.table_set().place(ACPI, limit=ACPI_LIMIT)
        for gpa, data, _name in placement.pieces:
            self.ram[gpa : gpa + len(data)] = data
        self.rsdp = placement.rsdp

    def _start(self, image, command_line):
        memory = [(0, LOW_END, RAM), (LOW_END, ACPI_LIMIT - LOW_END, RESERVED)]
        memory += [(ACPI_LIMIT, RAM_SIZE - ACPI_LIMIT, RAM), (ECAM.base, ECAM.size, RESERVED)]
        boot = loader.read(image).boot(memory=memory, cmdline=command_line, rsdp=self.rsdp)
        boot.write([(0, self.ram)])
        boot.start(self.machine.vcpus[0].state)

    def _end(self, how):
        self.ended = how
        self.machine.stop()

    def _read_control(self, _vcpu, offset, _size):
        return self.control >> 8 * offset

    def _write_control(self, _vcpu, offset, _size, value):
        if value << 8 * offset & SLEEP:
            self._end("off")

    def read(self, _vcpu, _offset, size):
        """Answer for the ports at CF8H that are no configuration access: no value but ones."""
        return (1 << 8 * size) - 1

    def write(self, _vcpu, offset, size, value):
        """Take the reset port."""
        if (offset, size) == (RESET_PORT - 0xCF8, 1) and value & FULL_RESET == FULL_RESET:
            self._end("reset")

    def run(self, seconds=60.0, instructions=30_000_000):
        """Run until the guest has ended; return how. A guest that does not end gives `None`."""
        if isinstance(self.machine, ThreadedMachine):
            outcome = self.machine.run(seconds=seconds)
        else:
            outcome = self._run_slices(instructions)
        assert isinstance(outcome, RunEnded), (outcome, self.console.decode())
        return self.ended

    def _run_slices(self, instructions):
        outcome = None
        while self.ended is None and self.retired < instructions:
            outcome = self.machine.run()
            if isinstance(outcome, MachineHalted) or not isinstance(outcome, RunEnded):
                break
        return outcome

    @property
    def retired(self):
        """Instructions that all vCPUs have completed."""
        return sum(vcpu.state.retired for vcpu in self.machine.vcpus)


def software_board(name, kind=SoftMachine, engine=None, **options):
    """Return a board with a guest that is shipped."""
    return Board((GUESTS / f"{name}.elf").read_bytes(), kind, engine, **options)
