# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Two machines with one face: QEMU's, and one of vmmkit's blocks.

Both have `memory` and `io` (access ports), `config` (configuration registers by bdf), and
`memory.read_bytes` and `write_bytes` for RAM. Messages land in RAM on both, since a message is a
write and the drivers here give it an address there.
"""

from __future__ import annotations

from pathlib import Path

from qemu.qtest import IoPort, MemoryPort, Qtest
from vmmkit.pci.intx import IntxRouting
from vmmkit.pci.testing import ConfigRegisters, Host
from vmmkit.pci.testing.access import EcamAccess, PortAccess
from vmmkit.pci.testing.interrupts import CollectedInterrupts

RAM_SIZE = 16 << 20
ECAM = 0xE000_0000
SLOT = 4  # where devices are that are compared; q35 has its own from 1Fh down
BDF = SLOT << 3
MEMORY_BASE = 0xC000_0000  # free for BARs on both

_PCIEXBAR = 0x60  # of q35's host bridge: base of ECAM, and its enable in bit 0


class QemuMachine:
    """QEMU, with ECAM where the other machine has it."""

    name = "QEMU"

    def __init__(self, program: str, folder: Path, *options: str, machine: str = "q35") -> None:
        self.qtest = Qtest(program, folder, "-machine", machine, "-m", "16M", *options)
        self.memory, self.io = MemoryPort(self.qtest), IoPort(self.qtest)
        self.config: EcamAccess | PortAccess = PortAccess(self.io)
        if machine.startswith("q35"):
            self.config.write(0, _PCIEXBAR + 4, 4, 0)
            self.config.write(0, _PCIEXBAR, 4, ECAM | 1)
            self.config = EcamAccess(self.memory, ECAM)

    def registers(self, bdf: int = BDF) -> ConfigRegisters:
        return ConfigRegisters(self.config, bdf)

    def stop(self) -> None:
        self.qtest.stop()


class _MessagesToRam(CollectedInterrupts):
    """A root complex without an interrupt controller: messages are writes like others."""

    ram: memoryview

    def send_msi(self, address: int, data: int, requester: int) -> None:
        super().send_msi(address, data, requester)
        if address <= RAM_SIZE - 4:
            self.ram[address : address + 4] = data.to_bytes(4, "little")


class _OwnMemory:
    """Memory of a `Host`, RAM by bytes besides."""

    def __init__(self, host: Host) -> None:
        self.read, self.write = host.port.read, host.port.write
        self.read_bytes, self.write_bytes = host.memory.read, host.memory.write


class OwnMachine:
    """The test host of vmmkit.pci."""

    name = "vmmkit"

    def __init__(self, routing: IntxRouting | None = None) -> None:
        interrupts = _MessagesToRam()
        self.host = Host(memory=RAM_SIZE, interrupts=interrupts, routing=routing)
        interrupts.ram = self.host.memory.buffer
        self.memory, self.io = _OwnMemory(self.host), self.host.io_port
        self.config = self.host.config

    def registers(self, bdf: int = BDF) -> ConfigRegisters:
        return ConfigRegisters(self.config, bdf)
