"""What to count in which samtools call."""

from collections.abc import Sequence
from dataclasses import dataclass

from readcount.regions import Region


@dataclass(frozen=True)
class Task:
    """The unit of work that a core gets.

    Attributes:
        regions: what to count; no two tasks of a plan share a region.
    """

    regions: tuple[Region, ...]


def plan_tasks(regions: Sequence[Region]) -> list[Task]:
    """Divides the work: each region is in exactly one task, in the order given."""
    return [Task(regions=(region,)) for region in regions]
