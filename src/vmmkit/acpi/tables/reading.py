# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Reading tables of any kind.

A table comes back as the class for its signature if that class has the same bytes for it, else as
`Raw`; nothing is lost on the way.
"""

from __future__ import annotations

import re
from typing import TypeAlias

from vmmkit.acpi.arguments import octets
from vmmkit.acpi.tables.bert import Bert
from vmmkit.acpi.tables.bgrt import Bgrt
from vmmkit.acpi.tables.dbg2 import Dbg2
from vmmkit.acpi.tables.definition_block import Dsdt, Ssdt
from vmmkit.acpi.tables.dmar import Dmar
from vmmkit.acpi.tables.facs import FACS_SIGNATURE, Facs
from vmmkit.acpi.tables.fadt import Fadt
from vmmkit.acpi.tables.hest import Hest
from vmmkit.acpi.tables.hmat import Hmat
from vmmkit.acpi.tables.hpet import Hpet
from vmmkit.acpi.tables.ivrs import Ivrs
from vmmkit.acpi.tables.madt import Madt
from vmmkit.acpi.tables.mcfg import Mcfg
from vmmkit.acpi.tables.pptt import Pptt
from vmmkit.acpi.tables.root import Rsdt, Xsdt
from vmmkit.acpi.tables.rsdp import RSDP_SIGNATURE, Rsdp
from vmmkit.acpi.tables.slit import Slit
from vmmkit.acpi.tables.spcr import Spcr
from vmmkit.acpi.tables.srat import Srat
from vmmkit.acpi.tables.table import (
    CHECKSUM_OFFSET,
    HEADER_SIZE,
    Raw,
    Table,
    check_header,
    checksum,
)
from vmmkit.acpi.tables.tpm2 import Tpm2
from vmmkit.acpi.tables.viot import Viot
from vmmkit.acpi.tables.waet import Waet
from vmmkit.errors import AcpiError, TableParseError

__all__ = ["CLASSES", "AnyTable", "from_bytes", "split"]

#: What `from_bytes` makes.
AnyTable: TypeAlias = Table | Rsdp | Facs

#: The class of each table with the standard header, by signature.
CLASSES: dict[str, type[Table]] = {
    kind.SIGNATURE: kind
    for kind in (
        *(Bert, Bgrt, Dbg2, Dmar, Dsdt, Fadt, Hest, Hmat, Hpet, Ivrs, Madt, Mcfg, Pptt, Rsdt),
        *(Slit, Spcr, Srat, Ssdt, Tpm2, Viot, Waet, Xsdt),
    )
}
_ZEROS = re.compile(rb"\0*")


def from_bytes(data: bytes, *, verify: bool = True) -> AnyTable:
    """Read one table, of whatever kind, that `data` holds and nothing else.

    Args:
        data: the whole table.
        verify: whether a wrong checksum is an error; else the table comes back with the right
            one, which is then all that `to_bytes()` changes.

    Raises:
        TableParseError: no table, one that is longer or shorter than it says, or a wrong checksum.
    """
    data = octets("data", data)
    if data.startswith(RSDP_SIGNATURE):
        return Rsdp.from_bytes(data if verify else _summed_rsdp(data))
    if data.startswith(FACS_SIGNATURE):
        return Facs.from_bytes(data)
    if not verify and len(data) >= HEADER_SIZE:
        data = _summed(data, CHECKSUM_OFFSET, len(data))
    check_header(data, "")
    kind = CLASSES.get(data[:4].decode("latin-1"), Raw)
    try:
        return kind.from_bytes(data)
    except AcpiError:
        return Raw.from_bytes(data)


def _summed(data: bytes, offset: int, length: int) -> bytes:
    """Return `data` with a right checksum of its first bytes."""
    covered = data[:offset] + b"\0" + data[offset + 1 : length]
    return covered[:offset] + bytes((checksum(covered),)) + covered[offset + 1 :] + data[length:]


def _summed_rsdp(data: bytes) -> bytes:
    first = _summed(data, 8, 20) if len(data) >= 20 else data
    return _summed(first, 32, 36) if len(data) == 36 else first


def split(data: bytes) -> list[bytes]:
    """Return the tables in a file that holds several, one after the other.

    Zeros between them, as alignment leaves them, are passed over.

    Raises:
        TableParseError: what begins at some offset is no table, or leads beyond the end.
    """
    data = octets("data", data)
    found = []
    offset = _end_of_zeros(data, 0)
    while offset < len(data):
        length = _length(data, offset)
        found.append(data[offset : offset + length])
        offset = _end_of_zeros(data, offset + length)
    return found


def _end_of_zeros(data: bytes, offset: int) -> int:
    matched = _ZEROS.match(data, offset)
    return matched.end() if matched else offset


def _length(data: bytes, offset: int) -> int:
    """Return how long the table at `offset` says it is."""
    head = data[offset : offset + HEADER_SIZE]
    least, at = HEADER_SIZE, 4
    if head.startswith(RSDP_SIGNATURE):
        least, at = (20, 0) if head[15:16] < b"\2" else (36, 20)
    length = int.from_bytes(head[at : at + 4], "little") if at else least
    if not least <= length <= len(data) - offset:
        name = head[:4].decode("latin-1")
        raise TableParseError(
            f"{name!r} at offset {offset} of the file has length {length}, of "
            f"{len(data) - offset} bytes that are left",
            name,
            offset,
        )
    return length
