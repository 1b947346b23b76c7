"""Shards: which subjob counts which tasks."""

from collections.abc import Sequence
from heapq import heapreplace

from readcount.planning.task import Task

# What the largest shard may cost, relative to the mean. Bytes and seconds, which differ from what
# was expected, come to somewhat more.
LARGEST_SHARD = 1.05


def divide(tasks: Sequence[Task], shards: int) -> list[tuple[int, ...]]:
    """Returns the numbers of the tasks for each shard; shards cost about the same.

    There are as many shards as are wanted, or fewer: one more that has little to do would not make
    the largest one end earlier.
    """
    for number in range(min(shards, len(tasks)), 0, -1):
        shares, most = _divide(tasks, number)
        if most * number <= LARGEST_SHARD * sum(task.seconds for task in tasks):
            return shares
    return []


def _divide(tasks: Sequence[Task], shards: int) -> tuple[list[tuple[int, ...]], float]:
    """Assigns each task, most expensive first, to the shard that has least to do.

    Returns:
        The numbers of the tasks for each shard, and what the largest shard costs.
    """
    shares: list[list[int]] = [[] for _ in range(shards)]
    spent = [(0.0, number) for number in range(shards)]
    for number, task in enumerate(tasks):
        seconds, share = spent[0]
        shares[share].append(number)
        heapreplace(spent, (seconds + task.seconds, share))
    return [tuple(share) for share in shares], max(spent)[0]
