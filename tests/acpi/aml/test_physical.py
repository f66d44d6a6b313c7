# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""_PLD and _UPC; ASL's ToPLD says what the bytes of a _PLD are."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acpi.acpica import definition_block
from vmmkit.acpi.aml import (
    ConnectorType,
    HorizontalPosition,
    Name,
    Package,
    Panel,
    Pld,
    Shape,
    Upc,
    VerticalPosition,
)
from vmmkit.acpi.tables.table import HEADER_SIZE
from vmmkit.errors import AmlValueError

BITS = {
    **dict.fromkeys(("ignore_color", "user_visible", "dock", "lid", "bay"), 1),
    **dict.fromkeys(("group_orientation", "ejectable", "eject_required", "reference"), 1),
    **dict.fromkeys(("red", "green", "blue", "group_token", "group_position"), 8),
    **dict.fromkeys(("cabinet_number", "card_cage_number"), 8),
    **dict.fromkeys(("width", "height", "vertical_offset", "horizontal_offset"), 16),
    "rotation": 3,
    "order": 5,
}
WORDS = {
    "panel": Panel,
    "vertical_position": VerticalPosition,
    "horizontal_position": HorizontalPosition,
    "shape": Shape,
}
NUMBERS = {name: st.integers(0, (1 << bits) - 1) for name, bits in BITS.items()}
LOCATIONS = st.fixed_dictionaries(
    NUMBERS | {name: st.sampled_from(kind) for name, kind in WORDS.items()}
)


def to_pld(location):
    """Return a location as ASL."""
    fields = ["PLD_Revision = 2"]
    for name, value in location.items():
        keyword = "PLD_" + "".join(word.capitalize() for word in name.split("_"))
        text = f'"{value.name.replace("_", "")}"' if name in WORDS else str(int(value))
        fields.append(f"{keyword} = {text}")
    return f"ToPLD ({', '.join(fields)})"


def compiled(locations):
    """Return what iasl makes of a package of locations."""
    listed = ",\n".join(map(to_pld, locations))
    return definition_block(f"Name (_PLD, Package () {{ {listed} }})")[HEADER_SIZE:]


@settings(max_examples=4, deadline=None)
@given(locations=st.lists(LOCATIONS, min_size=1, max_size=8))
def test_locations_are_what_topld_makes(locations):
    made = [Pld(**location) for location in locations]
    assert Name("_PLD", made).encoded == compiled(locations)


def test_each_field_is_at_the_place_that_topld_has():
    nothing = {"panel": Panel.UNKNOWN, "shape": Shape.UNKNOWN, "ignore_color": 1}
    nothing |= {"vertical_offset": 0xFFFF, "horizontal_offset": 0xFFFF}
    highest = {name: (1 << bits) - 1 for name, bits in BITS.items()}
    highest |= {name: max(kind) for name, kind in WORDS.items()}
    made, wanted = [], []
    for name, value in highest.items():
        colored = {"ignore_color": 0} if name in {"red", "green", "blue"} else {}
        made.append(Pld(**{name: value}))
        wanted.append(nothing | colored | {name: value})
    assert Name("_PLD", made).encoded == compiled(wanted)


def test_defaults_say_as_little_as_possible():
    location = Pld()
    assert location.args[1].hex(" ", 4) == "82000000 00000000 301c0000 00000000 ffffffff"
    assert len(location.args[1]) == 20


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("panel", 7, "panel of a _PLD goes from 0 to 0x6, not 7"),
        ("rotation", -1, "rotation of a _PLD goes from 0 to 0x7, not -1"),
        ("width", 0x10000, "width of a _PLD goes from 0 to 0xffff, not 65536"),
        ("shape", "ROUND", "shape of a _PLD goes from 0 to 0x8, not 'ROUND'"),
        ("colour", 1, "a _PLD has no field colour; it has ignore_color, red"),
    ],
)
def test_a_wrong_field_is_refused(field, value, message):
    with pytest.raises(AmlValueError) as caught:
        Pld(**{field: value})
    assert str(caught.value).startswith(message)


def test_the_capabilities_of_a_port():
    assert Upc(True, ConnectorType.TYPE_A) == Package(0xFF, 0, 0, 0)
    assert Upc(False) == Package(0, 0xFF, 0, 0)
    assert Upc(1, 9) == Package(1, ConnectorType.TYPE_C_SS_WITH_SWITCH, 0, 0)
    with pytest.raises(AmlValueError, match="connector_type of a _UPC goes from 0 to 255"):
        Upc(True, 256)
    with pytest.raises(AmlValueError, match="connectable of a _UPC"):
        Upc("yes", 1)
