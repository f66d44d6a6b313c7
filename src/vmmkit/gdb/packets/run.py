# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Packets by which a debugger resumes, stops and leaves (GDB manual, "Packets", "vCont packet")."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from vmmkit.errors import RegisterLayoutError
from vmmkit.gdb.packets.table import Handler, PacketError, Reply, number
from vmmkit.gdb.spec import PROCESS, ErrorCode
from vmmkit.gdb.stop_reply import stop_reply
from vmmkit.gdb.target import Action, ActionKind
from vmmkit.gdb.threads import ALL, ANY

if TYPE_CHECKING:
    from vmmkit.gdb.stub import Stub

__all__ = ["PACKETS", "features"]

WISH: Final = re.compile(
    rb"(?:([cst])|([CS])([0-9a-fA-F]{1,2})|r([0-9a-fA-F]{1,16}),([0-9a-fA-F]{1,16}))(?::(.+))?",
    re.ASCII,
)
STEPS: Final = frozenset(b"sSr")


class Wish(NamedTuple):
    """One action of a vCont packet."""

    letter: bytes
    signal: int
    first: int
    beyond: int
    whom: int

    @property
    def action(self) -> Action:
        """The action for the target."""
        kind = ActionKind.STEP if self.letter in b"sSr" else ActionKind.CONTINUE
        return Action(kind, self.signal)


def features(stub: Stub) -> Iterator[bytes]:
    """Announce how the target can be resumed."""
    yield b"vContSupported+"
    yield b"QThreadEvents+"
    if stub.capabilities.per_vcpu:
        yield b"QNonStop+"
    if stub.may_follow:
        yield b"exec-events+"
    if stub.capabilities.reverser and not stub.options.read_only:
        yield b"ReverseStep+"
        yield b"ReverseContinue+"


def _wish(stub: Stub, text: bytes) -> Wish:
    found = WISH.fullmatch(text)
    if found is None:
        raise PacketError(ErrorCode.MALFORMED, f"{text!r:.40} is no action of vCont")
    plain, signalled, signal, first, beyond, whom = found.groups()
    letter = plain or signalled or b"r"
    if letter in b"sSr" and not stub.capabilities.stepper:
        raise PacketError(ErrorCode.UNSUPPORTED, "the target cannot step")
    return Wish(
        letter,
        int(signal or b"0", 16),
        int(first or b"0", 16),
        int(beyond or b"0", 16),
        ALL if whom is None else stub.threads.parse(whom),
    )


def _by_vcpu(stub: Stub, wishes: Iterable[Wish]) -> dict[int, Wish]:
    """Give each vCPU the first wish that names it; the others keep their state."""
    vcpus, found = stub.vcpus(), dict[int, Wish]()
    for wish in wishes:
        if wish.whom not in {ALL, ANY} and wish.whom not in vcpus:
            raise PacketError(ErrorCode.NO_THREAD, f"there is no vCPU {wish.whom}")
        named = vcpus if wish.whom in {ALL, ANY} else [wish.whom]
        for vcpu in named:
            found.setdefault(vcpu, wish)
    return found


def _vcont(stub: Stub, rest: bytes) -> Reply:
    wishes = _by_vcpu(stub, [_wish(stub, text) for text in rest.split(b";")])
    if stub.run.non_stop:
        return _each(stub, wishes)
    actions = {vcpu: wish.action for vcpu, wish in wishes.items() if wish.letter != b"t"}
    if not actions:
        raise PacketError(ErrorCode.MALFORMED, "vCont resumes nothing")
    ranges = {v: (w.first, w.beyond) for v, w in wishes.items() if w.letter == b"r"}
    stub.run.resume(actions, ranges)
    return None


def _each(stub: Stub, wishes: Mapping[int, Wish]) -> Reply:
    run = stub.run
    run.stop_each(vcpu for vcpu, wish in wishes.items() if wish.letter == b"t")
    for vcpu, wish in wishes.items():
        if wish.letter == b"r":
            run.step_through(vcpu, wish.action, wish.first, wish.beyond)
        elif wish.letter != b"t":
            run.resume_each({vcpu: wish.action})
    return b"OK"


def _vcont_actions(stub: Stub, _rest: bytes) -> Reply:
    actions = [b"vCont", b"c", b"C"]
    if stub.capabilities.stepper:
        actions += [b"s", b"S", b"r"]
    if stub.capabilities.per_vcpu:
        actions.append(b"t")
    return b";".join(actions)


def _set_pc(stub: Stub, vcpu: int, address: bytes) -> None:
    """Set the program counter, in the debugger's view of it."""
    if not address:
        return
    description = stub.description
    register = next(r for r in description.registers if r.source == "rip")
    value = number(address) % (1 << register.bits)
    digits = value.to_bytes(register.size, "little").hex().encode()
    try:
        name, value = description.parse_value(register.number, digits, stub.registers(vcpu))
    except RegisterLayoutError as error:
        raise PacketError(ErrorCode.BAD_VALUE, str(error)) from error
    stub.write_registers(vcpu, {name: value})


