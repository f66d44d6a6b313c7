# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Trusted Platform Modules.

TCG ACPI Specification, ACPI Table for TPM 2.0; TCG PC Client Platform TPM Profile Specification for
TPM 2.0, for where the registers are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs

from vmmkit.acpi.aml.named import Device, Name
from vmmkit.acpi.aml.node import Node
from vmmkit.acpi.aml.resources import Memory32Fixed, Resources
from vmmkit.acpi.arguments import instance
from vmmkit.acpi.platform.context import Context
from vmmkit.acpi.platform.values import FOUR_GIB, checked_range
from vmmkit.acpi.relocation import Blob
from vmmkit.acpi.tables.tpm2 import LogArea, StartMethod, Tpm2
from vmmkit.errors import PlatformError

__all__ = ["Tpm"]

_LOCALITIES: Final = 5
_PAGE: Final = 0x1000
_CRB_CONTROL: Final = 0x40  # of the control area, from the start of the locality


@attrs.frozen
class Tpm:
    r"""A TPM 2.0 with its table; a contributor to `\_SB`.

    Args:
        base: address of locality 0, below 4 GiB.
        crb: it has the command response buffer interface, else the FIFO interface (TIS).
        log: memory for the event log of firmware; `None`: there is none.
    """

    base: int = 0xFED4_0000
    crb: bool = True
    log: Blob | None = None

    def acpi_nodes(self, context: Context) -> Iterator[Node]:
        """Yield its device; add its table."""
        size = _LOCALITIES * _PAGE
        if self.log is not None:
            instance("the log of a TPM", self.log, Blob, PlatformError)
        checked_range("the registers of the TPM", (self.base, size), FOUR_GIB)
        context.claim_memory("the TPM", self.base, size)
        context.add_table(
            Tpm2(
                StartMethod.CRB if self.crb else StartMethod.MMIO,
                address_of_control_area=self.base + _CRB_CONTROL if self.crb else 0,
                log_area=None if self.log is None else LogArea(len(self.log.data), self.log),
                **context.header,
            )
        )
        yield Device(
            "TPM",
            Name("_HID", "MSFT0101"),
            Name("_STA", 0xF),
            Name("_CRS", Resources(Memory32Fixed(self.base, size))),
        )
