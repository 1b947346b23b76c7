#!/usr/bin/env python3
"""Counts the reads of a coordinate-sorted BAM, region by region, on every core of the worker.

This is the applet's entry point and the only part that knows the platform. The steps themselves
are in the package readcount, which the platform puts beside it in the worker's home.
"""

import multiprocessing
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import dxpy

from readcount.counts import TaskCounts, count_file_name, format_counts, merge_counts
from readcount.errors import InputError, ReadCountError
from readcount.inputs import side_by_side
from readcount.plan import Task, plan_tasks
from readcount.regions import Region, read_contigs
from readcount.samtools import run_task

DXLink = dict[str, Any]


@dxpy.entry_point("main")
def main(mappings_sorted_bam: DXLink, mappings_sorted_bai: DXLink) -> dict[str, DXLink]:
    """Counts every record that has a place on a reference sequence.

    The inputs are read by dxpy.download_all_inputs(), which takes them from the job itself.

    Args:
        mappings_sorted_bam: link to a coordinate-sorted BAM.
        mappings_sorted_bai: link to its index.

    Returns:
        A link to the uploaded count file, as "count_file".

    Raises:
        dxpy.AppError: an input is at fault, and whoever gave it can put it right.
        dxpy.AppInternalError: counting failed.
    """
    cores = multiprocessing.cpu_count()
    # Transfers leave threads alive, and a fork beside threads can deadlock: the Pool comes first.
    # It has to be a fork, because another start method would run the platform's launcher again.
    pool = multiprocessing.get_context("fork").Pool(processes=cores)
    with pool, platform_errors():
        inputs = dxpy.download_all_inputs()
        bam = side_by_side(
            bam=Path(inputs["mappings_sorted_bam_path"][0]),
            index=Path(inputs["mappings_sorted_bai_path"][0]),
            folder=Path("side_by_side"),
        )

        contigs = read_contigs(bam)
        regions = [Region(contig) for contig in contigs]
        plan = plan_tasks(regions, contigs, cores)
        log(f"{cores} cores; {plan}")

        start = time.monotonic()
        counted = pool.imap_unordered(partial(run_task, bam), enumerate(plan.tasks), chunksize=1)
        counts = merge_counts(plan, log_tenths(counted, plan.tasks))
        records, seconds = sum(count.records for count in counts), time.monotonic() - start
        log(f"counted {records:,} records of {bam.name} in {seconds:,.1f} s")

    count_file = Path("counts.txt")
    count_file.write_text(format_counts(counts), encoding="utf-8")

    uploaded = dxpy.upload_local_file(str(count_file), name=count_file_name(bam.name))
    return {"count_file": dxpy.dxlink(uploaded)}


@contextmanager
def platform_errors() -> Iterator[None]:
    """Turns the package's errors into the platform's two kinds: the user's to mend, or ours."""
    try:
        yield
    except InputError as error:
        raise dxpy.AppError(str(error)) from error
    except ReadCountError as error:
        raise dxpy.AppInternalError(str(error)) from error


def log_tenths(counted: Iterable[TaskCounts], tasks: Sequence[Task]) -> Iterator[TaskCounts]:
    """Passes counts on, with a line of log for each tenth of the records that has come in."""
    start = time.monotonic()
    expected = sum(task.records for task in tasks)
    come, records, logged = 0.0, 0, 0
    for counts in counted:
        come += tasks[counts.task].records
        records += sum(counts.records)
        # The 1e-9 is for sums of parts that fall short of the whole in the last digit.
        tenths = int(10 * come / expected + 1e-9) if expected else 0
        if tenths > logged:
            logged = tenths
            rate = records / max(time.monotonic() - start, 1e-9)
            log(f"{10 * tenths} %: {records:,} records counted, {rate:,.0f} per second")
        yield counts


def log(message: str) -> None:
    """Writes a line to the job's log at once."""
    print(message, flush=True)


if __name__ == "__main__":
    dxpy.run()
