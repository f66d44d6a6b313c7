# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Devices as classes: IDs, BARs, capabilities and registers are class attributes.

Theory of operation: device
---------------------------
When a subclass of `PciDevice` is created, its declarations and those of its bases are collected,
checked against each other, and compiled; mistakes are errors then. An instance is a `Function`
whose BARs lead to the compiled registers, and from there to the instance's hooks. What a device
remembers lies in its registers and `State`s, so reset, snapshots and tracing need no code of the
author's.

Hooks run in the thread of the vCPU whose access it is, with no lock held, or with the device's
own one where the class asks for that (`serialize`).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from copy import deepcopy
from typing import Any, ClassVar, Literal

import attrs

from vmmkit.errors import DeclarationError, PciSnapshotError
from vmmkit.pci._declared import DeclaredRegisters
from vmmkit.pci._device_class import (
    add_capabilities,
    bars_of,
    check_bars,
    check_ids,
    check_tables,
    config_size,
    place_tables,
    register_bars,
)
from vmmkit.pci._dispatch import Unclaimed, constant
from vmmkit.pci._layout import declared, refuse
from vmmkit.pci.bars import Declaration, IoBar, MemBar, Rom
from vmmkit.pci.capabilities.base import Capability
from vmmkit.pci.config import ConfigSpace, ResetKind
from vmmkit.pci.function import Function, FunctionSnapshot
from vmmkit.pci.interrupts import Irq
from vmmkit.pci.registers import Declaration as Named
from vmmkit.pci.state import DeviceSnapshot
from vmmkit.pci.trace import TraceSink
from vmmkit.protocols import ReadHandler, WriteHandler

__all__ = ["PciDevice"]

Lock = AbstractContextManager[Any]


