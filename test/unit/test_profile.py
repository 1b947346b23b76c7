"""A profile shows the density of records along a sequence if there are many regions."""

from readcount.outputs.profile import PARTS, Profiles, profiles_of
from readcount.outputs.result import Result
from readcount.regions.counts import RegionCount
from readcount.regions.region import UNPLACED, Region
from readcount.verification.verify import VerifiedCounts
from steps import region_counts

LENGTHS = {"chr1": 200_000, "chr2": 100_000, "other": 5}


def result_of(counts: list[RegionCount]) -> Result:
    return Result(VerifiedCounts(region_counts(counts, LENGTHS)), LENGTHS)


def windows_of(contig: str, size: int, records: int) -> list[RegionCount]:
    return [
        RegionCount(Region(contig, start, start + size), records)
        for start in range(0, LENGTHS[contig], size)
    ]


def test_whole_sequences_and_few_regions_have_no_profile() -> None:
    whole = [RegionCount(Region(contig), 5) for contig in LENGTHS]
    assert profiles_of(result_of(whole)) == Profiles()
    assert profiles_of(result_of(windows_of("chr1", 10_000, 3))) == Profiles()


def test_each_part_has_the_density_of_its_regions() -> None:
    counts = [*windows_of("chr2", 500, 3), *windows_of("chr1", 1000, 3)]
    profiles = profiles_of(result_of([*counts, RegionCount(UNPLACED, 7)]))
    first, second = profiles.drawn
    assert (profiles.sequences, profiles.top) == (2, 6000.0)
    assert (first.contig, first.records, first.width) == ("chr1", 600, 100.0)
    assert first.heights == [50.0] * PARTS
    assert (second.contig, second.records, second.width) == ("chr2", 600, 50.0)
    assert second.heights == [100.0] * (PARTS // 2)


def test_a_region_longer_than_a_part_is_split_among_the_parts_it_overlaps() -> None:
    counts = [*windows_of("chr1", 10_000, 50), *windows_of("chr2", 2000, 10)]
    first, second = profiles_of(result_of(counts)).drawn
    assert first.heights == [100.0] * PARTS
    assert second.heights == [100.0] * (PARTS // 2)


def test_a_part_without_regions_is_empty_and_an_extreme_peak_is_capped() -> None:
    counts = windows_of("chr1", 1000, 10)
    counts[3:6] = []
    counts[50] = RegionCount(counts[50].region, 99_999)
    (profile,) = profiles_of(result_of(counts)).drawn
    assert profile.heights[3:6] == [0.0] * 3
    assert {*profile.heights} == {0.0, 100.0}
