# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A monitor behind a hypervisor that tells RIP, CR3 and the address of an access, and no more."""

import argparse
from pathlib import Path
from typing import NamedTuple

from vmmkit import insn as x86
from vmmkit.devices.uart16550 import Uart16550
from vmmkit.memregion import RegionMap

RAM_SIZE, TABLES, HIDDEN, STACK, ENTRY = 0x11_0000, 0x1000, 0x8000, 0x8_0000, 0x10_0000
UART, BUFFER, PAGE = 0xFEB0_0000, 0xFEB0_1000, 4096


class Exit(NamedTuple):
    rip: int
    cr3: int
    gla: int
    registers: bytes


class Processor:
    """Plays the hardware: runs the guest, and exits where the devices' pages are missing."""

    def __init__(self, ram: bytearray, engine: str) -> None:
        self.state = (cpu := x86.Cpu([(0, ram)], engine=engine)).state
        self.state.enter_long_mode(ENTRY, HIDDEN)
        self.state.rsp, self.run_guest = STACK, cpu.run

    def run(self) -> Exit | x86.Outcome:
        outcome = self.run_guest(1_000_000)
        if isinstance(outcome, x86.Fault) and outcome.vector == 14:
            return Exit(self.state.rip, TABLES, outcome.address, bytes(self.state.record))
        return outcome

    def resume(self, registers: bytes) -> None:
        self.state.record[:] = registers
        self.state.cr3 = HIDDEN


class Monitor:
    """Knows the guest's RAM and its devices, and what an exit tells."""

    def __init__(self, ram: bytearray, engine: str) -> None:
        self.ram, self.cpu = ram, x86.Cpu([(0, ram)], engine=engine)
        self.console, buffer = bytearray(), bytearray(PAGE)
        self.map = RegionMap(name="mmio")
        self.map.add(UART, 8, Uart16550(transmit=self.console.append), name="uart")
        self.map.add_ram(BUFFER, buffer, name="buffer")

    def fetch(self) -> bytes:
        """As much of the instruction at CS:RIP as the guest's page tables lead to."""
        state, code = self.cpu.state, b""
        linear = state.rip if state.mode == 64 else state.cs.base + state.rip
        while len(code) < x86.MAX_LENGTH:
            place = self.cpu.translate(linear + len(code), x86.PageAccess.FETCH)
            if not isinstance(place, x86.Translation):
                break
            last = min(place.gpa + x86.MAX_LENGTH - len(code), (place.gpa | PAGE - 1) + 1)
            code += self.ram[place.gpa : last]
        return code

    def emulate(self, exit_: Exit) -> tuple[x86.Instruction, bytes]:
        """Execute the instruction that exited; return it and the registers after it."""
        state, port = self.cpu.state, self.map.port(self.cpu)
        state.record[:] = exit_.registers
        state.rip, state.cr3 = exit_.rip, exit_.cr3
        insn = x86.decode(self.fetch(), state.mode)
        if not x86.verify_gla(insn, state, exit_.gla):
            raise SystemExit(f"{insn} at {exit_.rip:#x} does not touch {exit_.gla:#x}")
        outcome = self.cpu.step()
        while self.cpu.awaits_answer:
            if isinstance(outcome, x86.Read):
                outcome = self.cpu.step(port.read(*outcome))
            elif isinstance(outcome, x86.Write):
                port.write(*outcome)
                outcome = self.cpu.step()
        return insn, bytes(state.record)


def guest_ram() -> bytearray:
    """The driver, and two sets of tables of 1 GiB pages: only one leads to the devices."""
    ram, code = bytearray(RAM_SIZE), (Path(__file__).parent / "guests/driver64.bin").read_bytes()
    ram[ENTRY : ENTRY + len(code)] = code
    for root, devices in ((TABLES, 3 << 30 | 0x83), (HIDDEN, 0)):
        entries = {root: root + 0x1003, root + 0x1000: 0x83, root + 0x1018: devices}
        for place, entry in entries.items():
            ram[place : place + 8] = entry.to_bytes(8, "little")
    return ram


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--engine", choices=x86.available_engines(), action="append")
for engine in parser.parse_args().engine or x86.available_engines():
    ram, seen = guest_ram(), dict[str, int]()
    processor, monitor = Processor(ram, engine), Monitor(ram, engine)
    while isinstance(outcome := processor.run(), Exit):
        insn, registers = monitor.emulate(outcome)
        seen[str(insn)] = seen.get(str(insn), 0) + 1
        processor.resume(registers)
    print(f"--- {engine} engine: {outcome}\n{monitor.console.decode()}")
    print("\n".join(f"{count:6} x {text}" for text, count in seen.items()), end="\n\n")
