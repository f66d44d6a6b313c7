# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Operators of Python, places, and arguments of the operators that are refused."""

import pytest

from vmmkit.acpi.aml.calls import Call
from vmmkit.acpi.aml.data import One, Revision, Zero
from vmmkit.acpi.aml.named import Device
from vmmkit.acpi.aml.node import CLASSES, Path, RawAml
from vmmkit.acpi.aml.operators import (
    Add,
    And,
    CopyObject,
    Divide,
    LEqual,
    LGreater,
    LGreaterEqual,
    LLess,
    LLessEqual,
    LNotEqual,
    Mid,
    Mod,
    Multiply,
    Not,
    Or,
    ShiftLeft,
    ShiftRight,
    Store,
    Subtract,
    ToString,
    XOr,
)
from vmmkit.acpi.aml.places import Arg, Debug, Local
from vmmkit.acpi.aml.references import (
    CondRefOf,
    DerefOf,
    Increment,
    Index,
    Load,
    Match,
    MatchOperator,
    RefOf,
    Unload,
)
from vmmkit.acpi.aml.statements import Acquire, Fatal, Notify, Return, Signal, Sleep, Wait
from vmmkit.errors import AmlValueError

L0 = Local(0)
FOO = Path("FOO")


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (L0 + 5, Add(L0, 5)),
        (5 + L0, Add(5, L0)),
        (L0 - 5, Subtract(L0, 5)),
        (5 - L0, Subtract(5, L0)),
        (L0 * 5, Multiply(L0, 5)),
        (5 * L0, Multiply(5, L0)),
        (L0 // 5, Divide(L0, 5)),
        (5 // L0, Divide(5, L0)),
        (L0 % 5, Mod(L0, 5)),
        (5 % L0, Mod(5, L0)),
        (L0 & 5, And(L0, 5)),
        (5 & L0, And(5, L0)),
        (L0 | 5, Or(L0, 5)),
        (5 | L0, Or(5, L0)),
        (L0 ^ 5, XOr(L0, 5)),
        (5 ^ L0, XOr(5, L0)),
        (L0 << 5, ShiftLeft(L0, 5)),
        (5 << L0, ShiftLeft(5, L0)),
        (L0 >> 5, ShiftRight(L0, 5)),
        (5 >> L0, ShiftRight(5, L0)),
        (~L0, Not(L0)),
        (L0.eq("a"), LEqual(L0, "a")),
        (L0.ne(b"a"), LNotEqual(L0, b"a")),
        (L0.lt(5), LLess(L0, 5)),
        (L0.le(5), LLessEqual(L0, 5)),
        (L0.gt(5), LGreater(L0, 5)),
        (L0.ge(5), LGreaterEqual(L0, 5)),
        (FOO.set(FOO | 4), Store(Or(FOO, 4), "FOO")),
        (Call("FOO", 1) + 1, Add(Call("FOO", 1), 1)),
        (Debug.set("text"), Store("text", Debug)),
        (Index(L0, 2).set(3), Store(3, Index(L0, 2))),
        (RefOf(L0).set(3), Store(3, RefOf(L0))),
        (Revision.ge(2), LGreaterEqual(Revision, 2)),
    ],
)
def test_operators_of_python(made, expected):
    assert made == expected
    assert type(made) is type(expected)


def test_statements_take_no_operators():
    with pytest.raises(TypeError):
        Return(1) + 1
    with pytest.raises(TypeError):
        1 + Device("FOO")


@pytest.mark.parametrize("number", range(8))
def test_local(number):
    assert Local(number).encoded == bytes((0x60 + number,))
    assert Local(number).number == number
    assert isinstance(Local(number), Local)
    assert repr(Local(number)) == f"Local{number}"
    assert type(Local(number)) is CLASSES[f"Local{number}"]


@pytest.mark.parametrize("number", range(7))
def test_arg(number):
    assert Arg(number).encoded == bytes((0x68 + number,))
    assert CLASSES[f"Arg{number}"].as_read((), Arg(number).encoded) is Arg(number)


@pytest.mark.parametrize(("kind", "last"), [(Local, 7), (Arg, 6)])
def test_no_such_place(kind, last):
    for wrong in (-1, last + 1, "0", None, 0.0):
        with pytest.raises(AmlValueError, match=f"{kind.__name__} goes from 0 to {last}"):
            kind(wrong)


