# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""One virtual machine of the kernel's, with one vCPU and RAM that is copied in and out.

Structures and numbers are those of the Linux kernel's "The Definitive KVM API Documentation".
"""

import ctypes
import mmap
import os
import signal
import struct
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

__all__ = ["Exit", "Kvm", "physical_bits", "unusable_reason"]

DEVICE = "/dev/kvm"
GET_API_VERSION, CREATE_VM, GET_VCPU_MMAP_SIZE, GET_SUPPORTED_CPUID = (
    *(0xAE00, 0xAE01, 0xAE04),
    0xC008AE05,
)
CREATE_VCPU, SET_USER_MEMORY_REGION, RUN = 0xAE41, 0x4020AE46, 0xAE80
GET_REGS, SET_REGS, GET_SREGS, SET_SREGS = 0x8090AE81, 0x4090AE82, 0x8138AE83, 0x4138AE84
SET_MSRS, SET_CPUID2, SET_VCPU_EVENTS = 0x4008AE89, 0x4008AE90, 0x4040AEA0
GET_DEBUGREGS, SET_DEBUGREGS = 0x8080AEA1, 0x4080AEA2
API_VERSION = 12
SIZES = {GET_REGS: 144, GET_SREGS: 312, GET_DEBUGREGS: 128}
CPUID_ENTRIES, CPUID_ENTRY, ADDRESS_SIZES = 256, 40, 0x8000_0008
READ_ONLY = 2
SECONDS = 0.5
REASON = 8  # offset of exit_reason in struct kvm_run
EXIT_KINDS = {2: "io", 4: "debug", 5: "hlt", 6: "mmio", 8: "shutdown", 9: "fail_entry", 17: "error"}

libc = ctypes.CDLL(None, use_errno=True)


class Exit(NamedTuple):
    """Why the vCPU stopped: one of `EXIT_KINDS`, or `"time"`."""

    kind: str
    number: int


def _call(fd, number, argument=0):
    """One ioctl; `argument` is an integer, or bytes that it reads and may write."""
    buffer = None
    if isinstance(argument, bytes):
        buffer = ctypes.create_string_buffer(argument, len(argument))
    given = buffer if buffer is not None else ctypes.c_void_p(argument)
    result = libc.ioctl(fd, ctypes.c_ulong(number), given)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"ioctl {number:#x}: {os.strerror(code)}")
    return buffer.raw if buffer is not None else result


def unusable_reason():
    """Why no virtual machine can be made here, or `None`."""
    try:
        Kvm([]).close()
    except OSError as error:
        return f"{DEVICE} is of no use here: {error}"
    return None


@contextmanager
def _alarm(seconds):
    """Interrupt system calls after a time, without an exception."""
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@cache
def physical_bits():
    """The width of physical addresses that a virtual machine has."""
    system = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    held = _supported(system)
    os.close(system)
    (count,) = struct.unpack_from("<I", held)
    for number in range(count):
        leaf, _, _, eax = struct.unpack_from("<4I", held, 8 + number * CPUID_ENTRY)
        if leaf == ADDRESS_SIZES:
            return eax & 0xFF
    return 36


def _supported(system):
    """What CPUID says there."""
    room = struct.pack("<2I", CPUID_ENTRIES, 0) + bytes(CPUID_ENTRIES * CPUID_ENTRY)
    return _call(system, GET_SUPPORTED_CPUID, room)


class Kvm:
    """A virtual machine; `pieces` are `(gpa, size, writable)`."""

    def __init__(self, pieces):
        self.system = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
        if _call(self.system, GET_API_VERSION) != API_VERSION:
            raise OSError(0, "another version of its interface")
        self.vm = _call(self.system, CREATE_VM)
        self.pieces = [self._add(slot, *piece) for slot, piece in enumerate(pieces)]
        self.vcpu = _call(self.vm, CREATE_VCPU)
        size = _call(self.system, GET_VCPU_MMAP_SIZE)
        self.shared = mmap.mmap(self.vcpu, size, mmap.MAP_SHARED)
        _call(self.vcpu, SET_CPUID2, _supported(self.system))
        self.sregs = self.get(GET_SREGS)

    def _add(self, slot, gpa, size, writable):
        ram = mmap.mmap(-1, size, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
        address = ctypes.addressof(ctypes.c_char.from_buffer(ram))
        flags = 0 if writable else READ_ONLY
        _call(
            self.vm, SET_USER_MEMORY_REGION, struct.pack("<2I3Q", slot, flags, gpa, size, address)
        )
        return gpa, ram

    def get(self, number):
        """What one of the GET ioctls says, as bytes."""
        return _call(self.vcpu, number, bytes(SIZES[number]))

    def set(self, number, raw):
        """One of the SET ioctls."""
        _call(self.vcpu, number, raw)

    def set_msrs(self, values):
        """Write MSRs by number."""
        entries = b"".join(struct.pack("<2IQ", number, 0, values[number]) for number in values)
        _call(self.vcpu, SET_MSRS, struct.pack("<2I", len(values), 0) + entries)

    def forget_events(self):
        """Nothing is pending, nothing blocked."""
        _call(self.vcpu, SET_VCPU_EVENTS, bytes(64))

    def run(self):
        """Run the vCPU until it needs somebody, or for `SECONDS`."""
        with _alarm(SECONDS):
            try:
                _call(self.vcpu, RUN)
            except InterruptedError:
                return Exit("time", 0)
        (number,) = struct.unpack_from("<I", self.shared, REASON)
        return Exit(EXIT_KINDS.get(number, "other"), number)

    def close(self):
        """Give everything back."""
        self.shared.close()
        for fd in (self.vcpu, self.vm, self.system):
            os.close(fd)
