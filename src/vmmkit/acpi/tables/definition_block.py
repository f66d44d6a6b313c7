# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""DSDT and SSDT: what AML describes.

ACPI Specification, Differentiated System Description Table (DSDT) and Secondary System Description
Table (SSDT).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self, TypedDict, Unpack

import attrs

from vmmkit.acpi.aml.blocks import body
from vmmkit.acpi.aml.node import Node, RawAml, encode_list
from vmmkit.acpi.aml.reader import read
from vmmkit.acpi.relocation import Relocation
from vmmkit.acpi.structure import structure
from vmmkit.acpi.tables.table import HEADER_SIZE, Table
from vmmkit.errors import TableValueError

__all__ = ["DefinitionBlock", "Dsdt", "Header", "Ssdt"]


class Header(TypedDict, total=False):
    """Keywords of a definition block; see `Table`."""

    revision: int
    oem_id: str
    oem_table_id: str
    oem_revision: int
    creator_id: str
    creator_revision: int
    trailing: bytes


def _nodes(terms: Iterable[Node | bytes]) -> tuple[Node, ...]:
    return tuple([_node(term) for term in terms])


def _node(term: Any) -> Node:
    if isinstance(term, Node):
        return term
    if isinstance(term, (bytes, bytearray, memoryview)):
        return RawAml(bytes(term))
    raise TableValueError(f"a definition block takes nodes and raw AML, not {term!r}")


@structure
class DefinitionBlock(Table):
    """A header and a list of AML terms.

    Args:
        terms: nodes, or `bytes` that are whole terms of AML.
        header: as in `Table`; with a `revision` of 1, AML computes in 32 bits.

    Raises:
        TableValueError: a term that is neither, or a value that its field cannot hold.
        AmlValueError: an `Else` or `ElseIf` that follows no `If`.
    """

    REVISION = 2

    terms: tuple[Node, ...] = attrs.field(converter=_nodes)

    def __init__(
        self,
        *nodes: Node | bytes,
        terms: Iterable[Node | bytes] = (),
        **header: Unpack[Header],
    ) -> None:
        """Take the terms one by one; `terms` are further ones, as `attrs.evolve` hands them in."""
        if not isinstance(terms, Iterable):
            raise TableValueError(f"a definition block takes nodes and raw AML, not {terms!r}")
        listed = body("a definition block", _nodes((*nodes, *terms)))
        self.__attrs_init__(listed, **header)  # type: ignore[attr-defined]

    def _tail(self) -> bytes:
        return encode_list(self.terms)[0]

    def relocations(self) -> tuple[Relocation, ...]:
        """Return where AML holds addresses of others."""
        _, found = encode_list(self.terms)
        return tuple(place._replace(offset=place.offset + HEADER_SIZE) for place in found)

    @classmethod
    def _from_fields(cls, data: bytes) -> Self:
        """Read the terms; AML that cannot be read, or not without other tables, stays `RawAml`."""
        fields, rest = cls._fixed(data)
        # What was read may have an Else anywhere.
        block = cls.__new__(cls)
        block.__attrs_init__(read(data[rest:], lenient=True), **fields)  # type: ignore[attr-defined]
        return block


class Dsdt(DefinitionBlock):
    """The Differentiated System Description Table, which the FADT points at."""

    SIGNATURE = "DSDT"


class Ssdt(DefinitionBlock):
    """A Secondary System Description Table; there can be several, with different table ids."""

    SIGNATURE = "SSDT"

    @property
    def name(self) -> str:
        """What errors and maps call it: its signature and table id, to tell it from others."""
        return f"{self.signature} {self.oem_table_id.rstrip()}"
