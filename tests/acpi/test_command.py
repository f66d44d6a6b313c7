# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""The command `python -m vmmkit.acpi`."""

import io
import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acpi.acpica import templates
from acpi.table_sets import minimal
from vmmkit.acpi.__main__ import main
from vmmkit.acpi._command_build import file_names
from vmmkit.acpi.acpidump import write
from vmmkit.acpi.layout import TableSet
from vmmkit.acpi.linker import LOADER_FILE, Zone, apply
from vmmkit.acpi.tables.facs import Facs
from vmmkit.acpi.tables.madt import LocalApic, Madt
from vmmkit.acpi.tables.reading import from_bytes
from vmmkit.acpi.tables.table import Raw

MADT = Madt([LocalApic(1, 2)]).to_bytes()
PLACEMENT = minimal().place(0x7FF0_0000)


@pytest.fixture
def dump(tmp_path, capsys, monkeypatch):
    """Return what dumps a file of these bytes: its status and text, without the folder's name."""
    monkeypatch.chdir(tmp_path)

    def dumped(data, name="t.dat"):
        Path(name).write_bytes(data)
        status = main(["dump", name])
        return status, capsys.readouterr().out

    return dumped


# --- dump -----------------------------------------------------------------------------------


def test_every_field_has_its_name_offset_size_and_value(dump):
    status, text = dump(MADT)
    assert status == 0
    assert text == (
        "t.dat: APIC: 52 bytes, revision 6, checksum 0x91, OEM 'VMMKIT' 'VMMKIT' 0x1, creator "
        "'VMMK' 0x1\n"
        "    [0024    4] local_apic_address             0xfee00000\n"
        "    [0028    4] flags                          0x1 PCAT_COMPAT\n"
        "    [002C    8] LocalApic\n"
        "        [002E    1] acpi_processor_uid             0x1\n"
        "        [002F    1] apic_id                        0x2\n"
        "        [0030    4] flags                          0x1 ENABLED\n"
        "\n"
    )


def test_sub_structures_that_are_the_same_have_places_of_their_own(dump):
    _status, text = dump(Madt([LocalApic(1, 2)] * 3).to_bytes())
    assert re.findall(r"\[(....)    8\] LocalApic", text) == ["002C", "0034", "003C"]


def test_several_tables_in_a_file_are_numbered(dump):
    _base, image = PLACEMENT.image()
    status, text = dump(image)
    assert status == 0
    assert re.findall(r"^t.dat, table (\d): (\w+):", text, re.MULTILINE) == [
        (str(number), name)
        for number, name in enumerate(
            ["RSDP", "XSDT", "RSDT", "FACP", "DSDT", "APIC", "SSDT", "SSDT", "FACS"], 1
        )
    ]


def test_a_text_of_acpidump_is_dumped_with_addresses(dump):
    status, text = dump(write(PLACEMENT.pieces).encode())
    assert status == 0
    assert "t.dat at 0x7ff00000: RSDP: 36 bytes\n" in text


def test_aml_is_dumped_as_asl(dump):
    status, text = dump(Raw("DSDT", b"\x08ABCD\x01").to_bytes())
    assert status == 0
    assert '    DefinitionBlock ("", "DSDT", 0x01, "VMMKIT", "VMMKIT  ", 0x00000001)\n' in text
    assert "        Name (ABCD, One)\n" in text


def test_an_unknown_table_is_dumped_as_bytes(dump):
    status, text = dump(Raw("OEMX", b"0123456789abcdefg").to_bytes())
    assert status == 0
    assert "    body: 17 bytes\n        0024: 30 31 32 33" in text
    assert dump(Raw("OEMX").to_bytes())[0] == 0


def test_unknown_parts_of_a_table_are_dumped_as_bytes(dump):
    data = from_bytes(MADT).to_bytes() + b"\xee\x04\x01\x02" + b"\x7f"
    status, text = dump(Raw("APIC", data[36:], revision=6).to_bytes())
    assert status == 0
    assert "    [0034    4] of unknown type 0xee\n" in text
    assert "        0034: EE 04 01 02 " in text
    assert text.rstrip().endswith("trailing                       7f")


