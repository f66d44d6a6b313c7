# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What a host bridge does behind its front ends: routing, decoding, resets, and telling of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from threading import RLock
from typing import Final

from vmmkit.pci._decoder import Decoder
from vmmkit.pci._notices import Notices
from vmmkit.pci._wiring import Wiring
from vmmkit.pci.bridge import Bridge
from vmmkit.pci.bus import Bus, route
from vmmkit.pci.config import Effect, ResetKind
from vmmkit.pci.decode import DecodePolicy
from vmmkit.pci.function import Function
from vmmkit.protocols import AddressSpace

__all__ = ["Segment"]

# Plain integers: an operation on an IntFlag costs ten times as much.
_DECODE: Final = int(Effect.DECODE)
_NUMBERS: Final = int(Effect.NUMBERS)
_POWER: Final = int(Effect.POWER)
_FUNCTION_RESET: Final = int(Effect.FUNCTION_RESET)
_SECONDARY_RESET: Final = int(Effect.SECONDARY_RESET)
_ROUTING: Final = _NUMBERS | _POWER | _SECONDARY_RESET

Reset = tuple[Function, ResetKind]
NO_RESETS: Final[Sequence[Reset]] = ()


class Segment:
    """Base of `HostBridge`: all that follows from a write, a reset, or a change of topology.

    Args:
        mmio: the map of memory, or `None`.
        pio: the map of ports, or `None`.
        policy: which addresses decode.
        wiring: where interrupts and DMA lead.
        first_bus: number of the root bus.
        last_bus: greatest bus number.

    Attributes:
        bus: the root bus.
        lock: taken for every config write and every change of topology.
        notices: what functions are to be told when no lock is held.
    """

    def __init__(
        self,
        mmio: AddressSpace | None,
        pio: AddressSpace | None,
        policy: DecodePolicy,
        wiring: Wiring,
        first_bus: int,
        last_bus: int,
    ) -> None:
        """Start with an empty root bus."""
        self.first_bus, self.last_bus = first_bus, last_bus
        self.wiring = wiring
        self.lock = RLock()
        self.notices = Notices()
        self.bus = Bus()
        self._depth = 0
        self._decoder = Decoder(mmio, pio, policy, self.lock, self._freed)
        self._functions: dict[int, Function] = {}
        self._reachable: dict[int, Bus] = {first_bus: self.bus}

    # -- topology --------------------------------------------------------------------------------

    def adopt(self, function: Function) -> None:
        """Take up a function that has been put into a slot, and all behind it; for `Bus`."""
        family = [*_family(function)]
        for member in family:
            assert member.bus is not None, member
            path = member.bus.path
            member.cut_bars()
            for bar in member.bars:
                bar.key = (path, member.devfn, bar.index)
            self.wiring.connect(member)
            self.notices.post(member.interrupts.deliver)
        assert function.bus is not None, function
        number = self._number_of(function.bus)
        if number is not None:
            self._functions[number << 8 | function.devfn] = function
        if isinstance(function, Bridge):
            self._decoder.regate(function, anyway=True)
            self._reroute()
        self._refresh(family)

    def disown(self, function: Function, bus: Bus) -> None:
        """Give up a function that has left its slot on `bus`, and all behind it; for `Bus`."""
        family = [*_family(function)]
        number = self._number_of(bus)
        if number is not None:
            del self._functions[number << 8 | function.devfn]
        if isinstance(function, Bridge):
            self._reroute()
        for member in family:
            self.wiring.disconnect(member)
            self.notices.post(member.interrupts.deliver)
        try:
            self._decoder.withdraw(family)
        finally:
            self._post()

    @property
    def committing(self) -> bool:
        """Whether an address map is being changed at this moment; asked with the lock held."""
        return self._decoder.committing

    def _number_of(self, bus: Bus) -> int | None:
        """Return the number at which a bus is reached, or `None`."""
        number = bus.number
        return number if self._reachable.get(number) is bus else None

    def _reroute(self) -> None:
        """Find out anew which buses are reached; only those that change cost more than a look."""
        before, after = self._reachable, route(self.bus, self.last_bus)
        self._reachable = after
        for number in [number for number, bus in before.items() if after.get(number) is not bus]:
            for function in before[number].functions():
                del self._functions[number << 8 | function.devfn]
        for number in [number for number, bus in after.items() if before.get(number) is not bus]:
            for function in after[number].functions():
                self._functions[number << 8 | function.devfn] = function

    # -- what writes lead to ---------------------------------------------------------------------

    def apply(self, function: Function, change: Callable[[], int]) -> None:
        """Make a change to a function's registers that is not the guest's, and follow it up.

        Args:
            function: whose.
            change: makes it, with the lock held; returns `Effect` bits.
        """
        effects, resets = 0, NO_RESETS
        try:
            with self.lock:
                effects = change()
                if effects:
                    resets = self._reset_registers(function, effects)
                    self._follow(function, effects, resets)
        finally:
            self._conclude(function, effects, resets)

    def _reset_registers(self, function: Function, effects: int) -> Sequence[Reset]:
        """Reset the config spaces that a write resets; return whose."""
        resets = [*self._resets_of(function, effects)]
        for member, kind in resets:
            member.config.reset(kind)
        return resets

    def _follow(self, function: Function, effects: int, resets: Sequence[Reset]) -> None:
        """Bring routing and maps in step with a write, and with whom it reset."""
        is_bridge = isinstance(function, Bridge)
        if is_bridge and (effects & _ROUTING or resets):
            self._reroute()
        if effects & (_DECODE | _SECONDARY_RESET) or resets:
            self._redecode(function, [member for member, _ in resets])

    def _conclude(self, function: Function, effects: int, resets: Iterable[Reset]) -> None:
        """Do what waits until the lock is free; also after a map's listener has raised."""
        try:
            self._finish_resets(resets)
            if effects:
                function.on_effects(effects)
        finally:
            self._settle()

    def _resets_of(self, function: Function, effects: int) -> Iterator[Reset]:
        if effects & _FUNCTION_RESET:
            yield function, ResetKind.FUNCTION
        elif effects & _POWER and function.note_power():
            yield function, ResetKind.D3
        if effects & _SECONDARY_RESET and isinstance(function, Bridge) and function.holds_reset:
            for member in function.secondary.below():
                yield member, function.reset_below

    def _redecode(self, function: Function, others: Collection[Function] = ()) -> None:
        """Look again at what a function decodes, and where it forwards less or more, at more."""
        affected: dict[Function, None] = {function: None, **dict.fromkeys(others)}
        if isinstance(function, Bridge) and self._decoder.regate(function, anyway=bool(others)):
            affected.update(dict.fromkeys(function.secondary.below()))
        self._refresh(affected)

    def _refresh(self, functions: Iterable[Function] = ()) -> None:
        try:
            self._decoder.refresh(functions)
        finally:
            self._post()

    def _post(self) -> None:
        """Have functions told what became of their BARs."""
        for bar, old, new in self._decoder.take_changes():
            function = bar.function
            if old is None:
                self.notices.post(partial(function.on_mapped, bar))
            elif new is None:
                self.notices.post(partial(function.on_unmapped, bar))
            else:
                self.notices.post(partial(function.on_moved, bar, old))

    def _finish_resets(self, resets: Iterable[Reset]) -> None:
        for function, kind in resets:
            function.finish_reset(kind)
            self.notices.post(partial(function.on_reset, kind))

    # -- what others do to the maps --------------------------------------------------------------

    def _freed(self) -> None:
        """Hear that somebody left addresses; the map's lock may be held, so never wait.

        Whoever has the host's lock instead, looks when it has let go of it.
        """
        while self._decoder.stale and self.lock.acquire(blocking=False):
            try:
                if self._depth or self._decoder.committing:
                    return  # this thread is in the middle of something, and looks at the end of it
                try:
                    self._refresh()
                finally:
                    self.notices.tell()
            finally:
                self.lock.release()

    def _settle(self) -> None:
        """Do what could not be done or told while a thread had the lock.

        Within `changing` it is left to the end of that.
        """
        if self._depth:
            return
        try:
            while self._decoder.stale:
                with self.lock:
                    if self._decoder.committing:
                        break  # this thread comes from a listener, and looks when that is done
                    self._refresh()
        finally:
            if self.notices.waiting:
                self.notices.tell()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Keep config writes and changes of topology of other threads out of a `with` statement.

        Notifications wait until its end.
        """
        try:
            with self.lock:
                self._depth += 1
                try:
                    yield
                finally:
                    self._depth -= 1
        finally:
            self._settle()

    # -- resets ----------------------------------------------------------------------------------

    def reset_function(self, function: Function, kind: ResetKind) -> None:
        """Reset a function; a reset by power or bus reaches what is behind a bridge as well."""
        reaches = kind in (ResetKind.POWER, ResetKind.BUS)
        family: list[Function] = []
        try:
            with self.lock:
                family = [*_family(function)] if reaches else [function]
                self._reset_all(family, kind)
        finally:
            self._conclude(function, 0, [(member, kind) for member in family])

    def _reset_all(self, family: Iterable[Function], kind: ResetKind) -> None:
        for member in family:
            member.config.reset(kind)
        self._look_at_all()

    def _look_at_all(self) -> None:
        """Work out routing and decoding of everything."""
        self._decoder.open_gates(self.bus, self.bus.gates)
        self._reroute()
        self._refresh(self.bus.below())


def _family(function: Function) -> Iterator[Function]:
    yield function
    if isinstance(function, Bridge):
        yield from function.secondary.below()
