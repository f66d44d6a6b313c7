# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Which engine is live.

`VMMKIT_NATIVE` decides at import: unset prefers the native engine and falls back to the pure
one, `1` requires the native engine, `0` takes the pure one; anything else is refused. A native
engine that is there but stale or broken is an `ImportWarning` when it was merely preferred: two
engines built from different tables would disagree without a word, and a pure engine nobody chose
is slow. The pure engine is loaded when it is first named or when there is no other: nothing of it
is needed by who runs the native one.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Final, Protocol, TypeVar

from vmmkit.errors import EngineError
from vmmkit.insn._instruction import Instruction
from vmmkit.insn._memory import RamPiece
from vmmkit.insn._outcomes import Outcome

__all__ = [
    "IMPLEMENTATION",
    "BoundCore",
    "BoundDecoder",
    "Decode",
    "Engine",
    "available_engines",
    "engine_named",
]


class BoundCore(Protocol):
    """What an engine makes of one vCPU record and its RAM; methods return one of `EXIT_KINDS`."""

    def step(self, answer: int, /) -> int:
        """Execute one instruction."""
        ...

    def advance(self, answer: object, /) -> Outcome | int | None:
        """Do as `step`, and build the outcome if that is quick.

        Returns the kind for an outcome that is not; `None`, with nothing done, for an answer that
        must be looked at first.
        """
        ...

    def proceed(self, budget: int, answer: object, /) -> Outcome | int | None:
        """Do as `run`, for up to `RUN_SLICE` instructions, and build the outcome if that is quick.

        Returns as `advance`; `None` also for a budget that must be looked at first.
        """
        ...

    def run(self, budget: int, answer: int, /) -> int:
        """Execute up to `budget` instructions."""
        ...

    def resume(self, answer: int, /) -> int:
        """Go on after a device access."""
        ...


Decode = Callable[[object, object], Instruction | int | None]
"""Decodes `(code, mode)`; see `BoundDecoder.decode`."""

PublicDecode = TypeVar("PublicDecode", bound=Callable[..., Instruction])


class BoundDecoder(Protocol):
    """What an engine makes of the type that its decoder is to return."""

    @property
    def decode(self) -> Decode:
        """Takes `bytes` (the native engine: or any C-contiguous buffer) and the integer mode.

        Returns an `Instruction`, a number of `DECODE_FAILURES`, or `None` where the arguments are
        anything else and must be looked at more closely first.
        """
        ...

    def shortcut(self, function: PublicDecode, /) -> PublicDecode:
        """Return what should be public in place of `function`, the `decode` written in Python."""
        ...


class Engine(Protocol):
    """What `_pure` and `_native_engine` offer."""

    @property
    def NAME(self) -> str:  # noqa: N802 - a module's constant
        """Name to choose the engine by."""
        ...

    @property
    def Core(  # noqa: N802
        self,
    ) -> Callable[[bytearray, tuple[RamPiece, ...], bool, bool, bool], BoundCore]:
        """Binds a record and RAM.

        The last arguments say whether the caller takes blocks, whether exceptions and interrupts go
        to the guest, and whether the caller takes whole vectors.
        """
        ...

    @property
    def Decoder(self) -> Callable[[type[Instruction]], BoundDecoder]:  # noqa: N802
        """Binds the type to return; the type knows the engines, so they do not import it."""
        ...


def _load_native() -> Engine:
    from vmmkit.insn import _native_engine  # noqa: PLC0415 - only when it is wanted

    return _native_engine


def _load_pure() -> Engine:
    from vmmkit.insn import _pure  # noqa: PLC0415 - likewise

    return _pure


_LOADERS: Final[dict[str, Callable[[], Engine]]] = {
    "native": cache(_load_native),
    "pure": cache(_load_pure),
}


def _choose(wanted: str) -> tuple[str, ...]:
    """Names of the engines that can be used, the one to use first.

    Raises:
        EngineError: `wanted` is none of the three values, or `1` and there is no native engine.
    """
    if wanted not in {"", "0", "1"}:
        message = f"VMMKIT_NATIVE must be unset, 0 or 1, not {wanted!r}"
        raise EngineError(message)
    built = find_spec("vmmkit.insn._native") is not None
    if wanted == "0" or not (built or wanted):
        return ("pure",)
    try:
        _LOADERS["native"]()
    except EngineError as error:
        if wanted == "1":
            raise
        warnings.warn(str(error), ImportWarning, stacklevel=2)
        return ("pure",)
    return "native", "pure"


_ENGINES: Final = _choose(os.environ.get("VMMKIT_NATIVE", ""))

IMPLEMENTATION: Final = _ENGINES[0]
"""`"native"` or `"pure"`: the engine used where none is named."""


def available_engines() -> tuple[str, ...]:
    """Names of the engines that can be used, the preferred one first."""
    return _ENGINES


def engine_named(name: str | None) -> Engine:
    """Return an engine; `None` is the preferred one.

    Raises:
        EngineError: no such engine here.
    """
    wanted = name or IMPLEMENTATION
    if wanted not in _ENGINES:
        message = f"no engine {name!r} here; there is {', '.join(_ENGINES)}"
        raise EngineError(message)
    return _LOADERS[wanted]()
