# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What the body of a device class says of BARs and capabilities, checked and completed.

Whatever contradicts itself is a `DeclarationError` that names both parties.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

import attrs

from vmmkit.errors import ConfigSpaceError
from vmmkit.pci._layout import BarLayout, BarRange, declared, refuse
from vmmkit.pci.bars import Declaration, IoBar, MemBar, Rom
from vmmkit.pci.capabilities.base import Capability
from vmmkit.pci.capabilities.express import PciExpress
from vmmkit.pci.capabilities.msix import Msix
from vmmkit.pci.config import ConfigSpace
from vmmkit.pci.spec import CONVENTIONAL_SIZE, EXTENDED_SIZE

if TYPE_CHECKING:
    from vmmkit.pci.device import PciDevice

__all__ = [
    "add_capabilities",
    "bars_of",
    "check_bars",
    "check_ids",
    "check_tables",
    "config_size",
    "place_tables",
    "register_bars",
]

_BAR_REGISTERS: Final = 6
_PAGE: Final = 0x1000
#: Bits of each ID register.
_IDS: Final = {
    "vendor_id": 16,
    "device_id": 16,
    "revision": 8,
    "class_code": 24,
    "subsystem_vendor_id": 16,
    "subsystem_id": 16,
}


def check_ids(cls: type[PciDevice]) -> None:
    """Refuse IDs that do not fit; `None` stands for one that a subclass will give."""
    for name, bits in _IDS.items():
        value = getattr(cls, name)
        if value is not None and (not isinstance(value, int) or value >> bits):
            refuse(cls, f"{name} is {value!r}, which does not fit its register of {bits} bits")
    if cls.intx not in (None, "A", "B", "C", "D"):
        refuse(cls, f"intx is {cls.intx!r}, none of the pins A to D")
    if cls.unimplemented not in ("ones", "zeros"):
        refuse(cls, f"unimplemented is {cls.unimplemented!r}, neither 'ones' nor 'zeros'")


def bars_of(cls: type) -> dict[str, Declaration]:
    """Return the BARs by attribute, named after it where they have no name of their own."""
    bars: dict[str, Declaration] = declared(cls, MemBar, IoBar, Rom)
    return {
        name: bar if bar.name not in ("", "ROM") else attrs.evolve(bar, name=name)
        for name, bar in bars.items()
    }


def check_bars(cls: type, bars: Mapping[str, Declaration]) -> dict[int, str]:
    """Refuse BARs in one place; return the attribute that has each BAR register."""
    taken: dict[int, str] = {}
    for name, bar in bars.items():
        for index in range(bar.index, bar.index + bar.registers):
            other = taken.setdefault(index, name)
            if other != name:
                refuse(
                    cls,
                    f"BARs {other!r} ({_place(bars[other])}) and {name!r} ({_place(bar)}) both "
                    f"take BAR register {index}",
                )
    return taken


def _place(bar: Declaration) -> str:
    second = f" and {bar.index + 1}" if bar.registers == 2 else ""
    return f"index {bar.index}{second}, {bar.width} bits"


def register_bars(bars: Iterable[Declaration]) -> dict[int, BarRange]:
    """Return the BARs that registers may lie in, the default one first."""
    ordered = sorted(bars, key=lambda bar: bar.index)
    return {bar.index: BarRange(bar.index, bar.name, bar.size) for bar in ordered if _serves(bar)}


def _serves(bar: Declaration) -> bool:
    """Whether handlers of the device answer anywhere in a BAR."""
    if isinstance(bar, Rom) or bar.read is not None or bar.write is not None:
        return False
    return isinstance(bar, IoBar) or bar.ram is False or bool(bar.traps)


# -- MSI-X tables ---------------------------------------------------------------------------------


def place_tables(
    cls: type, bars: dict[str, Declaration], capabilities: dict[str, Capability]
) -> None:
    """Give MSI-X capabilities that name no BAR one of their own; both mappings are completed."""
    for name, capability in capabilities.items():
        if not isinstance(capability, Msix) or capability.table_bar is not None:
            continue
        taken = check_bars(cls, bars)
        free = [index for index in range(_BAR_REGISTERS) if index not in taken]
        if not free:
            refuse(cls, f"no BAR is left for the table of {name!r}: {_all(taken)} take all six")
        own = attrs.evolve(capability, table_bar=free[0])
        end = max(offset + size for _, offset, size in (own.table_place, own.pba_place))
        size = max(_PAGE, 1 << (end - 1).bit_length())
        bars[name] = MemBar(free[0], size, name=name)
        capabilities[name] = own


def _all(taken: Mapping[int, str]) -> str:
    return ", ".join(repr(name) for name in dict.fromkeys(taken.values()))


def check_tables(
    cls: type,
    bars: Mapping[str, Declaration],
    capabilities: Mapping[str, Capability],
    layouts: Mapping[int, BarLayout],
) -> None:
    """Refuse MSI-X tables beyond their BAR, or over registers."""
    by_index = {bar.index: (name, bar) for name, bar in bars.items() if not isinstance(bar, Rom)}
    for name, capability in capabilities.items():
        if not isinstance(capability, Msix):
            continue
        for kind, place in (("table", capability.table_place), ("PBA", capability.pba_place)):
            index, offset, size = place
            what = f"MSI-X {kind} [{offset:#x}, {offset + size - 1:#x}] of {name!r}"
            if index not in by_index:
                refuse(cls, f"{what} is in BAR {index}, which the class does not declare")
            bar_name, bar = by_index[index]
            if isinstance(bar, IoBar):
                refuse(cls, f"{what} is in {bar_name!r}, which is an I/O BAR")
            if offset + size > bar.size:
                refuse(cls, f"{what} lies beyond BAR {bar_name!r} [0x0, {bar.size - 1:#x}]")
            for part in layouts[index].parts(offset, size) if index in layouts else ():
                if part.register is not None:
                    refuse(cls, f"{what} lies over register {part.register.name!r}")


# -- capabilities ---------------------------------------------------------------------------------


def config_size(capabilities: Iterable[Capability]) -> int:
    """Return 4096 for PCI Express functions, 256 for others."""
    express = any(isinstance(capability, PciExpress) for capability in capabilities)
    return EXTENDED_SIZE if express else CONVENTIONAL_SIZE


def add_capabilities(
    cls: type,
    config: ConfigSpace,
    capabilities: Mapping[str, Capability],
    offsets: Mapping[str, int],
) -> None:
    """Place capabilities: those with a given offset first, then the others in their order."""
    for name in offsets:
        if name not in capabilities:
            refuse(cls, f"capability_offsets names {name!r}, which is no capability of the class")
    order = sorted(capabilities, key=lambda name: name not in offsets)
    placed: dict[int, str] = {}
    for name in order:
        try:
            at = config.add(capabilities[name], offsets.get(name))
        except ConfigSpaceError as error:
            others = ", ".join(f"{other!r} at {at:#x}" for at, other in placed.items())
            refuse(cls, f"capability {name!r} beside {others or 'no other'}: {error}")
        placed[at] = name
