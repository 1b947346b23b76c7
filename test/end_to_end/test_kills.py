"""If any process is killed, the job ends, says what happened, and leaves no process."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from builders import make_big_bam
from dx_client import Applet, Dx
from local_platform import LocalPlatform

# Nobody can stop a process of a real worker.
pytestmark = pytest.mark.usefixtures("platform")

HANG_SECONDS = 60


@pytest.fixture(scope="module")
def inputs(dx: Dx, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The input arguments for a BAM that takes samtools long enough to be caught at work."""
    bam = make_big_bam(tmp_path_factory.mktemp("big") / "big.bam", contigs=2, reads=1_000_000)
    return [
        *("-i", f"mappings_sorted_bam={dx.upload(bam)}"),
        *("-i", f"mappings_sorted_bai={dx.upload(Path(f'{bam}.bai'))}"),
    ]


def processes_of(job_id: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if process.environ().get("DX_JOB_ID") == job_id:
                yield process
        except psutil.Error:  # gone, or a zombie
            continue


def start_and_hold(applet: Applet, inputs: list[str]) -> tuple[str, psutil.Process]:
    """Start a job, and stop the first samtools in it that counts; gives both."""
    job_id = applet.dx.ok("run", applet.id, *inputs, "--brief", "-y")
    return job_id, hold(job_id)


def hold(job_id: str) -> psutil.Process:
    """Stop the first samtools in a job that counts."""
    deadline = time.monotonic() + HANG_SECONDS
    while time.monotonic() < deadline:
        for process in psutil.process_iter():
            try:
                # The name first: it takes long to look into every process's environment.
                if (
                    process.name() == "samtools"
                    and "view" in process.cmdline()
                    and process.environ().get("DX_JOB_ID") == job_id
                ):
                    process.suspend()
                    return process
            except psutil.Error:  # gone, or a zombie
                continue
    raise AssertionError(f"no samtools was seen in {job_id}")


def ended(dx: Dx, job_id: str) -> dict[str, Any]:
    """The job's description, once it is over; nothing of it is left by then."""
    dx("wait", job_id)
    job = dx.describe(job_id)
    assert list(processes_of(job_id)) == []
    assert job["output"] is None
    return job


def kill(process: psutil.Process | None) -> None:
    assert process is not None
    process.kill()


def killed_twice(applet: Applet, inputs: list[str], platform: LocalPlatform, parent: bool) -> Any:
    """Kill a samtools that counts, or the process that has started it, in both tries of a job."""
    job_id, samtools = start_and_hold(applet, inputs)
    kill(samtools.parent() if parent else samtools)
    job = platform.jobs.by_id[job_id]
    with platform.store.changed:
        assert platform.store.changed.wait_for(lambda: job.try_number == 1, HANG_SECONDS)
    samtools = hold(job_id)
    kill(samtools.parent() if parent else samtools)
    described = ended(applet.dx, job_id)
    # Memory ran out, so that the job is tried once more: on a larger worker, if that is allowed.
    assert (described["state"], described["try"]) == ("failed", 1)
    assert described["failureReason"] == "AppInsufficientResourceError"
    return described


def test_a_killed_samtools_fails_the_job(
    applet: Applet, inputs: list[str], platform: LocalPlatform
) -> None:
    job = killed_twice(applet, inputs, platform, parent=False)
    assert "samtools was killed or ran out of memory while counting" in job["failureMessage"]


def test_a_killed_process_of_the_pool_fails_the_job(
    applet: Applet, inputs: list[str], platform: LocalPlatform
) -> None:
    job = killed_twice(applet, inputs, platform, parent=True)
    assert "A counting process ended with exit code -9" in job["failureMessage"]


def test_a_killed_main_process_fails_the_job(applet: Applet, inputs: list[str]) -> None:
    job_id, samtools = start_and_hold(applet, inputs)
    worker = samtools.parent()
    main = None if worker is None else worker.parent()
    assert main is not None
    main.kill()
    job = ended(applet.dx, job_id)
    assert (job["state"], job["failureReason"]) == ("failed", "AppInternalError")


def test_a_terminated_job_is_gone(applet: Applet, inputs: list[str]) -> None:
    job_id, _ = start_and_hold(applet, inputs)
    applet.dx.ok("terminate", job_id)
    assert ended(applet.dx, job_id)["state"] == "terminated"


def test_a_job_that_takes_too_long_is_gone(
    applet: Applet, inputs: list[str], platform: LocalPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_spec = platform.store.find_object(applet.id).spec["runSpec"]
    monkeypatch.setitem(run_spec, "timeoutPolicy", {"*": {"minutes": 0.1}})
    job_id, _ = start_and_hold(applet, inputs)
    job = ended(applet.dx, job_id)
    assert (job["state"], job["failureReason"]) == ("failed", "JobTimeoutExceeded")
