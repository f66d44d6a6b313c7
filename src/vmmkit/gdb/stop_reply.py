# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Stop replies: what the debugger is told when a vCPU stands (GDB manual, "Stop Reply Packets")."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final

from vmmkit.gdb._worth_telling import program_counter
from vmmkit.gdb.spec import PROCESS, Signal
from vmmkit.gdb.target import Stop, StopKind

if TYPE_CHECKING:
    from vmmkit.gdb.description import Description
    from vmmkit.gdb.stub import Stub

__all__ = ["exec_reply", "exit_reply", "expedited", "stop_reply"]

# The reason's word, and the feature without which the debugger would not know it.
BREAKS: Final = {StopKind.SOFTWARE: "swbreak", StopKind.HARDWARE: "hwbreak"}
WATCHES: Final = {StopKind.WRITE, StopKind.READ, StopKind.ACCESS}
EXPEDITED: Final = ("rbp", "rsp", "rip")
UNAVAILABLE: Final = b"xx"
BACKWARDS: Final = b"replaylog:begin;"


def _reason(stub: Stub, stop: Stop) -> bytes:
    if stop.kind in BREAKS:
        word = BREAKS[stop.kind]
        known = word in stub.features and _is_where_it_says(stub, stop)
        return word.encode() + b":;" if known else b""
    if stop.kind in WATCHES and stop.address is not None:
        return b"%s:%x;" % (stop.kind.value.encode(), stop.address)
    return BACKWARDS if stop.kind is StopKind.HISTORY else b""


def _is_where_it_says(stub: Stub, stop: Stop) -> bool:
    """Whether the debugger finds a breakpoint's address in the program counter.

    It does not in code with a base, CS times 16 in real mode: breakpoints are at linear addresses
    and EIP is an offset. A debugger that looks for a breakpoint at EIP and finds none takes the
    stop for one that is late, and goes on without a word; without a reason it shows the stop.
    """
    at = stop.address
    return at is None or stub.attempt(partial(_sees, stub, stop.vcpu, at), True)


def _sees(stub: Stub, vcpu: int, address: int) -> bool:
    return not stub.registers(vcpu).get("cs_base") or program_counter(stub, vcpu) == address


@lru_cache(maxsize=64)
def expedited(description: Description) -> tuple[int, ...]:
    """Return the numbers of the registers that every debugger asks for next."""
    return tuple(r.number for r in description.registers if r.source in EXPEDITED)


def _expedited(stub: Stub, vcpu: int) -> bytes:
    """Tell registers in advance; never an unavailable one, which only `g` and `p` may have.

    LLDB takes a number for a register's only if it has two digits. A stop is told without them
    where they cannot be read: it must not get lost. Neither are they told before it is known what
    the debugger takes their numbers for.
    """
    if not stub.knows_layout:
        return b""
    return stub.attempt(partial(_values_of, stub, vcpu), b"")


def _values_of(stub: Stub, vcpu: int) -> bytes:
    values, description = stub.registers(vcpu), stub.description
    told = [(n, description.value(n, values)) for n in expedited(description)]
    return b"".join([b"%02x:%s;" % one for one in told if one[1][:2] != UNAVAILABLE])


def _where(stub: Stub, vcpu: int) -> bytes:
    listed = b""
    if stub.lists_threads:
        vcpus = stub.attempt(stub.vcpus, [vcpu])
        listed = b"threads:%s;" % b",".join(map(stub.threads.format, vcpus))
    return b"thread:%s;core:%x;%s" % (stub.threads.format(vcpu), vcpu, listed)


def stop_reply(stub: Stub, stop: Stop) -> bytes:
    """Return the `T` packet of a stop, or `W` for the end of the machine."""
    if stop.kind is StopKind.EXITED:
        return exit_reply(stub, stop.signal)
    signal = stop.signal if stop.kind in {StopKind.SIGNAL, StopKind.ASKED} else Signal.TRAP
    head = b"T%02x%s" % (signal & 0xFF, _reason(stub, stop))
    return head + _where(stub, stop.vcpu) + _expedited(stub, stop.vcpu)


def exit_reply(stub: Stub, status: int) -> bytes:
    """Return the `W` packet: the machine has ended."""
    process = b";process:%x" % PROCESS if stub.threads.multiprocess else b""
    return b"W%02x%s" % (status & 0xFF, process)


def exec_reply(stub: Stub, vcpu: int) -> bytes:
    """Return the stop at which a debugger forgets its target description and reads it again.

    It is the stop of a program that has executed another one, which has no path here: GDB would
    take the architecture from that file again, whatever the processor's mode is.
    """
    return b"T%02xexec:;%s" % (Signal.TRAP, _where(stub, vcpu))
