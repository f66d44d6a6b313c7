# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Resource descriptors: against iasl's bytes, read back, and with values that do not fit."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acpi import acpica
from vmmkit.acpi.aml.data import Buffer
from vmmkit.acpi.aml.resources import (
    AddressRange,
    BusNumber,
    Cacheable,
    Dma,
    DmaTransfer,
    DmaType,
    DWordIo,
    DWordMemory,
    DWordSpace,
    EndDependentFn,
    ExtendedIo,
    ExtendedMemory,
    ExtendedSpace,
    FixedDma,
    FixedIo,
    FlowControl,
    GpioInt,
    GpioIo,
    Interrupt,
    Io,
    IoRestriction,
    Irq,
    IrqNoFlags,
    Memory24,
    Memory32,
    Memory32Fixed,
    Parity,
    PinPull,
    Polarity,
    QWordIo,
    QWordMemory,
    QWordSpace,
    RawDescriptor,
    Register,
    Resources,
    Sharing,
    StartDependentFn,
    StartDependentFnNoPri,
    StopBits,
    Trigger,
    UartSerialBus,
    VendorLong,
    VendorShort,
    WordIo,
    WordSpace,
    parse_resources,
)
from vmmkit.errors import AmlParseError, AmlValueError

DESCRIPTORS = [
    IrqNoFlags(4),
    IrqNoFlags([3, 5, 15]),
    Irq(9, Trigger.LEVEL, Polarity.ACTIVE_LOW, Sharing.SHARED),
    Irq([5, 10, 11], Trigger.LEVEL, Polarity.ACTIVE_LOW, Sharing.SHARED | Sharing.WAKE),
    Irq(8, Trigger.EDGE, Polarity.ACTIVE_HIGH, Sharing.WAKE),
    Dma(2),
    Dma([1, 3], DmaType.TYPE_F, bus_master=True, transfer=DmaTransfer.TRANSFER8_16),
    Dma(5, DmaType.TYPE_A, transfer=DmaTransfer.TRANSFER16),
    FixedDma(0x1234, 7, 3),
    Io(0x3F8, 8),
    Io(0x100, 0x10, 0x3F0, 16, decode16=False),
    FixedIo(0x61, 1),
    VendorShort(b"\1\2\3\4\5\6\7"),
    VendorShort(b"\1"),
    VendorLong(bytes(range(20))),
    Memory24(0x100, 0xFFFF, 0x10, 0x80, writeable=False),
    Memory32(0x1000_0000, 0x8000_0000, 0x1000, 0x2_0000),
    Memory32Fixed(0xE000_0000, 0x1000_0000),
    Memory32Fixed(0xFFFF_0000, 0x1_0000, writeable=False),
    Register(0, 32, 0, 0xFED0_00F0, 3),
    Register(0x7F, 0, 0, 0),
    Register(1, 8, 4, 0xB004, 1),
    BusNumber(0, 0xFF),
    BusNumber(0x40, 0x7F, translation=0x10, consumer=True),
    WordIo(0, 0xCF7),
    WordIo(0xD00, 0xFFFF, subtractive=True),
    DWordIo(0, 0xFFFF, translation=0xF000_0000, translates=True, sparse=True),
    QWordIo(0, 0xFFF, range_type=1),
    ExtendedIo(0x1000, 0x1FFF, attribute=0),
    DWordMemory(0xC000_0000, 0xFEBF_FFFF),
    DWordMemory(0xA_0000, 0xB_FFFF, cacheable=Cacheable.CACHEABLE, writeable=False),
    DWordMemory(0, 0xFFFF, range_type=AddressRange.NVS, translates=True, consumer=True),
    DWordMemory(0, 0xFFFF, source_index=0, source=r"\_SB.PCI0"),
    QWordMemory(0x8_0000_0000, 0xF_FFFF_FFFF, cacheable=Cacheable.PREFETCHABLE),
    QWordMemory(0, 0xFFF, range_type=AddressRange.RESERVED, general_flags=0, length=0x100),
    ExtendedMemory(0x1_0000_0000, 0x1_0FFF_FFFF, attribute=0x8000),
    WordSpace(0xC0, 0, 0xFF, type_flags=0x55),
    DWordSpace(0xD1, 0, 0xFFFF),
    QWordSpace(0xFE, 0, (1 << 64) - 2),
    ExtendedSpace(0xC3, 0, 0xFF, attribute=7),
    Interrupt(16),
    Interrupt([1, 24, 0xFFFF_FFFF], Trigger.EDGE, Polarity.ACTIVE_LOW, Sharing.SHARED),
    Interrupt(5, consumer=False, source_index=0, source=r"\_SB.GED"),
    GpioInt(7, r"\_SB.GPO0"),
    GpioInt(
        7,  # one: iasl's grammar of GpioInt has no list of pins
        r"\_SB.GPO0",
        trigger=Trigger.LEVEL,
        polarity=Polarity.ACTIVE_BOTH,
        pull=PinPull.UP,
        sharing=Sharing.SHARED | Sharing.WAKE,
        debounce=0x1234,
        source_index=1,
        vendor=b"\xaa\xbb",
    ),
    GpioIo(3, r"\_SB.GPO1", restriction=IoRestriction.OUTPUT_ONLY, drive=100, debounce=3),
    GpioIo([4, 5], r"\_SB.GPO1", pull=PinPull.NONE, sharing=Sharing.SHARED, consumer=False),
    UartSerialBus(115_200, r"\_SB.URT0"),
    UartSerialBus(115_200, r"\_SB.URT0", revision=1),
    UartSerialBus(
        9_600,
        r"\_SB.URT0",
        data_bits=5,
        stop_bits=StopBits.TWO,
        lines=0xC0,
        big_endian=True,
        parity=Parity.MARK,
        flow_control=FlowControl.HARDWARE,
        receive_fifo=1,
        transmit_fifo=0xFFFF,
        source_index=2,
        shared=True,
        vendor=b"\1\2\3",
    ),
]
NAMES = [repr(each)[:60] for each in DESCRIPTORS]


