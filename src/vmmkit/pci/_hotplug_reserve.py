# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What a port keeps free for functions that are not there yet, and how it tells firmware so.

Firmware that gives out addresses at boot closes the windows of an empty port, and what is plugged
in later finds no room. The vendor-specific capability laid out here asks for room; it is known
from QEMU's documentation ("PCI EXPRESS GUIDELINES", and "Generic PCI Express to PCI Bridge",
section "Vendor-specific capability"), and SeaBIOS and OVMF honour it on bridges whose vendor ID
is 1B36h.
"""

from __future__ import annotations

from typing import Final

import attrs

from vmmkit.errors import AllocationError

__all__ = ["HotplugReserve", "RED_HAT_VENDOR_ID", "reserve_bytes"]

RED_HAT_VENDOR_ID: Final = 0x1B36
_RESOURCE_RESERVE: Final = 1  # the type byte
_UNSET_32: Final = 0xFFFF_FFFF
_UNSET_64: Final = 0xFFFF_FFFF_FFFF_FFFF
_LENGTH: Final = 32


@attrs.frozen
class HotplugReserve:
    """Room that a port's windows have at least, in bytes, and spare bus numbers below it.

    Args:
        io: of the I/O window.
        mem: of the memory window, below 4 GiB.
        prefetchable: of the prefetchable window.
        buses: numbers beside the one of the secondary bus.

    Raises:
        AllocationError: a negative number, or more than 4 GiB of `mem` or 255 buses.
    """

    io: int = attrs.field(default=0x1000, kw_only=True)
    mem: int = attrs.field(default=0x20_0000, kw_only=True)
    prefetchable: int = attrs.field(default=0x20_0000, kw_only=True)
    buses: int = attrs.field(default=0, kw_only=True)

    def __attrs_post_init__(self) -> None:
        """Refuse what no window can be."""
        limits = {"io": 0x1_0000, "mem": 1 << 32, "prefetchable": 1 << 63, "buses": 255}
        for field, limit in limits.items():
            value = getattr(self, field)
            if not isinstance(value, int) or not 0 <= value <= limit:
                raise AllocationError(f"HotplugReserve: {field} is 0 to {limit:#x}: {value!r}", ())


def reserve_bytes(reserve: HotplugReserve) -> bytes:
    """Return the capability from its fourth byte on: the type, then what is reserved.

    What is zero stays unset, which leaves it to firmware. SeaBIOS takes a number of buses that
    does not exceed those it found for the subordinate bus number itself, so it must not see one
    where none is asked for.
    """
    return b"".join(
        value.to_bytes(size, "little")
        for value, size in (
            (_RESOURCE_RESERVE, 1),
            (reserve.buses or _UNSET_32, 4),  # beside the secondary bus
            (reserve.io or _UNSET_64, 8),
            (min(reserve.mem, _UNSET_32) or _UNSET_32, 4),
            (_UNSET_32, 4),  # prefetchable below 4 GiB: at most one of the two is set
            (reserve.prefetchable or _UNSET_64, 8),
        )
    )
