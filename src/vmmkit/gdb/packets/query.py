# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Packets by which debugger and stub agree on what both understand.

Sources: the GDB manual, "General Query Packets" (`qSupported`, `QStartNoAckMode`) and "Packets"
(`vMustReplyEmpty`). The packets that begin with `qqemu` and `Qqemu` are QEMU's, for tools that are
made for its stub: which interrupts are held while stepping, and whether addresses are physical
(QEMU's manual, "GDB usage"). A target that has none of that answers them as unknown packets are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from vmmkit.gdb import packets
from vmmkit.gdb.packets.table import Handler, PacketError, Reply, number
from vmmkit.gdb.spec import ErrorCode

if TYPE_CHECKING:
    from vmmkit.gdb.stub import Stub

__all__ = ["PACKETS", "features"]

# Both sides must know of these: they are announced to a debugger that has announced them.
MUTUAL: Final = ("multiprocess", "error-message")

ENABLE, NO_INTERRUPTS = 1, 2
STEP_BITS: Final = b"ENABLE=%x,NOIRQ=%x" % (ENABLE, NO_INTERRUPTS)
# Attributes of targets that can do what QEMU's packets ask for.
HOLD_INTERRUPTS: Final = "hold_interrupts_while_stepping"
PHYSICAL: Final = "physical"


def features(stub: Stub) -> Iterator[bytes]:
    """Announce what is the connection's."""
    yield b"PacketSize=%x" % stub.options.packet_size
    yield b"QStartNoAckMode+"
    for name in MUTUAL:
        if name in stub.features:
            yield name.encode() + b"+"


def _supported(stub: Stub, rest: bytes) -> Reply:
    """Learn what the debugger understands; say what the stub does.

    What has a value, such as `xmlRegisters=i386`, says nothing that matters here.
    """
    announced = (name[:-1] for name in rest.split(b";") if name.endswith(b"+"))
    stub.features = frozenset(name.decode("ascii", "replace") for name in announced)
    stub.threads.multiprocess = "multiprocess" in stub.features
    return b";".join(packets.ALL_PACKETS.features(stub))


def _start_no_ack(stub: Stub, _rest: bytes) -> Reply:
    stub.session.start_no_ack()
    return b"OK"


def _of_target(attribute: str, answer: Callable[[Stub, bytes], Reply]) -> Handler:
    """Answer a packet only with a target that has an attribute."""

    def answer_if_there(stub: Stub, rest: bytes) -> Reply:
        there = getattr(stub.target, attribute, None) is not None
        return answer(stub, rest) if there else b""

    return answer_if_there


def _steps_as(stub: Stub, _rest: bytes) -> Reply:
    holds = getattr(stub.target, HOLD_INTERRUPTS)
    return b"0x%x" % (ENABLE | (NO_INTERRUPTS if holds else 0))


def _step_as(stub: Stub, rest: bytes) -> Reply:
    bits = number(rest.removeprefix(b"0x"))
    if bits & ~NO_INTERRUPTS != ENABLE:
        raise PacketError(ErrorCode.BAD_VALUE, f"{bits:#x} is not among {STEP_BITS.decode()}")
    setattr(stub.target, HOLD_INTERRUPTS, bool(bits & NO_INTERRUPTS))
    return b"OK"


def _is_physical(stub: Stub, _rest: bytes) -> Reply:
    return b"1" if getattr(stub.target, PHYSICAL) else b"0"


def _be_physical(stub: Stub, rest: bytes) -> Reply:
    if rest not in {b"0", b"1"}:
        raise PacketError(ErrorCode.MALFORMED, "PhyMemMode is 0 or 1")
    setattr(stub.target, PHYSICAL, rest == b"1")
    return b"OK"


PACKETS: Final[Mapping[str, Handler]] = {
    "qSupported": _supported,
    "QStartNoAckMode": _start_no_ack,
    "vMustReplyEmpty": lambda _stub, _rest: b"",
    "qqemu.sstepbits": _of_target(HOLD_INTERRUPTS, lambda _stub, _rest: STEP_BITS),
    "qqemu.sstep": _of_target(HOLD_INTERRUPTS, _steps_as),
    "Qqemu.sstep": _of_target(HOLD_INTERRUPTS, _step_as),
    "qqemu.PhyMemMode": _of_target(PHYSICAL, _is_physical),
    "Qqemu.PhyMemMode": _of_target(PHYSICAL, _be_physical),
}
