# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The PCI Express capability, version 2: device, link, slot and root registers by port type.

All titles are of the PCI Express Base Specification, "PCI Express Capability Structure". The
structure always has its 60 bytes; registers that a port type does not have read zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import attrs

from vmmkit.errors import ConfigSpaceError
from vmmkit.pci._registers import ConfigWrite, Effect, RegisterFile
from vmmkit.pci.capabilities.base import Capability, one_of, with_flags, within
from vmmkit.pci.spec import CapabilityId, HeaderType, PortType, SlotControl, SlotStatus

if TYPE_CHECKING:
    from vmmkit.pci.config import ConfigSpace

__all__ = ["ExpressRegister", "PciExpress", "Slot"]


class ExpressRegister:
    """Offsets in the structure."""

    CAPABILITIES: Final = 0x02
    DEVICE_CAPABILITIES: Final = 0x04
    DEVICE_CONTROL: Final = 0x08
    DEVICE_STATUS: Final = 0x0A
    LINK_CAPABILITIES: Final = 0x0C
    LINK_CONTROL: Final = 0x10
    LINK_STATUS: Final = 0x12
    SLOT_CAPABILITIES: Final = 0x14
    SLOT_CONTROL: Final = 0x18
    SLOT_STATUS: Final = 0x1A
    ROOT_CONTROL: Final = 0x1C
    ROOT_CAPABILITIES: Final = 0x1E
    ROOT_STATUS: Final = 0x20
    DEVICE_CAPABILITIES_2: Final = 0x24
    DEVICE_CONTROL_2: Final = 0x28
    LINK_CAPABILITIES_2: Final = 0x2C
    LINK_CONTROL_2: Final = 0x30
    LINK_STATUS_2: Final = 0x32


_SIZE: Final = 0x3C
_VERSION: Final = 2
_SLOT_IMPLEMENTED: Final = 0x100

# "Device Capabilities Register", "Device Control Register", "Device Status Register".
_EXTENDED_TAG_SUPPORTED: Final = 0x20
_ROLE_BASED_ERRORS: Final = 0x8000
_FLR_CAPABLE: Final = 1 << 28
_ERROR_REPORTING: Final = 0x000F
_RELAXED_ORDERING: Final = 0x0010
_MAX_PAYLOAD: Final = 0x00E0
_EXTENDED_TAG: Final = 0x0100
_NO_SNOOP: Final = 0x0800
_MAX_READ_REQUEST: Final = 0x7000
_READ_REQUEST_512: Final = 0x2000
_FLR_OR_RETRY: Final = 0x8000
_DEVICE_ERRORS: Final = 0x000F

# "Link Capabilities Register", "Link Control Register", "Link Status Register".
_CLOCK_PM: Final = 1 << 18
_LINK_ACTIVE_REPORTING: Final = 1 << 20
_BANDWIDTH_NOTIFICATION: Final = 1 << 21
_ASPM_OPTIONALITY: Final = 1 << 22
_ASPM_CONTROL: Final = 0x0003
_READ_COMPLETION_BOUNDARY: Final = 0x0008
_LINK_DISABLE: Final = 0x0010
_COMMON_CLOCK_AND_SYNCH: Final = 0x00C0
_CLOCK_PM_ENABLE: Final = 0x0100
_AUTONOMOUS_WIDTH_DISABLE: Final = 0x0200
_BANDWIDTH_INTERRUPTS: Final = 0x0C00
_SLOT_CLOCK: Final = 0x1000
_BANDWIDTH_STATUS: Final = 0xC000

# "Root Control Register", "Root Capabilities Register", "Root Status Register".
_ROOT_CONTROL: Final = 0x000F
_RETRY_VISIBILITY_ENABLE: Final = 0x0010
_RETRY_VISIBILITY: Final = 0x0001
_PME_STATUS: Final = 1 << 16

