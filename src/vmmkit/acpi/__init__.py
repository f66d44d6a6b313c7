# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""ACPI tables and AML: made, linked, placed, read back and judged, without any tool.

* `vmmkit.acpi.tables`: one class a table, `from_bytes` for all of them.
* `vmmkit.acpi.aml`: nodes for DSDT and SSDTs, `read` and `dump`.
* `vmmkit.acpi.platform`: presets that make all tables of a machine agree.
* `vmmkit.acpi.validate`: what is wrong with tables.
* here: `TableSet`, which gives tables addresses or leaves that to firmware.

Nothing here writes guest memory, runs a program or reads a file; `python -m vmmkit.acpi` does the
latter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmmkit._exports import exports

if TYPE_CHECKING:
    from vmmkit.acpi.layout import TableSet
    from vmmkit.acpi.linker import LinkerScript
    from vmmkit.acpi.placement import E820Entry, E820Type, Piece, Placement
    from vmmkit.acpi.relocation import Addressable, Blob, Checksum, Pointer, Relocation
    from vmmkit.acpi.tables.reading import from_bytes, split
else:
    __getattr__, __dir__ = exports(
        __name__,
        {
            "layout": "TableSet",
            "linker": "LinkerScript",
            "placement": "E820Entry E820Type Piece Placement",
            "relocation": "Addressable Blob Checksum Pointer Relocation",
            "tables.reading": "from_bytes split",
        },
    )

__all__ = [
    "TableSet",
    "Placement",
    "Piece",
    "E820Entry",
    "E820Type",
    "LinkerScript",
    "Blob",
    "Addressable",
    "Pointer",
    "Relocation",
    "Checksum",
    "from_bytes",
    "split",
]
