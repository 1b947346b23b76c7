"""The commands in the README work as written, and their output is as shown."""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pysam
import pytest

from dx_client import Applet, Dx, files_of
from local_platform import LocalPlatform
from local_platform.__main__ import client_environment
from oracle import expected_count_file
from readme import ROOT, blocks


@dataclass(frozen=True)
class Reader:
    """A user who follows the README; a folder of the project stands for its root."""

    dx: Dx
    folder: Path

    def run(self, script: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
        """Runs commands as written, except for the root folder; they must succeed."""
        for path in ("/sample.bam", "/samples", "/counts", "/batch", "/uploads"):
            script = script.replace(f" {path}", f" {self.dx.folder}{path}")
            script = script.replace(f"={path}", f"={self.dx.folder}{path}")
        done = subprocess.run(
            ["bash", "-e", "-c", script],
            cwd=cwd or self.folder,
            env=dict(self.dx.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done

    def example(self, name: str = "sample.bam") -> Path:
        """Writes the example of the README with its index; returns its path."""
        bam = self.folder / name
        subprocess.run([sys.executable, ROOT / "test" / "example.py", bam], check=True)
        return bam


@pytest.fixture
def reader(dx: Dx, tmp_path: Path, request: pytest.FixtureRequest) -> Reader:
    """A user with a new folder in the project."""
    home = f"{dx.folder}/{request.node.name}"
    dx.ok("mkdir", "-p", home)
    return Reader(Dx({**dx.environment, "DX_CLI_WD": home}, home), tmp_path)


SHOWN = next(text for text in blocks("text") if text.startswith("Region")).rstrip("\n")


def test_the_commands_work_in_order(reader: Reader) -> None:
    dx, bam = reader.dx, reader.example()
    for path in (bam, Path(f"{bam}.bai")):
        dx.upload(path)
    first = blocks("sh")[0]
    build, run = first.split("\n", 1)
    assert build == "dx build -f ."
    reader.run(build, cwd=ROOT)
    assert reader.run(run).stdout.endswith(SHOWN)
    reader.run(blocks("sh", "Run it")[0])
    for folder in ("counts", "counts/indexed"):
        assert dx.ok("cat", f"{dx.folder}/{folder}/sample_count.txt") == SHOWN


def test_the_workflow_sorts_counts_and_checks(reader: Reader) -> None:
    dx, bam = reader.dx, reader.example()
    unsorted = reader.folder / "unsorted.bam"
    pysam.sort("-n", "-o", str(unsorted), str(bam))
    dx.upload(unsorted)
    (script,) = blocks("sh", "Workflow")
    reader.run("dx build -f .", cwd=ROOT)
    assert SHOWN in reader.run(script, cwd=ROOT).stdout
    # An analysis in which the last stage fails, and a job that takes the output of another job.
    failing = "! dx run sort_and_count -i sort.mappings_bam=unsorted.bam -i check.at_least=1000000"
    printed = reader.run(f"{failing} -y --wait").stdout
    analysis_id = next(word for word in printed.split() if word.startswith("analysis-"))
    analysis = dx.describe(analysis_id)
    jobs = {stage["id"]: stage["execution"] for stage in analysis["stages"]}
    assert (analysis["state"], jobs["count"]["state"]) == ("failed", "done")
    assert jobs["check"]["failureReason"] == "AppError"
    assert "has 6000 reads in all, fewer than 1000000" in jobs["check"]["failureMessage"]
    reader.run(
        "sort=$(dx run sort_and_index -i mappings_bam=unsorted.bam -y --brief)\n"
        "dx run samtools_count --folder /counts/again -y --wait"
        " -i mappings_sorted_bam=$sort:sorted_bam -i mappings_sorted_bai=$sort:sorted_bai"
    )
    assert dx.ok("cat", f"{dx.folder}/counts/again/unsorted.sorted_count.txt") == SHOWN


def test_a_batch_runs_one_job_with_its_own_folder_per_sample(reader: Reader) -> None:
    dx, bam = reader.dx, reader.example()
    reader.run("dx build -f .", cwd=ROOT)
    for name in ("one", "two"):
        for end in (".bam", ".bam.bai"):
            file_id = dx.upload(Path(f"{bam.with_suffix('')}{end}"), f"{dx.folder}/samples")
            dx.ok("mv", file_id, f"{dx.folder}/samples/{name}{end}")
    (script,) = blocks("sh", "Batch")
    printed = reader.run(script).stdout
    dx.ok("wait", *printed.splitlines()[-1].split(","))
    for name in ("one", "two"):
        assert dx.ok("cat", f"{dx.folder}/batch/{name}/{name}_count.txt") == SHOWN


def test_filters_select_the_same_records_as_samtools_view(reader: Reader) -> None:
    dx, bam = reader.dx, reader.example()
    for path in (bam, Path(f"{bam}.bai")):
        dx.upload(path)
    reader.run("dx build -f .", cwd=ROOT)
    for script in blocks("sh", "Filters and regions"):
        printed = reader.run(script).stdout
    assert printed.splitlines()[-2:] == [
        "exon 1\tchr1\t0\t1000\t1000\t42",
        "exon 2\tchr1\t500\t2000\t1500\t54",
    ]
    usable = ["-F", "0xf04", "-f", "2", "-q", "20", "-d", "RG:lane1"]
    for name, options in (("reads", ["-F", "0x900"]), ("usable", usable)):
        command = ["samtools", "view", "-c", *options, "-e", 'rname != "*"', str(bam)]
        total = subprocess.check_output(command, text=True).strip()
        counts = dx.ok("cat", f"{dx.folder}/sample_{name}_count.txt")
        assert counts.splitlines()[-1] == f"Total reads: {total}"
    counts = dx.ok("cat", f"{dx.folder}/sample_primary_count.txt")
    assert counts.splitlines()[-2] == "Region *: 120"
    dx.ok("download", f"{dx.folder}/sample_windows_count.bedgraph.gz", "-o", str(reader.folder))
    bedgraph = gzip.decompress((reader.folder / "sample_windows_count.bedgraph.gz").read_bytes())
    assert bedgraph.startswith(b"chr1\t0\t10000\t")


def test_streaming_subjobs_and_counts_from_the_index_return_the_same_counts(reader: Reader) -> None:
    dx, bam = reader.dx, reader.example()
    for path in (bam, Path(f"{bam}.bai")):
        dx.upload(path)
    reader.run("dx build -f .", cwd=ROOT)
    for section in ("Streaming and subjobs", "Counts from the index"):
        (script,) = blocks("sh", section)
        reader.run(script)
    for folder in ("streamed", "subjobs", "from_index"):
        assert dx.ok("cat", f"{dx.folder}/counts/{folder}/sample_count.txt") == SHOWN


def test_the_python_example_prints_the_counts(reader: Reader, applet: Applet) -> None:
    dx, bam = reader.dx, reader.example()
    (script,) = blocks("python", "Python")
    for placeholder, value in (
        ("applet-xxxx", applet.id),
        ("file-xxxx", dx.upload(bam)),
        ("file-yyyy", dx.upload(Path(f"{bam}.bai"))),
        ("/counts", f"{dx.folder}/counts"),
    ):
        assert placeholder in script
        script = script.replace(placeholder, value)
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **dx.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == f"{SHOWN}\n", done.stderr
    assert dx.ok("ls", f"{dx.folder}/counts").splitlines() == files_of("sample")


def test_the_report_can_be_downloaded_and_multiqc_finds_its_file(reader: Reader) -> None:
    dx, bam = reader.dx, reader.example()
    for path in (bam, Path(f"{bam}.bai")):
        dx.upload(path)
    reader.run("dx build -f .", cwd=ROOT)
    (script,) = blocks("sh", "Report and MultiQC")
    reader.run(script.replace("multiqc .", "multiqc --no-version-check ."))
    assert "sample.bam: records by region" in (reader.folder / "sample_count.html").read_text()
    (plot,) = (reader.folder / "multiqc_data").glob("multiqc_samtools_count_*_plot.txt")
    assert plot.read_text().splitlines()[1].startswith("sample\t2296\t1668\t")


# The app runs on a separate local platform: app names are global, so it would conflict with the
# applet of the other tests, and apps cannot be removed from the real platform.


@pytest.fixture
def separate_reader(tmp_path: Path) -> Iterator[Reader]:
    """A user on a separate local platform."""
    with LocalPlatform() as platform:
        yield Reader(Dx(client_environment(platform, os.environ), ""), tmp_path)


def test_the_app_is_built_without_warnings_and_runs(separate_reader: Reader, source: Path) -> None:
    reader, bam = separate_reader, separate_reader.example()
    for path in (bam, Path(f"{bam}.bai")):
        reader.dx.upload(path)
    (build,) = blocks("sh", "App")
    done = reader.run(build, cwd=source)
    assert "WARNING" not in done.stdout + done.stderr
    assert reader.dx.ok("cat", "/counts/sample_count.txt") == SHOWN
    described = reader.dx.describe("app-samtools_count")
    dxapp = json.loads((ROOT / "dxapp.json").read_text())
    for key in ("name", "title", "summary", "version", "categories", "details"):
        assert described[key] == dxapp[key]
    assert described["description"] == (ROOT / "README.md").read_text()

    reader.run("dx build .", cwd=source)
    reader.run("dx get samtools_count")
    downloaded = reader.folder / "samtools_count"
    reader.dx.ok("mkdir", "/again")
    applet_id = json.loads(reader.dx.ok("build", "-d", "/again/", str(downloaded)))["id"]
    for path in (source / "resources").rglob("*.py"):
        assert (downloaded / path.relative_to(source)).read_bytes() == path.read_bytes()
    applet = Applet(reader.dx, applet_id, "")
    run = applet.run(bam, Path(f"{bam}.bai"))
    assert run.count_file == expected_count_file(bam)
