# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The files that a native engine is built from, and their fingerprint.

The build loads this file, too, without vmmkit.
"""

from __future__ import annotations

import hashlib
import os
from typing import Final

__all__ = ["SOURCES", "fingerprint"]

#: What the opcode table and the record layouts come from.
SOURCES: Final = (
    "_record.py",
    "optable.py",
    "opcodes/__init__.py",
    "opcodes/evex.py",
    "opcodes/features.py",
    "opcodes/integer.py",
    "opcodes/sse.py",
    "opcodes/system.py",
    "opcodes/vector_operations.py",
    "opcodes/vex.py",
    "opcodes/x87.py",
)


def fingerprint() -> str:
    """Hash the files as they are; empty where they cannot be read, as in a frozen application."""
    folder = os.path.dirname(__file__)  # noqa: PTH120 - pathlib would bring urllib along
    digest = hashlib.sha256()
    try:
        for name in SOURCES:
            with open(f"{folder}/{name}", "rb") as file:  # noqa: PTH123 - likewise
                digest.update(file.read())
    except OSError:
        return ""
    return digest.hexdigest()
