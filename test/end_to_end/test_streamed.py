"""Streaming and subjobs: the outputs equal those of a downloaded file, also after faults."""

import json
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builders import Read, cram_of, index_of, make_bam, make_big_bam, write_bam
from dx_client import Applet, Dx, Run
from local_platform import LocalPlatform
from local_platform.faults import Fault, Injection, answer, corrupt, cut, lose_request
from local_platform.job import Job
from local_platform.specs import MAX_CHARACTERS
from messages import is_a_known_message
from oracle import expected_count_file

pytestmark = pytest.mark.usefixtures("clear_faults")

# Part of each preauthenticated URL, which must not appear in logs and messages.
URL_PART = "/F/D/"
BYTES = r"/F/D/.*\.bam"
BUSY = answer("503 Service Unavailable")
FORBIDDEN = answer("403 Forbidden")

STREAMED = ("stream_bam=true",)
SUBJOBS = ("subjobs=3",)
BOTH = STREAMED + SUBJOBS
SMALL = {f"HLA-A*{n:02}:01": n % 3 for n in range(200)}
# For each file, the options with which it is counted.
FILES: dict[str, tuple[tuple[str, ...], Callable[[Path], Path]]] = {
    "a BAM": (BOTH, lambda folder: make_big_bam(folder / "x.bam", contigs=5, reads=60_000)),
    "a CRAM": (
        BOTH,
        lambda folder: cram_of(make_big_bam(folder / "x.bam", contigs=5, reads=60_000)),
    ),
    "many small sequences": (
        STREAMED,
        lambda folder: make_bam(folder / "x.bam", SMALL, unplaced=7),
    ),
    "small sequences in a CRAM": (
        SUBJOBS,
        lambda folder: cram_of(make_bam(folder / "x.bam", SMALL, unplaced=7), "no_ref=1"),
    ),
    "a CSI index": (
        SUBJOBS,
        lambda folder: write_bam(
            folder / "x.bam", {"chr1": 10_000}, [Read("chr1", at) for at in range(5)], csi=True
        ),
    ),
    "no records": (
        SUBJOBS,
        lambda folder: make_bam(folder / "x.bam", {"chr1": 0, "chr2": 0}, unplaced=2),
    ),
    "no reference sequences": (
        STREAMED,
        lambda folder: make_bam(folder / "x.bam", {}, unplaced=3),
    ),
}


@pytest.mark.parametrize(("options", "write"), FILES.values(), ids=FILES.keys())
def test_the_outputs_equal_those_of_a_downloaded_file(
    applet: Applet, tmp_path: Path, options: tuple[str, ...], write: Callable[[Path], Path]
) -> None:
    compare_with_downloaded(applet, write(tmp_path), options)


def test_the_outputs_for_long_reads_do_not_depend_on_the_number_of_subjobs(
    applet: Applet, platform: LocalPlatform, large: Path
) -> None:
    """There are 4 tasks of about 30 MB each: 3 subjobs would not finish before 2."""
    numbers = {1: 1, 3: 2, 30: 4}
    options = STREAMED + tuple(f"subjobs={number}" for number in numbers)
    streamed, *runs = compare_with_downloaded(applet, large, options)
    for run in (streamed, *runs):
        assert " 4 samtools calls " in run.log
    for run, started in zip(runs, numbers.values(), strict=True):
        subjobs = subjobs_of(platform, run.job["id"])
        counting = [job for job in subjobs if job.function == "count_part"]
        assert len(counting) == started
        # All subjobs use the index from the job's input.
        index = run.job["input"]["mappings_sorted_bai"]
        assert all(job.input["mappings_sorted_bai"] == index for job in counting)


def test_the_outputs_for_long_reads_in_a_cram_equal_those_of_a_downloaded_file(
    applet: Applet, large: Path
) -> None:
    path = cram_of(large)
    assert path.stat().st_size > 60_000_000
    for run in compare_with_downloaded(applet, path, BOTH):
        calls = re.search(r" (\d+) samtools calls ", run.log)
        assert calls is not None and int(calls[1]) > 2, "no sequence was split"


def compare_with_downloaded(applet: Applet, path: Path, options: tuple[str, ...]) -> list[Run]:
    """Compares the outputs with each option to those without; returns the runs with an option."""
    downloaded = applet.run(path, index_of(path))
    assert downloaded.count_file == expected_count_file(path)
    runs = [applet.run(path, index_of(path), option) for option in options]
    for streamed in runs:
        assert streamed.state == "done", streamed.log
        assert streamed.produced == downloaded.produced
        assert (streamed.count_file, streamed.table) == (downloaded.count_file, downloaded.table)
        total = downloaded.job["output"]["total_records"]
        assert streamed.job["output"]["total_records"] == total
    return runs


