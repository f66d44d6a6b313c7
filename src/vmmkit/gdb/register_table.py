# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Registers as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from vmmkit.gdb.registers import REGISTERS, linear_pc

__all__ = ["table_of"]

ROWS: Final = (
    ("rax", "rbx", "rcx", "rdx"),
    ("rsi", "rdi", "rbp", "rsp"),
    ("r8", "r9", "r10", "r11"),
    ("r12", "r13", "r14", "r15"),
)
SEGMENTS: Final = ("cs", "ss", "ds", "es", "fs", "gs", "ldtr", "tr")
PARTS: Final = ("base", "limit", "attr")
TABLES: Final = ("gdtr", "idtr")
DIGITS: Final = {
    **{register.name: register.bits // 4 for register in REGISTERS},
    **dict.fromkeys(SEGMENTS, 4),  # selectors, which GDB has in 32 bits
}
CONTROL: Final = (
    ("cr0", "cr2", "cr3", "cr4"),
    ("cr8", "efer", "xcr0", "k_gs_base"),
    ("dr0", "dr1", "dr2", "dr3"),
    ("dr6", "dr7", "apic_base", "cpl"),
)
# SDM vol. 1, "EFLAGS Register"; IOPL is two bits wide.
FLAGS: Final = {
    0: "CF", 2: "PF", 4: "AF", 6: "ZF", 7: "SF", 8: "TF", 9: "IF", 10: "DF", 11: "OF",
    14: "NT", 16: "RF", 17: "VM", 18: "AC", 19: "VIF", 20: "VIP", 21: "ID",
}  # fmt: skip
IOPL_SHIFT: Final = 12

Values = Mapping[str, int]


def table_of(values: Values) -> str:
    """Return a table of general, segment and control registers.

    Args:
        values: a target's registers by name; those that are missing are left out.
    """
    return "\n".join(_lines(values))


def _lines(values: Values) -> Iterator[str]:
    yield from _rows(ROWS, values)
    yield from _position(values)
    for name in (*SEGMENTS, *TABLES):
        parts = [_shown(f"{name}_{part}", values, part) for part in PARTS]
        if name in values:
            yield "  ".join(filter(None, (_shown(name, values), *parts)))
        elif any(parts):
            yield f"{name} " + "  ".join(filter(None, parts))
    yield from _rows(CONTROL, values)


def _rows(rows: tuple[tuple[str, ...], ...], values: Values) -> Iterator[str]:
    for names in rows:
        line = "  ".join(filter(None, (_shown(name, values) for name in names)))
        if line:
            yield line


def _shown(name: str, values: Values, label: str | None = None) -> str:
    if name not in values:
        return ""
    return f"{name if label is None else label:4} {values[name]:0{DIGITS[name]}x}"


def _position(values: Values) -> Iterator[str]:
    """Yield where the vCPU is, and its flags by name."""
    line = _shown("rip", values)
    if "cs_base" in values and linear_pc(values) != values["rip"]:
        line += f"  linear {linear_pc(values):x}"
    if line:
        yield line
    if "eflags" in values:
        eflags = values["eflags"]
        names = [name for bit, name in FLAGS.items() if eflags >> bit & 1]
        names.append(f"IOPL={eflags >> IOPL_SHIFT & 3}")
        yield f"eflags {eflags:08x} [{' '.join(names)}]"
