# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
r"""Devices and their ids; the sleep state that turns the machine off.

ACPI Specification, "Device Identification Objects" and "\_Sx (System States)".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from vmmkit.acpi.validate.finding import Finding
from vmmkit.acpi.validate.objects import Object, hardware_id, text_of
from vmmkit.acpi.validate.subject import Subject

__all__ = ["check"]

# Seven characters of a PNP id or eight of an ACPI id; QEMU has some of letters only.
_ID: Final = re.compile(r"[A-Z0-9]{7,8}")
_PROCESSOR: Final = "ACPI0007"
_S5: Final = ("_S5",)
_MAX_SLEEP_TYPE: Final = 7


def check(subject: Subject) -> Iterator[Finding]:
    """Yield what is wrong with devices."""
    yield from _soft_off(subject)
    objects = subject.objects
    units: dict[tuple[str, Any], tuple[str, ...]] = {}
    for path, device in objects.devices():
        members = objects.members.get(path, {})
        hid = members.get("_HID")
        has_address = "_ADR" in members
        if hid is None and not has_address and objects.whole:
            message = f"{text_of(path)} has neither _HID nor _ADR"
            yield device.table.finding("DEVICE-NO-ID", device.offset, message)
        if hid is None:
            continue
        if has_address:
            message = f"{text_of(path)} has both _HID and _ADR"
            yield device.table.finding("DEVICE-TWO-IDS", device.offset, message)
        yield from _hardware_id(path, hid)
        yield from _unit(path, device, hid, members.get("_UID"), units)


def _hardware_id(path: tuple[str, ...], hid: Object) -> Iterator[Finding]:
    value = hid.value
    name = hardware_id(value)
    if name is None:
        return
    if not _ID.fullmatch(name) or (isinstance(value, int) and not name[:3].isalpha()):
        message = f"{text_of(path)} has _HID {value if isinstance(value, str) else hex(value)!r}"
        yield hid.table.finding("DEVICE-BAD-ID", hid.offset, message)


def _unit(
    path: tuple[str, ...],
    device: Object,
    hid: Object,
    uid: Object | None,
    units: dict[tuple[str, Any], tuple[str, ...]],
) -> Iterator[Finding]:
    """Yield a device whose ids are both those of another."""
    name, unit = hardware_id(hid.value), None if uid is None else uid.value
    if name is None or name == _PROCESSOR or not isinstance(unit, (int, str)):
        return
    other = units.setdefault((name, unit), path)
    if other != path:
        message = f"{text_of(path)} has _HID {name} and _UID {unit}, as {text_of(other)} has"
        yield device.table.finding("DEVICE-DUPLICATE-UID", device.offset, message)


def _sleep_types_problem(value: Any) -> str:
    """Return what is wrong with the sleep types for PM1a and PM1b, nothing if nothing is.

    A single number has them in a byte each. `None` is a name, whose value only the guest knows.
    """
    if not isinstance(value, list) or not value:
        return "is no package with a number in front"
    types = value[:2]
    if len(value) == 1 and isinstance(value[0], int):
        types = [value[0] & 0xFF, value[0] >> 8]
    for each in types:
        if each is not None and not isinstance(each, int):
            return "has no numbers in front"
        if each is not None and each > _MAX_SLEEP_TYPE:
            return f"has sleep type {each:#x}, not 0 to 7"
    return ""


def _soft_off(subject: Subject) -> Iterator[Finding]:
    dsdt = subject.first("DSDT")
    declared = subject.objects.declared.get(_S5)
    if declared is None:
        if dsdt is not None and subject.objects.whole:
            yield dsdt.finding("S5-MISSING", 0, r"\_S5 is not declared")
        return
    for each in declared:
        value = each.value
        if each.kind != "Name":
            continue
        problem = _sleep_types_problem(value)
        if problem:
            yield each.table.finding("S5-FORMAT", each.value_offset, rf"\_S5 {problem}")
        elif len(value) < 2:
            message = rf"\_S5 has {len(value)} element"
            yield each.table.finding("S5-SINGLE", each.value_offset, message)
