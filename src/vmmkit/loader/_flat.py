# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Flat binaries: bytes with no header at all."""

from __future__ import annotations

from typing import ClassVar

from attrs import field, frozen

from vmmkit.loader._image import Handover, Image, Segment, place_segments
from vmmkit.loader._plan import Plan
from vmmkit.loader._startup import Startup, long_mode, protected_mode, real_mode

__all__ = ["FlatImage"]


@frozen
class FlatImage(Image):
    """Bytes that are loaded as they are and entered in the mode asked for, told nothing."""

    kind: ClassVar[str] = "flat"
    data: bytes = field(repr=False)
    base: int
    """Where they are loaded, unless `boot` is told another place."""
    entry: int
    """Linear address of the first instruction; moves with the image."""
    mode: int
    """16, 32 or 64."""

    def _place(self, plan: Plan, handover: Handover) -> Startup:
        handover.refuse("flat", "cmdline", "modules", "initrd")
        base = self.base if handover.at is None else handover.at
        place_segments(plan, [Segment(base, len(self.data), self.data)])
        entry = self.entry - self.base + base
        if self.mode == 16:
            return real_mode(entry)
        return (long_mode if self.mode == 64 else protected_mode)(plan, entry)
