# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""ACPI tables as values: `to_bytes()` makes them, `from_bytes` reads them back without loss.

`from_bytes(data)` finds the class by the signature; `Raw` is for any table without one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmmkit._exports import exports

if TYPE_CHECKING:
    from vmmkit.acpi.tables.bert import (
        Bert,
        BlockStatus,
        ErrorSeverity,
        GenericErrorDataEntry,
        GenericErrorDataFlags,
        GenericErrorStatusBlock,
        ValidationBits,
    )
    from vmmkit.acpi.tables.bgrt import (
        Bgrt,
        BgrtStatus,
        ImageType,
    )
    from vmmkit.acpi.tables.dbg2 import (
        Dbg2,
        DebugDevice,
        PortType,
        SerialSubtype,
        UsbSubtype,
    )
    from vmmkit.acpi.tables.definition_block import (
        DefinitionBlock,
        Dsdt,
        Ssdt,
    )
    from vmmkit.acpi.tables.dmar import (
        Andd,
        Atsr,
        AtsrFlags,
        DeviceScope,
        DeviceScopeType,
        Dmar,
        DmarEntry,
        DmarFlags,
        Drhd,
        DrhdFlags,
        Rhsa,
        Rmrr,
        Satc,
        SatcFlags,
        Sidp,
    )
    from vmmkit.acpi.tables.entry import (
        Entry,
        RawEntry,
    )
    from vmmkit.acpi.tables.error_source import (
        ErrorSource,
        ErrorSourceFlags,
        HardwareErrorNotification,
        NotificationType,
        UnreadSources,
    )
    from vmmkit.acpi.tables.facs import (
        FACS_SIGNATURE,
        Facs,
        FacsFlags,
        FacsGlobalLock,
        FacsOspmFlags,
    )
    from vmmkit.acpi.tables.fadt import (
        FADT_LENGTHS,
        ArmBootArchFlags,
        BootArchFlags,
        Fadt,
        FadtFlags,
        PreferredPmProfile,
        RegisterBlock,
        RegisterBlocks,
    )
    from vmmkit.acpi.tables.gas import (
        AccessSize,
        AddressSpace,
        Gas,
    )
    from vmmkit.acpi.tables.hest import (
        NO_RELATED_SOURCE,
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
    from vmmkit.acpi.tables.hmat import (
        CacheAssociativity,
        CacheWritePolicy,
        Hmat,
        HmatEntry,
        LocalityDataType,
        LocalityFlags,
        MemoryHierarchy,
        MemoryProximityDomainAttributes,
        MemoryProximityDomainFlags,
        MemorySideCacheInformation,
        SystemLocalityLatencyAndBandwidthInformation,
    )
    from vmmkit.acpi.tables.hpet import (
        Hpet,
        PageProtection,
    )
    from vmmkit.acpi.tables.ivhd import (
        AcpiDeviceEntry,
        AliasDeviceEntry,
        DataSetting,
        DeviceEntries,
        DeviceEntry,
        DeviceEntryType,
        ExtendedDataSetting,
        ExtendedDeviceEntry,
        RawDeviceEntry,
        SpecialDeviceEntry,
        UidFormat,
        Variety,
    )
    from vmmkit.acpi.tables.ivrs import (
        Ivhd10,
        Ivhd11,
        Ivhd40,
        IvhdFlags,
        Ivinfo,
        Ivmd,
        IvmdFlags,
        IvmdType,
        Ivrs,
        IvrsBlock,
        RawIvrsBlock,
    )
    from vmmkit.acpi.tables.madt import (
        InterruptSourceOverride,
        IoApic,
        LapicFlags,
        LocalApic,
        LocalApicAddressOverride,
        LocalApicNmi,
        LocalX2Apic,
        LocalX2ApicNmi,
        Madt,
        MadtEntry,
        MadtFlags,
        MpsIntiFlags,
        MultiprocessorWakeup,
        NmiSource,
        Polarity,
        TriggerMode,
    )
    from vmmkit.acpi.tables.mcfg import (
        Mcfg,
        McfgAllocation,
    )
    from vmmkit.acpi.tables.pptt import (
        AllocationType,
        CacheFlags,
        CacheType,
        CacheTypeStructure,
        IdStructure,
        Pptt,
        PpttEntry,
        ProcessorFlags,
        ProcessorHierarchyNode,
        WritePolicy,
    )
    from vmmkit.acpi.tables.reading import (
        from_bytes,
        split,
    )
    from vmmkit.acpi.tables.root import (
        RootTable,
        Rsdt,
        Xsdt,
    )
    from vmmkit.acpi.tables.rsdp import (
        RSDP_SIGNATURE,
        Rsdp,
    )
    from vmmkit.acpi.tables.slit import (
        LOCAL,
        UNREACHABLE,
        Slit,
    )
    from vmmkit.acpi.tables.spcr import (
        BaudRate,
        FlowControl,
        InterruptType,
        Spcr,
        SpcrPciFlags,
        TerminalType,
    )
    from vmmkit.acpi.tables.spec import (
        Spec,
    )
    from vmmkit.acpi.tables.srat import (
        AcpiDeviceHandle,
        AffinityFlags,
        DeviceHandle,
        GenericFlags,
        GenericInitiatorAffinity,
        GenericPortAffinity,
        GiccAffinity,
        GicItsAffinity,
        MemoryAffinity,
        MemoryAffinityFlags,
        PciDeviceHandle,
        ProcessorLocalApicAffinity,
        ProcessorLocalX2ApicAffinity,
        RawDeviceHandle,
        RintcAffinity,
        Srat,
        SratEntry,
    )
    from vmmkit.acpi.tables.table import (
        CHECKSUM_OFFSET,
        HEADER_SIZE,
        EntryTable,
        Raw,
        Table,
    )
    from vmmkit.acpi.tables.tpm2 import (
        LogArea,
        PlatformClass,
        StartMethod,
        Tpm2,
    )
    from vmmkit.acpi.tables.viot import (
        MmioEndpoint,
        PciRange,
        Viot,
        ViotEntry,
        VirtioIommuMmio,
        VirtioIommuPci,
    )
    from vmmkit.acpi.tables.waet import (
        EmulatedDeviceFlags,
        Waet,
    )
else:
    __getattr__, __dir__ = exports(
        __name__,
        {
            "bert": (
                "Bert BlockStatus ErrorSeverity GenericErrorDataEntry GenericErrorDataFlags "
                "GenericErrorStatusBlock ValidationBits"
            ),
            "bgrt": "Bgrt BgrtStatus ImageType",
            "dbg2": "Dbg2 DebugDevice PortType SerialSubtype UsbSubtype",
            "definition_block": "DefinitionBlock Dsdt Ssdt",
            "dmar": (
                "Andd Atsr AtsrFlags DeviceScope DeviceScopeType Dmar DmarEntry DmarFlags Drhd "
                "DrhdFlags Rhsa Rmrr Satc SatcFlags Sidp"
            ),
            "entry": "Entry RawEntry",
            "error_source": (
                "ErrorSource ErrorSourceFlags HardwareErrorNotification NotificationType "
                "UnreadSources"
            ),
            "facs": "Facs FACS_SIGNATURE FacsFlags FacsGlobalLock FacsOspmFlags",
            "fadt": (
                "ArmBootArchFlags BootArchFlags Fadt FADT_LENGTHS FadtFlags PreferredPmProfile "
                "RegisterBlock RegisterBlocks"
            ),
            "gas": "AccessSize AddressSpace Gas",
            "hest": (
                "GenericHardwareErrorSource GenericHardwareErrorSourceV2 Hest "
                "Ia32CorrectedMachineCheck Ia32DeferredMachineCheck Ia32MachineCheckException "
                "Ia32NonMaskableInterrupt MachineCheckBank NO_RELATED_SOURCE PciExpressBridgeAer "
                "PciExpressDeviceAer PciExpressRootPortAer"
            ),
            "hmat": (
                "CacheAssociativity CacheWritePolicy Hmat HmatEntry LocalityDataType "
                "LocalityFlags MemoryHierarchy MemoryProximityDomainAttributes "
                "MemoryProximityDomainFlags MemorySideCacheInformation "
                "SystemLocalityLatencyAndBandwidthInformation"
            ),
            "hpet": "Hpet PageProtection",
            "ivhd": (
                "AcpiDeviceEntry AliasDeviceEntry DataSetting DeviceEntries DeviceEntry "
                "DeviceEntryType ExtendedDataSetting ExtendedDeviceEntry RawDeviceEntry "
                "SpecialDeviceEntry UidFormat Variety"
            ),
            "ivrs": (
                "Ivhd10 Ivhd11 Ivhd40 IvhdFlags Ivinfo Ivmd IvmdFlags IvmdType Ivrs IvrsBlock "
                "RawIvrsBlock"
            ),
            "madt": (
                "InterruptSourceOverride IoApic LapicFlags LocalApic LocalApicAddressOverride "
                "LocalApicNmi LocalX2Apic LocalX2ApicNmi Madt MadtEntry MadtFlags MpsIntiFlags "
                "MultiprocessorWakeup NmiSource Polarity TriggerMode"
            ),
            "mcfg": "Mcfg McfgAllocation",
            "pptt": (
                "AllocationType CacheFlags CacheType CacheTypeStructure IdStructure Pptt "
                "PpttEntry ProcessorFlags ProcessorHierarchyNode WritePolicy"
            ),
            "reading": "from_bytes split",
            "root": "RootTable Rsdt Xsdt",
            "rsdp": "Rsdp RSDP_SIGNATURE",
            "slit": "LOCAL Slit UNREACHABLE",
            "spcr": "BaudRate FlowControl InterruptType Spcr SpcrPciFlags TerminalType",
            "spec": "Spec",
            "srat": (
                "AcpiDeviceHandle AffinityFlags DeviceHandle GenericFlags "
                "GenericInitiatorAffinity GenericPortAffinity GiccAffinity GicItsAffinity "
                "MemoryAffinity MemoryAffinityFlags PciDeviceHandle ProcessorLocalApicAffinity "
                "ProcessorLocalX2ApicAffinity RawDeviceHandle RintcAffinity Srat SratEntry"
            ),
            "table": "CHECKSUM_OFFSET EntryTable HEADER_SIZE Raw Table",
            "tpm2": "LogArea PlatformClass StartMethod Tpm2",
            "viot": "MmioEndpoint PciRange Viot ViotEntry VirtioIommuMmio VirtioIommuPci",
            "waet": "EmulatedDeviceFlags Waet",
        },
    )

__all__ = [
    "from_bytes", "split", "CHECKSUM_OFFSET", "HEADER_SIZE", "EntryTable", "Raw", "Table",
    "Entry", "RawEntry", "Spec", "AccessSize", "AddressSpace", "Gas", "RSDP_SIGNATURE",
    "Rsdp", "RootTable", "Rsdt", "Xsdt", "FADT_LENGTHS", "ArmBootArchFlags", "BootArchFlags",
    "Fadt", "FadtFlags", "PreferredPmProfile", "RegisterBlock", "RegisterBlocks",
    "FACS_SIGNATURE", "Facs", "FacsFlags", "FacsGlobalLock", "FacsOspmFlags",
    "InterruptSourceOverride", "IoApic", "LapicFlags", "LocalApic",
    "LocalApicAddressOverride", "LocalApicNmi", "LocalX2Apic", "LocalX2ApicNmi", "Madt",
    "MadtEntry", "MadtFlags", "MpsIntiFlags", "MultiprocessorWakeup", "NmiSource", "Polarity",
    "TriggerMode", "Mcfg", "McfgAllocation", "Hpet", "PageProtection", "DefinitionBlock",
    "Dsdt", "Ssdt", "BaudRate", "FlowControl", "InterruptType", "Spcr", "SpcrPciFlags",
    "TerminalType", "Dbg2", "DebugDevice", "PortType", "SerialSubtype", "UsbSubtype",
    "EmulatedDeviceFlags", "Waet", "AcpiDeviceHandle", "AffinityFlags", "DeviceHandle",
    "GenericFlags", "GenericInitiatorAffinity", "GenericPortAffinity", "GicItsAffinity",
    "GiccAffinity", "MemoryAffinity", "MemoryAffinityFlags", "PciDeviceHandle",
    "ProcessorLocalApicAffinity", "ProcessorLocalX2ApicAffinity", "RawDeviceHandle",
    "RintcAffinity", "Srat", "SratEntry", "LOCAL", "UNREACHABLE", "Slit",
    "CacheAssociativity", "CacheWritePolicy", "Hmat", "HmatEntry", "LocalityDataType",
    "LocalityFlags", "MemoryHierarchy", "MemoryProximityDomainAttributes",
    "MemoryProximityDomainFlags", "MemorySideCacheInformation",
    "SystemLocalityLatencyAndBandwidthInformation", "AllocationType", "CacheFlags",
    "CacheType", "CacheTypeStructure", "IdStructure", "Pptt", "PpttEntry", "ProcessorFlags",
    "ProcessorHierarchyNode", "WritePolicy", "LogArea", "PlatformClass", "StartMethod",
    "Tpm2", "Andd", "Atsr", "AtsrFlags", "DeviceScope", "DeviceScopeType", "Dmar",
    "DmarEntry", "DmarFlags", "Drhd", "DrhdFlags", "Rhsa", "Rmrr", "Satc", "SatcFlags",
    "Sidp", "Ivhd10", "Ivhd11", "Ivhd40", "IvhdFlags", "Ivinfo", "Ivmd", "IvmdFlags",
    "IvmdType", "Ivrs", "IvrsBlock", "RawIvrsBlock", "AcpiDeviceEntry", "AliasDeviceEntry",
    "DataSetting", "DeviceEntries", "DeviceEntry", "DeviceEntryType", "ExtendedDataSetting",
    "ExtendedDeviceEntry", "RawDeviceEntry", "SpecialDeviceEntry", "UidFormat", "Variety",
    "MmioEndpoint", "PciRange", "Viot", "ViotEntry", "VirtioIommuMmio", "VirtioIommuPci",
    "Bert", "BlockStatus", "ErrorSeverity", "GenericErrorDataEntry", "GenericErrorDataFlags",
    "GenericErrorStatusBlock", "ValidationBits", "NO_RELATED_SOURCE",
    "GenericHardwareErrorSource", "GenericHardwareErrorSourceV2", "Hest",
    "Ia32CorrectedMachineCheck", "Ia32DeferredMachineCheck", "Ia32MachineCheckException",
    "Ia32NonMaskableInterrupt", "MachineCheckBank", "PciExpressBridgeAer",
    "PciExpressDeviceAer", "PciExpressRootPortAer", "ErrorSource", "ErrorSourceFlags",
    "HardwareErrorNotification", "NotificationType", "UnreadSources", "Bgrt", "BgrtStatus",
    "ImageType",
]  # fmt: skip
