# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Packets that insert and remove breakpoints and watchpoints (GDB manual, "Packets", `z`, `Z`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from vmmkit.errors import ExpressionError, TargetError
from vmmkit.gdb.breakpoints import Breakpoint
from vmmkit.gdb.codec import from_hex
from vmmkit.gdb.expression import Expression
from vmmkit.gdb.packets.table import Handler, PacketError, Reply
from vmmkit.gdb.spec import ErrorCode
from vmmkit.gdb.target import BreakpointKind

if TYPE_CHECKING:
    from vmmkit.gdb.stub import Stub

__all__ = ["MAX_BREAKPOINTS", "MAX_BYTECODE", "MAX_EXPRESSIONS", "PACKETS", "features"]

MAX_BREAKPOINTS: Final = 4096  #: inserted at a time
MAX_EXPRESSIONS: Final = 64  #: conditions and commands of one breakpoint
MAX_BYTECODE: Final = 0x40000  #: bytes of all expressions together

LONGEST_INSTRUCTION: Final = 15
KINDS: Final = {b"%d" % kind: kind for kind in BreakpointKind}
BREAKS: Final = frozenset({BreakpointKind.SOFTWARE, BreakpointKind.HARDWARE})
ADDRESS_BITS: Final = {16: 32, 32: 32, 64: 64}

PLACE: Final = re.compile(rb"(.),([0-9a-fA-F]{1,16}),([0-9a-fA-F]{1,16})(?:;(.*))?", re.DOTALL)
COMMANDS: Final = re.compile(rb"cmds:([0-9a-fA-F]{1,8}),(.*)", re.DOTALL)
BYTECODE: Final = re.compile(rb"X([0-9a-fA-F]{1,4}),")


class Place(NamedTuple):
    """What a breakpoint packet is about."""

    kind: BreakpointKind
    address: int
    size: int


class Orders(NamedTuple):
    """What the debugger leaves to the stub at a breakpoint."""

    conditions: tuple[Expression, ...] = ()
    commands: tuple[Expression, ...] = ()
    persist: bool = False


