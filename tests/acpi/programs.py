# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Random AML programs: what they compute, and their text in ASL.

A program is a tuple of functions, each a tuple of statements; a function may call those before
it with two arguments. Statements and expressions are nested tuples, the first element says the
kind. Every function begins with the same locals: 0 to 3 hold integers, 4 and 5 count loops, 6 is
a buffer and 7 a package of integers. Only statements change anything, so the order in which an
interpreter reads the operands of an expression does not matter.

Meanings are from the ACPI Specification 6.5, "ASL Operator Reference".
"""

from __future__ import annotations

import operator

import attrs
from hypothesis import strategies as st

BUFFER = (0x00, 0x7F, 0xFF, 0x12, 0x80)
PACKAGE = (0, 1, 0x80, 0xFFFF_FFFF, 0x1234, 7)
ARGUMENTS = 2
INTEGER_LOCALS = 4
LOOP_LOCALS = (4, 5)

BINARY = {
    "Add": operator.add,
    "Subtract": operator.sub,
    "Multiply": operator.mul,
    "And": operator.and_,
    "Or": operator.or_,
    "Xor": operator.xor,
    "NAnd": lambda one, other: ~(one & other),
    "NOr": lambda one, other: ~(one | other),
}
# The right operand of these is kept off zero.
DIVIDING = {"Mod": operator.mod, "Divide": operator.floordiv}
SHIFTS = {"ShiftLeft": operator.lshift, "ShiftRight": operator.rshift}
COMPARISONS = {
    "LEqual": operator.eq,
    "LNotEqual": operator.ne,
    "LGreater": operator.gt,
    "LLess": operator.lt,
    "LGreaterEqual": operator.ge,
    "LLessEqual": operator.le,
    "LAnd": lambda one, other: one and other,
    "LOr": lambda one, other: one or other,
}
UNARY = {
    "Not": operator.invert,
    "FindSetLeftBit": int.bit_length,
    "FindSetRightBit": lambda value: (value & -value).bit_length(),
}
MATCHES = {
    "MTR": lambda element, operand: True,
    "MEQ": operator.eq,
    "MLE": operator.le,
    "MLT": operator.lt,
    "MGE": operator.ge,
    "MGT": operator.gt,
}
WITH_TARGET = sorted([*BINARY, *SHIFTS])
# ToBCD fails above this in tables of 32 bits.
BCD_MODULUS = 10**8

# --- generation -----------------------------------------------------------------------------

integers = st.one_of(
    st.integers(0, 10),
    st.sampled_from([0x7F, 0x80, 0xFF, 0x100, 0xFFFF, 0x1_0000, 0x7FFF_FFFF, 0xFFFF_FFFF]),
    st.sampled_from([0x1_0000_0000, 1 << 63, (1 << 64) - 2, (1 << 64) - 1]),
    st.integers(0, (1 << 64) - 1),
)
leaves = st.one_of(
    st.tuples(st.just("const"), integers),
    st.tuples(st.just("local"), st.integers(0, INTEGER_LOCALS - 1)),
    st.tuples(st.just("arg"), st.integers(0, ARGUMENTS - 1)),
    st.tuples(st.just("size"), st.sampled_from(["buffer", "package"])),
)


def _compound(inner):
    names = st.sampled_from
    return st.one_of(
        st.tuples(names(sorted(BINARY)), inner, inner),
        st.tuples(names(sorted(DIVIDING)), inner, inner),
        st.tuples(names(sorted(SHIFTS)), inner, st.one_of(inner, leaves)),
        st.tuples(names(sorted(COMPARISONS)), inner, inner),
        st.tuples(names(sorted(UNARY)), inner),
        st.tuples(st.just("LNot"), inner),
        st.tuples(st.just("at"), names(["buffer", "package"]), inner),
        st.tuples(
            st.just("match"), names(sorted(MATCHES)), inner, names(sorted(MATCHES)), inner, inner
        ),
        st.tuples(st.just("joined"), inner, inner, st.integers(0, 7)),
        st.tuples(st.just("mid"), inner, st.integers(1, 4)),
        st.tuples(names(["decimal", "bcd", "first"]), inner),
        st.tuples(st.just("digits"), inner, st.integers(1, 12)),
        st.tuples(st.just("call"), st.integers(0, 7), inner, inner),
    )


expressions = st.recursive(leaves, _compound, max_leaves=6)
targets = st.integers(0, INTEGER_LOCALS - 1)
simple = st.one_of(
    st.tuples(st.sampled_from(["store", "copy"]), targets, expressions),
    st.tuples(st.just("op"), st.sampled_from(WITH_TARGET), expressions, expressions, targets),
    # Quotient and remainder go to different places.
    st.tuples(st.just("divide"), expressions, expressions, st.just(0), st.integers(1, 3)),
    st.tuples(st.sampled_from(["increment", "decrement"]), targets),
    st.tuples(st.just("argument"), st.integers(0, ARGUMENTS - 1), expressions),
    st.tuples(st.just("put"), st.sampled_from(["buffer", "package"]), expressions, expressions),
)
leaving = st.one_of(
    st.just(("break",)), st.just(("continue",)), st.tuples(st.just("return"), expressions)
)


def _blocks(depth):
    """Return a strategy of statement lists inside `depth` loops."""
    kinds = [simple, simple]
    if depth < len(LOOP_LOCALS):
        kinds.append(
            st.tuples(st.just("while"), st.just(depth), st.integers(0, 4), _blocks(depth + 1))
        )
    if depth:
        ways = st.one_of(st.lists(simple, max_size=2).map(tuple), leaving.map(lambda one: (one,)))
        kinds.append(st.tuples(st.just("if"), expressions, ways, ways))
    else:
        way = st.lists(simple, max_size=2).map(tuple)
        kinds.append(st.tuples(st.just("if"), expressions, way, way))
    return st.lists(st.one_of(kinds), max_size=4).map(tuple)


functions = st.tuples(_blocks(0), expressions).map(lambda pair: (*pair[0], ("return", pair[1])))
programs = st.lists(functions, min_size=1, max_size=3).map(tuple)


# --- meaning --------------------------------------------------------------------------------


class Returned(Exception):  # noqa: N818 - it is no error
    """Carries a function's result out of its loops."""

    def __init__(self, value):
        self.value = value


