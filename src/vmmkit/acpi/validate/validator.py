# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Judging tables as a guest finds them: what compilers, and systems that boot, pass over.

The bytes are judged, with small readers of their own, so that what a table's class gets wrong is
found as well. Only AML is read with `vmmkit.acpi.aml.reader`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Protocol

from vmmkit.acpi.layout import TableSet
from vmmkit.acpi.placement import E820Entry, E820Type, Placement
from vmmkit.acpi.validate import (
    affinity,
    code_blocks,
    devices,
    entries,
    fixed_hardware,
    headers,
    interrupts,
    memory,
    others,
    pci,
    processors,
    resources,
)
from vmmkit.acpi.validate.finding import Finding
from vmmkit.acpi.validate.memory import covers
from vmmkit.acpi.validate.subject import Subject, TableBytes, named
from vmmkit.errors import TableValueError

__all__ = ["Machine", "validate"]

_CHECKS: Final[tuple[Callable[[Subject], Iterator[Finding]], ...]] = (
    headers.check,
    memory.check,
    entries.check,
    fixed_hardware.check,
    processors.check,
    interrupts.check,
    affinity.check,
    others.check,
    code_blocks.check,
    resources.check,
    devices.check,
    pci.check,
)

# Where a set is placed to be judged when nobody has said where: out of the way of windows.
_BASE: Final = 0x0100_0000


class Machine(Protocol):
    """What knows its tables and its memory map: a `Platform`.

    It may have `smbios` and `io_apics` as well, as a `Platform` has.
    """

    def table_set(self) -> TableSet:
        """Return the tables."""

    def e820(self) -> Iterable[E820Entry]:
        """Return ranges of memory that are no RAM."""


def validate(
    source: TableSet | Placement | Machine | Iterable[Any],
    *,
    smbios: bool | None = None,
    io_apic_inputs: Mapping[int, int] | None = None,
) -> list[Finding]:
    r"""Judge tables; return what is wrong with them, or worth a look.

    Args:
        source: a platform, a table set, a placement, or tables, as bytes or objects. Of the last,
            none counts as missing and addresses are not known.
        smbios: the guest has SMBIOS with a BIOS date from 2010 on, without which Linux ignores ECAM
            above 4 GiB. Where not given, a platform says it itself; other sources have none.
        io_apic_inputs: how many inputs I/O APICs have, by their id, which no table says. Where not
            given, a platform says it itself; of other sources, 24 are expected.

    Returns:
        Findings by table, in the order of the tables, and then by offset.

    Raises:
        AcpiError: a table set that cannot be placed; never for any bytes.
        TableValueError: a source of another kind.
    """
    subject = _subject(source)
    if smbios is None:
        smbios = getattr(source, "smbios", False)
    if io_apic_inputs is None:
        io_apic_inputs = {one.io_apic_id: one.inputs for one in getattr(source, "io_apics", ())}
    subject.smbios = smbios
    subject.inputs = dict(io_apic_inputs)
    order = {table.name: number for number, table in enumerate(subject.tables)}
    found = [finding for check in _CHECKS for finding in check(subject)]
    last = len(order)
    return sorted(found, key=lambda each: (order.get(each.table, last), each.offset, each.code))


def _subject(source: Any) -> Subject:
    if isinstance(source, Placement):
        return _placed(source, source.e820)
    if isinstance(source, TableSet):
        return _placed(source.place(_BASE), None)
    if hasattr(source, "table_set"):
        placement = source.table_set().place(_BASE)
        return _placed(placement, (*source.e820(), *placement.e820))
    if isinstance(source, (bytes, str)) or not isinstance(source, Iterable):
        raise TableValueError(f"a platform, table set, placement or tables, not {source!r:.40}")
    return Subject(named([(_bytes(table), None) for table in source]))


def _placed(placement: Placement, memory_map: Iterable[E820Entry] | None) -> Subject:
    kept = [entry for entry in placement.e820 if entry.type == E820Type.RESERVED]
    tables: list[tuple[str, int, bytes]] = []
    other: list[tuple[str, int, bytes]] = []
    for gpa, data, name in placement.pieces:
        is_blob = covers(kept, gpa, gpa, (E820Type.RESERVED,)) and not _begins_with(data, name)
        (other if is_blob else tables).append((name, gpa, data))
    return Subject(
        tuple([TableBytes(name, data, gpa) for name, gpa, data in tables]),
        complete=True,
        memory=None if memory_map is None else tuple(memory_map),
        other=tuple([(name, gpa, len(data)) for name, gpa, data in other]),
    )


def _begins_with(data: bytes, name: str) -> bool:
    """Return whether a piece is named after the signature that it begins with."""
    return data[:4].decode("latin-1") == name.partition("#")[0]


def _bytes(table: Any) -> bytes:
    if isinstance(table, (bytes, bytearray, memoryview)):
        return bytes(table)
    if not hasattr(table, "to_bytes") or isinstance(table, (int, type)):
        raise TableValueError(f"a table or its bytes, not {table!r:.40}")
    content: bytes = table.to_bytes()
    return content
