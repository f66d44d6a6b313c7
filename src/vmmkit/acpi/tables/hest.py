# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""HEST: where hardware errors are reported, and how.

ACPI Specification 6.5, ACPI Error Source.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import attrs

from vmmkit.acpi.structure import KEY, Codec, Structure, nested, raw, structure, u8, u16, u32, u64
from vmmkit.acpi.tables.error_source import (
    KNOWN_SOURCES,
    ErrorSource,
    ErrorSourceFlags,
    HardwareErrorNotification,
    UnreadSources,
    piece,
)
from vmmkit.acpi.tables.gas import Gas
from vmmkit.acpi.tables.sequences import tuple_of
from vmmkit.acpi.tables.table import Table, moved
from vmmkit.errors import TableValueError

__all__ = [
    "NO_RELATED_SOURCE",
    "GenericHardwareErrorSource",
    "GenericHardwareErrorSourceV2",
    "Hest",
    "Ia32CorrectedMachineCheck",
    "Ia32DeferredMachineCheck",
    "Ia32MachineCheckException",
    "Ia32NonMaskableInterrupt",
    "MachineCheckBank",
    "PciExpressBridgeAer",
    "PciExpressDeviceAer",
    "PciExpressRootPortAer",
]


@structure
class MachineCheckBank(Structure):
    """A machine check bank and its registers.

    ACPI Specification 6.5, IA-32 Architecture Machine Check Bank Structure.

    Args:
        bank_number: as the processor counts them.
        control_init_data: written to the control register.
        control_register_msr_address: and those of status, address and misc: numbers of
            model-specific registers.
    """

    bank_number: int = u8()
    clear_status_on_initialization: int = u8(default=0, kw_only=True)
    status_data_format: int = u8(default=0, kw_only=True)
    reserved_3: int = u8(default=0, kw_only=True)
    control_register_msr_address: int = u32(default=0, kw_only=True)
    control_init_data: int = u64(default=0, kw_only=True)
    status_register_msr_address: int = u32(default=0, kw_only=True)
    address_register_msr_address: int = u32(default=0, kw_only=True)
    misc_register_msr_address: int = u32(default=0, kw_only=True)


@structure
class _BankedSource(ErrorSource):
    """An error source that ends with machine check banks."""

    banks: Sequence[MachineCheckBank] = attrs.field(
        default=(), converter=tuple_of("HEST", "banks", MachineCheckBank)
    )

    def _encode(self) -> bytes:
        return b"".join([super()._encode(), *(bank.to_bytes() for bank in self.banks)])

    @classmethod
    def read(cls, data: bytes, offset: int) -> tuple[Self, int]:
        """Return a source, and the offset behind it; see `ErrorSource.read`."""
        first = offset + cls._layout.size
        fields = cls._unpacked(data, offset)
        size = MachineCheckBank.layout().size
        last = first + size * fields.pop("number_of_hardware_banks")
        piece(data, offset, last)
        banks = [MachineCheckBank.parse(data[at : at + size]) for at in range(first, last, size)]
        return cls(**fields, banks=banks), last


def _number_of_banks() -> int:
    number: int = attrs.field(
        init=False,
        default=attrs.Factory(lambda source: len(source.banks), takes_self=True),
        metadata={KEY: Codec("B")},
    )
    return number


@structure
class Ia32MachineCheckException(_BankedSource):
    """Machine checks (type 0).

    ACPI Specification 6.5, IA-32 Architecture Machine Check Exception.

    Args:
        banks: see `MachineCheckBank`.
        global_capability_init_data: what the capability register should say.
        global_control_init_data: written to the control register.
    """

    TYPE = 0

    reserved_4: int = u16(default=0, kw_only=True)
    flags: ErrorSourceFlags = u8(default=ErrorSourceFlags(0), kw_only=True, enum=ErrorSourceFlags)
    enabled: int = u8(default=1, kw_only=True)
    number_of_records_to_pre_allocate: int = u32(default=1, kw_only=True)
    max_sections_per_record: int = u32(default=1, kw_only=True)
    global_capability_init_data: int = u64(default=0, kw_only=True)
    global_control_init_data: int = u64(default=0, kw_only=True)
    number_of_hardware_banks: int = _number_of_banks()
    reserved_33: bytes = raw(7, default=bytes(7), kw_only=True)


