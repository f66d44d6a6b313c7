# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Named objects: what a definition block puts into the namespace.

ACPI Specification, ASL Operator Reference.
"""

from __future__ import annotations

from enum import IntEnum

from vmmkit.acpi.aml.blocks import body
from vmmkit.acpi.aml.node import Node, Path, Value, operand, path
from vmmkit.errors import AmlValueError

__all__ = ["Device", "Method", "Name", "OperationRegion", "RegionSpace", "Scope"]


class RegionSpace(IntEnum):
    """Where an operation region lies ("OperationRegion (Declare Operation Region)")."""

    SystemMemory = 0x00
    SystemIo = 0x01
    PciConfig = 0x02
    EmbeddedControl = 0x03
    SmBus = 0x04
    SystemCmos = 0x05
    PciBarTarget = 0x06
    Ipmi = 0x07
    GeneralPurposeIo = 0x08
    GenericSerialBus = 0x09
    Pcc = 0x0A
    PlatformRtMechanism = 0x0B
    FixedHardware = 0x7F


class _Container(Node):
    """A named object that holds others."""

    __slots__ = ()

    def __init__(self, name: str | Path, *nodes: Node) -> None:
        """Encode name and list."""
        named = path(name)
        super().__init__(named, body(named.text, nodes))


class Scope(_Container, opcode="Scope"):
    """Go on in a scope that exists already ("Scope (Open Named Scope)")."""

    __slots__ = ()


class Device(_Container, opcode="Device"):
    """A device ("Device (Declare Device Package)")."""

    __slots__ = ()


class Name(Node, opcode="Name"):
    """A named value ("Name (Declare Named Object)")."""

    __slots__ = ()

    def __init__(self, name: str | Path, value: Value) -> None:
        """Encode name and value."""
        super().__init__(path(name), operand(value))


class Method(Node, opcode="Method"):
    """A control method ("Method (Declare Control Method)").

    Args:
        name: of the method.
        argument_count: 0 to 7.
        nodes: what it runs.
        serialized: one thread at a time.
        sync_level: 0 to 15, of the mutex that a serialized method holds.

    Raises:
        AmlValueError: no legal name, a number out of range, or a list that is none.
    """

    __slots__ = ()

    def __init__(
        self,
        name: str | Path,
        argument_count: int,
        *nodes: Node,
        serialized: bool = False,
        sync_level: int = 0,
    ) -> None:
        """Encode name, flags and list."""
        named = path(name)
        if not isinstance(argument_count, int) or not 0 <= argument_count <= 7:
            raise AmlValueError(
                f"method {named.text} takes 0 to 7 arguments, not {argument_count!r}"
            )
        if not 0 <= sync_level <= 15:
            raise AmlValueError(f"sync level {sync_level} of {named.text}: 0 to 15")
        flags = argument_count | serialized << 3 | sync_level << 4
        super().__init__(named, flags, body(named.text, nodes))


class OperationRegion(Node, opcode="OperationRegion"):
    """A range of registers ("OperationRegion (Declare Operation Region)").

    Args:
        name: of the region.
        space: a `RegionSpace`, or 0x80 to 0xFF for one of the maker's own.
        offset: where it begins in that space.
        length: bytes.

    Raises:
        AmlValueError: no legal name, or another space.
    """

    __slots__ = ()

    def __init__(self, name: str | Path, space: int, offset: Value, length: Value) -> None:
        """Encode all four."""
        named = path(name)
        if not 0x80 <= space <= 0xFF and space not in _SPACES:
            raise AmlValueError(f"region {named.text}: there is no space {space:#x}")
        super().__init__(named, int(space), operand(offset), operand(length))


_SPACES = frozenset(RegionSpace)
