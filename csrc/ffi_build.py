# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Builds `vmmkit.insn._native`, and the header of `_crossing`: where Python tables become C.

`optable.py`, its rows and `_record.py` are loaded without `vmmkit` itself, since the build is
isolated and vmmkit's dependencies are not importable. What they say becomes enumerations,
structures and constant arrays in front of one translation unit that includes every C file of the
engine. `crossing.c` gets the records and the digest alone, as a header. Nothing generated is kept.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import cffi

HERE = Path(__file__).resolve().parent
INSN = HERE.parent / "src" / "vmmkit" / "insn"
SOURCES = (
    "decode_prefix.c",
    "decode_checks.c",
    "decode.c",
    "flags.c",
    "tlb.c",
    "memory.c",
    "breakpoints.c",
    "page_modes.c",
    "paging.c",
    "segments.c",
    "lock.c",
    "execute.c",
    "stack.c",
    "control.c",
    "string_runs.c",
    "string.c",
    "shifts.c",
    "multiply.c",
    "bits.c",
    "arithmetic.c",
    "bit_instructions.c",
    "flag_moves.c",
    "decimal.c",
    "exchange.c",
    "transfer.c",
    "far_segments.c",
    "far.c",
    "iret.c",
    "delivery.c",
    "hints.c",
    "privilege.c",
    "control_registers.c",
    "descriptors.c",
    "syscalls.c",
    "msr.c",
    "system.c",
    "vector_operands.c",
    "vector_lanes.c",
    "vector_strings.c",
    "vector_gather.c",
    "vector_parts.c",
    "opmask.c",
    "vector_sources.c",
    "vector_select.c",
    "vector.c",
    "vector_state.c",
    "xcr0.c",
    "direct_stores.c",
    "x87_formats.c",
    "x87_stack.c",
    "x87_moves.c",
    "x87_compare.c",
    "x87_environment.c",
    "x87.c",
    "dispatch.c",
    "events.c",
    "answers.c",
    "code_cache.c",
    "run.c",
)

STAND_INS = {"vmmkit": INSN.parent, "vmmkit.insn": INSN}


def load(name: str) -> dict[str, Any]:
    """Names of a module of `vmmkit.insn`, whose packages are stood in for by empty ones."""
    before = {key: module for key, module in sys.modules.items() if key.startswith("vmmkit")}
    for key in before:
        del sys.modules[key]
    for package, folder in STAND_INS.items():
        stand_in = ModuleType(package)
        stand_in.__path__ = [str(folder)]
        sys.modules[package] = stand_in
    try:
        return vars(import_module(f"vmmkit.insn.{name}"))
    finally:
        for key in [key for key in sys.modules if key.startswith("vmmkit")]:
            del sys.modules[key]
        sys.modules.update(before)


TABLE = load("optable")
RECORD = load("_record")
SOURCE_FILES = load("_sources")


def struct(name: str, fields: list[str]) -> str:
    """A C structure."""
    return f"typedef struct {{ {' '.join(fields)} }} {name};\n"


def declarations() -> str:
    """What both C and cffi see."""
    cpu = [
        f"uint64_t {name}{f'[{count}]' if count > 1 else ''};"
        for name, count in RECORD["CPU_FIELDS"]
    ]
    insn = [f"{ctype} {name};" for name, ctype, _ in RECORD["INSN_FIELDS"]]
    vcpu = ["vmmkit_cpu *cpu;", "const vmmkit_piece *ram;", "size_t pieces;", "uint64_t blocks;"]
    vcpu.append("uint64_t deliver;")
    vcpu.append("uint64_t wide;")
    vcpu.append("void *caches;")
    piece = ["uint64_t gpa;", "uint64_t last;", "uint8_t *host;", "uint64_t writable;"]
    return (
        struct("vmmkit_cpu", cpu)
        + struct("vmmkit_insn", insn)
        + struct("vmmkit_piece", piece)
        + struct("vmmkit_vcpu", vcpu)
        + """
int vmmkit_decode(const uint8_t *code, size_t length, int mode, vmmkit_insn *out);
int vmmkit_step(const vmmkit_vcpu *vcpu, uint64_t answer);
int vmmkit_run(const vmmkit_vcpu *vcpu, uint64_t budget, uint64_t answer);
int vmmkit_resume(const vmmkit_vcpu *vcpu, uint64_t answer);
size_t vmmkit_caches_size(void);
const char *vmmkit_digest(void);
"""
    )


def enumeration(prefix: str, names: dict[str, int]) -> str:
    """`VMMKIT_<prefix>_<name>` constants."""
    members = ", ".join(f"VMMKIT_{prefix}_{name} = {value}" for name, value in names.items())
    return f"enum {{ {members} }};\n"


