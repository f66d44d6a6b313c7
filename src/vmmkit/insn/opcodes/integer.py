# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Rows of the integer instructions, hints and fences: what the engines execute."""

from __future__ import annotations

from typing import Final

__all__ = ["ROWS"]

ALU: Final = ("ADD", "OR", "ADC", "SBB", "AND", "SUB", "XOR", "CMP")

ALU_FORMS: Final = (
    (0, "Eb Gb"),
    (1, "Ev Gv"),
    (2, "Gb Eb"),
    (3, "Gv Ev"),
    (4, "Ab Ib"),
    (5, "Av Iz"),
)

GROUP1_FORMS: Final = (
    ("80", "Eb Ib", ""),
    ("81", "Ev Iz", ""),
    ("82", "Eb Ib", "i64"),
    ("83", "Ev Ib", ""),
)

# Group 2 by ModRM.reg; /6 is an alias of /4 that the opcode map leaves undocumented.
SHIFTS: Final = ("ROL", "ROR", "RCL", "RCR", "SHL", "SHR", "SHL", "SAR")

SHIFT_FORMS: Final = (
    ("C0", "Eb Ib"),
    ("C1", "Ev Ib"),
    ("D0", "Eb 1"),
    ("D1", "Ev 1"),
    ("D2", "Eb c"),
    ("D3", "Ev c"),
)


# BMI1 and BMI2: VEX-encoded, on general registers.
BMI: Final = (
    ("VEX.128.NP.0F38 F2", "ANDN", "Gy By Ey", ""),
    ("VEX.128.NP.0F38 F3 /1", "BLSR", "By Ey", ""),
    ("VEX.128.NP.0F38 F3 /2", "BLSMSK", "By Ey", ""),
    ("VEX.128.NP.0F38 F3 /3", "BLSI", "By Ey", ""),
    ("VEX.128.NP.0F38 F5", "BZHI", "Gy Ey By", ""),
    ("VEX.128.F3.0F38 F5", "PEXT", "Gy By Ey", ""),
    ("VEX.128.F2.0F38 F5", "PDEP", "Gy By Ey", ""),
    ("VEX.128.F2.0F38 F6", "MULX", "Gy By Ey", ""),
    ("VEX.128.NP.0F38 F7", "BEXTR", "Gy Ey By", ""),
    ("VEX.128.66.0F38 F7", "SHLX", "Gy Ey By", ""),
    ("VEX.128.F3.0F38 F7", "SARX", "Gy Ey By", ""),
    ("VEX.128.F2.0F38 F7", "SHRX", "Gy Ey By", ""),
    ("VEX.128.F2.0F3A F0", "RORX", "Gy Ey Ib", ""),
)


# Members of a group that are no instructions: address and immediate are fetched before the #UD, so
# that a missing page or the 15 bytes come first, as observed.
UNDEFINED: Final = (
    *(("8F", "Ev", digit) for digit in range(1, 8)),
    *(("C6", "Eb Ib", digit) for digit in range(1, 8)),
    *(("C7", "Ev Iz", digit) for digit in range(1, 8)),
    *(("FE", "Eb", digit) for digit in range(2, 8)),
    ("FF", "Ev", 7),
    *(("0F BA", "Ev Ib", digit) for digit in range(4)),
)


def _alu_rows() -> list[tuple[str, str, str, str]]:
    """00-3F and group 1: eight operations, six direct forms and four immediate forms each."""
    rows = []
    for number, mnemonic in enumerate(ALU):
        use = "r" if mnemonic == "CMP" else "rw lock"
        for low, operands in ALU_FORMS:
            rows.append((f"{number * 8 + low:02X}", mnemonic, operands, use if low < 2 else ""))
        for opcode, operands, limit in GROUP1_FORMS:
            rows.append((f"{opcode} /{number}", mnemonic, operands, f"{use} {limit}"))
    return rows


def _shift_rows() -> list[tuple[str, str, str, str]]:
    return [
        (f"{opcode} /{digit}", mnemonic, operands, "rw")
        for opcode, operands in SHIFT_FORMS
        for digit, mnemonic in enumerate(SHIFTS)
    ]


