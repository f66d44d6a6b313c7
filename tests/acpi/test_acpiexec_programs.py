# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Random programs built of AML nodes compute in acpiexec what a model in Python says."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acpi.acpica import definition_block, evaluate_all
from acpi.programs import (
    BCD_MODULUS,
    BINARY,
    BUFFER,
    COMPARISONS,
    DIVIDING,
    LOOP_LOCALS,
    PACKAGE,
    SHIFTS,
    UNARY,
    asl,
    meaning,
    names,
    programs,
)
from vmmkit.acpi.aml import operators, references, statements
from vmmkit.acpi.aml.blocks import Else, If, While
from vmmkit.acpi.aml.calls import Call
from vmmkit.acpi.aml.named import Method
from vmmkit.acpi.aml.places import Arg, Local
from vmmkit.acpi.aml.statements import Return
from vmmkit.acpi.tables.definition_block import Dsdt

HEADER_SIZE = 36
SPECIAL = {"Xor": "XOr"}
PLACES = {"buffer": Local(6), "package": Local(7)}
COUNTS = {"buffer": len(BUFFER), "package": len(PACKAGE)}


class Builder:
    """Builds the nodes of a program, as `programs.Text` writes its text."""

    def __init__(self, program, fresh, bits=64):
        self.program = program
        self.fresh = fresh
        self.bits = bits
        self.number = 0

    def methods(self):
        for number, listed in enumerate(self.program):
            self.number = number
            yield Method(f"{self.fresh}{number}", 2, *self.preamble(), *self.block(listed))
        last = f"{self.fresh}{len(self.program) - 1}"
        yield Method(f"{self.fresh}M", 0, Return(Call(last, 5, 6)))

    def preamble(self):
        for number, value in enumerate([0, 1, 2, 3, 0, 0]):
            yield Local(number).set(value)
        yield Local(6).set(bytes(BUFFER))
        yield Local(7).set(list(PACKAGE))

    def op(self, name, *operands):
        name = SPECIAL.get(name, name)
        module = operators if hasattr(operators, name) else references
        return getattr(module, name)(*operands)

    def expression(self, expression):
        kind, *rest = expression
        if kind in DIVIDING:
            one, other = map(self.expression, rest)
            return self.op(kind, one, self.op("Or", other, 1))
        if any(kind in group for group in (BINARY, SHIFTS, COMPARISONS, UNARY)):
            return self.op(kind, *map(self.expression, rest))
        return getattr(self, f"node_{kind}".lower())(*rest)

    def node_const(self, value):
        return value & ((1 << self.bits) - 1)

    def node_local(self, number):
        return Local(number)

    def node_arg(self, number):
        return Arg(number)

    def node_size(self, which):
        return self.op("SizeOf", PLACES[which])

    def node_lnot(self, expression):
        return self.op("LNot", self.expression(expression))

    def element(self, which, expression):
        index = self.op("Mod", self.expression(expression), COUNTS[which])
        return self.op("Index", PLACES[which], index)

    def node_at(self, which, expression):
        return self.op("DerefOf", self.element(which, expression))

    def node_match(self, first_name, first, second_name, second, start):
        first, second, start = map(self.expression, (first, second, start))
        one, other = (references.MatchOperator[name] for name in (first_name, second_name))
        start = self.op("Mod", start, len(PACKAGE))
        return self.op("Match", Local(7), one, first, other, second, start)

    def node_joined(self, one, other, index):
        both = self.op("Concatenate", *map(self.expression, (one, other)))
        return self.op("DerefOf", self.op("Index", both, index))

    def node_mid(self, start, length):
        start = self.op("Mod", self.expression(start), len(BUFFER))
        return self.op("ToInteger", self.op("Mid", Local(6), start, length))

    def node_decimal(self, expression):
        return self.op("ToInteger", self.op("ToDecimalString", self.expression(expression)))

    def node_digits(self, expression, count):
        text = self.op("ToDecimalString", self.expression(expression))
        return self.op("ToInteger", self.op("Mid", text, 0, count))

    def node_bcd(self, expression):
        return self.op("ToBCD", self.op("Mod", self.expression(expression), BCD_MODULUS))

    def node_first(self, expression):
        return self.op("ToInteger", self.op("ToBuffer", self.expression(expression)))

    def node_call(self, number, *arguments):
        nodes = [self.expression(argument) for argument in arguments]
        if self.number == 0:
            return nodes[0]
        return Call(f"{self.fresh}{number % self.number}", *nodes)

    def block(self, listed):
        for kind, *rest in listed:
            yield from getattr(self, f"make_{kind}")(*rest)

    def make_store(self, target, expression):
        yield Local(target).set(self.expression(expression))

    def make_copy(self, target, expression):
        yield self.op("CopyObject", self.expression(expression), Local(target))

    def make_op(self, name, one, other, target):
        yield self.op(name, self.expression(one), self.expression(other), Local(target))

    def make_divide(self, one, other, remainder, quotient):
        divisor = self.op("Or", self.expression(other), 1)
        yield self.op("Divide", self.expression(one), divisor, Local(remainder), Local(quotient))

    def make_increment(self, target):
        yield self.op("Increment", Local(target))

    def make_decrement(self, target):
        yield self.op("Decrement", Local(target))

    def make_argument(self, number, expression):
        yield Arg(number).set(self.expression(expression))

    def make_put(self, which, index, expression):
        yield self.element(which, index).set(self.expression(expression))

    def make_if(self, condition, then, otherwise):
        yield If(self.expression(condition), *self.block(then))
        if otherwise:
            yield Else(*self.block(otherwise))

    def make_while(self, depth, count, body):
        local = Local(LOOP_LOCALS[depth])
        yield local.set(0)
        yield While(local.lt(count), self.op("Increment", local), *self.block(body))

    def make_break(self):
        yield statements.Break

    def make_continue(self):
        yield statements.Continue

    def make_return(self, expression):
        yield Return(self.expression(expression))


def table(listed, bits=64):
    methods = [
        method
        for index, program in enumerate(listed)
        for method in Builder(program, names(index)[0], bits).methods()
    ]
    return Dsdt(*methods, revision={64: 2, 32: 1}[bits]).to_bytes()


def check(listed, bits):
    paths = [names(index)[1] for index in range(len(listed))]
    assert evaluate_all(table(listed, bits), paths) == [
        meaning(program, bits) for program in listed
    ]


few = st.lists(programs, min_size=1, max_size=10)


@pytest.mark.parametrize("bits", [64, 32])
def test_programs_compute_what_the_model_says(bits):
    @settings(max_examples=15)
    @given(listed=few)
    def run(listed):
        check(listed, bits)

    run()


@pytest.mark.slow
@pytest.mark.parametrize("bits", [64, 32])
def test_many_programs_compute_what_the_model_says(bits):
    @settings(max_examples=600)
    @given(listed=few)
    def run(listed):
        check(listed, bits)

    run()


@settings(max_examples=15)
@given(listed=few)
def test_programs_have_the_bytes_of_iasl(listed):
    assert table(listed)[HEADER_SIZE:] == definition_block(asl(listed))[HEADER_SIZE:]
