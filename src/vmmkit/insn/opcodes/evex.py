# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Opcode rows of the EVEX-encoded instructions: AVX-512 with all its extensions up to FP16.

The notation is that of `vmmkit.insn.optable`; the facts are those of SDM vol. 2, "Instruction Set
Reference", and, for the instructions of Xeon Phi (4FMAPS, 4VNNIW, ER, PF), of the Intel
Architecture Instruction Set Extensions Programming Reference. The Knights Corner MVEX encoding is
not here.

EVEX.W is written only where it selects something: where it would merely widen a general-purpose
destination whose upper half is zero anyway (VPEXTRB), one row serves both.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ROWS"]

Rows = tuple[tuple[str, str, str, str], ...]
Form = tuple[str, str, str, str]
"""Prefix fields, mnemonic suffix, the operand type that replaces `*`, further attributes."""


def _expand(forms: tuple[Form, ...], operands: str, attributes: str, *entries: str) -> Rows:
    """Every entry (`opcode mnemonic`, perhaps `/digit` between) in each of the forms."""
    return tuple(
        (
            f"EVEX.{fields} {opcode}",
            mnemonic + suffix,
            operands.replace("*", size),
            f"{attributes} {further}".strip(),
        )
        for opcode, _, mnemonic in (entry.rpartition(" ") for entry in entries)
        for fields, suffix, size, further in forms
    )


def _family(fields: str, operands: str, attributes: str, *entries: str) -> Rows:
    """Entries that share prefix fields, operands and attributes."""
    return _expand(((fields, "", "", ""),), operands, attributes, *entries)


def _by_w(fields: str, low: str, high: str) -> tuple[Form, Form]:
    """Forms for two element types that W tells apart; 4 and 8 byte elements can be broadcast."""
    size = {"B": ("b", ""), "W": ("w", ""), "D": ("d", "bc4"), "Q": ("q", "bc8")}
    size |= {"PS": size["D"], "PD": size["Q"], "SS": ("d", ""), "SD": ("q", "")}
    return ((f"{fields}.W0", low, *size[low]), (f"{fields}.W1", high, *size[high]))


def _general(
    fields: str, operands: str, attributes: str, opcode: str, narrow: str, wide: str
) -> Rows:
    """A general-purpose operand (`*`) of 8 bytes with W1 in 64-bit mode, of 4 everywhere else."""
    small, large = operands.replace("*", "d"), operands.replace("*", "q")
    return (
        (f"EVEX.{fields} {opcode}", narrow, small, f"{attributes} i64".strip()),
        (f"EVEX.{fields}.W0 {opcode}", narrow, small, f"{attributes} o64".strip()),
        (f"EVEX.{fields}.W1 {opcode}", wide, large, f"{attributes} o64".strip()),
    )


# Element type by pp and W, as the maps 0F (single, double) and MAP5 (half) have it.
PACKED: Final = (("NP.0F.W0", "PS", "d", "bc4"), ("66.0F.W1", "PD", "q", "bc8"))
SCALAR: Final = (("F3.0F.W0", "SS", "d", ""), ("F2.0F.W1", "SD", "q", ""))
HALF: Final = (("NP.MAP5.W0", "PH", "w", "bc2"),)
SCALAR_HALF: Final = (("F3.MAP5.W0", "SH", "w", ""),)
# The same for the maps 0F38 and MAP6, and for 0F3A.
PACKED_38: Final = (*_by_w("66.0F38", "PS", "PD"), ("66.MAP6.W0", "PH", "w", "bc2"))
SCALAR_38: Final = (*_by_w("66.0F38", "SS", "SD"), ("66.MAP6.W0", "SH", "w", ""))
PACKED_3A: Final = (*_by_w("66.0F3A", "PS", "PD"), ("NP.0F3A.W0", "PH", "w", "bc2"))
SCALAR_3A: Final = (*_by_w("66.0F3A", "SS", "SD"), ("NP.0F3A.W0", "SH", "w", ""))
PLAIN: Final = (("NP.0F.W0", "PS", "", ""), ("66.0F.W1", "PD", "", ""))
COMPARE: Final = (
    ("NP.0F.W0", "S", "d", ""),
    ("66.0F.W1", "D", "q", ""),
    ("NP.MAP5.W0", "H", "w", ""),
)

