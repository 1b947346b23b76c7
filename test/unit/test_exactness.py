"""However a BAM is cut, the counts are those of one `samtools view -c` per reference sequence."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import Read, contig_of, write_bam
from oracle import count_by_rname, count_one_by_one
from readcount.counting.tasks import run_task
from readcount.formats.bam_index import INTERVAL
from readcount.planning.costs import DOWNLOADED, Costs
from readcount.planning.merge import merge_counts
from readcount.planning.plan import plan_tasks
from readcount.planning.task import Call, Group, Plan
from readcount.request.region import Region
from steps import indexed, opened
from strategies import BY_EDGE, BY_EXPRESSION, CIGARS, UNMAPPED, Case, cases, ways_to_cut

# No record costs less: with tasks of this size every sequence is cut.
TINY = 1e-8


def plan_of(
    bam: Path,
    *,
    seconds: float | None = None,
    shortest: int = 1,
    by_length: bool = False,
    costs: Costs = DOWNLOADED,
) -> Plan:
    contigs = opened(bam).contigs
    if by_length:
        contigs = {
            name: contig._replace(indexed=contig.indexed._replace(offsets=()))
            for name, contig in contigs.items()
        }
    regions = [Region(contig) for contig in contigs]
    return plan_tasks(
        regions, contigs, processes=3, seconds=seconds, shortest=shortest, costs=costs
    )


def count(bam: Path, plan: Plan) -> list[int]:
    numbered = enumerate(plan.tasks)
    counted = [run_task(indexed(bam), task) for task in numbered]
    return [count.records for count in merge_counts(plan, counted)]


@given(cases(), st.none() | st.integers(1, 8), st.booleans(), ways_to_cut)
@settings(max_examples=80)
def test_any_cut_of_any_bam_gives_what_single_calls_give(
    tmp_path_factory: pytest.TempPathFactory,
    case: Case,
    parts: int | None,
    by_length: bool,
    costs: Costs,
) -> None:
    path = tmp_path_factory.mktemp("any") / "sample.bam"
    bam = write_bam(path, case.lengths, case.reads, csi=case.csi)
    if parts is None:
        plan = plan_of(bam)
    else:
        # That is a single base where the sequences are short.
        filled = [case.lengths[read.contig] for read in case.reads if read.contig]
        shortest = max(1, max(filled, default=1) // parts)
        plan = plan_of(bam, seconds=TINY, shortest=shortest, by_length=by_length, costs=costs)
    assert count(bam, plan) == count_one_by_one(bam, case.lengths)


@pytest.mark.parametrize(("costs", "calls"), [(BY_EDGE, 15), (BY_EXPRESSION, 8)])
def test_windows_of_one_base_count_each_record_once(
    tmp_path: Path, costs: Costs, calls: int
) -> None:
    reads = [Read("a", at, cigar) for at in range(9) for cigar in CIGARS]
    bam = write_bam(tmp_path, {"a": 8, "b": 8}, [Read("a", -1, "10M"), *reads, Read("b", 3)])
    plan = plan_of(bam, seconds=TINY, by_length=True, costs=costs)
    assert sum(task.calls for task in plan.tasks if task.numbers == (0,)) == calls
    assert len([task for task in plan.tasks if isinstance(task, Call)]) == 16
    assert count(bam, plan) == count_one_by_one(bam, "ab") == [1 + len(reads), 1]


@pytest.mark.parametrize("costs", [BY_EDGE, BY_EXPRESSION])
def test_windows_by_the_index_count_each_record_once(tmp_path: Path, costs: Costs) -> None:
    # Most records lie in the fourth of ten intervals, many of them over its edges.
    reads = [Read("a", 4 * INTERVAL - 20_000 + 7 * n, "9000M") for n in range(4000)]
    reads += [Read("a", n * INTERVAL - 1, "2M") for n in range(1, 10)]
    bam = write_bam(tmp_path, {"a": 10 * INTERVAL}, reads)
    plan = plan_of(bam, seconds=TINY, costs=costs)
    starts = [task.window.start for task in plan.tasks if isinstance(task, Call) and task.window]
    assert len(starts) > 2
    assert all((start or 0) % INTERVAL == 0 for start in starts)
    assert count(bam, plan) == [4009] == count_one_by_one(bam, "a")


def test_a_group_counts_what_lies_where_it_does_not_look(tmp_path: Path) -> None:
    lengths = dict.fromkeys("abcdef", 1000)
    reads = [
        Read("a", -1, None, UNMAPPED),
        Read("b", -1, "10M"),
        Read("c", 2_000_000),
        Read("d", 3_000_000, None, UNMAPPED),
        Read("e", 999, "100000M"),
        *(Read(name, 5) for name in lengths),
    ]
    bam = write_bam(tmp_path, lengths, reads)
    plan = plan_of(bam)
    (group,) = plan.tasks
    assert isinstance(group, Group)
    assert count(bam, plan) == count_one_by_one(bam, lengths) == [1, 2, 2, 2, 2, 1]
    # The record that samtools gives for no region is in no count.
    assert count_by_rname(bam)["a"] == 2


def test_without_statistics_the_counts_are_the_same(tmp_path: Path) -> None:
    lengths = {"a": 50_000, "b": 20, "c": 8}
    bam = write_bam(tmp_path, lengths, [Read(name, at) for name in lengths for at in range(8)])
    contigs = {name: contig_of(length) for name, length in lengths.items()}
    plan = plan_tasks([Region(name) for name in lengths], contigs, 3, seconds=1e-3, shortest=1)
    assert len(plan.tasks) > 3
    assert count(bam, plan) == [8, 8, 8]
