# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The AML opcodes: one row each, for whoever writes, reads or prints them.

ACPI Specification, ACPI Machine Language (AML) Specification: "AML Grammar Definition" and "AML
Byte Stream Byte Values". The names are those of the ASL operators.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["BY_CODE", "BY_NAME", "EXTENDED", "OPCODES", "Opcode"]

#: The first byte of opcodes of two bytes (ExtOpPrefix).
EXTENDED: Final = 0x5B


class Opcode(NamedTuple):
    """One opcode.

    Attributes:
        name: of the ASL operator.
        code: 1 or 2 bytes.
        args: a letter for each argument, in the order they follow:

            - `N` a name (NameString), kept as a `Path`
            - `T` a term that yields a value (TermArg)
            - `S` a place: a name, an ArgX, a LocalX, Debug, or a reference (SuperName)
            - `t` a target: the same, or nothing, which is `None`
            - `B`, `W`, `D`, `Q` a number of 1, 2, 4 or 8 bytes, kept as an `int`
            - `Z` characters up to a zero, kept as a `str`
            - `X` all bytes that are left
            - `L` all terms that are left (TermList), kept as a tuple of nodes
            - `E` all package elements that are left, kept as a tuple of nodes
            - `F` all field units that are left (FieldList), kept as a tuple of units
        package: a package length (PkgLength) follows the code and covers all arguments.
    """

    name: str
    code: bytes
    args: str = ""
    package: bool = False


def _row(name: str, code: int, args: str = "", *, package: bool = False) -> Opcode:
    length = 1 if code <= 0xFF else 2
    return Opcode(name, code.to_bytes(length, "big"), args, package)


