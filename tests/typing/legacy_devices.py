# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The PC's legacy devices in somebody's monitor: read by the type checker, never run.

A line that must be refused carries the refusal's code; the checker fails on an ignore that
nothing needs, so what must not fit is checked as firmly as what must.
"""

from datetime import datetime
from typing import Protocol

from vmmkit.devices import Mc146818, Pic8259, PicPair, Pit8254, PitSnapshot, Port61
from vmmkit.protocols import InterruptLine, MmioDevice


class Timed(Protocol):
    """A monitor's own name for the convention of timed devices."""

    def deadline(self) -> int | None: ...

    def advance(self) -> None: ...


def virtual_time() -> int:
    return 0


def seconds() -> float:
    return 0.0


pics = PicPair(interrupt=print)
pit = Pit8254(virtual_time, pics.line(0))
rtc = Mc146818(virtual_time, datetime.fromisoformat("2026-01-01"), pics.line(8))
port61 = Port61(pit, speaker=[True].append)

windows: list[MmioDevice] = [pics.master, pics.slave, pics.elcr, pit, rtc, port61]
line: InterruptLine = pics.line(4)
timed: list[Timed] = [pit, rtc]
vector: int = pics.acknowledge()
single = Pic8259(cascade=lambda number: number)

Pit8254(seconds)  # type: ignore[arg-type]
pair_as_window: MmioDevice = pics  # type: ignore[assignment]
pic_as_timed: Timed = pics  # type: ignore[assignment]
rtc.restore(pit.snapshot())  # type: ignore[arg-type]
PitSnapshot().time = 5  # type: ignore[misc]
