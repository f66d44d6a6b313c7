# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Random values and namespaces: acpiexec finds what was put in, and iasl loses nothing of it."""

import string

from hypothesis import given, settings
from hypothesis import strategies as st

from acpi.acpica import assert_roundtrip, definition_block, evaluate
from vmmkit.acpi.aml.dump import dump
from vmmkit.acpi.aml.named import Device, Name, Scope
from vmmkit.acpi.tables.definition_block import Dsdt, Ssdt
from vmmkit.acpi.tables.reading import from_bytes

# acpiexec prints up to 255 characters of a string as they are.
PRINTABLE = "".join(sorted(set(string.printable) - set("\x0b\x0c\r")))
values = st.recursive(
    st.one_of(
        st.integers(0, (1 << 64) - 1),
        st.integers(0, 300),
        st.text(PRINTABLE, max_size=70),
        # Without the end tag of resource templates, for which iasl takes buffers that have it.
        st.binary(max_size=70).filter(lambda data: b"\x79" not in data),
    ),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=12,
)
LETTERS = string.ascii_uppercase
segments = st.builds(
    "".join, st.tuples(st.sampled_from(LETTERS), st.text(LETTERS + string.digits + "_", max_size=3))
).map(lambda text: text.rstrip("_") or "A")
# Words of ASL, such as LOR and ARG1, are no names to iasl: letters alone are avoided.
segments = segments.filter(lambda text: len(text) == 1 or not text.isalpha())
segments = segments.filter(lambda text: not text.startswith("ARG"))


@settings(max_examples=30)
@given(listed=st.lists(values, min_size=1, max_size=6))
def test_values_are_found(listed):
    names = [f"NAM{number}" for number in range(len(listed))]
    # The names are in a package, so that one run evaluates all.
    table = Dsdt(Name("ALL0", listed)).to_bytes()
    assert evaluate(table, r"\ALL0") == listed
    table = Dsdt(*(Name(name, value) for name, value in zip(names, listed, strict=True)))
    assert_roundtrip(table.to_bytes())


@settings(max_examples=20)
@given(path=st.lists(segments, min_size=1, max_size=7), value=st.integers(0, 1 << 40))
def test_names_are_found_whatever_their_depth(path, value):
    node = Name("LEAF", value)
    for segment in reversed(path):
        node = Device(segment, Name("_ADR", 0), node)
    table = Dsdt(Scope("\\_SB", node)).to_bytes()
    place = ".".join(["\\_SB", *path])
    assert evaluate(table, f"{place}.LEAF") == value
    assert_roundtrip(table)
    # From another table, by its whole name. Its round trip would show what iasl adds, an External.
    other = Ssdt(Scope(place, Name("MORE", value + 1))).to_bytes()
    assert evaluate([table, other], f"{place}.MORE") == value + 1


def test_text_of_a_value_compiles_to_the_same_value():
    value = [1, 'a"b\\c\n', b"\0\xff", [0, (1 << 64) - 1], []]
    table = Dsdt(Name("ABCD", value))
    again = definition_block(dump(table.terms))
    assert from_bytes(again).terms == table.terms
    assert evaluate(again, r"\ABCD") == value
