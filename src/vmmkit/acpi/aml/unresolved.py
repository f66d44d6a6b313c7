# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Names that a definition block uses and does not define: another table has to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from vmmkit.acpi.aml.calls import Call
from vmmkit.acpi.aml.named import ObjectKind
from vmmkit.acpi.aml.namespace import DECLARED_NAME, SCOPES, Namespace, opcode_name, split_name
from vmmkit.acpi.aml.node import Node, Path

__all__ = ["unresolved"]

# What an object must be, by who names it first.
_KINDS: Final = {
    "Scope": ObjectKind.Device,
    "Field": ObjectKind.OperationRegion,
    "BankField": ObjectKind.OperationRegion,
    "IndexField": ObjectKind.FieldUnit,
    "Notify": ObjectKind.Device,
    "Acquire": ObjectKind.Mutex,
    "Release": ObjectKind.Mutex,
    "Signal": ObjectKind.Event,
    "Wait": ObjectKind.Event,
    "Reset": ObjectKind.Event,
}


def _scoped(nodes: Iterable[Node], root: Namespace) -> Iterator[tuple[Namespace, Node]]:
    """Yield every node, those in lists and arguments too, with the scope it stands in."""
    stack = [(root, iter(tuple(nodes)))]
    while stack:
        scope, remaining = stack[-1]
        node = next(remaining, None)
        if node is None:
            stack.pop()
            continue
        yield scope, node
        if opcode_name(node) in SCOPES:
            scope = scope.reach(node.args[0].text) or scope
        stack.append((scope, node.children()))


def _used(node: Node) -> Iterator[tuple[str, int, int]]:
    """Yield the names that a node uses itself: name, kind and argument count."""
    if isinstance(node, Call):
        path, arguments = node.args
        yield path.text, ObjectKind.Method, len(arguments)
        yield from (
            (each.text, ObjectKind.Unknown, 0) for each in arguments if isinstance(each, Path)
        )
        return
    name = opcode_name(node)
    declared = node.args[DECLARED_NAME[name]] if name in DECLARED_NAME else None
    kind = _KINDS.get(name, ObjectKind.Unknown)
    for child in node.children():
        if isinstance(child, Path) and child is not declared:
            yield child.text, kind, 0
            kind = ObjectKind.Unknown if name != "IndexField" else kind


def unresolved(nodes: Iterable[Node]) -> list[tuple[str, int, int]]:
    r"""Return the names that terms use and neither define nor declare with External.

    Args:
        nodes: the terms of a definition block.

    Returns:
        For each the path from the root, its `ObjectKind`, and its arguments where it is called.
    """
    nodes = tuple(nodes)
    root = Namespace()
    for scope, node in _scoped(nodes, root):
        name = opcode_name(node)
        if name:
            scope.declare_node(name, node.args)
    found: dict[str, tuple[int, int]] = {}
    for scope, node in _scoped(nodes, root):
        for text, kind, argument_count in _used(node):
            if _is_missing(scope, text):
                path = scope.elsewhere(text)
                if found.get(path, (ObjectKind.Unknown, 0))[0] == ObjectKind.Unknown:
                    found[path] = kind, argument_count
    return [(path, *use) for path, use in found.items()]


def _is_missing(scope: Namespace, text: str) -> bool:
    if not split_name(text)[1]:
        return False
    object_ = scope.find(text)
    return object_ is None or not object_.declared
