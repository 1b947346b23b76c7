#!/usr/bin/env python3
"""Counts the alignment records of many BAM and CRAM files into one matrix, using all cores.

This is the applet's entry point, and reads as its story: files are paired with their indexes, the
first sample defines the regions, each sample is counted and verified as by samtools_count, and the
columns become a matrix. The steps are in the package readcount, which the platform puts beside this
file in the worker's home.
"""

import tempfile
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from multiprocessing import cpu_count
from pathlib import Path
from typing import Any

import dxpy

from readcount.cohort.columns import ColumnStore
from readcount.cohort.count import (
    Counted,
    NotCounted,
    Reference,
    RegionsError,
    count_in_one_process,
    count_with_all_processes,
    not_counted,
    reference_of,
    words_of_cohort,
    write_reference,
)
from readcount.cohort.matrix import REGION_HEADING, write_depth_matrix, write_matrix
from readcount.cohort.multiqc import format_cohort_bars
from readcount.cohort.progress import Progress
from readcount.cohort.request import CohortRequest, no_samples
from readcount.cohort.results import Results
from readcount.cohort.rows import Rows
from readcount.cohort.samples import check_names
from readcount.cohort.samples_table import format_samples_table
from readcount.cohort.schedule import sizes_of, split_by_size
from readcount.cohort.shares import ShareWriter, deal, read_share
from readcount.cohort.sheets import format_sheet
from readcount.cohort.tables import read_table, regions_of
from readcount.cohort_files import (
    CohortFiles,
    describe_cohort,
    describe_samples,
    download_from,
    fetch_ahead,
    remove_files,
    upload_all,
)
from readcount.cohort_subjobs import COUNTS, fetch_plan, plan_of, start_subjobs
from readcount.counting.pool import Workers, start_workers
from readcount.dnanexus import app_errors, log
from readcount.errors import InputError
from readcount.regions.list_regions import describe_regions
from readcount.request.request import Link
from readcount.samtools import check_versions
from readcount.text import plural

# The outputs that a merging job always has.
OUTPUTS = ("counts_matrix", "samples_table", "multiqc_file", "samples_to_retry")
NUMBERS = ("counted_samples", "failed_samples")
DEPTH_OUTPUTS = ("depth_matrix", "depth_matrix_index")


@dxpy.entry_point("main")
def main(**job_input: Any) -> dict[str, Any]:
    """Counts records by region in many samples.

    Args:
        job_input: the inputs of dxapp.json; see CohortRequest.

    Returns:
        Links to the uploaded files, and the numbers of samples: the outputs of dxapp.json.

    Raises:
        dxpy.AppError: an input is wrong, or no sample can be counted.
        dxpy.AppInternalError: counting failed.
    """
    with app_errors(), words_of_cohort(), _folder() as folder:
        log(check_versions())
        request = CohortRequest(**job_input)
        request.require_samples()
        # Start the Pool first: transfers leave threads, and forking a process with threads can
        # deadlock.
        with start_workers(request.of_sample.processes(cpu_count())) as workers:
            files = describe_cohort(request, folder)
            check_names(files.samples, {table.name: table.samples for table in files.tables})
            results = Results(files.samples, request.fail_on_failed_sample, log, _store(folder))
            reference = find_reference(files, request, results, folder)
            regions = describe_regions(request.of_sample, files.bed)
            log(
                f"counting {request.of_sample.records_counted} in {regions}: "
                f"{plural(len(reference.regions), 'region')}, "
                f"{plural(len(files.samples), 'sample')}"
            )
            results.store = _store(folder, len(reference.regions))
            add_tables(files, reference, results)
            if request.subjobs and files.samples:
                return scatter(request, job_input, files, reference, results, folder)
            for number, result in count_samples(files, reference, results.rows, workers, folder):
                results.add(number, result)
            return finish(request, reference, results, workers, folder)


