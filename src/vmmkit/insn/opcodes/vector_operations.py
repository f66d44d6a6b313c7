# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What the vector instructions compute: a function and a lane width for each mnemonic.

`FAMILIES` has the functions by the way they are applied. Every mnemonic with an existing twin in V
stands for both. A lane is what the function works on, and what one bit of an opmask covers.
The facts are those of SDM vol. 2, "Instruction Set Reference".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

__all__ = ["VECTOR_FAMILIES", "VECTOR_FUNCTIONS", "VectorOperation", "vector_operations"]

Lanes = dict[int, str]

# Result lane from the same lane of two sources (of one, the last, for ABSOLUTE).
LANES: Final[dict[str, Lanes]] = {
    "ADD": {1: "PADDB", 2: "PADDW", 4: "PADDD", 8: "PADDQ"},
    "SUBTRACT": {1: "PSUBB", 2: "PSUBW", 4: "PSUBD", 8: "PSUBQ"},
    "ADD_SIGNED": {1: "PADDSB", 2: "PADDSW"},
    "ADD_UNSIGNED": {1: "PADDUSB", 2: "PADDUSW"},
    "SUBTRACT_SIGNED": {1: "PSUBSB", 2: "PSUBSW"},
    "SUBTRACT_UNSIGNED": {1: "PSUBUSB", 2: "PSUBUSW"},
    "MINIMUM_SIGNED": {1: "PMINSB", 2: "PMINSW", 4: "PMINSD", 8: "VPMINSQ"},
    "MINIMUM_UNSIGNED": {1: "PMINUB", 2: "PMINUW", 4: "PMINUD", 8: "VPMINUQ"},
    "MAXIMUM_SIGNED": {1: "PMAXSB", 2: "PMAXSW", 4: "PMAXSD", 8: "VPMAXSQ"},
    "MAXIMUM_UNSIGNED": {1: "PMAXUB", 2: "PMAXUW", 4: "PMAXUD", 8: "VPMAXUQ"},
    "AVERAGE": {1: "PAVGB", 2: "PAVGW"},
    "EQUAL": {1: "PCMPEQB", 2: "PCMPEQW", 4: "PCMPEQD", 8: "PCMPEQQ"},
    "GREATER": {1: "PCMPGTB", 2: "PCMPGTW", 4: "PCMPGTD", 8: "PCMPGTQ"},
    "AND": {4: "ANDPS VPANDD", 8: "PAND ANDPD VPANDQ"},
    "AND_NOT": {4: "ANDNPS VPANDND", 8: "PANDN ANDNPD VPANDNQ"},
    "OR": {4: "ORPS VPORD", 8: "POR ORPD VPORQ"},
    "XOR": {4: "XORPS VPXORD", 8: "PXOR XORPD VPXORQ"},
    "COMMON": {1: "VPTESTMB", 2: "VPTESTMW", 4: "VPTESTMD", 8: "VPTESTMQ"},
    "NOTHING_COMMON": {1: "VPTESTNMB", 2: "VPTESTNMW", 4: "VPTESTNMD", 8: "VPTESTNMQ"},
    "MULTIPLY_LOW": {2: "PMULLW", 4: "PMULLD", 8: "VPMULLQ"},
    "MULTIPLY_HIGH_SIGNED": {2: "PMULHW"},
    "MULTIPLY_HIGH_UNSIGNED": {2: "PMULHUW"},
    "MULTIPLY_ROUNDED": {2: "PMULHRSW"},
    "MULTIPLY_EVEN_SIGNED": {8: "PMULDQ"},
    "MULTIPLY_EVEN_UNSIGNED": {8: "PMULUDQ"},
    "MULTIPLY_ADD": {4: "PMADDWD"},
    "MULTIPLY_ADD_BYTES": {2: "PMADDUBSW"},
    "SUM_DIFFERENCES": {8: "PSADBW"},
    "SIGN": {1: "PSIGNB", 2: "PSIGNW", 4: "PSIGND"},
    "ABSOLUTE": {1: "PABSB", 2: "PABSW", 4: "PABSD", 8: "VPABSQ"},
    "SHIFT_LEFT": {2: "VPSLLVW", 4: "VPSLLVD", 8: "VPSLLVQ"},
    "SHIFT_RIGHT": {2: "VPSRLVW", 4: "VPSRLVD", 8: "VPSRLVQ"},
    "SHIFT_SIGNED": {2: "VPSRAVW", 4: "VPSRAVD", 8: "VPSRAVQ"},
    "ROTATE_LEFT": {4: "VPROLVD", 8: "VPROLVQ"},
    "ROTATE_RIGHT": {4: "VPRORVD", 8: "VPRORVQ"},
}

