# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What lspci says about dumped spaces, field by field, against what was declared."""

import re
import subprocess

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
    RawExtended,
    Slot,
    SrIov,
    SubsystemId,
    VendorSpecific,
    VfBar,
)
from vmmkit.pci.config import ConfigSpace
from vmmkit.pci.dump import dump, format_bdf
from vmmkit.pci.spec import BarKind, PortType

SPEEDS = {1: "2.5GT/s", 2: "5GT/s", 3: "8GT/s", 4: "16GT/s", 5: "32GT/s", 6: "64GT/s"}


@pytest.fixture
def lspci(require_tool, tmp_path):
    """Return a caller of lspci: spaces by address in, its lines out."""
    tool = require_tool("lspci")

    def call(configs, *options, **where):
        path = tmp_path / "dump.txt"
        path.write_text(dump(configs, **where))
        command = [tool, "-F", str(path), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
        return done.stdout

    return call


@pytest.fixture
def describe(lspci):
    """Return a caller of lspci that describes one function; on bus 1, since 0 has no links."""

    def call(config):
        return lspci({0x0100: config}, "-vvv", "-n").splitlines()

    return call


def block(lines, start):
    """Return a capability's lines as one, white space made even."""
    found, inside = [], False
    for line in lines:
        if re.match(r"\t\S", line):
            inside = re.match(r"\tCapabilities: " + start, line) is not None
        if inside:
            found.append(line)
    assert found, f"no {start} in\n" + "\n".join(lines)
    return " ".join(" ".join(found).split())


def flag(name, value):
    return f"{name}{'+' if value else '-'}"


def missing(text, fields):
    """Return the fields that are not in a text as whole words."""
    return [f for f in fields if not re.search(rf"(?<![\w]){re.escape(f)}(?![\w])", text)]


# -- headers -----------------------------------------------------------------------------------


def test_the_header_of_a_function(describe):
    config = ConfigSpace.type0(
        vendor_id=0x8086,
        device_id=0x10D3,
        revision=0x42,
        class_code=0x020001,
        subsystem_vendor_id=0x1AF4,
        subsystem_id=0x1100,
    )
    config.define_bar(0, BarKind.MEM32, 0x20000)
    config.define_bar(1, BarKind.IO, 0x20)
    config.define_bar(2, BarKind.MEM64_PREFETCHABLE, 0x4000)
    config.define_bar(6, BarKind.ROM, 0x10000)
    config.preset(0x3D, 1, 2)
    config.write(0x10, 4, 0xFEBC_0000)
    config.write(0x14, 4, 0xC040)
    config.write(0x18, 8, 0x8_0000_4000)
    config.write(0x30, 4, 0xFEB8_0001)
    config.write(0x04, 2, 0x0507)
    config.write(0x3C, 1, 11)
    lines = describe(config)
    text = " ".join(" ".join(lines).split())
    assert lines[0] == "01:00.0 0200: 8086:10d3 (rev 42) (prog-if 01)"
    assert missing(text, ["Subsystem: 1af4:1100", "Interrupt: pin B routed to IRQ 11"]) == []
    control = [
        "I/O+",
        "Mem+",
        "BusMaster+",
        "SpecCycle-",
        "MemWINV-",
        "ParErr-",
        "SERR+",
        "DisINTx+",
    ]
    assert [one for one in control if one not in block_of(lines, "Control")] == []
    regions = [
        "Region 0: Memory at febc0000 (32-bit, non-prefetchable)",
        "Region 1: I/O ports at c040",
        "Region 2: Memory at 800004000 (64-bit, prefetchable)",
        "Expansion ROM at feb80000",
    ]
    assert [one for one in regions if one not in text] == []


def block_of(lines, start):
    return next(line for line in lines if line.startswith(f"\t{start}:")).split()


def test_the_status_of_a_function(describe):
    config = endpoint(PowerManagement())
    config.set(0x06, 2, 0xF918)
    status = block_of(describe(config), "Status")
    expected = ["Cap+", "ParErr+", ">TAbort+", "<TAbort+", "<MAbort+", ">SERR+", "<PERR+", "INTx+"]
    assert [one for one in expected if one not in status] == []


@pytest.mark.parametrize(("io_bits", "prefetchable_bits"), [(16, 32), (32, 64)])
def test_the_header_of_a_bridge(describe, io_bits, prefetchable_bits):
    config = bridge(io_bits=io_bits, prefetchable_bits=prefetchable_bits)
    config.write(0x18, 4, 0x0005_0200)
    config.write(0x1C, 2, 0x20_10)
    config.write(0x20, 4, 0xFEC0_FEB0)
    config.write(0x24, 4, 0x9010_9000)
    config.write(0x28, 8, 0x8_0000_0008)
    config.write(0x3E, 2, 0x004D)
    text = " ".join(" ".join(describe(config)).split())
    high = "8" if prefetchable_bits == 64 else ""
    expected = [
        "(prog-if 00 [Normal decode])",
        "Bus: primary=00, secondary=02, subordinate=05, sec-latency=0",
        f"[size=8K] [{io_bits}-bit]",
        "Memory behind bridge: feb00000-fecfffff [size=2M] [32-bit]",
        f"{high}90000000-",
        f"[size=2M] [{prefetchable_bits}-bit]",
        "BridgeCtl: Parity+ SERR- NoISA+ VGA+ VGA16- MAbort- >Reset+ FastB2B-",
    ]
    assert [one for one in expected if one not in text] == []
    assert re.search(r"I/O behind bridge: (0000)?1000-(0000)?2fff", text)


# -- standard capabilities ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "capability",
    [
        PowerManagement(),
        PowerManagement(d1=True, pme=("D0", "D1"), no_soft_reset=False),
        PowerManagement(d2=True, pme=("D2", "D3hot", "D3cold"), aux_current=7),
    ],
)
def test_power_management(describe, capability):
    config = endpoint(capability)
    config.write(0x44, 1, 3)
    text = block(describe(config), r"\[40\] Power Management version 3")
    states = ("D0", "D1", "D2", "D3hot", "D3cold")
    assert (
        missing(
            text,
            [
                flag("D1", capability.d1) + " " + flag("D2", capability.d2),
                f"AuxCurrent={375 if capability.aux_current == 7 else 0}mA",
                "PME(" + ",".join(flag(one, one in capability.pme) for one in states) + ")",
                "Status: D3 " + flag("NoSoftRst", capability.no_soft_reset),
            ],
        )
        == []
    )


