# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The MADT, and whether the devices of processors agree with it.

ACPI Specification, "Multiple APIC Description Table (MADT)" and "Declaring Processors".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from vmmkit.acpi.validate.entries import are_whole, entries
from vmmkit.acpi.validate.finding import Finding
from vmmkit.acpi.validate.objects import Object, text_of
from vmmkit.acpi.validate.subject import Subject, TableBytes

__all__ = ["Cpu", "check", "cpus"]

_LOCAL_APIC: Final = 0
_X2APIC: Final = 9
_ENABLED: Final = 1
_CAPABLE: Final = 2
_BROADCAST: Final = 0xFF
_PROCESSOR_DEVICE: Final = "ACPI0007"
# Other interrupt controllers than APICs: these tables are not about a PC.
_OTHER_MACHINES: Final = frozenset({6, 7, 11, 17, 24})


class Cpu(NamedTuple):
    """A processor of the MADT: ids, flags, type and offset of its entry."""

    apic_id: int
    uid: int
    flags: int
    type: int
    offset: int

    @property
    def usable(self) -> bool:
        """It is enabled, or can be later."""
        return bool(self.flags & (_ENABLED | _CAPABLE))


def cpus(madt: TableBytes) -> list[Cpu]:
    """Return the processors of a MADT."""
    found = []
    for entry in entries(madt):
        number = entry.number
        if entry.type == _LOCAL_APIC:
            found.append(Cpu(number(3, 1), number(2, 1), number(4, 4), 0, entry.offset))
        elif entry.type == _X2APIC:
            found.append(Cpu(number(4, 4), number(12, 4), number(8, 4), 9, entry.offset))
    return found


def check(subject: Subject) -> Iterator[Finding]:
    """Yield what is wrong with processors."""
    devices = list(_devices(subject))
    yield from _unique_devices(devices)
    madt = subject.first("APIC")
    if madt is None or _OTHER_MACHINES & {entry.type for entry in entries(madt)}:
        return
    found = cpus(madt)
    yield from _entries(madt, found)
    if not are_whole(madt):
        return
    if not any(cpu.flags & _ENABLED for cpu in found):
        yield madt.finding("MADT-NO-CPU", 44, f"{len(found)} processors, none of them enabled")
    yield from _agree(subject, madt, found, devices)


def _entries(madt: TableBytes, found: list[Cpu]) -> Iterator[Finding]:
    usable = [cpu for cpu in found if cpu.usable]
    yield from _unique(madt, usable)
    has_local = any(cpu.type == _LOCAL_APIC for cpu in usable)
    for cpu in usable:
        if cpu.type == _LOCAL_APIC and cpu.apic_id == _BROADCAST:
            message = f"APIC id {cpu.apic_id:#x} in an entry for a local APIC"
            yield madt.finding("MADT-APIC-ID-255", cpu.offset + 3, message)
        if cpu.type == _X2APIC and cpu.apic_id < _BROADCAST and has_local:
            message = f"x2APIC id {cpu.apic_id}, beside entries for local APICs"
            yield madt.finding("MADT-X2APIC-SMALL-ID", cpu.offset + 4, message)


def _unique(madt: TableBytes, usable: list[Cpu]) -> Iterator[Finding]:
    by_id: dict[int, Cpu] = {}
    by_uid: dict[int, Cpu] = {}
    for cpu in usable:
        other = by_id.setdefault(cpu.apic_id, cpu)
        if other is not cpu:
            message = f"APIC id {cpu.apic_id} is also that of the entry at {other.offset:#x}"
            yield madt.finding("MADT-DUPLICATE-APIC-ID", cpu.offset, message)
        other = by_uid.setdefault(cpu.uid, cpu)
        if other is not cpu:
            message = f"UID {cpu.uid} is also that of the entry at {other.offset:#x}"
            yield madt.finding("MADT-DUPLICATE-UID", cpu.offset, message)


def _devices(subject: Subject) -> Iterator[tuple[int, tuple[str, ...], Object]]:
    """Yield UID, path and declaration of processors in AML."""
    objects = subject.objects
    for path, found in objects.declared.items():
        declared = found[0]
        uid = None
        if declared.kind == "Processor":
            uid = declared.node.args[1]
        elif declared.kind == "Device" and _PROCESSOR_DEVICE in objects.ids(path):
            member = objects.of(path, "_UID")
            uid = None if member is None else member.value
        if isinstance(uid, int):
            yield uid, path, declared


def _unique_devices(devices: list[tuple[int, tuple[str, ...], Object]]) -> Iterator[Finding]:
    seen: dict[int, tuple[str, ...]] = {}
    for uid, path, declared in devices:
        other = seen.setdefault(uid, path)
        if other != path:
            message = f"{text_of(path)} has UID {uid}, which is that of {text_of(other)}"
            yield declared.table.finding("CPU-DUPLICATE-UID", declared.offset, message)


def _agree(
    subject: Subject,
    madt: TableBytes,
    found: list[Cpu],
    devices: list[tuple[int, tuple[str, ...], Object]],
) -> Iterator[Finding]:
    listed = {cpu.uid for cpu in found}
    for uid, path, declared in devices:
        if uid not in listed and listed:
            message = f"{text_of(path)} has UID {uid}, which no entry of the MADT has"
            yield declared.table.finding("CPU-NOT-IN-MADT", declared.offset, message)
    known = {uid for uid, _path, _declared in devices}
    if not known or not subject.objects.whole:
        return
    for cpu in found:
        if cpu.flags & _ENABLED and cpu.uid not in known:
            message = f"the processor with UID {cpu.uid} has no device"
            yield madt.finding("MADT-CPU-WITHOUT-DEVICE", cpu.offset, message)
