# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What the commands print."""

from __future__ import annotations

import sys


def write_line(text: str) -> None:
    """Print a line; what the terminal's encoding lacks is escaped."""
    encoding = sys.stdout.encoding or "ascii"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
