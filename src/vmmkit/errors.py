# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Every exception vmmkit raises, as one tree.

::

    VmmkitError
    |-- RegionError              the address map
    |   |-- RegionRangeError     (ValueError) zero, negative, wrapping or out-of-space range
    |   |-- OverlapError         (ValueError) two regions want the same addresses
    |   |-- ImmutableRegionError (PermissionError) remove, move or disable of an IMMUTABLE region
    |   |-- UnknownRegionError   (LookupError) a handle that this map does not hold
    |   |-- TransactionError     (RuntimeError) a transaction used where it cannot be
    |   |-- RegionConfigError    (ValueError) an argument of another kind than asked for
    |   |-- AccessError          base of the errors that one access can meet:
    |   |-- AccessSizeError      (ValueError) a size this region or this map does not take
    |   |-- AccessAddressError   (ValueError) an address outside the address space
    |   |-- AccessValueError     (TypeError) a value to be written that is no integer
    |   |-- UnmappedError        (LookupError) nothing answers at this address
    |   |-- DeniedError          (PermissionError) READ or WRITE missing, or misaligned
    |   |-- StraddleError        (ValueError) the access leaves the region it starts in
    |   |-- BusError             (OSError) raised by a device: it refuses the access
    |   `-- HandlerError         (RuntimeError) the handler raised, or returned no integer
    |-- InsnError                the instruction decoder and emulator
    |   |-- DecodeError          (ValueError) these bytes are no instruction we know
    |   |-- StateError           (ValueError) a register value that does not fit
    |   |-- StepError            (RuntimeError) an answer nobody asked for, or none where one is due
    |   |-- GuestMemoryError     (ValueError) RAM that overlaps, wraps or is no buffer
    |   `-- EngineError          (ImportError) the engine asked for is missing or stale
    |-- PciError                 PCI and PCI Express
    |   |-- ConfigSpaceError     (ValueError) a config space or capability laid out wrongly
    |   |-- DeclarationError     (TypeError) a device class whose declarations contradict each other
    |   |-- TopologyError        (ValueError) functions, buses or ports put together wrongly
    |   |-- AllocationError      (RuntimeError) BARs or bridge windows that find no room
    |   |-- DmaError             (ValueError) a transfer whose arguments make no sense
    |   `-- PciSnapshotError     (ValueError) a snapshot of something else, or of another version
    |-- AcpiError                ACPI tables and AML
    |   |-- TableValueError      (ValueError) a field of a table that cannot have this value
    |   |-- TableParseError      (ValueError) bytes that are no such table
    |   |-- AmlValueError        (ValueError) a name, number or package that AML cannot hold
    |   |-- AmlParseError        (ValueError) bytes that are no AML
    |   |-- PlacementError       (ValueError) a table that does not fit where it was to go
    |   |-- LinkerError          (ValueError) a loader script that cannot be carried out
    |   `-- PlatformError        (ValueError) a platform whose parts contradict each other
    |-- GdbError                 the GDB stub
    |   |-- TargetError          (RuntimeError) a target refuses what the debugger asked for
    |   |-- StubConfigError      (ValueError) a stub or server configured wrongly by its owner
    |   |-- RegisterLayoutError  (ValueError) a register or layout that no description can have
    |   |-- ExpressionError      (ValueError) an agent expression that cannot be evaluated
    |   `-- ServeError           (OSError) an address that cannot be listened on
    |-- LoaderError              guest images
    |   |-- ImageFormatError     (ValueError) bytes that are no image of this format
    |   `-- ImagePlacementError  (ValueError) an image, or what goes with it, finds no room
    |-- DeviceError              (ValueError) a device configured or driven wrongly by its owner
    |-- MachineError             (ValueError) a machine configured or driven wrongly by its owner
    `-- KvmError                 (OSError) the kernel refuses a call of its KVM interface
        `-- KvmUnavailableError  /dev/kvm is missing, forbidden, no KVM, or too old

The rule behind the tree: a *caller's* mistake is an exception and names address, size and
object; what a *guest* does is never an exception out of this library but an answer (all ones,
a fault record, an outcome). Each class also derives from the builtin that a caller who does
not know vmmkit would try to catch.
"""

from __future__ import annotations

from enum import Enum
from typing import Self

__all__ = [
    "AccessAddressError", "AccessError", "AccessSizeError", "AccessValueError", "AcpiError",
    "AllocationError", "AmlParseError", "AmlValueError", "BusError", "ConfigSpaceError",
    "DeclarationError", "DecodeError", "DecodeReason", "DeniedError", "DeviceError", "DmaError",
    "EngineError", "ExpressionError", "GdbError", "GuestMemoryError", "HandlerError",
    "ImageFormatError", "ImagePlacementError", "ImmutableRegionError", "InsnError", "KvmError",
    "KvmUnavailableError", "LinkerError", "LoaderError", "MachineError", "OverlapError",
    "PciError", "PciSnapshotError", "PlacementError", "PlatformError", "RegionConfigError",
    "RegionError", "RegionRangeError", "RegisterLayoutError", "ServeError", "StateError",
    "StepError", "StraddleError", "StubConfigError", "TableParseError", "TableValueError",
    "TargetError", "TopologyError", "TransactionError", "UnknownRegionError", "UnmappedError",
    "VmmkitError",
]  # fmt: skip


class VmmkitError(Exception):
    """Base of everything this library raises."""


class RegionError(VmmkitError):
    """Base of the address map's errors."""


