# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Packets by which debugger and stub agree, and packets about vCPUs as threads."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdb.small_target import SmallTarget
from gdb.wire import Wire, frame
from vmmkit.gdb.options import StubOptions
from vmmkit.gdb.packets import ALL_PACKETS
from vmmkit.gdb.stub import Stub

ALL_FEATURES = [b"multiprocess", b"swbreak", b"hwbreak", b"exec-events", b"error-message"]
OF_CAPABILITY = {
    "breakpoint_kinds": {b"swbreak+", b"hwbreak+", b"ConditionalBreakpoints+"},
    "stop_vcpu": {b"QNonStop+"},
    "reverse_step": {b"ReverseStep+", b"ReverseContinue+"},
    "memory_map": {b"qXfer:memory-map:read+"},
}


def announced_by(target, announced=ALL_FEATURES, **options):
    wire = Wire(target, attach=False, **options)
    return set(wire.attach(announced).split(b";"))


def chunks(wire, first, rest):
    replies = [wire.ask(first)]
    while replies[-1] != b"l":
        replies.append(wire.ask(rest))
    return replies[:-1]


# -- what both understand


def test_everything_is_announced_that_there_is():
    features = announced_by(SmallTarget(), exec_file="/kernel")
    assert features >= {
        *(b"PacketSize=20000", b"QStartNoAckMode+", b"multiprocess+", b"error-message+"),
        *(b"vContSupported+", b"QThreadEvents+", b"binary-upload+", b"exec-events+"),
        *(b"qXfer:features:read+", b"qXfer:threads:read+", b"qXfer:exec-file:read+"),
    }
    assert features >= set().union(*OF_CAPABILITY.values())


@pytest.mark.parametrize("lacks", OF_CAPABILITY)
def test_what_a_target_lacks_is_not_announced(lacks):
    everything = announced_by(SmallTarget())
    less = announced_by(SmallTarget(lacks=[lacks]))
    assert everything - less >= OF_CAPABILITY[lacks]
    assert less <= everything


def test_what_the_debugger_does_not_know_is_not_announced():
    features = announced_by(SmallTarget(), announced=[])
    assert not features & {b"multiprocess+", b"error-message+", b"exec-events+"}
    assert b"qXfer:exec-file:read+" not in features


def test_no_feature_is_announced_twice():
    wire = Wire(SmallTarget(), attach=False)
    names = wire.attach(ALL_FEATURES).split(b";")
    assert len(names) == len(set(names))


def test_the_packet_size_is_in_hexadecimal():
    assert b"PacketSize=4000" in announced_by(SmallTarget(), packet_size=0x4000)


def test_only_what_the_debugger_says_it_has_counts():
    wire = Wire(SmallTarget())
    wire.ask(b"qSupported:multiprocess-;swbreak?;hwbreak+;xmlRegisters=i386;;+;\xff+")
    assert wire.stub.features == {"hwbreak", "", "\ufffd"}
    assert wire.ask(b"qC") == b"QC1"
    wire.ask(b"qSupported:multiprocess+")
    assert wire.ask(b"qC") == b"QCp1.1"
    wire.ask(b"qSupported")
    assert wire.ask(b"qC") == b"QC1"


def test_acknowledgments_end_after_the_reply():
    stub = Stub(SmallTarget(), StubOptions())
    stub.attach()
    assert stub.receive(frame(b"QStartNoAckMode")) == b"+" + frame(b"OK")
    assert stub.receive(b"+" + frame(b"qC")) == frame(b"QC1")


@pytest.mark.parametrize(
    "packet",
    [
        *(
            b"vMustReplyEmpty",
            b"qTStatus",
            b"qSymbol::",
            b"vAttach;1",
            b"vFile:open:",
            b"",
        ),
        *(b"qShlibInfoAddr", b"qVAttachOrWaitSupported", b"_M10,rw", b"jUnknown", b"QPassSignals:"),
        *(b"vMustReplyEmptyNot", b"qfThreadInformation", b"QStartNoAckModes", b"\xff\x00"),
    ],
)
def test_what_is_unknown_is_answered_with_nothing(packet):
    assert Wire(SmallTarget()).ask(packet) == b""


def test_an_error_has_its_text_only_where_it_is_understood():
    assert Wire(SmallTarget()).ask(b"Hg9") == b"E02"
    wire = Wire(SmallTarget(), announced=[b"error-message"])
    assert wire.ask(b"Hg9") == b"E.there is no thread b'9'"
    wire = Wire(SmallTarget())
    assert wire.ask(b"QEnableErrorStrings") == b"OK"
    assert wire.ask(b"Hg9") == b"E02;" + b"there is no thread b'9'".hex().encode()


