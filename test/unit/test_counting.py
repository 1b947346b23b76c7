"""Progress of the count in the log."""

import re

import pytest

from layouts import task_of
from readcount.counting.tasks import _log_tenths
from readcount.planning.task import Task
from readcount.regions.counts import TaskCounts
from readcount.source.parts import Edge, Part


def tasks_of(sizes: list[int]) -> dict[int, Task]:
    """Returns tasks that read these numbers of bytes of the file."""
    return {number: task_of(Part(Edge(0), Edge(size << 16))) for number, size in enumerate(sizes)}


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
    assert list(_log_tenths(counted, tasks_of(sizes), lines.append)) == counted
    assert [int(line.split("%")[0]) for line in lines] == percents
    for line in lines:
        assert re.fullmatch(r"\d+%: [\d,]+ records counted, [\d,]+ per second", line)
