"""Writes the output files of a cohort."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from readcount.cohort.count import Reference
from readcount.cohort.matrix import REGION_HEADING, write_depth_matrix, write_matrix
from readcount.cohort.multiqc import format_cohort_bars
from readcount.cohort.multiqc_statistics import format_copies, format_general_statistics
from readcount.cohort.report import format_cohort_report
from readcount.cohort.request import CohortRequest
from readcount.cohort.results import Results
from readcount.cohort.rows import Rows
from readcount.cohort.samples_table import SampleRow, format_samples_table
from readcount.cohort.sheets import format_sheet
from readcount.cohort.statistics import Statistics, statistics_of
from readcount.counting.pool import Workers
from readcount.text import Log


class OutputFile(NamedTuple):
    """A file that was written.

    Attributes:
        field: its name in the outputSpec of dxapp.json.
        path: path of the file.
        ending: its name on the platform after the prefix.
    """

    field: str
    path: Path
    ending: str


def fields_written(request: CohortRequest) -> list[str]:
    """Returns the names of the outputs that a cohort always has, except numbers.

    With subjobs, the sheet of failed samples is one of them, because the first job has to declare
    its outputs in advance.
    """
    fields = ["counts_matrix", "samples_table", "multiqc_file", "multiqc_statistics"]
    fields += ["report_file"] if request.report else []
    fields += ["depth_matrix", "depth_matrix_index"] if request.depth_matrix else []
    return [*fields, "samples_to_retry"] if request.subjobs else fields


def write_outputs(
    request: CohortRequest,
    reference: Reference,
    results: Results,
    workers: Workers,
    folder: Path,
    log: Log,
) -> list[OutputFile]:
    """Writes the output files to a folder; an output may have several files.

    Args:
        request: what the user asks for.
        reference: what all samples share.
        results: counts and failures of the samples.
        workers: the Pool.
        folder: where to write the files.
        log: writes a line to the job's log.

    Raises:
        InputError: no sample could be counted.
        ValueError: the matrix does not contain the verified counts.
    """
    samples, store = results.counted, results.store
    rows = Rows.of(reference.regions, reference.sequences.lengths)
    matrix = folder / "matrix.gz"
    totals = write_matrix(matrix, REGION_HEADING, rows.texts(), None, samples, store, workers)
    results.check_totals(dict(zip(samples, totals.tolist(), strict=True)))
    files = [OutputFile("counts_matrix", matrix, "_counts.tsv.gz")]

    def write(field: str, ending: str, text: str) -> None:
        path = folder / f"output{ending}"
        path.write_text(text, encoding="utf-8")
        files.append(OutputFile(field, path, ending))

    if request.depth_matrix:
        depth = folder / "depth.gz"
        index = write_depth_matrix(depth, rows, samples, store, workers)
        files.append(OutputFile("depth_matrix", depth, ".rd.txt.gz"))
        files.append(OutputFile("depth_matrix_index", index, f".rd.txt.gz{index.suffix}"))
    blocks = (block for _, block in store.blocks(list(samples)))
    statistics = statistics_of(rows.columns(), blocks, len(samples))
    for note in statistics.notes:
        log(note)
    in_order = [row for _, row in results.in_order()]
    write("samples_table", "_samples.tsv", samples_table(in_order, statistics))
    records_counted = request.of_sample.records_counted
    bars = format_cohort_bars(
        records_counted,
        request.of_sample.from_index,
        reference.regions,
        reference.sequences.lengths,
        samples,
        store,
    )
    write("multiqc_file", "_counts_mqc.tsv", bars)
    names = list(samples.values())
    general = format_general_statistics(names, statistics)
    write("multiqc_statistics", "_statistics_mqc.tsv", general)
    if copies := format_copies(names, statistics):
        write("multiqc_statistics", "_copies_mqc.tsv", copies)
    if request.report:
        page = format_cohort_report(
            in_order, statistics, request.output_prefix, records_counted, reference.regions_counted
        )
        write("report_file", "_report.html", page)
    if results.failed or request.subjobs:
        write("samples_to_retry", "_samples_to_retry.tsv", format_sheet(results.failed))
    return files


def samples_table(rows: Sequence[SampleRow], statistics: Statistics) -> str:
    """Returns the table of samples with the columns of the statistics, empty for failed samples."""
    more = {}
    for name, values in statistics.columns().items():
        of_counted = iter(values)
        more[name] = [next(of_counted) if row.counted else "" for row in rows]
    return format_samples_table(rows, more)