CORRUPT = {
    "checksum": (MADT[:-1] + b"\x07", "error: APIC has checksum 0x91, not 0x8a", "LocalApic"),
    "truncated": (MADT[:-1], "error: 'APIC' at offset 0 of the file has length 52", "0000: 41 50"),
    "second": (
        MADT + Facs().to_bytes()[:-1],
        "t.dat, the rest: FACS: 63 bytes\n    error: 'FACS' at offset 52 of the file",
        "t.dat, table 1: APIC",
    ),
    "short sub-structure": (
        Raw("APIC", bytes(8) + b"\0\1").to_bytes(),
        "sub-structure of type 0 at offset 44 has length 1",
        "body ",
    ),
    "no table": (b"\x80\x81", "error: ", "0000: 80 81"),
    "no signature": (b"\x1b[2J" + bytes(60), "t.dat: 64 bytes\n", "[2J"),
    "compressed": (b"\x1f\x8b\x08\x08", "error: the file is compressed with gzip", ""),
    "empty": (b"", "t.dat:\n    error: the file is empty", ""),
    "text of nothing": (b"hello\n", "error: 'hell' at offset 0 of the file", "hello."),
    "text without a line": (
        b"APIC @ 0x1\n  0010: 00\n",
        "error: line 2: APIC goes on at offset 0x0010",
        "",
    ),
}


@pytest.mark.parametrize("case", CORRUPT)
def test_what_is_wrong_is_said_and_the_rest_goes_on(case, dump):
    data, error, more = CORRUPT[case]
    status, text = dump(data)
    assert status == 1
    assert error in text
    assert more in text


def test_a_file_that_is_missing_does_not_stop_the_others(tmp_path, capsys):
    (tmp_path / "a.dat").write_bytes(MADT)
    missing = str(tmp_path / "missing")
    assert main(["dump", missing, str(tmp_path / "a.dat")]) == 1
    text = capsys.readouterr().out
    assert f"{missing}:\n    error: No such file or directory" in text
    assert "LocalApic" in text


def test_a_folder_is_dumped_as_linux_has_it(tmp_path, capsys):
    (tmp_path / "APIC").write_bytes(MADT)
    for folder in ("dynamic", "data"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "SSDT1").write_bytes(Raw("SSDT", b"\xa3").to_bytes())
    assert main(["dump", str(tmp_path)]) == 0
    heads = re.findall(r"^/.*?/([^/:]+): (\w+):", capsys.readouterr().out, re.MULTILINE)
    assert heads == [("APIC", "APIC"), ("SSDT1", "SSDT")]


def test_an_empty_folder_is_an_error(tmp_path, capsys):
    assert main(["dump", str(tmp_path)]) == 1
    assert capsys.readouterr().out == f"{tmp_path}:\n    error: the folder has no files\n\n"


def test_standard_input_is_dumped(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(MADT)))
    assert main(["dump", "-"]) == 0
    assert capsys.readouterr().out.startswith("-: APIC: 52 bytes")


def test_every_template_of_iasl_is_dumped(tmp_path, capsys):
    for name, data in templates().items():
        (tmp_path / name).write_bytes(data)
    main(["dump", str(tmp_path)])
    text = capsys.readouterr().out
    assert "object at 0x" not in text
    assert text.count("DefinitionBlock") == sum(
        data[:4] in (b"DSDT", b"SSDT", b"OSDT") for data in templates().values()
    )


def test_the_tables_of_this_machine_are_dumped(capsys):
    folder = Path("/sys/firmware/acpi/tables")
    try:
        (folder / "APIC").read_bytes()
    except OSError:
        pytest.skip("this system shows no tables")
    assert main(["dump", str(folder)]) == 0
    assert "APIC: " in capsys.readouterr().out


