# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A PC in a Python process, as far as a PCI device can tell."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any, Final, Literal, TypeVar
from weakref import WeakKeyDictionary

from vmmkit.errors import TopologyError
from vmmkit.memregion import IMMUTABLE, RegionMap
from vmmkit.pci.bridge import Bridge
from vmmkit.pci.bus import Bus
from vmmkit.pci.config import ResetKind
from vmmkit.pci.function import Function
from vmmkit.pci.host_bridge import HostBridge
from vmmkit.pci.intx import PINS, IntxRouting
from vmmkit.pci.picture import to_svg, tree
from vmmkit.pci.testing._dump import dump
from vmmkit.pci.testing.access import ConfigAccess, EcamAccess, PortAccess
from vmmkit.pci.testing.driver import Driver
from vmmkit.pci.testing.firmware import Firmware
from vmmkit.pci.testing.interrupts import CollectedInterrupts
from vmmkit.pci.testing.memory import HostMemory
from vmmkit.pci.testing.scan import BarRegister, Scanned, bar_registers, scan
from vmmkit.protocols import AccessPort

__all__ = ["Host"]

_RAM_SIZE: Final = 16 << 20
_MEMORY_HOLE: Final = (0xC000_0000, 0xE000_0000)
_ECAM_BASE: Final = 0xE000_0000
_CONFIG_PORTS: Final = 0xCF8
_DEVICES: Final = range(32)

Plugged = TypeVar("Plugged", bound=Function)


