# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The x86 registers that a debugger can see: one table of names, widths, types and groups.

A target names registers as here in every mode of the processor, and gives each as an unsigned
integer. How a debugger sees them in a mode (`eax` for the low half of `rax`, eight vector registers
in place of 32) is the business of `vmmkit.gdb.description`.

Each register belongs to a feature. The names of the first six are GDB's own (GDB manual, "i386
Features"), and so are the names, widths and order of their registers.

**`org.gnu.gdb.i386.core`**

- `rax` `rbx` `rcx` `rdx` `rsi` `rdi` `rbp` `rsp` `r8`-`r15` (64 bits), `rip` (64): SDM vol. 1,
  "Basic Program Execution Registers". `rip` is the offset in the code segment, never a linear
  address.
- `eflags` (32): the low half of RFLAGS, whose other half is reserved; "EFLAGS Register".
- `cs` `ss` `ds` `es` `fs` `gs` (32): selectors, of which 16 bits are in use.
- `st0`-`st7` (80): x87 registers relative to the top of the stack; "x87 FPU Data Registers".
- `fctrl` `fstat` `ftag` `fiseg` `fioff` `foseg` `fooff` `fop` (32): control, status and tag word,
  selector and offset of the last instruction and of its operand, and its opcode; "x87 FPU Tag
  Word", "x87 FPU Instruction and Data (Operand) Pointers". `ftag` is the full word, two bits for
  each register R0 to R7, and not the byte that FXSAVE stores.

**`org.gnu.gdb.i386.sse`**: `xmm0`-`xmm15` (128), `mxcsr` (32); "MXCSR Control and Status Register".

**`org.gnu.gdb.i386.avx`**: `ymm0h`-`ymm15h` (128), bits 128-255 of the vector registers.

**`org.gnu.gdb.i386.avx512`**: `xmm16`-`xmm31` (128), `ymm16h`-`ymm31h` (128), `k0`-`k7` (64), the
opmask registers, and `zmm0h`-`zmm31h` (256), bits 256-511; SDM vol. 1, "Programming with Intel
AVX-512".

**`org.gnu.gdb.i386.segments`**: `fs_base`, `gs_base` (64).

**`org.gnu.gdb.i386.pkeys`**: `pkru` (32); SDM vol. 3A, "Protection-Key Rights Registers (PKRU and
IA32_PKRS)".

**`org.vmmkit.i386.system`** (sections of SDM vol. 3A, where no other volume is named)

- `cr0` `cr2` `cr3` `cr4` `cr8` (64): "Control Registers".
- `efer` (64): "Extended Feature Enable Register".
- `xcr0` (64): "Extended Control Registers (Including XCR0)".
- `k_gs_base` (64): IA32_KERNEL_GS_BASE, which SWAPGS exchanges for the base of GS.
- `es_base` `cs_base` `ss_base` `ds_base` `ldtr_base` `tr_base` (64) and, for those four, FS, GS,
  LDTR and TR, `..._limit` (32, in bytes, whatever the granularity) and `..._attr` (32): what the
  processor keeps of the descriptor; "Segment Registers". Attributes lie as in SDM vol. 3C, "Guest
  Register State": type in bits 0-3, S 4, DPL 5-6, P 7, AVL 12, L 13, D/B 14, G 15, unusable 16.
- `ldtr` `tr` (16): selectors. `gdtr_base` `idtr_base` (64), `gdtr_limit` `idtr_limit` (16):
  "Memory-Management Registers".
- `dr0`-`dr3` `dr6` `dr7` (64): SDM vol. 3B, "Debug Registers".
- `star` `lstar` `cstar` `sfmask` (64): "Fast System Calls in 64-Bit Mode". `sysenter_cs`
  `sysenter_esp` `sysenter_eip` (64): "Performing Fast Calls to System Procedures with the SYSENTER
  and SYSEXIT Instructions".
- `pat` (64): "Page Attribute Table (PAT)". `tsc_aux` (32): SDM vol. 3B, "IA32_TSC_AUX Register and
  RDTSCP Support". `apic_base` (64): "Local APIC Status and Location".
- `cpl` (8): current privilege level, read only; "Privilege Levels".
- `linear_pc` (64): linear address of the next instruction, read only. No target gives it: it is
  computed from `rip` and `cs_base`, see `linear_pc`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

__all__ = [
    "Register",
    "REGISTERS",
    "CORE",
    "SSE",
    "AVX",
    "AVX512",
    "SEGMENTS",
    "PKEYS",
    "SYSTEM",
    "FEATURES",
    "READ_ONLY",
    "code_base",
    "linear_pc",
]

CORE: Final = "org.gnu.gdb.i386.core"
SSE: Final = "org.gnu.gdb.i386.sse"
AVX: Final = "org.gnu.gdb.i386.avx"
AVX512: Final = "org.gnu.gdb.i386.avx512"
SEGMENTS: Final = "org.gnu.gdb.i386.segments"
PKEYS: Final = "org.gnu.gdb.i386.pkeys"
SYSTEM: Final = "org.vmmkit.i386.system"
FEATURES: Final = (CORE, SSE, AVX, AVX512, SEGMENTS, PKEYS, SYSTEM)
"""Features in the order of a description."""

READ_ONLY: Final = frozenset({"cpl", "linear_pc"})
"""Registers that follow from others and cannot be written."""

ALL_ONES: Final = (1 << 64) - 1
ATTR_L: Final = 1 << 13  # of a code segment: 64-bit code
EFER_LMA: Final = 1 << 10


