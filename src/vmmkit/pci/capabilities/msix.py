# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Message signaled interrupts with a table in memory: MSI-X."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Final

import attrs

from vmmkit.errors import ConfigSpaceError
from vmmkit.pci._registers import Effect
from vmmkit.pci.capabilities.base import Capability, within
from vmmkit.pci.spec import BarKind, CapabilityId

if TYPE_CHECKING:
    from vmmkit.pci.config import ConfigSpace

__all__ = ["Msix", "MsixView"]

# PCI Local Bus Specification 3.0, "MSI-X Capability and Table Structures".
_CONTROL: Final = 2
_TABLE: Final = 4
_PBA: Final = 8
_TABLE_SIZE: Final = 0x07FF
_FUNCTION_MASK: Final = 0x4000
_ENABLE: Final = 0x8000
_ENTRY_SIZE: Final = 16
_BIR: Final = 7
_PAGE: Final = 0x1000

_bar = attrs.validators.optional(within(0, 5))
_offset = within(0, 0xFFFF_FFF8)


@attrs.frozen
class Msix(Capability):
    """The MSI-X capability.

    Args:
        vectors: 1-2048.
        table_bar: index of the BAR with the table; `None` as long as nobody has chosen one.
        table_offset: of the table in it, a multiple of 8 bytes.
        pba_bar: index of the BAR with the pending bits; default: the table's.
        pba_offset: of the pending bits in it, a multiple of 8 bytes; default: the first page
            behind the table.

    Raises:
        ConfigSpaceError: out of range, misaligned, or table and pending bits overlap.
    """

    cap_id: ClassVar[int] = CapabilityId.MSIX

    vectors: int = attrs.field(default=1, validator=within(1, 2048))
    table_bar: int | None = attrs.field(default=None, validator=_bar, kw_only=True)
    table_offset: int = attrs.field(default=0, validator=_offset, kw_only=True)
    pba_bar: int | None = attrs.field(default=None, validator=_bar, kw_only=True)
    pba_offset: int | None = attrs.field(
        default=None, validator=attrs.validators.optional(_offset), kw_only=True
    )

    def __attrs_post_init__(self) -> None:
        """Refuse structures that are misaligned or overlap."""
        table, pba = self.table_place, self.pba_place
        if (table[1] | pba[1]) & _BIR:
            raise ConfigSpaceError("Msix: table and PBA offsets are multiples of 8")
        apart = table[1] + table[2] <= pba[1] or pba[1] + pba[2] <= table[1]
        if table[0] == pba[0] and not apart:
            raise ConfigSpaceError(f"Msix: {self._show(table)} overlaps {self._show(pba)}")

    def _show(self, place: tuple[int | None, int, int]) -> str:
        name = "table" if place == self.table_place else "PBA"
        return f"{name} [{place[1]:#x}-{place[1] + place[2] - 1:#x}]"

    @property
    def size(self) -> int:
        """Bytes."""
        return 12

    @property
    def table_place(self) -> tuple[int | None, int, int]:
        """BAR index, offset and bytes of the table."""
        return self.table_bar, self.table_offset, self.vectors * _ENTRY_SIZE

    @property
    def pba_place(self) -> tuple[int | None, int, int]:
        """BAR index, offset and bytes of the pending bits."""
        bar = self.table_bar if self.pba_bar is None else self.pba_bar
        offset = self.pba_offset
        if offset is None:
            offset = -(-(self.table_offset + self.vectors * _ENTRY_SIZE) // _PAGE) * _PAGE
        return bar, offset, -(-self.vectors // 64) * 8

    def check_bars(
        self, bars: Mapping[int, tuple[BarKind, int]], *, complete: bool = False
    ) -> None:
        """Refuse BARs that are too small for the structures or do not decode memory.

        Args:
            bars: kind and size of each by index.
            complete: whether a BAR that is not among them is refused too.

        Raises:
            ConfigSpaceError: there is such a BAR.
        """
        for place in (self.table_place, self.pba_place):
            index, offset, size = place
            bar = None if index is None else bars.get(index)
            if bar is None and complete:
                raise ConfigSpaceError(f"Msix: there is no BAR {index} for {self._show(place)}")
            if bar is not None and (bar[0] is BarKind.IO or offset + size > bar[1]):
                room = f"BAR {index} ({bar[0].value}, {bar[1]:#x} bytes)"
                raise ConfigSpaceError(f"Msix: {self._show(place)} does not fit into {room}")

    def define(self, config: ConfigSpace, offset: int) -> None:
        """Lay out control word, table and PBA pointers."""
        table, pba = self.table_place, self.pba_place
        if table[0] is None or pba[0] is None:
            raise ConfigSpaceError("Msix: no BAR was chosen for the table")
        gates = _FUNCTION_MASK | _ENABLE
        config.define(
            offset + _CONTROL,
            2,
            value=self.vectors - 1,
            rw=gates,
            effects=((gates, Effect.INTERRUPT),),
            name="MSI-X.Control",
        )
        config.define(offset + _TABLE, 4, value=table[1] | table[0], name="MSI-X.Table")
        config.define(offset + _PBA, 4, value=pba[1] | pba[0], name="MSI-X.PBA")


class MsixView:
    """The MSI-X registers of a space as they are now.

    Args:
        config: the space.
        offset: of the capability.

    Attributes:
        vectors: entries of the table.
        table_bar: index of the BAR with the table.
        table_offset: of the table in it.
        pba_bar: index of the BAR with the pending bits.
        pba_offset: of the pending bits in it.
    """

    __slots__ = (
        "_config",
        "offset",
        "pba_bar",
        "pba_offset",
        "table_bar",
        "table_offset",
        "vectors",
    )

    def __init__(self, config: ConfigSpace, offset: int) -> None:
        """Read once what no guest can change."""
        self._config = config
        self.offset = offset
        self.vectors = (config.get(offset + _CONTROL, 2) & _TABLE_SIZE) + 1
        table, pba = config.get(offset + _TABLE, 4), config.get(offset + _PBA, 4)
        self.table_bar, self.table_offset = table & _BIR, table & ~_BIR
        self.pba_bar, self.pba_offset = pba & _BIR, pba & ~_BIR

    @property
    def enabled(self) -> bool:
        """Whether the guest enabled MSI-X."""
        return bool(self._config.get(self.offset + _CONTROL, 2) & _ENABLE)

    @property
    def function_masked(self) -> bool:
        """Whether all vectors are masked at once."""
        return bool(self._config.get(self.offset + _CONTROL, 2) & _FUNCTION_MASK)
