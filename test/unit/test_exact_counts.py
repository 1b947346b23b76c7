"""The counts of any file and request equal a count of its individual SAM records."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pysam
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from builders import Read, cram_of, write_bam
from fuzz import bgzf
from oracle import count_one_by_one, count_records, records_of
from readcount.counting.overlaps import count_overlaps
from readcount.formats.bam_stream import read_positions
from readcount.planning.costs import DOWNLOADED, Costs
from readcount.request.filters import NO_FILTERS, Filters
from readcount.request.request import Request
from readcount.source.alignments import Alignments
from readcount.verification.verify import verify
from steps import ask, ask_for, count_here, opened, planned
from strategies import (
    CIGARS,
    COUNTED,
    DECODED,
    INTERVAL,
    UNMAPPED,
    Case,
    cases,
    examples,
    ways_to_count,
)


def counts_of(alignments: Alignments, request: Request, costs: Costs = DOWNLOADED) -> list[int]:
    """Counts by a plan for these costs; returns the verified counts."""
    plan = planned(alignments, request, processes=3, costs=costs)
    alignments.check_index(plan.edges)
    merged = count_here(alignments, plan, request.filters)
    verified = verify(merged, alignments, request.filters)
    return list(verified.counts.records)


@dataclass(frozen=True)
class Selection:
    """What to count, independently of the file."""

    spans: bool = False
    windows: int = 0
    include_unplaced: bool = False
    filters: Filters = NO_FILTERS


@st.composite
def selections(draw: st.DrawFn) -> Selection:
    filters = Filters(
        min_mapping_quality=draw(st.sampled_from([0, 0, 61])),
        exclude_flags=draw(st.sampled_from([0, 0, 0x100, 0x800])),
    )
    return Selection(
        spans=draw(st.booleans()),
        windows=draw(st.sampled_from([0, 0, 1, 100_000])),
        include_unplaced=draw(st.booleans()),
        filters=filters,
    )


@st.composite
def spans_on(draw: st.DrawFn, lengths: dict[str, int]) -> list[str]:
    """Draws spans in samtools syntax, and possibly a whole sequence."""
    regions = []
    for name, length in lengths.items():
        for _ in range(draw(st.integers(0, 3))):
            near = [at for at in (0, 5, INTERVAL - 1, INTERVAL, length // 2) if at < length]
            start = draw(st.sampled_from(near) | st.integers(0, length - 1))
            end = draw(
                st.integers(start + 1, length) | st.integers(start + 1, min(length, start + 9))
            )
            regions.append(f"{{{name}}}:{start + 1}-{end}")
    if draw(st.booleans()) or not regions:
        regions.append(f"{{{next(iter(lengths))}}}")
    return regions


def request_for(data: st.DataObject, case: Case, selection: Selection) -> Request:
    windows = selection.windows
    if windows and sum(case.lengths.values()) // windows > 5_000:
        windows = max(case.lengths.values()) // 50 + 1
    return ask_for(
        selection.filters,
        regions=data.draw(spans_on(case.lengths)) if selection.spans else (),
        windows=windows,
        include_unplaced=selection.include_unplaced,
    )


@given(case=cases(), selection=selections(), costs=ways_to_count, data=st.data())
@settings(parent=examples(80))
def test_counts_of_any_bam_match_its_records(
    tmp_path_factory: pytest.TempPathFactory,
    case: Case,
    selection: Selection,
    costs: Costs,
    data: st.DataObject,
) -> None:
    path = tmp_path_factory.mktemp("any") / "sample.bam"
    alignments = opened(write_bam(path, case.lengths, case.reads, csi=case.csi))
    request = request_for(data, case, selection)
    plan = planned(alignments, request)
    assert counts_of(alignments, request, costs) == count_records(
        records_of(path), plan.regions, selection.filters
    )


@pytest.mark.samtools
@pytest.mark.parametrize("csi", [False, True])
def test_a_span_of_a_file_with_few_records_per_bin_is_counted_in_parts(
    tmp_path: Path, csi: bool
) -> None:
    """An index merges bins of less than 64 KB, and then shows less exactly where a span ends."""
    length, rng = 6_000_000, random.Random(5)
    starts = sorted(rng.randrange(length - 150) for _ in range(16_000))
    header = pysam.AlignmentHeader.from_references(["chr1"], [length])
    bam = tmp_path / "sample.bam"
    with pysam.AlignmentFile(str(bam), "wb", header=header) as file:
        for start in starts:
            record = pysam.AlignedSegment(header)
            record.reference_id, record.reference_start = 0, start
            record.query_name, record.cigarstring = "read", "150M"
            record.query_sequence = "".join(rng.choices("ACGT", k=150))
            file.write(record)
    pysam.index(*(["-c"] if csi else []), str(bam), f"{bam}.bai")
    alignments, costs = opened(bam), replace(DOWNLOADED, call=6e-4, call_per_sequence=0)
    for _ in range(12):
        first = rng.randrange(length // 3)
        last = first + rng.randrange(length // 4, length // 2)
        request = ask(regions=[f"chr1:{first + 1}-{last}"])
        expected = sum(start < last and start + 150 > first for start in starts)
        assert counts_of(alignments, request, costs) == [expected]


def test_a_task_may_read_records_that_no_region_needs(tmp_path: Path) -> None:
    """A sequence that is needed almost completely is read to its end, to check its total."""
    length = 20 * INTERVAL
    reads = [Read("chr1", at) for at in range(0, length - 10, 100)]
    bam = write_bam(tmp_path, {"chr1": length}, reads)
    bam.write_bytes(bgzf.in_small_blocks(bam.read_bytes(), 400))
    pysam.index(str(bam))
    alignments, request = opened(bam), ask(regions=[f"chr1:1-{17 * INTERVAL}"] * 2)
    costs = replace(COUNTED, large_tasks_per_core=10)
    plan = planned(alignments, request, processes=2, costs=costs)
    assert {len(task.region_ids) for task in plan.tasks} == {0, 2}
    expected = count_records(records_of(bam), plan.regions)
    assert counts_of(alignments, request, costs) == expected


def test_a_record_that_ends_beyond_the_last_position_is_not_on_the_next_sequence(
    tmp_path: Path,
) -> None:
    header = pysam.AlignmentHeader.from_references(["chr1", "chr2"], [2**31 - 1, 100])
    with pysam.AlignmentFile(str(tmp_path / "x.bam"), "wb", header=header) as file:
        record = pysam.AlignedSegment(header)
        record.reference_id, record.reference_start = 0, 1_000
        record.cigartuples = [(0, 5), *[(3, 2**28 - 1)] * 17, (0, 5)]
        file.write(record)
    with (tmp_path / "x.bam").open("rb") as stream:
        counts = count_overlaps(read_positions(stream), [0, 0, 1], [0, 2_000, 0], [9, 3_000, 9])
    assert counts.tolist() == [0, 1, 0]


BEFORE_END = 9 * INTERVAL


@given(
    length=st.sampled_from([8 * INTERVAL, 2**29, 2**30]),
    csi=st.booleans(),
    gaps=st.sampled_from([[INTERVAL + 1], [0, 1, 1000, INTERVAL + 1, 3 * INTERVAL]]),
    seed=st.integers(0, 2**32),
    ends=st.tuples(st.just(2**30) | st.integers(1, BEFORE_END), st.integers(0, BEFORE_END)),
)
@example(length=2**29, csi=False, gaps=[INTERVAL + 1], seed=1, ends=(2**30, 7 * INTERVAL))
@settings(parent=examples(40))
def test_a_span_near_the_end_of_a_sequence_is_counted_in_parts(
    tmp_path_factory: pytest.TempPathFactory,
    length: int,
    csi: bool,
    gaps: list[int],
    seed: int,
    ends: tuple[int, int],
) -> None:
    """The last bin of the second smallest size also has the records without a position."""
    rng, first = random.Random(seed), max(0, length - BEFORE_END)
    reads = [Read("a", first // 2, cigar=None, flag=UNMAPPED)]
    for _ in range(200):
        gap = rng.choice(gaps)
        cigar = f"5M{gap}N5M" if gap else "10M"
        reads.append(Read("a", rng.randrange(first, length - gap - 10), cigar=cigar))
    csi = csi or length > 2**29
    bam = write_bam(tmp_path_factory.mktemp("end"), {"a": length}, reads, csi=csi)
    bam.write_bytes(bgzf.in_small_blocks(bam.read_bytes(), 400))
    pysam.index(*(["-c"] if csi else []), str(bam), f"{bam}.bai")
    start, end = (max(0, length - before) for before in sorted(ends, reverse=True))
    alignments, request = opened(bam), ask(regions=[f"a:{start + 1}-{max(end, start + 1)}"])
    expected = count_records(records_of(bam), planned(alignments, request).regions)
    assert counts_of(alignments, request, COUNTED) == expected


@given(
    case=cases(),
    selection=selections(),
    costs=ways_to_count,
    data=st.data(),
    options=st.tuples(
        st.sampled_from(["version=3.0", "version=3.1"]),
        st.sampled_from(["seqs_per_slice=1", "seqs_per_slice=3", "seqs_per_slice=8"]),
        st.sampled_from(["slices_per_container=1", "slices_per_container=3"]),
        st.sampled_from(
            ["multi_seq_per_slice=-1", "multi_seq_per_slice=0", "multi_seq_per_slice=1"]
        ),
    ),
)
@settings(parent=examples(80))
def test_counts_of_any_cram_match_the_records_of_its_bam(
    tmp_path_factory: pytest.TempPathFactory,
    case: Case,
    selection: Selection,
    costs: Costs,
    data: st.DataObject,
    options: tuple[str, ...],
) -> None:
    # A CRAM cannot contain a mapped record without a position.
    reads = [
        replace(read, flag=read.flag | UNMAPPED) if read.position < 0 else read
        for read in case.reads
    ]
    bam = write_bam(tmp_path_factory.mktemp("any"), case.lengths, reads, csi=case.csi)
    alignments = opened(cram_of(bam, "no_ref=1", *options))
    request = request_for(data, case, selection)
    plan = planned(alignments, request)
    assert counts_of(alignments, request, costs) == count_records(
        records_of(bam), plan.regions, selection.filters
    )


@given(case=cases(), cram=st.booleans())
@settings(parent=examples(30))
def test_counts_from_the_index_match_the_records(
    tmp_path_factory: pytest.TempPathFactory, case: Case, cram: bool
) -> None:
    reads = [read for read in case.reads if read.position >= 0]
    bam = write_bam(tmp_path_factory.mktemp("any"), case.lengths, reads, csi=case.csi)
    alignments = opened(cram_of(bam, "no_ref=1", "seqs_per_slice=2") if cram else bam)
    request = ask(counts_from="index", include_unplaced=True)
    plan = planned(alignments, request)
    assert counts_of(alignments, request) == count_records(records_of(bam), plan.regions)


def test_counts_of_whole_sequences_match_samtools(tmp_path: Path) -> None:
    """Including records after the end of their sequence and records without a position."""
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
    for costs in (DOWNLOADED, COUNTED, DECODED):
        assert counts_of(opened(bam), ask(), costs) == count_one_by_one(bam, lengths)
    assert count_one_by_one(bam, lengths) == [1, 2, 2, 2, 2, 1]


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Returns a BAM with most records in or near the fourth of ten index intervals."""
    reads = [Read("a", 4 * INTERVAL - 20_000 + 7 * n, "9000M") for n in range(4000)]
    reads += [Read("a", n * INTERVAL - 1, "2M") for n in range(1, 10)]
    yield write_bam(tmp_path_factory.mktemp("uneven"), {"a": 10 * INTERVAL}, reads)


