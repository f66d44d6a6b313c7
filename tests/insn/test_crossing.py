# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""How Python gets into an engine: arguments of every kind, references, threads, lifetimes.

Everything here must hold for both engines alike; what only the C functions can get wrong (their
reference counts) is marked `native`.
"""

import array
import contextlib
import gc
import inspect
import mmap
import os
import pickle
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from enum import IntEnum

import pytest

from vmmkit.errors import DecodeError, EngineError, StepError
from vmmkit.insn import (
    BudgetSpent,
    Cpu,
    Done,
    ExitKind,
    Fault,
    Instruction,
    Read,
    Write,
    available_engines,
    decode,
)

CODE = bytes.fromhex("8b83fecaefbe")  # mov eax, [rbx-0x41103502]
TAIL = CODE + bytes.fromhex("9090")  # eight bytes: a whole number of larger items


class Mode(IntEnum):
    LONG = 64


class Bytes(bytes):
    pass


def mapped():
    memory = mmap.mmap(-1, mmap.PAGESIZE)
    memory[: len(TAIL)] = TAIL
    return memory


STRIDED = bytes(byte for pair in zip(TAIL, bytes(len(TAIL)), strict=True) for byte in pair)

BUFFERS = {
    "bytes": TAIL,
    "more than 15 bytes": TAIL * 10,
    "subclass of bytes": Bytes(TAIL),
    "bytearray": bytearray(TAIL),
    "memoryview": memoryview(TAIL),
    "memoryview of a slice": memoryview(b"\xcc" + TAIL)[1:],
    "writable memoryview": memoryview(bytearray(TAIL)),
    "64-bit items": array.array("Q", TAIL),
    "32-bit items, cast": memoryview(TAIL).cast("I"),
    "two dimensions": memoryview(TAIL).cast("B", (2, 4)),
    "every second byte": memoryview(STRIDED)[::2],
    "mapped file": mapped(),
}


@pytest.mark.parametrize("code", BUFFERS.values(), ids=BUFFERS.keys())
def test_every_buffer_will_do(engine, code):
    expected = decode(CODE, 64, engine="pure")
    assert decode(code, 64, engine=engine) == expected
    assert decode(code, mode=64, engine=engine) == expected


@pytest.mark.parametrize("code", BUFFERS.values(), ids=BUFFERS.keys())
def test_every_buffer_will_do_without_naming_an_engine(code):
    assert decode(code, 64) == decode(code=code, mode=64) == decode(CODE, 64, engine="pure")


def test_a_buffer_is_let_go(engine):
    code = bytearray(TAIL)
    decode(code, 64, engine=engine)
    with pytest.raises(DecodeError):
        decode(bytearray(1)[:0], 64, engine=engine)
    code.clear()  # BufferError while anyone looks into it


@pytest.mark.parametrize("code", ["90", 0x90, None, [0x90], 9.0], ids=repr)
def test_what_is_no_buffer_is_refused(engine, code):
    with pytest.raises(TypeError, match="bytes-like object is required"):
        decode(code, 64, engine=engine)
    with pytest.raises(TypeError, match="bytes-like object is required"):
        decode(code, 64)


NO_MODES = (0, 1, 8, 63, 65, 128, -64, 1 << 64, 64 - (1 << 64), True, "64", b"64", None, [64], 6.4)


@pytest.mark.parametrize("mode", NO_MODES, ids=repr)
@pytest.mark.parametrize("code", [CODE, bytearray(CODE)], ids=["bytes", "bytearray"])
def test_other_modes_are_refused_by_value(engine, code, mode):
    for options in ({"engine": engine}, {}):
        with pytest.raises(ValueError, match="mode is 16, 32 or 64, not ") as caught:
            decode(code, mode, **options)
        assert str(caught.value).endswith(f"not {mode!r}")


@pytest.mark.parametrize("mode", [64, 64.0, Mode.LONG], ids=repr)
def test_what_equals_a_mode_is_one(engine, mode):
    found = decode(CODE, mode, engine=engine)
    assert found == decode(CODE, mode) == decode(CODE, 64, engine="pure")
    assert type(found.mode) is int


@pytest.mark.parametrize(
    "arguments",
    [((), {}), ((CODE,), {}), ((CODE, 64, None), {}), ((CODE, 64), {"width": 1})],
    ids=["none", "one", "three", "unknown name"],
)
def test_other_arguments_are_refused(arguments):
    positional, named = arguments
    with pytest.raises(TypeError, match=r"decode\(\)"):
        decode(*positional, **named)


def test_an_unknown_engine_is_refused():
    with pytest.raises(EngineError, match="no engine 'x86'"):
        decode(CODE, 64, engine="x86")


def failure_of(code, mode, **options):
    with pytest.raises(DecodeError) as caught:
        decode(code, mode, **options)
    return str(caught.value), caught.value.reason, caught.value.code


@pytest.mark.parametrize("code", [b"", b"\x8b", b"\x66" * 20, b"\xf0\x90", bytearray(b"\xf0\x90")])
@pytest.mark.parametrize("mode", [16, 32, 64])
def test_failures_are_the_same_in_every_way_in(engine, code, mode):
    expected = failure_of(bytes(code), mode, engine="pure")
    assert failure_of(code, mode, engine=engine) == expected
    assert failure_of(code, mode) == expected
    assert type(expected[2]) is bytes


def test_an_instruction_is_one_and_the_same_thing(two_engines):
    """A tuple made in C hashes, compares, copies and pickles as one made in Python."""
    made_in_python, made_in_c = (decode(CODE, 64, engine=name) for name in two_engines)
    assert type(made_in_c) is type(made_in_python) is Instruction
    assert (made_in_c, hash(made_in_c)) == (made_in_python, hash(made_in_python))
    assert pickle.dumps(made_in_c) == pickle.dumps(made_in_python)
    assert pickle.loads(pickle.dumps(made_in_c)) == made_in_c
    assert made_in_c._replace(length=1) == made_in_python._replace(length=1)
    assert made_in_c._asdict() == made_in_python._asdict()
    assert {type(value) for value in made_in_c} == {int}
    assert gc.is_tracked(made_in_c) == gc.is_tracked(made_in_python)


def test_decode_looks_like_what_it_is():
    """Whichever engine is live, `help`, `inspect` and `pickle` find the same function."""
    parameters = inspect.signature(decode).parameters
    kinds = {name: (entry.kind.name, entry.default) for name, entry in parameters.items()}
    empty = inspect.Parameter.empty
    assert kinds == {
        "code": ("POSITIONAL_OR_KEYWORD", empty),
        "mode": ("POSITIONAL_OR_KEYWORD", empty),
        "engine": ("KEYWORD_ONLY", None),
    }
    assert decode.__name__ == "decode"
    assert "TRUNCATED" in inspect.getdoc(decode)
    assert pickle.loads(pickle.dumps(decode)) is decode


SHOW = "import pickle, sys; f = pickle.load(sys.stdin.buffer); print(f(b'\\x90', 64).length)"


@pytest.mark.parametrize("wanted", ["0", ""])
def test_decode_can_be_handed_to_a_process_with_another_engine(wanted):
    done = subprocess.run(
        [sys.executable, "-c", SHOW],
        input=pickle.dumps(decode),
        env={**os.environ, "VMMKIT_NATIVE": wanted, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == (b"1\n", b"")


def attempt(code, mode):
    """Decode by every way in, failing or not."""
    for options in ({}, {"engine": available_engines()[0]}):
        with contextlib.suppress(DecodeError, ValueError, TypeError):
            decode(code, mode, **options)


LARGE = bytes.fromhex("48b8f0debc9a78563412")  # an immediate that is no small integer
ATTEMPTS = [
    *((code, 64) for code in (LARGE, CODE, bytearray(CODE), memoryview(CODE), b"", "no", 5)),
    *((CODE, mode) for mode in (True, 1 << 80, "64", None)),
    (memoryview(STRIDED)[::2], 64),
]


@pytest.mark.native
def test_decoding_keeps_no_references():
    candidates = [item for pair in ATTEMPTS for item in pair] + [Instruction, None, 5, -1, 64]
    # Immortal objects, of 3.12 and later, have counts that mean nothing.
    subjects = [item for item in candidates if sys.getrefcount(item) < 1 << 30]
    for code, mode in ATTEMPTS:
        attempt(code, mode)
    before = [sys.getrefcount(subject) for subject in subjects]
    for _ in range(200):
        for code, mode in ATTEMPTS:
            attempt(code, mode)
    after = [sys.getrefcount(subject) for subject in subjects]
    assert all(abs(now - then) < 20 for then, now in zip(before, after, strict=True))


def memory_growth(function, rounds):
    """Return how many bytes are left allocated after `rounds` calls.

    What leaks, leaks each time. So the least of three counts: the thread in which the test runner
    hears of its work allocates whenever it likes.
    """
    tracemalloc.start()
    try:
        for _ in range(10):
            function()
        return min(_growth(function, rounds) for _ in range(3))
    finally:
        tracemalloc.stop()


def _growth(function, rounds):
    gc.collect()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(rounds):
        function()
    gc.collect()
    return tracemalloc.get_traced_memory()[0] - before


@pytest.mark.slow
def test_decoding_leaks_nothing():
    def everything():
        for code, mode in ATTEMPTS:
            attempt(code, mode)

    assert memory_growth(everything, 300) < 10_000


def asking_cpu(engine):
    ram = bytearray(4096)
    ram[:6] = bytes.fromhex("8b03 8903 ebfa")  # mov eax, [ebx]; mov [ebx], eax; jmp back
    cpu = Cpu([(0, ram)], engine=engine)
    cpu.state.enter_protected_mode(0)
    cpu.state.rbx = 0xFEC0_0000
    return cpu


@pytest.mark.slow
def test_stepping_leaks_nothing(engine):
    cpu = asking_cpu(engine)

    def once():
        for _ in range(2):
            outcome = cpu.step()
            while not isinstance(outcome, Done):
                outcome = cpu.step(1 << 40 if isinstance(outcome, Read) else None)
        cpu.run(1)

    assert memory_growth(once, 300) < 10_000


@pytest.mark.slow
def test_making_processors_leaks_nothing(engine):
    # One of them has 7000 bytes.
    assert memory_growth(lambda: asking_cpu(engine).step(), 100) < 100_000


@pytest.mark.stress
def test_threads_decode_at_once(engine):
    codes = [CODE, LARGE, bytes.fromhex("0fb74c8b10"), bytearray(b"\xf3\xa4"), b"\x8b"]

    def outcome(code):
        try:
            return decode(code, 64, engine=engine)
        except DecodeError as error:
            return str(error)

    expected = [outcome(code) for code in codes]

    def many(_):
        return all([outcome(code) for code in codes] == expected for _ in range(200))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(many, range(8)))


@pytest.mark.stress
def test_threads_run_processors_at_once(engine):
    """Held or released, the GIL is in order after every call, whatever its budget."""

    def drive(number):
        cpu = asking_cpu(engine)
        seen = []
        for budget in (1, 64, 65, 1000) * 25:
            outcome = cpu.run(budget, number if cpu.awaits_answer and seen[-1] is Read else None)
            seen.append(type(outcome))
        return cpu.state.rax, set(seen)

    with ThreadPoolExecutor(4) as pool:
        for number, (rax, seen) in enumerate(pool.map(drive, range(8))):
            assert rax == number
            assert {Read, Write} <= seen


class Indexed:
    """An integer of somebody else's, as array libraries have them."""

    def __init__(self, value):
        self.value = value

    def __index__(self):
        return self.value


