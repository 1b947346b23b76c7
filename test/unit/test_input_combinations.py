"""The counts for any combination of inputs equal a count of the individual SAM records."""

import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import Read, cram_of, write_bam
from messages import is_a_known_message
from oracle import count_records, records_of
from readcount.columns import integers
from readcount.counting.pool import start_workers
from readcount.errors import InputError
from readcount.outputs.text import format_table
from readcount.planning.costs import Costs
from readcount.planning.plan import plan_tasks
from readcount.regions.list_regions import list_regions
from readcount.regions.region_list import RegionList
from readcount.request.filters import NO_FILTERS, Filters
from readcount.request.request import Request
from readcount.source.alignments import Alignments
from readcount.source.header import check_read_groups
from readcount.source.sequences import SequenceDictionary
from steps import ask, count_here, count_regions, files_of, opened
from strategies import COUNTED, DECODED, examples, ways_to_count

LENGTHS = {"chr1": 100_000, "chr2": 5_000, "HLA-A*01:01": 300, "a}b": 300, "chrM": 16_000}
GROUPS = ("lane1", "lane2")
HEADER = [f"@RG\tID:{name}\tSM:x" for name in GROUPS]


@dataclass(frozen=True)
class Choice:
    """Regions and filters of a job; spans are 0-based and half-open."""

    spans: list[tuple[str, int, int]]
    whole: list[str]
    primary: bool
    unplaced: bool
    filters: Filters


@st.composite
def spans(draw: st.DrawFn) -> tuple[str, int, int]:
    contig = draw(st.sampled_from([*LENGTHS]))
    start = draw(st.integers(0, LENGTHS[contig] - 1))
    return contig, start, draw(st.integers(start + 1, min(start + 20_000, LENGTHS[contig])))


def flags() -> st.SearchStrategy[int]:
    return st.just(0) | st.sampled_from([1 << bit for bit in range(12)]) | st.integers(0, 0xFFF)


filters = st.builds(
    Filters,
    st.sampled_from([0, 1, 20, 255]),
    flags(),
    flags(),
    st.sampled_from([(), ("lane1",), GROUPS]),
)
choices = st.builds(
    Choice,
    st.lists(spans(), max_size=8),
    st.lists(st.sampled_from([*LENGTHS]), max_size=3),
    st.booleans(),
    st.booleans(),
    st.just(NO_FILTERS) | filters,
)


@st.composite
def any_read(draw: st.DrawFn) -> Read:
    contig = draw(st.sampled_from([*LENGTHS, None]))
    return Read(
        contig,
        draw(st.integers(0, LENGTHS[contig] + 200)) if contig else -1,
        draw(st.sampled_from([None, "10M", "3S5M", "2M20000N2M", "5I", "3000M"])),
        draw(st.sampled_from([0, 0x4, 0x10, 0x100, 0x400, 0x800, 0x63])),
        draw(st.sampled_from([0, 19, 20, 60, 255])),
        draw(st.sampled_from([None, *GROUPS, "lane3"])),
    )


def regions_of(choice: Choice, folder: Path) -> RegionList:
    bed = folder / "x.bed"
    bed.write_text("".join(f"{contig}\t{start}\t{end}\n" for contig, start, end in choice.spans))
    named = {*choice.whole, *(contig for contig, _, _ in choice.spans)}
    request = ask(
        regions=[f"{{{name}}}" for name in choice.whole],
        # A combination that leaves no region is rejected.
        primary_chromosomes_only=choice.primary
        and (not named or any(name.startswith("chr") for name in named)),
        include_unplaced=choice.unplaced,
    )
    return list_regions(request, bed if choice.spans else None, SequenceDictionary(LENGTHS))


def counts_of(
    alignments: Alignments, regions: RegionList, filters: Filters, costs: Costs
) -> list[int]:
    whole, spans = regions.tids_at(regions.whole), regions.tids_at(regions.spans)
    layout = alignments.locate(whole, spans).layout
    plan = plan_tasks(regions, layout, 3, costs)
    alignments.check_index(plan.edges)
    return list(integers(count_here(alignments, plan, filters).counts.records))


@pytest.mark.samtools
@given(st.lists(any_read(), max_size=30), choices, st.booleans(), ways_to_count)
@examples(80)
def test_counts_of_a_bam_match_its_records_for_any_combination(
    tmp_path_factory: pytest.TempPathFactory,
    reads: list[Read],
    choice: Choice,
    csi: bool,
    costs: Costs,
) -> None:
    folder = tmp_path_factory.mktemp("any")
    bam = write_bam(folder, LENGTHS, reads, more_header=HEADER, csi=csi)
    regions, records = regions_of(choice, folder), records_of(bam)
    assert counts_of(opened(bam), regions, choice.filters, costs) == count_records(
        records, regions, choice.filters
    )


