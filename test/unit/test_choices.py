"""Whatever is asked for, in any combination, counts what looking at each record counts."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import Read, cram_of, write_bam
from oracle import Record, records_of
from readcount.checks import check_read_groups, read_files
from readcount.counting import count_regions
from readcount.counts import format_table
from readcount.errors import InputError
from readcount.inputs import downloaded
from readcount.plan import Call, Costs, SpanGroup, plan_tasks
from readcount.pool import start_workers
from readcount.regions import UNPLACED, Region
from readcount.samtools import count_region, run_task
from readcount.selection import EVERYTHING, FLAGS, Selection
from readcount.targets import Targets, list_regions
from readme import is_in_the_table_of_errors
from strategies import ways_to_cut

LENGTHS = {"chr1": 100_000, "chr2": 5_000, "HLA-A*01:01": 300, "a}b": 300, "chrM": 16_000}
GROUPS = ("lane1", "lane2")
HEADER = [f"@RG\tID:{name}\tSM:x" for name in GROUPS]
# No record costs less: with tasks of this size every region is cut.
TINY = 1e-8


@dataclass(frozen=True)
class Request:
    """What a user may ask for; spans are 0-based and half-open."""

    spans: list[tuple[str, int, int]]
    whole: list[str]
    primary: bool
    unplaced: bool
    selection: Selection


@st.composite
def spans(draw: st.DrawFn) -> tuple[str, int, int]:
    contig = draw(st.sampled_from([*LENGTHS]))
    start = draw(st.integers(0, LENGTHS[contig] - 1))
    return contig, start, draw(st.integers(start + 1, min(start + 20_000, LENGTHS[contig])))


def flags() -> st.SearchStrategy[int]:
    return st.just(0) | st.sampled_from([*FLAGS.values()]) | st.integers(0, 0xFFF)


selections = st.builds(
    Selection,
    st.sampled_from([0, 1, 20, 255]),
    flags(),
    flags(),
    st.sampled_from([(), ("lane1",), GROUPS]),
)
requests = st.builds(
    Request,
    st.lists(spans(), max_size=8),
    st.lists(st.sampled_from([*LENGTHS]), max_size=3),
    st.booleans(),
    st.booleans(),
    st.just(EVERYTHING) | selections,
)


@st.composite
def reads(draw: st.DrawFn) -> Read:
    contig = draw(st.sampled_from([*LENGTHS, None]))
    return Read(
        contig,
        draw(st.integers(0, LENGTHS[contig] + 200)) if contig else -1,
        draw(st.sampled_from([None, "10M", "3S5M", "2M20000N2M", "5I", "3000M"])),
        draw(st.sampled_from([0, 0x4, 0x10, 0x100, 0x400, 0x800, 0x63])),
        draw(st.sampled_from([0, 19, 20, 60, 255])),
        draw(st.sampled_from([None, *GROUPS, "lane3"])),
    )


def selected(record: Record, selection: Selection) -> bool:
    return (
        record.mapping_quality >= selection.min_mapping_quality
        and record.flag & selection.require_flags == selection.require_flags
        and not record.flag & selection.exclude_flags
        and (not selection.read_groups or record.read_group in selection.read_groups)
    )


def expected(records: list[Record], region: Region, selection: Selection) -> int:
    if region is UNPLACED:
        return sum(record.contig == "*" and selected(record, selection) for record in records)
    start, end = region.start or 0, 2**31 if region.end is None else region.end
    return sum(
        record.contig == region.contig
        and record.start < end
        and record.end > start
        and selected(record, selection)
        for record in records
    )


def regions_of(request: Request, folder: Path) -> list[Region]:
    bed = folder / "x.bed"
    bed.write_text("".join(f"{contig}\t{start}\t{end}\n" for contig, start, end in request.spans))
    named = {*request.whole, *(contig for contig, _, _ in request.spans)}
    targets = Targets(
        tuple(f"{{{name}}}" for name in request.whole),
        bed if request.spans else None,
        # What leaves no region is refused.
        request.primary and (not named or any(name.startswith("chr") for name in named)),
        request.unplaced,
    )
    return list_regions(targets, LENGTHS)


@given(st.lists(reads(), max_size=30), requests, st.booleans(), st.booleans(), ways_to_cut)
@settings(max_examples=80)
def test_any_combination_counts_what_looking_at_each_record_counts(
    tmp_path_factory: pytest.TempPathFactory,
    made: list[Read],
    request_: Request,
    csi: bool,
    cut: bool,
    costs: Costs,
) -> None:
    folder = tmp_path_factory.mktemp("any")
    bam = write_bam(folder, LENGTHS, made, more_header=HEADER, csi=csi)
    files = downloaded(str(bam), f"{bam}.bai")
    regions = regions_of(request_, folder)
    _, contigs = read_files(files)
    seconds = TINY if cut else None
    plan = plan_tasks(regions, contigs, cores=3, seconds=seconds, shortest=100, costs=costs)

    counted = [run_task(files, task, request_.selection) for task in enumerate(plan.tasks)]

    records = records_of(bam)
    found = [0] * len(regions)
    for counts in counted:
        for number, more in zip(plan.tasks[counts.task].numbers, counts.records, strict=True):
            found[number] += more
    assert found == [expected(records, region, request_.selection) for region in regions]


@given(st.lists(reads(), max_size=30), requests)
@settings(max_examples=15)
def test_a_cram_gives_what_its_bam_gives_for_any_combination(
    tmp_path_factory: pytest.TempPathFactory, made: list[Read], request_: Request
) -> None:
    folder = tmp_path_factory.mktemp("any")
    # samtools does not find all records that cover no base, and a CRAM keeps no mapping quality of
    # unmapped ones.
    made = [
        replace(read, mapping_quality=0) if read.contig is None or read.flag & 0x4 else read
        for read in made
        if read.cigar not in (None, "5I")
    ]
    bam = write_bam(folder, LENGTHS, made, more_header=HEADER)
    records = records_of(bam)
    cram = cram_of(bam, "seqs_per_slice=7")
    files = downloaded(str(cram), f"{cram}.crai")
    regions = regions_of(request_, folder)
    _, contigs = read_files(files)
    plan = plan_tasks(regions, contigs, cores=3)

    counted = [run_task(files, task, request_.selection) for task in enumerate(plan.tasks)]

    found = [0] * len(regions)
    for counts in counted:
        for number, more in zip(plan.tasks[counts.task].numbers, counts.records, strict=True):
            found[number] += more
    assert found == [expected(records, region, request_.selection) for region in regions]


def test_many_small_spans_share_a_call_and_a_deep_one_has_its_own(tmp_path: Path) -> None:
    lengths = {"chr1": 4_000_000}
    deep = [Read("chr1", 3_000_000 + number % 50) for number in range(60_000)]
    spread = [Read("chr1", number * 300) for number in range(9_000)]
    bam = write_bam(tmp_path, lengths, [*spread, *deep])
    files = downloaded(str(bam), f"{bam}.bai")
    small = [Region("chr1", at, at + 100) for at in range(0, 2_000_000, 5_000)]
    regions = [Region("chr1", 2_990_000, 3_010_000), *small]
    plan = plan_tasks(regions, read_files(files)[1], cores=2)

    assert {task.numbers[0] == 0 for task in plan.tasks if isinstance(task, Call)} == {True}
    groups = [task for task in plan.tasks if isinstance(task, SpanGroup)]
    assert sorted(number for group in groups for number in group.numbers) == [*range(1, 401)]


def test_a_span_of_a_name_with_a_brace_is_counted_by_itself_too(tmp_path: Path) -> None:
    bam = write_bam(tmp_path, LENGTHS, [Read("a}b", at, "1M") for at in range(9)])
    files = downloaded(str(bam), f"{bam}.bai")
    assert count_region(files, Region("a}b", 1, 3)) == 2
    assert count_region(files, Region("a}b", 4)) == 5


@pytest.mark.parametrize("unplaced", [0, 3])
def test_unplaced_records_are_counted_where_nothing_has_a_place(
    tmp_path: Path, unplaced: int
) -> None:
    """Of a BAM without any records samtools says that it has no such region."""
    bam = write_bam(tmp_path, LENGTHS, [Read(None)] * unplaced)
    with start_workers(1) as workers:
        files = downloaded(str(bam), f"{bam}.bai")
        counts = count_regions(files, workers, print, Targets(include_unplaced=True))
    assert counts.total == unplaced


def test_what_could_still_be_checked_is_in_the_log(tmp_path: Path) -> None:
    made = [Read("chr1", 5), Read("chr2", 5, mapping_quality=3), Read(None)]
    bam = write_bam(tmp_path, LENGTHS, made, more_header=HEADER)
    files = downloaded(str(bam), f"{bam}.bai")

    def last_lines(targets: Targets, selection: Selection) -> list[str]:
        log: list[str] = []
        with start_workers(2) as workers:
            count_regions(files, workers, log.append, targets, selection)
        after = next(n for n, line in enumerate(log) if line.startswith("counted "))
        return log[after + 1 :]

    all_of_them = ["counts agree with the index of all 6 regions"]
    assert last_lines(Targets(include_unplaced=True), EVERYTHING) == all_of_them
    some = "regions are at most what the index has; nothing tells how many of those records were"
    line, structure = last_lines(Targets(), Selection(min_mapping_quality=20))
    assert line.startswith(f"counts of 5 {some}")
    assert structure.startswith("the index of 5 sequences holds together, and the blocks")
    first, second, structure = last_lines(Targets(("chr1", "chr2:1-5")), EVERYTHING)
    assert first == "counts agree with the index of 1 regions"
    assert second.startswith(f"counts of 1 {some}")
    assert structure.startswith("the index of 1 sequences holds together")


def test_a_read_group_that_the_file_does_not_have_is_refused(tmp_path: Path) -> None:
    bam = write_bam(tmp_path, LENGTHS, [Read("chr1")], more_header=HEADER)
    files = downloaded(str(bam), f"{bam}.bai")
    header, _ = read_files(files)
    check_read_groups(files, header, Selection(read_groups=GROUPS))
    with pytest.raises(InputError, match=r"has no read group lane9.* has: lane1, lane2") as refused:
        check_read_groups(files, header, Selection(read_groups=("lane1", "lane9")))
    assert is_in_the_table_of_errors(str(refused.value), "AppError")


def test_the_table_has_plain_numbers_and_positions_as_in_bed(tmp_path: Path) -> None:
    bam = write_bam(tmp_path, LENGTHS, [Read("chr2", 4_990), Read(None)], more_header=HEADER)
    bed = tmp_path / "x.bed"
    bed.write_text("chr2\t4995\t5000\tlast bases\nchr2\t0\t5\n")
    targets = Targets(("chr2", "chr2:11-20", "chr2:4,991"), bed, include_unplaced=True)
    with start_workers(2) as workers:
        counts = count_regions(downloaded(str(bam), f"{bam}.bai"), workers, print, targets)
    assert counts.total == 4
    assert format_table(counts) == (
        "region\tcontig\tstart\tend\tlength\trecords\n"
        "chr2\tchr2\t0\t5000\t5000\t1\n"
        "chr2:11-20\tchr2\t10\t20\t10\t0\n"
        "chr2:4991-\tchr2\t4990\t5000\t10\t1\n"
        "last bases\tchr2\t4995\t5000\t5\t1\n"
        "chr2:1-5\tchr2\t0\t5\t5\t0\n"
        "*\t*\t0\t0\t0\t1\n"
    )
