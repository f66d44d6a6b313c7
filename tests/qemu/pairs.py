# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Functions of QEMU and those of vmmkit that are to be their equals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from qemu.machines import BDF, SLOT, OwnMachine
from vmmkit.devices.edu import Edu
from vmmkit.pci.bars import MemBar
from vmmkit.pci.capabilities import (
    Acs,
    Aer,
    Msi,
    Msix,
    PciExpress,
    PowerManagement,
    Slot,
    SubsystemId,
)
from vmmkit.pci.config import ConfigSpace
from vmmkit.pci.function import Function
from vmmkit.pci.ports import PciBridge, RootPort, SwitchDownstream, SwitchUpstream
from vmmkit.pci.spec import PortType

SECONDARY, BELOW, BOTTOM = 0x100, 0x200, 0x300  # bdf of device 0 behind one, two, three bridges
HOT_PLUG = {
    "hot_plug": True,
    "surprise": True,
    "attention_button": True,
    "power_controller": True,
    "attention_indicator": True,
    "power_indicator": True,
}


def number_buses(registers: Callable[[int], Any], bdf: int) -> None:
    """Give buses 1, 2 and 3 to the bridges on the way to `bdf`."""
    way = (BDF, SECONDARY, BELOW)[: (bdf >> 8)]
    for bus, bridge in enumerate(way):
        registers(bridge).write32(0x18, bus | bus + 1 << 8 | len(way) << 16)


def edu(machine: OwnMachine) -> None:
    machine.host.bridge.bus.attach(Edu(), SLOT)


def root_port(machine: OwnMachine) -> None:
    port = RootPort(
        slot=Slot(number=1, **HOT_PLUG),
        speed=4,
        width=32,
        ari_forwarding=True,
        bars=[MemBar(0, 4096)],
        capabilities=[
            SubsystemId(0x1B36, 0),
            Msix(1, table_bar=0, pba_offset=0x800),
            Aer(root_port=True, ecrc=True),
            Acs(),
        ],
        intx="A",
    )
    machine.host.bridge.bus.attach(port, SLOT)


def ioh3420(machine: OwnMachine) -> None:
    port = RootPort(
        slot=Slot(number=1, **HOT_PLUG),
        ari_forwarding=True,
        capabilities=[
            SubsystemId(0x8086, 0),
            Msi(2, address64=False, maskable=True),
            Aer(root_port=True, ecrc=True),
        ],
        intx="A",
    )
    machine.host.bridge.bus.attach(port, SLOT)


def pci_bridge(machine: OwnMachine) -> None:
    bridge = PciBridge(bars=[MemBar(0, 256, width=64)], capabilities=[Msi(maskable=True)], intx="A")
    machine.host.bridge.bus.attach(bridge, SLOT)


def _below_root_port(machine: OwnMachine, function: Function) -> None:
    port = RootPort(slot=Slot(number=1, **HOT_PLUG))
    machine.host.bridge.bus.attach(port, SLOT)
    port.secondary.attach(function, 0)


def upstream(machine: OwnMachine) -> SwitchUpstream:
    port = SwitchUpstream(capabilities=[SubsystemId(0, 0), Msi(maskable=False), Aer(ecrc=True)])
    _below_root_port(machine, port)
    return port


def downstream(machine: OwnMachine) -> None:
    port = SwitchDownstream(
        slot=Slot(number=4, **HOT_PLUG),
        ari_forwarding=True,
        capabilities=[SubsystemId(0, 0), Msi(maskable=False), Aer(ecrc=True)],
    )
    upstream(machine).secondary.attach(port, 0)


def endpoint(machine: OwnMachine) -> None:
    config = ConfigSpace.type0(vendor_id=0x1AF4, device_id=0x1044, class_code=0xFF00)
    config.add(PciExpress(port_type=PortType.ENDPOINT, flr=True, extended_tags=False))
    config.add(PowerManagement(no_soft_reset=False))
    config.add(Msix(2, table_bar=1, pba_offset=0x800))
    config.add(Aer(ecrc=True))
    bars = [MemBar(1, 4096), MemBar(4, 0x4000, width=64, prefetchable=True)]
    _below_root_port(machine, Function(config, bars, intx="A"))


class Pair(NamedTuple):
    """How to make the one and the other, and where they are then."""

    options: tuple[str, ...]
    build: Callable[[OwnMachine], object]
    bdf: int = BDF


_ROOT = ("-device", "pcie-root-port,id=root,addr=4,chassis=1,slot=1")
_SWITCH = (*_ROOT, "-device", "x3130-upstream,id=up,bus=root")
_VIRTIO = "virtio-rng-pci,bus=root,disable-legacy=on,aer=on"

PAIRS = {
    "edu": Pair(("-device", "edu,addr=4"), edu),
    "root port": Pair(_ROOT, root_port),
    "root port with MSI": Pair(("-device", "ioh3420,addr=4,chassis=1,slot=1"), ioh3420),
    "PCI bridge": Pair(("-device", "pci-bridge,addr=4,chassis_nr=1"), pci_bridge),
    "upstream port": Pair(_SWITCH, upstream, SECONDARY),
    "downstream port": Pair(
        (*_SWITCH, "-device", "xio3130-downstream,bus=up,chassis=4,slot=4"), downstream, BELOW
    ),
    "endpoint": Pair((*_ROOT, "-device", _VIRTIO), endpoint, SECONDARY),
}
