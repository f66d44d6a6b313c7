# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Capabilities: where they go, what they refuse, and what PM, MSI and MSI-X do when written."""

import pytest

from pci.config_probe import bridge, endpoint
from vmmkit.errors import ConfigSpaceError
from vmmkit.pci.capabilities import (
    Acs,
    Aer,
    Ari,
    Dsn,
    Ltr,
    Msi,
    Msix,
    PciExpress,
    PowerManagement,
    RawCapability,
    RawExtended,
    Slot,
    SrIov,
    SubsystemId,
    VendorSpecific,
    VfBar,
)
from vmmkit.pci.config import Effect, ResetKind
from vmmkit.pci.spec import BarKind, PortType

POWER = Effect.POWER | Effect.DECODE | Effect.INTERRUPT


# -- places and chains -------------------------------------------------------------------------


def walk(config):
    """Follow the standard list as a driver does."""
    found, offset = [], config.read(0x34, 1)
    while offset:
        found.append((offset, config.read(offset, 1)))
        offset = config.read(offset + 1, 1)
    return found


def walk_extended(config):
    """Follow the extended list as a driver does."""
    found, offset = [], 0x100
    while offset:
        header = config.read(offset, 4)
        found.append((offset, header & 0xFFFF, header >> 16 & 15))
        offset = header >> 20
    return found


def test_a_function_without_capabilities_has_no_list():
    config = endpoint()
    assert (config.read(0x06, 2), config.read(0x34, 1), config.read(0x100, 4)) == (0, 0, 0)


def test_capabilities_follow_each_other_from_40h():
    config = endpoint(PowerManagement(), Msi(), Msix(table_bar=0), PciExpress())
    assert walk(config) == [(0x40, 0x01), (0x48, 0x05), (0x60, 0x11), (0x6C, 0x10)]
    assert config.read(0x06, 2) == 0x0010
    config._check()


def test_the_chain_follows_the_order_of_adding_not_of_places():
    config = endpoint()
    assert config.add(PciExpress(), at=0x80) == 0x80
    assert config.add(Msi(), at=0xC0) == 0xC0
    assert config.add(PowerManagement()) == 0x40
    assert walk(config) == [(0x80, 0x10), (0xC0, 0x05), (0x40, 0x01)]


def test_capabilities_go_around_registers_of_the_device():
    config = endpoint()
    config.define(0x48, 4, rw=0xFF, name="Latch")
    assert [config.add(one) for one in (Msi(), PowerManagement())] == [0x4C, 0x40]


def test_extended_capabilities_are_chained_by_their_places():
    config = endpoint(Aer(), Dsn(1), Ltr())
    assert walk_extended(config) == [(0x100, 0x01, 2), (0x148, 0x03, 1), (0x154, 0x18, 1)]
    config.add(Acs(), at=0x200)
    config.add(Ari(), at=0x180)
    assert [one[0] for one in walk_extended(config)] == [0x100, 0x148, 0x154, 0x180, 0x200]
    assert config.read(0x06, 2) == 0
    config._check()


def test_an_extended_list_that_begins_late_begins_with_a_null_capability():
    config = endpoint()
    config.add(Dsn(1), at=0x200)
    assert walk_extended(config) == [(0x100, 0, 0), (0x200, 3, 1)]
    config.add(Ltr())
    assert walk_extended(config) == [(0x100, 0x18, 1), (0x200, 3, 1)]


def test_headers_survive_guests_and_resets():
    config = endpoint(Msi(), Dsn(1), Ltr())
    before = walk(config), walk_extended(config)
    config.write(0, 4096, (1 << 32768) - 1)
    config.reset(ResetKind.POWER)
    assert (walk(config), walk_extended(config)) == before


def test_capabilities_are_found_again():
    msi, first, second = Msi(4), VendorSpecific(b"one"), VendorSpecific(b"two")
    config = endpoint(msi, first, second, RawExtended(0x05, b"\0\0\0\0"))
    assert config.capabilities == (
        (0x40, msi),
        (0x58, first),
        (0x60, second),
        (0x100, RawExtended(0x05, b"\0\0\0\0")),
    )
    assert config.capability(VendorSpecific) is first
    assert (config.capability(Msix), config.offset_of(Msix)) == (None, None)
    assert (config.offset_of(VendorSpecific), config.find(0x09), config.find(0x11)) == (
        0x58,
        0x58,
        None,
    )
    assert (config.find(0x05), config.find(0x05, extended=True)) == (0x40, 0x100)


