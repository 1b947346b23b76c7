"""A plan counts every record once, in tasks that keep all cores busy to the end."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import contig_of
from readcount.formats.bam_index import INTERVAL
from readcount.planning.costs import DOWNLOADED, RECORD_BYTES, STREAMED, costs_of_size
from readcount.planning.plan import plan_tasks
from readcount.planning.task import Call, Group, Plan
from readcount.request.region import Region
from readcount.request.region_list import RegionList
from readcount.source.contigs import Contig


def plan(contigs: dict[str, Contig], cores: int = 4, seconds: float | None = None) -> Plan:
    return plan_tasks([Region(contig) for contig in contigs], contigs, cores, seconds=seconds)


def windows(plan: Plan) -> list[Region | None]:
    calls = [task for task in plan.tasks if isinstance(task, Call)]
    return [call.window for call in sorted(calls, key=lambda c: (c.window and c.window.start) or 0)]


LARGE = contig_of(length=1_000_000, records=40_000_000)
SMALL = contig_of(length=1_000, records=10, reach=INTERVAL)


def test_no_regions_give_no_tasks() -> None:
    assert plan({}) == Plan(regions=RegionList(), tasks=(), empty=())


def test_a_sequence_without_records_gets_no_call() -> None:
    assert plan({"chr1": contig_of(1000, 0), "chr2": contig_of(1000, 5)}) == Plan(
        regions=RegionList([Region("chr1"), Region("chr2")]),
        tasks=plan({"x": contig_of(1000, 5), "chr2": contig_of(1000, 5)}).tasks[1:],
        empty=(0,),
    )


def test_small_sequences_share_a_call() -> None:
    (group,) = plan({f"hla{number}": SMALL for number in range(1000)}).tasks
    assert isinstance(group, Group)
    assert group.contigs[:2] == ("hla0", "hla1")
    assert (len(group.contigs), group.reaches[0], group.in_index[0]) == (1000, INTERVAL, 10)


def test_two_sequences_do_not_make_a_group() -> None:
    tasks = plan({"a": SMALL, "b": SMALL}).tasks
    assert [type(task) for task in tasks] == [Call, Call]


def test_groups_are_runs_of_neighbours() -> None:
    contigs = {f"{number}": contig_of(9_000, 1_000) for number in range(10_000)}
    tasks = plan(contigs).tasks
    groups = [task for task in tasks if isinstance(task, Group)]
    assert len(groups) > 4
    for group in groups:
        assert list(group.numbers) == list(range(group.numbers[0], group.numbers[-1] + 1))
    assert max(task.records for task in groups) < 1.1 * min(task.records for task in groups)


def test_a_large_sequence_is_cut_into_windows_without_gap_or_overlap() -> None:
    cut = windows(plan({"chr1": LARGE}, cores=1, seconds=12))
    assert cut[:2] == [Region("chr1", None, 769_230), Region("chr1", 769_230, 884_615)]
    assert [window and window.start for window in cut[1:]] == [w and w.end for w in cut[:-1]]
    assert cut[-1] and cut[-1].end is None


def test_the_last_windows_are_small_to_fill_what_is_left() -> None:
    records = [task.records for task in plan({"chr1": LARGE}, cores=2).tasks]
    assert records == pytest.approx([10e6] * 3 + [10e6 / 6] * 6, rel=0.01)


def test_windows_hold_about_as_many_records_wherever_they_lie() -> None:
    # 90 % of the file is in the fourth interval.
    offsets = tuple(offset << 16 for offset in (10, 11, 12, 13, 103, 104, 105, 110))
    contig = contig_of(length=7 * INTERVAL, records=50_000_000, offsets=offsets)
    made = plan({"chr1": contig}, cores=1, seconds=5)
    assert windows(made) == [
        Region("chr1", None, 4 * INTERVAL),
        Region("chr1", 4 * INTERVAL, None),
    ]
    assert [round(task.records / 1e6, 1) for task in made.tasks] == [46.5, 3.5]


def test_long_reads_are_cut_finer_than_as_many_short_ones() -> None:
    contigs = {"chr1": contig_of(length=200_000_000, records=100_000)}

    def tasks(record_bytes: float) -> int:
        costs = costs_of_size(STREAMED, record_bytes)
        return len(plan_tasks([Region("chr1")], contigs, 64, costs=costs).tasks)

    assert tasks(RECORD_BYTES) == 1
    # 1 GB
    assert tasks(10_000) > 20


def test_spans_of_long_reads_share_calls_as_those_of_short_ones_do() -> None:
    contigs = {"chr1": contig_of(length=200_000_000, records=300_000)}
    spans = [Region("chr1", 100_000 * number, 100_000 * number + 50_000) for number in range(2000)]
    costs = costs_of_size(DOWNLOADED, 10_000)
    assert len(plan_tasks(spans, contigs, 4, costs=costs).tasks) < 100


def test_a_sequence_too_short_to_gain_by_it_is_not_cut() -> None:
    # A window in the middle of an interval has to read it from its beginning.
    assert windows(plan({"chrM": contig_of(16_569, 10**9)})) == [None]


@pytest.mark.parametrize("offsets", [(0, 0), (5, 5, 5), (9, 4, 1), (0, 0, 7, 3)])
def test_offsets_that_tell_nothing_do_no_harm(offsets: tuple[int, ...]) -> None:
    made = plan({"chr1": contig_of(1_000_000, 40_000_000, offsets=offsets)}, cores=1, seconds=5)
    assert sum(task.records for task in made.tasks) == pytest.approx(40_000_000)


def test_a_name_with_a_brace_is_not_cut() -> None:
    (call,) = plan({"{chr1}": LARGE}, cores=1, seconds=5).tasks
    assert isinstance(call, Call)
    assert call.window is None


@pytest.mark.parametrize("contig", [".", "*", "#x", "a b", "track"])
def test_a_name_that_does_not_fit_a_bed_file_gets_its_own_call(contig: str) -> None:
    made = plan({contig: SMALL} | {f"hla{number}": SMALL for number in range(9)})
    assert sorted(len(task.numbers) for task in made.tasks) == [1, 9]


def test_without_statistics_lengths_decide_and_there_are_no_groups() -> None:
    contigs = {"chr1": contig_of(250_000_000)} | {f"hla{n}": contig_of(3_300) for n in range(9)}
    made = plan(contigs, cores=2)
    assert all(isinstance(task, Call) for task in made.tasks)
    assert [task.numbers for task in made.tasks][-9:] == [(n,) for n in range(1, 10)]
    assert len(windows(made)) == 18


def test_the_most_expensive_goes_first() -> None:
    contigs = {f"chr{number}": contig_of(1000, number * 1_000_000) for number in range(1, 9)}
    seconds = [task.seconds for task in plan(contigs).tasks]
    assert seconds == sorted(seconds, reverse=True)


def test_a_plan_says_in_a_line_what_it_comes_to() -> None:
    contigs = {"chr1": SMALL} | {f"hla{number}": SMALL for number in range(2000)}
    made = plan(contigs | {f"decoy{number}": contig_of(1000, 0) for number in range(1500)}, cores=2)
    assert str(made) == "3,501 regions (2,001 with records), 1 samtools call"


@st.composite
def contigs(draw: st.DrawFn) -> Contig:
    length = draw(st.integers(1, 10 * INTERVAL))
    records = draw(st.none() | st.sampled_from([0, 1, 1000, 10**6, 10**9]))
    offsets = draw(st.lists(st.integers(0, 2**48), min_size=2, max_size=12)) if records else []
    return contig_of(length, records, offsets=tuple(offsets))


@given(
    st.dictionaries(st.sampled_from([*"abcdef}.#"]), contigs()),
    st.integers(1, 96),
    st.none() | st.floats(0.1, 10),
)
def test_every_base_of_every_sequence_is_counted_once(
    contigs: dict[str, Contig], cores: int, seconds: float | None
) -> None:
    made = plan(contigs, cores, seconds)
    tasks_of = Counter(number for task in made.tasks for number in task.numbers)
    assert sorted([*tasks_of, *made.empty]) == list(range(len(contigs)))
    for number, name in enumerate(contigs):
        calls = [task for task in made.tasks if number in task.numbers]
        if any(not isinstance(task, Call) or task.window is None for task in calls):
            assert len(calls) == 1
        elif calls:
            spans = [call.window for call in calls if isinstance(call, Call) and call.window]
            spans.sort(key=lambda span: span.start or 0)
            assert {span.contig for span in spans} == {name}
            assert [span.start for span in spans] == [None, *(span.end for span in spans[:-1])]
            assert spans[-1].end is None
    assert sum(task.records for task in made.tasks) == pytest.approx(
        sum(
            contig.length * 0.2 if contig.indexed.records is None else contig.indexed.records
            for contig in contigs.values()
        )
    )
