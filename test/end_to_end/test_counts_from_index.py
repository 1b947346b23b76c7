"""Counts from the index: from the command line, in a workflow and in a batch."""

from pathlib import Path

import pytest

from builders import Read, cram_of, index_of, make_bam, make_big_bam, write_bam
from dx_client import Applet, Dx
from oracle import expected_count_file

INDEX = "counts_from=index"


@pytest.mark.parametrize("kind", ["a BAM", "a CSI index", "a CRAM"])
def test_the_count_file_is_that_of_the_records(applet: Applet, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.bam"
    if kind == "a CSI index":
        write_bam(path, {"chr1": 10_000}, [Read("chr1", at) for at in range(5)], csi=True)
    elif kind == "a BAM":
        # Too large to be counted beside.
        make_big_bam(path, contigs=3, reads=900, bases=8_000)
    else:
        path = cram_of(make_big_bam(path, contigs=3, reads=40_000))
    counted = applet.run(path, index_of(path))
    run = applet.run(path, index_of(path), INDEX)
    assert (run.state, counted.state) == ("done", "done"), run.log
    assert run.count_file == counted.count_file
    assert run.produced == counted.produced
    assert run.job["output"]["total_records"] == counted.job["output"]["total_records"]
    assert run.table is not None
    assert run.table.splitlines()[1].endswith("\tindex")
    assert "were taken from the" in run.log
    assert "downloaded" not in run.log


def test_what_the_index_does_not_have_is_refused_before_a_download(
    applet: Applet, tmp_path: Path
) -> None:
    bam = make_bam(tmp_path, {"chr1": 5})
    run = applet.run(bam, index_of(bam), INDEX, "exclude_flags=DUP", "windows=100", "subjobs=3")
    assert run.failure[0] == "AppError"
    assert "'index' cannot be combined with exclude_flags, windows, subjobs" in run.failure[1]
    assert run.produced == []
    assert "streaming" not in run.log


def test_it_is_a_stage_of_a_workflow_and_runs_in_a_batch(
    applet: Applet, dx: Dx, tmp_path: Path
) -> None:
    bams = [make_bam(tmp_path / f"s{n}.bam", {"chr1": n, "chr2": 1}) for n in (1, 2)]
    files = [str(path) for bam in bams for path in (bam, index_of(bam))]
    folder = f"{dx.folder}/from_index"
    dx.ok("mkdir", "-p", f"{folder}/samples")
    dx.ok("upload", "--brief", "--path", f"{folder}/samples/", *files)

    workflow = dx.ok("new", "workflow", f"{folder}/workflow", "--brief")
    dx.ok("add", "stage", workflow, applet.id, "--id", "count", "-i", INDEX)
    bam, bai = (f"{folder}/samples/s1.{end}" for end in ("bam", "bam.bai"))
    inputs = [f"-icount.mappings_sorted_bam={bam}", f"-icount.mappings_sorted_bai={bai}"]
    analysis = dx.ok("run", workflow, *inputs, "--folder", f"{folder}/out", "-y", "--brief")
    dx.ok("wait", analysis)
    assert dx.ok("cat", f"{folder}/out/s1_count.txt") == expected_count_file(bams[0])

    table = tmp_path / "batch"
    patterns = ["-imappings_sorted_bam=(.*).bam$", "-imappings_sorted_bai=(.*).bam.bai$"]
    dx.ok("generate_batch_inputs", "--path", f"{folder}/samples", *patterns, "-o", str(table))
    batch = ["--batch-tsv", f"{table}.0000.tsv", "--batch-folders", "--brief", "-y", "-i", INDEX]
    jobs = dx.ok("run", applet.id, *batch, "--destination", f"{folder}/batch").split(",")
    dx.ok("wait", *jobs)
    for path in bams:
        count_file = dx.ok("cat", f"{folder}/batch/{path.stem}/{path.stem}_count.txt")
        assert count_file == expected_count_file(path)
