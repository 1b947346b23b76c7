"""Merging the counts of tasks by region, and the text file with the counts."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import pytest

from layouts import task_of
from readcount.outputs.result import Result
from readcount.outputs.text import format_counts, name_without_suffix
from readcount.planning.merge import merge_counts
from readcount.planning.task import Pass, Plan, Task
from readcount.regions.counts import RegionCount, TaskCounts
from readcount.regions.region import Region
from readcount.regions.region_list import RegionList
from readcount.source.parts import Edge, Part
from readcount.source.sequences import SequenceDictionary
from readcount.verification.verify import VerifiedCounts
from steps import region_counts


def task(*region_ids: int) -> Task:
    return task_of(Part(Edge(0), Edge(1)), region_ids=region_ids)


PLAN = Plan(
    regions=RegionList.of_whole(["chr2", "chr1", "chr3", "chr4", "chr5"]),
    tasks=(task(0), task(0), task(1, 3)),
    empty=(2,),
    complete=frozenset({(Pass.WHOLE, 0), (Pass.SPANS, 1)}),
    known={4: 9},
)
COUNTED = [
    TaskCounts(0, (5,), {0: 6}),
    TaskCounts(1, (2,), {0: 2, 1: 3}),
    TaskCounts(2, (0, 7), {}),
]


@pytest.mark.parametrize("counted", [*permutations(COUNTED)])
def test_counts_of_parts_are_added_up_by_region_in_any_order_of_arrival(
    counted: list[TaskCounts],
) -> None:
    merged = merge_counts(PLAN, iter(counted))
    assert merged.counts == [
        RegionCount(Region("chr2"), 7),
        RegionCount(Region("chr1"), 0),
        RegionCount(Region("chr3"), 0),
        RegionCount(Region("chr4"), 7),
        RegionCount(Region("chr5"), 9),
    ]
    # All records of the sequences that a pass reads completely.
    assert sorted(merged.decoded) == [(0, 8), (1, 0)]


def test_with_filters_the_number_of_decoded_records_is_unknown() -> None:
    filtered = [replace(counts, decoded=None) for counts in COUNTED]
    assert merge_counts(PLAN, filtered).decoded == []


@pytest.mark.parametrize(
    "counted",
    [
        COUNTED[:2],
        [*COUNTED, TaskCounts(3, (1,))],
        [*COUNTED, COUNTED[0]],
        [*COUNTED[:2], TaskCounts(2, (7,))],
        [*COUNTED[:2], TaskCounts(2, (0, 0, 7))],
    ],
    ids=["missing", "unknown", "twice", "one count too few", "one count too many"],
)
def test_counts_that_do_not_match_the_tasks_are_rejected(counted: list[TaskCounts]) -> None:
    with pytest.raises(ValueError, match="count"):
        merge_counts(PLAN, counted)


@pytest.mark.parametrize("region_ids", [range(1, 3), [2, 1]], ids=["in order", "not in order"])
def test_spans_get_their_own_counts(region_ids: Sequence[int]) -> None:
    spans = [Region("chr1", at, at + 10) for at in (0, 10, 20)]
    plan = Plan(RegionList.of(SequenceDictionary({"chr1": 30}), spans), (task(*region_ids),), (0,))
    records = dict(zip(region_ids, (4, 5), strict=True))
    merged = merge_counts(plan, [TaskCounts(0, (4, 5))]).counts
    assert merged == [RegionCount(span, records.get(at, 0)) for at, span in enumerate(spans)]
    with pytest.raises(ValueError, match="3 counts for 2 regions"):
        merge_counts(plan, [TaskCounts(0, (4, 5, 6))])


def test_a_plan_that_omits_a_region_is_rejected() -> None:
    with pytest.raises(ValueError, match="no task counted region chr3"):
        merge_counts(replace(PLAN, empty=()), COUNTED)


def test_the_file_has_a_line_per_region_and_no_newline_after_the_total() -> None:
    counts = [RegionCount(Region("chr2"), 5), RegionCount(Region("chr1"), 0)]
    assert (
        format_counts(Result(VerifiedCounts(region_counts(counts)), {}))
        == "Region chr2: 5\nRegion chr1: 0\nTotal reads: 5"
    )


def test_without_regions_there_is_only_the_total() -> None:
    assert format_counts(Result(VerifiedCounts(region_counts([])), {})) == "Total reads: 0"


@pytest.mark.parametrize(
    ("name", "prefix"),
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
def test_outputs_are_named_after_the_input(name: str, prefix: str) -> None:
    assert name_without_suffix(name) == prefix