def _split(text: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    found = PLACE.fullmatch(text)
    if found is None:
        raise PacketError(ErrorCode.MALFORMED, f"{text!r:.40} is no breakpoint")
    kind, address, size, orders = found.groups()
    return kind, address, size, orders or b""


def _place(stub: Stub, kind: BreakpointKind, address: bytes, size: bytes) -> Place:
    """Check where a breakpoint is, with the address as wide as the debugger thinks addresses are.

    GDB extends addresses of 32 bits with their sign. A breakpoint's kind is the length of its
    instruction; 0 is what the manual has for machines with one kind only.
    """
    limit = 1 << ADDRESS_BITS[stub.description.mode]
    place = Place(kind, int(address, 16) % limit, int(size, 16))
    if kind in BREAKS:
        if place.size > LONGEST_INSTRUCTION:
            raise PacketError(ErrorCode.BAD_VALUE, f"no instruction has {place.size} bytes")
        return place._replace(size=max(place.size, 1))
    if not place.size or place.address + place.size > limit:
        raise PacketError(ErrorCode.BAD_VALUE, f"{place.size:#x} bytes cannot be watched there")
    return place


def _bytecodes(text: bytes) -> Iterator[bytes]:
    """Take apart a list of expressions, which has no separators."""
    position = 0
    while position < len(text):
        found = BYTECODE.match(text, position)
        if found is None:
            raise PacketError(ErrorCode.MALFORMED, "no list of expressions")
        position = found.end() + 2 * int(found[1], 16)
        digits = text[found.end() : position]
        if position > len(text):
            raise PacketError(ErrorCode.MALFORMED, "an expression is cut off")
        yield from_hex(digits)


def _expressions(text: bytes) -> tuple[Expression, ...]:
    return tuple(map(Expression, _bytecodes(text)))


def _orders(text: bytes) -> Orders:
    """Read conditions and commands: `X length,bytecode...;cmds:persist,X length,bytecode...`."""
    orders = Orders()
    for part in text.split(b";"):
        commands = COMMANDS.fullmatch(part)
        if commands is None:
            orders = orders._replace(conditions=orders.conditions + _expressions(part))
        else:
            persist = int(commands[1], 16) != 0
            orders = orders._replace(commands=_expressions(commands[2]), persist=persist)
    return orders


def _checked_orders(text: bytes) -> Orders:
    try:
        orders = _orders(text)
    except ExpressionError as error:
        raise PacketError(ErrorCode.EXPRESSION, str(error)) from error
    except ValueError as error:
        raise PacketError(ErrorCode.MALFORMED, str(error)) from error
    if not all(condition.gives_value for condition in orders.conditions):
        raise PacketError(ErrorCode.EXPRESSION, "a condition gives no value")
    if len(orders.conditions) + len(orders.commands) > MAX_EXPRESSIONS:
        raise PacketError(ErrorCode.TOO_LARGE, f"more than {MAX_EXPRESSIONS} expressions")
    return orders


def _check_room(stub: Stub, orders: Orders, before: Breakpoint | None) -> None:
    table, expressions = stub.breakpoints, (*orders.conditions, *orders.commands)
    total = table.bytecode_size + sum(len(expression.bytecode) for expression in expressions)
    if before is not None:
        total -= before.bytecode_size
    if total > MAX_BYTECODE or (before is None and len(table) >= MAX_BREAKPOINTS):
        raise PacketError(ErrorCode.BREAKPOINT, "there are too many breakpoints")


def _supported(stub: Stub, kind: BreakpointKind | None) -> bool:
    """Whether there are breakpoints of a kind; an empty reply says no.

    Software breakpoints are the exception, which only an error can refuse: told that the stub has
    none, a debugger would write its own over the guest's code.
    """
    if kind is None:
        return False
    supported = kind in stub.capabilities.breakpoints
    if kind is BreakpointKind.SOFTWARE and not supported:
        raise PacketError(ErrorCode.UNSUPPORTED, "the target has no software breakpoints")
    return supported


def _require_changeable(stub: Stub) -> None:
    stub.require_writable()
    if stub.run.any_running and not stub.run.non_stop:
        raise PacketError(ErrorCode.RUNNING, "the vCPUs run")


def _insert(stub: Stub, rest: bytes) -> Reply:
    number, address, size, text = _split(rest)
    kind = KINDS.get(number)
    if kind is None or not _supported(stub, kind):
        return b""
    _require_changeable(stub)
    place, orders = _place(stub, kind, address, size), _checked_orders(text)
    found = stub.breakpoints.find(*place)
    _check_room(stub, orders, found)
    if found is not None:
        stub.breakpoints.insert(*place, *orders, vcpu=found.vcpu)
    else:
        _insert_new(stub, place, orders)
    return b"OK"


def _insert_new(stub: Stub, place: Place, orders: Orders) -> None:
    """Insert it here first: in non-stop mode a vCPU may run into it at once."""
    vcpu = stub.selected
    stub.breakpoints.insert(*place, *orders, vcpu=vcpu)
    try:
        stub.target.insert_breakpoint(place.kind, vcpu, *place[1:])
    except BaseException as error:
        stub.breakpoints.remove(*place)
        if isinstance(error, TargetError):
            raise PacketError(ErrorCode.BREAKPOINT, str(error)) from error
        raise


def _remove(stub: Stub, rest: bytes) -> Reply:
    number, address, size, _ = _split(rest)
    kind = KINDS.get(number)
    if kind is None or not _supported(stub, kind):
        return b""
    _require_changeable(stub)
    place = _place(stub, kind, address, size)
    found = stub.breakpoints.find(*place)
    if found is None:
        return b"OK"
    try:
        stub.target.remove_breakpoint(kind, found.vcpu, *place[1:])
    except TargetError as error:
        raise PacketError(ErrorCode.BREAKPOINT, str(error)) from error
    stub.breakpoints.remove(*place)
    return b"OK"


def features(stub: Stub) -> Iterable[bytes]:
    """Announce the reasons of stops, and what the stub does by itself at breakpoints."""
    kinds = stub.capabilities.breakpoints
    if BreakpointKind.SOFTWARE in kinds:
        yield b"swbreak+"
    if BreakpointKind.HARDWARE in kinds:
        yield b"hwbreak+"
    if kinds & BREAKS:
        yield b"ConditionalBreakpoints+"
        yield b"BreakpointCommands+"


PACKETS: Final[Mapping[str, Handler]] = {"Z": _insert, "z": _remove}
