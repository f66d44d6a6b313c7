# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Packets about registers, asked of a stub with a target that has every register."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmmkit.errors import TargetError
from vmmkit.gdb.description import describe
from vmmkit.gdb.options import StubOptions
from vmmkit.gdb.packets.registers import PACKETS, features
from vmmkit.gdb.packets.table import PacketError
from vmmkit.gdb.registers import REGISTERS
from vmmkit.gdb.spec import ErrorCode
from vmmkit.gdb.stub import Stub

BITS = {r.name: r.bits for r in REGISTERS if r.name != "linear_pc"}
RAX, RIP, CR8 = b"0", b"10", "cr8"
WHOLE = describe(64, "gdb", BITS)


class Vcpus:
    """Two vCPUs that stand still; `cr8` cannot be written."""

    def __init__(self, mode=64):
        self.bits = mode
        source = random.Random(5)
        self.state = [{n: source.getrandbits(b) for n, b in BITS.items()} for _ in range(2)]
        for values in self.state:
            values |= {"cs_base": 0xFFFF_0000, "rip": 0xFFF0, "efer": 0}

    def vcpus(self):
        return [0, 1]

    def read_registers(self, vcpu):
        return dict(self.state[vcpu])

    def write_registers(self, vcpu, values):
        if "cr8" in values:
            raise TargetError("cr8 is not for writing")
        self.state[vcpu].update(values)

    def read_memory(self, vcpu, address, size):
        return b""

    def stop(self, report):
        report(())

    def resume(self, actions, report):
        pass

    def mode(self, vcpu):
        return self.bits


class Unwritable(Vcpus):
    write_registers = None


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


def ask(stub, name, rest=b""):
    return PACKETS[name](stub, rest)


def code_of(stub, name, rest):
    with pytest.raises(PacketError) as caught:
        ask(stub, name, rest)
    return caught.value.code


def digits(value, size=8):
    return value.to_bytes(size, "little").hex().encode()


def test_what_is_announced(stub):
    assert list(features(stub)) == [b"qXfer:features:read+"]


def test_g_has_all_registers_of_the_description(stub, target):
    assert ask(stub, "g") == stub.description.pack(target.state[0])
    assert stub.description.xml == WHOLE.xml


@pytest.mark.parametrize("name", ["rax", "rip", "xmm3", "st0", "zmm31h", "cpl", "linear_pc"])
def test_p_is_the_part_of_g(stub, name):
    register = WHOLE.registers[WHOLE.number_of(name)]
    part = ask(stub, "g")[2 * register.offset : 2 * (register.offset + register.size)]
    assert ask(stub, "p", b"%x" % register.number) == part


def test_registers_are_those_of_the_selected_vcpu(stub, target):
    stub.selected = 1
    assert ask(stub, "p", RAX) == digits(target.state[1]["rax"])
    ask(stub, "P", RAX + b"=" + digits(7))
    assert (target.state[1]["rax"], target.state[0]["rax"] != 7) == (7, True)


@pytest.mark.parametrize(
    "thread", [b";thread:2;", b";thread:0002;", b";thread:2", b";thread:p1.2;"]
)
def test_lldb_names_the_thread(stub, target, thread):
    assert ask(stub, "g", thread) == WHOLE.pack(target.state[1])
    assert ask(stub, "p", RAX + thread) == digits(target.state[1]["rax"])
    assert ask(stub, "P", RAX + b"=" + digits(9) + thread) == b"OK"
    assert target.state[1]["rax"] == 9
    text = WHOLE.pack(target.state[1] | {"rbx": 10})
    assert ask(stub, "G", text + thread) == b"OK"
    assert target.state[1]["rbx"] == 10


@pytest.mark.parametrize(
    ("suffix", "code"),
    [
        (b";thread:3;", ErrorCode.NO_THREAD),
        (b";thread:-1;", ErrorCode.NO_THREAD),
        (b";thread:;", ErrorCode.MALFORMED),
        (b";core:1;", ErrorCode.MALFORMED),
        (b";", ErrorCode.MALFORMED),
    ],
)
def test_threads_that_are_none(stub, suffix, code):
    for name, rest in {"g": b"", "p": RAX, "P": RAX + b"=" + digits(1)}.items():
        assert code_of(stub, name, rest + suffix) is code


