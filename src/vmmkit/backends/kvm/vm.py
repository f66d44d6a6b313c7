# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A virtual machine of Linux KVM: memory slots, interrupts, and doorbells as descriptors."""

from __future__ import annotations

import errno
import mmap
import os
import warnings
from contextlib import ExitStack
from typing import Final, Literal

import attrs

from vmmkit.backends.kvm._closing import Closing
from vmmkit.backends.kvm._interrupts import InterruptHalf
from vmmkit.backends.kvm._ioctl import Handle, open_device
from vmmkit.backends.kvm._routing import checked
from vmmkit.backends.kvm._slots import MemorySlot, Slots
from vmmkit.backends.kvm._spec import (
    CPUID_ENTRY,
    CPUID_HEAD,
    CPUID_SIGNIFICANT_INDEX,
    KVM_CREATE_VCPU,
    KVM_CREATE_VM,
    KVM_GET_MSR_INDEX_LIST,
    KVM_GET_SUPPORTED_CPUID,
    KVM_GET_VCPU_MMAP_SIZE,
    KVM_SET_IDENTITY_MAP_ADDR,
    KVM_SET_TSS_ADDR,
    MSR_LIST_HEAD,
    PAGE_SIZE,
    Cap,
    MsrReason,
    Request,
)
from vmmkit.errors import KvmError, MachineError
from vmmkit.memregion import Region, RegionMap

__all__ = ["CpuidEntry", "KvmVm", "allocate_ram"]

DEVICE: Final = "/dev/kvm"
TABLE_ROWS: Final = 256  # room in the first question for a table
MOST_ROWS: Final = 1 << 16  # in the last

#: Where KVM keeps, on Intel processors that need them, the identity map and the task state
#: segment for real mode: four pages below the firmware, as QEMU has them. Nothing else may lie
#: there.
PRIVATE_PAGES: Final = 0xFEFF_C000


@attrs.frozen
class CpuidEntry:
    """One row of a CPUID table (struct kvm_cpuid_entry2).

    Attributes:
        function: EAX of the question.
        index: ECX of the question, where `flags` says that it counts.
        flags: bit 0: `index` is significant.
        eax: the answer, 32 bits, as are the next three.
        ebx: as `eax`.
        ecx: as `eax`.
        edx: as `eax`.
    """

    function: int
    index: int
    flags: int
    eax: int
    ebx: int
    ecx: int
    edx: int

    @property
    def indexed(self) -> bool:
        """Whether the answer depends on ECX."""
        return bool(self.flags & CPUID_SIGNIFICANT_INDEX)


def allocate_ram(size: int) -> mmap.mmap:
    """Return page-aligned anonymous memory for a guest, all zeros.

    Args:
        size: bytes, a multiple of the page size of 4096.

    Raises:
        MachineError: another size.
    """
    if not isinstance(size, int) or size <= 0 or size % PAGE_SIZE:
        raise MachineError(f"RAM is a positive multiple of {PAGE_SIZE} bytes, not {size!r}")
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


