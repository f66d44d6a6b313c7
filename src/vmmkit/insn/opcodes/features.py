# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""CPUID features and the instructions that belong to them."""

from __future__ import annotations

from typing import Final

__all__ = ["FEATURES", "NO_FEATURE", "WITHOUT", "feature_of"]

# Instructions of features that no engine executes, and by their first letters those on vectors:
# AES, SHA, GFNI, carry-less multiplication, FMA, F16C, VNNI, IFMA, BF16, counts, shifts of pairs.
_OTHER: Final = tuple(
    """
    AADD AAND AESDEC AESDEC128KL AESDEC256KL AESDECLAST AESDECWIDE128KL AESDECWIDE256KL AESENC
    AESENC128KL AESENC256KL AESENCLAST AESENCWIDE128KL AESENCWIDE256KL AESIMC AESKEYGENASSIST
    AOR AXOR CLGI CLRSSBSY CLUI CLZERO CMPCCXADD ENCLS ENCLU ENCLV ENCODEKEY128 ENCODEKEY256
    ERETS ERETU EXTRQ GETSEC GF2P8AFFINEINVQB GF2P8AFFINEQB GF2P8MULB HRESET INCSSP INSERTQ
    INVEPT INVLPGA INVLPGB INVVPID LDTILECFG LKGS LOADIWKEY MCOMMIT MONITORX MOVNTSD MOVNTSS
    MWAITX PBNDKB PCLMULQDQ PCONFIG PSMASH PTWRITE PVALIDATE RDMSRLIST RDPRU RMPADJUST RMPQUERY
    RMPUPDATE RSM RSTORSSP SAVEPREVSSP SEAMCALL SEAMOPS SEAMRET SENDUIPI SETSSBSY SHA1MSG1
    SHA1MSG2 SHA1NEXTE SHA1RNDS4 SHA256MSG1 SHA256MSG2 SHA256RNDS2 SKINIT STGI STTILECFG STUI
    TCMMIMFP16PS TCMMRLFP16PS TDCALL TDPBF16PS TDPBSSD TDPBSUD TDPBUSD TDPBUUD TDPFP16PS TESTUI
    TILELOADD TILELOADDT1 TILERELEASE TILESTORED TILEZERO TLBSYNC TPAUSE UIRET UMONITOR UMWAIT
    VMCLEAR VMFUNC VMGEXIT VMLAUNCH VMLOAD VMPTRLD VMPTRST VMREAD VMRESUME VMRUN VMSAVE VMWRITE
    VMXOFF VMXON VP2INTERSECTD VP2INTERSECTQ VPBROADCASTMB2Q VPBROADCASTMW2D VPCOMPRESSB
    VPCOMPRESSW VPCONFLICTD VPCONFLICTQ VPEXPANDB VPEXPANDW VPLZCNTD VPLZCNTQ VPSHUFBITQMB
    VPCLMULQDQ WRMSRLIST WRMSRNS WRSS WRUSS XABORT XBEGIN XEND XRESLDTRK XSUSLDTRK XTEST
    """.split()  # noqa: SIM905 - a hundred names
)
_OTHER_PREFIXES: Final = (
    *("VAES", "VGF2P8", "VPDP", "VPMADD52", "VSHA", "VSM3", "VSM4", "VBCSTNE", "VCVTNE", "V4F"),
    *("VP4D", "VEXP2", "VRCP28", "VRSQRT28", "VGATHERPF", "VSCATTERPF", "VPOPCNT", "VPSHLD"),
    *("VPSHRD", "VDPBF16"),
)
_AVX512F: Final = frozenset({"VCVTPS2PH"})
_OTHER_VEX: Final = ("VFM", "VFNM", "VCVTPH2PS", "VCVTPS2PH")  # their EVEX forms are AVX512F's

