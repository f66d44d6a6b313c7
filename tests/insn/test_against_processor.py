# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Both engines against the processor: random cases of every row of the opcode table, CPL 3.

`VMMKIT_ORACLE_CASES` is the number of cases per form and mode, `VMMKIT_ORACLE_SEED` chooses which;
`make oracle N=2000` sets the former. A disagreement is a failure unless `known_differences` has it.
"""

import os
from collections import Counter

import pytest

from oracle.compare import UNDEFINED_FLAGS, describe, differences
from oracle.forms import COMPARABLE, LDT, MODES, SS, trials
from oracle.known_differences import KNOWN_DIFFERENCES, known
from oracle.mirror import Mirror
from oracle.native import Oracle, Result, available
from vmmkit.insn import available_engines

pytestmark = pytest.mark.skipif(available() is not None, reason=str(available()))

CASES = int(os.environ.get("VMMKIT_ORACLE_CASES", "24"))
SEED = os.environ.get("VMMKIT_ORACLE_SEED", "1")
NO_ENCODING = {("MOVSXD", 16), ("MOVSXD", 32), ("AAD", 64)}  # the opcode is another row's there
SHOWN = 3  # disagreements that a failing form tells in full

BY_MNEMONIC = {
    mnemonic: [form for form in COMPARABLE if form.mnemonic == mnemonic]
    for mnemonic in dict.fromkeys(form.mnemonic for form in COMPARABLE)
}


@pytest.fixture(scope="module")
def oracle():
    return Oracle(LDT)


@pytest.fixture(scope="module")
def mirrors():
    return {engine: Mirror(engine, LDT) for engine in available_engines()}


def tell(trial, engine, expected, found):
    """Everything needed to do a case again."""
    done = "completed" if expected.vector is None else f"vector {expected.vector}"
    return f"{trial.form.text} ({engine}; processor: {done}): {describe(trial.case)}\n" + "\n".join(
        f"    {line}" for line in found
    )


def disagreements(oracle, mirrors, made):
    """Disagreements that are not known, told."""
    results = oracle.run_many(trial.case for trial in made)
    for trial, expected in zip(made, results, strict=True):
        for engine, mirror in mirrors.items():
            got = mirror.run(trial.case)
            found = differences(trial.case, trial.form.mnemonic, expected, got)
            if found and known(trial, expected, got) is None:
                yield tell(trial, engine, expected, found)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("mnemonic", BY_MNEMONIC)
def test_engines_do_what_the_processor_does(oracle, mirrors, mnemonic, mode):
    found, made = [], 0
    for form in BY_MNEMONIC[mnemonic]:
        for start in range(0, CASES, 1000):  # in portions: a case is 16 KiB
            batch = list(trials(f"{SEED} {start}", form, mode, min(1000, CASES - start)))
            made += len(batch)
            found += disagreements(oracle, mirrors, batch)
    assert made or (mnemonic, mode) in NO_ENCODING
    assert not found, f"{len(found)} of {made} cases:\n" + "\n".join(found[:SHOWN])
    assert not any(mirror.system_tables_changed() for mirror in mirrors.values())


def test_cases_are_of_every_kind(oracle):
    """The generator must not drift into cases that all fault, or none."""
    kinds = Counter()
    for form in BY_MNEMONIC["ADD"] + BY_MNEMONIC["PUSH"] + BY_MNEMONIC["MOVTOSEG"]:
        for mode in MODES:
            made = list(trials("kinds", form, mode, 40))
            kinds.update(result.vector for result in oracle.run_many(one.case for one in made))
    total = sum(kinds.values())
    assert kinds[None] > total // 4
    assert kinds[6] < total // 3
    assert all(kinds[vector] > total // 200 for vector in (12, 13, 14, 17)), kinds


def test_same_seed_same_cases():
    form = BY_MNEMONIC["ADD"][0]
    assert list(trials("x", form, 64, 20)) == list(trials("x", form, 64, 20))


def test_every_engine_defect_is_mended():
    """An entry without a vendor would be ours."""
    assert [entry.what for entry in KNOWN_DIFFERENCES if not entry.vendor] == []


def test_undefined_flags_are_named_for_instructions_there_are():
    assert set(UNDEFINED_FLAGS) <= set(BY_MNEMONIC)


def test_a_wrong_result_is_noticed(oracle):
    """Whatever field of a result is changed, the comparison says so."""
    (trial,) = trials("noticed", BY_MNEMONIC["MOV"][0], 64, 1)
    result = oracle.run(trial.case)
    assert differences(trial.case, "MOV", result, result) == []
    changed = {
        "vector": 3, "error": 9, "rip": 1, "rflags": result.rflags ^ 1,
        "gpr": (result.gpr[0] ^ 1, *result.gpr[1:]),
        "selectors": (*result.selectors[:SS], 0x57, *result.selectors[SS + 1 :]),
        "memory": b"\1" + result.memory[1:] if result.memory[:1] != b"\1" else bytes(1),
    }  # fmt: skip
    for field, value in changed.items():
        wrong = result._replace(**{field: value})
        assert isinstance(wrong, Result)
        assert differences(trial.case, "MOV", result, wrong), field
