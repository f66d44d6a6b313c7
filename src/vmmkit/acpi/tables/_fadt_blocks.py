# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The FADT's register blocks: one value for each, of which the FADT makes three fields.

The FADT says where a block is twice, as a port and as a GAS, and how long it is twice, in bytes
and in bits. Systems that find a contradiction may take either.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import attrs

from vmmkit.acpi.tables.gas import AccessSize, AddressSpace, Gas
from vmmkit.errors import TableValueError

__all__ = ["RegisterBlock", "RegisterBlocks"]

_MAX_LENGTH = 255
_MAX_BITS = 255


@attrs.frozen
class RegisterBlock:
    """Where a block of registers is; `RegisterBlock.io` and `.mem` are shorter ways to make one.

    Args:
        address_space_id: an `AddressSpace`.
        address: of the first byte, not 0.
        length: bytes, 1 to 255.

    Raises:
        TableValueError: a length or port out of range.
    """

    address_space_id: int
    address: int
    length: int

    def __attrs_post_init__(self) -> None:
        """Check the range."""
        if not isinstance(self.address, int) or not isinstance(self.length, int):
            raise TableValueError(
                f"RegisterBlock: no numbers: {self.length!r} bytes at {self.address!r}", "FACP"
            )
        limit = 1 << (16 if self.address_space_id == AddressSpace.SYSTEM_IO else 64)
        fits = 0 < self.address <= limit - self.length
        if not (1 <= self.length <= _MAX_LENGTH and fits):
            raise TableValueError(
                f"RegisterBlock: {self.length} bytes at {self.address:#x} are not 1 to "
                f"{_MAX_LENGTH} bytes between 1 and {limit - 1:#x}",
                "FACP",
            )

    @classmethod
    def io(cls, port: int, length: int) -> Self:
        """Return a block of `length` bytes in port space."""
        return cls(AddressSpace.SYSTEM_IO, port, length)

    @classmethod
    def mem(cls, address: int, length: int) -> Self:
        """Return a block of `length` bytes in memory; only the 64-bit fields can say that."""
        return cls(AddressSpace.SYSTEM_MEMORY, address, length)

    @property
    def port(self) -> int:
        """What the 32-bit field says: the port; 0 if it is not in port space."""
        return self.address if self.address_space_id == AddressSpace.SYSTEM_IO else 0

    def gas(self, access_size: int) -> Gas:
        """Return what the 64-bit field says; a GAS cannot say more than 255 bits."""
        bits = min(8 * self.length, _MAX_BITS)
        return Gas(self.address_space_id, bits, 0, access_size, self.address)


class _Kind(NamedTuple):
    """What is known of a kind of block.

    Attributes:
        length_field: of the FADT.
        lengths: that are allowed, in bytes.
        access_size: of its registers.
    """

    length_field: str
    lengths: range
    access_size: AccessSize


# A PM1 event block is a status and an enable register of at least 16 bits each; a control block
# one of at least 16 bits. A GPE block is as many status as enable bytes.
_PM1_EVT = _Kind("pm1_evt_len", range(4, 256, 2), AccessSize.WORD)
_PM1_CNT = _Kind("pm1_cnt_len", range(2, 256), AccessSize.WORD)
_PM2_CNT = _Kind("pm2_cnt_len", range(1, 256), AccessSize.BYTE)
_PM_TMR = _Kind("pm_tmr_len", range(4, 5), AccessSize.DWORD)
_GPE0 = _Kind("gpe0_blk_len", range(2, 256, 2), AccessSize.BYTE)
_GPE1 = _Kind("gpe1_blk_len", range(2, 256, 2), AccessSize.BYTE)
_KINDS = {
    "pm1a_evt": _PM1_EVT,
    "pm1b_evt": _PM1_EVT,
    "pm1a_cnt": _PM1_CNT,
    "pm1b_cnt": _PM1_CNT,
    "pm2_cnt": _PM2_CNT,
    "pm_tmr": _PM_TMR,
    "gpe0": _GPE0,
    "gpe1": _GPE1,
}


@attrs.frozen
class RegisterBlocks:
    """The fixed registers of a machine.

    Args:
        pm1a_evt: PM1 event registers, 4 bytes or more.
        pm1a_cnt: PM1 control register, 2 bytes or more.
        pm1b_evt: of the second chip, as long as those of the first.
        pm1b_cnt: of the second chip, as long as that of the first.
        pm2_cnt: PM2 control register, 1 byte or more.
        pm_tmr: PM timer, 4 bytes.
        gpe0: general-purpose events from 0 on, an even number of bytes.
        gpe1: further general-purpose events, an even number of bytes.
        gpe1_base: number of the first event in `gpe1`.

    Raises:
        TableValueError: a length that its kind of block cannot have, or twins that differ.
    """

    pm1a_evt: RegisterBlock | None = None
    pm1a_cnt: RegisterBlock | None = None
    pm1b_evt: RegisterBlock | None = attrs.field(default=None, kw_only=True)
    pm1b_cnt: RegisterBlock | None = attrs.field(default=None, kw_only=True)
    pm2_cnt: RegisterBlock | None = attrs.field(default=None, kw_only=True)
    pm_tmr: RegisterBlock | None = attrs.field(default=None, kw_only=True)
    gpe0: RegisterBlock | None = attrs.field(default=None, kw_only=True)
    gpe1: RegisterBlock | None = attrs.field(default=None, kw_only=True)
    gpe1_base: int = attrs.field(default=0, kw_only=True)

    def __attrs_post_init__(self) -> None:
        """Check the lengths."""
        self.fields()

    def fields(self) -> dict[str, Any]:
        """Return the FADT's fields by name: address, length and GAS of each block there is."""
        found: dict[str, Any] = {"gpe1_base": self.gpe1_base}
        for name, kind in _KINDS.items():
            block: RegisterBlock | None = getattr(self, name)
            if block is not None:
                if not isinstance(block, RegisterBlock):
                    raise TableValueError(
                        f"RegisterBlocks.{name} is no RegisterBlock: {block!r}", "FACP"
                    )
                _check_length(name, kind, block.length, found)
                found[f"{name}_blk"] = block.port
                found[kind.length_field] = block.length
                found[f"x_{name}_blk"] = block.gas(kind.access_size)
        return found


def _check_length(name: str, kind: _Kind, length: int, found: dict[str, Any]) -> None:
    allowed = kind.lengths
    if length not in allowed:
        raise TableValueError(
            f"RegisterBlocks.{name} has {length} bytes, not {allowed[0]} to {allowed[-1]} "
            f"in steps of {allowed.step}",
            "FACP",
        )
    twin = found.get(kind.length_field, length)
    if length != twin:
        raise TableValueError(
            f"RegisterBlocks.{name} has {length} bytes, its twin {twin}: "
            f"{kind.length_field} is for both",
            "FACP",
        )
