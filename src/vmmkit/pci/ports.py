# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Bridges ready for use: root ports, switches, and conventional PCI-to-PCI bridges.

Each is a `Bridge` with the header, capabilities and link that its kind has. What is attached to
`secondary` before the guest runs was there at power-on; a port whose `Slot` says `hot_plug` has
a `HotplugSlot` besides, by which devices come and go later.

By default they carry ids that guests and firmware know from QEMU; no guest driver of any
importance looks at more than the class code.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, ClassVar, Final

import attrs

from vmmkit.errors import PciSnapshotError, TopologyError
from vmmkit.pci._hotplug_reserve import RED_HAT_VENDOR_ID, HotplugReserve, reserve_bytes
from vmmkit.pci._link import Link
from vmmkit.pci.bars import Declaration
from vmmkit.pci.bridge import Bridge
from vmmkit.pci.capabilities import (
    Capability,
    Msi,
    PciExpress,
    PowerManagement,
    Slot,
    VendorSpecific,
)
from vmmkit.pci.config import ConfigSpace, ResetKind
from vmmkit.pci.function import FunctionSnapshot
from vmmkit.pci.hotplug import HotplugSlot, SlotSnapshot
from vmmkit.pci.interrupts import Irq
from vmmkit.pci.spec import CONVENTIONAL_SIZE, EXTENDED_SIZE, PortType

__all__ = [
    "DownstreamPort",
    "PciBridge",
    "PortSnapshot",
    "RootPort",
    "SwitchDownstream",
    "SwitchUpstream",
    "switch",
]

_TEXAS_INSTRUMENTS: Final = 0x104C
_MAX_SWITCH_PORTS: Final = 32

#: What a port has beside its PCI Express capability unless it is told otherwise.
#: By these three states a port says that it forwards PME messages (PCI Express Base
#: Specification, "PCI Power Management Capability Structure").
PORT_CAPABILITIES: Final[tuple[Capability, ...]] = (
    PowerManagement(pme=("D0", "D3hot", "D3cold")),
    Msi(maskable=True),
)


class _PresetBridge(Bridge):
    """A bridge that makes its own config space.

    Attributes:
        reserve: what assignment keeps free behind it.
    """

    ids: ClassVar[tuple[int, int]]
    config_size: ClassVar[int] = EXTENDED_SIZE
    has_link: ClassVar[bool] = False

    def __init__(
        self,
        capabilities: Iterable[Capability],
        bars: Iterable[Declaration],
        *,
        vendor_id: int | None = None,
        device_id: int | None = None,
        revision: int = 0,
        io_bits: int = 16,
        prefetchable_bits: int = 64,
        reserve: HotplugReserve | None = None,
        **options: Any,
    ) -> None:
        """Lay out header and capabilities; a reserve is told to firmware."""
        config = ConfigSpace.type1(
            vendor_id=self.ids[0] if vendor_id is None else vendor_id,
            device_id=self.ids[1] if device_id is None else device_id,
            revision=revision,
            io_bits=io_bits,
            prefetchable_bits=prefetchable_bits,
            size=self.config_size,
        )
        for capability in _iterable(capabilities):
            config.add(capability)
        if not isinstance(reserve, HotplugReserve | None):
            raise TopologyError(f"{reserve!r} is no HotplugReserve")
        if reserve is not None:
            config.add(VendorSpecific(reserve_bytes(reserve)))
        self.reserve = reserve
        super().__init__(config, bars, link=self.has_link, **options)


def _iterable(capabilities: Iterable[Capability]) -> Iterable[Capability]:
    if not isinstance(capabilities, Iterable):
        raise TopologyError(f"{capabilities!r} are no capabilities")
    return capabilities


class PciBridge(_PresetBridge):
    """A conventional PCI-to-PCI bridge, with 32 devices behind it.

    Args:
        capabilities: what it has, in the order of the list: power management, a `SubsystemId`.
        bars: BARs 0 and 1, and an expansion ROM.
        options: `vendor_id`, `device_id`, `revision`; `io_bits` (0, 16 or 32) and
            `prefetchable_bits` (0, 32 or 64) for its windows; `reserve`, a `HotplugReserve` that
            assignment keeps free and firmware is told of; `name` and the like as for `Function`.

    Raises:
        ConfigSpaceError: values or capabilities that do not fit.
    """

    ids = (RED_HAT_VENDOR_ID, 0x0001)
    config_size = CONVENTIONAL_SIZE

    def __init__(
        self,
        *,
        capabilities: Iterable[Capability] = (PowerManagement(),),
        bars: Iterable[Declaration] = (),
        **options: Any,
    ) -> None:
        """Start with an empty bus behind it."""
        super().__init__(capabilities, bars, **options)


class _ExpressPort(_PresetBridge):
    """A port of a root complex or switch."""

    port_type: ClassVar[PortType]

    def __init__(
        self,
        *,
        express: PciExpress,
        capabilities: Iterable[Capability],
        bars: Iterable[Declaration] = (),
        **options: Any,
    ) -> None:
        """Put the PCI Express capability first."""
        super().__init__(chain((express,), _iterable(capabilities)), bars, **options)


@attrs.frozen
class PortSnapshot(FunctionSnapshot):
    """State of a downstream port.

    Attributes:
        slot: of its slot, if it has one.
    """

    slot: SlotSnapshot | None = None