class Host:
    """RAM, I/O ports, a host bridge, firmware, and somebody who collects interrupts.

    What it does to devices goes the way a guest's accesses go: through ports of address maps,
    ECAM and CF8h.

    Args:
        memory: bytes of RAM, from address 0.
        config: how configuration registers are reached: `"ecam"` or `"cf8"`.
        segment: the segment's number.
        last_bus: greatest bus number.
        routing: GSIs of the pins; `IntxRouting.swizzled()` by default.
        interrupts: what takes interrupts; a subclass may do more than collect them.

    Attributes:
        bridge: the host bridge.
        mmio: the map of memory.
        pio: the map of I/O ports.
        port: a port into memory, for accesses by absolute address.
        io_port: a port into I/O ports.
        config: the way to configuration registers.
        interrupts: what arrived.
        memory: the RAM, for what devices fetch and store.
    """

    def __init__(
        self,
        *,
        memory: int = _RAM_SIZE,
        config: Literal["ecam", "cf8"] = "ecam",
        segment: int = 0,
        last_bus: int = 255,
        routing: IntxRouting | None = None,
        interrupts: CollectedInterrupts | None = None,
    ) -> None:
        """Build it, with nothing plugged in."""
        self.mmio = RegionMap(address_bits=52, name="mmio", straddle="split")
        self.pio = RegionMap(address_bits=16, name="pio", access_sizes=(1, 2, 4), straddle="split")
        self.memory = HostMemory(memory)
        self.interrupts = CollectedInterrupts() if interrupts is None else interrupts
        self.bridge = HostBridge(
            self.mmio,
            self.pio,
            segment=segment,
            last_bus=last_bus,
            routing=routing or IntxRouting.swizzled(),
            set_gsi=self.interrupts.set_gsi,
            send_msi=self.interrupts.send_msi,
        )
        self._place()
        self.port: AccessPort = self.mmio.port(self)
        self.io_port: AccessPort = self.pio.port(self)
        ways: dict[str, ConfigAccess] = {
            "ecam": EcamAccess(self.port, _ECAM_BASE),
            "cf8": PortAccess(self.io_port),
        }
        self.config = ways[config]
        self._firmware = Firmware(self.config, last_bus=last_bus, memory=_MEMORY_HOLE)
        self._bars: WeakKeyDictionary[Function, dict[int, BarRegister]] = WeakKeyDictionary()

    def _place(self) -> None:
        bridge = self.bridge
        self.mmio.add_ram(0, self.memory.buffer, name="RAM")
        self.mmio.add(_ECAM_BASE, bridge.ecam.size, bridge.ecam, name="ECAM", flags=IMMUTABLE)
        self.pio.add(_CONFIG_PORTS, bridge.config_ports.size, bridge.config_ports, name="CF8")
        for space in (self.mmio, self.pio):
            space.add_fallback(0, 1 << space.address_bits, name="nothing")

    # -- plugging --------------------------------------------------------------------------------

    def plug(
        self,
        device: Plugged,
        slot: int | None = None,
        *,
        function: int = 0,
        behind: Bridge | Driver[Bridge] | None = None,
        enable: bool = True,
    ) -> Driver[Plugged]:
        """Put a function in, and do what firmware and the head of a driver's `probe` do.

        Args:
            device: attached to no bus.
            slot: device number; by default the first that is free, from 1 on the root bus and
                0 behind a bridge.
            function: function number.
            behind: a bridge of this host; by default it goes to the root bus. Firmware then runs
                anew, as it does where `device` is a bridge: all BARs may move.
            enable: whether to turn on memory and I/O decoding and bus mastering.

        Returns:
            Its driver.

        Raises:
            TopologyError: the slot is taken, or there is none; or `behind` is no bridge.
            AllocationError: a BAR finds no room.
        """
        bus = self._bus_behind(behind)
        bus.attach(device, slot, function)
        if bus.bridge is not None or isinstance(device, Bridge):
            self.enumerate()
        else:
            self._firmware.place(device.bdf)
        driver = Driver(self, device)
        if enable:
            driver.enable()
        return driver

    def _bus_behind(self, behind: Bridge | Driver[Bridge] | None) -> Bus:
        if behind is None:
            return self.bridge.bus
        bridge = behind.function if isinstance(behind, Driver) else behind
        if not isinstance(bridge, Bridge):
            raise TopologyError(f"{bridge!r} is no bridge")
        return bridge.secondary

    def unplug(self, driver: Driver[Function]) -> None:
        """Take a function out at once, whatever its driver thinks of that."""
        bus = driver.function.bus
        if bus is not None:
            bus.detach(driver.function)

    def enumerate(self) -> tuple[Scanned, ...]:
        """Run firmware: number all buses, give addresses to all BARs, open windows, enable.

        Returns:
            What a scan finds afterwards.

        Raises:
            AllocationError: something finds no room.
        """
        self._firmware.run()
        return tuple(self.scan())

    def scan(self) -> Iterator[Scanned]:
        """Yield the functions that configuration accesses find, bus by bus, depth first."""
        return scan(self.config, self.bridge.first_bus)

    def drivers(self) -> tuple[Driver[Function], ...]:
        """Return a driver for each function that can be reached."""
        return tuple(Driver(self, function) for function in self.bridge.functions())

    # -- what drivers ask ------------------------------------------------------------------------

    def bar_registers_of(self, function: Function) -> dict[int, BarRegister]:
        """Return the BARs of a function by index; they are sized once, when first asked for."""
        known = self._bars.get(function)
        if known is None:
            found = bar_registers(Driver(self, function).config)
            known = self._bars[function] = {bar.index: bar for bar in found}
        return known

    def gsi_of(self, bdf: int, pin: int) -> int | None:
        """Follow a pin up through the bridges to the root bus, and from there to a GSI.

        Args:
            bdf: of a function.
            pin: what its Interrupt Pin register says: 1-4, 0 for none.
        """
        if not pin:
            return None
        wire = pin - 1
        above = {found.secondary: found.bdf for found in self.scan() if found.is_bridge}
        while bdf >> 8 != self.bridge.first_bus:
            wire = (wire + (bdf >> 3 & 31)) % PINS
            bdf = above[bdf >> 8]
        return self.bridge.wiring.routing.gsi(bdf >> 3 & 31, wire)

    # -- resets and state ------------------------------------------------------------------------

    def reset(self, kind: ResetKind = ResetKind.POWER) -> None:
        """Reset everything, forget interrupts, and run firmware again."""
        self.bridge.reset(kind)
        self.interrupts.clear()
        self.enumerate()

    def round_trip(self) -> Any:
        """Snapshot all functions, reset them, restore them, and see that nothing was lost.

        The snapshot is pickled on the way, as it would be on the way to another process.

        Returns:
            The snapshot.

        Raises:
            AssertionError: a snapshot taken afterwards differs.
        """
        before = self.bridge.snapshot()
        self.bridge.reset(ResetKind.POWER)
        self.bridge.restore(pickle.loads(pickle.dumps(before)))  # noqa: S301 - our own
        after = self.bridge.snapshot()
        assert after == before, f"restored:\n{after}\nsaved:\n{before}"
        self.check()
        return before

    def check(self) -> None:
        """Assert that address maps and configuration registers are in step."""
        self.bridge._check()  # noqa: SLF001 - what tests are for

    # -- pictures --------------------------------------------------------------------------------

    def lspci(self) -> str:
        """Return the hex dump of all functions that `lspci -F` reads."""
        return dump(self)

    def tree(self) -> str:
        """Return what is plugged in, as text."""
        return tree(self.bridge)

    def to_svg(self) -> str:
        """Return what is plugged in, as a drawing."""
        return to_svg(self.bridge)