# The functions of the same name, with one count for all lanes: an immediate, or 64 bits.
COUNTS: Final[dict[str, Lanes]] = {
    "SHIFT_ALL_LEFT": {2: "PSLLW", 4: "PSLLD", 8: "PSLLQ"},
    "SHIFT_ALL_RIGHT": {2: "PSRLW", 4: "PSRLD", 8: "PSRLQ"},
    "SHIFT_ALL_SIGNED": {2: "PSRAW", 4: "PSRAD", 8: "VPSRAQ"},
    "ROTATE_ALL_LEFT": {4: "VPROLD", 8: "VPROLQ"},
    "ROTATE_ALL_RIGHT": {4: "VPRORD", 8: "VPRORQ"},
}

# Result lane from anywhere in the same 16 bytes (8 of an MMX register) of the sources.
BLOCKS: Final[dict[str, Lanes]] = {
    "UNPACK_LOW": {
        1: "PUNPCKLBW", 2: "PUNPCKLWD", 4: "PUNPCKLDQ UNPCKLPS", 8: "PUNPCKLQDQ UNPCKLPD",
    },
    "UNPACK_HIGH": {
        1: "PUNPCKHBW", 2: "PUNPCKHWD", 4: "PUNPCKHDQ UNPCKHPS", 8: "PUNPCKHQDQ UNPCKHPD",
    },
    "SHUFFLE": {2: "PSHUFW", 4: "PSHUFD"},
    "SHUFFLE_LOW": {2: "PSHUFLW"},
    "SHUFFLE_HIGH": {2: "PSHUFHW"},
    "SHUFFLE_TWO": {4: "SHUFPS", 8: "SHUFPD"},
    "SHUFFLE_BYTES": {1: "PSHUFB"},
    "ALIGN": {1: "PALIGNR"},
    "BYTES_LEFT": {1: "PSLLDQ"},
    "BYTES_RIGHT": {1: "PSRLDQ"},
    "PACK_SIGNED": {1: "PACKSSWB", 2: "PACKSSDW"},
    "PACK_UNSIGNED": {1: "PACKUSWB", 2: "PACKUSDW"},
    "DUPLICATE_LOW": {4: "MOVSLDUP", 8: "MOVDDUP"},
    "DUPLICATE_HIGH": {4: "MOVSHDUP"},
    "BLEND": {2: "PBLENDW", 4: "BLENDPS VPBLENDD", 8: "BLENDPD"},
    "ADD_PAIRS": {2: "PHADDW", 4: "PHADDD"},
    "ADD_PAIRS_SIGNED": {2: "PHADDSW"},
    "SUBTRACT_PAIRS": {2: "PHSUBW", 4: "PHSUBD"},
    "SUBTRACT_PAIRS_SIGNED": {2: "PHSUBSW"},
    "SUM_BLOCKS": {2: "MPSADBW"},
}  # fmt: skip

