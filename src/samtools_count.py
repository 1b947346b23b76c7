#!/usr/bin/env python3
"""Counts alignment records of a BAM or CRAM file by reference sequence or region.

The applet's entry point. It lists the steps: download, header, regions, samtools calls in a Pool,
merge, verification, upload. They are implemented in the package readcount, which the platform
unpacks into the worker's home folder.
"""

import gc
import resource
from collections.abc import Sequence
from multiprocessing import cpu_count
from typing import Any, NamedTuple

import dxpy

from readcount.counting.pool import start_workers
from readcount.counting.tasks import count_tasks
from readcount.dnanexus import (
    app_errors,
    fetch_inputs,
    log,
    upload_outputs,
)
from readcount.outputs.result import Result
from readcount.planning.merge import MergedCounts, merge_counts
from readcount.planning.plan import plan_count
from readcount.planning.task import Plan
from readcount.platform_files import PlatformFile
from readcount.regions.list_regions import describe_regions, list_regions
from readcount.request.request import Link, Request
from readcount.samtools import check_versions
from readcount.source.alignments import Alignments
from readcount.source.files import InputFiles
from readcount.source.header import check_read_groups
from readcount.source.opening import open_alignments
from readcount.source.parts import NO_SEQUENCE
from readcount.subjobs import (
    divide_plan,
    fetch_counts,
    start_subjobs,
    upload_counts,
)
from readcount.text import plural
from readcount.verification.verify import verify

# Number of processes per subjob assumed in the plan. It does not depend on the worker's cores, so
# that every job makes the same plan.
PROCESSES_PER_SUBJOB = 16


@dxpy.entry_point("main")
def main(**job_input: Any) -> dict[str, Any]:
    """Counts records by region: by default every record placed on a reference sequence.

    Args:
        job_input: the inputs of dxapp.json; see Request.

    Returns:
        Links to the uploaded files: "count_file", "counts_table", "multiqc_file", "report_file" if
        requested, bedGraph files for windows and intervals, and "index_file" if it was created
        here; and "total_records".

    Raises:
        dxpy.AppError: an input is wrong, and the user can fix it.
        dxpy.AppInternalError: counting failed.
    """
    with app_errors():
        log(check_versions())
        request = Request(**job_input)
        if request.subjobs:
            return scatter(request, job_input)
        cores = cpu_count()
        # Start the Pool first: transfers leave threads, and forking a process with threads can
        # deadlock.
        with start_workers(request.processes(cores)) as workers:
            work = prepare(request, cores)
            work.alignments.check_index(work.plan.edges)
            log(f"{work.plan} on {plural(cores, 'core')}")
            numbers = range(len(work.plan.tasks))
            counted = count_tasks(
                work.plan, numbers, work.alignments.parts, request.filters, workers, log
            )
            merged = merge_counts(work.plan, counted)
        return finish(work, request, merged)


class Work(NamedTuple):
    """What is to be counted.

    Attributes:
        files: the input files.
        alignments: the BAM or CRAM, opened.
        plan: which samtools call reads which parts of the file.
        counts: files with the subjobs' counts; only in the merging job.
    """

    files: InputFiles
    alignments: Alignments
    plan: Plan
    counts: Sequence[PlatformFile]


def prepare(request: Request, cores: int = 1, counts: Sequence[Link] = ()) -> Work:
    """Fetches the inputs, reads the header and the index, and plans the count of each region."""
    files, described = fetch_inputs(request, counts)
    alignments = open_alignments(files, log, cores=cores)
    check_read_groups(alignments.header, request.filters, alignments.file.name)
    regions = list_regions(request, files.bed, alignments.sequences)
    log(f"counting {request.records_counted} in {describe_regions(request, files.bed)}")
    processes = request.subjobs * PROCESSES_PER_SUBJOB or request.processes(cores)
    plan = plan_count(alignments, regions, request, processes)
    return Work(files, alignments, plan, described)


def finish(work: Work, request: Request, merged: MergedCounts) -> dict[str, Any]:
    """Verifies the counts and uploads the outputs; returns links to them."""
    alignments = work.alignments
    verified = verify(merged, alignments, request.filters)
    for check in verified.checks:
        log(check)
    result = Result(
        verified,
        alignments.sequences.lengths,
        records_counted=request.records_counted,
        regions_counted=describe_regions(request, work.files.bed),
        unplaced=alignments.numbers.get(NO_SEQUENCE),
        from_index=request.from_index,
    )
    return upload_outputs(result, request, alignments.file)


def scatter(request: Request, job_input: dict[str, Any]) -> dict[str, Any]:
    """Splits the count over subjobs, and starts a job that merges their counts.

    Returns:
        References to the merging job's outputs.
    """
    work = prepare(request)
    work.alignments.check_index(work.plan.edges)
    digest, shares = divide_plan(work.plan, request, work.files)
    log(f"{work.plan} in {plural(len(shares), 'subjob')}")
    return start_subjobs(job_input, request, digest, shares)


@dxpy.entry_point("count_part")
def count_part(subjob: int, plan: str, **job_input: Any) -> dict[str, Any]:
    """Counts the tasks of one subjob.

    Args:
        subjob: number of the subjob, from 0.
        plan: digest of the plan of the job that started this one.
        job_input: input of that job.

    Returns:
        "counts": a link to the file with the records of each task.

    Raises:
        dxpy.AppError, dxpy.AppInternalError: as in main.
    """
    with app_errors():
        log(check_versions())
        request = Request(**job_input)
        with start_workers(request.processes(cpu_count())) as workers:
            work = prepare(request)
            _, shares = divide_plan(work.plan, request, work.files, plan)
            share = shares[subjob]
            log(
                f"{share}: {len(share.tasks):,} of {plural(len(work.plan.tasks), 'task')} over "
                f"{plural(len(workers.processes), 'connection')}"
            )
            parts = work.alignments.parts
            counted = list(
                count_tasks(work.plan, share.tasks, parts, request.filters, workers, log)
            )
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        log(f"{usage.ru_utime + usage.ru_stime:,.2f} s of CPU time")
        return upload_counts(share, counted)


@dxpy.entry_point("merge")
def merge(counts: Sequence[Link], plan: str, **job_input: Any) -> dict[str, Any]:
    """Merges and verifies the counts of the subjobs.

    Args:
        counts: a link to the file of each subjob, in their order.
        plan: digest of the plan of the job that started this one.
        job_input: input of that job.

    Returns:
        The outputs of main.

    Raises:
        dxpy.AppError, dxpy.AppInternalError: as in main.
    """
    with app_errors():
        log(check_versions())
        request = Request(**job_input)
        work = prepare(request, counts=counts)
        _, shares = divide_plan(work.plan, request, work.files, plan)
        merged = merge_counts(work.plan, fetch_counts(work.counts, shares))
        return finish(work, request, merged)


if __name__ == "__main__":
    # There can be millions of objects that live until the job ends; repeated garbage collection
    # would take a quarter of the run time.
    gc.disable()
    dxpy.run()
