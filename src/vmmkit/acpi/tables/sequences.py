# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Fields that hold several structures: what is given is checked, and kept as a tuple.

Without the check a number would pass for a structure, as both have `to_bytes`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from vmmkit.errors import TableValueError

__all__ = ["tuple_of"]


def tuple_of(
    table: str | None, field: str, *kinds: type
) -> Callable[[Iterable[Any]], tuple[Any, ...]]:
    """Return a converter to a tuple of instances of `kinds`.

    Args:
        table: signature, for errors; `None` where classes of several tables have the field.
        field: class and field, for errors.
        kinds: what may be in it.

    The converter raises `TableValueError` where something else is in it, or nothing can be.
    """

    def converter(values: Iterable[Any]) -> tuple[Any, ...]:
        if not isinstance(values, Iterable):
            raise TableValueError(f"{field} is no sequence: {values!r}", table)
        made = tuple(values)
        for number, value in enumerate(made):
            if not isinstance(value, kinds):
                names = " or ".join(kind.__name__.strip("_") for kind in kinds)
                raise TableValueError(f"{field}[{number}] is no {names}: {value!r}", table)
        return made

    return converter