class KvmVm(InterruptHalf, Closing):
    """A virtual machine: its memory, its interrupt controllers, and what its vCPUs may have.

    Use it as a context manager, or call `close`. It belongs to the process that made it; a fork
    can only close it. All its descriptors are closed on exec. Any thread may call it.

    Args:
        irqchip: who has the interrupt controllers. `"none"`: the caller, all of them. `"split"`:
            KVM has the local APICs, the caller the others. `"kernel"`: KVM has all of them.
        pit: with `"kernel"`, whether KVM has the interval timer and port 61h, too.
        ioapic_pins: with `"split"`, how many GSIs, from 0 on, are inputs of the caller's I/O
            APICs; KVM reports the end of their level-triggered interrupts.
        path: the device.

    Attributes:
        irqchip: as given.
        has_msr_exits: whether accesses to MSRs that KVM does not know leave the guest.
        has_second_chance: whether an instruction that KVM cannot emulate leaves the guest with
            its bytes.

    Raises:
        KvmUnavailableError: no KVM, or none that may be used.
        KvmError: the kernel refuses a virtual machine like this.
        MachineError: another word for `irqchip`, or no such number of pins.
    """

    _closed = True  # until there is something to close

    def __init__(
        self,
        irqchip: Literal["none", "split", "kernel"] = "none",
        *,
        pit: bool = True,
        ioapic_pins: int = 24,
        path: str = DEVICE,
    ) -> None:
        """Make it, without vCPUs and memory."""
        if irqchip not in ("none", "split", "kernel"):
            raise MachineError(f"irqchip is 'none', 'split' or 'kernel', not {irqchip!r}")
        self.irqchip = irqchip
        self._process = os.getpid()
        with ExitStack() as undo:
            self.kvm = open_device(path)
            undo.callback(self.kvm.close)
            self._vm = Handle(self.kvm.call(KVM_CREATE_VM), "the virtual machine")
            undo.callback(self._vm.close)
            self._slots = Slots(self._vm, self.capability(Cap.NR_MEMSLOTS))
            self._set_up(pit, checked("ioapic_pins", ioapic_pins, 16))
            undo.pop_all()
        self._closed = False

    def _set_up(self, pit: bool, ioapic_pins: int) -> None:
        """Do what comes before the first vCPU."""
        self._map: RegionMap | None = None
        self._private_pages()
        self._create_irqchip(pit, ioapic_pins)
        self.has_second_chance = self.enable_if_there(Cap.EXIT_ON_EMULATION_FAILURE, 1)
        self.has_msr_exits = self.enable_if_there(
            Cap.X86_USER_SPACE_MSR, MsrReason.UNKNOWN | MsrReason.FILTER
        )

    def _private_pages(self) -> None:
        """Tell KVM where nothing else is, for processors that cannot run real mode."""
        self.call(KVM_SET_IDENTITY_MAP_ADDR, PRIVATE_PAGES.to_bytes(8, "little"))
        self.call(KVM_SET_TSS_ADDR, PRIVATE_PAGES + PAGE_SIZE)

    # -- calls --------------------------------------------------------------------------------

    def create_vcpu_fd(self, index: int) -> int:
        """Make a vCPU and return its descriptor, which the caller closes.

        Args:
            index: its number, and the number of its APIC where KVM has one.
        """
        return self.call(KVM_CREATE_VCPU, index, f"vCPU {index}")

    @property
    def vcpu_mmap_size(self) -> int:
        """Bytes of struct kvm_run and what follows it, at offset 0 of a vCPU's descriptor."""
        return self.kvm.call(KVM_GET_VCPU_MMAP_SIZE)

    # -- what a vCPU may have -------------------------------------------------------------------

    @property
    def cpuid(self) -> tuple[CpuidEntry, ...]:
        """CPUID as far as KVM and this processor can do it (KVM_GET_SUPPORTED_CPUID)."""
        raw = self._table(KVM_GET_SUPPORTED_CPUID, CPUID_HEAD.size, CPUID_ENTRY.size)
        (count,) = CPUID_HEAD.unpack_from(raw)
        rows = memoryview(raw)[CPUID_HEAD.size :][: count * CPUID_ENTRY.size]
        return tuple(CpuidEntry(*row) for row in CPUID_ENTRY.iter_unpack(rows))

    @property
    def msr_indices(self) -> tuple[int, ...]:
        """The MSRs that make up a vCPU's state (KVM_GET_MSR_INDEX_LIST)."""
        raw = self._table(KVM_GET_MSR_INDEX_LIST, MSR_LIST_HEAD.size, 4)
        (count,) = MSR_LIST_HEAD.unpack_from(raw)
        return tuple(memoryview(raw)[4 : 4 + 4 * count].cast("I"))

    def _table(self, request: Request, head: int, row: int) -> bytearray:
        """Ask the device for a table whose length only it knows."""
        rows = TABLE_ROWS
        while True:
            raw = bytearray(head + rows * row)
            raw[:4] = rows.to_bytes(4, "little")
            try:
                self.kvm.call(request, raw)
            except KvmError as error:
                if error.errno != errno.E2BIG or rows > MOST_ROWS:
                    raise
                rows *= 2
            else:
                return raw

    # -- memory -------------------------------------------------------------------------------

    def attach(self, mmio: RegionMap) -> None:
        """Follow an address map: its RAM and ROM become memory slots, now and at every change.

        RAM that may be read and written is reached by the guest without an exit; ROM, and RAM
        without WRITE, for reads alone. A region that is not whole pages, in base, size or the
        place of its buffer in this process, has no slot: the guest's accesses leave it, as do
        those to devices. Policies of regions with slots are not asked.

        Args:
            mmio: the map of guest-physical addresses.

        Raises:
            MachineError: a map is attached already.
            KvmError: the kernel refuses a slot; no map is attached.
        """
        self._check_open("attach")
        if self._map is not None:
            raise MachineError(f"the map {self._map.name!r} is attached already")
        try:
            mmio.subscribe(self._slots, replay=True)
        except KvmError:
            self._slots.clear()
            raise
        self._map = mmio

    @property
    def slots(self) -> tuple[MemorySlot, ...]:
        """The memory that the guest reaches without an exit, in address order."""
        self._check_open("slots")
        return tuple(self._slots)

    @property
    def ram(self) -> tuple[tuple[int, memoryview], ...]:
        """RAM and ROM of whole pages as `(gpa, buffer)`, in order, as `vmmkit.insn` takes them.

        ROM is a read-only buffer. Another tuple after every change of the map, the same until
        then.
        """
        return self._slots.ram

    def log_dirty(self, region: Region, on: bool) -> None:
        """Log which pages of a region the guest writes, or no longer.

        The log goes with the region when it is moved, disabled and enabled. It sees what the
        guest writes without an exit, nothing that this process writes.
        """
        self._check_open("log_dirty")
        self._slots.log(region, on)

    def dirty_pages(self, region: Region) -> tuple[int, ...]:
        """Return the pages of a region that the guest wrote since the last call.

        Returns:
            Their guest-physical addresses, ascending, as if the region had been where it is.

        Raises:
            MachineError: the region's writes are not logged.
        """
        self._check_open("dirty_pages")
        return self._slots.take_dirty(region)

    # -- end ----------------------------------------------------------------------------------

    def close(self) -> None:
        """Take all memory away from the guest and close; again is nothing.

        vCPUs that are open still find no memory.
        """
        if self._closed:
            return
        self._closed = True
        forget = os.getpid() != self._process
        with ExitStack() as last_first:
            last_first.callback(self.kvm.close)
            last_first.callback(self._vm.close)
            last_first.callback(self._slots.clear, forget=forget)
            last_first.callback(self._close_notifiers, forget=forget)
            if self._map is not None:
                self._map.unsubscribe(self._slots)
                self._map = None

    def __del__(self) -> None:
        """Close what was forgotten, and say so."""
        if not self._closed:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=1, source=self)
            self.close()

    def __repr__(self) -> str:
        """Show what a debugger's user wants to know."""
        state = " closed" if self._closed else f" fd={self.fd}"
        return f"<KvmVm irqchip={self.irqchip!r}{state}>"
