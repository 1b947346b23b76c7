"""Adds up the counts of the tasks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from readcount.columns import Ints, Numbers
from readcount.planning.task import Plan
from readcount.regions.counts import RegionCounts, TaskCounts

# Marks a region that no task has counted.
UNCOUNTED = -1


@dataclass(frozen=True)
class MergedCounts:
    """The counts of all tasks.

    Attributes:
        counts: the count of each region.
        decoded: (reference ID, number of records) of each sequence that a pass read completely;
            empty with filters.
        checks: those of the plan.
    """

    counts: RegionCounts
    decoded: Sequence[tuple[int, int]]
    checks: tuple[str, ...] = ()


def merge_counts(plan: Plan, counted: Iterable[TaskCounts]) -> MergedCounts:
    """Adds up the counts of tasks, in any order; the result is in the order of the regions.

    Raises:
        ValueError: a task was counted twice or not at all, a task does not have one count per
            region, or a region is in no task and not known to be empty.
    """
    records = np.full(len(plan.regions), UNCOUNTED)
    records[np.array(plan.empty, np.int64)] = 0
    for region_id, known in plan.known.items():
        records[region_id] = known
    decoded = dict.fromkeys(plan.complete, 0)
    waiting = dict(enumerate(plan.tasks))
    for counts in counted:
        task = waiting.pop(counts.task, None)
        if task is None:
            raise ValueError(f"task {counts.task} was counted twice, or is not in the plan")
        _add(records, task.region_ids, counts.records)
        if counts.decoded is None:
            decoded = {}
            continue
        for tid, more in counts.decoded.items():
            if (task.why, tid) in decoded:
                decoded[task.why, tid] += more
    if waiting:
        raise ValueError(f"{len(waiting)} of {len(plan.tasks)} tasks were not counted")
    if UNCOUNTED in records:
        region = plan.regions[int(np.argmin(records))]
        raise ValueError(f"no task counted region {region}")
    of_tids = [(tid, number) for (_, tid), number in decoded.items()]
    return MergedCounts(RegionCounts(plan.regions, records), of_tids, plan.checks)


def _add(records: Ints, region_ids: Ints, more: Numbers) -> None:
    """Adds a task's counts; raises ValueError unless there is one count per region."""
    if len(more) != len(region_ids):
        raise ValueError(f"{len(more)} counts for {len(region_ids)} regions")
    records[region_ids] = np.maximum(records[region_ids], 0) + more
