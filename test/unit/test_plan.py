"""A plan reads every part of the file once, in tasks that keep all cores busy to the end."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layouts import MB, layout_of, names
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


def plan(*sizes: int, cores: int = 4, costs: Costs = DOWNLOADED, sequences: int = 0) -> Plan:
    number = sequences or len(sizes)
    regions = RegionList(names(number), map(Region, names(len(sizes))))
    return plan_tasks(regions, layout_of(*sizes), cores, costs)


def test_no_regions_give_no_tasks() -> None:
    assert plan().tasks == ()


def test_a_sequence_without_records_is_not_read() -> None:
    made = plan(0, 5000, 0)
    assert [list(task.region_ids) for task in made.tasks] == [[1]]
    assert list(made.empty) == [0, 2]
    # The task that reads its neighbor looks at the records on both sides.
    assert made.edges == []
    (part,) = made.tasks[0].parts
    assert (part.begin.before, part.begin.after) == (NO_SEQUENCE, 1)
    assert (part.end.before, part.end.after) == (1, NO_SEQUENCE)


def test_where_no_task_reads_a_place_shows_that_a_sequence_is_empty() -> None:
    layout = layout_of(5000, 0, 0, 7000)
    regions = RegionList(names(4), [Region("chr1"), Region("chr2")])
    made = plan_tasks(regions, layout, 2, DOWNLOADED)
    assert made.tasks == ()
    assert made.edges == [Edge(6000 << 16, before=0, after=3)]


def test_small_sequences_share_a_call() -> None:
    made = plan(*[900] * 1000)
    (task,) = made.tasks
    assert list(task.region_ids) == list(task.spans.tids) == list(range(1000))
    assert task.only is None
    assert len(task.parts) == 1
    assert str(made) == "1,000 regions (1,000 with records), 1 samtools call"


def test_calls_that_share_small_sequences_are_runs_of_neighbors() -> None:
    tasks = plan(*[90_000] * 10_000).tasks
    assert len(tasks) > 4
    for task in tasks:
        assert list(task.region_ids) == list(range(task.region_ids[0], task.region_ids[-1] + 1))
    sizes = [task.bytes for task in tasks]
    assert max(sizes) < 1.1 * min(sizes)


def test_a_large_sequence_is_cut_into_large_parts_and_then_small_ones() -> None:
    sizes = [task.bytes / MB for task in plan(160 * MB, cores=2).tasks]
    assert sizes == pytest.approx([40] * 3 + [40 / 6] * 6, abs=0.2)


def test_parts_of_a_sequence_begin_with_a_record_of_it() -> None:
    made = plan(160 * MB, 90 * MB, cores=2)
    tasks = sorted(made.tasks, key=lambda task: task.parts[0].begin.offset)
    for task in tasks:
        (part,) = task.parts
        assert part.begin.after == task.spans.tids[0] == (task.only and task.only.tid)
    ends = {task.parts[-1].end.offset: task.parts[-1].end for task in tasks}
    assert ends[160 * MB + 1000 << 16] == Edge(160 * MB + 1000 << 16, before=0, after=1)
    assert ends[250 * MB + 1000 << 16] == Edge(250 * MB + 1000 << 16, before=1, after=NO_SEQUENCE)


def test_with_many_sequences_a_call_takes_long_and_there_are_few() -> None:
    assert len(plan(100 * MB, sequences=25).tasks) > 10
    assert len(plan(100 * MB, sequences=1_000_000).tasks) == 1


def test_a_small_file_is_streamed_in_few_requests() -> None:
    assert len(plan(*[MB // 2] * 25, cores=16, costs=STREAMED).tasks) == 1


def test_the_most_expensive_goes_first() -> None:
    costs = [task.cost for task in plan(*(tid * MB for tid in range(9))).tasks]
    assert costs == sorted(costs, reverse=True)


def test_numbers_that_are_known_are_not_counted() -> None:
    layout = layout_of(5 * MB, 3 * MB, 2 * MB)
    regions = RegionList.of_whole(names(3))
    made = plan_tasks(regions, layout, 2, DOWNLOADED, [7, None, 9, None])
    assert {tuple(task.region_ids) for task in made.tasks} == {(1,)}
    assert made.known == {0: 7, 2: 9}
    assert made.complete == {(Pass.WHOLE, 1)}


def test_containers_of_several_sequences_are_looked_at_for_those_that_are_asked_for() -> None:
    layout = layout_of(90 * MB, 80 * MB, 9, several=[1])
    made = plan_tasks(RegionList(names(3), [Region("chr1")]), layout, 2, DOWNLOADED)
    assert {task.only for task in made.tasks} == {None}
    assert plan_tasks(RegionList(names(3), [Region("chr2")]), layout, 2, DOWNLOADED).tasks


def spans_of(made: Plan) -> list[tuple[Pass, int, int]]:
    """The bytes that tasks read."""
    return [
        (task.why, part.begin.offset >> 16, part.end.offset >> 16)
        for task in made.tasks
        for part in task.parts
    ]


def plan_spans(*regions: Region, size: int = 900 * MB, cores: int = 4) -> Plan:
    return plan_tasks(RegionList(names(1), regions), layout_of(size), cores, DOWNLOADED)


def test_near_spans_are_read_together_and_far_ones_apart() -> None:
    near = Region("chr0", 10 * MB, 10 * MB + 500), Region("chr0", 10 * MB + 9000, 10 * MB + 9500)
    far = Region("chr0", 20 * MB, 20 * MB + 500)
    made = plan_spans(*near, far)
    (task,) = made.tasks
    assert [(part.begin.offset >> 16) - 1000 for part in task.parts] == [10 * MB, 20 * MB]
    assert list(task.region_ids) == [0, 1, 2]
    first, second = task.parts
    # No record before may reach the first span, and none after the last may begin in it.
    assert first.begin == Edge(first.begin.offset, before=0, max_end=10 * MB, after=0)
    assert first.end == Edge(first.end.offset, after=0, min_start=10 * MB + 9500)
    assert (second.begin.max_end, second.end.min_start) == (20 * MB, 20 * MB + 500)


def test_a_span_with_many_records_is_counted_but_for_its_ends() -> None:
    made = plan_spans(Region("chr0", 0, 300 * MB), cores=1)
    assert {task.why for task in made.tasks} == {Pass.INNER, Pass.SPANS}
    assert {task.only for task in made.tasks if task.why is Pass.INNER} == {Span(0, 0, 300 * MB)}


def test_spans_that_overlap_are_looked_at_once() -> None:
    """To count each by itself would read the file ten times."""
    spans = [Region("chr0", start * MB, (start + 400) * MB) for start in range(0, 100, 10)]
    made = plan_spans(*spans, cores=1)
    sizes = {
        why: sum(end - begin for one, begin, end in spans_of(made) if one is why) for why in Pass
    }
    assert sizes[Pass.SPANS] + sizes[Pass.INNER] == pytest.approx(490 * MB, rel=0.01)


def test_a_sequence_whose_spans_need_nearly_all_of_it_is_read_whole() -> None:
    """Then the number of its records can be compared with the index."""
    windows = [Region("chr0", at, at + 10_000) for at in range(0, 85 * MB, 10_000)]
    made = plan_spans(*windows, size=100 * MB)
    assert made.complete == {(Pass.SPANS, 0)}
    assert sum(end - begin for _, begin, end in spans_of(made)) == 100 * MB
    assert plan_spans(*windows[::2], size=100 * MB).complete == set()


@st.composite
def regions_on(draw: st.DrawFn, sizes: list[int]) -> list[Region]:
    made = []
    for tid, size in enumerate(sizes):
        made += draw(st.lists(st.just(Region(f"chr{tid}")), max_size=1))
        for _ in range(draw(st.integers(0, 3))):
            start = draw(st.integers(0, max(0, size - 1)))
            made.append(Region(f"chr{tid}", start, start + draw(st.integers(1, 2 * MB))))
    return [*made, *draw(st.lists(st.just(UNPLACED), max_size=1))]


@given(
    st.lists(st.sampled_from([0, 5, 90_000, 3 * MB, 50 * MB]), min_size=1, max_size=5),
    st.data(),
    st.integers(1, 96),
    st.sampled_from([DOWNLOADED, STREAMED]),
)
def test_each_region_gets_each_byte_that_it_needs_once(
    sizes: list[int], data: st.DataObject, cores: int, costs: Costs
) -> None:
    regions = RegionList(names(len(sizes)), data.draw(regions_on(sizes)))
    layout = layout_of(*sizes)
    made = plan_tasks(regions, layout, cores, costs)
    read_for: dict[int, list[tuple[int, int]]] = {at: [] for at in range(len(regions))}
    for task in made.tasks:
        assert all(isinstance(part, Part) for part in task.parts)
        for at in task.region_ids:
            read_for[at] += [(part.begin.offset, part.end.offset) for part in task.parts]
    of_tid = {stretch.tid: stretch for stretch in layout.stretches}
    for at, ranges in read_for.items():
        region = regions[at]
        tid = NO_SEQUENCE if region == UNPLACED else int(region.contig[3:])
        stretch = of_tid.get(tid)
        if stretch is None:
            assert at in made.empty
            continue
        ranges.sort()
        assert all(end <= begin for (_, end), (begin, _) in pairwise(ranges))
        needed = stretch.begin, stretch.end
        if not region.whole and region.placed:
            needed = (
                stretch.begin + (min(region.start or 0, stretch.bytes) << 16),
                stretch.begin + (min(region.end or 0, stretch.bytes) << 16),
            )
        inside = sum(max(0, min(end, needed[1]) - max(begin, needed[0])) for begin, end in ranges)
        assert inside == needed[1] - needed[0]