MOVES: Final[Rows] = (
    *_expand(PLAIN, "Vx Wx", "kz", "10 VMOVU", "28 VMOVA"),
    *_expand(PLAIN, "Wx Vx", "kz", "11 VMOVU", "29 VMOVA"),
    *_expand(PLAIN, "Mx Vx", "", "2B VMOVNT"),
    *_expand(SCALAR + SCALAR_HALF, "Vo Ho Uo", "kz", "10 VMOV"),
    *_expand(SCALAR + SCALAR_HALF, "Vo M*", "kz", "10 VMOV"),
    *_expand(SCALAR + SCALAR_HALF, "Uo Ho Vo", "kz", "11 VMOV"),
    *_expand(SCALAR + SCALAR_HALF, "M* Vo", "k", "11 VMOV"),
    *_family("128.NP.0F.W0", "Vo Ho Mq", "", "12 VMOVLPS", "16 VMOVHPS"),
    *_family("128.66.0F.W1", "Vo Ho Mq", "", "12 VMOVLPD", "16 VMOVHPD"),
    *_family("128.NP.0F.W0", "Vo Ho Uo", "", "12 VMOVHLPS", "16 VMOVLHPS"),
    *_family("128.NP.0F.W0", "Mq Vo", "", "13 VMOVLPS", "17 VMOVHPS"),
    *_family("128.66.0F.W1", "Mq Vo", "", "13 VMOVLPD", "17 VMOVHPD"),
    *_family("F3.0F.W0", "Vx Wx", "kz", "12 VMOVSLDUP", "16 VMOVSHDUP"),
    *_family("F2.0F.W1", "Vx WD", "kz", "12 VMOVDDUP"),
    *_general("128.66.0F", "Vo E*", "", "6E", "VMOVD", "VMOVQ"),
    *_general("128.66.0F", "E* Vo", "", "7E", "VMOVD", "VMOVQ"),
    *_family("128.F3.0F.W1", "Vo Wq", "", "7E VMOVQ"),
    *_family("128.66.0F.W1", "Wq Vo", "", "D6 VMOVQ"),
    *_family("128.66.MAP5", "Vo Ew", "", "6E VMOVW"),
    *_family("128.66.MAP5", "Ew Vo", "", "7E VMOVW"),
    *_family("66.0F.W0", "Vx Wx", "kz", "6F VMOVDQA32"),
    *_family("66.0F.W1", "Vx Wx", "kz", "6F VMOVDQA64"),
    *_family("F2.0F.W0", "Vx Wx", "kz", "6F VMOVDQU8"),
    *_family("F2.0F.W1", "Vx Wx", "kz", "6F VMOVDQU16"),
    *_family("F3.0F.W0", "Vx Wx", "kz", "6F VMOVDQU32"),
    *_family("F3.0F.W1", "Vx Wx", "kz", "6F VMOVDQU64"),
    *_family("66.0F.W0", "Wx Vx", "kz", "7F VMOVDQA32"),
    *_family("66.0F.W1", "Wx Vx", "kz", "7F VMOVDQA64"),
    *_family("F2.0F.W0", "Wx Vx", "kz", "7F VMOVDQU8"),
    *_family("F2.0F.W1", "Wx Vx", "kz", "7F VMOVDQU16"),
    *_family("F3.0F.W0", "Wx Vx", "kz", "7F VMOVDQU32"),
    *_family("F3.0F.W1", "Wx Vx", "kz", "7F VMOVDQU64"),
    *_family("66.0F.W0", "Mx Vx", "", "E7 VMOVNTDQ"),
    *_family("66.0F38.W0", "Vx Mx", "", "2A VMOVNTDQA"),
)

ARITHMETIC: Final = ("58 VADD", "59 VMUL", "5C VSUB", "5E VDIV")

