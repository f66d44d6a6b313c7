# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Opcode rows of the VEX-encoded vector, opmask and tile instructions.

The notation is that of `vmmkit.insn.optable`; the facts are those of SDM vol. 2, "Instruction Set
Reference", and of the Intel Architecture Instruction Set Extensions Programming Reference. Left
out are the general-purpose VEX instructions (BMI, CMPccXADD), which stand with their legacy
relatives, and AMD's XOP and FMA4, VPERMIL2PS and VPERMIL2PD included.

VEX.W is written only where it selects something: where it would merely widen a general-purpose
destination whose upper half is zero anyway (VMOVMSKPS, VPEXTRB), one row serves both.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ROWS"]

Rows = tuple[tuple[str, str, str, str], ...]
Form = tuple[str, str, str]
"""Prefix fields, mnemonic suffix, and the operand type that replaces `*` in the operands."""


def _expand(forms: tuple[Form, ...], operands: str, attributes: str, *entries: str) -> Rows:
    """Every entry (`opcode mnemonic`, perhaps `/digit` between) in each of the forms."""
    return tuple(
        (f"VEX.{fields} {opcode}", mnemonic + suffix, operands.replace("*", size), attributes)
        for opcode, _, mnemonic in (entry.rpartition(" ") for entry in entries)
        for fields, suffix, size in forms
    )


def _family(fields: str, operands: str, *entries: str, attributes: str = "") -> Rows:
    """Entries that share prefix fields, operands and attributes."""
    return _expand(((fields, "", ""),), operands, attributes, *entries)


def _general(fields: str, operands: str, opcode: str, narrow: str, wide: str) -> Rows:
    """A general-purpose operand (`*`) of 8 bytes with W1 in 64-bit mode, of 4 everywhere else."""
    return (
        (f"VEX.{fields} {opcode}", narrow, operands.replace("*", "d"), "i64"),
        (f"VEX.{fields}.W0 {opcode}", narrow, operands.replace("*", "d"), "o64"),
        (f"VEX.{fields}.W1 {opcode}", wide, operands.replace("*", "q"), "o64"),
    )


PACKED: Final = (("NP.0F", "PS", ""), ("66.0F", "PD", ""))
SCALAR: Final = (("F3.0F", "SS", "d"), ("F2.0F", "SD", "q"))
COMPARE: Final = (("NP.0F", "S", "d"), ("66.0F", "D", "q"))
HORIZONTAL: Final = (("F2.0F", "PS", ""), ("66.0F", "PD", ""))

