# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Ports: how one vCPU reads and writes an address map, at the price of two dict probes.

A port keeps, for each direction, a dict from access size to a dict from *exact address* to an
entry `(handler, where, mask, owner)`. Everything that can be decided about an access is decided
when its (size, address) pair is first seen, under the map's lock, and is in the entry: which
region answers, the offset or absolute address the handler is told, the region's policy, what
straddling means here, the width of the result. A hit runs no check, takes no lock and does no
arithmetic but the mask. Probing by size is at the same time the check that the size is legal.

Why exact addresses and not pages, as a TLB would have? A page needs a shift to make the key, a
test and a subtraction to make the offset, and special care at every edge; without that care it
was measured to cost 10 to 20 % more than this. Guests hammer a few registers of each device, and
a table of those is small. The price is paid by a sweep over a large trapped window, whose every
address is a miss once; the tree's memory of its last answer makes those misses cheaper.

Rules:

- Any change of the map empties every table, under the lock under which misses fill them. So a
  stale entry cannot be written after the change that made it stale.
- An access that is refused, unmapped, or answered by a fallback range leaves no entry.
- A table that reaches `TABLE_LIMIT` entries is emptied and starts again.
- The handler runs with no lock held. `quiesce` finds running handlers without help from them:
  it looks for activations of the functions below in the stacks of the other threads.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from time import monotonic, sleep
from types import CodeType, FrameType
from typing import Any, Protocol

from vmmkit.errors import AccessValueError, BusError, HandlerError, RegionError

__all__ = [
    "SPARSE_AT",
    "TABLE_LIMIT",
    "Entry",
    "Fill",
    "Owner",
    "Table",
    "bind_read",
    "bind_write",
    "empty",
    "make_room",
    "quiesce",
]

#: Entries one table (one direction, one access size) may hold; about 180 bytes each.
TABLE_LIMIT = 131072
#: With so many entries a table is made sparse.
SPARSE_AT = 2
#: Keys put into a sparse table and taken out again: enough for CPython to give it 2048 places, and
#: half of what it then takes before it is packed anew.
SPARSE_KEYS = 683
SPARSE_BYTES = 20_000
#: A table with so few entries is emptied one by one, which leaves a sparse one sparse.
FEW = 64


class Described(Protocol):
    """A region, as far as an error message needs it."""

    @property
    def name(self) -> str:
        """What the user called it."""
        ...

    def describe(self) -> str:
        """Name and range."""
        ...


#: Who answers: one region, or all those that an access touches.
Owner = Described | tuple[Described, ...]
#: Handler, what to tell it for an address, mask of the result (`None`: trusted), and who it is.
Entry = tuple[Callable[..., int], int, Any, Owner]
#: Access size to address to entry.
Table = dict[int, dict[int, Entry]]
#: Called on a miss with address and size: resolves, stores where allowed, raises where refused.
Fill = Callable[[Any, Any], Entry]


def make_room(cell: dict[int, Entry]) -> dict[int, Entry]:
    """Return what a table goes on with at `SPARSE_AT` entries: the same ones in a dict with room.

    CPython places integers by their low bits, so the same register of page-aligned windows always
    collides in a small dict, and each access probes its way past the others: up to a fifth of the
    whole cost. In a dict with room the second probe, which looks at higher bits, ends it. A dict
    keeps its room while entries are deleted one by one. (`update` would not do: an empty dict takes
    over the layout of the other.)
    """
    if cell.__sizeof__() >= SPARSE_BYTES:
        return cell  # it was made sparse before, and emptied one by one
    sparse: dict[int, Any] = dict.fromkeys(range(SPARSE_KEYS))
    for number in range(SPARSE_KEYS):
        del sparse[number]
    for address, entry in cell.items():
        sparse[address] = entry  # noqa: PERF403
    cell.clear()  # another thread may have it in hand, and must not find there what changes later
    return sparse


def empty(cell: dict[int, Entry]) -> None:
    """Take everything out of a table."""
    if len(cell) > FEW:
        cell.clear()
        return
    for address in tuple(cell):
        del cell[address]


def bind_read(table: Table, vcpu: object, fill: Fill) -> Callable[[int, int], int]:
    """Make the read function of one port."""

    def read(address: int, size: int, /) -> int:
        try:
            handler, where, mask, owner = table[size][address]
        except KeyError:
            try:
                handler, where, mask, owner = fill(address, size)
            except RegionError as refusal:
                raise refusal from None  # that a table missed is nobody's business
        except TypeError:  # unhashable; apart, since matching a tuple would slow every miss
            handler, where, mask, owner = fill(address, size)
        try:
            if mask is None:
                return handler(vcpu, where, size)
            return handler(vcpu, where, size) & mask  # type: ignore[no-any-return]
        except (BusError, HandlerError):  # of a nested access, too: once told is enough
            raise
        except Exception as error:
            raise handler_error("read", address, size, owner, error) from error

    return read


