# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Rows not written yet."""

from __future__ import annotations

from typing import Final

__all__ = ["ROWS"]

ROWS: Final[tuple[tuple[str, str, str, str], ...]] = ()