MOVES: Final[Rows] = (
    *_expand(PACKED, "Vx Wx", "", "10 VMOVU", "28 VMOVA"),
    *_expand(PACKED, "Wx Vx", "", "11 VMOVU", "29 VMOVA"),
    *_expand(PACKED, "Mx Vx", "", "2B VMOVNT"),
    *_expand(PACKED, "Gd Ux", "", "50 VMOVMSK"),
    *_expand(SCALAR, "Vo Ho Uo", "", "10 VMOV"),
    *_expand(SCALAR, "Vo M*", "", "10 VMOV"),
    *_expand(SCALAR, "Uo Ho Vo", "", "11 VMOV"),
    *_expand(SCALAR, "M* Vo", "", "11 VMOV"),
    *_family("128.NP.0F", "Vo Ho Mq", "12 VMOVLPS", "16 VMOVHPS"),
    *_family("128.66.0F", "Vo Ho Mq", "12 VMOVLPD", "16 VMOVHPD"),
    *_family("128.NP.0F", "Vo Ho Uo", "12 VMOVHLPS", "16 VMOVLHPS"),
    *_family("128.NP.0F", "Mq Vo", "13 VMOVLPS", "17 VMOVHPS"),
    *_family("128.66.0F", "Mq Vo", "13 VMOVLPD", "17 VMOVHPD"),
    *_family("F3.0F", "Vx Wx", "12 VMOVSLDUP", "16 VMOVSHDUP"),
    *_family("F2.0F", "Vx WD", "12 VMOVDDUP"),
    *_general("128.66.0F", "Vo E*", "6E", "VMOVD", "VMOVQ"),
    *_general("128.66.0F", "E* Vo", "7E", "VMOVD", "VMOVQ"),
    *_family("128.F3.0F", "Vo Wq", "7E VMOVQ"),
    *_family("128.66.0F", "Wq Vo", "D6 VMOVQ"),
    *_family("66.0F", "Vx Wx", "6F VMOVDQA"),
    *_family("66.0F", "Wx Vx", "7F VMOVDQA"),
    *_family("F3.0F", "Vx Wx", "6F VMOVDQU"),
    *_family("F3.0F", "Wx Vx", "7F VMOVDQU"),
    *_family("66.0F", "Mx Vx", "E7 VMOVNTDQ"),
    *_family("66.0F38", "Vx Mx", "2A VMOVNTDQA"),
    *_family("F2.0F", "Vx Mx", "F0 VLDDQU"),
    *_family("66.0F", "Gd Ux", "D7 VPMOVMSKB"),
    # The destination, at DS:rDI, is no operand of ModRM.
    *_family("128.66.0F", "Vo Uo", "F7 VMASKMOVDQU", attributes="seg"),
    *_family("66.0F38.W0", "Vx Hx Mx", "2C VMASKMOVPS", "2D VMASKMOVPD", "8C VPMASKMOVD"),
    *_family("66.0F38.W0", "Mx Hx Vx", "2E VMASKMOVPS", "2F VMASKMOVPD", "8E VPMASKMOVD"),
    *_family("66.0F38.W1", "Vx Hx Mx", "8C VPMASKMOVQ"),
    *_family("66.0F38.W1", "Mx Hx Vx", "8E VPMASKMOVQ"),
    *_family("128.NP.0F", "", "77 VZEROUPPER"),
    *_family("256.NP.0F", "", "77 VZEROALL"),
    *_family("128.NP.0F", "Md", "AE /2 VLDMXCSR", attributes="r"),
    *_family("128.NP.0F", "Md", "AE /3 VSTMXCSR"),
)

FLOATING: Final[Rows] = (
    *_expand(PACKED, "Vx Hx Wx", "", "14 VUNPCKL", "15 VUNPCKH"),
    *_expand(PACKED, "Vx Hx Wx", "", "54 VAND", "55 VANDN", "56 VOR", "57 VXOR"),
    *_expand(PACKED, "Vx Hx Wx", "", "58 VADD", "59 VMUL", "5C VSUB", "5D VMIN", "5E VDIV"),
    *_expand(SCALAR, "Vo Ho W*", "", "58 VADD", "59 VMUL", "5C VSUB", "5D VMIN", "5E VDIV"),
    *_expand(PACKED, "Vx Hx Wx", "", "5F VMAX"),
    *_expand(SCALAR, "Vo Ho W*", "", "5F VMAX", "51 VSQRT"),
    *_expand(PACKED, "Vx Wx", "", "51 VSQRT"),
    *_family("NP.0F", "Vx Wx", "52 VRSQRTPS", "53 VRCPPS"),
    *_family("F3.0F", "Vo Ho Wd", "52 VRSQRTSS", "53 VRCPSS"),
    *_expand(PACKED, "Vx Hx Wx Ib", "", "C2 VCMP", "C6 VSHUF"),
    *_expand(SCALAR, "Vo Ho W* Ib", "", "C2 VCMP"),
    *_expand(COMPARE, "Vo W*", "", "2E VUCOMIS", "2F VCOMIS"),
    *_expand(HORIZONTAL, "Vx Hx Wx", "", "7C VHADD", "7D VHSUB", "D0 VADDSUB"),
    *_family("66.0F38.W0", "Vx Wx", "0E VTESTPS", "0F VTESTPD"),
    *_family("66.0F38.W0", "Vx Hx Wx", "0C VPERMILPS", "0D VPERMILPD"),
    *_family("256.66.0F38.W0", "Vx Hx Wx", "16 VPERMPS"),
    *_family("66.0F38.W0", "Vx Wd", "18 VBROADCASTSS"),
    *_family("256.66.0F38.W0", "Vx Wq", "19 VBROADCASTSD"),
    *_family("256.66.0F38.W0", "Vx Mo", "1A VBROADCASTF128"),
    *_family("256.66.0F3A.W1", "Vx Wx Ib", "01 VPERMPD"),
    *_family("66.0F3A.W0", "Vx Wx Ib", "04 VPERMILPS", "05 VPERMILPD"),
    *_family("256.66.0F3A.W0", "Vx Hx Wx Ib", "06 VPERM2F128"),
    *_family("66.0F3A", "Vx Wx Ib", "08 VROUNDPS", "09 VROUNDPD"),
    *_family("66.0F3A", "Vo Ho Wd Ib", "0A VROUNDSS"),
    *_family("66.0F3A", "Vo Ho Wq Ib", "0B VROUNDSD"),
    *_family("66.0F3A", "Vx Hx Wx Ib", "0C VBLENDPS", "0D VBLENDPD", "40 VDPPS"),
    *_family("128.66.0F3A", "Vo Ho Wo Ib", "41 VDPPD"),
    *_family("128.66.0F3A", "Ed Vo Ib", "17 VEXTRACTPS"),
    *_family("256.66.0F3A.W0", "Vx Hx Wo Ib", "18 VINSERTF128"),
    *_family("256.66.0F3A.W0", "Wo Vx Ib", "19 VEXTRACTF128"),
    *_family("128.66.0F3A", "Vo Ho Wd Ib", "21 VINSERTPS"),
    *_family("66.0F3A.W0", "Vx Hx Wx Lx", "4A VBLENDVPS", "4B VBLENDVPD"),
)