@pytest.mark.parametrize("vectors", [1, 8, 32])
@pytest.mark.parametrize("address64", [False, True])
@pytest.mark.parametrize("maskable", [False, True])
def test_msi(describe, vectors, address64, maskable):
    config = endpoint(Msi(vectors, address64=address64, maskable=maskable))
    config.write(0x44, 4, 0xFEE0_1000)
    config.write(0x4C if address64 else 0x48, 2, 0x4021)
    config.write(0x42, 2, 0x0071)
    text = block(describe(config), r"\[40\] MSI:")
    fields = [
        "Enable+",
        f"Count={vectors}/{vectors}",
        flag("Maskable", maskable),
        flag("64bit", address64),
        f"Address: {'00000000' if address64 else ''}fee01000",
        "Data: 4021",
    ]
    assert missing(text, fields + ["Masking: 00000000", "Pending: 00000000"] * maskable) == []


def test_msix(describe):
    config = endpoint(Msix(65, table_bar=4, table_offset=0x3000, pba_bar=1, pba_offset=0x808))
    config.write(0x43, 1, 0xC0)
    text = block(describe(config), r"\[40\] MSI-X:")
    fields = [
        "Enable+",
        "Count=65",
        "Masked+",
        "Vector table: BAR=4 offset=00003000",
        "PBA: BAR=1 offset=00000808",
    ]
    assert missing(text, fields) == []


