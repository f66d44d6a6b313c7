# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Packets Z and z, asked of a stub whose target keeps a list of what is inserted."""

import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdb.small_target import SmallTarget
from gdb.wire import Wire
from vmmkit.errors import TargetError
from vmmkit.gdb.options import StubOptions
from vmmkit.gdb.packets.breakpoints import (
    MAX_BREAKPOINTS,
    MAX_BYTECODE,
    MAX_EXPRESSIONS,
    PACKETS,
    features,
)
from vmmkit.gdb.packets.table import PacketError
from vmmkit.gdb.spec import ErrorCode
from vmmkit.gdb.stub import Stub
from vmmkit.gdb.target import CONTINUE, BreakpointKind, Stop, StopKind

SOFTWARE, HARDWARE, WRITE, READ, ACCESS = BreakpointKind
TRUE, FALSE = b"220127", b"220027"
VALUELESS = b"27"
FULL = 0xBAD  # no room for a breakpoint here
HIT = Stop(0, StopKind.SOFTWARE, 0x1000)


class Vcpus:
    """Two vCPUs that stop when told to; software breakpoints and watchpoints of two kinds."""

    breakpoint_kinds = (SOFTWARE, WRITE, ACCESS)

    def __init__(self, mode=64):
        self.bits = mode
        self.inserted = []
        self.asked = 0

    def vcpus(self):
        return [0, 1]

    def read_registers(self, vcpu):
        return {"rip": 0x1000, "rax": vcpu}

    def read_memory(self, vcpu, address, size):
        return bytes(size)

    def mode(self, vcpu):
        return self.bits

    def stop(self, report):
        report()

    def stop_vcpu(self, vcpu, report):
        report()

    def resume(self, actions, report):
        pass

    def insert_breakpoint(self, kind, vcpu, address, size):
        self.asked += 1
        if address == FULL:
            raise TargetError("no room")
        if address == 0xDEAD:
            raise KeyError("a bug")
        self.inserted.append((kind, vcpu, address, size))

    def remove_breakpoint(self, kind, vcpu, address, size):
        self.asked += 1
        if address == 0x5711:
            raise TargetError("stuck")
        self.inserted.remove((kind, vcpu, address, size))


class Bare(Vcpus):
    insert_breakpoint = None


def attached(target, **options):
    stub = Stub(target, StubOptions(**options))
    stub.attach()
    stub.features = frozenset({"exec-events"})
    return stub


@pytest.fixture
def target():
    return Vcpus()


@pytest.fixture
def stub(target):
    return attached(target)


def ask(stub, packet):
    return PACKETS[packet[:1].decode()](stub, packet[1:])


def code_of(stub, packet):
    with pytest.raises(PacketError) as caught:
        ask(stub, packet)
    return caught.value.code


