# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What a region does with an access: policies.

Everything here is a pure function of numbers. A port looks an access up by its exact address
and size, so the whole policy is judged once, when that pair is first seen, and the result is
what the port keeps: the device's own handler for an access that complies, a loop over pieces
for one that is to be split, a constant for one that reads as ones. An access that complies with
its region's policy therefore costs the same as one to a region that has no policy at all.

Order of judgement, the first that applies wins:

1. READ or WRITE missing          -> `denied`
2. wider than `max_size`          -> `too_wide`
3. narrower than `min_size`       -> `too_narrow`
4. not a multiple of its own size -> `misaligned`, only where `aligned` is asked for

Alignment is that of the offset in the region, because a device states its policy without
knowing where it will live.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Literal, NamedTuple

import attrs

from vmmkit.errors import AccessSizeError, DeniedError, RegionConfigError

__all__ = ["MASKS", "AccessPolicy", "Logged", "Piece", "Refusal", "natural_parts"]

#: Low `size` bytes set, for every size an access can have.
MASKS = {size: (1 << 8 * size) - 1 for size in (1, 2, 4, 8, 16, 32, 64)}

Verdict = Literal["raise", "ones", "log"]
SplitVerdict = Literal["raise", "ones", "log", "split"]

#: A part of an access: offset in the region and size, both in bytes.
Part = tuple[int, int]
#: A part ready to run: handler, offset or address, size, mask, and its bit position.
Piece = tuple[Callable[..., Any], int, int, int, int]


class Logged(NamedTuple):
    """An access that is answered as by nobody, with a warning that says why."""

    refusal: Refusal


class Refusal(Enum):
    """Why a policy turns an access down: the error class and the words for it."""

    DENIED = DeniedError, "is not permitted in"
    TOO_WIDE = AccessSizeError, "is wider than allowed in"
    TOO_NARROW = AccessSizeError, "is narrower than allowed in"
    MISALIGNED = DeniedError, "is misaligned in"

    def error(
        self, what: str, region: str, name: str, address: int, size: int
    ) -> AccessSizeError | DeniedError:
        """Build the exception: `what` describes the access, `region` the region."""
        kind, words = self.value
        error: AccessSizeError | DeniedError = kind(f"{what} {words} {region}", address, size, name)
        return error


Judgement = Sequence[Part] | Logged | Refusal


def _one_of(*choices: object) -> Any:
    """Make a field validator that takes these values and names them when it refuses another."""

    def check(_policy: AccessPolicy, field: attrs.Attribute[Any], value: object) -> None:
        if value not in choices:
            raise RegionConfigError(f"{field.name} is one of {choices}, not {value!r}")

    return check


@attrs.frozen(kw_only=True)
class AccessPolicy:
    """Which accesses a region takes, and what becomes of the others.

    Each verdict is one word. `"raise"`: the caller gets a typed error. `"ones"`: reads give all
    ones, writes are dropped, as on a bus where nobody answers. `"log"`: the same, and the logger
    `vmmkit.memregion` gets a warning each time. `"split"`: the access is made as
    several accesses of at most `max_size` bytes in ascending address order, naturally aligned
    ones where `aligned` is set. Splitting is not atomic: two vCPUs may interleave.

    Args:
        min_size: narrowest access the handler sees, in bytes: 1, 2, 4 ... 64.
        max_size: widest access the handler sees. 16, 32 or 64 here is how a region opts in to
            vector-sized accesses, which every other region refuses.
        aligned: whether an access must lie at a multiple of its size, counted from the region's
            base.
        denied: verdict on a read without READ or a write without WRITE.
        too_wide: verdict on accesses above `max_size`.
        too_narrow: verdict on accesses, or pieces of split ones, below `min_size`.
        misaligned: verdict on misaligned accesses where `aligned` is set.

    Raises:
        RegionConfigError: `min_size` or `max_size` is no power of two from 1 to 64, they cross, or
            a verdict is an unknown word.
    """

    min_size: int = attrs.field(default=1, validator=_one_of(*MASKS))
    max_size: int = attrs.field(default=8, validator=_one_of(*MASKS))
    aligned: bool = False
    denied: Verdict = attrs.field(default="raise", validator=_one_of("raise", "ones", "log"))
    too_wide: SplitVerdict = attrs.field(
        default="raise", validator=_one_of("raise", "ones", "log", "split")
    )
    too_narrow: Verdict = attrs.field(default="raise", validator=_one_of("raise", "ones", "log"))
    misaligned: SplitVerdict = attrs.field(
        default="raise", validator=_one_of("raise", "ones", "log", "split")
    )

    #: Sizes that comply at any offset: for these there is nothing to judge.
    free_sizes: frozenset[int] = attrs.field(init=False, eq=False, repr=False)

    @free_sizes.default
    def _find_free_sizes(self) -> frozenset[int]:
        widest = 0 if self.aligned else self.max_size
        return frozenset(size for size in MASKS if self.min_size <= size <= widest)

    def __attrs_post_init__(self) -> None:
        """Refuse limits that no access could meet."""
        if self.min_size > self.max_size:
            raise RegionConfigError(f"min_size {self.min_size} exceeds max_size {self.max_size}")

    def judge(self, offset: int, size: int, permitted: bool) -> Judgement:
        """Say how an access is to be made.

        Args:
            offset: first byte, counted from the region's base.
            size: bytes, a power of two from 1 to 64.
            permitted: whether the region's flags allow this direction.

        Returns:
            The parts to perform in order, none for "all ones, or dropped", the same with a warning
            (`Logged`), or a `Refusal`.
        """
        if not permitted:
            return _verdict(self.denied, Refusal.DENIED)
        if size > self.max_size:
            return self._split(offset, size, self.too_wide, Refusal.TOO_WIDE)
        if size < self.min_size:
            return _verdict(self.too_narrow, Refusal.TOO_NARROW)
        if self.aligned and offset % size:
            return self._split(offset, size, self.misaligned, Refusal.MISALIGNED)
        return ((offset, size),)

    def _split(self, offset: int, size: int, verdict: SplitVerdict, refusal: Refusal) -> Judgement:
        if verdict != "split":
            return _verdict(verdict, refusal)
        parts = natural_parts(offset, size, self.max_size, 1 if self.aligned else self.max_size)
        if any(part_size < self.min_size for _, part_size in parts):
            return _verdict(self.too_narrow, Refusal.TOO_NARROW)
        return parts


def _verdict(word: Verdict, refusal: Refusal) -> Judgement:
    if word == "log":
        return Logged(refusal)
    return () if word == "ones" else refusal


def natural_parts(offset: int, size: int, widest: int, slack: int = 1) -> list[Part]:
    """Cut `size` bytes at `offset` into power-of-two parts of at most `widest` bytes.

    A part lies at a multiple of its own size, or at any offset once it is no wider than `slack`.
    """
    parts = []
    stop = offset + size
    while offset < stop:
        part = widest
        while part > stop - offset or (part > slack and offset % part):
            part >>= 1
        parts.append((offset, part))
        offset += part
    return parts