def test_filters_and_regions_apply_to_a_streamed_file(applet: Applet, tmp_path: Path) -> None:
    bam = make_big_bam(tmp_path / "x.bam", contigs=3, reads=50_000)
    selection = (
        *("regions=chr1:1-500000", "regions=chr2"),
        *("min_mapping_quality=60", "include_unplaced=true"),
    )
    downloaded = applet.run(bam, index_of(bam), *selection)
    for option in ("stream_bam=true", "subjobs=2"):
        streamed = applet.run(bam, index_of(bam), *selection, option)
        assert streamed.state == "done", streamed.log
        assert streamed.table == downloaded.table


def test_streaming_requires_an_index(applet: Applet, bam: Path) -> None:
    run = applet.run(bam, None, "stream_bam=true")
    assert run.failure == (
        "AppError",
        "stream_bam: requires an index. Provide mappings_sorted_bai, or omit stream_bam.",
    )


def run_streamed_with(
    fault: Fault, applet: Applet, platform: LocalPlatform, bam: Path, times: int
) -> tuple[Run, Injection]:
    """Streams a file with this many failing requests; returns the run and the injected fault."""
    injected: list[Injection] = []
    run = applet.run(
        bam,
        index_of(bam),
        "stream_bam=true",
        before=lambda: injected.append(platform.faults.add(BYTES, fault, times)),
    )
    return run, injected[0]


TRANSIENT: dict[str, Fault] = {
    "service unavailable": BUSY,
    "lost connection": lose_request,
    "truncated response": cut,
}


@pytest.mark.parametrize("fault", TRANSIENT.values(), ids=TRANSIENT.keys())
def test_a_transient_network_fault_does_not_change_the_counts(
    applet: Applet, platform: LocalPlatform, tmp_path: Path, fault: Fault
) -> None:
    bam = make_big_bam(tmp_path / "x.bam", contigs=2, reads=50_000)
    run, injected = run_streamed_with(fault, applet, platform, bam, times=1)
    assert injected.times == 0, "the fault was not triggered"
    assert run.state == "done", run.log
    assert run.count_file == expected_count_file(bam)
    assert "Trying again in 1 s" in run.log
    assert URL_PART not in run.log


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(FORBIDDEN, "AppError"), (lose_request, "AppInternalError")],
    ids=["forbidden", "lost connection"],
)
def test_a_persistent_network_fault_fails_the_job_without_exposing_the_url(
    applet: Applet, platform: LocalPlatform, bam: Path, fault: Fault, kind: str
) -> None:
    run, _ = run_streamed_with(fault, applet, platform, bam, times=1000)
    assert run.failure[0] == kind
    assert is_a_known_message(run.failure[1].removeprefix(f"{kind}: "), kind)
    assert URL_PART not in run.log + str(run.job)
    assert run.produced == []


def test_a_network_fault_while_counting_does_not_expose_the_url(
    applet: Applet, platform: LocalPlatform, tmp_path: Path
) -> None:
    """The header and the index can be read; only the large requests for records are lost."""
    bam = make_big_bam(tmp_path / "x.bam", contigs=2, reads=900, bases=8_000)

    def lose_large_requests(app: Any, environ: Any, start_response: Any) -> Any:
        start, stop = map(int, environ["HTTP_RANGE"].removeprefix("bytes=").split("-"))
        if stop - start > 1_000_000:
            return lose_request(app, environ, start_response)
        return app(environ, start_response)

    run, _ = run_streamed_with(lose_large_requests, applet, platform, bam, times=1000)
    assert run.failure[0] == "AppInternalError", run.failure
    assert is_a_known_message(run.failure[1].removeprefix("AppInternalError: "), "AppInternalError")
    assert "samtools call" in run.log, "nothing was counted"
    assert URL_PART not in run.log + str(run.job)


