"""Assigns tasks to subjobs."""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapreplace

from readcount.planning.task import Task

# Maximum cost of a subjob's share, relative to the mean. Actual bytes and seconds differ from the
# estimates, so their maximum is somewhat higher.
MAX_SHARE = 1.05


@dataclass(frozen=True)
class Share:
    """What a subjob counts.

    Attributes:
        plan: digest of the plan's inputs.
        subjob: the number of the subjob, from 0.
        subjobs: number of subjobs.
        tasks: indexes of its tasks in the plan.
    """

    plan: str
    subjob: int
    subjobs: int
    tasks: tuple[int, ...]

    def __str__(self) -> str:
        return f"subjob {self.subjob + 1} of {self.subjobs}"


def divide(tasks: Sequence[Task], subjobs: int) -> list[tuple[int, ...]]:
    """Returns the indexes of each subjob's tasks; shares have about the same cost.

    There may be fewer shares than requested: another, nearly empty one would not make the largest
    finish earlier.
    """
    for number in range(min(subjobs, len(tasks)), 0, -1):
        shares, largest = _divide(tasks, number)
        if largest * number <= MAX_SHARE * sum(task.cost for task in tasks):
            return shares
    return []


def _divide(tasks: Sequence[Task], subjobs: int) -> tuple[list[tuple[int, ...]], float]:
    """Assigns each task, most expensive first, to the subjob with the smallest share.

    Returns:
        The indexes of each subjob's tasks, and the cost of the largest share.
    """
    shares: list[list[int]] = [[] for _ in range(subjobs)]
    spent = [(0.0, number) for number in range(subjobs)]
    for number, task in enumerate(tasks):
        cost, share = spent[0]
        shares[share].append(number)
        heapreplace(spent, (cost + task.cost, share))
    return [tuple(share) for share in shares], max(spent)[0]
