"""What tasks should cost, so that all cores finish together, and where to cut the file for that."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from readcount.planning.costs import Costs
from readcount.source.parts import Edge, Part

# This much of the cost goes into large tasks.
SHARE_IN_LARGE_TASKS = 0.75


@dataclass(frozen=True)
class Sizes:
    """What tasks should cost.

    Attributes:
        costs: of the file.
        processes: that tasks run on at a time.
        sequences: in the header.
        total: cost of all tasks.
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
        """The cost of a small task, which fills up what is left at the end."""
        return max(self.large / self.costs.small_tasks_per_large, self.min_task)

    @property
    def min_own_bytes(self) -> float:
        """The bytes from which on a call of its own costs less than to look at each record."""
        return self.call / (self.costs.decoded_byte - self.costs.byte)

    def shares(self, cost: float) -> list[float]:
        """Returns the shares of a cost at which to cut it into large parts and then small ones."""
        if cost <= self.large:
            return []
        first = round(cost * SHARE_IN_LARGE_TASKS / self.large)
        rest = cost - first * self.large
        parts = max(1, ceil(rest / self.small))
        return [
            *(number * self.large / cost for number in range(1, first + 1)),
            *(1 - rest * (parts - number) / parts / cost for number in range(1, parts)),
        ]


def cut_part(
    part: Part, shares: Sequence[float], cuts: Sequence[int], tid_of: Callable[[int], int]
) -> list[Part]:
    """Cuts a part of the file.

    Args:
        part: the part.
        shares: of its bytes, at which to cut, rising.
        cuts: offsets at which it can be cut, rising.
        tid_of: returns the number of the sequence of the record at an offset.
    """
    begin, end = part.begin.offset, part.end.offset
    wanted = (begin + share * (end - begin) for share in shares)
    found = {cuts[at] for one in wanted if (at := bisect_left(cuts, one)) < len(cuts)}
    between = [offset for offset in sorted(found) if begin < offset < end]
    begins = [part.begin, *(Edge(offset, after=tid_of(offset)) for offset in between)]
    # What is before a cut is looked at by the call that reads it.
    ends = [*map(Edge, between), part.end]
    return list(map(Part, begins, ends))


def runs(costs: Sequence[float], most: float) -> Iterator[slice]:
    """Yields slices of a list that cost about the same, about `most` at most."""
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