CONVERSIONS: Final[Rows] = (
    *_general("F3.0F", "Vo Ho E*", "2A", "VCVTSI2SS", "VCVTSI2SS"),
    *_general("F2.0F", "Vo Ho E*", "2A", "VCVTSI2SD", "VCVTSI2SD"),
    *_general("F3.0F", "G* Wd", "2C", "VCVTTSS2SI", "VCVTTSS2SI"),
    *_general("F2.0F", "G* Wq", "2C", "VCVTTSD2SI", "VCVTTSD2SI"),
    *_general("F3.0F", "G* Wd", "2D", "VCVTSS2SI", "VCVTSS2SI"),
    *_general("F2.0F", "G* Wq", "2D", "VCVTSD2SI", "VCVTSD2SI"),
    *_family("NP.0F", "Vx Wh", "5A VCVTPS2PD"),
    *_family("66.0F", "Vh Wx", "5A VCVTPD2PS", "E6 VCVTTPD2DQ"),
    *_family("F3.0F", "Vo Ho Wd", "5A VCVTSS2SD"),
    *_family("F2.0F", "Vo Ho Wq", "5A VCVTSD2SS"),
    *_family("NP.0F", "Vx Wx", "5B VCVTDQ2PS"),
    *_family("66.0F", "Vx Wx", "5B VCVTPS2DQ"),
    *_family("F3.0F", "Vx Wx", "5B VCVTTPS2DQ"),
    *_family("F3.0F", "Vx Wh", "E6 VCVTDQ2PD"),
    *_family("F2.0F", "Vh Wx", "E6 VCVTPD2DQ"),
    *_family("66.0F38.W0", "Vx Wh", "13 VCVTPH2PS"),
    *_family("66.0F3A.W0", "Wh Vx Ib", "1D VCVTPS2PH"),
    # AVX-NE-CONVERT
    *_family("F3.0F38.W0", "Vh Wx", "72 VCVTNEPS2BF16"),
    *_family("NP.0F38.W0", "Vx Mx", "B0 VCVTNEOPH2PS"),
    *_family("66.0F38.W0", "Vx Mx", "B0 VCVTNEEPH2PS"),
    *_family("F3.0F38.W0", "Vx Mx", "B0 VCVTNEEBF162PS"),
    *_family("F2.0F38.W0", "Vx Mx", "B0 VCVTNEOBF162PS"),
    *_family("66.0F38.W0", "Vx Mw", "B1 VBCSTNESH2PS"),
    *_family("F3.0F38.W0", "Vx Mw", "B1 VBCSTNEBF162PS"),
)

FUSED_PACKED: Final = (("66.0F38.W0", "PS", ""), ("66.0F38.W1", "PD", ""))
FUSED_SCALAR: Final = (("66.0F38.W0", "SS", "d"), ("66.0F38.W1", "SD", "q"))