ROWS: Final = (
    *_alu_rows(),
    *_shift_rows(),
    # Segment registers on the stack; 17 and friends do not exist in 64-bit mode.
    ("06", "PUSH", "Fw", "i64"),
    ("07", "POP", "Fw", "i64"),
    ("0E", "PUSH", "Fw", "i64"),
    ("16", "PUSH", "Fw", "i64"),
    ("17", "POP", "Fw", "i64"),
    ("1E", "PUSH", "Fw", "i64"),
    ("1F", "POP", "Fw", "i64"),
    ("0F A0", "PUSH", "Fw", "d64"),
    ("0F A1", "POP", "Fw", "d64"),
    ("0F A8", "PUSH", "Fw", "d64"),
    ("0F A9", "POP", "Fw", "d64"),
    ("27", "DAA", "", "i64"),
    ("2F", "DAS", "", "i64"),
    ("37", "AAA", "", "i64"),
    ("3F", "AAS", "", "i64"),
    # 40-4F are REX prefixes in 64-bit mode and never reach the table there.
    ("40+r", "INC", "Zv", "i64"),
    ("48+r", "DEC", "Zv", "i64"),
    ("50+r", "PUSH", "Zv", "d64"),
    ("58+r", "POP", "Zv", "d64"),
    ("60", "PUSHA", "", "i64"),
    ("61", "POPA", "", "i64"),
    ("62", "BOUND", "Gv Ma", "i64"),
    ("63", "ARPL", "Ew Gw", "rw i64"),
    ("63", "MOVSXD", "Gv Ez", "o64"),
    ("68", "PUSH", "Iz", "d64"),
    ("69", "IMUL", "Gv Ev Iz", ""),
    ("6A", "PUSH", "Ib", "d64"),
    ("6B", "IMUL", "Gv Ev Ib", ""),
    ("6C", "INS", "Yb Dw", ""),
    ("6D", "INS", "Yz Dw", ""),
    ("6E", "OUTS", "Dw Xb", ""),
    ("6F", "OUTS", "Dw Xz", ""),
    ("70+cc", "JCC", "Jb", "f64"),
    ("84", "TEST", "Eb Gb", "r"),
    ("85", "TEST", "Ev Gv", "r"),
    ("86", "XCHG", "Eb Gb", "rw lock"),
    ("87", "XCHG", "Ev Gv", "rw lock"),
    ("88", "MOV", "Eb Gb", ""),
    ("89", "MOV", "Ev Gv", ""),
    ("8A", "MOV", "Gb Eb", ""),
    ("8B", "MOV", "Gv Ev", ""),
    ("8C", "MOVFROMSEG", "Ew Sw", ""),
    ("8D", "LEA", "Gv Mv", "n"),
    ("8E", "MOVTOSEG", "Sw Ew", ""),
    ("8F /0", "POP", "Ev", "d64"),
    # 90 without REX.B is NOP even with REX.W (SDM vol. 2B, NOP); F3 makes it PAUSE.
    ("NP 90", "NOP", "", "b0"),
    ("66 90", "NOP", "", "b0"),
    ("F2 90", "NOP", "", "b0"),
    ("F3 90", "PAUSE", "", "b0"),
    ("90+r", "XCHG", "Zv Av", ""),
    ("98", "CBW", "", ""),  # CBW, CWDE, CDQE by operand size
    ("99", "CWD", "", ""),  # CWD, CDQ, CQO
    ("9C", "PUSHF", "", "d64"),
    ("9D", "POPF", "", "d64"),
    ("9E", "SAHF", "", ""),
    ("9F", "LAHF", "", ""),
    ("A0", "MOV", "Ab Ob", ""),
    ("A1", "MOV", "Av Ov", ""),
    ("A2", "MOV", "Ob Ab", ""),
    ("A3", "MOV", "Ov Av", ""),
    ("A4", "MOVS", "Yb Xb", ""),
    ("A5", "MOVS", "Yv Xv", ""),
    ("A6", "CMPS", "Xb Yb", ""),
    ("A7", "CMPS", "Xv Yv", ""),
    ("A8", "TEST", "Ab Ib", ""),
    ("A9", "TEST", "Av Iz", ""),
    ("AA", "STOS", "Yb Ab", ""),
    ("AB", "STOS", "Yv Av", ""),
    ("AC", "LODS", "Ab Xb", ""),
    ("AD", "LODS", "Av Xv", ""),
    ("AE", "SCAS", "Ab Yb", ""),
    ("AF", "SCAS", "Av Yv", ""),
    ("B0+r", "MOV", "Zb Ib", ""),
    ("B8+r", "MOV", "Zv Iv", ""),
    ("C2", "RET", "Iw", "f64"),
    ("C3", "RET", "", "f64"),
    ("C4", "LES", "Gv Mp", "i64"),
    ("C5", "LDS", "Gv Mp", "i64"),
    ("C6 /0", "MOV", "Eb Ib", ""),
    ("C7 /0", "MOV", "Ev Iz", ""),
    ("C8", "ENTER", "Iw Ib", "d64"),
    ("C9", "LEAVE", "", "d64"),
    ("D4", "AAM", "Ib", "i64"),
    ("D5", "AAD", "Ib", "i64"),
    ("D6", "SALC", "", "i64"),  # undocumented: AL becomes FF or 0 by CF
    ("D7", "XLAT", "", "seg"),
    ("E0", "LOOPNE", "Jb", "f64"),
    ("E1", "LOOPE", "Jb", "f64"),
    ("E2", "LOOP", "Jb", "f64"),
    ("E3", "JCXZ", "Jb", "f64"),
    ("E4", "IN", "Ab Ib", ""),
    ("E5", "IN", "Az Ib", ""),
    ("E6", "OUT", "Ib Ab", ""),
    ("E7", "OUT", "Ib Az", ""),
    ("E8", "CALL", "Jz", "f64"),
    ("E9", "JMP", "Jz", "f64"),
    ("EB", "JMP", "Jb", "f64"),
    ("EC", "IN", "Ab Dw", ""),
    ("ED", "IN", "Az Dw", ""),
    ("EE", "OUT", "Dw Ab", ""),
    ("EF", "OUT", "Dw Az", ""),
    ("F4", "HLT", "", ""),
    ("F5", "CMC", "", ""),
    # /1 of the TEST immediate group is an alias the opcode map leaves undocumented.
    ("F6 /0", "TEST", "Eb Ib", "r"),
    ("F6 /1", "TEST", "Eb Ib", "r"),
    ("F6 /2", "NOT", "Eb", "rw lock"),
    ("F6 /3", "NEG", "Eb", "rw lock"),
    ("F6 /4", "MUL", "Eb", "r"),
    ("F6 /5", "IMUL", "Eb", "r"),
    ("F6 /6", "DIV", "Eb", "r"),
    ("F6 /7", "IDIV", "Eb", "r"),
    ("F7 /0", "TEST", "Ev Iz", "r"),
    ("F7 /1", "TEST", "Ev Iz", "r"),
    ("F7 /2", "NOT", "Ev", "rw lock"),
    ("F7 /3", "NEG", "Ev", "rw lock"),
    ("F7 /4", "MUL", "Ev", "r"),
    ("F7 /5", "IMUL", "Ev", "r"),
    ("F7 /6", "DIV", "Ev", "r"),
    ("F7 /7", "IDIV", "Ev", "r"),
    ("F8", "CLC", "", ""),
    ("F9", "STC", "", ""),
    ("FA", "CLI", "", ""),
    ("FB", "STI", "", ""),
    ("FC", "CLD", "", ""),
    ("FD", "STD", "", ""),
    ("FE /0", "INC", "Eb", "rw lock"),
    ("FE /1", "DEC", "Eb", "rw lock"),
    ("FF /0", "INC", "Ev", "rw lock"),
    ("FF /1", "DEC", "Ev", "rw lock"),
    ("FF /2", "CALL", "Ev", "r f64"),
    ("FF /4", "JMP", "Ev", "r f64"),
    ("FF /6", "PUSH", "Ev", "r d64"),
    ("0F 0B", "UD2", "", ""),
    ("0F B9", "UD1", "Gv Ev", "n"),
    ("0F FF", "UD0", "Gv Ev", "n"),
    ("0F 1F /0", "NOP", "Ev", "n"),
    ("0F 40+cc", "CMOVCC", "Gv Ev", ""),
    ("0F 80+cc", "JCC", "Jz", "f64"),
    ("0F 90+cc", "SETCC", "Eb", ""),
    ("0F A3", "BT", "Ev Gv", "r"),
    ("0F A4", "SHLD", "Ev Gv Ib", "rw"),
    ("0F A5", "SHLD", "Ev Gv c", "rw"),
    ("0F AB", "BTS", "Ev Gv", "rw lock"),
    ("0F AC", "SHRD", "Ev Gv Ib", "rw"),
    ("0F AD", "SHRD", "Ev Gv c", "rw"),
    ("0F AF", "IMUL", "Gv Ev", ""),
    ("0F B0", "CMPXCHG", "Eb Gb", "rw lock"),
    ("0F B1", "CMPXCHG", "Ev Gv", "rw lock"),
    ("0F B2", "LSS", "Gv Mp", ""),
    ("0F B3", "BTR", "Ev Gv", "rw lock"),
    ("0F B4", "LFS", "Gv Mp", ""),
    ("0F B5", "LGS", "Gv Mp", ""),
    ("0F B6", "MOVZX", "Gv Eb", ""),
    ("0F B7", "MOVZX", "Gv Ew", ""),
    ("F3 0F B8", "POPCNT", "Gv Ev", ""),
    ("0F BA /4", "BT", "Ev Ib", "r"),
    ("0F BA /5", "BTS", "Ev Ib", "rw lock"),
    ("0F BA /6", "BTR", "Ev Ib", "rw lock"),
    ("0F BA /7", "BTC", "Ev Ib", "rw lock"),
    ("0F BB", "BTC", "Ev Gv", "rw lock"),
    ("0F BC", "BSF", "Gv Ev", ""),
    ("F3 0F BC", "TZCNT", "Gv Ev", ""),
    ("0F BD", "BSR", "Gv Ev", ""),
    ("F3 0F BD", "LZCNT", "Gv Ev", ""),
    ("0F BE", "MOVSX", "Gv Eb", ""),
    ("0F BF", "MOVSX", "Gv Ew", ""),
    ("0F C0", "XADD", "Eb Gb", "rw lock"),
    ("0F C1", "XADD", "Ev Gv", "rw lock"),
    ("NP 0F C3", "MOVNTI", "My Gy", ""),
    ("0F C7 /1", "CMPXCHG8B", "MY", "rw lock"),  # CMPXCHG16B with REX.W
    ("0F C8+r", "BSWAP", "Zv", ""),
    ("NP 0F 38 F0", "MOVBE", "Gv Mv", ""),
    ("66 0F 38 F0", "MOVBE", "Gv Mv", ""),
    ("F2 0F 38 F0", "CRC32", "Gy Eb", ""),
    ("NP 0F 38 F1", "MOVBE", "Mv Gv", ""),
    ("66 0F 38 F1", "MOVBE", "Mv Gv", ""),
    ("F2 0F 38 F1", "CRC32", "Gy Ev", ""),
    ("66 0F 38 F6", "ADCX", "Gy Ey", ""),
    ("F3 0F 38 F6", "ADOX", "Gy Ey", ""),
    # VEX.L must be 0 (SDM vol. 2A, "VEX-Encoded GPR Instructions").
    *BMI,
    *((encoding.replace("128", "256"), "INVALID", "", "") for encoding, *_ in BMI),
    ("VEX.128.66.0F38 E0+cc", "CMPCCXADD", "My Gy By", "rw o64"),
    *((f"{opcode} /{digit}", "INVALID", operands, "n") for opcode, operands, digit in UNDEFINED),
    # Hints and fences; the processor accepts any rm in the register forms.
    *((f"0F 0D /{digit}", "PREFETCH", "Mb", "n") for digit in (0, 4, 5, 6, 7)),
    ("0F 0D /1", "PREFETCHW", "Mb", "n"),
    ("0F 0D /2", "PREFETCHWT1", "Mb", "n"),
    ("0F 0D /3", "PREFETCHW", "Mb", "n"),  # as AMD has it
    ("0F 18 /0", "PREFETCHNTA", "Mb", "n"),
    ("0F 18 /1", "PREFETCHT0", "Mb", "n"),
    ("0F 18 /2", "PREFETCHT1", "Mb", "n"),
    ("0F 18 /3", "PREFETCHT2", "Mb", "n"),
    ("NP 0F 1C /0", "CLDEMOTE", "Mb", "n"),
    ("66 0F AE /6", "CLWB", "Mb", "n"),
    ("NP 0F AE /7", "CLFLUSH", "Mb", "n"),
    ("66 0F AE /7", "CLFLUSHOPT", "Mb", "n"),
    ("NP 0F AE /5", "LFENCE", "", "reg"),
    ("NP 0F AE /6", "MFENCE", "", "reg"),
    ("NP 0F AE /7", "SFENCE", "", "reg"),
)
