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

Wishes = tuple[list[tuple[Bar, int | None]], list[tuple[Bar, int | None]]]
"""What BARs are to claim, of memory and of ports."""


class Decoder:
    """The decode map of one host bridge.

    Args:
        mmio: memory, or `None`.
        pio: ports, or `None`.
        policy: which addresses count.
        lock: the host's.
        freed: called, with any lock of a map's held, when there may be something to `refresh`,
            and after a mapper has let go of the host's lock.

    Attributes:
        stale: whether others may have left addresses since the last `refresh`, or functions
            have changed in the middle of a commit.
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
        self.stale = False
        self._freed = freed
        self._mappers = (
            Mapper(mmio, lock, self._note, freed),
            Mapper(pio, lock, self._note, freed),
        )
        self._later: dict[Function, None] = {}

    def _note(self) -> None:
        self.stale = True
        self._freed()

    @property
    def committing(self) -> bool:
        """Whether one of the maps is being changed at this moment."""
        return any(mapper.committing for mapper in self._mappers)

    def regate(self, bridge: Bridge, *, anyway: bool = False) -> bool:
        """Take up what a bridge forwards; return whether that is news for what is behind it.

        Args:
            bridge: one that forwards something else than before, maybe.
            anyway: take it for news, since bridges behind it have changed as well.
        """
        if bridge.bus is None:
            return False
        gates = (*bridge.bus.gates, bridge.forwarding)
        if bridge.secondary.gates == gates and not anyway:
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

    def refresh(self, functions: Iterable[Function] = ()) -> None:
        """Look again at what some functions decode, and at what others have left.

        Who comes here from a listener, in the middle of a commit, leaves it to the commit's owner,
        who looks when it is done, as long as this is `stale`.
        """
        if self.committing:
            self._later.update(dict.fromkeys(functions))
            self.stale = True
            return
        self.stale = False  # before the look: what is noted from here on is looked at again
        if self._later:
            functions = {**self._later, **dict.fromkeys(functions)}
            self._later = {}
        wishes: Wishes = ([], [])
        for function in functions:
            for bar in function.bars:
                base = self.wished_base(bar)
                if base != bar.address:
                    wishes[bar.space == "io"].append((bar, base))
        self._update(wishes)

    def withdraw(self, functions: Iterable[Function]) -> None:
        """Drop what functions that leave have claimed."""
        wishes: Wishes = ([], [])
        for function in functions:
            for bar in function.bars:
                if bar.claim is not None:
                    wishes[bar.space == "io"].append((bar, None))
        self._update(wishes)

    def reserve(self, base: int, size: int, *, io: bool, held: bool) -> bool:
        """Keep BARs out of a range of one of the maps, or let them in again."""
        mapper = self._mappers[io]
        known = True
        if held:
            mapper.reserve(base, size)
        else:
            known = mapper.unreserve(base, size)
        self.refresh()
        return known

    def take_changes(self) -> list[BarChange]:
        """Return what answers elsewhere since this was asked last; memory goes first."""
        taken = []
        for mapper in self._mappers:
            if mapper.changes:
                changes, mapper.changes = mapper.changes, []
                taken += changes
        return taken

    def _update(self, wishes: Wishes) -> None:
        (memory, ports), (memory_wishes, port_wishes) = self._mappers, wishes
        try:
            if memory_wishes or memory.stale:
                memory.update(memory_wishes)
        finally:  # a listener of the one map that raises does not keep the other one behind
            if port_wishes or ports.stale:
                ports.update(port_wishes)

    def check(self, root: Bus) -> None:
        """Assert that claims are what the config spaces say, and the maps what the claims say."""
        assert not self._later, self._later
        for bus in _buses(root):
            for bridge in bus.bridges():
                assert bridge.secondary.gates == (*bus.gates, bridge.forwarding), bridge
        for function in root.below():
            for bar in function.bars:
                assert bar.address == self.wished_base(bar), bar
        for mapper in self._mappers:
            mapper.check()
            assert not mapper.changes, mapper.changes


def _buses(bus: Bus) -> Iterator[Bus]:
    yield bus
    for child in bus.children:
        yield from _buses(child)