FLOATING: Final[Rows] = (
    *_expand(PACKED, "Vx Hx Wx", "kz", "14 VUNPCKL", "15 VUNPCKH"),
    *_expand(PACKED, "Vx Hx Wx", "kz", "54 VAND", "55 VANDN", "56 VOR", "57 VXOR"),
    *_expand(PACKED + HALF, "Vx Hx Wx", "kz er", *ARITHMETIC),
    *_expand(SCALAR + SCALAR_HALF, "Vo Ho W*", "kz er", *ARITHMETIC, "51 VSQRT"),
    *_expand(PACKED + HALF, "Vx Wx", "kz er", "51 VSQRT"),
    *_expand(PACKED + HALF, "Vx Hx Wx", "kz sae", "5D VMIN", "5F VMAX"),
    *_expand(SCALAR + SCALAR_HALF, "Vo Ho W*", "kz sae", "5D VMIN", "5F VMAX"),
    *_expand(PACKED, "K Hx Wx Ib", "k sae", "C2 VCMP"),
    *_expand(SCALAR, "K Ho W* Ib", "k sae", "C2 VCMP"),
    *_family("NP.0F3A.W0", "K Hx Wx Ib", "k sae bc2", "C2 VCMPPH"),
    *_family("F3.0F3A.W0", "K Ho Ww Ib", "k sae", "C2 VCMPSH"),
    *_expand(PACKED, "Vx Hx Wx Ib", "kz", "C6 VSHUF"),
    *_expand(COMPARE, "Vo W*", "sae", "2E VUCOMIS", "2F VCOMIS"),
    *_expand(_by_w("66.0F38", "PS", "PD"), "Vx Hx Wx", "kz", "65 VBLENDM"),
    *_expand(_by_w("66.0F38", "PS", "PD"), "Vx Hx Wx", "kz", "77 VPERMI2", "7F VPERMT2"),
    *_expand(_by_w("256/512.66.0F38", "PS", "PD"), "Vx Hx Wx", "kz", "16 VPERM"),
    *_expand(PACKED_38, "Vx Hx Wx", "kz er", "2C VSCALEF"),
    *_expand(SCALAR_38, "Vo Ho W*", "kz er", "2D VSCALEF"),
    *_expand(PACKED_38, "Vx Wx", "kz sae", "42 VGETEXP"),
    *_expand(SCALAR_38, "Vo Ho W*", "kz sae", "43 VGETEXP"),
    *_expand(PACKED_38[:2], "Vx Wx", "kz", "4C VRCP14", "4E VRSQRT14"),
    *_expand(SCALAR_38[:2], "Vo Ho W*", "kz", "4D VRCP14", "4F VRSQRT14"),
    *_expand(PACKED_38[2:], "Vx Wx", "kz", "4C VRCP", "4E VRSQRT"),
    *_expand(SCALAR_38[2:], "Vo Ho W*", "kz", "4D VRCP", "4F VRSQRT"),
    *_expand(PACKED_3A, "Vx Wx Ib", "kz sae", "26 VGETMANT", "56 VREDUCE"),
    *_expand(SCALAR_3A, "Vo Ho W* Ib", "kz sae", "27 VGETMANT", "57 VREDUCE"),
    *_expand(PACKED_3A, "K Wx Ib", "k", "66 VFPCLASS"),
    *_expand(SCALAR_3A, "K W* Ib", "k", "67 VFPCLASS"),
    *_expand(PACKED_3A[:2], "Vx Hx Wx Ib", "kz sae", "50 VRANGE", "54 VFIXUPIMM"),
    *_expand(SCALAR_3A[:2], "Vo Ho W* Ib", "kz sae", "51 VRANGE", "55 VFIXUPIMM"),
    *_family("66.0F3A.W0", "Vx Wx Ib", "kz sae bc4", "08 VRNDSCALEPS"),
    *_family("66.0F3A.W1", "Vx Wx Ib", "kz sae bc8", "09 VRNDSCALEPD"),
    *_family("NP.0F3A.W0", "Vx Wx Ib", "kz sae bc2", "08 VRNDSCALEPH"),
    *_family("66.0F3A.W0", "Vo Ho Wd Ib", "kz sae", "0A VRNDSCALESS"),
    *_family("66.0F3A.W1", "Vo Ho Wq Ib", "kz sae", "0B VRNDSCALESD"),
    *_family("NP.0F3A.W0", "Vo Ho Ww Ib", "kz sae", "0A VRNDSCALESH"),
    *_family("66.0F38.W0", "Vx Hx Wx", "kz bc4", "0C VPERMILPS"),
    *_family("66.0F38.W1", "Vx Hx Wx", "kz bc8", "0D VPERMILPD"),
    *_family("66.0F3A.W0", "Vx Wx Ib", "kz bc4", "04 VPERMILPS"),
    *_family("66.0F3A.W1", "Vx Wx Ib", "kz bc8", "05 VPERMILPD"),
    *_family("256/512.66.0F3A.W1", "Vx Wx Ib", "kz bc8", "01 VPERMPD"),
    *_family("256/512.66.0F3A.W0", "Vx Hx Wx Ib", "kz bc4", "23 VSHUFF32X4"),
    *_family("256/512.66.0F3A.W1", "Vx Hx Wx Ib", "kz bc8", "23 VSHUFF64X2"),
    *_family("128.66.0F3A", "Ed Vo Ib", "", "17 VEXTRACTPS"),
    *_family("128.66.0F3A.W0", "Vo Ho Wd Ib", "", "21 VINSERTPS"),
    # AVX512ER and AVX512_4FMAPS
    *_expand(_by_w("512.66.0F38", "PS", "PD"), "Vx Wx", "kz sae", "C8 VEXP2", "CA VRCP28"),
    *_expand(_by_w("512.66.0F38", "PS", "PD"), "Vx Wx", "kz sae", "CC VRSQRT28"),
    *_expand(SCALAR_38[:2], "Vo Ho W*", "kz sae", "CB VRCP28", "CD VRSQRT28"),
    *_family("512.F2.0F38.W0", "Vx Hx Mo", "kz", "9A V4FMADDPS", "AA V4FNMADDPS"),
    *_family("F2.0F38.W0", "Vo Ho Mo", "kz", "9B V4FMADDSS", "AB V4FNMADDSS"),
    # Complex arithmetic of AVX512_FP16: the destination must be neither source.
    *_family("F3.MAP6.W0", "Vx Hx Wx", "kz er bc4 uniq", "56 VFMADDCPH", "D6 VFMULCPH"),
    *_family("F2.MAP6.W0", "Vx Hx Wx", "kz er bc4 uniq", "56 VFCMADDCPH", "D6 VFCMULCPH"),
    *_family("F3.MAP6.W0", "Vo Ho Wd", "kz er uniq", "57 VFMADDCSH", "D7 VFMULCSH"),
    *_family("F2.MAP6.W0", "Vo Ho Wd", "kz er uniq", "57 VFCMADDCSH", "D7 VFCMULCSH"),
)


def _fused(row: str, order: str) -> Rows:
    """FMA: one row of the opcode map, whose high nibble goes with the order of the operands."""
    names = (("8", "VFMADD"), ("A", "VFMSUB"), ("C", "VFNMADD"), ("E", "VFNMSUB"))
    alternating = (f"{row}6 VFMADDSUB{order}", f"{row}7 VFMSUBADD{order}")
    packed = (f"{row}{low} {name}{order}" for low, name in names)
    scalar = (f"{row}{int(low, 16) + 1:X} {name}{order}" for low, name in names)
    return (
        *_expand(PACKED_38, "Vx Hx Wx", "kz er", *alternating, *packed),
        *_expand(SCALAR_38, "Vo Ho W*", "kz er", *scalar),
    )


FUSED: Final[Rows] = (*_fused("9", "132"), *_fused("A", "213"), *_fused("B", "231"))

