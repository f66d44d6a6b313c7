# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Lists of terms: Else after If, ElseIf, Break and Continue in While."""

import pytest

from vmmkit.acpi.aml.blocks import Else, ElseIf, If, While
from vmmkit.acpi.aml.named import Device, Method, Scope
from vmmkit.acpi.aml.node import RawAml
from vmmkit.acpi.aml.operators import LAnd, LNot, LOr
from vmmkit.acpi.aml.places import Local
from vmmkit.acpi.aml.statements import Break, Continue, Noop, Return
from vmmkit.acpi.tables.definition_block import Dsdt, Ssdt
from vmmkit.acpi.tables.reading import from_bytes
from vmmkit.acpi.tables.table import Raw
from vmmkit.errors import AmlValueError

L0 = Local(0)
HOLDERS = [
    lambda *nodes: Scope("\\", *nodes),
    lambda *nodes: Device("DEV0", *nodes),
    lambda *nodes: Method("FOO", 0, *nodes),
    lambda *nodes: If(1, *nodes),
    lambda *nodes: While(1, *nodes),
    Else,
]


@pytest.mark.parametrize("hold", HOLDERS)
def test_a_list_holds_nodes(hold):
    for wrong in (5, "FOO", None, [Noop], Noop.encoded, Return):
        with pytest.raises(AmlValueError, match="holds nodes"):
            hold(Noop, wrong)


@pytest.mark.parametrize("hold", HOLDERS)
@pytest.mark.parametrize("follower", [Else(Noop), ElseIf(L0, Noop)])
def test_else_follows_if(hold, follower):
    name = type(follower).__name__
    for before in ([], [Noop], [While(1)], [If(L0), Else()], [If(L0), Noop]):
        with pytest.raises(AmlValueError, match=f"{name} in .* follows no If"):
            hold(*before, follower)
    hold(If(L0), follower)
    hold(RawAml(If(L0).encoded), follower)


def test_else_if_is_an_else_with_an_if():
    chain = Method("FOO", 0, If(L0), ElseIf(1, Noop), ElseIf(2), Else(), If(3), ElseIf(4))
    assert chain == Method(
        "FOO", 0, If(L0), Else(If(1, Noop), Else(If(2), Else())), If(3), Else(If(4))
    )
    assert [type(node) for node in chain.args[2]] == [If, Else, If, Else]


def test_else_if_belongs_to_its_own_list():
    inner = If(L0, If(L0), ElseIf(1))
    assert Method("FOO", 0, inner, Else()).args[2] == (inner, Else())


@pytest.mark.parametrize("jump", [Break, Continue])
def test_jumps_stay_in_a_loop(jump):
    for wrong in ([jump], [If(1, jump)], [If(1), Else(If(1, Noop, jump))], [While(1, jump), jump]):
        with pytest.raises(AmlValueError, match=f"{jump!r} in FOO stands in no While"):
            Method("FOO", 0, *wrong)
    Method("FOO", 0, While(1, If(1, jump), Else(jump), jump))


def test_else_if_at_the_top_of_a_table():
    assert Ssdt(If(L0), ElseIf(1, Noop)).terms == (If(L0), Else(If(1, Noop)))
    with pytest.raises(AmlValueError, match="ElseIf in a definition block follows no If"):
        Ssdt(ElseIf(1, Noop))


def test_long_lists():
    assert len(Method("FOO", 0, *[Noop] * 5000)) == 5000 + 9


DECIDED = {
    "If": lambda: If(Local(0) == 1, Break),
    "ElseIf": lambda: ElseIf(Local(0) != 1, Break),
    "While": lambda: While(Local(0) != 1),
    "LAnd": lambda: LAnd(Local(0), Local(0) == 1),
    "LOr": lambda: LOr(Local(0) == 1, Local(0)),
    "LNot": lambda: LNot(Local(0) == 1),
}


@pytest.mark.parametrize("make", DECIDED.values(), ids=DECIDED)
def test_what_python_decided_is_no_condition(make):
    with pytest.raises(AmlValueError, match="is decided already: compare nodes by eq"):
        make()


def test_an_else_of_a_definition_block_follows_an_if():
    for term in (Else(), ElseIf(Local(0))):
        with pytest.raises(AmlValueError, match="in a definition block follows no If"):
            Dsdt(term)
    stray = Raw("DSDT", b"\xa1\x01", revision=2).to_bytes()
    assert from_bytes(stray).to_bytes() == stray
