"""How many records overlap regions: the counts of a task, and of all regions."""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from readcount.columns import Numbers
from readcount.regions.region import Region
from readcount.regions.region_list import ColumnList, RegionList


@dataclass(frozen=True, slots=True)
class RegionCount:
    """How many records overlap a region."""

    region: Region
    records: int


class RegionCounts(ColumnList[RegionCount]):
    """A list of RegionCount, that keeps columns instead of objects.

    Attributes:
        regions: the regions, in the order of the output.
        records: how many overlap each.
    """

    def __init__(self, regions: RegionList, records: Iterable[int]) -> None:
        self.regions = regions
        self.records = array("q", records)
        if len(self.records) != len(regions):
            raise ValueError(f"{len(self.records)} counts for {len(regions)} regions")

    def __len__(self) -> int:
        return len(self.records)

    def item(self, at: int) -> RegionCount:
        """Returns the count at an index."""
        return RegionCount(self.regions[at], self.records[at])

    def __iter__(self) -> Iterator[RegionCount]:
        return map(RegionCount, self.regions, self.records)


@dataclass(frozen=True)
class TaskCounts:
    """What a task counted.

    Attributes:
        task: its index in the plan.
        records: a number for each of its regions, in the task's order.
        decoded: all records that it read, by number of the reference sequence; None with filters,
            as then samtools does not say.
        warnings: of samtools, which change no count.
    """

    task: int
    records: Numbers
    decoded: Mapping[int, int] | None = None
    warnings: Sequence[str] = ()
