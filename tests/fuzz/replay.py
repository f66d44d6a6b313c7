# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Run inputs of the fuzzer on both engines: `replay.py FILE...`; fails where they disagree."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz.inputs import compare, read_inputs, text_of
from vmmkit.insn import available_engines

SHOWN = 5


def disagreements(paths):
    """Yield what differs, and the input."""
    for path in paths:
        for made in read_inputs(path.read_text()):
            difference = compare(made, available_engines())
            yield difference, made


def main(paths):
    """Return the exit status."""
    count, found = 0, []
    for difference, made in disagreements(paths):
        count += 1
        if difference is not None:
            found.append((difference, made))
    for difference, made in found[:SHOWN]:
        print(f"{text_of(made)}# {difference}\n")
    print(f"{count} inputs on both engines, {len(found)} disagreements")
    return bool(found) or not count


if __name__ == "__main__":
    sys.exit(main([Path(each) for each in sys.argv[1:]]))
