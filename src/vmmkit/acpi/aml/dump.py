# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""AML as ASL text, to read and to compile again.

ACPI Specification, "ACPI Source Language (ASL) Reference". Operators are written in the functional
form (`Add (Arg0, One, Local0)`), numbers in hexadecimal with the digits of their size.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from vmmkit.acpi.aml.data import Zero
from vmmkit.acpi.aml.dump_data import hexadecimal, string
from vmmkit.acpi.aml.dump_layout import LINE, Piece, lines, render
from vmmkit.acpi.aml.dump_terms import expand, external
from vmmkit.acpi.aml.namespace import opcode_name
from vmmkit.acpi.aml.node import Node
from vmmkit.acpi.aml.reader import read
from vmmkit.acpi.aml.unresolved import unresolved
from vmmkit.acpi.arguments import elements, instance
from vmmkit.acpi.tables.table import HEADER_SIZE, Table
from vmmkit.errors import AmlValueError

__all__ = ["SIGNATURES", "dump"]

#: Tables that are definition blocks.
SIGNATURES: Final = frozenset({"DSDT", "SSDT", "PSDT", "OSDT"})


def dump(source: Table | Node | Iterable[Node], indent: int = 4) -> str:
    """Return ASL.

    Compiled without optimization, it gives the same AML, where that is encoded in the shortest
    way. Bytes that could not be read stand in a comment. A `Connection` to a descriptor that no
    class is for, such as that of an I2C bus, stands there as a buffer, which no compiler takes.

    Args:
        source: a DSDT, SSDT or other table with AML, which becomes a DefinitionBlock, with an
            External for each name that other tables have to define; or nodes.
        indent: spaces for each level.

    Raises:
        AmlValueError: a table without AML, or something that is no node.
    """
    if isinstance(source, Table):
        return render(_definition_block(source), expand, indent) + "\n"
    nodes = [source] if isinstance(source, Node) else source
    pieces: list[Piece] = []
    for node in elements("what is to be dumped", nodes, AmlValueError):
        pieces += [instance("what is to be dumped", node, Node, AmlValueError), LINE]
    return render(pieces, expand, indent)


def _definition_block(table: Table) -> list[Piece]:
    if table.signature not in SIGNATURES:
        raise AmlValueError(f"{table.signature} is a table without AML", table.signature)
    nodes = getattr(table, "terms", None)
    if nodes is None:
        nodes = read(table.to_bytes()[HEADER_SIZE:], lenient=True)
    values = [
        string(""),
        string(table.signature),
        hexadecimal(table.revision),
        string(table.oem_id.rstrip("\0")),
        string(table.oem_table_id.rstrip("\0")),
        hexadecimal(table.oem_revision, 4),
    ]
    listed, rest = _listed_externals(tuple(nodes))
    declared: list[list[Piece]] = [[node] for node in listed]
    declared += [external(text, kind, count) for text, kind, count in unresolved(nodes)]
    groups = declared + [[node] for node in rest]
    return [f"DefinitionBlock ({', '.join(values)})", *lines(groups)]


def _listed_externals(nodes: tuple[Node, ...]) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
    """Return the External terms that a compiler put first, within `If (Zero)`, and the rest."""
    if not nodes or opcode_name(nodes[0]) != "If":
        return (), nodes
    predicate, listed = nodes[0].args
    if predicate != Zero or not listed or any(opcode_name(node) != "External" for node in listed):
        return (), nodes
    return listed, nodes[1:]
