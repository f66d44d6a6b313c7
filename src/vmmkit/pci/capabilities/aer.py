# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Advanced error reporting, in the forms of endpoints and of root ports."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import attrs

from vmmkit.pci.capabilities.base import ExtendedCapability, with_flags, within
from vmmkit.pci.spec import ExtendedCapabilityId

if TYPE_CHECKING:
    from vmmkit.pci.config import ConfigSpace

__all__ = ["Aer", "AerRegister"]


class AerRegister:
    """Offsets in the structure.

    PCI Express Base Specification, "Advanced Error Reporting Extended Capability".
    """

    UNCORRECTABLE_STATUS: Final = 0x04
    UNCORRECTABLE_MASK: Final = 0x08
    UNCORRECTABLE_SEVERITY: Final = 0x0C
    CORRECTABLE_STATUS: Final = 0x10
    CORRECTABLE_MASK: Final = 0x14
    CONTROL: Final = 0x18
    HEADER_LOG: Final = 0x1C
    ROOT_COMMAND: Final = 0x2C
    ROOT_STATUS: Final = 0x30
    ERROR_SOURCE: Final = 0x34
    PREFIX_LOG: Final = 0x38


_SIZE: Final = 0x48
_DWORD: Final = 0xFFFF_FFFF

# "Uncorrectable Error Status Register": data link protocol, surprise down, poisoned TLP, flow
# control, completion timeout, completer abort, unexpected completion, receiver overflow,
# malformed TLP, ECRC, unsupported request, ACS violation, internal. With the severities and
# masks that "Uncorrectable Error Severity Register" and "... Mask Register" begin with.
_UNCORRECTABLE: Final = 0x007F_F030
_FATAL: Final = 0x0046_2030
_UNCORRECTABLE_MASKED: Final = 0x0040_0000

# "Correctable Error Status Register": receiver error, bad TLP, bad DLLP, replay rollover, replay
# timer, advisory non-fatal, internal, header log overflow; the last three begin masked.
_CORRECTABLE: Final = 0x0000_F1C1
_CORRECTABLE_MASKED: Final = 0x0000_E000

# "Advanced Error Capabilities and Control Register".
_FIRST_ERROR: Final = 0x01F
_ECRC_CAPABLE: Final = 0x0A0
_ECRC_ENABLE: Final = 0x140

# "Root Error Command Register", "Root Error Status Register".
_ROOT_COMMAND: Final = 0x7
_ROOT_STATUS: Final = 0x7F

# Registers that all have: name, value, rw, w1c.
_REGISTERS: Final = (
    (AerRegister.UNCORRECTABLE_STATUS, "UESta", 0, 0, _UNCORRECTABLE),
    (AerRegister.UNCORRECTABLE_MASK, "UEMsk", _UNCORRECTABLE_MASKED, _UNCORRECTABLE, 0),
    (AerRegister.UNCORRECTABLE_SEVERITY, "UESvrt", _FATAL, _UNCORRECTABLE, 0),
    (AerRegister.CORRECTABLE_STATUS, "CESta", 0, 0, _CORRECTABLE),
    (AerRegister.CORRECTABLE_MASK, "CEMsk", _CORRECTABLE_MASKED, _CORRECTABLE, 0),
)


@attrs.frozen(kw_only=True, field_transformer=with_flags)
class Aer(ExtendedCapability):
    """The advanced error reporting capability, version 2.

    What is recorded and masked survives all resets but power.

    Args:
        root_port: whether the function has the registers of a root port.
        ecrc: whether it can generate and check ECRC.
        interrupt_message: the Advanced Error Interrupt Message Number of a root port, 0-31.

    Raises:
        ConfigSpaceError: a number out of range.
    """

    cap_id: ClassVar[int] = ExtendedCapabilityId.AER
    version: ClassVar[int] = 2

    root_port: bool = False
    ecrc: bool = False
    interrupt_message: int = attrs.field(default=0, validator=within(0, 31))

    @property
    def size(self) -> int:
        """Bytes."""
        return _SIZE

    def define(self, config: ConfigSpace, offset: int) -> None:
        """Lay out status, masks, severity, control, and logs."""
        for at, name, value, rw, w1c in _REGISTERS:
            config.define(
                offset + at, 4, value=value, rw=rw, w1c=w1c, sticky=rw | w1c, name=f"AER.{name}"
            )
        enables = _ECRC_ENABLE if self.ecrc else 0
        config.define(
            offset + AerRegister.CONTROL,
            4,
            value=_ECRC_CAPABLE if self.ecrc else 0,
            rw=enables,
            sticky=enables | _FIRST_ERROR,
            name="AER.Control",
        )
        for dword in range(4):
            name = f"AER.HeaderLog{dword}"
            config.define(offset + AerRegister.HEADER_LOG + 4 * dword, 4, sticky=_DWORD, name=name)
        if self.root_port:
            self._define_root(config, offset)

    def _define_root(self, config: ConfigSpace, offset: int) -> None:
        at = AerRegister
        config.define(offset + at.ROOT_COMMAND, 4, rw=_ROOT_COMMAND, name="AER.RootCmd")
        config.define(
            offset + at.ROOT_STATUS,
            4,
            value=self.interrupt_message << 27,
            w1c=_ROOT_STATUS,
            sticky=_ROOT_STATUS,
            name="AER.RootSta",
        )
        config.define(offset + at.ERROR_SOURCE, 4, sticky=_DWORD, name="AER.ErrorSrc")
