"""The applet in chains and batches of jobs, and its outputs when it is restarted."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import pytest

from builders import make_bam
from dx_client import Applet, Dx, files_of
from local_platform import LocalPlatform
from local_platform.job import Job
from oracle import expected_count_file

SAMPLES = 8


def outputs(dx: Dx, job: dict[str, Any]) -> dict[str, object]:
    """Returns the outputs of a job, with the name and content of each file."""

    def value(output: Any) -> object:
        if not isinstance(output, dict):
            return output
        file_id = output["$dnanexus_link"]
        return dx.describe(file_id)["name"], dx.content_of(file_id)

    return {name: value(output) for name, output in job["output"].items()}


def test_two_runs_return_identical_outputs(applet: Applet, bam: Path) -> None:
    first, second = (applet.run(bam, Path(f"{bam}.bai")) for _ in range(2))
    assert first.job["id"] != second.job["id"]
    assert outputs(applet.dx, first.job) == outputs(applet.dx, second.job)


def test_a_job_fails_if_the_job_that_sorts_its_input_fails(
    applet: Applet, dx: Dx, tmp_path: Path
) -> None:
    source = Path(__file__).parent / "sort_and_index"
    dx.ok("build", "-f", "-d", f"{dx.folder}/", str(source))
    not_bam = tmp_path / "text.bam"
    not_bam.write_text("no BAM\n")
    sort = dx.ok(
        *("run", f"{dx.folder}/sort_and_index", f"-imappings_bam={dx.upload(not_bam)}"),
        *("--brief", "-y"),
    )
    inputs = [f"-imappings_sorted_{end}={sort}:sorted_{end}" for end in ("bam", "bai")]
    job_id = dx.ok("run", applet.id, *inputs, "--brief", "-y")
    assert dx("wait", job_id).returncode != 0
    job = dx.describe(job_id)
    assert (job["state"], job["failureReason"]) == ("failed", "DependencyUnsatisfiable")
    assert sort in job["failureMessage"]


@pytest.mark.parametrize(
    ("inputs", "reads"), [(["-iat_least=5"], 5), (["-iat_least=6", "-itotal_records=7"], 7)]
)
def test_the_downstream_applet_uses_total_records_or_reads_the_count_file(
    dx: Dx, tmp_path: Path, inputs: list[str], reads: int
) -> None:
    source = Path(__file__).parent / "enough_reads"
    dx.ok("build", "-f", "-d", f"{dx.folder}/", str(source))
    count_file = tmp_path / "sample_count.txt"
    count_file.write_text("Region chr1: 5\nTotal reads: 5")
    inputs = [f"-icount_file={dx.upload(count_file)}", *inputs]
    job_id = dx.ok("run", f"{dx.folder}/enough_reads", *inputs, "--wait", "--brief", "-y")
    assert dx.describe(job_id)["output"] == {"reads": reads}


# The worker is lost at the worst time: when the count file has just been created.


def test_a_job_that_loses_its_worker_returns_the_outputs_of_its_second_try(
    applet: Applet, platform: LocalPlatform, bam: Path
) -> None:
    lost = []

    def lose_worker(
        app: WSGIApplication, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        response = app(environ, start_response)
        file = platform.store.find_object(environ["PATH_INFO"].split("/")[1])
        lost.append(file.id)
        platform.jobs.lose_worker(file.created_by["job"])
        return response

    dx, out = applet.dx, f"{applet.dx.folder}/lost"
    inputs = [
        *("-i", f"mappings_sorted_bam={dx.upload(bam)}"),
        *("-i", f"mappings_sorted_bai={dx.upload(Path(f'{bam}.bai'))}"),
    ]
    platform.faults.add(r"/file-\w+/close", lose_worker)
    job_id = dx.ok("run", applet.id, *inputs, "--destination", out, "--brief", "-y")
    # The log is not followed, because it would end with the first try.
    dx.ok("wait", job_id)
    job = dx.describe(job_id)
    assert (job["state"], job["try"]) == ("done", 1)
    assert dx.ok("ls", out).splitlines() == files_of("sample")
    assert outputs(dx, job)["count_file"] == (
        "sample_count.txt",
        expected_count_file(bam).encode(),
    )
    (file_of_first_try,) = lost
    assert job["output"]["count_file"]["$dnanexus_link"] != file_of_first_try
    assert file_of_first_try not in platform.store.objects


# A batch with more jobs than can run at once.


def test_a_batch_counts_all_samples_two_at_a_time(
    applet: Applet, platform: LocalPlatform, dx: Dx, tmp_path: Path
) -> None:
    samples = tmp_path / "samples"
    samples.mkdir()
    bams = [
        make_bam(samples / f"s{number:02}.bam", {"chr1": number, "chr2": 1})
        for number in range(SAMPLES)
    ]
    folder = f"{dx.folder}/samples"
    dx.ok("mkdir", folder)
    dx.ok("upload", "--brief", "--path", f"{folder}/", *map(str, sorted(samples.iterdir())))

    table_prefix = tmp_path / "batch"
    patterns = ["-imappings_sorted_bam=(.*).bam$", "-imappings_sorted_bai=(.*).bam.bai$"]
    dx.ok("generate_batch_inputs", "--path", folder, *patterns, "-o", str(table_prefix))
    arguments = ["--batch-tsv", f"{table_prefix}.0000.tsv", "--batch-folders", "--brief", "-y"]
    out = f"{dx.folder}/batch"
    jobs = dx.ok("run", applet.id, *arguments, "--destination", out).split(",")
    assert len(jobs) == SAMPLES
    dx.ok("wait", *jobs)

    downloads = tmp_path / "out"
    downloads.mkdir()
    dx.ok("download", "-r", out, "-o", str(downloads))
    for bam in bams:
        name = bam.stem
        count_file = downloads / "batch" / name / f"{name}_count.txt"
        assert count_file.read_text() == expected_count_file(bam)
    described = [platform.jobs.by_id[job_id] for job_id in jobs]
    assert [job.properties["batch-id"] for job in described] == [bam.stem for bam in bams]
    assert max_running(described) == 2


def max_running(jobs: Iterable[Job]) -> int:
    """Returns the maximum number of jobs that were running at the same time."""
    changes = []
    for job in jobs:
        assert job.started_running is not None and job.stopped_running is not None
        changes += [(job.started_running, 1), (job.stopped_running, -1)]
    running = most = 0
    for _, change in sorted(changes):
        running += change
        most = max(most, running)
    return most
