# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
r"""Names: four characters a segment, joined by dots, from the root (`\`) or a parent (`^`).

ACPI Specification, AML Grammar Definition, "Name Objects Encoding".
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from vmmkit.acpi.aml.encoding import shown
from vmmkit.errors import AmlValueError

__all__ = ["DUAL", "MAX_SEGMENTS", "MULTI", "NULL", "name_bytes", "name_text"]

NULL: Final = 0x00
DUAL: Final = 0x2E
MULTI: Final = 0x2F
MAX_SEGMENTS: Final = 255

_SEGMENT = "[A-Z_][A-Z0-9_]{0,3}"
_NAME = re.compile(rf"(\\|\^*)({_SEGMENT}(?:\.{_SEGMENT})*)?")
_LEGAL = (
    "a name has segments of up to 4 characters of A-Z, 0-9 and _, no digit first, after \\ or ^"
)


@lru_cache(maxsize=4096)
def name_bytes(text: str) -> bytes:
    r"""Return the encoding of a name such as `\_SB.PCI0`, `^ISA` or `_STA`, or of the root.

    Args:
        text: segments of up to 4 characters, filled up with `_`; up to 255 of them. The empty
            text is the null name.

    Raises:
        AmlValueError: no legal name.
    """
    match = _NAME.fullmatch(text)
    if match is None:
        raise AmlValueError(f"{shown(text)} is no legal name: {_LEGAL}")
    prefix, path = match.groups()
    segments = [segment.ljust(4, "_") for segment in path.split(".")] if path else []
    return (prefix + _lead(len(segments)) + "".join(segments)).encode("latin-1")


def _lead(segments: int) -> str:
    """Return what says how many segments follow."""
    if segments > MAX_SEGMENTS:
        raise AmlValueError(f"a name of {segments} segments; {MAX_SEGMENTS} is the limit")
    few = {0: chr(NULL), 1: "", 2: chr(DUAL)}
    return few.get(segments, chr(MULTI) + chr(segments))


def name_text(prefix: str, segments: list[str]) -> str:
    """Return the text of a name read from AML, without the fill of its segments."""
    return prefix + ".".join(segment.rstrip("_") or "_" for segment in segments)
