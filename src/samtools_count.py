#!/usr/bin/env python3
"""Counts the reads of a coordinate-sorted BAM, region by region, on every core of the worker.

This is the applet's entry point and the only part that knows the platform. The steps themselves
are in the package readcount, which the platform puts beside it in the worker's home.
"""

import errno
import mimetypes
import multiprocessing
import resource
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dxpy

from readcount.checks import check_coverage, check_disk
from readcount.counting import Work, count_regions, count_tasks, merge_work, plan_work
from readcount.counts import (
    Counts,
    TaskCounts,
    check_output_prefix,
    format_counts,
    format_table,
    name_without_suffix,
)
from readcount.errors import MORE_STORAGE, InputError, ReadCountError
from readcount.indexing import index_anew
from readcount.inputs import IndexedBam, check_streaming, downloaded, in_place, packed
from readcount.multiqc import format_multiqc
from readcount.plan import STREAMS_PER_CORE, divide
from readcount.pool import start_workers
from readcount.report import format_report
from readcount.selection import make_selection
from readcount.targets import Targets

DXLink = dict[str, Any]

# A URL for reading in place outlasts the job: no job runs longer than the 12 hours of the
# timeoutPolicy in dxapp.json.
URL_SECONDS = 13 * 3600
# For which the plan is made when jobs share it, whatever their workers have: so every job comes to
# the same plan.
PROCESSES_PER_SUBJOB = 16


@dxpy.entry_point("main")
def main(
    mappings_sorted_bam: DXLink,
    mappings_sorted_bai: DXLink | None = None,
    regions: Sequence[str] = (),
    regions_bed: DXLink | None = None,
    primary_chromosomes_only: bool = False,
    include_unplaced: bool = False,
    min_mapping_quality: int = 0,
    require_flags: str = "",
    exclude_flags: str = "",
    read_groups: Sequence[str] = (),
    output_prefix: str = "",
    report: bool = True,
    stream_bam: bool = False,
    subjobs: int = 0,
) -> dict[str, Any]:
    """Counts records by region: as a rule every one that has a place on a reference sequence.

    The files are read by dxpy.download_all_inputs(), which takes them from the job itself.

    Args:
        mappings_sorted_bam: link to a coordinate-sorted BAM.
        mappings_sorted_bai: link to its index; without one it is made.
        regions: see Targets, as for the next three; 1-based and inclusive.
        regions_bed: link to a BED file; 0-based and half-open.
        primary_chromosomes_only: whether to leave out regions elsewhere.
        include_unplaced: whether to count what has no place, too.
        min_mapping_quality: see Selection, as for the next three.
        require_flags: number or names, for all of which a record needs the bits.
        exclude_flags: number or names, for none of which it may have them.
        read_groups: of which it has to be of one.
        output_prefix: what names of outputs begin with, instead of the BAM's name.
        report: whether to make a page to look at, too.
        stream_bam: whether to read the BAM where it is, instead of downloading it.
        subjobs: how many jobs to share the work at most, each of which streams; 0 for none.

    Returns:
        Links to the uploaded files: "count_file", "counts_table", "multiqc_file", "report_file" if
        it was asked for, and "index_file" if it was made here; and "total_records".

    Raises:
        dxpy.AppError: an input is at fault, and whoever gave it can put it right.
        dxpy.AppInternalError: counting failed.
    """
    with platform_errors():
        selection = make_selection(min_mapping_quality, require_flags, exclude_flags, read_groups)
        check_output_prefix(output_prefix)
        check_streaming(stream_bam, subjobs, has_index=mappings_sorted_bai is not None)
        if subjobs:
            return scatter(subjobs)
        cores = multiprocessing.cpu_count()
        # Transfers leave threads alive, and a fork beside threads can deadlock: the Pool comes
        # first.
        with start_workers(cores * STREAMS_PER_CORE if stream_bam else cores) as workers:
            if stream_bam:
                bam, bed = inputs_in_place(mappings_sorted_bam)
            else:
                files = [
                    link for link in (mappings_sorted_bam, mappings_sorted_bai, regions_bed) if link
                ]
                check_disk(
                    needed=sum(size_of(link) for link in files),
                    free=shutil.disk_usage(Path.home()).free,
                )
                inputs = dxpy.download_all_inputs()
                (bam_path,) = inputs["mappings_sorted_bam_path"]
                (index_path,) = inputs.get("mappings_sorted_bai_path", [None])
                bed = bed_of(inputs)
                bam = downloaded(bam_path, index_path)
                if index_path is None:
                    bam = index_anew(bam, cores, log)
            targets = Targets(tuple(regions), bed, primary_chromosomes_only, include_unplaced)
            counts = count_regions(bam, workers, log, targets, selection)

    output = upload_counts(counts, bam.path.name, output_prefix, report)
    if mappings_sorted_bai is None:
        index_name = f"{output_prefix or bam.path.name}{bam.index.suffix}"
        output["index_file"] = upload(bam.index, index_name)
    return output


def scatter(subjobs: int) -> dict[str, Any]:
    """Lets other jobs share the work, and another one put together what they count.

    Each works the same plan out anew from the inputs of this job, which they all get.

    Returns:
        References to what will be the outputs.
    """
    given = dxpy.describe(dxpy.JOB_ID)["input"]
    work = work_of(given)
    check_coverage(work.bam, work.header, work.contigs)
    shards = divide(work.plan.tasks, subjobs)
    log(f"{work.plan}; {len(shards)} subjobs")
    # Every one of them reads all of the index.
    if smaller := packed(work.bam.index):
        given["mappings_sorted_bai"] = upload(smaller, smaller.name)
    jobs = [
        dxpy.new_dxjob(
            {**given, "shard": number}, "count_shard", name=f"shard {number + 1} of {len(shards)}"
        )
        for number in range(len(shards))
    ]
    counted = [job.get_output_ref("records") for job in jobs]
    merging = dxpy.new_dxjob({**given, "counted": counted}, "merge", name="merge")
    outputs = ["count_file", "counts_table", "multiqc_file", "total_records"]
    if given["report"]:
        outputs.append("report_file")
    return {name: merging.get_output_ref(name) for name in outputs}


