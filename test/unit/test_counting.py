"""The log tells how far the counting is, and nothing of small regions."""

import re

import pytest

from readcount.counting.tasks import _log_tenths
from readcount.planning.merge import TaskCounts
from readcount.planning.task import Call, Task
from readcount.request.region import Region


def calls_of(records: list[float]) -> list[Task]:
    return [Call(n, Region(f"chr{n}"), records=more, seconds=0) for n, more in enumerate(records)]


@pytest.mark.parametrize(
    ("records", "percents"),
    [
        ([], []),
        ([7, 7, 7], [30, 60, 100]),
        ([50, 1, 4, 5, 40], [50, 60, 100]),
        ([0.1] * 100, list(range(10, 101, 10))),
    ],
)
def test_the_log_has_a_line_for_each_tenth_of_the_records(
    records: list[float], percents: list[int]
) -> None:
    lines: list[str] = []
    counted = [TaskCounts(number, (3,)) for number in range(len(records))]
    assert list(_log_tenths(counted, dict(enumerate(calls_of(records))), lines.append)) == counted
    assert [int(line.split(" %")[0]) for line in lines] == percents
    for line in lines:
        assert re.fullmatch(r"\d+ %: [\d,]+ records counted, [\d,]+ per second", line)