@structure
class Ia32CorrectedMachineCheck(_BankedSource):
    """Machine checks that were corrected (type 1).

    ACPI Specification 6.5, IA-32 Architecture Corrected Machine Check.

    Args:
        banks: see `MachineCheckBank`.
        notification: see `HardwareErrorNotification`.
    """

    TYPE = 1

    reserved_4: int = u16(default=0, kw_only=True)
    flags: ErrorSourceFlags = u8(default=ErrorSourceFlags(0), kw_only=True, enum=ErrorSourceFlags)
    enabled: int = u8(default=1, kw_only=True)
    number_of_records_to_pre_allocate: int = u32(default=1, kw_only=True)
    max_sections_per_record: int = u32(default=1, kw_only=True)
    notification: HardwareErrorNotification = nested(HardwareErrorNotification, kw_only=True)
    number_of_hardware_banks: int = _number_of_banks()
    reserved_45: bytes = raw(3, default=bytes(3), kw_only=True)


@structure
class Ia32NonMaskableInterrupt(ErrorSource):
    """NMIs for hardware errors (type 2).

    ACPI Specification 6.5, IA-32 Architecture Non-Maskable Interrupt.
    """

    TYPE = 2

    reserved_4: int = u32(default=0, kw_only=True)
    number_of_records_to_pre_allocate: int = u32(default=1, kw_only=True)
    max_sections_per_record: int = u32(default=1, kw_only=True)
    max_raw_data_length: int = u32(default=0, kw_only=True)


@structure
class _Aer(ErrorSource):
    """What the sources of PCI Express Advanced Error Reporting have in common."""

    reserved_4: int = u16(default=0, kw_only=True)
    flags: ErrorSourceFlags = u8(default=ErrorSourceFlags(0), kw_only=True, enum=ErrorSourceFlags)
    enabled: int = u8(default=1, kw_only=True)
    number_of_records_to_pre_allocate: int = u32(default=1, kw_only=True)
    max_sections_per_record: int = u32(default=1, kw_only=True)
    bus: int = u32(default=0, kw_only=True)
    device: int = u16(default=0, kw_only=True)
    function: int = u16(default=0, kw_only=True)
    device_control: int = u16(default=0, kw_only=True)
    reserved_26: int = u16(default=0, kw_only=True)
    uncorrectable_error_mask: int = u32(default=0, kw_only=True)
    uncorrectable_error_severity: int = u32(default=0, kw_only=True)
    correctable_error_mask: int = u32(default=0, kw_only=True)
    advanced_error_capabilities_and_control: int = u32(default=0, kw_only=True)


@structure
class PciExpressRootPortAer(_Aer):
    """Errors that a root port reports (type 6).

    ACPI Specification 6.5, PCI Express Root Port AER Structure.

    Args:
        bus: bits 7:0 the bus number, bits 31:8 the segment group; with device and function, the
            port, unless the flags say `GLOBAL`.
        device: number.
        function: number.
        device_control: and the masks and severities: bits for the registers of that name.
        root_error_command: likewise.
    """

    TYPE = 6

    root_error_command: int = u32(default=0, kw_only=True)


@structure
class PciExpressDeviceAer(_Aer):
    """Errors that an endpoint reports (type 7).

    ACPI Specification 6.5, PCI Express Device AER Structure.

    Args: those of `PciExpressRootPortAer`, without the last.
    """

    TYPE = 7


@structure
class PciExpressBridgeAer(_Aer):
    """Errors that a bridge to PCI or PCI-X reports (type 8).

    ACPI Specification 6.5, PCI Express/PCI-X Bridge AER Structure.

    Args: those of `PciExpressDeviceAer`, and the secondary ones.
    """

    TYPE = 8

    secondary_uncorrectable_error_mask: int = u32(default=0, kw_only=True)
    secondary_uncorrectable_error_severity: int = u32(default=0, kw_only=True)
    secondary_advanced_error_capabilities_and_control: int = u32(default=0, kw_only=True)


