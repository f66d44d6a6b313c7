# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Objects with declared registers: their values, reset, and what a snapshot holds of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, ClassVar, Self

from vmmkit.errors import PciSnapshotError
from vmmkit.pci._device_lock import DeviceLock
from vmmkit.pci._dispatch import RegisterDispatch, Unclaimed
from vmmkit.pci._layout import BarLayout, BarRange, Register, compile_registers, declared, refuse
from vmmkit.pci.registers import RegArray
from vmmkit.pci.state import State

__all__ = ["DeclaredRegisters"]


class DeclaredRegisters:
    """What `PciDevice` is, without PCI.

    A subclass calls `_compile` when its own subclasses are created.
    """

    # Slots are found faster than what is in an instance's dict, and hooks use these all the time.
    __slots__ = ("register_values", "state_values", "register_rows", "lock", "_dispatches")

    _layouts: ClassVar[Mapping[int, BarLayout]] = {}
    compiled_registers: ClassVar[Mapping[str, Register]] = {}
    _arrays: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    _declared_states: ClassVar[Mapping[str, State[Any]]] = {}

    register_values: dict[str, int]
    state_values: dict[str, Any]
    register_rows: dict[str, Any]
    lock: DeviceLock
    _dispatches: dict[int, RegisterDispatch]

    @classmethod
    def _compile(cls, bars: Mapping[int, BarRange]) -> None:
        cls._layouts = compile_registers(cls, bars)
        cls.compiled_registers = {
            register.name: register
            for layout in cls._layouts.values()
            for register in layout.registers
        }
        cls._arrays = {name: array.names() for name, array in declared(cls, RegArray).items()}
        cls._declared_states = declared(cls, State)
        for name, state in cls._declared_states.items():
            try:
                state.fresh()
            except Exception as error:  # noqa: BLE001 - whatever an author's object raises
                refuse(cls, f"state {name!r} begins with what cannot be copied: {error}")

    def __new__(cls, *_args: Any, **_keywords: Any) -> Self:
        """Give registers their values before any `__init__` runs, so that it may set them."""
        device = super().__new__(cls)
        device.register_values = {}
        device.state_values = {}
        device.register_rows = {}
        device.lock = DeviceLock()
        device._dispatches = {}
        device._reset_registers()
        return device

    def array_names(self, name: str) -> tuple[str, ...]:
        """Return the names under which the registers of an array are kept."""
        return self._arrays[name]

    def _bind(self, bar: int, unclaimed: Unclaimed) -> RegisterDispatch:
        """Make the way into the registers of one BAR."""
        dispatch = RegisterDispatch(self._layouts[bar], self, self.register_values, unclaimed)
        self._dispatches[bar] = dispatch
        return dispatch

    def _reset_registers(self) -> None:
        for name, register in self.compiled_registers.items():
            self.register_values[name] = register.reset
        for name, state in self._declared_states.items():
            self.state_values[name] = state.fresh()

    # -- snapshots -------------------------------------------------------------------------------

    def _saved_values(self) -> dict[str, Any]:
        saved: dict[str, Any] = {
            name: self.register_values[name]
            for name, register in self.compiled_registers.items()
            if register.index is None
        }
        for array, names in self._arrays.items():
            saved[array] = tuple(self.register_values[name] for name in names)
        return saved | deepcopy(self.state_values)

    def _checked_values(self, saved: Mapping[str, Any]) -> Callable[[], None]:
        """Check saved values, and return what puts them in place and cannot fail.

        Raises:
            PciSnapshotError: names of something else, or values that do not fit.
        """
        if not isinstance(saved, Mapping):
            raise PciSnapshotError(f"snapshot of {type(self).__name__}: no values but {saved!r}")
        expected = set(self._saved_values())
        if set(saved) != expected:
            unknown = sorted(map(str, set(saved) - expected))
            raise PciSnapshotError(
                f"snapshot of {type(self).__name__}: unknown {unknown}, "
                f"missing {sorted(expected - set(saved))}"
            )
        states = {name: deepcopy(saved[name]) for name in self._declared_states}
        values = {}
        for name, value in self._flat(saved):
            if not isinstance(value, int) or value & ~self.compiled_registers[name].mask:
                raise PciSnapshotError(
                    f"snapshot of {type(self).__name__}: {value!r} does not fit register {name!r}"
                )
            values[name] = value

        def put() -> None:
            self.register_values.update(values)
            self.state_values.update(states)

        return put

    def _flat(self, saved: Mapping[str, Any]) -> list[tuple[str, Any]]:
        """Pair the name of each register with its value, elements of arrays one by one."""
        flat: list[tuple[str, Any]] = []
        for name, value in saved.items():
            if name in self._arrays:
                names = self._arrays[name]
                if not isinstance(value, tuple | list) or len(value) != len(names):
                    raise PciSnapshotError(
                        f"snapshot of {type(self).__name__}: {name!r} is no row of {len(names)}"
                    )
                flat.extend(zip(names, value, strict=True))
            elif name not in self._declared_states:
                flat.append((name, value))
        return flat
