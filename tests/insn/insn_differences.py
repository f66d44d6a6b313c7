# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Where the decoder differs from iced-x86, by name; docs/insn-differences.md gives the reasons.

`SAME_NAME` are two names for one instruction. `EXEMPTIONS` are real differences: each names the
fields and the instructions it is about, as iced calls them. Nothing else may differ.
"""

from typing import NamedTuple

__all__ = ["EXEMPTIONS", "NORMALISED", "SAME_NAME", "Exemption"]

CONDITIONS = (
    "O",
    "NO",
    "B",
    "AE",
    "E",
    "NE",
    "BE",
    "A",
    "S",
    "NS",
    "P",
    "NP",
    "L",
    "GE",
    "LE",
    "G",
)
OTHER_CONDITIONS = ("NB", "Z", "NZ", "NBE", "NL", "NLE")
STRINGS = ("MOVS", "STOS", "LODS", "CMPS", "SCAS", "INS", "OUTS")
AREAS = ("FXSAVE", "FXRSTOR", "XSAVE", "XSAVEC", "XSAVEOPT", "XSAVES", "XRSTOR", "XRSTORS")

# Our mnemonic: names iced has for it, by condition, width or direction.
SAME_NAME = {
    **{f"{stem}CC": {stem + name for name in CONDITIONS} for stem in ("J", "SET", "CMOV")},
    "CMPCCXADD": {f"CMP{name}XADD" for name in CONDITIONS + OTHER_CONDITIONS},
    **{name: {name + width for width in "BWDQ"} for name in STRINGS},
    **{name: {f"{name}64"} for name in AREAS},
    **{name: {f"{name}64"} for name in ("PCMPESTRM", "PCMPESTRI", "VPCMPESTRM", "VPCMPESTRI")},
    **{name: {name + width for width in "DQ"} for name in ("WRUSS", "WRSS", "RDSSP", "INCSSP")},
    **{name: {name + width for width in "DQ"} for name in ("PUSHF", "POPF", "IRET")},
    **{name: {f"{name}Q"} for name in ("SYSRET", "SYSEXIT", "GETSEC")},
    **{f"MOV{way}{kind}": {"MOV"} for way in ("FROM", "TO") for kind in ("SEG", "CR", "DR")},
    "NOP": {"RESERVEDNOP"},
    "FWAIT": {"WAIT"},
    "XLAT": {"XLATB"},
    "JCXZ": {"JECXZ", "JRCXZ"},
    "PUSHA": {"PUSHAD"},
    "POPA": {"POPAD"},
    "SHL": {"SAL"},
    "CBW": {"CWDE", "CDQE"},
    "CWD": {"CDQ", "CQO"},
    "MOVD": {"MOVQ"},
    "PEXTRD": {"PEXTRQ"},
    "PINSRD": {"PINSRQ"},
    "CALLF": {"CALL"},
    "JMPF": {"JMP"},
    "CMPXCHG8B": {"CMPXCHG16B"},
}

# What `iced_reference` compares after a transformation; the documentation names these too.
NORMALISED = (
    "Names by condition and width",
    "Scale without an index",
    "RIP-relative displacement",
    "Null segment prefixes",
    "String source segment",
    "Shift by one",
    "Size of what is not accessed",
    "Conditional access",
)


class Exemption(NamedTuple):
    """A difference that is meant."""

    name: str
    fields: tuple[str, ...]
    mnemonics: frozenset[str]


FMA4 = ("VFMADD", "VFMSUB", "VFNMADD", "VFNMSUB")
PADLOCK = (
    *("MONTMUL", "XSHA1", "XSHA256", "XSHA512", "XSHA512_ALT", "CCS_HASH", "CCS_ENCRYPT"),
    *("XSTORE", "XSTORE_ALT", "XCRYPTECB", "XCRYPTCBC", "XCRYPTCTR", "XCRYPTCFB", "XCRYPTOFB"),
    "UNDOC",
)

EXEMPTIONS = (
    Exemption("APX: REX2", ("validity",), frozenset({"REX2"})),
    Exemption("3DNow!", ("validity",), frozenset({"3DNow!", "FEMMS"})),
    Exemption("XOP, TBM and LWP", ("validity",), frozenset({"XOP"})),
    Exemption(
        "FMA4 and VPERMIL2",
        ("validity",),
        frozenset(
            [f"{stem}{kind}" for stem in FMA4 for kind in ("PS", "PD", "SS", "SD")]
            + [f"VFM{name}{kind}" for name in ("ADDSUB", "SUBADD") for kind in ("PS", "PD")]
            + ["VPERMIL2PS", "VPERMIL2PD"]
        ),
    ),
    Exemption("VIA PadLock", ("validity",), frozenset(PADLOCK)),
    Exemption("PAUSE with REX.B", ("mnemonic", "operand count"), frozenset({"PAUSE"})),
    Exemption("Cache line hints", ("access",), frozenset({"CLFLUSH", "CLFLUSHOPT", "CLWB"})),
    Exemption(
        "Implicit memory operands",
        ("operand count",),
        frozenset({"XLATB", "MASKMOVQ", "MASKMOVDQU", "VMASKMOVDQU"}),
    ),
)
