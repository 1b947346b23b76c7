"""Counts, put together and written out."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from readcount.errors import InputError, shorten
from readcount.plan import Plan
from readcount.regions import Region

# Leaves room for what follows in a name of at most 255 bytes.
LONGEST_PREFIX = 100
_NOT_IN_A_NAME = re.compile(r"[/\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class RegionCount:
    """How many records lie in a region."""

    region: Region
    records: int


@dataclass(frozen=True)
class TaskCounts:
    """What a task came to.

    Attributes:
        task: its number in the plan, from 0.
        records: one number for each of its regions, in the task's order.
    """

    task: int
    records: tuple[int, ...]


@dataclass(frozen=True)
class Counts:
    """What was counted.

    Attributes:
        regions: a count for each, in the order of the output.
        lengths: of the reference sequences in bases, by name.
        records_asked: which records were to be counted, in words.
        regions_asked: which regions, in words.
        unplaced: records in the file without a place by its index; None where it does not say.
        checks: what the counts were held against, in words.
    """

    regions: Sequence[RegionCount]
    lengths: Mapping[str, int]
    records_asked: str = "every record"
    regions_asked: str = "every reference sequence"
    unplaced: int | None = None
    checks: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """The sum over the regions; a record counts as often as regions that it reaches into."""
        return sum(count.records for count in self.regions)


def merge_counts(plan: Plan, counted: Iterable[TaskCounts]) -> list[RegionCount]:
    """Adds up counts that come in any order, in the order of the plan's regions.

    Raises:
        ValueError: a task was counted twice or not at all or has not a number for each of its
            regions, or a region of the plan is in no task and not known to be empty.
    """
    records: list[int | None] = [None] * len(plan.regions)
    for number in plan.empty:
        records[number] = 0
    waiting = dict(enumerate(plan.tasks))
    for counts in counted:
        task = waiting.pop(counts.task, None)
        if task is None:
            raise ValueError(f"task {counts.task} was counted twice, or is not in the plan")
        for number, more in zip(task.numbers, counts.records, strict=True):
            records[number] = (records[number] or 0) + more
    if waiting:
        raise ValueError(f"{len(waiting)} of {len(plan.tasks)} tasks were not counted")
    merged = []
    for region, total in zip(plan.regions, records, strict=True):
        if total is None:
            raise ValueError(f"no task counted region {region}")
        merged.append(RegionCount(region, total))
    return merged


def format_counts(counts: Counts) -> str:
    """Gives the text of the count file.

    One line `Region <name>: <count>` per region, in the order given, then `Total reads: <sum>`
    with no newline after it. Spans are 1-based and inclusive, as samtools writes them.
    """
    lines = [f"Region {count.region}: {count.records}\n" for count in counts.regions]
    return "".join(lines) + f"Total reads: {counts.total}"


def format_table(counts: Counts) -> str:
    """Gives the text of the table: tab-separated, a header, one row per region.

    Positions are those of extent(). Records without a place are at `*`, from 0 to 0, as in
    `samtools idxstats`.
    """
    lines = ["region\tcontig\tstart\tend\tlength\trecords\n"]
    for count in counts.regions:
        region = count.region
        start, end = extent(region, counts.lengths)
        lines.append(
            f"{region.name or region}\t{region.contig}\t{start}\t{end}\t{end - start}"
            f"\t{count.records}\n"
        )
    return "".join(lines)


def extent(region: Region, lengths: Mapping[str, int]) -> tuple[int, int]:
    """Gives start and end of a region in numbers, 0-based and half-open.

    A whole reference sequence ends with its length, also if records lie beyond; what has no place
    is from 0 to 0.
    """
    return region.start or 0, region.end or lengths.get(region.contig, 0)


def name_without_suffix(bam_name: str) -> str:
    """Gives NAME for NAME.bam and NAME.cram; any other name stays as it is."""
    return re.sub(r"\.(bam|cram)\Z", "", bam_name)


def check_output_prefix(prefix: str) -> None:
    """Raises InputError if names of files cannot begin so."""
    if len(prefix) > LONGEST_PREFIX or _NOT_IN_A_NAME.search(prefix) or prefix != prefix.strip():
        raise InputError(
            f"output_prefix: {shorten(repr(prefix), 60)} cannot begin the name of a file. Give up "
            f"to {LONGEST_PREFIX} letters without a slash, and without a blank at either end."
        )
