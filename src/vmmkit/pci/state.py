# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A device's state besides its registers, and the snapshots of both.

A snapshot is made from what the class declares: the value of each `Reg`, `RegArray` and `State`
by the attribute's name, beside what the function keeps (config space, RAM BARs, interrupts). It
holds plain values only, so it pickles, and it shares nothing with the device.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Generic, Self, TypeVar, overload

import attrs

from vmmkit.pci.function import FunctionSnapshot
from vmmkit.pci.registers import Declaration

__all__ = ["DeviceSnapshot", "State"]

Value = TypeVar("Value")


class State(Declaration, Generic[Value]):
    """A class attribute that each device has its own value of, in snapshots and resets.

    Args:
        initial: the value after any reset, copied for each device: an integer, bytes, a
            `bytearray`, a list of such things, or whatever else `copy.deepcopy` copies.
        doc: a sentence for the reference.
    """

    def __init__(self, initial: Value, *, doc: str = "") -> None:
        """Declare it."""
        self.initial = initial
        self.doc = doc

    def fresh(self) -> Value:
        """Return a copy of the initial value."""
        return deepcopy(self.initial)

    @overload
    def __get__(self, device: None, owner: type | None = None) -> Self: ...

    @overload
    def __get__(self, device: object, owner: type | None = None) -> Value: ...

    def __get__(self, device: Any, owner: type | None = None) -> Self | Value:
        """Return the value on a device, the declaration on the class."""
        if device is None:
            return self
        return device.state_values[self.name]  # type: ignore[no-any-return]

    def __set__(self, device: Any, value: Value) -> None:
        """Store a value."""
        device.state_values[self.name] = value


@attrs.frozen(kw_only=True)
class DeviceSnapshot(FunctionSnapshot):
    """The state of one `PciDevice`.

    Attributes:
        device: name of the class it was taken of.
        version: that class's `version`.
        values: by attribute name: integers of registers, tuples of arrays, values of states.

    Config space, interrupts and the memory of BARs are those of `FunctionSnapshot`.
    """

    device: str
    version: int
    values: Mapping[str, Any]
