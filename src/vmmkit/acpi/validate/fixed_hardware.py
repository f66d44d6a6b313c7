# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The FADT and the FACS.

ACPI Specification, "Fixed ACPI Description Table (FADT)", "Firmware ACPI Control Structure (FACS)"
and "Generic Address Structure".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from vmmkit.acpi.validate.finding import Finding
from vmmkit.acpi.validate.subject import Subject, TableBytes

__all__ = ["check", "is_reduced"]

_LENGTHS: Final = {1: 116, 2: 132, 3: 244, 4: 244, 5: 268, 6: 276}
_RESET_REG_SUP: Final = 1 << 10
_HW_REDUCED: Final = 1 << 20
_FLAGS: Final = 112
_RESET: Final = 116
_SLEEP: Final = ((244, "SLEEP_CONTROL_REG"), (256, "SLEEP_STATUS_REG"))
_FOUR_GIB: Final = 1 << 32

#: Revisions of the MADT that go with the FADT's, by its revision and minor version.
_MADT_REVISIONS: Final = {
    (1, None): (1,),
    (2, None): (1,),
    (3, None): (1,),
    (4, None): (2, 3),
    (5, None): (3,),
    (6, 0): (3, 4),
    (6, 1): (4,),
    (6, 2): (4, 45),  # some firmware of that version has 45
    (6, 3): (5,),
    (6, 4): (5,),
    (6, 5): (6,),
    (6, 6): (7,),
}


class _Block(NamedTuple):
    """A register block: offsets of its port, of its length and of its GAS, lengths it can have."""

    name: str
    port: int
    length: int
    gas: int
    lengths: str


_BLOCKS: Final = (
    _Block("PM1a_EVT_BLK", 56, 88, 148, "even, 4 at least"),
    _Block("PM1b_EVT_BLK", 60, 88, 160, "even, 4 at least"),
    _Block("PM1a_CNT_BLK", 64, 89, 172, "2 at least"),
    _Block("PM1b_CNT_BLK", 68, 89, 184, "2 at least"),
    _Block("PM2_CNT_BLK", 72, 90, 196, "1 at least"),
    _Block("PM_TMR_BLK", 76, 91, 208, "4"),
    _Block("GPE0_BLK", 80, 92, 220, "even"),
    _Block("GPE1_BLK", 84, 93, 232, "even"),
)
_GOOD_LENGTH: Final = {
    "even, 4 at least": lambda length: length >= 4 and length % 2 == 0,
    "2 at least": lambda length: length >= 2,
    "1 at least": lambda length: length >= 1,
    "4": lambda length: length == 4,
    "even": lambda length: length % 2 == 0 and length > 0,
}
_REQUIRED: Final = frozenset({"PM1a_EVT_BLK", "PM1a_CNT_BLK"})


def is_reduced(fadt: TableBytes) -> bool:
    """Return whether a FADT says that there is no fixed hardware."""
    return fadt.number(8, 1) >= 5 and bool(fadt.number(_FLAGS, 4) & _HW_REDUCED)


def check(subject: Subject) -> Iterator[Finding]:
    """Yield what is wrong with FADT and FACS."""
    for facs in subject.all("FACS"):
        yield from _facs(facs)
    fadt = subject.first("FACP")
    if fadt is None:
        return
    yield from _revisions(subject, fadt)
    yield from _pointers(subject, fadt)
    for block in _BLOCKS:
        yield from _block(fadt, block)
    yield from _reset(fadt)
    yield from _sleep(fadt)


def _facs(facs: TableBytes) -> Iterator[Finding]:
    given, stated = len(facs.data), facs.number(4, 4)
    if stated < 64 or stated > given:
        yield facs.finding("FACS-LENGTH", 4, f"length {stated}, of {given} bytes given")
    if facs.gpa is None:
        return
    if facs.gpa % 64:
        yield facs.finding("FACS-ALIGNMENT", 0, f"at {facs.gpa:#x}, no multiple of 64")
    if facs.gpa + given > _FOUR_GIB:
        yield facs.finding("FACS-ABOVE-4G", 0, f"at {facs.gpa:#x}, beyond 4 GiB")


