"""Adds up what the tasks counted."""

from collections.abc import Iterable
from dataclasses import dataclass

from readcount.collector import without_collector
from readcount.planning.plan import Plan
from readcount.request.region import Region


@dataclass(frozen=True, slots=True)
class RegionCount:
    """How many records overlap a region."""

    region: Region
    records: int


@dataclass(frozen=True)
class TaskCounts:
    """What a task counted.

    Attributes:
        task: its number in the plan, from 0.
        records: one number for each of its regions, in the task's order.
    """

    task: int
    records: tuple[int, ...]


@without_collector()
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
