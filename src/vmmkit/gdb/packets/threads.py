# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Packets about vCPUs as threads (GDB manual, "Packets", "General Query Packets")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from vmmkit.gdb.packets.table import Handler, PacketError, Reply, number
from vmmkit.gdb.spec import PROCESS, ErrorCode
from vmmkit.gdb.threads import ALL, ANY

if TYPE_CHECKING:
    from vmmkit.gdb.stub import Stub

__all__ = ["PACKETS", "describe_vcpu", "name_of"]


def name_of(vcpu: int) -> str:
    """Return what a vCPU is called."""
    return f"vCPU {vcpu}"


def describe_vcpu(stub: Stub, vcpu: int) -> str:
    """Return a few words about a vCPU; one that runs is not looked at."""
    if stub.run.is_running(vcpu):
        return f"{name_of(vcpu)} [running]"
    if not stub.capabilities.thread_describer:
        return name_of(vcpu)
    return str(stub.target.describe_vcpu(vcpu))


def _select_general(stub: Stub, text: bytes) -> None:
    """Select for registers and memory; where any will do, the one that is selected."""
    vcpus = stub.vcpus()
    if stub.threads.parse(text) not in {ALL, ANY}:
        stub.selected = stub.threads.one_of(text, vcpus)
    elif stub.selected not in vcpus:
        stub.selected = min(vcpus)


def _select_resumed(stub: Stub, text: bytes) -> None:
    several = stub.threads.parse(text) in {ALL, ANY}
    stub.resumed = None if several else stub.threads.one_of(text, stub.vcpus())


SELECTIONS: Final = {b"g": _select_general, b"c": _select_resumed}


def _select(stub: Stub, rest: bytes) -> Reply:
    select = SELECTIONS.get(rest[:1])
    if select is None:
        raise PacketError(ErrorCode.UNSUPPORTED, f"H has no operation {rest[:1]!r}")
    select(stub, rest[1:])
    return b"OK"


def _is_alive(stub: Stub, rest: bytes) -> Reply:
    stub.threads.one_of(rest, stub.vcpus())
    return b"OK"


def _current(stub: Stub, _rest: bytes) -> Reply:
    return b"QC" + stub.threads.format(stub.selected)


def _first_threads(stub: Stub, _rest: bytes) -> Reply:
    stub.unlisted = stub.vcpus()
    return _more_threads(stub, b"")


def _more_threads(stub: Stub, _rest: bytes) -> Reply:
    """List as many as a packet holds; the list is that of the first packet."""
    left = stub.unlisted
    if not left:
        return b"l"
    fit = (stub.options.packet_size - 1) // (len(stub.threads.format(max(left))) + 1)
    stub.unlisted = left[fit:]
    return b"m" + b",".join(map(stub.threads.format, left[:fit]))


def _extra(stub: Stub, rest: bytes) -> Reply:
    vcpu = stub.threads.one_of(rest, stub.vcpus())
    text = describe_vcpu(stub, vcpu).encode("utf-8", "replace")
    return text[: stub.options.packet_size // 2].hex().encode()


def _attached(_stub: Stub, rest: bytes) -> Reply:
    """Say that the machine was there before the debugger, which is to detach rather than kill."""
    if rest and number(rest) != PROCESS:
        raise PacketError(ErrorCode.NO_THREAD, f"there is no process {rest!r:.20}")
    return b"1"


PACKETS: Final[Mapping[str, Handler]] = {
    "H": _select,
    "T": _is_alive,
    "qC": _current,
    "qfThreadInfo": _first_threads,
    "qsThreadInfo": _more_threads,
    "qThreadExtraInfo": _extra,
    "qAttached": _attached,
}
