"""Adds up what the tasks counted."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from readcount.collector import without_collector
from readcount.planning.task import Plan
from readcount.regions.counts import RegionCounts, TaskCounts

# In the place of the count of a region that no task has counted.
UNCOUNTED = -1


@dataclass(frozen=True)
class MergedCounts:
    """What all tasks counted.

    Attributes:
        counts: for each region.
        decoded: numbers of the sequences that a pass read whole, each with how many records that
            were; empty with filters.
    """

    counts: RegionCounts
    decoded: Sequence[tuple[int, int]]


@without_collector()
def merge_counts(plan: Plan, counted: Iterable[TaskCounts]) -> MergedCounts:
    """Adds up counts that come in any order, in the order of the plan's regions.

    Raises:
        ValueError: a task was counted twice or not at all or has not a number for each of its
            regions, or a region of the plan is in no task and not known to be empty.
    """
    records = array("q", [UNCOUNTED]) * len(plan.regions)
    for region_id in plan.empty:
        records[region_id] = 0
    for region_id, known in plan.known.items():
        records[region_id] = known
    decoded = dict.fromkeys(plan.complete, 0)
    waiting = dict(enumerate(plan.tasks))
    for counts in counted:
        task = waiting.pop(counts.task, None)
        if task is None:
            raise ValueError(f"task {counts.task} was counted twice, or is not in the plan")
        _add(records, task.region_ids, array("q", counts.records))
        if counts.decoded is None:
            decoded = {}
            continue
        for tid, more in counts.decoded.items():
            if (task.why, tid) in decoded:
                decoded[task.why, tid] += more
    if waiting:
        raise ValueError(f"{len(waiting)} of {len(plan.tasks)} tasks were not counted")
    if UNCOUNTED in records:
        region = plan.regions[records.index(UNCOUNTED)]
        raise ValueError(f"no task counted region {region}")
    of_tids = [(tid, number) for (_, tid), number in decoded.items()]
    return MergedCounts(RegionCounts(plan.regions, records), of_tids)


def _add(records: "array[int]", region_ids: Sequence[int], more: "array[int]") -> None:
    """Adds a task's counts; raises ValueError if their number is not that of its regions."""
    if len(more) != len(region_ids):
        raise ValueError(f"{len(more)} counts for {len(region_ids)} regions")
    # All at once, where there are a million spans.
    if isinstance(region_ids, range):
        its = slice(region_ids.start, region_ids.stop)
        if records[its].count(UNCOUNTED) == len(region_ids):
            records[its] = more
            return
    for region_id, counted in zip(region_ids, more, strict=True):
        before = records[region_id]
        records[region_id] = counted if before == UNCOUNTED else before + counted