PACKED_CONVERSIONS: Final[Rows] = (
    *_family("NP.0F.W0", "Vx Wx", "kz er bc4", "5B VCVTDQ2PS", "79 VCVTPS2UDQ"),
    *_family("NP.0F.W1", "Vh Wx", "kz er bc8", "5B VCVTQQ2PS", "79 VCVTPD2UDQ"),
    *_family("NP.0F.W0", "Vx Wh", "kz sae bc4", "5A VCVTPS2PD"),
    *_family("NP.0F.W0", "Vx Wx", "kz sae bc4", "78 VCVTTPS2UDQ"),
    *_family("NP.0F.W1", "Vh Wx", "kz sae bc8", "78 VCVTTPD2UDQ"),
    *_family("66.0F.W0", "Vx Wx", "kz er bc4", "5B VCVTPS2DQ"),
    *_family("66.0F.W0", "Vx Wh", "kz er bc4", "79 VCVTPS2UQQ", "7B VCVTPS2QQ"),
    *_family("66.0F.W0", "Vx Wh", "kz sae bc4", "78 VCVTTPS2UQQ", "7A VCVTTPS2QQ"),
    *_family("66.0F.W1", "Vh Wx", "kz er bc8", "5A VCVTPD2PS"),
    *_family("66.0F.W1", "Vh Wx", "kz sae bc8", "E6 VCVTTPD2DQ"),
    *_family("66.0F.W1", "Vx Wx", "kz er bc8", "79 VCVTPD2UQQ", "7B VCVTPD2QQ"),
    *_family("66.0F.W1", "Vx Wx", "kz sae bc8", "78 VCVTTPD2UQQ", "7A VCVTTPD2QQ"),
    # These two are exact, so that a rounding mode is accepted and ignored.
    *_family("F3.0F.W0", "Vx Wh", "kz er bc4", "7A VCVTUDQ2PD", "E6 VCVTDQ2PD"),
    *_family("F3.0F.W0", "Vx Wx", "kz sae bc4", "5B VCVTTPS2DQ"),
    *_family("F3.0F.W1", "Vx Wx", "kz er bc8", "7A VCVTUQQ2PD", "E6 VCVTQQ2PD"),
    *_family("F2.0F.W0", "Vx Wx", "kz er bc4", "7A VCVTUDQ2PS"),
    *_family("F2.0F.W1", "Vh Wx", "kz er bc8", "7A VCVTUQQ2PS", "E6 VCVTPD2DQ"),
    # AVX512_FP16
    *_family("66.MAP5.W0", "Vh Wx", "kz er bc4", "1D VCVTPS2PHX"),
    *_family("NP.MAP5.W0", "Vh Wx", "kz er bc4", "5B VCVTDQ2PH"),
    *_family("F2.MAP5.W0", "Vh Wx", "kz er bc4", "7A VCVTUDQ2PH"),
    *_family("66.MAP5.W1", "Vf Wx", "kz er bc8", "5A VCVTPD2PH"),
    *_family("NP.MAP5.W1", "Vf Wx", "kz er bc8", "5B VCVTQQ2PH"),
    *_family("F2.MAP5.W1", "Vf Wx", "kz er bc8", "7A VCVTUQQ2PH"),
    *_family("NP.MAP5.W0", "Vx Wf", "kz sae bc2", "5A VCVTPH2PD"),
    *_family("66.MAP5.W0", "Vx Wf", "kz sae bc2", "78 VCVTTPH2UQQ", "7A VCVTTPH2QQ"),
    *_family("66.MAP5.W0", "Vx Wf", "kz er bc2", "79 VCVTPH2UQQ", "7B VCVTPH2QQ"),
    *_family("66.MAP5.W0", "Vx Wh", "kz er bc2", "5B VCVTPH2DQ"),
    *_family("F3.MAP5.W0", "Vx Wh", "kz sae bc2", "5B VCVTTPH2DQ"),
    *_family("NP.MAP5.W0", "Vx Wh", "kz sae bc2", "78 VCVTTPH2UDQ"),
    *_family("NP.MAP5.W0", "Vx Wh", "kz er bc2", "79 VCVTPH2UDQ"),
    *_family("NP.MAP5.W0", "Vx Wx", "kz sae bc2", "7C VCVTTPH2UW"),
    *_family("66.MAP5.W0", "Vx Wx", "kz sae bc2", "7C VCVTTPH2W"),
    *_family("NP.MAP5.W0", "Vx Wx", "kz er bc2", "7D VCVTPH2UW"),
    *_family("66.MAP5.W0", "Vx Wx", "kz er bc2", "7D VCVTPH2W"),
    *_family("F2.MAP5.W0", "Vx Wx", "kz er bc2", "7D VCVTUW2PH"),
    *_family("F3.MAP5.W0", "Vx Wx", "kz er bc2", "7D VCVTW2PH"),
    *_family("66.MAP6.W0", "Vx Wh", "kz sae bc2", "13 VCVTPH2PSX"),
    # F16C widened, and AVX512_BF16
    *_family("66.0F38.W0", "Vx Wh", "kz sae", "13 VCVTPH2PS"),
    *_family("66.0F3A.W0", "Wh Vx Ib", "kz sae", "1D VCVTPS2PH"),
    *_family("F3.0F38.W0", "Vh Wx", "kz bc4", "72 VCVTNEPS2BF16"),
    *_family("F2.0F38.W0", "Vx Hx Wx", "kz bc4", "72 VCVTNE2PS2BF16"),
    *_family("F3.0F38.W0", "Vx Hx Wx", "kz bc4", "52 VDPBF16PS"),
)

