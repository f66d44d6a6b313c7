# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Tables as a monitor's author makes them: read by the type checker, and run by the tests."""

from uuid import UUID

from vmmkit.acpi.relocation import Blob
from vmmkit.acpi.tables import (
    AcpiDeviceEntry,
    AcpiDeviceHandle,
    AliasDeviceEntry,
    Andd,
    Atsr,
    Bert,
    Bgrt,
    CacheTypeStructure,
    Dbg2,
    DebugDevice,
    DeviceEntry,
    DeviceEntryType,
    DeviceScope,
    DeviceScopeType,
    Dmar,
    Drhd,
    Dsdt,
    ExtendedDeviceEntry,
    Facs,
    Fadt,
    Gas,
    GenericErrorDataEntry,
    GenericErrorStatusBlock,
    GenericHardwareErrorSource,
    GenericHardwareErrorSourceV2,
    GenericInitiatorAffinity,
    GenericPortAffinity,
    GiccAffinity,
    GicItsAffinity,
    HardwareErrorNotification,
    Hest,
    Hmat,
    Hpet,
    Ia32CorrectedMachineCheck,
    Ia32DeferredMachineCheck,
    Ia32MachineCheckException,
    Ia32NonMaskableInterrupt,
    IdStructure,
    InterruptSourceOverride,
    IoApic,
    Ivhd10,
    Ivhd11,
    Ivhd40,
    Ivmd,
    IvmdType,
    Ivrs,
    LocalApic,
    LocalApicAddressOverride,
    LocalApicNmi,
    LocalityDataType,
    LocalX2Apic,
    LocalX2ApicNmi,
    LogArea,
    MachineCheckBank,
    Madt,
    Mcfg,
    McfgAllocation,
    MemoryAffinity,
    MemoryProximityDomainAttributes,
    MemorySideCacheInformation,
    MmioEndpoint,
    MultiprocessorWakeup,
    NmiSource,
    NotificationType,
    PciDeviceHandle,
    PciExpressBridgeAer,
    PciExpressDeviceAer,
    PciExpressRootPortAer,
    PciRange,
    PortType,
    Pptt,
    ProcessorFlags,
    ProcessorHierarchyNode,
    ProcessorLocalApicAffinity,
    ProcessorLocalX2ApicAffinity,
    Raw,
    RegisterBlock,
    RegisterBlocks,
    Rhsa,
    RintcAffinity,
    Rmrr,
    Rsdp,
    Rsdt,
    Satc,
    SerialSubtype,
    Sidp,
    Slit,
    Spcr,
    Spec,
    SpecialDeviceEntry,
    Srat,
    Ssdt,
    StartMethod,
    SystemLocalityLatencyAndBandwidthInformation,
    Table,
    Tpm2,
    Variety,
    Viot,
    VirtioIommuMmio,
    VirtioIommuPci,
    Waet,
    Xsdt,
)

