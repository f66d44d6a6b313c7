# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Programs compiled by gcc, run by the engines and by the host: one console, one result."""

import platform
import sys

import pytest

from engine_parameters import quick_engines
from guests.build import PROGRAMS, Builder, Variant, run
from guests.monitor import Finished, Guest, NotExecutedError
from vmmkit.insn import decode

NEWER = ("-mbmi", "-mbmi2", "-mlzcnt", "-mpopcnt", "-madx", "-mmovbe", "-mcrc32")
COMMON = (Variant(16), Variant(32), Variant(64), Variant(64, ("-O2", *NEWER)))
# Other sides of the compiler: inc and leave and pushes; everything through memory; string
# instructions; 32-bit forms of the newer instructions; registers above the eighth unused.
UNCOMMON = (
    *(Variant(bits, ("-Os",)) for bits in (16, 32, 64)),
    *(Variant(bits, ("-O0",)) for bits in (16, 32, 64)),
    *(Variant(bits, ("-O3", "-minline-all-stringops")) for bits in (16, 32, 64)),
    Variant(32, ("-O2", *NEWER)),
    Variant(16, ("-O2", *(flag for flag in NEWER if "bmi" not in flag))),  # no VEX in real mode
    *(Variant(bits, ("-O3", "-mtune=i486" if bits < 64 else "-mtune=k8")) for bits in (16, 32, 64)),
)
# Whatever gcc takes vector registers for; no program computes with floating-point numbers.
SSE = (Variant(64, vectors=1), Variant(32, ("-O2", "-msse2"), vectors=1))
VECTORS = (
    *(Variant(bits, ("-O3", "-msse2"), vectors=1) for bits in (32, 64)),
    Variant(64, ("-O3", "-march=x86-64-v2"), vectors=1),
    *(Variant(bits, ("-O3", "-mavx2", "-mno-fma"), vectors=2) for bits in (32, 64)),
    Variant(64, ("-O3", "-march=x86-64-v3", "-mno-fma"), vectors=2),
)
# The same without what makes blends of conditions, which is not executed everywhere.
AVX2 = tuple(
    Variant(bits, (level, "-mavx2", "-mno-fma", "-fno-tree-loop-if-convert"), vectors=2)
    for bits, level in ((64, "-O2"), (32, "-O2"), (64, "-O3"))
)
AVX512 = Variant(64, ("-O3", "-march=x86-64-v4", "-mno-fma"), vectors=3)
WHOLE_ZMM = Variant(64, (*AVX512.flags, "-mprefer-vector-width=512"), vectors=3)

SMALL = dict(zip(PROGRAMS, (1, 1, 24, 2, 1, 3, 1), strict=True))
LARGE = dict(zip(PROGRAMS, (40, 40, 1000, 60, 96, 200, 40), strict=True))
HUGE = dict(zip(PROGRAMS, (200, 200, 2048, 150, 240, 1000, 40), strict=True))
SCALES = {"pure": SMALL, "native": LARGE}
BUDGET = 200_000_000

pytestmark = pytest.mark.skipif(
    platform.machine() not in {"x86_64", "AMD64"} or sys.platform != "linux",
    reason="gcc makes ELF programs for x86 on Linux on x86 only",
)


@pytest.fixture(scope="module", params=quick_engines())
def engine(request):
    return request.param


@pytest.fixture(scope="module")
def builder(require_tool, tmp_path_factory):
    for tool in ("gcc", "ld", "objcopy"):
        require_tool(tool)
    return Builder(tmp_path_factory.mktemp("guests"))


@pytest.fixture(scope="module")
def on_the_host(builder):
    """Return a runner of the host's own program, which runs each scale once."""
    known = {}

    def answer(program, scale):
        if (program, scale) not in known:
            result = builder.folder / f"{program}-{scale}.result"
            console = run(builder.native(program), scale, result)
            known[program, scale] = Finished(console, result.read_bytes())
        return known[program, scale]

    return answer


def check(builder, on_the_host, program, variant, engine, scale, paging=None):
    guest = Guest(builder.image(program, variant), variant.bits, engine, paging=paging)
    expected = on_the_host(program, scale)
    assert guest.run(scale, BUDGET) == expected
    assert len(expected.console) > 20


def check_or_skip(builder, on_the_host, program, variant, engine, scale):
    """As `check`; what gcc makes of a loop may be an instruction that is decoded only."""
    try:
        check(builder, on_the_host, program, variant, engine, scale)
    except NotExecutedError as error:
        (outcome,) = error.args
        pytest.skip(f"not executed: {decode(outcome.code, variant.bits).mnemonic}")


@pytest.mark.parametrize("variant", COMMON, ids=str)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_compiled_guest_does_what_the_host_does(builder, on_the_host, engine, program, variant):
    check(builder, on_the_host, program, variant, engine, SCALES[engine][program])


@pytest.mark.parametrize("variant", SSE, ids=str)
@pytest.mark.parametrize("program", PROGRAMS)
def test_an_ordinary_program(builder, on_the_host, engine, program, variant):
    """Nothing is said against SSE, so gcc uses it to copy, clear and compare."""
    check(builder, on_the_host, program, variant, engine, SCALES[engine][program])


@pytest.mark.parametrize("variant", [*VECTORS, *AVX2[1:], AVX512, WHOLE_ZMM], ids=str)
def test_vector_code(builder, on_the_host, engine, variant):
    scale = SCALES[engine]["vectors"]
    check_or_skip(builder, on_the_host, "vectors", variant, engine, scale)


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_ordinary_program_for_avx2(builder, on_the_host, engine, program):
    check(builder, on_the_host, program, AVX2[0], engine, SCALES[engine][program])


@pytest.mark.slow
@pytest.mark.parametrize("variant", VECTORS, ids=str)
@pytest.mark.parametrize("program", PROGRAMS)
def test_vector_code_of_other_programs(builder, on_the_host, engine, program, variant):
    check_or_skip(builder, on_the_host, program, variant, engine, SCALES[engine][program])


@pytest.mark.parametrize("paging", ["32-bit", "PAE"])
def test_a_compiled_guest_runs_behind_page_tables(builder, on_the_host, engine, paging):
    check(builder, on_the_host, "heapsort", Variant(32), engine, 16, paging)


@pytest.mark.slow
@pytest.mark.parametrize("variant", UNCOMMON, ids=str)
@pytest.mark.parametrize("program", PROGRAMS)
def test_other_ways_to_compile(builder, on_the_host, engine, program, variant):
    check(builder, on_the_host, program, variant, engine, SCALES[engine][program])


@pytest.mark.slow
@pytest.mark.native
@pytest.mark.parametrize("variant", COMMON, ids=str)
@pytest.mark.parametrize("program", PROGRAMS)
def test_large_inputs(builder, on_the_host, program, variant):
    check(builder, on_the_host, program, variant, "native", HUGE[program])


def test_the_host_knows_the_answers(on_the_host):
    """Published values, so that the two do not merely agree: FIPS 180-4 and the CRC catalogue."""
    assert "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" in (
        on_the_host("sha256", 2).console
    )
    assert "[     right][left      ][cu][  star][minus ][ok] 100%" in (
        on_the_host("formats", 1).console
    )
