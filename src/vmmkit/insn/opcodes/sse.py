# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Opcode rows of MMX, SSE to SSE4.2, SSE4a, AES, PCLMULQDQ, SHA and GFNI without VEX or EVEX.

Here too are the reserved-NOP ranges 0F 0D and 0F 18 to 0F 1F (SDM vol. 2D, "Opcode Map"), less
the hints and the CET instructions that have been given a place in them; those of MPX are no-ops,
as on every processor without it.

MOVD, PINSRD and PEXTRD move 8 bytes with REX.W, where the SDM calls them MOVQ, PINSRQ and PEXTRQ.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ROWS"]

# What the prefix makes of a floating-point operation: suffix and source operand.
PACKED: Final = (("NP", "PS", "Wo"), ("66", "PD", "Wo"))
SINGLE: Final = (("NP", "PS", "Wo"), ("F3", "SS", "Wd"))
DOUBLE: Final = (*PACKED, ("F3", "SS", "Wd"), ("F2", "SD", "Wq"))

# (opcode, stem, prefixes, further operand)
FLOAT: Final = (
    ("14", "UNPCKL", PACKED, ""),
    ("15", "UNPCKH", PACKED, ""),
    ("51", "SQRT", DOUBLE, ""),
    ("52", "RSQRT", SINGLE, ""),
    ("53", "RCP", SINGLE, ""),
    ("54", "AND", PACKED, ""),
    ("55", "ANDN", PACKED, ""),
    ("56", "OR", PACKED, ""),
    ("57", "XOR", PACKED, ""),
    ("58", "ADD", DOUBLE, ""),
    ("59", "MUL", DOUBLE, ""),
    ("5C", "SUB", DOUBLE, ""),
    ("5D", "MIN", DOUBLE, ""),
    ("5E", "DIV", DOUBLE, ""),
    ("5F", "MAX", DOUBLE, ""),
    ("C2", "CMP", DOUBLE, " Ib"),
    ("C6", "SHUF", PACKED, " Ib"),
)

# Operations on MMX registers without a prefix and on XMM registers with 66.
MMX: Final = (
    ("63", "PACKSSWB"),
    ("64", "PCMPGTB"),
    ("65", "PCMPGTW"),
    ("66", "PCMPGTD"),
    ("67", "PACKUSWB"),
    ("68", "PUNPCKHBW"),
    ("69", "PUNPCKHWD"),
    ("6A", "PUNPCKHDQ"),
    ("6B", "PACKSSDW"),
    ("74", "PCMPEQB"),
    ("75", "PCMPEQW"),
    ("76", "PCMPEQD"),
    ("D1", "PSRLW"),
    ("D2", "PSRLD"),
    ("D3", "PSRLQ"),
    ("D4", "PADDQ"),
    ("D5", "PMULLW"),
    ("D8", "PSUBUSB"),
    ("D9", "PSUBUSW"),
    ("DA", "PMINUB"),
    ("DB", "PAND"),
    ("DC", "PADDUSB"),
    ("DD", "PADDUSW"),
    ("DE", "PMAXUB"),
    ("DF", "PANDN"),
    ("E0", "PAVGB"),
    ("E1", "PSRAW"),
    ("E2", "PSRAD"),
    ("E3", "PAVGW"),
    ("E4", "PMULHUW"),
    ("E5", "PMULHW"),
    ("E8", "PSUBSB"),
    ("E9", "PSUBSW"),
    ("EA", "PMINSW"),
    ("EB", "POR"),
    ("EC", "PADDSB"),
    ("ED", "PADDSW"),
    ("EE", "PMAXSW"),
    ("EF", "PXOR"),
    ("F1", "PSLLW"),
    ("F2", "PSLLD"),
    ("F3", "PSLLQ"),
    ("F4", "PMULUDQ"),
    ("F5", "PMADDWD"),
    ("F6", "PSADBW"),
    ("F8", "PSUBB"),
    ("F9", "PSUBW"),
    ("FA", "PSUBD"),
    ("FB", "PSUBQ"),
    ("FC", "PADDB"),
    ("FD", "PADDW"),
    ("FE", "PADDD"),
    ("38 00", "PSHUFB"),
    ("38 01", "PHADDW"),
    ("38 02", "PHADDD"),
    ("38 03", "PHADDSW"),
    ("38 04", "PMADDUBSW"),
    ("38 05", "PHSUBW"),
    ("38 06", "PHSUBD"),
    ("38 07", "PHSUBSW"),
    ("38 08", "PSIGNB"),
    ("38 09", "PSIGNW"),
    ("38 0A", "PSIGND"),
    ("38 0B", "PMULHRSW"),
    ("38 1C", "PABSB"),
    ("38 1D", "PABSW"),
    ("38 1E", "PABSD"),
)

