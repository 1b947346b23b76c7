"""Subjobs: what each counts, how they are started, and the files with their counts.

Every job makes the same plan from the same inputs. A subjob counts its share of the tasks; its
output is a file in the shared workspace, which the platform deletes when the first job has ended.
The inputs and outputs of jobs contain only links, because the platform limits their size.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dxpy

from readcount.counting.counts_file import read_counts, write_counts
from readcount.dnanexus import COUNTS, upload
from readcount.errors import SubjobError
from readcount.outputs.files import fields_written
from readcount.planning.divide import Share, Subjob, divide
from readcount.planning.task import Plan
from readcount.platform_files import PlatformFile, download
from readcount.regions.counts import TaskCounts
from readcount.request.request import Request
from readcount.source.files import InputFiles
from readcount.threads import SIDE_BY_SIDE


def divide_plan(
    plan: Plan, request: Request, files: InputFiles, expected: str | None = None
) -> tuple[str, list[Share]]:
    """Divides the tasks of a plan among the subjobs; the result is the same in every job.

    Args:
        plan: all tasks.
        request: what the user asks for.
        files: the input files.
        expected: the digest computed by the first job; None in the first job.

    Returns:
        A digest of the plan's inputs, and the share of each subjob.

    Raises:
        SubjobError: the first job's plan was made from other inputs.
    """
    digest = _digest(request, files, len(plan.tasks))
    if expected not in (None, digest):
        raise SubjobError(
            "This job has planned the count in another way than the job that started it. Run the "
            "job again."
        )
    parts = divide(plan.tasks, request.subjobs)
    return digest, [Share(digest, at, len(parts), tasks) for at, tasks in enumerate(parts)]


def _digest(request: Request, files: InputFiles, tasks: int) -> str:
    asked = json.dumps([asdict(request), tasks], sort_keys=True)
    digest = hashlib.sha256(asked.encode())
    for path in filter(None, [files.index, files.bed]):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def start_subjobs(
    job_input: dict[str, Any], request: Request, digest: str, shares: Sequence[Share]
) -> dict[str, Any]:
    """Starts the subjobs and a job that merges their counts.

    This is the last step of the first job: if its worker is lost meanwhile, the platform terminates
    the subjobs and restarts the first job.

    Returns:
        References to the merging job's outputs.
    """
    fields = [*fields_written(request), "total_records"]
    return start_jobs("count_part", {**job_input, "plan": digest}, shares, fields)


def start_jobs(
    entry_point: str, given: dict[str, Any], subjobs: Sequence[Subjob], outputs: Sequence[str]
) -> dict[str, Any]:
    """Starts a job for each subjob, and one at the entry point `merge` that gets their counts.

    Args:
        entry_point: what the subjobs run.
        given: the input that all of these jobs get.
        subjobs: the subjobs.
        outputs: names of the merging job's outputs.

    Returns:
        References to these outputs.
    """

    def start(subjob: Subjob) -> Any:
        return dxpy.new_dxjob({**given, "subjob": subjob.subjob}, entry_point, name=str(subjob))

    with ThreadPoolExecutor(SIDE_BY_SIDE) as threads:
        counts = [job.get_output_ref(COUNTS) for job in threads.map(start, subjobs)]
    merging = dxpy.new_dxjob({**given, COUNTS: counts}, "merge", name="merge")
    return {name: merging.get_output_ref(name) for name in outputs}


def upload_counts(share: Share, counted: Iterable[TaskCounts]) -> dict[str, Any]:
    """Uploads the counts of a subjob; returns its output, a link to the file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "counts.npz"
        write_counts(path, share, counted)
        return {COUNTS: upload(path, f"{share}.npz")}


def fetch_counts(files: Sequence[PlatformFile], shares: Sequence[Share]) -> Iterator[TaskCounts]:
    """Yields the counts of the subjobs, reading one file at a time.

    Raises:
        InputError: the platform refuses access to a file.
        SubjobError: a file belongs to another subjob.
    """
    if len(files) != len(shares):
        raise SubjobError(
            f"There are counts of {len(files):,} subjobs instead of {len(shares):,}. Run the job "
            "again."
        )
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.npz" for number in range(len(files))]
        with ThreadPoolExecutor(SIDE_BY_SIDE) as threads:
            list(threads.map(download, files, paths))
        for path, share in zip(paths, shares, strict=True):
            yield from read_counts(path, share)