@pytest.mark.native
@pytest.mark.parametrize("value", [0x1234, True, Indexed(0x1234), -1, 1 << 64 | 5])
def test_entry_points_take_the_low_64_bits_of_any_integer(value):
    cpu = asking_cpu("native")
    assert cpu.enter(1, 0) == ExitKind.READ
    assert cpu.resume(value) == ExitKind.BUDGET
    number = value.value if isinstance(value, Indexed) else value
    assert cpu.state.rax == number & 0xFFFF_FFFF


@pytest.mark.native
@pytest.mark.parametrize("value", ["1", None, 1.0, b"1"], ids=repr)
def test_entry_points_refuse_what_is_no_integer(value):
    cpu = asking_cpu("native")
    with pytest.raises(TypeError, match="integer"):
        cpu.enter(1, value)
    with pytest.raises(TypeError, match="integer"):
        cpu.enter(value, 0)
    with pytest.raises(TypeError, match="integer"):
        cpu.resume(value)
    with pytest.raises(TypeError, match="takes 2 arguments"):
        cpu.enter(1)
    assert cpu.state.rip == 0


def runner(engine):
    """A processor whose code reads from a device for ever."""
    ram = bytearray(0x1000)
    ram[:4] = bytes.fromhex("8b03ebfc")
    cpu = Cpu([(0, ram)], engine=engine)
    cpu.state.enter_protected_mode(eip=0)
    cpu.state.rbx = 0xFEE0_0000
    return cpu


