# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Commands that the debugger's user gives the stub."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdb.small_target import BASE, SmallTarget
from gdb.wire import Wire
from vmmkit.errors import StubConfigError, TargetError
from vmmkit.gdb.options import StubOptions
from vmmkit.gdb.register_table import table_of


def monitor(wire, line):
    """Give a command; return its text."""
    *texts, last = wire.send(b"qRcmd," + line.encode("utf-8", "surrogateescape").hex().encode())
    assert last == b"OK"
    assert all(len(text) <= wire.stub.options.packet_size for text in texts)
    return b"".join(bytes.fromhex(text[1:].decode()) for text in texts).decode()


@pytest.fixture
def wire():
    return Wire(SmallTarget(2), announced=[b"exec-events"])


def test_help_lists_all_commands(wire):
    listed = monitor(wire, "help")
    assert [line.split()[0] for line in listed.splitlines()] == [
        *("add", "help", "mode", "regs", "reset", "threads")
    ]
    assert "Add numbers to the vCPU's." in listed
    assert monitor(wire, "") == listed


def test_help_of_a_command(wire):
    assert monitor(wire, "help add") == "Add numbers to the vCPU's.\n"
    assert "[16|32|64|auto]" in monitor(wire, "help mode")
    assert monitor(wire, "help nothing") == 'There is no command "nothing".\n'


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nonsense 1 2", 'no command "nonsense". "monitor help"'),
        ("'", "No closing quotation"),
        ("regs 1", "regs: too many positional arguments"),
        ("add x", "add: ValueError"),
        ("mode 17", "16, 32, 64, auto"),
    ],
)
def test_what_is_wrong_with_a_command_is_said(wire, line, said):
    assert said in monitor(wire, line)
    assert wire.ask(b"qC") == b"QC1"


def test_commands_get_the_selected_vcpu_and_words():
    heard = []
    wire = Wire(SmallTarget(2), commands={"note": lambda vcpu, *words: heard.append((vcpu, words))})
    wire.ask(b"Hg2")
    assert monitor(wire, 'note a "b c" \u00e4') == ""
    assert heard == [(1, ("a", "b c", "\u00e4"))]
    assert monitor(wire, "add 1 2") == "4\n"


@pytest.mark.parametrize("name", ["add", "regs", "help"])
def test_the_owners_commands_win(name):
    wire = Wire(SmallTarget(), commands={name: lambda vcpu: "mine"})
    assert monitor(wire, name) == "mine\n"


def test_the_targets_commands_win_over_the_stubs():
    wire = Wire(SmallTarget())
    wire.target.monitor_commands = lambda: {"regs": lambda vcpu: "its own"}
    assert monitor(wire, "regs") == "its own\n"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TargetError("not now"), "fails: not now\n"),
        (ZeroDivisionError("zero"), "fails: ZeroDivisionError: zero\n"),
        (StopIteration(), "fails: StopIteration: \n"),
    ],
)
def test_a_command_that_fails_says_so(error, said):
    def fails(_vcpu):
        raise error

    wire = Wire(SmallTarget(), commands={"fails": fails})
    assert monitor(wire, "fails") == said
    assert wire.ask(b"qC") == b"QC1"


def test_a_command_without_signature_is_called():
    wire = Wire(SmallTarget(), commands={"largest": max})
    assert monitor(wire, "largest").startswith("largest: TypeError")


@pytest.mark.parametrize("commands", [{"two words": print}, {"": print}, {"x": 3}, {4: print}])
def test_commands_that_are_none_are_refused(commands):
    with pytest.raises(StubConfigError):
        StubOptions(commands=commands)


def test_long_text_comes_in_several_packets():
    text = "0123456789\u20ac" * 5000
    wire = Wire(SmallTarget(), packet_size=0x400, commands={"long": lambda _vcpu: text})
    assert monitor(wire, "long") == text + "\n"


@pytest.mark.parametrize(
    ("packet", "reply"),
    [(b"qRcmd,6", b"E01"), (b"qRcmd,zz", b"E01"), (b"qRcmd," + b"41" * 5000, b"E0c")],
)
def test_what_is_no_command_is_an_error(wire, packet, reply):
    assert wire.ask(packet) == reply


