# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The SR-IOV capability of a physical function. The virtual functions are somebody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import attrs

from vmmkit.errors import ConfigSpaceError
from vmmkit.pci._registers import ConfigWrite, Effect, WriteHook
from vmmkit.pci.capabilities.base import ExtendedCapability, items, within
from vmmkit.pci.header import define_bar_register
from vmmkit.pci.spec import BarKind, ExtendedCapabilityId

if TYPE_CHECKING:
    from vmmkit.pci.config import ConfigSpace

__all__ = ["SrIov", "SrIovRegister", "VfBar"]


class SrIovRegister:
    """Offsets in the structure. PCI Express Base Specification, "SR-IOV Extended Capability"."""

    CAPABILITIES: Final = 0x04
    CONTROL: Final = 0x08
    STATUS: Final = 0x0A
    INITIAL_VFS: Final = 0x0C
    TOTAL_VFS: Final = 0x0E
    NUM_VFS: Final = 0x10
    FUNCTION_LINK: Final = 0x12
    FIRST_VF: Final = 0x14
    VF_STRIDE: Final = 0x16
    VF_DEVICE_ID: Final = 0x1A
    SUPPORTED_PAGE_SIZES: Final = 0x1C
    SYSTEM_PAGE_SIZE: Final = 0x20
    VF_BAR0: Final = 0x24
    MIGRATION_STATE: Final = 0x3C


_SIZE: Final = 0x40
_ENABLE: Final = 0x01
_MEMORY: Final = 0x08
_ARI_HIERARCHY: Final = 0x10
_PAGE: Final = 0x1000
_LAST_ROUTING_ID: Final = 0xFFFF
_DWORD: Final = 0xFFFF_FFFF


def _check_kind(_bar: VfBar, _attribute: object, kind: BarKind) -> None:
    if not isinstance(kind, BarKind):
        raise ConfigSpaceError(f"VfBar: {kind!r} is no BarKind")
    if kind in (BarKind.IO, BarKind.ROM):
        raise ConfigSpaceError(f"VfBar: a virtual function has no {kind.value} BAR")


def _check_size(_bar: VfBar, _attribute: object, size: int) -> None:
    if size & size - 1:
        raise ConfigSpaceError(f"VfBar: size is a power of two, not {size:#x}")


@attrs.frozen
class VfBar:
    """A BAR that each virtual function has.

    Args:
        index: 0-5; a 64-bit BAR takes the next one too.
        size: bytes of one virtual function: a power of two, at least a page of 4 KiB.
        kind: memory of any kind.

    Raises:
        ConfigSpaceError: another index, size or kind.
    """

    index: int = attrs.field(validator=within(0, 5))
    size: int = attrs.field(validator=[within(_PAGE, 1 << 63), _check_size])
    kind: BarKind = attrs.field(default=BarKind.MEM64_PREFETCHABLE, validator=_check_kind)

    @property
    def register_size(self) -> int:
        """Bytes of its register, 4 or 8."""
        return 8 if self.kind in (BarKind.MEM64, BarKind.MEM64_PREFETCHABLE) else 4


def _check_bars(_sriov: SrIov, _attribute: object, bars: tuple[object, ...]) -> None:
    wrong = [bar for bar in bars if not isinstance(bar, VfBar)]
    if wrong:
        raise ConfigSpaceError(f"SrIov: {wrong[0]!r} is no VfBar")