def compiled(*macros: str) -> bytes:
    """Return the content of the buffer that iasl makes of a template."""
    body = "Name (BUF, ResourceTemplate () {" + "\n".join(macros) + "})"
    return acpica.evaluate(acpica.definition_block(body), r"\BUF")


def test_every_descriptor_has_the_bytes_that_iasl_gives_its_macro():
    template = Resources(*DESCRIPTORS)
    assert compiled(*[each.asl() for each in DESCRIPTORS]) == template.args[1]


def test_dependent_functions_have_the_bytes_that_iasl_gives_them():
    template = Resources(
        StartDependentFn(0, 1),
        IrqNoFlags(5),
        StartDependentFnNoPri(),
        IrqNoFlags(7),
        EndDependentFn(),
    )
    macros = (
        "StartDependentFn (0, 1) {IRQNoFlags () {5}}",
        "StartDependentFnNoPri () {IRQNoFlags () {7}}",
        "EndDependentFn ()",
    )
    assert compiled(*macros) == template.args[1]


@pytest.mark.parametrize("descriptor", DESCRIPTORS, ids=NAMES)
def test_a_descriptor_reads_back(descriptor):
    assert parse_resources(descriptor.to_bytes() + b"\x79\0") == (descriptor,)


def test_dependent_functions_read_back():
    items = (StartDependentFn(2, 0), StartDependentFnNoPri(), EndDependentFn())
    assert parse_resources(Resources(*items).args[1]) == items


def test_a_template_is_a_buffer_with_an_end_tag():
    assert Resources(Io(0x60, 1)) == Buffer(bytes.fromhex("4701 6000 6000 0101 7900"))


def test_the_golden_bytes_of_a_window():
    # Tag 87H, length 23; memory, fixed ends, read-write; granularity 0, first, last, 0, length.
    window = DWordMemory(0xC000_0000, 0xFEBF_FFFF)
    assert window.to_bytes().hex(" ") == (
        "87 17 00 00 0c 01 00 00 00 00 00 00 00 c0 ff ff bf fe 00 00 00 00 00 00 c0 3e"
    )