class Register(NamedTuple):
    """A row of the table."""

    name: str
    bits: int  #: width in the 64-bit description, a multiple of 8
    xml_type: str  #: of the description: GDB's own, or one of `vmmkit.gdb.register_types`
    group: str  #: "general", "float", "vector" or "system": what `info registers` shows together
    feature: str  #: name of the feature that it belongs to


def _rows(names: str, bits: int, kind: str, group: str, feature: str) -> Iterable[Register]:
    return (Register(name, bits, kind, group, feature) for name in names.split())


def _numbered(
    form: str, numbers: range, bits: int, kind: str, group: str, feature: str
) -> Iterable[Register]:
    return (Register(form.format(n), bits, kind, group, feature) for n in numbers)


def _descriptors() -> Iterable[Register]:
    """List the hidden parts of the segment registers; the bases of FS and GS are elsewhere."""
    for name in ("es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"):
        if name not in {"fs", "gs"}:
            yield Register(f"{name}_base", 64, "uint64", "system", SYSTEM)
        yield Register(f"{name}_limit", 32, "uint32", "system", SYSTEM)
        yield Register(f"{name}_attr", 32, "i386_attr", "system", SYSTEM)


REGISTERS: Final[tuple[Register, ...]] = (
    *_rows("rax rbx rcx rdx rsi rdi", 64, "int64", "general", CORE),
    *_rows("rbp rsp", 64, "data_ptr", "general", CORE),
    *_numbered("r{}", range(8, 16), 64, "int64", "general", CORE),
    Register("rip", 64, "code_ptr", "general", CORE),
    Register("eflags", 32, "i386_eflags", "general", CORE),
    *_rows("cs ss ds es fs gs", 32, "int32", "general", CORE),
    *_numbered("st{}", range(8), 80, "i387_ext", "float", CORE),
    *_rows("fctrl fstat ftag fiseg fioff foseg fooff fop", 32, "int", "float", CORE),
    *_numbered("xmm{}", range(16), 128, "vec128", "vector", SSE),
    Register("mxcsr", 32, "i386_mxcsr", "vector", SSE),
    *_numbered("ymm{}h", range(16), 128, "uint128", "vector", AVX),
    *_numbered("xmm{}", range(16, 32), 128, "vec128", "vector", AVX512),
    *_numbered("ymm{}h", range(16, 32), 128, "uint128", "vector", AVX512),
    *_numbered("k{}", range(8), 64, "uint64", "vector", AVX512),
    *_numbered("zmm{}h", range(32), 256, "v2ui128", "vector", AVX512),
    *_rows("fs_base gs_base", 64, "uint64", "general", SEGMENTS),
    Register("pkru", 32, "uint32", "general", PKEYS),
    Register("cr0", 64, "i386_cr0", "system", SYSTEM),
    Register("cr2", 64, "uint64", "system", SYSTEM),
    Register("cr3", 64, "i386_cr3", "system", SYSTEM),
    Register("cr4", 64, "i386_cr4", "system", SYSTEM),
    Register("cr8", 64, "uint64", "system", SYSTEM),
    Register("efer", 64, "i386_efer", "system", SYSTEM),
    Register("xcr0", 64, "i386_xcr0", "system", SYSTEM),
    Register("k_gs_base", 64, "uint64", "system", SYSTEM),
    *_descriptors(),
    *_rows("ldtr tr", 16, "uint16", "system", SYSTEM),
    Register("gdtr_base", 64, "uint64", "system", SYSTEM),
    Register("gdtr_limit", 16, "uint16", "system", SYSTEM),
    Register("idtr_base", 64, "uint64", "system", SYSTEM),
    Register("idtr_limit", 16, "uint16", "system", SYSTEM),
    *_rows("dr0 dr1 dr2 dr3", 64, "uint64", "system", SYSTEM),
    Register("dr6", 64, "i386_dr6", "system", SYSTEM),
    Register("dr7", 64, "i386_dr7", "system", SYSTEM),
    *_rows("star lstar cstar sfmask", 64, "uint64", "system", SYSTEM),
    *_rows("sysenter_cs sysenter_esp sysenter_eip pat", 64, "uint64", "system", SYSTEM),
    Register("tsc_aux", 32, "uint32", "system", SYSTEM),
    Register("apic_base", 64, "uint64", "system", SYSTEM),
    Register("cpl", 8, "uint8", "system", SYSTEM),
    Register("linear_pc", 64, "uint64", "system", SYSTEM),
)
"""All registers, those of a feature side by side, in the order of a description."""


def code_base(values: Mapping[str, int]) -> int:
    """Return what is added to `rip` for a linear address: `cs_base`, or 0 in 64-bit mode.

    SDM vol. 3A, "Segmentation in IA-32e Mode". Whether code is 64-bit tell `efer` and `cs_attr`,
    where they are there.

    Args:
        values: a target's registers by name.

    Raises:
        KeyError: `cs_base` is missing.
    """
    if values.get("efer", 0) & EFER_LMA and values.get("cs_attr", 0) & ATTR_L:
        return 0
    return values["cs_base"]


def linear_pc(values: Mapping[str, int]) -> int:
    """Return the linear address of the next instruction, from 0 to 2**64-1.

    From a base other than 0 addresses wrap at 4 GiB.

    Args:
        values: a target's registers by name.

    Raises:
        KeyError: `rip` or `cs_base` is missing.
    """
    base = code_base(values)
    return base + values["rip"] & (0xFFFF_FFFF if base else ALL_ONES)