def bind_write(table: Table, vcpu: object, fill: Fill) -> Callable[[int, int, int], None]:
    """Make the write function of one port."""

    def write(address: int, size: int, value: int, /) -> None:
        try:
            handler, where, mask, owner = table[size][address]
        except KeyError:
            try:
                handler, where, mask, owner = fill(address, size)
            except RegionError as refusal:
                raise refusal from None  # that a table missed is nobody's business
        except TypeError:  # unhashable; apart, since matching a tuple would slow every miss
            handler, where, mask, owner = fill(address, size)
        try:
            value &= mask
        except TypeError as error:
            raise AccessValueError(
                f"write of {size} bytes at {int(address):#x}: {value!r} is no integer",
                address,
                size,
            ) from error
        try:
            handler(vcpu, where, size, value)
        except (BusError, HandlerError):  # of a nested access, too: once told is enough
            raise
        except Exception as error:
            raise handler_error("write", address, size, owner, error) from error

    return write


def handler_error(
    direction: str, address: int, size: int, owner: Owner, error: Exception
) -> HandlerError:
    """Say which region's handler failed, where, and with what."""
    regions = owner if isinstance(owner, tuple) else (owner,)
    return HandlerError(
        f"handler of {' and '.join(region.describe() for region in regions)}: "
        f"{direction} of {size} bytes at {int(address):#x}: {type(error).__name__}: {error}",
        address,
        size,
        regions[0].name,
    )


# -- waiting until no handler runs ----------------------------------------------------------------


def _inner_code(function: Callable[..., Any]) -> CodeType:
    """Return the code object shared by every closure that `function` makes."""
    return next(code for code in function.__code__.co_consts if isinstance(code, CodeType))


_ACTIVATIONS = frozenset({_inner_code(bind_read), _inner_code(bind_write)})
_SUSPENDABLE = CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR
_ATTEMPTS = 200
_LONGEST_NAP = 0.001


def quiesce(region: Described, timeout: float | None) -> bool:
    """Wait until no other thread is inside a handler of `region`.

    The region must have left the map, and the tables been emptied, before. From then on no
    access can find it, so only the activations of `read` and `write` that are on some stack
    *now* matter: they are collected once and each is waited for. No access pays for this: there
    is nothing on the hit path, neither a counter nor a token.

    An activation whose locals do not say yet whom it will call (it is inside `fill`) is waited
    for until they do. The calling thread is exempt, so a handler may close its own region.

    Args:
        region: the region that was closed.
        timeout: seconds to wait at most, or `None` for as long as it takes.

    Returns:
        Whether the region is quiet; `False` only after `timeout`.
    """
    deadline = None if timeout is None else monotonic() + timeout
    nap = 0.00001
    busy = [frame for frame in _foreign_activations() if _may_call(frame, region)]
    while busy:
        if deadline is not None and monotonic() >= deadline:
            return False
        sleep(nap)
        nap = min(2 * nap, _LONGEST_NAP)
        busy = [frame for frame in busy if _is_running(frame) and _may_call(frame, region)]
    return True


def _may_call(frame: FrameType, region: Described) -> bool:
    """Tell whether an activation has chosen `region`, or has not chosen yet."""
    owner = frame.f_locals.get("owner", region)
    return owner is region or (isinstance(owner, tuple) and any(o is region for o in owner))


def _is_running(frame: FrameType) -> bool:
    """Tell whether a frame is still on its thread's stack: only then does it refuse `clear`."""
    try:
        frame.clear()
    except RuntimeError:
        return True
    return False


def _foreign_activations() -> list[FrameType]:
    """List the activations of `read` and `write` on the stacks of all other threads."""
    own = threading.get_ident()
    others = [thread for thread in sys._current_frames() if thread != own]
    return [
        frame for thread in others for frame in _whole_stack(thread) if frame.f_code in _ACTIVATIONS
    ]


def _whole_stack(thread: int) -> list[FrameType]:
    """List the frames of one thread, innermost first.

    The thread goes on running while its stack is walked. That does no harm as long as links stay
    (a frame that returns keeps its link to its caller), with one exception: a generator that is
    suspended in the middle of the walk loses its link. A stack that seems to begin in a
    generator is therefore looked at again; only a thread that truly begins in one gets through
    all attempts.
    """
    frames: list[FrameType] = []
    for _ in range(_ATTEMPTS):
        frames = [*_callers(sys._current_frames().get(thread))]
        if not frames or not frames[-1].f_code.co_flags & _SUSPENDABLE:
            break
        sleep(0)
    return frames


def _callers(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
