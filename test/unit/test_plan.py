"""A plan reads each part of the file once, in tasks that keep all cores busy until the end."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layouts import MB, header, layout_of, names
from readcount.planning.costs import DOWNLOADED, STREAMED, Costs
from readcount.planning.plan import plan_tasks
from readcount.planning.task import Pass, Plan
from readcount.regions.region import UNPLACED, Region
from readcount.regions.region_list import RegionList
from readcount.source.parts import (
    NO_SEQUENCE,
    Edge,
    Part,
    Span,
)


def plan_of(*sizes: int, cores: int = 4, costs: Costs = DOWNLOADED, sequences: int = 0) -> Plan:
    """Plans a count of sequences of these sizes in bytes; the header may have more sequences."""
    regions = RegionList.of(header(sequences or len(sizes)), map(Region, names(len(sizes))))
    return plan_tasks(regions, layout_of(*sizes), cores, costs)


def test_a_plan_without_regions_has_no_tasks() -> None:
    assert plan_of().tasks == ()


def test_a_sequence_without_records_is_not_read() -> None:
    plan = plan_of(0, 5000, 0)
    assert [list(task.region_ids) for task in plan.tasks] == [[1]]
    assert list(plan.empty) == [0, 2]
    # The task that reads the sequence in between checks the records on both sides of it.
    assert plan.edges == []
    (part,) = plan.tasks[0].parts
    assert (part.begin.before, part.begin.after) == (NO_SEQUENCE, 1)
    assert (part.end.before, part.end.after) == (1, NO_SEQUENCE)


def test_an_empty_sequence_that_no_task_checks_has_an_edge_of_its_own() -> None:
    layout = layout_of(5000, 0, 0, 7000)
    regions = RegionList.of(header(4), [Region("chr1"), Region("chr2")])
    plan = plan_tasks(regions, layout, 2, DOWNLOADED)
    assert plan.tasks == ()
    assert plan.edges == [Edge(6000 << 16, before=0, after=3)]


def test_small_sequences_share_a_call() -> None:
    plan = plan_of(*[900] * 1000)
    (task,) = plan.tasks
    assert list(task.region_ids) == list(task.spans.tids) == list(range(1000))
    assert task.only is None
    assert len(task.parts) == 1
    assert str(plan) == "1,000 regions (1,000 with records), 1 samtools call"


def test_small_sequences_that_share_a_call_are_consecutive() -> None:
    tasks = plan_of(*[90_000] * 10_000).tasks
    assert len(tasks) > 4
    for task in tasks:
        assert list(task.region_ids) == list(range(task.region_ids[0], task.region_ids[-1] + 1))
    sizes = [task.bytes for task in tasks]
    assert max(sizes) < 1.1 * min(sizes)


def test_a_large_sequence_is_split_into_large_parts_followed_by_small_ones() -> None:
    sizes = [task.bytes / MB for task in plan_of(160 * MB, cores=2).tasks]
    assert sizes == pytest.approx([40] * 3 + [40 / 6] * 6, abs=0.2)


def test_each_part_of_a_sequence_begins_with_one_of_its_records() -> None:
    plan = plan_of(160 * MB, 90 * MB, cores=2)
    tasks = sorted(plan.tasks, key=lambda task: task.parts[0].begin.offset)
    for task in tasks:
        (part,) = task.parts
        assert part.begin.after == task.spans.tids[0] == (task.only and task.only.tid)
    ends = {task.parts[-1].end.offset: task.parts[-1].end for task in tasks}
    assert ends[160 * MB + 1000 << 16] == Edge(160 * MB + 1000 << 16, before=0, after=1)
    assert ends[250 * MB + 1000 << 16] == Edge(250 * MB + 1000 << 16, before=1, after=NO_SEQUENCE)


def test_there_are_few_calls_if_a_large_header_makes_each_slow() -> None:
    assert len(plan_of(100 * MB, sequences=25).tasks) > 10
    assert len(plan_of(100 * MB, sequences=1_000_000).tasks) == 1


def test_a_small_file_is_streamed_in_few_requests() -> None:
    assert len(plan_of(*[MB // 2] * 25, cores=16, costs=STREAMED).tasks) == 1


def test_the_most_expensive_tasks_come_first() -> None:
    costs = [task.cost for task in plan_of(*(tid * MB for tid in range(9))).tasks]
    assert costs == sorted(costs, reverse=True)


def test_sequences_with_known_counts_are_not_counted() -> None:
    layout = layout_of(5 * MB, 3 * MB, 2 * MB)
    regions = RegionList.of_whole(names(3))
    plan = plan_tasks(regions, layout, 2, DOWNLOADED, [7, None, 9, None])
    assert {tuple(task.region_ids) for task in plan.tasks} == {(1,)}
    assert plan.known == {0: 7, 2: 9}
    assert plan.complete == {(Pass.WHOLE, 1)}


def test_multi_reference_containers_are_decoded_for_the_requested_sequences() -> None:
    layout = layout_of(90 * MB, 80 * MB, 9, several=[1])
    plan = plan_tasks(RegionList.of(header(3), [Region("chr1")]), layout, 2, DOWNLOADED)
    assert {task.only for task in plan.tasks} == {None}
    assert plan_tasks(RegionList.of(header(3), [Region("chr2")]), layout, 2, DOWNLOADED).tasks


def bytes_read(plan: Plan) -> list[tuple[Pass, int, int]]:
    """Returns the pass, begin and end of each part that a task reads, in bytes."""
    return [
        (task.why, part.begin.offset >> 16, part.end.offset >> 16)
        for task in plan.tasks
        for part in task.parts
    ]


def plan_spans(*regions: Region, size: int = 900 * MB, cores: int = 4) -> Plan:
    return plan_tasks(RegionList.of(header(1), regions), layout_of(size), cores, DOWNLOADED)


def test_nearby_spans_share_a_part_and_distant_ones_do_not() -> None:
    near = Region("chr0", 10 * MB, 10 * MB + 500), Region("chr0", 10 * MB + 9000, 10 * MB + 9500)
    far = Region("chr0", 20 * MB, 20 * MB + 500)
    plan = plan_spans(*near, far)
    (task,) = plan.tasks
    assert [(part.begin.offset >> 16) - 1000 for part in task.parts] == [10 * MB, 20 * MB]
    assert list(task.region_ids) == [0, 1, 2]
    first, second = task.parts
    # The record before must end before the first span, the record after must start after the last.
    assert first.begin == Edge(first.begin.offset, before=0, max_end=10 * MB, after=0)
    assert first.end == Edge(first.end.offset, after=0, min_start=10 * MB + 9500)
    assert (second.begin.max_end, second.end.min_start) == (20 * MB, 20 * MB + 500)


def test_only_the_ends_of_a_span_with_many_records_are_decoded() -> None:
    plan = plan_spans(Region("chr0", 0, 300 * MB), cores=1)
    assert {task.why for task in plan.tasks} == {Pass.INNER, Pass.SPANS}
    assert {task.only for task in plan.tasks if task.why is Pass.INNER} == {Span(0, 0, 300 * MB)}


def test_overlapping_spans_are_read_once() -> None:
    """Reading each span separately would read most of these bytes ten times."""
    spans = [Region("chr0", start * MB, (start + 400) * MB) for start in range(0, 100, 10)]
    sizes = Counter[Pass]()
    for why, begin, end in bytes_read(plan_spans(*spans, cores=1)):
        sizes[why] += end - begin
    assert sizes[Pass.SPANS] + sizes[Pass.INNER] == pytest.approx(490 * MB, rel=0.01)


def test_a_sequence_nearly_covered_by_spans_is_read_completely() -> None:
    """Its number of records can then be compared with the index."""
    windows = [Region("chr0", start, start + 10_000) for start in range(0, 85 * MB, 10_000)]
    plan = plan_spans(*windows, size=100 * MB)
    assert plan.complete == {(Pass.SPANS, 0)}
    assert sum(end - begin for _, begin, end in bytes_read(plan)) == 100 * MB
    assert plan_spans(*windows[::2], size=100 * MB).complete == set()


@st.composite
def regions_on(draw: st.DrawFn, sizes: list[int]) -> list[Region]:
    regions = []
    for tid, size in enumerate(sizes):
        regions += draw(st.lists(st.just(Region(f"chr{tid}")), max_size=1))
        for _ in range(draw(st.integers(0, 3))):
            start = draw(st.integers(0, max(0, size - 1)))
            regions.append(Region(f"chr{tid}", start, start + draw(st.integers(1, 2 * MB))))
    return [*regions, *draw(st.lists(st.just(UNPLACED), max_size=1))]


@given(
    st.lists(st.sampled_from([0, 5, 90_000, 3 * MB, 50 * MB]), min_size=1, max_size=5),
    st.data(),
    st.integers(1, 96),
    st.sampled_from([DOWNLOADED, STREAMED]),
)
def test_each_byte_that_a_region_needs_is_read_for_it_exactly_once(
    sizes: list[int], data: st.DataObject, cores: int, costs: Costs
) -> None:
    regions = RegionList.of(header(len(sizes)), data.draw(regions_on(sizes)))
    layout = layout_of(*sizes)
    plan = plan_tasks(regions, layout, cores, costs)
    read_for: dict[int, list[tuple[int, int]]] = {number: [] for number in range(len(regions))}
    for task in plan.tasks:
        assert all(isinstance(part, Part) for part in task.parts)
        for region_id in task.region_ids:
            read_for[region_id] += [(part.begin.offset, part.end.offset) for part in task.parts]
    stretches = {stretch.tid: stretch for stretch in layout.stretches}
    for region_id, ranges in read_for.items():
        region = regions[region_id]
        tid = NO_SEQUENCE if region == UNPLACED else int(region.contig[3:])
        stretch = stretches.get(tid)
        if stretch is None:
            assert region_id in plan.empty
            continue
        ranges.sort()
        assert all(end <= begin for (_, end), (begin, _) in pairwise(ranges))
        needed = stretch.begin, stretch.end
        if region.start is not None or region.end is not None:
            needed = (
                stretch.begin + (min(region.start or 0, stretch.bytes) << 16),
                stretch.begin + (min(region.end or 0, stretch.bytes) << 16),
            )
        inside = sum(max(0, min(end, needed[1]) - max(begin, needed[0])) for begin, end in ranges)
        assert inside == needed[1] - needed[0]