# Shifts by an immediate, on both register files.
SHIFTS: Final = (
    ("71 /2", "PSRLW"),
    ("71 /4", "PSRAW"),
    ("71 /6", "PSLLW"),
    ("72 /2", "PSRLD"),
    ("72 /4", "PSRAD"),
    ("72 /6", "PSLLD"),
    ("73 /2", "PSRLQ"),
    ("73 /6", "PSLLQ"),
)

# Operations with 66 and operands "Vo Wo". An unpacking reads all 16 bytes though it uses half.
XMM: Final = (
    ("6C", "PUNPCKLQDQ"),
    ("6D", "PUNPCKHQDQ"),
    ("7C", "HADDPD"),
    ("7D", "HSUBPD"),
    ("D0", "ADDSUBPD"),
    ("38 10", "PBLENDVB"),
    ("38 14", "BLENDVPS"),
    ("38 15", "BLENDVPD"),
    ("38 17", "PTEST"),
    ("38 28", "PMULDQ"),
    ("38 29", "PCMPEQQ"),
    ("38 2B", "PACKUSDW"),
    ("38 37", "PCMPGTQ"),
    ("38 38", "PMINSB"),
    ("38 39", "PMINSD"),
    ("38 3A", "PMINUW"),
    ("38 3B", "PMINUD"),
    ("38 3C", "PMAXSB"),
    ("38 3D", "PMAXSD"),
    ("38 3E", "PMAXUW"),
    ("38 3F", "PMAXUD"),
    ("38 40", "PMULLD"),
    ("38 41", "PHMINPOSUW"),
    ("38 CF", "GF2P8MULB"),
    ("38 DB", "AESIMC"),
    ("38 DC", "AESENC"),
    ("38 DD", "AESENCLAST"),
    ("38 DE", "AESDEC"),
    ("38 DF", "AESDECLAST"),
)

# Operations with 66 and operands "Vo Wo Ib".
XMM_IMMEDIATE: Final = (
    ("70", "PSHUFD"),
    ("3A 08", "ROUNDPS"),
    ("3A 09", "ROUNDPD"),
    ("3A 0C", "BLENDPS"),
    ("3A 0D", "BLENDPD"),
    ("3A 0E", "PBLENDW"),
    ("3A 0F", "PALIGNR"),
    ("3A 40", "DPPS"),
    ("3A 41", "DPPD"),
    ("3A 42", "MPSADBW"),
    ("3A 44", "PCLMULQDQ"),
    ("3A 60", "PCMPESTRM"),
    ("3A 61", "PCMPESTRI"),
    ("3A 62", "PCMPISTRM"),
    ("3A 63", "PCMPISTRI"),
    ("3A CE", "GF2P8AFFINEQB"),
    ("3A CF", "GF2P8AFFINEINVQB"),
    ("3A DF", "AESKEYGENASSIST"),
)

# PMOVSX (0F 38 20-25) and PMOVZX (0F 38 30-35): elements and size of the source.
EXTENSIONS: Final = (("BW", "q"), ("BD", "d"), ("BQ", "w"), ("WD", "q"), ("WQ", "d"), ("DQ", "q"))

SHA: Final = (
    ("C8", "SHA1NEXTE"),
    ("C9", "SHA1MSG1"),
    ("CA", "SHA1MSG2"),
    ("CB", "SHA256RNDS2"),
    ("CC", "SHA256MSG1"),
    ("CD", "SHA256MSG2"),
)


