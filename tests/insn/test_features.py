# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""`state.features`: every instruction that a CPUID bit shows or hides (SDM vol. 2, "CPUID")."""

import pytest

from insn.machine import DATA, MODES, UD, Machine, check_fault
from vmmkit.insn import Done, Feature
from vmmkit.insn.optable import KINDS, OPS, ROWS

ALL = (1 << 64) - 1
VECTOR_KINDS = frozenset("VWUHPQN")
PROTECTED = ("pm16", "pm32", "compat", "long")  # VEX is #UD in real-address mode
LONG = ("long",)

# Feature, mnemonic, code, the modes in which it is an instruction.
GUARDED = [
    ("CX8", "CMPXCHG8B", "0fc70f", MODES),
    ("CX16", "CMPXCHG16B", "480fc70f", LONG),
    ("CMOV", "CMOVCC", "0f44c3", MODES),
    ("CLFSH", "CLFLUSH", "0fae3f", MODES),
    ("SSE", "SFENCE", "0faef8", MODES),
    ("SSE", "LDMXCSR", "0fae17", MODES),
    ("SSE", "STMXCSR", "0fae1f", MODES),
    ("SSE2", "MOVNTI", "0fc307", MODES),
    ("SSE2", "LFENCE", "0faee8", MODES),
    ("SSE2", "MFENCE", "0faef0", MODES),
    ("SSE42", "CRC32", "f20f38f0c3", MODES),
    ("SSE42", "CRC32", "f20f38f1c3", MODES),
    ("MOVBE", "MOVBE", "0f38f007", MODES),
    ("MOVBE", "MOVBE", "0f38f107", MODES),
    ("POPCNT", "POPCNT", "f30fb8c3", MODES),
    ("LAHF64", "LAHF", "9f", LONG),
    ("LAHF64", "SAHF", "9e", LONG),
    ("BMI1", "ANDN", "c4e278f2c3", PROTECTED),
    ("BMI1", "BEXTR", "c4e278f7c3", PROTECTED),
    ("BMI1", "BLSR", "c4e278f3cb", PROTECTED),
    ("BMI1", "BLSMSK", "c4e278f3d3", PROTECTED),
    ("BMI1", "BLSI", "c4e278f3db", PROTECTED),
    ("BMI2", "BZHI", "c4e278f5c3", PROTECTED),
    ("BMI2", "MULX", "c4e27bf6c3", PROTECTED),
    ("BMI2", "PDEP", "c4e27bf5c3", PROTECTED),
    ("BMI2", "PEXT", "c4e27af5c3", PROTECTED),
    ("BMI2", "RORX", "c4e37bf0c301", PROTECTED),
    ("BMI2", "SARX", "c4e27af7c3", PROTECTED),
    ("BMI2", "SHLX", "c4e279f7c3", PROTECTED),
    ("BMI2", "SHRX", "c4e27bf7c3", PROTECTED),
    ("ADX", "ADCX", "660f38f6c3", MODES),
    ("ADX", "ADOX", "f30f38f6c3", MODES),
    ("CLFLUSHOPT", "CLFLUSHOPT", "660fae3f", MODES),
    ("CLWB", "CLWB", "660fae37", MODES),
]
CASES = [(feature, code, mode) for feature, _, code, modes in GUARDED for mode in modes]

# What older processors make of the instruction: they ignore its F3.
SUBSTITUTED = [
    ("LZCNT", "LZCNT", "f30fbdc3", 15, 16),
    ("BMI1", "TZCNT", "f30fbcc3", 4, 4),
]


def machine_with(engine, mode, code, features):
    """A machine that runs `code` with every operand readable, writable and aligned."""
    machine = Machine(engine, mode, code, {"rax": 3, "rbx": 0x1_0010, "rdi": DATA})
    machine.state.features = features
    return machine