damage = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=4)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.sampled_from([piece.data for piece in PLACEMENT.pieces]), damage, st.binary(max_size=50))
def test_any_file_is_dumped(dump, data, changes, more):
    content = bytearray(data + more)
    for offset, value in changes:
        content[offset % len(content)] = value
    status, text = dump(bytes(content))
    assert status == int("    error: " in text)


# --- build ----------------------------------------------------------------------------------


def build(folder, *options):
    assert main(["build", "-o", str(folder), *options]) == 0
    rows = [line.split() for line in (folder / "summary.txt").read_text().splitlines()]
    return {
        kind: [row[1:] for row in rows if row[0] == kind]
        for kind in ("rsdp", "table", "e820", "tables.bin")
    }


@pytest.mark.parametrize("preset", ["q35", "reduced"])
def test_a_preset_is_built_as_files(preset, tmp_path, capsys):
    summary = build(tmp_path, "--preset", preset, "--cpus", "3", "--memory", "512M")
    assert capsys.readouterr().out == (tmp_path / "summary.txt").read_text()
    tables = {path.name: path.read_bytes() for path in tmp_path.glob("*.aml")}
    assert {"rsdp.aml", "xsdt.aml", "facp.aml", "apic.aml", "dsdt.aml"} <= tables.keys()
    ((start, size),) = summary["tables.bin"]
    block = (tmp_path / "tables.bin").read_bytes()
    assert len(block) == int(size, 16)
    for gpa, length, name, *_title in summary["table"]:
        offset = int(gpa, 16) - int(start, 16)
        assert block[offset : offset + int(length, 16)] == tables[name]
    assert summary["rsdp"] == [[start]]
    assert main(["dump", *(str(tmp_path / name) for name in tables)]) == 0
    assert main(["dump", str(tmp_path / "tables.bin"), str(tmp_path / "acpidump.txt")]) == 0


def test_the_memory_map_has_everything_once(tmp_path):
    summary = build(tmp_path, "--preset", "q35", "--memory", "3G", "--cpus", "2")
    entries = [(int(base, 16), int(size, 16), kind) for base, size, kind in summary["e820"]]
    for (base, size, _kind), (after, _size, _) in itertools.pairwise(entries):
        assert base + size <= after
    assert sum(size for _, size, kind in entries if kind != "RESERVED") == (3 << 30) - 0x6_0000
    assert (0xB000_0000, 0x1000_0000, "RESERVED") in entries
    assert (1 << 32, 1 << 30, "RAM") in entries


def test_the_loader_files_are_those_of_the_same_tables(tmp_path):
    summary = build(tmp_path, "--preset", "reduced", "--rsdp", "0xe0000", "--base", "0x3000000")
    root = tmp_path / "fw_cfg"
    files = {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }
    first = int(summary["table"][1][0], 16)

    def allocate(_name, _size, _alignment, zone):
        return 0xE_0000 if zone == Zone.FSEG else first

    linked = apply(files, files[LOADER_FILE], allocate)
    assert linked.contents["etc/acpi/rsdp"] == (tmp_path / "rsdp.aml").read_bytes()
    assert linked.contents["etc/acpi/tables"] == (tmp_path / "tables.bin").read_bytes()


def test_no_two_tables_share_a_file():
    tables = TableSet()
    for name in ("SSDT A 1", "SSDT A-1", "SSDT a_1", "SSDT"):
        tables.add(Raw("SSDT"), name)
    files = file_names(tables.place(0x1000))
    assert files == (
        *("rsdp.aml", "xsdt.aml", "rsdt.aml"),
        *("ssdt-a-1.aml", "ssdt-a-1-2.aml", "ssdt-a-1-3.aml", "ssdt.aml"),
    )


REFUSED = {
    "no size: 'much'": ("--memory", "much"),
    "no address: 'here'": ("--base", "here"),
    "invalid choice: 'pc'": ("--preset", "pc"),
}


