"""Which subjob counts which tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapreplace

from readcount.planning.task import Task

# What the share of a subjob may cost at most, relative to the mean. Bytes and seconds, which differ
# from what was expected, come to somewhat more.
MAX_SHARE = 1.05


@dataclass(frozen=True)
class Share:
    """What a subjob counts.

    Attributes:
        plan: a digest of what the plan is made from.
        subjob: the number of the subjob, from 0.
        subjobs: how many there are.
        tasks: the numbers of its tasks in the plan.
    """

    plan: str
    subjob: int
    subjobs: int
    tasks: tuple[int, ...]

    def __str__(self) -> str:
        return f"subjob {self.subjob + 1} of {self.subjobs}"


def divide(tasks: Sequence[Task], subjobs: int) -> list[tuple[int, ...]]:
    """Returns the indexes of the tasks for each subjob; shares cost about the same.

    There are as many shares as are wanted, or fewer: one more that has little to do would not make
    the largest one end earlier.
    """
    for number in range(min(subjobs, len(tasks)), 0, -1):
        shares, largest = _divide(tasks, number)
        if largest * number <= MAX_SHARE * sum(task.cost for task in tasks):
            return shares
    return []


def _divide(tasks: Sequence[Task], subjobs: int) -> tuple[list[tuple[int, ...]], float]:
    """Assigns each task, most expensive first, to the subjob that has least to do.

    Returns:
        The indexes of the tasks for each subjob, and what the largest share costs.
    """
    shares: list[list[int]] = [[] for _ in range(subjobs)]
    spent = [(0.0, number) for number in range(subjobs)]
    for number, task in enumerate(tasks):
        cost, share = spent[0]
        shares[share].append(number)
        heapreplace(spent, (cost + task.cost, share))
    return [tuple(share) for share in shares], max(spent)[0]
