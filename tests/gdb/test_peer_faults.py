# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What users of other stubs have suffered from, each once, against this one.

GX1 to GX10 are of bhyve's stub; the others are named by the stub or the debugger that had them.
"""

import errno
import re
import socket
import struct
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import vmmkit.gdb
from backends.debugging import ROOT, Guest, until
from gdb.raw_client import RawClient, frame
from gdb.small_target import BASE, NOP, SPIN, STORE, SmallTarget
from gdb.wire import Wire
from vmmkit.errors import GdbError
from vmmkit.gdb.listener import configure_client
from vmmkit.gdb.serve import serve
from vmmkit.gdb.session import Session
from vmmkit.gdb.target import ActionKind

TCP = "tcp:127.0.0.1:0"
RAX, RSP, RIP, EFLAGS, ST0 = 0, 7, 0x10, 0x11, 0x18
INT3 = 0xCC
START = 0x1000
# 1000: inc rax; 1003: inc rbx; 1006: jmp 1000
COUNTER = bytes.fromhex("48ffc0 48ffc3 ebf8")
# 1000: mov [0x6000], eax; inc eax; jmp 1000
STORES = bytes.fromhex("8904250060 0000 ffc0 ebf5")
FEATURES = b"qSupported:swbreak+;hwbreak+;multiprocess-"


def word(value):
    return value.to_bytes(8, "little").hex().encode()


def reason(reply):
    return reply.partition(b"thread:")[0]


@contextmanager
def attached(guest):
    """A server of a guest that runs, and a debugger that has stopped it at its start."""
    with guest.owned(), serve(guest.target, TCP) as server, RawClient(server.address) as client:
        client.no_ack()
        assert b"swbreak+" in client.packet(FEATURES)
        assert client.packet(b"P%x=%s" % (RIP, word(START))) == b"OK"
        yield client, server


def resumed(client, packet=b"vCont;c"):
    client.send(packet)
    return client.wait_stop()


def register(client, number):
    return int.from_bytes(bytes.fromhex(client.packet(b"p%x" % number).decode()), "little")


@pytest.fixture
def guest():
    return Guest("soft", None, {START: COUNTER})


@pytest.fixture
def wire():
    return Wire(SmallTarget(2, code=NOP * 8 + SPIN), announced=[b"swbreak", b"hwbreak"])


# -- bhyve


def test_gx1_a_second_debugger_leaves_the_first_alone(guest):
    with attached(guest) as (client, server):
        with RawClient(server.address) as second:
            second.send(b"?")
            assert b"another debugger is connected" in second.wait_closed()
        assert client.packet(b"qC") == b"QC1"
        client.send(b"vCont;c")
        client.interrupt()
        assert reason(client.wait_stop()) == b"T02"


def test_gx2_detach_resumes_before_the_connection_ends(guest):
    with attached(guest) as (client, _server):
        before = guest.vcpus[0].state.rax
        assert client.packet(b"D") == b"OK"
        until(lambda: guest.vcpus[0].state.rax > before + 100)


def test_gx3_breakpoints_are_hidden_and_writes_go_beneath_them(guest):
    with attached(guest) as (client, _server):
        assert client.packet(b"Z0,1003,1") == b"OK"
        assert guest.ram[0x1003] == INT3
        assert client.packet(b"m1000,8") == COUNTER.hex().encode()
        assert client.packet(b"M1003,1:90") == b"OK"
        assert client.packet(b"m1003,1") == b"90"
        assert client.packet(b"z0,1003,1") == b"OK"
        assert guest.ram[0x1003] == 0x90


def test_gx4_every_register_described_is_there(guest):
    with attached(guest) as (client, _server):
        xml = client.packet(b"qXfer:features:read:target.xml:0,1ffff")
        sizes = [int(one.get("bitsize")) // 8 for one in ET.fromstring(xml[1:]).iter("reg")]
        values = [client.packet(b"p%x" % number) for number in range(len(sizes))]
        assert [len(value) for value in values] == [2 * size for size in sizes]
        assert client.packet(b"g") == b"".join(values)
        assert client.packet(b"p%x" % len(sizes)) == b"E03"


@pytest.mark.parametrize(
    "packet", [b"mzz,4", b"m1000,g", b"M1000,1:0g", b"P0=zz", b"Z0,xyz,1", b"m1000", b"m0x1000,4"]
)
def test_gx5_what_is_no_digit_is_an_error(wire, packet):
    assert re.fullmatch(rb"E0[15]", wire.ask(packet))


def test_gx5_packets_are_bounded_in_both_directions(wire):
    limit = 0x20000
    assert b"PacketSize=%x;" % limit in wire.ask(b"qSupported") + b";"
    wire.target.ram = bytearray(4 * limit)
    assert len(wire.ask(b"m1000,ffffffff")) == limit
    assert wire.ask(b"M1000,20000:" + b"0" * 2 * limit) == b"E0c"
    session = Session(limit)
    for _ in range(64):
        assert session.receive(b"$" * (_ == 0) + b"m" * limit) == []
    assert len(session._body) <= limit


def test_gx6_code_whose_page_has_gone_ends_nothing(guest):
    with attached(guest) as (client, _server):
        assert client.packet(b"Z0,1003,1") == b"OK"
        assert reason(resumed(client)) == b"T05swbreak:;"
        struct.pack_into("<Q", guest.ram, ROOT, 0)
        assert client.packet(b"m1003,1") == b"E04"
        assert resumed(client, b"vCont;s:1")[:1] == b"T"
        assert client.packet(b"z0,1003,1") == b"OK"
        assert guest.ram[0x1003] == COUNTER[3]


def test_gx7_a_debugger_comes_before_there_is_a_vcpu():
    wire = Wire(SmallTarget(0))
    packets = b"? g p0 P0=00 Hg0 Hg1 Hc-1 qC T1 qfThreadInfo vCont;c c s Z0,1000,1 z0,1000,1 D"
    replies = [wire.ask(packet) for packet in packets.split()]
    assert replies[-1] == b"OK"
    assert replies[0] == b"E08"


def test_gx8_what_was_missing_is_there(wire):
    for packet in (
        b"P0=" + word(5),
        b"M1000,1:90",
        b"X1000,0:",
        b"Z0,1001,1",
        b"Z1,1001,1",
        b"Z2,1001,1",
        b"Z3,1001,1",
        b"Z4,1001,1",
        b"Qqemu.PhyMemMode:1",
    ):
        assert wire.ask(packet) == b"OK", packet
    assert wire.send(b"qRcmd," + b"help".hex().encode())[-1] == b"OK"
    assert wire.ask(b"vCont?") == b"vCont;c;C;s;S;r;t"
    assert wire.ask(b"qXfer:memory-map:read::0,1000")[:1] == b"l"
    assert b"xmm0" in wire.ask(b"qXfer:features:read:target.xml:0,1ffff")


@pytest.mark.parametrize("number", [errno.EFAULT, errno.EINVAL, errno.EOPNOTSUPP])
def test_gx9_errors_are_not_the_hosts(wire, number):
    wire.target.failures["read_memory"] = OSError(number, "no")
    assert wire.ask(b"m1000,4") == b"E09"
    assert wire.ask(b"T99") == b"E02"


@pytest.mark.parametrize("packet", [b"Z0,2003,1", b"Z1,2003,1"])
def test_gx10_breakpoints_set_before_the_program_is_loaded(guest, packet):
    # 1000: mov [0x2003], cl; jmp 2000: a loader overwrites the place, and goes there
    guest.ram[START : START + 12] = bytes.fromhex("880c2503200000 e9f40f0000")
    guest.ram[0x2000:0x2008] = COUNTER
    guest.vcpus[0].state.rcx = COUNTER[3]
    with attached(guest) as (client, _server):
        assert client.packet(packet) == b"OK"
        assert reason(resumed(client, b"vCont;s:1")) == b"T05"
        assert client.packet(b"m2000,8") == COUNTER.hex().encode()
        assert reason(resumed(client)) in {b"T05swbreak:;", b"T05hwbreak:;"}
        assert register(client, RIP) == 0x2003


# -- registers and modes


@pytest.mark.parametrize("announced", [[], [b"exec-events"]])
def test_gdb_pr1_registers_have_the_length_that_was_described(announced):
    wire = Wire(SmallTarget(1), announced=announced)
    described = wire.ask(b"qXfer:features:read:target.xml:0,1ffff")
    before = len(wire.ask(b"g"))
    wire.target.modes[0] = 32
    assert wire.send(b"vCont;s") == []
    (stop,) = wire.run()
    assert len(wire.ask(b"g")) == before
    assert stop.startswith(b"T05exec:;") == bool(announced)
    again = wire.ask(b"qXfer:features:read:target.xml:0,1ffff")
    assert (again == described) == (not announced)
    sizes = [int(one.get("bitsize")) // 4 for one in ET.fromstring(again[1:]).iter("reg")]
    assert len(wire.ask(b"g")) <= sum(sizes)
    pc = RIP if not announced else 8
    for number in (pc, *range(len(sizes))):
        assert len(wire.ask(b"p%x" % number)) == sizes[number]


def test_pyocd_1000_registers_told_in_advance_are_never_unavailable(wire):
    for values in wire.target.registers.values():
        del values["rbp"], values["rsp"]
    assert wire.ask(b"?").endswith(b"core:0;10:0010000000000000;")
    assert wire.ask(b"p6") == b"xx" * 8


def test_llvm_88744_the_description_has_types_and_groups_and_the_pid_is_1(wire):
    xml = wire.ask(b"qXfer:features:read:target.xml:0,1ffff")
    registers = list(ET.fromstring(xml[1:]).iter("reg"))
    assert all(one.get("type") and one.get("group") for one in registers)
    assert wire.ask(b"qProcessInfo").startswith(b"pid:1;")


def test_qemu_registers_are_known_before_the_description_is_read(wire):
    assert wire.ask(b"p%x" % RIP) == word(BASE)


def test_qemu_x87_registers_are_read_as_they_are_written(guest):
    value = b"0011223344556677ff3f"
    with attached(guest) as (client, _server):
        for number in (ST0, ST0 + 7):
            assert client.packet(b"P%x=%s" % (number, value)) == b"OK"
            assert client.packet(b"p%x" % number) == value


def test_yuzu_8503_the_program_counter_is_at_the_breakpoint(guest):
    with attached(guest) as (client, _server):
        assert client.packet(b"Z0,1003,1") == b"OK"
        assert b";%x:%s;" % (RIP, word(0x1003)) in resumed(client)
        assert register(client, RIP) == 0x1003


# -- who runs


def test_gdbstub_pr179_threads_that_vcont_does_not_name_keep_their_state(wire):
    assert wire.send(b"vCont;c:1") == []
    wire.run(3)
    assert [wire.target.registers[vcpu]["rip"] - BASE for vcpu in (0, 1)] == [3, 0]
    assert reason(*wire.interrupt()) == b"T02"


def test_km_300_all_are_resumed_at_once(wire):
    seen = []
    wire.target.resume = lambda actions, _report: seen.append(dict(actions))
    assert wire.send(b"vCont;s:2;c") == []
    ((one),) = seen
    assert {vcpu: action.kind for vcpu, action in one.items()} == {
        0: ActionKind.CONTINUE,
        1: ActionKind.STEP,
    }


def test_riscv_openocd_1178_of_two_at_once_both_are_told(wire):
    assert wire.ask(b"Z0,1002,1") == b"OK"
    assert wire.send(b"vCont;c") == []
    first, second = wire.run(3)[0], wire.send(b"vCont;c")[0]
    assert b"thread:1;" in first
    assert b"thread:2;" in second
    assert reason(first) == reason(second) == b"T05swbreak:;"


def test_cloud_hypervisor_4354_a_target_that_fails_is_an_error_and_no_end(wire):
    wire.target.failures["resume"] = RuntimeError("broken")
    assert wire.ask(b"vCont;c") == b"E09"
    del wire.target.failures["resume"]
    assert wire.send(b"vCont;c") == []
    assert reason(*wire.interrupt()) == b"T02"


def test_qiling_1377_a_step_is_a_trap_and_signals_are_accepted(wire):
    assert wire.send(b"vCont;S0f:1;c") == []
    assert reason(*wire.run()) == b"T05"
    assert wire.send(b"C0f") == []
    assert reason(*wire.interrupt()) == b"T02"


def test_blackmagic_2124_all_of_vcont_is_told(wire):
    assert {b"c", b"C", b"s", b"S"} <= set(wire.ask(b"vCont?").split(b";"))


def test_gdbserver_an_early_ctrl_c_does_not_stop_the_next_run(wire):
    assert wire.interrupt() == []
    assert wire.send(b"vCont;c") == []
    assert wire.run(10) == []


def test_qemu_resume_and_ctrl_c_in_one_segment(guest):
    with attached(guest) as (client, _server):
        client.send_raw(frame(b"vCont;c") + b"\x03")
        assert reason(client.wait_stop()) == b"T02"
        assert client.is_silent()


def test_qemu_nothing_is_sent_to_a_debugger_that_has_said_nothing(guest):
    with guest.owned(), serve(guest.target, TCP) as server, RawClient(server.address) as client:
        assert client.is_silent()
        assert reason(client.packet(b"?")) == b"T05"


def test_qemu_stop_replies_name_their_thread(wire):
    assert b"thread:1;" in wire.ask(b"?")


def test_qemu_a_connection_that_is_dropped_leaves_nothing_behind(guest):
    with attached(guest) as (client, server):
        assert client.packet(b"Z0,1003,1") == b"OK"
        before = guest.vcpus[0].state.rax
        client.close()
        until(lambda: guest.ram[0x1003] == COUNTER[3])
        until(lambda: guest.vcpus[0].state.rax > before + 100)
        assert not server.connected


@pytest.mark.parametrize("running", [True, False])
def test_cortex_debug_894_detach_in_every_state(guest, running):
    with attached(guest) as (client, _server):
        if running:
            client.send(b"vCont;c")
        assert client.packet(b"D") == b"OK"
        before = guest.vcpus[0].state.rax
        until(lambda: guest.vcpus[0].state.rax > before + 100)


def test_virtualbox_kill_leaves_a_monitor_that_cannot_be_killed(guest):
    with attached(guest) as (client, _server):
        before = guest.vcpus[0].state.rax
        client.send(b"k")
        assert client.wait_closed() == b""
        until(lambda: guest.vcpus[0].state.rax > before + 100)


@pytest.mark.parametrize("packet", [b"H", b"Hg", b"Hgx", b"Hx1", b"Hgp1.2.3", b"Hg-2", b"T", b"q"])
def test_udbserver_malformed_packets_do_not_end_the_session(wire, packet):
    assert wire.ask(packet)[:1] in {b"E", b""}
    assert wire.ask(b"qC") == b"QC1"


# -- breakpoints and steps


def test_oak_3033_software_breakpoints_are_never_unknown():
    wire = Wire(SmallTarget(1, lacks=["breakpoint_kinds"]))
    assert wire.ask(b"Z0,1000,1") == b"E0a"


def test_firecracker_a_breakpoint_waits_for_its_page(guest):
    page = ROOT + 0x2008
    (entry,) = struct.unpack_from("<Q", guest.ram, page)
    struct.pack_into("<Q", guest.ram, page, 0)
    with attached(guest) as (client, _server):
        assert client.packet(b"Z0,200003,1") == b"OK"
        struct.pack_into("<Q", guest.ram, page, entry)
        guest.ram[0x20_0000:0x20_0008] = COUNTER
        assert reason(resumed(client, b"vCont;s:1")) == b"T05"
        assert client.packet(b"P%x=%s" % (RIP, word(0x20_0000))) == b"OK"
        assert reason(resumed(client)) == b"T05swbreak:;"
        assert register(client, RIP) == 0x20_0003


@pytest.mark.parametrize("byte", [COUNTER[3], 0x77])
def test_qemu_removal_needs_no_page_tables_and_keeps_what_the_guest_wrote(guest, byte):
    with attached(guest) as (client, _server):
        assert client.packet(b"Z0,1003,1") == b"OK"
        guest.ram[0x1003] = INT3 if byte == COUNTER[3] else byte
        struct.pack_into("<Q", guest.ram, ROOT, 0)
        assert client.packet(b"z0,1003,1") == b"OK"
        assert guest.ram[0x1003] == byte


def test_wtf_223_steps_do_not_use_the_guests_trap_flag(guest):
    guest.ram[START : START + 4] = bytes.fromhex("9c 58 ebfc")  # pushfq; pop rax; jmp 1000
    with attached(guest) as (client, _server):
        assert reason(resumed(client, b"vCont;s:1")) == b"T05"
        stack = register(client, RSP)
        (pushed,) = struct.unpack_from("<Q", guest.ram, stack)
        assert not (pushed | register(client, EFLAGS)) & 0x100


def test_citra_4708_watchpoints_have_an_address_and_are_not_hit_again(guest):
    guest.ram[START : START + len(STORES)] = STORES
    guest.vcpus[0].state.rax = 0
    with attached(guest) as (client, _server):
        assert client.packet(b"P%x=%s" % (RAX, word(0))) == b"OK"
        assert client.packet(b"Z2,6000,4") == b"OK"
        for count in range(3):
            assert reason(resumed(client)) == b"T05watch:6000;"
            assert register(client, RAX) == count


def test_linux_kernel_module_cheat_37_the_guests_own_int3_is_the_guests(guest):
    # 1000: int3; inc rbx; jmp 1000, and its handler at 3000: inc rcx; iretq
    guest.ram[START : START + 6] = bytes.fromhex("cc 48ffc3 ebfa")
    guest.ram[0x3000:0x3005] = bytes.fromhex("48ffc1 48cf")
    struct.pack_into("<Q", guest.ram, 0x5000 + 16 * 3, 0x3000 | 8 << 16 | 0x8E00 << 32)
    struct.pack_into("<3Q", guest.ram, 0x5800, 0, 0x00AF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF)
    state = guest.vcpus[0].state
    state.idtr_base, state.idtr_limit, state.gdtr_base, state.gdtr_limit = 0x5000, 0x7FF, 0x5800, 23
    with attached(guest) as (client, _server):
        assert client.packet(b"Z0,1001,1") == b"OK"
        before = state.rcx
        assert reason(resumed(client)) == b"T05swbreak:;"
        assert state.rcx == before + 1
        assert client.packet(b"m1000,1") == b"cc"


def test_qemu_conditions_are_not_ignored(wire):
    # const8 0; end: never holds
    assert wire.ask(b"Z0,1002,1;X3,220027") == b"OK"
    assert wire.send(b"vCont;c") == []
    assert wire.run(6) == []
    assert wire.target.registers[0]["rip"] == BASE + 6


# -- memory


def test_radare2_8572_reads_end_where_memory_does(wire):
    last = BASE + len(wire.target.ram) - 4
    assert wire.ask(b"m%x,100" % last) == wire.target.ram[-4:].hex().encode()
    assert wire.ask(b"m%x,4" % (last + 4)) == b"E04"


def test_pwndbg_1950_physical_memory_and_its_map(guest):
    struct.pack_into("<Q", guest.ram, ROOT + 0x2008, 0x83)  # 200000h leads to 0 too
    with attached(guest) as (client, _server):
        assert client.packet(b"m201000,8") == COUNTER.hex().encode()
        assert client.packet(b"Qqemu.PhyMemMode:1") == b"OK"
        assert client.packet(b"qqemu.PhyMemMode") == b"1"
        assert client.packet(b"m201000,8") == bytes(8).hex().encode()
        client.send(b"qRcmd," + b"help".hex().encode())
        text = bytes.fromhex(client.reply()[1:].decode())
        assert client.reply() == b"OK"
        assert {b"translate", b"map", b"physical"} <= set(text.split())


def test_llvm_124733_binary_reads_are_announced_and_have_their_mark(wire):
    assert b"binary-upload+" in wire.ask(b"qSupported")
    assert wire.ask(b"x1000,2") == b"b\x90\x90"
    assert wire.ask(b"x0,0") == b"b"


def test_qiling_writes_with_m_work(wire):
    assert wire.ask(b"M1000,2:" + STORE.hex().encode() * 2) == b"OK"
    assert wire.ask(b"m1000,2") == STORE.hex().encode() * 2


# -- the connection


def test_pyocd_92_nobody_sleeps():
    sources = Path(vmmkit.gdb.__file__).parent.rglob("*.py")
    assert [
        path.name for path in sources if re.search(r"\btime\b.*\bsleep\b", path.read_text())
    ] == []


def test_dosbox_x_15_answers_are_sent_at_once_and_in_one_piece():
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as sock,
    ):
        configure_client(sock)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    wire = Wire(SmallTarget(1), attach=False)
    wire.stub.attach()
    assert wire.stub.receive(frame(b"qC")).startswith(b"+$QC1#")


@pytest.mark.parametrize("address", ["tcp:0.0.0.0:0", "tcp:[::]:0"])
def test_mgba_3113_nobody_else_can_connect(wire, address):
    with pytest.raises(GdbError):
        serve(wire.target, address)


def test_clearcore_219_ctrl_c_is_no_packet_and_checksums_are_verified():
    wire = Wire(SmallTarget(1), attach=False)
    wire.stub.attach()
    assert wire.stub.receive(b"\x03") == b""
    assert wire.stub.receive(b"$qC#00") == b"-"
    assert wire.stub.receive(frame(b"qC"))[:1] == b"+"