NO_RELATED_SOURCE = 0xFFFF  #: the source reports for no other


@structure
class GenericHardwareErrorSource(ErrorSource):
    """Errors that firmware, or a monitor, writes to memory (type 9).

    ACPI Specification 6.5, Generic Hardware Error Source.

    Args:
        error_status_address: where the address of the error status block is.
        notification: see `HardwareErrorNotification`.
        error_status_block_length: bytes that the block may have.
        related_source_id: of the source that this one reports for.
    """

    TYPE = 9

    related_source_id: int = u16(default=NO_RELATED_SOURCE, kw_only=True)
    flags: int = u8(default=0, kw_only=True)
    enabled: int = u8(default=1, kw_only=True)
    number_of_records_to_pre_allocate: int = u32(default=1, kw_only=True)
    max_sections_per_record: int = u32(default=1, kw_only=True)
    max_raw_data_length: int = u32(default=0, kw_only=True)
    error_status_address: Gas = nested(Gas)
    notification: HardwareErrorNotification = nested(HardwareErrorNotification)
    error_status_block_length: int = u32()


@structure
class GenericHardwareErrorSourceV2(GenericHardwareErrorSource):
    """As `GenericHardwareErrorSource`, with an acknowledgement (type 10).

    ACPI Specification 6.5, Generic Hardware Error Source version 2.

    Args:
        read_ack_register: what software writes when it has read the error.
        read_ack_preserve: bits of it to be kept.
        read_ack_write: bits of it to be set.
    """

    TYPE = 10

    read_ack_register: Gas = nested(Gas)
    read_ack_preserve: int = u64(default=0)
    read_ack_write: int = u64(default=1)


@structure
class Ia32DeferredMachineCheck(Ia32CorrectedMachineCheck):
    """Machine checks that were deferred (type 11).

    ACPI Specification 6.5, IA-32 Architecture Deferred Machine Check.

    Args: those of `Ia32CorrectedMachineCheck`.
    """

    TYPE = 11


@structure
class Hest(Table):
    """The Hardware Error Source Table, ACPI Specification 6.5, ACPI Error Source.

    Args:
        sources: see `ErrorSource`; from revision 2 on, sorted by type.

    Raises:
        TableValueError: sources in another order.
    """

    SIGNATURE = "HEST"
    REVISION = 2

    sources: Sequence[ErrorSource | UnreadSources] = attrs.field(
        default=(), converter=tuple_of("HEST", "Hest.sources", ErrorSource, UnreadSources)
    )
    error_source_count: int = attrs.field(
        init=False,
        default=attrs.Factory(
            lambda table: sum(source.COUNT for source in table.sources), takes_self=True
        ),
        metadata={KEY: Codec("I")},
    )

    def _tail(self) -> bytes:
        kinds = [source.TYPE for source in self.sources if isinstance(source, ErrorSource)]
        if self.revision >= self.REVISION and kinds != sorted(kinds):
            raise TableValueError(
                f"Hest.sources have types {kinds}, not sorted, as from revision {self.REVISION} on",
                "HEST",
                40,
            )
        return b"".join([source.to_bytes() for source in self.sources])

    @classmethod
    def _from_fields(cls, data: bytes) -> Self:
        fields, offset = cls._fixed(data)
        left = fields.pop("error_source_count")
        sources: list[ErrorSource | UnreadSources] = []
        while left:
            kind = KNOWN_SOURCES.get(int.from_bytes(piece(data, offset, offset + 2), "little"))
            if kind is None:
                sources.append(UnreadSources(left, data[offset:]))
                return cls(sources, **fields)
            try:
                source, past = kind.read(data, offset)
            except TableValueError as error:
                raise moved(error, "HEST", offset) from None
            sources.append(source)
            offset = past
            left -= 1
        return cls(sources, **fields, trailing=data[offset:])