def _float_rows() -> list[tuple[str, str, str, str]]:
    return [
        (f"{prefix} 0F {opcode}", stem + suffix, f"Vo {source}{more}", "")
        for opcode, stem, prefixes, more in FLOAT
        for prefix, suffix, source in prefixes
    ]


def _integer_rows() -> list[tuple[str, str, str, str]]:
    rows = []
    for opcode, mnemonic in MMX:
        rows.append((f"NP 0F {opcode}", mnemonic, "Pq Qq", ""))
        rows.append((f"66 0F {opcode}", mnemonic, "Vo Wo", ""))
    for opcode, mnemonic in SHIFTS:
        rows.append((f"NP 0F {opcode}", mnemonic, "Nq Ib", ""))
        rows.append((f"66 0F {opcode}", mnemonic, "Uo Ib", ""))
    for low, (elements, size) in enumerate(EXTENSIONS):
        rows.append((f"66 0F 38 2{low}", f"PMOVSX{elements}", f"Vo W{size}", ""))
        rows.append((f"66 0F 38 3{low}", f"PMOVZX{elements}", f"Vo W{size}", ""))
    return rows


ROWS: Final = (
    *_float_rows(),
    *_integer_rows(),
    *((f"66 0F {opcode}", mnemonic, "Vo Wo", "") for opcode, mnemonic in XMM),
    *((f"66 0F {opcode}", mnemonic, "Vo Wo Ib", "") for opcode, mnemonic in XMM_IMMEDIATE),
    *((f"NP 0F 38 {opcode}", mnemonic, "Vo Wo", "") for opcode, mnemonic in SHA),
    ("NP 0F 3A CC", "SHA1RNDS4", "Vo Wo Ib", ""),
    # Moves of floating-point values.
    ("NP 0F 10", "MOVUPS", "Vo Wo", ""),
    ("66 0F 10", "MOVUPD", "Vo Wo", ""),
    ("F3 0F 10", "MOVSS", "Vo Wd", ""),
    ("F2 0F 10", "MOVSD", "Vo Wq", ""),
    ("NP 0F 11", "MOVUPS", "Wo Vo", ""),
    ("66 0F 11", "MOVUPD", "Wo Vo", ""),
    ("F3 0F 11", "MOVSS", "Wd Vo", ""),
    ("F2 0F 11", "MOVSD", "Wq Vo", ""),
    ("NP 0F 12", "MOVLPS", "Vo Mq", ""),
    ("NP 0F 12", "MOVHLPS", "Vo Uo", ""),
    ("66 0F 12", "MOVLPD", "Vo Mq", ""),
    ("F3 0F 12", "MOVSLDUP", "Vo Wo", ""),
    ("F2 0F 12", "MOVDDUP", "Vo Wq", ""),
    ("NP 0F 13", "MOVLPS", "Mq Vo", ""),
    ("66 0F 13", "MOVLPD", "Mq Vo", ""),
    ("NP 0F 16", "MOVHPS", "Vo Mq", ""),
    ("NP 0F 16", "MOVLHPS", "Vo Uo", ""),
    ("66 0F 16", "MOVHPD", "Vo Mq", ""),
    ("F3 0F 16", "MOVSHDUP", "Vo Wo", ""),
    ("NP 0F 17", "MOVHPS", "Mq Vo", ""),
    ("66 0F 17", "MOVHPD", "Mq Vo", ""),
    ("NP 0F 28", "MOVAPS", "Vo Wo", ""),
    ("66 0F 28", "MOVAPD", "Vo Wo", ""),
    ("NP 0F 29", "MOVAPS", "Wo Vo", ""),
    ("66 0F 29", "MOVAPD", "Wo Vo", ""),
    ("NP 0F 2B", "MOVNTPS", "Mo Vo", ""),
    ("66 0F 2B", "MOVNTPD", "Mo Vo", ""),
    ("F3 0F 2B", "MOVNTSS", "Md Vo", ""),  # SSE4a
    ("F2 0F 2B", "MOVNTSD", "Mq Vo", ""),  # SSE4a
    ("NP 0F 50", "MOVMSKPS", "Gy Uo", ""),
    ("66 0F 50", "MOVMSKPD", "Gy Uo", ""),
    # Conversions and scalar comparisons.
    ("NP 0F 2A", "CVTPI2PS", "Vo Qq", ""),
    ("66 0F 2A", "CVTPI2PD", "Vo Qq", ""),
    ("F3 0F 2A", "CVTSI2SS", "Vo Ey", ""),
    ("F2 0F 2A", "CVTSI2SD", "Vo Ey", ""),
    ("NP 0F 2C", "CVTTPS2PI", "Pq Wq", ""),
    ("66 0F 2C", "CVTTPD2PI", "Pq Wo", ""),
    ("F3 0F 2C", "CVTTSS2SI", "Gy Wd", ""),
    ("F2 0F 2C", "CVTTSD2SI", "Gy Wq", ""),
    ("NP 0F 2D", "CVTPS2PI", "Pq Wq", ""),
    ("66 0F 2D", "CVTPD2PI", "Pq Wo", ""),
    ("F3 0F 2D", "CVTSS2SI", "Gy Wd", ""),
    ("F2 0F 2D", "CVTSD2SI", "Gy Wq", ""),
    ("NP 0F 2E", "UCOMISS", "Vo Wd", ""),
    ("66 0F 2E", "UCOMISD", "Vo Wq", ""),
    ("NP 0F 2F", "COMISS", "Vo Wd", ""),
    ("66 0F 2F", "COMISD", "Vo Wq", ""),
    ("NP 0F 5A", "CVTPS2PD", "Vo Wq", ""),
    ("66 0F 5A", "CVTPD2PS", "Vo Wo", ""),
    ("F3 0F 5A", "CVTSS2SD", "Vo Wd", ""),
    ("F2 0F 5A", "CVTSD2SS", "Vo Wq", ""),
    ("NP 0F 5B", "CVTDQ2PS", "Vo Wo", ""),
    ("66 0F 5B", "CVTPS2DQ", "Vo Wo", ""),
    ("F3 0F 5B", "CVTTPS2DQ", "Vo Wo", ""),
    ("66 0F E6", "CVTTPD2DQ", "Vo Wo", ""),
    ("F3 0F E6", "CVTDQ2PD", "Vo Wq", ""),
    ("F2 0F E6", "CVTPD2DQ", "Vo Wo", ""),
    # Moves and shuffles of integers.
    ("NP 0F 60", "PUNPCKLBW", "Pq Qd", ""),
    ("66 0F 60", "PUNPCKLBW", "Vo Wo", ""),
    ("NP 0F 61", "PUNPCKLWD", "Pq Qd", ""),
    ("66 0F 61", "PUNPCKLWD", "Vo Wo", ""),
    ("NP 0F 62", "PUNPCKLDQ", "Pq Qd", ""),
    ("66 0F 62", "PUNPCKLDQ", "Vo Wo", ""),
    ("NP 0F 6E", "MOVD", "Pq Ey", ""),
    ("66 0F 6E", "MOVD", "Vo Ey", ""),
    ("NP 0F 6F", "MOVQ", "Pq Qq", ""),
    ("66 0F 6F", "MOVDQA", "Vo Wo", ""),
    ("F3 0F 6F", "MOVDQU", "Vo Wo", ""),
    ("NP 0F 70", "PSHUFW", "Pq Qq Ib", ""),
    ("F3 0F 70", "PSHUFHW", "Vo Wo Ib", ""),
    ("F2 0F 70", "PSHUFLW", "Vo Wo Ib", ""),
    ("66 0F 73 /3", "PSRLDQ", "Uo Ib", ""),
    ("66 0F 73 /7", "PSLLDQ", "Uo Ib", ""),
    ("NP 0F 77", "EMMS", "", ""),
    ("66 0F 78 /0", "EXTRQ", "Uo Ib Ib", ""),  # SSE4a
    ("F2 0F 78", "INSERTQ", "Vo Uo Ib Ib", ""),  # SSE4a
    ("66 0F 79", "EXTRQ", "Vo Uo", ""),  # SSE4a
    ("F2 0F 79", "INSERTQ", "Vo Uo", ""),  # SSE4a
    ("F2 0F 7C", "HADDPS", "Vo Wo", ""),
    ("F2 0F 7D", "HSUBPS", "Vo Wo", ""),
    ("NP 0F 7E", "MOVD", "Ey Pq", ""),
    ("66 0F 7E", "MOVD", "Ey Vo", ""),
    ("F3 0F 7E", "MOVQ", "Vo Wq", ""),
    ("NP 0F 7F", "MOVQ", "Qq Pq", ""),
    ("66 0F 7F", "MOVDQA", "Wo Vo", ""),
    ("F3 0F 7F", "MOVDQU", "Wo Vo", ""),
    ("NP 0F AE /2", "LDMXCSR", "Md", "r"),
    ("NP 0F AE /3", "STMXCSR", "Md", ""),
    ("NP 0F C4", "PINSRW", "Pq Ew Ib", ""),
    ("66 0F C4", "PINSRW", "Vo Ew Ib", ""),
    ("NP 0F C5", "PEXTRW", "Gy Nq Ib", ""),
    ("66 0F C5", "PEXTRW", "Gy Uo Ib", ""),
    ("F2 0F D0", "ADDSUBPS", "Vo Wo", ""),
    ("66 0F D6", "MOVQ", "Wq Vo", ""),
    ("F3 0F D6", "MOVQ2DQ", "Vo Nq", ""),
    ("F2 0F D6", "MOVDQ2Q", "Pq Uo", ""),
    ("NP 0F D7", "PMOVMSKB", "Gy Nq", ""),
    ("66 0F D7", "PMOVMSKB", "Gy Uo", ""),
    ("NP 0F E7", "MOVNTQ", "Mq Pq", ""),
    ("66 0F E7", "MOVNTDQ", "Mo Vo", ""),
    ("F2 0F F0", "LDDQU", "Vo Mo", ""),
    # The store goes to DS:rDI, which no operand names.
    ("NP 0F F7", "MASKMOVQ", "Pq Nq", "seg"),
    ("66 0F F7", "MASKMOVDQU", "Vo Uo", "seg"),
    ("66 0F 38 2A", "MOVNTDQA", "Vo Mo", ""),
    ("66 0F 3A 0A", "ROUNDSS", "Vo Wd Ib", ""),
    ("66 0F 3A 0B", "ROUNDSD", "Vo Wq Ib", ""),
    ("NP 0F 3A 0F", "PALIGNR", "Pq Qq Ib", ""),
    ("66 0F 3A 14", "PEXTRB", "Eb Vo Ib", ""),
    ("66 0F 3A 15", "PEXTRW", "Ew Vo Ib", ""),
    ("66 0F 3A 16", "PEXTRD", "Ey Vo Ib", ""),
    ("66 0F 3A 17", "EXTRACTPS", "Ed Vo Ib", ""),
    ("66 0F 3A 20", "PINSRB", "Vo Eb Ib", ""),
    ("66 0F 3A 21", "INSERTPS", "Vo Wd Ib", ""),
    ("66 0F 3A 22", "PINSRD", "Vo Ey Ib", ""),
    # Reserved NOPs. Hints take the memory forms of 0F 0D, of 0F 18 /0 to /3 and of NP 0F 1C /0.
    ("0F 0D", "NOP", "Rv Gv", ""),
    *((f"0F 18 /{digit}", "NOP", "Rv Gv", "") for digit in (0, 1, 2, 3, 6, 7)),
    *((f"0F 18 /{digit}", "NOP", "Ev Gv", "n") for digit in (4, 5)),
    ("0F 18 /6", "PREFETCHIT1", "Mb", "n"),
    ("0F 18 /7", "PREFETCHIT0", "Mb", "n"),
    ("0F 19", "NOP", "Ev Gv", "n"),
    ("0F 1A", "NOP", "Ev Gv", "n"),
    ("0F 1B", "NOP", "Ev Gv", "n"),
    *((f"0F 1C /{digit}", "NOP", "Ev Gv", "n") for digit in range(8)),
    ("0F 1D", "NOP", "Ev Gv", "n"),
    *((f"0F 1E /{digit}", "NOP", "Ev Gv", "n") for digit in range(8)),
    *((f"0F 1F /{digit}", "NOP", "Ev Gv", "n") for digit in range(1, 8)),
)
