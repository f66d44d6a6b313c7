# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Small guests in real mode: they store, write to ports, wait, and report by port 80h."""

import struct
import threading
from contextlib import contextmanager

from vmmkit.backends.kvm import KvmVcpu, KvmVm, allocate_ram
from vmmkit.memregion import RegionMap

__all__ = ["HLT", "OUT", "REPORT", "SECONDS", "STI", "WAIT", "guest", "handler", "store", "to_port"]

CODE, STACK, RAM_BYTES = 0x1000, 0x7000, 0x1_0000
HANDLERS = 0x2000
REPORT = 0x80
SECONDS = 20.0
HLT, STI, WAIT = "f4", "fb", "ebfe"
OUT = f"e6{REPORT:02x}"  # out 80h, al
_OPERAND = {1: "", 2: "", 4: "66"}
_IMMEDIATE = {1: "c606", 2: "c706", 4: "66c706"}
_LOAD = {1: "b0", 2: "b8", 4: "66b8"}
_OUT = {1: "e6", 2: "e7", 4: "66e7"}


def _little(value, size):
    return value.to_bytes(size, "little").hex()


def segment(paragraph):
    """mov ax, ...; mov ds, ax."""
    return f"b8{_little(paragraph, 2)}8ed8"


def store(offset, value, size):
    """mov [offset], value."""
    return _IMMEDIATE[size] + _little(offset, 2) + _little(value, size)


def to_port(port, value, size=1):
    """mov eax, value; out port, eax."""
    return _LOAD[size] + _little(value, size) + _OUT[size] + f"{port:02x}"


def handler(ram, vector, code):
    """Have a vector of the interrupt table lead to code."""
    place = HANDLERS + 0x40 * (vector & 0x3F)
    ram[place : place + len(code) // 2] = bytes.fromhex(code)
    ram[4 * vector : 4 * vector + 4] = struct.pack("<HH", place, 0)


@contextmanager
def guest(code, **options):
    """A machine with a vCPU at `code`; kicked when it takes too long.

    Args:
        code: hexadecimal digits.
        options: of `KvmVm`.
    """
    ram, mmio = allocate_ram(RAM_BYTES), RegionMap()
    digits = bytes.fromhex(code)
    ram[CODE : CODE + len(digits)] = digits
    mmio.add_ram(0, ram, name="ram")
    with KvmVm(**options) as vm, KvmVcpu(vm) as vcpu:
        vm.attach(mmio)
        vcpu.state.enter_real_mode(ip=CODE)
        vcpu.state.rsp = STACK
        watchdog = threading.Timer(SECONDS, vcpu.kick)
        watchdog.start()
        try:
            yield vm, vcpu, ram
        finally:
            watchdog.cancel()
            watchdog.join()