def _fused(row: str, order: str) -> Rows:
    """FMA: one row of the opcode map, whose high nibble goes with the order of the operands."""
    names = (("8", "VFMADD"), ("A", "VFMSUB"), ("C", "VFNMADD"), ("E", "VFNMSUB"))
    alternating = (f"{row}6 VFMADDSUB{order}", f"{row}7 VFMSUBADD{order}")
    packed = (f"{row}{low} {name}{order}" for low, name in names)
    scalar = (f"{row}{int(low, 16) + 1:X} {name}{order}" for low, name in names)
    return (
        *_expand(FUSED_PACKED, "Vx Hx Wx", "", *alternating, *packed),
        *_expand(FUSED_SCALAR, "Vo Ho W*", "", *scalar),
    )


FUSED: Final[Rows] = (*_fused("9", "132"), *_fused("A", "213"), *_fused("B", "231"))

INTEGER_0F: Final = (
    "60 VPUNPCKLBW",
    "61 VPUNPCKLWD",
    "62 VPUNPCKLDQ",
    "63 VPACKSSWB",
    "64 VPCMPGTB",
    "65 VPCMPGTW",
    "66 VPCMPGTD",
    "67 VPACKUSWB",
    "68 VPUNPCKHBW",
    "69 VPUNPCKHWD",
    "6A VPUNPCKHDQ",
    "6B VPACKSSDW",
    "6C VPUNPCKLQDQ",
    "6D VPUNPCKHQDQ",
    "74 VPCMPEQB",
    "75 VPCMPEQW",
    "76 VPCMPEQD",
    "D4 VPADDQ",
    "D5 VPMULLW",
    "D8 VPSUBUSB",
    "D9 VPSUBUSW",
    "DA VPMINUB",
    "DB VPAND",
    "DC VPADDUSB",
    "DD VPADDUSW",
    "DE VPMAXUB",
    "DF VPANDN",
    "E0 VPAVGB",
    "E3 VPAVGW",
    "E4 VPMULHUW",
    "E5 VPMULHW",
    "E8 VPSUBSB",
    "E9 VPSUBSW",
    "EA VPMINSW",
    "EB VPOR",
    "EC VPADDSB",
    "ED VPADDSW",
    "EE VPMAXSW",
    "EF VPXOR",
    "F4 VPMULUDQ",
    "F5 VPMADDWD",
    "F6 VPSADBW",
    "F8 VPSUBB",
    "F9 VPSUBW",
    "FA VPSUBD",
    "FB VPSUBQ",
    "FC VPADDB",
    "FD VPADDW",
    "FE VPADDD",
)
INTEGER_0F38: Final = (
    "00 VPSHUFB",
    "01 VPHADDW",
    "02 VPHADDD",
    "03 VPHADDSW",
    "04 VPMADDUBSW",
    "05 VPHSUBW",
    "06 VPHSUBD",
    "07 VPHSUBSW",
    "08 VPSIGNB",
    "09 VPSIGNW",
    "0A VPSIGND",
    "0B VPMULHRSW",
    "28 VPMULDQ",
    "29 VPCMPEQQ",
    "2B VPACKUSDW",
    "37 VPCMPGTQ",
    "38 VPMINSB",
    "39 VPMINSD",
    "3A VPMINUW",
    "3B VPMINUD",
    "3C VPMAXSB",
    "3D VPMAXSD",
    "3E VPMAXUW",
    "3F VPMAXUD",
    "40 VPMULLD",
)
SHIFTS_BY_IMMEDIATE: Final = (
    "71 /2 VPSRLW",
    "71 /4 VPSRAW",
    "71 /6 VPSLLW",
    "72 /2 VPSRLD",
    "72 /4 VPSRAD",
    "72 /6 VPSLLD",
    "73 /2 VPSRLQ",
    "73 /3 VPSRLDQ",
    "73 /6 VPSLLQ",
    "73 /7 VPSLLDQ",
)
SHIFTS_BY_REGISTER: Final = (
    "D1 VPSRLW",
    "D2 VPSRLD",
    "D3 VPSRLQ",
    "E1 VPSRAW",
    "E2 VPSRAD",
    "F1 VPSLLW",
    "F2 VPSLLD",
    "F3 VPSLLQ",
)