class DownstreamPort(_ExpressPort):
    """A port with a link below it: base of `RootPort` and `SwitchDownstream`.

    Args:
        slot: what the slot at its link has; `None` for a device that is soldered on.
        speed: the link's data rate: 1 for 2.5 GT/s, 2 for 5, 3 for 8 and so on.
        width: lanes, 1-32.
        port_number: 0-255.
        ari_forwarding: whether it forwards to functions above 7.
        capabilities: what it has beside the PCI Express capability: MSI or MSI-X (vector 0 is
            that of hotplug), power management, `SubsystemId`, `Aer`, `Acs`.
        options: as for `PciBridge`, and `intx`.

    Raises:
        ConfigSpaceError: values or capabilities that do not fit.

    Attributes:
        link: up while what is below answers.
        slot: the slot, or `None`; see `vmmkit.pci.hotplug`.
    """

    has_link = True

    def __init__(
        self,
        *,
        slot: Slot | None = None,
        speed: int = 1,
        width: int = 1,
        port_number: int = 0,
        ari_forwarding: bool = False,
        capabilities: Iterable[Capability] = PORT_CAPABILITIES,
        **options: Any,
    ) -> None:
        """Start with nothing at the link."""
        express = PciExpress(
            port_type=self.port_type,
            slot=slot,
            speed=speed,
            width=width,
            port_number=port_number,
            ari_forwarding=ari_forwarding,
        )
        super().__init__(express=express, capabilities=capabilities, **options)
        at = self.config.find(PciExpress.cap_id)
        assert at is not None
        self.slot = None if slot is None else HotplugSlot(self, at, slot)
        self.link = Link(self, at) if self.slot is None else self.slot

    @property
    def hotplug_irq(self) -> Irq:
        """The interrupt of hot-plug events."""
        return self.interrupts.vector(0)

    @property
    def holds_reset(self) -> bool:
        """Whether everything behind it is held in reset: the link is down."""
        return not self.link.up

    @property
    def reset_below(self) -> ResetKind:
        """How a link that goes down resets what is behind it: by power, where that went."""
        return self.link.reset_below

    def secondary_changed(self) -> int:
        """Have link and slot follow what is there."""
        return self.link.presence_changed()

    def reset_state(self, kind: ResetKind) -> None:
        """Reset what is not in the registers."""
        super().reset_state(kind)
        self.link.was_reset()

    def snapshot(self) -> PortSnapshot:
        """Return registers, interrupts, memory, and the slot's state."""
        base = super().snapshot()
        slot = None if self.slot is None else self.slot.snapshot()
        return PortSnapshot(base.config, base.interrupts, base.memory, slot)

    def check_snapshot(self, snapshot: FunctionSnapshot) -> None:
        """Refuse what is no snapshot of such a port with such a device.

        Raises:
            PciSnapshotError: it is not.
        """
        if not isinstance(snapshot, PortSnapshot):
            raise PciSnapshotError(f"{self.name}: {snapshot!r} is no PortSnapshot")
        super().check_snapshot(snapshot)
        if self.slot is not None:
            self.slot.check(snapshot.slot)

    def restore_rest(self, snapshot: FunctionSnapshot) -> None:
        """Take the slot's state and interrupts."""
        super().restore_rest(snapshot)
        if self.slot is not None and isinstance(snapshot, PortSnapshot) and snapshot.slot:
            self.slot.restore(snapshot.slot)


class RootPort(DownstreamPort):
    """A root port, to be attached to a root bus; see `DownstreamPort`."""

    port_type = PortType.ROOT_PORT
    ids = (RED_HAT_VENDOR_ID, 0x000C)


class SwitchDownstream(DownstreamPort):
    """A downstream port of a switch, to be attached behind its upstream port."""

    port_type = PortType.SWITCH_DOWNSTREAM
    ids = (_TEXAS_INSTRUMENTS, 0x8233)


class SwitchUpstream(_ExpressPort):
    """The upstream port of a switch; its secondary bus is inside of the switch.

    Args:
        speed: the link's data rate.
        width: lanes.
        port_number: 0-255.
        capabilities: what it has beside the PCI Express capability.
        options: as for `PciBridge`, and `intx`.

    Raises:
        ConfigSpaceError: values or capabilities that do not fit.
    """

    port_type = PortType.SWITCH_UPSTREAM
    ids = (_TEXAS_INSTRUMENTS, 0x8232)

    def __init__(
        self,
        *,
        speed: int = 1,
        width: int = 1,
        port_number: int = 0,
        capabilities: Iterable[Capability] = PORT_CAPABILITIES,
        **options: Any,
    ) -> None:
        """Start without downstream ports."""
        express = PciExpress(
            port_type=self.port_type, speed=speed, width=width, port_number=port_number
        )
        super().__init__(express=express, capabilities=capabilities, **options)

    @property
    def downstream(self) -> tuple[SwitchDownstream, ...]:
        """The downstream ports, by device number."""
        ports = self.secondary.functions()
        return tuple(port for port in ports if isinstance(port, SwitchDownstream))


def switch(slots: Sequence[Slot | None], *, name: str = "switch", **options: Any) -> SwitchUpstream:
    """Build a switch, to be attached or plugged in where an endpoint would be.

    Args:
        slots: for each downstream port its slot, or `None` for a link without one.
        name: of the upstream port; the others are called `name.0` and so on.
        options: for all downstream ports, as `DownstreamPort` takes them.

    Raises:
        TopologyError: no port, or more than the bus inside has devices.
    """
    if not isinstance(slots, Sequence):
        raise TopologyError(f"{name}: {slots!r} is no sequence of slots")
    if not 0 < len(slots) <= _MAX_SWITCH_PORTS:
        raise TopologyError(f"{name}: a switch has 1 to {_MAX_SWITCH_PORTS} downstream ports")
    upstream = SwitchUpstream(name=name)
    for number, slot in enumerate(slots):
        port = SwitchDownstream(
            slot=slot, name=f"{name}.{number}", port_number=number + 1, **options
        )
        upstream.secondary.attach(port, number)
    return upstream
