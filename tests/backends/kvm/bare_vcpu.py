# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A vCPU with nothing around it: KVM_RUN in real mode, and the exit as the kernel tells it."""

import mmap
import signal
import struct
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from vmmkit.backends.kvm import _spec as spec
from vmmkit.backends.kvm._ioctl import Handle, kernel_ioctl

SECONDS = 5
RESET_FLAGS = 2
WHOLE_SPACE = spec.SEGMENT.pack(0, 0xFFFF_FFFF, 0, 3, 1, 0, 0, 1, 0, 1, 0, 0)
CODE_SEGMENT = spec.SEGMENT.pack(0, 0xFFFF_FFFF, 0, 11, 1, 0, 0, 1, 0, 1, 0, 0)


class Stop(NamedTuple):
    """An exit: its reason, where the guest touched what, and with which bytes."""

    reason: spec.Exit
    place: int = 0
    value: bytes = b""


@contextmanager
def watchdog():
    """Interrupt KVM_RUN after a while, and again until it is noticed."""
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, SECONDS, 0.1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class BareVcpu:
    """A vCPU in real mode with flat segments of 4 GiB."""

    def __init__(self, vm, index=0):
        self.handle = Handle(vm.create_vcpu_fd(index), f"vCPU {index}")
        self.shared = mmap.mmap(self.handle.fd, vm.vcpu_mmap_size, mmap.MAP_SHARED)
        self.set_up()

    def set_up(self):
        raw = bytearray(spec.SREGS_SIZE)
        self.handle.call(spec.KVM_GET_SREGS, raw)
        size = spec.SEGMENT.size
        for place, name in enumerate(spec.SREGS_SEGMENTS[:6]):
            image = CODE_SEGMENT if name == "cs" else WHOLE_SPACE
            raw[place * size : place * size + size] = image
        self.handle.call(spec.KVM_SET_SREGS, raw)

    def start(self, **registers):
        """Set registers: those named, 0 in the others."""
        values = {"rflags": RESET_FLAGS, **registers}
        raw = spec.REGS.pack(*(values.get(name, 0) for name in spec.REG_NAMES))
        self.handle.call(spec.KVM_SET_REGS, raw)

    def registers(self):
        raw = bytearray(spec.REGS.size)
        self.handle.call(spec.KVM_GET_REGS, raw)
        return dict(zip(spec.REG_NAMES, spec.REGS.unpack(raw), strict=True))

    def run(self, answer=None):
        """Run to the next exit; `answer` is what the read before it gets."""
        if answer is not None:
            self.shared[spec.MMIO_DATA : spec.MMIO_DATA + len(answer)] = answer
        with watchdog():
            kernel_ioctl(self.handle.fd, spec.KVM_RUN.number, 0)
        (reason,) = struct.unpack_from("<I", self.shared, spec.RUN_EXIT_REASON)
        return self.stop(spec.Exit(reason))

    def stop(self, reason):
        if reason is spec.Exit.MMIO:
            where, data, size, is_write = spec.EXIT_MMIO.unpack_from(self.shared, spec.RUN_UNION)
            return Stop(reason, where, data[:size] if is_write else b"")
        if reason is spec.Exit.IO:
            _, size, port, count, start = spec.EXIT_IO.unpack_from(self.shared, spec.RUN_UNION)
            return Stop(reason, port, self.shared[start : start + size * count])
        return Stop(reason)

    def close(self):
        self.shared.close()
        self.handle.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def open_files():
    """Count this process's descriptors."""
    return len([*Path("/proc/self/fd").iterdir()])
