# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What vmmkit calls: the consumer-side interfaces, and nothing else.

Every class here is a structural type: an object that has the methods fits, without importing
or inheriting anything. Each one names its caller. They are for type checkers only: no module
asks `isinstance` of them, since that costs microseconds and sees names, not signatures.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

__all__ = [
    "AccessPort",
    "AccessSink",
    "AcpiContributor",
    "AddressSpace",
    "InterruptLine",
    "Machine",
    "MapListener",
    "MemorySpace",
    "MmioDevice",
    "ReadHandler",
    "Vcpu",
    "WriteHandler",
]


class ReadHandler(Protocol):
    """A callable that answers reads of a region. Caller: `memregion` ports."""

    def __call__(self, vcpu: Any, address: int, size: int, /) -> int:
        """Return the `size` bytes at `address` as a little-endian integer.

        `address` counts from the region's base, or is absolute where the region asks for that.
        """
        ...


class WriteHandler(Protocol):
    """A callable that takes writes to a region. Caller: `memregion` ports."""

    def __call__(self, vcpu: Any, address: int, size: int, value: int, /) -> object:
        """Take `value`, already masked to `size` bytes; the result is ignored."""
        ...


class MmioDevice(Protocol):
    """A device with one register window. Caller: `memregion` ports."""

    def read(self, vcpu: Any, offset: int, size: int, /) -> int:
        """Return the `size` bytes at `offset` as a little-endian integer."""
        ...

    def write(self, vcpu: Any, offset: int, size: int, value: int, /) -> object:
        """Take `value`, already masked to `size` bytes."""
        ...


class AccessPort(Protocol):
    """One vCPU's way into an address space. Callers: backends, `gdb`, PCI front ends."""

    def read(self, address: int, size: int, /) -> int:
        """Read `size` bytes at `address`."""
        ...

    def write(self, address: int, size: int, value: int, /) -> None:
        """Write the low `size` bytes of `value` at `address`."""
        ...


class MapListener(Protocol):
    """Hears of every committed change, in order. Caller: `memregion.RegionMap`.

    A hypervisor backend keeps its memory slots this way: `region.buffer` is the RAM or ROM,
    or `None` for trapped regions.
    """

    def region_added(self, region: Any, /) -> None:
        """`region` answers from now on (added or enabled)."""
        ...

    def region_removed(self, region: Any, /) -> None:
        """`region` answers no more (removed or disabled)."""
        ...

    def region_moved(self, region: Any, old_base: int, /) -> None:
        """`region` answers at `region.base` now and no longer at `old_base`."""
        ...


class AccessSink(Protocol):
    """Takes trace records. Caller: instrumented ports of `memregion`."""

    def __call__(self, record: Any, /) -> object:
        """Take one `memregion.AccessRecord`."""
        ...


class AddressSpace(Protocol):
    """An address map that blocks may plug windows into. Caller: PCI; `RegionMap` fits."""

    def add(self, base: int, size: int, handler: Any = ..., /, *, name: str = ...) -> Any:
        """Place a window of `size` bytes at `base`; return its handle."""
        ...

    def remove(self, region: Any, /) -> None:
        """Take a window away."""
        ...

    def move(self, region: Any, base: int, /) -> None:
        """Place a window elsewhere."""
        ...

    def transaction(self) -> AbstractContextManager[Any]:
        """Group changes; overlaps are judged on the final state."""
        ...


class MemorySpace(Protocol):
    """What PCI asks of an address map beyond `AddressSpace`. Caller: PCI; `RegionMap` fits."""

    def add_ram(self, base: int, buffer: Any, /, *, name: str = ...) -> Any:
        """Place RAM as long as `buffer`; return its handle."""
        ...

    def add_rom(self, base: int, buffer: Any, /, *, name: str = ...) -> Any:
        """Place ROM as long as `buffer`; return its handle."""
        ...

    def conflicts(self, base: int, size: int, /) -> Sequence[Any]:
        """List the regions that share an address with this range."""
        ...

    def find(self, address: int, /) -> Any:
        """Return the region at `address`, with `base`, `last` and `buffer`, or `None`."""
        ...

    def port(self, vcpu: Any, /) -> Any:
        """Make an `AccessPort`."""
        ...


class InterruptLine(Protocol):
    """A wire from a device to an interrupt controller. Caller: devices."""

    def __call__(self, level: bool, /) -> object:
        """Drive the wire to `level`; called on changes only."""
        ...


class Machine(Protocol):
    """A PC of vCPUs. Caller: monitors; those of `vmmkit.backends` fit."""

    def line(self, gsi: int, /) -> InterruptLine:
        """Return the interrupt line of a global system interrupt."""
        ...

    def msi(self, address: int, data: int, /) -> bool:
        """Deliver a device's memory write; return whether it was an interrupt message."""
        ...

    def run(self) -> Any:
        """Run all vCPUs until one needs the owner; return why."""
        ...

    def stop(self) -> None:
        """End the run in progress, or else the next one; for any thread."""
        ...

    def reset(self) -> None:
        """Reset every processor and device of the machine; RAM stays."""
        ...


class Vcpu(Protocol):
    """A processor that runs guest code and comes back with exits.

    Callers: machines, monitors; `backends.SoftVcpu` and `backends.kvm.KvmVcpu` fit. The outcomes
    are those of `vmmkit.insn`, the same from every backend.
    """

    @property
    def state(self) -> Any:
        """The registers, a `vmmkit.insn.CpuState`; ask anew after each run."""
        ...

    def run(self, budget: int = ..., /) -> Any:
        """Run until an exit; 1 as `budget` is a single step."""
        ...

    def complete(self, value: int, /) -> None:
        """Answer the read that the last run returned."""
        ...

    def run_through(self, mmio: AccessPort, pio: AccessPort, budget: int = ..., /) -> Any:
        """Run, doing device accesses through ports, until any other exit."""
        ...

    def kick(self) -> None:
        """End the run in progress, or else the next one; for any thread."""
        ...


class AcpiContributor(Protocol):
    """A device that describes itself to the guest. Caller: the ACPI platform presets."""

    def acpi_nodes(self, context: Any, /) -> Iterable[Any]:
        """Return AML nodes, usually one `Device`, for where `context` says they will stand."""
        ...
