# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Keeps both address maps in step with what the functions of a host bridge decode.

The caller holds the host's lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from threading import RLock

from vmmkit.pci.bars import Bar
from vmmkit.pci.bridge import Bridge
from vmmkit.pci.bus import Bus
from vmmkit.pci.decode import DecodePolicy, Forwarding, decoded_base, passes
from vmmkit.pci.function import Function
from vmmkit.pci.mapper import BarChange, Mapper
from vmmkit.protocols import AddressSpace

__all__ = ["Decoder"]


class Decoder:
    """The decode map of one host bridge.

    Args:
        mmio: memory, or `None`.
        pio: ports, or `None`.
        policy: which addresses count.
        lock: the host's.
        freed: see `Mapper`.
    """

    def __init__(
        self,
        mmio: AddressSpace | None,
        pio: AddressSpace | None,
        policy: DecodePolicy,
        lock: RLock,
        freed: Callable[[], object],
    ) -> None:
        """Start with nothing decoded."""
        self.policy = policy
        self._memory = Mapper(mmio, lock, freed)
        self._ports = Mapper(pio, lock, freed)

    @property
    def stale(self) -> bool:
        """Whether others have left addresses in one of the maps."""
        return self._memory.stale or self._ports.stale

    def regate(self, bridge: Bridge) -> bool:
        """Take up what a bridge forwards; return whether that is news for what is behind it."""
        if bridge.bus is None:
            return False
        gates = (*bridge.bus.gates, bridge.forwarding)
        if bridge.secondary.gates == gates:
            return False
        self.open_gates(bridge.secondary, gates)
        return True

    def open_gates(self, bus: Bus, gates: tuple[Forwarding, ...]) -> None:
        """Set what reaches a bus, and with that what reaches all buses behind it."""
        bus.gates = gates
        for bridge in bus.bridges():
            self.open_gates(bridge.secondary, (*gates, bridge.forwarding))

    def wished_base(self, bar: Bar) -> int | None:
        """Return where a BAR claims addresses, by all config spaces on the way, or `None`."""
        function = bar.function
        base = decoded_base(
            function.config, bar.offset, bar.space, bar.declaration.width, bar.size, self.policy
        )
        if base is None or function.bus is None:
            return None
        return base if passes(function.bus.gates, bar.space == "io", base, bar.size) else None

    def refresh(self, functions: Iterable[Function] = ()) -> list[BarChange]:
        """Look again at what some functions decode, and at what others have left.

        Returns:
            What answers elsewhere now, in order of priority, memory first.
        """
        wishes: tuple[list[tuple[Bar, int | None]], list[tuple[Bar, int | None]]] = ([], [])
        for function in functions:
            for bar in function.bars:
                base = self.wished_base(bar)
                if base != bar.address:
                    wishes[bar.space == "io"].append((bar, base))
        return self._update(*wishes)

    def withdraw(self, functions: Iterable[Function]) -> list[BarChange]:
        """Drop what functions that leave have claimed."""
        wishes: tuple[list[tuple[Bar, int | None]], list[tuple[Bar, int | None]]] = ([], [])
        for function in functions:
            for bar in function.bars:
                if bar.claim is not None:
                    wishes[bar.space == "io"].append((bar, None))
        return self._update(*wishes)

    def _update(
        self, memory: list[tuple[Bar, int | None]], ports: list[tuple[Bar, int | None]]
    ) -> list[BarChange]:
        changes: list[BarChange] = []
        for mapper, wishes in ((self._memory, memory), (self._ports, ports)):
            if wishes or mapper.stale:
                changes += mapper.update(wishes)
        return changes

    def check(self, root: Bus) -> None:
        """Assert that claims are what the config spaces say, and the maps what the claims say."""
        for bus in _buses(root):
            for bridge in bus.bridges():
                assert bridge.secondary.gates == (*bus.gates, bridge.forwarding), bridge
        for function in root.below():
            for bar in function.bars:
                assert bar.address == self.wished_base(bar), bar
        self._memory.check()
        self._ports.check()


def _buses(bus: Bus) -> Iterator[Bus]:
    yield bus
    for child in bus.children:
        yield from _buses(child)
