# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Write the vector files anew, from the pure engine: `python tests/insn/record_vectors.py`.

The inputs are made from the opcode table: for every row one register form and one memory form (in
rotation, so that every addressing form turns up) in every mode, with prefixes in rotation. Run it
after adding a row, and read the difference that it makes: only the new rows' lines may change.
"""

import sys
from itertools import count
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent / "src")]

from insn.vectors import DECODE, EXECUTE, FOLDER, decode_line, execute_line  # noqa: E402
from vmmkit.errors import DecodeError, DecodeReason  # noqa: E402
from vmmkit.insn import decode  # noqa: E402
from vmmkit.insn.optable import ATTRIBUTES, PREFIXES, ROWS  # noqa: E402

MODES = {16: "real", 32: "pm32", 64: "long"}
PREFIX_ROTATION = {
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
SETTINGS = {
    "A": "rax=8000000180000081 rcx=2 rdx=60 rbx=2010 rbp=2020 rsi=20 rdi=2040 r9=55 rflags=8d7",
    "B": "rax=7f rcx=1 rdx=3f8 rbx=2011 rbp=2fff rsi=ffe0 rdi=2044 r8=77 rflags=2",
    "C": "rax=ff00ff rcx=3 rdx=ffff rbx=9000 rbp=8ffe rsi=9020 rdi=9100 rflags=402",
}
HEADER = """\
# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
# {what}
# Written by tests/insn/record_vectors.py; the format is in tests/insn/vectors.py.
"""

MODRM = 1 << ATTRIBUTES.index("modrm")
_turn = count()


def parts(row):
    """Mandatory prefix, opcode bytes and ModRM.reg of a row, from its text."""
    prefix, opcode, reg = "", "", None
    words = row.text.split()
    if words[0] in PREFIXES and words[1] == "90":
        prefix = "" if words[0] == "NP" else words[0]
        words = words[1:]
    for word in words:
        if word.startswith("/"):
            reg = int(word[1:])
        elif len(word.partition("+")[0]) == 2 and not opcode.count(" "):
            number, _, span = word.partition("+")
            step = {"": 0, "r": 3, "cc": 4}[span]
            try:
                opcode += f"{int(number, 16) + step:02x}"
            except ValueError:
                break
        else:
            break
    return prefix, opcode, reg


def encodings(row, mode):
    """A few encodings of a row in a mode."""
    prefix, opcode, reg = parts(row)
    if not row.flags & MODRM:
        forms = [""]
    else:
        turn = next(_turn)
        number = reg if reg is not None else (2, 0, 3, 5)[turn % 4]
        mod, rm, sib = MEMORY_FORMS[mode][turn % 6]
        forms = [f"{mod << 6 | number << 3 | rm:02x}{sib}", f"{0xC3 | number << 3:02x}"]
    for form in forms:
        rotation = PREFIX_ROTATION[mode]
        before = rotation[next(_turn) % len(rotation)]
        yield before + prefix + opcode + form + TAIL


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
    """(mode, bytes) of every vector, without repetition."""
    found = {}
    for row in ROWS[2:]:
        for mode in MODES:
            for code in encodings(row, mode):
                found[mode, cut(code, mode)] = None
    return list(found)


def main():
    """Write both files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    encoded = all_encodings()
    decoded = [decode_line(mode, code, "pure") for mode, code in encoded]
    executed = [f"setting {name} : {text}" for name, text in SETTINGS.items()]
    executed += [
        execute_line(MODES[mode], code, "ABC"[number % 3], SETTINGS, "pure")
        for number, (mode, code) in enumerate(encoded)
        if not decoded[number].endswith(("INVALID", "UNKNOWN"))
    ]
    for path, what, content in (
        (DECODE, "Encodings and what they decode to.", decoded),
        (EXECUTE, "Instructions, the state before, and what they do.", executed),
    ):
        path.write_text(HEADER.format(what=what) + "\n".join(content) + "\n")
        print(f"{path.name}: {len(content)} vectors")  # noqa: T201 - a program that reports


if __name__ == "__main__":
    main()
