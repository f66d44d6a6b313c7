# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What a processor did, in a file: for machines on which the oracle cannot run.

A line of `processor.txt` is `case | result`. A case names a line `setting` and what differs from
it: registers by number (`3=2000`), memory as `@address=bytes` over `pattern()`. A result is how the
instruction ended, and then the registers, selectors (`s2=`), words of `Case.vectors`
(`v8=`) and memory that it changed. Numbers
are hexadecimal; `tests/oracle/record_golden.py` writes the file.
"""

import functools
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Final

from oracle.forms import value
from oracle.forms import vectors as random_vectors
from oracle.native import DEFAULT_VECTORS, MEMORY_SIZE, WINDOWS, Case, Result

FILE: Final = Path(__file__).parents[1] / "vectors" / "insn" / "processor.txt"
# What the processor that wrote the file is without, by Linux's names.
LACKING: Final = frozenset({"avx512_fp16"})
RUN: Final = 16  # equal bytes that end a run of differing ones
CHUNK: Final = 64  # compared at once


@functools.cache
def pattern() -> bytes:
    """Memory before every case, where the case does not say otherwise."""
    return bytes((11 + 29 * place + 3 * (place >> 8)) & 0xFF for place in range(MEMORY_SIZE))


def _registers(number: int) -> tuple[int, ...]:
    rng = Random(f"golden {number}")
    return tuple(value(rng) for _ in range(16))


def _narrow(registers: tuple[int, ...]) -> tuple[int, ...]:
    return (*(word & 0xFFFF_FFFF for word in registers[:8]), *[0] * 8)


@functools.cache
def vectors() -> bytes:
    """Vector, opmask and x87 registers before every case that has to do with them."""
    return random_vectors(Random("golden vectors"))


def settings(lines: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """The register files that a golden file names."""
    words = [line.split() for line in lines if line.startswith("setting ")]
    return {name: tuple(int(word, 16) for word in rest) for _, name, *rest in words}


def new_settings(count: int) -> dict[str, tuple[int, ...]]:
    """Register files for a new golden file: wide ones, and for other modes narrow ones."""
    wide = {f"w{number}": _registers(number) for number in range(count)}
    return wide | {f"n{name[1:]}": _narrow(registers) for name, registers in wide.items()}


def setting_lines(named: dict[str, tuple[int, ...]]) -> list[str]:
    """How the register files are written."""
    return [
        f"setting {name} {' '.join(f'{word:x}' for word in registers)}"
        for name, registers in named.items()
    ]


def _numbered(prefix: str, before: Sequence[int], after: Sequence[int]) -> Iterator[str]:
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        if old != new:
            yield f"{prefix}{number:x}={new:x}"


def _runs(before: bytes, after: bytes) -> Iterator[tuple[int, bytes]]:
    """Offset and contents of every stretch that differs."""
    differs = [
        at
        for chunk in range(0, len(before), CHUNK)
        if before[chunk : chunk + CHUNK] != after[chunk : chunk + CHUNK]
        for at in range(chunk, chunk + CHUNK)
        if before[at] != after[at]
    ]
    start = 0
    while start < len(differs):
        stop = start
        while stop + 1 < len(differs) and differs[stop + 1] - differs[stop] < RUN:
            stop += 1
        yield differs[start], after[differs[start] : differs[stop] + 1]
        start = stop + 1


def _address(offset: int) -> int:
    for address, size, _ in WINDOWS:
        if offset < size:
            return address + offset
        offset -= size
    raise ValueError(offset)


def _offset(address: int) -> int:
    start = 0
    for base, size, _ in WINDOWS:
        if base <= address < base + size:
            return start + address - base
        start += size
    raise ValueError(hex(address))


def _memory(before: bytes, after: bytes) -> Iterator[str]:
    for offset, contents in _runs(before, after):
        yield f"@{_address(offset):x}={contents.hex()}"


def _patched(before: bytes, words: Sequence[str]) -> bytes:
    memory = bytearray(before)
    for word in words:
        if word.startswith("@"):
            address, _, contents = word[1:].partition("=")
            offset, raw = _offset(int(address, 16)), bytes.fromhex(contents)
            memory[offset : offset + len(raw)] = raw
    return bytes(memory)


def _renumbered(prefix: str, before: Sequence[int], words: Sequence[str]) -> tuple[int, ...]:
    after = list(before)
    for word in words:
        name, _, number = word.partition("=")
        if name.startswith(prefix) and not (prefix == "" and name[0] in "sv@"):
            after[int(name[len(prefix) :], 16)] = int(number, 16)
    return tuple(after)


def _vector_words(raw: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(raw) // 8}Q", raw)


def _list(numbers: Sequence[int]) -> str:
    return ",".join(f"{number:x}" for number in numbers)


def _vectors_after(before: bytes, words: Sequence[str]) -> bytes:
    after = _renumbered("v", _vector_words(before), words)
    return struct.pack(f"<{len(after)}Q", *after)


def write(setting: str, registers: tuple[int, ...], case: Case, result: Result) -> str:
    """Return the line of a case and its result."""
    linear = case.rip if case.linear is None else case.linear
    head = [
        f"{case.mode} {case.code.hex()} {case.rip:x} {linear:x} {case.rflags:x}",
        f"{int(case.single_step)} {_list(case.selectors)} {_list(case.bases)} {setting}",
        *_numbered("", registers, case.gpr),
        *(["vectors"] if case.vectors != DEFAULT_VECTORS else []),
        *_memory(pattern(), case.memory),
    ]
    ended = "done" if result.vector is None else f"{result.vector:x},{result.error:x}"
    tail = [
        f"{ended} {result.cr2:x} {result.rip:x} {result.rflags:x}",
        *_numbered("", case.gpr, result.gpr),
        *_numbered("s", case.selectors, result.selectors),
        *_numbered("v", _vector_words(case.vectors), _vector_words(result.vectors)),
        *_memory(case.memory, result.memory),
    ]
    return f"{' '.join(head)} | {' '.join(tail)}"


def read(line: str, named: dict[str, tuple[int, ...]]) -> tuple[Case, Result]:
    """Return the case and the result of a line."""
    head, tail = (half.split() for half in line.split(" | "))
    mode, code, rip, linear, rflags, single_step, selectors, bases, setting, *changed = head
    fs_base, gs_base = (int(word, 16) for word in bases.split(","))
    case = Case(
        bytes.fromhex(code),
        int(mode),
        _renumbered("", named[setting], changed),
        int(rflags, 16),
        tuple(int(word, 16) for word in selectors.split(",")),
        (fs_base, gs_base),
        _patched(pattern(), changed),
        int(rip, 16),
        int(linear, 16),
        single_step == "1",
        vectors() if "vectors" in changed else DEFAULT_VECTORS,
    )
    ended, cr2, rip, rflags, *changed = tail
    vector, error = (None, 0) if ended == "done" else (int(word, 16) for word in ended.split(","))
    result = Result(
        vector,
        error or 0,
        int(cr2, 16),
        _renumbered("", case.gpr, changed),
        int(rip, 16),
        int(rflags, 16),
        _renumbered("s", case.selectors, changed),
        _patched(case.memory, changed),
        _vectors_after(case.vectors, changed),
    )
    return case, result
