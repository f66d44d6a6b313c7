# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
r"""Power: fixed registers, sleep and reset registers, the soft-off state, the power button.

ACPI Specification, ACPI Hardware Specification and OEM-Supplied System-Level Control Methods.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from vmmkit.acpi.aml.data import EisaId
from vmmkit.acpi.aml.named import Device, Name
from vmmkit.acpi.aml.node import Node
from vmmkit.acpi.platform.context import Context
from vmmkit.acpi.platform.events import EventSource
from vmmkit.acpi.platform.values import number
from vmmkit.acpi.tables.fadt import RegisterBlock, RegisterBlocks
from vmmkit.acpi.tables.gas import AddressSpace, Gas
from vmmkit.errors import PlatformError

__all__ = [
    "PowerButton",
    "Reset",
    "SleepRegisters",
    "claim_blocks",
    "claim_register",
    "pm_registers",
    "soft_off",
]

_PM_ALIGNMENT = 0x80
_GPE_OFFSET = 0x20
_MOST_GPES = (_PM_ALIGNMENT - _GPE_OFFSET) * 4  # two bits each, until the next base
_PRESSED = (
    0x80  # "Device Notification Values", control method power button: S0 power button pressed
)


def _register(gas: Gas) -> Gas:
    if not isinstance(gas, Gas) or gas.register_bit_width != 8 or not gas.present:
        raise PlatformError(f"a register of 8 bits is wanted (Gas.io or Gas.mem), not {gas!r}")
    return gas


@attrs.frozen
class Reset:
    """How a system restarts the machine: by writing a byte.

    Args:
        register: of 8 bits, in ports, memory or PCI configuration space.
        value: what is written.

    Raises:
        PlatformError: another width, or a value that is no byte.
    """

    register: Gas = attrs.field(converter=_register)
    value: int = 0x0F

    def __attrs_post_init__(self) -> None:
        """Check the value."""
        number("the value that resets", self.value, 256)


@attrs.frozen
class SleepRegisters:
    """How a system turns a hardware-reduced machine off.

    Args:
        control: of 8 bits: the type of sleep in bits 2 to 4, and bit 5 to begin.
        status: of 8 bits.

    Raises:
        PlatformError: another width.
    """

    control: Gas = attrs.field(converter=_register)
    status: Gas = attrs.field(converter=_register)


def pm_registers(base: int, *, gpes: int = 64) -> RegisterBlocks:
    """Return the fixed registers of a PC, as chip sets place them from one base on.

    PM1 event at 0, PM1 control at 4, PM timer at 8, which is how `vmmkit.devices.acpi_pm.AcpiPm`
    has them; general-purpose events at 20H.

    Args:
        base: first port, a multiple of 80H.
        gpes: how many general-purpose events, a multiple of 8 up to 384; 0: no such registers.

    Raises:
        PlatformError: another base or number.
    """
    number("the number of general-purpose events", gpes, _MOST_GPES + 1)
    if gpes % 8:
        raise PlatformError(f"{gpes} general-purpose events are not a multiple of 8")
    number("the base of the power management registers", base, 1 << 16)
    if not base or base % _PM_ALIGNMENT:
        raise PlatformError(
            f"the base of the power management registers is {base:#x}, not a multiple of "
            f"{_PM_ALIGNMENT:#x} above 0"
        )
    return RegisterBlocks(
        RegisterBlock.io(base, 4),
        RegisterBlock.io(base + 4, 2),
        pm_tmr=RegisterBlock.io(base + 8, 4),
        gpe0=RegisterBlock.io(base + _GPE_OFFSET, gpes // 4) if gpes else None,
    )


def claim_blocks(context: Context, blocks: RegisterBlocks) -> None:
    """Claim the ports and memory of fixed registers."""
    for attribute in attrs.fields(RegisterBlocks):
        block = getattr(blocks, attribute.name)
        if isinstance(block, RegisterBlock):
            holder = f"the register block {attribute.name}"
            _claim(context, block.address_space_id, holder, block.address, block.length)


def claim_register(context: Context, holder: str, gas: Gas) -> None:
    """Claim the byte of a register."""
    _claim(context, gas.address_space_id, holder, gas.address, 1)


def _claim(context: Context, space: int, holder: str, address: int, size: int) -> None:
    if space == AddressSpace.SYSTEM_IO:
        context.claim_ports(holder, address, size)
    elif space == AddressSpace.SYSTEM_MEMORY:
        context.claim_memory(holder, address, size)


def soft_off(sleep_type: int) -> Node:
    r"""Return `\_S5`: what is written to turn the machine off.

    Args:
        sleep_type: 0 to 7, SLP_TYP of the PM1 control or the sleep control register.

    Raises:
        PlatformError: another number.
    """
    # Four elements, since not every system takes fewer.
    return Name("\\_S5", [number("the sleep type of S5", sleep_type, 8), 0, 0, 0])


@attrs.frozen(kw_only=True)
class PowerButton(EventSource):
    r"""A power button that is a device; a contributor to `\_SB`.

    Args:
        name: of its device.
    """

    name: str = "PWRB"

    def acpi_nodes(self, context: Context) -> Iterator[Node]:
        """Yield its device; have it notified when it is pressed."""
        self.notify(context, self.name, _PRESSED)
        uid = Name("_UID", context.unique_id("PNP0C0C"))
        yield Device(self.name, Name("_HID", EisaId("PNP0C0C")), uid)