# CPUID features that instructions the engines execute belong to; the position is the bit number in
# a vCPU's `features`.
FEATURES: Final[dict[str, tuple[str, ...]]] = {
    "CX8": (),  # CMPXCHG8B
    "CX16": (),  # the same row with REX.W
    "CMOV": (
        *("CMOVCC", "FCMOVB", "FCMOVE", "FCMOVBE", "FCMOVU", "FCMOVNB", "FCMOVNE", "FCMOVNBE"),
        *("FCMOVNU", "FCOMI", "FCOMIP", "FUCOMI", "FUCOMIP"),
    ),
    "CLFSH": ("CLFLUSH",),
    "SSE": ("SFENCE",),
    "SSE2": ("MOVNTI", "LFENCE", "MFENCE"),
    "SSE42": ("CRC32",),
    "MOVBE": ("MOVBE",),
    "POPCNT": ("POPCNT",),
    "LAHF64": (),  # LAHF and SAHF, in 64-bit mode
    "LZCNT": ("LZCNT",),
    "BMI1": ("ANDN", "BEXTR", "BLSR", "BLSMSK", "BLSI", "TZCNT"),
    "BMI2": ("BZHI", "MULX", "PDEP", "PEXT", "RORX", "SARX", "SHLX", "SHRX"),
    "ADX": ("ADCX", "ADOX"),
    "CLFLUSHOPT": ("CLFLUSHOPT",),
    "CLWB": ("CLWB",),
    "SEP": ("SYSENTER", "SYSEXIT"),
    "SYSCALL": ("SYSCALL", "SYSRET"),
    "LM": (),  # EFER.LME
    "NX": (),  # EFER.NXE
    "RDTSCP": ("RDTSCP",),
    "FSGSBASE": ("RDFSBASE", "RDGSBASE", "WRFSBASE", "WRGSBASE"),
    "PCID": (),  # CR4.PCIDE
    "INVPCID": ("INVPCID",),
    "SMEP": (),  # CR4.SMEP
    "SMAP": ("CLAC", "STAC"),
    "UMIP": (),  # CR4.UMIP
    "LA57": (),  # CR4.LA57
    "PKU": ("RDPKRU", "WRPKRU"),
    "XSAVE": ("XGETBV", "XSETBV", "XSAVE", "XRSTOR"),
    "RDRAND": ("RDRAND",),
    "RDSEED": ("RDSEED",),
    "RDPID": ("RDPID",),
    "MONITOR": ("MONITOR", "MWAIT"),
    "SERIALIZE": ("SERIALIZE",),
    "WBNOINVD": ("WBNOINVD",),
    "FPU": (),
    "MMX": ("EMMS",),
    "FXSR": ("FXSAVE", "FXRSTOR"),
    "SSE3": ("LDDQU", "MOVSLDUP", "MOVSHDUP", "MOVDDUP", "FISTTP"),
    "SSSE3": (),
    "SSE41": ("PTEST",),
    "XSAVEOPT": ("XSAVEOPT",),
    "XSAVEC": ("XSAVEC",),
    "XSAVES": ("XSAVES", "XRSTORS"),
    "AVX": (),
    "AVX2": (
        *("VPBROADCASTB", "VPBROADCASTW", "VPBROADCASTD", "VPBROADCASTQ", "VBROADCASTI128"),
        *("VPMASKMOVD", "VPMASKMOVQ", "VINSERTI128", "VEXTRACTI128", "VPERMQ", "VPERMPD"),
        *("VPSLLVD", "VPSLLVQ", "VPSRLVD", "VPSRLVQ", "VPSRAVD", "VPBLENDD", "VPERM2I128"),
        *("VPGATHERDD", "VPGATHERQD", "VPGATHERDQ", "VPGATHERQQ"),
        *("VGATHERDPS", "VGATHERQPS", "VGATHERDPD", "VGATHERQPD", "VPERMD", "VPERMPS"),
    ),
    "AVX512F": (),
    "AVX512DQ": (),
    "AVX512BW": (),
    "AVX512VL": (),
    "AVX512FP16": (),
    "AVX512VBMI": (),
    "MOVDIRI": ("MOVDIRI",),
    "MOVDIR64B": ("MOVDIR64B",),
    "ENQCMD": ("ENQCMD", "ENQCMDS"),
    "OTHER": _OTHER,
}
FEATURE_OF: Final = {
    mnemonic: number for number, names in enumerate(FEATURES.values()) for mnemonic in names
}
NO_FEATURE: Final = 255
# What a processor without the feature makes of an instruction whose F3 it ignores; else #UD.
WITHOUT: Final = {"TZCNT": "BSF", "LZCNT": "BSR", "WBNOINVD": "WBINVD"}