KINDS = {
    PortType.ENDPOINT: "Endpoint",
    PortType.LEGACY_ENDPOINT: "Legacy Endpoint",
    PortType.ROOT_PORT: "Root Port (Slot-)",
    PortType.SWITCH_UPSTREAM: "Upstream Port",
    PortType.SWITCH_DOWNSTREAM: "Downstream Port (Slot-)",
    PortType.PCIE_TO_PCI_BRIDGE: "PCI-Express to PCI/PCI-X Bridge",
    PortType.INTEGRATED_ENDPOINT: "Root Complex Integrated Endpoint",
}
TYPE0_PORTS = {PortType.ENDPOINT, PortType.LEGACY_ENDPOINT, PortType.INTEGRATED_ENDPOINT}


def link_fields(capability):
    speed, width = SPEEDS[capability.speed], f"Width x{capability.width}"
    support = ["not supported", "L0s", "L1", "L0s L1"][capability.aspm]
    top = "" if capability.speed == 1 else f"-{SPEEDS[capability.speed]}"
    return [
        f"LnkCap: Port #{capability.port_number}, Speed {speed}, {width}, ASPM {support}",
        flag("ClockPM", capability.clock_power_management),
        flag("LLActRep", capability.is_downstream_port),
        "ASPMOptComp+",
        f"LnkSta: Speed {speed}, {width}",
        "SlotClk+ DLActive-",
        f"Supported Link Speeds: 2.5{top or 'GT/s'}",
        f"Target Link Speed: {speed}",
    ]


def express_fields(capability):
    """Return what lspci has to say about a declaration."""
    fields = [
        f"MSI {capability.interrupt_message:02x}",
        f"DevCap: MaxPayload {capability.max_payload} bytes",
        flag("ExtTag", capability.extended_tags) + " ",
        "RBE+",
        "MaxPayload 128 bytes, MaxReadReq 512 bytes",
        "RlxdOrd+",
        flag("LTR", capability.ltr),
    ]
    if capability.port_type in TYPE0_PORTS:
        fields.append(flag("FLReset", capability.flr))
    if capability.is_downstream_port:
        fields.append(flag("ARIFwd", capability.ari_forwarding))
    return [*fields, *(link_fields(capability) if capability.has_link else [])]


EXPRESS = [PciExpress(port_type=kind) for kind in PortType] + [
    PciExpress(speed=2, width=4, max_payload=256, aspm=1, flr=False, extended_tags=False),
    PciExpress(speed=5, width=16, max_payload=4096, aspm=3, ltr=True, interrupt_message=3),
    PciExpress(port_type=4, speed=3, width=8, port_number=9, aspm=2, ari_forwarding=True),
    PciExpress(port_type=5, speed=4, width=2, clock_power_management=True),
]


@pytest.mark.parametrize("capability", EXPRESS, ids=lambda one: f"{one.port_type.name} {one.speed}")
def test_pci_express(describe, capability):
    make = endpoint if capability.port_type in TYPE0_PORTS else bridge
    text = block(describe(make(capability)), r"\[40\] Express \(v2\)")
    assert f"Express (v2) {KINDS[capability.port_type]}, MSI" in text
    assert [one for one in express_fields(capability) if one not in text] == []
    assert ("LnkCap" in text) is capability.has_link


SLOTS = [
    Slot(number=1),
    Slot(number=8191, hot_plug=True, surprise=True, attention_button=True, power_limit=25),
    Slot(
        number=3,
        power_controller=True,
        mrl_sensor=True,
        attention_indicator=True,
        power_indicator=True,
        command_completed=False,
        power_limit=239,
    ),
]


