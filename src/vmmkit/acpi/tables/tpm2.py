# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""TPM2: how a Trusted Platform Module is reached, and where firmware logged its measurements.

TCG ACPI Specification, Family "1.2" and "2.0", on the table with the signature TPM2.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Self

import attrs

from vmmkit.acpi.relocation import Pointer, Relocation, octets
from vmmkit.acpi.structure import Structure, pointer, structure, u16, u32, u64
from vmmkit.acpi.tables.table import Table
from vmmkit.errors import TableValueError

__all__ = ["LogArea", "PlatformClass", "StartMethod", "Tpm2"]


_TAIL = 52  # where the start method specific parameters begin


class PlatformClass(IntEnum):
    """What kind of machine it is; in tables of revision 3 the field is reserved."""

    CLIENT = 0
    SERVER = 1


class StartMethod(IntEnum):
    """How the TPM is told that there is a command."""

    ACPI = 2  #: method _DSM of its device
    MMIO = 6  #: registers of the TPM Interface Specification (TIS) or of the FIFO interface
    CRB = 7  #: Command Response Buffer
    CRB_WITH_ACPI = 8
    CRB_WITH_SMC = 11  #: Arm Secure Monitor Call, with parameters


@structure
class LogArea(Structure):
    """Where the event log is.

    Args:
        minimum_length: bytes.
        start_address: an address, or a `Blob` of at least that many bytes.
    """

    minimum_length: int = u32()
    start_address: Pointer = pointer(8)

    def _encode(self) -> bytes:
        content = super()._encode()
        address = self.start_address
        if not isinstance(address, int) and len(address.to_bytes()) < self.minimum_length:
            raise TableValueError(
                f"LogArea.minimum_length is {self.minimum_length}, and {address.name} has only "
                f"{len(address.to_bytes())} bytes",
                "TPM2",
            )
        return content


#: Bytes for start method specific parameters, by revision of the table.
_PARAMETERS = {3: 12, 4: 12, 5: 16}
_NEWEST = max(_PARAMETERS)
_FIRST_WITH_LOG = 4


@structure
class Tpm2(Table):
    """The table for TPM 2.0, TCG ACPI Specification.

    Args:
        start_method: see `StartMethod`.
        start_method_specific_parameters: up to 12 bytes, 16 from revision 5 on; before a log area
            they are filled up to that with zeros.
        log_area: `None` for a table without.
        address_of_control_area: 0 where the start method wants none.
        platform_class: see `PlatformClass`.

    Raises:
        TableValueError: too many parameters; a log area in a table of revision 3, which has none,
            or in a blob that is smaller.
    """

    SIGNATURE = "TPM2"
    REVISION = 4

    platform_class: PlatformClass = u16(
        default=PlatformClass.CLIENT, kw_only=True, enum=PlatformClass
    )
    reserved_38: int = u16(default=0, kw_only=True)
    address_of_control_area: int = u64(default=0, kw_only=True)
    start_method: StartMethod = u32(enum=StartMethod)
    start_method_specific_parameters: bytes = attrs.field(
        default=b"",
        converter=lambda value: octets(value, "Tpm2.start_method_specific_parameters", "TPM2"),
    )
    log_area: LogArea | None = None

    def __attrs_post_init__(self) -> None:
        """Fill the parameters up before a log area, and encode."""
        if self.log_area is not None and isinstance(self.revision, int):
            filled = self.start_method_specific_parameters.ljust(_parameters(self.revision), b"\0")
            object.__setattr__(self, "start_method_specific_parameters", filled)
        super().__attrs_post_init__()

    def _tail(self) -> bytes:
        parameters = self.start_method_specific_parameters
        limit = _parameters(self.revision)
        if len(parameters) > limit:
            raise TableValueError(
                f"Tpm2.start_method_specific_parameters at offset {_TAIL} has {limit} bytes and "
                f"cannot hold {len(parameters)}",
                "TPM2",
                _TAIL,
            )
        return parameters + self._log()

    def _log(self) -> bytes:
        if self.log_area is None:
            return b""
        if not isinstance(self.log_area, LogArea):
            raise TableValueError(f"Tpm2.log_area is no LogArea: {self.log_area!r}", "TPM2")
        if self.revision < _FIRST_WITH_LOG:
            raise TableValueError(
                f"Tpm2.log_area: tables of revision {self.revision} have none", "TPM2"
            )
        return self.log_area.to_bytes()

    def relocations(self) -> tuple[Relocation, ...]:
        """Return where addresses of others belong."""
        if self.log_area is None:
            return ()
        base = _TAIL + len(self.start_method_specific_parameters)
        return tuple(
            place._replace(offset=base + place.offset) for place in self.log_area.relocations()
        )

    @classmethod
    def _from_fields(cls, data: bytes) -> Self:
        fields, rest = cls._fixed(data)
        revision = fields["revision"]
        last = rest + _parameters(revision)
        log = None
        parameters = data[rest:last]
        if revision >= _FIRST_WITH_LOG and len(data) >= last + LogArea.layout().size:
            last += LogArea.layout().size
            log = LogArea.parse(data[last - LogArea.layout().size : last])
        return cls(
            **fields,
            start_method_specific_parameters=parameters,
            log_area=log,
            trailing=data[last:],
        )


def _parameters(revision: int) -> int:
    """Return how many bytes of parameters tables of a revision have room for."""
    return _PARAMETERS.get(max(revision, min(_PARAMETERS)), _PARAMETERS[_NEWEST])
