"""Counts one sample of a cohort, in the same stages as a single file."""

import pickle
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from readcount.columns import Ints, distinct
from readcount.counting.pool import Workers
from readcount.counting.tasks import count_tasks, run_task
from readcount.errors import NEW_INDEX, InputError, ReadCountError, SamtoolsCrashedError
from readcount.planning.merge import merge_counts
from readcount.planning.plan import plan_count
from readcount.planning.task import Plan
from readcount.regions.counts import TaskCounts
from readcount.regions.list_regions import describe_regions, list_regions
from readcount.regions.region import similar_name, some_of
from readcount.regions.region_list import RegionList
from readcount.request.request import Request
from readcount.source.alignments import Alignments
from readcount.source.files import InputFiles
from readcount.source.header import check_read_groups
from readcount.source.opening import open_alignments
from readcount.source.parts import NO_SEQUENCE
from readcount.source.sequences import SequenceDictionary
from readcount.text import Log, shorten
from readcount.verification.verify import verify

# Wording of messages about a single file, and the replacement for a cohort.
_INSTEAD = (
    (re.escape(NEW_INDEX), "Provide the index of this file."),
    (r" without stream_bam, subjobs and counts_from", ""),
    (r"mappings_sorted_bam", "mappings"),
    (r"mappings_sorted_bai", "mappings_indexes"),
)


# Errors caused by a sample. All others are caused by the worker, the network or the platform.
FAULTS_OF_SAMPLE = (InputError, SamtoolsCrashedError)


@dataclass(frozen=True)
class Reference:
    """What all samples share, from the header of the first one.

    Attributes:
        request: the request for each sample.
        file: name of the file with this header, for messages.
        sequences: its reference sequences.
        regions: the regions to count.
        regions_counted: description of the regions.
    """

    request: Request
    file: str
    sequences: SequenceDictionary
    regions: RegionList
    regions_counted: str


class Counted(NamedTuple):
    """The verified counts of a sample.

    Attributes:
        records: the count of each region, in the order of the regions.
        sample_names: SM of its read groups (@RG).
        unplaced: number of records without a position according to the index; None if not in the
            index.
    """

    records: Ints
    sample_names: Sequence[str]
    unplaced: int | None


class NotCounted(NamedTuple):
    """The reason why a sample cannot be counted.

    Attributes:
        message: what is wrong with which file, and what to do.
        details: further information for the log.
    """

    message: str
    details: str = ""


class RegionsError(InputError):
    """The regions cannot be counted in any sample."""


def reference_of(files: InputFiles, request: Request, log: Log) -> Reference:
    """Opens a sample, and returns what it defines for all samples.

    Args:
        files: files of the sample, and the BED file.
        request: what the user asks for.
        log: writes a line to the job's log.

    Raises:
        RegionsError: the regions are not on its reference sequences.
        InputError: the sample cannot be counted.
    """
    with tempfile.TemporaryDirectory() as folder:
        sequences = open_alignments(files, log, folder=Path(folder)).sequences
    try:
        regions = list_regions(request, files.bed, sequences)
    except InputError as error:
        raise RegionsError(*error.args) from error
    name = shorten(files.mappings.name, 80)
    counted = describe_regions(request, files.bed)
    return Reference(request, name, sequences, regions, counted)


def write_reference(reference: Reference, folder: Path) -> Path:
    """Writes what all samples share to a file, for the processes of the Pool.

    Returns:
        The path, which is unique because the processes cache the content by path.
    """
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
        pickle.dump(reference, file)
    return Path(file.name)


@lru_cache(maxsize=1)
def _read_reference(path: Path) -> Reference:
    reference: Reference = pickle.loads(path.read_bytes())
    return reference


def count_in_one_process(
    reference: Path, numbered: tuple[int, InputFiles | NotCounted]
) -> tuple[int, Counted | NotCounted]:
    """Counts a sample in one process of the Pool, so that many are counted in parallel.

    Args:
        reference: path of the file from write_reference().
        numbered: sample number, and its files or the reason why they cannot be read.

    Returns:
        The sample number, and its counts or the reason why it has none.

    Raises:
        ReadCountError: the worker or the network failed, not the sample.
    """
    number, files = numbered
    if isinstance(files, NotCounted):
        return number, files
    shared = _read_reference(reference)
    try:
        with tempfile.TemporaryDirectory() as folder:
            alignments, plan = _open(files, shared, 1, _no_log, Path(folder))
            parts, filters = alignments.parts, shared.request.filters
            counted = [run_task(parts, task, filters) for task in enumerate(plan.tasks)]
            return number, _finish(alignments, plan, shared, counted)
    except FAULTS_OF_SAMPLE as error:
        return number, not_counted(error)