@pytest.mark.parametrize("message", REFUSED)
def test_options_that_cannot_be_are_refused(message, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["build", "-o", str(tmp_path), "--preset", "q35", *REFUSED[message]])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "options", [("--memory", "1M"), ("--cpus", "0"), ("--rsdp", "1"), ("--base", "-1")], ids=str
)
def test_tables_that_cannot_be_are_refused(options, tmp_path, capsys):
    folder = tmp_path / "out"
    assert main(["build", "-o", str(folder), "--preset", "q35", *options]) == 1
    assert capsys.readouterr().err.startswith("vmmkit.acpi: ")
    assert not folder.exists()


def test_a_folder_is_written_again(tmp_path, capsys):
    for cpus in ("4", "2"):
        build(tmp_path, "--preset", "q35", "--cpus", cpus)
    assert main(["dump", str(tmp_path / "apic.aml")]) == 0
    assert capsys.readouterr().out.count("LocalApic\n") == 2


def test_tables_of_another_machine_are_not_mixed_up(tmp_path, capsys):
    build(tmp_path, "--preset", "q35", "--cpus", "2")
    madt = (tmp_path / "apic.aml").read_bytes()
    assert main(["build", "--preset", "reduced", "-o", str(tmp_path)]) == 1
    assert "facs.aml, hpet.aml, mcfg.aml, waet.aml" in capsys.readouterr().err
    assert (tmp_path / "apic.aml").read_bytes() == madt


@pytest.mark.parametrize("preset", ["q35", "reduced"])
def test_a_built_folder_can_be_dumped_and_judged(preset, tmp_path, capsys):
    summary = build(tmp_path, "--preset", preset)
    capsys.readouterr()
    assert main(["dump", str(tmp_path)]) == 0
    heads = re.findall(r"^/.*/([^/:]+): \w+: ", capsys.readouterr().out, re.MULTILINE)
    assert sorted(heads) == sorted(name for _gpa, _size, name, *_title in summary["table"])
    assert main(["validate", str(tmp_path)]) == 0


# --- validate -------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["q35", "reduced"])
def test_nothing_is_wrong_with_the_presets(preset, tmp_path, capsys):
    build(tmp_path, "--preset", preset, "--cpus", "2")
    capsys.readouterr()
    assert main(["validate", str(tmp_path / "acpidump.txt")]) == 0
    assert "ERROR" not in capsys.readouterr().out


def test_findings_are_printed_with_their_consequence(tmp_path, capsys):
    (tmp_path / "t.dat").write_bytes(Madt([LocalApic(0, 7), LocalApic(1, 7)]).to_bytes())
    assert main(["validate", str(tmp_path / "t.dat")]) == 1
    lines = capsys.readouterr().out.splitlines()
    found = [
        line for line in lines if line.startswith("ERROR MADT-DUPLICATE-APIC-ID: APIC at 0x34")
    ]
    assert len(found) == 1
    assert lines[lines.index(found[0]) + 1].startswith("    ")


def test_what_cannot_be_read_is_an_error_too(tmp_path, capsys):
    missing = str(tmp_path / "missing")
    assert main(["validate", missing]) == 1
    assert capsys.readouterr().out == f"{missing}: No such file or directory\n"
    (tmp_path / "t.dat").write_bytes(MADT[:-1])
    assert main(["validate", str(tmp_path / "t.dat")]) == 1
    assert "has length 52, of 51 bytes that are left" in capsys.readouterr().out


def test_it_runs_as_a_program(tmp_path):
    (tmp_path / "t.dat").write_bytes(MADT)
    command = [sys.executable, "-m", "vmmkit.acpi", "dump", str(tmp_path / "t.dat")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "LocalApic" in done.stdout
    assert done.stderr == ""


def test_a_reader_that_goes_away_is_no_trouble(tmp_path):
    (tmp_path / "t.dat").write_bytes(MADT * 5000)
    command = [sys.executable, "-m", "vmmkit.acpi", "dump", str(tmp_path / "t.dat")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 1
