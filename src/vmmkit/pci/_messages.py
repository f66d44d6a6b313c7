# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What `Interrupts` hands out and works with: one interrupt, messages, the snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs

from vmmkit.errors import PciSnapshotError
from vmmkit.pci.msix_table import MsixTable

if TYPE_CHECKING:
    from vmmkit.pci.capabilities.msi import MsiView
    from vmmkit.pci.interrupts import Interrupts

__all__ = [
    "InterruptsSnapshot",
    "Irq",
    "Message",
    "Mode",
    "MsiMessages",
    "NoMessages",
    "check_snapshot",
]

Mode = Literal["msix", "msi", "intx", "none"]
Message = tuple[int, int]
"""Address (64 bits) and data (32 bits) of the memory write that is the interrupt."""


class Irq:
    """One interrupt of a function; made by `Interrupts.vector`."""

    __slots__ = ("_interrupts", "vector")

    def __init__(self, interrupts: Interrupts, vector: int) -> None:
        """Name the vector."""
        self._interrupts = interrupts
        self.vector = vector

    def pulse(self) -> None:
        """Interrupt once: send a message, or raise and lower the pin."""
        self._interrupts.pulse(self.vector)

    def set_level(self, level: bool) -> None:
        """Drive a level, for as long as the cause lasts; a rise is one message."""
        self._interrupts.set_level(self.vector, level)

    @property
    def level(self) -> bool:
        """What `set_level` set."""
        return self._interrupts.level(self.vector)

    @property
    def pending(self) -> bool:
        """Whether a message waits to be sent."""
        return self._interrupts.pending(self.vector)

    @property
    def message(self) -> Message | None:
        """What a pulse would send now, `None` if it would send no message."""
        return self._interrupts.message(self.vector)

    def __repr__(self) -> str:
        """Show what a debugger's user wants to know."""
        state = " high" * self.level + " pending" * self.pending
        return f"<Irq {self.vector} {self._interrupts.mode}{state}>"


class MsiMessages:
    """What MSI's registers said when they were looked at last."""

    __slots__ = ("_address", "_data", "_mask", "vectors")

    def __init__(self, view: MsiView) -> None:
        """Read the registers."""
        self._address, self._data, self._mask = view.address, view.data, view.mask
        self.vectors = view.vectors_enabled

    def masked(self, slot: int) -> int:
        """Return whether a message is masked, as 0 or 1."""
        return self._mask >> slot & 1

    def message(self, slot: int) -> Message:
        """Return address and data of a message."""
        # The function owns the bits of data that tell its messages apart.
        return self._address, self._data & ~(self.vectors - 1) | slot


class NoMessages:
    """Neither MSI nor MSI-X is enabled."""

    __slots__ = ("vectors",)

    def __init__(self, vectors: int) -> None:
        """Have as many as there are vectors."""
        self.vectors = vectors

    def masked(self, _slot: int) -> int:
        """Return 1: nothing leaves."""
        return 1

    def message(self, _slot: int) -> Message:
        """Return a message that is never sent."""
        return 0, 0


@attrs.frozen
class InterruptsSnapshot:
    """State of an `Interrupts` that is not in its configuration space; plain values."""

    mode: Mode
    high: tuple[int, ...] = ()  #: vectors whose level is high
    pulsed: tuple[int, ...] = ()  #: vectors with a pulse that waits
    raised: tuple[int, ...] = ()  #: vectors with a rise that waits
    table: tuple[int, ...] = ()  #: dwords of the MSI-X table


def check_snapshot(snapshot: object, vectors: int, table: MsixTable | None) -> None:
    """Refuse what a function with so many vectors and that table cannot have made.

    Raises:
        PciSnapshotError: it is that.
    """
    if not isinstance(snapshot, InterruptsSnapshot):
        raise PciSnapshotError(f"{snapshot!r} is no InterruptsSnapshot")
    for chosen in (snapshot.high, snapshot.pulsed, snapshot.raised):
        numbers = isinstance(chosen, tuple) and all(isinstance(vector, int) for vector in chosen)
        if not numbers or not set(chosen) <= set(range(vectors)):
            raise PciSnapshotError(f"no vectors {chosen}: there are {vectors}")
    if snapshot.mode not in ("msix", "msi", "intx", "none"):
        raise PciSnapshotError(f"no interrupt mode {snapshot.mode!r}")
    if not (table.accepts(snapshot.table) if table else snapshot.table == ()):
        raise PciSnapshotError("the snapshot has an MSI-X table of another size or kind")
