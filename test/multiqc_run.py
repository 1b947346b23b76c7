"""Runs the real MultiQC on a folder and reads its results."""

import csv
import os
import subprocess
import sys
from pathlib import Path


def sections(folder: Path) -> list[dict[str, dict[str, str]]]:
    """Returns the plot data of each section: the values of each sample."""
    out = folder.parent / "out"
    done = subprocess.run(
        [sys.executable, "-m", "multiqc", "--no-version-check", "-o", out, folder],
        env={"PATH": os.environ["PATH"], "HOME": str(folder.parent), "LANG": "C.UTF-8"},
        cwd=folder.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Not able to parse" not in done.stderr + done.stdout
    plots = []
    for path in sorted((out / "multiqc_data").glob("multiqc_samtools_count_*_plot.txt")):
        with path.open(newline="") as lines:
            rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
            plots.append({row.pop("Sample"): row for row in rows})
    return plots
