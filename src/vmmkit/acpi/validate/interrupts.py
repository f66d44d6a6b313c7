# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
r"""I/O APICs, interrupt source overrides, and all that names a global system interrupt.

ACPI Specification, "Multiple APIC Description Table (MADT)", "Global System Interrupts" and
"_PRT (PCI Routing Table)".
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from vmmkit.acpi.aml.namespace import opcode_name
from vmmkit.acpi.aml.node import Path
from vmmkit.acpi.validate.entries import Entry, are_whole, entries
from vmmkit.acpi.validate.finding import Finding
from vmmkit.acpi.validate.fixed_hardware import is_reduced
from vmmkit.acpi.validate.objects import Object, text_of, value_of
from vmmkit.acpi.validate.resources import INTERRUPT, items
from vmmkit.acpi.validate.subject import Subject, TableBytes

__all__ = ["check"]

_LOCAL_APICS: Final = frozenset({0, 9})
_IO_APIC: Final = 1
_OVERRIDE: Final = 2
_LOCAL_APIC_ADDRESS: Final = 5
_ISA_INTERRUPTS: Final = 16
_USUAL: Final = 24  # inputs of an I/O APIC
_MOST: Final = 240  # that its version register can tell
_PAGE: Final = 0x1000
_LAST_DEVICE: Final = 31  # of a bus


class _Use(NamedTuple):
    """A place where a global system interrupt is named."""

    gsi: int
    table: TableBytes
    offset: int
    what: str


class _Range(NamedTuple):
    """GSIs of an I/O APIC: those that it surely has, and those that one could have."""

    first: int
    last: int
    last_possible: int


def check(subject: Subject) -> Iterator[Finding]:
    """Yield what is wrong with interrupts."""
    madt = subject.first("APIC")
    uses: list[_Use] = []
    for declared, path in _routing_tables(subject):
        yield from _routes(declared, path, uses)
    if madt is None:
        return
    found = entries(madt)
    chips = [entry for entry in found if entry.type == _IO_APIC]
    if not chips:
        if are_whole(madt) and any(entry.type in _LOCAL_APICS for entry in found):
            yield madt.finding("MADT-NO-IOAPIC", 44, "no I/O APIC")
        return
    yield from _chips(madt, chips)
    overrides = [entry for entry in found if entry.type == _OVERRIDE]
    yield from _overrides(madt, overrides)
    uses += [_Use(one.number(4, 4), madt, one.offset + 4, "an override") for one in overrides]
    uses += [*_sci(subject), *_device_interrupts(subject)]
    if are_whole(madt):
        yield from _in_range(_ranges(subject, chips), uses)


def _ranges(subject: Subject, chips: list[Entry]) -> list[_Range]:
    ordered = sorted(chips, key=lambda one: one.number(8, 4))
    bases = [one.number(8, 4) for one in ordered]
    found = []
    for chip, base, following in zip(ordered, bases, [*bases[1:], 1 << 32], strict=True):
        known = subject.inputs.get(chip.number(2, 1))
        sure = min(base + (known or _USUAL), following) - 1
        possible = min(base + (known or _MOST), following) - 1
        found.append(_Range(base, sure, possible))
    return found


def _in_range(ranges: list[_Range], uses: list[_Use]) -> Iterator[Finding]:
    for gsi, table, offset, what in uses:
        at = bisect.bisect_right(ranges, (gsi, 1 << 33, 1 << 33)) - 1
        if at < 0 or gsi > ranges[at].last_possible:
            message = f"GSI {gsi} of {what} is that of no I/O APIC"
            yield table.finding("GSI-OUT-OF-RANGE", offset, message)
        elif gsi > ranges[at].last:
            message = (
                f"GSI {gsi} of {what} is input {gsi - ranges[at].first} of the I/O APIC with "
                f"first GSI {ranges[at].first}"
            )
            yield table.finding("GSI-BEYOND-24", offset, message)


def _chips(madt: TableBytes, chips: list[Entry]) -> Iterator[Finding]:
    seen: dict[tuple[str, int], int] = {}
    for chip in chips:
        facts = (("id", chip.number(2, 1)), ("address", chip.number(4, 4)))
        for what, value in (*facts, ("first GSI", chip.number(8, 4))):
            other = seen.setdefault((what, value), chip.offset)
            if other != chip.offset:
                message = f"{what} {value:#x} is also that of the entry at {other:#x}"
                yield madt.finding("MADT-IOAPIC-CONFLICT", chip.offset, message)
        address = chip.number(4, 4)
        if not address or address % 16:
            message = f"an I/O APIC at {address:#x}"
            yield madt.finding("MADT-IOAPIC-ADDRESS", chip.offset + 4, message)
    local, offset = madt.number(36, 4), 36
    for entry in entries(madt):
        if entry.type == _LOCAL_APIC_ADDRESS:
            local, offset = entry.number(4, 8), entry.offset + 4
    if not local or local % _PAGE:
        yield madt.finding("MADT-LAPIC-ADDRESS", offset, f"local APICs at {local:#x}")


def _overrides(madt: TableBytes, overrides: list[Entry]) -> Iterator[Finding]:
    sources: dict[int, int] = {}
    targets: dict[int, int] = {}
    for one in overrides:
        bus, source, flags = one.number(2, 1), one.number(3, 1), one.number(8, 2)
        if bus or source >= _ISA_INTERRUPTS:
            message = f"interrupt {source} of bus {bus}, not 0-15 of bus 0"
            yield madt.finding("MADT-OVERRIDE-SOURCE", one.offset + 2, message)
        if flags & 3 == 2 or flags >> 2 & 3 == 2:
            message = f"flags {flags:#x} have a reserved polarity or trigger mode"
            yield madt.finding("MADT-OVERRIDE-FLAGS", one.offset + 8, message)
        gsi = one.number(4, 4)
        if sources.setdefault(source, one.offset) != one.offset:
            message = f"interrupt {source} is also that of the entry at {sources[source]:#x}"
            yield madt.finding("MADT-DUPLICATE-OVERRIDE", one.offset, message)
        elif targets.setdefault(gsi, one.offset) != one.offset:
            message = f"GSI {gsi} is also that of the entry at {targets[gsi]:#x}"
            yield madt.finding("MADT-DUPLICATE-OVERRIDE", one.offset, message)


def _sci(subject: Subject) -> Iterator[_Use]:
    fadt, madt = subject.first("FACP"), subject.first("APIC")
    if fadt is None or madt is None or is_reduced(fadt):
        return
    interrupt = fadt.number(46, 2)
    overridden = {one.number(3, 1) for one in entries(madt) if one.type == _OVERRIDE}
    if interrupt not in overridden:  # else the override says the GSI
        yield _Use(interrupt, fadt, 46, "the SCI")


def _device_interrupts(subject: Subject) -> Iterator[_Use]:
    """Yield the interrupts of `_CRS` that are those of no other device."""
    objects = subject.objects
    for path, _device in objects.devices():
        declared = objects.of(path, "_CRS")
        content = declared.value if declared is not None else None
        if declared is None or not isinstance(content, bytes):
            continue
        start = declared.offset + len(declared.node.encoded) - len(content)
        for item in items(content):
            count = item.body[1] if item.tag == INTERRUPT and len(item.body) > 1 else 0
            if len(item.body) > 2 + 4 * count:
                continue  # with a resource source: an input of another device
            for number in range(count):
                at = 2 + 4 * number
                gsi = int.from_bytes(item.body[at : at + 4], "little")
                where = start + item.offset + item.header + at
                yield _Use(gsi, declared.table, where, text_of(path))


def _routing_tables(subject: Subject) -> Iterator[tuple[Object, tuple[str, ...]]]:
    for path, found in subject.objects.declared.items():
        if path and path[-1] == "_PRT" and found[0].kind == "Name":
            yield found[0], path


def _routes(declared: Object, path: tuple[str, ...], uses: list[_Use]) -> Iterator[Finding]:
    """Yield malformed rows, and collect the interrupts of the others."""
    package = declared.node.args[1]
    if opcode_name(package) != "Package":
        return
    offset = declared.offset + len(declared.node.encoded)
    offset -= sum([len(row.encoded) for row in package.args[1]])
    seen: set[tuple[int, int]] = set()
    for row in package.args[1]:
        problem = _row_problem(row)
        if problem:
            message = f"a row of {text_of(path)}: {problem}"
            yield declared.table.finding("PRT-ROW", offset, message)
        elif not _is_reference(row) and not any(map(_is_reference, _judged(row))):
            address, pin, _source, index = [value_of(each) for each in row.args[1]]
            key = (address, pin)
            if key in seen:
                message = f"{text_of(path)} has device {address >> 16} and pin {pin} twice"
                yield declared.table.finding("PRT-DUPLICATE", offset, message)
            seen.add(key)
            if value_of(row.args[1][2]) == 0:
                what = f"device {address >> 16}, pin {pin} in {text_of(path)}"
                uses.append(_Use(index, declared.table, offset, what))
        offset += len(row.encoded)


def _row_problem(row: Any) -> str:
    """Return what is wrong with a row, nothing if nothing is."""
    if _is_reference(row):
        return ""
    if opcode_name(row) != "Package":
        return "no package"
    columns = row.args[1]
    if len(columns) != 4:
        return f"{len(columns)} elements, not 4"
    # Where a name stands for a number, its value is that at run time.
    known = [0 if _is_reference(each) else value_of(each) for each in columns]
    address, pin, source, index = known
    if _is_reference(columns[0]):
        address = 0xFFFF
    if not isinstance(address, int) or address & 0xFFFF != 0xFFFF or address >> 16 > _LAST_DEVICE:
        return f"address {_shown(address)}, which is not a device of 0 to 31 with FFFFH below it"
    if not isinstance(pin, int) or pin > 3:
        return f"pin {_shown(pin)}, not 0 to 3"
    if isinstance(source, int) and source:
        return f"source {_shown(source)}, neither 0 nor the name of a device"
    return "" if isinstance(index, int) else "a source index that is no number"


def _is_reference(node: Any) -> bool:
    """Return whether this is a name, whose object is looked for when the guest reads it."""
    return isinstance(node, Path)


def _judged(row: Any) -> tuple[Any, Any, Any]:
    """Return what of a row has to be known: address, pin and index."""
    address, pin, _source, index = row.args[1]
    return address, pin, index


def _shown(value: Any) -> str:
    return f"{value:#x}" if isinstance(value, int) else "that is no number"
