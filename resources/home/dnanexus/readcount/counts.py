"""Counts, put together and written out."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from readcount.plan import Plan
from readcount.regions import Region


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


def format_counts(counts: Iterable[RegionCount]) -> str:
    """Gives the text of the count file.

    One line `Region <name>: <count>` per region, in the order given, then `Total reads: <sum>`
    with no newline after it. Records without a place are in no region and not in the total.
    """
    total = 0
    lines = []
    for count in counts:
        lines.append(f"Region {count.region}: {count.records}\n")
        total += count.records
    return "".join(lines) + f"Total reads: {total}"


def count_file_name(bam_name: str) -> str:
    """Gives NAME_count.txt for NAME.bam and NAME.cram, and <name>_count.txt for any other name."""
    return re.sub(r"\.(bam|cram)\Z", "", bam_name) + "_count.txt"