def count_with_all_processes(
    files: InputFiles | NotCounted, reference: Reference, workers: Workers, log: Log
) -> Counted | NotCounted:
    """Counts parts of a sample in parallel; raises as count_in_one_process."""
    if isinstance(files, NotCounted):
        return files
    try:
        with tempfile.TemporaryDirectory() as folder:
            alignments, plan = _open(files, reference, len(workers.processes), log, Path(folder))
            parts, filters = alignments.parts, reference.request.filters
            numbers = range(len(plan.tasks))
            counted = count_tasks(plan, numbers, parts, filters, workers, log)
            return _finish(alignments, plan, reference, counted)
    except FAULTS_OF_SAMPLE as error:
        return not_counted(error)


def _no_log(line: str) -> None:
    """Ignores a line that is meant for the log of a single file."""


def _open(
    files: InputFiles, reference: Reference, processes: int, log: Log, folder: Path
) -> tuple[Alignments, Plan]:
    """Opens a sample, plans its count as for a single file, and checks its index."""
    request = reference.request
    alignments = open_alignments(files, log, folder=folder)
    check_read_groups(alignments.header, request.filters, alignments.file.name)
    regions = regions_of(alignments.sequences, alignments.file.name, reference)
    plan = plan_count(alignments, regions, request, processes)
    alignments.check_index(plan.edges)
    return alignments, plan


def _finish(
    alignments: Alignments, plan: Plan, reference: Reference, counted: Iterable[TaskCounts]
) -> Counted:
    """Merges and verifies the counts of a sample, as for a single file."""
    merged = merge_counts(plan, counted)
    verified = verify(merged, alignments, reference.request.filters)
    names = alignments.header.sample_names
    unplaced = alignments.numbers.get(NO_SEQUENCE)
    return Counted(verified.counts.records, names, unplaced)


def regions_of(sequences: SequenceDictionary, name: str, reference: Reference) -> RegionList:
    """Returns the regions to count in a sample, with the reference IDs of its own header.

    Args:
        sequences: reference sequences of the sample's file.
        name: name of the file.
        reference: what all samples share.

    Raises:
        InputError: it was aligned to another reference genome: the sequences of the regions are not
            in its header, or their lengths differ. If all sequences are counted, they must be the
            same.
    """
    lengths, expected = sequences.lengths, reference.sequences.lengths
    if lengths == expected and list(lengths) == list(expected):
        return reference.regions
    regions = reference.regions
    used = {regions.names_by_tid[tid] for tid in distinct(regions.tids) if tid != NO_SEQUENCE}
    for contig in filter(used.__contains__, expected):
        if contig not in lengths:
            similar = similar_name(contig, lengths)
            hint = f" It has {shorten(similar, 60)} instead." if similar else ""
            raise _other_genome(name, reference, f"it has no sequence {shorten(contig, 60)}.{hint}")
        if lengths[contig] != expected[contig]:
            raise _other_genome(
                name,
                reference,
                f"{shorten(contig, 60)} is {lengths[contig]:,} bp long in this file, but "
                f"{expected[contig]:,} bp in that one.",
            )
    request = reference.request
    if not request.regions and not request.regions_bed:
        of_all = replace(request, windows=0, include_unplaced=False)
        wanted = list_regions(of_all, None, sequences)
        more = [name for region in wanted if (name := region.contig) not in used]
        if more:
            raise _other_genome(name, reference, f"it also has {some_of(more)}.")
    return regions.renumbered(sequences)


def _other_genome(name: str, reference: Reference, how: str) -> InputError:
    return InputError(
        f"mappings: {name} has another reference genome than {reference.file}: {how} Count samples "
        "of one reference genome together."
    )


def not_counted(error: ReadCountError) -> NotCounted:
    """Returns why a sample cannot be counted, with the cohort's input names."""
    return NotCounted(of_cohort(error.message), error.details)


@contextmanager
def words_of_cohort() -> Iterator[None]:
    """Re-raises errors of the package with the cohort's input names."""
    try:
        yield
    except ReadCountError as error:
        raise type(error)(of_cohort(error.message), error.details) from error


def of_cohort(message: str) -> str:
    """Returns a message with the cohort's input names.

    >>> of_cohort("mappings_sorted_bam: x.bam is not coordinate-sorted.")
    'mappings: x.bam is not coordinate-sorted.'
    """
    for words, instead in _INSTEAD:
        message = re.sub(words, instead, message)
    return message
