#!/usr/bin/env python3
"""Counts the reads of a coordinate-sorted BAM, region by region, on every core of the worker.

This is the applet's entry point and the only part that knows the platform. The steps themselves
are in the package readcount, which the platform puts beside it in the worker's home.
"""

import errno
import mimetypes
import multiprocessing
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dxpy

from readcount.checks import check_disk
from readcount.counting import count_regions
from readcount.counts import (
    check_output_prefix,
    format_counts,
    format_table,
    name_without_suffix,
)
from readcount.errors import MORE_STORAGE, InputError, ReadCountError
from readcount.indexing import index_anew
from readcount.inputs import downloaded
from readcount.multiqc import format_multiqc
from readcount.pool import start_workers
from readcount.report import format_report
from readcount.selection import make_selection
from readcount.targets import Targets

DXLink = dict[str, Any]


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

    Returns:
        Links to the uploaded files: "count_file", "counts_table", "multiqc_file", "report_file" if
        it was asked for, and "index_file" if it was made here; and "total_records".

    Raises:
        dxpy.AppError: an input is at fault, and whoever gave it can put it right.
        dxpy.AppInternalError: counting failed.
    """
    cores = multiprocessing.cpu_count()
    with platform_errors():
        selection = make_selection(min_mapping_quality, require_flags, exclude_flags, read_groups)
        check_output_prefix(output_prefix)
        # Transfers leave threads alive, and a fork beside threads can deadlock: the Pool comes
        # first.
        with start_workers(cores) as workers:
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
            (bed_path,) = inputs.get("regions_bed_path", [None])
            bam = downloaded(bam_path, index_path)
            if index_path is None:
                bam = index_anew(bam, cores, log)
            targets = Targets(
                tuple(regions),
                Path(bed_path) if bed_path else None,
                primary_chromosomes_only,
                include_unplaced,
            )
            counts = count_regions(bam, workers, log, targets, selection)

    name = output_prefix or name_without_suffix(bam.path.name)
    # All is written out before the first file is uploaded.
    texts = {
        "count_file": ("_count.txt", format_counts(counts)),
        "counts_table": ("_count.tsv", format_table(counts)),
        "multiqc_file": ("_count_mqc.tsv", format_multiqc(counts, name)),
    }
    if report:
        texts["report_file"] = ("_count.html", format_report(counts, bam.path.name, name))
    output: dict[str, Any] = {
        field: upload_text(text, name + ending) for field, (ending, text) in texts.items()
    }
    output["total_records"] = counts.total
    if index_path is None:
        index_name = f"{output_prefix or bam.path.name}{bam.index.suffix}"
        output["index_file"] = upload(bam.index, index_name)
    return output


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
