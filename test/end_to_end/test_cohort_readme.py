"""The commands in the README of samtools_count_cohort work as written, in order."""

import gzip
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pysam
import pytest

from builders import make_bam
from cohort import NAME, copy_of_cohort_applet
from dx_client import Dx
from local_platform import LocalPlatform
from local_platform.__main__ import client_environment
from readme import ROOT, blocks, section

README = (ROOT / NAME / "README.md").read_text()
MAIN_README = (ROOT / "README.md").read_text()
BUILD = "dx build -f samtools_count_cohort\n"


def run_script(dx: Dx, script: str, folder: Path) -> str:
    """Runs a script in a folder and returns its output; it must succeed."""
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script],
        cwd=folder,
        env=dict(dx.environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def write_and_upload(dx: Dx, folder: Path, destination: str, **counts: int) -> list[Path]:
    """Writes samples with these counts and uploads them; returns their local paths."""
    paths = [make_bam(folder / f"{name}.bam", {"chr1": number}) for name, number in counts.items()]
    files = [str(path) for bam in paths for path in (bam, f"{bam}.bai")]
    dx.ok("upload", "--brief", "-p", "--path", f"{destination}/", *files)
    return paths


def test_the_commands_work_in_order(dx: Dx, tmp_path: Path, platform: LocalPlatform) -> None:
    """Their paths start at the root of the project, so they run on a separate platform."""
    with LocalPlatform() as separate:
        dx = Dx(client_environment(separate, os.environ), "/")
        paths = write_and_upload(dx, tmp_path, "/samples", one=11, two=22)
        write_and_upload(dx, tmp_path, "/more", three=33)
        source = tmp_path / "source"
        source.mkdir()
        copy_of_cohort_applet(source)
        first, sheets, growing, workflow = blocks("sh", text=README)
        assert first.startswith(BUILD)
        run_script(dx, BUILD, source)

        printed = run_script(dx, first.removeprefix(BUILD), tmp_path)
        assert "one\tcounted\t\tone.bam\t\t11\t0\t" in printed
        # dx find data lists the newest file first.
        assert printed.endswith("two\tone\nchr1\tchr1\t0\t10000\t10000\t22\t11\n")
        run_script(dx, sheets, tmp_path)
        listed = dx.ok("ls", "/counts/sheets").splitlines()
        table = section("Outputs", README).strip().split("\n\n")[0]
        documented = set(re.findall(r"`(cohort\S+)`", table))
        # The copy numbers of X and Y cannot be estimated here.
        assert documented - set(listed) == {"cohort_copies_mqc.tsv"}
        assert set(listed) <= documented
        run_script(dx, growing, tmp_path)
        grown = gzip.decompress(dx.binary("cat", "/counts/grown/cohort_counts.tsv.gz")).decode()
        assert grown.splitlines()[0].endswith("\tlength\tthree\ttwo\tone")
        assert grown.splitlines()[1].endswith("\t33\t22\t11")

        dx.ok("rm", "-r", "/counts", "/sheets")
        in_main_readme = blocks("sh", "Many samples in one job", MAIN_README)
        count = in_main_readme[0].removeprefix(BUILD)
        run_script(dx, count, tmp_path)
        assert "cohort_counts.tsv.gz" in dx.ok("ls", "/cohort").splitlines()

        for path in paths:
            unsorted = tmp_path / "unsorted" / path.name
            unsorted.parent.mkdir(exist_ok=True)
            pysam.sort("-n", "-o", str(unsorted), str(path))
            dx.ok("upload", "--brief", "-p", "--path", "/unsorted/", str(unsorted))
        printed = run_script(dx, workflow, ROOT)
        assert "one.sorted\tcounted\t\tone.sorted.bam\t\t11\t0\t" in printed

        # An app must request access to the project that contains the files of a sheet.
        run_script(dx, f"dx build --app {NAME}", source)
        app = count.replace(f"dx run {NAME}", f"dx run app-{NAME}")
        run_script(dx, app.replace("dx upload", "true").replace("/cohort", "/app"), tmp_path)
        assert "cohort_counts.tsv.gz" in dx.ok("ls", "/app").splitlines()


@pytest.mark.skipif(importlib.util.find_spec("pandas") is None, reason="needs pandas")
def test_pandas_reads_the_matrix(tmp_path: Path) -> None:
    text = "region\tcontig\tstart\tend\tlength\ta\tb\nchr1\tchr1\t0\t9\t9\t1\t2\n"
    (tmp_path / "cohort_counts.tsv.gz").write_bytes(gzip.compress(text.encode()))
    (script,) = blocks("python", text=README)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[:4] == ["a", "1", "b", "2"]