@pytest.mark.parametrize("slot", SLOTS, ids=lambda slot: str(slot.number))
def test_slots(describe, slot):
    config = bridge(PciExpress(port_type=PortType.ROOT_PORT, slot=slot, retry_visibility=True))
    config.write(0x58, 2, 0x1FFF & ~0x0780)
    config.write(0x5C, 2, 0x001F)
    config.set(0x5A, 2, 0x0148)
    text = block(describe(config), r"\[40\] Express \(v2\) Root Port \(Slot\+\)")
    indicator = "On" if slot.attention_indicator else "Unknown"
    fields = [
        flag("AttnBtn", slot.attention_button),
        flag("PwrCtrl", slot.power_controller),
        flag("MRL", slot.mrl_sensor),
        flag("AttnInd", slot.attention_indicator),
        flag("PwrInd", slot.power_indicator),
        flag("HotPlug", slot.hot_plug),
        flag("Surprise", slot.surprise),
        f"Slot #{slot.number}, PowerLimit {slot.power_limit}W",
        flag("NoCompl", not slot.command_completed),
        "PresDet+ CmdCplt" if slot.command_completed else "PresDet+ CmdCplt- HPIrq",
        flag("HPIrq", slot.hot_plug),
        "LinkChg+",
        f"AttnInd {indicator}, PwrInd",
        "Changed: MRL- PresDet+ LinkState+",
        "RootCap: CRSVisible+",
        "ErrFatal+ PMEIntEna+ CRSVisible+",
    ]
    assert [one for one in fields if one not in text] == []


def test_vendor_specific_and_subsystem(describe):
    lines = describe(bridge(VendorSpecific(b"abcde"), SubsystemId(0x1AF4, 0x1100)))
    assert "Len=08" in block(lines, r"\[40\] Vendor Specific Information:")
    assert "1af4:1100" in block(lines, r"\[48\] Subsystem:")


# -- extended capabilities, which lspci shows only beside a PCI Express capability ------------


def extended(describe, capability, write=None):
    config = endpoint(PciExpress(), capability)
    if write:
        config.write(*write)
    return describe(config)


def test_advanced_error_reporting(describe):
    lines = extended(describe, Aer(ecrc=True), (0x118, 4, 0x140))
    text = block(lines, r"\[100 v2\] Advanced Error Reporting")
    masks = "DLP- SDES- TLP- FCP- CmpltTO- CmpltAbrt- UnxCmplt- RxOF- MalfTLP-"
    fatal = "DLP+ SDES+ TLP- FCP+ CmpltTO- CmpltAbrt- UnxCmplt- RxOF+ MalfTLP+"
    fields = [
        f"UESta: {masks}",
        f"UEMsk: {masks}",
        f"UESvrt: {fatal}",
        "CEMsk: RxErr- BadTLP- BadDLLP- Rollover- Timeout- AdvNonFatalErr+",
        "ECRCGenCap+ ECRCGenEn+ ECRCChkCap+ ECRCChkEn+",
        "HeaderLog: 00000000 00000000 00000000 00000000",
    ]
    assert [one for one in fields if one not in text] == []
    assert "RootCmd" not in text


def test_advanced_error_reporting_of_a_root_port(describe):
    aer = Aer(root_port=True, interrupt_message=2)
    config = bridge(PciExpress(port_type=PortType.ROOT_PORT), aer)
    config.write(0x12C, 4, 7)
    config.set(0x130, 4, 2 << 27 | 0x05)
    text = block(describe(config), r"\[100 v2\] Advanced Error Reporting")
    fields = ["CERptEn+ NFERptEn+ FERptEn+", "CERcvd+ MultCERcvd- UERcvd+", "IntMsg 2"]
    assert [one for one in fields if one not in text] == []


@pytest.mark.parametrize("on", [False, True])
def test_access_control(describe, on):
    capability = Acs(request_redirect=False, direct_translated=False)
    lines = extended(describe, capability, (0x106, 2, 0x7F if on else 0))
    text = block(lines, r"\[100 v1\] Access Control Services")
    flags = "SrcValid{} TransBlk{} ReqRedir- CmpltRedir{} UpstreamFwd{} EgressCtrl- DirectTrans-"
    sign = "+" if on else "-"
    assert "ACSCap: " + flags.format(*"++++") in text
    assert "ACSCtl: " + flags.format(*sign * 4) in text


