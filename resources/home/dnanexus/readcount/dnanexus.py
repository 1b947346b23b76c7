"""The platform's side of the applet: downloads, uploads, subjobs, the log, and kinds of errors."""

import errno
import mimetypes
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dxpy

from readcount.errors import MORE_STORAGE, InputError, ReadCountError
from readcount.outputs.bedgraph import write_bedgraph
from readcount.outputs.multiqc import format_multiqc
from readcount.outputs.report import format_report
from readcount.outputs.result import Result
from readcount.outputs.text import format_counts, format_table, name_without_suffix
from readcount.planning.merge import TaskCounts
from readcount.request.request import Link, Request
from readcount.source.files import (
    IndexedFile,
    InputFiles,
    check_disk,
    compress_index,
    local_files,
    streamed_files,
)

# A URL for streaming is valid for longer than a job may run, which is 12 hours by the timeoutPolicy
# in dxapp.json.
URL_SECONDS = 13 * 3600
# What the names of the output files begin with on the worker.
OUTPUT = "output"


def log(message: str) -> None:
    """Writes a line to the job's log at once."""
    print(message, flush=True)


@contextmanager
def app_errors() -> Iterator[None]:
    """Turns the package's errors into the platform's two kinds.

    Raises:
        dxpy.AppError: an input is wrong, and the user can correct it.
        dxpy.AppInternalError: counting failed.
    """
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


def fetch_inputs(request: Request) -> InputFiles:
    """Downloads the input files, except for a BAM or CRAM that is streamed.

    dxpy.download_all_inputs() takes them from the job itself.
    """
    return _stream_inputs(request) if request.streamed else _download_inputs(request)


def _download_inputs(request: Request) -> InputFiles:
    links = (request.mappings_sorted_bam, request.mappings_sorted_bai, request.regions_bed)
    size = sum(size_of(link) for link in links if link)
    check_disk(needed=size, free=shutil.disk_usage(Path.home()).free)
    start = time.monotonic()
    inputs = dxpy.download_all_inputs()
    seconds = time.monotonic() - start
    (bam,) = inputs["mappings_sorted_bam_path"]
    log(f"downloaded {Path(bam).name}: {_bytes(size)} in {seconds:,.1f} s, {_rate(size, seconds)}")
    return local_files(bam, _first(inputs, "mappings_sorted_bai"), _first(inputs, "regions_bed"))


def _stream_inputs(request: Request) -> InputFiles:
    """Downloads the other files. The URL is a secret."""
    inputs = dxpy.download_all_inputs(exclude=["mappings_sorted_bam"])
    (index,) = inputs["mappings_sorted_bai_path"]
    file = dxpy.get_handler(request.mappings_sorted_bam)
    described = file.describe()
    url, _ = file.get_download_url(preauthenticated=True, duration=URL_SECONDS)
    log(f"streaming {described['name']}: {_bytes(described['size'])}")
    name = described["name"].replace("/", "%2F")
    bed = _first(inputs, "regions_bed")
    return streamed_files(url, name, described["size"], index, bed)


def _first(inputs: dict[str, Any], field: str) -> str | None:
    """Returns the path of a file that was downloaded; None if the input was not given."""
    paths: list[str | None] = inputs.get(f"{field}_path", [None])
    return paths[0]


def start_subjobs(
    job_input: dict[str, Any], request: Request, index: Path, shards: int
) -> dict[str, Any]:
    """Starts a job for each shard, and one that merges what they count.

    Each of them makes the same plan from the same inputs.

    Returns:
        References to what will be the outputs.
    """
    given = dict(job_input)
    # Every one of them downloads the index.
    if smaller := compress_index(index):
        given["mappings_sorted_bai"] = upload(smaller, smaller.name)
    jobs = [
        dxpy.new_dxjob(
            {**given, "shard": shard}, "count_shard", name=f"shard {shard + 1} of {shards}"
        )
        for shard in range(shards)
    ]
    counted = [job.get_output_ref("records") for job in jobs]
    merging = dxpy.new_dxjob({**given, "counted": counted}, "merge", name="merge")
    outputs = ["count_file", "counts_table", "multiqc_file", "total_records"]
    if request.report:
        outputs.append("report_file")
    if request.bedgraph:
        outputs += ["bedgraph_file", "bedgraph_index"]
    return {name: merging.get_output_ref(name) for name in outputs}


def shard_output(counted: list[TaskCounts]) -> dict[str, Any]:
    """Returns the output of a shard: the records of each task, by its number in the plan."""
    return {"records": {str(counts.task): list(counts.records) for counts in counted}}


def tasks_of_shards(counted: Sequence[dict[str, Sequence[int]]]) -> list[TaskCounts]:
    """Returns what the shards counted, from their outputs."""
    return [
        TaskCounts(int(number), tuple(records))
        for shard in counted
        for number, records in shard.items()
    ]


def upload_outputs(result: Result, request: Request, file: IndexedFile) -> dict[str, Any]:
    """Uploads the files that hold the counts, and the index if it was created; returns outputs."""
    bam_name = file.data.name
    name = request.output_prefix or name_without_suffix(bam_name)
    # All is written before the first file is uploaded.
    files = {
        "count_file": _write("_count.txt", format_counts(result)),
        "counts_table": _write("_count.tsv", format_table(result)),
        "multiqc_file": _write("_count_mqc.tsv", format_multiqc(result, name)),
    }
    if request.report:
        files["report_file"] = _write("_count.html", format_report(result, bam_name, name))
    if request.bedgraph:
        files["bedgraph_file"] = Path(f"{OUTPUT}_count.bedgraph.gz")
        files["bedgraph_index"] = write_bedgraph(result, files["bedgraph_file"])
    output: dict[str, Any] = {
        field: upload(path, name + path.name.removeprefix(OUTPUT)) for field, path in files.items()
    }
    if not file.index_given:
        index_name = f"{request.output_prefix or bam_name}{file.index.suffix}"
        output["index_file"] = upload(file.index, index_name)
    return {**output, "total_records": result.total}


def _write(ending: str, text: str) -> Path:
    """Writes a file for an output whose name ends so, and returns its path."""
    path = Path(OUTPUT + ending)
    path.write_text(text, encoding="utf-8")
    return path


def upload(path: Path, name: str) -> Link:
    """Uploads a file under a name, which decides its media type, and returns a link to it."""
    media_type, _ = mimetypes.guess_type(name)
    link: Link = dxpy.dxlink(dxpy.upload_local_file(str(path), name=name, media_type=media_type))
    log(f"uploaded {name}")
    return link


def size_of(link: Link) -> int:
    """Returns the size of a file of the platform, in bytes."""
    return int(dxpy.get_handler(link).describe()["size"])


def _bytes(size: float) -> str:
    """Returns a size as text: 840 B, 5.2 MB, 1.2 GB."""
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= factor:
            return f"{size / factor:,.1f} {unit}"
    return f"{size:,.0f} B"


def _rate(size: int, seconds: float) -> str:
    return f"{size / max(seconds, 1e-3) / 1e6:,.1f} MB/s"