INTEGER: Final[Rows] = (
    *_family("66.0F", "Vx Hx Wx", *INTEGER_0F),
    *_family("66.0F38", "Vx Hx Wx", *INTEGER_0F38),
    *_family("66.0F", "Hx Ux Ib", *SHIFTS_BY_IMMEDIATE),
    *_family("66.0F", "Vx Hx Wo", *SHIFTS_BY_REGISTER),
    *_family("66.0F38.W0", "Vx Hx Wx", "45 VPSRLVD", "46 VPSRAVD", "47 VPSLLVD"),
    *_family("66.0F38.W1", "Vx Hx Wx", "45 VPSRLVQ", "47 VPSLLVQ"),
    *_family("66.0F", "Vx Wx Ib", "70 VPSHUFD"),
    *_family("F3.0F", "Vx Wx Ib", "70 VPSHUFHW"),
    *_family("F2.0F", "Vx Wx Ib", "70 VPSHUFLW"),
    *_family("66.0F38", "Vx Wx", "17 VPTEST", "1C VPABSB", "1D VPABSW", "1E VPABSD"),
    *_family("66.0F38", "Vx Wh", "20 VPMOVSXBW", "23 VPMOVSXWD", "25 VPMOVSXDQ"),
    *_family("66.0F38", "Vx Wh", "30 VPMOVZXBW", "33 VPMOVZXWD", "35 VPMOVZXDQ"),
    *_family("66.0F38", "Vx Wf", "21 VPMOVSXBD", "24 VPMOVSXWQ"),
    *_family("66.0F38", "Vx Wf", "31 VPMOVZXBD", "34 VPMOVZXWQ"),
    *_family("66.0F38", "Vx We", "22 VPMOVSXBQ", "32 VPMOVZXBQ"),
    *_family("256.66.0F38.W0", "Vx Hx Wx", "36 VPERMD"),
    *_family("128.66.0F38", "Vo Wo", "41 VPHMINPOSUW"),
    *_family("66.0F38.W0", "Vx Wb", "78 VPBROADCASTB"),
    *_family("66.0F38.W0", "Vx Ww", "79 VPBROADCASTW"),
    *_family("66.0F38.W0", "Vx Wd", "58 VPBROADCASTD"),
    *_family("66.0F38.W0", "Vx Wq", "59 VPBROADCASTQ"),
    *_family("256.66.0F38.W0", "Vx Mo", "5A VBROADCASTI128"),
    *_family("256.66.0F3A.W1", "Vx Wx Ib", "00 VPERMQ"),
    *_family("66.0F3A.W0", "Vx Hx Wx Ib", "02 VPBLENDD"),
    *_family("66.0F3A", "Vx Hx Wx Ib", "0E VPBLENDW", "0F VPALIGNR", "42 VMPSADBW"),
    *_family("256.66.0F3A.W0", "Vx Hx Wx Ib", "46 VPERM2I128"),
    *_family("256.66.0F3A.W0", "Vx Hx Wo Ib", "38 VINSERTI128"),
    *_family("256.66.0F3A.W0", "Wo Vx Ib", "39 VEXTRACTI128"),
    *_family("66.0F3A.W0", "Vx Hx Wx Lx", "4C VPBLENDVB"),
    *_family("128.66.0F", "Vo Ho Ew Ib", "C4 VPINSRW"),
    *_family("128.66.0F", "Gd Uo Ib", "C5 VPEXTRW"),
    *_family("128.66.0F3A", "Eb Vo Ib", "14 VPEXTRB"),
    *_family("128.66.0F3A", "Ew Vo Ib", "15 VPEXTRW"),
    *_general("128.66.0F3A", "E* Vo Ib", "16", "VPEXTRD", "VPEXTRQ"),
    *_family("128.66.0F3A", "Vo Ho Eb Ib", "20 VPINSRB"),
    *_general("128.66.0F3A", "Vo Ho E* Ib", "22", "VPINSRD", "VPINSRQ"),
    *_family("128.66.0F3A", "Vo Wo Ib", "60 VPCMPESTRM", "61 VPCMPESTRI"),
    *_family("128.66.0F3A", "Vo Wo Ib", "62 VPCMPISTRM", "63 VPCMPISTRI"),
    # AVX-VNNI, AVX-VNNI-INT8, AVX-VNNI-INT16, AVX-IFMA
    *_family("66.0F38.W0", "Vx Hx Wx", "50 VPDPBUSD", "51 VPDPBUSDS"),
    *_family("66.0F38.W0", "Vx Hx Wx", "52 VPDPWSSD", "53 VPDPWSSDS"),
    *_family("NP.0F38.W0", "Vx Hx Wx", "50 VPDPBUUD", "51 VPDPBUUDS"),
    *_family("F3.0F38.W0", "Vx Hx Wx", "50 VPDPBSUD", "51 VPDPBSUDS"),
    *_family("F2.0F38.W0", "Vx Hx Wx", "50 VPDPBSSD", "51 VPDPBSSDS"),
    *_family("NP.0F38.W0", "Vx Hx Wx", "D2 VPDPWUUD", "D3 VPDPWUUDS"),
    *_family("66.0F38.W0", "Vx Hx Wx", "D2 VPDPWUSD", "D3 VPDPWUSDS"),
    *_family("F3.0F38.W0", "Vx Hx Wx", "D2 VPDPWSUD", "D3 VPDPWSUDS"),
    *_family("66.0F38.W1", "Vx Hx Wx", "B4 VPMADD52LUQ", "B5 VPMADD52HUQ"),
)

