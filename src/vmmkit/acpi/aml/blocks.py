# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Lists of terms, and the statements that hold one: If, ElseIf, Else, While.

ACPI Specification, ASL Operator Reference.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vmmkit.acpi.aml.encoding import shown
from vmmkit.acpi.aml.node import Node, RawAml, Value, condition
from vmmkit.acpi.aml.statements import Break, Continue
from vmmkit.errors import AmlValueError

__all__ = ["Else", "ElseIf", "If", "While", "body", "outside_loop"]


def body(owner: str, nodes: Iterable[Any]) -> tuple[Node, ...]:
    """Return the terms of a list, `ElseIf` taken apart.

    Args:
        owner: what errors call the list.
        nodes: the terms.

    Raises:
        AmlValueError: something that is no node, or an `Else` or `ElseIf` that follows no `If`.
    """
    listed = tuple(nodes)
    previous: Any = None
    folds = False
    for node in listed:
        if not isinstance(node, Node):
            raise AmlValueError(f"{owner} holds nodes, not {shown(node)}")
        kind = type(node)
        if kind in _CONTINUATIONS:
            if not isinstance(previous, (If, ElseIf, RawAml)):
                raise AmlValueError(f"{kind.__name__} in {owner} follows no If")
            folds = folds or kind is ElseIf
        previous = node
    return _folded(listed) if folds else listed


def _folded(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """Return nodes with each `ElseIf` become an `Else` that holds an `If` and what continues it."""
    done: list[Node] = []
    for node in reversed(nodes):
        if isinstance(node, ElseIf):
            inner: list[Node] = [node.condition]
            if done and isinstance(done[-1], Else):
                inner.append(done.pop())
            done.append(Else(*inner))
        else:
            done.append(node)
    return tuple(reversed(done))


class If(Node, opcode="If"):
    """Run a list of terms where a value is not zero ("If (Conditional Execution)").

    `ElseIf` and `Else` follow it in the same list.

    Args:
        predicate: evaluated once.
        nodes: what runs then.

    Raises:
        AmlValueError: a predicate that yields no value or is a `bool`, or a list that is none.
    """

    __slots__ = ()

    def __init__(self, predicate: Value, *nodes: Node) -> None:
        """Encode predicate and list."""
        decided, listed = condition(predicate), body("If", nodes)
        self.args = (decided, listed)
        self._enclose(b"", (decided, *listed))


class While(Node, opcode="While"):
    """Run a list of terms again and again while a value is not zero ("While (Conditional Loop)").

    Args:
        predicate: evaluated before each turn.
        nodes: what runs then.

    Raises:
        AmlValueError: a predicate that yields no value or is a `bool`, or a list that is none.
    """

    __slots__ = ()

    def __init__(self, predicate: Value, *nodes: Node) -> None:
        """Encode predicate and list."""
        decided, listed = condition(predicate), body("While", nodes)
        self.args = (decided, listed)
        self._enclose(b"", (decided, *listed))


class Else(Node, opcode="Else"):
    """Run a list of terms where the `If` before it did not ("Else (Alternate Execution)").

    Args:
        nodes: what runs then.

    Raises:
        AmlValueError: a list that is none.
    """

    __slots__ = ()

    def __init__(self, *nodes: Node) -> None:
        """Encode the list."""
        listed = body("Else", nodes)
        self.args = (listed,)
        self._enclose(b"", listed)


class ElseIf(Node):
    """An `Else` with an `If` in it ("ElseIf (Alternate/Conditional Execution)").

    AML has no opcode for it: the list that it stands in holds the two instead. What follows it
    (`ElseIf`, `Else`) goes into that `Else` as well.

    Args:
        predicate: evaluated where the `If` before it did not run.
        nodes: what runs then.

    Raises:
        AmlValueError: a predicate that yields no value or is a `bool`, or a list that is none.
    """

    __slots__ = ()

    def __init__(self, predicate: Value, *nodes: Node) -> None:
        """Make the `If`."""
        self.args = (If(predicate, *nodes),)
        self.encoded, self.relocations = self.condition.encoded, self.condition.relocations

    @property
    def condition(self) -> If:
        """The `If` that it becomes."""
        condition: If = self.args[0]
        return condition


def outside_loop(nodes: tuple[Node, ...]) -> Node | None:
    """Return a `Break` or `Continue` that no `While` in these terms encloses, if there is one."""
    lists = [nodes]
    while lists:
        for node in lists.pop():
            kind = type(node)
            if kind in _JUMPS:
                return node
            if kind in _BRANCHES:
                lists.append(node.args[-1])
    return None


_CONTINUATIONS = frozenset({Else, ElseIf})
_BRANCHES = frozenset({If, Else})
_JUMPS = frozenset({type(Break), type(Continue)})