NO_PLACES = [5, Zero, Add(1, 2), b"FOO", None, Device("FOO"), Return()]
PLACED = {
    "Acquire": Acquire,
    "CondRefOf": CondRefOf,
    "Increment": Increment,
    "Notify": lambda wrong: Notify(wrong, 1),
    "RefOf": RefOf,
    "Signal": Signal,
    "Store": lambda wrong: Store(1, wrong),
    "CopyObject": lambda wrong: CopyObject(1, wrong),
    "Unload": Unload,
    "Wait": lambda wrong: Wait(wrong, 1),
}
TARGETED = {
    "Load": lambda wrong: Load("FOO", wrong),
    "Add": lambda wrong: Add(1, 2, wrong),
    "Not": lambda wrong: Not(1, wrong),
    "Divide": lambda wrong: Divide(1, 2, wrong),
    "Divide, the quotient": lambda wrong: Divide(1, 2, None, wrong),
    "Mid": lambda wrong: Mid("text", 2, 3, wrong),
    "ToString": lambda wrong: ToString(b"text", None, wrong),
    "Index": lambda wrong: Index("text", 2, wrong),
    "CondRefOf, the target": lambda wrong: CondRefOf("FOO", wrong),
}


@pytest.mark.parametrize("make", [*PLACED.values(), *TARGETED.values()], ids=[*PLACED, *TARGETED])
def test_constants_are_no_places(make):
    for wrong in NO_PLACES:
        if wrong is not None or make in PLACED.values():
            with pytest.raises(AmlValueError):
                make(wrong)
    for name in ("foo", "A.B.", "ABCDE"):
        with pytest.raises(AmlValueError, match="is no legal name"):
            make(name)


def test_places_by_name():
    assert Add(1, 2, "FOO") == Add(One, 2, FOO)
    assert Notify("\\_SB.PWRB", 0x80) == Notify(Path("\\_SB.PWRB"), 0x80)
    assert Add(1, 2, None).encoded[-1:] == b"\0"


def test_copies_go_to_names_and_variables():
    for right in ("FOO", FOO, L0, Arg(0), RawAml(b"FOO_")):
        CopyObject(1, right)
    for wrong in (Index(L0, 1), RefOf(L0), Debug):
        with pytest.raises(AmlValueError, match="CopyObject copies to"):
            CopyObject(1, wrong)


OPERANDS = [
    lambda wrong: Add(wrong, 1),
    lambda wrong: Add(1, wrong),
    Not,
    DerefOf,
    Return,
    Sleep,
    lambda wrong: Call("FOO", wrong),
    lambda wrong: LEqual(1, wrong),
    lambda wrong: Fatal(1, 2, wrong),
    L0.set,
    lambda wrong: L0 & wrong,
]


@pytest.mark.parametrize("make", OPERANDS)
def test_operands_yield_a_value(make):
    for wrong in (Device("FOO"), Return()):
        with pytest.raises(AmlValueError, match="yields no value"):
            make(wrong)
    for wrong in (None, 1.5, -1, object()):
        with pytest.raises(AmlValueError):
            make(wrong)


@pytest.mark.parametrize("operator", [-1, 6, "MEQ", None])
def test_no_match_operator(operator):
    with pytest.raises(AmlValueError, match="no operator of Match"):
        Match(FOO, operator, 1, MatchOperator.MTR, 0)
    with pytest.raises(AmlValueError, match="no operator of Match"):
        Match(FOO, MatchOperator.MEQ, 1, operator, 0)


def test_calls():
    assert Call("FOO", *range(7)).args == (FOO, tuple(Call("FOO", n).args[1][0] for n in range(7)))
    assert Call("FOO") == FOO
    with pytest.raises(AmlValueError, match="up to 7 arguments, not 8"):
        Call("FOO", *range(8))


def test_numbers_out_of_range():
    with pytest.raises(AmlValueError, match="Acquire takes a number from 0 to 0xffff"):
        Acquire("FOO", 1 << 16)
    with pytest.raises(AmlValueError, match="Fatal takes a number from 0 to 0xff"):
        Fatal(256, 0, 0)
    with pytest.raises(AmlValueError, match="Fatal takes a number from 0 to 0xffffffff"):
        Fatal(0, 1 << 32, 0)
