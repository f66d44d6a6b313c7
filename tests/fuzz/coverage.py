# SPDX-FileCopyrightText: 2026 vmmkit contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Say how much of each C file inputs reach: `coverage.py FOLDER [FILE...]`.

FOLDER holds `covered.o` and what it wrote when the inputs ran; of each FILE named, the lines that
nothing reached are listed.
"""

import gzip
import json
import subprocess
import sys
from pathlib import Path


def measured(folder):
    """Yield each file of the engine, its lines that have code, and which nothing reached."""
    command = ["gcov", "--json-format", "covered.o"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    for report in folder.glob("*.gcov.json.gz"):
        for file in json.loads(gzip.decompress(report.read_bytes()))["files"]:
            lines = {}
            for line in file["lines"]:  # one for each function that contains it
                number = line["line_number"]
                lines[number] = lines.get(number, 0) + line["count"]
            missed = sorted(number for number, count in lines.items() if not count)
            yield Path(file["file"]), len(lines), missed


def main(folder, listed):
    total = reached = 0
    for path, count, missed in sorted(measured(folder)):
        if path.parent.name != "csrc":
            continue
        total, reached = total + count, reached + count - len(missed)
        shown = f": {missed}" if path.name in listed else ""
        print(f"{path.name:24} {count - len(missed):5} of {count:5} lines{shown}")
    print(f"{'all':24} {reached:5} of {total:5} lines")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
