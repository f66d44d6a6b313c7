# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""What Linux must have made of the tables, whichever machine it ran on.

A test class for each machine derives from `Judgement` and has a fixture `booted`: one guest that
ran to its end. Each method judges one thing, so that the run's table shows what holds for which
guest. Messages are those of Linux 6.1.
"""

from __future__ import annotations

import re

# Messages that mean a table is wrong, whatever their level is.
COMPLAINTS = (
    "Firmware Bug",
    "ACPI (BIOS )?(Error|Warning|Exception)",
    "not reserved in ACPI motherboard resources",
    "size reduced|only partially covers",
    "extended PCI configuration space",
    "no compatible bridge window",
    "derive routing|no GSI",
    "failed consistency check",
    "probably not using|APIC: .*ignored",
)
# What a message of level warning or worse is judged for. Others come and go with the load of the
# host: an emulated clock that was late, a processor that took long.
SUBJECTS = r"(?i)acpi|\baml\b|pci|firmware|bios|mmconfig|io-?apic|\bhpet|e820|\bpnp|numa|srat|spcr"
# How each machine may end, and what the kernel says last.
ENDINGS = {
    "poweroff": ("guest-shutdown", "ACPI: PM: Preparing to enter system sleep state S5"),
    "reboot": ("guest-reset", "ACPI: ACPI MEMORY or I/O RESET_REG."),
}
# By (msi, pic): the chip that the kernel names, and the ISA interrupts that links can have.
CHIPS = {(True, False): ("PCI-MSI",), (False, True): ("XT-PIC",)}
LINKED = (5, 10, 11)
AER = 0x0001  # the extended capability that QEMU's root port has first


class Judgement:
    """The checks that both machines share."""

    def test_processors(self, booted):
        devices = [uid for name, uid in booted.report.uids.items() if "ACPI0007" in name]
        assert booted.report.apic_ids == list(range(booted.boot.cpus))
        assert sorted(map(int, devices)) == list(range(booted.boot.cpus))

    def test_tables(self, booted):
        assert booted.report.tables == booted.handover.expected(booted.report)

    def test_log(self, booted):
        accepted = "|".join(row.pattern for row in booted.board.accepted)
        serious = [
            str(line)
            for line in booted.report.log
            if line.level <= 4 and re.search(SUBJECTS, line.text)
        ]
        unexpected = [line for line in serious if not re.search(accepted, line)]
        unexpected += booted.report.lines("|".join(COMPLAINTS))
        assert "\n".join(unexpected) == ""

    def test_ecam(self, booted):
        base, last = booted.board.ecam, booted.board.ecam + (256 << 20) - 1
        span = rf"\[mem {base:#010x}-{last:#010x}\]"
        # Linux asks its memory map only where it has another way to configuration space as well.
        in_e820 = booted.board.config_ports and not booted.boot.hide_e820
        where = "E820" if in_e820 else "ACPI motherboard resources"
        assert booted.report.lines(rf"MMCONFIG for domain 0000 \[bus 00-ff\] at {span}")
        assert booted.report.lines(rf"MMCONFIG at {span} reserved in {where}")

    def test_extended_config_space(self, booted):
        functions = booted.report.functions
        assert {bdf: functions[bdf].config_size for bdf in booted.board.express} == dict.fromkeys(
            booted.board.express, 4096
        )
        assert functions["0000:00:05.0"].extended & 0xFFFF == AER

    def test_interrupts(self, booted):
        """Each virtio device interrupts: by the GSI that the tables give it, or by message."""
        before, after = (booted.report.interrupts(n) for n in ("interrupts_before", "interrupts"))
        found = {}
        for parent in booted.board.interrupts:
            name = booted.report.virtio[parent]
            pattern = rf"\b{name}\b(?!-config)"
            (irq,) = (one for one in after.values() if re.search(pattern, one.actions))
            assert irq.count > before[irq.irq].count
            found[parent] = (irq.chip, irq.source) if irq.chip == "IO-APIC" else (irq.chip,)
            if booted.boot.pic:
                assert irq.irq in LINKED
        wanted = {
            parent: CHIPS.get((booted.boot.msi, booted.boot.pic), ("IO-APIC", f"{gsi}-fasteoi"))
            for parent, gsi in booted.board.interrupts.items()
        }
        assert found == wanted

    def test_osc(self, booted):
        """Linux asks for the control of PCI Express only where it may use messages."""
        granted = booted.report.lines("_OSC: OS now controls")
        assert bool(granted) == booted.boot.msi

    def test_windows(self, booted):
        """The root bus has the windows given, and each BAR lies in one."""
        pattern = r"root bus resource \[(io|mem) +0x(\w+)-0x(\w+) window\]"
        found = [re.search(pattern, line) for line in booted.report.lines("root bus resource")]
        windows = {(one[1], int(one[2], 16), int(one[3], 16)) for one in found if one}
        board = booted.board
        assert windows == {
            *(("io", base, base + size - 1) for base, size in board.io_windows),
            *(("mem", base, base + size - 1) for base, size in board.windows),
        }
        for function in booted.report.functions.values():
            for one in function.resources:
                kind = "mem" if one.is_memory else "io"
                assert any(
                    kind == k and first <= one.first <= one.last <= last
                    for k, first, last in windows
                ), (function.bdf, one)

    def test_clock_sources(self, booted):
        assert booted.board.clocks <= set(booted.report["clocks"].split())

    def test_power_button(self, booted):
        assert booted.report.lines(r"ACPI: button: Power Button \[")
        if booted.boot.button:
            count = re.search(r"^(?: *\d+:)? +(\d+) ", booted.report["power_button"], re.MULTILINE)
            assert int(count[1]) == 1

    def test_sleep_states(self, booted):
        assert booted.report.lines(r"ACPI: PM: \(supports S0 S5\)")

    def test_ending(self, booted):
        """The guest ended as it wanted, at the first attempt: the kernel tries ACPI twice."""
        reason, last = ENDINGS[booted.boot.ending]
        assert booted.outcome.reason == reason
        assert booted.outcome.console.partition("@report complete")[2].count(last) == 1
