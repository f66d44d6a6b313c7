# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Where in the record of a `CpuState` the registers are that are kept there as they are."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from vmmkit.insn import WORD, CpuState

__all__ = [
    "LEGACY_VECTORS",
    "LOW_16",
    "LOW_32",
    "NARROW",
    "PLAIN",
    "SELECTORS",
    "VECTORS",
    "WORD_OF",
    "X87",
    "Place",
    "place_of",
]

LOW_32: Final = (1 << 32) - 1
LOW_16: Final = 0xFFFF
VECTORS: Final = 32
LEGACY_VECTORS: Final = 16
GENERAL: Final = (
    *("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp"),
    *(f"r{number}" for number in range(8, 16)),
)
SELECTORS: Final = ("cs", "ss", "ds", "es", "fs", "gs", "ldtr", "tr")
# Registers of 64 bits that have the same name in the state, or the other one given here.
PLAIN: Final = {
    **{name: name for name in GENERAL},
    **{name: name for name in ("rip", "cr0", "cr2", "cr3", "cr4", "cr8", "efer", "xcr0")},
    **{name: name for name in ("dr0", "dr1", "dr2", "dr3", "dr6", "dr7", "pat", "pkru")},
    **{name: name for name in ("star", "lstar", "cstar", "sfmask", "tsc_aux", "mxcsr")},
    **{name: name for name in ("sysenter_cs", "sysenter_esp", "sysenter_eip")},
    **{name: name for name in ("gdtr_base", "gdtr_limit", "idtr_base", "idtr_limit")},
    "k_gs_base": "kernel_gs_base",
    "fctrl": "x87_control",
    "fstat": "x87_status",
    "fop": "x87_opcode",
    "fiseg": "x87_cs",
    "foseg": "x87_ds",
}
NARROW: Final = {
    **dict.fromkeys(("mxcsr", "pkru", "tsc_aux"), LOW_32),
    **dict.fromkeys(("fctrl", "fstat", "fop", "fiseg", "foseg"), LOW_16),
    **dict.fromkeys(("gdtr_limit", "idtr_limit"), LOW_16),
}
VECTOR_BYTES: Final = 64
VECTOR: Final = 8 * WORD["vector"]
X87: Final = 8 * WORD["x87"]
X87_STEP: Final = 16
STACK: Final = {f"st{n}": n for n in range(8)}


class Place(NamedTuple):
    """Bytes of the record that are a register's value, the lowest one first."""

    first: int
    size: int


def _word_numbers() -> Iterator[tuple[str, int]]:
    """Yield the registers that are a word of the record as it is."""
    for name, attribute in PLAIN.items():
        if name not in NARROW and name != "cr8":
            yield name, getattr(CpuState, attribute).number
    for name in SELECTORS:
        first = getattr(CpuState, name).number
        for offset, suffix in enumerate(("", "_base", "_limit", "_attr")):
            yield name + suffix, first + offset


WORD_OF: Final = dict(_word_numbers())


def _places() -> Iterator[tuple[str, Place]]:
    """Yield the registers whose bytes are those of the record, at the start of a word or not."""
    for name, number in WORD_OF.items():
        yield name, Place(8 * number, 8)
    for name, mask in NARROW.items():
        yield name, Place(8 * getattr(CpuState, PLAIN[name]).number, mask.bit_length() // 8)
    for name, attribute in (("eflags", "rflags"), ("fioff", "x87_ip"), ("fooff", "x87_dp")):
        yield name, Place(8 * getattr(CpuState, attribute).number, 4)
    for n in range(8):
        yield f"k{n}", Place(8 * (WORD["opmask"] + n), 8)
    for n in range(VECTORS):
        for name, at, size in (("xmm{}", 0, 16), ("ymm{}h", 16, 16), ("zmm{}h", 32, 32)):
            yield name.format(n), Place(VECTOR + VECTOR_BYTES * n + at, size)


# Words are the host's integers: elsewhere their bytes are in another order.
PLACES: Final[Mapping[str, Place]] = dict(_places()) if sys.byteorder == "little" else {}


def place_of(name: str, top: int) -> Place | None:
    """Return where a register is, `None` for one that has to be computed.

    Args:
        name: the debugger's.
        top: physical number of the register that is `st0`.
    """
    if name in STACK:
        return Place(X87 + X87_STEP * (STACK[name] + top & 7), 10)
    return PLACES.get(name)
