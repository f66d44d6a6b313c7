# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Buses: who sits in which slot, and which numbers the guest has given them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from vmmkit.errors import TopologyError
from vmmkit.pci.decode import Forwarding
from vmmkit.pci.function import Function, place, show_multifunction

if TYPE_CHECKING:
    from vmmkit.pci.bridge import Bridge
    from vmmkit.pci.host_bridge import HostBridge

__all__ = ["Bus", "route"]


class Bus:
    """A bus; made by a `HostBridge` or a `Bridge`.

    Args:
        bridge: the bridge it is behind; `None` for a root bus.
        link: whether it is a PCI Express link, which has device 0 only.

    Attributes:
        bridge: as given.
        link: as given.
        ari: whether functions beyond 7 may be attached to a link, as ARI numbers them.
        gates: what the bridges above let through, from the top; kept by the host bridge.
    """

    def __init__(self, bridge: Bridge | None = None, *, link: bool = False) -> None:
        """Start empty."""
        self.bridge = bridge
        self.link = link
        self.ari = False
        self.gates: tuple[Forwarding, ...] = ()
        self.root_host: HostBridge | None = None
        self._slots: dict[int, Function] = {}
        self._bridges: dict[int, Bridge] = {}

    @property
    def host(self) -> HostBridge | None:
        """The host bridge above, or `None` where nothing is above yet."""
        return self.root_host if self.bridge is None else self.bridge.host

    @property
    def number(self) -> int:
        """The number it has now: the root's is fixed, others are set by the guest."""
        if self.bridge is not None:
            return self.bridge.secondary_number
        return 0 if self.root_host is None else self.root_host.first_bus

    @property
    def path(self) -> tuple[int, ...]:
        """The devfns of the bridges above, from the top."""
        if self.bridge is None or self.bridge.bus is None:
            return ()
        return (*self.bridge.bus.path, self.bridge.devfn)

    @property
    def children(self) -> tuple[Bus, ...]:
        """The buses behind the bridges on this one, by devfn."""
        return tuple(bridge.secondary for bridge in self._bridges.values())

    def functions(self) -> tuple[Function, ...]:
        """Return the functions on this bus, by devfn."""
        return tuple(self._slots.values())

    def bridges(self) -> tuple[Bridge, ...]:
        """Return the bridges on this bus, by devfn."""
        return tuple(self._bridges.values())

    def below(self) -> Iterator[Function]:
        """Yield the functions on this bus and on all buses behind it, in order of priority."""
        yield from self.functions()
        for child in self.children:
            yield from child.below()

    def tree(self) -> str:
        """Return a text with a line for each function, window and BAR here and behind bridges.

        Raises:
            TopologyError: no host bridge is above, so nothing has an address.
        """
        host = self.host
        if host is None:
            raise TopologyError(f"{self!r} is below no host bridge")
        return host.tree(self)

    def __getitem__(self, devfn: int) -> Function:
        """Return the function at a devfn.

        Raises:
            TopologyError: there is none.
        """
        try:
            return self._slots[devfn]
        except KeyError:
            raise TopologyError(f"no function at {place(devfn)} of {self!r}") from None

    # -- changing --------------------------------------------------------------------------------

    def attach(
        self, function: Function, device: int | None = None, function_number: int = 0
    ) -> None:
        """Put a function into a slot. The guest finds it as it is, decoding off as a rule.

        Args:
            function: attached to no bus.
            device: 0-31; `None`: the first one without functions, from 1 on a root bus, whose
                device 0 is the host bridge's by custom.
            function_number: 0-7.

        Raises:
            TopologyError: no such slot, none free, a slot taken, or a function that is attached
                already; or called by a listener of an address map while the host bridge changes
                that.
        """
        with self._changing():
            self._check_idle()
            if device is None:
                device = self._free_device()
            devfn = self._free_slot(function, device, function_number)
            function.bus, function.devfn = self, devfn
            function.config.integrated = self.bridge is None
            self._slots = _sorted(self._slots, devfn, function)
            secondary = getattr(function, "secondary", None)
            if secondary is not None:
                self._bridges = _sorted(self._bridges, devfn, function)
            self._tell_multifunction(devfn)
            try:
                if self.host is not None:
                    self.host.adopt(function)
            finally:  # a listener of a map may have raised; the function is in its slot
                self._tell_bridge()

    def detach(self, function: Function) -> None:
        """Take a function out, with all that is behind it where it is a bridge.

        Raises:
            TopologyError: it is not on this bus; or called by a listener, as for `attach`.
        """
        with self._changing():
            self._check_idle()
            if function.bus is not self:
                raise TopologyError(f"{function!r} is not on {self!r}")
            self._slots = {at: what for at, what in self._slots.items() if what is not function}
            self._bridges = {at: what for at, what in self._bridges.items() if what is not function}
            function.bus = None
            function.config.integrated = False
            show_multifunction(function.config, shown=False)
            self._tell_multifunction(function.devfn)
            try:
                if self.host is not None:
                    self.host.disown(function, self)
            finally:
                self._tell_bridge()

    def _changing(self) -> AbstractContextManager[object]:
        host = self.host
        return nullcontext() if host is None else host.changing()

    def _check_idle(self) -> None:
        host = self.host
        if host is not None and host.committing:
            raise TopologyError(f"{self!r} cannot change in the middle of a change of the map")

    def _tell_bridge(self) -> None:
        if self.bridge is None:
            return
        if self.host is None:
            self.bridge.secondary_changed()
        else:
            self.host.apply(self.bridge, self.bridge.secondary_changed)

    def _free_device(self) -> int:
        taken = {devfn >> 3 for devfn in self._slots}
        devices = range(1 if self.bridge is None else 0, 1 if self.link and not self.ari else 32)
        for device in devices:
            if device not in taken:
                return device
        raise TopologyError(f"no free slot on {self!r}")

    def _free_slot(self, function: Function, device: int, number: int) -> int:
        if device not in range(32) or number not in range(8):
            raise TopologyError(f"no slot {device!r}.{number!r}: devices 0-31, functions 0-7")
        _check_function(function)
        devfn = device << 3 | number
        if self.link and device and not self.ari:
            raise TopologyError(f"{self!r} is a link: it has device 0 only, not {device}")
        if function.bus is not None:
            raise TopologyError(f"{function!r} is attached already")
        other = self._slots.get(devfn)
        if other is not None:
            raise TopologyError(f"{place(devfn)} is taken by {other.name!r}, for {function.name!r}")
        if self._is_behind(function):
            raise TopologyError(f"{function!r} cannot be behind itself")
        return devfn

    def _is_behind(self, function: Function) -> bool:
        above = self.bridge
        while above is not None:
            if above is function:
                return True
            above = None if above.bus is None else above.bus.bridge
        return False

    def _tell_multifunction(self, devfn: int) -> None:
        """Show in the header of every function of a device whether it has several."""
        group = range(256) if self.ari else range(devfn & ~7, (devfn | 7) + 1)
        members = [self._slots[at] for at in self._slots if at in group]
        shown = len(members) > 1 or any(member.devfn & 7 for member in members)
        for member in members:
            show_multifunction(member.config, shown=shown)

    def __repr__(self) -> str:
        """Show the number."""
        return f"<Bus {self.number:#04x}>"


