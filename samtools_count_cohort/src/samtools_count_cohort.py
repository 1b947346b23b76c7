#!/usr/bin/env python3
"""Counts the alignment records of many BAM and CRAM files into one matrix, using all cores.

The applet's entry point. It lists the steps: files are paired with their indexes, the first sample
defines the regions, each sample is counted and verified as by samtools_count, and the columns are
written as a matrix. They are implemented in the package readcount, which the platform unpacks into
the worker's home folder.
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
    FAULTS_OF_SAMPLE,
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
from readcount.cohort.outputs import fields_written, write_outputs
from readcount.cohort.progress import Progress
from readcount.cohort.request import CohortRequest, no_samples
from readcount.cohort.results import Results
from readcount.cohort.rows import Rows
from readcount.cohort.samples import check_names
from readcount.cohort.schedule import sizes_of, split_by_size
from readcount.cohort.shares import ShareWriter, deal_samples, read_share
from readcount.cohort.tables import read_table, regions_of
from readcount.cohort_files import (
    CohortFiles,
    describe_cohort,
    describe_samples,
    download_from,
    fetch_ahead,
    remove_files,
)
from readcount.cohort_subjobs import fetch_plan, plan_of, start_subjobs
from readcount.counting.pool import Workers, start_workers
from readcount.dnanexus import COUNTS, app_errors, log, upload, upload_all
from readcount.regions.list_regions import describe_regions
from readcount.request.request import Link
from readcount.samtools import check_versions
from readcount.source.files import InputFiles
from readcount.text import plural
from readcount.threads import call_ahead

# Outputs that are arrays of files, and outputs that are numbers.
OF_SEVERAL_FILES = ("multiqc_statistics",)
NUMBERS = ("counted_samples", "failed_samples")


@dxpy.entry_point("main")
def main(**job_input: Any) -> dict[str, Any]:
    """Counts records by region in many samples.

    Args:
        job_input: the inputs of dxapp.json; see CohortRequest.

    Returns:
        The outputs of dxapp.json: links to the uploaded files, and how many samples were counted
        and failed.

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
            log(
                f"counting {request.of_sample.records_counted} in {reference.regions_counted}: "
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
    """Yields a temporary folder for downloads and output files."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        yield Path(folder)


def _store(folder: Path, regions: int = 0) -> ColumnStore:
    return ColumnStore(folder / "columns", regions)


def find_reference(
    files: CohortFiles, request: CohortRequest, results: Results, folder: Path
) -> Reference:
    """Returns the regions, from the header of the first sample that can be opened.

    Samples before it are recorded as failed. If no sample can be opened, the regions are those of
    the first count table.
    """
    for number in range(len(files.samples)):
        fetched = files.fetch(number, folder)
        try:
            if not isinstance(fetched, NotCounted):
                return reference_of(fetched, request.of_sample, log)
        except RegionsError:
            raise
        except FAULTS_OF_SAMPLE as error:
            fetched = not_counted(error)
        finally:
            remove_files(number, folder)
        results.add(number, fetched)
    if not files.tables:
        raise results.error() if results.rows else no_samples()
    table = files.tables[0]
    regions, sequences = regions_of(table)
    counted = describe_regions(request.of_sample, files.bed)
    return Reference(request.of_sample, table.name, sequences, regions, counted)


def add_tables(files: CohortFiles, reference: Reference, results: Results) -> None:
    """Adds the columns of existing count tables, after those of the samples."""
    rows = Rows.of(reference.regions, reference.sequences.lengths)
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
    """Yields the number and counts of each sample, in order of completion.

    Samples are counted in parallel, each by one process; large ones by all processes, and while one
    is counted, the next one is opened.

    Args:
        files: the files of the samples.
        reference: what all samples share.
        done: numbers of the samples to skip.
        workers: the Pool.
        folder: where to download files.
    """
    bytes_of = {
        number: sample.mappings.size
        for number, sample in enumerate(files.samples)
        if number not in done
    }
    from_index, processes = reference.request.from_index, len(workers.processes)
    progress = Progress(sizes_of(bytes_of, from_index), log)
    together, alone = split_by_size(bytes_of, processes, from_index)
    count = partial(count_in_one_process, write_reference(reference, folder))

    def count_large(
        numbered: tuple[int, InputFiles | NotCounted],
    ) -> tuple[int, Counted | NotCounted]:
        number, fetched = numbered
        name = files.samples[number].name
        return number, count_with_all_processes(
            fetched, reference, workers, lambda line: log(f"{name}: {line}")
        )

    counted = chain(
        workers.results(count, fetch_ahead(files, together, folder, processes)),
        call_ahead(count_large, fetch_ahead(files, alone, folder, 1), 1),
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
) -> dict[str, Any]:
    """Writes the outputs and uploads them; returns links to them."""
    files = write_outputs(request, reference, results, workers, folder, log)
    links = upload_all(
        [(file.field, file.path, request.output_prefix + file.ending) for file in files],
        {"counts_matrix": request.of_sample.filters.as_details()},
    )
    counted, failed = len(results.counted), [sample.name for sample in results.failed]
    log(
        f"{plural(counted, 'sample')} in the matrix, {len(failed):,} failed"
        + (f": {', '.join(failed)}" if failed else "")
    )
    outputs: dict[str, Any] = {"counted_samples": counted, "failed_samples": len(failed)}
    for file, link in zip(files, links, strict=True):
        if file.field in OF_SEVERAL_FILES:
            outputs.setdefault(file.field, []).append(link)
        else:
            outputs[file.field] = link
    return outputs


def scatter(
    request: CohortRequest,
    job_input: dict[str, Any],
    files: CohortFiles,
    reference: Reference,
    results: Results,
    folder: Path,
) -> dict[str, Any]:
    """Distributes the samples over subjobs, and starts a job that merges their columns.

    Returns:
        References to the merging job's outputs.
    """
    number_of_samples = len(files.samples)
    failed = {number: row for number, row in results.rows.items() if number < number_of_samples}
    bytes_of = {
        number: sample.mappings.size
        for number, sample in enumerate(files.samples)
        if number not in failed
    }
    shares = deal_samples(sizes_of(bytes_of, request.of_sample.from_index), request.subjobs)
    not_counted_yet = {number: NotCounted(row.message) for number, row in failed.items()}
    plan = plan_of(job_input, files.samples, not_counted_yet, reference, shares)
    log(f"{plural(len(bytes_of), 'sample')} in {plural(len(shares), 'subjob')}")
    return start_subjobs(plan, folder, [*fields_written(request), *NUMBERS])


@dxpy.entry_point("count_share")
def count_share(subjob: int, plan: Link) -> dict[str, Any]:
    """Counts the samples of one subjob.

    Args:
        subjob: number of the subjob, from 0.
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
        return {COUNTS: upload(path, f"{share}.npz")}


@dxpy.entry_point("merge")
def merge(counts: Sequence[Link], plan: Link) -> dict[str, Any]:
    """Merges the columns counted by the subjobs.

    Args:
        counts: a link to the file of each subjob, in order of the subjobs.
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
            return finish(request, reference, results, workers, folder)


if __name__ == "__main__":
    dxpy.run()