# -- declarations that contradict themselves ---------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Msi(3), "Msi: vectors is one of 1, 2, 4, 8, 16, 32, not 3"),
        (lambda: Msi(0), "Msi: vectors is one of"),
        (lambda: Msix(0), "Msix: vectors is 0x1 to 0x800, not 0"),
        (lambda: Msix(2049), "Msix: vectors"),
        (lambda: Msix(table_bar=6), "Msix: table_bar"),
        (lambda: Msix(table_bar=0, table_offset=4), "multiples of 8"),
        (lambda: Msix(table_bar=0, pba_offset=0x1004), "multiples of 8"),
        (
            lambda: Msix(4, table_bar=0, pba_offset=0x38),
            r"table \[0x0-0x3f\] overlaps PBA \[0x38-0x3f\]",
        ),
        (lambda: endpoint(Msix(4)), "no BAR was chosen"),
        (lambda: PowerManagement(pme=["D1"]), "no PME from D1"),
        (lambda: PowerManagement(aux_current=8), "aux_current"),
        (lambda: PciExpress(speed=7), "PciExpress: speed is 0x1 to 0x6, not 7"),
        (lambda: PciExpress(width=3), "PciExpress: width is one of"),
        (lambda: PciExpress(max_payload=64), "PciExpress: max_payload is one of"),
        (lambda: PciExpress(slot=Slot()), "a ENDPOINT has no slot"),
        (lambda: PciExpress(port_type=PortType.SWITCH_UPSTREAM, slot=Slot()), "has no slot"),
        (lambda: PciExpress(port_type=3), "no device/port type 3"),
        (lambda: Slot(number=0x2000), "Slot: number"),
        (lambda: Slot(power_limit=240), "Slot: power_limit"),
        (lambda: VendorSpecific(bytes(190)), "VendorSpecific: 190 bytes of data"),
        (lambda: VendorSpecific(b"ab", rw=b"a"), "a mask of 1 bytes for 2 of data"),
        (lambda: RawCapability(0x100, b""), "capability_id"),
        (lambda: RawCapability(1, b"ab", w1c=b"abc"), "a mask of 3 bytes for 2 of data"),
        (lambda: RawExtended(1, bytes(3837)), "RawExtended: 3837 bytes of data"),
        (lambda: SubsystemId(0x10000, 0), "SubsystemId: vendor_id"),
        (lambda: Dsn(1 << 64), "Dsn: serial"),
        (lambda: Acs(egress_control=True), "come together"),
        (lambda: Acs(egress_vector=4), "come together"),
        (lambda: Ari(next_function=256), "Ari: next_function"),
        (lambda: SrIov(total_vfs=0, device_id=1), "SrIov: total_vfs"),
        (lambda: SrIov(total_vfs=1, device_id=1, page_sizes=2), "page_sizes"),
        (lambda: SrIov(total_vfs=2, device_id=1, stride=0), "share a routing ID"),
        (lambda: SrIov(total_vfs=0x8001, device_id=1, stride=2), "beyond the last bus"),
        (lambda: VfBar(0, 2048), "VfBar: size"),
        (lambda: VfBar(0, 0x3000), "VfBar: size"),
        (lambda: VfBar(0, 4096, BarKind.IO), "no io BAR"),
        (
            lambda: endpoint(
                SrIov(total_vfs=1, device_id=1, bars=[VfBar(0, 4096), VfBar(1, 4096)])
            ),
            r"VF BAR 1 \[128h-12bh\] overlaps SR-IOV.VF BAR 0 \(upper half\)",
        ),
        (
            lambda: endpoint(SrIov(total_vfs=1, device_id=1, bars=[VfBar(5, 4096)])),
            "overlaps SR-IOV.MigrationState",
        ),
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused(make, message):
    with pytest.raises(ConfigSpaceError, match=message):
        make()


# -- power management --------------------------------------------------------------------------


