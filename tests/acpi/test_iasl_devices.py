# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""iasl reads DMAR, IVRS, TPM2, BERT, HEST and BGRT without complaint.

This version does not know the VIOT, nor blocks of type 40h in the IVRS, and expects a log area in
every TPM2 from revision 4 on, where it may be left out.
"""

import pytest

from acpi.acpica import assert_roundtrip
from vmmkit.acpi.tables.bert import Bert
from vmmkit.acpi.tables.bgrt import Bgrt, BgrtStatus
from vmmkit.acpi.tables.dmar import (
    Andd,
    Atsr,
    AtsrFlags,
    DeviceScope,
    DeviceScopeType,
    Dmar,
    DmarFlags,
    Drhd,
    DrhdFlags,
    Rhsa,
    Rmrr,
)
from vmmkit.acpi.tables.error_source import HardwareErrorNotification, NotificationType
from vmmkit.acpi.tables.gas import Gas
from vmmkit.acpi.tables.hest import (
    GenericHardwareErrorSource,
    GenericHardwareErrorSourceV2,
    Hest,
    Ia32CorrectedMachineCheck,
    Ia32DeferredMachineCheck,
    Ia32MachineCheckException,
    Ia32NonMaskableInterrupt,
    MachineCheckBank,
    PciExpressBridgeAer,
    PciExpressDeviceAer,
    PciExpressRootPortAer,
)
from vmmkit.acpi.tables.ivhd import (
    AliasDeviceEntry,
    DataSetting,
    DeviceEntry,
    DeviceEntryType,
    ExtendedDataSetting,
    ExtendedDeviceEntry,
    SpecialDeviceEntry,
    Variety,
)
from vmmkit.acpi.tables.ivrs import Ivhd10, Ivhd11, IvhdFlags, Ivmd, IvmdType, Ivrs, ivinfo
from vmmkit.acpi.tables.tpm2 import LogArea, StartMethod, Tpm2

SCOPES = [
    DeviceScope(DeviceScopeType.PCI_ENDPOINT_DEVICE, [(2, 0)]),
    DeviceScope(DeviceScopeType.PCI_SUB_HIERARCHY, [(1, 0), (31, 7)], start_bus_number=3),
    DeviceScope(DeviceScopeType.IOAPIC, [(30, 1)], enumeration_id=2, start_bus_number=0xF0),
    DeviceScope(DeviceScopeType.MSI_CAPABLE_HPET, [(29, 0)], enumeration_id=1),
    DeviceScope(DeviceScopeType.ACPI_NAMESPACE_DEVICE, [(28, 0)], enumeration_id=5),
]
IOMMU = {"iommu_device_id": 0x10, "capability_offset": 0x40, "iommu_base_address": 0xFEB8_0000}
ENTRIES = [
    DeviceEntry(DeviceEntryType.ALL),
    DeviceEntry(DeviceEntryType.SELECT, 0x18, DataSetting.INIT_PASS | DataSetting.LINT1_PASS),
    DeviceEntry(DeviceEntryType.START_OF_RANGE, 0x100),
    DeviceEntry(DeviceEntryType.END_OF_RANGE, 0x1FF),
    AliasDeviceEntry(DeviceEntryType.ALIAS_SELECT, 0x20, source_device_id=0x28),
    AliasDeviceEntry(DeviceEntryType.ALIAS_START_OF_RANGE, 0x30, source_device_id=0x38),
    DeviceEntry(DeviceEntryType.END_OF_RANGE, 0x37),
    ExtendedDeviceEntry(
        DeviceEntryType.EXTENDED_SELECT,
        0x40,
        extended_data_setting=ExtendedDataSetting.ATS_DISABLED,
    ),
    SpecialDeviceEntry(2, 0xA0, Variety.IOAPIC),
    SpecialDeviceEntry(0, 0xA1, Variety.HPET, data_setting=DataSetting.NMI_PASS),
]
NOTIFICATION = HardwareErrorNotification(NotificationType.POLLED, poll_interval=1000)
BANKS = [MachineCheckBank(0), MachineCheckBank(3, control_register_msr_address=0x40C)]

TABLES = {
    "Dmar, empty": Dmar(),
    "Dmar, one": Dmar(
        [Drhd(0xFED9_0000, device_scopes=SCOPES[2:3], flags=DrhdFlags.INCLUDE_PCI_ALL)],
        flags=DmarFlags.INTR_REMAP | DmarFlags.X2APIC_OPT_OUT,
        host_address_width=39,
    ),
    "Dmar, all": Dmar(
        [
            Drhd(0xFED9_0000, device_scopes=SCOPES, segment_number=1),
            Drhd(0xFED9_1000, flags=DrhdFlags.INCLUDE_PCI_ALL),
            Rmrr(0x7000_0000, 0x7000_FFFF, device_scopes=SCOPES[:1], segment_number=2),
            Atsr(device_scopes=SCOPES[:2]),
            Atsr(flags=AtsrFlags.ALL_PORTS, segment_number=3),
            Rhsa(0xFED9_0000, 5),
            Andd(5, "\\_SB.PCI0.UAR0"),
        ]
    ),
    "Ivrs, empty": Ivrs(iv_info=ivinfo(pa_size=48, va_size=64)),
    "Ivrs, 10h": Ivrs([Ivhd10(ENTRIES, flags=IvhdFlags.IOTLB_SUP, **IOMMU)]),
    "Ivrs, 11h": Ivrs([Ivhd11(ENTRIES, efr_register_image=0x123456789, **IOMMU)]),
    "Ivrs, memory": Ivrs(
        [
            Ivmd(IvmdType.ALL, 0x7000_0000, 0x1000),
            Ivmd(IvmdType.SPECIFIED, 0x7000_1000, 0x1000, device_id=0x18),
            Ivmd(IvmdType.RANGE, 0x7000_2000, 0x1000, device_id=0x18, auxiliary_data=0x1F),
        ]
    ),
    "Tpm2, revision 3": Tpm2(StartMethod.MMIO, revision=3),
    "Tpm2, log": Tpm2(StartMethod.CRB, log_area=LogArea(0x1_0000, 0x7FFF_0000)),
    "Bert": Bert(0x1000, 0x7FFF_0000),
    "Bgrt": Bgrt(0x7FFF_0000, 100, 200, status=BgrtStatus.DISPLAYED),
    "Hest, empty": Hest(),
    "Hest, no banks": Hest([Ia32MachineCheckException(1)]),
    **{
        f"Hest, {type(source).__name__}": Hest([source])
        for source in [
            Ia32MachineCheckException(1, BANKS, global_capability_init_data=5),
            Ia32CorrectedMachineCheck(2, BANKS, notification=NOTIFICATION),
            Ia32NonMaskableInterrupt(3, max_raw_data_length=8),
            PciExpressRootPortAer(4, bus=1, device=2, function=3, root_error_command=7),
            PciExpressDeviceAer(5, uncorrectable_error_mask=1),
            PciExpressBridgeAer(6, secondary_uncorrectable_error_mask=9),
            GenericHardwareErrorSource(7, Gas.mem(0x7FFF_0000, 64), NOTIFICATION, 0x1000),
            GenericHardwareErrorSourceV2(
                8, Gas.mem(0x7FFF_0000, 64), NOTIFICATION, 0x1000, Gas.mem(0x7FFF_0008, 64), 0, 1
            ),
            Ia32DeferredMachineCheck(9, notification=NOTIFICATION),
        ]
    },
    "Hest, several": Hest([Ia32MachineCheckException(1, BANKS), Ia32NonMaskableInterrupt(0)]),
}


@pytest.mark.parametrize("name", TABLES)
def test_table_survives(name):
    assert_roundtrip(TABLES[name].to_bytes())
