# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""`state.features`: every instruction that a CPUID bit shows or hides (SDM vol. 2, "CPUID")."""

import pytest

from insn.machine import DATA, MODES, UD, Machine, check_fault
from vmmkit.insn import Done, Feature, Random, Unsupported
from vmmkit.insn.optable import KINDS, OPS, ROWS

ALL = (1 << 64) - 1
VECTOR_KINDS = frozenset("VWUHPQN")
PROTECTED = ("pm16", "pm32", "compat", "long")  # VEX is #UD in real-address mode
LONG = ("long",)
FLAT = ("pm32", "compat", "long")

# Feature, mnemonic, code, the modes in which it is an instruction.
GUARDED = [
    ("CX8", "CMPXCHG8B", "0fc70f", MODES),
    ("CX16", "CMPXCHG16B", "480fc70f", LONG),
    ("CMOV", "CMOVCC", "0f44c3", MODES),
    *(
        ("CMOV", f"FCMOV{'N' * negated}{name}", f"d{'ab'[negated]}{0xC1 + 8 * digit:02x}", MODES)
        for digit, name in enumerate(("B", "E", "BE", "U"))
        for negated in (0, 1)
    ),
    ("CMOV", "FCOMI", "dbf1", MODES),
    ("CMOV", "FCOMIP", "dff1", MODES),
    ("CMOV", "FUCOMI", "dbe9", MODES),
    ("CMOV", "FUCOMIP", "dfe9", MODES),
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
    ("SEP", "SYSENTER", "0f34", PROTECTED),
    ("SEP", "SYSEXIT", "0f35", PROTECTED),
    ("SYSCALL", "SYSCALL", "0f05", LONG),
    ("SYSCALL", "SYSRET", "0f07", LONG),
    ("RDTSCP", "RDTSCP", "0f01f9", MODES),
    ("FSGSBASE", "RDFSBASE", "f30faec0", LONG),
    ("FSGSBASE", "RDGSBASE", "f30faec8", LONG),
    ("FSGSBASE", "WRFSBASE", "f30faed0", LONG),
    ("FSGSBASE", "WRGSBASE", "f30faed8", LONG),
    ("INVPCID", "INVPCID", "660f388207", MODES),
    ("SMAP", "STAC", "0f01cb", MODES),
    ("SMAP", "CLAC", "0f01ca", MODES),
    ("PKU", "RDPKRU", "0f01ee", MODES),
    ("PKU", "WRPKRU", "0f01ef", MODES),
    ("XSAVE", "XGETBV", "0f01d0", MODES),
    ("XSAVE", "XSETBV", "0f01d1", MODES),
    ("XSAVE", "XSAVE", "0fae27", FLAT),
    ("XSAVE", "XRSTOR", "0fae2f", FLAT),
    ("RDRAND", "RDRAND", "0fc7f0", MODES),
    ("RDSEED", "RDSEED", "0fc7f8", MODES),
    ("RDPID", "RDPID", "f30fc7f8", MODES),
    ("MONITOR", "MONITOR", "0f01c8", MODES),
    ("MONITOR", "MWAIT", "0f01c9", MODES),
    ("SERIALIZE", "SERIALIZE", "0f01e8", MODES),
]
# What these show and hide are bits of control registers: `test_system_*.py`.
NO_INSTRUCTION = {"LM", "NX", "PCID", "SMEP", "UMIP", "LA57"}
CONTROLS = 1 << 16 | 1 << 18 | 1 << 22  # FSGSBASE, OSXSAVE, PKE
CARRIED_OUT = Done | Random
CASES = [(feature, code, mode) for feature, _, code, modes in GUARDED for mode in modes]

# What older processors make of the instruction: they ignore its F3.
SUBSTITUTED = [
    ("LZCNT", "LZCNT", "f30fbdc3", 15, 16),
    ("BMI1", "TZCNT", "f30fbcc3", 4, 4),
]
IGNORED = [("WBNOINVD", "WBNOINVD", "f30f09")]  # its F3: it is WBINVD


def machine_with(engine, mode, code, features):
    """A machine that runs `code` with every operand readable, writable and aligned."""
    machine = Machine(engine, mode, code, {"rax": 3, "rbx": 0x1_0010, "rdi": DATA})
    state = machine.state
    state.features, state.sysenter_cs = features, 8
    state.cr4 |= CONTROLS
    state.efer |= 1  # SCE
    return machine


@pytest.mark.parametrize(("feature", "code", "mode"), CASES)
def test_hidden(engine, feature, code, mode):
    check_fault(machine_with(engine, mode, code, ALL & ~Feature[feature]), UD)


@pytest.mark.parametrize(("feature", "code", "mode"), CASES)
def test_shown_alone(engine, feature, code, mode):
    outcome = machine_with(engine, mode, code, Feature[feature]).step()
    assert isinstance(outcome, CARRIED_OUT), outcome


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


@pytest.mark.parametrize(("feature", "_mnemonic", "code"), IGNORED)
def test_done_without_its_prefix(engine, feature, _mnemonic, code):
    for features in (Feature[feature], ALL & ~Feature[feature]):
        assert isinstance(machine_with(engine, "long", code, features).step(), Done)


@pytest.mark.parametrize("feature", list(Feature))
def test_one_bit_hides_nothing_else(engine, feature):
    """All that needs another feature still runs."""
    others = [(code, mode) for name, code, mode in CASES if Feature[name] is not feature]
    for code, mode in others:
        outcome = machine_with(engine, mode, code, ALL & ~feature).step()
        assert isinstance(outcome, CARRIED_OUT), (code, mode, outcome)


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
    tested |= {(name, mnemonic) for name, mnemonic, *_ in (*SUBSTITUTED, *IGNORED)}
    names = [feature.name for feature in Feature]
    general = names[: names.index("FPU")]
    assert {name for name, _ in tested} | NO_INSTRUCTION == set(general)
    guarded = {
        (names[row.feature], OPS[row.op])
        for row in ROWS
        if row.feature < len(general) and not {KINDS[kind] for kind in row.kinds} & VECTOR_KINDS
    }
    assert guarded <= tested


# Features that have no bit of their own.
OTHERS = [
    "660f38dcc8",  # aesenc xmm1, xmm0
    "660f3a44c000",  # pclmulqdq
    "0f38c8c8",  # sha1nexte
    "c4e279dcc0",  # vaesenc
    "c4e2f198c2",  # vfmadd132pd
    "c4e27913c0",  # vcvtph2ps
    "62f27d4854c0",  # vpopcntb
    "0f78c0",  # vmread
    "0f01d8",  # vmrun
    "0f37",  # getsec
    "0faa",  # rsm
    "c7f800000000",  # xbegin
    "0f01d6",  # xtest
    "660faef0",  # tpause
    "0f01fc",  # clzero
    "d50090",  # REX2
]


@pytest.mark.parametrize("code", OTHERS)
def test_what_has_no_bit_of_its_own(engine, code):
    """An owner may know better, so it comes out; a guest that was not shown it has #UD."""
    outcome = machine_with(engine, "long", code, ALL).step()
    assert isinstance(outcome, Unsupported), outcome
    check_fault(machine_with(engine, "long", code, ALL & ~Feature.OTHER), UD)


def test_a_reset_keeps_the_features(engine):
    machine = machine_with(engine, "long", "90", Feature.CX8)
    machine.state.reset()
    assert machine.state.features == Feature.CX8
    assert Machine(engine, "long").state.features == ALL


def test_members_are_the_bits_of_the_table():
    assert [feature.value for feature in Feature] == [1 << at for at in range(len(Feature))]
