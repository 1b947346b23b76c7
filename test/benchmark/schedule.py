"""Simulates how long a plan keeps a number of cores busy."""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from layouts import layout_of, names
from readcount.planning.costs import DOWNLOADED
from readcount.planning.plan import plan_tasks
from readcount.planning.task import Task
from readcount.regions.region_list import RegionList


@dataclass(frozen=True)
class Costs:
    """Measured seconds of one core.

    Attributes:
        call: one `samtools view -c` of a region without records.
        task: one samtools call of ours that reads a block.
        record: each record that is counted.
        decoded_record: each record that is looked at.
        record_bytes: size of a record in the file.
    """

    call: float
    task: float
    record: float
    decoded_record: float
    record_bytes: float = 90

    def of_task(self, task: Task) -> float:
        record = self.record if task.only else self.decoded_record
        return self.task + record * task.bytes / self.record_bytes


@dataclass(frozen=True)
class Schedule:
    """What a way to count comes to.

    Attributes:
        cores: that it runs on.
        calls: of samtools.
        makespan: seconds until the last core is done.
        ratio: of that to total / cores, where total is what all records take one core in one go.
    """

    cores: int
    calls: int
    makespan: float
    ratio: float


def makespan(batches: Iterable[float], cores: int) -> float:
    """Returns the time at which the last batch ends; a core that is free takes the next one."""
    free = [0.0] * cores
    for seconds in batches:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)


def map_batches(seconds: Sequence[float], cores: int) -> list[float]:
    """Returns the batches that Pool.map makes: four for each process, in the order given."""
    size = max(1, -(-len(seconds) // (4 * cores)))
    return [sum(seconds[first : first + size]) for first in range(0, len(seconds), size)]


def our_schedule(records: Sequence[int], cores: int, costs: Costs) -> Schedule:
    """The schedule of a plan for sequences with these numbers of records."""
    layout = layout_of(*(round(number * costs.record_bytes) for number in records))
    regions = RegionList.of_whole(names(len(records)))
    plan = plan_tasks(regions, layout, cores, DOWNLOADED)
    seconds = [costs.of_task(task) for task in plan.tasks]
    return _schedule(records, cores, costs, len(seconds), makespan(seconds, cores))


def tutorial_schedule(records: Sequence[int], cores: int, costs: Costs) -> Schedule:
    """What a call for each sequence comes to."""
    seconds = [costs.call + costs.record * number for number in records]
    longest = makespan(map_batches(seconds, cores), cores)
    return _schedule(records, cores, costs, len(seconds), longest)


def _schedule(
    records: Sequence[int], cores: int, costs: Costs, calls: int, longest: float
) -> Schedule:
    return Schedule(cores, calls, longest, longest / (costs.record * sum(records) / cores))