def _check_function(function: object) -> None:
    """Refuse what authors attach by mistake: a class, or an object that was not initialised."""
    if isinstance(function, type):
        name = function.__name__
        raise TopologyError(f"{name} is a class; what is attached is an object of it, {name}()")
    if not hasattr(function, "bus"):
        raise TopologyError(
            f"a {type(function).__name__} is no function, or its __init__ does not call "
            f"super().__init__()"
        )


def _sorted(slots: dict[int, Any], devfn: int, function: Any) -> dict[int, Any]:
    """Make a new dict, since others may be looking at the old one."""
    return dict(sorted({**slots, devfn: function}.items()))


def route(root: Bus, last: int) -> dict[int, Bus]:
    """Tell which bus answers to which number (PCI-to-PCI Bridge, "Configuration Transactions").

    A bridge takes the numbers from secondary to subordinate, as far as they were forwarded to
    it and no bridge with a lower devfn on the same bus has taken them. A bus whose number is not
    among those that get there is not reachable.

    Args:
        root: the root bus.
        last: greatest bus number of the segment.

    Returns:
        Buses by number, the root first.
    """
    reachable = {root.number: root}
    _route_behind(root, (1 << last + 1) - (2 << root.number), reachable)
    return reachable


def _route_behind(bus: Bus, numbers: int, reachable: dict[int, Bus]) -> None:
    """Route a set of bus numbers, as a mask, to what is behind the bridges of a bus."""
    for bridge in bus.bridges():
        if not numbers:
            return
        first, end = bridge.secondary_number, bridge.subordinate_number
        taken = (2 << end) - (1 << first) & numbers if first <= end else 0
        numbers &= ~taken
        if taken and bridge.forwards_config:
            if taken >> first & 1:
                reachable[first] = bridge.secondary
            _route_behind(bridge.secondary, taken & ~(1 << first), reachable)