class Broken(Exception):  # noqa: N818
    """Leaves a loop."""


class Continued(Exception):  # noqa: N818
    """Ends one turn of a loop."""


@attrs.define
class Frame:
    """One call of a function: its variables, and how to compute with them."""

    program: tuple
    number: int
    args: list
    bits: int
    locals: list = attrs.field(factory=lambda: [0, 1, 2, 3, 0, 0])
    buffer: list = attrs.field(factory=lambda: list(BUFFER))
    package: list = attrs.field(factory=lambda: list(PACKAGE))

    def run(self):
        try:
            self.block(self.program[self.number])
        except Returned as returned:
            return returned.value
        raise AssertionError("every function ends with a return")

    def cut(self, value):
        return value & ((1 << self.bits) - 1)

    def truth(self, value):
        return self.cut(-1) if value else 0

    # expressions

    def eval(self, expression):
        kind, *rest = expression
        if kind in BINARY:
            return self.cut(BINARY[kind](*map(self.eval, rest)))
        if kind in DIVIDING:
            dividend, divisor = map(self.eval, rest)
            return DIVIDING[kind](dividend, divisor | 1)
        if kind in SHIFTS:
            value, count = map(self.eval, rest)
            return self.cut(SHIFTS[kind](value, min(count, self.bits)))
        if kind in COMPARISONS:
            return self.truth(COMPARISONS[kind](*map(self.eval, rest)))
        if kind in UNARY:
            return self.cut(UNARY[kind](self.eval(rest[0])))
        return getattr(self, f"eval_{kind}".lower())(*rest)

    def eval_const(self, value):
        return self.cut(value)

    def eval_local(self, number):
        return self.locals[number]

    def eval_arg(self, number):
        return self.args[number]

    def eval_size(self, which):
        return len(getattr(self, which))

    def eval_lnot(self, expression):
        return self.truth(not self.eval(expression))

    def eval_at(self, which, expression):
        elements = getattr(self, which)
        return elements[self.eval(expression) % len(elements)]

    def eval_match(self, first_name, first, second_name, second, start):
        operands = self.eval(first), self.eval(second)
        for index in range(self.eval(start) % len(self.package), len(self.package)):
            element = self.package[index]
            if MATCHES[first_name](element, operands[0]) and MATCHES[second_name](
                element, operands[1]
            ):
                return index
        return self.cut(-1)

    def eval_joined(self, one, other, index):
        size = self.bits // 8
        both = b"".join(self.eval(part).to_bytes(size, "little") for part in (one, other))
        return both[index]

    def eval_mid(self, start, length):
        first = self.eval(start) % len(self.buffer)
        return int.from_bytes(bytes(self.buffer[first : first + length]), "little")

    def eval_decimal(self, expression):
        return self.eval(expression)

    def eval_digits(self, expression, count):
        return int(str(self.eval(expression))[:count])

    def eval_bcd(self, expression):
        return int(str(self.eval(expression) % BCD_MODULUS), 16)

    def eval_first(self, expression):
        return self.eval(expression)

    def eval_call(self, number, *arguments):
        values = [self.eval(argument) for argument in arguments]
        if self.number == 0:
            return values[0]
        return Frame(self.program, number % self.number, values, self.bits).run()

    # statements

    def block(self, statements):
        for kind, *rest in statements:
            getattr(self, f"do_{kind}")(*rest)

    def do_store(self, target, expression):
        self.locals[target] = self.eval(expression)

    do_copy = do_store

    def do_op(self, name, one, other, target):
        self.locals[target] = self.eval((name, one, other))

    def do_divide(self, one, other, remainder, quotient):
        dividend, divisor = self.eval(one), self.eval(other) | 1
        self.locals[quotient], self.locals[remainder] = divmod(dividend, divisor)

    def do_increment(self, target):
        self.locals[target] = self.cut(self.locals[target] + 1)

    def do_decrement(self, target):
        self.locals[target] = self.cut(self.locals[target] - 1)

    def do_argument(self, number, expression):
        self.args[number] = self.eval(expression)

    def do_put(self, which, index, expression):
        elements = getattr(self, which)
        value = self.eval(expression)
        elements[self.eval(index) % len(elements)] = value & 0xFF if which == "buffer" else value

    def do_if(self, condition, then, otherwise):
        self.block(then if self.eval(condition) else otherwise)

    def do_while(self, depth, count, body):
        for _ in range(count):
            try:
                self.block(body)
            except Broken:
                return
            except Continued:
                continue

    def do_break(self):
        raise Broken

    def do_continue(self):
        raise Continued

    def do_return(self, expression):
        raise Returned(self.eval(expression))


