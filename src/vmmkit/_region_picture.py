# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Pictures."""

from __future__ import annotations

from typing import Any


def draw_tree(m: Any) -> str:
    return ""


def draw_svg(m: Any) -> str:
    return ""
