# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Nodes as a flat list, so that they are pickled and copied however deep they are nested."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from vmmkit.acpi.aml.node import Node

__all__ = ["At", "Record", "flattened", "rebuilt"]


class At(NamedTuple):
    """Where a node was among the arguments of another: its place in the list."""

    number: int


#: The class of a node or the name of its opcode, its arguments, bytes and relocations.
Record = tuple["type[Node] | str", tuple[Any, ...], bytes, tuple[Any, ...]]


def flattened(root: Node, key: Callable[[Node], type[Node] | str]) -> list[Record]:
    """Return a record for each node, those below before those above, each once.

    Args:
        root: the node to take apart; its record is the last.
        key: what stands for the class of a node.
    """
    records: list[Record] = []
    places: dict[int, At] = {}
    waiting: list[tuple[Node, bool]] = [(root, False)]
    while waiting:
        node, is_ready = waiting.pop()
        if id(node) in places:
            continue
        if is_ready:
            places[id(node)] = At(len(records))
            args = _replaced(node.args, lambda arg: places.get(id(arg), arg))
            records.append((key(node), args, node.encoded, node.relocations))
        else:
            waiting.append((node, True))
            waiting.extend([(below, False) for below in node.children()])
    return records


def rebuilt(records: list[Record], find: Callable[[type[Node] | str], type[Node]]) -> Node:
    """Return the node that records were made of.

    Args:
        records: of `flattened`.
        find: what turns a key into a class.
    """
    nodes: list[Node] = []
    for key, args, encoded, relocations in records:
        whole = _replaced(args, lambda arg: nodes[arg.number] if isinstance(arg, At) else arg)
        node = find(key).as_read(whole, encoded)
        node.relocations = relocations
        nodes.append(node)
    return nodes[-1]


def _replaced(args: tuple[Any, ...], replace: Callable[[Any], Any]) -> tuple[Any, ...]:
    """Return arguments with each replaced, and those in a list at the end as well."""
    return tuple(
        [
            tuple([replace(each) for each in arg]) if type(arg) is tuple else replace(arg)
            for arg in args
        ]
    )
