"""The MultiQC file: one bar per sample, in as many parts as can be distinguished."""

import pytest

from readcount.outputs.multiqc import MAX_PARTS, format_multiqc, parts_of_bar
from readcount.outputs.result import Result
from readcount.regions.counts import RegionCount
from readcount.regions.region import UNPLACED, Region
from readcount.verification.verify import VerifiedCounts
from steps import region_counts

CHROMOSOMES = [f"chr{name}" for name in (*range(1, 23), "X", "Y", "M")]


def counts_of(
    records: dict[Region, int], lengths: dict[str, int] | None = None, counted: str = "all records"
) -> Result:
    lengths = lengths or {region.contig: 1000 for region in records if region.placed}
    counts = VerifiedCounts(region_counts(RegionCount(*pair) for pair in records.items()))
    return Result(counts, lengths, counted)


def test_each_region_is_a_part_in_output_order() -> None:
    counts = counts_of({Region("chr2"): 5, Region("chr1"): 7, UNPLACED: 3})
    assert list(parts_of_bar(counts).items()) == [("chr2", 5), ("chr1", 7), ("unplaced", 3)]


def test_regions_with_the_same_name_share_a_part() -> None:
    exons = {Region("chr1", n, n + 1, name="exon"): 2 for n in range(5)}
    assert parts_of_bar(counts_of(exons)) == {"exon": 10}


def test_with_many_sequences_chromosomes_are_parts_and_all_others_share_one() -> None:
    """Long decoys do not displace the short mitochondrial sequence."""
    lengths = {f"decoy{n}": 10**6 for n in range(3000)} | dict.fromkeys(CHROMOSOMES, 16_569)
    counts = counts_of({Region(name): 2 for name in lengths} | {UNPLACED: 9}, lengths)
    assert list(parts_of_bar(counts).items()) == [
        *((name, 2) for name in CHROMOSOMES),
        ("all other", 6000),
        ("unplaced", 9),
    ]


def test_with_many_contigs_the_longest_are_parts_regardless_of_their_counts() -> None:
    """Samples with the same header therefore have the same parts."""
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


def test_with_many_intervals_the_reference_sequences_are_parts() -> None:
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


def test_names_stay_in_one_cell_and_are_not_read_as_comments() -> None:
    text = format_multiqc(counts_of({Region("chr1", name="a\u2028#b\x85c"): 5}), "#sam\tple")
    *_, names, row = text.splitlines()
    assert (names, row) == ('"Sample"\t"a #b c"', '"#sam ple"\t5')


def test_counts_with_different_filters_go_to_different_sections() -> None:
    def section_id(counted: str) -> str:
        result = counts_of({Region("chr1"): 5}, counted=counted)
        return format_multiqc(result, "s").splitlines()[0]

    ids = {section_id(counted) for counted in ("all records", "with DUP", "without DUP")}
    assert len(ids) == 3
    assert section_id("with DUP") in ids


def test_the_filter_description_is_escaped_as_html() -> None:
    text = format_multiqc(counts_of({}, counted="read group <script>alert(1)</script>"), "s")
    assert "<script>" not in text
