# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Checks of what callers hand over, so that a mistake is named where it was made.

`bytes()` would take a number for so many zeros, and `tuple()` a text for its characters.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from vmmkit.errors import AcpiError, TableValueError

__all__ = ["elements", "instance", "octets"]

_Kind = TypeVar("_Kind")


def octets(what: str, value: Any, error: type[AcpiError] = TableValueError) -> bytes:
    """Return a copy of bytes, a bytearray, a memoryview or another buffer.

    Args:
        what: for the message.
        value: anything.
        error: what is raised where it is something else.
    """
    if type(value) is bytes:
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    try:
        return memoryview(value).tobytes()
    except TypeError:
        raise error(f"{what} is not bytes: {value!r:.80}") from None


def elements(what: str, values: Any, error: type[AcpiError] = TableValueError) -> tuple[Any, ...]:
    """Return the elements of anything iterable but a text.

    Args:
        what: for the message.
        values: anything.
        error: what is raised where it is something else.
    """
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise error(f"{what} is no list: {values!r:.80}")
    return tuple(values)


def instance(
    what: str, value: Any, kind: type[_Kind], error: type[AcpiError] = TableValueError
) -> _Kind:
    """Return a value that is of a class.

    Args:
        what: for the message.
        value: anything.
        kind: the class.
        error: what is raised where it is of another.
    """
    if not isinstance(value, kind):
        raise error(f"{what} is no {kind.__name__}: {value!r:.80}")
    return value
