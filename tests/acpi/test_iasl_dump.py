# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What iasl compiled is read whole, and the text of it compiles to the same bytes again."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acpi.acpica import compile_asl, definition_block, templates
from acpi.asl_cases import CASES, HEADER_SIZE, PRELUDE
from acpi.programs import asl, programs
from vmmkit.acpi.aml.dump import dump
from vmmkit.acpi.aml.node import RawAml
from vmmkit.acpi.platform.q35 import q35_like
from vmmkit.acpi.platform.reduced import reduced
from vmmkit.acpi.tables import reading


def every(nodes):
    for node in nodes:
        yield node
        yield from every(node.children())


def check(data):
    """Read a table, and compile the text of it."""
    table = reading.from_bytes(data)
    assert table.to_bytes() == data
    assert not [node for node in every(table.terms) if isinstance(node, RawAml)]
    text = dump(table)
    assert compile_asl(text)[HEADER_SIZE:].hex(" ") == data[HEADER_SIZE:].hex(" "), text


@pytest.mark.parametrize(("nodes", "text"), CASES)
def test_case_is_read_and_printed(nodes, text):
    check(definition_block(PRELUDE + text))


def test_names_of_other_tables_are_declared():
    check(
        definition_block(
            """
            External (\\_SB.DEV9, DeviceObj)
            External (\\_SB.FUN3, MethodObj, , {IntObj, IntObj})
            External (\\INT9, IntObj)
            Method (TEST, 0, NotSerialized) {Return (\\_SB.FUN3 (\\INT9, 0x02))}
            Scope (\\_SB.DEV9) {Name (ABCD, One)}
            """,
            signature="SSDT",
        )
    )


@pytest.mark.parametrize("name", ["dsdt", "ssdt"])
def test_template_is_read_and_printed(name):
    check(templates()[name])


@settings(max_examples=10)
@given(st.lists(programs, min_size=1, max_size=6))
def test_program_is_read_and_printed(listed):
    check(definition_block(asl(listed)))


@pytest.mark.parametrize("cpus", [1, 300])
@pytest.mark.parametrize("preset", [q35_like, reduced])
def test_preset_is_read_and_printed(preset, cpus):
    check(preset(cpus=cpus).dsdt.to_bytes())
