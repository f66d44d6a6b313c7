# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""attrs validators for devices and their snapshots; what they refuse is a `DeviceError`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from vmmkit.errors import DeviceError

__all__ = ["check_integer", "integer", "is_callable", "is_callable_or_none", "is_flag"]

Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def _owner(instance: object) -> str:
    return type(instance).__name__


def check_integer(what: str, value: object, first: int, last: int | None) -> int:
    """Return `value`, or raise `DeviceError` unless it is an integer from `first` to `last`."""
    if (
        not isinstance(value, int)
        or isinstance(value, bool)
        or value < first
        or (last is not None and value > last)
    ):
        upper = "any" if last is None else f"{last:#x}"
        raise DeviceError(f"{what} is {value!r}; integers from {first} to {upper} are possible")
    return value


def integer(first: int, last: int | None) -> Validator:
    """Return a validator for integers from `first` to `last`; `None` has no upper end."""

    def validate(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        check_integer(f"{_owner(instance)}: {attribute.name}", value, first, last)

    return validate


def is_flag(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse what is no bool: "no" would count as true."""
    if not isinstance(value, bool):
        raise DeviceError(f"{_owner(instance)}: {attribute.name} is {value!r}, which is no bool")


def is_callable(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse a callable that is none."""
    if not callable(value):
        raise DeviceError(
            f"{_owner(instance)}: {attribute.name} is {value!r}, which cannot be called"
        )


def is_callable_or_none(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse a callable that is none, where nothing may be connected."""
    if value is not None:
        is_callable(instance, attribute, value)