# Result from all of the last source.
WHOLE: Final[dict[str, Lanes]] = {
    "MOVE": {
        1: "VMOVDQU8",
        2: "VMOVDQU16",
        4: "MOVUPS MOVAPS VMOVDQU32 VMOVDQA32",
        8: "MOVUPD MOVAPD VMOVDQU64 VMOVDQA64 MOVDQU MOVDQA LDDQU MOVNTPS MOVNTPD MOVNTDQ "
        "MOVNTDQA MOVNTQ MOVD MOVQ VMOVW MOVDQ2Q MOVQ2DQ",
    },
    "BROADCAST": {
        1: "VPBROADCASTB",
        2: "VPBROADCASTW",
        4: "VBROADCASTSS VPBROADCASTD VBROADCASTF32X2 VBROADCASTI32X2 VBROADCASTF32X4 "
        "VBROADCASTI32X4 VBROADCASTF32X8 VBROADCASTI32X8",
        8: "VBROADCASTSD VPBROADCASTQ VBROADCASTF128 VBROADCASTI128 VBROADCASTF64X2 "
        "VBROADCASTI64X2 VBROADCASTF64X4 VBROADCASTI64X4",
    },
    "EXTEND_SIGNED": {2: "PMOVSXBW", 4: "PMOVSXBD PMOVSXWD", 8: "PMOVSXBQ PMOVSXWQ PMOVSXDQ"},
    "EXTEND_ZERO": {2: "PMOVZXBW", 4: "PMOVZXBD PMOVZXWD", 8: "PMOVZXBQ PMOVZXWQ PMOVZXDQ"},
    "PERMUTE": {1: "VPERMB", 2: "VPERMW", 4: "VPERMD VPERMPS", 8: "VPERMQ VPERMPD"},
    "INSERT": {
        1: "PINSRB",
        2: "PINSRW",
        4: "PINSRD VINSERTF32X4 VINSERTI32X4 VINSERTF32X8 VINSERTI32X8",
        8: "VPINSRQ VINSERTF128 VINSERTI128 VINSERTF64X2 VINSERTI64X2 VINSERTF64X4 VINSERTI64X4",
    },
    "EXTRACT": {
        1: "PEXTRB",
        2: "PEXTRW",
        4: "PEXTRD EXTRACTPS VEXTRACTF32X4 VEXTRACTI32X4 VEXTRACTF32X8 VEXTRACTI32X8",
        8: "VPEXTRQ VEXTRACTF128 VEXTRACTI128 VEXTRACTF64X2 VEXTRACTI64X2 VEXTRACTF64X4 "
        "VEXTRACTI64X4",
    },
    "SIGN_MASK": {
        1: "PMOVMSKB VPMOVB2M", 2: "VPMOVW2M", 4: "MOVMSKPS VPMOVD2M", 8: "MOVMSKPD VPMOVQ2M",
    },
    "COMPARE_SIGNED": {1: "VPCMPB", 2: "VPCMPW", 4: "VPCMPD", 8: "VPCMPQ"},
    "COMPARE_UNSIGNED": {1: "VPCMPUB", 2: "VPCMPUW", 4: "VPCMPUD", 8: "VPCMPUQ"},
    "CHOOSE": {1: "VPBLENDMB", 2: "VPBLENDMW", 4: "VPBLENDMD VBLENDMPS", 8: "VPBLENDMQ VBLENDMPD"},
    "BLEND_BY_SIGNS": {1: "PBLENDVB", 4: "BLENDVPS", 8: "BLENDVPD"},
    "TERNARY": {4: "VPTERNLOGD", 8: "VPTERNLOGQ"},
    "ALIGN_LANES": {4: "VALIGND", 8: "VALIGNQ"},
    "SHUFFLE_BLOCKS": {4: "VSHUFF32X4 VSHUFI32X4", 8: "VSHUFF64X2 VSHUFI64X2"},
    "PERMUTE_HALVES": {16: "VPERM2F128 VPERM2I128"},
    "PERMUTE_IN_BLOCKS": {4: "VPERMILPS", 8: "VPERMILPD"},
    "PERMUTE_BY_DESTINATION": {
        1: "VPERMI2B", 2: "VPERMI2W", 4: "VPERMI2D VPERMI2PS", 8: "VPERMI2Q VPERMI2PD",
    },
    "PERMUTE_BY_SOURCE": {
        1: "VPERMT2B", 2: "VPERMT2W", 4: "VPERMT2D VPERMT2PS", 8: "VPERMT2Q VPERMT2PD",
    },
    "INSERT_FLOAT": {4: "INSERTPS"},
    "MINIMUM_POSITION": {2: "PHMINPOSUW"},
    "NARROW": {2: "VPMOVWB", 4: "VPMOVDW VPMOVDB", 8: "VPMOVQD VPMOVQW VPMOVQB"},
    "NARROW_SIGNED": {2: "VPMOVSWB", 4: "VPMOVSDW VPMOVSDB", 8: "VPMOVSQD VPMOVSQW VPMOVSQB"},
    "NARROW_UNSIGNED": {
        2: "VPMOVUSWB", 4: "VPMOVUSDW VPMOVUSDB", 8: "VPMOVUSQD VPMOVUSQW VPMOVUSQB",
    },
    "FROM_MASK": {1: "VPMOVM2B", 2: "VPMOVM2W", 4: "VPMOVM2D", 8: "VPMOVM2Q"},
    "COMPRESS": {4: "VPCOMPRESSD VCOMPRESSPS", 8: "VPCOMPRESSQ VCOMPRESSPD"},
    "EXPAND": {4: "VPEXPANDD VEXPANDPS", 8: "VPEXPANDQ VEXPANDPD"},
}  # fmt: skip