@pytest.mark.parametrize(("feature", "code", "mode"), CASES)
def test_hidden(engine, feature, code, mode):
    check_fault(machine_with(engine, mode, code, ALL & ~Feature[feature]), UD)


@pytest.mark.parametrize(("feature", "code", "mode"), CASES)
def test_shown_alone(engine, feature, code, mode):
    outcome = machine_with(engine, mode, code, Feature[feature]).step()
    assert isinstance(outcome, Done), outcome


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("feature", "mnemonic", "code", "hidden", "shown"), SUBSTITUTED)
def test_substituted(engine, mode, feature, mnemonic, code, hidden, shown):
    """BSF and BSR stand for TZCNT and LZCNT; a source of zero shows which it was, too."""
    bits = 16 if mode in {"real", "pm16"} else 32
    source = {"LZCNT": 0x8000, "TZCNT": 0x10}[mnemonic]
    for features, expected, of_zero in (
        (ALL & ~Feature[feature], hidden, 3),
        (Feature[feature], shown if mnemonic == "TZCNT" else bits - 16, bits),
    ):
        for value, result in ((source, expected), (0, of_zero)):
            machine = machine_with(engine, mode, code, features)
            machine.state.rbx = value
            assert machine.step() == Done(machine.state.rip, 0)
            assert machine.state.rax == result, (features, value)


@pytest.mark.parametrize("feature", list(Feature))
def test_one_bit_hides_nothing_else(engine, feature):
    """All that needs another feature still runs."""
    others = [(code, mode) for name, code, mode in CASES if Feature[name] is not feature]
    for code, mode in others:
        outcome = machine_with(engine, mode, code, ALL & ~feature).step()
        assert isinstance(outcome, Done), (code, mode, outcome)


@pytest.mark.parametrize("code", ["9f", "9e"])
@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "long"])
def test_lahf_and_sahf_are_always_there_outside_of_64_bit_mode(engine, mode, code):
    assert isinstance(machine_with(engine, mode, code, 0).step(), Done)


@pytest.mark.parametrize("code", ["f00fc70f", "f0480fc70f"])
def test_locked_forms_are_hidden_too(engine, code):
    feature = Feature.CX16 if "48" in code else Feature.CX8
    check_fault(machine_with(engine, "long", code, ALL & ~feature), UD)


def test_hidden_comes_before_the_operand(engine):
    """#UD, and not the #GP or #PF that the operand would be."""
    for feature, _, code, modes in GUARDED:
        if "long" in modes:
            machine = machine_with(engine, "long", code, ALL & ~Feature[feature])
            machine.state.rdi = 1 << 63
            check_fault(machine, UD)


def test_plain_instructions_run_without_any_feature(engine):
    for code in ("01d8", "0fbcc3", "0fbdc3", "0fb1df", "0fc1df", "0fc8", "f390", "0f0d17"):
        assert isinstance(machine_with(engine, "long", code, 0).step(), Done), code


def test_the_table_is_complete():
    """Every member has a case, and every row that names a feature is among the cases.

    But for those of vector instructions, which `test_vector_moves` has.
    """
    tested = {(name, mnemonic) for name, mnemonic, _, _ in GUARDED}
    tested |= {(name, mnemonic) for name, mnemonic, *_ in SUBSTITUTED}
    names = [feature.name for feature in Feature]
    general = names[: names.index("FPU")]
    assert {name for name, _ in tested} == set(general)
    guarded = {
        (names[row.feature], OPS[row.op])
        for row in ROWS
        if row.feature < len(general) and not {KINDS[kind] for kind in row.kinds} & VECTOR_KINDS
    }
    assert guarded <= tested


def test_a_reset_keeps_the_features(engine):
    machine = machine_with(engine, "long", "90", Feature.CX8)
    machine.state.reset()
    assert machine.state.features == Feature.CX8
    assert Machine(engine, "long").state.features == ALL


def test_members_are_the_bits_of_the_table():
    assert [feature.value for feature in Feature] == [1 << at for at in range(len(Feature))]
