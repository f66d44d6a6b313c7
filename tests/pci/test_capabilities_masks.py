# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Every capability register's masks and reset values, as tables from the specifications.

Each row: bytes of the register in the structure, and what its bits do. Places that no row names
have to read zero and ignore writes.
"""

import pytest

from pci.config_probe import Bits, probe, space
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
    Slot,
    SrIov,
    VfBar,
)
from vmmkit.pci.spec import BarKind, HeaderType, PortType

TYPE0, TYPE1 = HeaderType.TYPE0, HeaderType.TYPE1
DWORD = 0xFFFF_FFFF

# PCI Bus Power Management Interface Specification 1.2, "Power Management Register Block
# Definition". The D-state can be written, but of the states between only those that exist.
PM_WITH_PME = PowerManagement(d1=True, d2=True, pme=("D0", "D1", "D2", "D3hot", "D3cold"))
PM = {(2, 2): Bits(0x0003), (4, 2): Bits(0x0008, rw=0x0003)}
PM_WARM = {(2, 2): Bits(0x0803), (4, 2): Bits(0x0008, rw=0x0103, w1c=0x8000)}
PM_PME = {
    (2, 2): Bits(0xFE03),
    (4, 2): Bits(0x0008, rw=0x0103, w1c=0x8000, sticky=0x8100),
}

# PCI Local Bus Specification 3.0, "MSI Capability Structure", "MSI-X Capability and Table
# Structures".
# More vectors than offered are corrected, even if the device stored them: as if cleared by ones.
MSI_32 = {
    (2, 2): Bits(0x0000, rw=0x0001, w1c=0x0070),
    (4, 4): Bits(rw=0xFFFF_FFFC),
    (8, 2): Bits(rw=0xFFFF),
}
MSI_64_MASK = {
    (2, 2): Bits(0x018A, rw=0x0051, w1c=0x0020),
    (4, 4): Bits(rw=0xFFFF_FFFC),
    (8, 4): Bits(rw=DWORD),
    (12, 2): Bits(rw=0xFFFF),
    (16, 4): Bits(rw=DWORD),
    (20, 4): Bits(),
}
MSIX = {(2, 2): Bits(0x001F, rw=0xC000), (4, 4): Bits(0x2002), (8, 4): Bits(0x3002)}

# PCI Express Base Specification, "PCI Express Capability Structure". What all port types have:
DEVICE = {
    (0x04, 4): Bits(0x0000_8020),
    (0x08, 2): Bits(0x2810, rw=0x79FF & ~0x0600),
    (0x0A, 2): Bits(w1c=0x000F),
    (0x24, 4): Bits(0x10),
    (0x28, 2): Bits(rw=0x10),
}
LINK = {
    (0x0C, 4): Bits(0x0040_0011),
    (0x10, 2): Bits(rw=0x02C3),
    (0x12, 2): Bits(0x1011),
    (0x2C, 4): Bits(0x2),
    (0x30, 2): Bits(0x0001, rw=0xFFBF, sticky=0xFFBF),
}
FLR = {(0x04, 4): Bits(0x1000_8020)}
ENDPOINT = {**DEVICE, **LINK, **FLR, (0x02, 2): Bits(0x0002), (0x10, 2): Bits(rw=0x02CB)}
INTEGRATED = {**DEVICE, **FLR, (0x02, 2): Bits(0x0092)}
# "Device Capabilities 2 Register": of completion timeouts only who issues requests has a word.
SWITCH = {**DEVICE, **LINK, (0x24, 4): Bits(), (0x28, 2): Bits()}
UPSTREAM = {**SWITCH, (0x02, 2): Bits(0x0052)}
DOWNSTREAM = {
    **SWITCH,
    (0x02, 2): Bits(0x0062),
    (0x0C, 4): Bits(0x0050_0011),
    (0x10, 2): Bits(rw=0x02D3),
    (0x1A, 2): Bits(0x0040),
}
BRIDGE = {
    **DEVICE,
    **LINK,
    (0x02, 2): Bits(0x0072),
    (0x08, 2): Bits(0x2810, rw=0xF9FF & ~0x0600),
    (0x10, 2): Bits(rw=0x02CB),
}
FULL_SLOT = Slot(
    number=5,
    hot_plug=True,
    surprise=True,
    attention_button=True,
    power_controller=True,
    mrl_sensor=True,
    attention_indicator=True,
    power_indicator=True,
    power_limit=75,
)
FULL_ROOT_PORT = PciExpress(
    port_type=PortType.ROOT_PORT,
    slot=FULL_SLOT,
    speed=4,
    width=16,
    port_number=7,
    max_payload=512,
    aspm=3,
    clock_power_management=True,
    interrupt_message=1,
    ari_forwarding=True,
    ltr=True,
    retry_visibility=True,
)
ROOT_PORT = {
    (0x02, 2): Bits(0x0342),
    (0x04, 4): Bits(0x0000_8022),
    (0x08, 2): Bits(0x2810, rw=0x79FF & ~0x0600),
    (0x0A, 2): Bits(w1c=0x000F),
    (0x0C, 4): Bits(0x0770_0D04),
    (0x10, 2): Bits(rw=0x0ED3),
    (0x12, 2): Bits(0x1104, w1c=0xC000),
    (0x14, 4): Bits(5 << 19 | 75 << 7 | 0x7F),
    (0x18, 2): Bits(0x03C0, rw=0x17FF),
    (0x1A, 2): Bits(w1c=0x011F),
    (0x1C, 2): Bits(rw=0x001F),
    (0x1E, 2): Bits(0x0001),
    (0x20, 4): Bits(w1c=0x1_0000),
    (0x24, 4): Bits(0x0830),
    (0x28, 2): Bits(rw=0x0430),
    (0x2C, 4): Bits(0x1E),
    (0x30, 2): Bits(0x0004, rw=0xFFBF, sticky=0xFFBF),
}
PLAIN_SLOT = {
    **DOWNSTREAM,
    (0x02, 2): Bits(0x0162),
    (0x14, 4): Bits(1 << 18),
    (0x18, 2): Bits(rw=0x1008),
    (0x1A, 2): Bits(w1c=0x0108),
}

# "Advanced Error Reporting Extended Capability".
AER = {
    (0x04, 4): Bits(w1c=0x007F_F030, sticky=0x007F_F030),
    (0x08, 4): Bits(0x0040_0000, rw=0x007F_F030, sticky=0x007F_F030),
    (0x0C, 4): Bits(0x0046_2030, rw=0x007F_F030, sticky=0x007F_F030),
    (0x10, 4): Bits(w1c=0xF1C1, sticky=0xF1C1),
    (0x14, 4): Bits(0xE000, rw=0xF1C1, sticky=0xF1C1),
    (0x18, 4): Bits(sticky=0x1F),
    **{(at, 4): Bits(sticky=DWORD) for at in (0x1C, 0x20, 0x24, 0x28)},
}
AER_ROOT = {
    **AER,
    (0x18, 4): Bits(0xA0, rw=0x140, sticky=0x15F),
    (0x2C, 4): Bits(rw=0x7),
    (0x30, 4): Bits(3 << 27, w1c=0x7F, sticky=0x7F),
    (0x34, 4): Bits(sticky=DWORD),
}

# "ACS Extended Capability", "ARI Extended Capability", "Latency Tolerance Reporting (LTR)
# Extended Capability", "Device Serial Number Extended Capability", "SR-IOV Extended Capability".
ACS = {(4, 2): Bits(0x005F), (6, 2): Bits(rw=0x005F)}
ACS_EGRESS = {
    (4, 2): Bits(0x227F),
    (6, 2): Bits(rw=0x007F),
    (8, 4): Bits(rw=DWORD),
    (12, 4): Bits(rw=0x3),
}
ACS_NONE = Acs(
    source_validation=False,
    translation_blocking=False,
    request_redirect=False,
    completion_redirect=False,
    upstream_forwarding=False,
    direct_translated=False,
)
ARI = {(4, 2): Bits(0x0500)}
ARI_GROUPS = {(4, 2): Bits(0x0003), (6, 2): Bits(rw=0x0073)}
LTR = {(4, 2): Bits(rw=0x1FFF), (6, 2): Bits(rw=0x1FFF)}
DSN = {(4, 4): Bits(0x89AB_CDEF), (8, 4): Bits(0x0123_4567)}
SRIOV = {
    (0x08, 2): Bits(rw=0x0019),
    (0x0C, 2): Bits(8),
    (0x0E, 2): Bits(8),
    (0x10, 2): Bits(),  # its legal values: test_capabilities
    (0x12, 2): Bits(2),
    (0x14, 2): Bits(0x80),
    (0x16, 2): Bits(2),
    (0x1A, 2): Bits(0x10CA),
    (0x1C, 4): Bits(0x553),
    (0x20, 4): Bits(1),  # likewise
    (0x28, 4): Bits(0x8, rw=0xFFFF_C000),
}
VIRTUAL = SrIov(
    total_vfs=8,
    device_id=0x10CA,
    first_vf=0x80,
    stride=2,
    function_link=2,
    bars=[VfBar(1, 0x4000, BarKind.MEM32_PREFETCHABLE)],
)


def port(port_type, **options):
    return PciExpress(port_type=port_type, **options)


CASES = [
    ("PM", TYPE0, PowerManagement(), PM),
    ("PM without wake-up from D3cold", TYPE0, PowerManagement(pme=("D0",)), PM_WARM),
    ("PM with all states", TYPE1, PM_WITH_PME, PM_PME),
    ("MSI 32", TYPE0, Msi(address64=False, maskable=False), MSI_32),
    ("MSI 64 with masks", TYPE0, Msi(32), MSI_64_MASK),
    ("MSI-X", TYPE0, Msix(32, table_bar=2, table_offset=0x2000), MSIX),
    ("endpoint", TYPE0, PciExpress(), ENDPOINT),
    ("legacy", TYPE0, port(1), {**ENDPOINT, (2, 2): Bits(0x0012)}),
    ("integrated", TYPE0, port(PortType.INTEGRATED_ENDPOINT), INTEGRATED),
    ("upstream", TYPE1, port(PortType.SWITCH_UPSTREAM), UPSTREAM),
    ("downstream", TYPE1, port(PortType.SWITCH_DOWNSTREAM), DOWNSTREAM),
    (
        "downstream with slot",
        TYPE1,
        port(PortType.SWITCH_DOWNSTREAM, slot=Slot(command_completed=False)),
        PLAIN_SLOT,
    ),
    ("bridge", TYPE1, port(PortType.PCIE_TO_PCI_BRIDGE), BRIDGE),
    ("root port", TYPE1, FULL_ROOT_PORT, ROOT_PORT),
    ("AER", TYPE0, Aer(), AER),
    ("AER of a root port", TYPE1, Aer(root_port=True, ecrc=True, interrupt_message=3), AER_ROOT),
    ("ACS", TYPE1, Acs(), ACS),
    ("ACS with egress control", TYPE1, Acs(egress_control=True, egress_vector=34), ACS_EGRESS),
    ("ACS of nothing", TYPE0, ACS_NONE, {}),
    ("ARI", TYPE0, Ari(next_function=5), ARI),
    ("ARI with groups", TYPE0, Ari(mfvc_groups=True, acs_groups=True), ARI_GROUPS),
    ("LTR", TYPE0, Ltr(), LTR),
    ("DSN", TYPE0, Dsn(0x0123_4567_89AB_CDEF), DSN),
    ("SR-IOV", TYPE0, VIRTUAL, SRIOV),
]


def rest(capability, rows):
    """Yield the bytes behind the header that no row names, one by one."""
    named = {offset + at for offset, size in rows for at in range(size)}
    first = 4 if capability.extended else 2
    return [(at, 1) for at in range(first, capability.size) if at not in named]


@pytest.mark.parametrize(
    ("layout", "capability", "rows"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_masks_and_values(layout, capability, rows):
    everything = {**rows, **dict.fromkeys(rest(capability, rows), Bits())}
    found = {}
    for offset, size in everything:
        config = space(layout)
        found[offset, size] = probe(config, config.add(capability) + offset, size)
    assert found == everything