# Moves that leave a part of the destination, or look at masks in vectors.
PARTS: Final[dict[str, Lanes]] = {
    "SCALAR": {4: "MOVSS", 8: "MOVSD"},
    "LOW_HALF": {8: "MOVLPS MOVLPD"},
    "HIGH_HALF": {8: "MOVHPS MOVHPD"},
    "HIGH_TO_LOW": {8: "MOVHLPS"},
    "LOW_TO_HIGH": {8: "MOVLHPS"},
    "MASKED": {4: "VMASKMOVPS VPMASKMOVD", 8: "VMASKMOVPD VPMASKMOVQ"},
    "MASKED_BYTES": {1: "MASKMOVQ MASKMOVDQU"},
    "TEST": {8: "PTEST"},
    "TEST_SIGNS": {4: "VTESTPS", 8: "VTESTPD"},
    "EXPLICIT_INDEX": {1: "PCMPESTRI"},
    "EXPLICIT_MASK": {1: "PCMPESTRM"},
    "IMPLICIT_INDEX": {1: "PCMPISTRI"},
    "IMPLICIT_MASK": {1: "PCMPISTRM"},
    "GATHER": {
        4: "VPGATHERDD VGATHERDPS VPGATHERQD VGATHERQPS",
        8: "VPGATHERDQ VGATHERDPD VPGATHERQQ VGATHERQPD",
    },
    "ZERO_UPPER": {16: "VZEROUPPER"},
    "ZERO_ALL": {16: "VZEROALL"},
}  # fmt: skip

# On opmask registers; the lane is the whole of what counts.
OPMASKS: Final[dict[str, Lanes]] = {
    f"MASK_{function}": {1: f"{name}B", 2: f"{name}W", 4: f"{name}D", 8: f"{name}Q"}
    for function, name in (
        ("MOVE", "KMOV"),
        ("NOT", "KNOT"),
        ("AND", "KAND"),
        ("AND_NOT", "KANDN"),
        ("OR", "KOR"),
        ("XOR", "KXOR"),
        ("XNOR", "KXNOR"),
        ("ADD", "KADD"),
        ("SHIFT_LEFT", "KSHIFTL"),
        ("SHIFT_RIGHT", "KSHIFTR"),
        ("OR_TEST", "KORTEST"),
        ("TEST", "KTEST"),
    )
} | {"MASK_UNPACK": {1: "KUNPCKBW", 2: "KUNPCKWD", 4: "KUNPCKDQ"}}

