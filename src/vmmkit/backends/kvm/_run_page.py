# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The pages that a vCPU shares with the kernel: struct kvm_run, and the data of port I/O."""

from __future__ import annotations

import mmap
from typing import Final

from vmmkit.backends.kvm._spec import (
    REGS,
    RUN_SYNC,
    SREGS_SIZE,
    SYNC_EVENTS,
    SYNC_SREGS,
    VCPU_EVENTS,
)

__all__ = ["RunPage"]


class RunPage:
    """The mapping, as integers of every width; all are views of the same bytes.

    Args:
        fd: the vCPU's descriptor.
        size: bytes, as KVM_GET_VCPU_MMAP_SIZE tells.

    Attributes:
        octets, halves, longs, quads: the pages as integers of 1, 2, 4 and 8 bytes.
        by_size: the same, by the size of an integer.
        regs: struct kvm_regs, as 64-bit words.
        sregs, events: struct kvm_sregs and kvm_vcpu_events, as bytes.
        regs_bytes: struct kvm_regs as bytes.
    """

    __slots__ = ("_mapping", "by_size", "events", "halves", "longs", "octets", "quads", "regs",
                 "regs_bytes", "sregs")  # fmt: skip

    def __init__(self, fd: int, size: int) -> None:
        """Map the pages."""
        self._mapping = mmap.mmap(fd, size, mmap.MAP_SHARED)
        self.octets = memoryview(self._mapping)
        self.halves = self.octets.cast("H")
        self.longs = self.octets.cast("I")
        self.quads = self.octets.cast("Q")
        self.by_size = {1: self.octets, 2: self.halves, 4: self.longs, 8: self.quads}
        self.regs_bytes = self.octets[RUN_SYNC : RUN_SYNC + REGS.size]
        self.regs = self.regs_bytes.cast("Q")
        self.sregs = self.octets[SYNC_SREGS : SYNC_SREGS + SREGS_SIZE]
        self.events = self.octets[SYNC_EVENTS : SYNC_EVENTS + VCPU_EVENTS.size]

    def close(self) -> None:
        """Give the mapping back."""
        for name in VIEWS:
            getattr(self, name).release()
        self.by_size.clear()
        self._mapping.close()


VIEWS: Final = ("regs", "regs_bytes", "sregs", "events", "halves", "longs", "quads", "octets")