_NUMBER: Final = {name: number for number, name in enumerate(FEATURES)}
# SSE's instructions on MMX registers, and SSE2's.
_SSE_ON_MMX: Final = frozenset(
    [
        "PSHUFW",
        "PINSRW",
        "PEXTRW",
        "PMINUB",
        "PMAXUB",
        "PMINSW",
        "PMAXSW",
        "PAVGB",
        "PAVGW",
        "PMULHUW",
        "PSADBW",
        "PMOVMSKB",
        "MASKMOVQ",
        "MOVNTQ",
        "CVTPI2PS",
        "CVTTPS2PI",
        "CVTPS2PI",
    ]
)
_SSE2_ON_MMX: Final = frozenset(
    ["PADDQ", "PSUBQ", "PMULUDQ", "MOVQ2DQ", "MOVDQ2Q", "CVTPI2PD", "CVTTPD2PI", "CVTPD2PI"]
)
_SSE2_WITHOUT_66: Final = frozenset(
    [
        "MOVDQU",
        "MOVQ",
        "PSHUFHW",
        "PSHUFLW",
        "CVTDQ2PD",
        "CVTTPS2DQ",
        "CVTPS2PD",
        "CVTDQ2PS",
        "CVTSS2SD",
    ]
)
# AVX-512 forms that need DQ, beside those whose lanes need BW.
_DQ: Final = frozenset(
    [
        "VANDPS",
        "VANDPD",
        "VANDNPS",
        "VANDNPD",
        "VORPS",
        "VORPD",
        "VXORPS",
        "VXORPD",
        "VPMULLQ",
        "VBROADCASTF32X2",
        "VBROADCASTI32X2",
        "VBROADCASTF64X2",
        "VBROADCASTI64X2",
        "VBROADCASTF32X8",
        "VBROADCASTI32X8",
        "VINSERTF64X2",
        "VINSERTI64X2",
        "VINSERTF32X8",
        "VINSERTI32X8",
        "VEXTRACTF64X2",
        "VEXTRACTI64X2",
        "VEXTRACTF32X8",
        "VEXTRACTI32X8",
        "VPINSRD",
        "VPINSRQ",
        "VPEXTRD",
        "VPEXTRQ",
        "KMOVB",
        "KANDB",
        "KANDNB",
        "KORB",
        "KXORB",
        "KXNORB",
        "KNOTB",
        "KORTESTB",
        "KTESTB",
        "KTESTW",
        "KADDB",
        "KADDW",
        "KSHIFTLB",
        "KSHIFTRB",
        "VPMOVM2D",
        "VPMOVM2Q",
        "VPMOVD2M",
        "VPMOVQ2M",
    ]
)
_EVEX: Final = {
    **dict.fromkeys(("VPERMB", "VPERMI2B", "VPERMT2B"), "AVX512VBMI"),
    "VMOVW": "AVX512FP16",
    "VMOVSH": "AVX512FP16",
    **dict.fromkeys(("VPMADDWD", "VPSADBW"), "AVX512BW"),  # their lanes are sums of smaller ones
}


def _legacy_feature(mnemonic: str, encoding: str, operands: str) -> str:
    kinds = {word[0] for word in operands.split()}
    vector, mmx = bool(kinds & set("VWU")), bool(kinds & set("PQN"))
    prefix, _, opcode = encoding.partition(" 0F ")
    if mnemonic.startswith("F") and encoding[:2] in {"9B", *(f"D{low:X}" for low in range(8, 16))}:
        return "FPU"
    if not (vector or mmx):
        return {"LDMXCSR": "SSE", "STMXCSR": "SSE"}.get(mnemonic, "")
    if opcode.startswith(("38", "3A")):
        low = int(opcode.split()[1], 16)
        if opcode.startswith("38"):
            return "SSSE3" if low < 0x10 or 0x1C <= low <= 0x1E else _later(low, 0x37)
        return "SSSE3" if low == 0x0F else _later(low, 0x60)
    if mmx and (not vector or mnemonic in _SSE2_ON_MMX):
        return "SSE" if mnemonic in _SSE_ON_MMX else "SSE2" if mnemonic in _SSE2_ON_MMX else "MMX"
    return "SSE2" if prefix in {"66", "F2"} or mnemonic in _SSE2_WITHOUT_66 else "SSE"


def _later(opcode: int, first_of_sse42: int) -> str:
    """0F 38 and 0F 3A: SSE4.1 up to an opcode, then four of SSE4.2; AES, SHA and GFNI: none."""
    if opcode in {0x37, 0x60, 0x61, 0x62, 0x63} and opcode >= first_of_sse42:
        return "SSE42"
    return "SSE41" if opcode < 0x60 else ""


def _is_other(mnemonic: str, encoding: str) -> bool:
    by_vex = encoding.startswith("VEX") and mnemonic.startswith(_OTHER_VEX)
    return by_vex or mnemonic in _OTHER or mnemonic.startswith(_OTHER_PREFIXES)


def _is_half_precision(mnemonic: str, encoding: str) -> bool:
    by_name = encoding.startswith("EVEX") and mnemonic.endswith(("PH", "SH"))
    return (by_name and mnemonic not in _AVX512F) or ".MAP5" in encoding or ".MAP6" in encoding


def feature_of(mnemonic: str, encoding: str, operands: str) -> int:
    """Position in `FEATURES` of what a row belongs to, or `NO_FEATURE`.

    AVX2 and AVX512BW, DQ and VL, where they depend on lanes and length, are the engines' to check.
    """
    kinds = {word[0] for word in operands.split()}
    if _is_other(mnemonic, encoding):
        name = "OTHER"
    elif _is_half_precision(mnemonic, encoding):
        name = "AVX512FP16"
    elif encoding.startswith("EVEX"):
        name = _EVEX.get(mnemonic, "AVX512DQ" if mnemonic in _DQ else "AVX512F")
    elif mnemonic in FEATURE_OF:
        return FEATURE_OF[mnemonic]
    elif encoding.startswith("VEX") and kinds & set("Kkh"):
        wide = mnemonic.endswith(("D", "Q", "WD", "DQ"))
        name = "AVX512DQ" if mnemonic in _DQ else "AVX512BW" if wide else "AVX512F"
    elif encoding.startswith("VEX"):
        name = "AVX" if mnemonic.startswith("V") else ""
    else:
        name = _legacy_feature(mnemonic, encoding, operands)
    return _NUMBER.get(name, NO_FEATURE)