@contextmanager
def _folder() -> Iterator[Path]:
    """Yields a folder for what the job downloads and writes."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        yield Path(folder)


def _store(folder: Path, regions: int = 0) -> ColumnStore:
    return ColumnStore(folder / "columns", regions)


def find_reference(
    files: CohortFiles, request: CohortRequest, results: Results, folder: Path
) -> Reference:
    """Returns the regions, by the header of the first sample that can be opened.

    Samples before it have failed. If there is none, the first table has the regions.
    """
    for number in range(len(files.samples)):
        fetched = files.fetch(number, folder)
        try:
            if not isinstance(fetched, NotCounted):
                return reference_of(fetched, request.of_sample, log)
        except RegionsError:
            raise
        except InputError as error:
            fetched = not_counted(error)
        finally:
            remove_files(number, folder)
        results.add(number, fetched)
    if not files.tables:
        raise results.error() if results.rows else no_samples()
    table = files.tables[0]
    regions, lengths = regions_of(table)
    return Reference(request.of_sample, table.name, lengths, regions)


def add_tables(files: CohortFiles, reference: Reference, results: Results) -> None:
    """Adds the columns of tables made before, after those of the samples."""
    rows = Rows.of(reference.regions, reference.lengths)
    first = len(files.samples)
    for table in files.tables:
        numbers = range(first, first + len(table.samples))
        totals = read_table(table, rows, results.store, numbers)
        results.add_table(table, first, totals.tolist())
        log(f"{table.name}: {plural(len(numbers), 'sample')}")
        first = numbers.stop


def count_samples(
    files: CohortFiles,
    reference: Reference,
    done: Container[int],
    workers: Workers,
    folder: Path,
) -> Iterator[tuple[int, Counted | NotCounted]]:
    """Yields the number of each sample and its counts, as they come.

    Samples are counted side by side, each by one process; the large ones by all processes, one
    after another.

    Args:
        files: of the samples.
        reference: what they share.
        done: numbers of the samples to leave out.
        workers: the Pool.
        folder: for what is downloaded.
    """
    bytes_of = {
        number: sample.mappings.size
        for number, sample in enumerate(files.samples)
        if number not in done
    }
    from_index, processes = reference.request.from_index, len(workers.processes)
    progress = Progress(sizes_of(bytes_of, from_index), log)
    together, alone = split_by_size(bytes_of, processes, from_index)
    count = partial(count_in_one_process, write_reference(reference, folder / "reference"))
    counted = chain(
        workers.results_of_few(
            count, fetch_ahead(files, together, folder, processes), 2 * processes
        ),
        (
            (number, count_with_all_processes(fetched, reference, workers, log))
            for number, fetched in fetch_ahead(files, alone, folder, 1)
        ),
    )
    for number, result in counted:
        remove_files(number, folder)
        yield number, result
        progress.done(number, isinstance(result, NotCounted))


def finish(
    request: CohortRequest,
    reference: Reference,
    results: Results,
    workers: Workers,
    folder: Path,
    merged: bool = False,
) -> dict[str, Any]:
    """Writes the outputs and uploads them; returns links to them.

    Args:
        request: what the user asks for.
        reference: what the samples share.
        results: the counts.
        workers: the Pool.
        folder: for what is written.
        merged: whether the first job has promised all outputs of OUTPUTS.
    """
    samples, failed, store = results.counted, results.failed, results.store
    rows = Rows.of(reference.regions, reference.lengths)
    paths = {name: folder / name for name in (*OUTPUTS, *DEPTH_OUTPUTS)}
    totals = write_matrix(
        paths["counts_matrix"], REGION_HEADING, rows.texts(), None, samples, store, workers
    )
    results.check_totals(dict(zip(samples, totals.tolist(), strict=True)))
    text_of = {
        "samples_table": format_samples_table([row for _, row in results.in_order()]),
        "multiqc_file": format_cohort_bars(
            request.of_sample.records_counted,
            request.of_sample.from_index,
            reference.regions,
            reference.lengths,
            samples,
            store,
        ),
        "samples_to_retry": format_sheet(failed),
    }
    for name, text in text_of.items():
        paths[name].write_text(text, encoding="utf-8")
    prefix = request.output_prefix
    outputs = {
        "counts_matrix": (paths["counts_matrix"], f"{prefix}_counts.tsv.gz"),
        "samples_table": (paths["samples_table"], f"{prefix}_samples.tsv"),
        "multiqc_file": (paths["multiqc_file"], f"{prefix}_counts_mqc.tsv"),
    }
    if failed or merged:
        outputs["samples_to_retry"] = (
            paths["samples_to_retry"],
            f"{prefix}_samples_to_retry.tsv",
        )
    if request.depth_matrix:
        depth = folder / "depth.gz"
        index = write_depth_matrix(depth, rows, samples, store, workers)
        outputs["depth_matrix"] = (depth, f"{prefix}.rd.txt.gz")
        outputs["depth_matrix_index"] = (index, f"{prefix}.rd.txt.gz{index.suffix}")
    links = upload_all(outputs, {"counts_matrix": request.of_sample.filters.as_details()})
    log(
        f"{plural(len(samples), 'sample')} in the matrix, {len(failed):,} failed"
        + (f": {', '.join(sample.name for sample in failed)}" if failed else "")
    )
    return {**links, "counted_samples": len(samples), "failed_samples": len(failed)}


def scatter(
    request: CohortRequest,
    job_input: dict[str, Any],
    files: CohortFiles,
    reference: Reference,
    results: Results,
    folder: Path,
) -> dict[str, Any]:
    """Distributes the samples over subjobs, and lets another job merge their columns.

    Returns:
        References to what will be the outputs.
    """
    number_of_samples = len(files.samples)
    failed = {number: row for number, row in results.rows.items() if number < number_of_samples}
    bytes_of = {
        number: sample.mappings.size
        for number, sample in enumerate(files.samples)
        if number not in failed
    }
    shares = deal(sizes_of(bytes_of, request.of_sample.from_index), request.subjobs)
    not_counted_yet = {number: NotCounted(row.message) for number, row in failed.items()}
    plan = plan_of(job_input, files.samples, not_counted_yet, reference, shares)
    log(f"{plural(len(bytes_of), 'sample')} in {plural(len(shares), 'subjob')}")
    outputs = [*OUTPUTS, *NUMBERS, *(DEPTH_OUTPUTS if request.depth_matrix else ())]
    return start_subjobs(plan, folder, outputs)


@dxpy.entry_point("count_share")
def count_share(subjob: int, plan: Link) -> dict[str, Any]:
    """Counts a share of the samples.

    Args:
        subjob: which share, from 0.
        plan: link to the plan of the job that started this one.

    Returns:
        "counts": a link to the file with the columns of the samples.

    Raises:
        dxpy.AppError, dxpy.AppInternalError: as in main.
    """
    with app_errors(), words_of_cohort(), _folder() as folder:
        log(check_versions())
        cohort = fetch_plan(plan, folder)
        request = replace(cohort.request, counts_tables=())
        with start_workers(request.of_sample.processes(cpu_count())) as workers:
            bed = describe_cohort(request, folder).bed
            reference, share = cohort.reference(bed), cohort.share(subjob)
            numbers = list(share.samples)
            files = describe_samples(map(cohort.sample, numbers), bed)
            log(f"{share}: {plural(len(numbers), 'sample')}")
            results = Results(files.samples, request.fail_on_failed_sample, log, _store(folder))
            path = folder / "counts.npz"
            with ShareWriter(path, share) as writer:
                for at, result in count_samples(files, reference, (), workers, folder):
                    if isinstance(result, NotCounted):
                        results.add(at, result)
                    writer.add(numbers[at], result)
        return upload_all({COUNTS: (path, f"{share}.npz")}, {})


@dxpy.entry_point("merge")
def merge(counts: Sequence[Link], plan: Link) -> dict[str, Any]:
    """Merges the columns that the subjobs have counted.

    Args:
        counts: a link to the file of each subjob, in their order.
        plan: link to the plan of the job that started this one.

    Returns:
        The outputs of main.

    Raises:
        dxpy.AppError, dxpy.AppInternalError: as in main.
    """
    with app_errors(), words_of_cohort(), _folder() as folder:
        log(check_versions())
        with start_workers(cpu_count()) as workers:
            cohort = fetch_plan(plan, folder)
            request = cohort.request
            given = describe_cohort(request, folder)
            files = replace(given, samples=list(map(cohort.sample, range(len(cohort.samples)))))
            reference = cohort.reference(given.bed)
            regions = len(reference.regions)
            results = Results(files.samples, False, log, _store(folder, regions))
            for number, known in cohort.failed().items():
                results.add(number, known)
            for subjob, link in enumerate(counts):
                path = download_from(link, COUNTS, folder / "counts.npz")
                for number, result in read_share(path, cohort.share(subjob), regions):
                    results.add(number, result)
                path.unlink()
            add_tables(files, reference, results)
            return finish(request, reference, results, workers, folder, merged=True)


if __name__ == "__main__":
    dxpy.run()
