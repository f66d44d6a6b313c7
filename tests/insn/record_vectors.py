# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Write the vector files anew, from the pure engine: `python tests/insn/record_vectors.py`.

The inputs are made from the opcode table: for every executable row one register form and one memory
form in every mode, with addressing form, prefix and state chosen by a checksum of the row, so that
all of them turn up; for every other row one line that decodes it. Run it after adding a row, and
read the difference that makes: only the new rows' lines change.
"""

import sys
from pathlib import Path
from zlib import crc32

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent / "src")]

from insn.row_encodings import FLAG, forms, head  # noqa: E402
from insn.vectors import DECODE, EXECUTE, FOLDER, decode_line, execute_line  # noqa: E402
from vmmkit.errors import DecodeError, DecodeReason  # noqa: E402
from vmmkit.insn import decode  # noqa: E402
from vmmkit.insn._pure import EXECUTE as HANDLERS  # noqa: E402
from vmmkit.insn.optable import PREFIXES, ROWS  # noqa: E402

MODES = {16: "real", 32: "pm32", 64: "long"}
PREFIX_CHOICES = {
    16: ("", "66", "67", "26"),
    32: ("", "66", "67", "64"),
    64: ("", "48", "66", "67", "4d", "65", "42"),
}
# ModRM.mod and rm, and the SIB byte where one follows.
MEMORY_FORMS = {
    16: ((0, 7, ""), (1, 2, ""), (2, 3, ""), (0, 6, ""), (0, 4, ""), (1, 6, "")),
    32: ((0, 3, ""), (1, 5, ""), (0, 4, "b3"), (2, 6, ""), (0, 5, ""), (1, 4, "24")),
    64: ((0, 3, ""), (1, 5, ""), (0, 4, "b3"), (2, 6, ""), (0, 5, ""), (1, 4, "24")),
}
TAIL = "1020000000000000"
BEFORE_VECTORS = {"", "67", "64", "65", "26"}
SETTINGS = {
    "A": "rax=8000000180000081 rcx=2 rdx=60 rbx=2010 rbp=2020 rsi=20 rdi=2040 r9=55 rflags=8d7",
    "B": "rax=7f rcx=1 rdx=3f8 rbx=2011 rbp=2fff rsi=ffe0 rdi=2044 r8=77 rflags=2",
    "C": "rax=ff00ff rcx=3 rdx=ffff rbx=9000 rbp=8ffe rsi=9020 rdi=9100 rflags=402",
}
# Vector registers, different in every lane, and an opmask.
FILES = "".join(
    f" zmm{number}="
    + bytes((5 + 37 * number + (11 + 2 * number) * place) & 0xFF for place in range(64)).hex()
    + f" st{number}="
    + bytes((0xC3 + 29 * number + 7 * place) & 0xFF for place in range(8)).hex()
    for number in range(6)
)
SETTINGS = {name: f"{text}{FILES} k1=a5c3" for name, text in SETTINGS.items()}
HEADER = """\
# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
# {what}
# Written by tests/insn/record_vectors.py; the format is in tests/insn/vectors.py.
"""

STEPS = {"": 0, "r": 3, "cc": 4}


def choose(choices, *seed):
    """One of `choices`, by a checksum: what other rows there are does not matter."""
    return choices[crc32(repr(seed).encode()) % len(choices)]


def opcode_parts(row):
    """Mandatory prefix, VEX prefix and opcode, ModRM.reg and ModRM.rm of a row."""
    word = next(word for word in reversed(row.encoding.split()) if not word.startswith("/"))
    raw, digit, rm = head(row, STEPS[word.partition("+")[2]])
    mandatory = len(raw) > 1 and row.encoding.split()[0] in PREFIXES[1:]
    fixed = "/" in row.encoding
    return raw[:mandatory].hex(), raw[mandatory:].hex(), digit if fixed else None, rm


def modrm_forms(row, mode, digit, rm):
    """A memory form and a register form."""
    if not row.flags & FLAG["modrm"]:
        return [""]
    number = digit if digit is not None else choose((2, 0, 3, 5), row.text, mode)
    if rm is not None:
        return [f"{0xC0 | number << 3 | rm:02x}"]
    if row.flags & FLAG["vsib"]:  # [rbx+4*zmm6], which there is not with 16-bit addresses
        number = choose((0, 3, 5), row.text, mode)
        return [] if mode == 16 else [f"{4 | number << 3:02x}b3"]
    mod, low, sib = choose(MEMORY_FORMS[mode], row.text, mode, "form")
    return [f"{mod << 6 | number << 3 | low:02x}{sib}", f"{0xC3 | number << 3:02x}"]


def encodings(row, mode):
    """A few encodings of a row in a mode."""
    mandatory, opcode, digit, rm = opcode_parts(row)
    for form in modrm_forms(row, mode, digit, rm):
        before = choose(PREFIX_CHOICES[mode], row.text, mode, form)
        if "." in row.encoding:
            before = before if before in BEFORE_VECTORS else ""
        if row.encoding.startswith("NP ") and before == "66":
            before = ""
        legacy = before if before[:1] in "62" else ""
        rex = "" if legacy else before
        yield legacy + mandatory + rex + opcode + form + TAIL


def cut(code, mode):
    """`code` without what the decoder does not look at."""
    raw = bytes.fromhex(code)
    for length in range(1, len(raw) + 1):
        try:
            decode(raw[:length], mode, engine="pure")
        except DecodeError as error:
            if error.reason is DecodeReason.TRUNCATED:
                continue
        return raw[:length].hex()
    raise AssertionError(code)


def all_encodings():
    """(mode, bytes) of every vector, without repetition; one of what is decoded only."""
    found = {}
    for number, row in enumerate(ROWS):
        if HANDLERS[number] is None:
            continue
        for mode in MODES:
            for code in encodings(row, mode):
                found[mode, cut(code, mode)] = None
    decoded_only = [form for form in forms() if HANDLERS[form.row] is None]
    for form in {form.row: form for form in decoded_only}.values():
        found[form.mode, cut(form.code.hex(), form.mode)] = None
    return list(found)


def is_executed(mode, code):
    """Whether an engine executes the bytes, or refuses them as the processor does."""
    try:
        return decode(bytes.fromhex(code), mode, engine="pure").executable
    except DecodeError as error:
        return error.reason is DecodeReason.INVALID


def main():
    """Write both files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    encoded = all_encodings()
    decoded = [decode_line(mode, code, "pure") for mode, code in encoded]
    executed = [f"setting {name} : {text}" for name, text in SETTINGS.items()]
    executed += [
        execute_line(MODES[mode], code, choose("ABC", mode, code), SETTINGS, "pure")
        for mode, code in encoded
        if is_executed(mode, code)
    ]
    for path, what, content in (
        (DECODE, "Encodings and what they decode to.", decoded),
        (EXECUTE, "Instructions, the state before, and what they do.", executed),
    ):
        path.write_text(HEADER.format(what=what) + "\n".join(content) + "\n")
        print(f"{path.name}: {len(content)} vectors")  # noqa: T201 - a program that reports


if __name__ == "__main__":
    main()
