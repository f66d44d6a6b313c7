# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Objects that a debugger reads in pieces: the list of threads, and the path of the program.

GDB manual, "General Query Packets" (`qXfer:threads:read`, `qXfer:exec-file:read`) and "Thread List
Format". What does not fit is read with the next packet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from html import escape
from typing import TYPE_CHECKING, Final

from vmmkit.gdb.codec import transfer
from vmmkit.gdb.packets.table import Handler, PacketError, Reply, number
from vmmkit.gdb.packets.threads import describe_vcpu, name_of
from vmmkit.gdb.spec import PROCESS, ErrorCode

if TYPE_CHECKING:
    from vmmkit.gdb.stub import Stub

__all__ = ["PACKETS", "features"]


def features(stub: Stub) -> Iterator[bytes]:
    """Announce what there is to read."""
    yield b"qXfer:threads:read+"
    if stub.options.exec_file is not None:
        yield b"qXfer:exec-file:read+"


def _piece(stub: Stub, place: bytes, read: Callable[[int], bytes]) -> Reply:
    """Return what a debugger wants of an object, read when its place is known."""
    offset, comma, length = place.partition(b",")
    if not comma:
        raise PacketError(ErrorCode.MALFORMED, f"{place!r:.40} is no offset and length")
    first, size = number(offset), number(length)
    data = read(first)
    if first > len(data):
        raise PacketError(ErrorCode.BAD_VALUE, f"there are {len(data):#x} bytes")
    return transfer(data, first, size, stub.options.packet_size)


def _thread(stub: Stub, vcpu: int) -> str:
    """Return a thread's element; GDB shows the name before what else there is to tell."""
    name = name_of(vcpu)
    more = describe_vcpu(stub, vcpu).removeprefix(name).strip()
    text = "".join(character if character.isprintable() else "?" for character in more)
    identity = stub.threads.format(vcpu).decode()
    return f'<thread id="{identity}" core="{vcpu}" name="{escape(name)}">{escape(text)}</thread>'


def _thread_list(stub: Stub) -> bytes:
    threads = [_thread(stub, vcpu) for vcpu in stub.vcpus()]
    lines = ('<?xml version="1.0"?>', "<threads>", *threads, "</threads>", "")
    return "\n".join(lines).encode("utf-8", "replace")


def _threads(stub: Stub, rest: bytes) -> Reply:
    """Answer from the list as it was when its first byte was read: pieces must fit together."""

    def read(first: int) -> bytes:
        if not first:
            stub.thread_list = _thread_list(stub)
        return stub.thread_list

    annex, _, place = rest.partition(b":")
    if annex:
        raise PacketError(ErrorCode.MALFORMED, "the list of threads has no annex")
    return _piece(stub, place, read)


def _exec_file(stub: Stub, rest: bytes) -> Reply:
    path = stub.options.exec_file
    if path is None:
        return b""
    process, _, place = rest.partition(b":")
    if process and number(process) != PROCESS:
        raise PacketError(ErrorCode.NO_THREAD, f"there is no process {process!r:.20}")
    data = path.encode("utf-8", "surrogateescape")
    return _piece(stub, place, lambda _first: data)


PACKETS: Final[Mapping[str, Handler]] = {
    "qXfer:threads:read": _threads,
    "qXfer:exec-file:read": _exec_file,
}