@attrs.frozen(kw_only=True)
class SrIov(ExtendedCapability):
    """The registers that virtual functions are switched on by.

    As long as VF Enable is set, NumVFs and System Page Size ignore writes; so they do with more
    virtual functions than there are, and page sizes that are not supported. A BAR smaller than
    a system page is sized and aligned as a whole page.

    Args:
        total_vfs: how many there can be, 1-65535; InitialVFs is the same.
        device_id: of the virtual functions.
        first_vf: routing ID of the first one, relative to the physical function.
        stride: distance of their routing IDs.
        bars: what each of them has.
        page_sizes: Supported Page Sizes: bit n for pages of 2**(n+12) bytes, bit 0 among them.
        function_link: Function Dependency Link.

    Raises:
        ConfigSpaceError: out of range.
    """

    cap_id: ClassVar[int] = ExtendedCapabilityId.SRIOV

    total_vfs: int = attrs.field(validator=within(1, 0xFFFF))
    device_id: int = attrs.field(validator=within(0, 0xFFFF))
    first_vf: int = attrs.field(default=1, validator=within(1, 0xFFFF))
    stride: int = attrs.field(default=1, validator=within(0, 0xFFFF))
    bars: tuple[VfBar, ...] = attrs.field(default=(), converter=items, validator=_check_bars)
    page_sizes: int = attrs.field(default=0x553, validator=within(1, _DWORD))
    function_link: int = attrs.field(default=0, validator=within(0, 0xFF))

    def __attrs_post_init__(self) -> None:
        """Demand the page size that is in force after a reset, and routing IDs for all."""
        if not self.page_sizes & 1:
            raise ConfigSpaceError(f"SrIov: page_sizes {self.page_sizes:#x} is without 4 KiB")
        if self.total_vfs > 1 and not self.stride:
            raise ConfigSpaceError(f"SrIov: {self.total_vfs} virtual functions share a routing ID")
        last = self.first_vf + (self.total_vfs - 1) * self.stride
        if last > _LAST_ROUTING_ID:
            raise ConfigSpaceError(f"SrIov: the last routing ID, {last:#x}, is beyond the last bus")

    @property
    def size(self) -> int:
        """Bytes."""
        return _SIZE

    def define(self, config: ConfigSpace, offset: int) -> None:
        """Lay out numbers, control and the BARs of the virtual functions."""
        at = SrIovRegister
        rw = _ENABLE | _MEMORY | _ARI_HIERARCHY
        effects = (
            (_ENABLE | _ARI_HIERARCHY, Effect.NUMBERS | Effect.DECODE),
            (_MEMORY, Effect.DECODE),
        )
        config.define(offset + at.CONTROL, 2, rw=rw, effects=effects, name="SR-IOV.Control")
        for where, size, value, name in self._constants():
            config.define(offset + where, size, value=value, name=f"SR-IOV.{name}")
        config.define(offset + at.NUM_VFS, 2, rw=0xFFFF, name="SR-IOV.NumVFs")
        pages = self.page_sizes
        config.define(
            offset + at.SYSTEM_PAGE_SIZE, 4, value=1, rw=pages, name="SR-IOV.SystemPageSize"
        )
        config.on_write(offset + at.NUM_VFS, 2, self._count_written(offset))
        config.on_write(offset + at.SYSTEM_PAGE_SIZE, 4, self._page_written(offset))
        for bar in self.bars:
            first, name = offset + at.VF_BAR0, f"SR-IOV.VF BAR {bar.index}"
            at_bar = first + 4 * bar.index
            define_bar_register(config, at_bar, bar.kind, bar.size, name)
            config.on_write(at_bar, bar.register_size, self._bar_written(offset, at_bar))

    def _constants(self) -> tuple[tuple[int, int, int, str], ...]:
        """Return (offset, size, value, name) of what no guest changes."""
        at = SrIovRegister
        return (
            (at.CAPABILITIES, 4, 0, "Capabilities"),
            (at.STATUS, 2, 0, "Status"),
            (at.INITIAL_VFS, 2, self.total_vfs, "InitialVFs"),
            (at.TOTAL_VFS, 2, self.total_vfs, "TotalVFs"),
            (at.FUNCTION_LINK, 2, self.function_link, "FunctionLink"),
            (at.FIRST_VF, 2, self.first_vf, "FirstVF"),
            (at.VF_STRIDE, 2, self.stride, "VFStride"),
            (at.VF_DEVICE_ID, 2, self.device_id, "VFDeviceID"),
            (at.SUPPORTED_PAGE_SIZES, 4, self.page_sizes, "SupportedPageSizes"),
            (at.MIGRATION_STATE, 4, 0, "MigrationState"),
        )

    def _count_written(self, offset: int) -> WriteHook:
        """Return a hook that takes back a number of functions that cannot be had now."""

        def check(config: ConfigSpace, write: ConfigWrite) -> int:
            enabled = config.get(offset + SrIovRegister.CONTROL, 2) & _ENABLE
            if enabled or write.new & 0xFFFF > self.total_vfs:
                config.set(write.offset, 2, write.old & 0xFFFF)
            return 0

        return check

    def _page_written(self, offset: int) -> WriteHook:
        """Return a hook that takes back a page size that cannot be had now."""

        def check(config: ConfigSpace, write: ConfigWrite) -> int:
            enabled = config.get(offset + SrIovRegister.CONTROL, 2) & _ENABLE
            if enabled or write.new.bit_count() != 1:
                config.set(write.offset, 4, write.old)
            for bar in self.bars:
                at_bar = offset + SrIovRegister.VF_BAR0 + 4 * bar.index
                for at in range(at_bar, at_bar + bar.register_size, 4):
                    _align(config, offset, at_bar, at)
            return 0

        return check

    def _bar_written(self, offset: int, at_bar: int) -> WriteHook:
        """Return a hook that keeps a BAR at a multiple of the system page size."""

        def align(config: ConfigSpace, write: ConfigWrite) -> int:
            _align(config, offset, at_bar, write.offset)
            return 0

        return align


def _align(config: ConfigSpace, offset: int, at_bar: int, at: int) -> None:
    """Clear the bits of one dword of a BAR that are within a system page, and no type bits."""
    page = config.get(offset + SrIovRegister.SYSTEM_PAGE_SIZE, 4) * _PAGE
    config.amend(at, 4, off=page - _PAGE >> 8 * (at - at_bar) & _DWORD)
