"""Counts are reported for every region once, in header order, in the format that users parse."""

from itertools import permutations

import pytest

from readcount.counts import RegionCount, count_file_name, format_counts, merge_counts
from readcount.regions import Region

CHR1, CHR2, CHR3 = Region("chr1"), Region("chr2"), Region("chr3")
COUNTS = [RegionCount(CHR2, 5), RegionCount(CHR1, 0), RegionCount(CHR3, 7)]


@pytest.mark.parametrize("arrived", [*permutations(COUNTS)])
def test_counts_stand_in_header_order_however_they_arrive(arrived: list[RegionCount]) -> None:
    assert merge_counts([CHR2, CHR1, CHR3], iter(arrived)) == COUNTS


@pytest.mark.parametrize(
    "arrived",
    [COUNTS[:2], [*COUNTS, RegionCount(Region("chr4"), 1)], [*COUNTS, COUNTS[0]]],
    ids=["missing", "unknown", "twice"],
)
def test_counts_that_do_not_match_the_regions_are_refused(arrived: list[RegionCount]) -> None:
    with pytest.raises(ValueError, match="count"):
        merge_counts([CHR2, CHR1, CHR3], arrived)


def test_the_file_has_a_line_per_region_and_no_newline_after_the_total() -> None:
    assert format_counts(COUNTS) == (
        "Region chr2: 5\nRegion chr1: 0\nRegion chr3: 7\nTotal reads: 12"
    )


def test_without_regions_there_is_only_the_total() -> None:
    assert format_counts([]) == "Total reads: 0"


@pytest.mark.parametrize(
    ("bam", "count_file"),
    [
        ("sample.bam", "sample_count.txt"),
        ("a.bam.bam", "a.bam_count.txt"),
        ("sample.sorted.bam", "sample.sorted_count.txt"),
        ("sample.BAM", "sample.BAM_count.txt"),
        ("sample", "sample_count.txt"),
        ("sample.bam.gz", "sample.bam.gz_count.txt"),
        ("größe 'x'.bam", "größe 'x'_count.txt"),
    ],
)
def test_the_file_is_named_after_the_bam(bam: str, count_file: str) -> None:
    assert count_file_name(bam) == count_file
