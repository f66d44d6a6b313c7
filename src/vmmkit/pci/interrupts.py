# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""A function's interrupts: MSI-X, MSI or INTx, whichever the guest enabled.

Theory of operation: interrupts
-------------------------------
A device asks for one thing, `interrupts.vector(n)`, and either pulses it or drives its level. What
comes of that is decided by the configuration space as it is at that moment:

* MSI-X or MSI enabled (MSI-X goes first): a pulse, and the rise of a level, is one message. It
  leaves if the vector is not masked, MSI-X's function mask is clear, the function may master the
  bus and is in D0. Otherwise it *pends*, and leaves as soon as all that holds: once, however
  often it was asked for meanwhile. The fall of a level takes back a message that the level is
  still waiting to send. Enabling MSI or MSI-X sends messages for the levels that are high.
* Neither, and the function has a pin: the pin is high while any level is. Interrupt Disable in
  the Command register and the D-states below D0 hold it low; the Interrupt Status bit tells of
  the level all the same. A pulse raises and lowers it. Nothing pends.
* Neither, and no pin: everything pends until the guest enables messages.

Three sets of vectors are all the state: lines that are high, pulses that wait, and rises that
wait. Pending bits are computed from them. With fewer messages enabled than there are vectors,
vector `n` uses message `n % enabled`, and one message answers for all vectors waiting for it.

Threads. Devices may pulse from any thread while vCPUs mask and unmask. One small lock is held
while state changes and never while anything outside is called; the calls are made in the order of
the changes. A message that was taken out when another vCPU masks its vector is on its way and
still arrives, as on hardware.

Sources: PCI Local Bus Specification 3.0, "MSI Capability Structure", "MSI-X Capability and Table
Structure" and "Device Status"; PCI Bus Power Management Interface Specification 1.2, "Function
Power Management States".
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from vmmkit.errors import ConfigSpaceError
from vmmkit.pci._mastering import may_master
from vmmkit.pci._messages import (
    InterruptsSnapshot,
    Irq,
    Message,
    Mode,
    MsiMessages,
    NoMessages,
    check_snapshot,
)
from vmmkit.pci._outbox import Outbox
from vmmkit.pci._pin import Pin, Sink
from vmmkit.pci.config import ConfigSpace, ResetKind
from vmmkit.pci.intx import pin_number
from vmmkit.pci.msix_table import MsixTable

__all__ = ["Interrupts", "InterruptsSnapshot", "Irq", "Message", "Mode"]


def _drop(*_arguments: object) -> None:
    """Be a sink that nobody connected."""


