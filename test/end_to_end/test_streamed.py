"""Counting a file where it is, on one worker and on several, gives what it gives on disk."""

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

pytestmark = pytest.mark.usefixtures("no_fault_is_left")

# In the URL of a file, which nobody may see who could not read the file anyway.
SECRET = "/F/D/"
BYTES = r"/F/D/.*\.bam"
BUSY = answer("503 Service Unavailable")
FORBIDDEN = answer("403 Forbidden")


BOTH = ("stream_bam=true", "subjobs=3")
STREAMED, SUBJOBS = (BOTH[:1], BOTH[1:])
SMALL = {f"HLA-A*{n:02}:01": n % 3 for n in range(200)}
# Each with the ways in which it is counted.
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


@pytest.mark.parametrize(("ways", "write"), FILES.values(), ids=FILES.keys())
def test_the_outputs_are_those_of_a_file_on_disk(
    applet: Applet, tmp_path: Path, ways: tuple[str, ...], write: Callable[[Path], Path]
) -> None:
    the_outputs_are_those_of_a_file_on_disk(applet, write(tmp_path), ways)


@pytest.mark.parametrize("kind", ["BAM", "CRAM"])
def test_the_outputs_of_long_reads_are_those_of_a_file_on_disk(
    applet: Applet, large: Path, kind: str
) -> None:
    path = large if kind == "BAM" else cram_of(large)
    assert path.stat().st_size > 60_000_000
    for run in the_outputs_are_those_of_a_file_on_disk(applet, path, BOTH):
        calls = re.search(r" (\d+) samtools calls ", run.log)
        assert calls is not None and int(calls[1]) > 2, "no sequence was cut into parts"


def the_outputs_are_those_of_a_file_on_disk(
    applet: Applet, path: Path, ways: tuple[str, ...]
) -> list[Run]:
    """Returns the jobs in which it was streamed."""
    on_disk = applet.run(path, index_of(path))
    assert on_disk.count_file == expected_count_file(path)
    runs = [applet.run(path, index_of(path), how) for how in ways]
    for streamed in runs:
        assert streamed.state == "done", streamed.log
        assert streamed.produced == on_disk.produced
        assert (streamed.count_file, streamed.table) == (on_disk.count_file, on_disk.table)
        assert streamed.job["output"]["total_records"] == on_disk.job["output"]["total_records"]
    return runs


def test_selected_records_of_regions_of_a_streamed_file_are_counted(
    applet: Applet, tmp_path: Path
) -> None:
    bam = make_big_bam(tmp_path / "x.bam", contigs=3, reads=50_000)
    asked = ("regions=chr1:1-500000", "regions=chr2", "min_mapping_quality=60")
    on_disk = applet.run(bam, index_of(bam), *asked, "include_unplaced=true")
    for how in ("stream_bam=true", "subjobs=2"):
        streamed = applet.run(bam, index_of(bam), *asked, "include_unplaced=true", how)
        assert streamed.state == "done", streamed.log
        assert streamed.table == on_disk.table


def test_without_an_index_no_file_is_streamed(applet: Applet, bam: Path) -> None:
    run = applet.run(bam, None, "stream_bam=true")
    assert run.failure == (
        "AppError",
        "stream_bam: requires an index. Provide mappings_sorted_bai, or omit stream_bam.",
    )


def run_streamed_with(
    fault: Fault, applet: Applet, platform: LocalPlatform, bam: Path, times: int
) -> tuple[Run, Injection]:
    """Streams a file with this many failing reads; returns the run and the injected fault."""
    injected: list[Injection] = []
    run = applet.run(
        bam,
        index_of(bam),
        "stream_bam=true",
        before=lambda: injected.append(platform.faults.add(BYTES, fault, times)),
    )
    return run, injected[0]


