# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The host bridge: where config accesses come in, and what they lead to.

Theory of operation: the host bridge
------------------------------------
A `HostBridge` is one segment: a root bus and all that is attached below. Config accesses come
from its two front ends, `config_ports` (CF8H) and `ecam`, or from callers of `config_read` and
`config_write`. Reads take no lock. A write is made under the host's lock, together with all that
follows from it for routing and for the address maps, so map and config spaces are never out of
step. What devices are told of it waits until the lock is free again.

Order of locks: the host's, then a map's. Nobody may wait for the host's lock with a map's
lock held: no config write inside of a map's transaction, or in a listener of a map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

import attrs

from vmmkit.errors import PciSnapshotError, TopologyError
from vmmkit.pci._segment import NO_RESETS, Segment
from vmmkit.pci._wiring import Wiring
from vmmkit.pci.bus import Bus, route
from vmmkit.pci.cf8 import ConfigPorts
from vmmkit.pci.config import ResetKind
from vmmkit.pci.decode import DecodePolicy, root_forwarding
from vmmkit.pci.ecam import Ecam
from vmmkit.pci.function import Function, FunctionSnapshot
from vmmkit.pci.intx import IntxRouting, IntxWires
from vmmkit.protocols import AddressSpace, MemorySpace

__all__ = ["HostBridge", "HostSnapshot"]

Place = tuple[int, ...]
"""Where a function is, whatever the guest's numbers: devfns from the root bus on."""


@attrs.frozen
class HostSnapshot:
    """What a segment holds.

    Attributes:
        latch: of the address port at CF8H.
        functions: by place: devfns from the root bus on.
    """

    latch: int
    functions: dict[Place, FunctionSnapshot]


