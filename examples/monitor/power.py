# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What ends the machine: an exit port, soft-off, reset, and the user."""

from __future__ import annotations

from board import PM_BASE, SCI, Board

from vmmkit.devices.acpi_pm import AcpiPm
from vmmkit.devices.reset_control import ResetControl, ResetRequest

EXIT_PORT = 0xF4
CRASHED, HALTED, TIME_OVER, SIGNAL, KILLED = 3, 4, 124, 128, 137


class Power:
    """The exit status, once there is one, and the registers by which the guest gives it."""

    def __init__(self, board: Board) -> None:
        self.status: int | None = None
        self.reason = ""
        machine = board.machine
        self.stop = machine.stop
        pm = AcpiPm(lambda: machine.time, machine.line(SCI), self.sleep)
        board.pio.add(PM_BASE, pm.size, machine.timed(pm), name="ACPI power management")
        board.pio.add(EXIT_PORT, 1, write=self.exit_port, name="exit")
        board.host.config_ports.other = ResetControl(self.reset)

    def end(self, status: int, reason: str = "") -> None:
        """End the machine; the first one who asks says how. For any thread."""
        if self.status is None:
            self.status, self.reason = status, reason
        self.stop()

    def exit_port(self, _vcpu: object, _offset: int, _size: int, value: int) -> None:
        """Take the exit status from the guest, as QEMU's isa-debug-exit does."""
        self.end(value & 0xFF)

    def sleep(self, sleep_type: int) -> None:
        """There is one sleep state in the tables: S5, whose type is 0."""
        if sleep_type == 0:
            self.end(0)

    def reset(self, request: ResetRequest) -> None:
        self.end(0, f"the guest asked for a reset ({request.value})")