@pytest.mark.parametrize("d1", [False, True])
@pytest.mark.parametrize("d2", [False, True])
@pytest.mark.parametrize("old", range(4))
@pytest.mark.parametrize("new", range(4))
def test_d_states_change_only_as_the_specification_allows(d1, d2, old, new):
    capability = PowerManagement(d1=d1, d2=d2)
    config = endpoint(capability)
    if old not in capability.states:
        old = 0
    config.set(0x44, 2, old)
    legal = new in {0, 3, *([1] if d1 else []), *([2] if d2 else [])} and (new == 0 or new > old)
    effects = config.write(0x44, 1, new)
    assert config.power_state == (new if legal else old)
    assert effects == (POWER if legal and new != old else 0)


def test_a_refused_d_state_does_not_hold_back_its_neighbours():
    config = endpoint(PowerManagement(pme=("D0", "D3hot")))
    config.set(0x44, 2, 0x8008)
    config.write(0x44, 2, 0x8101)
    assert config.read(0x44, 2) == 0x0108


def test_pme_bits_survive_a_bus_reset_and_the_d_state_does_not():
    config = endpoint(PowerManagement(pme=("D3cold",)))
    config.write(0x44, 2, 0x0103)
    config.reset(ResetKind.BUS)
    assert (config.read(0x44, 2), config.power_state) == (0x0108, 0)
    config.reset(ResetKind.POWER)
    assert config.read(0x44, 2) == 0x0008


@pytest.mark.parametrize("kind", [ResetKind.FUNCTION, ResetKind.D3])
def test_pme_bits_survive_a_reset_of_the_function_alone(kind):
    config = endpoint(PowerManagement(pme=("D0", "D3hot"), no_soft_reset=False))
    config.amend(0x44, 2, on=0x8100)
    config.reset(kind)
    assert config.read(0x44, 2) == 0x8100


# -- MSI ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address64", "maskable", "size"),
    [(False, False, 10), (True, False, 14), (False, True, 20), (True, True, 24)],
)
def test_the_four_forms_of_msi(address64, maskable, size):
    capability = Msi(8, address64=address64, maskable=maskable)
    config = endpoint(capability)
    view = config.msi
    assert capability.size == size
    assert (view.vectors, view.vectors_enabled, view.enabled, view.pending) == (8, 1, False, 0)
    config.write(0x40, 24, (1 << 192) - 1)
    assert view.address == (0xFFFF_FFFF_FFFF_FFFC if address64 else 0xFFFF_FFFC)
    assert (view.data, view.mask, view.pending) == (0xFFFF, 0xFF if maskable else 0, 0)
    assert (view.enabled, view.vectors_enabled, view.maskable) == (True, 8, maskable)
    view.pending = 0x21
    assert view.pending == (0x21 if maskable else 0)
    assert config.read(view.offset + size - 4, 4) == 0x21 or not maskable


@pytest.mark.parametrize("offered", range(6))
@pytest.mark.parametrize("written", range(8))
def test_no_more_vectors_are_enabled_than_offered(offered, written):
    config = endpoint(Msi(1 << offered))
    config.write(0x42, 2, written << 4)
    assert config.msi.vectors_enabled == 1 << min(offered, written)


@pytest.mark.parametrize("offset", [2, 4, 8, 12, 16])
def test_every_writable_msi_register_concerns_interrupts(offset):
    config = endpoint(Msi(32))
    assert config.write(0x40 + offset, 1, 0x11) == Effect.INTERRUPT
    assert config.write(0x40 + 20, 4, 0xFFFF_FFFF) == 0


# -- MSI-X -------------------------------------------------------------------------------------


def test_msix_says_where_its_structures_are():
    config = endpoint(Msix(2048, table_bar=2, table_offset=0x800, pba_bar=4, pba_offset=8))
    view = config.msix
    assert (view.vectors, view.table_bar, view.table_offset) == (2048, 2, 0x800)
    assert (view.pba_bar, view.pba_offset) == (4, 8)
    assert config.capability(Msix).table_place == (2, 0x800, 0x8000)
    assert config.capability(Msix).pba_place == (4, 8, 256)


