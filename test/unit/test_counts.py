"""Counts are reported for every region once, in header order, in the format that users parse."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import pytest

from readcount.outputs.result import Result
from readcount.outputs.text import format_counts, name_without_suffix
from readcount.planning.merge import RegionCount, RegionCounts, TaskCounts, merge_counts
from readcount.planning.task import Call, Group, Plan, SpanGroup
from readcount.request.region import Region
from readcount.request.region_list import RegionList
from readcount.verification.verify import VerifiedCounts

PLAN = Plan(
    regions=RegionList.of_whole(["chr2", "chr1", "chr3", "chr4"]),
    tasks=(
        Call(0, Region("chr2"), 5, 1, window=Region("chr2", end=50)),
        Call(0, Region("chr2"), 2, 1, window=Region("chr2", start=50)),
        Group((1, 3), ("chr1", "chr4"), (9, 9), (0, 7), 7, 1),
    ),
    empty=(2,),
)
COUNTED = [TaskCounts(0, (5,)), TaskCounts(1, (2,)), TaskCounts(2, (0, 7))]


@pytest.mark.parametrize("arrived", [*permutations(COUNTED)])
def test_parts_add_up_in_the_order_of_the_regions_however_they_arrive(
    arrived: list[TaskCounts],
) -> None:
    assert merge_counts(PLAN, iter(arrived)) == [
        RegionCount(Region("chr2"), 7),
        RegionCount(Region("chr1"), 0),
        RegionCount(Region("chr3"), 0),
        RegionCount(Region("chr4"), 7),
    ]


@pytest.mark.parametrize(
    "arrived",
    [
        COUNTED[:2],
        [*COUNTED, TaskCounts(3, (1,))],
        [*COUNTED, COUNTED[0]],
        [*COUNTED[:2], TaskCounts(2, (7,))],
        [*COUNTED[:2], TaskCounts(2, (0, 0, 7))],
    ],
    ids=["missing", "unknown", "twice", "a number too few", "a number too many"],
)
def test_counts_that_do_not_match_the_tasks_are_refused(arrived: list[TaskCounts]) -> None:
    with pytest.raises(ValueError, match="count"):
        merge_counts(PLAN, arrived)


@pytest.mark.parametrize("numbers", [range(1, 3), [2, 1]], ids=["in order", "not in order"])
def test_spans_get_their_own_counts(numbers: Sequence[int]) -> None:
    spans = [Region("chr1", at, at + 10) for at in (0, 10, 20)]
    group = SpanGroup(numbers, ("chr1",), (0, 0), (10, 20), (20, 30), ((0, 10, 30),), 9, 1)
    plan = Plan(RegionList(spans), (group,), (0,))
    records = dict(zip(numbers, (4, 5), strict=True))
    merged = merge_counts(plan, [TaskCounts(0, (4, 5))])
    assert merged == [RegionCount(span, records.get(at, 0)) for at, span in enumerate(spans)]
    with pytest.raises(ValueError, match="3 counts for 2 regions"):
        merge_counts(plan, [TaskCounts(0, (4, 5, 6))])


def test_a_plan_that_forgets_a_region_is_refused() -> None:
    with pytest.raises(ValueError, match="no task counted region chr3"):
        merge_counts(replace(PLAN, empty=()), COUNTED)


def test_the_file_has_a_line_per_region_and_no_newline_after_the_total() -> None:
    counts = [RegionCount(Region("chr2"), 5), RegionCount(Region("chr1"), 0)]
    assert (
        format_counts(Result(VerifiedCounts(RegionCounts.of(counts)), {}))
        == "Region chr2: 5\nRegion chr1: 0\nTotal reads: 5"
    )


def test_without_regions_there_is_only_the_total() -> None:
    assert format_counts(Result(VerifiedCounts(RegionCounts.of([])), {})) == "Total reads: 0"


@pytest.mark.parametrize(
    ("bam", "prefix"),
    [
        ("sample.bam", "sample"),
        ("a.bam.bam", "a.bam"),
        ("sample.cram", "sample"),
        ("a.bam.cram", "a.bam"),
        ("a.cram.bam", "a.cram"),
        ("sample.sorted.bam", "sample.sorted"),
        ("sample.BAM", "sample.BAM"),
        ("sample", "sample"),
        ("sample.bam.gz", "sample.bam.gz"),
        ("größe 'x'.bam", "größe 'x'"),
    ],
)
def test_outputs_are_named_after_the_bam(bam: str, prefix: str) -> None:
    assert name_without_suffix(bam) == prefix
