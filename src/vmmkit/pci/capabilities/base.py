# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What a capability is: a plain value that lays out its registers where a space puts it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from vmmkit.errors import ConfigSpaceError
from vmmkit.pci._registers import whole

if TYPE_CHECKING:
    from vmmkit.pci.config import ConfigSpace

__all__ = ["Capability", "ExtendedCapability", "items", "octets", "one_of", "with_flags", "within"]


class Capability(ABC):
    """A capability structure. Subclasses are frozen values; one may serve many spaces.

    Attributes:
        cap_id: its capability ID.
        repeats: whether a function may have several of it.
        extended: whether it goes into the extended list, from 100h on.
    """

    cap_id: ClassVar[int]
    repeats: ClassVar[bool] = False
    extended: ClassVar[bool] = False

    @property
    @abstractmethod
    def size(self) -> int:
        """Bytes, header included; the space rounds up to dwords."""

    @abstractmethod
    def define(self, config: ConfigSpace, offset: int) -> None:
        """Lay out the registers behind the header; the space does the header itself."""

    @property
    def identity(self) -> int:
        """The ID in the header: `cap_id`, but for raw capabilities."""
        return self.cap_id


class ExtendedCapability(Capability):
    """A capability in the extended list.

    Attributes:
        version: of the structure, 4 bits of the header.
    """

    extended: ClassVar[bool] = True
    version: ClassVar[int] = 1

    @property
    def revision(self) -> int:
        """The version in the header: `version`, but for raw capabilities."""
        return self.version


Validator = Callable[[Any, Any, Any], None]


def within(first: int, last: int) -> Validator:
    """Return an attrs validator of integers from `first` to `last`."""

    def check(instance: object, attribute: Any, value: object) -> None:
        name = f"{type(instance).__name__}: {attribute.name}"
        if not first <= whole(name, value) <= last:
            raise ConfigSpaceError(f"{name} is {first:#x} to {last:#x}, not {value!r}")

    return check


def one_of(*allowed: int) -> Validator:
    """Return an attrs validator of integers out of a few."""

    def check(instance: object, attribute: Any, value: object) -> None:
        name = f"{type(instance).__name__}: {attribute.name}"
        if whole(name, value) not in allowed:
            choice = ", ".join(map(str, allowed))
            raise ConfigSpaceError(f"{name} is one of {choice}, not {value!r}")

    return check


def _check_flag(instance: object, attribute: Any, value: object) -> None:
    if not isinstance(value, bool):
        name = f"{type(instance).__name__}: {attribute.name}"
        raise ConfigSpaceError(f"{name} is True or False, not {value!r}")


def with_flags(_kind: type, fields: list[Any]) -> list[Any]:
    """Have every field that is annotated as `bool` take nothing else.

    A field transformer of attrs. A flag becomes a bit of a register by a shift, where any other
    integer would set its neighbours.
    """
    return [
        field.evolve(validator=_check_flag) if field.type in (bool, "bool") else field
        for field in fields
    ]


def octets(value: Any) -> bytes:
    """Convert a field to bytes; a number is none, though `bytes` would make that many zeros.

    Raises:
        ConfigSpaceError: no bytes.
    """
    try:
        if not isinstance(value, int):
            return bytes(value)
    except (TypeError, ValueError) as error:
        raise ConfigSpaceError(f"{value!r} are no bytes") from error
    raise ConfigSpaceError(f"{value!r} are no bytes")


def items(value: Any) -> tuple[Any, ...]:
    """Convert a field to a tuple.

    Raises:
        ConfigSpaceError: nothing that has items.
    """
    try:
        return tuple(value)
    except TypeError as error:
        raise ConfigSpaceError(f"{value!r} is no sequence") from error