@dxpy.entry_point("count_shard")
def count_shard(shard: int, **given: Any) -> dict[str, Any]:
    """Counts a share of the tasks.

    Args:
        shard: which share, from 0.
        given: the inputs of the job that began this one.

    Returns:
        "records": what each task came to, by its number in the plan as text.

    Raises:
        dxpy.AppError, dxpy.AppInternalError: as in main.
    """
    with platform_errors():
        processes = multiprocessing.cpu_count() * STREAMS_PER_CORE
        with start_workers(processes) as workers:
            work = work_of(given)
            share = divide(work.plan.tasks, given["subjobs"])[shard]
            log(f"{processes} connections; {len(share)} of {len(work.plan.tasks)} tasks")
            counted = list(count_tasks(work, share, workers, log))
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    log(f"{usage.ru_utime + usage.ru_stime:,.2f} s of CPU time")
    return {"records": {str(counts.task): counts.records for counts in counted}}


@dxpy.entry_point("merge")
def merge(counted: Sequence[dict[str, Sequence[int]]], **given: Any) -> dict[str, Any]:
    """Puts together what the shards have counted, and checks it.

    Args:
        counted: "records" of each shard.
        given: the inputs of the job that began this one.

    Returns:
        The outputs of main.

    Raises:
        dxpy.AppError, dxpy.AppInternalError: as in main.
    """
    with platform_errors():
        work = work_of(given)
        tasks = [
            TaskCounts(int(number), tuple(records))
            for shard in counted
            for number, records in shard.items()
        ]
        counts = merge_work(work, tasks, log)
    prefix = given.get("output_prefix", "")
    return upload_counts(counts, work.bam.path.name, prefix, given["report"])


def work_of(given: dict[str, Any]) -> Work:
    """Plans the work by the inputs of a job that has subjobs."""
    bam, bed = inputs_in_place(given["mappings_sorted_bam"])
    targets = Targets(
        tuple(given.get("regions", ())),
        bed,
        given["primary_chromosomes_only"],
        given["include_unplaced"],
    )
    selection = make_selection(
        given["min_mapping_quality"],
        given.get("require_flags", ""),
        given.get("exclude_flags", ""),
        given.get("read_groups", ()),
    )
    return plan_work(bam, given["subjobs"] * PROCESSES_PER_SUBJOB, targets, selection)


def inputs_in_place(link: DXLink) -> tuple[IndexedBam, Path | None]:
    """Downloads the inputs but for the BAM; gives it as it is to be read, and the BED file's path.

    The URL is a secret, and lasts longer than the job may run.
    """
    inputs = dxpy.download_all_inputs(exclude=["mappings_sorted_bam"])
    (index_path,) = inputs["mappings_sorted_bai_path"]
    file = dxpy.get_handler(link)
    described = file.describe()
    url, _ = file.get_download_url(preauthenticated=True, duration=URL_SECONDS)
    name = described["name"].replace("/", "%2F")
    return in_place(url, name, described["size"], index_path), bed_of(inputs)


def bed_of(inputs: dict[str, Any]) -> Path | None:
    """Gives the path of the BED file among inputs that were downloaded, if there is one."""
    (path,) = inputs.get("regions_bed_path", [None])
    return Path(path) if path else None


def upload_counts(counts: Counts, bam_name: str, prefix: str, report: bool) -> dict[str, Any]:
    """Uploads the files that hold the counts; gives the outputs."""
    name = prefix or name_without_suffix(bam_name)
    # All is written out before the first file is uploaded.
    texts = {
        "count_file": ("_count.txt", format_counts(counts)),
        "counts_table": ("_count.tsv", format_table(counts)),
        "multiqc_file": ("_count_mqc.tsv", format_multiqc(counts, name)),
    }
    if report:
        texts["report_file"] = ("_count.html", format_report(counts, bam_name, name))
    output: dict[str, Any] = {
        field: upload_text(text, name + ending) for field, (ending, text) in texts.items()
    }
    return {**output, "total_records": counts.total}


def upload_text(text: str, name: str) -> DXLink:
    """Uploads a text as a file, and gives a link to it."""
    path = Path("output.txt")
    path.write_text(text, encoding="utf-8")
    return upload(path, name)


def upload(path: Path, name: str) -> DXLink:
    """Uploads a file under a name, which tells its media type, and gives a link to it."""
    media_type, _ = mimetypes.guess_type(name)
    link: DXLink = dxpy.dxlink(dxpy.upload_local_file(str(path), name=name, media_type=media_type))
    return link


@contextmanager
def platform_errors() -> Iterator[None]:
    """Turns the package's errors into the platform's two kinds: the user's to mend, or ours."""
    try:
        yield
    except ReadCountError as error:
        if error.details:
            log(error.details)
        kind = dxpy.AppError if isinstance(error, InputError) else dxpy.AppInternalError
        raise kind(str(error)) from None
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise dxpy.AppInternalError(f"The disk of the worker is full. {MORE_STORAGE}") from error


def size_of(link: DXLink) -> int:
    """Gives the size of a file of the platform, in bytes."""
    return int(dxpy.get_handler(link).describe()["size"])


def log(message: str) -> None:
    """Writes a line to the job's log at once."""
    print(message, flush=True)


if __name__ == "__main__":
    dxpy.run()
