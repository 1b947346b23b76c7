"""How long a plan keeps so many cores busy, without a machine that has them."""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from readcount.planning.plan import plan_tasks
from readcount.planning.task import Call, Plan, Task
from readcount.request.region import Region
from readcount.source.contigs import Contig


@dataclass(frozen=True)
class Costs:
    """Measured seconds of one core.

    Attributes:
        call: one `samtools view -c` of a region without records.
        tally: what a group costs beside its records, and beside one call.
        record: each record of a call.
        group_record: each record of a group.
    """

    call: float
    tally: float
    record: float
    group_record: float

    def of_task(self, task: Task) -> float:
        if not isinstance(task, Call):
            return self.call + self.tally + self.group_record * task.records
        return self.call * task.calls + self.record * task.records


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
    """Gives the time at which the last batch ends; a core that is free takes the next one."""
    free = [0.0] * cores
    for seconds in batches:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)


def map_batches(seconds: Sequence[float], cores: int) -> list[float]:
    """Gives the batches that Pool.map makes: four for each process, in the order given."""
    size = max(1, -(-len(seconds) // (4 * cores)))
    return [sum(seconds[first : first + size]) for first in range(0, len(seconds), size)]


def our_schedule(contigs: Mapping[str, Contig], cores: int, costs: Costs) -> Schedule:
    plan: Plan = plan_tasks([Region(contig) for contig in contigs], contigs, cores)
    seconds = [costs.of_task(task) for task in plan.tasks]
    calls = sum(task.calls for task in plan.tasks)
    return _schedule(contigs, cores, costs, calls, makespan(seconds, cores))


def tutorial_schedule(contigs: Mapping[str, Contig], cores: int, costs: Costs) -> Schedule:
    seconds = [
        costs.call + costs.record * (contig.indexed.records or 0) for contig in contigs.values()
    ]
    longest = makespan(map_batches(seconds, cores), cores)
    return _schedule(contigs, cores, costs, len(seconds), longest)


def _schedule(
    contigs: Mapping[str, Contig], cores: int, costs: Costs, calls: int, longest: float
) -> Schedule:
    total = costs.record * sum(contig.indexed.records or 0 for contig in contigs.values())
    return Schedule(cores, calls, longest, longest / (total / cores))