class Interrupts:
    """All interrupts of one function.

    Args:
        config: whose MSI and MSI-X capabilities, Command register and D-state decide. All
            capabilities have been added.
        pin: `"A"` to `"D"`, or `None` for a function without INTx.

    Attributes:
        send: takes address and data of each message.
        on_route_change: where set, called with each vector whose `Irq.message` has changed. For
            monitors that let a kernel inject interrupts: while the message is `None`, call
            `pulse` instead, so that it pends.
        table: the MSI-X table, or `None`.
        vectors: how many there are: the larger of what MSI-X and MSI have, at least one.
        lock: the small lock; for `MsixTable`.

    Raises:
        TopologyError: no such pin.

    Tell it with `config_changed` of writes to the configuration space that have the effect
    `INTERRUPT`.
    """

    __slots__ = (
        "_config",
        "_has_pin",
        "_held",
        "_high",
        "_irqs",
        "_mode",
        "_msi",
        "_msi_enabled",
        "_msix",
        "_on_route_change",
        "_outbox",
        "_pin",
        "_pulsed",
        "_raised",
        "_routes",
        "_shown",
        "_slots",
        "_source",
        "_upstream",
        "deliver",
        "lock",
        "send",
        "table",
        "vectors",
    )

    def __init__(self, config: ConfigSpace, *, pin: str | None = None) -> None:
        """Begin with all levels low and nothing pending."""
        self._config = config
        self._has_pin = pin is not None and pin_number(pin) >= 0
        self._msi, self._msix = config.msi, config.msix
        self.lock = threading.Lock()
        self._outbox = Outbox()
        self.deliver = self._outbox.deliver
        self.send: Callable[[int, int], object] = _drop
        self._pin = Pin(config, self._outbox, _drop)
        self._upstream: tuple[ConfigSpace, ...] = ()
        self._msi_enabled, self._shown = 1, 0
        self._on_route_change: Callable[[int], object] | None = None
        self._routes: list[Message | None] = []
        self.table = None if self._msix is None else self._make_table()
        self.vectors = max(
            1,
            0 if self.table is None else self.table.vectors,
            0 if self._msi is None else self._msi.vectors,
        )
        self._irqs = [Irq(self, vector) for vector in range(self.vectors)]
        self._clear()
        self._refresh()

    def hold_back_while(self, waits: Callable[[], bool]) -> None:
        """Let interrupts wait while a thread that raises them may not send them.

        Args:
            waits: whether the calling thread may not. Who lets it go on calls `deliver`.
        """
        self._outbox.waits = waits

    def _make_table(self) -> MsixTable:
        view = self._msix
        assert view is not None
        places = (view.table_bar, view.table_offset), (view.pba_bar, view.pba_offset)
        return MsixTable(self, view.vectors, *places)

    def _clear(self) -> None:
        self._high: set[int] = set()
        self._pulsed: set[int] = set()
        self._raised: set[int] = set()
        self._mode: Mode = "none"

    # -- the device's side -----------------------------------------------------------------------

    def vector(self, number: int = 0) -> Irq:
        """Return one interrupt.

        Raises:
            ConfigSpaceError: the capabilities do not provide for so many.
        """
        if not 0 <= number < self.vectors:
            raise ConfigSpaceError(f"there is no vector {number}: the function has {self.vectors}")
        return self._irqs[number]

    def pulse(self, vector: int) -> None:
        """See `Irq.pulse`; `vector` is not checked."""
        with self.lock:
            if self._mode != "intx":
                self._pulsed.add(vector)
                self._try(vector % self._slots)
            elif not self._high:
                self._pin.pulse()
        self.deliver()

    def set_level(self, vector: int, level: bool) -> None:
        """See `Irq.set_level`; `vector` is not checked."""
        with self.lock:
            if bool(level) == (vector in self._high):
                return
            (self._rise if level else self._fall)(vector)
            self._update_pin()
        self.deliver()

    def _rise(self, vector: int) -> None:
        self._high.add(vector)
        if self._mode != "intx":
            self._raised.add(vector)
            self._try(vector % self._slots)

    def _fall(self, vector: int) -> None:
        self._high.discard(vector)
        self._raised.discard(vector)
        if self._msi is not None:
            self._show_pending()

    def withdraw(self) -> None:
        """Lower all levels and forget what pends: for devices whose drivers can reset them."""
        with self.lock:
            self._high.clear()
            self._pulsed.clear()
            self._raised.clear()
            if self._msi is not None:
                self._show_pending()
            self._update_pin()
        self.deliver()

    def level(self, vector: int) -> bool:
        """See `Irq.level`."""
        return vector in self._high

    def pending(self, vector: int) -> bool:
        """See `Irq.pending`."""
        return vector in self._pulsed or vector in self._raised

    def message(self, vector: int) -> Message | None:
        """See `Irq.message`."""
        with self.lock:
            return self._route(vector % self._slots)

    @property
    def mode(self) -> Mode:
        """How interrupts leave: `"msix"`, `"msi"`, `"intx"` or `"none"`."""
        return self._mode

    # -- messages; the lock is held --------------------------------------------------------------

    def _route(self, slot: int) -> Message | None:
        return None if self._held or self._source.masked(slot) else self._source.message(slot)

    def _try(self, slot: int) -> None:
        """Send a message that somebody waits for, if it may leave."""
        if not self._held and not self._source.masked(slot):
            self._forget(slot)
            self._outbox.put((self.send, self._source.message(slot)))
        if self._msi is not None:
            self._show_pending()

    def _forget(self, slot: int) -> None:
        if self._slots == self.vectors:
            self._pulsed.discard(slot)
            self._raised.discard(slot)
        else:
            waiting = range(slot, self.vectors, self._slots)
            self._pulsed.difference_update(waiting)
            self._raised.difference_update(waiting)

    def _waiting(self) -> set[int]:
        return self._pulsed | self._raised

    def _show_pending(self) -> None:
        """Keep MSI's Pending Bits register; MSI-X's array is computed when it is read."""
        assert self._msi is not None
        bits = 0
        if self._mode != "msix":
            for vector in self._waiting():
                bits |= 1 << vector % self._msi_enabled
        if bits != self._shown:
            self._shown = self._msi.pending = bits

    def pending_word(self, index: int) -> int:
        """Return 64 bits of the pending bit array; the lock is held. For `MsixTable`."""
        assert self.table is not None
        bits = 0
        for vector in self._waiting():
            entry = vector % self.table.vectors
            if entry >> 6 == index:
                bits |= 1 << (entry & 63)
        return bits

    def entry_changed(self, entry: int) -> None:
        """Look at an entry of the table again; the lock is held. For `MsixTable`."""
        if self._mode != "msix":
            return
        if self._on_route_change is not None:
            self._announce((entry,))
        if not self._held and (self._pulsed or self._raised):
            users = range(entry, self.vectors, self._slots)
            if not (self._pulsed.isdisjoint(users) and self._raised.isdisjoint(users)):
                self._try(entry)

    # -- configuration ---------------------------------------------------------------------------

    def config_changed(self) -> None:
        """Look at the configuration space again, after a write with `Effect.INTERRUPT`."""
        with self.lock:
            self._refresh()
        self.deliver()

    def _refresh(self) -> None:
        self._pin.refresh(running=self._config.power_state == 0)
        self._choose_mode()
        self._held = not may_master(self._config, self._upstream) or self._function_masked()
        if self._on_route_change is not None:
            self._announce(range(self._slots))
        for slot in sorted({vector % self._slots for vector in self._waiting()}):
            self._try(slot)
        self._refresh_pending()
        self._update_pin()

    def _function_masked(self) -> bool:
        return self._mode == "msix" and self._msix is not None and self._msix.function_masked

    def _choose_mode(self) -> None:
        mode, self._source = self._chosen()
        self._slots = self._source.vectors
        if mode != self._mode:
            self._mode = mode
            # A pin shows levels by itself; a message has to be sent for each that is high.
            self._raised = set() if mode == "intx" else set(self._high)

    def _chosen(self) -> tuple[Mode, MsixTable | MsiMessages | NoMessages]:
        if self.table is not None and self._msix is not None and self._msix.enabled:
            return "msix", self.table
        if self._msi is not None and self._msi.enabled:
            return "msi", MsiMessages(self._msi)
        return "intx" if self._has_pin else "none", NoMessages(self.vectors)

    def _refresh_pending(self) -> None:
        """Write MSI's Pending Bits register whatever it held: a reset may have cleared it."""
        if self._msi is not None:
            self._msi_enabled, self._shown = self._msi.vectors_enabled, -1
            self._show_pending()

    def _update_pin(self) -> None:
        self._pin.drive(self._mode == "intx" and bool(self._high))

    # -- where it leads --------------------------------------------------------------------------

    @property
    def set_pin(self) -> Sink:
        """What takes the level of the pin. Another one is told the level, the old one a low one."""
        return self._pin.sink

    @set_pin.setter
    def set_pin(self, set_pin: Sink) -> None:
        self.rewire(self.send, set_pin)
        self.deliver()

    def rewire(
        self,
        send: Callable[[int, int], object] = _drop,
        set_pin: Sink = _drop,
        upstream: tuple[ConfigSpace, ...] | None = None,
    ) -> None:
        """Set `send` and `set_pin` without calling them yet.

        For those who hold a lock of their own: they call `deliver` when it is free.

        Args:
            send: see the class.
            set_pin: takes the level of the pin.
            upstream: config spaces of the bridges that messages pass; by default as before.
        """
        with self.lock:
            self._pin.lead_to(set_pin)
            self.send = send
            if upstream is not None:
                self._upstream = upstream
                self._refresh()

    def disconnect(self) -> None:
        """Send nothing any more; the pin leaves its line."""
        self.rewire()
        self.deliver()

    @property
    def on_route_change(self) -> Callable[[int], object] | None:
        """What hears of vectors whose message changed; see the class."""
        return self._on_route_change

    @on_route_change.setter
    def on_route_change(self, callback: Callable[[int], object] | None) -> None:
        with self.lock:
            self._on_route_change = callback
            self._routes = [self._route(n % self._slots) for n in range(self.vectors)]

    def _announce(self, slots: Iterable[int]) -> None:
        """Tell of the vectors of these slots whose message is another one now."""
        assert self._on_route_change is not None
        for slot in slots:
            route = self._route(slot)
            for vector in range(slot, self.vectors, self._slots):
                if self._routes[vector] != route:
                    self._routes[vector] = route
                    self._outbox.put((self._on_route_change, (vector,)))

    # -- state -----------------------------------------------------------------------------------

    def reset(self, kind: ResetKind) -> None:
        """Lower all levels, forget what pends, mask the table; the config space was reset."""
        with self.lock:
            self._clear()
            if self.table is not None:
                self.table.reset(kind)
            self._refresh()
        self.deliver()

    def snapshot(self) -> InterruptsSnapshot:
        """Return what is not in the config space; nothing else runs meanwhile."""
        with self.lock:
            return InterruptsSnapshot(
                self._mode,
                tuple(sorted(self._high)),
                tuple(sorted(self._pulsed)),
                tuple(sorted(self._raised)),
                () if self.table is None else self.table.snapshot(),
            )

    def restore(self, snapshot: InterruptsSnapshot) -> None:
        """Take a snapshot; the config space has been restored before.

        The pin is driven where it differs. Nothing is sent but what the snapshot has pending
        and the config space lets go.

        Raises:
            PciSnapshotError: another function's; nothing has changed then.
        """
        self.check_snapshot(snapshot)
        with self.lock:
            self._mode = snapshot.mode
            self._high, self._pulsed = set(snapshot.high), set(snapshot.pulsed)
            self._raised = set(snapshot.raised)
            if self.table is not None:
                self.table.restore(snapshot.table)
            self._refresh()
        self.deliver()

    def check_snapshot(self, snapshot: object) -> None:
        """Refuse what `restore` would not take.

        Raises:
            PciSnapshotError: another function's.
        """
        check_snapshot(snapshot, self.vectors, self.table)

    def __repr__(self) -> str:
        """Show what a debugger's user wants to know."""
        waiting = sorted(self._waiting())
        return f"<Interrupts {self._mode} high {sorted(self._high)} pending {waiting}>"