# Fields, memory type and name of the scalar formats, for conversions with general registers.
SCALAR_FORMATS: Final = (("F3.0F", "d", "SS"), ("F2.0F", "q", "SD"), ("F3.MAP5", "w", "SH"))
FROM_SCALAR: Final = (
    ("2C", "VCVTT{}2SI", "sae"),
    ("2D", "VCVT{}2SI", "er"),
    ("78", "VCVTT{}2USI", "sae"),
    ("79", "VCVT{}2USI", "er"),
)
# VCVT(U)SI2SD from 4 bytes is exact; a rounding mode is accepted and ignored.
TO_SCALAR: Final = (("2A", "VCVTSI2{}"), ("7B", "VCVTUSI2{}"))

SCALAR_CONVERSIONS: Final[Rows] = (
    *_family("F3.0F.W0", "Vo Ho Wd", "kz sae", "5A VCVTSS2SD"),
    *_family("F2.0F.W1", "Vo Ho Wq", "kz er", "5A VCVTSD2SS"),
    *_family("NP.MAP5.W0", "Vo Ho Wd", "kz er", "1D VCVTSS2SH"),
    *_family("F2.MAP5.W1", "Vo Ho Wq", "kz er", "5A VCVTSD2SH"),
    *_family("F3.MAP5.W0", "Vo Ho Ww", "kz sae", "5A VCVTSH2SD"),
    *_family("NP.MAP6.W0", "Vo Ho Ww", "kz sae", "13 VCVTSH2SS"),
    *(
        row
        for fields, size, name in SCALAR_FORMATS
        for opcode, mnemonic, attributes in FROM_SCALAR
        for row in _general(fields, f"G* W{size}", attributes, opcode, *[mnemonic.format(name)] * 2)
    ),
    *(
        row
        for fields, _, name in SCALAR_FORMATS
        for opcode, mnemonic in TO_SCALAR
        for row in _general(fields, "Vo Ho E*", "er", opcode, *[mnemonic.format(name)] * 2)
    ),
)

BYTES_AND_WORDS_0F: Final = (
    "60 VPUNPCKLBW",
    "61 VPUNPCKLWD",
    "63 VPACKSSWB",
    "67 VPACKUSWB",
    "68 VPUNPCKHBW",
    "69 VPUNPCKHWD",
    "D5 VPMULLW",
    "D8 VPSUBUSB",
    "D9 VPSUBUSW",
    "DA VPMINUB",
    "DC VPADDUSB",
    "DD VPADDUSW",
    "DE VPMAXUB",
    "E0 VPAVGB",
    "E3 VPAVGW",
    "E4 VPMULHUW",
    "E5 VPMULHW",
    "E8 VPSUBSB",
    "E9 VPSUBSW",
    "EA VPMINSW",
    "EC VPADDSB",
    "ED VPADDSW",
    "EE VPMAXSW",
    "F5 VPMADDWD",
    "F8 VPSUBB",
    "F9 VPSUBW",
    "FC VPADDB",
    "FD VPADDW",
)
BYTES_AND_WORDS_0F38: Final = (
    "00 VPSHUFB",
    "04 VPMADDUBSW",
    "0B VPMULHRSW",
    "38 VPMINSB",
    "3A VPMINUW",
    "3C VPMAXSB",
    "3E VPMAXUW",
)
DWORDS_0F: Final = (
    "62 VPUNPCKLDQ",
    "6A VPUNPCKHDQ",
    "6B VPACKSSDW",
    "FA VPSUBD",
    "FE VPADDD",
)
QWORDS_0F: Final = (
    "6C VPUNPCKLQDQ",
    "6D VPUNPCKHQDQ",
    "D4 VPADDQ",
    "F4 VPMULUDQ",
    "FB VPSUBQ",
)
DWORDS_0F38: Final = (
    "2B VPACKUSDW",
    "50 VPDPBUSD",
    "51 VPDPBUSDS",
    "52 VPDPWSSD",
    "53 VPDPWSSDS",
)
QWORDS_0F38: Final = (
    "28 VPMULDQ",
    "83 VPMULTISHIFTQB",
    "B4 VPMADD52LUQ",
    "B5 VPMADD52HUQ",
)
DWORDS_OR_QWORDS_0F38: Final = (
    "14 VPRORV",
    "15 VPROLV",
    "39 VPMINS",
    "3B VPMINU",
    "3D VPMAXS",
    "3F VPMAXU",
    "40 VPMULL",
    "45 VPSRLV",
    "46 VPSRAV",
    "47 VPSLLV",
    "64 VPBLENDM",
    "71 VPSHLDV",
    "73 VPSHRDV",
    "76 VPERMI2",
    "7E VPERMT2",
)
D_Q_0F: Final = _by_w("66.0F", "D", "Q")
D_Q_0F38: Final = _by_w("66.0F38", "D", "Q")
D_Q_0F3A: Final = _by_w("66.0F3A", "D", "Q")
B_W_0F38: Final = _by_w("66.0F38", "B", "W")
B_W_0F3A: Final = _by_w("66.0F3A", "B", "W")

