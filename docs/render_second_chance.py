# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Measure what KVM refuses here, and write it into docs/second-chance.md.

`python docs/render_second_chance.py`, in the repository, where /dev/kvm can be used. The tables
stand between two marks in the page; the rest of it is written by hand.
"""

from __future__ import annotations

import platform
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from textwrap import fill
from typing import Any

HERE = Path(__file__).parent
sys.path += [str(HERE), str(HERE.parent / "tests")]

from render_forms import DOMAINS  # noqa: E402

from backends.kvm.kernel_differences import reason_of  # noqa: E402
from backends.kvm.memory_walk import Bench, sample  # noqa: E402

PAGE = HERE / "second-chance.md"
BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"
WALKS = ((64, 0), (64, 3), (32, 0), (16, 0))
WIDTH = 110
COLUMNS = "forms", "KVM alone", "refused, completed", "fault on both", "differ"


def domains() -> dict[int, str]:
    """Name the domain of each row of the opcode table that is an instruction."""
    names = [name for name, module in DOMAINS.items() for _ in module.ROWS]
    return dict(enumerate(names, 2))


def walk(mode: int, cpl: int) -> list[Any]:
    """Try every kind of form on RAM and on the device."""
    bench = Bench(mode, cpl)
    try:
        return [bench.verdict(form, seed) for seed, form in enumerate(sample(mode))]
    finally:
        bench.close()


def column(verdict: Any) -> str:
    """Choose where a form is counted."""
    if verdict.different:
        return "differ"
    if verdict.end != "done":
        return "fault on both"
    return "refused, completed" if verdict.refused else "KVM alone"


def table(verdicts: Iterable[Any]) -> str:
    """Count forms by domain."""
    names, counts = domains(), defaultdict[str, Counter[str]](Counter)
    for verdict in verdicts:
        for name in (names[verdict.form.row], "**all**"):
            counts[name][column(verdict)] += 1
    order = [*DOMAINS, "**all**"]
    lines = ["| domain | " + " | ".join(COLUMNS) + " |", "|---|" + "---:|" * len(COLUMNS)]
    for name in order:
        found = counts.get(name)
        if found:
            cells = [found.total(), *(found[key] for key in COLUMNS[1:])]
            lines.append(f"| {name} | " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def host() -> str:
    """Name the machine, and whether it is a guest itself."""
    text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    held = {name.strip(): value.strip() for name, value in fields.items()}
    flags = set(held.get("flags", "").split())
    model, kernel = held.get("model name", "unknown processor"), platform.release()
    nested = ", itself a virtual machine" if "hypervisor" in flags else ""
    without = "" if flags & {"vmx", "svm"} else " without hardware virtualization"
    return f"Linux {kernel} on {model}{nested}; KVM{without}"


def measured() -> str:
    """Make the text between the marks."""
    today = datetime.now(UTC).date()
    text = [fill(f"Measured on {today}: {host()}.", WIDTH) + "\n"]
    refused: Counter[str] = Counter()
    for mode, cpl in WALKS:
        verdicts = walk(mode, cpl)
        text += [f"### {mode}-bit code, ring {cpl}\n", table(verdicts) + "\n"]
        refused.update({one.form.insn.mnemonic for one in verdicts if one.refused})
        odd = defaultdict[str, Counter[str]](Counter)
        for one in verdicts:
            if one.different:
                odd[reason_of(one) or "not explained"][one.form.insn.mnemonic] += 1
        for reason, found in odd.items():
            counts = ", ".join(f"{name} ({count})" for name, count in sorted(found.items()))
            text.append(fill(f"* {counts}: {reason}", WIDTH, subsequent_indent="  "))
        text += [""] * bool(odd)
    names = ", ".join(sorted(refused))
    head = f"### Refused by KVM in one of these, and completed: {len(refused)} mnemonics\n"
    return "\n".join([*text, head, fill(names, WIDTH, break_on_hyphens=False)]) + "\n"


def render(page: str) -> str:
    """Replace what is between the marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + measured() + END + after


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