class HostBridge(Segment):
    """One segment of PCI.

    Args:
        mmio: the map of memory that BARs are placed in. `RegionMap` fits; any `AddressSpace`
            does, and where it has `add_ram` memory BARs become RAM of it.
        pio: the map of I/O ports.
        segment: the segment's number, for the owner's tables.
        first_bus: number of the root bus.
        last_bus: greatest bus number of the segment.
        windows: what the root lets through, as `{"io": [(base, size)], "mem": [...]}`; a kind
            that is not named, and `None`, mean everything.
        routing: which GSI the pins on the root bus reach; none by default.
        set_gsi: called with a GSI and its new level.
        send_msi: called with address, data and the sender's bdf for each message.
        memory: what functions reach by DMA; by default `mmio`.
        physical_bits: width of a memory address; BARs beyond do not decode.
        decode_zero: whether a BAR whose address is zero decodes.
        name: for errors and pictures.

    Raises:
        TopologyError: bus numbers that are none.

    Attributes:
        bus: the root bus.
        config_ports: the device for the eight ports at CF8H.
        ecam: the device for the window of memory.
        wiring: where interrupts and DMA lead.
    """

    def __init__(
        self,
        mmio: AddressSpace | None = None,
        pio: AddressSpace | None = None,
        *,
        segment: int = 0,
        first_bus: int = 0,
        last_bus: int = 255,
        windows: Mapping[str, Iterable[tuple[int, int]]] | None = None,
        routing: IntxRouting | None = None,
        set_gsi: Callable[[int, bool], object] | None = None,
        send_msi: Callable[[int, int, int], object] | None = None,
        memory: MemorySpace | None = None,
        physical_bits: int = 52,
        decode_zero: bool = False,
        name: str = "pci",
    ) -> None:
        """Start with an empty root bus."""
        if not 0 <= first_bus <= last_bus <= 255:
            raise TopologyError(f"{name}: no range of buses: {first_bus!r} to {last_bus!r}")
        self.name, self.segment = name, segment
        self.mmio, self.pio = mmio, pio
        wiring = Wiring(
            IntxRouting({}) if routing is None else routing,
            IntxWires(_drop if set_gsi is None else set_gsi),
            _drop if send_msi is None else send_msi,
            mmio if memory is None else memory,
        )
        bits = min(physical_bits, getattr(mmio, "address_bits", physical_bits))
        policy = DecodePolicy(decode_zero=decode_zero, physical_bits=bits)
        super().__init__(mmio, pio, policy, wiring, first_bus, last_bus)
        self.bus.root_host = self
        self.bus.gates = (root_forwarding(windows),)
        self.config_ports = ConfigPorts(self._functions, self.config_write)
        self.ecam = Ecam(self._functions, self.config_write, first_bus, last_bus)

    # -- the guest's side ------------------------------------------------------------------------

    def config_read(self, bdf: int, offset: int, size: int) -> int:
        """Read a config space as a guest does.

        Args:
            bdf: bus number times 256, plus device times 8, plus function.
            offset: first byte.
            size: bytes.

        Returns:
            The bytes; ones where no function is.
        """
        function = self._functions.get(bdf)
        if function is None:
            return (1 << 8 * size) - 1
        return function.config.read(offset, size)

    def config_write(self, bdf: int, offset: int, size: int, value: int) -> None:
        """Write a config space as a guest does; dropped where no function is.

        When it returns, address maps and routing are in step with it, and what pended has left.
        Notifications have been made, unless another thread is at making some.
        """
        if bdf not in self._functions:
            return
        function, effects, resets = None, 0, NO_RESETS
        try:
            with self.lock:
                function = self._functions.get(bdf)
                if function is None:
                    return
                effects = function.config.write(offset, size, value)
                try:
                    if effects:
                        resets = self._reset_registers(function, effects)
                        self._follow(function, effects, resets)
                finally:
                    if function.hears_config_writes:
                        told = partial(function.on_config_write, offset, size, value)
                        self.notices.post(partial(_tell_of_write, function, effects, told))
        finally:
            if function is not None and effects:
                self._conclude(function, effects, resets)
            else:
                self._settle()

    # -- topology --------------------------------------------------------------------------------

    def function_at(self, bdf: int) -> Function | None:
        """Return who answers config accesses to `bdf` now, or `None`."""
        return self._functions.get(bdf)

    def functions(self) -> Iterator[Function]:
        """Yield the functions that the guest can reach now, by bus, device and function."""
        with self.changing():
            return iter([self._functions[bdf] for bdf in sorted(self._functions)])

    def buses(self) -> tuple[Bus, ...]:
        """Return the buses the guest can reach now, by number."""
        return tuple(bus for _, bus in sorted(self._reachable.items()))

    # -- what the owner does ---------------------------------------------------------------------

    def reset(self, kind: ResetKind = ResetKind.POWER) -> None:
        """Reset the whole segment, the latch at CF8H included."""
        resets = []
        try:
            with self.lock:
                self.config_ports.reset()
                resets = [(member, kind) for member in self.bus.below()]
                self._reset_all([member for member, _ in resets], kind)
        finally:
            try:
                self._finish_resets(resets)
            finally:
                self._settle()

    def reserve(self, base: int, size: int, *, io: bool = False) -> None:
        """Keep BARs out of a range: those that are live there stop to be, until `unreserve`.

        For owners of a map who need addresses that a guest has put a BAR at: reserve them, then
        add a region.

        Args:
            base: first address.
            size: bytes.
            io: whether these are ports.
        """
        with self.changing():
            self._reserve(base, size, io=io, held=True)

    def unreserve(self, base: int, size: int, *, io: bool = False) -> None:
        """Give back what `reserve` was called with.

        Raises:
            TopologyError: no such range is reserved.
        """
        with self.changing():
            self._reserve(base, size, io=io, held=False)

    def _reserve(self, base: int, size: int, *, io: bool, held: bool) -> None:
        try:
            if not self._decoder.reserve(base, size, io=io, held=held):
                raise TopologyError(f"{self.name}: {size:#x} bytes at {base:#x} are not reserved")
        finally:
            self._post()

    def tree(self, bus: Bus | None = None) -> str:
        """Return a text with a line for each function, window and BAR.

        Args:
            bus: begin here instead of at the root.
        """
        from vmmkit.pci import picture  # noqa: PLC0415 - see `to_svg`

        return picture.tree(self, bus)

    def to_svg(self) -> str:
        """Return a drawing of the topology, its windows and BARs."""
        from vmmkit.pci import picture  # noqa: PLC0415 - urllib comes with XML

        return picture.to_svg(self)

    # -- state -----------------------------------------------------------------------------------

    def snapshot(self) -> HostSnapshot:
        """Return what the functions and the latch at CF8H hold; nothing else runs meanwhile."""
        with self.changing():
            functions = {_place_of(one): one.snapshot() for one in self.bus.below()}
        return HostSnapshot(self.config_ports.latch, functions)

    def restore(self, snapshot: HostSnapshot) -> None:
        """Take a snapshot of a segment with such functions in the same places.

        Config spaces are restored before anything is decoded, and interrupts after that.

        Raises:
            PciSnapshotError: functions are in other places, or are built in another way.
        """
        members = {_place_of(one): one for one in self.bus.below()}
        if not isinstance(snapshot, HostSnapshot) or members.keys() != snapshot.functions.keys():
            raise PciSnapshotError(f"{self.name}: a snapshot of other functions")
        pairs = {members[place]: one for place, one in snapshot.functions.items()}
        self.restore_functions(pairs)
        for function, one in pairs.items():
            function.restore_rest(one)
        self.config_ports.latch = snapshot.latch

    def restore_functions(self, snapshots: Mapping[Function, FunctionSnapshot]) -> None:
        """Restore config spaces and memory, then look at what that decodes; for `Function`."""
        for function, snapshot in snapshots.items():
            function.check_snapshot(snapshot)
        with self.changing():
            for function, snapshot in snapshots.items():
                function.restore_registers(snapshot)
            self._look_at_all()

    def _check(self) -> None:
        """Assert that routing, claims and maps are what the config spaces say."""
        with self.changing():
            assert self._reachable == route(self.bus, self.last_bus), self._reachable
            everybody = {
                number << 8 | function.devfn: function
                for number, bus in self._reachable.items()
                for function in bus.functions()
            }
            assert self._functions == everybody, self._functions
            self._decoder.check(self.bus)


def _place_of(function: Function) -> Place:
    assert function.bus is not None, function
    return (*function.bus.path, function.devfn)


def _tell_of_write(function: Function, effects: int, tell: Callable[[], object]) -> None:
    """Let a function hear of a write; its interrupts first, where another thread tells it."""
    function.interrupts_follow(effects)
    tell()


def _drop(*_arguments: object) -> None:
    """Be a sink that nobody connected."""