DSDT = Dsdt(b"")
FACS = Facs()
BLOCKS = RegisterBlocks(
    RegisterBlock.io(0x600, 4), RegisterBlock.io(0x604, 2), gpe0=RegisterBlock.io(0x620, 16)
)
FADT = Fadt.full_hardware(
    DSDT, FACS, BLOCKS, reset_reg=Gas.io(0xCF9), reset_value=6, **Spec.V6_5.fadt
)
MADT = Madt(
    [
        LocalApic(0, 0),
        LocalX2Apic(300, 300),
        IoApic(0),
        InterruptSourceOverride(0, 2),
        NmiSource(3),
        LocalApicNmi(),
        LocalX2ApicNmi(),
        LocalApicAddressOverride(0xFEE0_0000),
        MultiprocessorWakeup(0x1000),
    ],
    **Spec.V6_5.madt,
)
SRAT = Srat(
    [
        ProcessorLocalApicAffinity(0, 0),
        ProcessorLocalX2ApicAffinity(0, 300),
        MemoryAffinity(0, 0, 1 << 30),
        GiccAffinity(0, 0),
        GicItsAffinity(0, 0),
        RintcAffinity(0, 0),
        GenericInitiatorAffinity(0, PciDeviceHandle(0, 0, 8)),
        GenericPortAffinity(0, AcpiDeviceHandle("ACPI0016")),
    ]
)
HMAT = Hmat(
    [
        MemoryProximityDomainAttributes(0, 0),
        SystemLocalityLatencyAndBandwidthInformation(
            [0], [0], [[10]], data_type=LocalityDataType.ACCESS_LATENCY, entry_base_unit=1000
        ),
        MemorySideCacheInformation(0, 1, 0x11),
    ]
)
L3 = CacheTypeStructure(size=1 << 20)
PACKAGE = ProcessorHierarchyNode(flags=ProcessorFlags.PHYSICAL_PACKAGE, private_resources=[L3])
PPTT = Pptt([L3, PACKAGE, ProcessorHierarchyNode(PACKAGE), IdStructure(1)])
SCOPE = DeviceScope(DeviceScopeType.IOAPIC, [(30, 0)], enumeration_id=1, start_bus_number=0xFF)
DMAR = Dmar(
    [
        Drhd(0xFED9_0000, device_scopes=[SCOPE]),
        Rmrr(0, 0xFFF),
        Atsr(),
        Rhsa(0xFED9_0000, 0),
        Andd(1, "\\_SB.X"),
        Satc(),
        Sidp(),
    ]
)
ENTRIES = [
    DeviceEntry(DeviceEntryType.ALL),
    AliasDeviceEntry(DeviceEntryType.ALIAS_SELECT, 8, source_device_id=9),
    ExtendedDeviceEntry(DeviceEntryType.EXTENDED_SELECT, 8),
    SpecialDeviceEntry(0, 0xA0, Variety.IOAPIC),
]
IVRS = Ivrs(
    [
        Ivhd10(ENTRIES, iommu_device_id=2, capability_offset=0x40, iommu_base_address=0xFED8_0000),
        Ivhd11(ENTRIES, iommu_device_id=2, capability_offset=0x40, iommu_base_address=0xFED8_0000),
        Ivhd40(
            [*ENTRIES, AcpiDeviceEntry(1, "AMDI0020", unique_id=b"1")],
            iommu_device_id=2,
            capability_offset=0x40,
            iommu_base_address=0xFED8_0000,
        ),
        Ivmd(IvmdType.ALL, 0, 4096),
    ]
)
IOMMU = VirtioIommuPci(8)
VIOT = Viot([IOMMU, PciRange(IOMMU, bdf_end=7), MmioEndpoint(1, 2, IOMMU), VirtioIommuMmio(3)])
ERROR = GenericErrorDataEntry(UUID(int=1), b"section")
NOTIFICATION = HardwareErrorNotification(NotificationType.POLLED, poll_interval=100)
REGISTER = Gas.mem(0x1000, 64)
HEST = Hest(
    [
        Ia32MachineCheckException(0, [MachineCheckBank(0)]),
        Ia32CorrectedMachineCheck(1, notification=NOTIFICATION),
        Ia32NonMaskableInterrupt(2),
        PciExpressRootPortAer(3),
        PciExpressDeviceAer(4),
        PciExpressBridgeAer(5),
        GenericHardwareErrorSource(6, REGISTER, NOTIFICATION, 4096),
        GenericHardwareErrorSourceV2(7, REGISTER, NOTIFICATION, 4096, REGISTER),
        Ia32DeferredMachineCheck(8, notification=NOTIFICATION),
    ]
)

TABLES: list[Table] = [
    DSDT,
    Ssdt(b""),
    FADT,
    MADT,
    SRAT,
    HMAT,
    PPTT,
    DMAR,
    IVRS,
    VIOT,
    HEST,
    Mcfg([McfgAllocation(0xE000_0000)]),
    Hpet(),
    Spcr(Gas.io(0x3F8), revision=4),
    Dbg2([DebugDevice(PortType.SERIAL, SerialSubtype.FULL_16550, [(Gas.io(0x3F8), 8)])]),
    Slit([[10, 20], [20, 10]]),
    Bert.of(GenericErrorStatusBlock([ERROR])),
    Tpm2(StartMethod.CRB, log_area=LogArea(16, Blob(bytes(16), "log"))),
    Bgrt(Blob(b"BM", "logo")),
    Waet(),
    Raw("OEM1", b"x"),
    Rsdt([0x1000]),
    Xsdt([FADT, MADT]),
]
RSDP = Rsdp(TABLES[-1])