REFUSED = {
    "an interrupt beyond 15": lambda: IrqNoFlags(16),
    "a negative interrupt": lambda: Irq([-1]),
    "a DMA channel beyond 7": lambda: Dma(8),
    "ports beyond 16 bits": lambda: Io(0x1_0000, 1),
    "more ports than a byte counts": lambda: Io(0, 256),
    "memory beyond 32 bits": lambda: Memory32Fixed(1 << 32, 1),
    "a window that ends before it begins": lambda: DWordMemory(2, 1),
    "a window beyond its width": lambda: DWordMemory(0, 1 << 32),
    "a length of 2**64": lambda: QWordMemory(0, (1 << 64) - 1),
    "bus numbers that are text": lambda: BusNumber("0", "1"),
    "a vendor's space below C0H": lambda: WordSpace(3, 0, 1),
    "eight bytes in a small item": lambda: VendorShort(bytes(8)),
    "65 536 bytes in a large item": lambda: VendorLong(bytes(0x1_0000)),
    "more interrupts than a byte counts": lambda: Interrupt(range(256)),
    "an interrupt that is no number": lambda: Interrupt(["9"]),
    "a source that is not ASCII": lambda: Interrupt(1, source_index=0, source="é"),
    "a controller that is not ASCII": lambda: GpioInt(1, "é"),
    "a priority beyond two bits": lambda: StartDependentFn(4, 0),
    "ten data bits": lambda: UartSerialBus(9_600, "A", data_bits=10),
    "a DMA width beyond 256 bits": lambda: FixedDma(0, 0, 6),
    "a small tag with length bits": lambda: RawDescriptor(0x41, b""),
    "both edges of an interrupt line": lambda: Irq(4, polarity=Polarity.ACTIVE_BOTH),
    "both levels of a global interrupt": lambda: Interrupt(4, polarity=Polarity.ACTIVE_BOTH),
    "no global interrupt": lambda: Interrupt(()),
    "no number of a global interrupt": lambda: Interrupt(None),
    "sharing of three bits": lambda: Interrupt(4, sharing=4),
    "an index of nine bits": lambda: Interrupt(4, source_index=256),
    "DMA of a fifth kind": lambda: Dma(1, kind=4),
    "DMA of a fourth width": lambda: Dma(1, transfer=3),
    "16 bits decoded twice": lambda: Io(0x3F8, 8, decode16=2),
    "ports that an ISA card does not decode": lambda: FixedIo(0x400, 1),
    "memory written twice": lambda: Memory32Fixed(0, 1, 2),
    "the reserved polarity": lambda: GpioInt(1, "A", polarity=3),
    "a fifth pull": lambda: GpioIo(1, "A", pull=4),
    "a fifth restriction": lambda: GpioIo(1, "A", restriction=4),
    "the reserved flow control": lambda: UartSerialBus(9_600, "A", flow_control=3),
    "a sixth parity": lambda: UartSerialBus(9_600, "A", parity=5),
    "a shared UART of revision 1": lambda: UartSerialBus(9_600, "A", shared=True, revision=1),
    "a UART of revision 3": lambda: UartSerialBus(9_600, "A", revision=3),
    "memory cached in a fifth way": lambda: DWordMemory(0, 1, cacheable=4),
    "ports of a fifth kind": lambda: WordIo(0, 1, range_type=4),
    "ports translated twice": lambda: WordIo(0, 1, translates=2),
    "an attribute where none is": lambda: WordIo(0, 1, attribute=1),
    "a source where none is": lambda: ExtendedMemory(0, 1, source="A"),
    "a count of zero bytes": lambda: VendorLong(3),
    "vendor data that is text": lambda: GpioIo(1, "A", vendor="text"),
    "an end tag of its own": lambda: RawDescriptor(0x78, b"\0"),
    "something that is no descriptor": lambda: Resources(b"\x79\0"),
}


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused(make):
    with pytest.raises(AmlValueError):
        make()


def test_errors_name_attribute_and_limits():
    with pytest.raises(AmlValueError) as caught:
        Irq(4, polarity=Polarity.ACTIVE_BOTH)
    assert str(caught.value).startswith("polarity of Irq is a number from 0 to 1, not <Polarity")
    with pytest.raises(AmlValueError, match="last of a Word range is a number from 0x0 to 0xffff"):
        BusNumber(0, 0x1_0000)


def test_what_no_attribute_can_say_is_kept_as_it_is():
    items = {
        "an interrupt on both levels": "89 06 00 09 01 04 00 00 00",
        "no interrupt": "89 02 00 01 00",
        "a UART of revision 3": UartSerialBus(9_600, "A").to_bytes().hex().replace("02", "03", 1),
        "the reserved priority": "31 0f",
    }
    for text in items.values():
        content = bytes.fromhex(text) + b"\x79\0"
        parsed = parse_resources(memoryview(content))
        assert Resources(*parsed).args[1] == content


@pytest.mark.parametrize(
    ("content", "offset"),
    [(b"", 0), (b"\x47\x01", 0), (b"\x22\x10\x00", 3), (b"\x79\0\0", 2), (b"\x86", 0)],
)
def test_what_is_no_template_says_where(content, offset):
    with pytest.raises(AmlParseError) as caught:
        parse_resources(content)
    assert caught.value.offset == offset


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([*range(0x20, 0x80, 8), *range(0x80, 0x93)]), st.binary(max_size=30)
        )
    )
)
def test_any_items_read_back_as_their_bytes(items):
    content = b"".join(
        bytes((tag, len(body), 0)) + body
        if tag & 0x80
        else bytes((tag | len(body[:7]),)) + body[:7]
        for tag, body in items
        if tag != 0x78
    )
    again = Resources(*parse_resources(content + b"\x79\0"))
    assert again.args[1] == content + b"\x79\0"


@settings(max_examples=200)
@given(st.binary(max_size=60))
def test_any_bytes_parse_or_say_what_is_wrong(content):
    with contextlib.suppress(AmlParseError):
        parse_resources(content)