def enumerations() -> str:
    """Every number that Python and C must agree on."""
    numbered = {
        **RECORD["reasons"](),
        "OP": TABLE["OPS"],
        "FAMILY": TABLE["VECTOR_FAMILIES"],
        "VECTOR": TABLE["VECTOR_FUNCTIONS"],
        "FEATURE": TABLE["FEATURES"],
        "KIND": ("NONE", *TABLE["KINDS"][1:]),
        "SELECT": [name.upper() for name, _ in TABLE["SELECTORS"]],
    }
    maps = {
        f"{kind}_{name}": number
        for kind in ("LEGACY", "VEX", "EVEX")
        for name, number in TABLE[f"{kind}_MAPS"].items()
        if name
    }
    text = "".join(
        enumeration(prefix, {name: number for number, name in enumerate(names)})
        for prefix, names in numbered.items()
    )
    flags = {name.upper(): 1 << bit for bit, name in enumerate(TABLE["ATTRIBUTES"])}
    cells = {name: TABLE[name] for name in ("UNKNOWN", "INVALID", "SPLIT")}
    batches = ("STEP_BATCH", "RUN_BATCH", "RUN_SLICE")
    limit_names = (
        "MAX_LENGTH",
        "LOG_CAPACITY",
        "PAGE_CAPACITY",
        *batches,
        "RIP_BASE",
        "DEBUG_SLOTS",
    )
    limits = {name: RECORD[name] for name in limit_names} | {"NO_FEATURE": TABLE["NO_FEATURE"]}
    limits |= {"OPERATIONS": len(TABLE["OPS"])}
    types = {"VECTOR": TABLE["TYPE_NAMES"].index("x"), "HALF": TABLE["TYPE_NAMES"].index("h")}
    for prefix, names in (
        ("PREFIX", RECORD["PREFIX_BITS"]),
        ("REX", RECORD["REX_BITS"]),
        ("MASK", RECORD["MASK_BITS"]),
        ("EVENT", RECORD["EVENT_BITS"]),
        ("TYPE", RECORD["EVENT_TYPES"]),
        ("DEBUG", RECORD["DEBUG_BITS"]),
        ("BREAK", RECORD["BREAK_BITS"]),
        ("MAP", maps),
        ("FLAG", flags),
        ("CELL", cells),
        ("TYPE", types),
        ("LIMIT", limits),
    ):
        text += enumeration(prefix, names)
    return text


def initializer(values: Any) -> str:
    """A brace-enclosed list, nested like `values`."""
    if isinstance(values, int):
        return str(values)
    return "{" + ", ".join(initializer(value) for value in values) + "}"


def digest() -> str:
    """The fingerprint that both modules carry and the Python files must match."""
    text: str = TABLE["digest"](RECORD["layout"]())
    return text


def arrays() -> str:
    """The opcode table as constant data."""
    tables = TABLE["TABLES"]
    rows = [
        (
            *(row.flags, row.op, without, row.kinds, row.types),
            *(row.access, row.memory, (*row.types, 0)[row.memory], row.immediates),
            *(row.broadcast, row.disp8, row.index_size, row.feature),
        )
        for row, without in zip(tables.rows, TABLE["ROW_WITHOUT"], strict=True)
    ]
    row_fields = [
        "uint32_t flags;",
        "uint16_t op;",
        "uint16_t without;",
        "uint8_t kinds[4];",
        "uint8_t types[4];",
        "uint8_t access;",
        "uint8_t memory;",
        "uint8_t memory_type;",
        "uint8_t immediates[2];",
        "uint8_t broadcast;",
        "uint8_t disp8;",
        "uint8_t index_size;",
        "uint8_t feature;",
    ]
    operations = TABLE["VECTOR_OPERATIONS"]
    operation_fields = [f"uint8_t {name};" for name in operations[0]._fields]
    types, kinds = len(TABLE["TYPES"]), len(TABLE["KINDS"])
    limits = zip(("reg", "rm", "vvvv"), TABLE["REGISTER_LIMITS"], strict=True)
    return (
        struct("row", row_fields)
        + f"static const row rows[] = {initializer(rows)};\n"
        + f"static const uint16_t cells[] = {initializer(tables.cells)};\n"
        + f"static const uint16_t splits[][2] = {initializer(tables.splits)};\n"
        + f"static const uint16_t type_sizes[9][{types}] = {initializer(TABLE['TYPE_SIZES'])};\n"
        + f"static const uint8_t vector_sizes[3][{types}] = {initializer(TABLE['VECTOR_SIZES'])};\n"
        + "".join(
            f"static const uint8_t {name}_limits[{kinds}] = {initializer(counts)};\n"
            for name, counts in limits
        )
        + struct("vector_operation", operation_fields)
        + f"static const vector_operation vector_operations[] = {initializer(operations)};\n"
        + f'static const char digest_text[] = "{digest()}";\n'
    )


def source() -> str:
    """The whole translation unit."""
    includes = "".join(f'#include "{name}"\n' for name in SOURCES)
    return (
        "#include <stddef.h>\n#include <stdint.h>\n#include <string.h>\n"
        + enumerations()
        + declarations()
        + arrays()
        + '#include "engine.h"\n'
        + includes
    )


def crossing_header() -> str:
    """What `crossing.c` knows of the engine: records, functions, limits, and the digests."""
    fields = RECORD["INSN_FIELDS"]
    sources = SOURCE_FILES["fingerprint"]()
    listed = " ".join(f"X({name})" for name, *_ in fields)
    return (
        "#include <stddef.h>\n#include <stdint.h>\n"
        + enumerations()
        + declarations()
        + f"#define VMMKIT_INSN_FIELD_COUNT {len(fields)}\n"
        + f"#define VMMKIT_INSN_FIELDS(X) {listed}\n"
        + f'#define VMMKIT_DIGEST "{digest()}"\n'
        + f'#define VMMKIT_SOURCES "{sources}"\n'
    )


ffibuilder = cffi.FFI()
ffibuilder.cdef(declarations())
ffibuilder.set_source(
    "vmmkit.insn._native",
    source(),
    include_dirs=[str(HERE)],
    depends=[str(HERE / name) for name in (*SOURCES, "engine.h", "constants.h", "ffi_build.py")]
    + [str(INSN / "optable.py"), str(INSN / "_record.py")]
    + [str(path) for path in sorted((INSN / "opcodes").glob("*.py"))],
    extra_compile_args=["-std=c11", "-O2"],
    py_limited_api=True,
)

if __name__ == "__main__":
    print(source())
