# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Every access to a device, per vCPU, for Perfetto or Chrome's tracing page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from vmmkit.memregion import Instrument, TraceRing

CAPACITY = 1_000_000  # accesses; the last ones are kept


class Trace:
    """The file that --trace names, written when the monitor ends."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.ring = TraceRing(CAPACITY)
        if path is not None:
            path.write_text("")  # refused now, not when the guest has ended

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        return () if self.path is None else (self.ring,)

    def write(self) -> None:
        if self.path is None:
            return
        try:
            self.path.write_text(self.ring.to_chrome_json(name=_name))
        except OSError as error:
            print(f"monitor: the trace is lost: {error}", file=sys.stderr)


def _name(vcpu: Any) -> str:
    return f"vCPU {vcpu.index}"
