# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Images for tests of the loader: made here byte by byte, or by a compiler; and a run of them."""

import struct
import subprocess
from pathlib import Path

from vmmkit.backends import SoftVcpu
from vmmkit.devices.uart16550 import Uart16550
from vmmkit.insn import Halt
from vmmkit.memregion import RegionMap

SOURCES = Path(__file__).parent / "guest"
MIB = 1 << 20
FLAGS = (
    *("-O2", "-ffreestanding", "-nostdlib", "-fno-pic", "-no-pie", "-fcf-protection=none"),
    *("-mno-red-zone", "-mgeneral-regs-only", "-fno-stack-protector", "-Wall", "-Wextra"),
    *("-fno-asynchronous-unwind-tables", "-static", "-Wl,--build-id=none", "-Wl,-z,noexecstack"),
    "-Wl,--no-warn-rwx-segments",
)


def compile_guest(gcc, folder, protocol, bits):
    """Build the guest that reports what it was handed; return its path."""
    image = folder / f"{protocol}-{bits}.elf"
    wanted = (f"-m{bits}", f"-D{protocol}", *FLAGS, "-T", SOURCES / "guest.ld", "-o", image)
    sources = (SOURCES / "entry.S", SOURCES / "report.c")
    subprocess.run([gcc, *wanted, *sources], check=True, timeout=60)
    return image


def ram_for(size, base=0):
    """Return a memory map and the RAM it speaks of: all RAM, as far as it goes."""
    return [(base, size, 1)], [(base, bytearray(size))]


def run(boot, ram, steps=2_000_000):
    """Run a guest to its HLT; return what it wrote to COM1, and its vCPU."""
    vcpu, console = SoftVcpu(ram), bytearray()
    pio = RegionMap(address_bits=16, name="pio")
    pio.add(0x3F8, 8, Uart16550(transmit=console.append), name="com1")
    pio.add(0xF4, 1, write=lambda *_: None, name="end of the guest")  # a HLT follows
    boot.write(ram)
    boot.start(vcpu.state)
    outcome = vcpu.run_through(RegionMap(name="mmio").port(vcpu), pio.port(vcpu), steps)
    assert isinstance(outcome, Halt), outcome
    return console.decode("ascii", "replace"), vcpu


def elf(code=b"\xf4", *, bits=64, at=MIB, memsz=None, notes=b"", entry=None, kind=2):
    """Make an ELF program of one segment, and one with notes if there are some."""
    rows = 2 if notes else 1
    entry = at if entry is None else entry
    memsz = len(code) if memsz is None else memsz
    if bits == 64:
        head, row = 64, 56
        start = head + rows * row
        header = struct.pack("<2HI3QI6H", kind, 62, 1, entry, head, 0, 0, head, row, rows, 0, 0, 0)
        table = struct.pack("<2I6Q", 1, 7, start, at, at, len(code), memsz, 1)
        place = (4, 4, start + len(code), 0, 0, len(notes), len(notes), 4)
        table += struct.pack("<2I6Q", *place) if notes else b""
    else:
        head, row = 52, 32
        start = head + rows * row
        header = struct.pack("<2H5I6H", kind, 3, 1, entry, head, 0, 0, head, row, rows, 0, 0, 0)
        table = struct.pack("<8I", 1, start, at, at, len(code), memsz, 7, 1)
        place = (4, start + len(code), 0, 0, len(notes), len(notes), 4, 4)
        table += struct.pack("<8I", *place) if notes else b""
    identification = b"\x7fELF" + bytes((bits // 32, 1, 1)) + bytes(9)
    return identification + header + table + code + notes


def pvh_note(entry=MIB, size=4):
    """Return the note that names a PVH entry point."""
    return struct.pack("<3I4s", 4, size, 18, b"Xen\0") + entry.to_bytes(size, "little")


def multiboot(code=b"\xf4", flags=1 << 16, addresses=(MIB, MIB, 0, 0, MIB + 32)):
    """Make a Multiboot image without ELF."""
    head = struct.pack("<3I", 0x1BADB002, flags, -(0x1BADB002 + flags) & 0xFFFFFFFF)
    return head + struct.pack("<5I", *addresses) + code


def multiboot2(*tags, code=b"\xf4", architecture=0, at=MIB, load=None):
    """Make a Multiboot2 image without ELF; `tags` are (type, flags, content) besides."""
    ends = [(3, 0, bytes(4)), (0, 0, b"")]
    given = [(2, 0, struct.pack("<4I", at, at if load is None else load, 0, 0)), *tags]
    size = 16 + len(_tags([*given, *ends]))
    ends[0] = (3, 0, struct.pack("<I", at + size))
    magic = 0xE85250D6
    checksum = -(magic + architecture + size) & 0xFFFFFFFF
    return struct.pack("<4I", magic, architecture, size, checksum) + _tags([*given, *ends]) + code


def _tags(tags):
    parts = [struct.pack("<2HI", kind, flags, 8 + len(data)) + data for kind, flags, data in tags]
    return b"".join(part + bytes(-len(part) % 8) for part in parts)


def bzimage(code=b"\xf4", **fields):
    """Make what looks like a kernel: `code` stands at its 64-bit entry."""
    wanted = {
        "setup_sects": 1, "boot_flag": 0xAA55, "version": 0x20F, "loadflags": 1,
        "initrd_addr_max": 0x7FFF_FFFF, "kernel_alignment": 2 * MIB, "relocatable_kernel": 1,
        "xloadflags": 3, "cmdline_size": 2047, "pref_address": 16 * MIB, "init_size": 3 * MIB,
        "payload_offset": 0x100, "payload_length": 4,
    } | fields  # fmt: skip
    places = {
        "setup_sects": (0x1F1, "B"), "syssize": (0x1F4, "I"), "boot_flag": (0x1FE, "H"),
        "version": (0x206, "H"), "kernel_version": (0x20E, "H"), "loadflags": (0x211, "B"),
        "initrd_addr_max": (0x22C, "I"), "kernel_alignment": (0x230, "I"),
        "relocatable_kernel": (0x234, "B"), "xloadflags": (0x236, "H"),
        "cmdline_size": (0x238, "I"), "payload_offset": (0x248, "I"),
        "payload_length": (0x24C, "I"), "pref_address": (0x258, "Q"), "init_size": (0x260, "I"),
    }  # fmt: skip
    body = bytes(0x100) + b"load" + bytes(0xFC) + code
    data = bytearray(1024) + body
    struct.pack_into("<I", data, 0x1F4, -(-len(body) // 16))
    data[0x200:0x206] = b"\xeb\x6aHdrS"
    for name, value in wanted.items():
        offset, form = places[name]
        struct.pack_into("<" + form, data, offset, value)
    return bytes(data)
