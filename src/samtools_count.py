#!/usr/bin/env python3
"""Counts the reads of a coordinate-sorted BAM, region by region, on every core of the worker.

This is the applet's entry point and the only part that knows the platform. The steps themselves
are in the package readcount, which the platform puts beside it in the worker's home.
"""

import errno
import multiprocessing
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dxpy

from readcount.checks import check_disk
from readcount.counting import count_regions
from readcount.counts import count_file_name, format_counts
from readcount.errors import MORE_STORAGE, InputError, ReadCountError
from readcount.indexing import index_anew
from readcount.inputs import downloaded
from readcount.pool import start_workers

DXLink = dict[str, Any]


@dxpy.entry_point("main")
def main(
    mappings_sorted_bam: DXLink, mappings_sorted_bai: DXLink | None = None
) -> dict[str, DXLink]:
    """Counts every record that has a place on a reference sequence.

    The inputs are read by dxpy.download_all_inputs(), which takes them from the job itself.

    Args:
        mappings_sorted_bam: link to a coordinate-sorted BAM.
        mappings_sorted_bai: link to its index; without one it is made.

    Returns:
        A link to the uploaded count file, as "count_file", and to the index as "index_file" if it
        was made here.

    Raises:
        dxpy.AppError: an input is at fault, and whoever gave it can put it right.
        dxpy.AppInternalError: counting failed.
    """
    # Transfers leave threads alive, and a fork beside threads can deadlock: the Pool comes first.
    cores = multiprocessing.cpu_count()
    with platform_errors(), start_workers(cores) as workers:
        files = [link for link in (mappings_sorted_bam, mappings_sorted_bai) if link]
        check_disk(
            needed=sum(size_of(link) for link in files),
            free=shutil.disk_usage(Path.home()).free,
        )
        inputs = dxpy.download_all_inputs()
        (bam_path,) = inputs["mappings_sorted_bam_path"]
        (index_path,) = inputs.get("mappings_sorted_bai_path", [None])
        bam = downloaded(bam_path, index_path)
        if index_path is None:
            bam = index_anew(bam, cores, log)
        counts = count_regions(bam, workers, log)

    count_file = Path("counts.txt")
    count_file.write_text(format_counts(counts), encoding="utf-8")

    output = {"count_file": upload(count_file, count_file_name(bam.path.name))}
    if index_path is None:
        output["index_file"] = upload(bam.index, bam.index.name)
    return output


def upload(path: Path, name: str) -> DXLink:
    """Uploads a file under a name, and gives a link to it."""
    link: DXLink = dxpy.dxlink(dxpy.upload_local_file(str(path), name=name))
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
