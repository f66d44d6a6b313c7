# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""From a packet to the function that answers it.

A module of this package that answers packets exports `PACKETS`, functions by packet name, and may
export `features`, a function from the stub to the words it adds to the reply of qSupported.

A name is one character, or for packets that begin with `q`, `Q`, `v`, `j` or `_` the word
characters, dots and question marks they begin with; `qXfer` and `qSearch` go on with their object
and operation, and `bs` and `bc` are names too. The function gets what follows the name, without
the one separator (`,`, `:`, `;`, `=`) between.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Mapping
from itertools import chain
from types import ModuleType
from typing import TYPE_CHECKING, Final

from vmmkit.gdb.codec import hex_number
from vmmkit.gdb.spec import ErrorCode

if TYPE_CHECKING:
    from vmmkit.gdb.stub import Stub

__all__ = ["Handler", "PacketError", "PacketTable", "Reply", "number", "split"]

Reply = bytes | None | Generator[None, None, bytes]
"""What answers a packet: its reply, possibly empty; `None` where the reply comes later; or a
generator that yields between slices of at most about a millisecond and returns the reply."""

Handler = Callable[["Stub", bytes], Reply]

NAMED: Final = re.compile(
    rb"(qXfer:[\w-]+:(?:read|write)|qSearch:\w+|qRegisterInfo|b[cs]$|[qQvj_][\w.]*\??)[,:;=]?",
    re.ASCII,
)
LONG: Final = frozenset(b"qQvjb_")


class PacketError(Exception):
    """A packet that is answered with an error; raised by handlers."""

    def __init__(self, code: ErrorCode, message: str = "") -> None:
        """Keep the number and the text."""
        super().__init__(code, message)
        self.code = code
        self.message = message


def split(packet: bytes) -> tuple[bytes, bytes]:
    """Return a packet's name, and what follows it."""
    if packet and packet[0] in LONG:
        found = NAMED.match(packet)
        if found is not None:
            return found[1], packet[found.end() :]
    return packet[:1], packet[1:]


def number(text: bytes) -> int:
    """Return a number that a packet gives in hexadecimal digits.

    Raises:
        PacketError: it is none, or has more than 64 bits.
    """
    try:
        return hex_number(text)
    except ValueError as error:
        raise PacketError(ErrorCode.MALFORMED, str(error)) from None


class PacketTable:
    """The packets of some modules."""

    def __init__(self, modules: Iterable[ModuleType]) -> None:
        """Collect them; no name may occur twice."""
        self._modules = tuple(modules)
        rows = [tuple(module.PACKETS.items()) for module in self._modules]
        self._handlers: Mapping[bytes, Handler] = {
            name.encode(): handler for name, handler in chain.from_iterable(rows)
        }
        assert len(self._handlers) == sum(map(len, rows))

    @property
    def names(self) -> frozenset[str]:
        """The names of all packets."""
        return frozenset(name.decode() for name in self._handlers)

    def find(self, packet: bytes) -> tuple[Handler | None, bytes]:
        """Return the function for a packet, if there is one, and its argument."""
        name, rest = split(packet)
        return self._handlers.get(name), rest

    def features(self, stub: Stub) -> list[bytes]:
        """Collect what the modules announce in the reply of qSupported."""
        found = [module.features(stub) for module in self._modules if hasattr(module, "features")]
        return list(chain.from_iterable(found))
