# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Where a device is, and what a USB port can do: the values of `_PLD` and `_UPC`.

ACPI Specification, "_PLD (Physical Location of Device)" and "_UPC (USB Port Capabilities)".
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, TypedDict, Unpack

from vmmkit.acpi.aml.data import Buffer, Package
from vmmkit.acpi.aml.encoding import shown
from vmmkit.errors import AmlValueError

__all__ = [
    "ConnectorType",
    "HorizontalPosition",
    "Location",
    "Panel",
    "Pld",
    "Shape",
    "Upc",
    "VerticalPosition",
]


class Panel(IntEnum):
    """Which side of the housing a device is on."""

    TOP = 0
    BOTTOM = 1
    LEFT = 2
    RIGHT = 3
    FRONT = 4
    BACK = 5
    UNKNOWN = 6


class VerticalPosition(IntEnum):
    """Where on its panel a device is, from top to bottom."""

    UPPER = 0
    CENTER = 1
    LOWER = 2


class HorizontalPosition(IntEnum):
    """Where on its panel a device is, from left to right."""

    LEFT = 0
    CENTER = 1
    RIGHT = 2


class Shape(IntEnum):
    """What a device looks like from outside."""

    ROUND = 0
    OVAL = 1
    SQUARE = 2
    VERTICAL_RECTANGLE = 3
    HORIZONTAL_RECTANGLE = 4
    VERTICAL_TRAPEZOID = 5
    HORIZONTAL_TRAPEZOID = 6
    UNKNOWN = 7
    CHAMFERED = 8


class ConnectorType(IntEnum):
    """What is plugged into a USB port."""

    TYPE_A = 0
    MINI_AB = 1
    EXPRESS_CARD = 2
    USB3_STANDARD_A = 3
    USB3_STANDARD_B = 4
    USB3_MICRO_B = 5
    USB3_MICRO_AB = 6
    USB3_POWER_B = 7
    TYPE_C_USB2 = 8
    TYPE_C_SS_WITH_SWITCH = 9
    TYPE_C_SS_WITHOUT_SWITCH = 10
    PROPRIETARY = 0xFF


class Location(TypedDict, total=False):
    """The fields of a `_PLD`, named as ASL's ToPLD names them.

    Attributes:
        ignore_color: whether the color says nothing; true where no color is given.
        red: 0 to 255.
        green: 0 to 255.
        blue: 0 to 255.
        width: of the widest point, in millimeters.
        height: of the tallest point, in millimeters.
        user_visible: seen without opening the housing.
        dock: on a docking station or port replicator.
        lid: on the lid of a portable machine.
        panel: a `Panel`; unknown where not given.
        vertical_position: a `VerticalPosition`.
        horizontal_position: a `HorizontalPosition`.
        shape: a `Shape`; unknown where not given.
        group_orientation: whether the group is laid out vertically.
        group_token: number of the group, 0 to 255.
        group_position: number within the group, 0 to 255.
        bay: it is a bay, or in one.
        ejectable: it can be ejected by `_EJx`, or is in what can be.
        eject_required: the operating system has to take part when it is ejected.
        cabinet_number: 0 to 255.
        card_cage_number: 0 to 255.
        reference: other shapes refer to this one, which is the origin of offsets.
        rotation: clockwise, in steps of 45 degrees, 0 to 7.
        order: in which it is drawn, 0 to 31.
        vertical_offset: in millimeters; 0xFFFF where not given.
        horizontal_offset: in millimeters; 0xFFFF where not given.
    """

    ignore_color: bool
    red: int
    green: int
    blue: int
    width: int
    height: int
    user_visible: bool
    dock: bool
    lid: bool
    panel: int
    vertical_position: int
    horizontal_position: int
    shape: int
    group_orientation: bool
    group_token: int
    group_position: int
    bay: bool
    ejectable: bool
    eject_required: bool
    cabinet_number: int
    card_cage_number: int
    reference: bool
    rotation: int
    order: int
    vertical_offset: int
    horizontal_offset: int


_REVISION: Final = 2
_SIZE: Final = 20

# The bit where each field begins, and its highest value.
_FIELDS: Final = {
    "ignore_color": (7, 1),
    "red": (8, 0xFF),
    "green": (16, 0xFF),
    "blue": (24, 0xFF),
    "width": (32, 0xFFFF),
    "height": (48, 0xFFFF),
    "user_visible": (64, 1),
    "dock": (65, 1),
    "lid": (66, 1),
    "panel": (67, Panel.UNKNOWN),
    "vertical_position": (70, VerticalPosition.LOWER),
    "horizontal_position": (72, HorizontalPosition.RIGHT),
    "shape": (74, Shape.CHAMFERED),
    "group_orientation": (78, 1),
    "group_token": (79, 0xFF),
    "group_position": (87, 0xFF),
    "bay": (95, 1),
    "ejectable": (96, 1),
    "eject_required": (97, 1),
    "cabinet_number": (98, 0xFF),
    "card_cage_number": (106, 0xFF),
    "reference": (114, 1),
    "rotation": (115, 7),
    "order": (119, 31),
    "vertical_offset": (128, 0xFFFF),
    "horizontal_offset": (144, 0xFFFF),
}
_ABSENT: Final = 0xFFFF
_COLORS: Final = frozenset({"red", "green", "blue"})


class Pld(Buffer):
    """A location of a device, of which `_PLD` is a package: `Name("_PLD", [Pld(...)])`.

    It has revision 2 of the format. What is not given is 0, where `Location` says nothing else.

    Args:
        location: see `Location`.

    Raises:
        AmlValueError: no such field, or a value that it has no room for.
    """

    __slots__ = ()

    def __init__(self, **location: Unpack[Location]) -> None:
        """Encode the fields."""
        values: dict[str, object] = {
            "ignore_color": not _COLORS & location.keys(),
            "panel": Panel.UNKNOWN,
            "shape": Shape.UNKNOWN,
            "vertical_offset": _ABSENT,
            "horizontal_offset": _ABSENT,
            **location,
        }
        packed = _REVISION
        for name, value in values.items():
            packed |= _bits(name, value)
        super().__init__(packed.to_bytes(_SIZE, "little"))


def _bits(name: str, value: object) -> int:
    """Return a field at its place."""
    if name not in _FIELDS:
        raise AmlValueError(f"a _PLD has no field {name}; it has {', '.join(_FIELDS)}")
    start, highest = _FIELDS[name]
    if not isinstance(value, int) or not 0 <= value <= highest:
        raise AmlValueError(f"{name} of a _PLD goes from 0 to {highest:#x}, not {shown(value)}")
    return value << start


def Upc(  # noqa: N802 - written as what else makes a value
    connectable: bool | int,
    connector_type: int = ConnectorType.PROPRIETARY,
) -> Package:
    """Return the value of `_UPC`: what a USB port can do.

    Args:
        connectable: whether something can be connected, by hand or for good; 0 to 255.
        connector_type: a `ConnectorType`, or another number up to 255.

    Raises:
        AmlValueError: a number out of range.
    """
    for what, value in (("connectable", connectable), ("connector_type", connector_type)):
        if not isinstance(value, int) or not 0 <= value <= 0xFF:
            raise AmlValueError(f"{what} of a _UPC goes from 0 to 255, not {shown(value)}")
    # The specification says of a port that can: not zero; firmware writes 0xFF.
    return Package(0xFF if connectable is True else int(connectable), int(connector_type), 0, 0)
