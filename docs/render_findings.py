# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Write docs/acpi-findings.md from the codes of `validate`: `python docs/render_findings.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vmmkit.acpi.validate.codes import RULES

PAGE = Path(__file__).parent / "acpi-findings.md"

#: Headings, and what the codes below them begin with.
SECTIONS = {
    "All tables": ("TABLE",),
    "Root tables": ("RSDP", "ROOT"),
    "Places and the memory map": ("MEMORY", "E820"),
    "FADT and FACS": ("FADT", "FACS"),
    "MADT, processors, interrupts": ("MADT", "CPU", "GSI", "PRT"),
    "Proximity domains": ("SRAT", "SLIT"),
    "PCI host bridges and ECAM": ("MCFG", "ECAM", "HOST"),
    "Resources": ("CRS",),
    "AML, devices, sleep states": ("AML", "DEVICE", "S5"),
    "Other tables": ("HPET", "SPCR", "DBG2", "DMAR", "PPTT"),
}
HEAD = """\
<!--
SPDX-FileCopyrightText: 2026 vmmkit contributors
SPDX-License-Identifier: BSD-2-Clause
-->
# What is said of ACPI tables

`Platform.validate()`, `vmmkit.acpi.validate.validate` and
`python -m vmmkit.acpi validate` judge tables as a guest finds them. Each finding has one of these
{count} codes, which do not change, the table and offset, and a message with the values. A valid set
has no findings.

An **error** is against the specification, or makes systems ignore the part or the table. A
**warning** does not work, or not on all systems; it may be meant. A **note** is legal and worth a
look. What is quoted are messages of Linux 6.1, or of ACPICA where that is said.

What cannot be known is not said. Tables alone have no addresses, so pointers between them are then
not followed, and none is missing. A method has to be run to know its result, so a `_CRS` that is
one is judged only where all it does is to return a constant. Where AML cannot be read to its end,
nothing is said to be missing in it.

This page is written by `docs/render_findings.py` from the codes; a test sees to it that it is
current.
"""


def sections() -> Iterator[str]:
    """Yield a table for each section."""
    for heading, prefixes in SECTIONS.items():
        rows = [
            f"| `{code}` | {rule.severity.name.lower()} | {escaped(rule.says)} "
            f"| {escaped(rule.consequence)} |"
            for code, rule in RULES.items()
            if code.partition("-")[0] in prefixes
        ]
        yield "\n".join(
            [
                f"\n## {heading}\n",
                "| code | severity | what is wrong | what a guest does |",
                "|---|---|---|---|",
                *rows,
                "",
            ]
        )


def escaped(text: str) -> str:
    r"""Return text in which the names of objects are code: `\_S5`, `_CRS`."""
    words = [f"`{word}`" if word.startswith(("_", "\\_")) else word for word in text.split(" ")]
    return " ".join(words)


def page() -> str:
    """Return the page."""
    return HEAD.format(count=len(RULES)) + "".join(sections())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
