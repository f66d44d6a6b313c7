# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The generation id: a number that changes when a guest goes on from a snapshot or a copy.

Microsoft, Virtual Machine Generation ID.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Final

import attrs

from vmmkit.acpi.aml.data import Address, Package
from vmmkit.acpi.aml.named import Device, Name
from vmmkit.acpi.aml.node import Node
from vmmkit.acpi.arguments import instance
from vmmkit.acpi.platform.context import Context
from vmmkit.acpi.platform.events import EventSource
from vmmkit.acpi.relocation import Blob
from vmmkit.errors import PlatformError

__all__ = ["GENERATION_ID_OFFSET", "GenerationId", "generation_id_blob"]

#: Where the id lies in its page. Firmware that follows pointers of a loader script looks for a
#: table header where they lead, and must not take the id for one.
GENERATION_ID_OFFSET: Final = 40

_PAGE: Final = 0x1000
_CHANGED: Final = 0x80
_COMPATIBLE_ID: Final = "VM_Gen_Counter"  # by which systems find it


def generation_id_blob(guid: uuid.UUID) -> Blob:
    """Return the page that the id lies in, `GENERATION_ID_OFFSET` bytes from its start.

    Its file in a loader script is etc/vmgenid_guid; the address that firmware gives it is written
    to etc/vmgenid_addr.
    """
    instance("the generation id", guid, uuid.UUID, PlatformError)
    content = bytes(GENERATION_ID_OFFSET) + guid.bytes_le
    return Blob(
        content.ljust(_PAGE, b"\0"),
        "etc/vmgenid_guid",
        alignment=_PAGE,
        address_file="etc/vmgenid_addr",
    )


@attrs.frozen
class GenerationId(EventSource):
    r"""The device that says where the id is; a contributor to `\_SB`.

    The owner writes a new id into the page and raises the event.

    Args:
        page: from `generation_id_blob`; placed below 4 GiB, where the guest leaves it alone.
        hardware_id: `_HID`; systems find the device by its `_CID`.
    """

    page: Blob
    hardware_id: str = attrs.field(default="VMMK0001", kw_only=True)

    def acpi_nodes(self, context: Context) -> Iterator[Node]:
        """Yield its device; have it notified when the id changes."""
        self.notify(context, "VGEN", _CHANGED)
        yield Device(
            "VGEN",
            Name("_HID", self.hardware_id),
            Name("_CID", _COMPATIBLE_ID),
            Name("_DDN", _COMPATIBLE_ID),
            Name("ADDR", Package(Address(self.page, addend=GENERATION_ID_OFFSET), 0)),
        )
