"""Progress of the count in the log."""

import re
from typing import Any

import pytest

from layouts import task_of
from readcount.counting.tasks import count_tasks
from readcount.planning.task import Plan, Task
from readcount.regions.counts import TaskCounts
from readcount.regions.region_list import RegionList
from readcount.request.filters import NO_FILTERS
from readcount.source.parts import Edge, Part


def tasks_of(sizes: list[int]) -> tuple[Task, ...]:
    """Returns tasks that read these numbers of bytes of the file."""
    return tuple(task_of(Part(Edge(0), Edge(size << 16))) for size in sizes)


class CountedBefore:
    """Stands in for a Pool that has counted all tasks."""

    def __init__(self, counted: list[TaskCounts]) -> None:
        self.counted = counted

    def results(self, function: object, tasks: object) -> list[TaskCounts]:
        return self.counted


@pytest.mark.parametrize(
    ("sizes", "percents"),
    [
        ([], []),
        ([7, 7, 7], [30, 60, 100]),
        ([50, 1, 4, 5, 40], [50, 60, 100]),
        ([10] * 100, list(range(10, 101, 10))),
    ],
)
def test_the_log_has_a_line_for_each_tenth_of_the_file(
    sizes: list[int], percents: list[int]
) -> None:
    lines: list[str] = []
    counted = [TaskCounts(number, (3,)) for number in range(len(sizes))]
    plan = Plan(RegionList.of_whole([]), tasks_of(sizes), ())
    parts: Any = None
    workers: Any = CountedBefore(counted)
    counting = count_tasks(plan, range(len(sizes)), parts, NO_FILTERS, workers, lines.append)
    assert list(counting) == counted
    assert re.fullmatch(rf"counted {3 * len(sizes)} records in [\d.]+ s", lines.pop())
    assert [int(line.split("%")[0]) for line in lines] == percents
    for line in lines:
        assert re.fullmatch(r"\d+%: [\d,]+ records counted, [\d,]+ per second", line)