def test_no_commands_while_vcpus_run(wire):
    wire.send(b"vCont;c")
    assert wire.ask(b"qRcmd,68656c70") == b"E08"


def test_in_non_stop_mode_commands_are_about_vcpus_that_stand(wire):
    wire.ask(b"QNonStop:1")
    wire.ask(b"vCont;c:2")
    assert "rip  0000000000001000" in monitor(wire, "regs")
    assert "reset: vCPU 1 runs" in monitor(wire, "reset")
    wire.ask(b"Hg2")
    assert monitor(wire, "regs") == "regs: vCPU 1 runs\n"
    assert "add: vCPU 1 runs" in monitor(wire, "add 1")
    assert "[running]" in monitor(wire, "threads")
    assert "add" in monitor(wire, "help")


def test_threads_marks_the_selected_one(wire):
    wire.ask(b"Hg2")
    assert monitor(wire, "threads") == "  0: vCPU 0 [64-bit]\n* 1: vCPU 1 [64-bit]\n"


def test_reset(wire):
    wire.target.registers[0]["rip"] = 0x1234
    assert wire.ask(b"g")
    assert "is reset" in monitor(wire, "reset")
    assert wire.target.heard == ["attached", "reset"]
    assert wire.ask(b"p10") == BASE.to_bytes(8, "little").hex().encode()


def test_reset_is_refused_in_read_only_mode():
    wire = Wire(SmallTarget(), read_only=True)
    assert monitor(wire, "reset") == "reset: the server is read-only\n"
    assert wire.target.heard == ["attached"]


def test_a_target_that_cannot_be_reset_has_no_such_command():
    wire = Wire(SmallTarget(lacks=["reset", "monitor_commands"]))
    assert 'no command "reset"' in monitor(wire, "reset")


def test_a_mode_is_set_from_the_next_stop_on(wire):
    wire.ask(b"g")
    assert monitor(wire, "mode") == "64-bit\n"
    assert monitor(wire, "mode 32") == "64-bit; 32-bit from the next stop on\n"
    wire.send(b"vCont;s:1")
    assert b"exec:" in wire.run()[0]
    assert b"<architecture>i386<" in wire.ask(b"qXfer:features:read:target.xml:0,ffff")
    assert monitor(wire, "mode") == "32-bit\n"
    assert monitor(wire, "mode auto") == "32-bit; 64-bit from the next stop on\n"


def test_a_debugger_that_cannot_change_its_mind_is_told():
    wire = Wire(SmallTarget())
    wire.ask(b"g")
    assert "reads the target description again" in monitor(wire, "mode 16")


def test_the_table_has_what_the_target_has():
    values = {"rax": 0xABC, "rip": 0xFFF0, "cs_base": 0xFFFF0000, "cs": 0xF000, "cs_limit": 0xFFFF}
    values |= {"eflags": 0x3202, "gdtr_base": 0x10, "gdtr_limit": 0x27, "cr0": 1}
    assert table_of(values).splitlines() == [
        "rax  0000000000000abc",
        "rip  000000000000fff0  linear fffffff0",
        "eflags 00003202 [IF IOPL=3]",
        "cs   f000  base 00000000ffff0000  limit 0000ffff",
        "gdtr base 0000000000000010  limit 0027",
        "cr0  0000000000000001",
    ]


@given(line=st.binary(max_size=40))
@settings(max_examples=100, deadline=None)
def test_any_command_has_an_answer(line):
    wire = Wire(SmallTarget())
    assert wire.send(b"qRcmd," + line.hex().encode())[-1] == b"OK"


def test_what_a_command_has_said_comes_before_its_text():
    wire = Wire(SmallTarget(), commands={"talk": lambda _vcpu: wire.stub.say("first\n") or "then"})
    *texts, last = wire.send(b"qRcmd," + b"talk".hex().encode())
    assert [bytes.fromhex(text[1:].decode()) for text in texts] == [b"first\n", b"then\n"]
    assert last == b"OK"
