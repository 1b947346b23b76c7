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
    """Measured costs, in seconds of one core.

    Attributes:
        call: a `samtools view -c` of a region without records.
        task: a task of the applet that reads one block.
        record: a record that only has to be counted.
        decoded_record: a record that has to be decoded.
        record_bytes: size of a record in the file, in bytes.
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
    """A simulated run.

    Attributes:
        cores: number of cores.
        calls: number of samtools calls.
        makespan: seconds until the last core has finished.
        ratio: makespan divided by total / cores, where total is the time of all records in one call
            on one core.
    """

    cores: int
    calls: int
    makespan: float
    ratio: float


def makespan(batches: Iterable[float], cores: int) -> float:
    """Returns the time at which the last batch ends; a free core takes the next batch."""
    free = [0.0] * cores
    for seconds in batches:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)


def map_batches(seconds: Sequence[float], cores: int) -> list[float]:
    """Returns the times of the batches of Pool.map: four per process, in the given order."""
    size = max(1, -(-len(seconds) // (4 * cores)))
    return [sum(seconds[first : first + size]) for first in range(0, len(seconds), size)]


def our_schedule(records: Sequence[int], cores: int, costs: Costs) -> Schedule:
    """Simulates the applet's plan for sequences with these numbers of records."""
    layout = layout_of(*(round(number * costs.record_bytes) for number in records))
    regions = RegionList.of_whole(names(len(records)))
    plan = plan_tasks(regions, layout, cores, DOWNLOADED)
    seconds = [costs.of_task(task) for task in plan.tasks]
    return _schedule(records, cores, costs, len(seconds), makespan(seconds, cores))


def tutorial_schedule(records: Sequence[int], cores: int, costs: Costs) -> Schedule:
    """Simulates one call per sequence."""
    seconds = [costs.call + costs.record * number for number in records]
    last = makespan(map_batches(seconds, cores), cores)
    return _schedule(records, cores, costs, len(seconds), last)


def _schedule(
    records: Sequence[int], cores: int, costs: Costs, calls: int, last: float
) -> Schedule:
    return Schedule(cores, calls, last, last / (costs.record * sum(records) / cores))
