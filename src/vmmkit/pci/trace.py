# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What a guest did to a device's registers, by their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

__all__ = ["RegisterAccess", "TraceSink"]


class RegisterAccess(NamedTuple):
    """One guest access to a BAR with registers.

    Attributes:
        device: the name of the device.
        bar: the name of the BAR.
        offset: of the first byte, from the start of the BAR.
        size: bytes.
        is_write: whether the guest wrote.
        value: what it wrote, or what it read.
        registers: names of those that the access touched, `ring[3]` for an array's element.
    """

    device: str
    bar: str
    offset: int
    size: int
    is_write: bool
    value: int
    registers: tuple[str, ...]

    def __str__(self) -> str:
        """Show one line: `edu: write 4 @ regs+0x20 status = 0x80`."""
        direction = "write" if self.is_write else "read "
        where = ", ".join(self.registers) or "(no register)"
        return (
            f"{self.device}: {direction} {self.size} @ {self.bar}+{self.offset:#x} "
            f"{where} = {self.value:#x}"
        )


TraceSink = Callable[[RegisterAccess], object]
"""Takes the records: reads after they were answered, writes before they take effect."""
