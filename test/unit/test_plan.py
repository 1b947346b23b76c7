"""A plan covers every region once."""

from readcount.plan import Task, plan_tasks
from readcount.regions import Region


def test_every_region_is_in_one_task() -> None:
    regions = [Region("chr1"), Region("chr2")]
    assert plan_tasks(regions) == [Task((Region("chr1"),)), Task((Region("chr2"),))]


def test_no_regions_give_no_tasks() -> None:
    assert plan_tasks([]) == []