# "Device Capabilities 2 Register", "Device Control 2 Register".
_TIMEOUT_DISABLE: Final = 0x0010
_ARI_FORWARDING: Final = 0x0020
_LTR_SUPPORTED: Final = 0x0800
_LTR_ENABLE: Final = 0x0400

# "Link Control 2 Register": target speed, compliance, autonomous speed disable, margins.
_LINK_CONTROL_2: Final = 0xFFBF

_ENDPOINTS: Final = frozenset(
    {PortType.ENDPOINT, PortType.LEGACY_ENDPOINT, PortType.INTEGRATED_ENDPOINT}
)
_SWITCH: Final = frozenset({PortType.SWITCH_UPSTREAM, PortType.SWITCH_DOWNSTREAM})
_DOWNSTREAM: Final = frozenset({PortType.ROOT_PORT, PortType.SWITCH_DOWNSTREAM})

# What a slot has: bit of "Slot Capabilities Register", and the Slot Control and Slot Status
# bits that come with it.
_SLOT_FEATURES: Final = (
    ("attention_button", 0, SlotControl.ATTENTION_BUTTON_ENABLE, SlotStatus.ATTENTION_BUTTON),
    (
        "power_controller",
        1,
        SlotControl.POWER_FAULT_ENABLE | SlotControl.POWER_OFF,
        SlotStatus.POWER_FAULT,
    ),
    ("mrl_sensor", 2, SlotControl.MRL_SENSOR_ENABLE, SlotStatus.MRL_CHANGED),
    ("attention_indicator", 3, SlotControl.ATTENTION_INDICATOR, 0),
    ("power_indicator", 4, SlotControl.POWER_INDICATOR, 0),
    ("surprise", 5, 0, 0),
    ("hot_plug", 6, SlotControl.HOT_PLUG_INTERRUPT_ENABLE, 0),
    ("command_completed", None, SlotControl.COMMAND_COMPLETED_ENABLE, SlotStatus.COMMAND_COMPLETED),
)
_NO_COMMAND_COMPLETED: Final = 1 << 18


@attrs.frozen(kw_only=True, field_transformer=with_flags)
class Slot:
    """A slot at a root port or switch downstream port, and what its hot-plug hardware has.

    Args:
        number: physical slot number, 0-8191, unique in a machine.
        hot_plug: whether devices may come and go.
        surprise: whether they may go without a warning.
        attention_button: whether it has one.
        power_controller: whether software can switch the slot's power.
        mrl_sensor: whether it has a retention latch that is sensed.
        attention_indicator: whether it has one.
        power_indicator: whether it has one.
        command_completed: whether it says when a write to Slot Control was carried out.
        power_limit: watts, 0-239.

    Raises:
        ConfigSpaceError: a number or limit out of range.
    """

    number: int = attrs.field(default=0, validator=within(0, 0x1FFF))
    hot_plug: bool = False
    surprise: bool = False
    attention_button: bool = False
    power_controller: bool = False
    mrl_sensor: bool = False
    attention_indicator: bool = False
    power_indicator: bool = False
    command_completed: bool = True
    power_limit: int = attrs.field(default=0, validator=within(0, 239))

    @property
    def capabilities(self) -> int:
        """The Slot Capabilities register."""
        value = self.number << 19 | self.power_limit << 7
        for feature, bit, _control, _status in _SLOT_FEATURES:
            if bit is not None:
                value |= getattr(self, feature) << bit
        return value | (0 if self.command_completed else _NO_COMMAND_COMPLETED)

    def masks(self) -> tuple[int, int]:
        """Return the Slot Control bits that are writable and the Slot Status bits to clear."""
        control = SlotControl.PRESENCE_ENABLE | SlotControl.LINK_STATE_ENABLE
        status = SlotStatus.PRESENCE_CHANGED | SlotStatus.LINK_STATE_CHANGED
        for feature, _bit, controls, statuses in _SLOT_FEATURES:
            if getattr(self, feature):
                control, status = control | controls, status | statuses
        return int(control), int(status)


