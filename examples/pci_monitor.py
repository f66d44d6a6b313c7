# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A PC with PCI: a guest in real mode finds two devices, prints what they are, and echoes input."""

import argparse

from vmmkit.backends import SoftMachine
from vmmkit.devices.edu import Edu
from vmmkit.devices.hostbridge import PciHostBridge
from vmmkit.devices.pci_uart import PciUart
from vmmkit.insn import available_engines
from vmmkit.pci import HostBridge, IntxRouting, assign

RAM_SIZE, ENTRY, STACK, VECTOR = 0x10_0000, 0x1000, 0x8000, 0x40
HOLE, ECAM, IOAPIC = 0xC000_0000, 0xE000_0000, 0xFEC0_0000

GUEST = bytes.fromhex(
    # The serial port: its BAR goes to BP, eight data bits.
    "66bf361b0200 e84300"  #  mov edi, 21b36h; call find
    "e85800 95"  #            call bar; xchg bp, ax
    "8d5603 b003 ee"  #       lea dx, [bp + 3]; mov al, 3; out dx, al
    # The teaching device: its IDs, and the register that says which version it is.
    "66bf3412e811 e83000"  #  mov edi, 11e81234h; call find
    "e81400 e84200"  #        call print; call bar
    "67668b00 e80a00"  #      mov eax, [eax]; call print
    # From now on a character that arrives interrupts.
    "8d5601 b001 ee"  #       lea dx, [bp + 1]; mov al, 1; out dx, al
    "fb f4 ebfc"  #           wait: sti; hlt; jmp wait
    # Print EAX.
    "b90800"  #               print: mov cx, 8
    "66c1c004 50 240f"  #     digit: rol eax, 4; push ax; and al, 15
    "3c0a 1c69 2f"  #         cmp al, 10; sbb al, 69h; das
    "89ea ee 58 e2ee"  #      mov dx, bp; out dx, al; pop ax; loop digit
    "b00a ee c3"  #           mov al, 10; out dx, al; ret
    # Look on bus 0 for the function whose IDs are EDI; EBX is where its registers are.
    "66bb00000080"  #         find: mov ebx, 80000000h
    "6689d8 e81700"  #        next: mov eax, ebx; call config
    "6639f8 741b"  #          cmp eax, edi; je done
    "80c708 73f0 fa f4"  #    add bh, 8; jnc next; cli; hlt
    # Read its first BAR, or the register whose address is EAX.
    "67668d4310 e80300"  #    bar: lea eax, [ebx + 10h]; call config
    "24fc c3"  #              and al, 0fch; ret
    "baf80c 66ef"  #          config: mov dx, 0cf8h; out dx, eax
    "b2fc 66ed c3"  #         mov dl, 0fch; in eax, dx; done: ret
)
ECHO = bytes.fromhex(
    "89ea ec ee"  #           mov dx, bp; in al, dx; out dx, al
    "66bab000e0fe 67668902"  # mov edx, 0fee000b0h; mov [edx], eax    end of interrupt
    "cf"  #                   iret
)


class Machine:
    def __init__(self, engine: str) -> None:
        self.ram, self.console = bytearray(RAM_SIZE), bytearray()
        self.pc = SoftMachine([(0, self.ram)], engine=engine)
        self.host = HostBridge(
            self.pc.mmio,
            self.pc.pio,
            routing=IntxRouting.swizzled(first_gsi=16, links=8),
            set_gsi=lambda gsi, level: self.pc.line(gsi)(level),
            send_msi=lambda address, data, _requester: self.pc.msi(address, data),
        )
        self.pc.mmio.add(ECAM, self.host.ecam.size, self.host.ecam, name="ECAM")
        self.pc.pio.add(0xCF8, 8, self.host.config_ports, name="configuration ports")
        self.uart = PciUart(transmit=self.console.append)
        for device, function in enumerate((PciHostBridge(), self.uart, Edu())):
            self.host.bus.attach(function, device)

    def load(self) -> None:
        """Do what firmware does, and put the guest in place."""
        assign(self.host, io=[(0x1000, 0xF000)], mem=[(HOLE, ECAM - HOLE)])
        self.pc.virtual_wire()
        port, gsi = self.pc.mmio.port(self.pc.vcpus[0]), 16 + 1  # INTA of device 1
        for index, value in ((0x11 + 2 * gsi, 0), (0x10 + 2 * gsi, 1 << 15 | VECTOR)):
            port.write(IOAPIC, 4, index)
            port.write(IOAPIC + 0x10, 4, value)
        self.ram[ENTRY : ENTRY + len(GUEST)] = GUEST
        handler = ENTRY + len(GUEST)
        self.ram[handler : handler + len(ECHO)] = ECHO
        self.ram[4 * VECTOR : 4 * VECTOR + 4] = handler.to_bytes(4, "little")
        state = self.pc.vcpus[0].state
        state.enter_real_mode(ip=ENTRY)
        state.rsp, state.ds = STACK, state.ds._replace(limit=0xFFFF_FFFF)  # "big" real mode

    def type(self, text: str) -> None:
        self.pc.run()
        for character in text.encode():
            self.uart.receive(bytes([character]))
            self.pc.run()


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--engine", choices=available_engines(), action="append")
parser.add_argument("--type", default="hello from a keyboard\n", help="what somebody types")
arguments = parser.parse_args()
for engine in arguments.engine or available_engines():
    machine = Machine(engine)
    machine.load()
    machine.type(arguments.type)
    print(f"--- {engine} engine\n{machine.console.decode()}")
print(machine.host.tree(), machine.pc.mmio.tree(), machine.pc.pio.tree(), sep="\n")