def expressions(*bytecodes):
    return b"".join(b"X%x,%s" % (len(code) // 2, code) for code in bytecodes)


def test_what_is_announced(stub):
    whole = [b"swbreak+", b"ConditionalBreakpoints+", b"BreakpointCommands+"]
    assert list(features(stub)) == whole
    assert list(features(attached(Bare()))) == []
    target = Vcpus()
    target.breakpoint_kinds = (HARDWARE,)
    assert list(features(attached(target))) == [b"hwbreak+", *whole[1:]]
    target.breakpoint_kinds = (WRITE,)
    assert list(features(attached(target))) == []


@pytest.mark.parametrize("kind", [SOFTWARE, WRITE, ACCESS])
def test_insert_and_remove(stub, target, kind):
    assert ask(stub, b"Z%d,ffff800000001000,4" % kind) == b"OK"
    assert target.inserted == [(kind, 0, 0xFFFF_8000_0000_1000, 4)]
    assert stub.breakpoints.find(kind, 0xFFFF_8000_0000_1000, 4) is not None
    assert ask(stub, b"z%d,ffff800000001000,4" % kind) == b"OK"
    assert target.inserted == []
    assert len(stub.breakpoints) == 0


def framed(payload):
    return b"$%s#%02x" % (payload, sum(payload) & 0xFF)


@pytest.mark.parametrize(
    ("packet", "reply"),
    [
        (b"Z0,1000,1", b"OK"),
        (b"z0,1000,1", b"OK"),
        (b"Z1,1000,1", b""),
        (b"Z0,bad,1", b"E06"),
        (b"Z0,dead,1", b"E09"),
        (b"Z0,1000,1;X1,02", b"E0b"),
        (b"Z0,1000", b"E01"),
    ],
)
def test_what_goes_over_the_wire(stub, packet, reply):
    assert stub.receive(framed(packet)) == b"+" + framed(reply)


def test_a_debugger_that_shows_errors_gets_their_text(stub):
    stub.features = frozenset({"error-message"})
    assert stub.receive(framed(b"Z0,bad,1")) == b"+" + framed(b"E.no room")
    refused = framed(b"E.trace at 0 is not supported")
    assert stub.receive(framed(b"Z0,1000,1;X1,0c")) == b"+" + refused


def test_breakpoints_go_with_the_debugger(stub, target):
    stub.receive(framed(b"Z0,1000,1;cmds:1,X1,27"))
    stub.receive(framed(b"Z2,2000,4"))
    assert len(target.inserted) == 2
    stub.receive(framed(b"D"))
    assert target.inserted == []


def test_both_packets_may_come_twice(stub, target):
    for _ in range(2):
        assert ask(stub, b"Z0,1000,1") == b"OK"
        assert target.inserted == [(SOFTWARE, 0, 0x1000, 1)]
    for _ in range(2):
        assert ask(stub, b"z0,1000,1") == b"OK"
        assert target.inserted == []
    assert target.asked == 2


def test_the_target_is_asked_for_the_selected_vcpu_and_removes_for_the_same(stub, target):
    stub.selected = 1
    ask(stub, b"Z2,1000,8")
    stub.selected = 0
    ask(stub, b"Z2,1000,8;X3,220127")
    assert stub.breakpoints.find(WRITE, 0x1000, 8).vcpu == 1
    ask(stub, b"z2,1000,8")
    assert target.inserted == []


def test_what_differs_in_kind_address_or_size_is_another_breakpoint(stub, target):
    for packet in (b"Z0,1000,1", b"Z0,1001,1", b"Z2,1000,1", b"Z4,1000,1", b"Z2,1000,2"):
        assert ask(stub, packet) == b"OK"
    assert len(target.inserted) == len(stub.breakpoints) == 5
    assert ask(stub, b"z2,1000,1") == b"OK"
    assert (WRITE, 0, 0x1000, 2) in target.inserted


@pytest.mark.parametrize(
    ("mode", "sent", "address"),
    [
        (64, b"ffffffff80001000", 0xFFFF_FFFF_8000_1000),
        (32, b"ffffffff80001000", 0x8000_1000),
        (32, b"80001000", 0x8000_1000),
        (16, b"fffffffffffffff0", 0xFFFF_FFF0),
        (16, b"12345", 0x12345),
    ],
)
def test_addresses_are_as_wide_as_the_description_says(mode, sent, address):
    target = Vcpus(mode)
    stub = attached(target)
    assert ask(stub, b"Z0," + sent + b",1") == b"OK"
    assert target.inserted == [(SOFTWARE, 0, address, 1)]
    assert ask(stub, b"z0,%x,1" % address) == b"OK"
    assert target.inserted == []


@pytest.mark.parametrize("packet", [b"Z5,1000,1", b"Z9,1000,1", b"z5,1000,1", b"Zx,1000,1"])
def test_unknown_types_get_an_empty_reply(stub, packet):
    assert ask(stub, packet) == b""


@pytest.mark.parametrize("packet", [b"Z1,1000,1", b"z1,1000,1", b"Z3,1000,1", b"z3,1000,1"])
def test_kinds_that_the_target_lacks_get_an_empty_reply(stub, target, packet):
    assert ask(stub, packet) == b""
    assert target.asked == 0


@pytest.mark.parametrize("packet", [b"Z0,1000,1", b"z0,1000,1"])
def test_software_breakpoints_that_are_missing_are_an_error(packet):
    """Or the debugger would write breakpoint instructions into the guest by itself."""
    assert code_of(attached(Bare()), packet) == ErrorCode.UNSUPPORTED


@pytest.mark.parametrize(
    "packet",
    [
        *(b"Z", b"Z0", b"Z0,", b"Z0,1000", b"Z0,1000,", b"Z0,,1", b"Z0,1000,1,", b"Z0,0x10,1"),
        *(b"Z0,-1,1", b"Z0,1000,-1", b"Z00,1000,1", b"Z0,11112222333344445,1", b"Z0 1000,1"),
        *(b"z", b"z0,1000", b"z0,zz,1", b"Z0,1000,1;Y", b"Z0,1000,1;X", b"Z0,1000,1;X3"),
        *(b"Z0,1000,1;X3,", b"Z0,1000,1;X3,22", b"Z0,1000,1;X3,22012", b"Z0,1000,1;X3,2201zz"),
        *(b"Z0,1000,1;X3,220127Q", b"Z0,1000,1;X12345,00", b"Z0,1000,1;cmds:", b"Z0,1000,1;cmds:1"),
        *(b"Z0,1000,1;cmds:1,X3,2201", b"Z0,1000,1;cmds:x,X3,220127", b"Z0,1000,1;cmds:1,Y"),
        b"Z0,1000,1;X1,+1",
    ],
)
def test_malformed_packets_are_refused(stub, target, packet):
    assert code_of(stub, packet) == ErrorCode.MALFORMED
    assert target.asked == len(stub.breakpoints) == 0


@pytest.mark.parametrize(
    "packet",
    [
        *(b"Z0,1000,10", b"Z0,1000,ffffffff", b"Z2,1000,0", b"Z2,ffffffffffffffff,2"),
        *(b"Z4,1000,ffffffffffffffff", b"z2,1000,0"),
    ],
)
def test_lengths_that_cannot_be_are_refused(stub, target, packet):
    assert code_of(stub, packet) == ErrorCode.BAD_VALUE
    assert target.asked == 0


def test_a_range_may_end_where_addresses_do(stub):
    assert ask(stub, b"Z2,ffffffffffffffff,1") == b"OK"
    stub = attached(Vcpus(32))
    assert ask(stub, b"Z2,fffffffc,4") == b"OK"
    assert code_of(stub, b"Z2,fffffffc,5") == ErrorCode.BAD_VALUE


def test_kind_0_is_the_only_kind_there_is(stub, target):
    ask(stub, b"Z0,1000,0")
    assert target.inserted == [(SOFTWARE, 0, 0x1000, 1)]
    ask(stub, b"z0,1000,1")
    assert target.inserted == []


def test_what_the_target_refuses_is_an_error_with_its_text(stub, target):
    with pytest.raises(PacketError, match="no room") as caught:
        ask(stub, b"Z0,%x,1" % FULL)
    assert caught.value.code == ErrorCode.BREAKPOINT
    assert len(stub.breakpoints) == 0
    ask(stub, b"Z0,5711,1")
    with pytest.raises(PacketError, match="stuck"):
        ask(stub, b"z0,5711,1")
    assert len(stub.breakpoints) == 1


def test_a_failing_target_leaves_no_breakpoint_behind(stub):
    with pytest.raises(KeyError):
        ask(stub, b"Z0,dead,1")
    assert len(stub.breakpoints) == 0


@pytest.mark.parametrize("packet", [b"Z0,1000,1", b"z0,1000,1", b"Z2,1000,4"])
def test_read_only_refuses(target, packet):
    assert code_of(attached(target, read_only=True), packet) == ErrorCode.READ_ONLY
    assert target.asked == 0


def test_nothing_is_inserted_while_all_vcpus_run(stub, target):
    ask(stub, b"Z0,1000,1")
    stub.run.resume({0: CONTINUE, 1: CONTINUE})
    assert code_of(stub, b"Z0,2000,1") == ErrorCode.RUNNING
    assert code_of(stub, b"z0,1000,1") == ErrorCode.RUNNING
    assert len(target.inserted) == 1


def test_in_non_stop_mode_other_vcpus_may_run(stub, target):
    stub.run.non_stop = True
    stub.run.resume_each({1: CONTINUE})
    assert ask(stub, b"Z0,2000,1") == b"OK"
    assert ask(stub, b"z0,2000,1") == b"OK"
    assert target.asked == 2


def test_a_breakpoint_counts_from_the_moment_that_the_target_has_it(stub, target):
    counted = []
    insert = target.insert_breakpoint

    def hit_at_once(kind, vcpu, address, size):
        insert(kind, vcpu, address, size)
        counted.append(stub.breakpoints.counts(HIT))

    target.insert_breakpoint = hit_at_once
    ask(stub, b"Z0,1000,1")
    assert counted == [True]


@pytest.mark.parametrize(
    ("orders", "counts"),
    [
        (b"", True),
        (b";" + expressions(TRUE), True),
        (b";" + expressions(FALSE), False),
        (b";" + expressions(FALSE, TRUE), True),
        (b";" + expressions(FALSE) + b";" + expressions(TRUE), True),
        (b";cmds:0," + expressions(VALUELESS), False),
        (b";" + expressions(TRUE) + b";cmds:1," + expressions(VALUELESS, VALUELESS), False),
        (b";cmds:0,", True),
    ],
)
def test_conditions_and_commands(stub, orders, counts):
    assert ask(stub, b"Z0,1000,1" + orders) == b"OK"
    assert stub.breakpoints.counts(HIT) is counts


def test_all_parts_of_the_packet_are_kept(stub):
    ask(stub, b"Z0,1000,1;X3,220127X3,220027;cmds:1,X1,27X3,220027")
    entry = stub.breakpoints.find(SOFTWARE, 0x1000, 1)
    codes = [[one.bytecode.hex() for one in part] for part in (entry.conditions, entry.commands)]
    assert codes == [["220127", "220027"], ["27", "220027"]]
    assert entry.persist
    ask(stub, b"Z0,1000,1;cmds:0,X1,27")
    assert not stub.breakpoints.find(SOFTWARE, 0x1000, 1).persist


def test_other_conditions_replace_the_first_without_asking_the_target(stub, target):
    ask(stub, b"Z0,1000,1;" + expressions(FALSE))
    ask(stub, b"Z0,1000,1;" + expressions(TRUE))
    assert stub.breakpoints.counts(HIT)
    ask(stub, b"Z0,1000,1")
    assert stub.breakpoints.find(SOFTWARE, 0x1000, 1).conditions == ()
    assert target.asked == 1


def test_conditions_read_registers_of_the_description(stub):
    # rax, register 0, is the vCPU's number
    ask(stub, b"Z0,1000,1;X4,26000027")
    assert [stub.breakpoints.counts(HIT._replace(vcpu=vcpu)) for vcpu in (0, 1)] == [False, True]


@pytest.mark.parametrize("code", [b"00", b"0127", b"2c000127", b"02", VALUELESS])
def test_conditions_that_cannot_be_used_are_refused(stub, target, code):
    assert code_of(stub, b"Z0,1000,1;" + expressions(code)) == ErrorCode.EXPRESSION
    assert target.asked == len(stub.breakpoints) == 0


def test_a_refused_change_leaves_what_was_there(stub):
    ask(stub, b"Z0,1000,1;" + expressions(FALSE))
    assert code_of(stub, b"Z0,1000,1;" + expressions(b"02")) == ErrorCode.EXPRESSION
    assert not stub.breakpoints.counts(HIT)


def test_expressions_are_bounded(stub):
    orders = expressions(*[TRUE] * MAX_EXPRESSIONS)
    assert ask(stub, b"Z0,1000,1;" + orders) == b"OK"
    assert code_of(stub, b"Z0,1000,1;" + orders + expressions(TRUE)) == ErrorCode.TOO_LARGE


def test_bytecode_is_bounded(stub):
    code = b"2201" + b"16ff" * 2000 + b"27"
    size = len(code) // 2
    for number in range(MAX_BYTECODE // size):
        assert ask(stub, b"Z0,%x,1;" % (0x10000 + number) + expressions(code)) == b"OK"
    assert code_of(stub, b"Z0,2000,1;" + expressions(code)) == ErrorCode.BREAKPOINT
    # In place of what was there it may come again.
    assert ask(stub, b"Z0,10000,1;" + expressions(code)) == b"OK"
    assert ask(stub, b"z0,10000,1") == b"OK"
    assert ask(stub, b"Z0,2000,1;" + expressions(code)) == b"OK"


def test_breakpoints_are_bounded(stub, target):
    for number in range(MAX_BREAKPOINTS):
        stub.breakpoints.insert(HARDWARE if number % 2 else SOFTWARE, 0x1000 + number, 1)
    assert code_of(stub, b"Z0,1,1") == ErrorCode.BREAKPOINT
    assert ask(stub, b"Z0,1000,1;" + expressions(TRUE)) == b"OK"
    assert target.asked == 0


packets = st.one_of(
    st.binary(max_size=40),
    st.from_regex(
        rb"[0-5],[0-9a-f]{1,17},[0-9a-f]{1,3}(;(X[0-9a-f]{1,2},([0-9a-f]{2}){0,6}){0,3})?"
        rb"(;cmds:[01],(X[0-9],([0-9a-f]{2}){0,9}){0,3})?",
        fullmatch=True,
    ),
    st.builds(
        lambda kind, address, code: (
            b"%d,%x,1;X%x,%s" % (kind, address, len(code), code.hex().encode())
        ),
        st.integers(0, 5),
        st.integers(0x1000, 0x1003),
        st.binary(max_size=12).map(lambda code: code + b"\x27"),
    ),
)


@settings(max_examples=150)
@given(st.lists(st.tuples(st.sampled_from("Zz"), packets), max_size=12))
def test_whatever_comes_the_table_is_what_the_target_has(sent):
    target = Vcpus()
    stub = attached(target)
    for letter, packet in sent:
        with suppress(PacketError, KeyError):
            assert PACKETS[letter](stub, packet) in {b"", b"OK"}
        entries = stub.breakpoints.entries()
        had = [(entry.kind, entry.vcpu, entry.address, entry.size) for entry in entries]
        assert sorted(had) == sorted(target.inserted)
        for entry in entries:
            stub.breakpoints.counts(Stop(0, StopKind[entry.kind.name], entry.address))
    stub.session.data_to_send()
    for inserted in stub.breakpoints.clear():
        target.remove_breakpoint(*inserted)
    assert target.inserted == []


@pytest.mark.slow
def test_memory_of_conditions_is_bounded():
    """Each byte of bytecode is decoded, once; what is alike is kept once."""
    wire = Wire(SmallTarget(1))
    bytecode = b"2200" + b"2829" * 2046 + b"27"  # const8 0; dup and pop, over and over; end
    condition = b"X%x,%s" % (len(bytecode) // 2, bytecode)
    tracemalloc.start()
    try:
        replies = [wire.ask(b"Z0,%x,1;%s" % (0x1000 + n, condition)) for n in range(70)]
        kept, _peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert replies == [b"OK"] * 64 + [b"E06"] * 6
    assert kept < 16 * MAX_BYTECODE
