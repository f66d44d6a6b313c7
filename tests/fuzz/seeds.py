# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Write the fuzzer's sources and seeds: `seeds.py FOLDER`.

`engine.c` is the translation unit of the extension; `record.h` what the fuzzer knows of it;
`seeds.txt` holds every row of the opcode table that the engines execute, in every mode it has,
guests with tables of their own (`kernel_seeds.py`), and whatever has been found before.
"""

import random
import runpy
import sys
from itertools import product
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from fuzz.inputs import Input, record_of, text_of  # noqa: E402
from fuzz.kernel_seeds import PIECES, kernel_seed  # noqa: E402
from insn.machine import (  # noqa: E402
    CODE,
    CR4_OSFXSR,
    CR4_OSXSAVE,
    DATA,
    GDT,
    GPR,
    HIGH_BASE,
    MMIO,
    PD32,
    PML4,
    PT,
    PT32,
    ROM,
    STACK,
    TSS,
    Machine,
    enter,
)
from insn.row_encodings import forms  # noqa: E402
from vmmkit.errors import DecodeError  # noqa: E402
from vmmkit.insn import CpuState, Prefixes, Segment, decode  # noqa: E402
from vmmkit.insn._record import CPU_FIELDS  # noqa: E402
from vmmkit.insn.optable import ROWS  # noqa: E402

MODES = {"real": 16, "pm16": 16, "pm32": 32, "pg32": 32, "pae": 32, "compat": 32, "long": 64}
PREFIXES = (b"", b"\x66", b"\xf3", b"\xf2", b"\xf0")
TAIL = bytes.fromhex("2401200000100000")
# As many pages and device accesses as one instruction can ask for: 31 levels, and misaligned.
DEEP = bytes.fromhex("c80000 1f"), bytes.fromhex("66c80000 1f")
PLACES = (DATA, DATA + 0xFFC, DATA + 0xFFF, MMIO, MMIO + 0xFFE, ROM, 0x7FFC, 8, 1, 0xFF)
KERNELS = 4000


def legacy_encodings():
    """Every opcode of the legacy maps with every ModRM.reg, in memory and register form."""
    roots = (b"", b"\x0f", b"\x0f\x38", b"\x0f\x3a")
    for prefix, root, opcode in product(PREFIXES, roots, range(256)):
        for mod, reg in product((0x03, 0xC1), range(8)):
            yield prefix + root + bytes([opcode, mod | reg << 3]) + TAIL


def rows(mode):
    """Every row of the opcode table in memory and register form, as far as the mode has it."""
    for form in forms():
        if form.mode == mode or "EVEX" in ROWS[form.row].encoding or mode == 32:
            yield form.code


def encodings(mode):
    """One encoding in memory and one in registers for every row that is executable."""
    found = {}
    for code in (*legacy_encodings(), *rows(mode)):
        try:
            insn = decode(code, mode)
        except DecodeError:
            continue
        if insn.executable:
            key = insn.row, insn.base < 0, insn.repeats, insn.prefixes & Prefixes.LOCK
            found.setdefault(key, code[:15])
    return [*found.values(), *DEEP]


def tables():
    """Page tables and descriptors, as far as the seeds need them."""
    machine = Machine("pure", "long")
    for index, attributes in enumerate((0, 0xA09B, 0xC093, 0xC09B, 0x8093, 0x82, 0x8B, 0xC0F3)):
        machine.descriptor(index, 0, 0xFFFFF, attributes)
    machine.poke(TSS + 102, 0x68, 2)
    yield GDT, bytes(machine.low[GDT : GDT + 64])
    yield TSS + 96, bytes(machine.low[TSS + 96 : TSS + 112])
    starts = [(page, 0x80) for page in range(PML4, PD32 + 0x3000, 0x1000)]
    for gpa, size in (*starts, (PT + 8 * 0x40, 0x88), (PT32 + 4 * 0x40, 0x44)):
        held = bytes(machine.high[gpa - HIGH_BASE : gpa - HIGH_BASE + size])
        if any(held):
            yield gpa, held


def unmarked(rng, around):
    """The same, with most entries neither accessed nor dirty, so that a walk marks them."""
    for gpa, held in around:
        if gpa >= PML4 and rng.randrange(2):
            size = 4 if gpa >= PD32 else 8
            kept = bytes(0x9F if place % size == 0 else 0xFF for place in range(len(held)))
            yield gpa, bytes(byte & mask for byte, mask in zip(held, kept, strict=True))
        else:
            yield gpa, held


def seed(rng, mode, code, around):
    """A record, RAM and calls around one instruction."""
    state = CpuState()
    enter(state, mode)
    if rng.randrange(8):
        state.cr4 |= CR4_OSFXSR | CR4_OSXSAVE
        state.xcr0, state.opmask[1] = 0xE7, rng.getrandbits(64)
    for name in GPR:
        setattr(state, name, rng.choice(PLACES))
    state.rsp, state.rcx = STACK, rng.choice((0, 1, 2, 5, 17, 300))
    state.rflags |= rng.choice((0, 0, 0x400, 0x100, 0x200))
    state.gdtr_base, state.gdtr_limit = GDT, 0x7F
    state.tr = Segment(0x30, TSS, 0x80, 0x8B)
    events = [("step", rng.choice(PLACES)) for _ in range(3)] + [("run", 3, 20), ("resume", 5)]
    return Input(
        record_of(state),
        list(PIECES),
        [(CODE, code), *unmarked(rng, around)],
        rng.randrange(2),
        events,
        rng.randrange(2),
        rng.randrange(2),
    )


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    build = runpy.run_path(str(ROOT / "csrc" / "ffi_build.py"))
    fields = " ".join(f"X({name}, {count})" for name, count in CPU_FIELDS)
    (folder / "engine.c").write_text(build["source"]())
    (folder / "record.h").write_text(
        build["crossing_header"]() + f"#define RECORD_FIELDS(X) {fields}\n"
    )
    rng, around = random.Random(1), list(tables())
    known = {width: encodings(width) for width in (16, 32, 64)}
    seeds = [
        text_of(seed(rng, mode, code, around))
        for mode, width in MODES.items()
        for code in known[width]
    ]
    seeds += [text_of(kernel_seed(rng)) for _ in range(KERNELS)]
    seeds += [path.read_text() for path in sorted((ROOT / "tests/fuzz/findings").glob("*.txt"))]
    (folder / "seeds.txt").write_text("".join(seeds))
    print(f"{len(seeds)} seeds in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