# `vm32` and `vm64` say how wide an index is; an element is as wide as the memory operand's type,
# and there are as many as the destination holds: half a vector with 8-byte indices to 4-byte data.
GATHERS: Final[Rows] = (
    *_family("66.0F38.W0", "Vx md Hx", "90 VPGATHERDD", "92 VGATHERDPS", attributes="vm32 uniq"),
    *_family("66.0F38.W1", "Vx mq Hx", "90 VPGATHERDQ", "92 VGATHERDPD", attributes="vm32 uniq"),
    *_family("66.0F38.W0", "Vh md Hh", "91 VPGATHERQD", "93 VGATHERQPS", attributes="vm64 uniq"),
    *_family("66.0F38.W1", "Vx mq Hx", "91 VPGATHERQQ", "93 VGATHERQPD", attributes="vm64 uniq"),
)

CRYPTOGRAPHIC: Final[Rows] = (
    *_family("128.66.0F38", "Vo Wo", "DB VAESIMC"),
    *_family("66.0F38", "Vx Hx Wx", "DC VAESENC", "DD VAESENCLAST"),
    *_family("66.0F38", "Vx Hx Wx", "DE VAESDEC", "DF VAESDECLAST"),
    *_family("128.66.0F3A", "Vo Wo Ib", "DF VAESKEYGENASSIST"),
    *_family("66.0F3A", "Vx Hx Wx Ib", "44 VPCLMULQDQ"),
    *_family("66.0F38.W0", "Vx Hx Wx", "CF VGF2P8MULB"),
    *_family("66.0F3A.W1", "Vx Hx Wx Ib", "CE VGF2P8AFFINEQB", "CF VGF2P8AFFINEINVQB"),
    *_family("256.F2.0F38.W0", "VO HO Uo", "CB VSHA512RNDS2"),
    *_family("256.F2.0F38.W0", "VO Uo", "CC VSHA512MSG1"),
    *_family("256.F2.0F38.W0", "VO UO", "CD VSHA512MSG2"),
    *_family("128.NP.0F38.W0", "Vo Ho Wo", "DA VSM3MSG1"),
    *_family("128.66.0F38.W0", "Vo Ho Wo", "DA VSM3MSG2"),
    *_family("128.66.0F3A.W0", "Vo Ho Wo Ib", "DE VSM3RNDS2"),
    *_family("F3.0F38.W0", "Vx Hx Wx", "DA VSM4KEY4"),
    *_family("F2.0F38.W0", "Vx Hx Wx", "DA VSM4RNDS4"),
)

# Pairs of pp and W that select the width of an opmask operation.
WIDTHS: Final = (("66", "W0", "B"), ("NP", "W0", "W"), ("66", "W1", "D"), ("NP", "W1", "Q"))
MASK_UNARY: Final = tuple((f"128.{pp}.0F.{w}", name, name.lower()) for pp, w, name in WIDTHS)
MASK_BINARY: Final = tuple((f"256.{pp}.0F.{w}", name, name.lower()) for pp, w, name in WIDTHS)
MASK_SHIFTS: Final = (
    (("128.66.0F3A.W0", "B", "b"), ("128.66.0F3A.W1", "W", "w")),
    (("128.66.0F3A.W0", "D", "d"), ("128.66.0F3A.W1", "Q", "q")),
)

