"""Counts, put together and written out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from readcount.regions import Region


@dataclass(frozen=True)
class RegionCount:
    """How many records lie in a region."""

    region: Region
    records: int


def merge_counts(regions: Sequence[Region], counted: Iterable[RegionCount]) -> list[RegionCount]:
    """Brings counts that come in any order into the order of the regions.

    Raises:
        ValueError: a region was counted twice or not at all, or was not to be counted.
    """
    records: dict[Region, int] = {}
    for count in counted:
        if count.region in records:
            raise ValueError(f"region {count.region} was counted twice")
        records[count.region] = count.records
    if records.keys() != set(regions):
        raise ValueError("the regions that were counted are not the ones to be counted")
    return [RegionCount(region, records[region]) for region in regions]


def format_counts(counts: Iterable[RegionCount]) -> str:
    """Gives the text of the count file.

    One line `Region <name>: <count>` per region, in the order given, then `Total reads: <sum>`
    with no newline after it. Records without a place are in no region and not in the total.
    """
    total = 0
    lines = []
    for count in counts:
        lines.append(f"Region {count.region}: {count.records}\n")
        total += count.records
    return "".join(lines) + f"Total reads: {total}"


def count_file_name(bam_name: str) -> str:
    """Gives NAME_count.txt for NAME.bam, and <name>_count.txt for any other name."""
    return f"{bam_name.removesuffix('.bam')}_count.txt"