class RegionConfigError(RegionError, ValueError):
    """A region or policy described wrongly: no handler, a read-only RAM buffer, unknown words."""


class RegionRangeError(RegionError, ValueError):
    """A range that is empty, negative, wraps, or ends beyond the address space."""


class OverlapError(RegionError, ValueError):
    """Two regions claim the same addresses.

    Attributes:
        region: the region that was to be placed (any object with `name`, `base` and `last`).
        other: the region that is already there.
    """

    def __init__(self, message: str, region: object, other: object) -> None:
        """Keep both parties beside the text."""
        super().__init__(message)
        self.region = region
        self.other = other

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        """Pickle and copy with all that the constructor wants."""
        return type(self), (self.args[0], self.region, self.other)


class ImmutableRegionError(RegionError, PermissionError):
    """An IMMUTABLE region was to be removed, moved or disabled."""


class UnknownRegionError(RegionError, LookupError):
    """A handle that is closed, or that another map made."""


class TransactionError(RegionError, RuntimeError):
    """A transaction begun twice, ended by another thread, or waited in for its own end."""


class AccessError(RegionError):
    """Base of the errors that one access can meet; not raised itself.

    Attributes:
        address: first address of the access.
        size: bytes.
        region: name of the region concerned, or `None`.
    """

    def __init__(self, message: str, address: int, size: int, region: str | None = None) -> None:
        """Keep the access beside the text."""
        super().__init__(message)
        self.address = address
        self.size = size
        self.region = region

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        """Pickle and copy with all that the constructor wants."""
        return type(self), (self.args[0], self.address, self.size, self.region)


class AccessSizeError(AccessError, ValueError):
    """A size that is no access size, or that the region's policy refuses."""


class AccessAddressError(AccessError, ValueError):
    """An address that is negative, no integer, or beyond the address space."""


class AccessValueError(AccessError, TypeError):
    """A value to be written that is no integer."""


class UnmappedError(AccessError, LookupError):
    """No region and no fallback range answers at this address."""


class DeniedError(AccessError, PermissionError):
    """The region lacks READ or WRITE, or demands an alignment the access does not have."""


class StraddleError(AccessError, ValueError):
    """The access starts in one region and ends outside of it."""


class BusError(AccessError, OSError):
    """For devices to raise: the access is refused; passed on to the caller unchanged."""


class HandlerError(AccessError, RuntimeError):
    """A handler raised (see `__cause__`) or returned something that is no integer."""


class InsnError(VmmkitError):
    """Base of the decoder's and emulator's errors."""


class DecodeReason(Enum):
    """Why bytes did not decode."""

    TRUNCATED = "truncated"  #: more bytes are needed
    INVALID = "invalid"  #: the processor raises #UD here
    TOO_LONG = "too long"  #: more than 15 bytes; the processor raises #GP(0)
    UNKNOWN = "unknown"  #: perhaps an instruction, but not in the opcode table


class DecodeError(InsnError, ValueError):
    """Bytes that decode to no instruction.

    Attributes:
        reason: a `DecodeReason`.
        code: the bytes looked at.
    """

    def __init__(self, message: str, reason: DecodeReason, code: bytes) -> None:
        """Keep reason and bytes beside the text."""
        super().__init__(message)
        self.reason = reason
        self.code = code

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        """Pickle and copy with all that the constructor wants."""
        return type(self), (self.args[0], self.reason, self.code)


class StateError(InsnError, ValueError):
    """A register was given something that is no integer from 0 to 2**64-1."""


class StepError(InsnError, RuntimeError):
    """`step` was re-entered with an answer nobody asked for, or without the one awaited."""


class GuestMemoryError(InsnError, ValueError):
    """RAM pieces that overlap, wrap, are empty, or are not contiguous byte buffers."""


class EngineError(InsnError, ImportError):
    """The engine asked for is missing or was built from another opcode table."""


class PciError(VmmkitError):
    """Base of the PCI block's errors: mistakes of whoever builds devices and buses."""


class ConfigSpaceError(PciError, ValueError):
    """Registers or capabilities of a config space that overlap, do not fit, or do not exist."""


class DeclarationError(PciError, TypeError):
    """A `PciDevice` class whose BARs, registers or capabilities contradict each other."""


class TopologyError(PciError, ValueError):
    """A slot taken twice, a function that is not there, a bus number out of range."""


