# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Where interrupts arrive in a test host, and what a driver does to have them sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from threading import Lock
from typing import Final, Protocol

import attrs

from vmmkit.pci.testing.access import ConfigRegisters

__all__ = ["CollectedInterrupts", "Interrupt", "MsiVectors", "MsixVectors", "Vectors"]

MESSAGE_ADDRESS: Final = 0xFEE0_0000
_FIRST_DATA: Final = 0x20


@attrs.frozen
class Interrupt:
    """A message that arrived.

    Attributes:
        requester: `bdf` of the function that sent it.
        vector: which of the function's MSI or MSI-X vectors; `None` for a message whose address
            or data no driver has set up.
        address: 64 bits.
        data: 32 bits.
    """

    requester: int
    vector: int | None
    address: int
    data: int


class CollectedInterrupts:
    """All interrupts that arrived: messages in order, and the levels of the INTx lines."""

    def __init__(self) -> None:
        """Start with nothing, and all lines low."""
        self._messages: list[Interrupt] = []
        self._vectors: dict[int, int] = {}
        self._next_data = _FIRST_DATA
        self._lock = Lock()
        self.levels: dict[int, bool] = {}  #: by GSI, of every line that was ever driven
        self.edges: list[tuple[int, bool]] = []  #: changes of lines in order: GSI and level

    # -- arriving --------------------------------------------------------------------------------

    def send_msi(self, address: int, data: int, requester: int) -> None:
        """Take a message; called by the host bridge, from any thread."""
        vector = self._vectors.get(data) if address == MESSAGE_ADDRESS else None
        self._messages.append(Interrupt(requester, vector, address, data))

    def set_gsi(self, gsi: int, level: bool) -> None:
        """Take the level of a line; called by the host bridge, from any thread."""
        self.levels[gsi] = level
        self.edges.append((gsi, level))

    # -- looking ---------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Return how many messages are here."""
        return len(self._messages)

    def __iter__(self) -> Iterator[Interrupt]:
        """Yield the messages in the order they arrived."""
        return iter(tuple(self._messages))

    def take(self, requester: int | None = None) -> list[Interrupt]:
        """Return the messages that arrived, or those of one `bdf`, and forget them."""
        arrived, self._messages = self._messages, []
        if requester is not None:
            self._messages = [one for one in arrived if one.requester != requester]
            arrived = [one for one in arrived if one.requester == requester]
        return arrived

    def clear(self) -> None:
        """Forget all messages and edges; levels stay."""
        self._messages.clear()
        self.edges.clear()

    def allocate(self, vectors: int) -> int:
        """Reserve message data for `vectors` vectors; return the first, as MSI wants it aligned."""
        with self._lock:
            step = 1 << (vectors - 1).bit_length()
            first = self._next_data + step - 1 & -step
            self._next_data = first + vectors
            self._vectors.update(zip(range(first, first + vectors), count(), strict=False))
            return first


class Vectors(Protocol):
    """Vectors that a driver has enabled, of MSI or MSI-X."""

    @property
    def count(self) -> int:
        """How many the driver may use."""
        ...

    def mask(self, vector: int) -> None:
        """Mask one vector."""
        ...

    def unmask(self, vector: int) -> None:
        """Unmask one vector."""
        ...

    def pending(self, vector: int) -> bool:
        """Read the pending bit of one vector."""
        ...

    def disable(self) -> None:
        """Clear the enable bit of the capability."""
        ...


# -- MSI: PCI Local Bus Specification 3.0, "MSI Capability Structure" ----

_MSI_CONTROL: Final = 2
_MSI_ENABLE: Final = 1
_MSI_64BIT: Final = 1 << 7
_MSI_MASKABLE: Final = 1 << 8


