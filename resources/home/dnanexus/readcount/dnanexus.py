"""Talks to the platform: downloads, uploads, the log, and error types."""

import errno
import mimetypes
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dxpy

from readcount.errors import MORE_MEMORY, MORE_STORAGE, InputError, ReadCountError
from readcount.outputs.files import write_outputs
from readcount.outputs.result import Result
from readcount.outputs.text import name_without_suffix
from readcount.platform_files import (
    PlatformFile,
    describe_files,
    download_input,
    streaming_url,
)
from readcount.request.request import Link, Request
from readcount.source.files import (
    IndexedFile,
    InputFiles,
    check_disk,
)
from readcount.source.readers import LocalFile, StreamedFile

# Missing in older versions of dxpy. If the organization's policy allows it, the platform restarts
# the job on the next larger instance type.
INSUFFICIENT_RESOURCE = getattr(dxpy, "AppInsufficientResourceError", dxpy.AppInternalError)
# Input of the merging job: the subjobs' counts.
COUNTS = "counts"
# Part size of uploads. dxpy keeps several parts of each file in memory (96 MiB each by default),
# and several files are uploaded at a time.
PART_BYTES = 32 << 20


def log(message: str) -> None:
    """Writes a line to the job's log, unbuffered."""
    # In one piece, because threads write lines too.
    print(f"{message}\n", end="", flush=True)


@contextmanager
def app_errors() -> Iterator[None]:
    """Converts the package's errors to the platform's error types.

    Raises:
        dxpy.AppError: an input is wrong, and the user can fix it.
        dxpy.AppInsufficientResourceError: memory or storage of the worker ran out.
        dxpy.AppInternalError: counting failed for another reason.
    """
    try:
        yield
    except ReadCountError as error:
        if error.details:
            log(error.details)
        if isinstance(error, InputError):
            raise dxpy.AppError(str(error)) from None
        if error.message.endswith((MORE_MEMORY, MORE_STORAGE)):
            raise INSUFFICIENT_RESOURCE(str(error)) from None
        raise dxpy.AppInternalError(str(error)) from None
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise INSUFFICIENT_RESOURCE(f"The disk of the worker is full. {MORE_STORAGE}") from error


def fetch_inputs(
    request: Request, counts: Sequence[Link] = ()
) -> tuple[InputFiles, Sequence[PlatformFile]]:
    """Downloads the input files concurrently, except a BAM or CRAM that is streamed.

    Args:
        request: what the user asks for.
        counts: links to the subjobs' counts; only in the merging job.

    Returns:
        The files, and the counts as the platform describes them, in the same API call.

    Raises:
        InputError: a file cannot be read, or the platform refuses access to it.
        DiskSpaceError: they do not fit on the worker's disk.
    """
    given = [
        (field, link)
        for field in ("mappings_sorted_bam", "mappings_sorted_bai", "regions_bed")
        if (link := getattr(request, field))
    ]
    described = describe_files([*given, *((COUNTS, link) for link in counts)])
    mappings, of_subjobs = described[0], described[len(given) :]
    wanted = described[int(request.streamed) : len(given)]
    size = sum(file.size for file in wanted)
    check_disk(needed=size, free=shutil.disk_usage(Path.home()).free)
    start = time.monotonic()
    with ThreadPoolExecutor() as threads:
        url = threads.submit(streaming_url, mappings) if request.streamed else None
        folder = Path.home() / "in"
        downloads = [threads.submit(download_input, file, folder) for file in wanted]
    paths = {file.field: each.result() for file, each in zip(wanted, downloads, strict=True)}
    index, bed = paths.get("mappings_sorted_bai"), paths.get("regions_bed")
    if url:
        log(f"streaming {mappings.name}: {_bytes(mappings.size)}")
        streamed = StreamedFile(mappings.local_name, mappings.size, url.result())
        return InputFiles(streamed, index, bed), of_subjobs
    seconds = time.monotonic() - start
    log(f"downloaded {mappings.name}: {_bytes(size)} in {seconds:,.1f} s, {_rate(size, seconds)}")
    return InputFiles(LocalFile(paths["mappings_sorted_bam"]), index, bed), of_subjobs


def upload_outputs(result: Result, request: Request, file: IndexedFile) -> dict[str, Any]:
    """Uploads the output files, and the index if it was created; returns the job's output."""
    bam_name = file.mappings.name
    name = request.output_prefix or name_without_suffix(bam_name)
    # All files are written before the first one is uploaded.
    files = write_outputs(result, request, bam_name, name)
    named = [
        (field, path, name + path.name.removeprefix("output")) for field, path in files.items()
    ]
    if not file.index_given:
        index_name = f"{request.output_prefix or bam_name}{file.index.suffix}"
        named.append(("index_file", file.index, index_name))
    links = upload_all(named, {"counts_table": request.filters.as_details()})
    fields = [field for field, *_ in named]
    return {**dict(zip(fields, links, strict=True)), "total_records": result.total}


def upload_all(
    files: Sequence[tuple[str, Path, str]], details: Mapping[str, Mapping[str, object]]
) -> list[Link]:
    """Uploads files concurrently, as each takes six consecutive API calls; returns the links.

    Args:
        files: output field, path and name of each file.
        details: the platform's `details` of each file, by output field.
    """
    with ThreadPoolExecutor(len(files)) as threads:
        return list(threads.map(lambda file: upload(file[1], file[2], details.get(file[0])), files))


def upload(path: Path, name: str, details: Mapping[str, object] | None = None) -> Link:
    """Uploads a file and returns a link to it.

    Args:
        path: path of the file on the worker.
        name: name of the file on the platform, which determines its media type.
        details: `details` of the file on the platform.
    """
    media_type, _ = mimetypes.guess_type(name)
    file = dxpy.upload_local_file(
        str(path),
        name=name,
        media_type=media_type,
        write_buffer_size=PART_BYTES,
        **({"details": details} if details else {}),
    )
    link: Link = dxpy.dxlink(file)
    log(f"uploaded {name}")
    return link


def _bytes(size: float) -> str:
    """Returns a size as text: 840 B, 5.2 MB, 1.2 GB."""
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= factor:
            return f"{size / factor:,.1f} {unit}"
    return f"{size:,.0f} B"


def _rate(size: int, seconds: float) -> str:
    return f"{size / max(seconds, 1e-3) / 1e6:,.1f} MB/s"
