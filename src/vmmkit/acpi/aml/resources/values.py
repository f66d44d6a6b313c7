# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What flags of resource descriptors mean, by their ASL keywords.

ACPI Specification, "Resource Data Types for ACPI"; the keywords are those of the ASL grammar.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

__all__ = [
    "AddressRange",
    "Cacheable",
    "DmaTransfer",
    "DmaType",
    "Keyword",
    "Polarity",
    "Sharing",
    "Trigger",
    "sharing_asl",
]


class Keyword(IntEnum):
    """A field whose values have an ASL keyword."""

    @property
    def asl(self) -> str:
        """The keyword: `ACTIVE_HIGH` is `ActiveHigh`."""
        return "".join(word.capitalize() for word in self.name.split("_"))


class Trigger(Keyword):
    """When an interrupt is requested."""

    LEVEL = 0
    EDGE = 1


class Polarity(Keyword):
    """Which level or edge of its wire requests an interrupt."""

    ACTIVE_HIGH = 0
    ACTIVE_LOW = 1
    ACTIVE_BOTH = 2  #: for GPIO only


class Sharing(IntFlag):
    """May an interrupt be shared, may it wake the system."""

    EXCLUSIVE = 0
    SHARED = 1
    WAKE = 2


def sharing_asl(sharing: Sharing) -> str:
    """Return the keyword."""
    return ("Exclusive", "Shared", "ExclusiveAndWake", "SharedAndWake")[sharing & 3]


class DmaType(Keyword):
    """Speed of a DMA channel."""

    COMPATIBILITY = 0
    TYPE_A = 1
    TYPE_B = 2
    TYPE_F = 3


class DmaTransfer(Keyword):
    """Widths of a DMA channel."""

    TRANSFER8 = 0
    TRANSFER8_16 = 1
    TRANSFER16 = 2

    @property
    def asl(self) -> str:
        """The keyword, which keeps its underscore."""
        return self.name.replace("TRANSFER", "Transfer")


class Cacheable(Keyword):
    """How a processor may cache memory."""

    NON_CACHEABLE = 0
    CACHEABLE = 1
    WRITE_COMBINING = 2
    PREFETCHABLE = 3


class AddressRange(Keyword):
    """What a memory range is."""

    MEMORY = 0
    RESERVED = 1
    ACPI = 2
    NVS = 3

    @property
    def asl(self) -> str:
        """The keyword."""
        return "AddressRange" + (self.name if self.name in {"ACPI", "NVS"} else self.name.title())