def _port_type(value: int) -> PortType:
    try:
        return PortType(value)
    except ValueError as error:
        raise ConfigSpaceError(f"PciExpress: no device/port type {value!r}") from error


def _check_port(capability: PciExpress, _attribute: object, slot: Slot | None) -> None:
    if slot is not None and not isinstance(slot, Slot):
        raise ConfigSpaceError(f"PciExpress: {slot!r} is no Slot")
    if slot is not None and capability.port_type not in _DOWNSTREAM:
        raise ConfigSpaceError(f"PciExpress: a {capability.port_type.name} has no slot")


@attrs.frozen(kw_only=True, field_transformer=with_flags)
class PciExpress(Capability):
    """The PCI Express capability.

    Args:
        port_type: what kind of function this is. An `ENDPOINT` that is attached to a root bus
            reads as `INTEGRATED_ENDPOINT` there, without a link: systems refuse an endpoint that
            has no port above it.
        slot: the slot behind a root port or switch downstream port, if there is one.
        flr: whether an endpoint takes function-level resets; other port types have none.
        speed: the link's highest data rate: 1 for 2.5 GT/s, 2 for 5, then 8, 16, 32, 64 (6).
        width: the link's lanes: 1, 2, 4, 8, 12, 16 or 32.
        port_number: 0-255.
        max_payload: the largest payload supported, 128-4096 bytes.
        extended_tags: whether the function can use 8-bit tags.
        aspm: the ASPM Support field: bit 0 for L0s, bit 1 for L1.
        clock_power_management: whether an upstream port lets the reference clock go away.
        interrupt_message: the Interrupt Message Number field, 0-31.
        ari_forwarding: whether a root or downstream port forwards to functions above 7.
        ltr: whether latency tolerance reporting is supported.
        retry_visibility: whether a root port lets software see configuration retries.

    Raises:
        ConfigSpaceError: out of range, or a slot where none can be.
    """

    cap_id: ClassVar[int] = CapabilityId.PCI_EXPRESS

    port_type: PortType = attrs.field(default=PortType.ENDPOINT, converter=_port_type)
    slot: Slot | None = attrs.field(default=None, validator=_check_port)
    flr: bool = True
    speed: int = attrs.field(default=1, validator=within(1, 6))
    width: int = attrs.field(default=1, validator=one_of(1, 2, 4, 8, 12, 16, 32))
    port_number: int = attrs.field(default=0, validator=within(0, 255))
    max_payload: int = attrs.field(default=128, validator=one_of(128, 256, 512, 1024, 2048, 4096))
    extended_tags: bool = True
    aspm: int = attrs.field(default=0, validator=within(0, 3))
    clock_power_management: bool = False
    interrupt_message: int = attrs.field(default=0, validator=within(0, 31))
    ari_forwarding: bool = False
    ltr: bool = False
    retry_visibility: bool = False

    @property
    def size(self) -> int:
        """Bytes."""
        return _SIZE

    @property
    def is_downstream_port(self) -> bool:
        """Whether a link begins here: root port or switch downstream port."""
        return self.port_type in _DOWNSTREAM

    @property
    def has_link(self) -> bool:
        """Whether there is a link; a root complex integrated endpoint has none."""
        return self.port_type is not PortType.INTEGRATED_ENDPOINT

    @property
    def can_reset(self) -> bool:
        """Whether the function takes function-level resets."""
        return self.flr and self.port_type in _ENDPOINTS

    def define(self, config: ConfigSpace, offset: int) -> None:
        """Lay out the groups of registers that the port type has."""
        layout = HeaderType.TYPE0 if self.port_type in _ENDPOINTS else HeaderType.TYPE1
        if config.header_type is not layout:
            wrong = f"{self.port_type.name} does not go with a {config.header_type.name} header"
            raise ConfigSpaceError(f"PciExpress: {wrong}")
        value = _VERSION | self.port_type << 4 | self.interrupt_message << 9
        value |= _SLOT_IMPLEMENTED if self.slot is not None else 0
        at = ExpressRegister
        config.define(offset + at.CAPABILITIES, 2, value=value, name="PCIe.Capabilities")
        self._define_device(config, offset)
        if self.has_link:
            self._define_link(config, offset)
        if self.port_type is PortType.ENDPOINT:
            _integrate(config, offset)
        if self.slot is not None:
            self._define_slot(config, offset, self.slot)
        elif self.is_downstream_port:
            # "Slot Status Register": without a slot, what is below is always present.
            wired = int(SlotStatus.PRESENCE)
            config.define(offset + at.SLOT_STATUS, 2, value=wired, name="PCIe.SltSta")
        if self.port_type is PortType.ROOT_PORT:
            self._define_root(config, offset)

    def _define_device(self, config: ConfigSpace, offset: int) -> None:
        at = ExpressRegister
        can = (self.max_payload // 128).bit_length() - 1 | _ROLE_BASED_ERRORS
        can |= _EXTENDED_TAG_SUPPORTED if self.extended_tags else 0
        can |= _FLR_CAPABLE if self.can_reset else 0
        config.define(offset + at.DEVICE_CAPABILITIES, 4, value=can, name="PCIe.DevCap")
        rw = _ERROR_REPORTING | _RELAXED_ORDERING | _MAX_PAYLOAD | _NO_SNOOP | _MAX_READ_REQUEST
        rw |= _EXTENDED_TAG if self.extended_tags else 0
        rw |= _FLR_OR_RETRY if self.port_type is PortType.PCIE_TO_PCI_BRIDGE else 0
        config.define(
            offset + at.DEVICE_CONTROL,
            2,
            value=_RELAXED_ORDERING | _NO_SNOOP | _READ_REQUEST_512,
            rw=rw,
            held=_MAX_PAYLOAD,
            name="PCIe.DevCtl",
        )
        if self.can_reset:
            config.on_write(offset + at.DEVICE_CONTROL, 2, _device_control_written)
        config.define(offset + at.DEVICE_STATUS, 2, w1c=_DEVICE_ERRORS, name="PCIe.DevSta")
        self._define_device2(config, offset)

    def _define_device2(self, config: ConfigSpace, offset: int) -> None:
        at = ExpressRegister
        can = rw = 0 if self.port_type in _SWITCH else _TIMEOUT_DISABLE
        if self.is_downstream_port and self.ari_forwarding:
            can, rw = can | _ARI_FORWARDING, rw | _ARI_FORWARDING
        if self.ltr:
            can, rw = can | _LTR_SUPPORTED, rw | _LTR_ENABLE
        config.define(offset + at.DEVICE_CAPABILITIES_2, 4, value=can, name="PCIe.DevCap2")
        config.define(
            offset + at.DEVICE_CONTROL_2,
            2,
            rw=rw,
            effects=((_ARI_FORWARDING, Effect.NUMBERS),),
            name="PCIe.DevCtl2",
        )

    def _define_link(self, config: ConfigSpace, offset: int) -> None:
        at = ExpressRegister
        can = self.speed | self.width << 4 | self.aspm << 10 | _ASPM_OPTIONALITY
        # "Link Capabilities Register": downstream ports have no such management.
        clock = self.clock_power_management and not self.is_downstream_port
        can |= self.port_number << 24 | (_CLOCK_PM if clock else 0)
        held = _ASPM_CONTROL | _COMMON_CLOCK_AND_SYNCH | _AUTONOMOUS_WIDTH_DISABLE
        held |= _CLOCK_PM_ENABLE if clock else 0
        rw, w1c = held, 0
        if self.is_downstream_port:
            can |= _LINK_ACTIVE_REPORTING
            rw |= _LINK_DISABLE
            if self.speed > 1 or self.width > 1:
                can |= _BANDWIDTH_NOTIFICATION
                rw |= _BANDWIDTH_INTERRUPTS
                w1c = _BANDWIDTH_STATUS
        elif self.port_type is not PortType.SWITCH_UPSTREAM:
            rw, held = rw | _READ_COMPLETION_BOUNDARY, held | _READ_COMPLETION_BOUNDARY
        config.define(offset + at.LINK_CAPABILITIES, 4, value=can, name="PCIe.LnkCap")
        config.define(offset + at.LINK_CONTROL, 2, rw=rw, held=held, name="PCIe.LnkCtl")
        state = self.speed | self.width << 4 | _SLOT_CLOCK
        config.define(offset + at.LINK_STATUS, 2, value=state, w1c=w1c, name="PCIe.LnkSta")
        self._define_link2(config, offset)

    def _define_link2(self, config: ConfigSpace, offset: int) -> None:
        at = ExpressRegister
        speeds = (1 << self.speed) - 1 << 1
        config.define(offset + at.LINK_CAPABILITIES_2, 4, value=speeds, name="PCIe.LnkCap2")
        config.define(
            offset + at.LINK_CONTROL_2,
            2,
            value=self.speed,
            rw=_LINK_CONTROL_2,
            sticky=_LINK_CONTROL_2,
            name="PCIe.LnkCtl2",
        )
        config.define(offset + at.LINK_STATUS_2, 2, name="PCIe.LnkSta2")

    def _define_slot(self, config: ConfigSpace, offset: int, slot: Slot) -> None:
        at = ExpressRegister
        control, status = slot.masks()
        indicators = control & (SlotControl.ATTENTION_INDICATOR | SlotControl.POWER_INDICATOR)
        can = slot.capabilities
        config.define(offset + at.SLOT_CAPABILITIES, 4, value=can, name="PCIe.SltCap")
        config.define(
            offset + at.SLOT_CONTROL,
            2,
            value=indicators,
            rw=control,
            effects=((control, Effect.SLOT),),
            name="PCIe.SltCtl",
        )
        config.define(
            offset + at.SLOT_STATUS,
            2,
            w1c=status,
            effects=((status, Effect.SLOT),),
            name="PCIe.SltSta",
        )

    def _define_root(self, config: ConfigSpace, offset: int) -> None:
        at = ExpressRegister
        rw = _ROOT_CONTROL | (_RETRY_VISIBILITY_ENABLE if self.retry_visibility else 0)
        can = _RETRY_VISIBILITY if self.retry_visibility else 0
        config.define(offset + at.ROOT_CONTROL, 2, rw=rw, name="PCIe.RootCtl")
        config.define(offset + at.ROOT_CAPABILITIES, 2, value=can, name="PCIe.RootCap")
        config.define(offset + at.ROOT_STATUS, 4, w1c=_PME_STATUS, name="PCIe.RootSta")


def _device_control_written(_config: ConfigSpace, write: ConfigWrite) -> int:
    """See Initiate Function Level Reset, which reads zero always."""
    return int(Effect.FUNCTION_RESET) if write.value & _FLR_OR_RETRY else 0


def _integrate(config: ConfigSpace, offset: int) -> None:
    """Let an endpoint read as one of the root complex while it is on a root bus.

    "Device/Port Type" of "PCI Express Capabilities Register"; root complex integrated endpoints
    have no link registers.
    """
    at = ExpressRegister
    config.on_read(offset, _integrated_type)
    for register in (
        at.LINK_CAPABILITIES,
        at.LINK_CONTROL,
        at.LINK_CAPABILITIES_2,
        at.LINK_CONTROL_2,
    ):
        config.on_read(offset + register, _no_link)


def _integrated_type(config: RegisterFile, _offset: int, stored: int) -> int:
    return stored | PortType.INTEGRATED_ENDPOINT << 20 if config.integrated else stored


def _no_link(config: RegisterFile, _offset: int, stored: int) -> int:
    return 0 if config.integrated else stored
