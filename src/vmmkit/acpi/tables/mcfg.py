# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""MCFG: where PCI Express configuration space is in memory.

PCI Firmware Specification, MCFG Table Description.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import attrs

from vmmkit.acpi.structure import Structure, raw, structure, u8, u16, u32, u64
from vmmkit.acpi.tables.sequences import tuple_of
from vmmkit.acpi.tables.table import Table, moved
from vmmkit.errors import TableValueError

__all__ = ["Mcfg", "McfgAllocation"]

_BUS_SHIFT = 20  # a bus has 1 MiB: 32 devices of 8 functions of 4 KiB


@structure
class McfgAllocation(Structure):
    """Configuration space of a range of buses.

    Args:
        base_address: where bus 0 of the segment is or would be, also if `start_bus` is another.
        pci_segment_group: 0 to 0xFFFF.
        start_bus: first bus, 0 to 255.
        end_bus: last bus, 0 to 255.

    Raises:
        TableValueError: the last bus is before the first, the last byte beyond 64 bits, or a
            value that its field cannot hold.
    """

    base_address: int = u64()
    pci_segment_group: int = u16(default=0)
    start_bus: int = u8(default=0)
    end_bus: int = u8(default=255)
    reserved: int = u32(default=0, kw_only=True)

    def _encode(self) -> bytes:
        encoded = super()._encode()
        if self.end_bus < self.start_bus:
            raise TableValueError(
                f"McfgAllocation.end_bus {self.end_bus} is before start_bus {self.start_bus}",
                "McfgAllocation",
                11,
            )
        if self.last >> 64:
            raise TableValueError(
                f"McfgAllocation.base_address {self.base_address:#x} leads bus {self.end_bus} "
                "beyond 64 bits",
                "McfgAllocation",
                0,
            )
        return encoded

    @property
    def first(self) -> int:
        """The address of the first byte of `start_bus`."""
        return self.base_address + (self.start_bus << _BUS_SHIFT)

    @property
    def size(self) -> int:
        """The bytes from there on, 1 MiB a bus."""
        return (self.end_bus - self.start_bus + 1) << _BUS_SHIFT

    @property
    def last(self) -> int:
        """The address of the last byte of `end_bus`."""
        return self.first + self.size - 1


@structure
class Mcfg(Table):
    """The memory-mapped configuration space base address description table.

    Args:
        allocations: for each segment, one or several ranges of buses.
    """

    SIGNATURE = "MCFG"

    allocations: Sequence[McfgAllocation] = attrs.field(
        default=(), converter=tuple_of("MCFG", "Mcfg.allocations", McfgAllocation)
    )
    reserved: bytes = raw(8, default=bytes(8), kw_only=True)

    def _tail(self) -> bytes:
        return b"".join([allocation.to_bytes() for allocation in self.allocations])

    @classmethod
    def _from_fields(cls, data: bytes) -> Self:
        fields, rest = cls._fixed(data)
        size = McfgAllocation.layout().size
        past = len(data) - (len(data) - rest) % size
        allocations = [
            _allocation(data[offset : offset + size], offset) for offset in range(rest, past, size)
        ]
        return cls(allocations, **fields, trailing=data[past:])


def _allocation(data: bytes, offset: int) -> McfgAllocation:
    try:
        return McfgAllocation.parse(data)
    except TableValueError as error:
        raise moved(error, "MCFG", offset) from None