INTEGER: Final[Rows] = (
    *_family("66.0F", "Vx Hx Wx", "kz", *BYTES_AND_WORDS_0F),
    *_family("66.0F38", "Vx Hx Wx", "kz", *BYTES_AND_WORDS_0F38),
    *_family("66.0F.W0", "Vx Hx Wx", "kz bc4", *DWORDS_0F),
    *_family("66.0F.W1", "Vx Hx Wx", "kz bc8", *QWORDS_0F),
    *_family("66.0F38.W0", "Vx Hx Wx", "kz bc4", *DWORDS_0F38),
    *_family("66.0F38.W1", "Vx Hx Wx", "kz bc8", *QWORDS_0F38),
    *_expand(D_Q_0F38, "Vx Hx Wx", "kz", *DWORDS_OR_QWORDS_0F38),
    *_expand(D_Q_0F, "Vx Hx Wx", "kz", "DB VPAND", "DF VPANDN", "EB VPOR", "EF VPXOR"),
    *_family("66.0F", "Vx Hx Wx", "", "F6 VPSADBW"),
    *_expand(B_W_0F38, "Vx Hx Wx", "kz", "66 VPBLENDM", "75 VPERMI2", "7D VPERMT2", "8D VPERM"),
    *_expand(_by_w("256/512.66.0F38", "D", "Q"), "Vx Hx Wx", "kz", "36 VPERM"),
    *_family("256/512.66.0F3A.W1", "Vx Wx Ib", "kz bc8", "00 VPERMQ"),
    *_family("66.0F38.W1", "Vx Hx Wx", "kz", "70 VPSHLDVW", "72 VPSHRDVW"),
    *_family("66.0F3A.W1", "Vx Hx Wx Ib", "kz", "70 VPSHLDW", "72 VPSHRDW"),
    *_expand(D_Q_0F3A, "Vx Hx Wx Ib", "kz", "71 VPSHLD", "73 VPSHRD"),
    *_expand(D_Q_0F3A, "Vx Hx Wx Ib", "kz", "03 VALIGN", "25 VPTERNLOG"),
    *_family("66.0F3A", "Vx Hx Wx Ib", "kz", "0F VPALIGNR"),
    *_family("66.0F3A.W0", "Vx Hx Wx Ib", "kz", "42 VDBPSADBW"),
    *_family("256/512.66.0F3A.W0", "Vx Hx Wx Ib", "kz bc4", "43 VSHUFI32X4"),
    *_family("256/512.66.0F3A.W1", "Vx Hx Wx Ib", "kz bc8", "43 VSHUFI64X2"),
    *_family("66.0F38", "Vx Wx", "kz", "1C VPABSB", "1D VPABSW"),
    *_family("66.0F38.W0", "Vx Wx", "kz bc4", "1E VPABSD"),
    *_family("66.0F38.W1", "Vx Wx", "kz bc8", "1F VPABSQ"),
    *_expand(B_W_0F38, "Vx Wx", "kz", "54 VPOPCNT"),
    *_expand(D_Q_0F38, "Vx Wx", "kz", "44 VPLZCNT", "55 VPOPCNT", "C4 VPCONFLICT"),
    *_family("66.0F.W0", "Vx Wx Ib", "kz bc4", "70 VPSHUFD"),
    *_family("F3.0F", "Vx Wx Ib", "kz", "70 VPSHUFHW"),
    *_family("F2.0F", "Vx Wx Ib", "kz", "70 VPSHUFLW"),
    *_family("512.F2.0F38.W0", "Vx Hx Mo", "kz", "52 VP4DPWSSD", "53 VP4DPWSSDS"),
    *_family("128.66.0F", "Vo Ho Ew Ib", "", "C4 VPINSRW"),
    *_family("128.66.0F", "Gd Uo Ib", "", "C5 VPEXTRW"),
    *_family("128.66.0F3A", "Eb Vo Ib", "", "14 VPEXTRB"),
    *_family("128.66.0F3A", "Ew Vo Ib", "", "15 VPEXTRW"),
    *_general("128.66.0F3A", "E* Vo Ib", "", "16", "VPEXTRD", "VPEXTRQ"),
    *_family("128.66.0F3A", "Vo Ho Eb Ib", "", "20 VPINSRB"),
    *_general("128.66.0F3A", "Vo Ho E* Ib", "", "22", "VPINSRD", "VPINSRQ"),
    *_family("66.0F38", "Vx Hx Wx", "", "DC VAESENC", "DD VAESENCLAST"),
    *_family("66.0F38", "Vx Hx Wx", "", "DE VAESDEC", "DF VAESDECLAST"),
    *_family("66.0F3A", "Vx Hx Wx Ib", "", "44 VPCLMULQDQ"),
    *_family("66.0F38.W0", "Vx Hx Wx", "kz", "CF VGF2P8MULB"),
    *_family("66.0F3A.W1", "Vx Hx Wx Ib", "kz bc8", "CE VGF2P8AFFINEQB", "CF VGF2P8AFFINEINVQB"),
)

SHIFTS: Final[Rows] = (
    *_family("66.0F", "Hx Wx Ib", "kz", "71 /2 VPSRLW", "71 /4 VPSRAW", "71 /6 VPSLLW"),
    *_expand(D_Q_0F, "Hx Wx Ib", "kz", "72 /0 VPROR", "72 /1 VPROL", "72 /4 VPSRA"),
    *_family("66.0F.W0", "Hx Wx Ib", "kz bc4", "72 /2 VPSRLD", "72 /6 VPSLLD"),
    *_family("66.0F.W1", "Hx Wx Ib", "kz bc8", "73 /2 VPSRLQ", "73 /6 VPSLLQ"),
    *_family("66.0F", "Hx Wx Ib", "", "73 /3 VPSRLDQ", "73 /7 VPSLLDQ"),
    *_family("66.0F", "Vx Hx Wo", "kz", "D1 VPSRLW", "E1 VPSRAW", "F1 VPSLLW"),
    *_family("66.0F.W0", "Vx Hx Wo", "kz", "D2 VPSRLD", "E2 VPSRAD", "F2 VPSLLD"),
    *_family("66.0F.W1", "Vx Hx Wo", "kz", "D3 VPSRLQ", "E2 VPSRAQ", "F3 VPSLLQ"),
    *_family("66.0F38.W1", "Vx Hx Wx", "kz", "10 VPSRLVW", "11 VPSRAVW", "12 VPSLLVW"),
)