@pytest.mark.parametrize("costs", [COUNTED, DECODED])
def test_each_record_is_counted_in_exactly_one_part(uneven: Path, costs: Costs) -> None:
    alignments = opened(uneven)
    plan = planned(alignments, processes=4, costs=costs)
    assert len(plan.tasks) == (3 if costs is COUNTED else 1)
    assert counts_of(alignments, ask(), costs) == [4009] == count_one_by_one(uneven, "a")


@pytest.mark.parametrize("costs", [DOWNLOADED, COUNTED, DECODED])
def test_overlapping_spans_share_the_records_of_a_part(uneven: Path, costs: Costs) -> None:
    alignments = opened(uneven)
    spans = [f"a:{at + 1}-{at + 30_000}" for at in range(0, 10 * INTERVAL - 30_000, 5_000)]
    request = ask(regions=[*spans, "a", "a:1-163840"])
    plan = planned(alignments, request)
    assert counts_of(alignments, request, costs) == count_records(records_of(uneven), plan.regions)


def test_a_record_counts_in_each_window_that_its_cigar_covers(tmp_path: Path) -> None:
    reads = [Read("a", at, cigar) for at in range(9) for cigar in CIGARS]
    bam = write_bam(tmp_path, {"a": 300_000}, [Read("a", -1, "10M"), *reads])
    request = ask(windows=5_000)
    plan = planned(opened(bam), request)
    for costs in (DOWNLOADED, COUNTED, DECODED):
        assert counts_of(opened(bam), request, costs) == count_records(
            records_of(bam), plan.regions
        )