def _go(stub: Stub, letter: bytes, signal: int, address: bytes) -> Reply:
    """Answer the packets from before vCont; a step is one vCPU's, the others hold."""
    if letter == b"s" and not stub.capabilities.stepper:
        raise PacketError(ErrorCode.UNSUPPORTED, "the target cannot step")
    if stub.run.any_running:
        raise PacketError(ErrorCode.RUNNING, "the vCPUs run already")
    one = stub.selected if stub.resumed is None else stub.resumed
    vcpus = stub.vcpus()
    if one not in vcpus:
        raise PacketError(ErrorCode.NO_THREAD, f"there is no vCPU {one} any more")
    _set_pc(stub, one, address)
    whom = vcpus if letter == b"c" and stub.resumed is None else [one]
    action = Action(ActionKind.STEP if letter == b"s" else ActionKind.CONTINUE, signal)
    if stub.run.non_stop:
        stub.run.resume_each(dict.fromkeys(whom, action))
        return b"OK"
    stub.run.resume(dict.fromkeys(whom, action))
    return None


def _with_signal(stub: Stub, letter: bytes, rest: bytes) -> Reply:
    signal, _, address = rest.partition(b";")
    return _go(stub, letter, number(signal) & 0xFF, address)


def _why(stub: Stub, _rest: bytes) -> Reply:
    run = stub.run
    if run.non_stop:
        return run.first_stop()
    if run.any_running or run.last is None:
        raise PacketError(ErrorCode.RUNNING, "the vCPUs run")
    return stop_reply(stub, run.last)


def _ctrl_c(stub: Stub, _rest: bytes) -> Reply:
    """Do what Ctrl-C does: other than the stop that vCont;t asks for, this one has a signal."""
    stub.run.interrupt()
    return b"OK"


def _non_stop(stub: Stub, rest: bytes) -> Reply:
    if rest not in {b"0", b"1"}:
        raise PacketError(ErrorCode.MALFORMED, "QNonStop is 0 or 1")
    if rest == b"1" and not stub.capabilities.per_vcpu:
        raise PacketError(ErrorCode.UNSUPPORTED, "the target's vCPUs stop together only")
    if stub.run.any_running:
        raise PacketError(ErrorCode.RUNNING, "the vCPUs run")
    stub.run.choose(non_stop=rest == b"1")
    return b"OK"


def _thread_events(stub: Stub, rest: bytes) -> Reply:
    if rest not in {b"0", b"1"}:
        raise PacketError(ErrorCode.MALFORMED, "QThreadEvents is 0 or 1")
    stub.run.thread_events = rest == b"1"
    return b"OK"


def _stopped(stub: Stub, _rest: bytes) -> Reply:
    return stub.run.next_stop() if stub.run.non_stop else b""


def _back(stub: Stub, *, step: bool) -> Reply:
    if not stub.capabilities.reverser:
        return b""
    stub.require_writable()
    if stub.run.non_stop:
        raise PacketError(ErrorCode.UNSUPPORTED, "execution goes backwards in all-stop mode only")
    one = stub.selected if stub.resumed is None else stub.resumed
    stub.run.go_back(one, step=step)
    return None


def _check_process(text: bytes) -> None:
    if number(text) != PROCESS:
        raise PacketError(ErrorCode.NO_THREAD, f"there is no process {text!r:.20}")


def _detach(stub: Stub, rest: bytes) -> Reply:
    """Leave the machine, which is all there is to leave; `D;pid` names it."""
    separator, process = rest[:1], rest[1:]
    if separator not in {b"", b";"}:
        raise PacketError(ErrorCode.MALFORMED, f"D{rest!r:.40} is no detach")
    if separator:
        _check_process(process)
    stub.detach()
    return b"OK"


def _end(stub: Stub) -> None:
    """End the machine if it can be ended; a debugger's end is never the monitor's."""
    if stub.capabilities.killer:
        stub.target.kill()
        stub.detach(resume=False)
    else:
        stub.detach()


def _kill(stub: Stub, rest: bytes) -> Reply:
    """End the machine, or leave it where it must not be ended; there is no reply either way."""
    if rest:
        return b""
    if stub.options.read_only:
        stub.detach()
    else:
        _end(stub)
    return None


def _vkill(stub: Stub, rest: bytes) -> Reply:
    _check_process(rest)
    if stub.capabilities.killer:
        stub.require_writable()
    _end(stub)
    return b"OK"


def _restart(stub: Stub, _rest: bytes) -> Reply:
    """Reset the machine; the packet has no reply, not an error either (manual, "Packets", `R`)."""
    if stub.capabilities.resetter and not stub.options.read_only and not stub.run.any_running:
        stub.attempt(stub.reset_target, None)
    return None


PACKETS: Final[Mapping[str, Handler]] = {
    "?": _why,
    "c": lambda stub, rest: _go(stub, b"c", 0, rest),
    "C": lambda stub, rest: _with_signal(stub, b"c", rest),
    "s": lambda stub, rest: _go(stub, b"s", 0, rest),
    "S": lambda stub, rest: _with_signal(stub, b"s", rest),
    "bs": lambda stub, _rest: _back(stub, step=True),
    "bc": lambda stub, _rest: _back(stub, step=False),
    "vCont": _vcont,
    "vCont?": _vcont_actions,
    "vCtrlC": _ctrl_c,
    "vStopped": _stopped,
    "QNonStop": _non_stop,
    "QThreadEvents": _thread_events,
    "D": _detach,
    "k": _kill,
    "vKill": _vkill,
    "R": _restart,
    "!": lambda _stub, _rest: b"OK",
}
