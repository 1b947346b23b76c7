"""If a process of a job is killed, the job fails, says why, and leaves no process running."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from builders import make_big_bam
from dx_client import Applet, Dx
from local_platform import LocalPlatform

# Processes of a job on the real platform cannot be killed from here.
pytestmark = pytest.mark.usefixtures("platform")

TIMEOUT_SECONDS = 60


@pytest.fixture(scope="module")
def inputs(dx: Dx, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Input arguments with a BAM that takes long enough to suspend samtools while it counts."""
    bam = make_big_bam(tmp_path_factory.mktemp("big") / "big.bam", contigs=2, reads=1_000_000)
    return [
        *("-i", f"mappings_sorted_bam={dx.upload(bam)}"),
        *("-i", f"mappings_sorted_bai={dx.upload(Path(f'{bam}.bai'))}"),
    ]


def processes_of(job_id: str) -> Iterator[psutil.Process]:
    """Yields the processes of a job that are still running."""
    for process in psutil.process_iter():
        try:
            if process.environ().get("DX_JOB_ID") == job_id:
                yield process
        except psutil.Error:  # gone, or a zombie
            continue


def start_and_suspend(applet: Applet, inputs: list[str]) -> tuple[str, psutil.Process]:
    """Starts a job and suspends samtools; returns the ID of the job and the process."""
    job_id = applet.dx.ok("run", applet.id, *inputs, "--brief", "-y")
    return job_id, suspend_samtools(job_id)


def suspend_samtools(job_id: str) -> psutil.Process:
    """Suspends the first samtools of a job that counts, and returns it."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        for process in psutil.process_iter():
            try:
                # The name is checked first, because reading each environment is slow.
                if (
                    process.name() == "samtools"
                    and "view" in process.cmdline()
                    and process.environ().get("DX_JOB_ID") == job_id
                ):
                    process.suspend()
                    return process
            except psutil.Error:  # gone, or a zombie
                continue
    raise AssertionError(f"{job_id} has not started samtools")


def wait_for_end(dx: Dx, job_id: str) -> dict[str, Any]:
    """Waits until a job has ended and checks that nothing is left; returns its description."""
    job = dx.wait_for(job_id)
    assert list(processes_of(job_id)) == []
    assert job["output"] is None
    return job


def kill(process: psutil.Process | None) -> None:
    assert process is not None
    process.kill()


def kill_in_both_tries(
    applet: Applet, inputs: list[str], platform: LocalPlatform, parent: bool
) -> Any:
    """Kills samtools, or its parent, in both tries of a job; returns the job's description."""
    job_id, samtools = start_and_suspend(applet, inputs)
    kill(samtools.parent() if parent else samtools)
    job = platform.jobs.by_id[job_id]
    with platform.store.changed:
        assert platform.store.changed.wait_for(lambda: job.try_number == 1, TIMEOUT_SECONDS)
    samtools = suspend_samtools(job_id)
    kill(samtools.parent() if parent else samtools)
    job_description = wait_for_end(applet.dx, job_id)
    # A killed process may be due to a lack of memory, so the job is restarted once.
    assert (job_description["state"], job_description["try"]) == ("failed", 1)
    assert job_description["failureReason"] == "AppInsufficientResourceError"
    return job_description


def test_a_killed_samtools_fails_the_job(
    applet: Applet, inputs: list[str], platform: LocalPlatform
) -> None:
    job = kill_in_both_tries(applet, inputs, platform, parent=False)
    assert "samtools was killed or ran out of memory while counting" in job["failureMessage"]


def test_a_killed_pool_process_fails_the_job(
    applet: Applet, inputs: list[str], platform: LocalPlatform
) -> None:
    job = kill_in_both_tries(applet, inputs, platform, parent=True)
    assert "A counting process ended with exit code -9" in job["failureMessage"]


def test_a_killed_main_process_fails_the_job(applet: Applet, inputs: list[str]) -> None:
    job_id, samtools = start_and_suspend(applet, inputs)
    worker = samtools.parent()
    main = None if worker is None else worker.parent()
    assert main is not None
    main.kill()
    job = wait_for_end(applet.dx, job_id)
    assert (job["state"], job["failureReason"]) == ("failed", "AppInternalError")


def test_a_terminated_job_leaves_no_process(applet: Applet, inputs: list[str]) -> None:
    job_id, _ = start_and_suspend(applet, inputs)
    applet.dx.ok("terminate", job_id)
    assert wait_for_end(applet.dx, job_id)["state"] == "terminated"


def test_a_job_that_exceeds_its_timeout_is_terminated(
    applet: Applet, inputs: list[str], platform: LocalPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_spec = platform.store.find_object(applet.id).spec["runSpec"]
    monkeypatch.setitem(run_spec, "timeoutPolicy", {"*": {"minutes": 0.1}})
    job_id, _ = start_and_suspend(applet, inputs)
    job = wait_for_end(applet.dx, job_id)
    assert (job["state"], job["failureReason"]) == ("failed", "JobTimeoutExceeded")