def test_serial_number(describe):
    lines = extended(describe, Dsn(0x0123_4567_89AB_CDEF))
    text = block(lines, r"\[100 v1\] Device Serial Number")
    assert text.endswith("01-23-45-67-89-ab-cd-ef")


def test_latency_tolerance(describe):
    lines = extended(describe, Ltr(), (0x104, 4, 0x0805_0C03))
    text = block(lines, r"\[100 v1\] Latency Tolerance Reporting")
    assert missing(text, ["Max snoop latency: 98304ns", "Max no snoop latency: 5120ns"]) == []


def test_alternative_routing_id(describe):
    lines = extended(describe, Ari(next_function=9, acs_groups=True), (0x106, 2, 0x0072))
    text = block(lines, r"\[100 v1\] Alternative Routing-ID Interpretation \(ARI\)")
    assert "ARICap: MFVC- ACS+, Next Function: 9" in text
    assert "ARICtl: MFVC- ACS+, Function Group: 7" in text


def test_virtual_functions(describe):
    capability = SrIov(
        total_vfs=7,
        device_id=0x10CA,
        first_vf=0x80,
        stride=2,
        bars=[VfBar(0, 0x4000), VfBar(3, 0x4000, BarKind.MEM32)],
    )
    config = endpoint(PciExpress(), capability)
    config.write(0x110, 2, 5)
    config.write(0x124, 8, 0x8_0000_0000)
    config.write(0x130, 4, 0xFEB0_0000)
    config.write(0x108, 2, 0x0009)
    text = block(describe(config), r"\[100 v1\] Single Root I/O Virtualization \(SR-IOV\)")
    fields = [
        "IOVCtl: Enable+ Migration- Interrupt- MSE+ ARIHierarchy-",
        "Initial VFs: 7, Total VFs: 7, Number of VFs: 5, Function Dependency Link: 00",
        "VF offset: 128, stride: 2, Device ID: 10ca",
        "Supported Page Size: 00000553, System Page Size: 00000001",
        "Region 0: Memory at 0000000800000000 (64-bit, prefetchable)",
        "Region 3: Memory at feb00000 (32-bit, non-prefetchable)",
    ]
    assert [one for one in fields if one not in text] == []


def test_raw_extended(describe):
    vendor = RawExtended(0x000B, b"\x34\x12\xc1\x00" + bytes(4), revision=1)
    text = block(extended(describe, vendor), r"\[100 v1\] Vendor Specific Information")
    assert "ID=1234 Rev=1 Len=00c" in text


# -- the dump itself ---------------------------------------------------------------------------


def test_a_dump_has_every_byte_as_a_guest_reads_it():
    config = endpoint(size=256)
    config.on_read(0x0C, lambda _config, _offset, stored: stored | 0x0080_0000)
    lines = dump({0x00FA: config}).splitlines()
    assert lines[0] == "00:1f.2 vmmkit"
    assert lines[1] == "00: 34 12 e8 11 00 00 00 00 00 00 ff 00 00 00 80 00"
    assert lines[16] == "f0:" + " 00" * 16
    assert (len(lines), lines[17]) == (18, "")


def test_lspci_lists_all_functions_of_all_buses(lspci):
    configs = {0x0000: endpoint(), 0x0108: endpoint(size=256), 0xFFFF: endpoint()}
    assert re.findall(r"^\S+", lspci(configs), re.MULTILINE) == ["00:00.0", "01:01.0", "ff:1f.7"]


def test_lspci_takes_the_number_of_a_segment(lspci):
    assert lspci({0x0108: endpoint()}, segment=0x12).startswith("0012:01:01.0 ")


def test_a_dump_of_nothing_is_empty():
    assert dump({}) == ""


@pytest.mark.parametrize(("bdf", "segment"), [(-1, 0), (0x10000, 0), (0, -1), (0, 0x10000)])
def test_an_address_that_no_function_has_is_refused(bdf, segment):
    with pytest.raises(ConfigSpaceError, match="no function"):
        format_bdf(bdf, segment)
