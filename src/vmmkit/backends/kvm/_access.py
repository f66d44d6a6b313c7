# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The access that an exit asks for, piece by piece.

An exit of KVM's may stand for several accesses: the elements of a repeated INS or OUTS, or an MMIO
access of an odd size, where an operand crosses a page. They are done one after another, in the
sizes that a device takes, before the vCPU goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from vmmkit.backends.kvm._run_page import RunPage
from vmmkit.backends.kvm._spec import (
    EXIT_IO,
    EXIT_MMIO,
    EXIT_MSR,
    IO_IN,
    MMIO_DATA,
    MSR_DATA,
    MSR_ERROR,
    RUN_UNION,
    Exit,
)
from vmmkit.errors import AccessAddressError
from vmmkit.insn import ExitKind, Outcome, PortIn, PortOut, Read, ReadMsr, Write, WriteMsr
from vmmkit.protocols import AccessPort

__all__ = ["DEVICE_EXITS", "MASKS", "Access"]

READ, WRITE = int(ExitKind.READ), int(ExitKind.WRITE)
PORT_IN, PORT_OUT = int(ExitKind.PORT_IN), int(ExitKind.PORT_OUT)
READ_MSR, WRITE_MSR = int(ExitKind.READ_MSR), int(ExitKind.WRITE_MSR)
READS: Final = frozenset({READ, PORT_IN, READ_MSR})
MSRS: Final = frozenset({READ_MSR, WRITE_MSR})
MASKS: Final = {size: (1 << 8 * size) - 1 for size in (1, 2, 4, 8)}
PORTS: Final = 1 << 16

Piece = tuple[int, int, int]
"""Address, size in bytes, and where the data is in the pages."""


def _odd(gpa: int, size: int) -> list[Piece]:
    """Cut what a page crossing leaves into sizes of 1, 2 and 4, each aligned."""
    found, place = [], MMIO_DATA
    while size:
        piece = 4
        while piece > size or gpa % piece:
            piece //= 2
        found.append((gpa, piece, place))
        gpa, place, size = gpa + piece, place + piece, size - piece
    return found


class Access:
    """What the last exit asks its owner for.

    Attributes:
        kind: the `ExitKind`, 0 when nothing is in flight.
    """

    __slots__ = ("_number", "_page", "_pieces", "kind")

    def __init__(self, page: RunPage) -> None:
        """Begin with nothing in flight."""
        self._page, self.kind, self._number = page, 0, 0
        self._pieces: list[Piece] = []

    def take(self, reason: int) -> None:
        """Take what is in the page for an exit of `DEVICE_EXITS`."""
        self._number = 0
        self.kind, self._pieces = DEVICE_EXITS[reason](self._page.octets)

    @property
    def reads(self) -> bool:
        """Whether it needs a value."""
        return self.kind in READS

    @property
    def of_msr(self) -> bool:
        """Whether it is to an MSR."""
        return self.kind in MSRS

    @property
    def left(self) -> bool:
        """Whether a piece is to be done."""
        return self._number < len(self._pieces)

    def outcome(self) -> Outcome:
        """Return the piece that is to be done."""
        address, size, _ = self._pieces[self._number]
        return SHAPES[self.kind](address, size, self._value())

    def _value(self) -> int:
        _, size, place = self._pieces[self._number]
        return int.from_bytes(self._page.octets[place : place + size], "little")

    def done(self, answer: int = 0) -> None:
        """Go to the next piece; a read's `answer` is cut to its size."""
        if self.kind in READS:
            _, size, place = self._pieces[self._number]
            value = (answer & MASKS[size]).to_bytes(size, "little")
            self._page.octets[place : place + size] = value
        self._number += 1

    def skip(self) -> None:
        """Note that all pieces are done."""
        self._number = len(self._pieces)

    def refuse(self) -> None:
        """Refuse the access to an MSR."""
        self._page.octets[MSR_ERROR] = 1
        self.skip()

    def serve(self, mmio: AccessPort, pio: AccessPort) -> None:
        """Do all that is left through ports; what a port refuses by raising is still left."""
        port = mmio if self.kind in (READ, WRITE) else pio
        while self.left:
            address, size, _ = self._pieces[self._number]
            try:
                if self.kind in READS:
                    self.done(port.read(address, size))
                else:
                    port.write(address, size, self._value())
                    self.done()
            except AccessAddressError:
                if port is mmio or address + size <= PORTS:
                    raise
                self.done(MASKS[size])  # it begins at the last ports and ends behind them


def _mmio(octets: memoryview) -> tuple[int, list[Piece]]:
    gpa, _, size, is_write = EXIT_MMIO.unpack_from(octets, RUN_UNION)
    pieces = [(gpa, size, MMIO_DATA)] if size in MASKS else _odd(gpa, size)
    return WRITE if is_write else READ, pieces


def _io(octets: memoryview) -> tuple[int, list[Piece]]:
    direction, size, port, count, place = EXIT_IO.unpack_from(octets, RUN_UNION)
    pieces = [(port, size, place + size * number) for number in range(count)]
    return PORT_IN if direction == IO_IN else PORT_OUT, pieces


def _read_msr(octets: memoryview) -> tuple[int, list[Piece]]:
    return READ_MSR, [(EXIT_MSR.unpack_from(octets, RUN_UNION)[2], 8, MSR_DATA)]


def _write_msr(octets: memoryview) -> tuple[int, list[Piece]]:
    return WRITE_MSR, _read_msr(octets)[1]


DEVICE_EXITS: Final[dict[int, Callable[[memoryview], tuple[int, list[Piece]]]]] = {
    Exit.MMIO: _mmio,
    Exit.IO: _io,
    Exit.X86_RDMSR: _read_msr,
    Exit.X86_WRMSR: _write_msr,
}
SHAPES: Final[dict[int, Callable[[int, int, int], Outcome]]] = {
    READ: lambda address, size, _: Read(address, size),
    WRITE: Write,
    PORT_IN: lambda address, size, _: PortIn(address, size),
    PORT_OUT: PortOut,
    READ_MSR: lambda index, _, __: ReadMsr(index),
    WRITE_MSR: lambda index, _, value: WriteMsr(index, value),
}
