# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Write docs/insn-forms.md from the opcode table: `python docs/render_forms.py`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from textwrap import fill

from vmmkit.insn._pure import EXECUTE
from vmmkit.insn.opcodes import evex, integer, sse, system, vex, x87
from vmmkit.insn.optable import OPS, ROWS, Row

PAGE = Path(__file__).parent / "insn-forms.md"
WIDTH = 110
DOMAINS = {
    "integer, hints and fences": integer,
    "system": system,
    "x87": x87,
    "MMX and SSE": sse,
    "VEX: AVX, AVX2, FMA, AMX, opmasks": vex,
    "EVEX: AVX-512": evex,
}
HEAD = """\
<!--
SPDX-FileCopyrightText: 2026 vmmkit contributors
SPDX-License-Identifier: BSD-2-Clause
-->
# What is decoded and what is executed

`vmmkit.insn.decode` knows {rows} forms; the engines execute {executable} of them. Of the {memory}
forms that access a memory operand they execute {executable_memory}. A form is one row of the opcode
table: one encoding with its operands, for every operand size, address size and mode it has.
`insn.executable` says it of a decoded instruction; what is not executable comes back as
`Unsupported`, with the bytes.

This page is written by `docs/render_forms.py` from the table; a test sees to it that it is current.

## Counts

| domain | forms | executed | accessing memory | executed |
|---|---:|---:|---:|---:|
{counts}

## Executed

The encodings and operands are in the notation of the SDM's opcode maps (vol. 2, "Opcode Map"),
which the head of `src/vmmkit/insn/opcodes/__init__.py` explains; forms that access a memory operand
are **bold**.

| instruction | forms |
|---|---|
{table}

## Decoded only

{decoded}
"""


def forms() -> Iterable[tuple[str, Row, bool]]:
    """Domain, row and whether it is executed, of everything that is an instruction."""
    number = 2
    for domain, module in DOMAINS.items():
        for _ in module.ROWS:
            if OPS[ROWS[number].op] != "INVALID":
                yield domain, ROWS[number], EXECUTE[number] is not None
            number += 1


def has_memory(row: Row) -> bool:
    """Whether the form can have an explicit memory operand that is accessed."""
    return row.memory < 4 and row.access > 0


def counts(found: list[tuple[str, Row, bool]]) -> str:
    """The lines of the first table."""
    lines = []
    for domain in DOMAINS:
        rows = [(row, executed) for name, row, executed in found if name == domain]
        memory = [executed for row, executed in rows if has_memory(row)]
        executed = sum(flag for _, flag in rows)
        lines.append(f"| {domain} | {len(rows)} | {executed} | {len(memory)} | {sum(memory)} |")
    return "\n".join(lines)


def table(found: list[tuple[str, Row, bool]]) -> str:
    """One line for each executed mnemonic."""
    by_name: dict[str, list[str]] = {}
    for _, row, executed in found:
        if executed:
            text = f"{row.encoding} {row.operands}".strip()
            shown = f"**`{text}`**" if has_memory(row) else f"`{text}`"
            by_name.setdefault(OPS[row.op], []).append(shown)
    return "\n".join(f"| {name} | {', '.join(shown)} |" for name, shown in sorted(by_name.items()))


def decoded(found: list[tuple[str, Row, bool]]) -> str:
    """Mnemonics that are not executed, by domain."""
    parts = []
    for domain in DOMAINS:
        names = dict.fromkeys(
            OPS[row.op] for name, row, executed in found if name == domain and not executed
        )
        if names:
            listed = fill(f"{', '.join(sorted(names))}.", WIDTH, break_on_hyphens=False)
            parts.append(f"### {domain}\n\n{listed}")
    return "\n\n".join(parts)


def page() -> str:
    """The whole page."""
    found = list(forms())
    memory = [executed for _, row, executed in found if has_memory(row)]
    return HEAD.format(
        rows=len(found),
        executable=sum(executed for *_, executed in found),
        memory=len(memory),
        executable_memory=sum(memory),
        counts=counts(found),
        table=table(found),
        decoded=decoded(found),
    )


if __name__ == "__main__":
    PAGE.write_text(page())
