# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What all nodes of AML have: arguments, bytes, relocations.

A node knows its bytes from the moment it is made. Mistakes so show where they are made, nothing is
encoded twice, and no depth of nesting is too deep. Nodes do not change; one may stand in several
places.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Self

from vmmkit.acpi.aml.encoding import encode, package_length, shown
from vmmkit.acpi.aml.flat import Record, flattened, rebuilt
from vmmkit.acpi.aml.opcodes import BY_NAME, Opcode
from vmmkit.acpi.relocation import Relocation

__all__ = ["CLASSES", "Node"]

#: The class for each opcode, by its name. Filled by the classes as they are made.
CLASSES: dict[str, type[Node]] = {}


class Node:
    """A piece of AML.

    Attributes:
        args: in the order of the opcode's row: nodes, `None` for a target left out, numbers,
            texts, or a tuple for the list at the end.
        encoded: its bytes, zero where addresses of others belong.
        relocations: where they belong, from the start of its bytes.
    """

    __slots__ = ("args", "encoded", "relocations")

    args: tuple[Any, ...]
    encoded: bytes
    relocations: tuple[Relocation, ...]

    OPCODE: ClassVar[Opcode]
    # The code, where nothing but nodes and targets follows it; else nothing.
    _PLAIN: ClassVar[bytes] = b""

    def __init_subclass__(cls, *, opcode: str | None = None, **arguments: Any) -> None:
        """Enter the class as that of an opcode, where it says one."""
        super().__init_subclass__(**arguments)
        if opcode is not None:
            row = BY_NAME[opcode]
            cls.OPCODE = row
            plain = not row.package and not set(row.args) - set("NTSt")
            cls._PLAIN = row.code if plain else b""
            CLASSES[opcode] = cls

    def __init__(self, *args: Any) -> None:
        """Encode arguments that are nodes, numbers, texts or tuples already."""
        self.args = args
        encoded = self._PLAIN
        if encoded:
            for arg in args:
                if arg is None:
                    encoded += b"\0"
                elif arg.relocations:
                    break
                else:
                    encoded += arg.encoded
            else:
                self.encoded = encoded
                self.relocations = ()
                return
        self.encoded, self.relocations = encode(self.OPCODE, args)

    def _enclose(self, fixed: bytes, nodes: tuple[Node, ...]) -> None:
        """Encode a code, a package length, bytes without relocations, and nodes."""
        parts = [fixed]
        for node in nodes:
            if node.relocations:
                self.encoded, self.relocations = encode(self.OPCODE, self.args)
                return
            parts.append(node.encoded)
        content = b"".join(parts)
        self.encoded = self.OPCODE.code + package_length(len(content)) + content
        self.relocations = ()

    @classmethod
    def as_read(cls, args: tuple[Any, ...], encoded: bytes) -> Self:
        """Make a node of bytes that were read, which need not be the shortest that say it."""
        node = cls.__new__(cls)
        node.args = args
        node.encoded = encoded
        node.relocations = ()
        return node

    def to_bytes(self) -> bytes:
        """Return its bytes, with zero where addresses of others belong."""
        return self.encoded

    def __len__(self) -> int:
        """Return how many bytes it has."""
        return len(self.encoded)

    def __repr__(self) -> str:
        """Return the class and its arguments, of nodes below it no more than the class."""
        if not self.args:
            return self.OPCODE.name
        return f"{type(self).__name__}({', '.join([_shown(arg) for arg in self.args])})"

    def _brief(self) -> str:
        """Return what the `repr` of a node above shows of it."""
        if any(isinstance(arg, (Node, tuple)) for arg in self.args):
            return f"{type(self).__name__}(...)"
        return repr(self)

    def __bool__(self) -> bool:
        """Refuse to be a condition, which in Python would be decided before the guest runs.

        Raises:
            TypeError: always; use `If` and `While`, `LAnd` and `LOr`.
        """
        raise TypeError("a node has no truth value; use If, While, LAnd, LOr or LNot")

    def __eq__(self, other: object) -> bool:
        """Compare bytes and what is pointed at: nodes are what they encode to."""
        if not isinstance(other, Node):
            return NotImplemented
        return self.encoded == other.encoded and self.relocations == other.relocations

    def __hash__(self) -> int:
        """Hash the bytes."""
        return hash(self.encoded)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy without encoding anew, and without a limit to the depth."""
        return _restore, (flattened(self, _class_key),)

    def children(self) -> Iterator[Node]:
        """Yield the nodes directly below it, in order."""
        for arg in self.args:
            if isinstance(arg, Node):
                yield arg
            elif isinstance(arg, tuple):
                yield from (each for each in arg if isinstance(each, Node))


def _shown(arg: Any) -> str:
    """Return what an argument looks like in the `repr` of its node: a few characters."""
    if isinstance(arg, Node):
        return arg._brief()  # noqa: SLF001 - of the same class
    if isinstance(arg, tuple):
        return "..." if arg else "()"
    return hex(arg) if type(arg) is int and arg > 9 else shown(arg)


def _class_key(node: Node) -> type[Node] | str:
    """Return the name of the opcode for its own class, and a class that shares one itself."""
    kind = type(node)
    opcode = getattr(kind, "OPCODE", None)
    return opcode.name if opcode is not None and CLASSES[opcode.name] is kind else kind


def _restore(records: list[Record]) -> Node:
    return rebuilt(records, lambda key: CLASSES[key] if isinstance(key, str) else key)
