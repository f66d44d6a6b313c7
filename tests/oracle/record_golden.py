# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Write the golden vectors anew, from this processor: `python tests/oracle/record_golden.py`.

Every executable form gets a few cases in every mode, faults among them. A case that this processor
is known to do otherwise than the SDM says is left out.
"""

import platform
import sys
from pathlib import Path
from random import Random

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent / "src")]

from oracle.compare import differences, register_masks  # noqa: E402
from oracle.forms import COMPARABLE, LDT, MODES, trial, uses_vectors  # noqa: E402
from oracle.golden import (  # noqa: E402
    FILE,
    LACKING,
    new_settings,
    pattern,
    setting_lines,
    vectors,
    write,
)
from oracle.known_differences import known, model  # noqa: E402
from oracle.mirror import HOST_FEATURES, Mirror, host_flags  # noqa: E402
from oracle.native import DEFAULT_VECTORS, Oracle  # noqa: E402

COMPLETED, FAULTS = 2, 1  # wanted of each form and mode
TRIES = 40
SETTINGS = 6
HEADER = """\
# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
# What a processor did: {model}, Linux {kernel}.
# Written by tests/oracle/record_golden.py; the format is in tests/oracle/golden.py.
"""


def made(form, mode, named):
    """Random cases of a form over the named settings."""
    rng = Random(f"golden {form.text} {mode}")
    letter = "w" if mode == 64 else "n"
    for number in range(TRIES):
        setting = f"{letter}{number % SETTINGS}"
        one = trial(rng, form, mode, pattern(), named[setting])
        if one is not None and one.case.vectors != DEFAULT_VECTORS:
            one = one._replace(case=one.case._replace(vectors=vectors()))
        if one is not None:
            yield setting, one


def defined(case, result):
    """The result without what the case leaves undefined: with a 16-bit stack, ESP's upper half."""
    masks = register_masks(case)
    kept = tuple(word & mask for word, mask in zip(result.gpr, masks, strict=False))
    return result._replace(gpr=kept + result.gpr[len(masks) :])


def chosen(oracle, mirror, form, mode, named):
    """The first few cases of each kind that the engine agrees with."""
    wanted = {True: 1 if uses_vectors(form) else COMPLETED, False: FAULTS}
    for setting, one in made(form, mode, named):
        result = oracle.run(one.case)
        completed = result.vector is None
        got = mirror.run(one.case)
        if not wanted[completed] or (one.insn is None and uses_vectors(form)):
            continue
        found = differences(one.case, form.mnemonic, result, got)
        if found and known(one, result, got) is not None:
            continue
        if found:
            raise SystemExit(f"the engine disagrees: {form.text} {one.case.code.hex()}: {found}")
        wanted[completed] -= 1
        yield write(setting, named[setting], one.case, defined(one.case, result))


def main():
    """Write the file."""
    named = new_settings(SETTINGS)
    if HOST_FEATURES.keys() - host_flags() != LACKING:
        raise SystemExit("golden.LACKING is not what this processor lacks")
    oracle, mirror = Oracle(LDT), Mirror("native", LDT)
    lines = setting_lines(named)
    for form in COMPARABLE:
        for mode in MODES[uses_vectors(form) :]:
            lines += chosen(oracle, mirror, form, mode, named)
    header = HEADER.format(model=model(), kernel=platform.release().split("-")[0])
    FILE.write_text(header + "\n".join(lines) + "\n")
    print(f"{FILE.name}: {len(lines)} lines, {FILE.stat().st_size} bytes")  # noqa: T201


if __name__ == "__main__":
    main()
