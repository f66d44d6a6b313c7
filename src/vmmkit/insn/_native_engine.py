# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The native engine behind the same names as `_pure`: `Decoder` and `Core`.

It is two extension modules. `_native` is the engine, in C that knows nothing of Python; cffi lays
out its structures and says where its functions are. `_crossing` calls those functions and makes
Python objects of what they find. Importing this module fails with `EngineError` when either is
missing, or was built from another opcode table or another record layout than the Python files at
hand.
"""

from __future__ import annotations

import mmap
import sys
from typing import Any, Final, TypeVar

from vmmkit.errors import EngineError
from vmmkit.insn import _record
from vmmkit.insn._memory import PAGE, RamPiece
from vmmkit.insn._outcomes import SHAPES
from vmmkit.insn._sources import fingerprint

try:
    from vmmkit.insn import _crossing, _native
except ImportError as error:
    message = f"the native engine cannot be loaded ({error}); build it, or set VMMKIT_NATIVE=0"
    raise EngineError(message) from error

__all__ = ["NAME", "Core", "Decoder"]

Insn = TypeVar("Insn", bound=tuple[int, ...])

NAME: Final = "native"

ffi: Final[Any] = _native.ffi
lib: Final[Any] = _native.lib


def _wanted_digest() -> str:
    """What an engine that was built from the files at hand calls itself.

    Making the opcode table takes three times as long as loading the engine. So where the files are
    those that `_crossing` was built from, byte for byte, its own digest is the answer.
    """
    built_from = getattr(_crossing, "sources", "")
    if built_from and built_from == fingerprint():
        return _crossing.digest
    from vmmkit.insn import optable  # noqa: PLC0415

    return optable.digest(_record.layout())


_built_from: Final = {ffi.string(lib.vmmkit_digest()).decode(), _crossing.digest}
if _built_from != {_wanted_digest()}:
    message = "the native engine was built from another opcode table; rebuild it (make build)"
    raise EngineError(message)


def _address(pointer: Any) -> int:
    return int(ffi.cast("uintptr_t", pointer))


def _function(name: str) -> int:
    return _address(ffi.addressof(lib, name))


_STEP, _RUN, _RESUME = map(_function, ("vmmkit_step", "vmmkit_run", "vmmkit_resume"))


def Decoder(instruction: type[Insn]) -> _crossing.Decoder[Insn]:  # noqa: N802
    """Bind the type to return; as the class in `_pure`."""
    return _crossing.Decoder(_function("vmmkit_decode"), instruction)


def _anonymous_memory(size: int) -> mmap.mmap:
    """Zeros, which take up memory where they have been written only."""
    if sys.platform == "win32":
        return mmap.mmap(-1, size)
    # Not shared, or the caches of a forked child would be those of its parent.
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def _overlap_askew(ranges: list[tuple[int, int]]) -> bool:
    """Whether RAM pieces have memory in common, but not by whole pages.

    The caches notice stores to page tables by pages of host memory.
    """
    ordered = sorted(ranges)
    return any(
        below + size > above and (above - below) % PAGE
        for number, (below, size) in enumerate(ordered)
        for above, _ in ordered[number + 1 :]
    )


def Core(  # noqa: N802
    record: bytearray, ram: tuple[RamPiece, ...], blocks: bool, deliver: bool, wide: bool
) -> _crossing.Core:
    """Bind one vCPU record (`CPU_FIELDS`, 8 bytes a word) and its RAM; as the class in `_pure`."""
    pieces = ffi.new("vmmkit_piece[]", max(1, len(ram)))
    hosts = [ffi.from_buffer("uint8_t[]", piece.view) for piece in ram]
    for entry, piece, host in zip(pieces, ram, hosts, strict=False):
        entry.gpa, entry.last, entry.writable = piece.gpa, piece.last, piece.writable
        entry.host = ffi.cast("uint8_t *", host)
    cpu = ffi.from_buffer("vmmkit_cpu *", record)
    ranges = [(_address(host), len(host)) for host in hosts]
    caches = ffi.NULL
    if not _overlap_askew(ranges):
        caches = ffi.from_buffer(_anonymous_memory(lib.vmmkit_caches_size()))
    vcpu = ffi.new("vmmkit_vcpu *", (cpu, pieces, len(ram), blocks, deliver, wide, caches))
    # A C structure keeps nothing alive that it points at; the core does, through `owner`.
    owner = (vcpu, cpu, pieces, hosts, ram, caches)
    return _crossing.Core(_STEP, _RUN, _RESUME, _address(vcpu), owner, SHAPES)