OPCODES: Final = (
    # -- data ----
    _row("Zero", 0x00),
    _row("One", 0x01),
    _row("Ones", 0xFF),
    _row("ByteConst", 0x0A, "B"),
    _row("WordConst", 0x0B, "W"),
    _row("DWordConst", 0x0C, "D"),
    _row("QWordConst", 0x0E, "Q"),
    _row("String", 0x0D, "Z"),
    _row("Buffer", 0x11, "TX", package=True),
    _row("Package", 0x12, "BE", package=True),
    _row("VarPackage", 0x13, "TE", package=True),
    _row("Revision", 0x5B30),
    # -- places ----
    _row("Local0", 0x60),
    _row("Local1", 0x61),
    _row("Local2", 0x62),
    _row("Local3", 0x63),
    _row("Local4", 0x64),
    _row("Local5", 0x65),
    _row("Local6", 0x66),
    _row("Local7", 0x67),
    _row("Arg0", 0x68),
    _row("Arg1", 0x69),
    _row("Arg2", 0x6A),
    _row("Arg3", 0x6B),
    _row("Arg4", 0x6C),
    _row("Arg5", 0x6D),
    _row("Arg6", 0x6E),
    _row("Debug", 0x5B31),
    # -- named objects ----
    _row("Alias", 0x06, "NN"),
    _row("Name", 0x08, "NT"),
    _row("Scope", 0x10, "NL", package=True),
    _row("Method", 0x14, "NBL", package=True),
    _row("External", 0x15, "NBB"),
    _row("Mutex", 0x5B01, "NB"),
    _row("Event", 0x5B02, "N"),
    _row("OperationRegion", 0x5B80, "NBTT"),
    _row("Field", 0x5B81, "NBF", package=True),
    _row("Device", 0x5B82, "NL", package=True),
    _row("Processor", 0x5B83, "NBDBL", package=True),
    _row("PowerResource", 0x5B84, "NBWL", package=True),
    _row("ThermalZone", 0x5B85, "NL", package=True),
    _row("IndexField", 0x5B86, "NNBF", package=True),
    _row("BankField", 0x5B87, "NNTBF", package=True),
    _row("DataTableRegion", 0x5B88, "NTTT"),
    _row("CreateField", 0x5B13, "TTTN"),
    _row("CreateDWordField", 0x8A, "TTN"),
    _row("CreateWordField", 0x8B, "TTN"),
    _row("CreateByteField", 0x8C, "TTN"),
    _row("CreateBitField", 0x8D, "TTN"),
    _row("CreateQWordField", 0x8F, "TTN"),
    # -- statements ----
    _row("Continue", 0x9F),
    _row("If", 0xA0, "TL", package=True),
    _row("Else", 0xA1, "L", package=True),
    _row("While", 0xA2, "TL", package=True),
    _row("Noop", 0xA3),
    _row("Return", 0xA4, "T"),
    _row("Break", 0xA5),
    _row("BreakPoint", 0xCC),
    _row("Notify", 0x86, "ST"),
    _row("Stall", 0x5B21, "T"),
    _row("Sleep", 0x5B22, "T"),
    _row("Signal", 0x5B24, "S"),
    _row("Reset", 0x5B26, "S"),
    _row("Release", 0x5B27, "S"),
    _row("Unload", 0x5B2A, "S"),
    _row("Fatal", 0x5B32, "BDT"),
    # -- expressions ----
    _row("Store", 0x70, "TS"),
    _row("RefOf", 0x71, "S"),
    _row("Add", 0x72, "TTt"),
    _row("Concatenate", 0x73, "TTt"),
    _row("Subtract", 0x74, "TTt"),
    _row("Increment", 0x75, "S"),
    _row("Decrement", 0x76, "S"),
    _row("Multiply", 0x77, "TTt"),
    _row("Divide", 0x78, "TTtt"),
    _row("ShiftLeft", 0x79, "TTt"),
    _row("ShiftRight", 0x7A, "TTt"),
    _row("And", 0x7B, "TTt"),
    _row("NAnd", 0x7C, "TTt"),
    _row("Or", 0x7D, "TTt"),
    _row("NOr", 0x7E, "TTt"),
    _row("XOr", 0x7F, "TTt"),
    _row("Not", 0x80, "Tt"),
    _row("FindSetLeftBit", 0x81, "Tt"),
    _row("FindSetRightBit", 0x82, "Tt"),
    _row("DerefOf", 0x83, "T"),
    _row("ConcatenateResTemplate", 0x84, "TTt"),
    _row("Mod", 0x85, "TTt"),
    _row("SizeOf", 0x87, "S"),
    _row("Index", 0x88, "TTt"),
    _row("Match", 0x89, "TBTBTT"),
    _row("ObjectType", 0x8E, "S"),
    _row("LAnd", 0x90, "TT"),
    _row("LOr", 0x91, "TT"),
    _row("LNot", 0x92, "T"),
    _row("LNotEqual", 0x9293, "TT"),
    _row("LLessEqual", 0x9294, "TT"),
    _row("LGreaterEqual", 0x9295, "TT"),
    _row("LEqual", 0x93, "TT"),
    _row("LGreater", 0x94, "TT"),
    _row("LLess", 0x95, "TT"),
    _row("ToBuffer", 0x96, "Tt"),
    _row("ToDecimalString", 0x97, "Tt"),
    _row("ToHexString", 0x98, "Tt"),
    _row("ToInteger", 0x99, "Tt"),
    _row("ToString", 0x9C, "TTt"),
    _row("CopyObject", 0x9D, "TS"),
    _row("Mid", 0x9E, "TTTt"),
    _row("CondRefOf", 0x5B12, "St"),
    _row("LoadTable", 0x5B1F, "TTTTTT"),
    _row("Load", 0x5B20, "Nt"),
    _row("Acquire", 0x5B23, "SW"),
    _row("Wait", 0x5B25, "ST"),
    _row("FromBCD", 0x5B28, "Tt"),
    _row("ToBCD", 0x5B29, "Tt"),
    _row("Timer", 0x5B33),
)

#: By name of the ASL operator.
BY_NAME: Final = {row.name: row for row in OPCODES}

#: By the bytes of the code. A reader tries two bytes before one: 92H begins LNotEqual and LNot.
BY_CODE: Final = {row.code: row for row in OPCODES}