def meaning(program, bits=64):
    """Return what the last function of a program computes of the arguments 5 and 6."""
    return Frame(program, len(program) - 1, [5, 6], bits).run()


# --- ASL ------------------------------------------------------------------------------------


class Text:
    """The text of a program. `fresh` names its methods apart from those of other programs."""

    def __init__(self, program, fresh):
        self.program = program
        self.fresh = fresh
        self.number = 0

    def name(self, number):
        return f"{self.fresh}{number}"

    def methods(self):
        for number, statements in enumerate(self.program):
            self.number = number
            body = "\n".join([*self.preamble(), *self.block(statements)])
            yield f"Method ({self.name(self.number)}, 2, NotSerialized)\n{{\n{body}\n}}"
        last = self.name(len(self.program) - 1)
        yield f"Method ({self.fresh}M, 0, NotSerialized)\n{{\nReturn ({last} (0x05, 0x06))\n}}"

    def preamble(self):
        first = ["Zero", "One", "0x02", "0x03", "Zero", "Zero"]
        for number, value in enumerate(first):
            yield f"Store ({value}, Local{number})"
        yield f"Store (Buffer (0x05) {{{', '.join(f'0x{byte:02X}' for byte in BUFFER)}}}, Local6)"
        yield f"Store (Package (0x06) {{{', '.join(map(self.const, PACKAGE))}}}, Local7)"

    def const(self, value):
        special = {0: "Zero", 1: "One", (1 << 64) - 1: "Ones"}
        return special.get(value, f"0x{value:02X}")

    def expression(self, expression):
        kind, *rest = expression
        if kind in DIVIDING:
            one, other = map(self.expression, rest)
            return f"{kind} ({one}, Or ({other}, One))"
        if kind in BINARY or kind in SHIFTS or kind in COMPARISONS or kind in UNARY:
            return f"{kind} ({', '.join(map(self.expression, rest))})"
        return getattr(self, f"text_{kind}".lower())(*rest)

    def text_const(self, value):
        return self.const(value)

    def text_local(self, number):
        return f"Local{number}"

    def text_arg(self, number):
        return f"Arg{number}"

    def text_size(self, which):
        return f"SizeOf ({self.object(which)})"

    def object(self, which):
        return {"buffer": "Local6", "package": "Local7"}[which]

    def text_lnot(self, expression):
        return f"LNot ({self.expression(expression)})"

    def element(self, which, expression):
        count = {"buffer": len(BUFFER), "package": len(PACKAGE)}[which]
        return f"Index ({self.object(which)}, Mod ({self.expression(expression)}, 0x{count:02X}))"

    def text_at(self, which, expression):
        return f"DerefOf ({self.element(which, expression)})"

    def text_match(self, first_name, first, second_name, second, start):
        first, second, start = map(self.expression, (first, second, start))
        start = f"Mod ({start}, 0x{len(PACKAGE):02X})"
        return f"Match (Local7, {first_name}, {first}, {second_name}, {second}, {start})"

    def text_joined(self, one, other, index):
        both = ", ".join(map(self.expression, (one, other)))
        return f"DerefOf (Index (Concatenate ({both}), {self.const(index)}))"

    def text_mid(self, start, length):
        start = f"Mod ({self.expression(start)}, 0x{len(BUFFER):02X})"
        return f"ToInteger (Mid (Local6, {start}, {self.const(length)}))"

    def text_decimal(self, expression):
        return f"ToInteger (ToDecimalString ({self.expression(expression)}))"

    def text_digits(self, expression, count):
        text = f"ToDecimalString ({self.expression(expression)})"
        return f"ToInteger (Mid ({text}, Zero, {self.const(count)}))"

    def text_bcd(self, expression):
        return f"ToBCD (Mod ({self.expression(expression)}, {self.const(BCD_MODULUS)}))"

    def text_first(self, expression):
        return f"ToInteger (ToBuffer ({self.expression(expression)}))"

    def text_call(self, number, *arguments):
        texts = [self.expression(argument) for argument in arguments]
        if self.number == 0:
            return texts[0]
        return f"{self.name(number % self.number)} ({', '.join(texts)})"

    def block(self, statements):
        for kind, *rest in statements:
            yield getattr(self, f"write_{kind}")(*rest)

    def braces(self, statements):
        return "{" + "\n".join(self.block(statements)) + "}"

    def write_store(self, target, expression):
        return f"Store ({self.expression(expression)}, Local{target})"

    def write_copy(self, target, expression):
        return f"CopyObject ({self.expression(expression)}, Local{target})"

    def write_op(self, name, one, other, target):
        return f"{name} ({self.expression(one)}, {self.expression(other)}, Local{target})"

    def write_divide(self, one, other, remainder, quotient):
        one, other = self.expression(one), self.expression(other)
        return f"Divide ({one}, Or ({other}, One), Local{remainder}, Local{quotient})"

    def write_increment(self, target):
        return f"Increment (Local{target})"

    def write_decrement(self, target):
        return f"Decrement (Local{target})"

    def write_argument(self, number, expression):
        return f"Store ({self.expression(expression)}, Arg{number})"

    def write_put(self, which, index, expression):
        return f"Store ({self.expression(expression)}, {self.element(which, index)})"

    def write_if(self, condition, then, otherwise):
        text = f"If ({self.expression(condition)}) {self.braces(then)}"
        return f"{text} Else {self.braces(otherwise)}" if otherwise else text

    def write_while(self, depth, count, body):
        local = f"Local{LOOP_LOCALS[depth]}"
        turn = f"Increment ({local})\n" + "\n".join(self.block(body))
        return f"Store (Zero, {local})\nWhile (LLess ({local}, {self.const(count)})) {{\n{turn}\n}}"

    def write_break(self):
        return "Break"

    def write_continue(self):
        return "Continue"

    def write_return(self, expression):
        return f"Return ({self.expression(expression)})"


def names(index):
    """Return the fresh prefix and the main method's path of a program of many."""
    fresh = f"{chr(ord('A') + index // 26)}{chr(ord('A') + index % 26)}"
    return fresh, f"\\{fresh}M"


def asl(program_list):
    """Return the methods of many programs in ASL."""
    return "\n".join(
        method
        for index, program in enumerate(program_list)
        for method in Text(program, names(index)[0]).methods()
    )
