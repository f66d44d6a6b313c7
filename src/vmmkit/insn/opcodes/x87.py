# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Opcode rows of the x87 unit: D8-DF and FWAIT (SDM vol. 2D, "Escape Opcode Instructions").

The legacy prefixes never select a form here. Register forms that the opcode map leaves blank but
that processors run as an alias of a documented form carry the mnemonic of that form; FFREEP and
FSTPNCE (FSTP without the underflow check) are the two aliases with an effect of their own.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ROWS"]

ARITHMETIC: Final = ("ADD", "MUL", "COM", "COMP", "SUB", "SUBR", "DIV", "DIVR")

# With ST(i) as destination the two directions of SUB and DIV trade places.
REVERSED: Final = ("ADD", "MUL", "COM", "COMP", "SUBR", "SUB", "DIVR", "DIV")

CONDITIONS: Final = ("B", "E", "BE", "U")

# D9 with ModRM.mod 3 and ModRM.reg 4 to 7: no operand, one operation for each ModRM.rm.
D9_IMPLICIT: Final = (
    (4, ("FCHS", "FABS", "", "", "FTST", "FXAM", "", "")),
    (5, ("FLD1", "FLDL2T", "FLDL2E", "FLDPI", "FLDLG2", "FLDLN2", "FLDZ", "")),
    (6, ("F2XM1", "FYL2X", "FPTAN", "FPATAN", "FXTRACT", "FPREM1", "FDECSTP", "FINCSTP")),
    (7, ("FPREM", "FYL2XP1", "FSQRT", "FSINCOS", "FRNDINT", "FSCALE", "FSIN", "FCOS")),
)


def _arithmetic_rows() -> list[tuple[str, str, str, str]]:
    """The eight operations on memory (D8, DA, DC, DE) and on registers (D8, DC)."""
    rows = []
    for digit, name in enumerate(ARITHMETIC):
        rows += [
            (f"D8 /{digit}", f"F{name}", "Md", "r"),
            (f"DA /{digit}", f"FI{name}", "Md", "r"),
            (f"DC /{digit}", f"F{name}", "Mq", "r"),
            (f"DE /{digit}", f"FI{name}", "Mw", "r"),
            (f"D8 /{digit}", f"F{name}", "f g", "reg"),
        ]
    for digit, name in enumerate(REVERSED):
        comparison = name.startswith("COM")
        rows.append((f"DC /{digit}", f"F{name}", "f g" if comparison else "g f", "reg"))
        if not comparison:
            rows.append((f"DE /{digit}", f"F{name}P", "g f", "reg"))
    return rows


def _conditional_rows() -> list[tuple[str, str, str, str]]:
    """FCMOVcc: DA moves on the condition, DB on its opposite."""
    return [
        (f"{opcode} /{digit}", f"FCMOV{negation}{condition}", "f g", "reg")
        for opcode, negation in (("DA", ""), ("DB", "N"))
        for digit, condition in enumerate(CONDITIONS)
    ]


ROWS: Final = (
    ("9B", "FWAIT", "", ""),
    *_arithmetic_rows(),
    *_conditional_rows(),
    *(
        (f"D9 /{digit}:{rm}", mnemonic, "", "")
        for digit, names in D9_IMPLICIT
        for rm, mnemonic in enumerate(names)
        if mnemonic
    ),
    ("D9 /0", "FLD", "Md", "r"),
    ("D9 /2", "FST", "Md", ""),
    ("D9 /3", "FSTP", "Md", ""),
    ("D9 /4", "FLDENV", "Mn", "r"),
    ("D9 /5", "FLDCW", "Mw", "r"),
    ("D9 /6", "FNSTENV", "Mn", ""),
    ("D9 /7", "FNSTCW", "Mw", ""),
    ("D9 /0", "FLD", "g", "reg"),
    ("D9 /1", "FXCH", "f g", "reg"),
    ("D9 /2:0", "FNOP", "", ""),
    ("D9 /3", "FSTPNCE", "g", "reg"),
    ("DA /5:1", "FUCOMPP", "", ""),
    ("DB /0", "FILD", "Md", "r"),
    ("DB /1", "FISTTP", "Md", ""),
    ("DB /2", "FIST", "Md", ""),
    ("DB /3", "FISTP", "Md", ""),
    ("DB /5", "FLD", "Mt", "r"),
    ("DB /7", "FSTP", "Mt", ""),
    # Interrupt masks of the 8087 and protected mode of the 80287: later units do nothing on these.
    ("DB /4:0", "FNENI", "", ""),
    ("DB /4:1", "FNDISI", "", ""),
    ("DB /4:2", "FNCLEX", "", ""),
    ("DB /4:3", "FNINIT", "", ""),
    ("DB /4:4", "FNSETPM", "", ""),
    ("DB /5", "FUCOMI", "f g", "reg"),
    ("DB /6", "FCOMI", "f g", "reg"),
    ("DD /0", "FLD", "Mq", "r"),
    ("DD /1", "FISTTP", "Mq", ""),
    ("DD /2", "FST", "Mq", ""),
    ("DD /3", "FSTP", "Mq", ""),
    ("DD /4", "FRSTOR", "MN", "r"),
    ("DD /6", "FNSAVE", "MN", ""),
    ("DD /7", "FNSTSW", "Mw", ""),
    ("DD /0", "FFREE", "g", "reg"),
    ("DD /1", "FXCH", "f g", "reg"),
    ("DD /2", "FST", "g", "reg"),
    ("DD /3", "FSTP", "g", "reg"),
    ("DD /4", "FUCOM", "f g", "reg"),
    ("DD /5", "FUCOMP", "f g", "reg"),
    ("DE /2", "FCOMP", "f g", "reg"),
    ("DE /3:1", "FCOMPP", "", ""),
    ("DF /0", "FILD", "Mw", "r"),
    ("DF /1", "FISTTP", "Mw", ""),
    ("DF /2", "FIST", "Mw", ""),
    ("DF /3", "FISTP", "Mw", ""),
    ("DF /4", "FBLD", "Mt", "r"),
    ("DF /5", "FILD", "Mq", "r"),
    ("DF /6", "FBSTP", "Mt", ""),
    ("DF /7", "FISTP", "Mq", ""),
    ("DF /0", "FFREEP", "g", "reg"),
    ("DF /1", "FXCH", "f g", "reg"),
    ("DF /2", "FSTP", "g", "reg"),
    ("DF /3", "FSTP", "g", "reg"),
    ("DF /4:0", "FNSTSW", "Aw", ""),
    ("DF /5", "FUCOMIP", "f g", "reg"),
    ("DF /6", "FCOMIP", "f g", "reg"),
)