class AllocationError(PciError, RuntimeError):
    """Windows too small for what was to be placed in them.

    Attributes:
        unplaced: what found no room, as `(name, size)`, sizes in bytes, largest first.
    """

    def __init__(self, message: str, unplaced: tuple[tuple[str, int], ...]) -> None:
        """Keep what found no room beside the text."""
        super().__init__(message)
        self.unplaced = unplaced

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        """Pickle and copy with all that the constructor wants."""
        return type(self), (self.args[0], self.unplaced)


class DmaError(PciError, ValueError):
    """A transfer of a negative size or address, of data that is no buffer, or beyond 1 GiB."""


class PciSnapshotError(PciError, ValueError):
    """A snapshot that another kind of function made, or another version of this one."""


class AcpiError(VmmkitError):
    """Base of the ACPI block's errors.

    Attributes:
        table: signature or class name of the table or structure concerned, or `None`.
        offset: bytes from its start, where there is one, or `None`.
    """

    def __init__(self, message: str, table: str | None = None, offset: int | None = None) -> None:
        """Keep the place beside the text."""
        super().__init__(message)
        self.table = table
        self.offset = offset

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        """Pickle and copy with all that the constructor wants."""
        return type(self), (self.args[0], self.table, self.offset)


class TableValueError(AcpiError, ValueError):
    """A field of a table was given a value that it cannot hold, or that contradicts another."""


class TableParseError(AcpiError, ValueError):
    """Bytes that are truncated, or whose lengths contradict each other."""


class AmlValueError(AcpiError, ValueError):
    """A name that is not legal, a number, string or package that AML cannot hold."""


class AmlParseError(AcpiError, ValueError):
    """Bytes that are no AML; `offset` counts from the first byte handed in."""


class PlacementError(AcpiError, ValueError):
    """A table was to be placed beyond the range given, over something else, or out of reach."""


class LinkerError(AcpiError, ValueError):
    """A loader script with an unknown command, a missing file, or a place outside of a file."""


class PlatformError(AcpiError, ValueError):
    """CPU counts, windows, interrupts or addresses of a platform that contradict each other."""


class GdbError(VmmkitError):
    """Base of the GDB block's errors."""


class TargetError(GdbError, RuntimeError):
    """A target cannot or will not do what the debugger asked for.

    Raised by targets and answered to the debugger, with the text where it can show one.
    """


class StubConfigError(GdbError, ValueError):
    """An argument of the stub or the server that is of another kind, or out of range."""


class RegisterLayoutError(GdbError, ValueError):
    """A register without name or width, a layout or a mode that does not exist."""


class ExpressionError(GdbError, ValueError):
    """Bytecode of the debugger's that is malformed, too long in running, or divides by zero."""


class ServeError(GdbError, OSError):
    """The server cannot listen at its address, or is closed."""


class LoaderError(VmmkitError):
    """Base of the errors about guest images."""


class ImageFormatError(LoaderError, ValueError):
    """Bytes that are no image of this format, or one that contradicts itself.

    Attributes:
        offset: bytes from the start of the file, where there is one place, or `None`.
    """

    def __init__(self, message: str, offset: int | None = None) -> None:
        """Keep the place beside the text."""
        super().__init__(message)
        self.offset = offset

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        """Pickle and copy with all that the constructor wants."""
        return type(self), (self.args[0], self.offset)


class ImagePlacementError(LoaderError, ValueError):
    """An image, or what belongs to it, that the guest's memory does not take.

    Attributes:
        gpa: address it was to have, or `None` if any would have done.
        size: bytes.
        what: its name.
    """

    def __init__(self, message: str, gpa: int | None, size: int, what: str) -> None:
        """Put place and name before the text."""
        place = "anywhere" if gpa is None else f"at {gpa:#x}"
        super().__init__(f"{what} ({size} bytes {place}): {message}")
        self.message, self.gpa, self.size, self.what = message, gpa, size, what

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        """Pickle and copy with all that the constructor wants."""
        return type(self), (self.message, self.gpa, self.size, self.what)


class DeviceError(VmmkitError, ValueError):
    """A device model was configured or driven wrongly by its owner (never by the guest)."""


class MachineError(VmmkitError, ValueError):
    """A machine was configured or driven wrongly by its owner (never by the guest)."""


class KvmError(VmmkitError, OSError):
    """The kernel refuses a call of its KVM interface, or the object is closed already.

    Attributes:
        call: name of the ioctl or other call, for instance `"KVM_CREATE_VM"`.
        errno: the kernel's error number.
    """

    def __init__(self, message: str, call: str, errno: int) -> None:
        """Keep call and error number beside the text."""
        super().__init__(errno, message)
        self.call = call

    def __str__(self) -> str:
        """Return the message, which names call and error already."""
        return str(self.strerror)

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        """Pickle and copy with all that the constructor wants."""
        return type(self), (self.strerror, self.call, self.errno)


class KvmUnavailableError(KvmError):
    """There is no KVM to be used: no /dev/kvm, no permission, another interface, or too old."""