MASKS: Final[Rows] = (
    *_family("66.0F", "K Hx Wx", "k", "64 VPCMPGTB", "65 VPCMPGTW", "74 VPCMPEQB", "75 VPCMPEQW"),
    *_family("66.0F.W0", "K Hx Wx", "k bc4", "66 VPCMPGTD", "76 VPCMPEQD"),
    *_family("66.0F38.W1", "K Hx Wx", "k bc8", "29 VPCMPEQQ", "37 VPCMPGTQ"),
    *_expand(B_W_0F38, "K Hx Wx", "k", "26 VPTESTM"),
    *_expand(D_Q_0F38, "K Hx Wx", "k", "27 VPTESTM"),
    *_expand(_by_w("F3.0F38", "B", "W"), "K Hx Wx", "k", "26 VPTESTNM"),
    *_expand(_by_w("F3.0F38", "D", "Q"), "K Hx Wx", "k", "27 VPTESTNM"),
    *_expand(D_Q_0F3A, "K Hx Wx Ib", "k", "1E VPCMPU", "1F VPCMP"),
    *_expand(B_W_0F3A, "K Hx Wx Ib", "k", "3E VPCMPU", "3F VPCMP"),
    *_family("66.0F38.W0", "K Hx Wx", "k", "8F VPSHUFBITQMB"),
    # The pair of opmask registers ModRM.reg & ~1 and the one above it.
    *_expand(_by_w("F2.0F38", "D", "Q"), "K Hx Wx", "", "68 VP2INTERSECT"),
    *_family("F3.0F38.W0", "Vx k", "reg", "28 VPMOVM2B", "38 VPMOVM2D", "3A VPBROADCASTMW2D"),
    *_family("F3.0F38.W1", "Vx k", "reg", "28 VPMOVM2W", "38 VPMOVM2Q", "2A VPBROADCASTMB2Q"),
    *_family("F3.0F38.W0", "K Ux", "", "29 VPMOVB2M", "39 VPMOVD2M"),
    *_family("F3.0F38.W1", "K Ux", "", "29 VPMOVW2M", "39 VPMOVQ2M"),
)

HALVING: Final = (("30", "WB", "h"), ("33", "DW", "h"), ("35", "QD", "h"))
QUARTERING: Final = (("31", "DB", "f"), ("34", "QW", "f"))
NARROWING: Final = (*HALVING, *QUARTERING, ("32", "QB", "e"))
# How far below the opcode of the truncating form those of the saturating forms lie.
SATURATION: Final = ((0x00, "VPMOV"), (0x10, "VPMOVS"), (0x20, "VPMOVUS"))

WIDTH_CHANGES: Final[Rows] = (
    *_family("66.0F38", "Vx Wh", "kz", "20 VPMOVSXBW", "23 VPMOVSXWD"),
    *_family("66.0F38", "Vx Wh", "kz", "30 VPMOVZXBW", "33 VPMOVZXWD"),
    *_family("66.0F38.W0", "Vx Wh", "kz", "25 VPMOVSXDQ", "35 VPMOVZXDQ"),
    *_family("66.0F38", "Vx Wf", "kz", "21 VPMOVSXBD", "24 VPMOVSXWQ"),
    *_family("66.0F38", "Vx Wf", "kz", "31 VPMOVZXBD", "34 VPMOVZXWQ"),
    *_family("66.0F38", "Vx We", "kz", "22 VPMOVSXBQ", "32 VPMOVZXBQ"),
    *(
        (f"EVEX.F3.0F38.W0 {int(opcode, 16) - back:02X}", stem + name, f"W{size} Vx", "kz")
        for opcode, name, size in NARROWING
        for back, stem in SATURATION
    ),
)

BROADCASTS: Final[Rows] = (
    *_family("66.0F38.W0", "Vx Wd", "kz", "18 VBROADCASTSS", "58 VPBROADCASTD"),
    *_family("256/512.66.0F38.W1", "Vx Wq", "kz", "19 VBROADCASTSD"),
    *_family("66.0F38.W1", "Vx Wq", "kz", "59 VPBROADCASTQ"),
    *_family("66.0F38.W0", "Vx Wb", "kz", "78 VPBROADCASTB"),
    *_family("66.0F38.W0", "Vx Ww", "kz", "79 VPBROADCASTW"),
    *_family("66.0F38.W0", "Vx Rd", "kz", "7A VPBROADCASTB", "7B VPBROADCASTW"),
    *_general("66.0F38", "Vx R*", "kz", "7C", "VPBROADCASTD", "VPBROADCASTQ"),
    *_family("256/512.66.0F38.W0", "Vx Wq", "kz", "19 VBROADCASTF32X2"),
    *_family("66.0F38.W0", "Vx Wq", "kz", "59 VBROADCASTI32X2"),
    *_family("256/512.66.0F38.W0", "Vx Mo", "kz", "1A VBROADCASTF32X4", "5A VBROADCASTI32X4"),
    *_family("256/512.66.0F38.W1", "Vx Mo", "kz", "1A VBROADCASTF64X2", "5A VBROADCASTI64X2"),
    *_family("512.66.0F38.W0", "Vx MO", "kz", "1B VBROADCASTF32X8", "5B VBROADCASTI32X8"),
    *_family("512.66.0F38.W1", "Vx MO", "kz", "1B VBROADCASTF64X4", "5B VBROADCASTI64X4"),
)

