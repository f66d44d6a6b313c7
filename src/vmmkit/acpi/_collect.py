# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Finds the tables in guest memory as a guest does: from the RSDP on.

ACPI Specification, ACPI System Description Tables.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from vmmkit.acpi.placement import BIOS_FIRST, BIOS_LAST
from vmmkit.acpi.relocation import Addressable, Checksum, Relocation
from vmmkit.acpi.tables.fadt import Fadt
from vmmkit.acpi.tables.root import RootTable
from vmmkit.acpi.tables.rsdp import RSDP_SIGNATURE, Rsdp
from vmmkit.acpi.tables.table import HEADER_SIZE, Table
from vmmkit.errors import TableParseError

if TYPE_CHECKING:
    from vmmkit.acpi.tables.reading import AnyTable

#: Reads guest memory: `read(gpa, size)`.
MemoryReader: TypeAlias = Callable[[int, int], bytes]

MAX_SIZE = 64 << 20  # of all tables; what has more is no table set
_RSDP_SIZES = (20, 36)
_EXTENDED_SEGMENT = 0x40E  # where the firmware's data area says where its extension is
_EXTENDED_SIZE = 1024
#: Where the FADT points at each: offset of 32 bits, offset of 64 bits.
_FADT_POINTERS = {"FACS": (36, 132), "DSDT": (40, 140)}
_FADT_FIELDS = {"FACS": ("firmware_ctrl", "x_firmware_ctrl"), "DSDT": ("dsdt", "x_dsdt")}


@attrs.frozen(eq=False)
class Pointing:
    """A table that no class is for, whose pointers are known all the same."""

    table: Table
    places: tuple[Relocation, ...]

    @property
    def signature(self) -> str:
        """That of the table."""
        return self.table.signature

    @property
    def name(self) -> str:
        """That of the table."""
        return self.table.name

    @property
    def alignment(self) -> int:
        """That of the table."""
        return self.table.alignment

    def to_bytes(self) -> bytes:
        """Return the bytes, with zero where addresses of others belong."""
        content = bytearray(self.table.to_bytes())
        for place in self.places:
            content[place.offset : place.offset + place.size] = bytes(place.size)
        return bytes(content)

    def relocations(self) -> tuple[Relocation, ...]:
        """Return where addresses of others belong."""
        return self.places

    def checksums(self) -> tuple[Checksum, ...]:
        """Return that of the table."""
        return self.table.checksums()


def find_rsdp(read: MemoryReader) -> int | None:
    """Return where a guest's memory has an RSDP, `None` if nowhere that systems search.

    ACPI Specification, "Finding the RSDP on IA-PC Systems": the first KiB of the Extended BIOS
    Data Area, whose segment is at 40EH, then 0xE0000-0xFFFFF, in steps of 16 bytes.

    Args:
        read: returns guest-physical memory, called as `read(gpa, size)`.
    """
    extended = int.from_bytes(read(_EXTENDED_SEGMENT, 2), "little") << 4
    areas = [(extended, _EXTENDED_SIZE)] if extended else []
    for base, size in (*areas, (BIOS_FIRST, BIOS_LAST + 1 - BIOS_FIRST)):
        area = bytes(read(base, size))
        for offset in range(0, len(area), 16):
            if area.startswith(RSDP_SIGNATURE, offset) and _is_rsdp(area, offset):
                return base + offset
    return None


def _is_rsdp(area: bytes, offset: int) -> bool:
    small, large = _RSDP_SIZES
    size = small if area[offset + 15 : offset + 16] < b"\2" else large
    try:
        Rsdp.from_bytes(area[offset : offset + size])
    except TableParseError:
        return False
    return True


class Collector:
    """Reads tables, each once.

    Attributes:
        rsdp: what was at the address given.
        root: XSDT or RSDT.
        tables: what it lists, in order.
    """

    def __init__(self, read: MemoryReader, rsdp_address: int) -> None:
        """Read them all.

        Raises:
            TableParseError: no RSDP there, no root table, or a table that is none.
        """
        self._read_memory = read
        self._left = MAX_SIZE
        self.rsdp = self._rsdp(rsdp_address)
        self.root = self._root()
        found: dict[int, Addressable] = {}
        for address in self.root.entries:
            # Guests pass over entries that are zero.
            if isinstance(address, int) and address and address not in found:
                found[address] = self._listed(address)
        self.tables = tuple(found.values())

    def _read(self, address: int, size: int, name: str) -> bytes:
        self._left -= size
        if self._left < 0:
            raise TableParseError(f"more than {MAX_SIZE} bytes of tables, {name} among them", name)
        data = bytes(self._read_memory(address, size))
        if len(data) != size:
            raise TableParseError(
                f"{name} at {address:#x}: {len(data)} of {size} bytes could be read", name
            )
        return data

    def _rsdp(self, address: int) -> Rsdp:
        small, large = _RSDP_SIZES
        data = self._read(address, small, "RSDP")
        if data[15] >= 2:
            data += self._read(address + small, large - small, "RSDP")
        return Rsdp.from_bytes(data)

    def _root(self) -> RootTable:
        address = self.rsdp.xsdt_address or self.rsdp.rsdt_address
        table = self._table(address) if isinstance(address, int) and address else None
        if not isinstance(table, RootTable):
            raise TableParseError(f"the RSDP leads to no root table, at {address:#x}", "RSDP")
        return table

    def _table(self, address: int) -> AnyTable:
        # Only here, since the classes of all tables come along.
        from vmmkit.acpi.tables.reading import from_bytes  # noqa: PLC0415

        head = self._read(address, HEADER_SIZE, "a table")
        name = head[:4].decode("latin-1")
        length = int.from_bytes(head[4:8], "little")
        if length < HEADER_SIZE:
            raise TableParseError(f"{name!r} at {address:#x} has length {length}", name, 4)
        try:
            return from_bytes(head + self._read(address + HEADER_SIZE, length - HEADER_SIZE, name))
        except TableParseError as error:
            raise TableParseError(f"at {address:#x}: {error}", error.table, error.offset) from None

    def _listed(self, address: int) -> Addressable:
        table = self._table(address)
        return self._fadt(table) if isinstance(table, Table) and _is_fadt(table) else table

    def _fadt(self, table: Table) -> Addressable:
        """Return the FADT with what it points at in place of addresses."""
        data = table.to_bytes()
        fields: dict[str, Any] = {}
        places: list[Relocation] = []
        for name, offsets in _FADT_POINTERS.items():
            values = [_number(data, offsets[0], 4), _number(data, offsets[1], 8)]
            address = values[1] or values[0]
            target = self._table(address) if address else None
            for value, offset, size, field in zip(
                values, offsets, (4, 8), _FADT_FIELDS[name], strict=True
            ):
                if target is not None and value == address:
                    fields[field] = target
                    places.append(Relocation(offset, size, target, size == 4 and bool(values[1])))
        if isinstance(table, Fadt):
            return attrs.evolve(table, **fields)
        return Pointing(table, tuple(places))


def _is_fadt(table: Table) -> bool:
    return table.signature == Fadt.SIGNATURE


def _number(data: bytes, offset: int, size: int) -> int:
    """Return a number, 0 where the table is too short to have it."""
    field = data[offset : offset + size]
    return int.from_bytes(field, "little") if len(field) == size else 0
