#!/usr/bin/env python3
"""Counts the reads of a coordinate-sorted BAM, region by region, on every core of the worker.

This is the applet's entry point and the only part that knows the platform. The steps themselves
are in the package readcount, which the platform puts beside it in the worker's home.
"""

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import dxpy

from readcount.counts import count_file_name, format_counts, merge_counts
from readcount.errors import InputError, ReadCountError
from readcount.inputs import side_by_side
from readcount.plan import plan_tasks
from readcount.regions import regions_from_header
from readcount.samtools import run_task

DXLink = dict[str, Any]
T = TypeVar("T")


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

        regions = regions_from_header(bam)
        tasks = plan_tasks(regions)
        log(f"{cores} cores; {len(regions):,} regions; {len(tasks):,} tasks")

        results = pool.imap_unordered(partial(run_task, bam), tasks, chunksize=1)
        finished = log_tenths(results, total=len(tasks))
        counts = merge_counts(regions, (count for task in finished for count in task))

    count_file = Path("counts.txt")
    count_file.write_text(format_counts(counts), encoding="utf-8")
    log(f"counted {sum(count.records for count in counts):,} records of {bam.name}")

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


def log_tenths(results: Iterator[T], total: int) -> Iterator[T]:
    """Passes results on, with a line of log for each tenth of the total that has come in."""
    logged = 0
    for done, result in enumerate(results, start=1):
        tenths = 10 * done // total
        if tenths > logged:
            logged = tenths
            log(f"{done:,} of {total:,} tasks done")
        yield result


def log(message: str) -> None:
    """Writes a line to the job's log at once."""
    print(message, flush=True)


if __name__ == "__main__":
    dxpy.run()
