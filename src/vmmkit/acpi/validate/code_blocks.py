# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""AML as such: whether it can be read, and what no compiler writes.

ACPI Specification, ACPI Machine Language (AML) Specification, "AML Grammar Definition".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from vmmkit.acpi.aml.data import Integer, QWordConst
from vmmkit.acpi.aml.namespace import PREDEFINED, absolute, opcode_name, split_name
from vmmkit.acpi.aml.opcodes import BY_CODE
from vmmkit.acpi.validate.finding import Finding
from vmmkit.acpi.validate.objects import Fault, Mode, Objects, Visit, text_of, value_of
from vmmkit.acpi.validate.subject import Subject, TableBytes

__all__ = ["check"]

_NAME_CHARACTERS: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_FIRST_CHARACTERS: Final = _NAME_CHARACTERS - frozenset(b"0123456789")
_PREFIXES: Final = frozenset(b"\\^./")
_STRAY: Final = frozenset(
    {"String", "Buffer", "Package", "VarPackage", "Revision", "Debug"}
    | {f"Local{number}" for number in range(8)}
    | {f"Arg{number}" for number in range(7)}
)
_SEGMENT: Final = 4


def check(subject: Subject) -> Iterator[Finding]:
    """Yield what is wrong with AML."""
    objects = subject.objects
    for fault in objects.faults:
        yield _unreadable(fault)
    yield from _duplicates(objects)
    dsdt = subject.first("DSDT")
    narrow = dsdt is not None and dsdt.number(8, 1) < 2
    # What follows a fault was read from its middle.
    spoilt = {fault.table.name for fault in objects.faults}
    for table, visit in objects.visits():
        if table.name not in spoilt:
            yield from _node(table, visit, narrow)
        if subject.complete and objects.whole and opcode_name(visit.node) == "Scope":
            yield from _scope(objects, table, visit)


def _unreadable(fault: Fault) -> Finding:
    code = "AML-PACKAGE-LENGTH"
    rest = fault.table.data[fault.offset : fault.offset + 8]
    if _is_spoilt_name(rest):
        code = "AML-BAD-NAME"
    elif _is_unknown(rest):
        code = "AML-BAD-OPCODE"
    finding: Finding = fault.table.finding(code, fault.offset, fault.message)
    return finding


def _is_spoilt_name(rest: bytes) -> bool:
    """Return whether this would be a name but for one character."""
    skipped = 0
    while skipped < len(rest) - _SEGMENT and rest[skipped] in _PREFIXES:
        skipped += 1
    segment = rest[skipped : skipped + _SEGMENT]
    legal = sum([char in _NAME_CHARACTERS for char in segment])
    good = legal == _SEGMENT and segment[0] in _FIRST_CHARACTERS
    return legal >= _SEGMENT - 1 and not good


def _is_unknown(rest: bytes) -> bool:
    return (
        bool(rest)
        and rest[:1] not in BY_CODE
        and rest[:2] not in BY_CODE
        and rest[0] not in _FIRST_CHARACTERS | _PREFIXES
    )


def _duplicates(objects: Objects[TableBytes]) -> Iterator[Finding]:
    for path, found in objects.declared.items():
        sure = [each for each in found if not each.conditional]
        for each in sure[1:]:
            message = f"{text_of(path)} is declared in {sure[0].table.name} at {sure[0].offset:#x}"
            yield each.table.finding("AML-DUPLICATE-NAME", each.offset, message)


def _node(table: TableBytes, visit: Visit, narrow: bool) -> Iterator[Finding]:
    node, kind = visit.node, opcode_name(visit.node)
    if visit.listed and (isinstance(node, Integer) or kind in _STRAY):
        yield table.finding("AML-STRAY-DATA", visit.offset, f"{node!r} where a statement belongs")
    elif kind == "Buffer":
        size = value_of(node.args[0])
        if isinstance(size, int) and size < len(node.args[1]):
            message = f"a buffer of {size} bytes with {len(node.args[1])} bytes in it"
            yield table.finding("AML-BUFFER-SIZE", visit.offset, message)
    elif kind == "Package" and node.args[0] < len(node.args[1]):
        message = f"a package of {node.args[0]} elements with {len(node.args[1])} in it"
        yield table.finding("AML-PACKAGE-COUNT", visit.offset, message)
    elif narrow and isinstance(node, QWordConst) and node.value >> 32:
        message = f"{node.value:#x} where the DSDT's revision makes integers of 32 bits"
        yield table.finding("AML-INTEGER-WIDTH", visit.offset, message)


def _scope(objects: Objects[TableBytes], table: TableBytes, visit: Visit) -> Iterator[Finding]:
    """Yield a `Scope` of something that no table declares."""
    if visit.mode != Mode.LOAD:
        return
    text = visit.node.args[0].text
    path = absolute(visit.scope, text)
    prefix, segments = split_name(text)
    starts = [path]
    if not prefix and len(segments) == 1:
        starts += [(*visit.scope[:depth], *segments) for depth in range(len(visit.scope))]
    for each in starts:
        if not each or each in objects.declared or (len(each) == 1 and each[0] in PREDEFINED):
            return
    message = f"Scope ({text}), and no table declares {text_of(path)}"
    yield table.finding("AML-SCOPE-UNKNOWN", visit.offset, message)
