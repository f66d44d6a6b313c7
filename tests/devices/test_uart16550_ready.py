# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""`ready` of serial ports: an owner with more input than room hears of room."""

import pytest

from vmmkit.devices.pci_uart import PciUart
from vmmkit.devices.uart16550 import Uart16550, UartSnapshot
from vmmkit.errors import DeviceError

RBR, IER, FCR, LCR, MCR, LSR = 0, 1, 2, 3, 4, 5
TEXT = bytes(range(65, 65 + 40))
LOOP = 0x10


class Console:
    """Input that waits for room; `calls` are what `room` was when `ready` was called."""

    def __init__(self, text=TEXT, interrupt=lambda _level: None):
        self.waiting, self.calls, self.offers = bytearray(text), [], True
        self.uart = Uart16550(lambda _character: None, interrupt, ready=self.ready)
        self.uart.write(None, LCR, 1, 3)

    def ready(self):
        self.calls.append(self.uart.room)
        if self.offers:
            self.offer()

    def offer(self):
        del self.waiting[: self.uart.receive(self.waiting)]

    def out(self, register, value):
        self.uart.write(None, register, 1, value)

    def take(self):
        return self.uart.read(None, RBR, 1)


@pytest.mark.parametrize("fifo", [0, 1])
def test_all_arrives_without_another_call(fifo):
    console = Console()
    console.out(FCR, fifo)
    console.offer()
    assert bytes(console.take() for _ in TEXT) == TEXT
    assert not console.waiting
    assert console.take() == TEXT[-1]  # nothing is taken, so nothing is told
    assert len(console.calls) == len(TEXT) + fifo


@pytest.mark.parametrize(
    ("prepare", "register", "value", "room"),
    [
        pytest.param([(FCR, 1)], FCR, 3, 16, id="the FIFO is emptied"),
        pytest.param([], FCR, 1, 16, id="the FIFO is turned on"),
        pytest.param([(MCR, LOOP)], MCR, 0, 1, id="loopback ends"),
    ],
)
def test_other_ways_to_make_room(prepare, register, value, room):
    console = Console()
    for step in prepare:
        console.out(*step)
    console.offer()
    assert console.uart.room == 0
    console.calls.clear()
    console.out(register, value)
    assert console.calls == [room]
    assert console.uart.room == 0


def test_what_makes_no_room_is_not_told():
    console = Console()
    console.out(FCR, 1)
    console.offer()
    console.calls.clear()
    console.uart.read(None, LSR, 1)
    console.uart.read(None, FCR, 1)
    for register, value in ((IER, 1), (MCR, LOOP), (MCR, LOOP | 3), (LCR, 0x83), (RBR, 1)):
        console.out(register, value)
    console.take()  # the divisor
    assert console.calls == []


def test_reset_and_restore_tell():
    console = Console()
    console.offer()
    console.offers = False
    console.calls.clear()
    console.uart.reset()
    console.uart.restore(UartSnapshot(fcr=1))
    assert console.calls == [1, 16]


def test_ready_is_told_although_the_interrupt_controller_raises():
    def refuse(level):
        if not level:
            raise OSError("gone")

    console = Console(b"ab", refuse)
    console.out(IER, 1)
    console.offer()
    with pytest.raises(OSError, match="gone"):
        console.take()
    assert console.calls == [1]
    assert console.uart.registers()["RBR"] == ord("b")


def test_a_port_on_pci():
    waiting = bytearray(TEXT)

    def offer():
        del waiting[: device.receive(waiting)]

    device = PciUart(ready=offer)
    device.write(None, 0, LCR, 1, 3)
    offer()
    assert bytes(device.read(None, 0, RBR, 1) for _ in TEXT) == TEXT


def test_what_cannot_be_called_is_refused():
    with pytest.raises(DeviceError, match="ready is 5"):
        Uart16550(print, ready=5)
