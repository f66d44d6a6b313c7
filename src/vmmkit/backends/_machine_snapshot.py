# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The saved state of a machine."""

from __future__ import annotations

import attrs

from vmmkit.devices import (
    IoApicSnapshot,
    LapicSnapshot,
    PicPairSnapshot,
    PitSnapshot,
    Port61Snapshot,
    RtcSnapshot,
)
from vmmkit.errors import MachineError

__all__ = ["MachineSnapshot", "VcpuSnapshot", "check_machine_snapshot"]


@attrs.frozen
class VcpuSnapshot:
    """What one vCPU of a machine is made of, but for its local APIC."""

    record: bytes = attrs.field(repr=False)
    """Of `CpuState`, with the instruction in flight and without the owner's breakpoints."""
    init: bool  #: an INIT takes effect at the next instruction boundary
    start_up: int | None  #: and a start-up message with this vector
    answer: int | None  #: what the owner has answered to the instruction in flight
    told: bool  #: whether the owner knows of the instruction in flight


@attrs.frozen
class MachineSnapshot:
    """Everything of a machine but RAM and the owner's own devices; it pickles."""

    time: int  #: virtual time in ns
    turn: int  #: the vCPU whose turn it is
    left: int  #: instructions left of it
    vcpus: tuple[VcpuSnapshot, ...]
    lapics: tuple[LapicSnapshot, ...]
    ioapic: IoApicSnapshot
    pic: PicPairSnapshot
    pit: PitSnapshot
    port61: Port61Snapshot
    rtc: RtcSnapshot
    msrs: tuple[tuple[tuple[int, int], ...] | None, ...]  #: values of each `MsrFile`


def check_machine_snapshot(snapshot: object, vcpus: int) -> MachineSnapshot:
    """Return `snapshot` if it is one of a machine with so many vCPUs.

    Raises:
        MachineError: it is not.
    """
    if not isinstance(snapshot, MachineSnapshot):
        raise MachineError(f"{snapshot!r:.60} is no MachineSnapshot")
    if len(snapshot.vcpus) != vcpus or len(snapshot.lapics) != vcpus:
        raise MachineError(f"the snapshot has {len(snapshot.vcpus)} vCPUs, the machine {vcpus}")
    return snapshot
