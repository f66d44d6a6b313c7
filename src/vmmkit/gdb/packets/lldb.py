# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Packets of LLDB's own, where they are of use with a machine.

LLDB's documentation, "GDB Remote Protocol Extensions". Memory regions and registers one by one are
with memory and registers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from vmmkit.gdb.codec import escape
from vmmkit.gdb.packets.table import Handler, PacketError, Reply
from vmmkit.gdb.packets.threads import name_of
from vmmkit.gdb.spec import PROCESS, ErrorCode, Signal
from vmmkit.gdb.stop_reply import expedited
from vmmkit.gdb.target import Stop, StopKind

if TYPE_CHECKING:
    from vmmkit.gdb.stub import Stub

__all__ = ["PACKETS"]

# No vendor and no operating system: LLDB then looks for no loader and no libraries.
TRIPLES: Final = {64: "x86_64-unknown-unknown", 32: "i386-unknown-unknown"}
POINTER_SIZES: Final = {64: 8, 32: 4}
REASONS: Final = {
    StopKind.STEP: "trace",
    StopKind.SOFTWARE: "breakpoint",
    StopKind.HARDWARE: "breakpoint",
    StopKind.WRITE: "watchpoint",
    StopKind.READ: "watchpoint",
    StopKind.ACCESS: "watchpoint",
    StopKind.SIGNAL: "signal",
}


def _fields(values: Mapping[str, object]) -> bytes:
    return "".join(f"{key}:{value};" for key, value in values.items()).encode()


def _architecture(stub: Stub) -> Mapping[str, object]:
    """Return what the debugger is to disassemble; real mode has no triple of its own."""
    bits = max(stub.describe().mode, min(TRIPLES))
    return {
        "triple": TRIPLES[bits].encode().hex(),
        "endian": "little",
        "ptrsize": POINTER_SIZES[bits],
    }


def _host(stub: Stub, _rest: bytes) -> Reply:
    """Describe the machine: x86 processors stop after the access that is watched."""
    return _fields({**_architecture(stub), "watchpoint_exceptions_received": "after"})


def _process(stub: Stub, _rest: bytes) -> Reply:
    return _fields({"pid": f"{PROCESS:x}", **_architecture(stub)})


def _stop(stop: Stop | None) -> dict[str, Any]:
    """Return why a vCPU stands, if it is the one that stopped the others."""
    if stop is None or stop.kind not in REASONS:
        return {"reason": "none"}
    signal = stop.signal if stop.kind is StopKind.SIGNAL else Signal.TRAP
    found: dict[str, Any] = {"reason": REASONS[stop.kind], "signal": int(signal)}
    if found["reason"] == "watchpoint" and stop.address is not None:
        found["description"] = str(stop.address)
    return found


def _thread(stub: Stub, vcpu: int) -> dict[str, Any]:
    values, description = stub.registers(vcpu), stub.description
    numbers = [n for n in expedited(description) if description.integer(n, values) is not None]
    last = stub.run.last
    return {
        "tid": vcpu + 1,
        "name": name_of(vcpu),
        **_stop(last if last is not None and last.vcpu == vcpu else None),
        "registers": {str(n): description.value(n, values).decode() for n in numbers},
    }


def _threads(stub: Stub, _rest: bytes) -> Reply:
    """Tell of all vCPUs at once; where that is too much, LLDB asks for one after the other."""
    vcpus = stub.vcpus()
    text = json.dumps([_thread(stub, vcpu) for vcpu in vcpus], separators=(",", ":"))
    reply = escape(text.encode())
    if len(reply) > stub.options.packet_size:
        raise PacketError(ErrorCode.TOO_LARGE, f"{len(vcpus)} vCPUs do not fit into a packet")
    return reply


def _thread_suffix(stub: Stub, _rest: bytes) -> Reply:
    stub.thread_suffix = True
    return b"OK"


def _list_threads(stub: Stub, _rest: bytes) -> Reply:
    stub.lists_threads = True
    return b"OK"


def _error_strings(stub: Stub, _rest: bytes) -> Reply:
    stub.error_strings = True
    return b"OK"


PACKETS: Final[Mapping[str, Handler]] = {
    "qHostInfo": _host,
    "qProcessInfo": _process,
    "jThreadsInfo": _threads,
    "QThreadSuffixSupported": _thread_suffix,
    "QListThreadsInStopReply": _list_threads,
    "QEnableErrorStrings": _error_strings,
}