@pytest.mark.parametrize(
    ("name", "rest", "code"),
    [
        ("g", b"1", ErrorCode.MALFORMED),
        ("p", b"", ErrorCode.MALFORMED),
        ("p", b"-1", ErrorCode.MALFORMED),
        ("p", b"0x1", ErrorCode.MALFORMED),
        ("p", b"1 ", ErrorCode.MALFORMED),
        ("p", b"f" * 17, ErrorCode.MALFORMED),
        ("p", b"ca", ErrorCode.NO_REGISTER),
        ("p", b"f" * 16, ErrorCode.NO_REGISTER),
        ("P", b"", ErrorCode.MALFORMED),
        ("P", RAX, ErrorCode.MALFORMED),
        ("P", b"=" + digits(1), ErrorCode.MALFORMED),
        ("P", b"ca=" + digits(1), ErrorCode.NO_REGISTER),
        ("P", RAX + b"=", ErrorCode.BAD_VALUE),
        ("P", RAX + b"=" + digits(1)[:-1], ErrorCode.BAD_VALUE),
        ("P", RAX + b"=" + digits(1)[:-2], ErrorCode.BAD_VALUE),
        ("P", RAX + b"=" + digits(1) + b"00", ErrorCode.BAD_VALUE),
        ("P", RAX + b"=" + b"xx" * 8, ErrorCode.BAD_VALUE),
        ("P", RAX + b"=" + b"0000=000", ErrorCode.BAD_VALUE),
        ("G", b"", ErrorCode.BAD_VALUE),
        ("G", b"00", ErrorCode.BAD_VALUE),
        ("G", b"00" * (WHOLE.size + 1), ErrorCode.BAD_VALUE),
        ("G", b"zz" * WHOLE.size, ErrorCode.BAD_VALUE),
    ],
)
def test_malformed_packets_change_nothing(stub, target, name, rest, code):
    before = [dict(values) for values in target.state]
    assert code_of(stub, name, rest) is code
    assert target.state == before


@pytest.mark.parametrize("name", ["cpl", "linear_pc"])
def test_what_follows_from_other_registers_is_not_written(stub, target, name):
    before = dict(target.state[0])
    register = WHOLE.registers[WHOLE.number_of(name)]
    value = digits(1 ^ WHOLE.integer(register.number, before), register.size)
    assert code_of(stub, "P", b"%x=%s" % (register.number, value)) is ErrorCode.BAD_VALUE
    start = 2 * register.offset
    text = WHOLE.pack(before)
    text = text[:start] + value + text[start + 2 * register.size :]
    text = digits(1) + text[16:]
    assert code_of(stub, "G", text) is ErrorCode.BAD_VALUE
    assert target.state[0] == before


def test_what_the_target_refuses_changes_nothing(stub, target):
    before = dict(target.state[0])
    with pytest.raises(TargetError, match="cr8"):
        ask(stub, "G", WHOLE.pack(before | {"rax": 1, "cr8": 1}))
    assert target.state[0] == before


def test_a_register_that_cannot_be_written_is_no_obstacle_to_others(stub, target):
    assert ask(stub, "G", WHOLE.pack(target.state[0] | {"rax": 1})) == b"OK"
    assert target.state[0]["rax"] == 1


def test_g_and_p_after_a_write_show_it(stub):
    ask(stub, "p", RIP)
    ask(stub, "P", RIP + b"=" + digits(0x1234))
    assert ask(stub, "p", RIP) == digits(0x1234)
    assert ask(stub, "g")[256:272] == digits(0x1234)


