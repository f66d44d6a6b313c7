# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""How an opcode and its arguments become bytes, and how relocations move along.

ACPI Specification, AML Grammar Definition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol, TypeAlias

from vmmkit.acpi.aml.opcodes import Opcode
from vmmkit.acpi.relocation import Relocation
from vmmkit.errors import AmlValueError

__all__ = ["Encoded", "encode", "encode_list", "framed", "package_length", "shifted", "shown"]


class _Encodes(Protocol):
    """What has bytes: a node."""

    encoded: bytes
    relocations: tuple[Relocation, ...]


#: Bytes, and the relocations in them.
Encoded: TypeAlias = tuple[bytes, tuple[Relocation, ...]]

# Package length limits by bytes of its encoding, which counts itself.
_LENGTH_LIMITS: Final = ((1, 0x3F), (2, 0xFFF), (3, 0xF_FFFF), (4, 0xFFF_FFFF))
_MAX_LENGTH: Final = _LENGTH_LIMITS[-1][1]
# Characters or bytes of a value, and bits of a number, that an error shows.
_SHOWN: Final = 64
_SHORT: Final = tuple(bytes((size + 1,)) for size in range(0x3F))


def package_length(size: int, *, counts_itself: bool = True) -> bytes:
    """Return a package length (PkgLength) in as many bytes as ACPICA's compiler takes.

    ACPI Specification, AML Grammar Definition, "Package Length Encoding". Those are the fewest,
    except for field units of 63, 4094, 4095, or 2**20 - 3 to 2**20 - 1 bits: ACPICA counts the
    length itself in for them as well when it chooses how many bytes to take.

    Args:
        size: bytes that follow it, or bits of a field unit.
        counts_itself: the length of a field unit does not.

    Raises:
        AmlValueError: beyond 2**28 - 1.
    """
    if counts_itself and size < 0x3F:
        return _SHORT[size]
    count = next((count for count, limit in _LENGTH_LIMITS if size + count <= limit), 4)
    length = size + count if counts_itself else size
    if length > _MAX_LENGTH:
        raise AmlValueError(f"a package of {size} bytes; the limit is {_MAX_LENGTH:#x}")
    if count == 1:
        return bytes((length,))
    lead = (count - 1) << 6 | length & 0xF
    return bytes((lead,)) + (length >> 4).to_bytes(count - 1, "little")


def shown(value: object) -> str:
    """Return what an error says of a value: its `repr`, but never a long one."""
    if isinstance(value, int) and value.bit_length() > _SHOWN:
        return f"a number of {value.bit_length()} bits"
    if isinstance(value, (str, bytes)):
        some = value[:_SHOWN] if isinstance(value, str) else value[: _SHOWN // 4]
        return repr(value) if some == value else f"{some!r}..."
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        text = f"a {type(value).__name__}"
    return text if len(text) <= 2 * _SHOWN else f"{text[: 2 * _SHOWN]}..."


def framed(code: bytes, parts: list[bytes]) -> bytes:
    """Return the code of an opcode, the package length, and the parts."""
    size = sum(map(len, parts))
    return b"".join((code, package_length(size), *parts))


def shifted(relocations: Iterable[Relocation], offset: int) -> tuple[Relocation, ...]:
    """Return relocations of something that begins `offset` bytes in."""
    return tuple([place._replace(offset=place.offset + offset) for place in relocations])


def encode_list(nodes: Iterable[_Encodes]) -> Encoded:
    """Return the bytes of nodes one after the other, and their relocations."""
    parts: list[bytes] = []
    relocations: list[Relocation] = []
    size = 0
    for node in nodes:
        parts.append(node.encoded)
        if node.relocations:
            relocations.extend(shifted(node.relocations, size))
        size += len(node.encoded)
    return b"".join(parts), tuple(relocations)


def encode(opcode: Opcode, args: tuple[Any, ...]) -> Encoded:
    """Return the bytes and relocations of an opcode with its arguments.

    Raises:
        AmlValueError: too few or too many, or one that is not as the opcode's row says.
    """
    if len(args) != len(opcode.args):
        raise AmlValueError(f"{opcode.name} takes {len(opcode.args)} arguments, not {len(args)}")
    parts: list[bytes] = []
    relocations: list[Relocation] = []
    size = 0
    for letter, arg in zip(opcode.args, args, strict=True):
        content, found = _ARGUMENTS[letter](opcode, arg)
        if found:
            relocations.extend(shifted(found, size))
        parts.append(content)
        size += len(content)
    head = opcode.code + package_length(size) if opcode.package else opcode.code
    return b"".join((head, *parts)), shifted(relocations, len(head))


def _node(opcode: Opcode, arg: Any) -> Encoded:
    try:
        return arg.encoded, arg.relocations
    except AttributeError:
        raise AmlValueError(f"{opcode.name} takes a node here, not {shown(arg)}") from None


def _target(opcode: Opcode, arg: Any) -> Encoded:
    return (b"\0", ()) if arg is None else _node(opcode, arg)


def _number(size: int) -> Callable[[Opcode, Any], Encoded]:
    def encode(opcode: Opcode, arg: Any) -> Encoded:
        if not isinstance(arg, int) or not 0 <= arg < 1 << 8 * size:
            limits = f"from 0 to {(1 << 8 * size) - 1:#x}"
            raise AmlValueError(f"{opcode.name} takes a number {limits} here, not {shown(arg)}")
        return arg.to_bytes(size, "little"), ()

    return encode


def _characters(opcode: Opcode, arg: Any) -> Encoded:
    if not isinstance(arg, str) or not arg.isascii() or "\0" in arg:
        raise AmlValueError(f"{opcode.name} holds ASCII characters without NUL, not {shown(arg)}")
    return arg.encode("ascii") + b"\0", ()


def _listed(opcode: Opcode, arg: Any) -> Encoded:
    try:
        return encode_list(arg)
    except (AttributeError, TypeError):
        raise AmlValueError(f"{opcode.name} takes a list of nodes here") from None


_ARGUMENTS: Final[dict[str, Callable[[Opcode, Any], Encoded]]] = {
    "N": _node,
    "T": _node,
    "S": _node,
    "t": _target,
    "B": _number(1),
    "W": _number(2),
    "D": _number(4),
    "Q": _number(8),
    "Z": _characters,
    "X": lambda _opcode, arg: (bytes(arg), ()),
    "L": _listed,
    "E": _listed,
    "F": _listed,
}