PASSING: dict[str, Fault] = {
    "refused for now": BUSY,
    "the connection is lost": lose_request,
    "the connection ends early": cut,
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
def test_a_fault_of_the_network_that_passes_changes_nothing(
    applet: Applet, platform: LocalPlatform, tmp_path: Path, fault: Fault
) -> None:
    bam = make_big_bam(tmp_path / "x.bam", contigs=2, reads=50_000)
    run, injected = run_streamed_with(fault, applet, platform, bam, times=1)
    assert injected.times == 0, "the fault never happened"
    assert run.state == "done", run.log
    assert run.count_file == expected_count_file(bam)
    assert "Trying again in 1 s" in run.log
    assert SECRET not in run.log


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(FORBIDDEN, "AppError"), (lose_request, "AppInternalError")],
    ids=["refused", "lost"],
)
def test_a_fault_of_the_network_that_lasts_fails_the_job_and_does_not_tell_the_url(
    applet: Applet, platform: LocalPlatform, bam: Path, fault: Fault, kind: str
) -> None:
    run, _ = run_streamed_with(fault, applet, platform, bam, times=1000)
    assert run.failure[0] == kind
    assert is_a_known_message(run.failure[1].removeprefix(f"{kind}: "), kind)
    assert SECRET not in run.log + str(run.job)
    assert run.produced == []


def test_a_count_that_the_network_fails_does_not_tell_the_url(
    applet: Applet, platform: LocalPlatform, tmp_path: Path
) -> None:
    """The header and the index are read; what goes to samtools is lost."""
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
    assert SECRET not in run.log + str(run.job)