@given(text=st.text(max_size=600))
@settings(max_examples=50, deadline=None)
def test_whatever_a_target_complains_of_is_one_packet(text):
    wire = Wire(SmallTarget(), announced=[b"error-message"], packet_size=0x400)
    wire.target.failures["read_memory"] = RuntimeError(text)
    assert wire.ask(b"m1000,1").startswith(b"E.RuntimeError: ")


# -- QEMU's packets


def test_tools_for_qemu_can_hold_interrupts_while_stepping():
    wire = Wire(SmallTarget())
    assert wire.ask(b"qqemu.sstepbits") == b"ENABLE=1,NOIRQ=2"
    assert wire.ask(b"qqemu.sstep") == b"0x3"
    assert wire.ask(b"Qqemu.sstep=0x1") == b"OK"
    assert wire.target.hold_interrupts_while_stepping is False
    assert wire.ask(b"qqemu.sstep") == b"0x1"
    assert wire.ask(b"Qqemu.sstep=3") == b"OK"
    assert wire.target.hold_interrupts_while_stepping is True


@pytest.mark.parametrize(
    ("packet", "error"),
    [
        (b"Qqemu.sstep=7", b"E05"),
        (b"Qqemu.sstep=0", b"E05"),
        (b"Qqemu.sstep=x", b"E01"),
        (b"Qqemu.sstep=", b"E01"),
        (b"Qqemu.PhyMemMode:2", b"E01"),
        (b"Qqemu.PhyMemMode", b"E01"),
    ],
)
def test_what_qemu_would_refuse_is_refused(packet, error):
    assert Wire(SmallTarget()).ask(packet) == error


def test_tools_for_qemu_can_look_at_physical_memory():
    wire = Wire(SmallTarget())
    assert wire.ask(b"qqemu.PhyMemMode") == b"0"
    assert wire.ask(b"Qqemu.PhyMemMode:1") == b"OK"
    assert wire.target.physical is True
    assert wire.ask(b"qqemu.PhyMemMode") == b"1"
    assert wire.ask(b"Qqemu.PhyMemMode:0") == b"OK"
    assert wire.target.physical is False


@pytest.mark.parametrize(
    "packet",
    [
        *(b"qqemu.sstepbits", b"qqemu.sstep", b"Qqemu.sstep=1"),
        *(b"qqemu.PhyMemMode", b"Qqemu.PhyMemMode:1"),
    ],
)
def test_a_target_without_that_does_not_know_qemus_packets(packet):
    wire = Wire(SmallTarget(lacks=["hold_interrupts_while_stepping", "physical"]))
    assert wire.ask(packet) == b""


# -- threads


def test_registers_and_memory_are_those_of_the_selected_vcpu():
    wire = Wire(SmallTarget(3))
    wire.target.registers[2]["rax"] = 0x1234
    assert wire.ask(b"p0") == b"0000000000000000"
    assert wire.ask(b"Hg3") == b"OK"
    assert wire.ask(b"p0") == b"3412000000000000"
    for anything in (b"Hg0", b"Hg-1"):
        assert wire.ask(anything) == b"OK"
        assert wire.ask(b"qC") == b"QC3"


def test_any_vcpu_is_the_lowest_where_the_selected_one_has_gone():
    wire = Wire(SmallTarget(3))
    wire.ask(b"Hg3")
    wire.target.names = range(1, 2)
    assert wire.ask(b"Hg0") == b"OK"
    assert wire.ask(b"qC") == b"QC2"