LANES: Final[Rows] = (
    *_family("256/512.66.0F3A.W0", "Vx Hx Wo Ib", "kz", "18 VINSERTF32X4", "38 VINSERTI32X4"),
    *_family("256/512.66.0F3A.W1", "Vx Hx Wo Ib", "kz", "18 VINSERTF64X2", "38 VINSERTI64X2"),
    *_family("512.66.0F3A.W0", "Vx Hx WO Ib", "kz", "1A VINSERTF32X8", "3A VINSERTI32X8"),
    *_family("512.66.0F3A.W1", "Vx Hx WO Ib", "kz", "1A VINSERTF64X4", "3A VINSERTI64X4"),
    *_family("256/512.66.0F3A.W0", "Wo Vx Ib", "kz", "19 VEXTRACTF32X4", "39 VEXTRACTI32X4"),
    *_family("256/512.66.0F3A.W1", "Wo Vx Ib", "kz", "19 VEXTRACTF64X2", "39 VEXTRACTI64X2"),
    *_family("512.66.0F3A.W0", "WO Vx Ib", "kz", "1B VEXTRACTF32X8", "3B VEXTRACTI32X8"),
    *_family("512.66.0F3A.W1", "WO Vx Ib", "kz", "1B VEXTRACTF64X4", "3B VEXTRACTI64X4"),
)

# Up to a whole vector in memory, yet disp8 counts elements: `N1` to `N8` say of how many bytes.
PACKING: Final[Rows] = (
    *_family("66.0F38.W0", "Vx Wx", "kz N1", "62 VPEXPANDB"),
    *_family("66.0F38.W1", "Vx Wx", "kz N2", "62 VPEXPANDW"),
    *_family("66.0F38.W0", "Vx Wx", "kz N4", "88 VEXPANDPS", "89 VPEXPANDD"),
    *_family("66.0F38.W1", "Vx Wx", "kz N8", "88 VEXPANDPD", "89 VPEXPANDQ"),
    *_family("66.0F38.W0", "Wx Vx", "kz N1", "63 VPCOMPRESSB"),
    *_family("66.0F38.W1", "Wx Vx", "kz N2", "63 VPCOMPRESSW"),
    *_family("66.0F38.W0", "Wx Vx", "kz N4", "8A VCOMPRESSPS", "8B VPCOMPRESSD"),
    *_family("66.0F38.W1", "Wx Vx", "kz N8", "8A VCOMPRESSPD", "8B VPCOMPRESSQ"),
)

GATHER_PREFETCHES: Final = (
    ("/1", "VGATHERPF0"),
    ("/2", "VGATHERPF1"),
    ("/5", "VSCATTERPF0"),
    ("/6", "VSCATTERPF1"),
)

# `vm32` and `vm64` say how wide an index is; data are as many as V holds, of the type of `m`.
GATHERS: Final[Rows] = (
    *_family("66.0F38.W0", "Vx md", "k! vm32 uniq", "90 VPGATHERDD", "92 VGATHERDPS"),
    *_family("66.0F38.W1", "Vx mq", "k! vm32 uniq", "90 VPGATHERDQ", "92 VGATHERDPD"),
    *_family("66.0F38.W0", "Vh md", "k! vm64 uniq", "91 VPGATHERQD", "93 VGATHERQPS"),
    *_family("66.0F38.W1", "Vx mq", "k! vm64 uniq", "91 VPGATHERQQ", "93 VGATHERQPD"),
    *_family("66.0F38.W0", "md Vx", "k! vm32", "A0 VPSCATTERDD", "A2 VSCATTERDPS"),
    *_family("66.0F38.W1", "mq Vx", "k! vm32", "A0 VPSCATTERDQ", "A2 VSCATTERDPD"),
    *_family("66.0F38.W0", "md Vh", "k! vm64", "A1 VPSCATTERQD", "A3 VSCATTERQPS"),
    *_family("66.0F38.W1", "mq Vx", "k! vm64", "A1 VPSCATTERQQ", "A3 VSCATTERQPD"),
    *(
        (f"EVEX.512.66.0F38.{w} {opcode} {digit}", stem + index + kind, f"m{size}", f"k! n {vm}")
        for opcode, index, vm in (("C6", "D", "vm32"), ("C7", "Q", "vm64"))
        for digit, stem in GATHER_PREFETCHES
        for w, kind, size in (("W0", "PS", "d"), ("W1", "PD", "q"))
    ),
)

ROWS: Final[Rows] = (
    *MOVES,
    *FLOATING,
    *FUSED,
    *PACKED_CONVERSIONS,
    *SCALAR_CONVERSIONS,
    *INTEGER,
    *SHIFTS,
    *MASKS,
    *WIDTH_CHANGES,
    *BROADCASTS,
    *LANES,
    *PACKING,
    *GATHERS,
)