def test_a_32_bit_write_leaves_upper_halves_of_the_others(target):
    target.bits = 32
    stub = attached(target)
    stub.serve_description()
    high = target.state[0]["rbx"] >> 32
    assert ask(stub, "P", b"0=78563412") == b"OK"
    text = stub.description.pack(target.state[0])
    assert ask(stub, "G", b"01000000" + text[8:]) == b"OK"
    assert (target.state[0]["rax"], target.state[0]["rbx"] >> 32) == (1, high)


def test_linear_eip(target):
    target.bits = 16
    stub = attached(target, linear_pc=True)
    stub.serve_description()
    assert ask(stub, "p", b"8") == b"f0ffffff"
    assert ask(stub, "P", b"8=0001ffff") == b"OK"
    assert target.state[0]["rip"] == 0x100
    assert code_of(stub, "P", b"8=007c0000") is ErrorCode.BAD_VALUE


@pytest.mark.parametrize("name", ["P", "G"])
def test_read_only(target, name):
    stub = attached(target, read_only=True)
    assert code_of(stub, name, ask(stub, "g")) is ErrorCode.READ_ONLY


def test_a_target_without_writes():
    stub = attached(Unwritable())
    assert code_of(stub, "P", RAX + b"=" + digits(1)) is ErrorCode.UNSUPPORTED


def read_description(stub, step=0x100):
    text = b""
    while True:
        reply = ask(stub, "qXfer:features:read", b"target.xml:%x,%x" % (len(text), step))
        text += reply[1:]
        if reply[:1] == b"l":
            return text


@pytest.mark.parametrize("step", [1, 0x7F, 0x1000, 0x100000])
def test_target_xml_in_pieces(target, step):
    stub = attached(target, layout="qemu")
    assert read_description(stub, step) == describe(64, "qemu", ()).xml


def test_pieces_are_no_longer_than_a_packet(target):
    stub = attached(target, packet_size=0x400)
    assert len(ask(stub, "qXfer:features:read", b"target.xml:0,fffff")) == 0x400
    assert read_description(stub, 0xFFFFF) == WHOLE.xml


@pytest.mark.parametrize(
    "rest",
    [
        *(b"", b"target.xml", b"target.xml:", b"target.xml:0", b"target.xml:0,", b"target.xml:,1"),
        *(b"target.xml:-1,1", b"target.xml:0,1,1", b"other.xml:0,10", b":0,10"),
        *(b"target.xml:fffff,1", b"../target.xml:0,10"),
    ],
)
def test_malformed_transfers(stub, rest):
    assert code_of(stub, "qXfer:features:read", rest) is ErrorCode.MALFORMED


def test_the_end_of_target_xml(stub):
    size = len(stub.description.xml)
    assert ask(stub, "qXfer:features:read", b"target.xml:%x,10" % size) == b"l"


def test_registers_keep_the_form_that_the_debugger_has_read_of(target):
    target.bits = 32
    stub = attached(target)
    first = ask(stub, "qXfer:features:read", b"target.xml:0,100")[1:]
    narrow = len(ask(stub, "p", b"8"))
    target.bits = 64
    assert len(ask(stub, "p", b"8")) == narrow == 8
    rest = ask(stub, "qXfer:features:read", b"target.xml:100,fffff")[1:]
    assert first + rest == describe(32, "gdb", BITS).xml
    assert len(ask(stub, "p", b"8")) == narrow
    assert read_description(stub) == WHOLE.xml
    assert len(ask(stub, "p", b"10")) == 16


@pytest.mark.parametrize(
    ("bits", "asks_for", "believes"),
    [(16, b"10", 64), (32, b"10", 64), (64, b"8", 32), (16, b"8", 16), (64, b"10", 64)],
)
def test_the_first_register_tells_whether_the_description_was_taken(
    target, bits, asks_for, believes
):
    """GDB says nothing about a description that contradicts its program, but asks for its PC."""
    target.bits = bits
    stub = attached(target)
    stub.serve_description()
    assert len(ask(stub, "g")) == 16
    pc = target.state[0]["rip"] & (1 << (64 if believes == 64 else 32)) - 1
    assert int.from_bytes(bytes.fromhex(ask(stub, "p", asks_for).decode()), "little") == pc
    assert stub.description.mode == believes
    rejected = believes != bits
    assert stub.must_switch(0) is rejected
    assert ("cr0" in [one.name for one in stub.description.registers]) is not rejected
    ask(stub, "p", b"8" if asks_for == b"10" else b"10")
    assert stub.description.mode == believes