def test_a_run_takes_answers_of_every_kind(engine):
    """Plain ones go straight to the native engine, the others the long way; nobody can tell."""
    cpu = runner(engine)
    assert cpu.run(True) == Read(0xFEE0_0000, 4)
    for answer, value in ((5, 5), (True, 1), (Mode.LONG, 64), (1 << 200 | 7, 7), (-1, 0xFFFF_FFFF)):
        assert cpu.run(1 << 40, answer) == Read(0xFEE0_0000, 4)
        assert cpu.state.rax == value
    for wrong in (None, "5", 1.5):
        with pytest.raises(StepError):
            cpu.run(10, wrong)
    assert cpu.run(1, 9) == BudgetSpent(2)
    with pytest.raises(StepError):
        cpu.run(10, 9)
    assert cpu.state.rax == 9


def test_running_leaks_nothing(engine):
    cpu = runner(engine)
    cpu.run(10)
    answer = 1 << 40
    before = sys.getrefcount(answer), sys.getrefcount(Read)
    outcomes = [cpu.run(10, answer) for _ in range(1000)]
    assert outcomes == [Read(0xFEE0_0000, 4)] * 1000
    del outcomes
    assert (sys.getrefcount(answer), sys.getrefcount(Read)) == before


def test_a_processor_in_a_garbage_cycle_goes_quietly(engine):
    """The collector once cleared memoryviews of RAM while the engine's structures held them."""

    class Ram(bytearray):
        pass

    ram = Ram(4096)
    cpu = Cpu([(0, ram)], engine=engine)
    cpu.state.enter_protected_mode(0)
    ring = [cpu, cpu.enter]
    ring.append(ring)
    del cpu
    ring.clear()
    ram.cpu = Cpu([(0, memoryview(ram))], engine=engine)
    del ram, ring
    gc.collect()


@pytest.mark.native
def test_a_decoder_wants_a_tuple_with_its_fields(import_module):
    crossing = import_module("vmmkit.insn._crossing")
    with pytest.raises(TypeError, match="no tuple"):
        crossing.Decoder(1, list)
    with pytest.raises(AttributeError):
        crossing.Decoder(1, tuple)
    with pytest.raises(ValueError, match="a result has"):
        crossing.Decoder(1, Read)
    with pytest.raises(ValueError, match="is 0"):
        crossing.Decoder(0, Instruction)
    decoder = crossing.Decoder(1, Instruction)
    decoder.shortcut(decode)
    with pytest.raises(TypeError, match="one public function"):
        decoder.shortcut(decode)
    with pytest.raises(TypeError, match="no public name"):
        pickle.dumps(crossing.Decoder(1, Instruction).decode)
    with pytest.raises(ValueError, match="is 0"):
        crossing.Core(1, 1, 0, 1, None, ())
    too_many = (None,) * (len(ExitKind) + 1)
    for shapes in (too_many, ((Read, (0, 100_000)),), ((Fault, (0, 1, 2, 3, 4)),)):
        with pytest.raises(ValueError, match="do not fit"):
            crossing.Core(1, 1, 1, 1, None, shapes)
