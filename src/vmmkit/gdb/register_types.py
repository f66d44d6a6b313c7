# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Types of registers that a target description defines, as XML.

GDB manual, "Target Description Format", sections on types and flags. A flags field of one bit shows
by its name when it is set, a wider one with its value. Bits as in the SDM: vol. 1, "EFLAGS
Register", "MXCSR Control and Status Register"; vol. 3A, "Control Registers", "Extended Feature
Enable Register", "Extended Control Registers (Including XCR0)"; vol. 3B, "Debug Registers"; vol.
3C, "Guest Register State". EFER has AMD's bits too: AMD64 Architecture Programmer's Manual vol. 2,
"Extended Feature Enable Register (EFER)".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["FLAGS", "definitions"]

FLAGS: Final[Mapping[str, tuple[int, str]]] = {
    "i386_eflags": (
        4,
        (
            "CF:0 PF:2 AF:4 ZF:6 SF:7 TF:8 IF:9 DF:10 OF:11 IOPL:12-13 NT:14 RF:16 VM:17 AC:18"
            " VIF:19 VIP:20 ID:21"
        ),
    ),
    "i386_mxcsr": (
        4,
        ("IE:0 DE:1 ZE:2 OE:3 UE:4 PE:5 DAZ:6 IM:7 DM:8 ZM:9 OM:10 UM:11 PM:12 RC:13-14 FZ:15"),
    ),
    "i386_cr0": (8, "PE:0 MP:1 EM:2 TS:3 ET:4 NE:5 WP:16 AM:18 NW:29 CD:30 PG:31"),
    "i386_cr3": (8, "PCID:0-11 PDBR:12-63"),
    "i386_cr4": (
        8,
        (
            "VME:0 PVI:1 TSD:2 DE:3 PSE:4 PAE:5 MCE:6 PGE:7 PCE:8 OSFXSR:9 OSXMMEXCPT:10 UMIP:11"
            " LA57:12 VMXE:13 SMXE:14 FSGSBASE:16 PCIDE:17 OSXSAVE:18 KL:19 SMEP:20 SMAP:21 PKE:22"
            " CET:23 PKS:24 UINTR:25 LAM_SUP:28 FRED:32"
        ),
    ),
    "i386_efer": (8, "SCE:0 LME:8 LMA:10 NXE:11 SVME:12 LMSLE:13 FFXSR:14 TCE:15 AIBRSE:21"),
    "i386_xcr0": (
        8,
        (
            "X87:0 SSE:1 AVX:2 BNDREG:3 BNDCSR:4 OPMASK:5 ZMM_HI256:6 HI16_ZMM:7 PKRU:9"
            " TILECFG:17 TILEDATA:18 APX:19"
        ),
    ),
    "i386_attr": (4, "TYPE:0-3 S:4 DPL:5-6 P:7 AVL:12 L:13 DB:14 G:15 UNUSABLE:16"),
    "i386_dr6": (8, "B0:0 B1:1 B2:2 B3:3 BLD:11 BD:13 BS:14 BT:15 RTM:16"),
    "i386_dr7": (
        8,
        (
            "L0:0 G0:1 L1:2 G1:3 L2:4 G2:5 L3:6 G3:7 LE:8 GE:9 RTM:11 GD:13 RW0:16-17 LEN0:18-19"
            " RW1:20-21 LEN1:22-23 RW2:24-25 LEN2:26-27 RW3:28-29 LEN3:30-31"
        ),
    ),
}
"""Size in bytes and fields, `NAME:bit` or `NAME:first-last`, of each type of flags."""

VECTORS: Final = (
    ("v4f", "ieee_single", 4),
    ("v2d", "ieee_double", 2),
    ("v16i8", "int8", 16),
    ("v8i16", "int16", 8),
    ("v4i32", "int32", 4),
    ("v2i64", "int64", 2),
)
VEC128: Final = (
    ("v4_float", "v4f"),
    ("v2_double", "v2d"),
    ("v16_int8", "v16i8"),
    ("v8_int16", "v8i16"),
    ("v4_int32", "v4i32"),
    ("v2_int64", "v2i64"),
    ("uint128", "uint128"),
)


def _field(field: str, size: int) -> str:
    name, _, bits = field.partition(":")
    first, _, last = bits.partition("-")
    wide = f' type="uint{8 * size}"' if last else ""
    return f'<field name="{name}" start="{first}" end="{last or first}"{wide}/>'


def _flags(name: str) -> list[str]:
    size, fields = FLAGS[name]
    return [
        f'<flags id="{name}" size="{size}">',
        *(_field(field, size) for field in fields.split()),
        "</flags>",
    ]


def _vec128() -> list[str]:
    """Return the union that GDB shows an XMM register as, and its parts."""
    return [
        *(f'<vector id="{name}" type="{of}" count="{count}"/>' for name, of, count in VECTORS),
        '<union id="vec128">',
        *(f'<field name="{name}" type="{of}"/>' for name, of in VEC128),
        "</union>",
    ]


def definitions(name: str) -> list[str]:
    """Return the XML elements that define a type, none for one that GDB knows by itself."""
    if name in FLAGS:
        return _flags(name)
    if name == "vec128":
        return _vec128()
    return ['<vector id="v2ui128" type="uint128" count="2"/>'] if name == "v2ui128" else []
