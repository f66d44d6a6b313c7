# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Every AML node has the bytes that iasl gives the same ASL, written by hand, with -oa."""

import functools

import pytest

from acpi.acpica import definition_block
from acpi.asl_cases import CASES, HEADER_SIZE, PRELUDE
from vmmkit.acpi.aml.blocks import If
from vmmkit.acpi.aml.calls import Call
from vmmkit.acpi.aml.named import External, Method, ObjectKind
from vmmkit.acpi.aml.opcodes import BY_NAME


@functools.cache
def prelude():
    return definition_block(PRELUDE)[HEADER_SIZE:]


@pytest.mark.parametrize(("nodes", "asl"), CASES)
def test_bytes_are_those_of_iasl(nodes, asl):
    theirs = definition_block(PRELUDE + asl)[HEADER_SIZE:]
    assert theirs.startswith(prelude())
    ours = b"".join(node.to_bytes() for node in nodes)
    assert ours.hex(" ") == theirs.removeprefix(prelude()).hex(" ")


def test_external_names_stand_in_front_as_with_iasl():
    asl = """
        External (\\_SB.DEV9, DeviceObj)
        External (\\_SB.FUN3, MethodObj, , {IntObj, IntObj})
        External (INT9, IntObj)
        External (UNK9)
        Method (TEST, 0, NotSerialized) {\\_SB.FUN3 (One, 0x02)}
    """
    externals = If(
        0,
        External("\\_SB.DEV9", ObjectKind.Device),
        External("\\_SB.FUN3", ObjectKind.Method, 2),
        External("\\INT9", ObjectKind.Integer),
        External("\\UNK9"),
    )
    ours = [externals, Method("TEST", 0, Call("\\_SB.FUN3", 1, 2))]
    theirs = definition_block(asl)[HEADER_SIZE:]
    assert b"".join(node.to_bytes() for node in ours).hex(" ") == theirs.hex(" ")


def opcodes_in(nodes):
    for node in nodes:
        if hasattr(node, "OPCODE"):
            yield node.OPCODE.name
        yield from opcodes_in(node.children())


def test_every_opcode_has_a_case():
    assert (
        BY_NAME.keys()
        - {"External"}
        - {name for case in CASES for name in opcodes_in(case.values[0])}
        == set()
    )
