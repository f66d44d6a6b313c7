# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Small extended capabilities: access control, serial number, latency tolerance, ARI."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import attrs

from vmmkit.errors import ConfigSpaceError
from vmmkit.pci._registers import Effect
from vmmkit.pci.capabilities.base import ExtendedCapability, with_flags, within
from vmmkit.pci.spec import ExtendedCapabilityId

if TYPE_CHECKING:
    from vmmkit.pci.config import ConfigSpace

__all__ = ["Acs", "Ari", "Dsn", "Ltr"]

_DWORD: Final = 0xFFFF_FFFF
_ACS_FLAGS: Final = (
    "source_validation",
    "translation_blocking",
    "request_redirect",
    "completion_redirect",
    "upstream_forwarding",
    "egress_control",
    "direct_translated",
)
_LATENCY: Final = 0x1FFF  # "LTR Extended Capability": value in bits 0-9, scale in 10-12
_ARI_GROUPS: Final = 0x0070


@attrs.frozen(kw_only=True, field_transformer=with_flags)
class Acs(ExtendedCapability):
    """Access control services. PCI Express Base Specification, "ACS Extended Capability".

    Each service that is there can be enabled by its bit in the control register.

    Args:
        source_validation: V.
        translation_blocking: B.
        request_redirect: R.
        completion_redirect: C.
        upstream_forwarding: U.
        egress_control: E.
        direct_translated: T.
        egress_vector: bits of the egress control vector, 1-255, with `egress_control`; else 0.

    Raises:
        ConfigSpaceError: egress control without a vector, or a vector without it.
    """

    cap_id: ClassVar[int] = ExtendedCapabilityId.ACS

    source_validation: bool = True
    translation_blocking: bool = True
    request_redirect: bool = True
    completion_redirect: bool = True
    upstream_forwarding: bool = True
    egress_control: bool = False
    direct_translated: bool = True
    egress_vector: int = attrs.field(default=0, validator=within(0, 255))

    def __attrs_post_init__(self) -> None:
        """Demand the vector where it is used."""
        if self.egress_control != bool(self.egress_vector):
            raise ConfigSpaceError("Acs: egress_control and egress_vector come together")

    @property
    def size(self) -> int:
        """Bytes."""
        return 8 + -(-self.egress_vector // 32) * 4

    @property
    def services(self) -> int:
        """The services as bits of the registers."""
        return sum(getattr(self, flag) << bit for bit, flag in enumerate(_ACS_FLAGS))

    def define(self, config: ConfigSpace, offset: int) -> None:
        """Lay out capability, control, and egress control vector."""
        can = self.services
        value = can | self.egress_vector << 8
        config.define(offset + 4, 2, value=value, name="ACS.Capability")
        config.define(offset + 6, 2, rw=can, name="ACS.Control")
        for at in range(8, self.size, 4):
            bits = min(self.egress_vector - (at - 8) * 8, 32)
            name = f"ACS.Egress{at // 4 - 2}"
            config.define(offset + at, 4, rw=(1 << bits) - 1, name=name)


@attrs.frozen
class Dsn(ExtendedCapability):
    """The device serial number.

    PCI Express Base Specification, "Device Serial Number Extended Capability".

    Args:
        serial: EUI-64, 64 bits.

    Raises:
        ConfigSpaceError: out of range.
    """

    cap_id: ClassVar[int] = ExtendedCapabilityId.DSN

    serial: int = attrs.field(validator=within(0, (1 << 64) - 1))

    @property
    def size(self) -> int:
        """Bytes."""
        return 12

    def define(self, config: ConfigSpace, offset: int) -> None:
        """Lay out both halves."""
        config.define(offset + 4, 4, value=self.serial & _DWORD, name="DSN.Lower")
        config.define(offset + 8, 4, value=self.serial >> 32, name="DSN.Upper")


@attrs.frozen
class Ltr(ExtendedCapability):
    """Latency tolerance reporting: what the platform allows, written by the guest.

    PCI Express Base Specification, "Latency Tolerance Reporting (LTR) Extended Capability".
    """

    cap_id: ClassVar[int] = ExtendedCapabilityId.LTR

    @property
    def size(self) -> int:
        """Bytes."""
        return 8

    def define(self, config: ConfigSpace, offset: int) -> None:
        """Lay out both latencies."""
        config.define(offset + 4, 2, rw=_LATENCY, name="LTR.MaxSnoop")
        config.define(offset + 6, 2, rw=_LATENCY, name="LTR.MaxNoSnoop")


@attrs.frozen(kw_only=True, field_transformer=with_flags)
class Ari(ExtendedCapability):
    """Alternative routing-ID interpretation: function numbers 0-255.

    PCI Express Base Specification, "ARI Extended Capability".

    Args:
        next_function: number of the next function of the device, 0 for none.
        mfvc_groups: whether the device has MFVC function groups.
        acs_groups: whether it has ACS function groups.

    Raises:
        ConfigSpaceError: out of range.
    """

    cap_id: ClassVar[int] = ExtendedCapabilityId.ARI

    next_function: int = attrs.field(default=0, validator=within(0, 255))
    mfvc_groups: bool = False
    acs_groups: bool = False

    @property
    def size(self) -> int:
        """Bytes."""
        return 8

    def define(self, config: ConfigSpace, offset: int) -> None:
        """Lay out capability and control."""
        groups = self.mfvc_groups | self.acs_groups << 1
        value = groups | self.next_function << 8
        config.define(offset + 4, 2, value=value, name="ARI.Capability")
        rw = groups | (_ARI_GROUPS if groups else 0)
        effects = ((rw, Effect.NUMBERS),)
        config.define(offset + 6, 2, rw=rw, effects=effects, name="ARI.Control")