def test_the_pending_bits_go_to_the_page_behind_the_table():
    for vectors, offset in ((1, 0x1000), (256, 0x1000), (257, 0x2000), (2048, 0x8000)):
        assert Msix(vectors, table_bar=0).pba_place == (0, offset, -(-vectors // 64) * 8)


def test_a_guest_changes_enable_and_function_mask_and_nothing_else():
    config = endpoint(Msix(5, table_bar=0))
    before = config.read(0x44, 8)
    assert config.write(0x43, 1, 0x80) == Effect.INTERRUPT
    assert (config.msix.enabled, config.msix.function_masked) == (True, False)
    assert config.write(0x40, 12, (1 << 96) - 1) == Effect.INTERRUPT
    assert (config.msix.enabled, config.msix.function_masked) == (True, True)
    assert (config.read(0x42, 2), config.read(0x44, 8)) == (0xC004, before)


# -- raw bytes ---------------------------------------------------------------------------------


def test_vendor_data_is_read_only_but_for_its_mask():
    config = endpoint(VendorSpecific(b"\x11\x22\x33", rw=b"\x00\xff\x0f"))
    assert config.read(0x40, 6).to_bytes(6, "little") == b"\x09\x00\x06\x11\x22\x33"
    config.write(0x40, 6, (1 << 48) - 1)
    assert config.read(0x40, 6).to_bytes(6, "little") == b"\x09\x00\x06\x11\xff\x3f"


def test_raw_capabilities_have_the_id_and_masks_one_gives_them():
    config = endpoint(
        RawCapability(0x12, b"\x10\x00\xff\xff", rw=b"\x00\xf0\x00\x00", w1c=b"\0\0\x0f\x00"),
        RawExtended(0xABCD, b"\x01\x02\x03\x04", revision=3, rw=b"\xff\x00\x00\x00"),
    )
    config.write(0x40, 8, (1 << 64) - 1)
    config.write(0x100, 8, (1 << 64) - 1)
    assert config.read(0x40, 8) == 0x0000_FFF0_F010_0012
    assert config.read(0x100, 8) == 0x0403_02FF_0003_ABCD


def test_subsystem_ids_of_a_bridge():
    assert bridge(SubsystemId(0x1AF4, 0x1100)).read(0x40, 8) == 0x1100_1AF4_0000_000D


# -- SR-IOV ------------------------------------------------------------------------------------


def virtual(total=8):
    bars = (VfBar(0, 0x4000), VfBar(2, 0x1000, BarKind.MEM32))
    return endpoint(SrIov(total_vfs=total, device_id=0x10CA, bars=bars))


def test_the_number_of_virtual_functions_is_fixed_once_they_are_enabled():
    config = virtual()
    config.write(0x110, 2, 4)
    config.write(0x110, 2, 9)
    assert config.read(0x110, 2) == 4
    assert config.write(0x108, 2, 0x09) == Effect.NUMBERS | Effect.DECODE
    config.write(0x110, 2, 2)
    config.write(0x120, 4, 2)
    assert (config.read(0x110, 2), config.read(0x120, 4)) == (4, 1)
    config.write(0x108, 2, 0)
    config.write(0x110, 4, 2)
    config.write(0x120, 4, 2)
    assert (config.read(0x110, 2), config.read(0x120, 4)) == (2, 2)


@pytest.mark.parametrize("pages", [0, 3, 4, 0x8, 0xFFFF_FFFF])
def test_a_page_size_that_is_not_supported_is_ignored(pages):
    config = virtual()
    config.write(0x120, 4, pages)
    assert config.read(0x120, 4) == 1


def test_bars_of_virtual_functions_are_sized_by_masking():
    config = virtual()
    assert config.write(0x124, 8, (1 << 64) - 1) == Effect.DECODE
    config.write(0x12C, 8, (1 << 64) - 1)
    assert config.read(0x124, 8) == 0xFFFF_FFFF_FFFF_C00C
    assert config.read(0x12C, 8) == 0x0000_0000_FFFF_F000


def test_virtual_functions_take_whole_system_pages():
    config = virtual()
    config.write(0x12C, 4, 0x8000_3000)
    config.write(0x120, 4, 1 << 4)
    assert config.read(0x12C, 4) == 0x8000_0000
    config.write(0x124, 8, (1 << 64) - 1)
    config.write(0x12C, 4, (1 << 32) - 1)
    assert config.read(0x124, 8) == 0xFFFF_FFFF_FFFF_000C
    assert config.read(0x12C, 4) == 0xFFFF_0000
    config.write(0x120, 4, 1)
    config.write(0x12C, 4, (1 << 32) - 1)
    assert config.read(0x12C, 4) == 0xFFFF_F000


def test_a_page_of_many_gigabytes_reaches_into_the_upper_half():
    bars = (VfBar(0, 0x1000),)
    config = endpoint(SrIov(total_vfs=1, device_id=1, bars=bars, page_sizes=1 | 1 << 22))
    config.write(0x120, 4, 1 << 22)
    config.write(0x124, 8, (1 << 64) - 1)
    assert config.read(0x124, 8) == 0xFFFF_FFFC_0000_000C


# -- PCI Express -------------------------------------------------------------------------------


ENDPOINTS = {PortType.ENDPOINT, PortType.LEGACY_ENDPOINT, PortType.INTEGRATED_ENDPOINT}


@pytest.mark.parametrize("kind", PortType)
def test_a_port_type_has_the_header_it_belongs_to(kind):
    right, wrong = (endpoint, bridge) if kind in ENDPOINTS else (bridge, endpoint)
    right(PciExpress(port_type=kind))
    with pytest.raises(ConfigSpaceError, match=f"{kind.name} does not go with a TYPE[01] header"):
        wrong(PciExpress(port_type=kind))


@pytest.mark.parametrize("flr", [False, True])
@pytest.mark.parametrize("port_type", PortType)
def test_function_level_reset_is_asked_for_and_reads_zero(flr, port_type):
    make = endpoint if port_type in ENDPOINTS else bridge
    config = make(PciExpress(port_type=port_type, flr=flr))
    has = flr and port_type in ENDPOINTS
    assert config.read(0x44, 4) >> 28 & 1 == has
    assert config.write(0x49, 1, 0xA0) == (Effect.FUNCTION_RESET if has else 0)
    retry = 0x80 if port_type is PortType.PCIE_TO_PCI_BRIDGE else 0
    assert config.read(0x49, 1) == 0x20 | retry
    assert config.write(0x48, 1, 0xFF) == 0


def test_payload_size_and_link_settings_survive_a_function_level_reset():
    config = endpoint(PciExpress(aspm=3))
    config.write(0x48, 2, 0x2F30)
    config.write(0x50, 2, 0x00CB)
    config.reset(ResetKind.FUNCTION)
    assert (config.read(0x48, 2), config.read(0x50, 2)) == (0x2830, 0x00CB)
    config.reset(ResetKind.BUS)
    assert (config.read(0x48, 2), config.read(0x50, 2)) == (0x2810, 0)


def test_slot_status_is_cleared_by_ones_and_slot_registers_concern_the_slot():
    slot = Slot(hot_plug=True, attention_button=True, power_controller=True)
    config = bridge(PciExpress(port_type=PortType.ROOT_PORT, slot=slot))
    config.set(0x5A, 2, 0x0149)
    assert config.write(0x58, 2, 0x0020) == Effect.SLOT
    assert config.read(0x5A, 2) == 0x0149
    assert config.write(0x5A, 2, 0x0008) == Effect.SLOT
    assert config.write(0x5A, 2, 0x0008) == 0
    assert config.read(0x58, 4) == 0x0141_0020


def test_ari_forwarding_changes_which_functions_a_port_reaches():
    port = PciExpress(port_type=PortType.SWITCH_DOWNSTREAM, ari_forwarding=True)
    config = bridge(port)
    assert config.write(0x68, 2, 0x0020) == Effect.NUMBERS
    assert config.write(0x68, 2, 0x0030) == 0
    assert bridge(PciExpress(port_type=PortType.SWITCH_DOWNSTREAM)).write(0x68, 2, 0x0020) == 0


def test_what_a_link_was_told_to_train_to_survives_all_but_power():
    config = endpoint(PciExpress(speed=4))
    config.write(0x70, 2, 2)
    config.reset(ResetKind.BUS)
    assert config.read(0x70, 2) == 2
    config.reset(ResetKind.POWER)
    assert config.read(0x70, 2) == 4
