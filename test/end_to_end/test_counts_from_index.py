"""Counts from the index: with `dx run`, in a workflow and in a batch."""

from pathlib import Path

import pytest

from builders import Read, cram_of, index_of, make_bam, make_big_bam, write_bam
from dx_client import Applet, Dx
from oracle import expected_count_file

FROM_INDEX = "counts_from=index"


@pytest.mark.parametrize("kind", ["BAM with BAI", "BAM with CSI", "CRAM"])
def test_the_count_file_equals_that_of_counted_records(
    applet: Applet, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "x.bam"
    if kind == "BAM with CSI":
        write_bam(path, {"chr1": 10_000}, [Read("chr1", at) for at in range(5)], csi=True)
    elif kind == "BAM with BAI":
        # Large enough that the records are not also counted.
        make_big_bam(path, contigs=3, reads=900, bases=8_000)
    else:
        path = cram_of(make_big_bam(path, contigs=3, reads=40_000))
    counted = applet.run(path, index_of(path))
    run = applet.run(path, index_of(path), FROM_INDEX)
    assert (run.state, counted.state) == ("done", "done"), run.log
    assert run.count_file == counted.count_file
    assert run.produced == counted.produced
    assert run.job["output"]["total_records"] == counted.job["output"]["total_records"]
    assert run.table is not None
    assert run.table.splitlines()[1].endswith("\tindex")
    assert "were taken from the" in run.log
    assert "downloaded" not in run.log


def test_options_that_require_records_are_rejected_before_the_download(
    applet: Applet, tmp_path: Path
) -> None:
    bam = make_bam(tmp_path, {"chr1": 5})
    options = ("exclude_flags=DUP", "windows=100", "subjobs=3")
    run = applet.run(bam, index_of(bam), FROM_INDEX, *options)
    assert run.failure[0] == "AppError"
    assert "'index' cannot be combined with exclude_flags, windows, subjobs" in run.failure[1]
    assert run.produced == []
    assert "streaming" not in run.log


def test_counts_from_the_index_work_in_a_workflow_and_in_a_batch(
    applet: Applet, dx: Dx, tmp_path: Path
) -> None:
    bams = [make_bam(tmp_path / f"s{n}.bam", {"chr1": n, "chr2": 1}) for n in (1, 2)]
    files = [str(path) for bam in bams for path in (bam, index_of(bam))]
    folder = f"{dx.folder}/from_index"
    dx.ok("mkdir", "-p", f"{folder}/samples")
    dx.ok("upload", "--brief", "--path", f"{folder}/samples/", *files)

    workflow = dx.ok("new", "workflow", f"{folder}/workflow", "--brief")
    dx.ok("add", "stage", workflow, applet.id, "--id", "count", "-i", FROM_INDEX)
    bam, bai = (f"{folder}/samples/s1.{end}" for end in ("bam", "bam.bai"))
    inputs = [f"-icount.mappings_sorted_bam={bam}", f"-icount.mappings_sorted_bai={bai}"]
    analysis = dx.ok("run", workflow, *inputs, "--folder", f"{folder}/out", "-y", "--brief")
    dx.ok("wait", analysis)
    assert dx.ok("cat", f"{folder}/out/s1_count.txt") == expected_count_file(bams[0])

    table_prefix = tmp_path / "batch"
    patterns = ["-imappings_sorted_bam=(.*).bam$", "-imappings_sorted_bai=(.*).bam.bai$"]
    output = ["-o", str(table_prefix)]
    dx.ok("generate_batch_inputs", "--path", f"{folder}/samples", *patterns, *output)
    batch = ["--batch-tsv", f"{table_prefix}.0000.tsv", "--batch-folders", "--brief", "-y"]
    destination = ["--destination", f"{folder}/batch"]
    jobs = dx.ok("run", applet.id, *batch, "-i", FROM_INDEX, *destination).split(",")
    dx.ok("wait", *jobs)
    for path in bams:
        count_file = dx.ok("cat", f"{folder}/batch/{path.stem}/{path.stem}_count.txt")
        assert count_file == expected_count_file(path)