def test_who_does_not_read_of_exec_events_gets_all_registers_at_once(target):
    stub = attached(target)
    stub.features = frozenset({"swbreak"})
    stub.serve_description()
    assert len(ask(stub, "g")) == 2 * stub.description.size


def all_infos(stub):
    number = 0
    while (reply := ask(stub, "qRegisterInfo", b"%x" % number)) != b"E45":
        yield dict(re.findall(r"([a-z]+):([^;]*);", reply.decode()))
        number += 1


@pytest.mark.parametrize("mode", [32, 64])
def test_register_infos(target, mode):
    target.bits = mode
    stub = attached(target)
    infos = list(all_infos(stub))
    registers = stub.description.registers
    assert stub.description.mode == mode
    assert [(i["name"], i["bitsize"], i["offset"]) for i in infos] == [
        (r.name, str(r.bits), str(r.offset)) for r in registers
    ]
    generic = {info["generic"]: info["name"] for info in infos if "generic" in info}
    letter = "r" if mode == 64 else "e"
    assert {"pc": f"{letter}ip", "sp": f"{letter}sp", "fp": f"{letter}bp"}.items() <= (
        generic.items()
    )
    assert ("arg1" in generic) == (mode == 64)
    numbers = [info["dwarf"] for info in infos if "dwarf" in info]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize(
    ("mode", "numbers"),
    [
        (64, {"rdx": 1, "rip": 16, "xmm0": 17, "xmm15": 32, "xmm16": 67, "xmm31": 82, "st7": 40,
              "eflags": 49, "gs": 55, "fs_base": 58, "gs_base": 59, "tr": 62, "ldtr": 63,
              "mxcsr": 64, "fctrl": 65, "fstat": 66, "k7": 125}),
        (32, {"ecx": 1, "eip": 8, "eflags": 9, "st0": 11, "xmm7": 28, "fctrl": 37, "fstat": 38,
              "mxcsr": 39, "es": 40, "cs": 41, "ss": 42, "ds": 43, "fs": 44, "gs": 45, "tr": 48,
              "ldtr": 49}),
    ],
)  # fmt: skip
def test_dwarf_numbers_are_those_of_the_abi(target, mode, numbers):
    target.bits = mode
    found = {info["name"]: info.get("dwarf") for info in all_infos(attached(target))}
    assert {name: found[name] for name in numbers} == {n: str(v) for n, v in numbers.items()}


@pytest.mark.parametrize("rest", [b"", b"x", b"-1", b"0;"])
def test_malformed_register_infos(stub, rest):
    assert code_of(stub, "qRegisterInfo", rest) is ErrorCode.MALFORMED


@settings(max_examples=150)
@given(
    st.sampled_from(sorted(PACKETS)), st.binary(max_size=40) | st.from_regex(rb"[\da-f]{1,4}=\w*")
)
def test_no_argument_does_any_harm(name, rest):
    stub = attached(Vcpus())
    try:
        reply = ask(stub, name, rest)
    except (PacketError, TargetError):
        return
    assert isinstance(reply, bytes)


def test_the_whole_x87_stack_is_written_when_its_top_may_move():
    stub = attached(Vcpus())
    registers = stub.target.state[0]
    registers |= {"fstat": 7 << 11, "st0": 0, "st1": 1}
    written = []
    stub.target.write_registers = lambda _vcpu, values: written.append(values)
    wanted = registers | {"fstat": 3 << 11}
    assert ask(stub, "G", WHOLE.pack(wanted)) == b"OK"
    names = {"fstat", *(f"st{n}" for n in range(8))}
    assert written == [{name: wanted[name] for name in names}]
