# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A whole monitor: RAM, a serial port, an MMIO device made of two functions, and a PCI hole."""

import argparse
import collections
import time
from pathlib import Path

from vmmkit.backends import SoftVcpu
from vmmkit.devices.uart16550 import Uart16550
from vmmkit.insn import PortIn, PortOut, Read, Write, available_engines
from vmmkit.memregion import RegionMap, all_ones

GUESTS = {"hello16.bin": 0x7C00, "hello64.bin": 0x10_0000, "primes64.bin": 0x10_0000}
PML4, STACK, ADDER, PCI_HOLE = 0x1000, 0x8_0000, 0xD_0000, 0xC000_0000


class Machine:
    def __init__(self, guest: str, engine: str) -> None:
        self.mmio, self.pio = RegionMap(name="mmio"), RegionMap(address_bits=16, name="pio")
        ram = {0: bytearray(ADDER), 0x10_0000: bytearray(1 << 20)}
        for gpa, buffer in ram.items():
            self.mmio.add_ram(gpa, buffer, name=f"RAM at {gpa:#x}")
        self.sum, self.console = 0, bytearray()
        self.mmio.add(ADDER, 0x1000, read=self.read_sum, write=self.add, name="adder")
        self.mmio.add_fallback(PCI_HOLE, 0x4000_0000, all_ones, name="PCI hole")
        self.pio.add(0x3F8, 8, Uart16550(transmit=self.console.append), name="com1")
        self.pio.add_fallback(0, 0x1_0000, all_ones, name="empty ports")
        self.vcpu = SoftVcpu(ram.items(), engine=engine)
        code, entry = (Path(__file__).parent / "guests" / guest).read_bytes(), GUESTS[guest]
        memory, start = (ram[0], entry) if entry < ADDER else (ram[0x10_0000], 0)
        memory[start : start + len(code)] = code
        if entry < ADDER:
            self.vcpu.state.enter_real_mode(ip=entry)
        else:  # identity-mapped: one PDPT with four pages of 1 GiB
            ram[0][PML4 : PML4 + 8] = (PML4 + 0x1003).to_bytes(8, "little")
            pages = b"".join((gib << 30 | 0x83).to_bytes(8, "little") for gib in range(4))
            ram[0][PML4 + 0x1000 : PML4 + 0x1020] = pages
            self.vcpu.state.enter_long_mode(rip=entry, cr3=PML4)
            self.vcpu.state.rsp = STACK

    def read_sum(self, _vcpu: object, _offset: int, _size: int) -> int:
        return self.sum

    def add(self, _vcpu: object, _offset: int, _size: int, value: int) -> None:
        self.sum += value

    def run(self) -> collections.Counter[str]:
        mmio, pio = self.mmio.port(self.vcpu), self.pio.port(self.vcpu)
        exits = collections.Counter[str]()
        while True:
            match outcome := self.vcpu.run():
                case Read(gpa, size):
                    self.vcpu.complete(mmio.read(gpa, size))
                case Write():
                    mmio.write(*outcome)
                case PortIn(port, size):
                    self.vcpu.complete(pio.read(port, size))
                case PortOut():
                    pio.write(*outcome)
                case _:
                    return exits
            exits[type(outcome).__name__] += 1


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--engine", choices=available_engines(), action="append")
for engine in parser.parse_args().engine or available_engines():
    for guest in GUESTS:
        machine = Machine(guest, engine)
        begin, exits = time.perf_counter(), machine.run()
        per_exit = (time.perf_counter() - begin) * 1e9 / exits.total()
        begin, before = time.perf_counter(), machine.vcpu.state.retired
        machine.run()  # the guests compute after their first HLT
        speed = (machine.vcpu.state.retired - before) / (time.perf_counter() - begin)
        print(f"--- {guest} under the {engine} engine\n{machine.console.decode()}", end="")
        print("exits:", ", ".join(f"{count} {kind}" for kind, count in exits.items()))
        print(f"{per_exit:,.0f} ns per exit, then {speed:,.0f} instructions per second\n")
print(machine.mmio.tree(), machine.pio.tree(), sep="\n")