class PciDevice(DeclaredRegisters, Function):
    """A PCI function described by the attributes of its class.

    Args:
        name: for maps, errors and traces; by default the class's name.

    Raises:
        DeclarationError: the class gives no vendor or device ID. All other mistakes are found
            when the class is created.

    Attributes of the class:
        vendor_id: 16 bits.
        device_id: 16 bits.
        revision: 8 bits.
        class_code: 24 bits: base class, sub-class, programming interface.
        subsystem_vendor_id: 16 bits.
        subsystem_id: 16 bits.
        intx: the interrupt pin, `"A"` to `"D"`, or `None`.
        version: of the state in snapshots.
        unimplemented: what is read where no register is and no `read` answers.
        serialize: whether one access at a time is made to all BARs together, under `lock`.
        capability_offsets: where capabilities lie that do not choose their place, by attribute.

    Attributes:
        lock: held while registers are reset, and during each access where the class has
            `serialize`; for threads of the author's that change registers. Re-entrant.
            Interrupts raised under it leave when it is free again.
    """

    vendor_id: ClassVar[int | None] = None
    device_id: ClassVar[int | None] = None
    revision: ClassVar[int] = 0
    class_code: ClassVar[int] = 0xFF0000
    subsystem_vendor_id: ClassVar[int] = 0
    subsystem_id: ClassVar[int] = 0
    intx: Literal["A", "B", "C", "D"] | None = None
    version: ClassVar[int] = 1
    unimplemented: ClassVar[Literal["ones", "zeros"]] = "ones"
    serialize: ClassVar[bool] = False
    capability_offsets: ClassVar[Mapping[str, int]] = {}

    declared_bars: ClassVar[Mapping[str, Declaration]] = {}
    declared_capabilities: ClassVar[Mapping[str, Capability]] = {}

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Collect, check and compile the declarations."""
        super().__init_subclass__(**keywords)
        _check_names(cls)
        check_ids(cls)
        bars, capabilities = bars_of(cls), declared(cls, Capability)
        check_bars(cls, bars)
        cls._compile(register_bars(bars.values()))
        _check_memory(cls, bars)
        place_tables(cls, bars, capabilities)
        check_tables(cls, bars, capabilities, cls._layouts)
        cls.declared_bars, cls.declared_capabilities = bars, capabilities
        cls._make_config(vendor_id=0, device_id=0)

    @classmethod
    def _make_config(cls, vendor_id: int, device_id: int) -> ConfigSpace:
        config = ConfigSpace.type0(
            vendor_id=vendor_id,
            device_id=device_id,
            revision=cls.revision,
            class_code=cls.class_code,
            subsystem_vendor_id=cls.subsystem_vendor_id,
            subsystem_id=cls.subsystem_id,
            size=config_size(cls.declared_capabilities.values()),
        )
        add_capabilities(cls, config, cls.declared_capabilities, cls.capability_offsets)
        return config

    def __init__(self, *, name: str = "") -> None:
        """Make a device in the state after power-on, attached to no bus."""
        if self.vendor_id is None or self.device_id is None:
            raise DeclarationError(f"{type(self).__name__} gives no vendor_id or no device_id")
        super().__init__(
            self._make_config(self.vendor_id, self.device_id),
            [self._served(bar) for bar in self.declared_bars.values()],
            name=name,
            intx=self.intx,
        )
        self.lock.hold_back(self.interrupts)
        for attribute, declaration in self.declared_bars.items():
            setattr(self, attribute, self.bar(declaration.index))

    def _served(self, bar: Declaration) -> Declaration:
        """Let the registers, or what stands in for them, answer in a BAR."""
        if isinstance(bar, Rom):
            return bar
        read, write = self._unclaimed(bar.index)
        if bar.index in self._layouts:
            dispatch = self._bind(bar.index, (read, write))
            read, write = dispatch.read, dispatch.write
        read, write = bar.read or read, bar.write or write
        if self.serialize:
            read, write = _serialized(self.lock, read, write)
        return attrs.evolve(bar, read=read, write=write)

    def _unclaimed(self, index: int) -> Unclaimed:
        """Return what answers where no register is: the author's methods, or a constant."""
        read, write = constant(0xFF if self.unimplemented == "ones" else 0)
        own_read, own_write = getattr(self, "read", None), getattr(self, "write", None)
        if own_read is not None:
            read = lambda vcpu, offset, size, /: own_read(vcpu, index, offset, size)  # noqa: E731
        if own_write is not None:
            write = lambda vcpu, offset, size, value, /: own_write(  # noqa: E731
                vcpu, index, offset, size, value
            )
        return read, write

    # -- for the device's methods ----------------------------------------------------------------

    def irq(self, number: int = 0) -> Irq:
        """Return one of the device's interrupts.

        Raises:
            ConfigSpaceError: the capabilities do not provide for so many.
        """
        return self.interrupts.vector(number)

    def on_restore(self) -> None:
        """Hear of a restored snapshot, when everything is in place."""

    # -- resets and snapshots --------------------------------------------------------------------

    def reset_state(self, kind: ResetKind) -> None:
        """Bring registers and states to their first values."""
        super().reset_state(kind)
        with self.lock:
            self._reset_registers()

    def snapshot(self) -> DeviceSnapshot:
        """Return registers and states by name, config space, interrupts, and memory of BARs."""
        function = super().snapshot()
        return DeviceSnapshot(
            config=function.config,
            interrupts=function.interrupts,
            memory=function.memory,
            device=type(self).__name__,
            version=self.version,
            values=self._saved_values(),
        )

    def check_snapshot(self, snapshot: FunctionSnapshot) -> None:
        """Refuse what is no snapshot of such a device, or of a version that cannot be migrated.

        Raises:
            PciSnapshotError: it is not.
        """
        if isinstance(snapshot, FunctionSnapshot):
            self._checked_values(self._migrated(snapshot))
        super().check_snapshot(snapshot)

    def restore_rest(self, snapshot: FunctionSnapshot) -> None:
        """Take registers, states and interrupts; for the host bridge."""
        put = self._checked_values(self._migrated(snapshot))
        put()
        super().restore_rest(snapshot)
        self.on_restore()

    def _migrated(self, snapshot: FunctionSnapshot) -> Mapping[str, Any]:
        if not isinstance(snapshot, DeviceSnapshot) or snapshot.device != type(self).__name__:
            made_by = getattr(snapshot, "device", "a function without declarations")
            raise PciSnapshotError(f"{self.name}: a {type(self).__name__}, not {made_by}")
        if snapshot.version == self.version:
            return snapshot.values
        if not isinstance(snapshot.version, int) or snapshot.version > self.version:
            raise PciSnapshotError(
                f"{self.name}: snapshot of version {snapshot.version!r}, this is {self.version}"
            )
        if not isinstance(snapshot.values, Mapping):
            raise PciSnapshotError(f"{self.name}: a snapshot without values: {snapshot.values!r}")
        return self.migrate(snapshot.version, deepcopy(dict(snapshot.values)))

    # -- for the owner ---------------------------------------------------------------------------

    def trace(self, sink: TraceSink | None) -> None:
        """Tell of each guest access to a BAR with registers, from now on.

        Args:
            sink: takes a `RegisterAccess`: of a read after it, of a write before it takes effect.
                `None` ends the trace. It costs nothing while there is none.
        """
        for dispatch in self._dispatches.values():
            dispatch.trace(sink)

    @classmethod
    def migrate(cls, version: int, values: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG003
        """Turn the values of an older snapshot into today's; for authors to override.

        Args:
            version: of the class that made the snapshot, below `cls.version`.
            values: by attribute name, see `DeviceSnapshot`; a copy.

        Returns:
            The values as this version has them.

        Raises:
            PciSnapshotError: there is no way, which is so unless a class overrides this.
        """
        raise PciSnapshotError(
            f"snapshot of {cls.__name__} version {version}: this is version {cls.version}, and "
            f"the class has no migrate()"
        )


def _serialized(lock: Lock, read: ReadHandler, write: WriteHandler) -> Unclaimed:
    """Hold a lock during accesses."""

    def locked_read(vcpu: object, offset: int, size: int, /) -> int:
        with lock:
            return read(vcpu, offset, size)

    def locked_write(vcpu: object, offset: int, size: int, value: int, /) -> None:
        with lock:
            write(vcpu, offset, size, value)

    return locked_read, locked_write


def _check_names(cls: type) -> None:
    """Refuse declarations that would hide what a function has under that name."""
    for name, value in declared(cls, Named, Capability, MemBar, IoBar, Rom).items():
        if name in _TAKEN:
            refuse(cls, f"{type(value).__name__} {name!r} would hide PciDevice.{name}")
    for name in vars(cls):
        if name in _TAKEN and name.startswith("_") and not name.endswith("__"):
            refuse(cls, f"{name!r} would stand in for PciDevice.{name}, which is no hook")


def _check_memory(cls: type[PciDevice], bars: Mapping[str, Declaration]) -> None:
    """Refuse registers where a RAM-backed BAR is memory."""
    for name, bar in bars.items():
        layout, traps = cls._layouts.get(bar.index), getattr(bar, "traps", ())
        if layout is None or not traps:
            continue
        for register in layout.registers:
            if not any(at <= register.offset and register.last < at + n for at, n in traps):
                refuse(cls, f"register {register.name!r} lies in the memory of RAM BAR {name!r}")


#: `read` and `write` are the author's methods, wherever there are any.
_TAKEN = frozenset(dir(PciDevice)) | frozenset(vars(Function(ConfigSpace()))) | {"read", "write"}
