# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
from collections.abc import Callable
from typing import Generic, TypeVar

from vmmkit.insn._outcomes import Outcome, Shape

_Function = TypeVar("_Function", bound=Callable[..., object])
_Insn = TypeVar("_Insn", bound=tuple[int, ...])

digest: str
sources: str

class Decoder(Generic[_Insn]):
    def __init__(self, decode: int, instruction: type[_Insn], /) -> None: ...
    def decode(self, code: object, mode: object, /) -> _Insn | int | None: ...
    def shortcut(self, otherwise: _Function, /) -> _Function: ...

class Core:
    def __init__(
        self,
        step: int,
        run: int,
        resume: int,
        vcpu: int,
        owner: object,
        shapes: tuple[Shape | None, ...],
        /,
    ) -> None: ...
    def step(self, answer: int, /) -> int: ...
    def advance(self, answer: object, /) -> Outcome | int | None: ...
    def proceed(self, budget: int, answer: object, /) -> Outcome | int | None: ...
    def run(self, budget: int, answer: int, /) -> int: ...
    def resume(self, answer: int, /) -> int: ...