@pytest.mark.parametrize("how", ["stream_bam=true", "subjobs=2"])
def test_a_damaged_file_is_told_from_a_broken_network(
    applet: Applet, tmp_path: Path, how: str
) -> None:
    bam = make_big_bam(tmp_path / "x.bam", contigs=2, reads=100_000)
    content = bytearray(bam.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(200)
    bam.write_bytes(content)
    run = applet.run(bam, index_of(bam), how)
    assert run.failure[0] == "AppError"
    assert re.search(r"samtools failed while counting .* of x\.bam", run.failure[1])
    assert SECRET not in run.log + str(run.job)


def test_wrong_bytes_give_no_wrong_count(
    applet: Applet, platform: LocalPlatform, tmp_path: Path
) -> None:
    bam = make_big_bam(tmp_path / "x.bam", contigs=2, reads=50_000)
    run, _ = run_streamed_with(corrupt, applet, platform, bam, times=1000)
    assert run.state == "failed"
    assert run.produced == []


def subjobs_of(platform: LocalPlatform, run_of: str) -> list[Job]:
    return [job for job in platform.jobs.by_id.values() if job.parent and job.parent.id == run_of]


# The file is 4 tasks, as each is worth 30 MB of it: 3 subjobs would end no earlier than 2.
@pytest.mark.parametrize(("subjobs", "started"), [(1, 1), (3, 2), (30, 4)])
def test_any_number_of_subjobs_gives_the_same(
    applet: Applet, platform: LocalPlatform, large: Path, subjobs: int, started: int
) -> None:
    run = applet.run(large, index_of(large), f"subjobs={subjobs}")
    assert run.state == "done", run.log
    assert run.count_file == expected_count_file(large)
    counting = [job for job in subjobs_of(platform, run.job["id"]) if job.function == "count_part"]
    assert len(counting) == started
    # They read the index that the job was given.
    index = run.job["input"]["mappings_sorted_bai"]
    assert all(job.input["mappings_sorted_bai"] == index for job in counting)


def test_counts_that_are_too_long_for_json_are_handed_over(
    applet: Applet, platform: LocalPlatform, tmp_path: Path
) -> None:
    """60,000 windows: their numbers alone are more than the platform takes as an output."""
    contigs = {"chr1": 40_000_000, "chr2": 20_000_000}
    reads = [Read(contig, at) for contig in contigs for at in range(500, 20_000_000, 7_000)]
    bam = write_bam(tmp_path / "x.bam", contigs, reads)
    on_disk = applet.run(bam, index_of(bam), "windows=1000", "report=false")
    run = applet.run(bam, index_of(bam), "windows=1000", "report=false", "subjobs=2")
    assert run.state == "done", run.failure
    assert (run.count_file, run.table) == (on_disk.count_file, on_disk.table)
    assert len(json.dumps(run.table)) > 10 * MAX_CHARACTERS
    (merge,) = (job for job in subjobs_of(platform, run.job["id"]) if job.function == "merge")
    # dxpy writes the whole input to the log.
    assert len(json.dumps(merge.input)) < 1_000
    # The files of the counts are gone with the workspace.
    for link in merge.input["counts"]:
        assert link["$dnanexus_link"] not in platform.store.objects


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that is worth to be shared: of long reads, so that few of them make it large."""
    folder = tmp_path_factory.mktemp("large")
    return make_big_bam(folder / "l.bam", contigs=2, reads=2550, bases=20_000)


def start(dx: Dx, applet: Applet, bam: Path, *options: str) -> str:
    files = {"mappings_sorted_bam": bam, "mappings_sorted_bai": index_of(bam)}
    given = [f"{name}={dx.upload(file)}" for name, file in files.items()] + [*options]
    inputs = [part for value in given for part in ("-i", value)]
    return dx.ok("run", applet.id, *inputs, "--destination", f"{dx.folder}/o", "--brief", "-y")


def subjobs_that_run(platform: LocalPlatform, job_id: str) -> list[Job]:
    """The subjobs that count, as soon as one of them is about to read its part."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        counting = [job for job in subjobs_of(platform, job_id) if job.function == "count_part"]
        if any(job.state == "running" and job.worker is not None for job in counting):
            return counting
        time.sleep(0.01)
    raise AssertionError("no subjob began")


def test_a_subjob_that_loses_its_worker_is_done_again(
    dx: Dx, applet: Applet, platform: LocalPlatform, large: Path
) -> None:
    job_id = start(dx, applet, large, "subjobs=2")
    lost = next(job for job in subjobs_that_run(platform, job_id) if job.state == "running")
    platform.jobs.lose_worker(lost.id)
    dx.ok("wait", job_id)
    job = dx.describe(job_id)
    # Nothing but its own share is counted again.
    tries = [one.try_number for one in subjobs_of(platform, job_id) if one is not lost]
    assert (job["state"], job["try"], lost.try_number, tries) == ("done", 0, 1, [0, 0])
    done = platform.store.content(
        platform.store.find_object(job["output"]["count_file"]["$dnanexus_link"])
    )
    assert done.read_text() == expected_count_file(large)


def test_a_first_job_that_is_interrupted_ends_its_subjobs_and_starts_them_again(
    dx: Dx, applet: Applet, platform: LocalPlatform, large: Path
) -> None:
    """To start subjobs is the last that it does; from then on it has no worker to lose."""
    lost = threading.Event()

    def wait(app: Any, environ: Any, start_response: Any) -> Any:
        lost.wait(60)
        return app(environ, start_response)

    platform.faults.add("/job/new", wait, times=1)
    job_id = start(dx, applet, large, "subjobs=2")
    subjobs_that_run(platform, job_id)
    platform.jobs.lose_worker(job_id, "SpotInstanceInterruption")
    lost.set()
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


def test_a_subjob_that_fails_fails_the_whole_with_its_own_message(
    dx: Dx, applet: Applet, platform: LocalPlatform, large: Path
) -> None:
    job_id = start(dx, applet, large, "subjobs=2")
    subjobs_that_run(platform, job_id)
    platform.faults.add(r"/F/D/.*\.bam", FORBIDDEN, times=10_000)
    dx("wait", job_id)
    job = dx.describe(job_id)
    assert (job["state"], job["failureReason"]) == ("failed", "AppError")
    assert "l.bam cannot be streamed" in job["failureMessage"]
    assert job["failureFrom"]["function"] == "count_part"
    assert SECRET not in str(job)
    for one in subjobs_of(platform, job_id):
        assert one.state in ("failed", "terminated")
        assert not any(SECRET in str(line) for line in one.log.follow(10_000, wait=False))
