"""Target sizes of tasks, and where to split the file, so that all cores finish together."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from operator import attrgetter

from readcount.planning.costs import Costs
from readcount.source.parts import Edge, Layout, Part, Stretch

# Fraction of the total cost assigned to large tasks.
SHARE_IN_LARGE_TASKS = 0.75


@dataclass(frozen=True)
class Sizes:
    """Target sizes of tasks.

    Attributes:
        costs: cost estimates for the file.
        processes: number of processes that run tasks.
        sequences: number of reference sequences in the header.
        total: total cost of all tasks.
    """

    costs: Costs
    processes: int
    sequences: int
    total: float

    @property
    def call(self) -> float:
        """The cost of a samtools call that reads nothing."""
        return self.costs.call + self.costs.call_per_sequence * self.sequences

    @property
    def min_task(self) -> float:
        """The minimum cost of a task."""
        return self.costs.calls_per_task * self.call

    @property
    def large(self) -> float:
        """The cost of a large task."""
        return max(self.total / (self.processes * self.costs.large_tasks_per_core), self.min_task)

    @property
    def small(self) -> float:
        """The cost of a small task; small tasks fill the remaining time at the end."""
        return max(self.large / self.costs.small_tasks_per_large, self.min_task)

    @property
    def min_own_bytes(self) -> float:
        """Bytes above which a separate counting call is cheaper than decoding each record."""
        return self.call / (self.costs.decoded_byte - self.costs.byte)

    def shares(self, cost: float) -> list[float]:
        """Returns the fractions at which to split work of this cost, large parts first."""
        if cost <= self.large:
            return []
        first = round(cost * SHARE_IN_LARGE_TASKS / self.large)
        rest = cost - first * self.large
        parts = max(1, ceil(rest / self.small))
        return [
            *(number * self.large / cost for number in range(1, first + 1)),
            *(1 - rest * (parts - number) / parts / cost for number in range(1, parts)),
        ]


def cut_part(part: Part, shares: Sequence[float], layout: Layout) -> list[Part]:
    """Splits a part at fractions of its size, at the nearest record starts in the index."""
    if not shares:
        return [part]
    begin, end = part.begin.offset, part.end.offset
    within = stretches_in(part, layout)
    cuts = [offset for stretch in within for offset in layout.cuts(stretch)]
    wanted = (begin + share * (end - begin) for share in shares)
    found = {cuts[at] for one in wanted if (at := bisect_left(cuts, one)) < len(cuts)}
    between = [offset for offset in sorted(found) if begin < offset < end]
    tids = [within[bisect_right(within, offset, key=_end)].tid for offset in between]
    begins = [part.begin, *(Edge(at, after=tid) for at, tid in zip(between, tids, strict=True))]
    # The record before a split is checked by the call that reads it.
    ends = [*map(Edge, between), part.end]
    return list(map(Part, begins, ends))


def stretches_in(part: Part, layout: Layout) -> Sequence[Stretch]:
    """Returns the stretches that a part overlaps."""
    first = bisect_right(layout.stretches, part.begin.offset, key=_end)
    return layout.stretches[first : bisect_left(layout.stretches, part.end.offset, key=_begin)]


_begin: Callable[[Stretch], int] = attrgetter("begin")
_end: Callable[[Stretch], int] = attrgetter("end")


def runs(costs: Sequence[float], most: float) -> Iterator[slice]:
    """Yields slices of a list with about equal total cost, at most about `most` each."""
    if not costs:
        return
    total = sum(costs)
    each = total / max(1, ceil(total / most))
    first, made, spent = 0, 0, 0.0
    for end, cost in enumerate(costs, start=1):
        spent += cost
        if spent >= each * (made + 1) or end == len(costs):
            yield slice(first, end)
            first, made = end, made + 1