@pytest.mark.parametrize("option", ["stream_bam=true", "subjobs=2"])
def test_a_corrupt_file_is_distinguished_from_a_network_fault(
    applet: Applet, tmp_path: Path, option: str
) -> None:
    bam = make_big_bam(tmp_path / "x.bam", contigs=2, reads=100_000)
    content = bytearray(bam.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(200)
    bam.write_bytes(content)
    run = applet.run(bam, index_of(bam), option)
    assert run.failure[0] == "AppError"
    assert re.search(r"samtools failed while counting .* of x\.bam", run.failure[1])
    assert URL_PART not in run.log + str(run.job)


def test_corrupt_transfers_fail_the_job_instead_of_changing_the_counts(
    applet: Applet, platform: LocalPlatform, tmp_path: Path
) -> None:
    bam = make_big_bam(tmp_path / "x.bam", contigs=2, reads=50_000)
    run, _ = run_streamed_with(corrupt, applet, platform, bam, times=1000)
    assert run.state == "failed"
    assert run.produced == []


def subjobs_of(platform: LocalPlatform, job_id: str) -> list[Job]:
    return [job for job in platform.jobs.by_id.values() if job.parent and job.parent.id == job_id]


def test_counts_that_exceed_the_maximum_json_size_are_passed_as_files(
    applet: Applet, platform: LocalPlatform, tmp_path: Path
) -> None:
    """The counts of 60,000 windows are larger than the outputs of a job may be."""
    contigs = {"chr1": 40_000_000, "chr2": 20_000_000}
    reads = [Read(contig, at) for contig in contigs for at in range(500, 20_000_000, 7_000)]
    bam = write_bam(tmp_path / "x.bam", contigs, reads)
    single = applet.run(bam, index_of(bam), "windows=1000", "report=false")
    run = applet.run(bam, index_of(bam), "windows=1000", "report=false", "subjobs=2")
    assert run.state == "done", run.failure
    assert (run.count_file, run.table) == (single.count_file, single.table)
    assert len(json.dumps(run.table)) > 10 * MAX_CHARACTERS
    (merge,) = (job for job in subjobs_of(platform, run.job["id"]) if job.function == "merge")
    # dxpy writes the whole input to the log.
    assert len(json.dumps(merge.input)) < 1_000
    # The count files are removed with the workspace.
    for link in merge.input["counts"]:
        assert link["$dnanexus_link"] not in platform.store.objects


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BAM large enough to be split among subjobs, of few long reads."""
    folder = tmp_path_factory.mktemp("large")
    return make_big_bam(folder / "l.bam", contigs=2, reads=2550, bases=20_000)


def start(dx: Dx, applet: Applet, bam: Path, *options: str) -> str:
    """Starts a job with a BAM and its index; returns its ID."""
    files = {"mappings_sorted_bam": bam, "mappings_sorted_bai": index_of(bam)}
    values = [*(f"{name}={dx.upload(file)}" for name, file in files.items()), *options]
    inputs = [part for value in values for part in ("-i", value)]
    return dx.ok("run", applet.id, *inputs, "--destination", f"{dx.folder}/o", "--brief", "-y")


def wait_for_subjobs(platform: LocalPlatform, job_id: str) -> list[Job]:
    """Waits until a counting subjob is running; returns all counting subjobs."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        counting = [job for job in subjobs_of(platform, job_id) if job.function == "count_part"]
        if any(job.state == "running" and job.worker is not None for job in counting):
            return counting
        time.sleep(0.01)
    raise AssertionError("no subjob started")


def test_only_a_subjob_that_loses_its_worker_is_restarted(
    dx: Dx, applet: Applet, platform: LocalPlatform, large: Path
) -> None:
    job_id = start(dx, applet, large, "subjobs=2")
    lost = next(job for job in wait_for_subjobs(platform, job_id) if job.state == "running")
    platform.jobs.lose_worker(lost.id)
    dx.ok("wait", job_id)
    job = dx.describe(job_id)
    # Only this subjob is restarted.
    tries = [one.try_number for one in subjobs_of(platform, job_id) if one is not lost]
    assert (job["state"], job["try"], lost.try_number, tries) == ("done", 0, 1, [0, 0])
    done = platform.store.content(
        platform.store.find_object(job["output"]["count_file"]["$dnanexus_link"])
    )
    assert done.read_text() == expected_count_file(large)


def test_an_interrupted_parent_job_terminates_and_restarts_its_subjobs(
    dx: Dx, applet: Applet, platform: LocalPlatform, large: Path
) -> None:
    """The job exits after it has started the subjobs; then it has no worker to lose."""
    interrupted = threading.Event()

    def wait(app: Any, environ: Any, start_response: Any) -> Any:
        interrupted.wait(60)
        return app(environ, start_response)

    platform.faults.add("/job/new", wait, times=1)
    job_id = start(dx, applet, large, "subjobs=2")
    wait_for_subjobs(platform, job_id)
    platform.jobs.lose_worker(job_id, "SpotInstanceInterruption")
    interrupted.set()
    dx.ok("wait", job_id)
    job = dx.describe(job_id)
    assert (job["state"], job["try"]) == ("done", 1)
    states = [(one.parent_try, one.function, one.state) for one in subjobs_of(platform, job_id)]
    assert states.count((1, "count_part", "done")) == 2
    assert {state for number, _, state in states if number == 0} == {"terminated"}
    done = platform.store.content(
        platform.store.find_object(job["output"]["count_file"]["$dnanexus_link"])
    )
    assert done.read_text() == expected_count_file(large)
    with pytest.raises(ValueError, match="no worker"):
        platform.jobs.lose_worker(job_id)


def test_a_failed_subjob_fails_the_job_with_its_message(
    dx: Dx, applet: Applet, platform: LocalPlatform, large: Path
) -> None:
    job_id = start(dx, applet, large, "subjobs=2")
    wait_for_subjobs(platform, job_id)
    platform.faults.add(BYTES, FORBIDDEN, times=10_000)
    dx("wait", job_id)
    job = dx.describe(job_id)
    assert (job["state"], job["failureReason"]) == ("failed", "AppError")
    assert "l.bam cannot be streamed" in job["failureMessage"]
    assert job["failureFrom"]["function"] == "count_part"
    assert URL_PART not in str(job)
    for one in subjobs_of(platform, job_id):
        assert one.state in ("failed", "terminated")
        assert not any(URL_PART in str(line) for line in one.log.follow(10_000, wait=False))
