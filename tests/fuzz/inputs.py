# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Inputs of the fuzzer in Python: their text form (`input.c` describes it), and running them.

An input is a vCPU record, RAM, and what its owner does: it steps, runs and resumes with given
answers, and between that RAM and the record change under the engine's feet.
"""

from dataclasses import dataclass, field

from vmmkit.errors import StepError
from vmmkit.insn import WORD, Cpu, CpuState, Fault, Unsupported
from vmmkit.insn._record import CPU_FIELDS, EXIT_KINDS

PATCH_BYTES = 64
SWITCHES = "blocks", "deliver", "wide"
COUNTS = dict(CPU_FIELDS)
READS = tuple(map(EXIT_KINDS.index, ("READ", "PORT_IN", "READ_MSR", "READ_PMC", "RANDOM")))
CPUID = EXIT_KINDS.index("CPUID")
FILLED = EXIT_KINDS.index("BLOCK_READ"), EXIT_KINDS.index("PORT_BLOCK_IN")
BLOCKS = (*FILLED, EXIT_KINDS.index("BLOCK_WRITE"), EXIT_KINDS.index("PORT_BLOCK_OUT"))


@dataclass
class Piece:
    """Guest RAM."""

    gpa: int
    pages: int
    writable: int = 1
    skew: int = 0


@dataclass
class Input:
    """Everything an engine sees."""

    words: dict = field(default_factory=dict)
    """Values by field name and index."""
    pieces: list = field(default_factory=list)
    patches: list = field(default_factory=list)
    """(gpa, bytes); the first is the code."""
    blocks: int = 0
    """Whether the owner takes blocks."""
    events: list = field(default_factory=list)
    """Keyword and arguments, as in a line of text."""
    deliver: int = 0
    """Whether events go to the guest."""
    wide: int = 0
    """Whether devices take vectors at once."""


def text_of(made):
    """The lines of an input."""
    lines = [
        f"word {name} {index:x} {value:x}" for (name, index), value in made.words.items() if value
    ]
    lines += [f"piece {p.gpa:x} {p.pages:x} {p.writable:x} {p.skew:x}" for p in made.pieces]
    lines += [f"{name} 1" for name in SWITCHES if getattr(made, name)]
    for gpa, data in made.patches:
        for start in range(0, len(data), PATCH_BYTES):
            lines.append(f"bytes {gpa + start:x} {data[start : start + PATCH_BYTES].hex()}")
    for keyword, *arguments in made.events:
        shown = (each if isinstance(each, str) else f"{each:x}" for each in arguments)
        lines.append(" ".join((keyword, *shown)))
    return "\n".join([*lines, "end", ""])


def _read_line(made, keyword, arguments):
    if keyword == "word":
        name, index, value = arguments[0], *(int(each, 16) for each in arguments[1:])
        if index < COUNTS.get(name, 0):  # else of an older layout
            made.words[name, index] = value
    elif keyword == "piece":
        made.pieces.append(Piece(*(int(each, 16) for each in arguments)))
    elif keyword in SWITCHES:
        setattr(made, keyword, int(bool(int(arguments[0], 16))))
    elif keyword == "bytes":
        made.patches.append((int(arguments[0], 16), bytes.fromhex("".join(arguments[1:]))))
    elif keyword == "set":
        value, name, index = arguments
        if int(index, 16) < COUNTS.get(name, 0):
            made.events.append(("set", int(value, 16), name, int(index, 16)))
    else:
        made.events.append((keyword, *(int(each, 16) for each in arguments)))


def read_inputs(text):
    """Every input in a text, which may hold many."""
    made = Input()
    for line in text.splitlines():
        keyword, *arguments = line.split() or ["#"]
        if keyword == "end":
            yield made
            made = Input()
        elif keyword[0] != "#":
            _read_line(made, keyword, arguments)


def record_of(state):
    """The words of a state that are not 0."""
    words = {}
    for name, count in CPU_FIELDS:
        for index in range(count):
            value = state.words[WORD[name] + index]
            if value:
                words[name, index] = value
    return words


class Bench:
    """An input on one engine."""

    def __init__(self, engine, made):
        self.buffers = [bytearray(piece.skew + 4096 * piece.pages) for piece in made.pieces]
        self.pieces = made.pieces
        for gpa, data in made.patches:
            self.write(gpa, data)
        self.state = CpuState()
        self.state.record[:] = bytes(len(self.state.record))
        for (name, index), value in made.words.items():
            self.state.words[WORD[name] + index] = value
        self.cpu = Cpu(
            self.ram(),
            engine=engine,
            state=self.state,
            **{name: bool(getattr(made, name)) for name in SWITCHES},
        )
        self.begun = False

    def ram(self):
        """The pieces as a `Cpu` takes them."""
        for piece, buffer in zip(self.pieces, self.buffers, strict=True):
            view = memoryview(buffer)[piece.skew :]
            yield piece.gpa, view if piece.writable else view.toreadonly()

    def write(self, gpa, data):
        """Write where there is RAM, ROM included."""
        for piece, buffer in zip(self.pieces, self.buffers, strict=True):
            first = max(gpa, piece.gpa)
            end = min(gpa + len(data), piece.gpa + 4096 * piece.pages)
            if first < end:
                start = piece.skew - piece.gpa
                buffer[start + first : start + end] = data[first - gpa : end - gpa]

    def call(self, keyword, answer, budget):
        """One call of the engine; what the caller did wrong is an outcome, too."""
        try:
            if self.pending() in BLOCKS:
                answer = self.fill_block(answer)
            if keyword == "run":
                kind = self.cpu.enter(budget, answer)
            elif keyword == "resume" and self.begun:
                kind = self.cpu.resume(answer)
            else:
                return self.cpu.step(self.step_answer(answer))
            return self.cpu.outcome(kind)
        except StepError as error:
            return str(error)
        finally:
            self.begun = True

    def pending(self):
        """The kind of the access in flight."""
        return self.state.words[WORD["log_pending"]]

    def step_answer(self, answer):
        """The answer as `step` takes it."""
        if self.pending() in FILLED:
            return bytes(self.cpu.block()[: answer * self.state.words[WORD["exit_size"]]])
        if self.pending() == CPUID:
            return (answer & 0xFFFF_FFFF, answer >> 32) * 2
        return answer if self.pending() in (*READS, *BLOCKS) else None

    def fill_block(self, answer):
        """Do `answer` elements of a block, or all; return how many."""
        data, size = self.cpu.block(), self.state.words[WORD["exit_size"]]
        done = min(answer, len(data) // size)
        if self.pending() in FILLED:
            data[: done * size] = bytes([answer & 0xFF]) * (done * size)
        return done

    def event(self, keyword, value, *rest):
        """Do what the owner does; return the outcome of a call."""
        if keyword == "poke":
            self.write(rest[0], value.to_bytes(8, "little"))
        elif keyword == "set":
            self.state.words[WORD[rest[0]] + rest[1]] = value
        else:
            return self.call(keyword, value, rest[0] if rest else 0)
        return None


def compare(made, engines):
    """Run an input on two engines; return what differs after which event, or `None`."""
    first, second = (Bench(engine, made) for engine in engines)
    for number, made_event in enumerate(made.events):
        outcomes = [bench.event(*made_event) for bench in (first, second)]
        place = f"event {number} {made_event}"
        if outcomes[0] != outcomes[1]:
            return f"{place}: {outcomes[0]} but {outcomes[1]}"
        if first.state.record != second.state.record:
            words = record_of(first.state), record_of(second.state)
            differing = {
                key: tuple(each.get(key, 0) for each in words)
                for key in words[0] | words[1]
                if words[0].get(key) != words[1].get(key)
            }
            return f"{place}: {outcomes[0]}, {differing}"
        if first.buffers != second.buffers:
            return f"{place}: {outcomes[0]}, RAM differs"
        if isinstance(outcomes[0], Fault | Unsupported | str):
            break
    return None
