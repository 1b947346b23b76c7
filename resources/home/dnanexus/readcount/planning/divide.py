"""Assigns tasks to subjobs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heapreplace

from readcount.planning.task import Task

# Maximum cost of a subjob's share, relative to the mean. Actual bytes and seconds differ from the
# estimates, so their maximum is somewhat higher.
MAX_SHARE = 1.05


@dataclass(frozen=True)
class Subjob:
    """One of the jobs that share a count.

    Attributes:
        plan: digest of the plan's inputs.
        subjob: the number of the subjob, from 0.
        subjobs: number of subjobs.
    """

    plan: str
    subjob: int
    subjobs: int

    def __str__(self) -> str:
        return f"subjob {self.subjob + 1} of {self.subjobs}"


@dataclass(frozen=True)
class Share(Subjob):
    """What a subjob counts.

    Attributes:
        tasks: indexes of its tasks in the plan.
    """

    tasks: tuple[int, ...]


def divide(tasks: Sequence[Task], subjobs: int) -> list[tuple[int, ...]]:
    """Returns the indexes of each subjob's tasks; shares have about the same cost.

    There may be fewer shares than requested: another, nearly empty one would not make the largest
    finish earlier.
    """
    costs = [task.cost for task in tasks]
    for number in range(min(subjobs, len(tasks)), 0, -1):
        shares, largest = deal(costs, number)
        if largest * number <= MAX_SHARE * sum(costs):
            return [tuple(share) for share in shares]
    return []


def deal(costs: Iterable[float], subjobs: int) -> tuple[list[list[int]], float]:
    """Assigns each item, most expensive first, to the subjob with the smallest share.

    Args:
        costs: cost of each item, in descending order.
        subjobs: number of subjobs.

    Returns:
        The indexes of each subjob's items, and the cost of the largest share.
    """
    shares: list[list[int]] = [[] for _ in range(subjobs)]
    spent = [(0.0, number) for number in range(subjobs)]
    for number, more in enumerate(costs):
        cost, share = spent[0]
        shares[share].append(number)
        heapreplace(spent, (cost + more, share))
    return shares, max(spent, default=(0.0, 0))[0]