OPMASKS: Final[Rows] = (
    *_expand(MASK_BINARY, "K* h* k*", "reg", "41 KAND", "42 KANDN", "45 KOR", "46 KXNOR"),
    *_expand(MASK_BINARY, "K* h* k*", "reg", "47 KXOR", "4A KADD"),
    *_family("256.66.0F.W0", "Kw hb kb", "4B KUNPCKBW", attributes="reg"),
    *_family("256.NP.0F.W0", "Kd hw kw", "4B KUNPCKWD", attributes="reg"),
    *_family("256.NP.0F.W1", "Kq hd kd", "4B KUNPCKDQ", attributes="reg"),
    *_expand(MASK_UNARY, "K* k*", "reg", "44 KNOT", "98 KORTEST", "99 KTEST"),
    *_expand(MASK_UNARY, "K* k*", "", "90 KMOV"),
    *_expand(MASK_UNARY, "M* K*", "", "91 KMOV"),
    *_family("128.66.0F.W0", "Kb Rd", "92 KMOVB"),
    *_family("128.NP.0F.W0", "Kw Rd", "92 KMOVW"),
    *_family("128.66.0F.W0", "Gd kb", "93 KMOVB", attributes="reg"),
    *_family("128.NP.0F.W0", "Gd kw", "93 KMOVW", attributes="reg"),
    *_general("128.F2.0F", "K* R*", "92", "KMOVD", "KMOVQ"),
    ("VEX.128.F2.0F 93", "KMOVD", "Gd kd", "i64 reg"),
    ("VEX.128.F2.0F.W0 93", "KMOVD", "Gd kd", "o64 reg"),
    ("VEX.128.F2.0F.W1 93", "KMOVQ", "Gq kq", "o64 reg"),
    *_expand(MASK_SHIFTS[0], "K* k* Ib", "reg", "30 KSHIFTR", "32 KSHIFTL"),
    *_expand(MASK_SHIFTS[1], "K* k* Ib", "reg", "31 KSHIFTR", "33 KSHIFTL"),
)

TILE_PRODUCTS: Final = (
    ("F3.0F38.W0 5C", "TDPBF16PS"),
    ("F2.0F38.W0 5C", "TDPFP16PS"),
    ("NP.0F38.W0 5E", "TDPBUUD"),
    ("66.0F38.W0 5E", "TDPBUSD"),
    ("F3.0F38.W0 5E", "TDPBSUD"),
    ("F2.0F38.W0 5E", "TDPBSSD"),
    ("NP.0F38.W0 6C", "TCMMRLFP16PS"),
    ("66.0F38.W0 6C", "TCMMIMFP16PS"),
)

TILES: Final[Rows] = (
    ("VEX.128.NP.0F38.W0 49 /0", "LDTILECFG", "MQ", "o64 r"),
    ("VEX.128.66.0F38.W0 49 /0", "STTILECFG", "MQ", "o64"),
    ("VEX.128.NP.0F38.W0 49 /0:0", "TILERELEASE", "", "o64"),
    *((f"VEX.128.F2.0F38.W0 49 /{tile}:0", "TILEZERO", "t", "o64") for tile in range(8)),
    ("VEX.128.F2.0F38.W0 4B", "TILELOADD", "t M", "o64 sibmem"),
    ("VEX.128.66.0F38.W0 4B", "TILELOADDT1", "t M", "o64 sibmem"),
    ("VEX.128.F3.0F38.W0 4B", "TILESTORED", "M t", "o64 sibmem"),
    *(
        (f"VEX.128.{fields}", mnemonic, "t u v", "o64 reg uniq")
        for fields, mnemonic in TILE_PRODUCTS
    ),
)

ROWS: Final[Rows] = (
    *MOVES,
    *FLOATING,
    *CONVERSIONS,
    *FUSED,
    *INTEGER,
    *GATHERS,
    *CRYPTOGRAPHIC,
    *OPMASKS,
    *TILES,
)
