# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Named objects: what a definition block puts into the namespace.

ACPI Specification, ASL Operator Reference; AML Grammar Definition, "Namespace Modifier Objects
Encoding" and "Named Objects Encoding".
"""

from __future__ import annotations

from enum import IntEnum

from vmmkit.acpi.aml.blocks import body, outside_loop
from vmmkit.acpi.aml.encoding import shown
from vmmkit.acpi.aml.node import Node, Path, Value, data, new_path, operand, path
from vmmkit.errors import AmlValueError

__all__ = [
    "Alias",
    "DataTableRegion",
    "Device",
    "Event",
    "External",
    "Method",
    "Mutex",
    "Name",
    "ObjectKind",
    "OperationRegion",
    "PowerResource",
    "Processor",
    "RegionSpace",
    "Scope",
    "ThermalZone",
]


class ObjectKind(IntEnum):
    """What a named object is: for `External`, and what `ObjectType` yields.

    ACPI Specification, ASL Operator Reference, "ObjectType (Get Object Type)".
    """

    Unknown = 0
    Integer = 1
    String = 2
    Buffer = 3
    Package = 4
    FieldUnit = 5
    Device = 6
    Event = 7
    Method = 8
    Mutex = 9
    OperationRegion = 10
    PowerResource = 11
    Processor = 12
    ThermalZone = 13
    BufferField = 14
    DdbHandle = 15
    Debug = 16


class RegionSpace(IntEnum):
    """What an operation region is a part of ("OperationRegion (Declare Operation Region)").

    0x80 to 0xFF are the maker's own.
    """

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


_SPACES = frozenset(RegionSpace) | frozenset(range(0x80, 0x100))


class Name(Node, opcode="Name"):
    """A named value ("Name (Declare Named Object)").

    Args:
        name: of the object.
        value: what it is at first: a number, string, buffer or package.

    Raises:
        AmlValueError: no legal name, or a value that would have to be evaluated.
    """

    __slots__ = ()

    def __init__(self, name: str | Path, value: Value) -> None:
        """Encode name and value."""
        super().__init__(new_path(name), data(value))


class Alias(Node, opcode="Alias"):
    """A second name for an object ("Alias (Declare Name Alias)").

    Args:
        source: the name it has.
        alias: the name it gets.

    Raises:
        AmlValueError: no legal name.
    """

    __slots__ = ()

    def __init__(self, source: str | Path, alias: str | Path) -> None:
        """Encode both names."""
        super().__init__(path(source), new_path(alias))


class External(Node, opcode="External"):
    """A note that an object is defined in another table ("External (Declare External Objects)").

    A guest does nothing with it, and one older than ACPI 6.0 does not know it. ACPICA's compiler
    therefore writes `If(Zero, External(...), ...)` at the start of the table, and names that begin
    at the root.

    Args:
        name: of the object.
        kind: what it is, an `ObjectKind`.
        argument_count: 0 to 7, of a method.

    Raises:
        AmlValueError: no legal name, or a number out of range.
    """

    __slots__ = ()

    def __init__(
        self, name: str | Path, kind: int = ObjectKind.Unknown, argument_count: int = 0
    ) -> None:
        """Encode name, kind and count."""
        named = new_path(name)
        _check(f"kind of {named.text}", kind, ObjectKind.Debug)
        _check(f"argument count of {named.text}", argument_count, 7)
        super().__init__(named, int(kind), argument_count)


class _Container(Node):
    """A named object that holds others."""

    __slots__ = ()

    def __init__(self, name: str | Path, *nodes: Node) -> None:
        """Encode name and list."""
        named = new_path(name)
        listed = body(named.text, nodes)
        self.args = (named, listed)
        self._enclose(named.encoded, listed)


class Scope(Node, opcode="Scope"):
    r"""More objects for a scope that exists already ("Scope (Open Named Scope)").

    Args:
        name: of a device, thermal zone, processor, power resource, or `\`, `\_SB`, `\_GPE`, ...
        nodes: what goes there.

    Raises:
        AmlValueError: no legal name, or a list that is none.
    """

    __slots__ = ()

    def __init__(self, name: str | Path, *nodes: Node) -> None:
        """Encode name and list."""
        named = path(name)
        listed = body(named.text, nodes)
        self.args = (named, listed)
        self._enclose(named.encoded, listed)


class Device(_Container, opcode="Device"):
    """A device or bus ("Device (Declare Device Package)").

    Args:
        name: of the device.
        nodes: its objects, such as `_HID`, `_CRS` and devices behind it.

    Raises:
        AmlValueError: no legal name, or a list that is none.
    """

    __slots__ = ()


class ThermalZone(_Container, opcode="ThermalZone"):
    """A zone whose temperature the guest watches ("ThermalZone (Declare Thermal Zone)").

    Args:
        name: of the zone.
        nodes: its objects, such as `_TMP` and `_CRT`.

    Raises:
        AmlValueError: no legal name, or a list that is none.
    """

    __slots__ = ()


class Processor(Node, opcode="Processor"):
    """A processor, declared the old way.

    The specification has deprecated it: use a `Device` whose `_HID` is `ACPI0007`.

    Args:
        name: of the processor.
        processor_id: 0 to 255, that of the MADT.
        pblk_address: I/O port of its register block, or 0.
        pblk_length: bytes, 6, or 0 for none.
        nodes: its objects.

    Raises:
        AmlValueError: no legal name, a number out of range, or a list that is none.
    """

    __slots__ = ()

    def __init__(
        self,
        name: str | Path,
        processor_id: int,
        pblk_address: int = 0,
        pblk_length: int = 0,
        *nodes: Node,
    ) -> None:
        """Encode name, numbers and list."""
        named = new_path(name)
        listed = body(named.text, nodes)
        super().__init__(named, processor_id, pblk_address, pblk_length, listed)


class PowerResource(Node, opcode="PowerResource"):
    """A supply that can be switched ("PowerResource (Declare Power Resource)").

    Args:
        name: of the resource.
        system_level: the deepest sleep state in which the guest may leave it on, 0 to 5.
        resource_order: 0 to 65535; those of lower order are switched on first.
        nodes: its objects: `_STA`, `_ON` and `_OFF`.

    Raises:
        AmlValueError: no legal name, a number out of range, or a list that is none.
    """

    __slots__ = ()

    def __init__(
        self, name: str | Path, system_level: int, resource_order: int, *nodes: Node
    ) -> None:
        """Encode name, numbers and list."""
        named = new_path(name)
        super().__init__(named, system_level, resource_order, body(named.text, nodes))


class Method(Node, opcode="Method"):
    """A control method ("Method (Declare Control Method)").

    The guest runs it where it is called by name. Arguments are `Arg(0)` and up; `Local(0)` to
    `Local(7)` have no value at first. What is named in it is gone when it returns, so one that
    names something should be serialized.

    Args:
        name: of the method.
        argument_count: 0 to 7.
        nodes: what it runs.
        serialized: whether one thread at a time may run it.
        sync_level: 0 to 15, that of the mutex which a serialized method holds.

    Raises:
        AmlValueError: no legal name, a number out of range, a list that is none, or a `Break` or
            `Continue` that no `While` encloses.
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
        named = new_path(name)
        _check(f"argument count of {named.text}", argument_count, 7)
        _check(f"sync level of {named.text}", sync_level, 15)
        listed = body(named.text, nodes)
        stray = outside_loop(listed)
        if stray is not None:
            raise AmlValueError(f"{stray!r} in {named.text} stands in no While")
        flags = argument_count | bool(serialized) << 3 | sync_level << 4
        self.args = (named, flags, listed)
        self._enclose(named.encoded + bytes((flags,)), listed)


class Event(Node, opcode="Event"):
    """An event to `Wait` for and to `Signal` ("Event (Declare Event Synchronization Object)").

    Args:
        name: of the event.

    Raises:
        AmlValueError: no legal name.
    """

    __slots__ = ()

    def __init__(self, name: str | Path) -> None:
        """Encode the name."""
        super().__init__(new_path(name))


class Mutex(Node, opcode="Mutex"):
    """A mutex to `Acquire` and `Release` ("Mutex (Declare Synchronization/Mutex Object)").

    Args:
        name: of the mutex.
        sync_level: 0 to 15; a thread that holds one may acquire none of a lower level.

    Raises:
        AmlValueError: no legal name, or a level out of range.
    """

    __slots__ = ()

    def __init__(self, name: str | Path, sync_level: int = 0) -> None:
        """Encode name and level."""
        named = new_path(name)
        _check(f"sync level of {named.text}", sync_level, 15)
        super().__init__(named, sync_level)


class OperationRegion(Node, opcode="OperationRegion"):
    """A range of registers or memory ("OperationRegion (Declare Operation Region)").

    The guest evaluates offset and length once, when it comes to the declaration.

    Args:
        name: of the region.
        space: a `RegionSpace`, or 0x80 to 0xFF.
        offset: where it begins in that space, in bytes for most.
        length: bytes.

    Raises:
        AmlValueError: no legal name, another space, or an argument that yields no value.
    """

    __slots__ = ()

    def __init__(self, name: str | Path, space: int, offset: Value, length: Value) -> None:
        """Encode all four."""
        named = new_path(name)
        if not isinstance(space, int) or space not in _SPACES:
            raise AmlValueError(f"region {named.text}: there is no region space {shown(space)}")
        super().__init__(named, int(space), operand(offset), operand(length))


class DataTableRegion(Node, opcode="DataTableRegion"):
    """A table as a region ("DataTableRegion (Create Data Table Operation Region)").

    Args:
        name: of the region.
        signature: of a table that the XSDT lists.
        oem_id: of that table; an empty string is any.
        oem_table_id: of that table; an empty string is any.

    Raises:
        AmlValueError: no legal name, or an argument that yields no value.
    """

    __slots__ = ()

    def __init__(
        self, name: str | Path, signature: Value, oem_id: Value = "", oem_table_id: Value = ""
    ) -> None:
        """Encode all four."""
        super().__init__(new_path(name), operand(signature), operand(oem_id), operand(oem_table_id))


def _check(what: str, value: int, highest: int) -> None:
    if not isinstance(value, int) or not 0 <= value <= highest:
        raise AmlValueError(f"{what} is a number from 0 to {highest}, not {shown(value)}")
