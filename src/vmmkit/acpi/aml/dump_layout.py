# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""How ASL text is laid out: pieces in order, of which nodes are made into more pieces later.

Nothing here recurses, so that no depth of nesting is too deep to print.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Final, TypeAlias

from vmmkit.acpi.aml.node import Node

__all__ = ["IN", "LINE", "OUT", "Piece", "block", "commas", "lines", "render"]


class _Mark(Enum):
    """What happens to the layout between two pieces."""

    LINE = "begin a new line"
    IN = "indent lines from here on by one level more"
    OUT = "indent lines from here on by one level less"


LINE: Final = _Mark.LINE
IN: Final = _Mark.IN
OUT: Final = _Mark.OUT

#: Text, a node, or a mark.
Piece: TypeAlias = str | Node | _Mark


def render(pieces: Iterable[Piece], expand: Callable[[Node], Sequence[Piece]], indent: int) -> str:
    """Return the text of pieces.

    Args:
        pieces: in order.
        expand: returns the pieces of a node.
        indent: spaces a level.
    """
    stack = list(pieces)
    stack.reverse()
    out: list[str] = []
    level = 0
    while stack:
        piece = stack.pop()
        if isinstance(piece, str):
            out.append(piece)
        elif isinstance(piece, Node):
            stack.extend(reversed(expand(piece)))
        elif piece is LINE:
            out.append("\n" + " " * (indent * level))
        else:
            level += 1 if piece is IN else -1
    return "".join(out)


def commas(groups: Iterable[Sequence[Piece]]) -> list[Piece]:
    """Return pieces with a comma between each two groups."""
    pieces: list[Piece] = []
    for group in groups:
        if pieces:
            pieces.append(", ")
        pieces.extend(group)
    return pieces


def lines(groups: Iterable[Sequence[Piece]], separator: str = "") -> list[Piece]:
    """Return braces on lines of their own, around groups that begin a line each."""
    pieces: list[Piece] = [LINE, "{", IN]
    first = True
    for group in groups:
        if not first and separator:
            pieces.append(separator)
        first = False
        pieces.append(LINE)
        pieces.extend(group)
    return [" {}"] if first else [*pieces, OUT, LINE, "}"]


def block(nodes: Iterable[Node]) -> list[Piece]:
    """Return a list of terms in braces."""
    return lines([node] for node in nodes)