class MsiVectors:
    """The MSI capability of one function.

    Args:
        config: of the function.
        offset: of the capability.
    """

    def __init__(self, config: ConfigRegisters, offset: int) -> None:
        """Read what the function can do."""
        self._config, self._offset = config, offset
        control = config.read16(offset + _MSI_CONTROL)
        self._data = offset + (12 if control & _MSI_64BIT else 8)
        self._mask = self._data + 4
        self.maskable = bool(control & _MSI_MASKABLE)
        self.capable = 1 << (control >> 1 & 7)  #: vectors the function asks for

    def enable(self, first_data: int, vectors: int) -> None:
        """Write address and data, and enable this many vectors: a power of two."""
        self._config.write32(self._offset + 4, MESSAGE_ADDRESS)
        if self._data == self._offset + 12:
            self._config.write32(self._offset + 8, 0)
        self._config.write16(self._data, first_data)
        self._set_control(clear=0x70, ones=(vectors.bit_length() - 1) << 4 | _MSI_ENABLE)

    def disable(self) -> None:
        """Clear the enable bit."""
        self._set_control(clear=_MSI_ENABLE)

    @property
    def count(self) -> int:
        """How many vectors are enabled."""
        return 1 << (self._config.read16(self._offset + _MSI_CONTROL) >> 4 & 7)

    def mask(self, vector: int) -> None:
        """Mask one vector, where the function has mask bits."""
        self._config.update(self._mask, 4, ones=1 << vector)

    def unmask(self, vector: int) -> None:
        """Unmask one vector."""
        self._config.update(self._mask, 4, clear=1 << vector)

    def pending(self, vector: int) -> bool:
        """Read a pending bit."""
        return bool(self._config.read32(self._mask + 4) >> vector & 1)

    def _set_control(self, *, clear: int = 0, ones: int = 0) -> None:
        self._config.update(self._offset + _MSI_CONTROL, 2, clear=clear, ones=ones)


# -- MSI-X: the same, "MSI-X Capability and Table Structure" ----

_MSIX_CONTROL: Final = 2
_MSIX_ENABLE: Final = 1 << 15
_MSIX_FUNCTION_MASK: Final = 1 << 14
_ENTRY_SIZE: Final = 16

ReadBar = Callable[[int, int], int]
"""Called with BAR index and offset; reads 32 bits."""
WriteBar = Callable[[int, int, int], None]
"""Called with BAR index, offset and value; writes 32 bits."""


class MsixVectors:
    """The MSI-X capability of one function, and its table.

    Args:
        config: of the function.
        offset: of the capability.
        read: reads a dword of a BAR.
        write: writes one.
    """

    def __init__(
        self, config: ConfigRegisters, offset: int, read: ReadBar, write: WriteBar
    ) -> None:
        """Read where table and pending bits are."""
        self._config, self._control = config, offset + _MSIX_CONTROL
        self._read, self._write = read, write
        self.capable = (config.read16(self._control) & 0x7FF) + 1  #: entries of the table
        self.count = self.capable
        self._table = _place(config.read32(offset + 4))
        self._pending = _place(config.read32(offset + 8))

    def enable(self, first_data: int, vectors: int) -> None:
        """Fill and unmask the first entries of the table with all masked, then let go."""
        self.count = vectors
        self._set_control(ones=_MSIX_ENABLE | _MSIX_FUNCTION_MASK)
        for vector in range(vectors):
            self.set_message(vector, MESSAGE_ADDRESS, first_data + vector)
            self.unmask(vector)
        self._set_control(clear=_MSIX_FUNCTION_MASK)

    def disable(self) -> None:
        """Clear the enable bit."""
        self._set_control(clear=_MSIX_ENABLE)

    def set_message(self, vector: int, address: int, data: int) -> None:
        """Write address and data of an entry."""
        for at, value in ((0, address & 0xFFFF_FFFF), (4, address >> 32), (8, data)):
            self._set_entry(vector, at, value)

    def mask(self, vector: int) -> None:
        """Mask one entry."""
        self._set_entry(vector, 12, 1)

    def unmask(self, vector: int) -> None:
        """Unmask one entry."""
        self._set_entry(vector, 12, 0)

    def mask_function(self) -> None:
        """Mask all entries at once."""
        self._set_control(ones=_MSIX_FUNCTION_MASK)

    def unmask_function(self) -> None:
        """Take the mask of all entries away; each keeps its own."""
        self._set_control(clear=_MSIX_FUNCTION_MASK)

    def pending(self, vector: int) -> bool:
        """Read a pending bit."""
        bar, offset = self._pending
        return bool(self._read(bar, offset + (vector >> 5) * 4) >> (vector & 31) & 1)

    def _set_entry(self, vector: int, at: int, value: int) -> None:
        bar, offset = self._table
        self._write(bar, offset + vector * _ENTRY_SIZE + at, value)

    def _set_control(self, *, clear: int = 0, ones: int = 0) -> None:
        self._config.update(self._control, 2, clear=clear, ones=ones)


def _place(register: int) -> tuple[int, int]:
    """Return BAR index and offset from a Table or PBA register."""
    return register & 7, register & ~7