@pytest.mark.parametrize(
    ("packet", "reply"),
    [
        (b"Hg1", b"OK"),
        (b"Hgp1.2", b"OK"),
        (b"Hgp0.0", b"OK"),
        (b"Hgp-1.-1", b"OK"),
        (b"Hgp1", b"OK"),
        (b"Hg3", b"E02"),
        (b"Hgp1.3", b"E02"),
        (b"Hgp-1.2", b"E01"),
        (b"Hgp1.", b"E01"),
        (b"Hgp2.1", b"E02"),
        (b"Hgffffffffffffffff", b"E02"),
        (b"Hg", b"E01"),
        (b"Hgx", b"E01"),
        (b"Hg 1", b"E01"),
        (b"Hg-2", b"E01"),
        (b"Hg11111111111111111", b"E01"),
        (b"H", b"E0a"),
        (b"Hm1", b"E0a"),
        (b"Hc2", b"OK"),
        (b"Hc0", b"OK"),
        (b"Hc-1", b"OK"),
        (b"Hc3", b"E02"),
        (b"T1", b"OK"),
        (b"Tp1.2", b"OK"),
        (b"T3", b"E02"),
        (b"T-1", b"E02"),
        (b"T", b"E01"),
        (b"qAttached", b"1"),
        (b"qAttached:1", b"1"),
        (b"qAttached:2", b"E02"),
        (b"qAttached:x", b"E01"),
        (b"qThreadExtraInfo,2", b"vCPU 1 [64-bit]".hex().encode()),
        (b"qThreadExtraInfo,p1.1", b"vCPU 0 [64-bit]".hex().encode()),
        (b"qThreadExtraInfo,3", b"E02"),
        (b"qThreadExtraInfo", b"E01"),
    ],
)
def test_threads_are_named_and_found(packet, reply):
    assert Wire(SmallTarget(2)).ask(packet) == reply


@pytest.mark.parametrize(("announced", "name"), [([], b"%x"), ([b"multiprocess"], b"p1.%x")])
@pytest.mark.parametrize("count", [1, 2, 300, 5000])
def test_all_vcpus_are_listed_in_packets_that_are_not_too_long(announced, name, count):
    wire = Wire(SmallTarget(1), announced=announced, packet_size=0x400)
    wire.target.names = range(count)
    replies = chunks(wire, b"qfThreadInfo", b"qsThreadInfo")
    assert all(len(reply) <= 0x400 and reply.startswith(b"m") for reply in replies)
    listed = [thread for reply in replies for thread in reply[1:].split(b",")]
    assert listed == [name % (vcpu + 1) for vcpu in range(count)]


def test_a_list_is_that_of_its_first_packet():
    wire = Wire(SmallTarget(1), packet_size=0x400)
    wire.target.names = range(600)
    wire.ask(b"qfThreadInfo")
    wire.target.names = range(1)
    assert wire.ask(b"qsThreadInfo").startswith(b"m")
    assert wire.ask(b"qfThreadInfo") == b"m1"
    assert wire.ask(b"qsThreadInfo") == b"l"


def test_a_vcpu_that_runs_is_not_looked_at():
    wire = Wire(SmallTarget(2))
    wire.ask(b"QNonStop:1")
    wire.ask(b"vCont;c:2")
    wire.target.failures["describe_vcpu"] = AssertionError
    assert wire.ask(b"qThreadExtraInfo,2") == b"vCPU 1 [running]".hex().encode()


def test_a_target_that_does_not_describe_its_vcpus():
    wire = Wire(SmallTarget(lacks=["describe_vcpu"]))
    assert wire.ask(b"qThreadExtraInfo,1") == b"vCPU 0".hex().encode()


def test_a_long_description_is_cut():
    wire = Wire(SmallTarget(), packet_size=0x400)
    wire.target.describe_vcpu = lambda vcpu: "\u20ac" * 1000
    assert len(wire.ask(b"qThreadExtraInfo,1")) == 0x400


# -- anything

NAMES = sorted(name.encode() for name in ALL_PACKETS.names)
ENDS = {b"D", b"k", b"vKill", b"R"}
RESUMES = {b"c", b"C", b"s", b"S", b"vCont", b"bc", b"bs"}


@given(
    name=st.sampled_from([name for name in NAMES if name not in ENDS | RESUMES]),
    rest=st.one_of(
        st.binary(max_size=24),
        st.text("0123456789abcdef,:;=-.p?xX", max_size=24).map(str.encode),
    ),
)
@settings(max_examples=400, deadline=None)
def test_any_packet_has_one_reply(name, rest):
    wire = Wire(SmallTarget(), announced=[b"swbreak"], packet_size=0x400)
    packet = (name + rest).translate(None, b"#$}")
    replies = [reply for reply in wire.send(packet) if reply == b"OK" or reply[:1] != b"O"]
    assert len(replies) == 1
    assert len(replies[0]) <= 0x400 or name in {b"g", b"p"}


def test_modes_are_not_announced_to_change_in_the_layout_of_qemu():
    assert b"exec-events+" not in Wire(SmallTarget(1), layout="qemu").attach([b"exec-events"])
