"""The file for MultiQC has a bar for the sample, in parts that can be told apart."""

import pytest

from readcount.outputs.multiqc import MAX_PARTS, format_multiqc, parts_of_bar
from readcount.outputs.result import Result
from readcount.regions.counts import RegionCount
from readcount.regions.region import UNPLACED, Region
from readcount.verification.verify import VerifiedCounts
from steps import region_counts

CHROMOSOMES = [f"chr{name}" for name in (*range(1, 23), "X", "Y", "M")]


def counts_of(
    records: dict[Region, int], lengths: dict[str, int] | None = None, asked: str = "all records"
) -> Result:
    lengths = lengths or {region.contig: 1000 for region in records if region.placed}
    counts = VerifiedCounts(region_counts(RegionCount(*pair) for pair in records.items()))
    return Result(counts, lengths, asked)


def test_each_region_is_a_part_in_the_order_of_the_files() -> None:
    counts = counts_of({Region("chr2"): 5, Region("chr1"): 7, UNPLACED: 3})
    assert list(parts_of_bar(counts).items()) == [("chr2", 5), ("chr1", 7), ("unplaced", 3)]


def test_regions_with_the_same_name_are_one_part() -> None:
    exons = {Region("chr1", n, n + 1, name="exon"): 2 for n in range(5)}
    assert parts_of_bar(counts_of(exons)) == {"exon": 10}


def test_of_many_sequences_the_chromosomes_are_parts_and_all_others_one() -> None:
    """A long decoy does not take the place of the mitochondrion, which is short."""
    lengths = {f"decoy{n}": 10**6 for n in range(3000)} | dict.fromkeys(CHROMOSOMES, 16_569)
    counts = counts_of({Region(name): 2 for name in lengths} | {UNPLACED: 9}, lengths)
    assert list(parts_of_bar(counts).items()) == [
        *((name, 2) for name in CHROMOSOMES),
        ("all other", 6000),
        ("unplaced", 9),
    ]


def test_of_many_contigs_the_longest_are_parts_whatever_they_hold() -> None:
    """So that samples with the same header have the same parts."""
    lengths = {f"contig{n}": n + 1 for n in range(100)}
    sample = {Region(name): n for n, name in enumerate(lengths)}
    other = {Region(name): 0 for name in lengths}
    assert list(parts_of_bar(counts_of(sample, lengths))) == [
        *(f"contig{n}" for n in range(100 - MAX_PARTS, 100)),
        "all other",
    ]
    assert list(parts_of_bar(counts_of(sample, lengths))) == list(
        parts_of_bar(counts_of(other, lengths))
    )


def test_of_many_intervals_their_sequences_are_parts() -> None:
    intervals = {
        Region(name, start, start + 10, name=f"exon {start}"): 1
        for name in ("chr1", "chr2")
        for start in range(0, 1000, 10)
    }
    assert parts_of_bar(counts_of(intervals)) == {"chr1": 100, "chr2": 100}


@pytest.mark.parametrize("regions", [1, MAX_PARTS, MAX_PARTS + 1, 1000])
def test_the_parts_add_up_to_the_total(regions: int) -> None:
    counts = counts_of({Region(f"c{n}"): n for n in range(regions)} | {UNPLACED: 7})
    assert sum(parts_of_bar(counts).values()) == counts.total


def test_a_text_stays_one_cell_and_no_comment() -> None:
    text = format_multiqc(counts_of({Region("chr1", name="a\u2028#b\x85c"): 5}), "#sam\tple")
    *_, names, row = text.splitlines()
    assert (names, row) == ('"Sample"\t"a #b c"', '"#sam ple"\t5')


def test_counts_of_other_records_go_to_another_section() -> None:
    def section(asked: str) -> str:
        return format_multiqc(counts_of({Region("chr1"): 5}, asked=asked), "s").splitlines()[0]

    ids = {section(asked) for asked in ("all records", "with DUP", "without DUP")}
    assert len(ids) == 3
    assert section("with DUP") in ids


def test_what_was_asked_for_is_escaped_where_multiqc_takes_html() -> None:
    text = format_multiqc(counts_of({}, asked="read group <script>alert(1)</script>"), "s")
    assert "<script>" not in text