def _revisions(subject: Subject, fadt: TableBytes) -> Iterator[Finding]:
    revision, stated = fadt.number(8, 1), fadt.number(4, 4)
    minor = fadt.number(131, 1) & 0xF if revision >= 5 else None
    wanted = _LENGTHS.get(revision)
    if wanted is not None and stated != wanted and stated == fadt.size:
        message = f"{stated} bytes, where revision {revision} has {wanted}"
        yield fadt.finding("FADT-LENGTH", 4, message)
    if fadt.number(_FLAGS, 4) & _HW_REDUCED and revision < 5:
        message = f"HW_REDUCED_ACPI in revision {revision}, which begins with 5"
        yield fadt.finding("FADT-REDUCED-REVISION", _FLAGS, message)
    madt = subject.first("APIC")
    pairs = _MADT_REVISIONS.get((revision, minor)) or _MADT_REVISIONS.get((revision, None))
    if madt is not None and pairs is not None and madt.number(8, 1) not in pairs:
        known = f"{revision}.{minor}" if minor is not None else f"{revision}"
        message = (
            f"revision {madt.number(8, 1)}, where a FADT of {known} goes with "
            f"{' or '.join(map(str, pairs))}"
        )
        yield madt.finding("MADT-REVISION", 8, message)


def _pointers(subject: Subject, fadt: TableBytes) -> Iterator[Finding]:
    targets = (("DSDT", 40, 140), ("FACS", 36, 132))
    for name, narrow, wide in targets:
        low, high = fadt.number(narrow, 4), fadt.number(wide, 8) if fadt.size >= 148 else 0
        if low and high and low != high:
            message = f"{name} at {low:#x} by the 32-bit field, at {high:#x} by the 64-bit field"
            yield fadt.finding(f"FADT-{name}-MISMATCH", wide, message)
        address = high or low
        if not address:
            yield from _no_pointer(subject, fadt, name, narrow)
        elif subject.placed:
            target = subject.by_address.get(address)
            if target is None or target.signature != name:
                there = "no table" if target is None else target.name
                message = f"the {name} should be at {address:#x}, where {there} is"
                yield fadt.finding("FADT-POINTER", wide if high else narrow, message)


def _no_pointer(subject: Subject, fadt: TableBytes, name: str, offset: int) -> Iterator[Finding]:
    if not subject.placed:  # pointers are filled in later
        return
    if name == "DSDT":
        yield fadt.finding("FADT-NO-DSDT", offset, "no address of a DSDT")
    elif not is_reduced(fadt):
        yield fadt.finding("FADT-NO-FACS", offset, "no address of a FACS")


def _block(fadt: TableBytes, block: _Block) -> Iterator[Finding]:
    port, length = fadt.number(block.port, 4), fadt.number(block.length, 1)
    has_gas = fadt.size >= block.gas + 12
    wide = fadt.number(block.gas + 4, 8) if has_gas else 0
    if not port and not wide:
        if block.name in _REQUIRED and not is_reduced(fadt):
            yield fadt.finding("FADT-NO-PM1", block.port, f"{block.name} has no address")
        return
    if not _GOOD_LENGTH[block.lengths](length):
        message = f"{block.name} has {length} bytes, which should be {block.lengths}"
        yield fadt.finding("FADT-BLOCK-LENGTH", block.length, message)
        return
    width = fadt.number(block.gas + 1, 1)
    if wide and 8 * length <= 255 and width != 8 * length:
        message = f"X_{block.name} has {width} bits, and {block.name} {length} bytes"
        yield fadt.finding("FADT-BLOCK-WIDTH", block.gas + 1, message)
    if wide and port and wide != port:
        message = f"{block.name} is {port:#x}, and X_{block.name} {wide:#x}"
        yield fadt.finding("FADT-BLOCK-MISMATCH", block.gas + 4, message)


def _reset(fadt: TableBytes) -> Iterator[Finding]:
    if fadt.number(8, 1) < 2 or not fadt.number(_FLAGS, 4) & _RESET_REG_SUP:
        yield fadt.finding("FADT-NO-RESET", _FLAGS, "RESET_REG_SUP is not set")
        return
    space, width, shift = fadt.data[_RESET : _RESET + 3].ljust(3, b"\0")
    if not fadt.number(_RESET + 4, 8):
        yield fadt.finding("FADT-RESET-ADDRESS", _RESET + 4, "RESET_REG has address 0")
        return
    if width != 8 or shift:
        message = f"RESET_REG has {width} bits at bit {shift}, not 8 at 0"
        yield fadt.finding("FADT-RESET-WIDTH", _RESET + 1, message)
    if space > 2:
        message = f"RESET_REG is in address space {space}, not memory, I/O or PCI configuration"
        yield fadt.finding("FADT-RESET-SPACE", _RESET, message)


def _sleep(fadt: TableBytes) -> Iterator[Finding]:
    for offset, name in _SLEEP:
        has = fadt.size >= offset + 12 and fadt.number(offset + 4, 8) != 0
        if is_reduced(fadt) and not has:
            message = f"{name} has no address"
            yield fadt.finding("FADT-NO-SLEEP-REGISTERS", offset + 4, message)
            return
        if has and not is_reduced(fadt):
            yield fadt.finding("FADT-SLEEP-UNUSED", offset + 4, f"{name} on full hardware")
            return