FAMILIES: Final = {
    "LANES": LANES,
    "COUNTS": COUNTS,
    "BLOCKS": BLOCKS,
    "WHOLE": WHOLE,
    "PARTS": PARTS,
    "OPMASKS": OPMASKS,
}

# What faults lane by lane under an opmask; all else checks its memory operand as a whole (SDM vol.
# 2A, "Exceptions Type E4NF", "Type E6NF").
SUPPRESSING: Final = frozenset(
    {*LANES, *COUNTS, "MOVE", "BROADCAST", "EXTEND_SIGNED", "EXTEND_ZERO", "SCALAR"}
    - {"MULTIPLY_ADD", "MULTIPLY_ADD_BYTES"}
    | {"COMPARE_SIGNED", "COMPARE_UNSIGNED", "CHOOSE", "TERNARY", "COMPRESS", "EXPAND"}
    | {"NARROW", "NARROW_SIGNED", "NARROW_UNSIGNED"}
)

# Memory operands of 16 bytes are aligned without VEX and EVEX, but those of UNALIGNED; these,
# their twins and forms in EVEX, are aligned at every width (SDM vol. 2A, "Exception Type 1").
ALIGNED: Final = [
    "MOVAPS",
    "MOVAPD",
    "MOVDQA",
    "VMOVDQA32",
    "VMOVDQA64",
    "MOVNTPS",
    "MOVNTPD",
    "MOVNTDQ",
    "MOVNTDQA",
]
UNALIGNED: Final = [
    *("MOVUPS", "MOVUPD", "MOVDQU", "LDDQU"),
    *("PCMPESTRI", "PCMPESTRM", "PCMPISTRI", "PCMPISTRM"),
]


class VectorOperation(NamedTuple):
    """What a vector instruction computes."""

    family: int  #: position in `VECTOR_FAMILIES`, from 1 on; 0 for other instructions
    function: int  #: position in `VECTOR_FUNCTIONS`
    lane: int  #: bytes
    alignment: int  #: 1 where memory is aligned in every encoding, 2 in none, 0 without VEX
    suppresses: int  #: whether an opmask keeps lanes of its memory operand from faulting
    avx2: int  #: whether its form of 256 bits came with AVX2


VECTOR_FAMILIES: Final = ("NONE", *FAMILIES)
VECTOR_FUNCTIONS: Final = ("NONE", *(name for family in FAMILIES.values() for name in family))
NO_OPERATION: Final = VectorOperation(0, 0, 0, 0, 0, 0)
# Of those in P and VP, what came with AVX at 256 bits too.
IN_AVX: Final = frozenset({"PTEST", "VPERMILPS", "VPERMILPD", "VPERM2F128"})


def vector_operations(mnemonics: Iterable[str]) -> tuple[VectorOperation, ...]:
    """One for each of `mnemonics`; those of the table stand for their twins in V too."""
    found = {}
    for family, functions in FAMILIES.items():
        for function, lanes in functions.items():
            for lane, names in lanes.items():
                numbers = VECTOR_FAMILIES.index(family), VECTOR_FUNCTIONS.index(function), lane
                for name in names.split():
                    alignment = 1 if name in ALIGNED else 2 if name in UNALIGNED else 0
                    avx2 = int(name.startswith(("P", "VP")) and name not in IN_AVX)
                    avx2 |= name in {"MOVNTDQA", "MPSADBW"}
                    found[name] = found["V" + name] = VectorOperation(
                        *numbers, alignment, int(function in SUPPRESSING), avx2
                    )
    return tuple(found.get(name, NO_OPERATION) for name in mnemonics)
