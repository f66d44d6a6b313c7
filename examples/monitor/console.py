# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""COM1 on standard input and output, and the signals that end the monitor.

One thread sleeps until a key, a signal or the guest's appetite wakes it. Ctrl-A x ends the monitor
and Ctrl-A Ctrl-A types one Ctrl-A; everything else, Ctrl-C as well, is the guest's.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import termios
import threading
import tty
from contextlib import suppress
from typing import Any, Self

from board import Board
from power import SIGNAL, Power

from vmmkit.devices.uart16550 import Uart16550

COM1, COM1_IRQ = 0x3F8, 4
CTRL_A, MOST_TYPED = 1, 4096
PATIENCE = 0.1  # seconds
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Console:
    def __init__(self, board: Board, power: Power) -> None:
        self._machine, self._power = board.machine, power
        line = self._machine.line(COM1_IRQ)
        self.uart = Uart16550(self.transmit_character, line, ready=self._offer)
        self.uart.write(None, 3, 1, 0x03)  # eight data bits, as firmware leaves it
        board.pio.add(COM1, self.uart.size, self.uart, name="COM1")
        self.open = sys.stdin is not None and not sys.stdin.closed
        self._terminal: list[Any] | None = None
        self._typed, self._escaped, self._closing = bytearray(), False, False
        self._thread = threading.Thread(target=self._work, name="console")
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_out.setblocking(False)

    # -- the guest's side, under the machine's lock ----------------------------------------------

    def transmit(self, text: bytes) -> None:
        try:
            while text and self._has_room():
                text = text[os.write(1, text[: select.PIPE_BUF]) :]
        except OSError as error:
            self._power.end(1, f"nobody reads the console: {error.strerror}")

    def _has_room(self) -> bool:
        """Wait for a reader that is slow, but not when the machine has ended."""
        while not select.select([], [1], [], PATIENCE)[1]:
            if self._power.status is not None:
                return False
        return True

    def transmit_character(self, character: int) -> None:
        self.transmit(bytes((character,)))

    def _offer(self) -> None:
        """Let the port have what it has room for."""
        if self._typed and self.uart.room:
            full = len(self._typed) >= MOST_TYPED
            del self._typed[: self.uart.receive(self._typed)]
            if full and len(self._typed) < MOST_TYPED:
                self._wake_out.send(b"\0")

    # -- the host's side ---------------------------------------------------------------------------

    def __enter__(self) -> Self:
        """Take over the terminal and the signals."""
        if self.open and os.isatty(0):
            self._terminal = termios.tcgetattr(0)
            tty.setraw(0)
            raw = termios.tcgetattr(0)
            raw[1] |= termios.OPOST  # guests end lines as programs do
            termios.tcsetattr(0, termios.TCSANOW, raw)
        for number in SIGNALS:
            signal.signal(number, _ignore)
        signal.set_wakeup_fd(self._wake_out.fileno(), warn_on_full_buffer=False)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Give the terminal back; who asks once more shall not disturb what is left to do."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        self._closing = True
        self._wake_out.send(b"\0")
        self._thread.join()
        self._wake_in.close()
        self._wake_out.close()
        if self._terminal is not None:
            with suppress(termios.error):  # it may be gone
                termios.tcsetattr(0, termios.TCSADRAIN, self._terminal)

    def _work(self) -> None:
        wake = self._wake_in.fileno()
        while not self._closing:
            hungry = self.open and len(self._typed) < MOST_TYPED
            ready, _, _ = select.select([wake, *([0] if hungry else [])], [], [])
            if wake in ready:
                self._woken()
            if 0 in ready:
                self._input()

    def _woken(self) -> None:
        for number in self._wake_in.recv(64):
            if number:
                self._power.end(SIGNAL + number, signal.strsignal(number) or "a signal")

    def _input(self) -> None:
        try:
            data = os.read(0, MOST_TYPED)
        except OSError:  # the terminal is gone
            data = b""
        if not data:
            self.open = False
            self._power.stop()  # who waits for input only waits for nothing now
        elif self._terminal is not None:
            data = b"".join(map(self._key, data))
        with self._machine.lock:
            self._typed += data
            self._offer()

    def _key(self, key: int) -> bytes:
        """Return what the guest gets of a key."""
        escaped, self._escaped = self._escaped, key == CTRL_A and not self._escaped
        if escaped and key == ord("x"):
            self._power.end(0)
        return b"" if self._escaped or (escaped and key != CTRL_A) else bytes((key,))


def _ignore(_number: int, _frame: object) -> None:
    """Be there: the number goes to the thread by the wake-up descriptor."""
