# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""FADT: the fixed registers, ACPI's interrupt, reset, and where DSDT and FACS are.

ACPI Specification, Fixed ACPI Description Table (FADT). Its signature is "FACP".
"""

from __future__ import annotations

from typing import Any, Self

import attrs

from vmmkit.acpi.arguments import instance
from vmmkit.acpi.relocation import Pointer, Relocation
from vmmkit.acpi.structure import KEY, Codec, nested, pointer, structure, u8, u16, u32, u64
from vmmkit.acpi.tables._fadt_blocks import RegisterBlock, RegisterBlocks
from vmmkit.acpi.tables._fadt_flags import (
    ArmBootArchFlags,
    BootArchFlags,
    FadtFlags,
    PreferredPmProfile,
)
from vmmkit.acpi.tables.gas import AddressSpace, Gas
from vmmkit.acpi.tables.table import Table
from vmmkit.errors import TableParseError, TableValueError

__all__ = [
    "FADT_LENGTHS",
    "ArmBootArchFlags",
    "BootArchFlags",
    "Fadt",
    "FadtFlags",
    "PreferredPmProfile",
    "RegisterBlock",
    "RegisterBlocks",
]

#: Bytes of the table by its revision, which is the major version.
FADT_LENGTHS = {1: 116, 2: 132, 3: 244, 4: 244, 5: 268, 6: 276}
_FIRST_EXTENDED = 3  # the revision that brought the 64-bit fields
_FIRST_REDUCED = 5  # the revision that brought the flag for it
_TWINS = {"firmware_ctrl": "x_firmware_ctrl", "dsdt": "x_dsdt"}
_ABSENT = (0, Gas())  # what fields beyond a revision's length must hold
_NO_BLOCKS = RegisterBlocks()
# Where reset and sleep registers may be.
_REGISTER_SPACES = (
    AddressSpace.SYSTEM_MEMORY,
    AddressSpace.SYSTEM_IO,
    AddressSpace.PCI_CONFIGURATION,
)


def _minor_version(table: Any) -> int:
    """Return the default: a table of major version 6 is one of ACPI 6.5."""
    return 5 if table.revision == Fadt.REVISION else 0


@structure
class Fadt(Table):
    """The Fixed ACPI Description Table, field by field.

    `Fadt.full_hardware` and `Fadt.hardware_reduced` make one whose fields agree with each other;
    the constructor takes what it is given, because there are tables whose fields do not. All
    arguments are keywords and have the names of the specification.

    Args:
        revision: the major version, 1 to 6; it says how long the table is. Fields beyond its
            length must keep their default.
        minor_version: low four bits the minor version, high four bits errata.
        firmware_ctrl: the FACS, or its address, 32 bits.
        x_firmware_ctrl: the FACS, or its address, 64 bits.
        dsdt: the DSDT, or its address, 32 bits.
        x_dsdt: the DSDT, or its address, 64 bits.
        p_lvl2_lat: latency of C2 in microseconds; more than 100: there is none.
        p_lvl3_lat: latency of C3 in microseconds; more than 1000: there is none.

    Raises:
        TableValueError: an unknown revision, or a field that the revision does not have or that
            cannot hold its value.
    """

    SIGNATURE = "FACP"
    REVISION = 6

    firmware_ctrl: Pointer = pointer(4, default=0, kw_only=True, optional=True)
    dsdt: Pointer = pointer(4, default=0, kw_only=True, optional=True)
    # INT_MODEL in ACPI 1.0.
    reserved_44: int = u8(default=0, kw_only=True)
    preferred_pm_profile: int = u8(
        default=PreferredPmProfile.UNSPECIFIED, enum=PreferredPmProfile, kw_only=True
    )
    sci_int: int = u16(default=0, kw_only=True)
    smi_cmd: int = u32(default=0, kw_only=True)
    acpi_enable: int = u8(default=0, kw_only=True)
    acpi_disable: int = u8(default=0, kw_only=True)
    s4bios_req: int = u8(default=0, kw_only=True)
    pstate_cnt: int = u8(default=0, kw_only=True)
    pm1a_evt_blk: int = u32(default=0, kw_only=True)
    pm1b_evt_blk: int = u32(default=0, kw_only=True)
    pm1a_cnt_blk: int = u32(default=0, kw_only=True)
    pm1b_cnt_blk: int = u32(default=0, kw_only=True)
    pm2_cnt_blk: int = u32(default=0, kw_only=True)
    pm_tmr_blk: int = u32(default=0, kw_only=True)
    gpe0_blk: int = u32(default=0, kw_only=True)
    gpe1_blk: int = u32(default=0, kw_only=True)
    pm1_evt_len: int = u8(default=0, kw_only=True)
    pm1_cnt_len: int = u8(default=0, kw_only=True)
    pm2_cnt_len: int = u8(default=0, kw_only=True)
    pm_tmr_len: int = u8(default=0, kw_only=True)
    gpe0_blk_len: int = u8(default=0, kw_only=True)
    gpe1_blk_len: int = u8(default=0, kw_only=True)
    gpe1_base: int = u8(default=0, kw_only=True)
    cst_cnt: int = u8(default=0, kw_only=True)
    p_lvl2_lat: int = u16(default=101, kw_only=True)
    p_lvl3_lat: int = u16(default=1001, kw_only=True)
    flush_size: int = u16(default=0, kw_only=True)
    flush_stride: int = u16(default=0, kw_only=True)
    duty_offset: int = u8(default=0, kw_only=True)
    duty_width: int = u8(default=0, kw_only=True)
    day_alrm: int = u8(default=0, kw_only=True)
    mon_alrm: int = u8(default=0, kw_only=True)
    century: int = u8(default=0, kw_only=True)
    iapc_boot_arch: int = u16(default=BootArchFlags(0), enum=BootArchFlags, kw_only=True)
    reserved_111: int = u8(default=0, kw_only=True)
    flags: int = u32(default=FadtFlags(0), enum=FadtFlags, kw_only=True)
    reset_reg: Gas = nested(Gas, default=Gas(), kw_only=True)
    reset_value: int = u8(default=0, kw_only=True)
    arm_boot_arch: int = u16(default=ArmBootArchFlags(0), enum=ArmBootArchFlags, kw_only=True)
    minor_version: int = attrs.field(
        default=attrs.Factory(_minor_version, takes_self=True),
        kw_only=True,
        metadata={KEY: Codec("B")},
    )
    x_firmware_ctrl: Pointer = pointer(8, default=0, kw_only=True)
    x_dsdt: Pointer = pointer(8, default=0, kw_only=True)
    x_pm1a_evt_blk: Gas = nested(Gas, default=Gas(), kw_only=True)
    x_pm1b_evt_blk: Gas = nested(Gas, default=Gas(), kw_only=True)
    x_pm1a_cnt_blk: Gas = nested(Gas, default=Gas(), kw_only=True)
    x_pm1b_cnt_blk: Gas = nested(Gas, default=Gas(), kw_only=True)
    x_pm2_cnt_blk: Gas = nested(Gas, default=Gas(), kw_only=True)
    x_pm_tmr_blk: Gas = nested(Gas, default=Gas(), kw_only=True)
    x_gpe0_blk: Gas = nested(Gas, default=Gas(), kw_only=True)
    x_gpe1_blk: Gas = nested(Gas, default=Gas(), kw_only=True)
    sleep_control_reg: Gas = nested(Gas, default=Gas(), kw_only=True)
    sleep_status_reg: Gas = nested(Gas, default=Gas(), kw_only=True)
    hypervisor_vendor_identity: int = u64(default=0, kw_only=True)

    @classmethod
    def full_hardware(
        cls,
        dsdt: Pointer,
        facs: Pointer,
        blocks: RegisterBlocks,
        *,
        sci_int: int = 9,
        flags: int = FadtFlags.WBINVD | FadtFlags.PROC_C1 | FadtFlags.SLP_BUTTON,
        **fields: Any,
    ) -> Self:
        """Make the table of a machine with fixed registers.

        The FACS goes into the 32-bit field only: there are versions of the specification that
        want one of its two fields to be zero, and systems that read no other.

        Args:
            dsdt: the DSDT, or its address.
            facs: the FACS, or its address, below 4 GiB.
            blocks: where the registers are; `pm1a_evt` and `pm1a_cnt` are necessary.
            sci_int: the interrupt of ACPI: its IRQ on the 8259s, or on a machine without them
                its GSI.
            flags: `FadtFlags`; `RESET_REG_SUP` is added where there is a `reset_reg`.
            fields: further fields, by name.

        Raises:
            TableValueError: necessary blocks are missing, `flags` says that there are none, a
                reset register has not 8 bits or is in no space for it, or a field cannot hold its
                value.
        """
        if blocks.pm1a_evt is None or blocks.pm1a_cnt is None:
            raise TableValueError("FACP: full hardware without pm1a_evt or pm1a_cnt", "FACP", 56)
        instance("FACP.flags", flags, int)
        if flags & FadtFlags.HW_REDUCED_ACPI:
            raise TableValueError("FACP.flags: full hardware with HW_REDUCED_ACPI", "FACP", 112)
        return cls._with(dsdt, facs, blocks, flags, fields | {"sci_int": sci_int})

    @classmethod
    def hardware_reduced(
        cls,
        dsdt: Pointer,
        *,
        sleep_control_reg: Gas | None = None,
        sleep_status_reg: Gas | None = None,
        flags: int = FadtFlags.WBINVD | FadtFlags.PROC_C1,
        blocks: RegisterBlocks = _NO_BLOCKS,
        **fields: Any,
    ) -> Self:
        """Make the table of a machine without fixed registers, of revision 5 or later.

        Args:
            dsdt: the DSDT, or its address.
            sleep_control_reg: 8 bits; with the next one, how systems turn the machine off.
            sleep_status_reg: 8 bits; both or none.
            flags: `FadtFlags`; `HW_REDUCED_ACPI`, that there are no fixed buttons, and
                `RESET_REG_SUP` where there is a `reset_reg` are added.
            blocks: registers for systems that look at them all the same.
            fields: further fields, by name.

        Raises:
            TableValueError: an older revision, one of two sleep registers is missing, one of them
                or the reset register has not 8 bits or is in no space for it, or a field cannot
                hold its value.
        """
        if _is_older(fields, _FIRST_REDUCED):
            raise TableValueError("FACP.flags: HW_REDUCED_ACPI needs revision 5", "FACP", 112)
        given = {"sleep_control_reg": sleep_control_reg, "sleep_status_reg": sleep_status_reg}
        registers = {name: gas for name, gas in given.items() if gas is not None}
        if len(registers) == 1:
            raise TableValueError("FACP: one sleep register without the other", "FACP", 244)
        for name, gas in registers.items():
            _check_byte(name, gas)
        instance("FACP.flags", flags, int)
        flags |= FadtFlags.HW_REDUCED_ACPI | FadtFlags.PWR_BUTTON | FadtFlags.SLP_BUTTON
        return cls._with(dsdt, 0, blocks, flags, fields | registers)

    @classmethod
    def _with(
        cls,
        dsdt: Pointer,
        facs: Pointer,
        blocks: RegisterBlocks,
        flags: int,
        fields: dict[str, Any],
    ) -> Self:
        if "reset_reg" in fields:
            _check_byte("reset_reg", fields["reset_reg"])
            flags |= FadtFlags.RESET_REG_SUP
        derived = blocks.fields() | {"firmware_ctrl": facs, "dsdt": dsdt, "x_dsdt": dsdt}
        if _is_older(fields, _FIRST_EXTENDED):
            derived = {name: derived[name] for name in derived if not name.startswith("x_")}
        return cls(**{**derived, "flags": FadtFlags(flags), **fields})

    def _encode(self) -> bytes:
        if not isinstance(self.revision, int) or self.revision not in FADT_LENGTHS:
            raise TableValueError(
                f"FACP.revision is 1 to {max(FADT_LENGTHS)}, not {self.revision!r}", "FACP", 8
            )
        if self.trailing:
            raise TableValueError("FACP has no trailing bytes", "FACP", self._fixed_size())
        self._check_beyond()
        return super()._encode()

    def _fixed_size(self) -> int:
        return FADT_LENGTHS[self.revision]

    def _check_beyond(self) -> None:
        """Check that fields that the revision does not have hold their default."""
        size = self._fixed_size()
        for field in self._layout.fields:
            if field.offset >= size and getattr(self, field.name) not in _ABSENT:
                raise TableValueError(
                    f"FACP.{field.name} at offset {field.offset} is beyond the {size} bytes of "
                    f"revision {self.revision}",
                    "FACP",
                    field.offset,
                )

    def relocations(self) -> tuple[Relocation, ...]:
        """Return where DSDT and FACS belong.

        A 32-bit field may stay zero only where its 64-bit twin points at the same.
        """
        names = {field.offset: field.name for field in self._layout.fields}
        return tuple(
            place._replace(optional=self._has_twin(names[place.offset], place.target))
            for place in super().relocations()
        )

    def _has_twin(self, name: str, target: object) -> bool:
        return name in _TWINS and getattr(self, _TWINS[name]) is target

    @classmethod
    def _from_fields(cls, data: bytes) -> Self:
        revision = data[8]
        if FADT_LENGTHS.get(revision) != len(data):
            raise TableParseError(
                f"FACP of revision {revision} has {FADT_LENGTHS.get(revision, 'unknown')} bytes, "
                f"not {len(data)}",
                "FACP",
                4,
            )
        whole = cls.fields_base() + cls._layout.size
        fields, _ = cls._fixed(data.ljust(whole, b"\0"))
        return cls(**fields)


def _is_older(fields: dict[str, Any], revision: int) -> bool:
    """Tell whether a table with these fields is older; one without a number is not."""
    given = fields.get("revision", Fadt.REVISION)
    return isinstance(given, int) and given < revision


def _check_byte(name: str, gas: Any) -> None:
    """Check a register that systems write as one byte, whatever its width says."""
    if not isinstance(gas, Gas) or gas.address_space_id not in _REGISTER_SPACES:
        raise TableValueError(
            f"FACP.{name} is no GAS in system memory, port or PCI configuration space: {gas!r}",
            "FACP",
        )
    if gas.register_bit_width != 8 or gas.register_bit_offset != 0:
        raise TableValueError(
            f"FACP.{name} has {gas.register_bit_width} bits from bit {gas.register_bit_offset}, "
            "not 8 from bit 0",
            "FACP",
        )
