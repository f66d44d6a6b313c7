# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The public `decode`, and a cache of what it returned."""

from __future__ import annotations

from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Final

from vmmkit.errors import DecodeError, DecodeReason
from vmmkit.insn._engine import IMPLEMENTATION, BoundDecoder, Decode, engine_named
from vmmkit.insn._instruction import Instruction
from vmmkit.insn._record import DECODE_FAILURES, MAX_LENGTH

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["DecodeCache", "decode"]


@cache
def _decoder(engine: str) -> BoundDecoder:
    return engine_named(engine).Decoder(Instruction)


_DEFAULT: Final = _decoder(IMPLEMENTATION).decode
_MODES: Final = {16: 16, 32: 32, 64: 64}


@_decoder(IMPLEMENTATION).shortcut
def decode(code: Buffer, mode: int, *, engine: str | None = None) -> Instruction:
    """Decode the instruction at the start of `code`.

    Args:
        code: bytes; what follows the instruction does not matter, nor does anything past 15.
        mode: 16, 32 or 64, the default operand width of the code segment.
        engine: `"native"`, `"pure"`, or `None` for the preferred one.

    Raises:
        DecodeError: with `reason` TRUNCATED (more bytes are needed), INVALID (the processor raises
            #UD), TOO_LONG (more than 15 bytes: #GP) or UNKNOWN (not in the opcode table).
        ValueError: a mode that is none of the three.
        EngineError: no such engine.
    """
    function = _DEFAULT if engine is None else _decoder(engine).decode
    insn = function(code, mode)
    if type(insn) is Instruction:
        return insn
    return _decode_or_say_why(function, code, mode)


def _decode_or_say_why(function: Decode, code: Buffer, mode: int) -> Instruction:
    """Decode again with plain arguments; whatever is still wrong is the caller's or the guest's."""
    window, known_mode = _window(code), _known_mode(mode)
    insn = function(window, known_mode)
    if isinstance(insn, Instruction):
        return insn
    assert insn is not None, "plain arguments are never refused"
    reason = DecodeReason[DECODE_FAILURES[insn]]
    text = window.hex(" ") or "nothing"
    raise DecodeError(f"{reason.value} in {known_mode}-bit mode: {text}", reason, window)


def _window(code: Buffer) -> bytes:
    """Return the bytes that count of any buffer, whatever its items and its shape."""
    view = memoryview(code)
    if view.c_contiguous and view.nbytes:
        view = view.cast("B")[:MAX_LENGTH]
    return view.tobytes()[:MAX_LENGTH]


def _known_mode(mode: int) -> int:
    try:
        return _MODES[mode]
    except (KeyError, TypeError):
        message = f"mode is 16, 32 or 64, not {mode!r}"
        raise ValueError(message) from None


class DecodeCache:
    """Remembers what `decode` returned, by the bytes it was given and the mode.

    How long an instruction is shows only when it is decoded, so the key is all the bytes handed in,
    up to the 15 that count. Who always hands in the 15 bytes at RIP finds an instruction again only
    while what follows it stays the same, as code does. A hit costs a probe of a dict and returns
    the one object kept. Bytes that do not decode are not kept.

    When `capacity` instructions are kept and another one comes, all are forgotten: keeping them in
    the order of use would cost every hit. Threads may share a cache.

    >>> from vmmkit.insn import DecodeCache
    >>> cache = DecodeCache()
    >>> first = cache.decode(bytes.fromhex("8b03"), 64)
    >>> cache.decode(bytes.fromhex("8b03"), 64) is first, len(cache)
    (True, 1)

    Args:
        capacity: instructions kept, of all modes together; at least 1.
        engine: who decodes what is not kept; as for `decode`.

    Raises:
        ValueError: a capacity that is no integer from 1.
        EngineError: no such engine.
    """

    __slots__ = ("_by_mode", "_lock", "capacity", "engine")

    def __init__(self, capacity: int = 4096, *, engine: str | None = None) -> None:
        """Start empty."""
        if not isinstance(capacity, int) or capacity < 1:
            message = f"a decode cache keeps 1 instruction or more, not {capacity!r}"
            raise ValueError(message)
        self.capacity = capacity
        self.engine = engine_named(engine).NAME
        # One dict a mode: making a key of both would cost as much as the probe.
        self._by_mode: Final[dict[int, dict[Buffer, Instruction]]] = {16: {}, 32: {}, 64: {}}
        self._lock: Final = Lock()

    def decode(self, code: Buffer, mode: int) -> Instruction:
        """Return what `vmmkit.insn.decode` would, or raise what it would."""
        try:
            return self._by_mode[mode][code]
        except (KeyError, TypeError, ValueError):  # not kept, cannot be a key, or no mode
            return self._decode(code, mode)

    def _decode(self, code: Buffer, mode: int) -> Instruction:
        """Decode and keep; only here are keys made, and always of bytes that cannot change."""
        window, known_mode = _window(code), _known_mode(mode)
        kept = self._by_mode[known_mode]
        found = kept.get(window)
        if found is not None:
            return found
        insn = decode(window, known_mode, engine=self.engine)
        with self._lock:
            if window not in kept and len(self) >= self.capacity:
                self.clear()
            return kept.setdefault(window, insn)

    def clear(self) -> None:
        """Forget all."""
        for kept in self._by_mode.values():
            kept.clear()

    def __len__(self) -> int:
        """Instructions kept."""
        return sum(map(len, self._by_mode.values()))
