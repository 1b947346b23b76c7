"""Record counts of a task and of all regions."""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from readcount.columns import Numbers
from readcount.regions.region import Region
from readcount.regions.region_list import ColumnList, RegionList


@dataclass(frozen=True, slots=True)
class RegionCount:
    """The number of records that overlap a region."""

    region: Region
    records: int


class RegionCounts(ColumnList[RegionCount]):
    """A list of RegionCount, stored as columns instead of objects.

    Attributes:
        regions: the regions, in output order.
        records: number of records that overlap each region.
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
    """The counts of a task.

    Attributes:
        task: its index in the plan.
        records: the count of each of its regions, in the task's order.
        decoded: number of records read, by reference ID; None with filters, because samtools then
            reports only the selected ones.
        warnings: harmless messages from samtools.
    """

    task: int
    records: Numbers
    decoded: Mapping[int, int] | None = None
    warnings: Sequence[str] = ()