@pytest.mark.samtools
@given(st.lists(any_read(), max_size=30), choices, ways_to_count)
@examples(30)
def test_counts_of_a_cram_match_the_records_of_its_bam_for_any_combination(
    tmp_path_factory: pytest.TempPathFactory, reads: list[Read], choice: Choice, costs: Costs
) -> None:
    folder = tmp_path_factory.mktemp("any")
    # A CRAM does not store the mapping quality of unmapped records.
    reads = [
        replace(read, mapping_quality=0) if read.contig is None or read.flag & 0x4 else read
        for read in reads
    ]
    bam = write_bam(folder, LENGTHS, reads, more_header=HEADER)
    regions, records = regions_of(choice, folder), records_of(bam)
    cram = opened(cram_of(bam, "seqs_per_slice=7"))
    assert counts_of(cram, regions, choice.filters, costs) == count_records(
        records, regions, choice.filters
    )


@pytest.mark.samtools
@pytest.mark.parametrize("costs", [COUNTED, DECODED])
def test_a_cram_may_have_got_its_read_groups_later(tmp_path: Path, costs: Costs) -> None:
    """If the header has no @RG line when a CRAM is written, RG is a tag like any other."""
    reads = [Read("chr1", at, read_group=GROUPS[at % 3 == 0]) for at in range(90)]
    before = cram_of(write_bam(tmp_path / "a.bam", LENGTHS, reads))
    header = subprocess.check_output(["samtools", "view", "-H", str(before)], text=True)
    (tmp_path / "header.sam").write_text(header + "\n".join([*HEADER, ""]))
    cram = tmp_path / "b.cram"
    with cram.open("wb") as file:
        command = ["samtools", "reheader", str(tmp_path / "header.sam"), str(before)]
        subprocess.run(command, stdout=file, check=True)
    subprocess.run(["samtools", "index", str(cram)], check=True)
    for choice in ([], [("chr1", 30, 60)]):
        regions = regions_of(Choice(choice, [], False, False, NO_FILTERS), tmp_path)
        filters = Filters(read_groups=("lane1",))
        assert counts_of(opened(cram), regions, filters, costs) == count_records(
            records_of(tmp_path / "a.bam"), regions, filters
        )


@pytest.mark.samtools
@pytest.mark.parametrize("unplaced", [0, 3])
def test_unplaced_records_are_counted_in_a_file_without_placed_records(
    tmp_path: Path, unplaced: int
) -> None:
    bam = write_bam(tmp_path, LENGTHS, [Read(None)] * unplaced)
    with start_workers(1) as workers:
        counts = count_regions(files_of(bam), workers, print, ask(include_unplaced=True))
    assert counts.total == unplaced


def test_the_log_lists_the_checks_that_were_possible(tmp_path: Path) -> None:
    reads = [Read("chr1", 5), Read("chr2", 5, mapping_quality=3), Read(None)]
    bam = write_bam(tmp_path, LENGTHS, reads, more_header=HEADER)

    def last_lines(request: Request) -> list[str]:
        log: list[str] = []
        with start_workers(2) as workers:
            count_regions(files_of(bam), workers, log.append, request)
        after = next(n for n, line in enumerate(log) if line.startswith("counted "))
        return log[after + 1 :]

    complete = ["counts of all 6 regions match the index"]
    assert last_lines(ask(include_unplaced=True)) == complete
    partial = "do not exceed the index totals; there are no exact numbers for filtered or partial"
    line, edges = last_lines(ask(min_mapping_quality=20))
    assert line.startswith(f"counts of all 5 regions {partial}")
    assert edges.startswith("the records at both ends of each part of the file that was read")
    first, second, edges = last_lines(ask(regions=["chr1", "chr2:1-5"]))
    assert first == "counts of 1 region match the index"
    assert second.startswith(f"counts of 1 region {partial}")
    assert edges.startswith("the records at both ends")


def test_a_read_group_that_is_not_in_the_header_is_rejected(tmp_path: Path) -> None:
    bam = write_bam(tmp_path, LENGTHS, [Read("chr1")], more_header=HEADER)
    header = opened(bam).header
    check_read_groups(header, Filters(read_groups=GROUPS), "sample.bam")
    words = r"sample\.bam has no read group 'lane9' in its header\. Use one of: lane1, lane2"
    with pytest.raises(InputError, match=words) as error:
        check_read_groups(header, Filters(read_groups=("lane1", "lane9")), "sample.bam")
    assert is_a_known_message(str(error.value), "AppError")


def test_the_count_table_has_plain_numbers_and_bed_positions(tmp_path: Path) -> None:
    bam = write_bam(tmp_path, LENGTHS, [Read("chr2", 4_990), Read(None)], more_header=HEADER)
    bed = tmp_path / "x.bed"
    bed.write_text("chr2\t4995\t5000\tlast bases\nchr2\t0\t5\n")
    request = ask(regions=["chr2", "chr2:11-20", "chr2:4,991"], include_unplaced=True)
    with start_workers(2) as workers:
        counts = count_regions(files_of(bam, bed=bed), workers, print, request)
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
